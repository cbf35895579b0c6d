//! How much of the machine an agent may use, as a project or a task says.
//!
//! Invariant: what nobody says has its default elsewhere; a task's bounds are worth only what
//! they take away from the project's.

use serde::{Deserialize, Serialize};

/// Bounds on one call into an agent; `None`: what applies otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceLimits {
    /// Bytes of all linear memories together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Elements of all tables together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<u64>,
    /// Core instances of the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u64>,
    /// Handles that it holds at once: files, directories, streams, pollables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<u64>,
    /// Milliseconds that it computes; what it waits is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Bytes that it hands to the host in one call, or in its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_call: Option<u64>,
    /// Bytes of one random request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<u64>,
    /// Lines of its log, with what it prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lines: Option<u64>,
    /// Bytes of one of these lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_line: Option<u64>,
    /// Questions that it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<u64>,
    /// Native commands that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<u64>,
    /// Files open at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Files, directories and links that it makes or changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes of all files that it makes or changes together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
}

impl ResourceLimits {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
