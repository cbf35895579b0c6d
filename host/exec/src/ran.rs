//! What came of a run.
//!
//! Invariant: how a command ended is what the host saw, not what the command says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Captured, Level};

/// Which output some bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A cap that ended a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cap {
    /// [`Limits::memory`](crate::Limits::memory).
    Memory,
    /// [`Limits::processes`](crate::Limits::processes).
    Processes,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal, which the host did not send.
    Signalled(i32),
    /// Its time was over.
    TimedOut,
    /// The caller's stop was given.
    Cancelled,
    /// It went over a cap, and all of it was killed.
    Exceeded(Cap),
    /// Somebody killed all of it: most likely the kernel, which had no memory left.
    Killed,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// How it ended.
    pub ended: Ended,
    /// What it wrote to standard output.
    pub stdout: Captured,
    /// What it wrote to standard error.
    pub stderr: Captured,
    /// From its start to its end, without the making of the sandbox.
    pub time: Duration,
    /// The making of the sandbox.
    pub setup: Duration,
    /// Bytes of memory that its largest process had at once (or all of them, where a cgroup
    /// counted); `None`: not known.
    pub peak_memory: Option<u64>,
    /// The walls that stood around it: seen in this very run.
    pub level: Level,
}

impl Ran {
    /// Whether it ended by itself, with status 0.
    pub fn succeeded(&self) -> bool {
        self.ended == Ended::Exited(0)
    }
}
