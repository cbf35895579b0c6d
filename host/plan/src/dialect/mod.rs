//! The plans that people have: the native one, and Markdown of other tools.
//!
//! Each dialect is a module with a `read` that takes the file's structure and gives a
//! [`Plan`].
//!
//! Invariant: a dialect is told by what a file is, never tried one after the other; all that is
//! wrong with all files of a plan is told at once.

mod criteria;
mod elements;
mod fields;
mod front;
mod gsd;
mod outline;
mod phase;
mod seed;
mod seed_task;
mod words;

use idumb_core::{PhaseId, Plan};

use crate::native;
use crate::problem::{Code, Problem, Refused, RefusedPlan, Told, Warned};
use crate::reading::Reading;
use outline::{BlockKind, Outline, outline};
pub(crate) use phase::slug;

/// A way to write a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `plan.toml`: `.idumb/phases/<number>-<name>/plan.toml`.
    Native,
    /// The seed's first form: `.idumb/governance/plans/<phase>-plan.md`.
    SeedPlan,
    /// The seed's second form: `.planning/phases/<number>/<name>-PLAN.md`.
    SeedPhase,
    /// GSD: `.planning/phases/<number>-<name>/<phase>-<plan>-PLAN.md`, several files a phase.
    Gsd,
}

/// A file of a plan, as its caller read it.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    /// Its path from the project's root, with `/` between names.
    pub path: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// A plan that was taken.
#[derive(Debug)]
pub struct Read {
    /// The plan.
    pub plan: Plan,
    /// What its author should know all the same, file by file.
    pub warnings: Vec<Warned>,
}

/// What is known before a file is read.
#[derive(Clone, Copy)]
struct Known<'a> {
    /// The phase that the file's place names.
    phase: Option<&'a PhaseId>,
    /// The agents of the project's own.
    agents: &'a [&'a str],
}

impl Dialect {
    /// The dialect of a file, by its name and by what is in it; `None` if it is no plan.
    ///
    /// ```
    /// use idumb_plan::Dialect;
    /// assert_eq!(Dialect::detect("plan.toml", "phase = 1"), Some(Dialect::Native));
    /// let markdown = "# Plan\n\n### Task 1: Greet\n\n**ID:** P1-T1\n";
    /// assert_eq!(Dialect::detect("1-hello-plan.md", markdown), Some(Dialect::SeedPlan));
    /// assert_eq!(Dialect::detect("README.md", "# Read me\n"), None);
    /// ```
    pub fn detect(path: &str, text: &str) -> Option<Self> {
        if path.ends_with(".toml") {
            return Some(Self::Native);
        }
        Self::of_markdown(path, text, &outline(text))
    }

    fn of_markdown(path: &str, text: &str, outline: &Outline) -> Option<Self> {
        let front = outline.front.clone().map(|yaml| front::parse(text, yaml));
        let has = |keys: &[&str]| match &front {
            Some(Ok(front)) => keys.iter().any(|key| front.has(key)),
            _ => false,
        };
        if has(&["phase_name", "task_count"]) {
            return Some(Self::SeedPhase);
        }
        let gsd = ["plan", "wave", "must_haves", "files_modified", "autonomous"];
        if has(&gsd) || elements::has_tasks(text, outline.body) {
            return Some(Self::Gsd);
        }
        let task = outline.blocks.iter().any(|block| match &block.kind {
            BlockKind::Heading(3, pieces) => fields::begins_task(&outline::plain(pieces)),
            _ => false,
        });
        let in_place = path.contains(".idumb/governance/plans/");
        match (task || in_place, front.is_some()) {
            (true, true) if !in_place => Some(Self::SeedPhase),
            (true, _) => Some(Self::SeedPlan),
            (false, _) => None,
        }
    }
}

/// Reads the plan that `files` are, in any dialect.
///
/// `expected` is the phase that the files' place names: they must agree with it. `agents` are
/// the names that `idumb.toml` defines: a task is theirs where the plan names one, and else the
/// built-in builder's.
///
/// # Errors
/// Everything that is wrong with every file.
pub fn read_any(
    files: &[SourceFile<'_>],
    expected: Option<&PhaseId>,
    agents: &[&str],
) -> Result<Read, RefusedPlan> {
    let known = Known { phase: expected, agents };
    if let [file] = files
        && file.path.ends_with(".toml")
    {
        let plan = native::read(file.text, file.path, expected);
        return plan
            .map(|plan| Read { plan, warnings: Vec::new() })
            .map_err(|refused| RefusedPlan::new(refused, Vec::new()));
    }
    let outlined: Vec<_> = files.iter().map(|file| (*file, outline(file.text))).collect();
    let dialect = |(file, outline): &(SourceFile<'_>, Outline)| {
        Dialect::of_markdown(file.path, file.text, outline)
    };
    match outlined.as_slice() {
        [] => Err(refused(SourceFile { path: "a plan", text: "" }, no_file)),
        [(file, outline)] if dialect(&outlined[0]) != Some(Dialect::Gsd) => {
            let mut reading = Reading::of_plan(file.text);
            let read = match dialect(&outlined[0]) {
                Some(Dialect::SeedPlan) => {
                    seed::read(&mut reading, outline, seed::Form::Fields, &known)
                }
                Some(Dialect::SeedPhase) => {
                    seed::read(&mut reading, outline, seed::Form::Front, &known)
                }
                _ => Err(unknown(&mut reading)),
            };
            match reading.finish(read, file.path) {
                Ok((plan, warned)) => Ok(Read { plan, warnings: warned.into_iter().collect() }),
                Err(refused) => Err(RefusedPlan::new(refused, Vec::new())),
            }
        }
        several => {
            let others = several.iter().filter(|file| dialect(file) != Some(Dialect::Gsd));
            let mut others = others.map(|(file, _)| refused_file(*file, other));
            if let Some(first) = others.next() {
                return Err(RefusedPlan::new(first, others.collect()));
            }
            match gsd::read(several, &known) {
                Ok((plan, warnings)) => Ok(Read { plan, warnings }),
                Err(Some(refused)) => Err(refused),
                Err(None) => Err(refused(several[0].0, other)),
            }
        }
    }
}

/// A refusal of a file as a whole.
fn refused(file: SourceFile<'_>, tell: fn(&mut Reading<'_>) -> Told) -> RefusedPlan {
    RefusedPlan::new(refused_file(file, tell), Vec::new())
}

fn refused_file(file: SourceFile<'_>, tell: fn(&mut Reading<'_>) -> Told) -> Refused {
    let mut problems = Reading::of_plan(file.text);
    let told = tell(&mut problems);
    problems.refused(told, file.path)
}

fn no_file(reading: &mut Reading<'_>) -> Told {
    let problem = Problem::new(Code::UnknownDialect, 0..0, "there is no file to read a plan from");
    reading.refuse(problem.label("nothing").help("name the files of the plan"))
}

fn other(reading: &mut Reading<'_>) -> Told {
    let message = "this is no GSD plan, as the other files of the phase must be";
    let problem = Problem::new(Code::UnknownDialect, 0..0, message).label("another dialect");
    let help = "only GSD plans are several files: front matter with `phase` and `plan`, and \
                `<task>` elements; move this file elsewhere";
    reading.refuse(problem.help(help))
}

fn unknown(reading: &mut Reading<'_>) -> Told {
    let problem = Problem::new(Code::UnknownDialect, 0..0, "this is a plan in no known dialect");
    let help = "a plan is `plan.toml`, or Markdown with `### Task …:` headings, or with `<task>` \
                elements; docs/plan-format.md shows each";
    reading.refuse(problem.label("no task below").help(help))
}
