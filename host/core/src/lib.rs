//! Domain types of idumb, and the state machine of a run.
//!
//! Invariant: nothing here reads a clock, a disk, the environment or randomness, starts a
//! thread or awaits. [`Run`] is the entry point: inputs in, events and effects out.

mod ask;
mod attempt;
mod ceiling;
mod change;
mod consent;
mod digest;
mod ending;
mod event;
mod evidence;
mod glob;
mod grant;
mod id;
mod io;
mod limit;
mod plan;
mod policy;
mod resources;
mod role;
mod rule;
mod run;
mod tools;
mod trouble;
mod used;

pub use ask::{Prompt, Subject};
pub use attempt::{Artifact, Feedback, LogLevel, LogLine, SealedAttempt};
pub use ceiling::{Bounds, Ceiling, Declared, Want};
pub use change::{Blobs, Change, ChangeSet, Entry};
pub use consent::{Consent, Given, beyond_consent};
pub use digest::{Digest, ParseDigestError};
pub use ending::{Aftermath, Interruption, Parking, PauseCause, RuleDecision, RunOutcome, Unkept};
pub use event::{AgentBinding, Event, Moment, Prerequisite, Stamped, WorkflowStep};
pub use evidence::{
    AccessRecord, CommandSeen, Evidence, Examination, Finding, Judgement, Observed, OutputFile,
    Read, Rechecked, Seen, TestCounts, Unmet, Verdict,
};
pub use glob::{GlobError, PathGlob};
pub use grant::{Capability, Decision, Denial, DenialReason, Grants, PROTECTED, is_protected};
pub use id::{Attempt, CriterionId, Epoch, EvidenceId, IdError, Millis, PhaseId, RunId, TaskId};
pub use io::{BrokenAttempt, Effect, Input, Lease};
pub use limit::{Limit, LimitReached};
pub use plan::{Checkpoint, CheckpointAt, Criterion, Link, Plan, Step, Task, next_batch};
pub use policy::{Actor, Governance, Policy, Refusal, Refused, Scope};
pub use resources::ResourceLimits;
pub use role::{ErrorCode, Mode, Role};
pub use rule::{Backoff, Blocker, Resort, Rule};
pub use run::{
    Control, Integration, Latest, Progress, Run, RunConfig, RunState, SNAPSHOT_FORMAT,
    SnapshotError, StateDocument, TaskRecord, TaskState, Timeouts, duration_text,
};
pub use tools::run_by;
pub use trouble::{Failure, FailureKind, Other, Trouble};
pub use used::Use;
