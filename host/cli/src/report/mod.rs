//! Reporters: who shows a run to people and programs.
//!
//! Invariant: a reporter takes references and returns nothing; it cannot steer the run,
//! and one that fails to print does not silence the others.

mod access;
mod failure;
mod files;
mod json;
mod jsonl;
mod plain;
mod progress;
mod summary;
mod terminal;

use std::io::IsTerminal;

use idumb_core::{Moment, Plan, Progress, Run, RunConfig, RunState, Stamped, TaskId};

pub(crate) use access::{Granted, access_text, limit_texts, tool_texts};
pub(crate) use failure::{failure_block, observed_text};
use files::File;
pub(crate) use json::{Json, status};
pub(crate) use jsonl::{Jsonl, error_line};
pub(crate) use plain::{Plain, denial_texts, event_line, unkept_text};
pub(crate) use progress::progress_block;
pub(crate) use summary::Summary;
pub(crate) use terminal::Terminal;

use crate::args::{Format, ReportArg};

/// What a reporter may look at besides the event.
pub(crate) struct Scene<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) state: &'a RunState,
    run: &'a Run,
    now: Moment,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(run: &'a Run, now: Moment) -> Self {
        Self { plan: run.plan(), state: run.state(), run, now }
    }

    /// How the run goes.
    pub(crate) fn config(&self) -> &'a RunConfig {
        self.run.config()
    }

    /// Where the run stands: counted when asked for, since that takes longer the larger it is.
    pub(crate) fn progress(&self) -> Progress {
        self.run.progress(self.now)
    }
}

/// Something that passes and is not recorded as it passes: an agent's words while it works.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    Progress {
        task: TaskId,
        done: u32,
        total: u32,
        message: String,
    },
    Log {
        task: TaskId,
        line: idumb_core::LogLine,
    },
    /// A line that a native command printed, for a task or for the phase.
    Output {
        task: Option<TaskId>,
        command: String,
        line: String,
    },
    /// The host's own word to the person at the terminal.
    Host(String),
}

/// Shows what happens.
pub(crate) trait Reporter: Send {
    /// Something happened, and is durable.
    fn event(&mut self, stamped: &Stamped, scene: &Scene<'_>);

    /// Something passes.
    fn notice(&mut self, _notice: &Notice) {}

    /// A person is asked something: leave the terminal alone until [`Self::resumed`].
    fn suspended(&mut self) {}

    /// The person answered.
    fn resumed(&mut self) {}

    /// Nothing more will come.
    fn finished(&mut self) {}
}

/// The reporters for `format` on this process's streams, and those that write `files`.
pub(crate) fn reporters(format: Format, files: &[ReportArg]) -> Vec<Box<dyn Reporter>> {
    let files = files.iter().map(|file| Box::new(File::new(file.clone())) as Box<dyn Reporter>);
    on_streams(format).into_iter().chain(files).collect()
}

fn on_streams(format: Format) -> Vec<Box<dyn Reporter>> {
    match format {
        Format::Json => vec![Box::<Json>::default()],
        Format::Jsonl => vec![Box::new(Jsonl::new())],
        Format::Text => {
            let live = std::io::stderr().is_terminal()
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
            let shown: Box<dyn Reporter> =
                if live { Box::new(Terminal::new()) } else { Box::new(Plain::new()) };
            vec![shown, Box::new(Summary::new())]
        }
    }
}

/// Colours, where they are wanted: not with `NO_COLOR`, not in a pipe, not in a dumb terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn for_stream(stream: &impl IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(stream.is_terminal() && !unwanted && !dumb)
    }

    /// None.
    #[cfg(test)]
    pub(crate) const fn off() -> Self {
        Self(false)
    }

    pub(crate) const fn is_on(self) -> bool {
        self.0
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn odd(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}
