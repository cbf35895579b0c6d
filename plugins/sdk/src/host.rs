//! What an agent may ask of the host, one module for each interface of `wit/`.
//!
//! Invariant: off WebAssembly there is no host, and nothing here pretends that there is:
//! words go nowhere, and questions are answered with an error.

use crate::bindings::validator::idumb::agent as wit;

/// Whether this code runs where a host can be asked.
const HOSTED: bool = cfg!(target_arch = "wasm32");

const NO_HOST: &str = "there is no host here: this code runs outside of a component";

/// Says how far the work is: `done` of `total` parts, and the part at hand.
///
/// Outside of a component, as in your unit tests, it does nothing.
pub fn progress(done: u32, total: u32, message: impl AsRef<str>) {
    if HOSTED {
        wit::report::progress(done, total, message.as_ref());
    }
}

/// Lines for the attempt's log. They are shown to the user, marked as the agent's words.
///
/// The host truncates long lines and long logs. Outside of a component, as in your unit
/// tests, these functions do nothing.
pub mod log {
    use super::wit::report::{Level, log};

    fn line(level: Level, message: impl AsRef<str>) {
        if super::HOSTED {
            log(level, message.as_ref());
        }
    }

    /// For whoever looks for a fault in the agent.
    pub fn debug(message: impl AsRef<str>) {
        line(Level::Debug, message);
    }

    /// For whoever follows the work.
    pub fn info(message: impl AsRef<str>) {
        line(Level::Info, message);
    }

    /// Something is odd, and the work goes on.
    pub fn warn(message: impl AsRef<str>) {
        line(Level::Warn, message);
    }

    /// Something went wrong; what comes of it is in the answer of the call.
    pub fn error(message: impl AsRef<str>) {
        line(Level::Error, message);
    }
}

/// Have the host observe something, so that a finding can name it.
pub mod evidence {
    pub use super::wit::evidence::{Kind, Observation};

    /// Looks at `path`, relative to the project's root, in this attempt's view, and records
    /// what is there. Links are followed.
    ///
    /// # Errors
    /// Why the path cannot be looked at: it is not granted, or cannot be read. Nothing
    /// standing there is no error, but [`Kind::Absent`].
    pub fn observe(path: impl AsRef<str>) -> Result<Observation, String> {
        if super::HOSTED {
            super::wit::evidence::observe(path.as_ref())
        } else {
            Err(super::NO_HOST.to_owned())
        }
    }
}

/// Read the candidate: what the builder's attempt would change.
///
/// For checking roles only: the world `builder` does not import it, and a builder that
/// calls it does not become a component. In the roles verifier and integration-checker,
/// which look at the real tree after the fact, the change-set is empty.
pub mod change_set {
    pub use super::wit::change_set::{Change, ChangeKind, Listing};

    /// Lists the whole change-set, and records that it was listed.
    ///
    /// # Panics
    /// Outside of a component: there is no change-set, and an empty one would be a lie.
    pub fn changes() -> Listing {
        if super::HOSTED { super::wit::change_set::changes() } else { panic!("{}", super::NO_HOST) }
    }

    /// One path's change as a unified diff.
    ///
    /// # Errors
    /// The path is not in the change-set, or is not text.
    pub fn diff(path: impl AsRef<str>) -> Result<String, String> {
        if super::HOSTED {
            super::wit::change_set::diff(path.as_ref())
        } else {
            Err(super::NO_HOST.to_owned())
        }
    }
}

/// Ask a person, or the rules that stand in for one.
pub mod decisions {
    pub use super::wit::decisions::{Choice, Question, Refusal};

    /// Asks `text` with `choices`, each an id and its words for people, and waits for the
    /// answer: the id of one of them.
    ///
    /// ```no_run
    /// # fn f() -> Result<(), idumb_agent::Failure> {
    /// use idumb_agent::decisions;
    /// let answer = decisions::ask(
    ///     "The table `notes` has rows. Drop it?",
    ///     [("keep", "Keep the rows"), ("drop", "Drop them")],
    /// )?;
    /// # let _ = answer;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why there is no answer. It turns into a [`Failure`](crate::Failure) of kind
    /// `undecided` with `?`. Outside of a component it is [`Refusal::Unattended`].
    pub fn ask<I, T>(
        text: impl Into<String>,
        choices: impl IntoIterator<Item = (I, T)>,
    ) -> Result<String, Refusal>
    where
        I: Into<String>,
        T: Into<String>,
    {
        let choices = choices.into_iter();
        let choices = choices.map(|(id, text)| Choice { id: id.into(), text: text.into() });
        let question = Question { text: text.into(), choices: choices.collect() };
        if super::HOSTED { super::wit::decisions::ask(&question) } else { Err(Refusal::Unattended) }
    }
}

/// Have native commands of the project run: its tests, its compiler.
///
/// For builders and validators only: the worlds of the other roles do not import it, and a
/// verifier that calls it does not become a component.
///
/// ```no_run
/// # fn f() -> Result<(), idumb_agent::Failure> {
/// use idumb_agent::commands;
/// let ran = commands::run("test", &["--quiet"])?;
/// if !ran.succeeded() {
///     let told = ran.stderr.text();
///     return Err(idumb_agent::Failure::other(format!("the tests {}: {told}", ran.ended)));
/// }
/// # Ok(())
/// # }
/// ```
pub mod commands {
    pub use super::wit::commands::{Output, Ran, Refusal, RefusalKind, TestCounts};

    /// The names that this agent may ask for, in order; none is usual.
    ///
    /// Outside of a component, as in your unit tests, there are none.
    pub fn allowed() -> Vec<String> {
        if super::HOSTED { super::wit::commands::allowed() } else { Vec::new() }
    }

    /// Runs the command `name`, with `arguments` behind the words of its definition, and waits
    /// for it. It runs on a copy: for a builder, of the project with all that it has written so
    /// far; for a validator, of what it checks. What the command writes is in no view.
    ///
    /// A finding can name the run as evidence: take [`Ran::id`].
    ///
    /// # Errors
    /// Why nothing came of it; a command that ran and failed is no error. It turns into a
    /// [`Failure`](crate::Failure) with `?`. Outside of a component it is
    /// [`RefusalKind::Unavailable`].
    pub fn run(name: &str, arguments: &[&str]) -> Result<Ran, Refusal> {
        if super::HOSTED {
            let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            super::wit::commands::run(name, &arguments)
        } else {
            Err(Refusal { kind: RefusalKind::Unavailable, message: super::NO_HOST.to_owned() })
        }
    }
}
