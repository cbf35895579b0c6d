//! One task of the seed's plans: what its fields mean.
//!
//! Invariant: a task that was read has an id that no other has, a description, an estimate
//! and a criterion; an agent that is not there is warned of.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{PathGlob, ResourceLimits, Task, TaskId};
use toml::de::DeValue;

use super::Known;
use super::criteria::Criteria;
use super::fields::{Field, Given, Written};
use super::outline::{BlockKind, Piece, dedented, plain, span_of};
use super::seed::Form;
use super::words::{self, Word};
use crate::names::Names;
use crate::order::Draft;
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Item, Reading, every};
use crate::suggest::nearest;

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

/// A task that is about to be read.
pub(super) struct OneTask<'a> {
    pub(super) written: &'a Written,
    pub(super) form: Form,
    pub(super) known: &'a Known<'a>,
}

impl OneTask<'_> {
    pub(super) fn read(
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
            commands: Vec::new(),
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
        if let Some(first) = self.written.heading.first()
            && let Some(at) = first.text.find(name).filter(|_| !name.is_empty())
        {
            span = words::part_of(first, at, name.len()).span;
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
            let problem =
                Problem::new(Code::MissingField, span, format!("the task needs `{name}`"));
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
        let problem = Problem::new(
            Code::EmptyText,
            given.label.clone(),
            format!("`{}` is empty", given.name),
        );
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

    fn depends_on(
        &self,
        reading: &mut Reading<'_>,
        draft: &mut Draft,
    ) -> Result<Vec<TaskId>, Told> {
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
            return self
                .required(reading, Field::Description, "Description", example)
                .map(|_| text);
        }
        let least = if self.form == Form::Front { SHORTEST } else { 1 };
        if text.chars().count() >= least {
            return Ok(text);
        }
        let label = given.map_or(self.written.span.clone(), |given| given.label.clone());
        let problem = Problem::new(
            Code::TooShort,
            reading.line_of(label),
            format!(
                "the description has less than {least} character{}",
                if least == 1 { "" } else { "s" }
            ),
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
    fn agent(&self, reading: &mut Reading<'_>) -> Result<(String, BTreeMap<String, String>), Told> {
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
            if let BlockKind::Paragraph(pieces) = &block.kind {
                words.extend(words::words(pieces));
            }
        }
    }
    words
}
