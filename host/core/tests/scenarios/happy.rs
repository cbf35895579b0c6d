//! When all goes well.

use idumb_core::{
    Control, Effect, Event, Mode, Moment, Role, RunOutcome, StateDocument, WorkflowStep,
};

use crate::draft::{Draft, plan, task};
use crate::world::World;

#[test]
fn a_run_tells_what_happens_in_order() {
    let mut world = World::auto([task("A"), task("B").after(&["A"])]);
    world.goes_well();
    let expected = [
        "run_started",
        "step_entered ValidatePlan",
        "plan_validated",
        "delegated user supreme-coordinator",
        "delegated supreme-coordinator high-governance",
        "delegated high-governance executor",
        "step_entered LoadExecutionState",
        "step_entered PrepareBatches",
        "step_entered ExecutionLoop",
        "batch_started 1 A",
        "lease_granted A #1 e1",
        "attempt_started A",
        "attempt_sealed A",
        "validation_started A",
        "candidate_judged A",
        "integration_started A",
        "task_succeeded A",
        "batch_started 2 B",
        "lease_granted B #1 e1",
        "attempt_started B",
        "attempt_sealed B",
        "validation_started B",
        "candidate_judged B",
        "integration_started B",
        "task_succeeded B",
        "step_entered CrossPhaseValidation",
        "phase_check_started integration-checker e1",
        "integration_judged",
        "step_entered FinalValidation",
        "phase_check_started verifier e2",
        "phase_judged",
        "step_entered UpdateState",
        "step_entered Report",
        "run_finished completed",
    ];
    assert_eq!(world.story(), expected);
    let outcome = Control::Finished(RunOutcome::Completed);
    assert_eq!(world.run.state().control, outcome);
    assert!(world.run.is_at_rest());
}

#[test]
fn all_eight_steps_are_visited_in_order() {
    let mut world = World::auto([task("A")]);
    world.goes_well();
    let steps: Vec<WorkflowStep> = world
        .journal
        .iter()
        .filter_map(|stamped| match stamped.event {
            Event::StepEntered { step } => Some(step),
            _ => None,
        })
        .collect();
    let expected = [
        WorkflowStep::ValidatePlan,
        WorkflowStep::LoadExecutionState,
        WorkflowStep::PrepareBatches,
        WorkflowStep::ExecutionLoop,
        WorkflowStep::CrossPhaseValidation,
        WorkflowStep::FinalValidation,
        WorkflowStep::UpdateState,
        WorkflowStep::Report,
    ];
    assert_eq!(steps, expected);
}

#[test]
fn effects_follow_one_another_and_name_the_candidate() {
    let mut world = World::auto([task("A")]);
    assert_eq!(world.waits_for(), ["build A"]);
    world.builds("A");
    assert_eq!(world.waits_for(), ["validate A"]);
    let candidate = world.candidate("A");
    assert!(candidate.is_some());
    world.passes("A");
    assert_eq!(world.waits_for(), ["integrate A"]);
    let Effect::Integrate { change_set, .. } = world.waiting[0] else {
        panic!("{:?}", world.waiting);
    };
    assert_eq!(Some(change_set), candidate, "what was judged is what is integrated");
    world.applies("A");
    assert_eq!(world.waits_for(), ["check integration-checker"]);
    world.check_passes(Role::IntegrationChecker);
    assert_eq!(world.waits_for(), ["check verifier"]);
    world.check_passes(Role::Verifier);
    assert_eq!(world.waits_for(), ["write state"]);
    world.state_is_written();
    assert_eq!(world.waits_for(), [""; 0]);
}

#[test]
fn nothing_is_acted_on_while_an_event_is_undrained() {
    let mut world = World::new(plan([task("A")]), Mode::Auto, 5);
    let prerequisites = Vec::new();
    world.run.handle(0, idumb_core::Input::Begin { prerequisites });
    let mut events = 0;
    loop {
        let effect = world.run.poll_effect();
        if world.run.poll_event().is_none() {
            assert!(effect.is_some(), "with all events drained there is work");
            break;
        }
        assert_eq!(effect, None, "after {events} events");
        events += 1;
    }
    assert_eq!(events, 11);
}

#[test]
fn the_state_document_has_the_seeds_seven_keys() {
    let world = World::auto([task("A")]);
    let json = serde_json::to_value(world.document()).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    let mut expected = [
        "phase",
        "status",
        "completed_tasks",
        "current_batch",
        "blocked_tasks",
        "start_time",
        "estimated_completion",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(json["estimated_completion"], serde_json::Value::Null);
}

#[test]
fn the_state_document_follows_the_run() {
    let mut world = World::auto([task("A"), task("B"), task("C").after(&["A"])]);
    let start = world.document();
    let expected = StateDocument {
        phase: "phase-1".to_owned(),
        status: "in_progress".to_owned(),
        completed_tasks: vec![],
        current_batch: vec!["A".to_owned(), "B".to_owned()],
        blocked_tasks: vec![],
        start_time: "2026-01-01T00:00:01Z".to_owned(),
        estimated_completion: None,
    };
    assert_eq!(start, expected);

    world.succeeds("B");
    let middle = world.document();
    // B took three seconds; A, which started with it, and C after it remain: two times
    // three seconds, of which A has spent three.
    let expected = StateDocument {
        completed_tasks: vec!["B".to_owned()],
        current_batch: vec!["A".to_owned()],
        estimated_completion: Some("2026-01-01T00:00:07Z".to_owned()),
        ..expected
    };
    assert_eq!(middle, expected);

    world.goes_well();
    let end = world.document();
    let expected = StateDocument {
        phase: "phase-1_completed".to_owned(),
        status: "completed".to_owned(),
        completed_tasks: vec!["B".to_owned(), "A".to_owned(), "C".to_owned()],
        current_batch: vec![],
        estimated_completion: end.estimated_completion.clone(),
        ..expected
    };
    assert_eq!(end, expected);
    let written = world.started.iter().filter_map(|effect| match effect {
        Effect::WriteState { document } => Some(document),
        _ => None,
    });
    let end = StateDocument {
        estimated_completion: written.clone().next().unwrap().estimated_completion.clone(),
        ..end
    };
    assert_eq!(written.collect::<Vec<_>>(), [&end], "step 7 writes it, once");
}

#[test]
fn completion_is_recorded_before_the_run_is_finished() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_passes(Role::IntegrationChecker);
    world.check_passes(Role::Verifier);
    assert_eq!(world.run.state().step, Some(WorkflowStep::UpdateState));
    assert!(!world.run.is_at_rest());
    let Some(Effect::WriteState { document }) = world.waiting.last() else {
        panic!("{:?}", world.waiting);
    };
    assert_eq!(
        (document.phase.as_str(), document.status.as_str()),
        ("phase-1_completed", "completed")
    );
    assert_eq!(world.document().phase, "phase-1", "it is not said before it is recorded");
    world.state_is_written();
    assert!(world.run.is_at_rest());
}

#[test]
fn the_estimate_is_unknown_until_there_is_data() {
    let mut world = World::new(plan(["A", "B", "C", "D"].map(task)), Mode::Auto, 1);
    world.begin();
    assert_eq!(world.run.progress(world.now).remaining_ms, None);
    world.builds("A");
    world.passes("A");
    assert_eq!(world.run.progress(world.now).remaining_ms, None);
    world.applies("A");
    let progress = world.run.progress(world.now);
    let (at, up) = (world.now.at, world.now.up);
    let later = |ms| Moment { at, up: up + ms };
    assert_eq!(progress.percent(), 25);
    assert_eq!(progress.remaining_ms, Some(9000), "three more of three seconds each");
    assert_eq!(world.run.progress(later(2000)).remaining_ms, Some(7000));
    let late = world.run.progress(later(3_600_000));
    assert_eq!(late.remaining_ms, Some(0), "never negative");
    world.goes_well();
    let progress = world.run.progress(world.now);
    assert_eq!((progress.percent(), progress.remaining_ms), (100, Some(0)));
}

#[test]
fn the_estimate_follows_the_longest_chain_in_any_order_of_tasks() {
    // C waits for B waits for A: written backwards, and with room for all in one batch.
    let chain = [task("D"), task("C").after(&["B"]), task("B").after(&["A"]), task("A")];
    let mut world = World::auto(chain);
    world.succeeds("D");
    // D took three seconds, and so did A's first three.
    assert_eq!(world.run.progress(world.now).remaining_ms, Some(9000 - 3000));
}

#[test]
fn progress_names_the_five_newest() {
    let names = ["A", "B", "C", "D", "E", "F", "G"];
    let mut world = World::new(plan(names.map(task)), Mode::Auto, 7);
    world.begin();
    for name in ["A", "B", "C", "D", "E", "F"] {
        world.succeeds(name);
    }
    let progress = world.run.progress(world.now);
    let recent: Vec<&str> = progress.recent.iter().map(idumb_core::TaskId::as_str).collect();
    assert_eq!(recent, ["B", "C", "D", "E", "F"]);
    assert_eq!(progress.current, [crate::draft::id("G")]);
    assert_eq!((progress.completed, progress.total), (6, 7));
}
