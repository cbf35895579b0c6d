//! Validators that misbehave: what the host makes of their findings.
//!
//! Invariant: there is no way to a passing judgement but one honest finding for each
//! criterion.

use idumb_core::{Examination, Finding, Judgement, Task, Trouble, Verdict};
use idumb_sandbox::{Broken, Ended};
use serde_json::json;

use crate::world::{
    SHORT, World, assert_a_good_agent_works, criterion, misbehaving_validator, task,
};

fn world() -> World {
    World::new(&[("src/lib.rs", "pub mod lib;\n"), ("not-granted.txt", ""), (".env", "SECRET")])
}

fn doing(what: &str) -> Task {
    let mut task = task(&[], &["src/**"], &[("do", what), ("path", "src/lib.rs")]);
    for id in ["P1-T1.1", "P1-T1.2"] {
        let mut criterion = criterion(id, "exists", json!({"path": "src/lib.rs"}));
        criterion.looks_at = vec!["src/lib.rs".parse().unwrap()];
        task.accept.push(criterion);
    }
    task
}

fn call(what: &str) -> (Task, Ended<Vec<Finding>>) {
    let task = doing(what);
    let (ended, _) = world().validate(misbehaving_validator(), &task);
    (task, ended)
}

fn judged(what: &str) -> Judgement {
    let (task, ended) = call(what);
    let findings = ended.result.unwrap();
    Examination { findings, evidence: ended.evidence, ..Examination::default() }
        .judge(task.accept.iter().map(|criterion| &criterion.id))
}

fn assert_rejected(what: &str, because: &str) {
    let judgement = judged(what);
    assert_ne!(judgement.verdict, Verdict::Pass, "{what}");
    assert!(judgement.unmet.iter().any(|unmet| unmet.note.contains(because)), "{judgement:?}");
}

#[test]
pub(crate) fn be_honest() {
    let judgement = judged("be_honest");
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:?}");
}

#[test]
pub(crate) fn pass_without_evidence() {
    assert_rejected("pass_without_evidence", "passes without evidence");
}

#[test]
pub(crate) fn invent_evidence() {
    assert_rejected("invent_evidence", "did not record");
}

#[test]
pub(crate) fn misspell_evidence() {
    assert_rejected("misspell_evidence", "did not record");
}

#[test]
pub(crate) fn find_nothing() {
    assert_rejected("find_nothing", "no finding was given");
}

#[test]
pub(crate) fn find_twice() {
    assert_rejected("find_twice", "more than one finding");
}

#[test]
pub(crate) fn find_what_was_not_asked() {
    assert_rejected("find_what_was_not_asked", "not asked about");
}

#[test]
pub(crate) fn invert_verdicts() {
    assert_rejected("invert_verdicts", "more than one finding");
}

#[test]
pub(crate) fn write_in_view() {
    let world = world();
    let (ended, record) = world.validate(misbehaving_validator(), &doing("write_in_view"));
    let findings = ended.result.unwrap();
    let note = &findings[0].note;
    assert!(!note.contains("done"), "{note}");
    assert_eq!(record.writes, [""; 0]);
    assert!(!record.denials.is_empty());
}

#[test]
pub(crate) fn observe_too_much() {
    let (_, ended) = call("observe_too_much");
    match &ended.result {
        Err(Broken::Trouble(Trouble::Trap { message })) => {
            assert!(message.contains("observations"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ended.evidence.len(), idumb_sandbox::Limits::default().observations);
}

#[test]
pub(crate) fn flood_findings() {
    let (task, ended) = call("flood_findings");
    let Ok(findings) = ended.result else { return };
    assert!(findings.len() <= 10_000, "{}", findings.len());
    let judgement = Examination { findings, evidence: ended.evidence, ..Examination::default() }
        .judge(task.accept.iter().map(|criterion| &criterion.id));
    assert_ne!(judgement.verdict, Verdict::Pass);
}

/// A finding under an id that cannot be one is dropped; evidence under one is none.
#[test]
pub(crate) fn find_under_long_names() {
    let (task, ended) = call("find_under_long_names");
    let findings = ended.result.unwrap();
    let asked: Vec<&str> = task.accept.iter().map(|criterion| criterion.id.as_str()).collect();
    let found: Vec<&str> = findings.iter().map(|finding| finding.criterion.as_str()).collect();
    assert_eq!(found, asked);
    for finding in &findings {
        assert!(finding.evidence.iter().all(|id| id.as_str().len() <= 64), "a long id was kept");
    }
    assert_rejected("find_under_long_names", "did not record");
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn crash() {
    let (_, ended) = call("crash");
    let trap = matches!(ended.result, Err(Broken::Trouble(Trouble::Trap { .. })));
    assert!(trap, "{:?}", ended.result);
}

#[test]
pub(crate) fn never_answer() {
    let world = world().stopped_after(SHORT);
    let (ended, _) = world.validate(misbehaving_validator(), &doing("never_answer"));
    assert_eq!(ended.result.unwrap_err(), Broken::Stopped);
}
