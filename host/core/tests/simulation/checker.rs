//! What must hold, told by somebody who only reads the journal and the effects.
//!
//! Invariant: the checker knows nothing of the run's own state; it keeps its own book, and
//! compares it with the run's when all is said.

mod clocks;
mod people;
mod run;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{
    Digest, Epoch, EvidenceId, Parking, PauseCause, Plan, Prompt, Role, RunConfig, Stamped, TaskId,
    Trouble, WorkflowStep,
};

use self::clocks::{Job, Live};
use crate::world::World;

/// Where a task stands, by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Ready, conflicted, or waiting for its dependencies.
    Idle,
    Leased,
    Running,
    Sealed,
    Validating,
    Judging,
    Accepted,
    Integrating,
    BackOff,
    Parked(Parking),
    Asking(u32),
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

impl At {
    fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Leased
                | Self::Running
                | Self::Sealed
                | Self::Validating
                | Self::Judging
                | Self::Accepted
                | Self::Integrating
        )
    }
}

#[derive(Debug, Clone)]
struct Account {
    at: At,
    epoch: Epoch,
    attempt: u32,
    change_set: Option<Digest>,
    /// Failures that count, since the last time it got a fresh start.
    failures: u32,
    conflicts: u32,
    granted: u32,
    deaths: u32,
    parking: Option<Parking>,
    trouble: Option<Trouble>,
    passed: bool,
    /// What a person was asked about and said to hold.
    held: bool,
    /// When its delay is over, by the clock of the life that set it.
    delayed_until: u64,
    /// How many integrations its builder, and its validator, surely saw.
    built_after: usize,
    checked_after: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Active,
    Pausing,
    Paused(PauseCause),
    Cancelling,
    Failed,
    Refused,
    Completed,
    Cancelled,
}

pub(crate) struct Checker {
    plan: Plan,
    config: RunConfig,
    accounts: BTreeMap<TaskId, Account>,
    control: Control,
    /// Where it stood when it was last taken up.
    before: Control,
    step: Option<WorkflowStep>,
    batch: Vec<TaskId>,
    batches: u32,
    completed: Vec<TaskId>,
    failed: Vec<TaskId>,
    /// All that was ever integrated, whatever became of the plan.
    history: Vec<TaskId>,
    /// What was integrated so, in the same order.
    integrated: Vec<Digest>,
    /// Whether a person let the next batch go.
    go_ahead: bool,
    /// The open prompts.
    prompts: BTreeMap<u32, Prompt>,
    last_prompt: u32,
    /// Those that somebody was asked in this life.
    asked: BTreeSet<u32>,
    unattended: bool,
    /// What a person, or a rule, just decided about a task.
    may_skip: Option<TaskId>,
    may_fail: Option<TaskId>,
    /// Whose candidate a person just judged, at which prompt.
    answered: Option<(TaskId, u32)>,
    /// Which phase-wide checks passed since the run was last taken up.
    judged: BTreeSet<Role>,
    phase_epoch: Epoch,
    /// The trial on whose strength a candidate was accepted.
    pub(crate) verdicts: BTreeMap<Digest, EvidenceId>,
    /// Whether the answer that was told last is one that the run waits for.
    current_answer: bool,
    /// What ended by it.
    ended: Option<Job>,
    /// What works, in this life of the host.
    live: BTreeMap<Job, Live>,
    started: bool,
    /// Whether the plan's prerequisites were met when they were last looked up.
    met: bool,
    /// Whether the run was begun or taken up in this life.
    awake: bool,
    /// It is being taken up at this moment.
    taking_up: bool,
    /// It is only to finish what was begun.
    pub(crate) settling: bool,
    /// How many links of the chain of delegation were recorded in this life.
    links: usize,
    refusals: usize,
    /// An integration broke off in this life.
    stuck: bool,
    /// The host's own trouble was recorded: it must rest.
    must_rest: bool,
    /// When it was asked to rest, by the clock of this life.
    pause_since: Option<u64>,
    /// It was to rest at once.
    stop_asked: bool,
    last_up: u64,
    active_ms: u64,
    budget_ms: u64,
    /// Situations that came about.
    pub(crate) seen: BTreeSet<&'static str>,
}

impl Checker {
    pub(crate) fn new(plan: &Plan, config: &RunConfig) -> Self {
        Self {
            accounts: plan.tasks.iter().map(|task| (task.id.clone(), Account::new())).collect(),
            plan: plan.clone(),
            config: config.clone(),
            control: Control::Active,
            before: Control::Active,
            step: None,
            batch: Vec::new(),
            batches: 0,
            completed: Vec::new(),
            failed: Vec::new(),
            history: Vec::new(),
            integrated: Vec::new(),
            go_ahead: true,
            prompts: BTreeMap::new(),
            last_prompt: 0,
            asked: BTreeSet::new(),
            unattended: false,
            may_skip: None,
            may_fail: None,
            answered: None,
            judged: BTreeSet::new(),
            phase_epoch: 0,
            verdicts: BTreeMap::new(),
            current_answer: false,
            ended: None,
            live: BTreeMap::new(),
            started: false,
            met: false,
            awake: false,
            taking_up: false,
            settling: false,
            links: 0,
            refusals: 0,
            stuck: false,
            must_rest: false,
            pause_since: None,
            stop_asked: false,
            last_up: 0,
            active_ms: 0,
            budget_ms: 0,
            seen: BTreeSet::new(),
        }
    }

    /// The host died: nothing is live, and nothing goes.
    pub(crate) fn crash(&mut self) {
        if self.accounts.values().any(|account| account.at == At::Integrating) {
            self.seen.insert("a crash while integrating");
        }
        self.disowned();
        self.awake = false;
        self.unattended = false;
        self.settling = false;
        self.taking_up = false;
        self.decided();
    }

    fn disowned(&mut self) {
        self.live.clear();
        self.asked.clear();
        self.links = 0;
        self.stuck = false;
        self.must_rest = false;
        self.pause_since = None;
        self.stop_asked = false;
    }

    /// Another process went away after it took an answer.
    pub(crate) fn decided(&mut self) {
        (self.may_skip, self.may_fail, self.answered) = (None, None, None);
    }

    /// It was worked on for so long.
    pub(crate) fn worked(&mut self, active_ms: u64, budget_ms: u64) {
        (self.active_ms, self.budget_ms) = (active_ms, budget_ms);
    }

    /// Takes note of the time of an event that it is told of otherwise.
    pub(crate) fn note_time(&mut self, stamped: &Stamped) {
        self.count_time(stamped);
    }

    pub(crate) fn unattended(&mut self) {
        self.unattended = true;
    }

    /// From now on it is to go so.
    pub(crate) fn configure(&mut self, config: &RunConfig) {
        self.config = config.clone();
    }

    pub(crate) fn history(&self) -> &[TaskId] {
        &self.history
    }

    pub(crate) fn completed(&self) -> &[TaskId] {
        &self.completed
    }

    fn at(&self, task: &TaskId) -> At {
        self.accounts[task].at
    }

    fn task(&self, id: &TaskId) -> &idumb_core::Task {
        self.plan.task(id).expect("a task of the plan")
    }

    /// The account of a task that must stand there, under that epoch.
    #[track_caller]
    fn account(&mut self, task: &TaskId, expected: &[At], epoch: Option<Epoch>) -> &mut Account {
        let account = self.accounts.get_mut(task).expect("a task of the plan");
        assert!(expected.contains(&account.at), "{task} is {:?}, not {expected:?}", account.at);
        if let Some(epoch) = epoch {
            assert_eq!(account.epoch, epoch, "{task}: something of a stale epoch was accepted");
        }
        account
    }

    fn set(&mut self, task: &TaskId, at: At) {
        self.accounts.get_mut(task).expect("a task of the plan").at = at;
    }

    #[track_caller]
    fn goes(&self) {
        assert_eq!(self.control, Control::Active, "it rests, or is about to");
        assert!(self.awake, "nobody took it up");
        assert!(!self.settling, "it only finishes what was begun");
    }

    /// Takes note of a durable event.
    pub(crate) fn event(&mut self, stamped: &Stamped, world: &World) {
        self.count_time(stamped);
        let event = &stamped.event;
        let begins = matches!(event, idumb_core::Event::RunStarted { .. });
        assert_eq!(self.started, !begins, "{event:?}");
        let known = self.run_event(stamped)
            || self.people_event(stamped)
            || self.task_event(stamped, world)
            || self.task_trouble(stamped, world);
        assert!(known, "an event that the checker does not know: {event:?}");
    }
}

impl Account {
    fn new() -> Self {
        Self {
            at: At::Idle,
            epoch: 0,
            attempt: 0,
            change_set: None,
            failures: 0,
            conflicts: 0,
            granted: 0,
            deaths: 0,
            parking: None,
            trouble: None,
            passed: false,
            held: false,
            delayed_until: 0,
            built_after: 0,
            checked_after: 0,
        }
    }

    /// Everything is forgotten but what must never be used twice.
    fn anew(&self) -> Self {
        Self { epoch: self.epoch, attempt: self.attempt, ..Self::new() }
    }
}
