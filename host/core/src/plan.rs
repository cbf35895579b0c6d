//! The plan of a phase: parsed, immutable, named by its digest.
//!
//! Invariant: a [`Plan`] that `idumb-plan` returned has unique ids, no cycle, and at
//! least one criterion for every task.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    AccessRecord, CriterionId, Digest, Grants, PathGlob, PhaseId, ResourceLimits, Role, TaskId,
};

/// The tasks of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which phase it is for.
    pub phase: PhaseId,
    /// What the phase is to achieve, in the author's words.
    pub goal: String,
    /// Phases that must be completed before, as the author named them.
    pub depends_on: Vec<String>,
    /// Criteria of earlier phases that this phase deliberately ends.
    pub supersedes: Vec<CriterionId>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<Task>,
    /// References between files that must hold when the phase is done.
    pub links: Vec<Link>,
    /// Of the file's bytes.
    pub digest: Digest,
}

/// The smallest thing scheduled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Unique in the plan.
    pub id: TaskId,
    /// One line.
    pub title: String,
    /// What to do, in the author's words.
    pub description: String,
    /// The agent that does it: `builder`, or a name from `idumb.toml`.
    pub agent: String,
    /// Tasks that must have succeeded before.
    pub depends_on: Vec<TaskId>,
    /// Patterns of paths it may read.
    pub reads: Vec<PathGlob>,
    /// Patterns of paths it may write (and read).
    pub writes: Vec<PathGlob>,
    /// Paths it promises to leave behind.
    pub artifacts: Vec<String>,
    /// Native commands that its builder and its validator may ask for, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// How long one attempt may take; `None`: the run's default.
    pub timeout: Option<Duration>,
    /// How much of the machine an attempt may use, less than the project allows.
    #[serde(default, skip_serializing_if = "ResourceLimits::is_empty")]
    pub limits: ResourceLimits,
    /// How many further attempts it gets after the first one failed.
    pub retries: u32,
    /// Where a person decides whether to go on, if anywhere.
    #[serde(default)]
    pub checkpoint: Option<Checkpoint>,
    /// What the agent is to do, for agents that carry out declared steps.
    pub steps: Vec<Step>,
    /// Further options for the agent; template values for the built-in builder.
    pub options: BTreeMap<String, String>,
    /// What must hold when it is done; never empty.
    pub accept: Vec<Criterion>,
}

/// Where a person decides whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Before the task begins, or once it is done.
    pub at: CheckpointAt,
    /// Whether it is a person who has to decide, in auto mode too.
    pub human: bool,
}

/// Before the task begins, or once it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointAt {
    /// Nothing of the task runs before the decision.
    Before,
    /// The task is done; nothing else starts before the decision.
    After,
}

/// One declared action: a kind, such as `write`, and its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The kind, an open word: an agent refuses one it does not know.
    pub kind: String,
    /// The arguments of the kind.
    pub args: Map<String, Value>,
}

/// What must hold: a kind of check, such as `contains`, and its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// Unique in the plan.
    pub id: CriterionId,
    /// What it says, for people.
    pub text: String,
    /// The kind, an open word: a validator answers `inconclusive` to one it does not know.
    pub kind: String,
    /// The arguments of the kind.
    pub args: Map<String, Value>,
    /// The patterns of paths that the check looks at.
    pub looks_at: Vec<PathGlob>,
}

impl Criterion {
    /// The kind of criterion that only a person can judge.
    pub const JUDGED: &'static str = "judged";

    /// The kind of criterion that a native command ends as it should.
    pub const COMMAND: &'static str = "command";

    /// The kind of criterion that a native command runs tests, and they pass.
    pub const TESTS_PASS: &'static str = "tests_pass";

    /// Whether it can be checked on any tree: it looks at files, or a command does. Others are
    /// about one change-set, or for a person.
    pub fn is_recheckable(&self) -> bool {
        !self.is_judged() && (self.command().is_some() || !self.looks_at.is_empty())
    }

    /// Whether a change of the paths in `changed` may break it: it looks at one, or it is one of a
    /// command, which may look at anything.
    pub fn is_touched_by(&self, changed: &BTreeSet<&str>) -> bool {
        // What stands above it decides what it is, and whether it is there.
        let looks_at = |path: &&str| {
            self.looks_at.iter().any(|glob| glob.matches(path) || glob.lies_below(path))
        };
        !changed.is_empty() && (self.command().is_some() || changed.iter().any(looks_at))
    }

    /// Whether only a person can judge it.
    pub fn is_judged(&self) -> bool {
        self.kind == Self::JUDGED
    }

    /// The command that the host runs for it, if it is of such a kind: an agent is not asked.
    pub fn command(&self) -> Option<&str> {
        let by_host = [Self::COMMAND, Self::TESTS_PASS].contains(&self.kind.as_str());
        self.args.get("name").and_then(Value::as_str).filter(|_| by_host)
    }
}

/// A reference that must hold: a pattern in one file that refers to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Unique among links and criteria of the plan.
    pub id: CriterionId,
    /// The file that refers.
    pub from: String,
    /// A regular expression that must match in `from`.
    pub pattern: String,
    /// The file that is referred to; it must exist.
    pub to: String,
    /// A regular expression that must match in `to`, if given: what is referred to.
    pub provides: Option<String>,
}

impl Task {
    /// What the plan lets the task's agent touch.
    pub fn grants(&self) -> Grants {
        Grants { reads: self.reads.clone(), writes: self.writes.clone(), ..Grants::default() }
    }

    /// The criteria that can be checked again on any tree.
    pub fn recheckable(&self) -> impl Iterator<Item = &Criterion> {
        self.accept.iter().filter(|criterion| criterion.is_recheckable())
    }

    /// The criteria that a change of the paths in `changed` may break: those of commands, which
    /// may look at anything; those that look at one of the paths; and all, if it is not known
    /// whose a path is that the task's validator was seen to read (`judged`).
    pub fn at_stake(&self, judged: &AccessRecord, changed: &BTreeSet<&str>) -> Vec<&Criterion> {
        let known = |path: &str| {
            let mut looks_at = self.accept.iter().flat_map(|criterion| &criterion.looks_at);
            looks_at.any(|glob| glob.matches(path))
        };
        let others: BTreeSet<&str> = changed.iter().copied().filter(|path| !known(path)).collect();
        // The host says so of a task with commands; of another, its validator asked for one.
        let commands = self.accept.iter().any(|criterion| criterion.command().is_some());
        let read = if commands { &judged.without_tree() } else { judged };
        let unknown = !others.is_empty() && read.stale_read(&others).is_some();
        let at_stake = |criterion: &&Criterion| unknown || criterion.is_touched_by(changed);
        self.recheckable().filter(at_stake).collect()
    }

    /// What a validator of this task may read: what the task may, and what its criteria look at.
    pub fn validation_grants(&self) -> Grants {
        let looks_at = self.accept.iter().flat_map(|criterion| &criterion.looks_at);
        let mut reads: Vec<PathGlob> = Vec::new();
        for glob in self.reads.iter().chain(&self.writes).chain(looks_at) {
            if !reads.contains(glob) {
                reads.push(glob.clone());
            }
        }
        Grants { reads, ..Grants::default() }
    }

    /// The native commands that an agent of `role` may ask for on this task: a builder those that
    /// the task lists, a validator also those of its criteria, and nobody else any.
    pub fn commands_for(&self, role: Role) -> BTreeSet<&str> {
        let listed = self.commands.iter().map(String::as_str);
        match role {
            Role::Builder => listed.collect(),
            Role::Validator => {
                listed.chain(self.accept.iter().filter_map(Criterion::command)).collect()
            }
            Role::Verifier | Role::IntegrationChecker => BTreeSet::new(),
        }
    }
}

impl Plan {
    /// The task of that id.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| &task.id == id)
    }

    /// The plan with each promised artifact as one more criterion of its task, of kind
    /// `exists`: a promise is checked like everything else.
    #[must_use]
    pub fn with_promises(mut self) -> Self {
        for task in &mut self.tasks {
            let promised = task.artifacts.iter().enumerate();
            let criteria: Vec<Criterion> =
                promised.filter_map(|(index, path)| promise(&task.id, index + 1, path)).collect();
            task.accept.extend(criteria);
        }
        self
    }

    /// The longest chain of tasks that wait for each other, first to last: no number of agents
    /// gets the phase done in fewer steps.
    ///
    /// Of several that long, one; empty only for a plan without tasks.
    pub fn critical_path(&self) -> Vec<TaskId> {
        let mut chains: BTreeMap<&TaskId, (usize, Option<&TaskId>)> = BTreeMap::new();
        let mut left: Vec<&Task> = self.tasks.iter().collect();
        // Each round takes what has all its dependencies; a plan that was read has no cycle.
        loop {
            let before = left.len();
            left.retain(|task| {
                let behind: Option<Vec<_>> = task
                    .depends_on
                    .iter()
                    .map(|id| chains.get(id).map(|(length, _)| (*length, id)))
                    .collect();
                let Some(behind) = behind else { return true };
                let longest = behind.into_iter().max_by_key(|(length, _)| *length);
                let chain = longest.map_or((1, None), |(length, id)| (length + 1, Some(id)));
                chains.insert(&task.id, chain);
                false
            });
            if left.len() == before {
                break;
            }
        }
        // From the end, since of equal ones the last is taken: the first in the plan's order.
        let ids = self.tasks.iter().rev().map(|task| &task.id);
        let mut next = ids.max_by_key(|id| chains.get(id).map_or(0, |(length, _)| *length));
        let mut path: Vec<TaskId> = Vec::new();
        while let Some(id) = next {
            path.push(id.clone());
            next = chains.get(id).and_then(|(_, before)| *before);
        }
        path.reverse();
        path
    }

    /// The batches a run would form if every task succeeded at once: at most `size` tasks
    /// each, all dependencies in earlier batches, declared writes disjoint.
    pub fn batches(&self, size: usize) -> Vec<Vec<TaskId>> {
        let mut done = BTreeSet::new();
        let mut batches = Vec::new();
        loop {
            let left = self.tasks.iter().filter(|task| !done.contains(&task.id));
            let ready = left.filter(|task| task.depends_on.iter().all(|id| done.contains(id)));
            let batch = next_batch(ready, size);
            if batch.is_empty() {
                return batches;
            }
            done.extend(batch.iter().cloned());
            batches.push(batch);
        }
    }
}

/// The criterion that an artifact exists; `None` only for a path that no plan can hold.
fn promise(task: &TaskId, number: usize, path: &str) -> Option<Criterion> {
    let glob: PathGlob = path.parse().ok()?;
    let id = CriterionId::new(format!("{task}.artifact-{number}")).or_else(|_| {
        // The task's own name fills the room that an id has.
        let short = Digest::of(task.as_str().as_bytes()).short();
        CriterionId::new(format!("artifact-{short}-{number}"))
    });
    Some(Criterion {
        id: id.ok()?,
        text: format!("the promised artifact `{path}` exists"),
        kind: "exists".to_owned(),
        args: Map::from_iter([("path".to_owned(), Value::from(path))]),
        looks_at: vec![glob],
    })
}

/// The first tasks of `ready`, at most `size`, whose declared writes are disjoint.
pub fn next_batch<'a>(ready: impl Iterator<Item = &'a Task>, size: usize) -> Vec<TaskId> {
    let mut batch: Vec<&Task> = Vec::new();
    for task in ready {
        if batch.len() >= size.max(1) {
            break;
        }
        let clash = |other: &&Task| {
            task.writes.iter().any(|mine| other.writes.iter().any(|theirs| mine.overlaps(theirs)))
        };
        if !batch.iter().any(clash) {
            batch.push(task);
        }
    }
    batch.into_iter().map(|task| task.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_ask_for_which_command() {
        let criterion = |kind: &str, name: &str| {
            serde_json::json!({
                "id": format!("t.{kind}"), "text": "", "kind": kind, "args": { "name": name },
                "looks_at": [],
            })
        };
        let task: Task = serde_json::from_value(serde_json::json!({
            "id": "t", "title": "T", "description": "", "agent": "builder", "depends_on": [],
            "reads": [], "writes": [], "artifacts": [], "commands": ["lint", "test"],
            "timeout": null, "retries": 0, "steps": [], "options": {},
            "accept": [
                criterion("command", "build"), criterion("tests_pass", "test"),
                criterion("exists", "not-a-command"),
            ],
        }))
        .unwrap();
        let table = [
            (Role::Builder, vec!["lint", "test"]),
            (Role::Validator, vec!["build", "lint", "test"]),
            (Role::Verifier, vec![]),
            (Role::IntegrationChecker, vec![]),
        ];
        for (role, expected) in table {
            assert_eq!(Vec::from_iter(task.commands_for(role)), expected, "{role}");
        }
        let plain = serde_json::to_string(&Task { commands: Vec::new(), ..task }).unwrap();
        assert!(!plain.contains("commands"), "it is written as it was: {plain}");
        let again: Task = serde_json::from_str(&plain).unwrap();
        assert!(again.commands.is_empty(), "and one that was written before is read");
    }
}
