//! Deadlines: whose clock runs when, and what follows when time is up.

use idumb_core::{Backoff, Input, Mode, Role, RunConfig, Task, TaskState, Timeouts, Trouble};

use crate::answers::{failure, sealed};
use crate::draft::{Draft, id, task};
use crate::world::World;

/// Ten seconds for an attempt, twenty for a check, two for what was told to stop.
fn brief(config: &mut RunConfig) {
    config.timeouts = Timeouts {
        attempt_ms: 10_000,
        validation_ms: 20_000,
        phase_ms: None,
        grace_ms: 5_000,
        stop_ms: 2_000,
    };
}

fn timed(mode: Mode, tasks: impl IntoIterator<Item = Task>) -> World {
    World::with(mode, tasks, brief)
}

fn phase_of(ms: u64) -> impl FnOnce(&mut RunConfig) {
    move |config| config.timeouts.phase_ms = Some(ms)
}

fn built(name: &str, epoch: u32) -> Input {
    Input::Built { task: id(name), epoch, result: Ok(Box::new(sealed(name, epoch, &[]))) }
}

#[test]
fn a_task_is_leased_until_its_builder_begins() {
    let mut world = World::auto([task("A")]);
    assert_eq!(world.state_of("A"), TaskState::Leased);
    let position = world.journal.len();
    world.starts("A");
    assert_eq!(world.state_of("A"), TaskState::Running);
    assert_eq!(world.story_from(position), ["attempt_started A"]);
    let (task, epoch) = (id("A"), 1);
    world.tell(Input::Started { task, epoch });
    assert_eq!(world.story_from(position)[1..], ["stale_answer A e1"], "it begins once");
}

#[test]
fn a_builder_may_end_without_having_begun() {
    let mut world = World::auto([task("A")]);
    world.tell(built("A", 1));
    assert_eq!(world.waits_for(), ["build A", "validate A"][1..]);
}

#[test]
fn time_before_the_builder_begins_does_not_count() {
    let mut world = timed(Mode::Auto, [task("A")]);
    assert_eq!(world.run.poll_timeout(), None, "nothing has a deadline yet");
    world.waits(3_600_000);
    world.starts("A");
    assert_eq!(world.run.poll_timeout(), Some(world.now.up + 10_000));
    world.waits(9_999);
    assert_eq!(world.stops(), [""; 0]);
    world.waits(1);
    assert_eq!(world.stops(), ["A e1"]);
}

#[test]
fn a_tasks_own_timeout_goes_before_the_runs() {
    let mut world = timed(Mode::Auto, [task("A").timeout_ms(3_000), task("B")]);
    world.starts("A");
    world.starts("B");
    world.waits(3_000);
    assert_eq!(world.stops(), ["A e1"]);
    world.waits(7_000);
    assert_eq!(world.stops(), ["A e1", "B e1"]);
}

#[test]
fn an_attempt_that_outlives_its_time_is_stopped_and_its_answer_ends_it_as_a_timeout() {
    for ends in [
        |world: &mut World| world.breaks("A", failure("stopped")),
        |world: &mut World| world.builds("A"),
    ] {
        let mut world = timed(Mode::Auto, [task("A").retries(1)]);
        world.starts("A");
        world.waits(10_000);
        assert_eq!(world.state_of("A"), TaskState::Running, "its worker has not answered yet");
        ends(&mut world);
        let timeout = Trouble::Timeout { after_ms: 10_000, of: Role::Builder };
        assert_eq!(world.task("A").trouble(), Some(&timeout));
        assert_eq!(world.task("A").failures, 1);
        assert_eq!(world.waits_for(), ["build A"]);
    }
}

#[test]
fn a_worker_that_does_not_stop_is_given_up_and_its_late_answer_is_stale() {
    let mut world = timed(Mode::Auto, [task("A")]);
    world.starts("A");
    world.waits(10_000);
    assert_eq!(world.run.poll_timeout(), Some(world.now.up + 2_000));
    world.waits(1_999);
    assert_eq!(world.state_of("A"), TaskState::Running);
    world.waits(1);
    assert_eq!(world.control(), "E004");
    let position = world.journal.len();
    world.tell(built("A", 1));
    assert_eq!(world.story_from(position), ["stale_answer A e1"]);
    assert_eq!(world.candidate("A"), None);
}

#[test]
fn a_late_answer_does_not_land_in_the_attempt_after() {
    let mut world = timed(Mode::Auto, [task("A").retries(1)]);
    world.starts("A");
    world.waits(12_000);
    assert_eq!((world.task("A").attempt, world.task("A").epoch), (2, 2));
    let position = world.journal.len();
    world.tell(built("A", 1));
    assert_eq!(world.story_from(position), ["stale_answer A e1"]);
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn a_validation_has_a_time_of_its_own() {
    let mut world = timed(Mode::Auto, [task("A")]);
    world.builds("A");
    world.waits(19_999);
    assert_eq!(world.stops(), [""; 0]);
    world.waits(1);
    assert_eq!(world.stops(), ["A e2"]);
    world.passes("A");
    let timeout = Trouble::Timeout { after_ms: 20_000, of: Role::Validator };
    assert_eq!(world.task("A").trouble(), Some(&timeout), "a verdict after the time is none");
    assert_eq!(world.control(), "E004");
}

#[test]
fn a_check_of_the_phase_that_outlives_its_time_fails_the_run() {
    for answers in [true, false] {
        let mut world = timed(Mode::Auto, [task("A")]);
        world.succeeds("A");
        world.waits(20_000);
        assert_eq!(world.stops(), ["integration-checker e1"]);
        assert_eq!(world.control(), "active");
        if answers {
            world.check_passes(Role::IntegrationChecker);
        } else {
            world.waits(2_000);
        }
        assert_eq!(world.control(), "E004");
    }
}

#[test]
fn an_integration_has_no_deadline() {
    let mut world = timed(Mode::Auto, [task("A")]);
    world.builds("A");
    world.passes("A");
    assert_eq!(world.run.poll_timeout(), None);
    world.waits(3_600_000);
    world.applies("A");
    assert_eq!(world.state_of("A"), TaskState::Succeeded);
}

#[test]
fn an_attempts_clock_stands_while_its_agent_waits_for_a_person() {
    let mut world = timed(Mode::Interactive, [task("A")]);
    world.starts("A");
    world.waits(3_000);
    world.asks("A", 7); // a second later
    assert_eq!(world.run.poll_timeout(), None);
    world.waits(3_600_000);
    assert_eq!(world.stops(), [""; 0]);
    world.answers("red");
    assert_eq!(world.run.poll_timeout(), Some(world.now.up + 6_000), "four of ten are spent");
    world.waits(6_000);
    assert_eq!(world.stops(), ["A e1"]);
}

#[test]
fn an_attempts_clock_stands_until_its_agent_has_every_answer() {
    let mut world = timed(Mode::Interactive, [task("A")]);
    world.starts("A");
    world.asks("A", 7);
    world.asks("A", 8);
    world.answers("red");
    assert_eq!(world.run.poll_timeout(), None, "it still waits for the other");
    world.answers("blue");
    assert_eq!(world.run.poll_timeout(), Some(world.now.up + 9_000), "one of ten is spent");
}

#[test]
fn a_failed_attempt_is_followed_by_another_after_a_delay_that_doubles() {
    let mut world = World::with(Mode::Auto, [task("A").retries(3)], |config| {
        config.backoff = Backoff { initial_ms: 8_000, cap_ms: 600_000 };
    });
    for whole in [8_000, 16_000, 32_000] {
        let position = world.journal.len();
        world.breaks("A", failure("no"));
        let TaskState::BackOff { delay_ms } = world.state_of("A") else {
            panic!("{:?}", world.state_of("A"));
        };
        assert!((whole * 3 / 4..=whole).contains(&delay_ms), "{delay_ms} of {whole}");
        assert_eq!(world.run.poll_timeout(), Some(world.now.up + delay_ms));
        assert_eq!(world.waits_for(), [""; 0]);
        world.waits(delay_ms - 1);
        assert_eq!(world.waits_for(), [""; 0], "not before it is over");
        world.waits(1);
        assert_eq!(world.waits_for(), ["build A"]);
        let story = world.story_from(position);
        assert!(story.contains(&"back_off_ended A".to_owned()), "{story:?}");
    }
}

#[test]
fn others_go_on_during_a_delay() {
    let mut world = World::with(Mode::Auto, ["A", "B"].map(|n| task(n).retries(1)), |config| {
        config.backoff = Backoff { initial_ms: 600_000, cap_ms: 600_000 };
        config.batch_size = 1;
    });
    world.breaks("A", failure("no"));
    assert_eq!(world.waits_for(), ["build B"]);
    world.succeeds("B");
    assert_eq!(world.control(), "active", "the run waits for A");
    world.waits(600_000);
    assert_eq!(world.waits_for(), ["build A"]);
}

#[test]
fn going_on_after_a_rest_or_a_death_skips_the_delay() {
    for stops in [World::die, |world: &mut World| world.stop()] {
        let mut world = World::with(Mode::Auto, [task("A").retries(1)], |config| {
            config.backoff = Backoff { initial_ms: 600_000, cap_ms: 600_000 };
        });
        world.breaks("A", failure("no"));
        stops(&mut world);
        let position = world.journal.len();
        world.resume();
        assert_eq!(world.story_from(position)[..2], ["run_resumed", "back_off_ended A"]);
        assert_eq!(world.waits_for(), ["build A"]);
        assert_eq!(world.run.poll_timeout(), None, "and it is over");
    }
}

#[test]
fn no_delay_ends_while_the_run_is_to_rest() {
    let mut world = World::with(Mode::Auto, [task("A").retries(1), task("B")], |config| {
        brief(config);
        config.backoff = Backoff { initial_ms: 4_000, cap_ms: 4_000 };
    });
    world.breaks("A", failure("no"));
    world.pause();
    world.waits(4_000);
    world.builds("B");
    assert!(matches!(world.state_of("A"), TaskState::BackOff { .. }));
    assert_eq!(world.control(), "paused User");
    assert_eq!(world.run.poll_timeout(), None, "a run that rests is not woken");
}

#[test]
fn a_phase_that_takes_too_long_rests_and_to_resume_sets_its_time_anew() {
    let mut world = World::with(Mode::Auto, [task("A")], phase_of(10_000));
    assert_eq!(world.run.poll_timeout(), Some(world.now.up + 10_000));
    world.starts("A");
    world.waits(10_000);
    assert_eq!(world.control(), "pausing Timeout");
    world.builds("A");
    assert_eq!(world.control(), "paused Timeout");
    world.resume();
    assert_eq!(world.control(), "active");
    assert_eq!(world.run.state().budget_ms, 0);
    assert_eq!(world.run.poll_timeout(), Some(world.now.up + 9_000), "its begin took a second");
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn the_phases_clock_stands_while_only_a_person_is_waited_for() {
    let waits: [fn() -> World; 3] = [
        || {
            let mut world =
                World::with(Mode::Interactive, [task("A")], |config| phase_of(10_000)(config));
            world.asks("A", 7);
            world
        },
        || {
            let mut world = World::with(Mode::Interactive, [task("A").judged()], phase_of(10_000));
            world.builds("A");
            world.passes_checks("A");
            world
        },
        || {
            let mut world = World::with(Mode::Interactive, [task("A")], phase_of(10_000));
            world.breaks("A", failure("no"));
            world
        },
    ];
    for wait in waits {
        let mut world = wait();
        assert!(world.prompt().is_some());
        let active = world.run.state().active_ms;
        assert_eq!(world.run.poll_timeout(), None);
        world.waits(3_600_000);
        assert_eq!(world.control(), "active");
        let choice = world.prompt().unwrap().options[0].0.clone();
        world.answers(&choice);
        assert_eq!(world.run.state().active_ms, active, "the hour does not count");
        assert!(world.run.poll_timeout().is_some(), "and now it runs again");
    }
}

#[test]
fn the_phases_clock_stands_while_the_run_rests() {
    let mut world = World::with(Mode::Auto, [task("A")], phase_of(10_000));
    world.stop();
    world.breaks("A", failure("stopped"));
    assert_eq!(world.control(), "paused User");
    let active = world.run.state().active_ms;
    world.waits(3_600_000);
    world.resume();
    assert!(world.run.state().active_ms <= active + 1_000);
}
