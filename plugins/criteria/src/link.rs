//! Links: a reference in one file to another.
//!
//! Invariant: both files are observed, whatever the first one came to, so that a finding
//! shows both ends.

use idumb_agent::evidence::Kind;
use idumb_agent::{EvidenceRef, Finding, Link, Verdict};

use crate::check::{compile, search};
use crate::ruling::{Checked, Ruling};
use crate::source::{self, Source};

/// Checks that `link.from` refers, and that what it refers to is there.
///
/// The finding has the link's id. It fails if either end does not hold, and is inconclusive
/// if neither fails and one could not be checked.
pub fn evaluate_link(link: &Link, source: &mut dyn Source) -> Finding {
    let from = matching(source, &link.from, &link.pattern, "pattern");
    let to = match &link.provides {
        Some(provides) => matching(source, &link.to, provides, "provides"),
        None => standing(source, &link.to),
    };
    let ends = [from, to].map(|end| end.unwrap_or_else(|early| early));
    let verdict = if ends.iter().any(|end| end.verdict == Verdict::Fail) {
        Verdict::Fail
    } else if ends.iter().any(|end| end.verdict == Verdict::Inconclusive) {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    };
    // Of a link that does not hold, what holds is no news.
    let told = ends.iter().filter(|end| verdict == Verdict::Pass || end.verdict != Verdict::Pass);
    let note = told.map(|end| end.note.as_str()).collect::<Vec<_>>().join("; ");
    let evidence: Vec<EvidenceRef> = ends.iter().flat_map(|end| end.evidence.clone()).collect();
    Ruling { verdict, evidence, note }.into_finding(&link.id)
}

fn matching(source: &mut dyn Source, path: &str, pattern: &str, field: &str) -> Checked {
    match compile(pattern) {
        Ok(regex) => search(source, path, &regex, "has no match of", pattern.as_bytes()),
        Err(why) => {
            let seen = source::observe(source, path)?;
            Err(Ruling::unclear(&seen.id, format!("`{field}` is wrong: {why}")))
        }
    }
}

fn standing(source: &mut dyn Source, path: &str) -> Checked {
    let seen = source::observe(source, path)?;
    Ok(match seen.kind {
        Kind::File | Kind::Dir => Ruling::pass(&seen.id, format!("{path} is there")),
        Kind::Symlink => Ruling::fail(&seen.id, format!("{path} is a link to nowhere")),
        Kind::Absent => Ruling::fail(&seen.id, format!("there is no {path}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Memory, Node};

    fn link(provides: Option<&str>) -> Link {
        Link {
            id: "main-uses-store".into(),
            from: "src/main.rs".into(),
            pattern: "^mod store;$".into(),
            to: "src/store.rs".into(),
            provides: provides.map(str::to_owned),
        }
    }

    fn whole() -> Memory {
        Memory::default()
            .file("src/main.rs", "use std;\nmod store;\n")
            .file("src/store.rs", "pub struct Store;\n")
    }

    #[test]
    fn a_link_that_holds_names_both_files() {
        let mut source = whole();
        let finding = evaluate_link(&link(Some("pub struct Store")), &mut source);
        assert_eq!(finding.criterion, "main-uses-store");
        assert_eq!(finding.verdict, Verdict::Pass, "{}", finding.note);
        assert_eq!(finding.evidence, ["e1", "e2"]);
        assert_eq!(source.observed, ["src/main.rs", "src/store.rs"]);
        assert!(finding.note.contains("src/main.rs, line 2: `mod store;`"), "{}", finding.note);
        assert!(finding.note.contains("src/store.rs, line 1"), "{}", finding.note);
    }

    #[test]
    fn a_link_without_provides_only_asks_for_the_target() {
        assert_eq!(evaluate_link(&link(None), &mut whole()).verdict, Verdict::Pass);
        let mut gone = Memory::default().file("src/main.rs", "mod store;");
        let finding = evaluate_link(&link(None), &mut gone);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.note, "there is no src/store.rs");
        assert_eq!(finding.evidence, ["e1", "e2"]);
    }

    #[test]
    fn each_end_can_fail_and_both_are_looked_at() {
        let mut source = whole().file("src/main.rs", "// mod store;\n");
        let finding = evaluate_link(&link(Some("pub struct Store")), &mut source);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.note, "src/main.rs (1 line) has no match of `^mod store;$`");
        assert_eq!(finding.evidence, ["e1", "e2"]);
        let finding = evaluate_link(&link(Some("pub enum Store")), &mut whole());
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.note.contains("`pub enum Store`"), "{}", finding.note);
    }

    #[test]
    fn what_cannot_be_checked_is_no_pass() {
        let mut denied = whole().with("src/store.rs", Node::Denied);
        let finding = evaluate_link(&link(Some("Store")), &mut denied);
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert!(finding.note.contains("cannot be looked at"), "{}", finding.note);
        let finding = evaluate_link(&link(Some("(")), &mut whole());
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert!(
            finding.note.starts_with("`provides` is wrong: `(` is no regular"),
            "{}",
            finding.note
        );
        assert_eq!(finding.evidence, ["e1", "e2"]);
    }

    #[test]
    fn a_fail_outweighs_what_could_not_be_checked() {
        let mut source = Memory::default().with("src/store.rs", Node::Denied);
        let finding = evaluate_link(&link(None), &mut source);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(
            finding.note.starts_with("there is no src/main.rs; src/store.rs cannot"),
            "{}",
            finding.note
        );
    }
}
