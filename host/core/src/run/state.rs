//! The state of a run: the fold of its events.
//!
//! Invariant: [`RunState::apply`] is the only thing that changes it, and decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    AccessRecord, Artifact, Attempt, Digest, Epoch, ErrorCode, Event, Examination, Feedback,
    LogLine, Millis, Mode, PauseCause, Plan, Prompt, RunOutcome, Subject, TaskId, Trouble,
    WorkflowStep,
};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// Waits for its dependencies, its batch or its next attempt. Initially; by
    /// `attempt_failed` and `attempt_interrupted`.
    Waiting,
    /// A builder holds the lease. By `attempt_started`.
    Building,
    /// A candidate waits for its verdict. By `attempt_sealed` and `judgement_outdated`.
    Sealed,
    /// The candidate passed, and waits for its turn to be integrated. By `candidate_judged`.
    Accepted,
    /// The candidate is being applied to the base. By `integration_started`.
    Integrating,
    /// A person has to decide. By `prompt_opened`.
    AwaitingDecision(u32),
    /// Terminal: its change-set is in the base. By `task_succeeded`.
    Succeeded,
    /// Terminal, until the run is resumed. By `task_failed`.
    Failed(ErrorCode),
    /// Terminal, until the run is resumed. By `task_skipped`.
    Skipped(TaskId),
}

impl TaskState {
    /// Whether nothing more happens to the task unless the run is resumed.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed(_) | Self::Skipped(_))
    }
}

/// Whether the run goes, is about to rest, or rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// It goes. Initially; by `run_resumed`.
    Active,
    /// It finishes what is under way and starts nothing. By `pause_requested`.
    PauseRequested(PauseCause, String),
    /// It rests. By `run_paused`.
    Paused(PauseCause, String),
    /// It ended. By `run_finished`.
    Finished(RunOutcome),
}

/// What is known of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What it left behind.
    pub artifacts: Vec<Artifact>,
    /// What the validator was seen to read.
    pub judged: AccessRecord,
    /// The verdict's findings and evidence.
    pub examination: Option<Examination>,
    /// When the latest attempt started.
    pub started_at: Millis,
    /// When the latest attempt ended.
    pub ended_at: Option<Millis>,
    /// The agent's words about its work.
    pub summary: String,
    /// The last lines of the latest attempt's log: the agent's words.
    pub last_words: Vec<LogLine>,
}

/// How many lines of a log are remembered as an attempt's last words.
const LAST_WORDS: usize = 5;

impl TaskRecord {
    fn new() -> Self {
        Self {
            state: TaskState::Waiting,
            attempt: 0,
            epoch: 0,
            failures: 0,
            conflicts: 0,
            feedback: Feedback::default(),
            trouble: None,
            change_set: None,
            paths: Vec::new(),
            record: AccessRecord::default(),
            built_after: 0,
            sealed_after: 0,
            artifacts: Vec::new(),
            judged: AccessRecord::default(),
            examination: None,
            started_at: 0,
            ended_at: None,
            summary: String::new(),
            last_words: Vec::new(),
        }
    }
}

/// A change-set that is in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// Whose.
    pub task: TaskId,
    /// The paths that it changed.
    pub paths: Vec<String>,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// Whether it began.
    pub begun: bool,
    /// Whether it goes or rests.
    pub control: Control,
    /// Who decides.
    pub mode: Mode,
    /// The workflow step at hand; `None` before the first.
    pub step: Option<WorkflowStep>,
    /// Each task's record.
    pub tasks: BTreeMap<TaskId, TaskRecord>,
    /// How many batches were started.
    pub batches: u32,
    /// The tasks of the batch at hand.
    pub batch: Vec<TaskId>,
    /// The tasks that succeeded, in that order.
    pub completed: Vec<TaskId>,
    /// The tasks that were given up, in that order.
    pub failed: Vec<TaskId>,
    /// The change-sets in the base, in the order of their integration.
    pub integrations: Vec<Integration>,
    /// Prompts without an answer.
    pub prompts: VecDeque<Prompt>,
    /// How many prompts there were.
    pub prompts_opened: u32,
    /// Whether the batch at hand passed its checkpoint.
    pub checkpoint_passed: bool,
    /// When the run began.
    pub started_at: Millis,
    /// Time of attempts that succeeded, in milliseconds, summed up.
    pub worked_ms: u64,
}

impl RunState {
    /// Before the first event.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            begun: false,
            control: Control::Active,
            mode: Mode::Auto,
            step: None,
            tasks: plan.tasks.iter().map(|task| (task.id.clone(), TaskRecord::new())).collect(),
            batches: 0,
            batch: Vec::new(),
            completed: Vec::new(),
            failed: Vec::new(),
            integrations: Vec::new(),
            prompts: VecDeque::new(),
            prompts_opened: 0,
            checkpoint_passed: true,
            started_at: 0,
            worked_ms: 0,
        }
    }

    /// The record of a task of the plan.
    pub fn task(&self, id: &TaskId) -> Option<&TaskRecord> {
        self.tasks.get(id)
    }

    /// Folds one event in.
    pub(crate) fn apply(&mut self, at: Millis, event: &Event) {
        if let Some(id) = event.task()
            && let Some(record) = self.tasks.get_mut(id)
        {
            apply_to_task(record, at, self.integrations.len(), event);
        }
        match event {
            Event::RunStarted { mode, .. } => {
                self.begun = true;
                self.mode = *mode;
                self.started_at = at;
            }
            Event::StepEntered { step } => self.step = Some(*step),
            Event::BatchStarted { batch, tasks } => {
                self.batches = *batch;
                self.batch.clone_from(tasks);
                self.checkpoint_passed = false;
            }
            Event::TaskSucceeded { task, .. } => self.integrated(task, at),
            Event::TaskFailed { task, .. } => self.failed.push(task.clone()),
            Event::PauseRequested { cause, reason } => {
                self.control = Control::PauseRequested(*cause, reason.clone());
            }
            Event::RunPaused { cause, reason } => {
                self.control = Control::Paused(*cause, reason.clone());
            }
            Event::RunResumed => self.resumed(),
            Event::PromptOpened { prompt } => {
                self.prompts_opened = self.prompts_opened.max(prompt.id);
                self.prompts.push_back(prompt.clone());
            }
            Event::PromptAnswered { prompt, .. } | Event::PromptWithdrawn { prompt } => {
                let closed = self.prompts.iter().position(|open| open.id == *prompt);
                match closed.and_then(|index| self.prompts.remove(index)) {
                    Some(Prompt { subject: Subject::Checkpoint, .. }) => {
                        self.checkpoint_passed |= matches!(event, Event::PromptAnswered { .. });
                    }
                    Some(Prompt { subject: Subject::Blocker { task }, .. }) => {
                        if let Some(record) = self.tasks.get_mut(&task) {
                            record.state = TaskState::Waiting;
                        }
                    }
                    Some(Prompt { subject: Subject::Agent { .. }, .. }) | None => {}
                }
            }
            Event::RunFinished { outcome } => self.control = Control::Finished(outcome.clone()),
            _ => {}
        }
    }

    fn integrated(&mut self, task: &TaskId, at: Millis) {
        self.completed.push(task.clone());
        if let Some(record) = self.tasks.get(task) {
            self.worked_ms += at.saturating_sub(record.started_at);
            let paths = record.paths.clone();
            self.integrations.push(Integration { task: task.clone(), paths });
        }
    }

    /// What failed gets another try; what was done stays done. To resume a run that came to
    /// rest between two batches is the go-ahead for the next; a crash decides nothing.
    fn resumed(&mut self) {
        let rested =
            matches!(self.control, Control::Paused(PauseCause::User, _) | Control::Finished(_));
        self.control = Control::Active;
        self.failed.clear();
        for record in self.tasks.values_mut() {
            if matches!(record.state, TaskState::Failed(_) | TaskState::Skipped(_)) {
                record.state = TaskState::Waiting;
                record.failures = 0;
                record.conflicts = 0;
            }
        }
        let done = |id: &TaskId| self.task(id).is_some_and(|record| record.state.is_terminal());
        let between = self.batch.iter().all(done);
        self.checkpoint_passed |= rested && between;
    }

    /// The paths changed by the integrations from `position` on, and which task changed each.
    pub(crate) fn changed_since(&self, position: usize) -> BTreeMap<&str, &TaskId> {
        let later = self.integrations.get(position..).unwrap_or_default();
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
        let changed = self.changed_since(position);
        let paths: BTreeSet<&str> = changed.keys().copied().collect();
        let (read, path) = record.stale_read(&paths)?;
        let task = changed.get(path)?;
        Some((read.to_owned(), (*task).clone()))
    }
}

fn last_words(log: &[LogLine]) -> Vec<LogLine> {
    log[log.len().saturating_sub(LAST_WORDS)..].to_vec()
}

fn apply_to_task(record: &mut TaskRecord, at: Millis, integrations: usize, event: &Event) {
    match event {
        Event::AttemptStarted { attempt, epoch, .. } => {
            record.state = TaskState::Building;
            record.attempt = *attempt;
            record.epoch = *epoch;
            record.built_after = integrations;
            record.started_at = at;
            record.ended_at = None;
        }
        Event::AttemptSealed { sealed, .. } => {
            record.state = TaskState::Sealed;
            record.sealed_after = integrations;
            record.change_set = Some(sealed.change_set);
            record.paths.clone_from(&sealed.paths);
            record.record = sealed.record.clone();
            record.artifacts.clone_from(&sealed.artifacts);
            record.summary.clone_from(&sealed.summary);
            record.last_words = last_words(&sealed.log);
        }
        Event::CandidateJudged { examination, judgement, record: judged, .. } => {
            record.examination = Some(examination.clone());
            record.judged = judged.clone();
            if judgement.verdict == crate::Verdict::Pass {
                record.state = TaskState::Accepted;
            }
        }
        Event::JudgementOutdated { .. } => {
            record.state = TaskState::Sealed;
            record.sealed_after = integrations;
        }
        Event::IntegrationStarted { .. } => record.state = TaskState::Integrating,
        Event::TaskSucceeded { artifacts, .. } => {
            record.state = TaskState::Succeeded;
            record.artifacts.clone_from(artifacts);
            record.ended_at = Some(at);
        }
        Event::AttemptFailed { trouble, record: seen, log, .. } => {
            if !seen.is_empty() {
                record.record = seen.clone();
            }
            if !log.is_empty() {
                record.last_words = last_words(log);
            }
            record.state = TaskState::Waiting;
            record.ended_at = Some(at);
            record.change_set = None;
            match trouble {
                Trouble::Conflict { .. } => record.conflicts += 1,
                _ => record.failures += 1,
            }
            record.feedback = Feedback::of(trouble);
            record.trouble = Some(trouble.clone());
        }
        Event::AttemptInterrupted { .. } => {
            record.state = TaskState::Waiting;
            record.ended_at = Some(at);
        }
        Event::LeaseRenewed { epoch, .. } => record.epoch = *epoch,
        Event::TaskFailed { code, .. } => record.state = TaskState::Failed(*code),
        Event::TaskSkipped { because, .. } => record.state = TaskState::Skipped(because.clone()),
        Event::PromptOpened { prompt } => {
            if matches!(prompt.subject, Subject::Blocker { .. }) {
                record.state = TaskState::AwaitingDecision(prompt.id);
            }
        }
        _ => {}
    }
}
