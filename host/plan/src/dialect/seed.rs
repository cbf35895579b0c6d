//! The seed's plans: tasks as headings and fields, in one file.
//!
//! Invariant: a plan that was read has unique ids, no cycle, and for every task a
//! description, an estimate and a criterion.

use idumb_core::{Digest, PhaseId, Plan, Task};

use super::Known;
use super::fields::{Around, Field, Written, tasks};
use super::front::{Front, front};
use super::outline::{Outline, dedented, plain, span_of};
use super::phase::{agreed, slug};
use super::seed_task::OneTask;
use crate::names::Names;
use crate::order::{self, Draft};
use crate::problem::{Code, Problem, Told};
use crate::reading::{Reading, every};
use crate::suggest::listed;

/// Which of the seed's two ways to write a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `### Task 1: Name`, with the id in a field.
    Fields,
    /// Front matter, and `### Task T1-001: Title`.
    Front,
}

/// The keys of the front matter. Beside the phase, they are about the document.
const KEYS: &[&str] = &[
    "type",
    "phase",
    "phase_name",
    "status",
    "created",
    "updated",
    "created_by",
    "validated_by",
    "validation_score",
    "task_count",
    "estimated_hours",
];

/// Reads a whole plan.
pub(super) fn read(
    reading: &mut Reading<'_>,
    outline: &Outline,
    form: Form,
    known: &Known<'_>,
) -> Result<Plan, Told> {
    let front = front_matter(reading, outline, form);
    let (around, written) = tasks(reading, outline);
    let phase = match &front {
        Ok(front) => phase(reading, front.as_ref(), &around, known),
        Err(told) => Err(*told),
    };
    let goal = goal(reading, &around, phase.as_ref().ok());
    let checked = front.as_ref().ok().and_then(Option::as_ref);
    let counted = checked.map_or(Ok(()), |front| about(reading, front, written.len()));
    let tasks = all_tasks(reading, outline, written, form, known);
    not_carried(reading, &around);
    front?;
    counted?;
    Ok(Plan {
        phase: phase?,
        goal: goal?,
        depends_on: Vec::new(),
        supersedes: Vec::new(),
        tasks: tasks?,
        links: Vec::new(),
        digest: Digest::of(reading.source().as_bytes()),
    })
}

fn front_matter<'a>(
    reading: &mut Reading<'a>,
    outline: &Outline,
    form: Form,
) -> Result<Option<Front<'a>>, Told> {
    match (&outline.front, form) {
        (Some(yaml), _) => front(reading, yaml.clone()).map(Some),
        (None, Form::Fields) => Ok(None),
        (None, Form::Front) => {
            let at = outline.body..outline.body;
            let message = "the plan needs front matter";
            let problem = Problem::new(Code::MissingKey, at, message).label("before this");
            let help = "begin the file with `---`, `phase: 1`, `phase_name: \"…\"`, `---`";
            Err(reading.refuse(problem.help(help)))
        }
    }
}

/// Which phase the plan is for: what the file says, and what its place says.
fn phase(
    reading: &mut Reading<'_>,
    front: Option<&Front<'_>>,
    around: &Around,
    known: &Known<'_>,
) -> Result<PhaseId, Told> {
    if let Some(front) = front {
        let table = front.table();
        let name = table.get("phase_name").map(|item| reading.yaml_text(&item)).transpose();
        let number = reading
            .required(&table, "phase", "phase: 1")
            .and_then(|item| Ok((reading.yaml_text(&item)?, item.span)));
        let (text, span) = number?;
        return agreed(reading, &text, span, name?.as_deref().map(slug), known);
    }
    let line = around.lines.iter().find(|(name, ..)| name.eq_ignore_ascii_case("phase"));
    match line {
        Some((_, label, value)) => {
            let span = span_of(value).unwrap_or(label.clone());
            let text = plain(value);
            let (number, name) = match text.split_once([':', '-', '(', '–', '—']) {
                Some((number, name)) => (number, Some(slug(name)).filter(|name| !name.is_empty())),
                None => (text.as_str(), None),
            };
            let number = number.split('/').next().unwrap_or_default().trim().to_owned();
            agreed(reading, &number, span, name, known)
        }
        None => known.phase.cloned().ok_or_else(|| {
            let message = "which phase the plan is for is not said";
            let problem = Problem::new(Code::OtherPhase, 0..0, message).label("neither here");
            let help = "name the file `<number>-<name>-plan.md`, such as `1-foundation-plan.md`";
            reading.refuse(problem.help(help))
        }),
    }
}

/// What the phase is to achieve: what is said under that name, or the file's title.
fn goal(
    reading: &mut Reading<'_>,
    around: &Around,
    phase: Option<&PhaseId>,
) -> Result<String, Told> {
    let named = |name: &str| ["goal", "objective"].iter().any(|n| n.eq_ignore_ascii_case(name));
    let line = around.lines.iter().find(|(name, ..)| named(name)).map(|(_, _, value)| plain(value));
    let section = around.sections.iter().find(|(name, ..)| is_goal(name));
    let below = section.and_then(|(_, _, below)| below.clone());
    let below = below.map(|below| dedented(reading.source(), below));
    let goal = line.or(below).or(around.title.clone()).filter(|goal| !goal.trim().is_empty());
    match (goal, phase) {
        (Some(goal), _) => Ok(goal),
        (None, Some(phase)) => Ok(phase.name.clone()),
        // What is wrong with the phase was told.
        (None, None) => Ok(String::new()),
    }
}

fn is_goal(heading: &str) -> bool {
    ["goal", "goals", "objective", "objectives"].iter().any(|n| n.eq_ignore_ascii_case(heading))
}

/// Checks what the front matter says of the document.
fn about(reading: &mut Reading<'_>, front: &Front<'_>, count: usize) -> Result<(), Told> {
    let table = front.table();
    let stray = reading.only(&table, KEYS);
    let kind = table.get("type").map_or(Ok(()), |item| {
        let text = reading.yaml_text(&item)?;
        if text == "plan" || text.ends_with("-plan") {
            return Ok(());
        }
        let message = format!("a document of the type `{text}` is no plan");
        let help = "write `type: plan`";
        Err(reading.refuse_value(Code::UnknownType, &item, message, "no plan", help))
    });
    if let Some(item) = table.get("task_count") {
        let counted = item.as_count();
        if counted.is_some_and(|counted| usize::try_from(counted) != Ok(count)) {
            let message = format!("the plan has {count} tasks, and `task_count` says otherwise");
            let problem = Problem::new(Code::OtherCount, item.span, message).label("another count");
            reading.warn(problem.help("correct it, or look for a task that is missing"));
        }
    }
    stray.and(kind)
}

/// Warns of what is for people only.
fn not_carried(reading: &mut Reading<'_>, around: &Around) {
    let filled =
        around.sections.iter().filter(|(name, _, below)| below.is_some() && !is_goal(name));
    let filled: Vec<_> = filled.collect();
    let Some((_, span, _)) = filled.first() else { return };
    let names = listed(filled.iter().map(|(name, ..)| name.as_str()));
    let message = format!("what stands below {names} is for people: no agent is given it");
    let span = reading.line_of(span.clone());
    let problem = Problem::new(Code::NotCarried, span, message).label("not carried on");
    reading.warn(problem.help("what an agent is to know, say in its task's description"));
}

fn all_tasks(
    reading: &mut Reading<'_>,
    outline: &Outline,
    written: Vec<Result<Written, Told>>,
    form: Form,
    known: &Known<'_>,
) -> Result<Vec<Task>, Told> {
    if written.is_empty() {
        let at = outline.body..outline.body;
        let problem = Problem::new(Code::NoTasks, at, "the plan has no tasks");
        let example = match form {
            Form::Fields => "`### Task 1: Its name`, and below it `**ID:** P1-T1` and so on",
            Form::Front => "`### Task T1-001: Its title`, and below it its fields",
        };
        let help = format!("write {example}; docs/plan-format.md shows a whole task");
        return Err(reading.refuse(problem.label("no `### Task …:` below").help(help)));
    }
    let count = written.len();
    let mut ids = Names::new("task");
    let mut drafts = Vec::new();
    let mut dependencies = "Dependencies".to_owned();
    let tasks = every(written, |written| {
        let written = written?;
        if let Some(given) = written.get(Field::Dependencies) {
            dependencies.clone_from(&given.name);
        }
        let mut draft = Draft::default();
        let task = OneTask { written: &written, form, known }.read(reading, &mut ids, &mut draft);
        drafts.push(draft);
        task
    });
    // A task that is not known of makes dependencies on it look unknown.
    if tasks.is_err() && (drafts.len() < count || drafts.iter().any(|draft| draft.id.is_none())) {
        return tasks;
    }
    order::check(reading, &drafts, &dependencies)?;
    tasks
}
