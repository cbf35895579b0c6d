//! The state of a run: the fold of its events.
//!
//! Invariant: only [`RunState::apply`] changes it, and that decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::graph::Graph;
use crate::{
    AccessRecord, Artifact, Attempt, Blocker, Digest, Epoch, Examination, Feedback, LogLine,
    Millis, Parking, PauseCause, Plan, Prompt, Role, RunOutcome, Subject, TaskId, Trouble,
    WorkflowStep,
};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for its dependencies. Initially, if it has any; by `task_reopened`.
    Blocked,
    /// Waits for a batch. Initially, without dependencies; by `task_succeeded` of the last
    /// dependency, `back_off_ended`, `attempt_interrupted`, `prompt_answered`,
    /// `prompt_withdrawn`, `task_reopened`.
    Ready,
    /// A builder holds the lease, and has not begun. By `lease_granted`.
    Leased,
    /// The builder works. By `attempt_started`.
    Running,
    /// A candidate waits for a validator. By `attempt_sealed`, `judgement_outdated`,
    /// `validation_interrupted`, and by `lease_renewed` after a restart.
    Sealed,
    /// A validator works. By `validation_started`.
    Validating,
    /// What can be checked holds; the rest is for a person. By `candidate_examined`.
    Judging,
    /// The candidate passed, and waits for its turn to be integrated. By `candidate_judged`.
    Accepted,
    /// The candidate is being applied to the base. By `integration_started`.
    Integrating,
    /// Another attempt follows after a delay. By `attempt_failed`, `rule_applied`.
    BackOff {
        /// In milliseconds.
        delay_ms: u64,
    },
    /// Others changed what the attempt read; it is run again. By `attempt_failed`.
    Conflicted,
    /// Somebody, or a rule, has to decide. By `attempt_failed`, `task_parked`.
    Parked(Parking),
    /// A person has to decide. By `prompt_opened`.
    AwaitingDecision(u32),
    /// Terminal: its change-set is in the base. By `task_succeeded`.
    Succeeded,
    /// Terminal, unless a failed run is resumed. By `task_failed`.
    Failed(Blocker),
    /// Terminal, unless a failed run is resumed: the attempt or its validation took too long.
    /// By `task_failed`.
    TimedOut(Role),
    /// Terminal: the run was given up before it was done. By `run_finished`.
    Cancelled,
    /// Terminal, unless a failed run is resumed: left out, by choice or because of that
    /// dependency. By `task_skipped`.
    Skipped(Option<TaskId>),
}

impl TaskState {
    /// Whether nothing more happens to the task in this run, unless it fails and is resumed.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Failed(_)
                | Self::TimedOut(_)
                | Self::Cancelled
                | Self::Skipped(_)
        )
    }

    /// Whether it is being worked on, so that its batch is not over.
    pub fn is_under_way(&self) -> bool {
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

    /// Whether it did not succeed, and will not without somebody's decision.
    pub fn is_troubled(&self) -> bool {
        let waits = matches!(self, Self::Parked(_) | Self::AwaitingDecision(_));
        waits || (self.is_terminal() && *self != Self::Succeeded)
    }
}

/// Whether the run goes, is about to rest, or rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// It goes. Initially; by `run_resumed`.
    Active,
    /// It lets what is under way end, and starts nothing. By `pause_requested`.
    PauseRequested(PauseCause, String),
    /// It rests. By `run_paused`.
    Paused(PauseCause, String),
    /// It stops what is under way, and ends. By `cancel_requested`.
    Cancelling(String),
    /// It ended. By `run_finished`.
    Finished(RunOutcome),
}

/// What is known of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Where it stands.
    pub state: TaskState,
    /// The latest attempt; 0 before the first.
    pub attempt: Attempt,
    /// The latest lease; 0 before the first.
    pub epoch: Epoch,
    /// How many attempts count against its retries.
    pub failures: u32,
    /// How many attempts were in vain because somebody else changed what they read.
    pub conflicts: u32,
    /// How many further attempts rules gave it.
    pub granted: u32,
    /// How often in a row the host died while it ran.
    pub deaths: u32,
    /// Whether its checkpoint was passed.
    pub passed: bool,
    /// Why it is, or was last, parked.
    pub parking: Option<Parking>,
    /// How many of its dependencies did not succeed yet.
    #[serde(skip)]
    pub(crate) needs: usize,
    /// What it left behind.
    pub artifacts: Vec<Artifact>,
    /// Its latest attempt, once there is one.
    pub latest: Option<Box<Latest>>,
}

/// What is known of a task's latest attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// When it started, by the wall clock.
    pub started_at: Millis,
    /// When it started, by the clock of the process, and which life of the run that was.
    pub started_up: (u32, Millis),
    /// How long it took, in milliseconds, where one process saw it from start to end.
    pub took_ms: Option<Millis>,
    /// What came of the attempt before.
    pub feedback: Feedback,
    /// The trouble of the latest attempt that had one.
    pub trouble: Option<Trouble>,
    /// The candidate.
    pub change_set: Option<Digest>,
    /// The paths that the candidate changes.
    pub paths: Vec<String>,
    /// What the builder was seen to do.
    pub record: AccessRecord,
    /// How many integrations the attempt's builder surely saw.
    pub built_after: usize,
    /// How many integrations the candidate's validator surely saw.
    pub sealed_after: usize,
    /// What the validator was seen to read.
    pub judged: AccessRecord,
    /// The findings and evidence.
    pub examination: Option<Examination>,
    /// The agent's words about its work.
    pub summary: String,
    /// The last lines of the log: the agent's words.
    pub last_words: Vec<LogLine>,
}

impl TaskRecord {
    pub(crate) fn new(needs: usize) -> Self {
        Self {
            state: if needs == 0 { TaskState::Ready } else { TaskState::Blocked },
            attempt: 0,
            epoch: 0,
            failures: 0,
            conflicts: 0,
            granted: 0,
            deaths: 0,
            passed: false,
            parking: None,
            needs,
            artifacts: Vec::new(),
            latest: None,
        }
    }

    /// The trouble of the latest attempt that had one.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.latest.as_ref()?.trouble.as_ref()
    }

    /// The candidate's digest.
    pub fn change_set(&self) -> Option<Digest> {
        self.latest.as_ref()?.change_set
    }

    pub(crate) fn latest_mut(&mut self) -> &mut Latest {
        self.latest.get_or_insert_default()
    }
}

/// A change-set that is in the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// Whose.
    pub task: TaskId,
    /// The paths that it changed.
    pub paths: Vec<String>,
}

/// The state of a run. What is skipped a snapshot writes in fewer words, or derives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Whether it began.
    pub begun: bool,
    /// How often it was taken up.
    pub life: u32,
    /// Whether it goes or rests.
    pub control: Control,
    /// The workflow step at hand; `None` before the first.
    pub step: Option<WorkflowStep>,
    /// The latest lease of a phase-wide check.
    pub phase_epoch: Epoch,
    /// How many batches were started.
    pub batches: u32,
    /// The tasks of the batch at hand.
    pub batch: Vec<TaskId>,
    /// Whether the batch at hand passed its checkpoint.
    pub batch_passed: bool,
    /// The tasks that succeeded, in that order.
    #[serde(skip)]
    pub completed: Vec<TaskId>,
    /// The tasks that were given up, in that order.
    pub failed: Vec<TaskId>,
    /// How many of the oldest integrations are no longer listed.
    #[serde(skip)]
    pub forgotten: usize,
    /// The later change-sets in the base, in the order of their integration.
    #[serde(skip)]
    pub integrations: Vec<Integration>,
    /// Prompts without an answer.
    pub prompts: VecDeque<Prompt>,
    /// How many prompts there were.
    pub prompts_opened: u32,
    /// When the run began, by the wall clock.
    pub started_at: Millis,
    /// How long it was worked on, in milliseconds, without rests and waiting for people.
    pub active_ms: u64,
    /// As [`Self::active_ms`], since the phase's timeout was last set.
    pub budget_ms: u64,
    /// Time of measured attempts that succeeded, in milliseconds, summed up.
    pub worked_ms: u64,
    /// How many those were.
    pub measured: u32,
    /// The process's clock at the latest event.
    pub(crate) last_up: Millis,
    #[serde(skip)]
    pub(crate) tasks: Vec<TaskRecord>,
    #[serde(skip)]
    pub(crate) sets: Sets,
    #[serde(skip)]
    pub(crate) graph: Arc<Graph>,
}

/// The tasks in some states, by number: what the rules of the machine look for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sets {
    /// Ready or conflicted.
    pub(crate) ready: BTreeSet<usize>,
    pub(crate) backing_off: BTreeSet<usize>,
    pub(crate) parked: BTreeSet<usize>,
    pub(crate) troubled: BTreeSet<usize>,
    pub(crate) under_way: BTreeSet<usize>,
    /// Done, with a checkpoint after them that was not passed yet.
    pub(crate) unpassed: BTreeSet<usize>,
}

impl Sets {
    pub(crate) fn changed(&mut self, number: usize, state: &TaskState) {
        let put = |set: &mut BTreeSet<usize>, belongs: bool| {
            if belongs {
                set.insert(number);
            } else {
                set.remove(&number);
            }
        };
        put(&mut self.ready, matches!(state, TaskState::Ready | TaskState::Conflicted));
        put(&mut self.backing_off, matches!(state, TaskState::BackOff { .. }));
        put(&mut self.parked, matches!(state, TaskState::Parked(_)));
        put(&mut self.troubled, state.is_troubled());
        put(&mut self.under_way, state.is_under_way());
    }
}

impl RunState {
    /// Before the first event.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut state = Self::uncounted(plan);
        state.count_anew();
        state
    }

    /// As [`Self::new`], without what is derived from the tasks' states.
    pub(crate) fn uncounted(plan: &Plan) -> Self {
        let graph = Arc::new(Graph::of(plan));
        let tasks: Vec<TaskRecord> =
            (0..graph.len()).map(|number| TaskRecord::new(graph.needs(number))).collect();
        Self {
            begun: false,
            life: 0,
            control: Control::Active,
            step: None,
            phase_epoch: 0,
            batches: 0,
            batch: Vec::new(),
            batch_passed: true,
            completed: Vec::new(),
            failed: Vec::new(),
            forgotten: 0,
            integrations: Vec::new(),
            prompts: VecDeque::new(),
            prompts_opened: 0,
            started_at: 0,
            active_ms: 0,
            budget_ms: 0,
            worked_ms: 0,
            measured: 0,
            last_up: 0,
            tasks,
            sets: Sets::default(),
            graph,
        }
    }

    /// Makes what is derived from the tasks' states fit them.
    pub(crate) fn count_anew(&mut self) {
        let ready = |(number, task): (usize, &TaskRecord)| {
            matches!(task.state, TaskState::Ready | TaskState::Conflicted).then_some(number)
        };
        // Most tasks of a large plan are in one state: the set is made at once.
        let ready = self.tasks.iter().enumerate().filter_map(ready).collect();
        self.sets = Sets { ready, ..Sets::default() };
        for number in 0..self.tasks.len() {
            self.tasks[number].needs = self.graph.needs(number);
            let state = &self.tasks[number].state;
            if !matches!(state, TaskState::Ready | TaskState::Blocked | TaskState::Succeeded) {
                self.sets.changed(number, state);
            }
        }
        for number in 0..self.tasks.len() {
            if self.tasks[number].state == TaskState::Succeeded {
                if self.graph.stops_after(number) && !self.tasks[number].passed {
                    self.sets.unpassed.insert(number);
                }
                for at in 0..self.graph.dependents(number).len() {
                    let dependent = self.graph.dependents(number)[at];
                    let needs = &mut self.tasks[dependent].needs;
                    *needs = needs.saturating_sub(1);
                }
            }
        }
    }

    /// The record of a task of the plan.
    pub fn task(&self, id: &TaskId) -> Option<&TaskRecord> {
        self.tasks.get(self.graph.number(id)?)
    }

    /// Every task's record, in the order of the plan.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskId, &TaskRecord)> {
        self.tasks.iter().enumerate().map(|(number, record)| (self.graph.id(number), record))
    }

    /// How many change-sets were integrated.
    pub fn integrated(&self) -> usize {
        self.forgotten + self.integrations.len()
    }

    /// The open prompt of that number.
    pub fn prompt(&self, id: u32) -> Option<&Prompt> {
        self.prompts.iter().find(|prompt| prompt.id == id)
    }

    /// What failed, waits for a decision, or cannot run because of such a task, in the order
    /// of the plan.
    pub fn blocked(&self) -> Vec<TaskId> {
        let mut numbers: BTreeSet<usize> =
            self.graph.reached_from(self.sets.troubled.iter().copied()).into_iter().collect();
        numbers.extend(&self.sets.troubled);
        numbers.into_iter().map(|number| self.graph.id(number).clone()).collect()
    }

    /// Whether somebody or something works, so that the phase's clock runs.
    pub(crate) fn clock_runs(&self) -> bool {
        let goes = matches!(
            self.control,
            Control::Active | Control::PauseRequested(..) | Control::Cancelling(_)
        );
        let checks = self.step > Some(WorkflowStep::ExecutionLoop);
        let works = self.sets.under_way.iter().any(|&number| self.works(number));
        goes && (checks || works || !self.sets.backing_off.is_empty())
    }

    /// Whether a task that is under way waits for no person.
    fn works(&self, number: usize) -> bool {
        let id = self.graph.id(number);
        let asks =
            |prompt: &Prompt| matches!(&prompt.subject, Subject::Agent { task, .. } if task == id);
        self.tasks[number].state != TaskState::Judging && !self.prompts.iter().any(asks)
    }

    /// The tasks whose change-sets were integrated from `position` on.
    pub(crate) fn integrated_since(&self, position: usize) -> impl Iterator<Item = &TaskId> {
        let from = position.saturating_sub(self.forgotten);
        let later = self.integrations.get(from..).unwrap_or_default();
        later.iter().map(|integration| &integration.task)
    }

    /// The paths changed by the integrations from `position` on, and which task changed each.
    pub(crate) fn changed_since(&self, position: usize) -> BTreeMap<&str, &TaskId> {
        let from = position.saturating_sub(self.forgotten);
        let later = self.integrations.get(from..).unwrap_or_default();
        later
            .iter()
            .flat_map(|integration| {
                integration.paths.iter().map(|path| (path.as_str(), &integration.task))
            })
            .collect()
    }

    /// The first path that `record` read and that an integration since `position` changed,
    /// and the task that changed it.
    pub(crate) fn stale(&self, record: &AccessRecord, position: usize) -> Option<(String, TaskId)> {
        if position >= self.integrated() {
            return None;
        }
        let changed = self.changed_since(position);
        let paths: BTreeSet<&str> = changed.keys().copied().collect();
        let (read, path) = record.stale_read(&paths)?;
        let task = changed.get(path)?;
        Some((read.to_owned(), (*task).clone()))
    }
}
