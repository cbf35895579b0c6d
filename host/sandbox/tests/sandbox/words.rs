//! Guests whose lists, texts and questions are too long.
//!
//! Invariant: what cannot be is refused, what can be said shorter is cut, and the host never
//! keeps as much as a guest says.

use std::sync::atomic::Ordering;

use idumb_core::Task;

use crate::alone::alone;
use crate::world::{Attempt, World, assert_a_good_agent_works, task};

fn world() -> World {
    World::new(&[("out/keep", "")])
}

fn doing(what: &str, options: &[(&str, &str)]) -> Task {
    let options: Vec<_> = [("do", what)].iter().chain(options).copied().collect();
    task(&[], &["out/**"], &options)
}

fn misbehave(what: &str, options: &[(&str, &str)]) -> Attempt {
    let attempt = world().misbehave(&doing(what, options));
    assert_a_good_agent_works();
    attempt
}

#[test]
pub(crate) fn list_of_4_gib() {
    for how in [
        "log",
        "progress",
        "path",
        "other-path",
        "observe",
        "question",
        "choices",
        "choices-that-wrap",
        "bytes",
        "stream",
    ] {
        let options = [("how", how), ("path", "out/bytes")];
        misbehave("list_of_4_gib", &options).assert_trap("out of bounds");
    }
}

#[test]
pub(crate) fn aliased_choices() {
    alone("words::aliased_choices", || {
        misbehave("aliased_choices", &[]).assert_trap("host_call");
    });
}

#[test]
pub(crate) fn huge_words() {
    alone("words::huge_words", || {
        let world = world();
        *world.desk.answer.lock().unwrap() = Some("a".to_owned());
        let attempt = world.misbehave(&doing("huge_words", &[]));
        assert_eq!(attempt.summary(), "a; observed: false");
        let lines = world.desk.lines.lock().unwrap();
        assert!(lines.iter().all(|line| line.message.len() < 5000));
        assert!(world.desk.longest.load(Ordering::Relaxed) < 20_000);
        let questions = world.desk.questions.lock().unwrap();
        assert!(questions[0].text.len() < 20_000, "{} bytes", questions[0].text.len());
        assert!(questions[0].choices[0].text.len() < 300);
        let kept = attempt.record.denials.iter().map(|denial| denial.path.len()).max();
        assert!(kept.unwrap_or(0) <= 1024, "{kept:?}");
    });
}

#[test]
pub(crate) fn long_choice() {
    let world = world();
    let ask = |bytes: &str| world.misbehave(&doing("long_choice", &[("bytes", bytes)]));
    for bytes in ["201", "1000000"] {
        assert_eq!(ask(bytes).summary(), "invalid", "{bytes}");
    }
    assert!(world.desk.questions.lock().unwrap().is_empty(), "it was asked");
    *world.desk.answer.lock().unwrap() = Some("i".repeat(200));
    assert_eq!(ask("200").summary(), "200 bytes");
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn many_choices() {
    let world = world();
    let attempt = world.misbehave(&doing("many_choices", &[]));
    assert_eq!(attempt.summary(), "invalid");
    assert!(world.desk.questions.lock().unwrap().is_empty(), "it was asked");
    assert_a_good_agent_works();
}

/// Each becomes two events of the journal, of up to 20 KiB, and a person has to answer it.
#[test]
pub(crate) fn many_questions() {
    let world = world();
    *world.desk.answer.lock().unwrap() = Some("a".to_owned());
    let attempt = world.misbehave(&doing("many_questions", &[]));
    let asked = world.desk.questions.lock().unwrap().len();
    assert!(asked > 0 && asked <= 100, "{asked} were asked");
    match &attempt.ended.result {
        Ok(outcome) => assert_eq!(outcome.summary, format!("{asked} answered")),
        Err(_) => attempt.assert_trap("questions"),
    }
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn long_artifacts() {
    let attempt = misbehave("long_artifacts", &[("path", "out/keep")]);
    let artifacts = &attempt.ended.result.as_ref().unwrap().artifacts;
    // What cannot be a path is no artifact, and what is named twice is one.
    assert_eq!(artifacts, &["out/keep".to_owned(), "b".repeat(4095)]);
}
