//! Names of things: phases, tasks, runs, attempts.
//!
//! Invariant: an identifier is printable ASCII without spaces, so it can stand in a
//! path, a URL, a terminal and a log line unescaped.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that cannot be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an identifier: use 1 to 64 letters, digits, `-`, `_` or `.`, starting with a letter or digit"
)]
pub struct IdError(pub String);

fn check(text: &str) -> Result<(), IdError> {
    let ok = (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if ok { Ok(()) } else { Err(IdError(text.to_owned())) }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name.
            ///
            /// # Errors
            /// [`IdError`] if `text` has other characters than an identifier may have.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

identifier! {
    /// A task of a plan, such as `P1-T3`; unique within its plan.
    TaskId
}
identifier! {
    /// A criterion, such as `P1-T3.2`; unique within its plan.
    CriterionId
}
identifier! {
    /// One execution of a plan, such as `phase-1-r3`; unique within a project.
    RunId
}
identifier! {
    /// An observation made by the host, such as `e7`; unique within its attempt.
    EvidenceId
}

/// A phase: its number and its name, as in the folder `2-search`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PhaseId {
    /// The phase's place in the project.
    pub number: u32,
    /// The phase's name; an identifier.
    pub name: String,
}

impl PhaseId {
    /// Takes a number and a name.
    ///
    /// # Errors
    /// [`IdError`] if `name` is not an identifier.
    pub fn new(number: u32, name: impl Into<String>) -> Result<Self, IdError> {
        let name = name.into();
        check(&name)?;
        Ok(Self { number, name })
    }

    /// The seed's name for it in the state document: `phase-2`.
    pub fn key(&self) -> String {
        format!("phase-{}", self.number)
    }

    /// Whether a person who types `text` means this phase: its number, its name, its
    /// folder name or its key.
    pub fn is_meant_by(&self, text: &str) -> bool {
        text.parse::<u32>().is_ok_and(|number| number == self.number)
            || text == self.name
            || text == self.to_string()
            || text == self.key()
    }
}

impl fmt::Display for PhaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.number, self.name))
    }
}

/// Counts the tries of one task, from 1.
pub type Attempt = u32;

/// Fences a stale holder of a lease: a larger epoch wins.
pub type Epoch = u32;

/// Wall-clock time in milliseconds since 1970-01-01 UTC; display and durations only.
pub type Millis = u64;
