//! The command line of consents: `--grant`, and `idumb grants`.
//!
//! Invariant: a flag allows one agent by its name; there is none for all of them.

use clap::{Args, Subcommand};

use super::Output;
use super::value::{GrantArg, grant};

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GrantArgs {
    /// Allow this agent what the plan gives it, at this start: its name, or `NAME=DIGEST` for one
    /// component only; may be given more than once, or with commas
    #[arg(long, value_name = "AGENT", value_delimiter = ',', value_parser = grant)]
    pub(crate) grant: Vec<GrantArg>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GrantsCommand {
    /// List what is kept, with what each is bound to
    List {
        #[command(flatten)]
        output: Output,
    },
    Revoke(Revoke),
}

/// Take back what was allowed
///
/// Takes back what you allowed; a run that needs it asks again. A run that goes on is not touched:
/// `idumb cancel` ends it.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Whose: the agent's name, or how its digest begins
    #[arg(required_unless_present = "all")]
    pub(crate) agent: Vec<String>,

    /// Everything, of every project
    #[arg(long, conflicts_with = "agent")]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) output: Output,
}
