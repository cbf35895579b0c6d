//! What no check can tell: a person judges, and the answer is the evidence.

use idumb_core::{
    AccessRecord, Blocker, Effect, ErrorCode, Event, Evidence, EvidenceId, Examination, Mode,
    Observed, Rechecked, Resort, Rule, Subject, TaskState, Trouble, Unmet, Verdict,
};

use crate::answers::{candidate, failing, failure};
use crate::draft::{Draft, id, task};
use crate::world::World;

/// The examination that was judged last.
fn judged(world: &World) -> &Examination {
    let last = world.journal.iter().rev().find_map(|stamped| match &stamped.event {
        Event::CandidateJudged { examination, .. } => Some(examination),
        _ => None,
    });
    last.expect("a candidate was judged")
}

fn answered(prompt: u32, choice: &str) -> Evidence {
    let id = EvidenceId::new(format!("prompt-{prompt}")).unwrap();
    Evidence { id, observed: Observed::Answer { prompt, choice: choice.to_owned() } }
}

/// A task whose candidate waits for a person.
fn waiting(mode: Mode) -> World {
    let mut world = World::with(mode, [task("A").judged()], |_| {});
    world.builds("A");
    world.passes_checks("A");
    world
}

#[test]
fn a_person_is_asked_about_what_is_left_once_the_checks_passed() {
    let world = waiting(Mode::Interactive);
    let prompt = world.prompt().expect("a judgement").clone();
    let (task, change_set) = (id("A"), candidate("A", 1));
    let criteria = vec!["A.2".parse().unwrap()];
    assert_eq!(prompt.subject, Subject::Judged { task, change_set, criteria });
    assert!(prompt.question.ends_with("\n- reads well"), "{}", prompt.question);
    assert!(!prompt.offers("retry") && prompt.offers("pause"));
    assert_eq!(world.state_of("A"), TaskState::AwaitingDecision(1));
    assert_eq!(world.waits_for(), [""; 0]);
}

#[test]
fn what_holds_is_integrated_and_the_answer_is_evidence() {
    let mut world = waiting(Mode::Interactive);
    world.answers("holds");
    assert_eq!(world.waits_for(), ["integrate A"]);
    let examination = judged(&world);
    assert_eq!(examination.evidence.last(), Some(&answered(1, "holds")));
    let finding = examination.findings.last().unwrap();
    assert_eq!((finding.criterion.as_str(), finding.verdict), ("A.2", Verdict::Pass));
    assert_eq!(finding.evidence, [answered(1, "holds").id]);
    assert_eq!(examination.findings.len(), 2, "beside the validator's");
}

#[test]
fn what_does_not_hold_is_rejected_and_the_note_is_feedback() {
    let mut world = World::interactive([task("A").judged().retries(1)]);
    world.builds("A");
    world.passes_checks("A");
    world.answers_with("fails", Some("too long"));
    assert_eq!(judged(&world).evidence.last(), Some(&answered(1, "fails")));
    let Some(Effect::Build { feedback, attempt: 2, .. }) = world.waiting.last() else {
        panic!("{:?}", world.waiting);
    };
    let criterion = "A.2".parse().unwrap();
    let note = "too long".to_owned();
    let unmet = vec![Unmet { criterion, verdict: Verdict::Fail, note, breaks: None }];
    assert_eq!(feedback.unmet, unmet);
    assert_eq!(world.task("A").trouble(), Some(&Trouble::Rejected { unmet }));
    assert!(!world.has_started("integrate A"));
}

#[test]
fn nobody_is_asked_about_a_candidate_that_a_check_rejects() {
    let mut world = World::interactive([task("A").judged()]);
    world.builds("A");
    let rejected = failing(world.checked("A"), "not there");
    world.examines("A", Ok((rejected, AccessRecord::default())));
    let subject = world.prompt().map(|prompt| prompt.subject.clone());
    assert_eq!(subject, Some(Subject::Blocker { task: id("A") }));
}

#[test]
fn a_task_that_only_a_person_can_judge_needs_no_validator() {
    let mut world = World::interactive([task("A").criteria(0).judged()]);
    world.builds("A");
    assert!(!world.has_started("validate A"));
    world.answers("holds");
    assert_eq!(judged(&world).evidence, [answered(1, "holds")]);
    world.applies("A");
    assert_eq!(world.state_of("A"), TaskState::Succeeded);
}

#[test]
fn what_only_a_person_can_judge_is_looked_at_first_if_it_may_break_what_is_done() {
    let mut first = task("A");
    first.accept[0].looks_at = vec!["B.txt".parse().unwrap()];
    let second = task("B").criteria(0).judged().after(&["A"]);
    let mut world = World::interactive([first, second]);
    world.succeeds("A");
    world.answers("continue");
    world.builds("B");
    assert_eq!(world.waits_for(), ["validate B"]);
    let mut examination = Examination::default();
    let failed = failing(world.passing("A"), "gone");
    examination.evidence = failed.evidence;
    let finding = failed.findings[0].clone();
    examination.rechecked.push(Rechecked { task: id("A"), phase: None, finding });
    world.examines("B", Ok((examination, AccessRecord::default())));
    let trouble = world.task("B").trouble().unwrap().to_string();
    assert!(trouble.contains("regression: it breaks A: gone"), "{trouble}");
}

#[test]
fn without_a_rule_auto_mode_rests_with_the_judgement_open_and_an_answer_at_rest_counts() {
    for (choice, effect) in [("holds", "integrate A"), ("fails", "build A")] {
        let mut world = World::auto([task("A").judged().retries(1), task("B")]);
        world.builds("A");
        world.passes_checks("A");
        assert_eq!(world.control(), "active", "B is under way");
        world.succeeds("B");
        assert_eq!(world.control(), "paused User");
        world.die();
        world.answers(choice);
        assert_eq!(world.started, []);
        world.resume();
        assert_eq!(world.waits_for(), [effect]);
        assert!(!world.has_started("ask 1"), "it goes on without asking again");
    }
}

#[test]
fn a_judgement_is_asked_again_after_a_crash() {
    let mut world = waiting(Mode::Interactive);
    world.crash();
    assert!(world.has_started("ask 1"));
    world.answers("holds");
    assert_eq!(world.waits_for(), ["integrate A"]);
}

#[test]
fn a_rule_may_leave_out_or_give_up_what_only_a_person_can_judge() {
    let table = [
        (Resort::Skip, TaskState::Skipped(None), "E002"),
        (Resort::Fail, TaskState::Failed(Blocker::Judged), "E005"),
    ];
    for (then, state, control) in table {
        let mut world = World::with(Mode::Auto, [task("A").judged().retries(1)], |config| {
            let (name, on, tasks) = ("r".to_owned(), vec![Blocker::Judged], Vec::new());
            config.rules = vec![Rule { name, on, tasks, retry: 2, backoff_ms: None, then }];
        });
        // An earlier trouble is not what it is given up for.
        world.breaks("A", failure("no"));
        world.builds("A");
        world.passes_checks("A");
        assert_eq!(world.state_of("A"), state);
        assert_eq!(world.control(), control);
        assert!(world.story().contains(&format!("rule_applied A r judged {then}")));
        assert_eq!(world.prompt(), None);
    }
}

#[test]
fn a_rule_that_pauses_rests_with_the_judgement_open() {
    let mut world = World::with(Mode::Auto, [task("A").judged()], |config| {
        let (name, on, tasks) = ("r".to_owned(), vec![Blocker::Judged], Vec::new());
        let then = Resort::Pause;
        config.rules = vec![Rule { name, on, tasks, retry: 0, backoff_ms: None, then }];
    });
    world.builds("A");
    world.passes_checks("A");
    assert_eq!(world.control(), "paused User");
    assert!(world.prompt().is_some());
}

#[test]
fn the_reason_of_a_task_given_up_by_such_a_rule_is_said() {
    let mut world = World::with(Mode::Auto, [task("A").judged()], |config| {
        let (name, on, tasks) = ("r".to_owned(), vec![Blocker::Judged], Vec::new());
        let then = Resort::Fail;
        config.rules = vec![Rule { name, on, tasks, retry: 0, backoff_ms: None, then }];
    });
    world.builds("A");
    world.passes_checks("A");
    let code = ErrorCode::E005;
    let reason = "task A: only a person can judge it".to_owned();
    let outcome = idumb_core::RunOutcome::Failed { code, reason };
    assert_eq!(world.run.state().control, idumb_core::Control::Finished(outcome));
}
