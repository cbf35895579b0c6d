//! Why an attempt came to nothing.
//!
//! Invariant: whether another attempt may follow is decided here, by kind, in one place.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Entry, ErrorCode, TaskId, Unmet};

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
    /// The attempt outlived its timeout.
    Timeout {
        /// In milliseconds.
        after_ms: u64,
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
    /// The host's own trouble: the disk, the agent's file.
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
            Self::Failure(_) | Self::Trap { .. } | Self::Conflict { .. } | Self::Error { .. } => {
                ErrorCode::E002
            }
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
            Self::Error { .. } => false,
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
            Self::Timeout { after_ms } => {
                write!(f, "no result within {}", crate::duration_text(*after_ms))
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
            Self::Error { message } => f.write_str(message),
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
