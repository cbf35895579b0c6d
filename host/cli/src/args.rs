//! The command line.
//!
//! Invariant: every flag is documented here, and nowhere does a flag mean two things.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use idumb_core::{Mode, RunId};

/// Runs other people's agents on your code, safely.
///
/// A plan of tasks is executed in batches by sandboxed WebAssembly agents. Each works in a
/// copy-on-write view of the project that holds only what the plan grants; the real files
/// change only after the evidence says so, all at once per task or not at all.
#[derive(Debug, Parser)]
#[command(name = "idumb", version, max_term_width = 100)]
#[command(after_help = "Exit status: 0 done, 1 internal error, 2 usage, 10-14 for E001-E005, \
    20 paused and waiting, 21 grants refused, 130 interrupted or cancelled with the state saved.")]
pub(crate) struct Cli {
    /// Work on the project in this folder [default: the nearest folder above with `.idumb`
    /// or `idumb.toml`]
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Execute the plan of a phase
    ExecutePhase(ExecutePhase),
    /// Show where a phase's latest run stands
    Status(Status),
    /// Bring the run that is going on to rest; --resume goes on with it
    Pause(Pause),
    /// Give a run up; what was integrated stays
    Cancel(Cancel),
    /// Answer a prompt of a run, whether it is going on or rests
    Answer(Answer),
    /// Show what happened in a phase's latest run
    Log(Log),
    /// Show a recorded run as it went, in the live display
    Replay(Replay),
}

#[derive(Debug, Args)]
pub(crate) struct ExecutePhase {
    /// The phase's number or name [default: the current phase, which is the first that is
    /// not completed]
    pub(crate) phase: Option<String>,

    /// Who decides [default: interactive]
    #[arg(long, value_enum)]
    pub(crate) mode: Option<ModeArg>,

    /// Show batches, agents, grants and reasons, and run no agent
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// The most tasks in a batch [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) batch_size: Option<u32>,

    /// How long one attempt of a task may take, such as `90s` or `10m` [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// How long the whole phase may take before it is paused [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) phase_timeout: Option<Duration>,

    /// Rules and policy of your own: what auto mode decides, and what nobody may touch;
    /// they come before those of `idumb.toml`
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,

    /// Go on with the phase's paused, interrupted or failed run
    #[arg(long)]
    pub(crate) resume: bool,

    /// Resume though the plan or the agents changed: completed tasks stay done whose
    /// definition and inputs did not change; the others run again
    #[arg(long, requires = "resume")]
    pub(crate) replan: bool,

    /// Begin a new run though there is one that could be resumed, or that was completed
    #[arg(long, conflicts_with = "resume")]
    pub(crate) restart: bool,

    /// Work on a copy of the project: in DIR, which must not exist, or in a new temporary folder
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub(crate) scratch: Option<Option<PathBuf>>,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The phase's number or name [default: that of the latest run]
    pub(crate) phase: Option<String>,

    /// Wait until the run rests, and exit as it does
    #[arg(long)]
    pub(crate) wait: bool,

    /// How to print: text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub(crate) format: StatusFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The run, such as `phase-1-r2` [default: the latest]
    pub(crate) run: Option<RunId>,

    /// Stop what is under way at once; it runs again after --resume
    #[arg(long)]
    pub(crate) now: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The run, such as `phase-1-r2` [default: the latest]
    pub(crate) run: Option<RunId>,
}

#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The run, such as `phase-1-r2`
    pub(crate) run: RunId,

    /// The prompt's number; `idumb status` lists the open ones
    pub(crate) prompt: u32,

    /// The chosen option
    #[arg(long, value_name = "OPTION")]
    pub(crate) choose: String,

    /// A word to the agent, for choices that have it try again
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    /// The phase's number or name [default: that of the latest run]
    pub(crate) phase: Option<String>,

    /// Only what is about this task
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,

    /// Only what this agent did
    #[arg(long, value_name = "AGENT")]
    pub(crate) agent: Option<String>,

    /// Only events of this kind, such as `task_succeeded`; may be given more than once
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,

    /// Go on with what happens, until the run rests
    #[arg(long)]
    pub(crate) follow: bool,

    /// Which paths each attempt read, wrote and was refused
    #[arg(long)]
    pub(crate) files: bool,

    /// Who was allowed what, by whom
    #[arg(long, conflicts_with = "files")]
    pub(crate) grants: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The phase's number or name [default: that of the latest run]
    pub(crate) phase: Option<String>,

    /// How many times as fast as it went; 0: without any delay [default: 10 on a terminal, else 0]
    #[arg(long, value_name = "N")]
    pub(crate) speed: Option<u32>,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// How to print: text for people, or one JSON object a line for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Jsonl,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ModeArg {
    /// Ask at checkpoints and blockers
    Interactive,
    /// Ask nothing
    Auto,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Interactive => Self::Interactive,
            ModeArg::Auto => Self::Auto,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| {
        format!("`{text}` is not a duration: write it like `90s`, `10m` or `1h 30m`")
    })?;
    match Duration::try_from(parsed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a timeout must be longer than nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("0s").is_err());
        assert!(duration("ten").is_err());
        assert!(duration("-5m").is_err());
    }
}
