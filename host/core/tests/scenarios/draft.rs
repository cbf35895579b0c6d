//! Plans in a few words.
//!
//! Invariant: what a test does not mention is the simplest there is.

use std::collections::BTreeMap;
use std::time::Duration;

use idumb_core::{
    Checkpoint, CheckpointAt, Criterion, CriterionId, Digest, PathGlob, PhaseId, Plan, Task, TaskId,
};

/// The task of that name, which writes a file of its own and has one criterion.
pub(crate) fn task(name: &str) -> Task {
    Task {
        id: id(name),
        title: format!("Task {name}"),
        description: String::new(),
        agent: "builder".to_owned(),
        depends_on: Vec::new(),
        reads: Vec::new(),
        writes: vec![format!("{name}.txt").parse().unwrap()],
        artifacts: Vec::new(),
        commands: Vec::new(),
        timeout: None,
        limits: Default::default(),
        retries: 0,
        checkpoint: None,
        steps: Vec::new(),
        options: BTreeMap::new(),
        accept: vec![criterion(&format!("{name}.1"))],
    }
}

fn criterion(name: &str) -> Criterion {
    Criterion {
        id: CriterionId::new(name).unwrap(),
        text: String::new(),
        kind: "exists".to_owned(),
        args: serde_json::Map::new(),
        looks_at: Vec::new(),
    }
}

/// What a test says about a task beyond its name.
pub(crate) trait Draft {
    fn after(self, names: &[&str]) -> Self;
    fn writing(self, patterns: &[&str]) -> Self;
    fn retries(self, retries: u32) -> Self;
    fn criteria(self, count: usize) -> Self;
    fn reading(self, patterns: &[&str]) -> Self;
    /// One more criterion, which only a person can judge.
    fn judged(self) -> Self;
    fn timeout_ms(self, ms: u64) -> Self;
    fn stopping(self, at: CheckpointAt, human: bool) -> Self;
}

impl Draft for Task {
    fn after(mut self, names: &[&str]) -> Self {
        self.depends_on = names.iter().map(|name| id(name)).collect();
        self
    }

    fn writing(mut self, patterns: &[&str]) -> Self {
        self.writes = globs(patterns);
        self
    }

    fn reading(mut self, patterns: &[&str]) -> Self {
        self.reads = globs(patterns);
        self
    }

    fn judged(mut self) -> Self {
        let number = self.accept.len() + 1;
        let name = format!("{}.{number}", self.id);
        let kind = Criterion::JUDGED.to_owned();
        let text = "reads well".to_owned();
        self.accept.push(Criterion { kind, text, ..criterion(&name) });
        self
    }

    fn timeout_ms(mut self, ms: u64) -> Self {
        self.timeout = Some(Duration::from_millis(ms));
        self
    }

    fn stopping(mut self, at: CheckpointAt, human: bool) -> Self {
        self.checkpoint = Some(Checkpoint { at, human });
        self
    }

    fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    fn criteria(mut self, count: usize) -> Self {
        self.accept = (1..=count).map(|n| criterion(&format!("{}.{n}", self.id))).collect();
        self
    }
}

pub(crate) fn globs(patterns: &[&str]) -> Vec<PathGlob> {
    patterns.iter().map(|text| text.parse().unwrap()).collect()
}

pub(crate) fn id(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

pub(crate) fn plan(tasks: impl IntoIterator<Item = Task>) -> Plan {
    Plan {
        phase: PhaseId::new(1, "foundation").unwrap(),
        goal: "something that holds".to_owned(),
        depends_on: Vec::new(),
        supersedes: Vec::new(),
        tasks: tasks.into_iter().collect(),
        links: Vec::new(),
        digest: Digest::of(b"plan"),
    }
}
