//! Why an attempt came to nothing.
//!
//! Invariant: whether another attempt may follow is decided here, by kind, in one place.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Blocker, Entry, ErrorCode, PauseCause, Role, TaskId, Unmet};

/// Why an attempt came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trouble", rename_all = "kebab-case")]
pub enum Trouble {
    /// The agent says that it could not.
    Failure(Failure),
    /// The guest crashed or broke a limit.
    Trap {
        /// What happened.
        message: String,
    },
    /// The attempt, or its validation, outlived its timeout.
    Timeout {
        /// In milliseconds.
        after_ms: u64,
        /// Whose work it was.
        of: Role,
    },
    /// Validation did not pass.
    Rejected {
        /// What did not.
        unmet: Vec<Unmet>,
    },
    /// What the attempt read, or wanted to change, was changed by somebody else.
    Conflict {
        /// Where.
        path: String,
        /// By whom.
        with: Other,
    },
    /// Something that the work needs is not there: space on the disk, memory, the agent's file.
    Unavailable {
        /// What happened.
        message: String,
    },
    /// The host's own trouble.
    Error {
        /// What happened.
        message: String,
    },
}

/// Who else changed a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Other {
    /// A task of this run, integrated since the attempt started.
    Task {
        /// Which.
        task: TaskId,
    },
    /// Somebody outside idumb, such as the user's editor.
    Outside {
        /// What the attempt saw.
        expected: Option<Entry>,
        /// What stands there.
        found: Option<Entry>,
    },
    /// Somebody, between the attempt's looking at the path and its changing it.
    Unknown,
}

/// An agent's own account of why it could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The contract's word for it.
    pub kind: FailureKind,
    /// The agent's words.
    pub message: String,
    /// The index of the step that failed, from 0.
    pub step: Option<u32>,
    /// Whether the agent thinks that another attempt could go better.
    pub retryable: bool,
}

/// The kinds of failure in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// What the task takes for granted does not hold.
    Precondition,
    /// A path that the work needs is not granted.
    Denied,
    /// A step, criterion or option that the agent does not know.
    Unsupported,
    /// The task, a step or a criterion is malformed.
    Invalid,
    /// A decision is needed that nobody gave.
    Undecided,
    /// Anything else.
    Other,
}

impl Trouble {
    /// The seed's code for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Timeout { .. } => ErrorCode::E004,
            Self::Rejected { .. } => ErrorCode::E005,
            Self::Failure(_)
            | Self::Trap { .. }
            | Self::Conflict { .. }
            | Self::Unavailable { .. }
            | Self::Error { .. } => ErrorCode::E002,
        }
    }

    /// Whether another attempt could go better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Failure(failure) => failure.retryable,
            Self::Trap { .. }
            | Self::Timeout { .. }
            | Self::Rejected { .. }
            | Self::Conflict { .. } => true,
            Self::Unavailable { .. } | Self::Error { .. } => false,
        }
    }

    /// Whether it is the host's, not the task's: then the run comes to rest, for this cause.
    pub fn pauses(&self) -> Option<PauseCause> {
        match self {
            Self::Unavailable { .. } => Some(PauseCause::Resource),
            Self::Error { .. } => Some(PauseCause::Error),
            _ => None,
        }
    }

    /// What rules call it.
    pub fn blocker(&self) -> Blocker {
        match self {
            Self::Failure(Failure { kind: FailureKind::Denied, .. }) => Blocker::Denied,
            Self::Failure(_) => Blocker::Failure,
            Self::Trap { .. } => Blocker::Trap,
            Self::Timeout { .. } => Blocker::Timeout,
            Self::Rejected { .. } => Blocker::Rejected,
            Self::Conflict { .. } => Blocker::Conflict,
            Self::Unavailable { .. } | Self::Error { .. } => Blocker::Error,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(failure) => {
                if let Some(step) = failure.step {
                    write!(f, "step {}: ", step + 1)?;
                }
                f.write_str(&failure.message)
            }
            Self::Trap { message } => write!(f, "the agent crashed: {message}"),
            Self::Timeout { after_ms, of } => {
                let time = crate::duration_text(*after_ms);
                match of {
                    Role::Builder => write!(f, "no result within {time}"),
                    of => write!(f, "the {of} had no result within {time}"),
                }
            }
            Self::Rejected { unmet } => match unmet.as_slice() {
                [] => f.write_str("nothing was checked"),
                [one] => write!(f, "criterion {} is not met: {}", one.criterion, one.note),
                many => write!(f, "{} criteria are not met", many.len()),
            },
            Self::Conflict { path, with: Other::Task { task } } => {
                write!(f, "`{path}` was changed by task {task} meanwhile")
            }
            Self::Conflict { path, with: Other::Outside { expected, found } } => write!(
                f,
                "`{path}` was changed outside of this run (expected {}, found {})",
                entry_text(expected.as_ref()),
                entry_text(found.as_ref()),
            ),
            Self::Conflict { path, with: Other::Unknown } => {
                write!(f, "`{path}` was changed by somebody else while the attempt worked on it")
            }
            Self::Unavailable { message } | Self::Error { message } => f.write_str(message),
        }
    }
}

fn entry_text(entry: Option<&Entry>) -> String {
    match entry {
        None => "nothing".to_owned(),
        Some(Entry::Dir) => "a directory".to_owned(),
        Some(Entry::Symlink { target }) => format!("a link to `{target}`"),
        Some(Entry::File { digest, .. }) => format!("a file with digest {}", digest.short()),
    }
}
