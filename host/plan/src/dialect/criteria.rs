//! Acceptance criteria in prose: what plainly is a check of a file, and what a person judges.
//!
//! Invariant: a criterion keeps its author's words, whole; it is a check of a file only if
//! it says nothing but that check.

use idumb_core::{Criterion, CriterionId, PathGlob, TaskId};
use serde_json::{Map, Value};

use super::outline::{Block, BlockKind, Entry, Piece, PieceKind, dedented};
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::Reading;

/// The criteria of one task, numbered as they come.
pub(super) struct Criteria {
    task: TaskId,
    pub(super) all: Vec<Criterion>,
    /// How many were begun, those that were refused among them.
    begun: usize,
}

impl Criteria {
    /// None so far.
    pub(super) fn new(task: TaskId) -> Self {
        Self { task, all: Vec::new(), begun: 0 }
    }

    /// Adds a criterion; `text` is for people.
    pub(super) fn add(
        &mut self,
        reading: &mut Reading<'_>,
        span: Span,
        kind: &str,
        args: &[(&str, Value)],
        text: String,
    ) -> Result<(), Told> {
        self.begun += 1;
        let id = CriterionId::new(format!("{}.{}", self.task, self.begun)).map_err(|error| {
            let message = format!("the criterion's id would be `{}`, which is too long", error.0);
            let problem = Problem::new(Code::BadId, reading.line_of(span), message);
            reading.refuse(problem.label("needs an id").help("give the task a shorter id"))
        })?;
        let args: Map<String, Value> =
            args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let looks_at = args.get("path").and_then(|path| path.as_str()?.parse().ok());
        let (kind, looks_at) = (kind.to_owned(), looks_at.into_iter().collect());
        self.all.push(Criterion { id, text, kind, args, looks_at });
        Ok(())
    }

    /// Adds what only a person can judge.
    pub(super) fn judged(
        &mut self,
        reading: &mut Reading<'_>,
        span: Span,
        text: String,
    ) -> Result<(), Told> {
        if text.trim().is_empty() {
            let problem =
                Problem::new(Code::EmptyText, reading.line_of(span), "a criterion is empty");
            let help = "say what must hold, or take the entry out";
            return Err(reading.refuse(problem.label("nothing here").help(help)));
        }
        // Of a text one line is shown in lists: that of a code block would say nothing.
        let text = match text.trim_start().starts_with("```") {
            true => format!("What this shows is as it should be:\n{text}"),
            false => text,
        };
        let args = [("text", Value::from(text.as_str()))];
        self.add(reading, span, Criterion::JUDGED, &args, text)
    }

    /// Adds an entry of a list.
    pub(super) fn entry(&mut self, reading: &mut Reading<'_>, entry: &Entry) -> Result<(), Told> {
        if entry.ticked == Some(true) {
            let problem = Problem::new(
                Code::NotCarried,
                reading.line_of(entry.text.clone()),
                "a ticked box decides nothing: every criterion is checked",
            );
            let help = "write `[ ]`: what is done is kept beside the plan";
            reading.warn(problem.label("ticked").help(help));
        }
        let check = match entry.blocks.as_slice() {
            [Block { kind: BlockKind::Paragraph(pieces), .. }] => file_check(pieces),
            _ => None,
        };
        let text = dedented(reading.source(), entry.text.clone());
        self.said(reading, entry.text.clone(), check, text)
    }

    /// Adds a text on one line.
    pub(super) fn line(
        &mut self,
        reading: &mut Reading<'_>,
        span: Span,
        pieces: &[Piece],
    ) -> Result<(), Told> {
        self.said(reading, span.clone(), file_check(pieces), dedented(reading.source(), span))
    }

    fn said(
        &mut self,
        reading: &mut Reading<'_>,
        span: Span,
        check: Option<FileCheck>,
        text: String,
    ) -> Result<(), Told> {
        match check {
            Some(FileCheck::Exists(path)) => {
                self.add(reading, span, "exists", &[("path", path.into())], text)
            }
            Some(FileCheck::Contains(path, wanted)) => {
                let args = [("path", path.into()), ("text", wanted.into())];
                self.add(reading, span, "contains", &args, text)
            }
            None => self.judged(reading, span, text),
        }
    }
}

/// A check that a sentence is.
#[derive(Debug, PartialEq, Eq)]
enum FileCheck {
    Exists(String),
    Contains(String, String),
}

/// The check of a file that the sentence is, if it is nothing else: `PATH exists`, or `PATH
/// contains` and one text set as code.
fn file_check(pieces: &[Piece]) -> Option<FileCheck> {
    let (path, said, rest) = match pieces {
        [path, said, rest @ ..] if path.kind == PieceKind::Code && said.kind == PieceKind::Text => {
            (path.text.as_str(), said.text.as_str(), rest)
        }
        [first, rest @ ..] if first.kind == PieceKind::Text => {
            let (path, said) = first.text.split_once(' ')?;
            // A word is a path only if it looks like one.
            if !path.contains(['/', '.']) {
                return None;
            }
            (path, said, rest)
        }
        _ => return None,
    };
    let glob: PathGlob = path.parse().ok()?;
    let path = glob.as_literal()?.to_owned();
    let ends = |rest: &[Piece]| match rest {
        [] => true,
        [last] => last.kind == PieceKind::Text && last.text.trim() == ".",
        _ => false,
    };
    match (said.trim(), rest) {
        ("exists" | "exists.", []) => Some(FileCheck::Exists(path)),
        ("contains", [text, rest @ ..])
            if text.kind == PieceKind::Code && !text.text.is_empty() && ends(rest) =>
        {
            Some(FileCheck::Contains(path, text.text.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::outline::outline;

    #[test]
    fn a_check_is_one_only_if_it_says_nothing_else() {
        let exists = |path: &str| Some(FileCheck::Exists(path.to_owned()));
        let contains =
            |path: &str, text: &str| Some(FileCheck::Contains(path.to_owned(), text.to_owned()));
        let table = [
            ("`src/a.rs` exists", exists("src/a.rs")),
            ("src/a.rs exists.", exists("src/a.rs")),
            ("`Makefile` exists", exists("Makefile")),
            ("`src/a.rs` contains `pub fn a`", contains("src/a.rs", "pub fn a")),
            ("src/a.rs contains ``a ` b``.", contains("src/a.rs", "a ` b")),
            ("Makefile exists", None),
            ("`src/a.rs` exists and is small", None),
            ("`src/[id]/a.rs` exists", None),
            ("`../a.rs` exists", None),
            ("`src/a.rs` contains `a` or `b`", None),
            ("src/a.rs contains everything", None),
            ("it exists", None),
            ("`src/a.rs`", None),
            ("**src/a.rs** exists", None),
        ];
        for (text, expected) in table {
            let blocks = outline(text).blocks;
            let BlockKind::Paragraph(pieces) = &blocks[0].kind else { panic!("{text}") };
            assert_eq!(file_check(pieces), expected, "{text}");
        }
    }
}
