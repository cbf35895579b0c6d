//! `idumb diff`: what an attempt would change, or has changed, as a unified diff.
//!
//! Invariant: only reads; what is shown is the change-set that was sealed, by its digest, whatever
//! stands in the project now.

mod patch;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::Result;
use idumb_core::{
    Attempt, Blobs as _, ChangeSet, Digest, Event, RunId, SealedAttempt, Stamped, TaskId,
};
use idumb_journal::{BlobStore, Journal, Reading, RunRow, StateDir};
use idumb_overlay::Base;
use serde_json::json;

use crate::args::{Diff, Format};
use crate::established::recorded_plan;
use crate::fault::{DONE, Fault, INTERNAL};
use crate::output::Objects;
use crate::project::Project;
use crate::record::recorded_events;
use crate::report::Paint;
use crate::text::printable;
use patch::{Lines, Look, Piece};

/// What an attempt left.
struct Left<'a> {
    task: &'a TaskId,
    attempt: Attempt,
    sealed: &'a SealedAttempt,
    integrated: bool,
}

/// A run, and what was asked about it.
struct Meant {
    row: RunRow,
    task: Option<TaskId>,
}

/// Shows what was asked for.
pub(crate) fn diff(project: Option<&Path>, args: &Diff) -> Result<u8> {
    let project = Project::open(project)?;
    let none = || Fault::usage("nothing was run here yet").hint("begin with: idumb execute-phase");
    let state = StateDir::find(&project.root)?.ok_or_else(none)?;
    let journal = Journal::open_read_only(&state)?.ok_or_else(none)?;
    let Meant { row, task } = meant(&journal, args, none)?;
    let events = recorded_events(&journal, &row.run, 0)?;
    let all = left(&events);
    let chosen = chosen(&all, task.as_ref(), args.attempt);
    if chosen.is_empty() {
        return Err(nothing(&row, &all, task.as_ref(), args.attempt).into());
    }
    let base = Base::open(&project.root)?;
    let blobs = BlobStore::find(&state)?.ok_or_else(|| {
        internal("the folder .idumb/state/blobs is gone, and the change-sets with it".to_owned())
            .hint("the paths they changed are still recorded: idumb log --files")
    })?;
    let look = Look { base: &base, blobs: &blobs };
    let mut gone = 0;
    let mut objects = Objects::new(args.output.format, "changes");
    objects.begin()?;
    for left in chosen {
        let change_set = change_set(&blobs, left.sealed.change_set);
        let change_set = change_set.map_err(|error| lost(left, &error))?;
        gone += match args.output.format {
            Format::Text => left.text(&row.run, &change_set, (!args.stat).then_some(&look))?,
            Format::Json | Format::Jsonl => {
                let look = (!args.stat).then_some(&look);
                left.objects(&row.run, &change_set, look, &mut objects)?
            }
        };
    }
    objects.end()?;
    if gone == 0 {
        return Ok(DONE);
    }
    let message = format!("{gone} contents are not in .idumb/state/blobs as they were kept");
    let hint = "what was recorded of them is still there: idumb diff --stat, idumb log --files";
    Err(internal(message).hint(hint).into())
}

/// What a change-set that is not integrated changes, on standard error: of a command whose
/// standard output is its own.
pub(crate) fn show_change_set(
    change_set: &ChangeSet,
    base: &Base,
    blobs: &BlobStore,
) -> std::io::Result<()> {
    let mut out = std::io::stderr().lock();
    let paint = Paint::for_stream(&out);
    for piece in patch::pieces(change_set) {
        let (text, _) = piece.text(&Look { base, blobs });
        out.write_all(patch::shown(text, paint, out.is_terminal()).as_bytes())?;
    }
    Ok(())
}

fn internal(message: String) -> Fault {
    Fault { code: None, exit: INTERNAL, message, hints: Vec::new() }
}

fn meant(journal: &Journal<Reading>, args: &Diff, none: impl Fn() -> Fault) -> Result<Meant> {
    let mut words = [&args.run, &args.task].into_iter().flatten().peekable();
    let first = words.peek().and_then(|word| RunId::new(word.as_str()).ok());
    let named = first.map(|run| journal.run(&run)).transpose()?.flatten();
    let row = match named {
        Some(row) => {
            words.next();
            row
        }
        None if args.task.is_some() => {
            let word = args.run.as_deref().unwrap_or_default();
            return Err(no_run(journal, word)?.into());
        }
        None => journal.latest_run(None)?.ok_or_else(none)?,
    };
    let plan = recorded_plan(journal, &row.run)?;
    let tasks: Vec<TaskId> = plan.tasks.iter().map(|task| task.id.clone()).collect();
    let Some(word) = words.next() else {
        return Ok(Meant { row, task: None });
    };
    match tasks.iter().find(|task| task.as_str() == word) {
        Some(task) => Ok(Meant { row, task: Some(task.clone()) }),
        None => Err(no_task(journal, &row, &tasks, word, args.task.is_none())?.into()),
    }
}

fn no_run(journal: &Journal<Reading>, word: &str) -> Result<Fault> {
    let runs = journal.runs()?;
    let names = runs.iter().map(|row| row.run.as_str());
    Ok(Fault::usage(format!("there is no run `{}` here", printable(word))).hint(idumb_plan::meant(
        word,
        names,
        "the runs are",
    )))
}

fn no_task(
    journal: &Journal<Reading>,
    row: &RunRow,
    tasks: &[TaskId],
    word: &str,
    may_be_run: bool,
) -> Result<Fault> {
    let run = &row.run;
    let message = format!("run {run} has no task `{}`", printable(word));
    let names = tasks.iter().map(TaskId::as_str);
    if !may_be_run {
        return Ok(Fault::usage(message).hint(idumb_plan::meant(word, names, "its tasks are")));
    }
    let runs = journal.runs()?;
    let known = names.chain(runs.iter().map(|row| row.run.as_str()));
    let hint = idumb_plan::meant(word, known, "its tasks, and the runs, are");
    Ok(Fault::usage(format!("{message}, and there is no such run")).hint(hint))
}

/// What the attempts of a run left, in the order in which they did.
fn left(events: &[Stamped]) -> Vec<Left<'_>> {
    let mut all: Vec<Left<'_>> = Vec::new();
    for stamped in events {
        match &stamped.event {
            Event::AttemptSealed { task, attempt, sealed, .. } => {
                all.push(Left { task, attempt: *attempt, sealed, integrated: false });
            }
            Event::TaskSucceeded { task, .. } => {
                if let Some(left) = all.iter_mut().rev().find(|left| left.task == task) {
                    left.integrated = true;
                }
            }
            _ => {}
        }
    }
    all
}

/// Of each task, or of this one, what that attempt left, or the latest.
fn chosen<'a, 'e>(
    all: &'a [Left<'e>],
    task: Option<&TaskId>,
    attempt: Option<Attempt>,
) -> Vec<&'a Left<'e>> {
    let is_meant = |left: &&Left<'_>| {
        task.is_none_or(|task| left.task == task)
            && attempt.is_none_or(|attempt| left.attempt == attempt)
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut chosen: Vec<&Left<'_>> =
        all.iter().rev().filter(is_meant).filter(|left| seen.insert(left.task)).collect();
    chosen.reverse();
    chosen
}

fn nothing(
    row: &RunRow,
    all: &[Left<'_>],
    task: Option<&TaskId>,
    attempt: Option<Attempt>,
) -> Fault {
    let run = &row.run;
    let number = row.phase.number;
    let who = task.map_or_else(|| "no task".to_owned(), ToString::to_string);
    let what = if task.is_some() { "left no change-set" } else { "left a change-set" };
    let attempts: Vec<String> = all
        .iter()
        .filter(|left| task.is_none_or(|task| left.task == task))
        .map(|left| format!("{} attempt {}", left.task, left.attempt))
        .collect();
    match attempt {
        Some(attempt) if !attempts.is_empty() => {
            let message = format!("attempt {attempt} of {who} {what} in run {run}");
            Fault::usage(message).hint(format!("these did: {}", attempts.join(", ")))
        }
        _ => {
            let of = task.map_or_else(String::new, |task| format!(" --task {task}"));
            Fault::usage(format!("{who} {what} in run {run}"))
                .hint(format!("see what became of it: idumb log {number}{of}"))
        }
    }
}

fn change_set(blobs: &BlobStore, digest: Digest) -> std::io::Result<ChangeSet> {
    let mut bytes = Vec::new();
    blobs.open(digest)?.read_to_end(&mut bytes)?;
    if Digest::of(&bytes) != digest {
        return Err(std::io::Error::other("its bytes are not those that were kept"));
    }
    Ok(serde_json::from_slice(&bytes)?)
}

fn lost(left: &Left<'_>, error: &std::io::Error) -> Fault {
    let Left { task, attempt, sealed, .. } = left;
    let digest = sealed.change_set.short();
    internal(format!("change-set {digest} of {task} attempt {attempt} cannot be read: {error}"))
        .hint(format!("the paths it changed are still recorded: idumb log --files --task {task}"))
}

impl Left<'_> {
    /// Prints it for people and for `git apply`; answers how many contents are gone.
    fn text(&self, run: &RunId, change_set: &ChangeSet, look: Option<&Look<'_>>) -> Result<usize> {
        let Self { task, attempt, sealed, integrated } = self;
        let mut out = std::io::stdout().lock();
        let paint = Paint::for_stream(&out);
        let what = if *integrated { "integrated" } else { "not integrated" };
        let digest = sealed.change_set.short();
        let head = format!("{task} attempt {attempt} of run {run}, change-set {digest}, {what}");
        writeln!(out, "{}", paint.strong(&head))?;
        if change_set.changes.is_empty() {
            writeln!(out, "it changes nothing")?;
        }
        let Some(look) = look else {
            for change in &change_set.changes {
                writeln!(out, "{}", Piece::whole(change_set, change).stat())?;
            }
            return Ok(0);
        };
        let mut gone = 0;
        for piece in patch::pieces(change_set) {
            let (text, is_gone) = piece.text(look);
            gone += usize::from(is_gone);
            out.write_all(patch::shown(text, paint, out.is_terminal()).as_bytes())?;
        }
        Ok(gone)
    }

    /// Prints it for programs, raw; answers how many contents are gone.
    fn objects(
        &self,
        run: &RunId,
        change_set: &ChangeSet,
        look: Option<&Look<'_>>,
        objects: &mut Objects,
    ) -> Result<usize> {
        let mut gone = 0;
        for change in &change_set.changes {
            let piece = Piece::whole(change_set, change);
            let shown = look.map_or(Lines::Same, |look| piece.lines(look));
            gone += usize::from(matches!(shown, Lines::Gone(_)));
            let (diff, not_shown) = match &shown {
                Lines::Same => (None, None),
                Lines::Shown(lines) => (Some(lines), None),
                Lines::Not(why) | Lines::Gone(why) => (None, Some(why)),
            };
            let object = json!({
                "run": run, "task": self.task, "attempt": self.attempt,
                "integrated": self.integrated, "change_set": self.sealed.change_set,
                "path": change.path, "change": piece.word(), "renamed_from": change.renamed_from,
                "before": change.before, "after": change.after,
                "diff": diff, "not_shown": not_shown,
            });
            objects.print(&object)?;
        }
        Ok(gone)
    }
}
