//! The seed's plans: tasks as headings and fields, in one file.
//!
//! Invariant: a plan that was read has unique ids, no cycle, and for every task a
//! description, an estimate and a criterion.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{Digest, PathGlob, PhaseId, Plan, ResourceLimits, Task, TaskId};
use toml::de::DeValue;

use super::Known;
use super::criteria::Criteria;
use super::fields::{Around, Field, Given, Written, tasks};
use super::front::{Front, front};
use super::outline::{Outline, Piece, dedented, plain, span_of};
use super::phase::{agreed, slug};
use super::words::{self, Word};
use crate::names::Names;
use crate::order::{self, Draft};
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Item, Reading, every};
use crate::suggest::{listed, nearest};

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

/// The seed's types of tasks, and whose they are there.
const TYPES: [(&str, &str); 7] = [
    ("research", "project-researcher"),
    ("design", "planner"),
    ("implement", "builder"),
    ("document", "builder"),
    ("test", "low-validator"),
    ("review", "high-governance"),
    ("integrate", "executor"),
];

/// The agent that takes what no agent of the project is named for.
const BUILDER: &str = "builder";

/// The shortest description that the second form takes, in characters.
const SHORTEST: usize = 10;

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
    let filled = around.sections.iter().filter(|(name, _, below)| below.is_some() && !is_goal(name));
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

/// A task that is about to be read.
struct OneTask<'a> {
    written: &'a Written,
    form: Form,
    known: &'a Known<'a>,
}

impl OneTask<'_> {
    fn read(
        &self,
        reading: &mut Reading<'_>,
        ids: &mut Names,
        draft: &mut Draft,
    ) -> Result<Task, Told> {
        let (label, title, name_span) = self.heading();
        let id = self.id(reading, &label, name_span, ids, draft);
        let title = self.title(reading, title);
        let depends_on = self.depends_on(reading, draft);
        let description = self.description(reading);
        let estimate = self.required(reading, Field::Estimate, "Estimate", "2h");
        let estimate = estimate.and_then(|given| self.value(reading, given));
        let writes = self.files(reading);
        let agent = self.agent(reading);
        let accept = self.accept(reading, id.as_ref().map_err(|told| *told));
        self.written.refused?;
        let (agent, mut options) = agent?;
        self.kept(reading, &mut options);
        options.insert("estimate".to_owned(), estimate?);
        Ok(Task {
            id: id?,
            title: title?,
            description: description?,
            agent,
            depends_on: depends_on?,
            reads: Vec::new(),
            writes: writes?,
            artifacts: Vec::new(),
            timeout: None,
            limits: ResourceLimits::default(),
            retries: 0,
            checkpoint: None,
            steps: Vec::new(),
            options,
            accept: accept?,
        })
    }

    /// What stands between `Task` and the colon, what stands behind it, and where the first is.
    fn heading(&self) -> (String, String, Span) {
        let text = plain(&self.written.heading);
        let (name, title) = text.split_once(':').unwrap_or((&text, ""));
        let name = name.get(4..).unwrap_or_default().trim();
        let mut span = self.written.span.clone();
        if let Some(first) = self.written.heading.first() {
            if let Some(at) = first.text.find(name).filter(|_| !name.is_empty()) {
                span = words::part_of(first, at, name.len()).span;
            }
        }
        (name.to_owned(), title.trim().to_owned(), span)
    }

    fn required(
        &self,
        reading: &mut Reading<'_>,
        field: Field,
        name: &str,
        example: &str,
    ) -> Result<&Given, Told> {
        self.written.get(field).ok_or_else(|| {
            if let Err(told) = self.written.refused {
                return told;
            }
            let span = reading.line_of(self.written.span.clone());
            let problem = Problem::new(Code::MissingField, span, format!("the task needs `{name}`"));
            let bullet = if self.form == Form::Front { "- " } else { "" };
            let help = format!("add `{bullet}**{name}:** {example}` below the heading");
            reading.refuse(problem.label(format!("`{name}` is missing")).help(help))
        })
    }

    /// The one line that a field says.
    fn value(&self, reading: &mut Reading<'_>, given: &Given) -> Result<String, Told> {
        let text = plain(&given.line);
        if !text.is_empty() {
            return Ok(text);
        }
        let problem =
            Problem::new(Code::EmptyText, given.label.clone(), format!("`{}` is empty", given.name));
        Err(reading.refuse(problem.label("nothing here").help("say it in a few words")))
    }

    fn id(
        &self,
        reading: &mut Reading<'_>,
        label: &str,
        name_span: Span,
        ids: &mut Names,
        draft: &mut Draft,
    ) -> Result<TaskId, Told> {
        let (text, span) = match self.form {
            Form::Fields => {
                let given = self.required(reading, Field::Id, "ID", "P1-T1")?;
                (self.value(reading, given)?, given.value.clone())
            }
            Form::Front => {
                if let Some(given) = self.written.get(Field::Id) {
                    let message = "the id stands in the task's heading already";
                    let problem = Problem::new(Code::GivenTwice, given.label.clone(), message);
                    let help = "leave it out: `### Task T1-001: Title` has the id `T1-001`";
                    return Err(reading.refuse(problem.label("given again").help(help)));
                }
                (label.to_owned(), name_span)
            }
        };
        let value = DeValue::String(text.into());
        let id: TaskId = reading.id(&Item::new(&value, span.clone(), "the id"))?;
        draft.id = Some(id.to_string());
        ids.once(reading, Code::DuplicateId, id.as_str(), &span)?;
        Ok(id)
    }

    fn title(&self, reading: &mut Reading<'_>, title: String) -> Result<String, Told> {
        if !title.is_empty() {
            return Ok(title);
        }
        let span = reading.line_of(self.written.span.clone());
        let problem = Problem::new(Code::EmptyText, span, "the task has no title");
        Err(reading.refuse(problem.label("nothing behind the colon").help("name the task")))
    }

    fn depends_on(&self, reading: &mut Reading<'_>, draft: &mut Draft) -> Result<Vec<TaskId>, Told> {
        let Some(given) = self.written.get(Field::Dependencies) else {
            return Ok(Vec::new());
        };
        let words = all_words(given);
        if words::is_none(&words) {
            return Ok(Vec::new());
        }
        every(words, |word| {
            let mut word = word;
            // `[a, b]` is the list of YAML; its brackets are no part of an id.
            word.text = word.text.trim_matches(['[', ']']).to_owned();
            let value = DeValue::String(word.text.into());
            let id: TaskId = reading.id(&Item::new(&value, word.span.clone(), "a dependency"))?;
            draft.depends_on.push((id.to_string(), word.span));
            Ok(id)
        })
    }

    /// What is said before the first field and under its own name, as it is written.
    fn description(&self, reading: &mut Reading<'_>) -> Result<String, Told> {
        let said = |span: &Span| dedented(reading.source(), span.clone());
        let given = self.written.get(Field::Description);
        let parts = [self.written.lead.as_ref(), given.map(|given| &given.value)];
        let parts: Vec<String> = parts.into_iter().flatten().map(said).collect();
        let text = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
        let text = text.collect::<Vec<_>>().join("\n\n");
        if self.written.lead.is_none() && given.is_none() {
            let example = "What is to be done";
            return self.required(reading, Field::Description, "Description", example).map(|_| text);
        }
        let least = if self.form == Form::Front { SHORTEST } else { 1 };
        if text.chars().count() >= least {
            return Ok(text);
        }
        let label = given.map_or(self.written.span.clone(), |given| given.label.clone());
        let problem = Problem::new(
            Code::TooShort,
            reading.line_of(label),
            format!("the description has less than {least} character{}", if least == 1 { "" } else { "s" }),
        );
        Err(reading.refuse(problem.label("too short").help("say what is to be done")))
    }

    fn files(&self, reading: &mut Reading<'_>) -> Result<Vec<PathGlob>, Told> {
        let Some(given) = self.written.get(Field::Files) else {
            return Ok(Vec::new());
        };
        let words = all_words(given);
        if words::is_none(&words) {
            return Ok(Vec::new());
        }
        words::files(reading, &words, &format!("`{}`", given.name))
    }

    /// The agent, and what the plan says of it.
    fn agent(
        &self,
        reading: &mut Reading<'_>,
    ) -> Result<(String, BTreeMap<String, String>), Told> {
        let mut options = BTreeMap::new();
        let kind = self.written.get(Field::Type).map(|given| {
            let text = self.value(reading, given)?.to_lowercase();
            if TYPES.iter().any(|(kind, _)| *kind == text) {
                return Ok(text);
            }
            let kinds = TYPES.map(|(kind, _)| kind);
            let help = crate::suggest::meant(&text, kinds, "the types are");
            let message = format!("no type of task is called `{text}`");
            let problem = Problem::new(Code::UnknownType, given.value.clone(), message);
            Err(reading.refuse(problem.label("unknown").help(help)))
        });
        let kind = kind.transpose()?;
        let of_kind = |kind: &String| TYPES.iter().find(|(name, _)| name == kind);
        let assignee = match self.written.get(Field::Assignee) {
            Some(given) => Some((self.value(reading, given)?, Some(given.value.clone()))),
            None => kind.as_ref().and_then(of_kind).map(|(_, who)| ((*who).to_owned(), None)),
        };
        if let Some(kind) = kind {
            options.insert("type".to_owned(), kind);
        }
        let Some((assignee, span)) = assignee else {
            return Ok((BUILDER.to_owned(), options));
        };
        let name = assignee.trim_start_matches('@').to_owned();
        options.insert("assignee".to_owned(), name.clone());
        if self.known.agents.contains(&name.as_str()) {
            return Ok((name, options));
        }
        let of_the_seed: BTreeSet<&str> = TYPES.iter().map(|(_, who)| *who).collect();
        let short = name.strip_prefix("idumb-").unwrap_or(&name);
        if let Some(span) = span.filter(|_| !of_the_seed.contains(short)) {
            let close = nearest(&name, self.known.agents.iter().copied());
            let help = match close {
                Some(word) => format!("did you mean `{word}`?"),
                None => "agents of the project's own are named in idumb.toml".to_owned(),
            };
            let message = format!("no agent is called `{name}`: the built-in builder takes it");
            let problem = Problem::new(Code::OtherAgent, span, message).label("not there");
            reading.warn(problem.help(help));
        }
        Ok((BUILDER.to_owned(), options))
    }

    /// Fields that are kept as they are, as options.
    fn kept(&self, reading: &mut Reading<'_>, options: &mut BTreeMap<String, String>) {
        for (field, key) in [(Field::Priority, "priority"), (Field::Notes, "notes")] {
            if let Some(given) = self.written.get(field) {
                let text = dedented(reading.source(), given.value.clone());
                options.insert(key.to_owned(), text);
            }
        }
        if let Some(given) = self.written.get(Field::Status) {
            let problem = Problem::new(
                Code::NotCarried,
                given.label.clone(),
                "what a plan says of a task's status is not looked at",
            );
            let help = "leave it out: what is done is kept beside the plan";
            reading.warn(problem.label("not looked at").help(help));
        }
    }

    fn accept(
        &self,
        reading: &mut Reading<'_>,
        task: Result<&TaskId, Told>,
    ) -> Result<Vec<idumb_core::Criterion>, Told> {
        let given = self.written.get(Field::Accept);
        let line: &[Piece] = given.map_or(&[], |given| given.line.as_slice());
        let line_span = span_of(line).filter(|_| !plain(line).is_empty());
        let entries = given.map_or(&[][..], |given| given.entries.as_slice());
        if let (None, Err(told)) = (given, self.written.refused) {
            return Err(told);
        }
        if line_span.is_none() && entries.is_empty() {
            let span = given.map_or(self.written.span.clone(), |given| given.label.clone());
            let span = reading.line_of(span);
            let problem = Problem::new(Code::NoCriteria, span, "the task has no criterion");
            let help = "say how it is seen that the task is done: \
                        `**Acceptance Criteria:**` with a list below it";
            return Err(reading.refuse(problem.label("nothing would be checked").help(help)));
        }
        let mut criteria = Criteria::new(task?.clone());
        let said = line_span.map_or(Ok(()), |span| criteria.line(reading, span, line));
        every(entries, |entry| criteria.entry(reading, entry)).and(said)?;
        Ok(criteria.all)
    }
}

/// The words of a field's line and of its list.
fn all_words(given: &Given) -> Vec<Word> {
    let mut words = words::words(&given.line);
    for entry in &given.entries {
        for block in &entry.blocks {
            if let super::outline::BlockKind::Paragraph(pieces) = &block.kind {
                words.extend(words::words(pieces));
            }
        }
    }
    words
}
