//! What the types of the contract can do in Rust.
//!
//! Invariant: nothing here adds to the contract. Every function could be written by an
//! author with the fields alone.

use serde::de::DeserializeOwned;

use crate::commands::{self, Output, Ran, RefusalKind};
use crate::decisions::Refusal;
use crate::{
    Completion, Context, Criterion, EvidenceRef, Failure, FailureKind, Finding, Outcome, Param,
    Step, Task, Verdict,
};

fn value_of<'a>(params: &'a [Param], name: &str) -> Option<&'a str> {
    params.iter().find(|param| param.name == name).map(|param| param.value.as_str())
}

fn arguments<T: DeserializeOwned>(kind: &str, args: &str) -> Result<T, Failure> {
    serde_json::from_str(args).map_err(|error| {
        // The place in the JSON text means nothing to whoever wrote a plan.
        let error = error.to_string();
        let why = error.rsplit_once(" at line ").map_or(error.as_str(), |(why, _)| why);
        Failure::invalid(format!("the arguments of `{kind}` are wrong: {why}"))
    })
}

impl Task {
    /// The value of the plan's option of that name.
    pub fn option(&self, name: &str) -> Option<&str> {
        value_of(&self.options, name)
    }
}

/// An empty task, to fill in for a unit test: `Task { title: "…".into(), ..Task::default() }`.
impl Default for Task {
    fn default() -> Self {
        Self {
            id: String::new(),
            title: String::new(),
            description: String::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            artifacts: Vec::new(),
            steps: Vec::new(),
            options: Vec::new(),
            accept: Vec::new(),
        }
    }
}

impl Context {
    /// The value of the further fact of that name.
    pub fn fact(&self, name: &str) -> Option<&str> {
        value_of(&self.extra, name)
    }
}

/// A first attempt in a run without a name, to fill in for a unit test.
impl Default for Context {
    fn default() -> Self {
        Self {
            run: String::new(),
            phase: String::new(),
            goal: String::new(),
            attempt: 1,
            artifacts: Vec::new(),
            feedback: Vec::new(),
            extra: Vec::new(),
        }
    }
}

impl Step {
    /// The arguments as a type of yours.
    ///
    /// # Errors
    /// A failure of kind `invalid`, if they are no JSON object of that shape.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        arguments(&self.kind, &self.args)
    }
}

impl Criterion {
    /// The arguments as a type of yours.
    ///
    /// # Errors
    /// A failure of kind `invalid`, if they are no JSON object of that shape.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        arguments(&self.kind, &self.args)
    }
}

impl Outcome {
    fn new(status: Completion, summary: impl Into<String>) -> Self {
        Self { status, summary: summary.into(), evidence: Vec::new(), artifacts: Vec::new() }
    }

    /// Everything asked for was done.
    pub fn done(summary: impl Into<String>) -> Self {
        Self::new(Completion::Done, summary)
    }

    /// There was nothing to do: it was done before.
    pub fn already_done(summary: impl Into<String>) -> Self {
        Self::new(Completion::AlreadyDone, summary)
    }

    /// Adds a path created or changed that others should know of.
    #[must_use]
    pub fn artifact(mut self, path: impl Into<String>) -> Self {
        self.artifacts.push(path.into());
        self
    }

    /// Adds an observation to point to.
    #[must_use]
    pub fn evidence(mut self, id: impl Into<EvidenceRef>) -> Self {
        self.evidence.push(id.into());
        self
    }
}

impl Finding {
    fn new(
        criterion: impl Into<String>,
        verdict: Verdict,
        evidence: impl IntoIterator<Item = EvidenceRef>,
        note: impl Into<String>,
    ) -> Self {
        Self {
            criterion: criterion.into(),
            verdict,
            evidence: evidence.into_iter().collect(),
            note: note.into(),
        }
    }

    /// Checked, and holds. The host rejects it if `evidence` is empty.
    pub fn pass(
        criterion: impl Into<String>,
        evidence: impl IntoIterator<Item = EvidenceRef>,
        note: impl Into<String>,
    ) -> Self {
        Self::new(criterion, Verdict::Pass, evidence, note)
    }

    /// Checked, and does not hold.
    pub fn fail(
        criterion: impl Into<String>,
        evidence: impl IntoIterator<Item = EvidenceRef>,
        note: impl Into<String>,
    ) -> Self {
        Self::new(criterion, Verdict::Fail, evidence, note)
    }

    /// Could not be checked, for the reason in `note`.
    pub fn inconclusive(
        criterion: impl Into<String>,
        evidence: impl IntoIterator<Item = EvidenceRef>,
        note: impl Into<String>,
    ) -> Self {
        Self::new(criterion, Verdict::Inconclusive, evidence, note)
    }
}

impl Failure {
    /// A failure of that kind. `message` says what, where, and what to do.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), step: None, retryable: false }
    }

    /// What the task takes for granted does not hold.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Precondition, message)
    }

    /// A path that the work needs is not granted.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Denied, message)
    }

    /// A step, criterion or option that this agent does not know.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unsupported, message)
    }

    /// The task, a step or a criterion is malformed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, message)
    }

    /// A decision is needed that nobody gave.
    pub fn undecided(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Undecided, message)
    }

    /// Anything else.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Other, message)
    }

    /// Says which step failed, counted from 0.
    #[must_use]
    pub fn at_step(mut self, index: u32) -> Self {
        self.step = Some(index);
        self
    }

    /// Says that another attempt could go better.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

/// A refused request becomes `denied`, anything else `other`. The error does not know its
/// path: where that matters, write the message yourself.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match error.kind() {
            PermissionDenied | ReadOnlyFilesystem => Self::denied(error.to_string()),
            _ => Self::other(error.to_string()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unattended => {
                Self::undecided("a decision is needed, nobody is there to ask, and no rule decides")
            }
            Refusal::Declined => Self::undecided("a decision is needed, and it was declined"),
            Refusal::Invalid => {
                Self::other("the agent asked a question without choices, or with two of one id")
            }
        }
    }
}

/// A command that this agent may not ask for becomes `denied`, wrong arguments `invalid`, and one
/// that cannot be run here `other`.
impl From<commands::Refusal> for Failure {
    fn from(refusal: commands::Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::NotAllowed => FailureKind::Denied,
            RefusalKind::Invalid => FailureKind::Invalid,
            RefusalKind::Unavailable => FailureKind::Other,
        };
        Self::new(kind, refusal.message)
    }
}

impl Ran {
    /// Whether it exited by itself, with status 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }
}

impl Output {
    /// The text, with a line in the middle that says how much is missing, if something is.
    pub fn text(&self) -> String {
        match self.left_out {
            0 => format!("{}{}", self.beginning, self.end),
            bytes => format!("{}\n… {bytes} bytes are missing …\n{}", self.beginning, self.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_facts_are_found_by_name() {
        let param = |name: &str, value: &str| Param { name: name.into(), value: value.into() };
        let options = vec![param("crate", "notes"), param("lang", "en")];
        let task = Task { options: options.clone(), ..Task::default() };
        assert_eq!(task.option("lang"), Some("en"));
        assert_eq!(task.option("Lang"), None);
        let context = Context { extra: options, ..Context::default() };
        assert_eq!(context.fact("crate"), Some("notes"));
        assert_eq!(context.attempt, 1, "attempts count from 1");
    }

    #[test]
    fn malformed_arguments_are_an_invalid_step() {
        #[derive(Debug, serde::Deserialize)]
        struct Args {
            path: String,
        }
        let step = |args: &str| Step { kind: "touch".into(), args: args.into() };
        assert_eq!(step(r#"{"path":"a"}"#).arguments::<Args>().unwrap().path, "a");
        let failure = step(r#"{"file":"a"}"#).arguments::<Args>().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains("`touch`"), "{}", failure.message);
        assert!(failure.message.ends_with("missing field `path`"), "{}", failure.message);
    }

    #[test]
    fn a_refused_request_is_denied() {
        let kind = |kind| Failure::from(std::io::Error::from(kind)).kind;
        assert_eq!(kind(std::io::ErrorKind::PermissionDenied), FailureKind::Denied);
        assert_eq!(kind(std::io::ErrorKind::ReadOnlyFilesystem), FailureKind::Denied);
        assert_eq!(kind(std::io::ErrorKind::NotFound), FailureKind::Other);
    }

    #[test]
    fn a_failure_says_where_and_whether_to_try_again() {
        let failure = Failure::precondition("no such text").at_step(2).retryable();
        assert_eq!(failure.step, Some(2));
        assert!(failure.retryable);
        assert!(!Failure::other("x").retryable);
    }

    #[test]
    fn a_command_that_was_refused_is_a_failure() {
        let failure = |kind| Failure::from(commands::Refusal { kind, message: "why".into() });
        assert_eq!(failure(RefusalKind::NotAllowed), Failure::denied("why"));
        assert_eq!(failure(RefusalKind::Invalid), Failure::invalid("why"));
        assert_eq!(failure(RefusalKind::Unavailable), Failure::other("why"));
    }

    #[test]
    fn an_output_says_what_is_missing() {
        let output = |left_out| Output { beginning: "a".into(), left_out, end: "z".into() };
        assert_eq!(output(0).text(), "az");
        assert_eq!(output(3).text(), "a\n… 3 bytes are missing …\nz");
    }

    #[test]
    fn without_a_host_nothing_is_answered() {
        assert!(crate::evidence::observe("a").unwrap_err().contains("no host"));
        assert!(crate::change_set::diff("a").is_err());
        assert_eq!(crate::decisions::ask("?", [("y", "yes")]), Err(Refusal::Unattended));
        assert_eq!(crate::commands::allowed(), [""; 0]);
        let refusal = crate::commands::run("test", &[]).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Unavailable);
        assert!(refusal.message.contains("no host"), "{refusal:?}");
        crate::log::info("goes nowhere");
        crate::progress(1, 2, "goes nowhere");
    }

    #[test]
    #[should_panic(expected = "no host")]
    fn without_a_host_there_is_no_change_set() {
        crate::change_set::changes();
    }
}
