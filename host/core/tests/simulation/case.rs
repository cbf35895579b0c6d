//! What one seed is about: a random plan, how it is run, and how bad the weather is.
//!
//! Invariant: every plan is one that `idumb-plan` would let through, and can be completed.

use std::collections::BTreeMap;
use std::time::Duration;

use idumb_core::{
    AgentBinding, Backoff, Blocker, Ceiling, Checkpoint, CheckpointAt, Criterion, CriterionId,
    Digest, Mode, PathGlob, PhaseId, Plan, Policy, Resort, Role, Rule, RunConfig, RunId, Task,
    TaskId, Timeouts, Want,
};

use crate::rng::Rng;

/// The only files there are.
pub(crate) const PATHS: [&str; 9] = ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3", "c/1", "c/2", "c/3"];

/// The directories that they are in.
pub(crate) const DIRS: [&str; 3] = ["a", "b", "c"];

pub(crate) struct Case {
    pub(crate) plan: Plan,
    pub(crate) config: RunConfig,
    /// How many plans there were.
    pub(crate) plans: u32,
    /// How often an answer is a bad one, in percent.
    pub(crate) bad: u32,
    /// How often the host dies at an event or effect, in percent.
    pub(crate) crash: u32,
    /// How many steps the bad weather lasts.
    pub(crate) steps: usize,
    /// How many phases must be completed before.
    pub(crate) prerequisites: usize,
    /// Whether somebody may give the run up.
    pub(crate) cancels: bool,
    /// How much time passes at a step, in milliseconds, at most.
    pub(crate) pace: usize,
}

impl Case {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let count = 1 + rng.below(10);
        Self {
            plan: plan(rng, count),
            config: config(rng),
            plans: 1,
            bad: *rng.pick(&[0, 5, 20, 50]),
            crash: *rng.pick(&[0, 0, 1, 4, 12]),
            steps: rng.below(140),
            prerequisites: rng.below(3).saturating_sub(1),
            cancels: rng.chance(10),
            pace: *rng.pick(&[20, 100, 400]),
        }
    }

    /// The weather is good, and whoever configures the run means well.
    pub(crate) fn calm_down(&mut self) {
        self.bad = 0;
        self.prerequisites = 0;
        self.config = RunConfig {
            rules: Vec::new(),
            policies: Vec::new(),
            agents: Vec::new(),
            timeouts: Timeouts { phase_ms: None, ..Timeouts::default() },
            ..self.config.clone()
        };
        // The plan stays, and with it how long its tasks may take: everybody hurries.
        self.pace = 10;
    }

    /// Another plan for the same phase: some tasks go, some come, some are otherwise.
    pub(crate) fn other_plan(&mut self, rng: &mut Rng) -> Plan {
        let mut plan = self.plan.clone();
        if plan.tasks.len() > 1 && rng.chance(40) {
            let gone = plan.tasks.remove(rng.below(plan.tasks.len())).id;
            for task in &mut plan.tasks {
                task.depends_on.retain(|id| *id != gone);
            }
        }
        if rng.chance(60) {
            let index = rng.below(plan.tasks.len());
            match rng.below(4) {
                0 => plan.tasks[index].description.push_str(" differently"),
                1 => plan.tasks[index].retries += 1,
                2 => plan.tasks[index].writes = vec![glob("c/*")],
                _ => plan.tasks[index].depends_on.clear(),
            }
        }
        self.plans += 1;
        if rng.chance(40) {
            let before: Vec<Task> = plan.tasks.clone();
            // Now and then the name of a task that was removed before.
            let number = 1 + rng.below(14);
            if before.iter().all(|task| task.id != id(number)) {
                plan.tasks.push(task(rng, number, &before));
            }
        }
        plan.digest = Digest::of(format!("plan {}", self.plans).as_bytes());
        plan
    }
}

/// How a run is to go.
pub(crate) fn config(rng: &mut Rng) -> RunConfig {
    let mut config = RunConfig::new(RunId::new("phase-1-r1").expect("an identifier"));
    config.mode = *rng.pick(&[Mode::Auto, Mode::Interactive]);
    config.batch_size = rng.below(6) as u32;
    config.max_deaths = rng.below(4) as u32;
    config.backoff = Backoff { initial_ms: *rng.pick(&[0, 0, 300, 5000]), cap_ms: 9000 };
    config.timeouts = Timeouts {
        attempt_ms: *rng.pick(&[500, 3000, 100_000]),
        validation_ms: *rng.pick(&[500, 3000, 100_000]),
        phase_ms: *rng.pick(&[None, None, Some(2000), Some(20_000)]),
        grace_ms: *rng.pick(&[0, 500, 5000]),
        stop_ms: *rng.pick(&[0, 300, 2000]),
    };
    config.rules = (0..rng.below(4)).map(|number| rule(rng, number)).collect();
    if rng.chance(20) {
        config.policies = vec![policy(rng)];
    }
    if rng.chance(20) {
        let same = rng.chance(10);
        let mut bind = |name: &str, role, bytes: &str| AgentBinding {
            name: name.to_owned(),
            role,
            digest: Digest::of(bytes.as_bytes()),
            source: String::new(),
            third_party: false,
            ceiling: rng.chance(30).then(ceiling),
        };
        config.agents = vec![
            bind("builder", Role::Builder, "builder"),
            bind("judge", Role::Validator, if same { "builder" } else { "judge" }),
        ];
    }
    config
}

fn ceiling() -> Ceiling {
    let want = |text: &str| Want { paths: vec![glob(text)], why: "to work".to_owned() };
    Ceiling { reads: vec![want("**")], writes: vec![want("a/**")] }
}

fn rule(rng: &mut Rng, number: usize) -> Rule {
    let mut on: Vec<Blocker> = Blocker::ALL.into_iter().filter(|_| rng.chance(30)).collect();
    if on.is_empty() {
        on.push(Blocker::Failure);
    }
    Rule {
        name: format!("rule {number}"),
        on,
        tasks: if rng.chance(20) { vec![id(1), id(2)] } else { Vec::new() },
        retry: rng.below(3) as u32,
        backoff_ms: *rng.pick(&[None, Some(0), Some(700)]),
        then: *rng.pick(&[Resort::Skip, Resort::Pause, Resort::Fail]),
    }
}

fn policy(rng: &mut Rng) -> Policy {
    let never = ["private/**", "private/**", "a/1"];
    let mut policy = Policy { name: "policy".to_owned(), ..Policy::default() };
    policy.never = vec![glob(never[rng.below(3)])];
    if rng.chance(15) {
        policy.writes = Some(vec![glob("a/**"), glob("b/**")]);
    }
    if rng.chance(10) {
        policy.roles.insert(Role::Validator, vec!["another".to_owned()]);
    }
    policy.same_agent = rng.chance(20);
    policy
}

fn glob(text: &str) -> PathGlob {
    text.parse().expect("a pattern")
}

fn id(number: usize) -> TaskId {
    TaskId::new(format!("T{number}")).expect("an identifier")
}

fn plan(rng: &mut Rng, count: usize) -> Plan {
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
        digest: Digest::of(b"plan 1"),
    }
}

fn task(rng: &mut Rng, number: usize, before: &[Task]) -> Task {
    let id = id(number);
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
    let judged = if rng.chance(15) { 1 + rng.below(2) } else { 0 };
    let mut looks_at = || {
        let path = *rng.pick(&PATHS);
        if rng.chance(20) { vec![glob(path)] } else { Vec::new() }
    };
    let accept: Vec<Criterion> = (1..=criteria)
        .map(|n| Criterion {
            id: CriterionId::new(format!("{id}.{n}")).expect("an identifier"),
            text: String::new(),
            kind: if n <= judged { Criterion::JUDGED } else { "exists" }.to_owned(),
            args: serde_json::Map::new(),
            looks_at: looks_at(),
        })
        .collect();
    let at = *rng.pick(&[CheckpointAt::Before, CheckpointAt::After]);
    let checkpoint = Checkpoint { at, human: rng.chance(50) };
    Task {
        accept,
        id,
        title: String::new(),
        description: String::new(),
        agent: "builder".to_owned(),
        depends_on,
        reads: Vec::new(),
        writes: writes.iter().map(|text| glob(text)).collect(),
        artifacts: Vec::new(),
        commands: Vec::new(),
        timeout: rng.chance(20).then(|| Duration::from_millis(700)),
        limits: Default::default(),
        retries: rng.below(4) as u32,
        checkpoint: rng.chance(25).then_some(checkpoint),
        steps: Vec::new(),
        options: BTreeMap::new(),
    }
}
