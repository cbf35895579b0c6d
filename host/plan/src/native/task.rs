//! Reading one task: its words, its grants, its steps and its criteria.
//!
//! Invariant: a task that was read has at least one criterion, and none of its steps
//! names a path that the task does not grant.

use std::collections::BTreeMap;

use idumb_core::{
    Capability, Checkpoint, CheckpointAt, Criterion, CriterionId, Grants, Step, Task, TaskId,
};

use super::kinded::{Family, read_kinded};
use super::kinds::{CRITERIA, STEPS};
use super::says::sentence;
use crate::limits::task_limits;
use crate::names::Names;
use crate::order::Draft;
use crate::problem::{Code, Problem, Told};
use crate::reading::{Item, Reading, Table, every};
use crate::suggest::meant;

pub(crate) const KEYS: &[&str] = &[
    "id",
    "title",
    "description",
    "agent",
    "depends_on",
    "reads",
    "writes",
    "artifacts",
    "commands",
    "timeout",
    "limits",
    "retries",
    "checkpoint",
    "human",
    "options",
    "steps",
    "accept",
];

/// The words of `checkpoint`.
pub(crate) const CHECKPOINTS: [&str; 3] = ["none", "before", "after"];

/// The agent whose kinds of steps are known here.
pub(crate) const BUILDER: &str = "builder";

/// The most further attempts.
pub(crate) const MOST_RETRIES: u32 = 10;

pub(crate) const STEP: Family = Family {
    noun: "a step",
    kinds: STEPS,
    beside: &["kind"],
    elsewhere: (CRITERIA, "is a kind of criterion: put it into `accept`"),
};
pub(crate) const CRITERION: Family = Family {
    noun: "a criterion",
    kinds: CRITERIA,
    beside: &["kind", "id", "says"],
    elsewhere: (STEPS, "is a kind of step: put it into `steps`"),
};

/// Reads a task; what it waits for is given also where the task is refused.
pub(super) fn read_task(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    ids: &mut Names,
    criteria: &mut Names,
) -> (Draft, Result<Task, Told>) {
    let mut draft = Draft::default();
    let id = id(reading, table, ids, &mut draft);
    let depends_on = depends_on(reading, table, &mut draft);
    let rest = rest(reading, table, id, depends_on, criteria);
    (draft, rest)
}

fn id(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    ids: &mut Names,
    draft: &mut Draft,
) -> Result<TaskId, Told> {
    let item = reading.required(table, "id", "id = \"P1-T1\"")?;
    let id: TaskId = reading.id(&item)?;
    draft.id = Some(id.to_string());
    ids.once(reading, Code::DuplicateId, id.as_str(), &item.span)?;
    Ok(id)
}

fn depends_on(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    draft: &mut Draft,
) -> Result<Vec<TaskId>, Told> {
    let Some(item) = table.get("depends_on") else {
        return Ok(Vec::new());
    };
    let items = reading.list(&item)?;
    every(&items, |item| {
        let id: TaskId = reading.id(item)?;
        draft.depends_on.push((id.to_string(), item.span.clone()));
        Ok(id)
    })
}

/// Everything but the task's place in the order.
fn rest(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    id: Result<TaskId, Told>,
    depends_on: Result<Vec<TaskId>, Told>,
    criteria: &mut Names,
) -> Result<Task, Told> {
    let stray = reading.only(table, KEYS);
    let title = reading
        .required(table, "title", "title = \"What it is about, in one line\"")
        .and_then(|item| title(reading, &item));
    let description = table.get("description").map(|item| reading.text(&item)).transpose();
    let agent = agent(reading, table);
    let reads = table.get("reads").map(|item| reading.patterns(&item)).transpose();
    let writes = table.get("writes").map(|item| reading.patterns(&item)).transpose();
    // With a pattern missing, every path would seem to lie outside.
    let grants = match (&reads, &writes) {
        (Ok(reads), Ok(writes)) => Some(Grants {
            reads: reads.clone().unwrap_or_default(),
            writes: writes.clone().unwrap_or_default(),
            ..Grants::default()
        }),
        _ => None,
    };
    let artifacts = artifacts(reading, table, grants.as_ref());
    let commands = commands(reading, table);
    let timeout = table.get("timeout").map(|item| reading.duration(&item)).transpose();
    let limits = reading.section(table, "limits", "`limits`", task_limits);
    let retries = table.get("retries").map(|item| reading.small_number(&item, 0..=MOST_RETRIES));
    let checkpoint = checkpoint(reading, table);
    let options = options(reading, table);
    let steps = steps(reading, table, agent.ok(), grants.as_ref());
    let accept = accept(reading, table, id.as_ref().map_err(|told| *told), criteria);
    stray?;
    Ok(Task {
        id: id?,
        title: title?.to_owned(),
        description: description?.unwrap_or_default().to_owned(),
        agent: agent?.to_owned(),
        depends_on: depends_on?,
        reads: reads?.unwrap_or_default(),
        writes: writes?.unwrap_or_default(),
        artifacts: artifacts?,
        commands: commands?,
        timeout: timeout?,
        limits: limits?,
        retries: retries.transpose()?.unwrap_or_default(),
        checkpoint: checkpoint?,
        steps: steps?,
        options: options?,
        accept: accept?,
    })
}

/// One line.
fn title<'t>(reading: &mut Reading<'_>, item: &Item<'t>) -> Result<&'t str, Told> {
    let text = reading.words(item)?;
    if !text.contains(['\n', '\r']) {
        return Ok(text);
    }
    let help = "put the rest into `description`";
    Err(reading.refuse_value(Code::WrongType, item, "a title is one line", "several lines", help))
}

fn agent<'t>(reading: &mut Reading<'_>, table: &Table<'t>) -> Result<&'t str, Told> {
    let Some(item) = table.get("agent") else {
        return Ok(BUILDER);
    };
    // An agent's name has the same letters as a task's id.
    reading.id::<TaskId>(&item)?;
    reading.text(&item)
}

/// Where a person decides, and whether in auto mode too.
fn checkpoint(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Option<Checkpoint>, Told> {
    let written = table.get("checkpoint");
    let at = written.as_ref().map(|item| checkpoint_at(reading, item)).transpose();
    let human = table.get("human").map(|item| Ok((reading.flag(&item)?, item))).transpose();
    let (at, human) = (at?.flatten(), human?);
    match (at, human) {
        (Some(at), human) => {
            Ok(Some(Checkpoint { at, human: human.is_some_and(|(human, _)| human) }))
        }
        (None, Some((true, item))) => {
            let message = "a person is to decide, and no checkpoint says when";
            let mut problem = Problem::new(Code::NoCheckpoint, item.span, message).label("when?");
            if let Some(none) = written {
                problem = problem.also(none.span, "no checkpoint");
            }
            let help = "say when: `checkpoint = \"before\"` or `checkpoint = \"after\"`";
            Err(reading.refuse(problem.help(help)))
        }
        (None, _) => Ok(None),
    }
}

fn checkpoint_at(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Option<CheckpointAt>, Told> {
    match reading.text(item)? {
        "none" => Ok(None),
        "before" => Ok(Some(CheckpointAt::Before)),
        "after" => Ok(Some(CheckpointAt::After)),
        other => {
            let help = meant(other, CHECKPOINTS, "the checkpoints are");
            let message = format!("no checkpoint is called `{other}`");
            Err(reading.refuse_value(Code::UnknownCheckpoint, item, message, "unknown", help))
        }
    }
}

/// The promised files.
fn artifacts(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    grants: Option<&Grants>,
) -> Result<Vec<String>, Told> {
    let Some(item) = table.get("artifacts") else {
        return Ok(Vec::new());
    };
    let items = reading.list(&item)?;
    every(&items, |item| {
        let path = reading.path(item)?;
        reading.within(item, path, Capability::Write, grants)?;
        Ok(path.to_owned())
    })
}

/// The commands of `idumb.toml` that the task's agents may ask for; whether they are defined is
/// not for the plan to say.
fn commands(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Vec<String>, Told> {
    let Some(item) = table.get("commands") else {
        return Ok(Vec::new());
    };
    let items = reading.list(&item)?;
    let mut named = Names::new("command");
    every(&items, |item| {
        // A command's name has the same letters as a task's id.
        let name: TaskId = reading.id(item)?;
        named.once(reading, Code::GivenTwice, name.as_str(), &item.span)?;
        Ok(name.to_string())
    })
}

fn options(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<BTreeMap<String, String>, Told> {
    let Some(item) = table.get("options") else {
        return Ok(BTreeMap::new());
    };
    let options = reading.table(&item, "`options`")?;
    let pairs = every(options.keys().filter_map(|(key, _)| options.get(key)), |item| {
        let key = item.name.trim_matches('`').to_owned();
        Ok((key, reading.text(&item)?.to_owned()))
    })?;
    Ok(pairs.into_iter().collect())
}

/// The steps: of known kinds for the built-in builder, open for other agents. With the
/// agent's name refused, they are only looked at as tables.
fn steps(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    agent: Option<&str>,
    grants: Option<&Grants>,
) -> Result<Vec<Step>, Told> {
    let Some(item) = table.get("steps") else {
        return Ok(Vec::new());
    };
    let tables = reading.tables(&item, "a step")?;
    let steps = every(tables, |step| {
        let step = step?;
        match agent {
            None => Ok(None),
            Some(BUILDER) => {
                let (kind, args) = read_kinded(reading, &step, &STEP, grants)?;
                Ok(Some(Step { kind: kind.name.to_owned(), args }))
            }
            Some(agent) => open_step(reading, &step, agent).map(Some),
        }
    })?;
    Ok(steps.into_iter().flatten().collect())
}

/// A step for an agent whose kinds are not known here.
fn open_step(reading: &mut Reading<'_>, table: &Table<'_>, agent: &str) -> Result<Step, Told> {
    let kind = match table.get("kind") {
        Some(item) => reading.words(&item).map(str::to_owned),
        None => {
            let message = format!("a step for the agent `{agent}` needs `kind`");
            let problem = Problem::new(Code::MissingKey, table.span.clone(), message);
            let help = "write `kind = \"…\"` with its arguments beside it; \
                        only the built-in builder's steps can be named by a key";
            Err(reading.refuse(problem.label("`kind` is missing").help(help)))
        }
    };
    let args =
        every(table.keys().filter(|(key, _)| *key != "kind"), |(key, _)| match table.get(key) {
            Some(item) => reading.json(&item).map(|value| Some((key.to_owned(), value))),
            None => Ok(None),
        });
    Ok(Step { kind: kind?, args: args?.into_iter().flatten().collect() })
}

/// The criteria; at least one.
fn accept(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    task: Result<&TaskId, Told>,
    ids: &mut Names,
) -> Result<Vec<Criterion>, Told> {
    let item = table.get("accept");
    let tables = match &item {
        Some(item) => reading.tables(item, "a criterion")?,
        None => Vec::new(),
    };
    if tables.is_empty() {
        let span = item.map_or(table.span.clone(), |item| item.span);
        let problem = Problem::new(Code::NoCriteria, span, "the task has no criterion");
        let help = "say how it is seen that the task is done: \
                    `accept = [{ exists = \"PATH\" }]`, or `contains`, `matches`, …";
        return Err(reading.refuse(problem.label("nothing would be checked").help(help)));
    }
    every(tables.into_iter().enumerate(), |(index, table)| {
        criterion(reading, &table?, task, index + 1, ids)
    })
}

fn criterion(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    task: Result<&TaskId, Told>,
    number: usize,
    ids: &mut Names,
) -> Result<Criterion, Told> {
    let id = criterion_id(reading, table, task, number, ids);
    let says = table.get("says").map(|item| reading.words(&item)).transpose();
    let (kind, args) = read_kinded(reading, table, &CRITERION, None)?;
    let looks_at = args.get("path").and_then(|path| path.as_str()?.parse().ok());
    let text = says?.map_or_else(|| sentence(kind.name, &args), str::to_owned);
    Ok(Criterion {
        id: id?,
        text,
        kind: kind.name.to_owned(),
        args,
        looks_at: looks_at.into_iter().collect(),
    })
}

/// The id that the criterion gives itself, or `<task>.<n>`.
fn criterion_id(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    task: Result<&TaskId, Told>,
    number: usize,
    ids: &mut Names,
) -> Result<CriterionId, Told> {
    let (id, span) = match table.get("id") {
        Some(item) => (reading.id::<CriterionId>(&item)?, item.span),
        None => {
            let id = CriterionId::new(format!("{}.{number}", task?)).map_err(|error| {
                let message =
                    format!("the criterion's id would be `{}`, which is too long", error.0);
                let problem = Problem::new(Code::BadId, table.span.clone(), message);
                reading.refuse(problem.label("needs an id").help("give it one: `id = \"…\"`"))
            })?;
            (id, table.span.clone())
        }
    };
    ids.once(reading, Code::DuplicateId, id.as_str(), &span)?;
    Ok(id)
}
