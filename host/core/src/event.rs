//! What happened: the journal's words.
//!
//! Invariant: events are owned, serialisable, in the past tense, and carry bulk data by
//! digest only. The state of a run is the fold of its events, nothing else.

use serde::{Deserialize, Serialize};

use crate::{
    AccessRecord, Actor, Aftermath, Artifact, Attempt, Blocker, Bounds, Ceiling, CheckpointAt,
    Digest, Epoch, ErrorCode, Examination, Grants, Interruption, Judgement, LogLine, Millis,
    Parking, PauseCause, Prompt, Refused, Role, RuleDecision, RunConfig, RunId, RunOutcome, Scope,
    SealedAttempt, TaskId, Trouble, Unkept,
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
    /// Whether it did not come with idumb: a person's consent is needed for all it gets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub third_party: bool,
    /// What it declares, inside the component, that it may ever want; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Ceiling>,
}

impl AgentBinding {
    /// The most that it may be granted; `None`: whatever is granted.
    pub fn bounds(&self) -> Option<Bounds> {
        self.ceiling.as_ref().map(Ceiling::bounds)
    }
}

/// A phase that must be completed before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prerequisite {
    /// As the plan names it.
    pub phase: String,
    /// The run that completed it; `None`: not met.
    pub completed_by: Option<RunId>,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named by the types they hold")]
pub enum Event {
    /// The run began.
    RunStarted { phase: String, goal: String, plan: Digest, tasks: u32, config: RunConfig },
    /// The phase entered a step of the workflow.
    StepEntered { step: WorkflowStep },
    /// Validation point *pre*: the plan is there and valid; its prerequisites were looked up.
    PlanValidated { prerequisites: Vec<Prerequisite>, examination: Examination, met: bool },
    /// A link of the chain handed authority on.
    Delegated { from: Actor, to: Actor, scope: Scope },
    /// High-governance did not hand on what was asked for.
    DelegationRefused { refused: Refused },
    /// A batch was formed.
    BatchStarted { batch: u32, tasks: Vec<TaskId> },
    /// The executor delegated a task to a builder: this agent, with these grants.
    LeaseGranted { task: TaskId, attempt: Attempt, epoch: Epoch, agent: String, grants: Grants },
    /// The builder began.
    AttemptStarted { task: TaskId, epoch: Epoch },
    /// The builder was done; its upper layer was frozen into a change-set.
    AttemptSealed { task: TaskId, attempt: Attempt, epoch: Epoch, sealed: SealedAttempt },
    /// The executor delegated the validation of a candidate: to this agent, with these grants.
    ValidationStarted {
        task: TaskId,
        epoch: Epoch,
        change_set: Digest,
        agent: String,
        grants: Grants,
    },
    /// The validation was stopped because the run is to rest; the candidate is kept.
    ValidationInterrupted { task: TaskId, epoch: Epoch },
    /// What can be checked was checked and holds; the rest is for a person to judge.
    CandidateExamined {
        task: TaskId,
        epoch: Epoch,
        change_set: Digest,
        examination: Examination,
        record: AccessRecord,
    },
    /// Validation point *during*: every criterion was answered, and the host judged.
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
        then: Aftermath,
    },
    /// The attempt was cut short, and does not count; nothing of it was kept.
    AttemptInterrupted { task: TaskId, attempt: Attempt, epoch: Epoch, cause: Interruption },
    /// A delay before another attempt is over.
    BackOffEnded { task: TaskId },
    /// The host died while the task ran, too often to try again without somebody's decision.
    TaskParked { task: TaskId, parking: Parking },
    /// What an earlier life had under way goes on under a new epoch, or a verdict was outdated.
    LeaseRenewed { task: TaskId, epoch: Epoch },
    /// A rule decided about a parked task.
    RuleApplied { task: TaskId, rule: String, blocker: Blocker, decision: RuleDecision },
    /// The task is given up.
    TaskFailed { task: TaskId, code: ErrorCode, reason: String },
    /// The task is left out: by choice, or because it depends on one that is.
    TaskSkipped { task: TaskId, because: Option<TaskId> },
    /// The run is taken up again, and the task gets another try.
    TaskReopened { task: TaskId },
    /// A phase-wide check was delegated to this agent.
    PhaseCheckStarted { role: Role, epoch: Epoch, agent: String, scope: Scope },
    /// There is nothing for the check to look at, so nothing is claimed.
    PhaseCheckVoid { role: Role, reason: String },
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
    /// The run goes on, from now on so configured.
    RunResumed { config: RunConfig },
    /// A person gives the run up; what is under way is stopped.
    CancelRequested { reason: String },
    /// The run goes on with another plan: these tasks stay done.
    Replanned { plan: Digest, tasks: u32, kept: Vec<TaskId>, changed: Vec<(TaskId, Unkept)> },
    /// A decision is wanted.
    PromptOpened { prompt: Prompt },
    /// A decision was made by a person.
    PromptAnswered { prompt: u32, choice: String, note: Option<String> },
    /// Nobody needs the decision any more.
    PromptWithdrawn { prompt: u32 },
    /// Auto mode went past a checkpoint that is not marked `human`.
    CheckpointPassed {
        task: TaskId,
        // A stamped event has an `at` of its own: when it was recorded.
        #[serde(rename = "checkpoint")]
        at: CheckpointAt,
    },
    /// An agent asked, and was told that nobody is there to answer.
    QuestionDeclined { task: TaskId, epoch: Epoch, question: String },
    /// An answer came from an attempt that no longer holds the lease; nothing was done.
    StaleAnswer { task: TaskId, epoch: Epoch, answer: String },
    /// The run ended.
    RunFinished { outcome: RunOutcome },
}

impl Event {
    /// The event's name in the journal, such as `task_succeeded`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::StepEntered { .. } => "step_entered",
            Self::PlanValidated { .. } => "plan_validated",
            Self::Delegated { .. } => "delegated",
            Self::DelegationRefused { .. } => "delegation_refused",
            Self::BatchStarted { .. } => "batch_started",
            Self::LeaseGranted { .. } => "lease_granted",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptSealed { .. } => "attempt_sealed",
            Self::ValidationStarted { .. } => "validation_started",
            Self::ValidationInterrupted { .. } => "validation_interrupted",
            Self::CandidateExamined { .. } => "candidate_examined",
            Self::CandidateJudged { .. } => "candidate_judged",
            Self::JudgementOutdated { .. } => "judgement_outdated",
            Self::IntegrationStarted { .. } => "integration_started",
            Self::TaskSucceeded { .. } => "task_succeeded",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::AttemptInterrupted { .. } => "attempt_interrupted",
            Self::BackOffEnded { .. } => "back_off_ended",
            Self::TaskParked { .. } => "task_parked",
            Self::LeaseRenewed { .. } => "lease_renewed",
            Self::RuleApplied { .. } => "rule_applied",
            Self::TaskFailed { .. } => "task_failed",
            Self::TaskSkipped { .. } => "task_skipped",
            Self::TaskReopened { .. } => "task_reopened",
            Self::PhaseCheckStarted { .. } => "phase_check_started",
            Self::PhaseCheckVoid { .. } => "phase_check_void",
            Self::IntegrationJudged { .. } => "integration_judged",
            Self::PhaseJudged { .. } => "phase_judged",
            Self::PhaseCheckFailed { .. } => "phase_check_failed",
            Self::PauseRequested { .. } => "pause_requested",
            Self::RunPaused { .. } => "run_paused",
            Self::RunResumed { .. } => "run_resumed",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::Replanned { .. } => "replanned",
            Self::PromptOpened { .. } => "prompt_opened",
            Self::PromptAnswered { .. } => "prompt_answered",
            Self::PromptWithdrawn { .. } => "prompt_withdrawn",
            Self::CheckpointPassed { .. } => "checkpoint_passed",
            Self::QuestionDeclined { .. } => "question_declined",
            Self::StaleAnswer { .. } => "stale_answer",
            Self::RunFinished { .. } => "run_finished",
        }
    }

    /// Every kind.
    pub const KINDS: &[&str] = &[
        "run_started",
        "step_entered",
        "plan_validated",
        "delegated",
        "delegation_refused",
        "batch_started",
        "lease_granted",
        "attempt_started",
        "attempt_sealed",
        "validation_started",
        "validation_interrupted",
        "candidate_examined",
        "candidate_judged",
        "judgement_outdated",
        "integration_started",
        "task_succeeded",
        "attempt_failed",
        "attempt_interrupted",
        "back_off_ended",
        "task_parked",
        "lease_renewed",
        "rule_applied",
        "task_failed",
        "task_skipped",
        "task_reopened",
        "phase_check_started",
        "phase_check_void",
        "integration_judged",
        "phase_judged",
        "phase_check_failed",
        "pause_requested",
        "run_paused",
        "run_resumed",
        "cancel_requested",
        "replanned",
        "prompt_opened",
        "prompt_answered",
        "prompt_withdrawn",
        "checkpoint_passed",
        "question_declined",
        "stale_answer",
        "run_finished",
    ];

    /// How the run goes from then on, if it says so.
    pub fn config(&self) -> Option<&RunConfig> {
        match self {
            Self::RunStarted { config, .. } | Self::RunResumed { config } => Some(config),
            _ => None,
        }
    }

    /// The task it is about, if it is about one.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::LeaseGranted { task, .. }
            | Self::AttemptStarted { task, .. }
            | Self::AttemptSealed { task, .. }
            | Self::ValidationStarted { task, .. }
            | Self::ValidationInterrupted { task, .. }
            | Self::CandidateExamined { task, .. }
            | Self::CandidateJudged { task, .. }
            | Self::JudgementOutdated { task, .. }
            | Self::IntegrationStarted { task, .. }
            | Self::TaskSucceeded { task, .. }
            | Self::AttemptFailed { task, .. }
            | Self::AttemptInterrupted { task, .. }
            | Self::BackOffEnded { task, .. }
            | Self::TaskParked { task, .. }
            | Self::LeaseRenewed { task, .. }
            | Self::RuleApplied { task, .. }
            | Self::TaskFailed { task, .. }
            | Self::TaskSkipped { task, .. }
            | Self::TaskReopened { task, .. }
            | Self::CheckpointPassed { task, .. }
            | Self::QuestionDeclined { task, .. }
            | Self::StaleAnswer { task, .. } => Some(task),
            Self::DelegationRefused { refused } => refused.task.as_ref(),
            Self::PromptOpened { prompt } => prompt.subject.task(),
            _ => None,
        }
    }
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Wall-clock milliseconds since 1970: for display only, it may jump.
    pub at: Millis,
    /// Milliseconds since the process began, which never jump: these decide.
    pub up: Millis,
}

impl From<Millis> for Moment {
    /// Both clocks alike.
    fn from(millis: Millis) -> Self {
        Self { at: millis, up: millis }
    }
}

/// An event, and when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Wall-clock milliseconds since 1970: for display only.
    pub at: Millis,
    /// Milliseconds since the process began that recorded it: for durations.
    pub up: Millis,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
