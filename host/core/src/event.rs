//! What happened: the journal's words.
//!
//! Invariant: events are owned, serialisable, in the past tense, and carry bulk data by
//! digest only. The state of a run is the fold of its events, nothing else.

use serde::{Deserialize, Serialize};

use crate::{
    AccessRecord, Attempt, Digest, Epoch, ErrorCode, Evidence, Examination, Failure, Judgement,
    Mode, Role, RunId, TaskId, Trouble,
};

/// The seed's eight workflow steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowStep {
    /// 1: the plan exists, is valid, and its prerequisites are met.
    ValidatePlan,
    /// 2: look for a paused execution.
    LoadExecutionState,
    /// 3: group the tasks.
    PrepareBatches,
    /// 4: execute batches while tasks remain.
    ExecutionLoop,
    /// 5: integration with other phases, by the integration-checker.
    CrossPhaseValidation,
    /// 6: completion of the phase, by the verifier.
    FinalValidation,
    /// 7: record the completion.
    UpdateState,
    /// 8: show the summary.
    Report,
}

/// An agent, bound by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentBinding {
    /// The name that plans and configuration use.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Of the component's bytes.
    pub digest: Digest,
    /// Where it comes from: `built in`, or a path relative to the project's root.
    pub source: String,
}

/// A phase that must be completed before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prerequisite {
    /// As the plan names it.
    pub phase: String,
    /// The run that completed it; `None`: not met.
    pub completed_by: Option<RunId>,
}

/// A path that a task left behind, with its digest if it is a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Relative to the project's root.
    pub path: String,
    /// Of a file's content.
    pub digest: Option<Digest>,
}

/// A decision that a person is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Unique in the run, from 1.
    pub id: u32,
    /// What it is about.
    pub subject: Subject,
    /// For people.
    pub question: String,
    /// The only answers there are, by id and text.
    pub options: Vec<(String, String)>,
}

/// What a prompt is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Subject {
    /// Whether to go on to the next batch.
    Checkpoint,
    /// What to do about a task that cannot go on.
    Blocker {
        /// Which.
        task: TaskId,
    },
    /// An agent asked; its attempt waits.
    Agent {
        /// Whose agent.
        task: TaskId,
        /// The lease under which it asked.
        epoch: Epoch,
        /// Tells the waiting host call from others.
        token: u64,
    },
}

/// Why a run came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// A person asked for it.
    User,
    /// An error was encountered.
    Error,
    /// A timeout was reached.
    Timeout,
    /// A resource is unavailable, such as space on the disk.
    Resource,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every task succeeded, and the phase passed its checks.
    Completed,
    /// It cannot go on as it is; `--resume` tries what failed again.
    Failed {
        /// The code of what failed first.
        code: ErrorCode,
        /// In one line.
        reason: String,
    },
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named by the types they hold")]
pub enum Event {
    /// The run began.
    RunStarted {
        run: RunId,
        phase: String,
        goal: String,
        plan: Digest,
        tasks: u32,
        mode: Mode,
        batch_size: u32,
        timeout_ms: u64,
        agents: Vec<AgentBinding>,
    },
    /// The phase entered a step of the workflow.
    StepEntered { step: WorkflowStep },
    /// Validation point *pre*: the plan is valid; its prerequisites were looked up.
    PlanValidated { prerequisites: Vec<Prerequisite> },
    /// A batch was formed.
    BatchStarted { batch: u32, tasks: Vec<TaskId> },
    /// A builder got the lease of a task.
    AttemptStarted { task: TaskId, attempt: Attempt, epoch: Epoch },
    /// The builder was done; its upper layer was frozen into a change-set.
    AttemptSealed { task: TaskId, attempt: Attempt, epoch: Epoch, sealed: SealedAttempt },
    /// Validation point *during*: the validator answered, and the host judged.
    CandidateJudged {
        task: TaskId,
        attempt: Attempt,
        epoch: Epoch,
        change_set: Digest,
        examination: Examination,
        judgement: Judgement,
        record: AccessRecord,
    },
    /// What the validator read was changed by another task; the candidate is judged again.
    JudgementOutdated { task: TaskId, path: String, by: TaskId },
    /// The change-set is about to be applied to the base.
    IntegrationStarted { task: TaskId, epoch: Epoch, change_set: Digest },
    /// The change-set was applied, whole.
    TaskSucceeded { task: TaskId, attempt: Attempt, epoch: Epoch, artifacts: Vec<Artifact> },
    /// The attempt came to nothing; nothing of it was kept.
    AttemptFailed {
        task: TaskId,
        attempt: Attempt,
        epoch: Epoch,
        trouble: Trouble,
        record: AccessRecord,
        log: Vec<LogLine>,
    },
    /// The host went away while the attempt ran; nothing of it was kept.
    AttemptInterrupted { task: TaskId, attempt: Attempt, epoch: Epoch },
    /// Validation or integration goes on under a new epoch: the host went away, or the verdict
    /// was outdated.
    LeaseRenewed { task: TaskId, epoch: Epoch },
    /// The task is given up.
    TaskFailed { task: TaskId, code: ErrorCode, reason: String },
    /// The task cannot run because another failed or was skipped.
    TaskSkipped { task: TaskId, because: TaskId },
    /// Validation point *post*: the integration-checker answered, and the host judged.
    IntegrationJudged { examination: Examination, judgement: Judgement },
    /// Validation point *post*: the verifier answered, and the host judged.
    PhaseJudged { examination: Examination, judgement: Judgement },
    /// A phase-wide check could not be carried out.
    PhaseCheckFailed { role: Role, trouble: Trouble },
    /// The run is to come to rest at a safe point.
    PauseRequested { cause: PauseCause, reason: String },
    /// The run came to rest; it can be resumed.
    RunPaused { cause: PauseCause, reason: String },
    /// The run goes on; tasks that failed get another try.
    RunResumed,
    /// A decision is wanted.
    PromptOpened { prompt: Prompt },
    /// A decision was made.
    PromptAnswered { prompt: u32, choice: String },
    /// Nobody needs the decision any more.
    PromptWithdrawn { prompt: u32 },
    /// An agent asked, and was told that nobody is there to answer.
    QuestionDeclined { task: TaskId, epoch: Epoch, question: String },
    /// An answer came from an attempt that no longer holds the lease; nothing was done.
    StaleAnswer { task: TaskId, epoch: Epoch, answer: String },
    /// The run ended.
    RunFinished { outcome: RunOutcome },
}

/// What a builder left when it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedAttempt {
    /// The change-set's digest: what verdicts are bound to.
    pub change_set: Digest,
    /// The paths it changes, in order.
    pub paths: Vec<String>,
    /// The agent's words; a note, never proof.
    pub summary: String,
    /// What it left behind, of what the plan promises and what the agent names.
    pub artifacts: Vec<Artifact>,
    /// What the host saw it do.
    pub record: AccessRecord,
    /// What the host observed for it.
    pub evidence: Vec<Evidence>,
    /// What it logged.
    pub log: Vec<LogLine>,
}

/// One line of an agent's log: its words, never the host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How grave.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// How grave a line of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For the agent's author.
    Debug,
    /// For whoever watches.
    Info,
    /// Something is odd.
    Warn,
    /// Something is wrong.
    Error,
}

/// What a builder is told about the attempt before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// The criteria that were not met.
    pub unmet: Vec<crate::Unmet>,
    /// Any other trouble, in one line.
    pub note: Option<String>,
}

impl Feedback {
    /// What to tell about `trouble`.
    pub fn of(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Rejected { unmet } => Self { unmet: unmet.clone(), note: None },
            Trouble::Failure(Failure { message, .. }) => {
                Self { unmet: Vec::new(), note: Some(message.clone()) }
            }
            other => Self { unmet: Vec::new(), note: Some(other.to_string()) },
        }
    }
}

impl Event {
    /// The event's name in the journal, such as `task_succeeded`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::StepEntered { .. } => "step_entered",
            Self::PlanValidated { .. } => "plan_validated",
            Self::BatchStarted { .. } => "batch_started",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptSealed { .. } => "attempt_sealed",
            Self::CandidateJudged { .. } => "candidate_judged",
            Self::JudgementOutdated { .. } => "judgement_outdated",
            Self::IntegrationStarted { .. } => "integration_started",
            Self::TaskSucceeded { .. } => "task_succeeded",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::AttemptInterrupted { .. } => "attempt_interrupted",
            Self::LeaseRenewed { .. } => "lease_renewed",
            Self::TaskFailed { .. } => "task_failed",
            Self::TaskSkipped { .. } => "task_skipped",
            Self::IntegrationJudged { .. } => "integration_judged",
            Self::PhaseJudged { .. } => "phase_judged",
            Self::PhaseCheckFailed { .. } => "phase_check_failed",
            Self::PauseRequested { .. } => "pause_requested",
            Self::RunPaused { .. } => "run_paused",
            Self::RunResumed => "run_resumed",
            Self::PromptOpened { .. } => "prompt_opened",
            Self::PromptAnswered { .. } => "prompt_answered",
            Self::PromptWithdrawn { .. } => "prompt_withdrawn",
            Self::QuestionDeclined { .. } => "question_declined",
            Self::StaleAnswer { .. } => "stale_answer",
            Self::RunFinished { .. } => "run_finished",
        }
    }

    /// The task it is about, if it is about one.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::AttemptStarted { task, .. }
            | Self::AttemptSealed { task, .. }
            | Self::CandidateJudged { task, .. }
            | Self::JudgementOutdated { task, .. }
            | Self::IntegrationStarted { task, .. }
            | Self::TaskSucceeded { task, .. }
            | Self::AttemptFailed { task, .. }
            | Self::AttemptInterrupted { task, .. }
            | Self::LeaseRenewed { task, .. }
            | Self::TaskFailed { task, .. }
            | Self::TaskSkipped { task, .. }
            | Self::QuestionDeclined { task, .. }
            | Self::StaleAnswer { task, .. } => Some(task),
            Self::PromptOpened { prompt } => match &prompt.subject {
                Subject::Checkpoint => None,
                Subject::Blocker { task } | Subject::Agent { task, .. } => Some(task),
            },
            _ => None,
        }
    }
}

/// An event, and when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Wall-clock milliseconds since 1970: for display and durations.
    pub at: crate::Millis,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
