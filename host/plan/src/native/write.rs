//! A plan as the text of a `plan.toml`.
//!
//! Invariant: what was written was read again and is the same plan; what the format cannot say
//! is told, never left out.

use std::collections::BTreeMap;
use std::time::Duration;

use idumb_core::{CheckpointAt, Criterion, Link, Plan, Step, Task};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::kinds::CRITERIA;
use super::says::sentence;
use crate::limits::as_written;

/// A plan that `plan.toml` cannot say, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan cannot be written as plan.toml: {}", reasons.join("; "))]
pub struct NotNative {
    reasons: Vec<String>,
}

impl NotNative {
    /// What cannot be said; never empty.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }
}

/// The plan as a `plan.toml`, which reads as an equal plan but for its digest.
///
/// # Errors
/// Everything of the plan that the format cannot say.
///
/// ```
/// let source = "phase = 1\nname = \"a\"\ngoal = \"g\"\n\
///     [[tasks]]\nid = \"t\"\ntitle = \"T\"\naccept = [{ exists = \"a.txt\" }]\n";
/// let plan = idumb_plan::read_plan(source, "plan.toml", None).unwrap();
/// let text = idumb_plan::to_native(&plan).unwrap();
/// let mut again = idumb_plan::read_plan(&text, "plan.toml", None).unwrap();
/// again.digest = plan.digest;
/// assert_eq!(again, plan);
/// ```
pub fn to_native(plan: &Plan) -> Result<String, NotNative> {
    let refused = |reasons| Err(NotNative { reasons });
    let Parts { head, tasks, links } = in_parts(plan)?;
    let parts: Vec<String> = [head].into_iter().chain(tasks).chain(links).collect();
    let text = parts.join("\n");
    match super::read(&text, "plan.toml", None) {
        Ok(mut again) => {
            again.digest = plan.digest;
            let reasons = differences(plan, &again);
            if reasons.is_empty() { Ok(text) } else { refused(reasons) }
        }
        Err(error) => refused(error.problems().iter().map(ToString::to_string).collect()),
    }
}

/// A plan's text in pieces, each of whole lines, so that something can be said between them.
pub(crate) struct Parts {
    pub(crate) head: String,
    /// One for each task, in order.
    pub(crate) tasks: Vec<String>,
    /// One for each link.
    pub(crate) links: Vec<String>,
}

/// The plan's text in pieces; whether it reads as the plan is for the caller to see.
pub(crate) fn in_parts(plan: &Plan) -> Result<Parts, NotNative> {
    let unsayable = unsayable(plan);
    if !unsayable.is_empty() {
        return Err(NotNative { reasons: unsayable });
    }
    let tasks = plan.tasks.iter().map(|task| pretty(&Tasks { tasks: [WrittenTask::of(task)] }));
    let links = plan.links.iter().map(|link| pretty(&Links { links: [WrittenLink::of(link)] }));
    Ok(Parts {
        head: pretty(&Head::of(plan))?,
        tasks: tasks.collect::<Result<_, _>>()?,
        links: links.collect::<Result<_, _>>()?,
    })
}

fn pretty(value: &impl Serialize) -> Result<String, NotNative> {
    toml::to_string_pretty(value).map_err(|error| NotNative { reasons: vec![error.to_string()] })
}

/// The arguments with values that TOML does not have.
fn unsayable(plan: &Plan) -> Vec<String> {
    fn within(value: &Value) -> Option<&'static str> {
        match value {
            Value::Null => Some("`null`"),
            Value::Number(number) if number.is_u64() && !number.is_i64() => {
                Some("a number this large")
            }
            Value::Array(items) => items.iter().find_map(within),
            Value::Object(entries) => entries.values().find_map(within),
            _ => None,
        }
    }
    let mut reasons = Vec::new();
    for task in &plan.tasks {
        let steps = task.steps.iter().map(|step| (&step.kind, &step.args));
        let all =
            steps.chain(task.accept.iter().map(|criterion| (&criterion.kind, &criterion.args)));
        for (kind, args) in all {
            for (name, value) in args {
                if let Some(what) = within(value) {
                    let id = &task.id;
                    reasons.push(format!("`{name}` of `{kind}` in the task `{id}` is {what}"));
                }
            }
        }
    }
    reasons
}

/// What reads differently than it was.
fn differences(plan: &Plan, again: &Plan) -> Vec<String> {
    if plan == again {
        return Vec::new();
    }
    let pairs = plan.tasks.iter().zip(&again.tasks).filter(|(one, other)| one != other);
    let mut reasons: Vec<String> =
        pairs.map(|(task, _)| format!("the task `{}` would read differently", task.id)).collect();
    if reasons.is_empty() {
        reasons.push("the plan would read differently".to_owned());
    }
    reasons
}

/// Whether there is nothing to say.
fn none<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Serialize)]
struct Head<'a> {
    phase: u32,
    name: &'a str,
    goal: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    depends_on: &'a [String],
    #[serde(skip_serializing_if = "none")]
    supersedes: Vec<&'a str>,
}

#[derive(Serialize)]
struct Tasks<'a> {
    tasks: [WrittenTask<'a>; 1],
}

#[derive(Serialize)]
struct Links<'a> {
    links: [WrittenLink<'a>; 1],
}

impl<'a> Head<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self {
            phase: plan.phase.number,
            name: &plan.phase.name,
            goal: &plan.goal,
            depends_on: &plan.depends_on,
            supersedes: plan.supersedes.iter().map(|id| id.as_str()).collect(),
        }
    }
}

#[derive(Serialize)]
struct WrittenTask<'a> {
    id: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    agent: &'a str,
    #[serde(skip_serializing_if = "none")]
    depends_on: Vec<&'a str>,
    #[serde(skip_serializing_if = "none")]
    reads: Vec<&'a str>,
    #[serde(skip_serializing_if = "none")]
    writes: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    artifacts: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    commands: &'a [String],
    #[serde(skip_serializing_if = "none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "none")]
    retries: u32,
    #[serde(skip_serializing_if = "none")]
    checkpoint: Option<&'static str>,
    #[serde(skip_serializing_if = "none")]
    human: bool,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    limits: toml::Table,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<WrittenStep<'a>>,
    accept: Vec<WrittenCriterion<'a>>,
}

impl<'a> WrittenTask<'a> {
    fn of(task: &'a Task) -> Self {
        Self {
            id: task.id.as_str(),
            title: &task.title,
            description: &task.description,
            agent: &task.agent,
            depends_on: task.depends_on.iter().map(|id| id.as_str()).collect(),
            reads: task.reads.iter().map(|glob| glob.as_str()).collect(),
            writes: task.writes.iter().map(|glob| glob.as_str()).collect(),
            artifacts: &task.artifacts,
            commands: &task.commands,
            timeout: task.timeout.map(time),
            retries: task.retries,
            checkpoint: task.checkpoint.map(|checkpoint| match checkpoint.at {
                CheckpointAt::Before => "before",
                CheckpointAt::After => "after",
            }),
            human: task.checkpoint.is_some_and(|checkpoint| checkpoint.human),
            limits: as_written(&task.limits),
            options: &task.options,
            steps: task.steps.iter().map(WrittenStep::of).collect(),
            accept: (1..)
                .zip(&task.accept)
                .map(|(number, criterion)| WrittenCriterion::of(task, number, criterion))
                .collect(),
        }
    }
}

/// A time in the largest unit that it is a whole number of.
fn time(time: Duration) -> String {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    match nanos {
        0 => format!("{seconds}s"),
        _ if nanos.is_multiple_of(1_000_000) => format!("{}ms", time.as_millis()),
        _ => format!("{}ns", time.as_nanos()),
    }
}

/// The long form, which every agent's steps have: `kind = "copy"` and every argument by its name.
#[derive(Serialize)]
struct WrittenStep<'a> {
    kind: &'a str,
    #[serde(flatten)]
    args: &'a Map<String, Value>,
}

impl<'a> WrittenStep<'a> {
    fn of(step: &'a Step) -> Self {
        Self { kind: &step.kind, args: &step.args }
    }
}

/// The short form, `contains = "PATH"` with the other arguments beside it, and neither an id nor
/// words that are made of the rest anyway.
struct WrittenCriterion<'a> {
    criterion: &'a Criterion,
    id: Option<&'a str>,
    says: Option<&'a str>,
}

impl<'a> WrittenCriterion<'a> {
    fn of(task: &Task, number: usize, criterion: &'a Criterion) -> Self {
        let Criterion { id, text, kind, args, .. } = criterion;
        let made = format!("{}.{number}", task.id);
        Self {
            criterion,
            id: Some(id.as_str()).filter(|id| *id != made),
            says: Some(text.as_str()).filter(|text| *text != sentence(kind, args)),
        }
    }
}

impl Serialize for WrittenCriterion<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Criterion { kind, args, .. } = self.criterion;
        let known = CRITERIA.iter().find(|known| known.name == kind && !known.has_own());
        let first = known.and_then(|known| Some((known.first(), args.get(known.first())?)));
        let mut map = serializer.serialize_map(None)?;
        match first {
            Some((_, value)) => map.serialize_entry(kind, value)?,
            None => map.serialize_entry("kind", kind)?,
        }
        let held = first.map(|(name, _)| name);
        for (name, value) in args.iter().filter(|(name, _)| Some(name.as_str()) != held) {
            map.serialize_entry(name, value)?;
        }
        if let Some(id) = self.id {
            map.serialize_entry("id", id)?;
        }
        if let Some(says) = self.says {
            map.serialize_entry("says", says)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct WrittenLink<'a> {
    id: &'a str,
    from: &'a str,
    pattern: &'a str,
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provides: Option<&'a str>,
}

impl<'a> WrittenLink<'a> {
    fn of(link: &'a Link) -> Self {
        let provides = link.provides.as_deref();
        let (from, pattern, to) = (&link.from, &link.pattern, &link.to);
        Self { id: link.id.as_str(), from, pattern, to, provides }
    }
}
