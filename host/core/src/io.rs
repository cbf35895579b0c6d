//! What goes into a run and what comes out besides events: inputs and effects.
//!
//! Invariant: both are closed; every effect about a task carries its epoch, and so does
//! every answer.

use crate::{
    AccessRecord, Artifact, Attempt, Bounds, CriterionId, Digest, Epoch, Examination, Feedback,
    Grants, LogLine, PathGlob, PauseCause, Prerequisite, Prompt, Role, SealedAttempt,
    StateDocument, TaskId, Trouble,
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
    /// A builder began.
    Started {
        /// Whose.
        task: TaskId,
        /// Under which lease.
        epoch: Epoch,
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
        /// Under which lease.
        epoch: Epoch,
        /// Every criterion that had to be answered, and the answers; or why there are none.
        result: Result<(Vec<CriterionId>, Examination), Trouble>,
    },
    /// The state document was written.
    StateWritten,
    /// A person, or a lack of something, asks the run to come to rest at a safe point: what is
    /// under way may end within the grace.
    Pause {
        /// Why.
        cause: PauseCause,
        /// In one line.
        reason: String,
    },
    /// As [`Self::Pause`] by a person, without the grace.
    Stop {
        /// In one line.
        reason: String,
    },
    /// A person gives the run up.
    Cancel {
        /// In one line.
        reason: String,
    },
    /// A person chose.
    Answer {
        /// Which prompt.
        prompt: u32,
        /// Which of its options, by id.
        choice: String,
        /// A word to the agent, for choices that have another attempt made.
        note: Option<String>,
    },
    /// Nobody is there to answer prompts: the run rests once it waits for nothing else.
    Unattended,
    /// Time passed: due by [`Run::poll_timeout`](crate::Run::poll_timeout).
    Tick,
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

/// Something that a run wants done.
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
        /// Which agent.
        agent: String,
        /// What it may touch.
        grants: Grants,
    },
    /// Have a fresh validator look at the candidate, at all criteria but those that only a person
    /// can judge; answer [`Input::Validated`].
    Validate {
        /// Which task.
        task: TaskId,
        /// Which try.
        attempt: Attempt,
        /// Under which lease.
        epoch: Epoch,
        /// Which candidate.
        change_set: Digest,
        /// What the validator may read.
        grants: Grants,
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
        /// Under which lease.
        epoch: Epoch,
        /// What the checker must not read, whatever the checks look at.
        never: Vec<PathGlob>,
        /// The most that it declares that it may want; `None`: it declares nothing.
        ceiling: Option<Bounds>,
    },
    /// Stop the work under this lease; it is answered all the same.
    Stop {
        /// Which.
        lease: Lease,
    },
    /// Write the state document that says that the phase is completed; answer
    /// [`Input::StateWritten`].
    WriteState {
        /// What to write.
        document: StateDocument,
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

/// The right to an attempt, a validation or a check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lease {
    /// An attempt at a task, or its validation or integration.
    Task {
        /// Which.
        task: TaskId,
        /// Fences earlier holders.
        epoch: Epoch,
    },
    /// A check of the phase.
    Phase {
        /// Integration-checker or verifier.
        role: Role,
        /// Fences earlier holders.
        epoch: Epoch,
    },
}
