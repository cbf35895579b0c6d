//! Checkpoints, blockers, questions of agents, and pauses.

use idumb_core::{
    Blocker, Control, ErrorCode, Input, Mode, PauseCause, RunOutcome, Subject, TaskState,
    WorkflowStep,
};

use crate::answers::failure;
use crate::draft::{Draft, id, plan, task};
use crate::world::World;

fn is_paused(world: &World) -> bool {
    matches!(world.run.state().control, Control::Paused(..))
}

fn options(world: &World) -> Vec<&str> {
    let prompt = world.prompt().expect("a prompt is open");
    prompt.options.iter().map(|(id, _)| id.as_str()).collect()
}

#[test]
fn interactive_mode_asks_between_batches() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"])]);
    assert_eq!(world.prompt(), None, "nobody is asked before the first batch");
    world.succeeds("A");
    let prompt = world.prompt().expect("a checkpoint");
    assert_eq!(prompt.subject, Subject::Batch);
    assert_eq!(prompt.question, "Batch 1 is done. Go on with batch 2 (B)?");
    assert_eq!(options(&world), ["continue", "pause"]);
    assert!(world.has_started("ask 1"));
    assert_eq!(world.waits_for(), [""; 0]);
    world.answers("continue");
    assert_eq!(world.waits_for(), ["build B"]);
    world.goes_well();
    assert_eq!(world.run.state().control, Control::Finished(RunOutcome::Completed));
    let asked = world.story().iter().filter(|line| line.starts_with("prompt_opened")).count();
    assert_eq!(asked, 1, "nobody is asked after the last batch");
}

#[test]
fn auto_mode_asks_nothing() {
    let mut world = World::auto([task("A").retries(1), task("B").after(&["A"])]);
    world.breaks("A", failure("no"));
    world.goes_well();
    assert!(!world.story().iter().any(|line| line.starts_with("prompt_opened")));
}

#[test]
fn a_pause_at_a_checkpoint_rests_and_resuming_is_the_go_ahead() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"])]);
    world.succeeds("A");
    world.answers("pause");
    assert!(is_paused(&world) && world.run.is_at_rest());
    assert_eq!(world.document().status, "paused");
    world.resume();
    assert_eq!(world.prompt(), None);
    assert_eq!(world.waits_for(), ["build B"]);
}

#[test]
fn a_checkpoint_that_a_crash_interrupted_is_asked_again() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"])]);
    world.succeeds("A");
    world.crash();
    assert_eq!(world.prompt().map(|prompt| &prompt.subject), Some(&Subject::Batch));
    assert_eq!(world.prompt().map(|prompt| prompt.id), Some(1));
    assert!(world.has_started("ask 1") && !world.has_started("build B"));
}

#[test]
fn a_crash_or_pause_within_a_batch_does_not_skip_its_checkpoint() {
    let stop: [fn(&mut World); 2] = [World::crash, |world| {
        world.pause();
        world.builds("A");
        assert!(is_paused(world), "a sealed candidate is a safe point");
        world.resume();
    }];
    for stop in stop {
        let mut world = World::interactive([task("A"), task("B").after(&["A"])]);
        stop(&mut world);
        if world.state_of("A") == TaskState::Leased {
            world.builds("A");
        }
        world.passes("A");
        world.applies("A");
        let subject = world.prompt().map(|prompt| prompt.subject.clone());
        assert_eq!(subject, Some(Subject::Batch), "{:#?}", world.story());
    }
}

#[test]
fn interactive_mode_asks_about_a_blocker() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"]), task("C")]);
    world.breaks("A", failure("the disk is odd"));
    let prompt = world.prompt().expect("a blocker").clone();
    assert_eq!(prompt.subject, Subject::Blocker { task: id("A") });
    let question = "Task A cannot go on: E002 Task failed: the disk is odd";
    assert_eq!(prompt.question, question);
    assert_eq!(options(&world), ["retry", "skip", "fail", "pause"]);
    assert_eq!(prompt.options[2].1, "give it up; 1 not run then: B");
    assert_eq!(world.state_of("A"), TaskState::AwaitingDecision(prompt.id));
    assert_eq!(world.state_of("B"), TaskState::Blocked, "nothing is decided yet");
    assert_eq!(world.document().blocked_tasks, ["A", "B"]);
    world.succeeds("C");
    assert!(!world.run.is_at_rest(), "it waits for the decision");
}

#[test]
fn a_blocker_may_be_retried() {
    let mut world = World::interactive([task("A")]);
    world.breaks("A", failure("no"));
    world.answers("retry");
    assert_eq!(world.waits_for(), ["build A"]);
    world.breaks("A", failure("no"));
    assert_eq!(world.prompt().map(|prompt| prompt.id), Some(2), "asked again");
    world.answers("retry");
    world.goes_well();
    assert_eq!(world.run.state().completed, [id("A")]);
}

#[test]
fn a_blocker_may_be_given_up() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"]), task("C")]);
    world.breaks("A", failure("no"));
    world.answers("fail");
    assert_eq!(world.state_of("A"), TaskState::Failed(Blocker::Failure));
    assert_eq!(world.state_of("B"), TaskState::Blocked);
    world.succeeds("C");
    let control = &world.run.state().control;
    assert!(
        matches!(control, Control::Finished(RunOutcome::Failed { code: ErrorCode::E002, .. })),
        "{control:?}"
    );
}

#[test]
fn a_blocker_may_pause_the_run_and_resuming_tries_it_again() {
    let mut world = World::interactive([task("A"), task("C")]);
    world.breaks("A", failure("no"));
    world.answers("pause");
    assert!(!is_paused(&world), "C is under way");
    assert_eq!(world.waits_for(), ["build C"]);
    world.builds("C");
    assert!(is_paused(&world));
    world.resume();
    assert_eq!(world.waits_for(), ["build A", "validate C"]);
}

#[test]
fn an_answer_that_is_no_option_or_for_no_open_prompt_changes_nothing() {
    let mut world = World::interactive([task("A")]);
    world.breaks("A", failure("no"));
    let position = world.journal.len();
    for (prompt, choice) in [(1, "leave"), (1, ""), (2, "retry"), (0, "retry")] {
        let choice = choice.to_owned();
        world.tell(Input::Answer { prompt, choice, note: None });
    }
    assert_eq!(world.story_from(position), [""; 0]);
    world.answers("retry");
    let position = world.journal.len();
    let choice = "fail".to_owned();
    world.tell(Input::Answer { prompt: 1, choice, note: None });
    assert_eq!(world.story_from(position), [""; 0], "it was answered before");
}

#[test]
fn an_agents_question_is_declined_in_auto_mode() {
    let mut world = World::auto([task("A")]);
    let position = world.journal.len();
    world.asks("A", 7);
    assert_eq!(world.story_from(position), ["question_declined A"]);
    assert_eq!(world.replies(), [(7, None)]);
    assert_eq!(world.prompt(), None);
}

#[test]
fn an_agents_question_is_answered_in_interactive_mode() {
    let mut world = World::interactive([task("A")]);
    world.asks("A", 7);
    let prompt = world.prompt().expect("a question").clone();
    let (task, epoch, token) = (id("A"), 1, 7);
    assert_eq!(prompt.subject, Subject::Agent { task, epoch, token });
    assert_eq!(options(&world), ["red", "blue"]);
    assert_eq!(world.replies(), []);
    world.answers("blue");
    assert_eq!(world.replies(), [(7, Some("blue"))]);
    assert_eq!(world.state_of("A"), TaskState::Leased, "the attempt goes on");
}

#[test]
fn an_option_of_an_agent_that_is_called_pause_does_not_pause() {
    let mut world = World::interactive([task("A")]);
    world.tell(Input::Ask {
        task: id("A"),
        epoch: 1,
        token: 3,
        question: "What does the button say?".to_owned(),
        options: vec![("pause".to_owned(), "Pause".to_owned())],
    });
    world.answers("pause");
    assert_eq!(world.replies(), [(3, Some("pause"))]);
    assert_eq!(world.run.state().control, Control::Active);
}

#[test]
fn a_question_of_an_attempt_that_holds_no_lease_is_declined() {
    let mut world = World::interactive([task("A")]);
    world.crash();
    world.asks_under("A", 1, 7);
    assert_eq!(world.replies(), [(7, None)]);
    world.builds("A");
    world.passes("A");
    world.asks("A", 8);
    assert_eq!(world.replies(), [(7, None), (8, None)], "nobody builds or validates it");
    assert_eq!(world.prompt(), None);
}

#[test]
fn a_question_whose_attempt_ended_is_withdrawn() {
    let mut world = World::interactive([task("A")]);
    world.asks("A", 7);
    world.builds("A");
    assert_eq!(world.prompt(), None);
    world.asks("A", 8);
    assert!(world.prompt().is_some(), "a validator may ask too");
    world.passes("A");
    assert_eq!(world.prompt(), None);
    assert_eq!(world.replies(), [], "nobody is there to be answered");
}

#[test]
fn a_pause_lets_what_is_under_way_end_and_starts_nothing() {
    let tasks = [task("A").retries(3), task("B"), task("C").after(&["A"])];
    let mut world = World::auto(tasks);
    world.builds("B");
    world.pause();
    assert!(!is_paused(&world));
    assert_eq!(world.document().status, "in_progress");
    world.breaks("A", failure("no"));
    assert_eq!(world.waits_for(), ["validate B"], "A is not tried again now");
    world.passes("B");
    assert!(is_paused(&world) && world.run.is_at_rest());
    let document = world.document();
    assert_eq!(document.status, "paused");
    assert_eq!(document.phase, "phase-1");
    world.resume();
    assert_eq!(world.waits_for(), ["build A", "integrate B"]);
    world.goes_well();
    assert_eq!(world.run.state().control, Control::Finished(RunOutcome::Completed));
}

#[test]
fn a_pause_finishes_an_integration() {
    let mut world = World::auto([task("A"), task("B").after(&["A"])]);
    world.builds("A");
    world.passes("A");
    world.pause();
    assert!(!is_paused(&world));
    world.applies("A");
    assert!(is_paused(&world));
    assert_eq!(world.state_of("A"), TaskState::Succeeded);
    assert!(!world.has_started("build B"));
}

#[test]
fn the_first_cause_of_a_pause_is_kept() {
    let mut world = World::auto([task("A")]);
    let reason = "no space left".to_owned();
    let cause = PauseCause::Resource;
    world.tell(Input::Pause { cause, reason });
    world.pause();
    world.builds("A");
    let expected = Control::Paused(PauseCause::Resource, "no space left".to_owned());
    assert_eq!(world.run.state().control, expected);
}

#[test]
fn a_pause_does_not_wait_for_a_person_to_answer_an_agent() {
    let mut world = World::interactive([task("A")]);
    world.asks("A", 7);
    world.pause();
    assert_eq!(world.replies(), [(7, None)]);
    assert_eq!(world.prompt(), None);
    world.asks("A", 8);
    assert_eq!(world.replies(), [(7, None), (8, None)]);
    world.builds("A");
    assert!(is_paused(&world));
}

#[test]
fn a_pause_with_a_prompt_open_rests_at_once() {
    let mut world = World::interactive([task("A")]);
    world.breaks("A", failure("no"));
    world.pause();
    assert!(is_paused(&world) && world.run.is_at_rest());
    world.resume();
    assert_eq!(world.waits_for(), ["build A"]);
    assert_eq!(world.prompt(), None);
}

#[test]
fn a_pause_between_the_checks_of_the_phase_rests_there() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.pause();
    assert!(!is_paused(&world), "the integration-checker is under way");
    world.check_passes(idumb_core::Role::IntegrationChecker);
    assert!(is_paused(&world));
    assert!(!world.has_started("check verifier"));
    world.resume();
    world.goes_well();
    assert_eq!(world.run.state().control, Control::Finished(RunOutcome::Completed));
}

#[test]
fn a_pause_after_the_last_word_is_too_late() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_passes(idumb_core::Role::IntegrationChecker);
    world.check_passes(idumb_core::Role::Verifier);
    assert_eq!(world.run.state().step, Some(WorkflowStep::UpdateState));
    world.pause();
    world.state_is_written();
    assert_eq!(world.run.state().control, Control::Finished(RunOutcome::Completed));
    assert!(world.run.is_at_rest());
}

#[test]
fn a_pause_before_the_beginning_and_after_the_end_is_nothing() {
    let mut world = World::new(plan([task("A")]), Mode::Auto, 5);
    world.pause();
    assert_eq!(world.story(), [""; 0]);
    world.begin();
    world.goes_well();
    let position = world.journal.len();
    world.pause();
    assert_eq!(world.story_from(position), [""; 0]);
}

#[test]
fn what_nobody_waits_for_does_not_end_a_run_that_rests() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_passes(idumb_core::Role::IntegrationChecker);
    world.pause();
    world.check_passes(idumb_core::Role::Verifier);
    assert!(is_paused(&world));
    assert_eq!(world.run.state().step, Some(WorkflowStep::UpdateState));
    let position = world.journal.len();
    world.tell(Input::StateWritten);
    world.begin();
    assert_eq!(world.story_from(position), [""; 0]);
}
