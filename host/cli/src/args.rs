//! The command line.
//!
//! Invariant: every flag is documented here, and nowhere does a flag mean two things.

mod confinement;
mod grants;
mod output;
mod plan_phase;
mod sandbox;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use idumb_core::{Attempt, Mode, RunId};

use confinement::ConfinementArgs;
pub(crate) use grants::{GrantArgs, GrantsCommand, Revoke};
pub(crate) use output::{Format, Output};
pub(crate) use plan_phase::PlanPhase;
pub(crate) use sandbox::{Afterwards, DirArg, SandboxCommand, SandboxRun};
pub(crate) use value::{GrantArg, ReportArg};
use value::{duration, report};

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
    ExecutePhase(Box<ExecutePhase>),
    /// What you let agents do that did not come with idumb
    #[command(subcommand)]
    Grants(GrantsCommand),
    Check(Check),
    /// Plans of other dialects
    #[command(subcommand)]
    Plan(PlanCommand),
    PlanPhase(PlanPhase),
    VerifyWork(VerifyWork),
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
    Debug(Debug),
    /// Show what a task's attempt would change, or has changed, as a unified diff
    Diff(Diff),
    /// Show a recorded run as it went, in the live display
    Replay(Replay),
    Init(Init),
    Doctor(Doctor),
    /// Print a JSON Schema, for editors and programs
    Schema {
        /// Of what
        #[arg(value_enum)]
        of: SchemaArg,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder; it must be there
        folder: PathBuf,
    },
    /// Use the sandbox by itself, without a phase
    #[command(subcommand)]
    Sandbox(SandboxCommand),
}

/// Make a project: `idumb.toml` and a first phase that runs as it is
///
/// Makes `idumb.toml` and `.idumb/phases/1-first/plan.toml`. Changes nothing that is there.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where [default: the current folder, or -C DIR]
    pub(crate) folder: Option<PathBuf>,

    /// Make the example instead: a small HTTP server, built in two phases
    #[arg(long)]
    pub(crate) demo: bool,

    /// Write command files for this tool too, so that `/idumb:execute-phase` works there
    #[arg(long, value_enum)]
    pub(crate) host: Option<AgentHost>,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Say what this machine can and cannot do, each with its fix
///
/// Looks at the machine and at the project, if there is one. Changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 everything needed is there, 2 nothing can run like this.")]
pub(crate) struct Doctor {
    /// Show each setting instead, and where it came from
    #[arg(long)]
    pub(crate) config: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaArg {
    /// `plan.toml`
    Plan,
    /// `idumb.toml`
    Config,
    /// A rules file, as for --rules
    Rules,
    /// Your own settings, `config.toml`
    Settings,
    /// The lines of --format=jsonl, and of `idumb log`
    Events,
}

/// A tool that reads commands from a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AgentHost {
    Opencode,
    Claude,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    Import(PlanImport),
}

/// Write the native form of a plan, as `.idumb/phases/<phase>/plan.toml`
///
/// Reads a plan of any dialect (docs/plan-format.md) and writes it as a `plan.toml`. Such a plan
/// runs as it is, too: importing it is for going on with it in the native form.
#[derive(Debug, Args)]
pub(crate) struct PlanImport {
    /// The plan's file or folder, or the phase's number or name
    pub(crate) plan: String,

    /// Print it instead
    #[arg(long)]
    pub(crate) stdout: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutePhase {
    /// The phase's number or name [default: the current phase, which is the first that is
    /// not completed]
    pub(crate) phase: Option<String>,

    /// Who decides [default: interactive]
    #[arg(long, value_enum, env = "IDUMB_MODE")]
    pub(crate) mode: Option<ModeArg>,

    /// Show batches, agents, grants and reasons, and run no agent
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// With --dry-run: show all grants, reasons and criteria, and whole digests
    #[arg(short, long, requires = "dry_run")]
    pub(crate) verbose: bool,

    /// Run it on a copy that is thrown away, show what it would change, and apply nothing here
    #[arg(long, conflicts_with_all = ["dry_run", "scratch", "resume"])]
    pub(crate) rehearse: bool,

    /// With --dry-run: write what was shown, bound to the digests of plan, agents, rules and
    /// files, to a file for --approved
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pub(crate) save_plan: Option<PathBuf>,

    /// Refuse to run anything else than what this file was saved for, and say what is different
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) approved: Option<PathBuf>,

    /// Write a report when the run comes to rest: `junit=FILE` or `md=FILE`; may be given more
    /// than once, or with commas
    #[arg(long, value_name = "KIND=FILE", value_delimiter = ',', value_parser = report)]
    pub(crate) report: Vec<ReportArg>,

    /// The most tasks in a batch [default: 5]
    #[arg(long, value_name = "N", env = "IDUMB_BATCH_SIZE")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) batch_size: Option<u32>,

    /// How long one attempt of a task may take, such as `90s` or `10m` [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration, env = "IDUMB_TIMEOUT")]
    pub(crate) timeout: Option<Duration>,

    /// How long the whole phase may take before it is paused [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = duration, env = "IDUMB_PHASE_TIMEOUT")]
    pub(crate) phase_timeout: Option<Duration>,

    /// Rules and policy of your own: what auto mode decides, and what nobody may touch;
    /// they come before those of `idumb.toml`
    #[arg(long, value_name = "FILE", env = "IDUMB_RULES")]
    pub(crate) rules: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) grants: GrantArgs,

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
    pub(crate) confinement: ConfinementArgs,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Say what is wrong with a phase's plan, its agents and its grants, without running it
///
/// Looks at everything that can be known before a run: the plan and `idumb.toml`, prerequisites,
/// agents and whether they fit their roles, grants beyond a policy or an agent's ceiling, criteria
/// that say nothing, and tasks that keep each other from running at once. Runs no agent, and writes
/// nothing but compiled agents into the cache.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: as the run would give for the first error; 0 without one.")]
pub(crate) struct Check {
    /// The phase's number or name, or the path of a plan [default: the current phase]
    pub(crate) phase: Option<String>,

    /// Rules and policy of your own, as for execute-phase
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,

    /// Treat warnings as errors
    #[arg(long)]
    pub(crate) strict: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Check a phase's criteria again, on the tree as it is now
///
/// Checks the criteria of the tasks that are done, and those of earlier phases, on the files as
/// they are now: `pass`, `partial` (what was checked holds, but tasks are open or only a person can
/// judge) or `fail` (V003: a criterion does not hold; V004: one of an earlier phase does not hold
/// any more). V001: nothing was done; V002: nothing can be checked.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 pass, 20 partial, 14 fail, 2 for V001 and V002.")]
pub(crate) struct VerifyWork {
    /// The phase's number or name [default: that of the latest run]
    pub(crate) phase: Option<String>,

    #[command(flatten)]
    pub(crate) grants: GrantArgs,

    #[command(flatten)]
    pub(crate) confinement: ConfinementArgs,

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

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The run, such as `phase-1-r2` [default: the latest]
    pub(crate) run: Option<RunId>,

    /// Stop what is under way at once; it runs again after --resume
    #[arg(long)]
    pub(crate) now: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The run, such as `phase-1-r2` [default: the latest]
    pub(crate) run: Option<RunId>,

    #[command(flatten)]
    pub(crate) output: Output,
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

    #[command(flatten)]
    pub(crate) output: Output,
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

    /// Which native commands ran, and what each printed
    #[arg(long, conflicts_with_all = ["files", "grants"])]
    pub(crate) commands: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Say what happened to tasks that did not succeed, why, and what to do next
///
/// For each task of the latest run that did not succeed, or for one: its history, what was not met
/// on which evidence, what the journal points to as the cause, and the next command. D001: nothing
/// was run; D002: there is no such task; D003: no task has any trouble; D004: the record cannot be
/// read.
#[derive(Debug, Args)]
pub(crate) struct Debug {
    /// The phase's number or name [default: that of the latest run]
    pub(crate) phase: Option<String>,

    /// Only this task, whatever became of it
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,

    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Diff {
    /// The run, such as `phase-1-r2` [default: the latest]; a word that names no run is the task
    pub(crate) run: Option<String>,

    /// The task [default: each that left a change-set]
    pub(crate) task: Option<String>,

    /// What this attempt left [default: the latest that left something]
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<Attempt>,

    /// One line a path, without the lines of the files
    #[arg(long)]
    pub(crate) stat: bool,

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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
