//! Reports in files, for other tools: JUnit XML and Markdown.
//!
//! Invariant: written when the run comes to rest, aside and renamed; a report that cannot be
//! written is told and stops nothing. Agents' words are made safe for each format.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use idumb_core::{
    Criterion, ErrorCode, Event, RunOutcome, Stamped, Task, TaskRecord, TaskState, Trouble, Unmet,
    Verdict,
};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::args::ReportArg;
use crate::report::{Reporter, Scene};
use crate::text::printable;

/// Writes one report.
pub(crate) struct File {
    what: ReportArg,
}

impl File {
    pub(crate) fn new(what: ReportArg) -> Self {
        Self { what }
    }
}

impl Reporter for File {
    fn event(&mut self, stamped: &Stamped, scene: &Scene<'_>) {
        let ended = match &stamped.event {
            Event::RunFinished { outcome } => outcome_text(outcome),
            Event::RunPaused { reason, .. } => format!("paused: {}", printable(reason)),
            _ => return,
        };
        let (path, text) = match &self.what {
            ReportArg::Junit(path) => (path, junit(scene)),
            ReportArg::Markdown(path) => (path, Ok(markdown(scene, &ended))),
        };
        if let Err(error) = text.and_then(|text| replace(path, &text)) {
            crate::tell(&format!("idumb: the report {}: {error}", path.display()));
        }
    }
}

fn outcome_text(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Completed => "completed".to_owned(),
        RunOutcome::Failed { code, reason } => {
            format!("failed: {code} {}: {}", code.cause(), printable(reason))
        }
        RunOutcome::Refused { reason } => format!("refused: {}", printable(reason)),
        RunOutcome::Cancelled { reason } => format!("cancelled: {}", printable(reason)),
    }
}

/// Whoever reads it finds the old one or the new one, whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut aside: PathBuf = path.to_owned();
    aside.as_mut_os_string().push(format!(".{}.new", std::process::id()));
    let written = fs::write(&aside, text).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        // What matters is why.
        let _ = fs::remove_file(&aside);
    }
    written
}

/// What one criterion of a task came to in its latest attempt.
enum Came {
    Held,
    Not(String),
    /// Nobody looked at it.
    Open(String),
}

fn came(task: &Task, criterion: &Criterion, record: Option<&TaskRecord>) -> Came {
    let Some(record) = record else { return Came::Open("the task was not begun".to_owned()) };
    if matches!(record.state, TaskState::Succeeded) {
        return Came::Held;
    }
    let Some(Trouble::Rejected { unmet }) = record.trouble() else {
        let why = record.trouble().map(|trouble| printable(&trouble.to_string()));
        return Came::Open(why.unwrap_or_else(|| format!("task {} is not done", task.id)));
    };
    let own = |unmet: &&Unmet| unmet.breaks.is_none() && unmet.criterion == criterion.id;
    match unmet.iter().find(own) {
        Some(unmet) if unmet.verdict == Verdict::Fail => Came::Not(printable(&unmet.note)),
        Some(unmet) => Came::Open(printable(&unmet.note)),
        None => Came::Held,
    }
}

/// What a task's latest attempt broke of others'.
fn broken(record: Option<&TaskRecord>) -> impl Iterator<Item = &Unmet> {
    let failed = record.filter(|record| !matches!(record.state, TaskState::Succeeded));
    let unmet = match failed.and_then(TaskRecord::trouble) {
        Some(Trouble::Rejected { unmet }) => unmet.as_slice(),
        _ => &[],
    };
    unmet.iter().filter(|unmet| unmet.breaks.is_some())
}

/// A suite for each task, with a case for each of its criteria.
fn junit(scene: &Scene<'_>) -> io::Result<String> {
    let mut report = Report::new(format!("idumb phase {}", scene.plan.phase));
    for task in &scene.plan.tasks {
        let record = scene.state.task(&task.id);
        let mut suite = TestSuite::new(format!("{} {}", task.id, printable(&task.title)));
        if let Some(took) = record.and_then(|record| record.latest.as_ref()?.took_ms) {
            suite.set_time(Duration::from_millis(took));
        }
        for criterion in &task.accept {
            let status = match came(task, criterion, record) {
                Came::Held => TestCaseStatus::success(),
                Came::Not(note) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(note).set_type(ErrorCode::E005.to_string());
                    status
                }
                Came::Open(note) => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(note);
                    status
                }
            };
            let name = format!("{} {}", criterion.id, printable(&criterion.text));
            let mut case = TestCase::new(name, status);
            case.set_classname(task.id.to_string());
            suite.add_test_case(case);
        }
        for unmet in broken(record) {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(printable(&unmet.note)).set_type(ErrorCode::E005.to_string());
            suite.add_test_case(TestCase::new(format!("{} again", unmet.criterion), status));
        }
        // A task may fail without a criterion that does.
        let trouble = record.and_then(TaskRecord::trouble);
        let failed = trouble.filter(|trouble| {
            !matches!(trouble, Trouble::Rejected { .. })
                && record.is_some_and(|record| !matches!(record.state, TaskState::Succeeded))
        });
        if let Some(trouble) = failed {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status
                .set_message(printable(&trouble.to_string()))
                .set_type(trouble.code().to_string());
            suite.add_test_case(TestCase::new(format!("{} attempt", task.id), status));
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(io::Error::other)
}

fn markdown(scene: &Scene<'_>, ended: &str) -> String {
    let progress = scene.progress();
    let mut out = format!("# Phase {}: {}\n\n", scene.plan.phase, cell(ended));
    let _ = writeln!(
        out,
        "Run {}: {} of {} tasks are done.\n",
        scene.config().run,
        progress.completed,
        progress.total
    );
    let _ = writeln!(out, "| | task | criteria that hold | what is open |\n|---|---|---|---|");
    for task in &scene.plan.tasks {
        let record = scene.state.task(&task.id);
        let done = record.is_some_and(|record| matches!(record.state, TaskState::Succeeded));
        let came: Vec<Came> =
            task.accept.iter().map(|criterion| came(task, criterion, record)).collect();
        let held = came.iter().filter(|came| matches!(came, Came::Held)).count();
        let open = came.iter().find_map(|came| match came {
            Came::Held => None,
            Came::Not(note) | Came::Open(note) => Some(note.as_str()),
        });
        let open = open.or_else(|| broken(record).next().map(|unmet| unmet.note.as_str()));
        let (mark, title) = (if done { "✓" } else { "✗" }, cell(&task.title));
        let open = cell(open.unwrap_or_default());
        let (id, all) = (&task.id, came.len());
        let _ = writeln!(out, "| {mark} | {id}: {title} | {held} of {all} | {open} |");
    }
    out
}

/// Text that is text in a table of Markdown, whatever is in it.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in printable(text).chars() {
        if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | ':' | '-' | '(' | ')' | '/' | '\'')
        {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_words_are_no_markup() {
        assert_eq!(cell("a|b <b> [x](y) `c`"), "a\\|b \\<b\\> \\[x\\](y) \\`c\\`");
        assert_eq!(cell("one\u{1b}[2J"), "one\\\\u\\{1b\\}\\[2J");
    }
}
