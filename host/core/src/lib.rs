//! Domain types of idumb, and the state machine of a run.
//!
//! Invariant: nothing here reads a clock, a disk, the environment or randomness.

mod change;
mod digest;
mod evidence;
mod glob;
mod grant;
mod id;
mod plan;

pub use change::{Blobs, Change, ChangeSet, Entry};
pub use digest::{Digest, ParseDigestError};
pub use evidence::{
    AccessRecord, Evidence, Examination, Finding, Judgement, Observed, Read, Seen, Unmet, Verdict,
};
pub use glob::{GlobError, PathGlob};
pub use grant::{Capability, Decision, Denial, DenialReason, Grants, PROTECTED, is_protected};
pub use id::{Attempt, CriterionId, Epoch, EvidenceId, IdError, Millis, PhaseId, RunId, TaskId};
pub use plan::{Criterion, Link, Plan, Step, Task, next_batch};
