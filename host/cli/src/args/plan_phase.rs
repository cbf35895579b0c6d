//! The command line of `idumb plan-phase`.
//!
//! Invariant: what a flag means is the same for every template, or it is said that it means
//! nothing.

use clap::{Args, ValueEnum};

use super::Output;

/// Make a plan for a phase from a goal: a scaffold, which no model writes
///
/// Writes `.idumb/phases/<number>-<name>/plan.toml`, to make your own: there is no model in idumb,
/// so it is made of a template, or of a plan that is there, and of what is found in the project's
/// folder. Nothing that is there is replaced. P001: the goal or the phase cannot be told;
/// P002: there is a plan for that phase; P003: the template cannot be used.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 made, 2 for P001, P002 and P003.")]
pub(crate) struct PlanPhase {
    /// The phase's number, `number-name` or name [default: the next number, and a name made of
    /// the goal]
    pub(crate) phase: Option<String>,

    /// What the phase is to achieve
    #[arg(long, value_name = "TEXT")]
    pub(crate) goal: Option<String>,

    /// How much it goes into [default: medium]
    #[arg(long, value_enum)]
    pub(crate) detail: Option<DetailArg>,

    /// Tasks on different files do not wait for each other
    #[arg(long)]
    pub(crate) parallel: bool,

    /// Say how long it may take, by what attempts took that are recorded here
    #[arg(long)]
    pub(crate) estimate: bool,

    /// What it is made of: `feature`, `fix`, `refactor` or `docs`, or the path of a plan
    /// [default: feature]
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) template: Option<String>,

    /// Print it instead
    #[arg(long)]
    pub(crate) stdout: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// How much a scaffold goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DetailArg {
    /// Only what is to be built
    Low,
    /// That, and tests for it
    Medium,
    /// Tests first, then what is built, then its docs; in the end a person decides
    High,
}

impl From<DetailArg> for idumb_plan::Detail {
    fn from(detail: DetailArg) -> Self {
        match detail {
            DetailArg::Low => Self::Low,
            DetailArg::Medium => Self::Medium,
            DetailArg::High => Self::High,
        }
    }
}
