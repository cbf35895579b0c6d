//! With how little confinement a person is content.
//!
//! Invariant: only a flag says so, for one run; no file does, and nothing is weaker by itself.

use clap::{Args, ValueEnum};
use idumb_exec::Weaker;

#[derive(Debug, Default, Args)]
pub(crate) struct ConfinementArgs {
    /// Do without this wall around native commands, for this run, if it cannot be had here; the
    /// evidence says so
    #[arg(long = "weaker-confinement", value_name = "WALL")]
    weaker: Vec<WallArg>,
}

/// A wall that can be done without.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum WallArg {
    /// Further user namespaces, forbidden by the kernel; the filter still forbids them. For
    /// bubblewrap before 0.8
    NestedUserNamespaces,
}

impl ConfinementArgs {
    pub(crate) fn weaker(&self) -> Vec<Weaker> {
        let wall = |wall: &WallArg| match wall {
            WallArg::NestedUserNamespaces => Weaker::NestedUserNamespacesByFilterOnly,
        };
        self.weaker.iter().map(wall).collect()
    }
}
