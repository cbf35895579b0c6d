//! What of a run is kept: by a snapshot, and when the plan changes.

use idumb_core::{
    Digest, Event, Mode, Plan, Run, SNAPSHOT_FORMAT, SnapshotError, Stamped, Task, TaskState,
    Unkept,
};

use crate::draft::{Draft, id, plan, task};
use crate::resuming::eventful;
use crate::world::World;

fn other_plan(tasks: impl IntoIterator<Item = Task>) -> Plan {
    Plan { digest: Digest::of(b"another plan"), ..plan(tasks) }
}

#[test]
fn a_snapshot_and_what_follows_it_is_the_run_from_every_position() {
    assert_eq!(SNAPSHOT_FORMAT, 1);
    for mode in [Mode::Auto, Mode::Interactive] {
        let world = eventful(mode);
        let (plan, config) = (world.run.plan().clone(), world.run.config().clone());
        let whole = world.folded(world.journal.len()).snapshot();
        for length in 0..=world.journal.len() {
            let snapshot = world.folded(length).snapshot();
            let tail = &world.journal[length..];
            let run = Run::recover_from(plan.clone(), config.clone(), &snapshot, tail).unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(&run.snapshot()), text(&whole), "{mode} {length}");
            assert_eq!(run.state().completed, world.run.state().completed);
        }
    }
}

#[test]
fn a_run_goes_on_from_a_snapshot_as_from_its_events() {
    for mode in [Mode::Auto, Mode::Interactive] {
        let whole = eventful(mode);
        for length in 0..=whole.journal.len() {
            let mut ends = Vec::new();
            for from_snapshot in [false, true] {
                let mut run = whole.folded(length);
                if from_snapshot {
                    let (plan, config) = (run.plan().clone(), run.config().clone());
                    let none: [&Stamped; 0] = [];
                    run = Run::recover_from(plan, config, &run.snapshot(), none).unwrap();
                }
                run.resume(whole.now);
                let events: Vec<Stamped> = std::iter::from_fn(|| run.poll_event()).collect();
                let effects: Vec<_> = std::iter::from_fn(|| run.poll_effect()).collect();
                ends.push((events, effects));
            }
            assert_eq!(ends[0], ends[1], "{mode} {length}");
        }
    }
}

#[test]
fn a_snapshot_of_another_plan_is_refused() {
    let world = World::auto([task("A")]);
    let (snapshot, config) = (world.run.snapshot(), world.run.config().clone());
    let none: [&Stamped; 0] = [];
    let error = Run::recover_from(other_plan([task("A")]), config, &snapshot, none).unwrap_err();
    let (expected, found) = (Digest::of(b"another plan"), Digest::of(b"plan"));
    assert_eq!(error, SnapshotError::OtherPlan { expected, found });
}

#[test]
fn a_snapshot_that_cannot_be_read_is_refused() {
    let mut world = World::auto([task("A"), task("B")]);
    world.starts("A");
    let whole = String::from_utf8(world.run.snapshot()).unwrap();
    let damaged = [
        String::new(),
        "garbage".to_owned(),
        whole[..whole.len() - 1].to_owned(),
        whole.replace(r#""tasks":"??""#, r#""tasks":"?""#),
        whole.replace("[[0,", "[[7,"),
        whole.replace(r#""completed":[]"#, r#""completed":[9]"#),
        whole.replace(r#""completed":[]"#, r#""completed":[2]"#),
    ];
    for text in damaged {
        assert_ne!(text, whole, "it is damaged");
        let (plan, config) = (world.run.plan().clone(), world.run.config().clone());
        let none: [&Stamped; 0] = [];
        let error = Run::recover_from(plan, config, text.as_bytes(), none).unwrap_err();
        assert!(matches!(error, SnapshotError::Unreadable(_)), "{text}");
    }
}

#[test]
fn a_task_that_needs_few_words_is_a_letter_in_a_snapshot() {
    let words = |world: &World| {
        let saved: serde_json::Value = serde_json::from_slice(&world.run.snapshot()).unwrap();
        let records = saved["records"].as_array().unwrap().len();
        (saved["tasks"].as_str().unwrap().to_owned(), records)
    };
    let mut world = World::new(plan([task("A"), task("B").after(&["A"])]), Mode::Auto, 1);
    assert_eq!(words(&world), ("r.".to_owned(), 0));
    world.begin();
    world.builds("A");
    world.passes("A");
    assert_eq!(words(&world), ("?.".to_owned(), 1));
    world.integrates("A", Ok(Vec::new()));
    assert_eq!(words(&world), ("+?".to_owned(), 1), "it left nothing behind");
}

/// A succeeded, B (after A) succeeded, C read what A wrote and succeeded, D did not begin.
fn half_done() -> World {
    let mut world = World::new(plan(first_tasks()), Mode::Auto, 1);
    world.begin();
    world.succeeds("A");
    world.succeeds("B");
    world.builds_reading("C", &["A.txt"]);
    world.passes("C");
    world.applies("C");
    world
}

fn first_tasks() -> [Task; 4] {
    [task("A"), task("B").after(&["A"]), task("C"), task("D")]
}

/// What is kept, and what is not and why, with the new plan.
fn replanned(world: &World, tasks: [Task; 4]) -> (Vec<idumb_core::TaskId>, Vec<(String, Unkept)>) {
    let Event::Replanned { plan, tasks: count, kept, changed } =
        world.run.replan(&other_plan(tasks))
    else {
        panic!("a run is replanned");
    };
    assert_eq!((plan, count), (Digest::of(b"another plan"), 4));
    (kept, changed.into_iter().map(|(task, why)| (task.to_string(), why)).collect())
}

#[test]
fn what_the_new_plan_says_alike_is_kept() {
    let (kept, changed) = replanned(&half_done(), first_tasks());
    assert_eq!((kept, changed), (vec![id("A"), id("B"), id("C")], vec![]));
}

#[test]
fn how_long_how_often_and_where_a_person_decides_does_not_matter_once_it_is_done() {
    let mut tasks = first_tasks();
    tasks[0] = task("A").timeout_ms(5).retries(7).stopping(idumb_core::CheckpointAt::Before, true);
    assert_eq!(replanned(&half_done(), tasks).1, []);
}

#[test]
fn what_is_otherwise_or_depends_on_it_or_read_what_it_wrote_is_not_kept() {
    let mut tasks = first_tasks();
    tasks[0].description = "otherwise".to_owned();
    let (kept, changed) = replanned(&half_done(), tasks);
    assert_eq!(kept, []);
    let (task, path) = (id("A"), "A.txt".to_owned());
    let expected = [
        ("A".to_owned(), Unkept::Definition),
        ("B".to_owned(), Unkept::Dependency { task: task.clone() }),
        ("C".to_owned(), Unkept::Input { path, task }),
    ];
    assert_eq!(changed, expected);
}

#[test]
fn a_task_that_the_new_plan_does_not_have_is_not_kept() {
    let [a, b, _, d] = first_tasks();
    let (kept, changed) = replanned(&half_done(), [a, b, d, task("E")]);
    assert_eq!(kept, [id("A"), id("B")]);
    assert_eq!(changed, [("C".to_owned(), Unkept::Definition)]);
}

/// Goes on with another plan.
fn goes_on_with(world: &mut World, tasks: [Task; 4]) {
    world.stop();
    world.breaks("D", crate::answers::failure("stopped"));
    let new = other_plan(tasks);
    let event = world.run.replan(&new);
    let (at, up) = (world.now.at, world.now.up);
    world.journal.push(Stamped { at, up, event });
    let config = world.run.config().clone();
    world.run = Run::recover(new, config, &world.journal);
}

#[test]
fn a_replanned_run_does_again_only_what_is_not_kept() {
    let mut world = half_done();
    let mut tasks = first_tasks();
    tasks[1].description = "otherwise".to_owned();
    goes_on_with(&mut world, tasks);
    assert_eq!(world.run.state().completed, [id("A"), id("C")]);
    assert_eq!(world.state_of("B"), TaskState::Ready);
    world.resume();
    assert_eq!(world.waits_for(), ["build B"]);
    assert_eq!((world.task("B").attempt, world.task("B").epoch), (2, 3), "none is used twice");
    world.goes_well();
    assert_eq!(world.control(), "completed");
    assert_eq!(world.run.state().completed, [id("A"), id("C"), id("B"), id("D")]);
}

#[test]
fn a_replanned_task_that_waits_again_keeps_its_numbers_through_a_snapshot() {
    let mut world = half_done();
    let mut tasks = first_tasks();
    tasks[0].description = "otherwise".to_owned();
    goes_on_with(&mut world, tasks);
    let (plan, config) = (world.run.plan().clone(), world.run.config().clone());
    let none: [&Stamped; 0] = [];
    world.run = Run::recover_from(plan, config, &world.run.snapshot(), none).unwrap();
    let b = world.task("B");
    assert_eq!((&b.state, b.attempt, b.epoch), (&TaskState::Blocked, 1, 2));
}
