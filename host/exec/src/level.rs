//! What stands around a command: evidence, not intention.
//!
//! Invariant: a level is made from what the first process inside saw of itself, and never from
//! what was asked for.

use serde::{Deserialize, Serialize};

use crate::Weaker;

/// The walls that stood around a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Namespaces that are not the host's.
    pub namespaces: Vec<Namespace>,
    /// Whether the kernel refuses further user namespaces, besides the filter.
    pub user_namespaces_disabled: bool,
    /// How many seccomp filters there are.
    pub seccomp_filters: u32,
    /// The Landlock ABI that is in force; `None`: the kernel has none.
    pub landlock: Option<u32>,
    /// What holds the number of processes.
    pub processes: Held,
    /// What holds their memory, taken together.
    pub memory: Held,
    /// With what less the caller was content.
    pub weaker: Vec<Weaker>,
}

/// A namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    /// Control groups.
    Cgroup,
    /// System V IPC and message queues.
    Ipc,
    /// Mounts.
    Mnt,
    /// Network.
    Net,
    /// Processes.
    Pid,
    /// Users and capabilities.
    User,
    /// The host's name.
    Uts,
}

impl Namespace {
    /// All of them, and the name of each in `/proc/self/ns`.
    pub const ALL: [(Self, &str); 7] = [
        (Self::Cgroup, "cgroup"),
        (Self::Ipc, "ipc"),
        (Self::Mnt, "mnt"),
        (Self::Net, "net"),
        (Self::Pid, "pid"),
        (Self::User, "user"),
        (Self::Uts, "uts"),
    ];
}

/// What makes a bound hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// A control group: all processes together, by the kernel.
    Cgroup,
    /// `RLIMIT_NPROC`, which counts in the sandbox's own user namespace. Not for root, whom the
    /// kernel exempts.
    Rlimit,
    /// The first process inside looks some 40 times a second (100 times, if it has to count
    /// processes), and ends everything when it is over.
    Sampled,
}

/// A wall that has to stand before anything is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wall {
    /// A namespace of its own.
    Namespace(Namespace),
    /// Our process is the first inside, with which all others end.
    FirstProcess,
    /// No capabilities, and none to be had.
    NoCapabilities,
    /// `no_new_privs`.
    NoNewPrivileges,
    /// The seccomp filters.
    Seccomp,
}

impl std::fmt::Display for Wall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Namespace(which) => {
                let name = Namespace::ALL.iter().find(|(known, _)| known == which);
                write!(f, "a {} namespace of its own", name.map_or("", |(_, name)| name))
            }
            Self::FirstProcess => f.write_str("being the first process of its pid namespace"),
            Self::NoCapabilities => f.write_str("having no capabilities"),
            Self::NoNewPrivileges => f.write_str("no new privileges"),
            Self::Seccomp => f.write_str("the seccomp filters"),
        }
    }
}
