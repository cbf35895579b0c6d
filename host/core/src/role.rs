//! Roles, modes, and the error codes that the seed promises.
//!
//! Invariant: each code has one cause, one resolution and one exit status.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an agent is for: the world it implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Carries out a task.
    Builder,
    /// Checks a candidate against the task's criteria.
    Validator,
    /// Checks a finished phase on the real tree.
    Verifier,
    /// Checks a finished phase against earlier ones.
    IntegrationChecker,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] =
        [Self::Builder, Self::Validator, Self::Verifier, Self::IntegrationChecker];

    /// The role's name, which is also its world's and its built-in agent's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Validator => "validator",
            Self::Verifier => "verifier",
            Self::IntegrationChecker => "integration-checker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who makes decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A person, at checkpoints and blockers.
    Interactive,
    /// Declared rules; no questions.
    Auto,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Interactive => "interactive",
            Self::Auto => "auto",
        })
    }
}

/// The seed's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// Plan not found.
    E001,
    /// Task failed.
    E002,
    /// Dependency not met.
    E003,
    /// Timeout.
    E004,
    /// Validation failed.
    E005,
}

impl ErrorCode {
    /// What it means.
    pub fn cause(self) -> &'static str {
        match self {
            Self::E001 => "Plan not found",
            Self::E002 => "Task failed",
            Self::E003 => "Dependency not met",
            Self::E004 => "Timeout",
            Self::E005 => "Validation failed",
        }
    }

    /// What to do.
    pub fn resolution(self) -> &'static str {
        match self {
            Self::E001 => {
                "Make one first: idumb plan-phase --goal TEXT; or write .idumb/phases/<number>-<name>/plan.toml"
            }
            Self::E002 => "Review error, retry or modify",
            Self::E003 => "Wait for dependency task",
            Self::E004 => "Increase timeout or investigate",
            Self::E005 => "Fix issues and retry",
        }
    }

    /// The process's exit status: 10 for E001 to 14 for E005.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::E001 => 10,
            Self::E002 => 11,
            Self::E003 => 12,
            Self::E004 => 13,
            Self::E005 => 14,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::E001 => "E001",
            Self::E002 => "E002",
            Self::E003 => "E003",
            Self::E004 => "E004",
            Self::E005 => "E005",
        })
    }
}
