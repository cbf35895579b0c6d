//! How attempts, tasks and runs end or rest, and what follows.
//!
//! Invariant: each says why in a variant; words for people are made from it, once.

use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Resort, TaskId};

/// Why a run came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// A person asked for it, or a decision waits for one.
    User,
    /// An error was encountered.
    Error,
    /// A timeout was reached.
    Timeout,
    /// A resource is unavailable, such as space on the disk.
    Resource,
}

impl std::fmt::Display for PauseCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::User => "user request",
            Self::Error => "error encountered",
            Self::Timeout => "timeout reached",
            Self::Resource => "resource unavailable",
        })
    }
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
    /// High-governance refused what the plan asks for; nothing was run.
    Refused {
        /// In one line.
        reason: String,
    },
    /// A person gave it up; what was integrated stays.
    Cancelled {
        /// In one line.
        reason: String,
    },
}

/// Why an attempt ended without an outcome of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruption {
    /// The host went away.
    HostDied,
    /// The run was to pause, and the attempt did not end within the grace.
    Pause,
    /// The run was cancelled.
    Cancel,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "then", rename_all = "snake_case")]
pub enum Aftermath {
    /// It is run again on the new base; that does not count against its retries.
    Rerun,
    /// It is run again after a delay.
    BackOff {
        /// In milliseconds.
        delay_ms: u64,
    },
    /// It is parked: somebody, or a rule, has to decide.
    Park(Parking),
    /// The host's own trouble, not the task's: the run pauses, and the task is ready.
    Ready,
}

/// Why a task is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "parked", rename_all = "snake_case")]
pub enum Parking {
    /// Its attempts are used up.
    Exhausted,
    /// Another attempt could not go better.
    NotRetryable,
    /// The host died while it ran, so often in a row.
    HostDied {
        /// How often.
        times: u32,
    },
}

/// What a rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum RuleDecision {
    /// Another attempt after a delay.
    Retry {
        /// In milliseconds.
        delay_ms: u64,
    },
    /// What it does once there are no further attempts.
    Resort {
        /// Which.
        then: Resort,
    },
}

/// Why a completed task is not kept when the plan changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Unkept {
    /// The new plan has it otherwise, or not at all.
    Definition,
    /// A task that it depends on is not kept.
    Dependency {
        /// Which.
        task: TaskId,
    },
    /// It read what a task wrote that is not kept.
    Input {
        /// Where.
        path: String,
        /// Which task.
        task: TaskId,
    },
}
