//! Which tasks run together, and in which order they reach the base.

use idumb_core::{Event, Mode, TaskState};

use crate::draft::{Draft, plan, task};
use crate::world::World;

fn batches(world: &World) -> Vec<String> {
    let story = world.story();
    let lines = story.iter().filter_map(|line| line.strip_prefix("batch_started "));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_batch_has_at_most_its_size() {
    let mut world = World::new(plan(["A", "B", "C", "D", "E"].map(task)), Mode::Auto, 2);
    world.begin();
    assert_eq!(world.waits_for(), ["build A", "build B"]);
    world.goes_well();
    assert_eq!(batches(&world), ["1 A,B", "2 C,D", "3 E"]);
}

#[test]
fn tasks_that_write_the_same_are_never_together() {
    let tasks = [
        task("A").writing(&["src/**"]),
        task("B").writing(&["src/lib.rs"]),
        task("C").writing(&["docs/a.md"]),
        task("D").writing(&["**/*.md"]),
    ];
    let mut world = World::auto(tasks);
    world.goes_well();
    assert_eq!(batches(&world), ["1 A,C", "2 B,D"]);
}

#[test]
fn a_task_waits_for_what_it_depends_on() {
    let tasks = [task("C").after(&["A", "B"]), task("B").after(&["A"]), task("A"), task("D")];
    let mut world = World::auto(tasks);
    assert_eq!(world.waits_for(), ["build A", "build D"]);
    world.succeeds("A");
    assert_eq!(world.waits_for(), ["build D"], "the batch goes to its end first");
    world.goes_well();
    assert_eq!(batches(&world), ["1 A,D", "2 B", "3 C"]);
}

#[test]
fn a_batch_of_size_zero_still_goes_on() {
    let mut world = World::new(plan(["A", "B"].map(task)), Mode::Auto, 0);
    world.begin();
    world.goes_well();
    assert_eq!(batches(&world), ["1 A", "2 B"]);
}

#[test]
fn candidates_are_integrated_one_at_a_time() {
    let mut world = World::auto(["A", "B", "C"].map(task));
    for name in ["C", "A", "B"] {
        world.builds(name);
        world.passes(name);
    }
    assert_eq!(world.waits_for(), ["integrate C"], "the first that was accepted");
    assert_eq!(world.state_of("A"), TaskState::Accepted);
    world.applies("C");
    assert_eq!(world.waits_for(), ["integrate A"]);
    world.applies("A");
    assert_eq!(world.waits_for(), ["integrate B"]);
    world.applies("B");
    let order: Vec<&str> = world
        .journal
        .iter()
        .filter_map(|stamped| match &stamped.event {
            Event::TaskSucceeded { task, .. } => Some(task.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["C", "A", "B"]);
}

#[test]
fn the_critical_path_is_the_longest_chain_and_of_several_the_first() {
    let path = |tasks: Vec<idumb_core::Task>| {
        let path = plan(tasks).critical_path();
        path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(path(vec![task("A"), task("B")]), "A");
    let tree = vec![
        task("D").after(&["C", "B"]),
        task("A"),
        task("B").after(&["A"]),
        task("C"),
        task("X"),
    ];
    assert_eq!(path(tree), "A B D");
}
