//! Words, questions and memory.
//!
//! Invariant: an agent's words reach the desk as they are, bounded; nothing of a call is
//! left for the next.

use idumb_core::{CriterionId, Feedback, Unmet, Verdict};

use crate::world::{World, task};

#[test]
pub(crate) fn disguised_words() {
    let world = World::new(&[("out/keep", "")]);
    let task = task(&[], &["out/**"], &[("do", "disguised_words"), ("path", "out")]);
    let attempt = world.misbehave(&task);
    // Raw here: whoever shows them escapes them.
    assert!(attempt.summary().starts_with("\u{1b}[2J"), "{:?}", attempt.summary());
    assert!(attempt.ended.log.iter().any(|line| line.message.contains("\u{202e}txt.exe")));
    attempt.denial("elsewhere-\u{1b}[2J\u{202e}");
    let changes = attempt.changes(&world);
    assert_eq!(changes.paths().collect::<Vec<_>>(), ["out/\u{1b}[2J\u{202e}name"]);
}

#[test]
pub(crate) fn ask() {
    let world = World::new(&[]);
    let task = task(&[], &[], &[("do", "ask")]);
    assert_eq!(world.misbehave(&task).summary(), "unattended invalid invalid");
    *world.desk.answer.lock().unwrap() = Some("b".to_owned());
    assert_eq!(world.misbehave(&task).summary(), "b invalid invalid");
    let questions = world.desk.questions.lock().unwrap();
    assert_eq!(questions.len(), 2, "malformed ones are not asked");
    assert_eq!(questions[0].text, "Which?");
    assert_eq!(questions[0].choices[1].text, "The second");
}

#[test]
pub(crate) fn remember() {
    let world = World::new(&[]);
    let task = task(&[], &[], &[("do", "remember")]);
    assert_eq!(world.misbehave(&task).summary(), "call 1");
    assert_eq!(world.misbehave(&task).summary(), "call 1", "the instance outlived its call");
}

#[test]
pub(crate) fn learn() {
    let mut world = World::new(&[]);
    let task = task(&[], &["out.txt"], &[("do", "learn"), ("path", "out.txt")]);
    let first = world.misbehave(&task).changes(&world);
    let unmet = Unmet {
        criterion: CriterionId::new("P1-T1.1").unwrap(),
        verdict: Verdict::Fail,
        note: "too short".to_owned(),
        breaks: None,
    };
    world.context.attempt = 2;
    world.context.feedback = Feedback { unmet: vec![unmet], note: None };
    let attempt = world.misbehave(&task);
    assert_eq!(attempt.summary(), "attempt 2");
    let second = attempt.changes(&world);
    let digest = idumb_core::Digest::of(b"P1-T1.1: too short\n");
    let entry = second.changes[0].after.clone();
    assert!(
        matches!(entry, Some(idumb_core::Entry::File { digest: found, .. }) if found == digest),
        "{second:?}"
    );
    assert_ne!(first, second);
}

#[test]
pub(crate) fn wait_for_other() {
    let world = World::new(&[("from.txt", "before"), ("until.txt", "")]);
    let options = [
        ("do", "wait_for_other"),
        ("from", "from.txt"),
        ("until", "until.txt"),
        ("path", "to.txt"),
    ];
    let attempt = world.misbehave(&task(&["from.txt", "until.txt"], &["to.txt"], &options));
    let read: Vec<&str> = attempt.record.reads.iter().map(|read| read.path.as_str()).collect();
    assert!(read.contains(&"from.txt") && read.contains(&"until.txt"), "{read:?}");
    assert_eq!(attempt.changes(&world).paths().collect::<Vec<_>>(), ["to.txt"]);
}

/// What the host was doing for it ended with its call, and it answered before it was ended
/// itself: that answer is about an error that no agent has to know of.
#[test]
pub(crate) fn say_and_look() {
    let world = World::new(&[("open.txt", "for everybody\n")]);
    let options = [("do", "say_and_look"), ("path", "open.txt")];
    let task = task(&["open.txt"], &[], &options);
    assert_eq!(world.misbehave(&task).summary(), "observed: true");
    world.stopped_at_a_word().misbehave(&task).assert_stopped();
}
