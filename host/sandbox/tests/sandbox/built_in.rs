//! The built-in agents on small trees: every kind of step and of criterion, both ways.
//!
//! Invariant: what a step fails at is named with its number; what a criterion rests on is
//! an observation of the host.

use std::collections::BTreeSet;
use std::io::Read as _;

use idumb_core::{
    Blobs as _, ChangeSet, CriterionId, Digest, Entry, Examination, FailureKind, Link, Observed,
    Trouble, Verdict,
};
use idumb_sandbox::Broken;
use serde_json::{Value, json};

use crate::world::{World, builder, criterion, step, task, validator};

fn world() -> World {
    World::new(&[
        ("a.txt", "one\ntwo\n"),
        ("b/c.txt", "three\n"),
        ("data.json", r#"{"name": "notes", "list": [1, 2]}"#),
        ("data.toml", "[package]\nname = \"notes\"\n"),
        ("data.yaml", "name: notes\n"),
    ])
}

/// What a change-set leaves at `path`.
fn after(world: &World, changes: &ChangeSet, path: &str) -> Option<String> {
    let change = changes.changes.iter().find(|change| change.path == path)?;
    match change.after.as_ref()? {
        Entry::File { digest, .. } => {
            let mut text = String::new();
            world.blobs().open(*digest).unwrap().read_to_string(&mut text).unwrap();
            Some(text)
        }
        other => Some(format!("{other:?}")),
    }
}

/// Carries out one step, and says what changed.
fn done(kind: &str, args: Value) -> (World, ChangeSet) {
    let world = world();
    let mut task = task(&["**"], &["**"], &[("who", "world")]);
    task.steps = vec![step(kind, args)];
    let attempt = world.build(builder(), &task);
    let changes = attempt.changes(&world);
    (world, changes)
}

fn assert_changes(kind: &str, args: Value, expected: &[(&str, Option<&str>)]) {
    let (world, changes) = done(kind, args);
    let paths: Vec<&str> = changes.paths().collect();
    assert_eq!(paths, expected.iter().map(|(path, _)| *path).collect::<Vec<_>>(), "{kind}");
    for (path, text) in expected {
        assert_eq!(after(&world, &changes, path).as_deref(), *text, "{kind}: {path}");
    }
}

/// A step that fails as the second one, after one that succeeds.
fn assert_fails(kind: &str, args: Value, expected: FailureKind, words: &str) {
    let world = world();
    let mut task = task(&["**"], &["**"], &[]);
    task.steps = vec![step("write", json!({"path": "first.txt", "content": ""})), step(kind, args)];
    match world.build(builder(), &task).ended.result {
        Err(Broken::Trouble(Trouble::Failure(failure))) => {
            assert_eq!((failure.kind, failure.step), (expected, Some(1)), "{kind}: {failure:?}");
            assert!(failure.message.contains(words), "{kind}: {}", failure.message);
        }
        other => panic!("{kind}: {other:?}"),
    }
}

#[test]
fn write() {
    let args = json!({"path": "new/x.txt", "content": "hello\n"});
    assert_changes("write", args, &[("new", Some("Dir")), ("new/x.txt", Some("hello\n"))]);
    let args = json!({"path": "a.txt", "content": "", "overwrite": false});
    assert_fails("write", args, FailureKind::Precondition, "a.txt");
}

#[test]
fn append() {
    let args = json!({"path": "a.txt", "content": "more\n"});
    assert_changes("append", args, &[("a.txt", Some("one\ntwo\nmore\n"))]);
    let args = json!({"path": "gone.txt", "content": ""});
    assert_fails("append", args, FailureKind::Precondition, "gone.txt");
}

#[test]
fn replace() {
    let args = json!({"path": "a.txt", "find": "two", "with": "2"});
    assert_changes("replace", args, &[("a.txt", Some("one\n2\n"))]);
    let args = json!({"path": "a.txt", "find": "three", "with": "3"});
    assert_fails("replace", args, FailureKind::Precondition, "a.txt");
}

#[test]
fn patch() {
    let diff = "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n";
    let args = json!({"path": "a.txt", "diff": diff});
    assert_changes("patch", args, &[("a.txt", Some("one\n2\n"))]);
    let args = json!({"path": "b/c.txt", "diff": diff});
    assert_fails("patch", args, FailureKind::Precondition, "b/c.txt");
}

#[test]
fn copy() {
    let args = json!({"from": "a.txt", "to": "copy.txt"});
    assert_changes("copy", args, &[("copy.txt", Some("one\ntwo\n"))]);
    let args = json!({"from": "a.txt", "to": "b/c.txt"});
    assert_fails("copy", args, FailureKind::Precondition, "b/c.txt");
}

#[test]
fn move_() {
    let args = json!({"from": "a.txt", "to": "moved.txt"});
    assert_changes("move", args, &[("a.txt", None), ("moved.txt", Some("one\ntwo\n"))]);
    let args = json!({"from": "gone.txt", "to": "moved.txt"});
    assert_fails("move", args, FailureKind::Precondition, "gone.txt");
}

#[test]
fn delete() {
    assert_changes("delete", json!({"path": "b"}), &[("b", None), ("b/c.txt", None)]);
    let args = json!({"path": "gone.txt"});
    assert_fails("delete", args, FailureKind::Precondition, "gone.txt");
}

#[test]
fn mkdir() {
    let args = json!({"path": "deep/er"});
    assert_changes("mkdir", args, &[("deep", Some("Dir")), ("deep/er", Some("Dir"))]);
    assert_fails("mkdir", json!({"path": "a.txt"}), FailureKind::Precondition, "a.txt");
}

#[test]
fn template() {
    let args = json!({"path": "hello.txt", "template": "Hello, {{who}}!\n"});
    assert_changes("template", args, &[("hello.txt", Some("Hello, world!\n"))]);
    let args = json!({"path": "hello.txt", "template": "{{missing}}"});
    assert_fails("template", args, FailureKind::Invalid, "missing");
}

#[test]
fn a_step_it_does_not_know_or_that_is_malformed() {
    assert_fails("dance", json!({}), FailureKind::Unsupported, "dance");
    assert_fails("write", json!({"path": 7}), FailureKind::Invalid, "write");
}

#[test]
fn a_step_outside_of_its_grants() {
    let world = world();
    let mut task = task(&[], &["b/**"], &[]);
    task.steps = vec![step("write", json!({"path": "a.txt", "content": ""}))];
    let attempt = world.build(builder(), &task);
    assert!(attempt.ended.result.is_err());
    let denials = &attempt.record.denials;
    let lines: Vec<_> = denials.iter().filter_map(idumb_core::Denial::grant_line).collect();
    assert!(lines.contains(&r#"writes = ["a.txt"]"#.to_owned()), "{lines:?}");
}

/// Each kind of criterion: arguments with which it holds, and with which it does not.
fn kinds() -> Vec<(&'static str, Value, Value)> {
    let digest = Digest::of(b"one\ntwo\n").to_string();
    let other = Digest::of(b"").to_string();
    vec![
        ("exists", json!({"path": "a.txt"}), json!({"path": "gone.txt"})),
        ("absent", json!({"path": "gone.txt"}), json!({"path": "a.txt"})),
        (
            "contains",
            json!({"path": "a.txt", "text": "two"}),
            json!({"path": "a.txt", "text": "three"}),
        ),
        (
            "matches",
            json!({"path": "a.txt", "regex": "^two$"}),
            json!({"path": "a.txt", "regex": "^wo$"}),
        ),
        (
            "equals",
            json!({"path": "data.json", "at": "/list/1", "value": 2}),
            json!({"path": "data.json", "at": "/list/1", "value": 3}),
        ),
        (
            "equals",
            json!({"path": "data.toml", "at": "/package/name", "value": "notes"}),
            json!({"path": "data.toml", "at": "/package/gone", "value": "notes"}),
        ),
        (
            "equals",
            json!({"path": "data.yaml", "at": "/name", "value": "notes"}),
            json!({"path": "data.yaml", "at": "/name", "value": "other"}),
        ),
        (
            "digest",
            json!({"path": "a.txt", "digest": digest}),
            json!({"path": "a.txt", "digest": other}),
        ),
        ("lines", json!({"path": "a.txt", "min": 2, "max": 2}), json!({"path": "a.txt", "min": 3})),
    ]
}

#[test]
fn each_kind_of_criterion_passes_and_fails_on_evidence() {
    let world = world();
    let mut task = task(&["**"], &[], &[]);
    for (index, (kind, holds, fails)) in kinds().into_iter().enumerate() {
        task.accept.push(criterion(&format!("{index}.holds"), kind, holds));
        task.accept.push(criterion(&format!("{index}.fails"), kind, fails));
    }
    let (ended, record) = world.validate(validator(), &task);
    let findings = ended.result.unwrap();
    let names: BTreeSet<_> = ended.evidence.iter().map(|evidence| &evidence.id).collect();
    assert_eq!(findings.len(), task.accept.len());
    for (criterion, finding) in task.accept.iter().zip(&findings) {
        let expected =
            if criterion.id.as_str().ends_with("holds") { Verdict::Pass } else { Verdict::Fail };
        assert_eq!(
            finding.verdict, expected,
            "{} {:?}: {}",
            criterion.kind, criterion.args, finding.note
        );
        assert!(!finding.evidence.is_empty(), "{finding:?}");
        assert!(finding.evidence.iter().all(|id| names.contains(id)), "{finding:?}");
    }
    let seen = |path: &str| {
        ended.evidence.iter().any(|evidence| {
            matches!(&evidence.observed, Observed::File { path: seen, .. } if seen == path)
        })
    };
    assert!(seen("a.txt") && seen("data.yaml"), "{:?}", ended.evidence);
    assert!(record.reads.iter().any(|read| read.path == "a.txt"));
    assert!(record.denials.is_empty(), "{:?}", record.denials);
}

#[test]
fn unchanged_looks_at_the_change_set_of_the_candidate() {
    let (world, changes) = done("write", json!({"path": "a.txt", "content": "else\n"}));
    let mut task = task(&["**"], &[], &[]);
    task.accept = vec![
        criterion("holds", "unchanged", json!({"paths": ["b/**"]})),
        criterion("fails", "unchanged", json!({"paths": ["*.txt"]})),
        criterion("sees", "contains", json!({"path": "a.txt", "text": "else"})),
    ];
    let (ended, _) = world.validate_candidate(validator(), &task, &changes);
    let verdicts: Vec<Verdict> =
        ended.result.unwrap().iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail, Verdict::Pass]);
    let listed = ended.evidence.iter().any(|evidence| {
        matches!(&evidence.observed,
            Observed::Changes { digest, count: 1 } if *digest == changes.digest())
    });
    assert!(listed, "{:?}", ended.evidence);
}

#[test]
fn a_criterion_that_nobody_can_check_is_no_pass() {
    let world = world();
    let mut task = task(&["a.txt"], &[], &[]);
    task.accept = vec![
        criterion("unknown", "smells", json!({"path": "a.txt"})),
        criterion("malformed", "contains", json!({"path": "a.txt"})),
        criterion("not-a-regex", "matches", json!({"path": "a.txt", "regex": "("})),
        criterion("denied", "contains", json!({"path": "b/c.txt", "text": "three"})),
    ];
    for criterion in &mut task.accept {
        criterion.looks_at = Vec::new();
    }
    let (ended, _) = world.validate(validator(), &task);
    for finding in ended.result.unwrap() {
        assert_ne!(finding.verdict, Verdict::Pass, "{finding:?}");
    }
}

#[test]
fn the_verifier_checks_every_criterion_of_every_task() {
    let world = world();
    let mut first = task(&[], &[], &[]);
    first.accept = vec![criterion("T1.1", "exists", json!({"path": "a.txt"}))];
    let mut second = task(&[], &[], &[]);
    second.accept = vec![
        criterion("T2.1", "contains", json!({"path": "a.txt", "text": "one"})),
        criterion("T2.2", "exists", json!({"path": "gone.txt"})),
    ];
    let asked: Vec<CriterionId> =
        [&first, &second].iter().flat_map(|task| &task.accept).map(|c| c.id.clone()).collect();
    let ended = world.verify(&[first, second]);
    let examination = Examination {
        findings: ended.result.unwrap(),
        evidence: ended.evidence,
        ..Examination::default()
    };
    let judgement = examination.judge(&asked);
    let unmet: Vec<&str> = judgement.unmet.iter().map(|unmet| unmet.criterion.as_str()).collect();
    assert_eq!(unmet, ["T2.2"]);
}

#[test]
fn the_integration_checker_checks_criteria_and_links() {
    let world = world();
    let link = |id: &str, pattern: &str, to: &str, provides: Option<&str>| Link {
        id: CriterionId::new(id).unwrap(),
        from: "a.txt".to_owned(),
        pattern: pattern.to_owned(),
        to: to.to_owned(),
        provides: provides.map(str::to_owned),
    };
    let links = [
        link("holds", "one", "b/c.txt", Some("three")),
        link("no-reference", "seven", "b/c.txt", None),
        link("no-target", "one", "gone.txt", None),
        link("no-provision", "one", "b/c.txt", Some("four")),
    ];
    let established = [
        criterion("still", "exists", json!({"path": "a.txt"})),
        criterion("broken", "absent", json!({"path": "a.txt"})),
    ];
    let ended = world.check(&established, &links);
    let findings = ended.result.unwrap();
    let asked: Vec<CriterionId> = established
        .iter()
        .map(|criterion| criterion.id.clone())
        .chain(links.iter().map(|link| link.id.clone()))
        .collect();
    let judgement =
        Examination { findings, evidence: ended.evidence, ..Examination::default() }.judge(&asked);
    let unmet: Vec<&str> = judgement.unmet.iter().map(|unmet| unmet.criterion.as_str()).collect();
    assert_eq!(unmet, ["broken", "no-reference", "no-target", "no-provision"]);
}
