//! What an attempt leaves behind, and what the next one is told.
//!
//! Invariant: an agent's words are marked as such, and bulk data is named by digest.

use serde::{Deserialize, Serialize};

use crate::{AccessRecord, Digest, Evidence, Failure, Trouble};

/// A path that a task left behind, with its digest if it is a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Relative to the project's root.
    pub path: String,
    /// Of a file's content.
    pub digest: Option<Digest>,
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
