//! Runs one agent, a WebAssembly component, against a view of the project.
//!
//! Invariant: a guest reaches files only through the [`idumb_overlay`] view it is given,
//! and nothing else of the machine: no network, no environment, no arguments, no stdin.
//! Every call gets a fresh store, which is dropped when the call ends, however it ends.
//!
//! [`Sandbox`] holds the engine; [`Sandbox::prepare`] checks and compiles a component into
//! an [`Agent`], or takes it from a [`Cache`]; the agent's methods call its one export.

mod agent;
mod cache;
mod ceiling;
mod command;
mod compile;
mod contract;
mod engine;
mod files;
mod filewire;
mod guest;
mod host_error;
mod limiter;
mod limits;
mod log;
mod native;
mod seat;
mod settings;
mod shares;
mod stop;
mod streams;
mod wire;

use std::future::Future;
use std::pin::Pin;

use idumb_core::{Artifact, Attempt, Feedback, LogLine, PhaseId, RunId, TaskId};

pub use agent::{Agent, Broken, CallOptions, Ended};
pub use cache::{Cache, Unusable};
pub use ceiling::{BadCeiling, CEILING_SECTION, declared_ceiling};
pub use command::{Command, CommandOptions, Exit, Ran, Stdio};
pub use compile::{CompileLimits, Compiler, CompilerProcess, compile};
pub use engine::{Options, Refused, Sandbox};
pub use guest::Candidate;
pub use limits::Limits;
pub use native::{
    CommandOutput, CommandRan, CommandRequest, Commands, NoCommands, NotRun, Running,
};
pub use seat::{Files, Mount};
pub use stop::{Stop, Stopper};

/// Where an agent's words go while it works, and where its questions are answered.
///
/// What arrives here comes from an untrusted guest: bounded in length, not escaped.
pub trait Desk: Send + Sync + 'static {
    /// The agent said how far it is.
    fn progress(&self, done: u32, total: u32, message: &str);

    /// The agent added a line to its log.
    fn log(&self, line: &LogLine);

    /// The agent asks. Answers the id of a choice, or `None` if nobody decides.
    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Option<String>> + Send>>;
}

/// A decision that an agent asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The agent's words.
    pub text: String,
    /// The answers it offers; at least one, of different ids.
    pub choices: Vec<Choice>,
}

/// One of the answers that an agent offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the agent is told if it is chosen.
    pub id: String,
    /// The agent's words.
    pub text: String,
}

/// Where a task stands in the run: the contract's record of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The run.
    pub run: RunId,
    /// The phase.
    pub phase: PhaseId,
    /// What the phase is to achieve.
    pub goal: String,
    /// Which try of the task this is, from 1.
    pub attempt: Attempt,
    /// What the task's dependencies left behind.
    pub artifacts: Vec<(TaskId, Artifact)>,
    /// What came of the try before.
    pub feedback: Feedback,
}

/// A limit that ended the call, in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LimitBroken(pub(crate) String);

/// What a builder answers when it is done. Its words; the change-set is what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether there was something to do.
    pub completed: Completed,
    /// One paragraph for people.
    pub summary: String,
    /// Paths that the agent names as its work.
    pub artifacts: Vec<String>,
}

/// How a builder's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completed {
    /// It did it.
    Done,
    /// It was done before.
    AlreadyDone,
}
