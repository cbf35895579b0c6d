//! When something goes wrong.

use idumb_core::{
    AccessRecord, Blocker, Control, Criterion, Effect, ErrorCode, Evidence, EvidenceId,
    Examination, Feedback, Mode, Observed, Other, Parking, PauseCause, Rechecked, Role, RunOutcome,
    TaskState, Trouble, Unmet, Verdict,
};

use crate::answers::{error, failing, failure, hopeless, outside, passing, unavailable};
use crate::draft::{Draft, id, plan, task};
use crate::world::World;

/// The code and the reason with which the run failed.
#[track_caller]
fn failed(world: &World) -> (ErrorCode, &str) {
    match &world.run.state().control {
        Control::Finished(RunOutcome::Failed { code, reason }) => (*code, reason),
        other => panic!("the run did not fail: {other:?}"),
    }
}

/// What the builder of `name`, which waits, is told about the attempt before.
#[track_caller]
fn feedback(world: &World, name: &str) -> Feedback {
    let of = |effect: &Effect| match effect {
        Effect::Build { task, feedback, .. } if task.as_str() == name => Some(feedback.clone()),
        _ => None,
    };
    world.waiting.iter().find_map(of).expect("it waits for its builder")
}

#[test]
fn a_failure_is_retried_with_feedback_and_may_succeed() {
    let mut world = World::auto([task("A").retries(1)]);
    assert_eq!(feedback(&world, "A"), Feedback::default());
    world.breaks("A", failure("the text to replace is not there"));
    let note = Some("the text to replace is not there".to_owned());
    let unmet = Vec::new();
    assert_eq!(feedback(&world, "A"), Feedback { unmet, note });
    assert_eq!((world.task("A").attempt, world.task("A").epoch), (2, 2));
    world.goes_well();
    assert_eq!(world.run.state().control, Control::Finished(RunOutcome::Completed));
}

#[test]
fn exhausted_retries_fail_the_run_with_e002() {
    let mut world = World::auto([task("A").retries(2)]);
    for n in 1..=3 {
        assert_eq!(world.task("A").attempt, n);
        world.breaks("A", failure("no"));
    }
    assert_eq!(world.state_of("A"), TaskState::Parked(Parking::Exhausted));
    assert_eq!(failed(&world), (ErrorCode::E002, "task A: no"));
    assert!(!world.has_started("check verifier"), "there is nothing to verify");
    let document = world.document();
    assert_eq!((document.phase.as_str(), document.status.as_str()), ("phase-1", "failed"));
    assert_eq!(document.blocked_tasks, ["A"]);
}

#[test]
fn a_failure_that_cannot_go_better_is_not_retried() {
    let mut world = World::auto([task("A").retries(9)]);
    world.breaks("A", hopeless("a.txt is not granted"));
    assert_eq!(world.task("A").attempt, 1);
    assert_eq!(failed(&world), (ErrorCode::E002, "task A: step 1: a.txt is not granted"));
}

#[test]
fn dependents_stay_blocked_while_independents_go_on() {
    let tasks = [
        task("A"),
        task("B").after(&["A"]),
        task("C").after(&["B"]),
        task("D"),
        task("E").after(&["D"]),
    ];
    let mut world = World::auto(tasks);
    world.breaks("A", hopeless("no"));
    assert_eq!(world.state_of("A"), TaskState::Failed(Blocker::Denied));
    assert_eq!(world.state_of("B"), TaskState::Blocked);
    assert_eq!(world.state_of("C"), TaskState::Blocked);
    assert_eq!(world.waits_for(), ["build D"]);
    world.goes_well();
    assert_eq!(world.run.state().completed, [id("D"), id("E")]);
    assert!(!world.has_started("build B") && !world.has_started("build C"));
    assert_eq!(failed(&world).0, ErrorCode::E002);
    assert_eq!(world.document().blocked_tasks, ["A", "B", "C"]);
}

fn timeout(after_ms: u64) -> Trouble {
    Trouble::Timeout { after_ms, of: Role::Builder }
}

#[test]
fn a_timeout_is_e004() {
    let mut world = World::auto([task("A").retries(1)]);
    world.breaks("A", timeout(600_000));
    assert_eq!(feedback(&world, "A").note.as_deref(), Some("no result within 10m"));
    world.breaks("A", timeout(600_000));
    assert_eq!(failed(&world), (ErrorCode::E004, "task A: no result within 10m"));
}

#[test]
fn a_rejected_candidate_is_e005_and_its_unmet_criteria_are_feedback() {
    let mut world = World::auto([task("A").criteria(2).retries(1)]);
    let unmet = vec![Unmet {
        criterion: "A.2".parse().unwrap(),
        verdict: Verdict::Fail,
        note: "no `pub struct Store`".to_owned(),
        breaks: None,
    }];
    for _ in 0..2 {
        world.builds("A");
        let examination = failing(world.passing("A"), "no `pub struct Store`");
        world.examines("A", Ok((examination, AccessRecord::default())));
        if world.task("A").attempt == 2 && !world.waiting.is_empty() {
            let note = None;
            let unmet = unmet.clone();
            assert_eq!(feedback(&world, "A"), Feedback { unmet, note });
        }
    }
    let reason = "task A: criterion A.2 is not met: no `pub struct Store`";
    assert_eq!(failed(&world), (ErrorCode::E005, reason));
    assert_eq!(world.task("A").trouble(), Some(&Trouble::Rejected { unmet }));
    assert!(!world.has_started("integrate A"));
}

/// Runs one task whose validator answers so, and gives the run's failure.
#[track_caller]
fn examined(change: impl Fn(&mut Examination)) -> (ErrorCode, String) {
    let mut world = World::auto([task("A").criteria(2)]);
    world.builds("A");
    let mut examination = world.passing("A");
    change(&mut examination);
    world.examines("A", Ok((examination, AccessRecord::default())));
    assert!(!world.has_started("integrate A"));
    let (code, reason) = failed(&world);
    (code, reason.to_owned())
}

#[test]
fn a_verdict_with_evidence_that_the_host_did_not_record_is_rejected() {
    let invented = EvidenceId::new("e99").unwrap();
    let (code, reason) = examined(|examination| {
        examination.findings[0].evidence = vec![invented.clone()];
    });
    assert_eq!(code, ErrorCode::E005);
    assert!(reason.contains("`e99`, which the host did not record"), "{reason}");
}

#[test]
fn a_pass_without_evidence_is_rejected() {
    let (code, reason) = examined(|examination| examination.findings[0].evidence.clear());
    assert_eq!(code, ErrorCode::E005);
    assert!(reason.contains("passes without evidence"), "{reason}");
}

#[test]
fn zero_findings_are_not_a_pass() {
    let (code, reason) = examined(|examination| examination.findings.clear());
    assert_eq!((code, reason.as_str()), (ErrorCode::E005, "task A: 2 criteria are not met"));
}

#[test]
fn evidence_without_findings_is_not_a_pass() {
    let (code, _) = examined(|examination| {
        examination.findings.pop();
        examination.evidence.push(Evidence {
            id: EvidenceId::new("e2").unwrap(),
            observed: Observed::Dir { path: "src".to_owned() },
        });
    });
    assert_eq!(code, ErrorCode::E005);
}

#[test]
fn an_inconclusive_finding_is_not_a_pass() {
    let (code, _) = examined(|examination| {
        examination.findings[1].verdict = Verdict::Inconclusive;
    });
    assert_eq!(code, ErrorCode::E005);
}

#[test]
fn a_task_without_criteria_never_passes() {
    let mut world = World::auto([task("A").criteria(0)]);
    world.builds("A");
    world.passes("A");
    assert_eq!(failed(&world), (ErrorCode::E005, "task A: nothing was checked"));
}

#[test]
fn a_validator_that_crashes_is_no_verdict() {
    let mut world = World::auto([task("A").retries(1)]);
    world.builds("A");
    let message = "out of memory".to_owned();
    world.examines("A", Err(Trouble::Trap { message }));
    assert_eq!(world.waits_for(), ["build A"]);
    assert!(!world.has_started("integrate A"));
}

#[test]
fn an_unmet_prerequisite_is_e003_and_nothing_is_built() {
    let mut world = World::new(plan([task("A")]), Mode::Auto, 5);
    world.begin_after("0-ground", false);
    assert_eq!(failed(&world), (ErrorCode::E003, "phase 0-ground is not completed"));
    assert_eq!(world.waits_for(), [""; 0]);
    assert!(!world.has_started("build A"));
    assert!(world.run.is_at_rest());
}

#[test]
fn a_run_that_waited_for_a_phase_goes_on_once_it_is_completed() {
    let mut world = World::new(plan([task("A")]), Mode::Auto, 5);
    world.begin_after("0-ground", false);
    let position = world.journal.len();
    world.begin();
    assert_eq!(world.story_from(position), [""; 0], "it rests");
    world.resume();
    assert_eq!(failed(&world).0, ErrorCode::E003, "still not");
    world.resume_without_begin();
    world.begin_after("0-ground", true);
    assert_eq!(world.waits_for(), ["build A"]);
    world.goes_well();
    assert_eq!(world.run.state().control, Control::Finished(RunOutcome::Completed));
    let starts = world.story().iter().filter(|line| *line == "run_started").count();
    assert_eq!(starts, 1);
}

#[test]
fn a_resumed_run_whose_prerequisites_nobody_looks_up_does_not_hang() {
    let mut world = World::new(plan([task("A")]), Mode::Auto, 5);
    assert!(world.run.is_at_rest(), "it did not begin");
    world.begin_after("0-ground", false);
    world.resume_without_begin();
    assert!(world.run.is_at_rest());
    world.begin_after("0-ground", true);
    assert!(!world.run.is_at_rest());
    assert_eq!(world.waits_for(), ["build A"]);
}

#[test]
fn a_builder_that_read_what_another_changed_runs_again() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds_reading("B", &["A.txt"]);
    world.succeeds("A");
    let position = world.journal.len();
    world.passes("B");
    assert_eq!(
        world.story_from(position),
        ["attempt_failed B E002 rerun", "lease_granted B #2 e3"]
    );
    let conflict =
        Trouble::Conflict { path: "A.txt".to_owned(), with: Other::Task { task: id("A") } };
    assert_eq!(world.task("B").trouble(), Some(&conflict));
    let note = feedback(&world, "B").note;
    assert_eq!(note.as_deref(), Some("`A.txt` was changed by task A meanwhile"));
    assert_eq!((world.task("B").failures, world.task("B").conflicts), (0, 1));
    world.builds_reading("B", &["A.txt"]);
    world.passes("B");
    world.applies("B");
    assert_eq!(world.run.state().completed, [id("A"), id("B")], "B has no retries, and needs none");
}

#[test]
fn an_accepted_candidate_whose_builder_read_what_another_changed_runs_again() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("A");
    world.builds_reading("B", &["A.txt"]);
    world.passes("A");
    world.passes("B");
    assert_eq!(world.state_of("B"), TaskState::Accepted, "it waits for its turn");
    world.applies("A");
    assert_eq!(world.waits_for(), ["build B"]);
    assert_eq!(world.task("B").conflicts, 1);
}

#[test]
fn a_candidate_whose_validator_read_what_another_changed_is_judged_again() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("A");
    world.builds("B");
    world.passes("A");
    world.applies("A");
    let position = world.journal.len();
    world.passes_reading("B", &["A.txt"]);
    assert_eq!(world.story_from(position)[0], "judgement_outdated B");
    assert_eq!(world.waits_for(), ["validate B"]);
    assert_eq!(world.task("B").attempt, 1, "the candidate itself is as good as it was");
    world.passes_reading("B", &["A.txt"]);
    assert_eq!(world.waits_for(), ["integrate B"]);
}

#[test]
fn an_accepted_candidate_whose_validator_read_what_another_changed_is_judged_again() {
    let mut world = World::auto([task("A"), task("B")]);
    world.builds("A");
    world.builds("B");
    world.passes("A");
    world.passes_reading("B", &["A.txt"]);
    assert_eq!(world.state_of("B"), TaskState::Accepted, "it waits for its turn");
    world.applies("A");
    assert_eq!(world.waits_for(), ["validate B"], "its verdict is about a base that is gone");
    world.passes_reading("B", &["A.txt"]);
    world.applies("B");
    assert_eq!(world.run.state().completed, [id("A"), id("B")]);
}

#[test]
fn a_candidate_that_may_break_what_was_done_meanwhile_is_judged_again() {
    // Nobody checked what A promises on B's candidate, since A was not done then.
    for by_command in [false, true] {
        let mut first = task("A");
        match by_command {
            true => {
                first.accept[0].kind = Criterion::COMMAND.to_owned();
                first.accept[0].args.insert("name".to_owned(), "lint".into());
            }
            false => first.accept[0].looks_at = vec!["B.txt".parse().unwrap()],
        }
        let mut world = World::auto([first, task("B")]);
        world.builds("A");
        world.builds("B");
        world.passes("A");
        world.passes("B");
        assert_eq!(world.state_of("B"), TaskState::Accepted, "it waits for its turn");
        let position = world.journal.len();
        world.applies("A");
        assert!(world.story_from(position).contains(&"judgement_outdated B".to_owned()));
        world.passes("B");
        world.applies("B");
        assert_eq!(world.run.state().completed, [id("A"), id("B")]);
    }
}

#[test]
fn what_breaks_a_completed_task_is_not_integrated_and_its_builder_is_told() {
    let mut world = World::auto([task("A"), task("B").after(&["A"]).retries(1)]);
    world.builds("A");
    world.passes("A");
    world.applies("A");
    world.builds("B");
    let mut examination = world.passing("B");
    let finding = failing(world.passing("A"), "gone").findings.remove(0);
    examination.rechecked.push(Rechecked { task: id("A"), phase: None, finding });
    world.examines("B", Ok((examination, AccessRecord::default())));
    let trouble = world.task("B").trouble().unwrap().to_string();
    assert!(trouble.contains("regression: it breaks A: gone"), "{trouble}");
    assert!(!world.has_started("integrate B"));
    let feedback = &world.task("B").latest.as_ref().unwrap().feedback;
    assert_eq!(feedback.unmet[0].breaks, Some(id("A")));
}

#[test]
fn a_conflict_with_an_editor_runs_again_and_is_no_failure() {
    let mut world = World::auto([task("A")]);
    world.builds("A");
    world.passes("A");
    world.integrates("A", Err(outside("A.txt")));
    assert_eq!(world.waits_for(), ["build A"]);
    assert_eq!((world.task("A").failures, world.task("A").conflicts), (0, 1));
    world.goes_well();
    assert_eq!(world.run.state().completed, [id("A")]);
}

#[test]
fn endless_conflicts_end() {
    let mut world = World::auto([task("A")]);
    let mut attempts = 0;
    while !world.run.is_at_rest() {
        attempts += 1;
        assert!(attempts < 100, "it does not end");
        world.builds("A");
        world.passes("A");
        world.integrates("A", Err(outside("A.txt")));
    }
    assert_eq!(attempts, 17);
    assert_eq!(failed(&world).0, ErrorCode::E002);
}

#[test]
fn an_integration_that_the_host_could_not_do_rests_half_way_and_is_completed() {
    for finish in [World::settle, World::resume] {
        let mut world = World::auto([task("A"), task("B")]);
        world.builds("A");
        world.passes("A");
        world.integrates("A", Err(unavailable("no space left on the disk")));
        assert_eq!(world.stops(), ["B e1"], "nothing may work on a base between two states");
        assert_eq!(world.control(), "pausing Resource");
        world.breaks("B", failure("stopped"));
        let reason = "task A: no space left on the disk".to_owned();
        assert_eq!(world.run.state().control, Control::Paused(PauseCause::Resource, reason));
        assert_eq!(world.state_of("A"), TaskState::Integrating);
        assert_eq!(world.task("A").failures, 0);
        assert!(world.run.is_unsettled());
        assert_eq!(world.waits_for(), [""; 0], "it is not tried again in this life");
        finish(&mut world);
        assert!(world.waits_for().contains(&"integrate A".to_owned()));
        world.applies("A");
        assert_eq!(world.state_of("A"), TaskState::Succeeded);
        world.resume();
        world.goes_well();
        assert_eq!(world.control(), "completed");
    }
}

#[test]
fn the_hosts_own_trouble_rests_the_run_and_does_not_charge_the_task() {
    let table = [
        (error("the journal is gone"), "paused Error"),
        (unavailable("no space"), "paused Resource"),
    ];
    for (trouble, control) in table {
        let mut world = World::auto([task("A"), task("B").after(&["A"])]);
        world.breaks("A", trouble);
        assert_eq!(world.control(), control);
        assert_eq!(world.state_of("A"), TaskState::Ready);
        assert_eq!(world.task("A").failures, 0);
        world.resume();
        world.goes_well();
        assert_eq!(world.control(), "completed");
    }
}

#[test]
fn a_phase_that_breaks_an_earlier_one_is_e005() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    let criteria = vec!["P0-T1.1".parse().unwrap()];
    let examination = failing(passing(&criteria), "gone");
    world.check_ends(Role::IntegrationChecker, Ok((criteria, examination)));
    let reason = "the integration-checker found what does not hold";
    assert_eq!(failed(&world), (ErrorCode::E005, reason));
    assert!(!world.has_started("check verifier"));
}

#[test]
fn a_phase_that_does_not_hold_is_e005() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_passes(Role::IntegrationChecker);
    let criteria = vec!["A.1".parse().unwrap()];
    let examination = failing(passing(&criteria), "gone");
    world.check_ends(Role::Verifier, Ok((criteria, examination)));
    assert_eq!(failed(&world), (ErrorCode::E005, "the verifier found what does not hold"));
    let document = world.document();
    assert_eq!((document.phase.as_str(), document.status.as_str()), ("phase-1", "failed"));
}

#[test]
fn a_verifier_with_nothing_to_check_does_not_pass_and_an_integration_checker_claims_nothing() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    let nothing = || Ok((Vec::new(), Examination::default()));
    world.check_ends(Role::IntegrationChecker, nothing());
    assert_eq!(world.waits_for(), ["check verifier"]);
    world.check_ends(Role::Verifier, nothing());
    assert_eq!(failed(&world).0, ErrorCode::E005);
}

#[test]
fn an_integration_checker_that_answers_nothing_of_what_it_was_asked_does_not_pass() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    let asked = vec!["link.1".parse().unwrap()];
    world.check_ends(Role::IntegrationChecker, Ok((asked, Examination::default())));
    assert_eq!(failed(&world).0, ErrorCode::E005);
}

#[test]
fn a_check_that_cannot_be_carried_out_fails_the_run_with_its_own_code() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    world.check_ends(
        Role::IntegrationChecker,
        Err(Trouble::Timeout { after_ms: 1000, of: Role::IntegrationChecker }),
    );
    let reason = "the integration-checker: the integration-checker had no result within 1s";
    assert_eq!(failed(&world), (ErrorCode::E004, reason));
    world.resume();
    assert_eq!(world.waits_for(), ["check integration-checker"]);
    world.goes_well();
    assert_eq!(world.run.state().control, Control::Finished(RunOutcome::Completed));
}

#[test]
fn tasks_that_wait_for_each_other_are_not_called_done() {
    let tasks = [task("A"), task("B").after(&["C"]), task("C").after(&["B"])];
    let mut world = World::auto(tasks);
    world.succeeds("A");
    assert_eq!(failed(&world).0, ErrorCode::E003);
    assert!(!world.has_started("check verifier"));
}
