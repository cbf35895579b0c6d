//! The command line of `idumb sandbox`.
//!
//! Invariant: what a flag takes is checked here, in the words of whoever typed it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use idumb_core::PathGlob;

use super::value::{duration, size};

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Run a WASI 0.2 command under the very view that agents work in
    Run(SandboxRun),
}

/// Runs any WebAssembly component that exports `wasi:cli/run`, with your standard input, output
/// and error and no network. What it changes stays in a view: it is shown, applied or discarded
/// when it has ended.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: the command's own; 124 if its time was over, 134 if it \
    crashed, 130 if it was interrupted, 2 if it could not be started.")]
pub(crate) struct SandboxRun {
    /// What it may read, by pattern: in each --dir, or else in the current folder (or -C DIR)
    #[arg(long, value_name = "GLOB")]
    pub(crate) read: Vec<PathGlob>,

    /// What it may write (and read), by pattern
    #[arg(long, value_name = "GLOB")]
    pub(crate) write: Vec<PathGlob>,

    /// A folder of the host that it finds open under the name GUEST [default: as HOST]; all of
    /// it, protected names too, unless --read and --write say what
    #[arg(long, value_name = "HOST[::GUEST][:ro]", value_parser = directory)]
    pub(crate) dir: Vec<DirArg>,

    /// A variable of its environment, which is empty by default
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// How long it may take, such as `90s` or `10m` [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// The most memory it may have, such as `64MiB` [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,

    /// Show what it changed, on standard error, and apply nothing: the default
    #[arg(long, group = "afterwards")]
    diff: bool,

    /// Apply what it changed, all or nothing, if it exited with 0
    #[arg(long, group = "afterwards")]
    apply: bool,

    /// Forget what it changed
    #[arg(long, group = "afterwards")]
    discard: bool,

    /// The component
    pub(crate) file: PathBuf,

    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

/// What becomes of what a command changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Diff,
    Apply,
    Discard,
}

impl SandboxRun {
    pub(crate) fn afterwards(&self) -> Afterwards {
        match (self.apply, self.discard) {
            (true, _) => Afterwards::Apply,
            (_, true) => Afterwards::Discard,
            _ => Afterwards::Diff,
        }
    }
}

/// A folder that is given to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirArg {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    pub(crate) read_only: bool,
}

fn directory(text: &str) -> Result<DirArg, String> {
    let (text, read_only) = match text.strip_suffix(":ro") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (host, guest) = text.split_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err("name the folder, and how the guest knows it: `src::/src`".to_owned());
    }
    Ok(DirArg { host: host.into(), guest: guest.to_owned(), read_only })
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it like `NAME=VALUE`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_given_as_people_write_them() {
        let given = |host: &str, guest: &str, read_only| {
            Ok(DirArg { host: host.into(), guest: guest.to_owned(), read_only })
        };
        assert_eq!(directory("src"), given("src", "src", false));
        assert_eq!(directory("src:ro"), given("src", "src", true));
        assert_eq!(directory("a::/b"), given("a", "/b", false));
        assert_eq!(directory("a:b::/c:ro"), given("a:b", "/c", true));
        assert!(directory("::/b").is_err());
        assert!(directory(":ro").is_err());
    }
}
