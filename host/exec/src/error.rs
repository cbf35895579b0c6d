//! What can go wrong, and what a person does about it.
//!
//! Invariant: an error here is the host's own trouble; how a command ended is never one.

use std::io;
use std::path::PathBuf;

use crate::{InvalidCommand, Wall};

/// Why there is no confinement here.
#[derive(Debug, thiserror::Error)]
pub enum Lacking {
    /// Not Linux.
    #[error("native commands are confined on Linux only: on this system none is run")]
    System,
    /// There is no bubblewrap.
    #[error("bubblewrap (bwrap) is not there")]
    Bubblewrap,
    /// It is too old.
    #[error("bubblewrap is older than 0.8 and cannot disable user namespaces: {said}")]
    OldBubblewrap {
        /// What it said.
        said: String,
    },
    /// The system lets no user make a user namespace.
    #[error("this system does not let its users make user namespaces: {said}")]
    UserNamespaces {
        /// What bubblewrap said.
        said: String,
        /// The setting that forbids it, as far as one was found.
        setting: Option<&'static str>,
    },
    /// The program that is to run inside cannot be run there.
    #[error("{program:?} cannot be the first process inside: {why}")]
    Inner {
        /// The program.
        program: PathBuf,
        /// What is the matter with it.
        why: String,
    },
    /// A wall does not stand, though it was asked for.
    #[error("not all walls stand: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Walls(Vec<Wall>),
    /// Something else that bubblewrap could not do.
    #[error("bubblewrap could not make the sandbox: {said}")]
    Sandbox {
        /// What it said.
        said: String,
    },
    /// The host's own trouble.
    #[error("the sandbox could not be tried: {0}")]
    Io(#[from] io::Error),
}

impl Lacking {
    /// What a person can do about it: one sentence, with the command to give.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Bubblewrap => "install it: apt-get install bubblewrap (or: dnf install \
                                 bubblewrap, pacman -S bubblewrap, apk add bubblewrap)"
                .to_owned(),
            Self::OldBubblewrap { .. } => {
                "install bubblewrap 0.8 or newer: apt-get install bubblewrap".to_owned()
            }
            Self::UserNamespaces { setting: Some(setting), .. } => {
                format!("a person with root's rights can allow them: sysctl -w {setting}")
            }
            Self::UserNamespaces { setting: None, .. } => "in a container, allow user namespaces \
                 to it; else see the sysctls user.max_user_namespaces, \
                 kernel.unprivileged_userns_clone and \
                 kernel.apparmor_restrict_unprivileged_userns"
                .to_owned(),
            Self::System
            | Self::Inner { .. }
            | Self::Walls(_)
            | Self::Sandbox { .. }
            | Self::Io(_) => {
                return None;
            }
        })
    }
}

/// Why a command was not run, or why nothing is known of how it ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command is none.
    #[error(transparent)]
    Invalid(#[from] InvalidCommand),
    /// The walls do not stand any more.
    #[error(transparent)]
    Lacking(#[from] Lacking),
    /// The program of the command could not be started: it is not there, or not executable.
    #[error("{step}: {error}")]
    NotStarted {
        /// What was being done.
        step: String,
        /// What the system said.
        error: io::Error,
    },
    /// The host's own trouble.
    #[error("the command could not be attended: {0}")]
    Io(#[from] io::Error),
    /// The sandbox was killed, and does not go.
    #[error("the sandbox was killed, and its processes are still there")]
    NotGone,
}

/// Why an output of a command cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The path leads out of the tree, or is none.
    #[error("{0:?} is not a path inside the tree")]
    Path(PathBuf),
    /// There is nothing.
    #[error("there is no {0:?}")]
    Missing(PathBuf),
    /// There is a symbolic link, at its end or on the way.
    #[error("{0:?} is, or leads over, a symbolic link")]
    Link(PathBuf),
    /// It is a folder, FIFO, socket or device.
    #[error("{0:?} is not a regular file")]
    NotAFile(PathBuf),
    /// It is larger than the caller takes.
    #[error("{path:?} has more than {cap} bytes")]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Bytes that are taken.
        cap: u64,
    },
    /// Another error of the system.
    #[error("{path:?} cannot be read: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}
