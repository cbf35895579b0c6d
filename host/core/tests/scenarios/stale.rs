//! Late, doubled and mistaken answers: recorded, and nothing else.

use idumb_core::{AccessRecord, Input, TaskRecord, TaskState};

use crate::answers::{candidate, failure, sealed};
use crate::draft::{id, task};
use crate::world::World;

/// All of the state but the time that passed.
fn substance(world: &World) -> impl PartialEq + std::fmt::Debug + use<> {
    let state = world.run.state();
    let tasks: Vec<TaskRecord> = state.tasks().map(|(_, record)| record.clone()).collect();
    let lists = (state.completed.clone(), state.integrations.clone(), state.prompts.clone());
    (tasks, lists, state.control.clone(), state.step, state.phase_epoch)
}

/// Gives the run an answer that must come to one recorded event and nothing else.
#[track_caller]
fn is_harmless(world: &mut World, answer: Input) {
    let (position, started) = (world.journal.len(), world.started.len());
    let before = substance(world);
    world.tell_at_once(answer);
    let story = world.story_from(position);
    assert!(matches!(story.as_slice(), [line] if line.starts_with("stale_answer ")), "{story:?}");
    assert_eq!(substance(world), before, "it changed something");
    assert_eq!(world.started.len(), started, "it set something off");
}

fn built(name: &str, epoch: u32) -> Input {
    Input::Built { task: id(name), epoch, result: Ok(Box::new(sealed(name, epoch, &[]))) }
}

fn validated(world: &World, name: &str, epoch: u32, of_epoch: u32) -> Input {
    Input::Validated {
        task: id(name),
        epoch,
        change_set: candidate(name, of_epoch),
        result: Ok((world.passing(name), AccessRecord::default())),
    }
}

fn integrated(name: &str, epoch: u32) -> Input {
    Input::Integrated { task: id(name), epoch, result: Ok(Vec::new()) }
}

#[test]
fn an_answer_of_an_old_epoch() {
    let mut world = World::auto([task("A"), task("B")]);
    world.crash();
    assert_eq!(world.task("A").epoch, 2);
    is_harmless(&mut world, built("A", 1));
    world.builds("A");
    assert_eq!(world.candidate("A"), Some(candidate("A", 2)));
}

#[test]
fn an_answer_of_an_epoch_that_is_not_yet() {
    let mut world = World::auto([task("A")]);
    is_harmless(&mut world, built("A", 2));
}

#[test]
fn a_failure_of_an_old_epoch_counts_for_nothing() {
    let mut world = World::auto([task("A")]);
    world.crash();
    let broken = idumb_core::BrokenAttempt {
        trouble: failure("too late"),
        record: AccessRecord::default(),
        log: Vec::new(),
    };
    let answer = Input::Built { task: id("A"), epoch: 1, result: Err(Box::new(broken)) };
    is_harmless(&mut world, answer);
    assert_eq!(world.task("A").failures, 0);
}

#[test]
fn the_same_answer_twice() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("A");
    is_harmless(&mut world, built("A", 1));
    world.passes("A");
    let again = validated(&world, "A", 2, 1);
    is_harmless(&mut world, again);
    world.applies("A");
    is_harmless(&mut world, integrated("A", 2));
    assert_eq!(world.run.state().completed, [id("A")]);
    assert_eq!(world.run.state().integrations.len(), 1);
}

#[test]
fn a_verdict_about_another_candidate() {
    let mut world = World::auto([task("A")]);
    world.builds("A");
    let other = validated(&world, "A", 2, 7);
    is_harmless(&mut world, other);
    assert_eq!(world.state_of("A"), TaskState::Validating);
    world.passes("A");
    assert_eq!(world.state_of("A"), TaskState::Integrating);
}

#[test]
fn a_verdict_before_there_is_a_candidate() {
    let mut world = World::auto([task("A")]);
    let early = validated(&world, "A", 1, 1);
    is_harmless(&mut world, early);
}

#[test]
fn an_outdated_verdict_that_comes_a_second_time() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("A");
    world.builds("B");
    world.passes("A");
    world.applies("A");
    let epoch = world.task("B").epoch;
    world.passes_reading("B", &["A.txt"]);
    assert_eq!(world.waits_for(), ["validate B"]);
    let again = validated(&world, "B", epoch, 1);
    is_harmless(&mut world, again);
    assert_eq!(world.waits_for(), ["validate B"], "the new verdict is still awaited");
}

#[test]
fn a_validation_and_an_integration_from_before_a_crash() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("A");
    world.builds("B");
    world.passes("B");
    assert_eq!(world.waits_for(), ["validate A", "integrate B"]);
    world.crash();
    assert_eq!(world.waits_for(), ["validate A", "integrate B"]);
    let verdict = validated(&world, "A", 2, 1);
    is_harmless(&mut world, verdict);
    is_harmless(&mut world, integrated("B", 2));
    world.passes("A");
    world.applies("B");
    assert_eq!(world.run.state().completed, [id("B")]);
}

#[test]
fn an_answer_about_no_task_of_the_plan() {
    let mut world = World::auto([task("A")]);
    is_harmless(&mut world, built("X", 1));
    is_harmless(&mut world, integrated("X", 0));
}

#[test]
fn an_answer_after_the_end() {
    let mut world = World::auto([task("A")]);
    world.goes_well();
    is_harmless(&mut world, built("A", 1));
    is_harmless(&mut world, integrated("A", 1));
    assert!(world.run.is_at_rest());
}

#[test]
fn a_phase_wide_answer_that_nobody_waits_for() {
    let mut world = World::auto([task("A")]);
    let position = world.journal.len();
    for role in [idumb_core::Role::IntegrationChecker, idumb_core::Role::Verifier] {
        let result = Ok((Vec::new(), idumb_core::Examination::default()));
        world.tell(Input::PhaseChecked { role, epoch: 0, result });
    }
    world.tell(Input::StateWritten);
    assert_eq!(world.story_from(position), [""; 0]);
}

#[test]
fn an_answer_to_what_an_earlier_life_asked_for() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("B");
    world.passes("B");
    world.die();
    is_harmless(&mut world, built("A", 1));
    is_harmless(&mut world, integrated("B", 2));
}

#[test]
fn a_second_answer_of_an_integration_that_came_to_rest_half_way() {
    let mut world = World::auto([task("A")]);
    world.builds("A");
    world.passes("A");
    world.integrates("A", Err(crate::answers::error("the disk is gone")));
    is_harmless(&mut world, integrated("A", 2));
}
