//! What goes into a run and what comes out besides events: inputs and effects.
//!
//! Invariant: both are closed; every effect about a task carries its epoch, and so does
//! every answer.

use crate::{
    AccessRecord, Artifact, Attempt, CriterionId, Digest, Epoch, Examination, Feedback, LogLine,
    PauseCause, Prerequisite, Prompt, Role, SealedAttempt, StateDocument, TaskId, Trouble,
};

/// Something that the world tells a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Start, or, after a resume, look again at a plan whose prerequisites were not met;
    /// ignored once they were.
    Begin {
        /// One for each phase that the plan depends on.
        prerequisites: Vec<Prerequisite>,
    },
    /// A builder ended.
    Built {
        /// Whose.
        task: TaskId,
        /// Under which lease.
        epoch: Epoch,
        /// The change-set, or why there is none.
        result: Result<Box<SealedAttempt>, Box<BrokenAttempt>>,
    },
    /// A validator ended.
    Validated {
        /// Whose candidate.
        task: TaskId,
        /// Under which lease.
        epoch: Epoch,
        /// Which candidate it saw.
        change_set: Digest,
        /// Its findings and the host's observations, or why there are none.
        result: Result<(Examination, AccessRecord), Trouble>,
    },
    /// An integration ended.
    Integrated {
        /// Whose.
        task: TaskId,
        /// Under which lease.
        epoch: Epoch,
        /// What stands there now, or why nothing was changed.
        result: Result<Vec<Artifact>, Trouble>,
    },
    /// A phase-wide check ended.
    PhaseChecked {
        /// Integration-checker or verifier.
        role: Role,
        /// Every criterion that had to be answered, and the answers; or why there are none.
        result: Result<(Vec<CriterionId>, Examination), Trouble>,
    },
    /// The state document was written.
    StateWritten,
    /// A person, or a lack of something, asks the run to come to rest at a safe point.
    Pause {
        /// Why.
        cause: PauseCause,
        /// In one line.
        reason: String,
    },
    /// A person chose.
    Answer {
        /// Which prompt.
        prompt: u32,
        /// Which of its options, by id.
        choice: String,
    },
    /// An agent asks for a decision.
    Ask {
        /// Whose agent.
        task: TaskId,
        /// Under which lease.
        epoch: Epoch,
        /// Names the host call that waits.
        token: u64,
        /// The agent's words.
        question: String,
        /// The answers it offers, by id and text.
        options: Vec<(String, String)>,
    },
}

/// What is left of an attempt that came to nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokenAttempt {
    /// Why.
    pub trouble: Trouble,
    /// What the host saw it do.
    pub record: AccessRecord,
    /// What it logged.
    pub log: Vec<LogLine>,
}

/// Something that a run wants done. Every effect is answered by one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Have the task's agent build, in a fresh overlay; answer [`Input::Built`].
    Build {
        /// Which task.
        task: TaskId,
        /// Which try.
        attempt: Attempt,
        /// Under which lease.
        epoch: Epoch,
        /// What came of the try before.
        feedback: Feedback,
    },
    /// Have a fresh validator look at the candidate; answer [`Input::Validated`].
    Validate {
        /// Which task.
        task: TaskId,
        /// Which try.
        attempt: Attempt,
        /// Under which lease.
        epoch: Epoch,
        /// Which candidate.
        change_set: Digest,
    },
    /// Apply the candidate to the base, or complete its application; answer [`Input::Integrated`].
    Integrate {
        /// Which task.
        task: TaskId,
        /// Under which lease.
        epoch: Epoch,
        /// Which candidate.
        change_set: Digest,
    },
    /// Have a phase-wide check done; answer [`Input::PhaseChecked`].
    CheckPhase {
        /// Integration-checker or verifier.
        role: Role,
    },
    /// Write the state document; answer [`Input::StateWritten`] if `wanted`.
    WriteState {
        /// What to write.
        document: StateDocument,
        /// Whether the run waits for it.
        wanted: bool,
    },
    /// Ask a person; answer [`Input::Answer`], when there is one.
    Ask {
        /// What to ask.
        prompt: Prompt,
    },
    /// Give an agent's waiting call its answer; not answered.
    Reply {
        /// Names the host call that waits.
        token: u64,
        /// The chosen option, or `None` if nobody decides.
        choice: Option<String>,
    },
}
