//! The native plan, `plan.toml`: `docs/plan-format.md`.
//!
//! Invariant: a plan that was read has unique ids, no cycle, and a criterion for every
//! task, as [`Plan`] promises.

pub(crate) mod kinded;
pub(crate) mod kinds;
pub(crate) mod says;
pub(crate) mod task;
mod write;

use idumb_core::{CriterionId, Digest, Link, PhaseId, Plan, Task, TaskId};

use crate::names::Names;
use crate::order;
use crate::problem::{Code, Document, Problem, Refused, Told};
use crate::reading::{Item, Reading, Table, every, read_document};

pub use write::{NotNative, to_native};
pub(crate) use write::{Parts, in_parts};

pub(crate) const KEYS: &[&str] =
    &["phase", "name", "goal", "depends_on", "supersedes", "tasks", "links"];
pub(crate) const LINK_KEYS: &[&str] = &["from", "pattern", "to", "provides", "id"];

/// Reads a whole plan.
pub(crate) fn read(
    source: &str,
    file_name: &str,
    expected: Option<&PhaseId>,
) -> Result<Plan, Refused> {
    read_document(Document::Plan, source, file_name, |reading, root| {
        plan(reading, root, expected, Digest::of(source.as_bytes()))
    })
}

fn plan(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    expected: Option<&PhaseId>,
    digest: Digest,
) -> Result<Plan, Told> {
    let stray = reading.only(root, KEYS);
    let phase = phase(reading, root, expected);
    let goal = reading
        .required(root, "goal", "goal = \"What the phase is to achieve\"")
        .and_then(|item| reading.words(&item));
    let depends_on = prerequisites(reading, root, phase.as_ref().ok().or(expected));
    let supersedes = root.get("supersedes").map(|item| {
        let items = reading.list(&item)?;
        every(&items, |item| reading.id::<CriterionId>(item))
    });
    let mut criteria = Names::new("criterion or link");
    let tasks = tasks(reading, root, &mut criteria);
    let links = links(reading, root, &mut criteria);
    stray?;
    Ok(Plan {
        phase: phase?,
        goal: goal?.to_owned(),
        depends_on: depends_on?,
        supersedes: supersedes.transpose()?.unwrap_or_default(),
        tasks: tasks?,
        links: links?,
        digest,
    })
}

/// The phase that the file says it is for, which must be the expected one.
fn phase(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    expected: Option<&PhaseId>,
) -> Result<PhaseId, Told> {
    let number = reading.required(root, "phase", "phase = 1").and_then(|item| {
        let number = reading.small_number(&item, 0..=u32::MAX)?;
        match expected {
            Some(expected) if expected.number != number => {
                let line = format!("phase = {}", expected.number);
                Err(other_phase(reading, &item, expected, &line))
            }
            _ => Ok(number),
        }
    });
    let name = phase_name(reading, root, expected);
    Ok(PhaseId { number: number?, name: name? })
}

fn phase_name(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    expected: Option<&PhaseId>,
) -> Result<String, Told> {
    let item = match (root.get("name"), expected) {
        (None, Some(expected)) => return Ok(expected.name.clone()),
        (None, None) => reading.required(root, "name", "name = \"foundation\"")?,
        (Some(item), _) => item,
    };
    let text = reading.text(&item)?;
    let named = PhaseId::new(0, text).map_err(|_| reading.bad_id(item.span.clone(), text))?;
    match expected {
        Some(expected) if expected.name != named.name => {
            let line = format!("name = \"{}\"", expected.name);
            Err(other_phase(reading, &item, expected, &line))
        }
        _ => Ok(named.name),
    }
}

fn other_phase(reading: &mut Reading<'_>, item: &Item<'_>, expected: &PhaseId, line: &str) -> Told {
    let message = format!("the plan is in the folder of phase `{expected}`, and says otherwise");
    let help = format!("write `{line}`, or move the plan to its own folder");
    reading.refuse_value(Code::OtherPhase, item, message, "another phase", help)
}

/// The phases that must be completed before, as the author names them.
fn prerequisites(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    phase: Option<&PhaseId>,
) -> Result<Vec<String>, Told> {
    let Some(item) = root.get("depends_on") else {
        return Ok(Vec::new());
    };
    let items = reading.list(&item)?;
    let mut seen = Names::new("phase");
    every(&items, |item| {
        let text = match (item.as_count(), item.as_text()) {
            (Some(_), _) => reading.small_number(item, 0..=u32::MAX)?.to_string(),
            (_, Some(_)) => reading.id::<TaskId>(item)?.to_string(),
            _ => {
                let example = "a number such as `1`, or a name in quotes";
                return Err(reading.wrong_type(item, "a phase's number or name", example));
            }
        };
        if phase.is_some_and(|phase| phase.is_meant_by(&text)) {
            let message = "a phase cannot be completed before itself";
            let help = "leave it out, or name the phase that comes before";
            let label = "this phase";
            return Err(reading.refuse_value(Code::SelfDependency, item, message, label, help));
        }
        seen.once(reading, Code::DuplicateDependency, &text, &item.span)?;
        Ok(text)
    })
}

/// The tasks, in the order of the file.
fn tasks(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    criteria: &mut Names,
) -> Result<Vec<Task>, Told> {
    let tables = match root.get("tasks") {
        Some(item) => reading.tables(&item, "a task")?,
        None => Vec::new(),
    };
    if tables.is_empty() {
        let span = root.get("tasks").map_or(root.span.clone(), |item| item.span);
        let problem = Problem::new(Code::NoTasks, span, "the plan has no tasks");
        let help = "add one: `[[tasks]]` with `id`, `title`, `writes` and `accept`; \
                    docs/plan-format.md shows a whole plan";
        return Err(reading.refuse(problem.label("no `[[tasks]]`").help(help)));
    }
    let mut ids = Names::new("task");
    let mut drafts = Vec::new();
    let tasks = every(tables, |table| {
        let (draft, task) = task::read_task(reading, &table?, &mut ids, criteria);
        drafts.push(draft);
        task
    });
    let ordered = order::check(reading, &drafts, "depends_on");
    ordered?;
    tasks
}

/// The references between files.
fn links(reading: &mut Reading<'_>, root: &Table<'_>, ids: &mut Names) -> Result<Vec<Link>, Told> {
    let tables = match root.get("links") {
        Some(item) => reading.tables(&item, "a link")?,
        None => return Ok(Vec::new()),
    };
    every(tables.into_iter().enumerate(), |(index, table)| link(reading, &table?, index + 1, ids))
}

fn link(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    number: usize,
    ids: &mut Names,
) -> Result<Link, Told> {
    let stray = reading.only(table, LINK_KEYS);
    let id = match table.get("id") {
        Some(item) => reading.id::<CriterionId>(&item).map(|id| (id, item.span)),
        None => CriterionId::new(format!("link.{number}"))
            .map(|id| (id, table.span.clone()))
            .map_err(|error| reading.bad_id(table.span.clone(), &error.0)),
    };
    let id = id.and_then(|(id, span)| {
        ids.once(reading, Code::DuplicateId, id.as_str(), &span).map(|()| id)
    });
    let from = reading
        .required(table, "from", "from = \"src/main.rs\"")
        .and_then(|item| reading.literal(&item));
    let pattern = reading
        .required(table, "pattern", "pattern = 'mod store;'")
        .and_then(|item| reading.regex(&item));
    let to = reading
        .required(table, "to", "to = \"src/store.rs\"")
        .and_then(|item| reading.literal(&item));
    let provides = table.get("provides").map(|item| reading.regex(&item)).transpose();
    stray?;
    Ok(Link {
        id: id?,
        from: from?.into(),
        pattern: pattern?.to_owned(),
        to: to?.into(),
        provides: provides?.map(str::to_owned),
    })
}
