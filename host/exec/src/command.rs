//! A command, as data.
//!
//! Invariant: an argument is an argument; there is no shell, and no default comes from the
//! environment of this process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One native command.
///
/// ```
/// use idumb_exec::{Command, Network};
/// let mut command = Command::new(["cargo", "test", "--offline"]);
/// command.env.insert("CARGO_TERM_COLOR".into(), "never".into());
/// command.network = Network::Loopback;
/// assert!(command.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments. A program without a slash is looked for in `bins`, then in
    /// `/usr/local/bin`, `/usr/bin` and `/bin`.
    pub argv: Vec<OsString>,
    /// Where it starts: relative to the tree, without `..`; empty for the tree itself.
    pub dir: PathBuf,
    /// Its environment, besides `PATH`, `HOME`, `TMPDIR`, `USER` and `LANG`, which it may replace.
    pub env: BTreeMap<OsString, OsString>,
    /// What it may use.
    pub limits: Limits,
    /// Whom it may talk to.
    pub network: Network,
    /// Host paths that it may read, besides the system's own: toolchains, registries. Inside they
    /// have the same path.
    pub read_only: Vec<PathBuf>,
    /// Host folders that it may write, under the same path. What it leaves there reaches whoever
    /// uses them next: a person chooses them.
    pub caches: Vec<PathBuf>,
    /// Folders with programs, first in `PATH`: they lie in `read_only` or `caches`.
    pub bins: Vec<PathBuf>,
    /// Whether it may write to the tree.
    pub writable: bool,
}

/// Whom a command may talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Nobody: there are Unix sockets among its own processes, and no other.
    #[default]
    None,
    /// Its own processes, over a loopback interface of its own. Not the host's.
    Loopback,
}

/// What a command may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may run, by the wall.
    pub time: Duration,
    /// How long it has to end after it was told to (SIGTERM), before it is killed.
    pub grace: Duration,
    /// Bytes of memory, of all its processes together. Each alone cannot have more private
    /// writable memory either (`RLIMIT_DATA`).
    pub memory: u64,
    /// Processes and threads at one time.
    pub processes: u32,
    /// Bytes that any one file may have (`RLIMIT_FSIZE`).
    pub file_size: u64,
    /// Bytes that fit into each of `/tmp`, `/dev/shm` and the home folder, which are memory.
    pub scratch: u64,
    /// Open files of each process.
    pub files: u32,
    /// Bytes that are kept of each of its two outputs: the first half and the last.
    pub output: usize,
}

impl Default for Limits {
    /// What a build of some size needs: ten minutes, 4 GiB, 512 processes.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            grace: Duration::from_secs(5),
            memory: 4 << 30,
            processes: 512,
            file_size: 1 << 30,
            scratch: 512 << 20,
            files: 4096,
            output: 1 << 20,
        }
    }
}

/// Why a command cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// There is no program.
    #[error("the command has no program")]
    NoProgram,
    /// The folder in which it is to start leads out of the tree.
    #[error("the folder {0:?} is not inside the tree: it has to be relative, without `..`")]
    OutsideTree(PathBuf),
    /// A name in the environment is empty or has a `=`.
    #[error("{0:?} cannot be the name of an environment variable")]
    VariableName(OsString),
    /// Something has a zero byte in it, which nothing can be told to the kernel with.
    #[error("{0:?} has a zero byte in it")]
    ZeroByte(OsString),
    /// A host path that cannot be given: not absolute, with `..`, or where the sandbox has its own.
    #[error(
        "the host path {0:?} cannot be given to a command: it has to be absolute, without `..`, \
         and not where the sandbox has its own things"
    )]
    HostPath(PathBuf),
}

/// Where the sandbox has its own things: no host path may lie there, or above.
const RESERVED: [&str; 5] = [crate::TREE, "/proc", "/dev", "/sys", "/run"];

impl Command {
    /// A command with the default limits, no network, and a tree that it may write to.
    pub fn new<I>(argv: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            dir: PathBuf::new(),
            env: BTreeMap::new(),
            limits: Limits::default(),
            network: Network::None,
            read_only: Vec::new(),
            caches: Vec::new(),
            bins: Vec::new(),
            writable: true,
        }
    }

    /// Whether it can be run at all. [`run`](crate::run) asks this first.
    ///
    /// # Errors
    /// What is wrong with it, the first thing found.
    pub fn check(&self) -> Result<(), InvalidCommand> {
        match self.argv.first() {
            Some(program) if !program.is_empty() => {}
            _ => return Err(InvalidCommand::NoProgram),
        }
        if !self
            .dir
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(InvalidCommand::OutsideTree(self.dir.clone()));
        }
        for name in self.env.keys() {
            if name.is_empty() || name.as_encoded_bytes().contains(&b'=') {
                return Err(InvalidCommand::VariableName(name.clone()));
            }
        }
        let paths = || self.read_only.iter().chain(&self.caches).chain(&self.bins);
        let words = self.argv.iter().chain(self.env.keys()).chain(self.env.values());
        let words = words.map(OsString::as_os_str).chain([self.dir.as_os_str()]);
        for word in words.chain(paths().map(|path| path.as_os_str())) {
            if word.as_encoded_bytes().contains(&0) {
                return Err(InvalidCommand::ZeroByte(word.to_owned()));
            }
        }
        match paths().find(|path| !may_be_given(path)) {
            Some(path) => Err(InvalidCommand::HostPath(path.clone())),
            None => Ok(()),
        }
    }
}

/// Whether a host path may appear inside under its own name.
fn may_be_given(path: &Path) -> bool {
    let plain =
        path.components().all(|part| matches!(part, Component::Normal(_) | Component::RootDir));
    let apart = |own: &&str| !path.starts_with(own) && !Path::new(own).starts_with(path);
    path.is_absolute() && plain && RESERVED.iter().all(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_refused_with_its_reason() {
        type Change = fn(&mut Command);
        let wrong: [(Change, InvalidCommand); 8] = [
            (|c| c.argv.clear(), InvalidCommand::NoProgram),
            (|c| c.argv[0] = OsString::new(), InvalidCommand::NoProgram),
            (|c| c.dir = "a/../..".into(), InvalidCommand::OutsideTree("a/../..".into())),
            (|c| c.dir = "/etc".into(), InvalidCommand::OutsideTree("/etc".into())),
            (
                |c| drop(c.env.insert("A=B".into(), "".into())),
                InvalidCommand::VariableName("A=B".into()),
            ),
            (|c| c.argv.push("a\0b".into()), InvalidCommand::ZeroByte("a\0b".into())),
            (|c| c.caches.push("/".into()), InvalidCommand::HostPath("/".into())),
            (
                |c| c.read_only.push("/opt/../etc".into()),
                InvalidCommand::HostPath("/opt/../etc".into()),
            ),
        ];
        for (change, error) in wrong {
            let mut command = Command::new(["true"]);
            change(&mut command);
            assert_eq!(command.check(), Err(error));
        }
    }

    #[test]
    fn host_paths_lie_beside_the_sandboxs_own() {
        for (path, allowed) in [
            ("/opt/rust", true),
            ("/home/me/.cargo", true),
            ("/trees", true),
            ("/tree", false),
            ("/tree/x", false),
            ("/proc/1/root", false),
            ("/run/docker.sock", false),
            ("opt", false),
        ] {
            assert_eq!(may_be_given(Path::new(path)), allowed, "{path}");
        }
    }
}
