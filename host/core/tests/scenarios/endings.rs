//! How a run comes to rest or is given up: pause, stop, cancel, and a host that dies.

use idumb_core::{Input, Mode, Parking, Role, TaskState};

use crate::answers::{error, failure};
use crate::draft::{Draft, task};
use crate::world::World;

#[test]
fn a_pause_lets_what_is_under_way_end_within_the_grace_and_then_stops_it() {
    let mut world = World::auto([task("A"), task("B"), task("C")]);
    world.starts("A");
    world.builds("B");
    world.pause();
    assert_eq!(world.run.poll_timeout(), Some(world.now.up + 30_000));
    world.waits(29_999);
    assert_eq!(world.stops(), [""; 0]);
    world.waits(1);
    assert_eq!(world.stops(), ["A e1", "B e2", "C e1"]);
    let position = world.journal.len();
    world.breaks("A", failure("stopped"));
    world.examines("B", Err(failure("stopped")));
    assert_eq!(world.control(), "pausing User");
    world.waits(5_000);
    let expected = [
        "attempt_interrupted A Pause",
        "validation_interrupted B",
        "attempt_interrupted C Pause",
        "run_paused User",
    ];
    assert_eq!(world.story_from(position)[..3], expected[..3]);
    assert_eq!(world.control(), "paused User");
    for name in ["A", "B", "C"] {
        assert_eq!((world.task(name).failures, world.task(name).deaths), (0, 0), "{name}");
    }
    world.resume();
    assert_eq!(world.waits_for(), ["build A", "build C", "validate B"]);
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn what_ends_well_although_it_was_stopped_is_kept() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("B");
    world.stop();
    world.builds("A");
    world.passes("B");
    assert_eq!(world.control(), "paused User");
    assert_eq!(world.state_of("A"), TaskState::Sealed);
    assert_eq!(world.state_of("B"), TaskState::Accepted);
}

#[test]
fn a_stop_does_not_wait_for_the_grace() {
    for pauses_before in [false, true] {
        let mut world = World::auto([task("A")]);
        world.starts("A");
        if pauses_before {
            world.pause();
        }
        world.stop();
        assert_eq!(world.stops(), ["A e1"]);
        world.breaks("A", failure("stopped"));
        assert_eq!(world.control(), "paused User");
        assert_eq!(world.task("A").failures, 0);
        assert_eq!(world.state_of("A"), TaskState::Ready);
    }
}

#[test]
fn a_stopped_check_of_the_phase_is_done_again_and_fails_nothing() {
    for trouble in [error("stopped"), failure("stopped")] {
        let mut world = World::auto([task("A")]);
        world.succeeds("A");
        world.stop();
        assert_eq!(world.stops(), ["integration-checker e1"]);
        world.check_ends(Role::IntegrationChecker, Err(trouble));
        assert_eq!(world.control(), "paused User");
        world.resume();
        assert_eq!(world.waits_for(), ["check integration-checker"]);
        world.goes_well();
        assert_eq!(world.control(), "completed");
    }
}

#[test]
fn a_check_says_nothing_about_a_run_that_was_given_up() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    let position = world.journal.len();
    world.cancel();
    world.check_passes(Role::IntegrationChecker);
    assert_eq!(world.story_from(position), ["cancel_requested", "run_finished cancelled"]);
}

#[test]
fn a_run_given_up_after_the_time_of_a_check_was_up_is_cancelled() {
    let mut world = World::with(Mode::Auto, [task("A")], |config| {
        config.timeouts.validation_ms = 20_000;
    });
    world.succeeds("A");
    world.waits(20_000);
    assert_eq!(world.stops(), ["integration-checker e1"]);
    world.cancel();
    world.check_ends(Role::IntegrationChecker, Err(failure("stopped")));
    assert_eq!(world.control(), "cancelled");
}

#[test]
fn an_answer_of_an_earlier_check_is_ignored() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.crash();
    assert_eq!(world.run.state().phase_epoch, 2);
    let position = world.journal.len();
    let role = Role::IntegrationChecker;
    for epoch in [0, 1, 3] {
        world.tell(Input::PhaseChecked { role, epoch, result: Ok(Default::default()) });
    }
    assert_eq!(world.story_from(position), [""; 0]);
    assert_eq!(world.waits_for(), ["check integration-checker"]);
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn a_cancelled_run_stops_what_is_under_way_and_cannot_go_on() {
    let tasks = [task("A"), task("B"), task("C").after(&["B"]), task("D")];
    let mut world = World::auto(tasks);
    world.succeeds("D");
    world.starts("A");
    let position = world.journal.len();
    world.cancel();
    assert_eq!(world.stops(), ["A e1", "B e1"]);
    assert_eq!(world.control(), "cancelling");
    world.breaks("A", failure("stopped"));
    world.waits(5_000);
    let expected = [
        "cancel_requested",
        "attempt_interrupted A Cancel",
        "attempt_interrupted B Cancel",
        "run_finished cancelled",
    ];
    let story: Vec<String> = world.story_from(position);
    assert_eq!(story, expected);
    for name in ["A", "B", "C"] {
        assert_eq!(world.state_of(name), TaskState::Cancelled, "{name}");
        assert_eq!(world.task(name).failures, 0);
    }
    assert_eq!(world.state_of("D"), TaskState::Succeeded);
    assert_eq!(world.document().status, "cancelled");
    assert!(world.run.is_over() && !world.run.can_go_on());
    let position = world.journal.len();
    world.crash();
    world.settle();
    assert_eq!(world.story_from(position), [""; 0]);
}

#[test]
fn an_integration_under_way_is_finished_before_a_run_is_cancelled() {
    let mut world = World::auto([task("A"), task("B")]);
    for name in ["A", "B"] {
        world.builds(name);
        world.passes(name);
    }
    world.cancel();
    assert_eq!(world.stops(), [""; 0]);
    assert_eq!(world.control(), "cancelling");
    world.applies("A");
    assert_eq!(world.control(), "cancelled");
    assert_eq!(world.state_of("A"), TaskState::Succeeded);
    assert_eq!(world.state_of("B"), TaskState::Cancelled);
    assert!(!world.has_started("integrate B"));
}

#[test]
fn a_cancelled_run_asks_nothing_any_more() {
    let mut world = World::interactive([task("A"), task("B")]);
    world.breaks("A", failure("no"));
    world.asks("B", 7);
    let position = world.journal.len();
    world.cancel();
    let expected = ["cancel_requested", "prompt_withdrawn 2", "prompt_withdrawn 1"];
    assert_eq!(world.story_from(position), expected);
    assert_eq!(world.replies(), [(7, None)]);
    assert_eq!(world.prompt(), None);
}

#[test]
fn a_run_at_rest_may_be_cancelled() {
    let rests: [fn(&mut World); 2] = [
        |world| {
            world.stop();
            world.breaks("A", failure("stopped"));
        },
        |world| world.breaks("A", failure("no")),
    ];
    for rest in rests {
        let mut world = World::auto([task("A")]);
        rest(&mut world);
        assert!(world.run.is_at_rest());
        world.die();
        world.cancel();
        assert_eq!(world.control(), "cancelled");
    }
}

#[test]
fn what_was_half_applied_is_completed_before_a_run_at_rest_is_cancelled() {
    let mut world = World::auto([task("A")]);
    world.builds("A");
    world.passes("A");
    world.integrates("A", Err(error("the disk is gone")));
    assert_eq!(world.control(), "paused Error");
    world.die();
    world.cancel();
    assert_eq!(world.waits_for(), ["integrate A"]);
    world.applies("A");
    assert_eq!(world.control(), "cancelled");
    assert_eq!(world.state_of("A"), TaskState::Succeeded);
}

#[test]
fn a_cancellation_outlives_the_host() {
    for goes_on in [World::resume, World::settle] {
        let mut world = World::auto([task("A"), task("B")]);
        world.builds("A");
        world.passes("A");
        world.cancel();
        world.die();
        goes_on(&mut world);
        assert_eq!(world.waits_for(), ["integrate A"]);
        world.applies("A");
        assert_eq!(world.control(), "cancelled");
        assert_eq!(world.state_of("B"), TaskState::Cancelled);
    }
}

#[test]
fn a_completed_run_cannot_be_cancelled() {
    let mut world = World::auto([task("A")]);
    world.goes_well();
    let position = world.journal.len();
    world.cancel();
    assert_eq!(world.story_from(position), [""; 0]);
    let mut world = World::new(crate::draft::plan([task("A")]), Mode::Auto, 5);
    world.cancel();
    assert_eq!(world.story(), [""; 0], "nor one that did not begin");
}

#[test]
fn a_cancellation_once_completion_is_being_recorded_is_too_late() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_passes(Role::IntegrationChecker);
    world.check_passes(Role::Verifier);
    world.cancel();
    world.state_is_written();
    assert_eq!(world.control(), "completed");
}

/// The host dies `times` times while A runs.
fn deadly(mode: Mode, times: u32) -> World {
    let mut world = World::with(mode, [task("A"), task("B")], |config| config.max_deaths = 2);
    world.succeeds("B");
    for _ in 0..times {
        world.starts("A");
        world.crash();
    }
    world
}

#[test]
fn a_task_while_which_the_host_keeps_dying_is_parked() {
    let world = deadly(Mode::Auto, 1);
    assert_eq!(world.task("A").deaths, 1);
    assert_eq!(world.waits_for(), ["build A"], "once may be chance");
    let mut world = deadly(Mode::Auto, 2);
    assert!(world.story().contains(&"task_parked A deadly 2".to_owned()));
    assert_eq!(world.state_of("A"), TaskState::Parked(Parking::HostDied { times: 2 }));
    assert_eq!(world.control(), "E002");
    assert!(format!("{:?}", world.run.state().control).contains("idumb died 2 times"));
    world.resume();
    assert_eq!(world.task("A").deaths, 0);
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn a_death_before_the_builder_began_does_not_count() {
    let mut world = World::with(Mode::Auto, [task("A")], |config| config.max_deaths = 2);
    for _ in 0..5 {
        world.crash();
    }
    assert_eq!(world.task("A").deaths, 0);
    assert_eq!(world.waits_for(), ["build A"]);
}

#[test]
fn only_deaths_in_a_row_count() {
    let mut world = World::with(Mode::Auto, [task("A").retries(9)], |config| config.max_deaths = 2);
    for _ in 0..3 {
        world.starts("A");
        world.crash();
        world.breaks("A", failure("no"));
    }
    assert_eq!(world.waits_for(), ["build A"]);
}

#[test]
fn a_person_decides_about_a_deadly_task() {
    let mut world = deadly(Mode::Interactive, 2);
    let question = "Task A cannot go on: idumb died 2 times while it ran";
    assert_eq!(world.prompt().unwrap().question, question);
    world.answers("retry");
    assert_eq!(world.waits_for(), ["build A"]);
    world.starts("A");
    world.crash();
    assert_eq!(world.waits_for(), ["build A"], "its deaths count from anew");
}

#[test]
fn a_deadly_task_is_a_trap_for_rules_whatever_it_came_to_before() {
    use idumb_core::{Blocker, Resort, Rule};
    let mut world = World::with(Mode::Auto, [task("A").retries(1)], |config| {
        config.max_deaths = 1;
        let rule = |name: &str, kind, retry, then| Rule {
            name: name.to_owned(),
            on: vec![kind],
            tasks: Vec::new(),
            retry,
            backoff_ms: None,
            then,
        };
        config.rules = vec![
            rule("failures", Blocker::Failure, 0, Resort::Skip),
            rule("traps", Blocker::Trap, 1, Resort::Fail),
        ];
    });
    world.breaks("A", failure("no"));
    world.starts("A");
    world.crash();
    assert!(world.story().contains(&"rule_applied A traps trap retry after 0".to_owned()));
    world.crash();
    assert_eq!(world.waits_for(), ["build A"], "a death before it began uses nothing up");
    world.starts("A");
    world.crash();
    assert!(world.story().contains(&"rule_applied A traps trap fail".to_owned()));
    assert_eq!(world.state_of("A"), TaskState::Failed(Blocker::Trap));
    assert!(format!("{:?}", world.run.state().control).contains("task A: idumb died 1 times"));
}
