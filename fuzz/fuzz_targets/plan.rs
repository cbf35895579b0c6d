//! Text that is to be a plan, an `idumb.toml` or a file of rules, by a fuzzer's bytes. How to run
//! it is in `fuzz/Cargo.toml`.
//!
//! Invariant: what is read is what the types promise, and the same each time; what is refused is
//! refused with places that are in the text, and shown with nothing that steers a terminal.

#![no_main]

use std::collections::BTreeSet;
use std::fmt::Debug;

use idumb_core::{Digest, Plan, TaskId};
use idumb_plan::{Look, Refused, read_config, read_plan, read_rules, render, render_as};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    if let Some(plan) = twice(source, |source| read_plan(source, "plan.toml", None)) {
        is_a_plan(&plan, source);
    }
    twice(source, |source| read_config(source, "idumb.toml"));
    twice(source, |source| read_rules(source, "night.toml"));
});

/// What a reader takes, which must be the same the second time; or what it refuses.
fn twice<T: Debug + PartialEq>(
    source: &str,
    read: impl Fn(&str) -> Result<T, Refused>,
) -> Option<T> {
    match (read(source), read(source)) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one, other);
            Some(one)
        }
        (Err(one), Err(other)) => {
            assert_eq!(render(&one), render(&other));
            is_a_refusal(&one, source);
            None
        }
        (one, other) => panic!("first {one:?}, then {other:?}"),
    }
}

fn is_a_refusal(refused: &Refused, source: &str) {
    let problems = refused.problems();
    assert!(!problems.is_empty());
    assert!(problems.is_sorted_by_key(|problem| problem.span().start));
    for problem in problems {
        assert!(source.get(problem.span()).is_some(), "{problem:?} is not in the text");
    }
    let narrow = Look { width: 40, ..Look::PLAIN };
    for shown in [render(refused), render_as(refused, narrow)] {
        let mut chars = shown.chars().peekable();
        while let Some(c) = chars.next() {
            let ends_line = c == '\n' || (c == '\r' && chars.peek() == Some(&'\n'));
            let bidi = matches!(
                c,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            );
            assert!(!bidi && (!c.is_control() || ends_line || c == '\t'), "{c:?} in {shown:?}");
        }
    }
}

fn is_a_plan(plan: &Plan, source: &str) {
    assert_eq!(plan.digest, Digest::of(source.as_bytes()));
    let json = serde_json::to_string(plan).expect("a plan is JSON");
    assert_eq!(&serde_json::from_str::<Plan>(&json).expect("it was just written"), plan);
    let ids: BTreeSet<&TaskId> = plan.tasks.iter().map(|task| &task.id).collect();
    assert!(!ids.is_empty());
    assert_eq!(ids.len(), plan.tasks.len(), "an id twice");
    let criteria = plan.tasks.iter().flat_map(|task| &task.accept).map(|criterion| &criterion.id);
    let links = plan.links.iter().map(|link| &link.id);
    let said: Vec<_> = criteria.chain(links).collect();
    assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len(), "an id twice");
    for task in &plan.tasks {
        assert!(!task.accept.is_empty(), "{} has no criterion", task.id);
        assert!(task.depends_on.iter().all(|other| ids.contains(other) && other != &task.id));
    }
    // No cycle: each task comes, once, after what it depends on.
    for size in [1, 3] {
        let mut done: BTreeSet<TaskId> = BTreeSet::new();
        for batch in plan.batches(size) {
            assert!(!batch.is_empty() && batch.len() <= size);
            for id in &batch {
                let task = plan.task(id).expect("a task of the plan");
                assert!(task.depends_on.iter().all(|other| done.contains(other)));
            }
            assert!(batch.into_iter().all(|id| done.insert(id)), "a task twice");
        }
        assert_eq!(done.len(), ids.len(), "a task was left out");
    }
}
