//! Where a plan has a person decide: before a task, after it, between batches; and prompts
//! that outlive the process.

use idumb_core::{Backoff, CheckpointAt, Input, Mode, Subject, Task, TaskState};

use crate::answers::failure;
use crate::draft::{Draft, id, task};
use crate::world::World;

const BEFORE: CheckpointAt = CheckpointAt::Before;
const AFTER: CheckpointAt = CheckpointAt::After;

fn options(world: &World) -> Vec<&str> {
    let prompt = world.prompt().expect("a prompt is open");
    prompt.options.iter().map(|(id, _)| id.as_str()).collect()
}

fn passed(world: &World) -> Vec<String> {
    let story = world.story();
    story.into_iter().filter(|line| line.starts_with("checkpoint_passed")).collect()
}

/// The run is at rest because its prompt waits; the process that opened it is gone.
fn resting(tasks: impl IntoIterator<Item = Task>, until: impl FnOnce(&mut World)) -> World {
    let mut world = World::auto(tasks);
    until(&mut world);
    assert_eq!(world.control(), "paused User");
    assert!(world.run.is_at_rest());
    world.die();
    world
}

/// An answer while the run rests, which sets nothing off.
#[track_caller]
fn answers_at_rest(world: &mut World, choice: &str) {
    world.answers(choice);
    assert_eq!(world.started, []);
    assert_eq!(world.control(), "paused User");
}

#[test]
fn a_checkpoint_before_a_task_holds_only_that_task() {
    let mut world = World::interactive([task("A").stopping(BEFORE, false), task("B")]);
    let (task, at, human) = (id("A"), BEFORE, false);
    let prompt = world.prompt().expect("a checkpoint").clone();
    assert_eq!(prompt.subject, Subject::Checkpoint { task, at, human });
    assert_eq!(prompt.question, "Task A (Task A) is next. Go on with it?");
    assert_eq!(options(&world), ["continue", "skip", "pause"]);
    assert_eq!(world.state_of("A"), TaskState::AwaitingDecision(prompt.id));
    assert_eq!(world.waits_for(), ["build B"]);
    world.answers("continue");
    assert_eq!(world.waits_for(), ["build B", "build A"]);
    world.breaks("A", failure("no"));
    world.answers("retry");
    assert_eq!(world.waits_for(), ["build B", "build A"], "it is asked once, not each attempt");
}

/// A person decides about what the plan says, so they see it; not without end.
#[test]
fn a_checkpoint_shows_what_the_plan_says_of_its_task() {
    let question = |description: &str| {
        let description = description.to_owned();
        let task = Task { description, ..task("A").stopping(BEFORE, false) };
        World::interactive([task]).prompt().unwrap().question.clone()
    };
    let head = "Task A (Task A) is next. Go on with it?";
    assert_eq!(question(" \n"), head);
    assert_eq!(question("Task A"), head, "that is said already");
    assert_eq!(question("Choose:\n- a\n- b\n"), format!("{head}\nChoose:\n- a\n- b"));
    let long = question(&"line\n".repeat(1000));
    assert_eq!(long.lines().count(), 22, "{long}");
    assert!(long.ends_with("line\n…"));
    let wide = question(&"é".repeat(100_000));
    assert!(wide.len() < 5000 && wide.ends_with('…'));
}

#[test]
fn at_a_checkpoint_before_it_a_task_may_be_left_out() {
    let tasks = [task("A").stopping(BEFORE, false), task("B").after(&["A"])];
    let mut world = World::interactive(tasks);
    assert_eq!(world.prompt().unwrap().options[1].1, "leave it out; 1 not run then: B");
    world.answers("skip");
    assert_eq!(world.state_of("A"), TaskState::Skipped(None));
    assert_eq!(world.state_of("B"), TaskState::Skipped(Some(id("A"))));
    assert_eq!(world.control(), "E002");
}

#[test]
fn a_checkpoint_after_a_task_holds_the_next_batch() {
    let tasks = [task("A").stopping(AFTER, false), task("B"), task("C").after(&["B"])];
    let mut world = World::interactive(tasks);
    world.succeeds("A");
    assert_eq!(world.prompt(), None, "the batch goes on");
    world.succeeds("B");
    assert_eq!(options(&world), ["continue", "pause"]);
    assert_eq!(world.prompt().unwrap().question, "Task A (Task A) is done. Go on?");
    world.answers("continue");
    assert_eq!(world.prompt().map(|prompt| &prompt.subject), Some(&Subject::Batch));
    world.answers("continue");
    assert_eq!(world.waits_for(), ["build C"]);
}

#[test]
fn a_checkpoint_after_the_last_task_holds_the_checks_of_the_phase() {
    let mut world = World::interactive([task("A").stopping(AFTER, false)]);
    world.succeeds("A");
    assert!(world.prompt().is_some());
    assert_eq!(world.waits_for(), [""; 0]);
    world.answers("continue");
    assert_eq!(world.waits_for(), ["check integration-checker"]);
}

#[test]
fn auto_mode_goes_past_checkpoints_that_are_not_marked_human_and_says_so() {
    let mut world =
        World::auto([task("A").stopping(BEFORE, false), task("B").stopping(AFTER, false)]);
    world.goes_well();
    assert_eq!(world.control(), "completed");
    assert_eq!(passed(&world), ["checkpoint_passed A", "checkpoint_passed B"]);
    assert!(!world.story().iter().any(|line| line.starts_with("prompt_opened")));
}

#[test]
fn auto_mode_rests_at_a_human_checkpoint_once_nothing_else_can_go_on() {
    let tasks = [
        task("A").stopping(BEFORE, true),
        task("B"),
        task("C").after(&["B"]),
        task("D").after(&["A"]),
    ];
    let mut world = World::auto(tasks);
    assert_eq!(world.prompt().map(|prompt| prompt.id), Some(1));
    assert!(world.has_started("ask 1"));
    world.succeeds("B");
    assert_eq!(world.control(), "active", "C can go on");
    world.succeeds("C");
    assert_eq!(world.control(), "paused User");
    assert_eq!(world.prompt().map(|prompt| prompt.id), Some(1), "it stays open");
    assert_eq!(passed(&world), [""; 0]);
    world.resume();
    assert!(world.has_started("ask 1"), "it is asked again");
    assert_eq!(world.control(), "paused User", "and nobody answered");
    world.answers("continue");
    world.resume();
    assert_eq!(world.waits_for(), ["build A"]);
}

#[test]
fn auto_mode_rests_at_a_human_checkpoint_after_a_task() {
    let mut world = resting([task("A").stopping(AFTER, true)], |world| world.succeeds("A"));
    answers_at_rest(&mut world, "continue");
    world.resume();
    assert_eq!(world.waits_for(), ["check integration-checker"]);
}

#[test]
fn a_checkpoint_answered_at_rest_is_not_asked_again() {
    let mut world = resting([task("A").stopping(BEFORE, true)], |_| {});
    answers_at_rest(&mut world, "continue");
    assert_eq!(world.prompt(), None);
    world.die();
    world.resume();
    assert_eq!(world.waits_for(), ["build A"]);
    assert!(!world.has_started("ask 1") && world.prompt().is_none());
}

#[test]
fn a_task_left_out_at_rest_stays_left_out() {
    let tasks = [task("A").stopping(BEFORE, true), task("B").stopping(BEFORE, true)];
    let mut world = resting(tasks, |_| {});
    answers_at_rest(&mut world, "skip");
    answers_at_rest(&mut world, "continue");
    world.resume();
    assert_eq!(world.state_of("A"), TaskState::Skipped(None));
    assert_eq!(world.waits_for(), ["build B"]);
}

#[test]
fn a_blocker_answered_at_rest_is_decided() {
    let table = [
        ("retry", TaskState::Leased),
        ("skip", TaskState::Skipped(None)),
        ("fail", TaskState::Failed(idumb_core::Blocker::Failure)),
    ];
    for (choice, state) in table {
        let mut world = World::interactive([task("A"), task("B")]);
        world.breaks("A", failure("no"));
        world.stop();
        world.breaks("B", failure("stopped"));
        world.die();
        answers_at_rest(&mut world, choice);
        world.resume();
        assert_eq!(world.state_of("A"), state, "{choice}");
        assert_eq!(world.prompt(), None);
    }
}

#[test]
fn a_batch_answered_at_rest_is_not_asked_again() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"])]);
    world.succeeds("A");
    world.tell(Input::Unattended);
    assert_eq!(world.control(), "paused User");
    world.die();
    answers_at_rest(&mut world, "continue");
    world.resume();
    assert_eq!(world.waits_for(), ["build B"]);
}

#[test]
fn an_answer_to_a_run_that_died_sets_nothing_off_before_it_is_taken_up() {
    let mut world = World::with(Mode::Interactive, [task("A"), task("B"), task("C")], |config| {
        config.timeouts.phase_ms = Some(10_000);
    });
    world.breaks("A", failure("no"));
    world.builds("B");
    world.die();
    assert_eq!(world.run.poll_timeout(), None, "an earlier process's clock says nothing");
    let position = world.journal.len();
    world.waits(3_600_000);
    world.answers("retry");
    assert_eq!(world.story_from(position), ["prompt_answered 1 retry"]);
    assert_eq!(world.started, []);
    world.resume();
    assert_eq!(world.waits_for(), ["build A", "build C", "validate B"]);
}

#[test]
fn a_blocker_survives_a_crash_in_interactive_mode() {
    let mut world = World::interactive([task("A")]);
    world.breaks("A", failure("no"));
    world.crash();
    assert!(world.has_started("ask 1"));
    assert_eq!(world.state_of("A"), TaskState::AwaitingDecision(1));
    world.answers("retry");
    assert_eq!(world.waits_for(), ["build A"]);
}

#[test]
fn a_run_taken_up_in_auto_mode_decides_itself_what_that_mode_decides() {
    let tasks = [task("A").stopping(BEFORE, false), task("B").stopping(BEFORE, true), task("C")];
    let mut world = World::interactive(tasks);
    world.breaks("C", failure("no"));
    world.restart_with(|config| config.mode = Mode::Auto);
    world.resume();
    assert_eq!(passed(&world), ["checkpoint_passed A"]);
    let open: Vec<&Subject> = world.run.state().prompts.iter().map(|p| &p.subject).collect();
    let (task, at, human) = (id("B"), BEFORE, true);
    assert_eq!(open, [&Subject::Checkpoint { task, at, human }]);
    assert!(matches!(world.state_of("C"), TaskState::Parked(_)), "a crash decides nothing");
}

#[test]
fn questions_of_agents_do_not_survive() {
    let mut world = World::interactive([task("A")]);
    world.asks("A", 7);
    let position = world.journal.len();
    world.crash();
    assert_eq!(world.story_from(position)[1], "prompt_withdrawn 1");
    assert_eq!(world.prompt(), None);
    assert_eq!(world.replies(), [], "whoever waited is gone");
    assert_eq!(world.waits_for(), ["build A"]);
}

#[test]
fn an_unattended_run_rests_at_a_prompt_once_it_waits_for_nothing_else() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"])]);
    world.tell(Input::Unattended);
    world.succeeds("A");
    assert_eq!(world.control(), "paused User");
    assert_eq!(world.prompt().map(|prompt| &prompt.subject), Some(&Subject::Batch));
}

#[test]
fn an_agent_that_waits_for_a_person_is_told_once_nobody_is_there() {
    let mut world = World::interactive([task("A")]);
    world.asks("A", 7);
    world.tell(Input::Unattended);
    assert_eq!(world.replies(), [(7, None)]);
    assert_eq!(world.prompt(), None);
    world.asks("A", 8);
    assert_eq!(world.replies(), [(7, None), (8, None)]);
}

#[test]
fn an_unattended_run_does_not_rest_while_another_attempt_is_to_follow() {
    let tasks = [task("A").retries(1), task("B"), task("C").after(&["B"])];
    let mut world = World::with(Mode::Interactive, tasks, |config| {
        config.backoff = Backoff { initial_ms: 60_000, cap_ms: 60_000 };
    });
    world.tell(Input::Unattended);
    world.breaks("A", failure("no"));
    world.succeeds("B");
    assert_eq!(world.prompt().map(|prompt| &prompt.subject), Some(&Subject::Batch));
    assert_eq!(world.control(), "active", "A is tried again first");
    world.waits(60_000);
    assert_eq!(world.waits_for(), ["build A"]);
    world.succeeds("A");
    assert_eq!(world.control(), "paused User");
}
