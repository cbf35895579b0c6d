//! What follows when attempts are used up or in vain: parking, rules, a person's choice.

use idumb_core::{
    Blocker, Control, Effect, ErrorCode, Mode, Parking, Resort, Role, Rule, RunOutcome, Task,
    TaskState, Trouble,
};

use crate::answers::{error, failure, hopeless};
use crate::draft::{Draft, id, task};
use crate::world::World;

fn rule(name: &str, on: &[Blocker], then: Resort) -> Rule {
    let (name, on, tasks) = (name.to_owned(), on.to_vec(), Vec::new());
    Rule { name, on, tasks, retry: 0, backoff_ms: None, then }
}

fn ruled(tasks: impl IntoIterator<Item = Task>, rules: impl IntoIterator<Item = Rule>) -> World {
    World::with(Mode::Auto, tasks, |config| config.rules = rules.into_iter().collect())
}

/// The lines about rules, without their kind.
fn applied(world: &World) -> Vec<String> {
    let story = world.story();
    let lines = story.iter().filter_map(|line| line.strip_prefix("rule_applied "));
    lines.map(str::to_owned).collect()
}

fn reason(world: &World) -> &str {
    match &world.run.state().control {
        Control::Finished(RunOutcome::Failed { reason, .. })
        | Control::Paused(_, reason)
        | Control::PauseRequested(_, reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn timeout() -> Trouble {
    Trouble::Timeout { after_ms: 1000, of: Role::Builder }
}

#[test]
fn an_exhausted_task_is_parked_others_go_on_and_to_resume_tries_it_again() {
    let mut world = World::auto([task("A"), task("B"), task("C").after(&["A"])]);
    world.breaks("A", timeout());
    assert_eq!(world.state_of("A"), TaskState::Parked(Parking::Exhausted));
    assert_eq!(world.prompt(), None);
    world.succeeds("B");
    assert_eq!(world.control(), "E004");
    assert_eq!(world.state_of("C"), TaskState::Blocked);
    let position = world.journal.len();
    world.crash();
    assert!(world.story_from(position).contains(&"task_reopened A".to_owned()));
    assert_eq!((world.task("A").failures, world.task("A").parking), (0, None));
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn what_failed_first_gives_the_run_its_code() {
    let mut world = World::auto([task("A"), task("B")]);
    world.breaks("B", hopeless("not granted"));
    world.breaks("A", timeout());
    assert_eq!(world.control(), "E002");
    assert_eq!(reason(&world), "task B: step 1: not granted");
}

#[test]
fn what_cannot_go_better_is_given_up_in_auto_mode_without_a_rule() {
    let mut world = World::auto([task("A").retries(5)]);
    world.breaks("A", hopeless("no"));
    let story = world.story();
    let end = ["attempt_failed A E002 hopeless", "task_failed A E002", "run_finished E002"];
    assert_eq!(story[story.len() - 3..], end);
    assert_eq!(world.state_of("A"), TaskState::Failed(Blocker::Denied));
    assert_eq!(world.task("A").parking, Some(Parking::NotRetryable));
}

#[test]
fn what_cannot_go_better_is_decided_by_a_rule_and_never_retried() {
    let table = [
        (Resort::Skip, TaskState::Skipped(None), "E002"),
        (Resort::Fail, TaskState::Failed(Blocker::Denied), "E002"),
        (Resort::Pause, TaskState::Parked(Parking::NotRetryable), "paused Error"),
    ];
    for (then, state, control) in table {
        let rule = Rule { retry: 3, ..rule("r", &[Blocker::Denied], then) };
        let mut world = ruled([task("A").retries(3)], [rule]);
        world.breaks("A", hopeless("no"));
        assert_eq!(world.state_of("A"), state);
        assert_eq!(world.control(), control);
        assert_eq!(applied(&world), [format!("A r denied {then}")]);
        assert_eq!(world.task("A").attempt, 1);
    }
}

#[test]
fn a_rule_gives_further_attempts_with_its_own_delay_and_then_its_resort() {
    let rule = Rule {
        retry: 2,
        backoff_ms: Some(8_000),
        ..rule("idumb.toml rule 1", &[Blocker::Failure], Resort::Fail)
    };
    let mut world = ruled([task("A").retries(1)], [rule]);
    world.breaks("A", failure("no"));
    assert_eq!(applied(&world), [""; 0], "the plan's retries come first");
    world.breaks("A", failure("no"));
    let mut delays = Vec::new();
    for _ in 0..2 {
        let TaskState::BackOff { delay_ms } = world.state_of("A") else {
            panic!("{:?}", world.state_of("A"));
        };
        delays.push(delay_ms);
        assert_eq!(world.run.poll_timeout(), Some(world.now.up + delay_ms));
        world.waits(delay_ms);
        world.breaks("A", failure("no"));
    }
    assert!((6_000..=8_000).contains(&delays[0]), "{delays:?}");
    let expected = [
        format!("A idumb.toml rule 1 failure retry after {}", delays[0]),
        format!("A idumb.toml rule 1 failure retry after {}", delays[1]),
        "A idumb.toml rule 1 failure fail".to_owned(),
    ];
    assert_eq!(applied(&world), expected);
    assert_eq!(world.task("A").attempt, 4);
    assert_eq!(world.state_of("A"), TaskState::Failed(Blocker::Failure));
}

#[test]
fn an_attempt_that_a_rule_gives_is_told_what_went_wrong() {
    let rule = Rule { retry: 1, ..rule("r", &[Blocker::Failure], Resort::Fail) };
    let mut world = ruled([task("A")], [rule]);
    world.breaks("A", failure("no colour"));
    let Some(Effect::Build { feedback, .. }) = world.waiting.last() else {
        panic!("{:?}", world.waiting);
    };
    assert_eq!(feedback.note.as_deref(), Some("no colour"));
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = [
        rule("traps", &[Blocker::Trap], Resort::Pause),
        Rule { tasks: vec![id("B")], ..rule("of B", &[Blocker::Failure], Resort::Skip) },
        rule("first", &[Blocker::Failure, Blocker::Timeout], Resort::Fail),
        rule("second", &[Blocker::Failure], Resort::Skip),
    ];
    let mut world = ruled([task("A"), task("B"), task("C")], rules);
    world.breaks("A", failure("no"));
    world.breaks("B", failure("no"));
    world.breaks("C", timeout());
    let expected = ["A first failure fail", "B of B failure skip", "C first timeout fail"];
    assert_eq!(applied(&world), expected);
    assert_eq!(world.state_of("C"), TaskState::TimedOut(Role::Builder));
}

#[test]
fn a_rule_of_another_kind_or_task_decides_nothing() {
    let other = Rule { tasks: vec![id("B")], ..rule("b", &[Blocker::Failure], Resort::Skip) };
    let mut world =
        ruled([task("A"), task("B")], [rule("t", &[Blocker::Trap], Resort::Skip), other]);
    world.breaks("A", failure("no"));
    assert_eq!(applied(&world), [""; 0]);
    assert_eq!(world.state_of("A"), TaskState::Parked(Parking::Exhausted));
}

#[test]
fn rules_are_for_auto_mode() {
    let mut world = World::interactive([task("A")]);
    world.restart_with(|config| {
        config.rules = vec![rule("r", &Blocker::ALL, Resort::Skip)];
    });
    world.resume();
    world.breaks("A", failure("no"));
    assert!(world.prompt().is_some());
    assert_eq!(applied(&world), [""; 0]);
}

#[test]
fn a_skipped_task_takes_along_what_depends_on_it() {
    let tasks = [
        task("A"),
        task("B").after(&["A"]),
        task("C").after(&["B"]),
        task("D"),
        task("E").after(&["D"]),
    ];
    let mut world = ruled(tasks, [rule("r", &[Blocker::Failure], Resort::Skip)]);
    world.breaks("A", failure("no"));
    assert_eq!(world.state_of("A"), TaskState::Skipped(None));
    assert_eq!(world.state_of("B"), TaskState::Skipped(Some(id("A"))));
    assert_eq!(world.state_of("C"), TaskState::Skipped(Some(id("A"))));
    assert_eq!(world.control(), "active");
    world.goes_well();
    assert_eq!(world.run.state().completed, [id("D"), id("E")]);
    assert_eq!((world.control().as_str(), reason(&world)), ("E002", "task A was skipped"));
    world.resume();
    world.goes_well();
    assert_eq!(world.control(), "completed", "to resume a failed run tries what was skipped");
}

#[test]
fn a_rule_that_pauses_names_the_cause_and_to_resume_tries_again() {
    for (trouble, control) in [(failure("odd"), "pausing Error"), (timeout(), "pausing Timeout")] {
        let rules = [rule("r", &[Blocker::Failure, Blocker::Timeout], Resort::Pause)];
        let mut world = ruled([task("A"), task("B"), task("C").after(&["B"])], rules);
        world.breaks("A", trouble.clone());
        assert_eq!(world.control(), control, "B is under way");
        assert_eq!(reason(&world), format!("task A: {trouble}"));
        world.builds("B");
        world.resume();
        assert_eq!(world.waits_for(), ["build A", "validate B"]);
        world.goes_well();
        assert_eq!(world.control(), "completed");
    }
}

#[test]
fn a_rule_may_decide_about_the_hosts_own_trouble_instead_of_a_rest() {
    let rule = Rule { retry: 1, ..rule("r", &[Blocker::Error], Resort::Skip) };
    let mut world = ruled([task("A"), task("B")], [rule]);
    world.breaks("A", error("the agent's file is gone"));
    assert_eq!(world.control(), "active");
    assert_eq!(applied(&world), ["A r error retry after 0"]);
    world.breaks("A", error("still gone"));
    assert_eq!(applied(&world)[1..], ["A r error skip"]);
    world.succeeds("B");
    assert_eq!(world.control(), "E002");
}

#[test]
fn a_task_that_is_skipped_or_failed_by_a_person_ends_so() {
    let table = [
        ("skip", TaskState::Skipped(None), TaskState::Skipped(Some(id("A")))),
        ("fail", TaskState::TimedOut(Role::Builder), TaskState::Blocked),
    ];
    for (choice, state, dependent) in table {
        let mut world = World::interactive([task("A"), task("B").after(&["A"]), task("C")]);
        world.breaks("A", timeout());
        world.answers(choice);
        assert_eq!(world.state_of("A"), state);
        assert_eq!(world.state_of("B"), dependent);
        world.succeeds("C");
        assert_eq!(world.control(), "E004");
    }
}

#[test]
fn a_note_reaches_the_attempt_that_a_person_asks_for() {
    let mut world = World::interactive([task("A")]);
    world.breaks("A", failure("no"));
    world.answers_with("retry", Some("use the other file"));
    let Some(Effect::Build { feedback, .. }) = world.waiting.last() else {
        panic!("{:?}", world.waiting);
    };
    assert_eq!(feedback.note.as_deref(), Some("use the other file"));
}

#[test]
fn a_run_with_nothing_left_but_what_was_parked_fails_with_that_code() {
    let mut world = World::auto([task("A"), task("B")]);
    world.breaks("B", failure("no"));
    world.breaks("A", timeout());
    let control = &world.run.state().control;
    let expected = "task A: no result within 1s".to_owned();
    let (code, reason) = (ErrorCode::E004, expected);
    assert_eq!(control, &Control::Finished(RunOutcome::Failed { code, reason }), "in plan order");
}
