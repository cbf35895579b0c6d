//! What can go wrong outside of a run, with its exit status and what to do.
//!
//! Invariant: the kind of a fault decides the exit status; advice goes into hints.

use std::fmt;

use idumb_core::ErrorCode;

/// Exit status: nothing went wrong.
pub(crate) const DONE: u8 = 0;
/// Exit status: idumb's own trouble.
pub(crate) const INTERNAL: u8 = 1;
/// Exit status: the command line or the project's configuration cannot be followed.
pub(crate) const USAGE: u8 = 2;
/// Exit status: paused, and waiting for somebody.
pub(crate) const PAUSED: u8 = 20;
/// Exit status: high-governance refused grants.
pub(crate) const REFUSED: u8 = 21;
/// Exit status: interrupted or cancelled, with the state saved.
pub(crate) const INTERRUPTED: u8 = 130;

/// Something that stops a command, told so that a person can act on it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: Option<ErrorCode>,
    pub(crate) exit: u8,
    pub(crate) message: String,
    /// What to do, one sentence each.
    pub(crate) hints: Vec<String>,
}

impl Fault {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: None, exit: USAGE, message: message.into(), hints: Vec::new() }
    }

    pub(crate) fn coded(code: ErrorCode, message: impl Into<String>) -> Self {
        let exit = code.exit_status();
        let hints = vec![code.resolution().to_owned()];
        Self { code: Some(code), exit, message: message.into(), hints }
    }

    pub(crate) fn paused(message: impl Into<String>) -> Self {
        Self { code: None, exit: PAUSED, message: message.into(), hints: Vec::new() }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Leaves only `hint` as advice.
    #[must_use]
    pub(crate) fn only_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints = vec![hint.into()];
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(f, "{}: ", code.cause())?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
