//! Runs one native command, confined, on a scratch tree that the caller gives.
//!
//! Invariant: nothing is run but behind walls that were seen to stand, in this very run; what
//! ends a run ends every process that it started. Where the walls cannot be had, running is
//! refused with what lacks. Why and how: `docs/decisions/0015`.
//!
//! [`Confinement::probe`] starts a trivial command on the paths that are to be used, and says what
//! lacks. [`run`] runs a [`Command`] in it. [`Outputs`] reads what the command left in its tree,
//! which is hostile ground by then.
//!
//! It needs Linux 5.11 and bubblewrap 0.8.
//!
//! # The walls
//! - *Namespaces*, by bubblewrap: user, pid, network, IPC, host name, cgroup, mounts. The file
//!   system inside is made of nothing but what is named: system folders and toolchains to read,
//!   the tree and caches to write, memory for the rest, in which all is counted.
//! - *No way to more*: no capabilities, no new privileges, no further user namespaces, and a
//!   seccomp filter for what a command that builds and tests has no use for.
//! - *Landlock*, where the kernel has it: the same rights on the same files, a second time.
//! - *Bounds*: time, memory, processes, file size, output. [`Level`] says which hold by what.
//! - *The end*: the first process inside is ours ([`inner`]). With it, the kernel kills all.

mod capture;
mod command;
mod error;
mod level;
mod ran;
pub mod report;
mod stop;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod linux;

pub use capture::Captured;
pub use command::{Command, InvalidCommand, Limits, Network};
pub use error::{Error, Lacking, OutputError};
pub use level::{Held, Level, Namespace, Wall};
#[cfg(all(target_os = "linux", feature = "unguarded"))]
#[doc(hidden)]
pub use linux::Guards;
pub use linux::{Confinement, Outputs, TREE, inner, run};
pub use ran::{Cap, Ended, Ran, Stream};
pub use stop::{Stop, Stopper};

use std::ffi::OsString;
use std::path::PathBuf;

/// What a confinement is made of, and where it is going to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// What runs inside, before the command and around it.
    pub inner: Inner,
    /// The bubblewrap to use; by default the one in `/usr/bin`, `/usr/local/bin` or `/bin`.
    /// `PATH` is not asked: it may be anybody's.
    pub bubblewrap: Option<PathBuf>,
    /// A folder of the cgroup v2 file system in which groups may be made; by default the
    /// process's own, or the one above it, if they are delegated.
    pub cgroup: Option<PathBuf>,
    /// The tree on which it is tried.
    pub tree: Tree,
    /// The read-only paths with which it is tried.
    pub read_only: Vec<PathBuf>,
    /// The writable host folders with which it is tried.
    pub caches: Vec<PathBuf>,
    /// With what less a person is content. A file of a project never decides this.
    pub weaker: Vec<Weaker>,
}

/// Where a command runs: a folder, and from where it can be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The folder. It is there, though it may be empty to who does not [`enter`](Self::enter).
    pub path: PathBuf,
    /// A program, by an absolute path, and its arguments: it goes on as what follows these, which
    /// is bubblewrap, where the tree is mounted. It must not fork for that, and may make
    /// namespaces. Empty: the tree is there for everybody.
    pub enter: Vec<OsString>,
}

impl<P: Into<PathBuf>> From<P> for Tree {
    /// A folder that is there for everybody.
    fn from(path: P) -> Self {
        Self { path: path.into(), enter: Vec::new() }
    }
}

/// The program that runs inside, as first process: it has to call [`inner`] and nothing else.
///
/// It is the file `idumb-exec-inner` of this crate, or the caller's own program with arguments
/// that make it call [`inner`]. It must be the same build of this library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inner {
    /// The program: an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// A wall that a person does without. Each is named for what is missing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weaker {
    /// Only the seccomp filter keeps the command from user namespaces of its own: for bubblewrap
    /// before 0.8, which has no `--disable-userns`.
    NestedUserNamespacesByFilterOnly,
}
