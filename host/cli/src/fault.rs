//! What can go wrong outside of a run, with its exit status and what to do.
//!
//! Invariant: the kind of a fault decides the exit status; advice goes into hints.

use std::{fmt, io};

use idumb_core::{ErrorCode, RunOutcome};

use crate::workshop::is_used_up;

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

/// The exit status of a run that ended so.
pub(crate) fn exit_of(outcome: &RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Completed => DONE,
        RunOutcome::Failed { code, .. } => code.exit_status(),
        RunOutcome::Refused { .. } => REFUSED,
        RunOutcome::Cancelled { .. } => INTERRUPTED,
    }
}

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

/// Says of trouble with the disk, which may come at any moment, what to do about it; other
/// errors stay as they are.
pub(crate) fn let_down(error: anyhow::Error, number: u32) -> anyhow::Error {
    if error.downcast_ref::<Fault>().is_some() {
        return error;
    }
    let io = |cause: &&(dyn std::error::Error + 'static)| cause.is::<io::Error>();
    let journal = error.downcast_ref::<idumb_journal::Error>();
    if journal.is_none() && error.chain().find(io).is_none() {
        return error;
    }
    let full = matches!(journal, Some(idumb_journal::Error::StorageFull { .. }))
        || error.chain().any(|cause| cause.downcast_ref().is_some_and(is_used_up));
    let (exit, first) = match full {
        true => (PAUSED, "make room"),
        false => (INTERNAL, "see to what it names"),
    };
    let hint = format!(
        "{first}, then run it again: idumb execute-phase {number}, with --resume if the run had \
         begun; nothing that was recorded is lost"
    );
    Fault { code: None, exit, message: told(&error), hints: vec![hint] }.into()
}

/// An error and its causes, each said once.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors say their cause themselves.
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}
