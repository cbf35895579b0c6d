//! The tasks of one GSD file, in order, with their checkpoints.
//!
//! Invariant: a task for an agent has a name, an action and something by which it is seen
//! that it is done; text that is in no part of a task is refused.

use idumb_core::PathGlob;

use crate::dialect::elements::{Element, PARTS};
use crate::dialect::outline::dedented;
use crate::dialect::words::{self, Word};
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Reading, every};
use crate::suggest::meant;

/// A `<task>`: work, or a decision of a person.
#[derive(Debug)]
pub(super) enum Step {
    /// For an agent.
    Work(Work),
    /// For a person.
    Checkpoint(Checkpoint),
}

/// A task for an agent.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) files: Vec<Word>,
    pub(super) writes: Vec<PathGlob>,
    pub(super) reads: Vec<Word>,
    /// Command lines.
    pub(super) commands: Vec<(Span, String)>,
    /// Texts that are judged as they are.
    pub(super) judged: Vec<(Span, String)>,
    /// Where a list of criteria stands.
    pub(super) criteria: Option<Span>,
}

/// A decision of a person.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// `human-verify`, `decision` or `human-action`.
    pub(super) kind: &'static str,
    pub(super) span: Span,
    pub(super) text: String,
}

const TYPES: [&str; 4] =
    ["auto", "checkpoint:human-verify", "checkpoint:decision", "checkpoint:human-action"];

/// Reads all tasks of a body; `elements` is whether its elements were told to be broken.
pub(super) fn tasks(
    reading: &mut Reading<'_>,
    body: usize,
    root: &[Element],
    elements: Result<(), Told>,
) -> Result<Vec<Step>, Told> {
    let mut found: Vec<&Element> = Vec::new();
    let mut loose = Ok(());
    for element in root {
        match element.name.as_str() {
            "tasks" => {
                found.extend(&element.parts);
                loose = loose.and(no_text(reading, element));
            }
            "task" | "feature" => found.push(element),
            _ => {}
        }
    }
    if found.is_empty() {
        elements?;
        let problem = Problem::new(Code::NoTasks, body..body, "the plan has no tasks");
        let help = "add one: `<tasks>`, and in it `<task type=\"auto\">` with `<name>`, `<files>`, \
                    `<action>`, `<verify>` and `<done>`";
        return Err(reading.refuse(problem.label("no `<task>` below").help(help)));
    }
    let count = found.len();
    let steps = every(found, |element| task(reading, element, elements));
    loose?;
    let steps = steps?;
    if steps.iter().any(|step| matches!(step, Step::Work(_))) {
        return Ok(steps);
    }
    let s = if count == 1 { "" } else { "s" };
    let message = format!("the plan has {count} checkpoint{s}, and no task for an agent");
    let problem = Problem::new(Code::NoTasks, body..body, message).label("only checkpoints below");
    Err(reading.refuse(problem.help("put them into the plan that they are about")))
}

/// Refuses text of an element that is in none of its parts.
fn no_text(reading: &mut Reading<'_>, element: &Element) -> Result<(), Told> {
    every(&element.loose, |span| {
        let source = reading.source().get(span.clone()).unwrap_or_default();
        let blank = words::without_comments(source);
        let text = blank.trim_start();
        if text.is_empty() {
            return Ok(());
        }
        let start = span.start + blank.len() - text.len();
        let span = reading.line_of(start..span.end);
        let name = &element.name;
        let tag = text.strip_prefix('<').map(|tag| tag.split(['>', ' ', '/']).next());
        let problem = match tag.flatten().filter(|tag| !tag.is_empty()) {
            Some(tag) => {
                let known: &[&str] = if name == "tasks" { &["task"] } else { PARTS };
                let help = meant(tag, known.iter().copied(), &format!("`<{name}>` takes"));
                let message = format!("`<{name}>` has no `<{tag}>`");
                Problem::new(Code::UnknownElement, span, message).label("unknown").help(help)
            }
            None => {
                let message = format!("this belongs to no part of `<{name}>`");
                let help = "put it into `<action>`, or into the part that it is about";
                Problem::new(Code::StrayText, span, message).label("would be lost").help(help)
            }
        };
        Err(reading.refuse(problem))
    })
    .map(|_: Vec<()>| ())
}

fn task(
    reading: &mut Reading<'_>,
    element: &Element,
    elements: Result<(), Told>,
) -> Result<Step, Told> {
    let loose = no_text(reading, element);
    let twice = twice(reading, element);
    let kind = match element.name.as_str() {
        "feature" => Ok("auto"),
        _ => kind(reading, element),
    };
    let step = match kind {
        Ok(kind) if kind != "auto" => {
            let kind = kind.trim_start_matches("checkpoint:");
            checkpoint(reading, element, kind, elements).map(Step::Checkpoint)
        }
        // Of a type that is not known: what else is wrong with it is told all the same.
        _ => work(reading, element, elements).map(Step::Work),
    };
    loose?;
    twice?;
    kind?;
    step
}

fn twice(reading: &mut Reading<'_>, element: &Element) -> Result<(), Told> {
    let parts = element.parts.iter().enumerate();
    every(parts, |(index, part)| {
        let before = element.parts.iter().take(index).find(|other| other.name == part.name);
        let Some(first) = before else { return Ok(()) };
        let message = format!("`<{}>` is given twice", part.name);
        let problem = Problem::new(Code::GivenTwice, reading.line_of(part.tag.clone()), message);
        let problem = problem.label("again here").also(first.tag.clone(), "first here");
        Err(reading.refuse(problem.help("keep one of the two")))
    })
    .map(|_: Vec<()>| ())
}

/// What the attributes say.
fn kind(reading: &mut Reading<'_>, element: &Element) -> Result<&'static str, Told> {
    let known = ["type", "gate", "tdd"];
    let tag = reading.line_of(element.tag.clone());
    let stray = every(&element.attributes, |(name, value, _)| {
        let problem = match name.as_str() {
            "gate" if !["blocking", "blocking-human"].contains(&value.as_str()) => {
                let help = meant(value, ["blocking", "blocking-human"], "the gates are");
                let message = format!("no gate is called `{value}`");
                Problem::new(Code::UnknownType, tag.clone(), message).help(help)
            }
            name if known.contains(&name) => return Ok(()),
            name => {
                let help = meant(name, known, "a task takes");
                let message = format!("a task has no attribute `{name}`");
                Problem::new(Code::UnknownKey, tag.clone(), message).help(help)
            }
        };
        Err(reading.refuse(problem.label("unknown")))
    });
    let given = element.attributes.iter().find(|(name, ..)| name == "type");
    let kind = match given {
        Some((_, value, _)) => {
            let found = TYPES.into_iter().find(|kind| kind == value);
            found.ok_or_else(|| {
                let help = meant(value, TYPES, "the types are");
                let message = format!("no type of task is called `{value}`");
                let problem = Problem::new(Code::UnknownType, tag.clone(), message);
                reading.refuse(problem.label("unknown").help(help))
            })
        }
        None => {
            let problem = Problem::new(Code::MissingKey, tag.clone(), "a task needs its type");
            let help = "write `<task type=\"auto\">`";
            Err(reading.refuse(problem.label("`type` is missing").help(help)))
        }
    };
    stray?;
    kind
}

fn part<'e>(element: &'e Element, name: &str) -> Option<&'e Element> {
    element.parts.iter().find(|part| part.name == name)
}

/// What a part says, if it says something.
fn text_of(reading: &Reading<'_>, element: &Element, name: &str) -> Option<(Span, String)> {
    let part = part(element, name)?;
    let text = dedented(reading.source(), part.inner.clone());
    (!text.is_empty()).then(|| (part.tag.clone(), text))
}

fn required(
    reading: &mut Reading<'_>,
    element: &Element,
    names: &[&str],
    elements: Result<(), Told>,
) -> Result<(Span, String), Told> {
    let found = names.iter().find_map(|name| text_of(reading, element, name));
    found.ok_or_else(|| {
        // An element that is not closed may be the one that is missing.
        if let Err(told) = elements {
            return told;
        }
        let span = reading.line_of(element.tag.clone());
        let name = names.first().copied().unwrap_or_default();
        let message = format!("`<{}>` needs `<{name}>`", element.name);
        let problem = Problem::new(Code::MissingField, span, message);
        let help = format!("add `<{name}>…</{name}>`");
        reading.refuse(problem.label("missing or empty").help(help))
    })
}

/// A task for an agent.
fn work(
    reading: &mut Reading<'_>,
    element: &Element,
    elements: Result<(), Told>,
) -> Result<Work, Told> {
    let title = required(reading, element, &["name"], elements).and_then(|(span, title)| {
        if !title.contains('\n') {
            return Ok(title);
        }
        let problem = Problem::new(Code::WrongType, span, "a task's name is one line");
        Err(reading.refuse(problem.label("several lines").help("put the rest into `<action>`")))
    });
    let action = required(reading, element, &["action", "implementation", "behavior"], elements);
    let files =
        part(element, "files").map(|part| words::lines(reading.source(), part.inner.clone()));
    let files = files.filter(|words| !words::is_none(words)).unwrap_or_default();
    let writes = words::files(reading, &files, "`<files>`");
    let reads = part(element, "read_first").map(|part| {
        let lines = words::lines(reading.source(), part.inner.clone());
        lines.into_iter().filter_map(|line| read_of(reading, line)).collect()
    });
    let (commands, verified) = verify(reading, element);
    let done = text_of(reading, element, "done");
    let criteria = part(element, "acceptance_criteria").map(|part| part.inner.clone());
    let listed = text_of(reading, element, "acceptance_criteria").is_some();
    let behaved = (element.name == "feature").then(|| text_of(reading, element, "behavior"));
    let judged: Vec<_> = verified.into_iter().chain(done).chain(behaved.flatten()).collect();
    if commands.is_empty() && judged.is_empty() && !listed {
        elements?;
        let span = reading.line_of(element.tag.clone());
        let problem = Problem::new(Code::NoCriteria, span, "the task has no criterion");
        let help = "say how it is seen that the task is done: `<acceptance_criteria>`, \
                    `<verify>` or `<done>`";
        return Err(reading.refuse(problem.label("nothing would be checked").help(help)));
    }
    action?;
    Ok(Work {
        title: title?,
        description: description(reading, element, "action"),
        files,
        writes: writes?,
        reads: reads.unwrap_or_default(),
        commands,
        judged,
        criteria: criteria.filter(|_| listed),
    })
}

/// What the parts say that are no criteria, names or files; `first` without a heading.
fn description(reading: &Reading<'_>, element: &Element, first: &str) -> String {
    const LEFT_OUT: [&str; 6] =
        ["name", "files", "verify", "acceptance_criteria", "done", "resume-signal"];
    let mut texts: Vec<String> = Vec::new();
    let parts = element.parts.iter().filter(|part| !LEFT_OUT.contains(&part.name.as_str()));
    for part in parts {
        let text = dedented(reading.source(), part.inner.clone());
        if text.is_empty() {
            continue;
        }
        if part.name == first {
            texts.insert(0, text);
        } else {
            texts.push(format!("**{}:**\n{text}", part.name.replace(['-', '_'], " ")));
        }
    }
    texts.join("\n\n")
}

/// The file that a line tells to read first.
fn read_of(reading: &mut Reading<'_>, mut line: Word) -> Option<Word> {
    let whole = line.clone();
    if !line.code {
        let word = line.text.split_whitespace().next().unwrap_or_default().to_owned();
        line.span.end = line.span.start + word.len();
        line.text = word;
    }
    if line.text.contains(['/', '.']) && words::is_path(&line.text) {
        return Some(Word { code: true, remark: None, ..line });
    }
    let message = format!("`{}` is no path of the project: the agent may not read it", whole.text);
    let problem = Problem::new(Code::NotCarried, whole.span, message).label("not granted");
    reading.warn(problem.help("name each file on its own line, its path first"));
    None
}

type Said = Vec<(Span, String)>;

/// The commands of `<verify>`, and what it says beside them.
fn verify(reading: &Reading<'_>, element: &Element) -> (Said, Said) {
    let Some(part) = part(element, "verify") else {
        return (Vec::new(), Vec::new());
    };
    let source = reading.source();
    let mut commands = Vec::new();
    let mut beside = Vec::new();
    let mut from = part.inner.start;
    let mut said = |from: usize, to: usize| {
        let text = words::without_comments(source.get(from..to).unwrap_or_default());
        if !text.trim().is_empty() {
            beside.push((part.tag.clone(), text.trim().replace("\r\n", "\n")));
        }
    };
    for automated in &part.parts {
        said(from, automated.tag.start);
        let command = dedented(source, automated.inner.clone());
        if !command.is_empty() {
            commands.push((automated.inner.clone(), command));
        }
        let close = source.get(automated.inner.end..).and_then(|rest| rest.find('>'));
        from = automated.inner.end + close.map_or(0, |at| at + 1);
    }
    said(from, part.inner.end);
    (commands, beside)
}

/// A decision of a person.
fn checkpoint(
    reading: &mut Reading<'_>,
    element: &Element,
    kind: &str,
    elements: Result<(), Told>,
) -> Result<Checkpoint, Told> {
    let (kind, needs): (_, &[&str]) = match kind {
        "decision" => ("decision", &["decision"]),
        "human-action" => ("human-action", &["instructions", "action"]),
        _ => ("human-verify", &["how-to-verify", "what-built"]),
    };
    required(reading, element, needs, elements)?;
    let mut text = description(reading, element, "");
    for name in ["name", "verify", "acceptance_criteria", "done"] {
        if let Some((_, said)) = text_of(reading, element, name) {
            let said = format!("**{}:**\n{said}", name.replace('_', " "));
            text = if name == "name" {
                format!("{said}\n\n{text}")
            } else {
                format!("{text}\n\n{said}")
            };
        }
    }
    Ok(Checkpoint { kind, span: element.tag.clone(), text })
}
