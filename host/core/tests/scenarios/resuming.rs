//! Going on after a crash, a pause or a failure.

use std::collections::BTreeSet;

use idumb_core::{
    Control, ErrorCode, Event, Mode, Role, RunOutcome, Subject, TaskId, TaskState, WorkflowStep,
};

use crate::answers::{failing, failure, passing, unavailable};
use crate::draft::{Draft, id, plan, task};
use crate::world::World;

const COMPLETED: Control = Control::Finished(RunOutcome::Completed);

/// The tasks whose success is journaled before `length`.
fn done(world: &World, length: usize) -> BTreeSet<TaskId> {
    let succeeded = |event: &Event| match event {
        Event::TaskSucceeded { task, .. } => Some(task.clone()),
        _ => None,
    };
    let events = world.journal[..length].iter();
    events.filter_map(|stamped| succeeded(&stamped.event)).collect()
}

/// A run with everything in it: a retry, a rejection, a conflict, an outdated verdict,
/// a pause, a failure for good and, in interactive mode, prompts.
pub(crate) fn eventful(mode: Mode) -> World {
    let tasks = [
        task("A").retries(1),
        task("B"),
        task("C"),
        task("D").after(&["A"]).retries(1),
        task("E").after(&["B"]),
        task("F").after(&["E"]),
    ];
    let mut world = World::new(plan(tasks), mode, 3);
    world.begin();
    world.breaks("A", failure("no"));
    world.builds_reading("B", &["A.txt"]);
    world.builds("C");
    world.builds("A");
    world.passes("A");
    world.passes_reading("C", &["A.txt"]);
    world.applies("A");
    world.pause();
    world.passes("B");
    world.passes("C");
    world.resume();
    world.builds("B");
    world.passes("B");
    for name in ["C", "B"] {
        if world.waits_for().contains(&format!("integrate {name}")) {
            world.applies(name);
        }
    }
    while world.state_of("B") != TaskState::Succeeded {
        world.applies("B");
    }
    if mode == Mode::Interactive {
        world.answers("continue");
    }
    world.builds("D");
    let rejected = failing(world.passing("D"), "nothing there");
    world.examines("D", Ok((rejected, idumb_core::AccessRecord::default())));
    world.breaks("E", failure("no"));
    if mode == Mode::Interactive {
        world.asks("D", 1);
        world.answers("fail");
        world.answers("red");
    }
    world.goes_well();
    assert!(matches!(world.run.state().control, Control::Finished(RunOutcome::Failed { .. })));
    world.resume();
    world.goes_well();
    assert_eq!(world.run.state().control, COMPLETED);
    world
}

#[test]
fn a_run_goes_on_from_every_prefix_of_its_journal() {
    for mode in [Mode::Auto, Mode::Interactive] {
        let whole = eventful(mode);
        for length in 0..=whole.journal.len() {
            let mut world = whole.dead_at(length);
            let before = done(&world, length);
            world.resume();
            world.goes_well();
            if world.control() == "E002" {
                // A crash decides nothing about what was parked; to resume does.
                world.resume();
                world.goes_well();
            }
            let story = world.story();
            assert_eq!(world.run.state().control, COMPLETED, "{mode} {length}: {story:#?}");
            let completed: BTreeSet<TaskId> = world.run.state().completed.iter().cloned().collect();
            assert_eq!(completed.len(), 6, "{mode} {length}: {story:#?}");
            assert_eq!(world.run.state().completed.len(), 6, "{mode} {length}: none twice");
            let again = world.journal[length..].iter().find(|stamped| {
                matches!(&stamped.event, Event::LeaseGranted { task, .. } if before.contains(task))
            });
            assert_eq!(again, None, "{mode} {length}: what was done is not run again");
            let starts = story.iter().filter(|line| *line == "run_started").count();
            assert_eq!(starts, 1, "{mode} {length}");
            let document = world.document();
            assert_eq!(document.phase, "phase-1_completed");
            assert_eq!(document.completed_tasks.len(), 6);
        }
    }
}

#[test]
fn what_was_under_way_runs_again_under_a_new_epoch() {
    let mut world = World::auto([task("A"), task("B").retries(1)]);
    world.breaks("B", failure("no"));
    let position = world.journal.len();
    world.crash();
    let expected = [
        "run_resumed",
        "attempt_interrupted A HostDied",
        "attempt_interrupted B HostDied",
        "delegated user supreme-coordinator",
        "delegated supreme-coordinator high-governance",
        "delegated high-governance executor",
        "lease_granted A #2 e2",
        "lease_granted B #3 e3",
    ];
    assert_eq!(world.story_from(position), expected);
    assert_eq!(world.task("A").failures, 0, "the host's death is not the agent's fault");
    assert_eq!(
        world.task("B").latest.as_ref().unwrap().feedback.note.as_deref(),
        Some("no"),
        "and feedback is kept"
    );
}

#[test]
fn a_candidate_survives_a_crash() {
    let mut world = World::auto([task("A")]);
    world.builds("A");
    let candidate = world.candidate("A");
    world.crash();
    assert_eq!(world.waits_for(), ["validate A"]);
    world.passes("A");
    world.crash();
    assert_eq!(world.waits_for(), ["integrate A"]);
    assert_eq!(world.candidate("A"), candidate);
    assert_eq!((world.task("A").attempt, world.task("A").epoch), (1, 5));
    world.applies("A");
    assert_eq!(world.state_of("A"), TaskState::Succeeded);
}

#[test]
fn a_failed_run_tries_again_only_what_failed() {
    let tasks = [task("A"), task("B").retries(1), task("C").after(&["B"]), task("D").after(&["A"])];
    let mut world = World::auto(tasks);
    world.succeeds("A");
    world.breaks("B", failure("no"));
    world.succeeds("D");
    world.breaks("B", failure("still no"));
    assert_eq!(world.control(), "E002");
    assert_eq!(world.run.state().completed, [id("A"), id("D")]);
    let position = world.journal.len();
    world.crash();
    assert_eq!(world.waits_for(), ["build B"]);
    assert_eq!(world.run.state().failed, []);
    world.breaks("B", failure("once more"));
    assert_eq!(world.waits_for(), ["build B"], "its retries count from anew");
    world.goes_well();
    assert_eq!(world.run.state().control, COMPLETED);
    let attempts: Vec<String> = world
        .story_from(position)
        .into_iter()
        .filter(|line| line.starts_with("lease_granted"))
        .collect();
    let expected = ["lease_granted B #3 e3", "lease_granted B #4 e4", "lease_granted C #1 e1"];
    assert_eq!(attempts, expected);
}

#[test]
fn a_failed_run_may_go_on_without_a_restart() {
    let mut world = World::auto([task("A")]);
    world.breaks("A", failure("no"));
    assert!(world.run.is_at_rest());
    world.resume();
    world.goes_well();
    assert_eq!(world.run.state().control, COMPLETED);
}

#[test]
fn a_completed_run_stays_completed() {
    let mut world = World::auto([task("A")]);
    world.goes_well();
    let position = world.journal.len();
    world.crash();
    assert_eq!(world.story_from(position), [""; 0]);
    assert_eq!(world.waits_for(), [""; 0]);
    assert_eq!(world.run.state().control, COMPLETED);
}

#[test]
fn the_checks_of_a_phase_are_done_again() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_passes(Role::IntegrationChecker);
    world.check_passes(Role::Verifier);
    world.crash();
    assert_eq!(world.run.state().step, Some(WorkflowStep::CrossPhaseValidation));
    assert_eq!(world.waits_for(), ["check integration-checker"]);
}

#[test]
fn a_phase_that_did_not_hold_is_checked_again() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_passes(Role::IntegrationChecker);
    let criteria = vec!["A.1".parse().unwrap()];
    let gone = failing(passing(&criteria), "gone");
    world.check_ends(Role::Verifier, Ok((criteria, gone)));
    let failed = |world: &World| {
        let control = &world.run.state().control;
        matches!(control, Control::Finished(RunOutcome::Failed { code: ErrorCode::E005, .. }))
    };
    assert!(failed(&world));
    world.crash();
    assert_eq!(world.waits_for(), ["check integration-checker"]);
    assert!(!world.has_started("build A"));
    world.goes_well();
    assert_eq!(world.run.state().control, COMPLETED);
}

#[test]
fn a_pause_that_a_crash_interrupted_is_over() {
    let mut world = World::auto([task("A")]);
    world.pause();
    world.crash();
    assert_eq!(world.run.state().control, Control::Active);
    world.goes_well();
    assert_eq!(world.run.state().control, COMPLETED);
}

#[test]
fn a_run_that_is_resumed_while_it_goes_hangs_on_nothing() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("A");
    world.waiting.clear();
    world.resume();
    assert_eq!(world.waits_for(), ["build B", "validate A"]);
    world.goes_well();
    assert_eq!(world.run.state().control, COMPLETED);
}

#[test]
fn a_run_that_died_while_it_integrated_is_settled_without_starting_anything() {
    let mut world = World::auto([task("A"), task("B"), task("C")]);
    for name in ["A", "B"] {
        world.builds(name);
        world.passes(name);
    }
    assert_eq!(world.waits_for(), ["build C", "integrate A"]);
    world.die();
    assert!(world.run.is_unsettled());
    world.settle();
    assert_eq!(world.waits_for(), ["integrate A"]);
    assert!(!world.run.is_at_rest());
    world.applies("A");
    assert!(world.run.is_at_rest() && !world.run.is_unsettled());
    assert_eq!(world.document().status, "paused");
    assert_eq!(world.state_of("B"), TaskState::Accepted);
    world.resume();
    assert_eq!(world.waits_for(), ["build C", "integrate B"]);
    world.goes_well();
    assert_eq!(world.run.state().control, COMPLETED);
}

#[test]
fn settling_does_not_answer_a_checkpoint() {
    let mut world = World::interactive([task("A"), task("B").after(&["A"])]);
    world.builds("A");
    world.passes("A");
    world.die();
    world.settle();
    world.applies("A");
    world.resume();
    assert_eq!(world.prompt().map(|prompt| &prompt.subject), Some(&Subject::Batch));
}

#[test]
fn a_run_that_died_with_nothing_half_applied_is_settled_to_a_rest() {
    let mut world = World::auto([task("A")]);
    world.starts("A");
    world.die();
    assert!(!world.run.is_unsettled());
    let position = world.journal.len();
    world.settle();
    let expected = [
        "run_resumed",
        "attempt_interrupted A HostDied",
        "pause_requested Error",
        "run_paused Error",
    ];
    assert_eq!(world.story_from(position), expected);
    assert_eq!(world.waits_for(), [""; 0]);
}

#[test]
fn a_run_that_rested_is_settled_to_a_rest_of_the_same_cause() {
    let mut world = World::auto([task("A")]);
    world.builds("A");
    world.passes("A");
    world.integrates("A", Err(unavailable("no space")));
    let rest = world.run.state().control.clone();
    assert_eq!(world.control(), "paused Resource");
    world.die();
    world.settle();
    world.applies("A");
    assert_eq!(world.run.state().control, rest);
}

#[test]
fn nothing_is_settled_in_a_run_that_ended_or_never_began() {
    let never = || World::new(plan([task("A")]), Mode::Auto, 5);
    let completed = || {
        let mut world = World::auto([task("A")]);
        world.goes_well();
        world
    };
    let failed = || {
        let mut world = World::auto([task("A")]);
        world.breaks("A", failure("no"));
        world
    };
    let worlds: [&dyn Fn() -> World; 3] = [&never, &completed, &failed];
    for world in worlds {
        let mut world = world();
        let (position, control) = (world.journal.len(), world.run.state().control.clone());
        world.die();
        world.settle();
        assert_eq!(world.story_from(position), [""; 0]);
        assert_eq!(world.run.state().control, control);
    }
}

#[test]
fn nothing_is_handed_down_before_the_plan_was_validated() {
    let mut world = World::new(plan([task("A")]), Mode::Auto, 5);
    world.begin_after("0-ground", false);
    let position = world.journal.len();
    world.resume_without_begin();
    assert_eq!(world.story_from(position), ["run_resumed"]);
}

#[test]
fn a_check_that_was_under_way_is_begun_again_in_its_step() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    let position = world.journal.len();
    world.crash();
    let story = world.story_from(position);
    let expected = [
        "run_resumed",
        "delegated user supreme-coordinator",
        "delegated supreme-coordinator high-governance",
        "delegated high-governance executor",
        "phase_check_started integration-checker e2",
    ];
    assert_eq!(story, expected, "the step is not entered twice");
}
