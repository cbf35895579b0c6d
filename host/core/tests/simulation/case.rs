//! What one seed is about: a random plan, how it is run, and how bad the weather is.
//!
//! Invariant: every plan is one that `idumb-plan` would let through, and can be completed.

use std::collections::BTreeMap;

use idumb_core::{
    Criterion, CriterionId, Digest, Mode, PhaseId, Plan, RunConfig, RunId, Task, TaskId,
};

use crate::rng::Rng;

/// The only files there are.
pub(crate) const PATHS: [&str; 9] = ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3", "c/1", "c/2", "c/3"];

/// The directories that they are in.
pub(crate) const DIRS: [&str; 3] = ["a", "b", "c"];

pub(crate) struct Case {
    pub(crate) plan: Plan,
    pub(crate) config: RunConfig,
    /// How often an answer is a bad one, in percent.
    pub(crate) bad: u32,
    /// How often the host dies at an event or effect, in percent.
    pub(crate) crash: u32,
    /// How many steps the bad weather lasts.
    pub(crate) steps: usize,
    /// How many phases must be completed before.
    pub(crate) prerequisites: usize,
}

impl Case {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mode = *rng.pick(&[Mode::Auto, Mode::Interactive]);
        Self {
            plan: plan(rng),
            config: RunConfig {
                run: RunId::new("phase-1-r1").expect("an identifier"),
                mode,
                batch_size: rng.below(6) as u32,
                timeout_ms: 1000,
                agents: Vec::new(),
            },
            bad: *rng.pick(&[0, 5, 20, 50]),
            crash: *rng.pick(&[0, 0, 1, 4, 15]),
            steps: rng.below(120),
            prerequisites: rng.below(3).saturating_sub(1),
        }
    }
}

fn plan(rng: &mut Rng) -> Plan {
    let count = 1 + rng.below(12);
    let mut tasks: Vec<Task> = Vec::new();
    for number in 1..=count {
        let task = task(rng, number, &tasks);
        tasks.push(task);
    }
    rng.shuffle(&mut tasks);
    Plan {
        phase: PhaseId::new(1, "one").expect("an identifier"),
        goal: String::new(),
        depends_on: Vec::new(),
        supersedes: Vec::new(),
        tasks,
        links: Vec::new(),
        digest: Digest::of(b"plan"),
    }
}

fn task(rng: &mut Rng, number: usize, before: &[Task]) -> Task {
    let id = TaskId::new(format!("T{number}")).expect("an identifier");
    let dependencies = if rng.chance(50) { 0 } else { rng.below(3) };
    let mut depends_on = Vec::new();
    for _ in 0..dependencies.min(before.len()) {
        let other = rng.pick(before).id.clone();
        if !depends_on.contains(&other) {
            depends_on.push(other);
        }
    }
    let writes = match rng.below(8) {
        0 => vec!["c/*"],
        1 => vec!["b/**"],
        2 => vec![*rng.pick(&PATHS), *rng.pick(&PATHS)],
        _ => vec![*rng.pick(&PATHS)],
    };
    let criteria = 1 + rng.below(2);
    let accept = (1..=criteria).map(|n| Criterion {
        id: CriterionId::new(format!("{id}.{n}")).expect("an identifier"),
        text: String::new(),
        kind: "exists".to_owned(),
        args: serde_json::Map::new(),
        looks_at: Vec::new(),
    });
    Task {
        accept: accept.collect(),
        id,
        title: String::new(),
        description: String::new(),
        agent: "builder".to_owned(),
        depends_on,
        reads: Vec::new(),
        writes: writes.iter().map(|text| text.parse().expect("a pattern")).collect(),
        artifacts: Vec::new(),
        timeout: None,
        retries: rng.below(4) as u32,
        checkpoint: None,
        steps: Vec::new(),
        options: BTreeMap::new(),
    }
}
