//! One GSD file: its front matter, and what its body has beside tasks.
//!
//! Invariant: a file that was read has a number and tasks; what refers to other files is
//! kept with its place.

use std::collections::BTreeMap;

use idumb_core::PhaseId;

use super::must::{Must, must_haves};
use super::task::{Step, tasks};
use crate::dialect::Known;
use crate::dialect::elements::{Element, elements};
use crate::dialect::front::{Front, front};
use crate::dialect::outline::{Outline, dedented};
use crate::dialect::phase::{agreed, slug};
use crate::dialect::words::{self, Word};
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Item, Reading, Table, every};
use crate::suggest::meant;

const KEYS: &[&str] = &[
    "phase",
    "plan",
    "type",
    "wave",
    "depends_on",
    "files_modified",
    "autonomous",
    "gap_closure",
    "status",
    "requirements",
    "user_setup",
    "must_haves",
];

/// A plan's place among the others, also of a file that was refused for something else.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) phase: PhaseId,
    /// The plan's number, and where it stands.
    pub(super) number: u32,
    pub(super) number_span: Span,
    pub(super) depends_on: Vec<(String, Span)>,
    pub(super) wave: Option<(u64, Span)>,
}

/// What was read of one file.
pub(super) struct PlanFile {
    pub(super) head: Head,
    pub(super) files: Vec<Word>,
    /// Where the files are listed.
    pub(super) files_span: Option<Span>,
    pub(super) autonomous: bool,
    /// What a person has to set up before, as JSON.
    pub(super) user_setup: Option<String>,
    pub(super) must: Must,
    pub(super) objective: Option<String>,
    /// Paths that the plan's context refers to.
    pub(super) context: Vec<Word>,
    /// Other sections that agents are to have, by name.
    pub(super) sections: BTreeMap<String, String>,
    /// What must hold when the plan is done, in prose.
    pub(super) checks: Vec<(Span, String)>,
    pub(super) steps: Vec<Step>,
}

/// The number of the plan and what is behind it, as in `03-01-slug-PLAN.md`; the phase's
/// number too.
pub(super) fn of_name(path: &str) -> Option<(u32, u32, Option<String>)> {
    let name = path.rsplit('/').next()?.strip_suffix("-PLAN.md")?;
    let mut parts = name.splitn(3, '-');
    let phase = parts.next()?.parse().ok()?;
    let plan = parts.next()?.parse().ok()?;
    Some((phase, plan, parts.next().map(str::to_owned)))
}

/// Reads a file on its own; `head` is given also where something else is refused.
pub(super) fn read(
    reading: &mut Reading<'_>,
    outline: &Outline,
    path: &str,
    known: &Known<'_>,
    head: &mut Option<Head>,
) -> Result<PlanFile, Told> {
    let front = match &outline.front {
        Some(yaml) => front(reading, yaml.clone()),
        None => {
            let message = "the plan needs front matter";
            let problem = Problem::new(Code::MissingKey, outline.body..outline.body, message);
            let help = "begin the file with `---`, `phase: 01-name`, `plan: 01`, `---`";
            Err(reading.refuse(problem.label("before this").help(help)))
        }
    };
    let (found, loose, elements) = elements(reading, outline.body);
    let steps = tasks(reading, outline.body, &found, elements);
    stray(reading, &loose);
    let body = body(reading, &found);
    let front = front?;
    let table = front.table();
    let keys = keys(reading, &table, path, known, head);
    let must = must_haves(reading, &front);
    elements?;
    let (steps, keys, must) = (steps?, keys?, must?);
    Ok(PlanFile {
        head: keys.head,
        files: keys.files,
        files_span: table.get("files_modified").map(|item| item.key_span),
        autonomous: keys.autonomous,
        user_setup: keys.user_setup,
        must,
        objective: body.objective,
        context: body.context,
        sections: body.sections.into_iter().chain(keys.kept).collect(),
        checks: body.checks,
        steps,
    })
}

/// What the front matter says, but for the must-haves.
struct Keys {
    head: Head,
    files: Vec<Word>,
    autonomous: bool,
    user_setup: Option<String>,
    /// What is kept as it is.
    kept: Vec<(String, String)>,
}

fn keys(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    path: &str,
    known: &Known<'_>,
    head: &mut Option<Head>,
) -> Result<Keys, Told> {
    let stray = reading.only(table, KEYS);
    let phase = phase(reading, table, path, known);
    let number = number(reading, table, path);
    let kind = table.get("type").map_or(Ok(()), |item| kind(reading, &item));
    let depends_on = names(reading, table, "depends_on");
    let wave = table
        .get("wave")
        .map(|item| reading.number(&item, 1..=u64::from(u32::MAX)).map(|wave| (wave, item.span)));
    let files = names(reading, table, "files_modified");
    let known = (|| {
        let (number, number_span) = number?;
        let (phase, depends_on) = (phase?, depends_on?);
        Ok(Head { phase, number, number_span, depends_on, wave: wave.transpose()? })
    })();
    *head = known.as_ref().ok().cloned();
    let autonomous = table.get("autonomous").map_or(Ok(true), |item| reading.flag(&item));
    let gap = table.get("gap_closure").map_or(Ok(false), |item| reading.flag(&item));
    let user_setup = match table.get("user_setup") {
        Some(item) => match reading.yaml_list(&item) {
            Ok(list) if list.is_empty() => Ok(None),
            Ok(_) => reading.json(&item).map(|value| Some(value.to_string())),
            Err(told) => Err(told),
        },
        None => Ok(None),
    };
    let requirements = names(reading, table, "requirements");
    if let Some(item) = table.get("status") {
        let message = "what a plan says of its status is not looked at";
        let problem = Problem::new(Code::NotCarried, item.key_span, message);
        let help = "leave it out: what is done is kept beside the plan";
        reading.warn(problem.label("not looked at").help(help));
    }
    stray?;
    kind?;
    gap?;
    let requirements: Vec<String> = requirements?.into_iter().map(|(name, _)| name).collect();
    let kept = [("requirements".to_owned(), requirements.join(", "))];
    let word = |(text, span)| Word { text, span, code: true, remark: None };
    Ok(Keys {
        head: known?,
        files: files?.into_iter().map(word).collect(),
        autonomous: autonomous?,
        user_setup: user_setup?,
        kept: kept.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
    })
}

/// The phase: `01-foundation`, or its number alone.
fn phase(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    path: &str,
    known: &Known<'_>,
) -> Result<PhaseId, Told> {
    let item = reading.required(table, "phase", "phase: 01-name")?;
    let text = reading.yaml_text(&item)?;
    let (number, name) = match text.split_once('-') {
        Some((number, name)) => (number, Some(slug(name))),
        None => (text.as_str(), None),
    };
    let phase = agreed(reading, number, item.span.clone(), name, known)?;
    match of_name(path) {
        Some((number, ..)) if number != phase.number => {
            let message = format!("the file's name is of phase {number}, and it says otherwise");
            let help = format!("write `phase: {number}`, or give the file another name");
            Err(reading.refuse_value(Code::OtherPhase, &item, message, "another phase", help))
        }
        _ => Ok(phase),
    }
}

fn number(reading: &mut Reading<'_>, table: &Table<'_>, path: &str) -> Result<(u32, Span), Told> {
    let item = reading.required(table, "plan", "plan: 01")?;
    let text = reading.yaml_text(&item)?;
    let Ok(number) = text.parse::<u32>() else {
        let message = format!("`{text}` is not the number of a plan");
        let help = "number the plans of a phase with whole numbers: `plan: 01`";
        return Err(reading.refuse_value(Code::BadId, &item, message, "not a number", help));
    };
    match of_name(path) {
        Some((_, named, _)) if named != number => {
            let message = format!("the file's name is of plan {named}, and it says otherwise");
            let help = format!("write `plan: {named:02}`, or give the file another name");
            Err(reading.refuse_value(Code::OtherPhase, &item, message, "another plan", help))
        }
        _ => Ok((number, item.span)),
    }
}

fn kind(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<(), Told> {
    let text = reading.yaml_text(item)?;
    if ["execute", "tdd"].contains(&text.as_str()) {
        return Ok(());
    }
    let message = format!("no type of plan is called `{text}`");
    let help = meant(&text, ["execute", "tdd"], "the types are");
    Err(reading.refuse_value(Code::UnknownType, item, message, "unknown", help))
}

/// The entries of a list of texts, each with its place.
fn names(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    key: &str,
) -> Result<Vec<(String, Span)>, Told> {
    let Some(item) = table.get(key) else {
        return Ok(Vec::new());
    };
    let items = reading.yaml_list(&item)?;
    every(&items, |item| reading.yaml_text(item).map(|text| (text, item.span.clone())))
}

/// What the body has beside tasks.
#[derive(Default)]
struct Body {
    objective: Option<String>,
    context: Vec<Word>,
    sections: BTreeMap<String, String>,
    checks: Vec<(Span, String)>,
}

fn body(reading: &mut Reading<'_>, elements: &[Element]) -> Body {
    let mut body = Body::default();
    for element in elements {
        let text = dedented(reading.source(), element.inner.clone());
        if text.is_empty() {
            continue;
        }
        match element.name.as_str() {
            "objective" => body.objective = Some(text),
            // What GSD tells its own agents: how to run a plan, and where to report.
            "execution_context" | "output" | "tasks" | "task" | "feature" => {}
            "verification" | "success_criteria" => body.checks.push((element.tag.clone(), text)),
            name => {
                if name == "context" {
                    body.context.extend(references(reading, element.inner.clone()));
                }
                body.sections.insert(name.to_owned(), text);
            }
        }
    }
    body
}

/// The `@path` references of a text, which are paths of the project.
fn references(reading: &mut Reading<'_>, span: Span) -> Vec<Word> {
    let lines = words::lines(reading.source(), span);
    let mut found = Vec::new();
    for line in lines.into_iter().filter(|line| line.text.starts_with('@')) {
        let path = line.text.split_whitespace().next().unwrap_or_default();
        let span = line.span.start + 1..line.span.start + path.len();
        let path = path.get(1..).unwrap_or_default().to_owned();
        let is_path = !path.starts_with(['~', '$']) && words::is_path(&path);
        if is_path {
            found.push(Word { text: path, span, code: true, remark: None });
            continue;
        }
        let message = format!("`{path}` is no path of the project: agents cannot read it");
        let problem = Problem::new(Code::NotCarried, span, message).label("not granted");
        reading.warn(problem.help("copy it into the project, if the tasks need it"));
    }
    found
}

/// Warns of text that is in no element.
fn stray(reading: &mut Reading<'_>, loose: &[Span]) {
    let source = reading.source();
    let filled = loose.iter().find(|span| {
        let text = source.get((*span).clone()).unwrap_or_default();
        !words::without_comments(text).trim().is_empty()
    });
    let Some(span) = filled else { return };
    let text = source.get(span.clone()).unwrap_or_default();
    let start = span.start + text.len() - text.trim_start().len();
    let span = reading.line_of(start..span.end);
    let message = "text outside of all elements is for people: no agent is given it";
    let problem = Problem::new(Code::NotCarried, span, message).label("not carried on");
    reading.warn(problem.help("put it into `<context>`, if agents are to know it"));
}

/// The front matter's table, for what is read elsewhere.
pub(super) fn must_table<'t>(
    reading: &mut Reading<'_>,
    front: &'t Front<'_>,
) -> Result<Option<Table<'t>>, Told> {
    match front.table().get("must_haves") {
        Some(item) if item.as_text() == Some("") => Ok(None),
        Some(item) => reading.table(&item, "`must_haves`").map(Some),
        None => Ok(None),
    }
}
