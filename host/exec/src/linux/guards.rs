//! The guards one by one, so that a test can take one out and see the attack succeed.
//!
//! Invariant: all of them stand, but in tests of this crate (feature `unguarded`).
#![cfg_attr(
    not(feature = "unguarded"),
    expect(unreachable_pub, reason = "public for this crate's own tests alone")
)]

/// Which guards stand. All, but in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is taken out by itself")]
pub struct Guards {
    /// The seccomp filters.
    pub seccomp: bool,
    /// Landlock.
    pub landlock: bool,
    /// The network namespace.
    pub network: bool,
    /// The kernel's refusal of further user namespaces.
    pub nested_users: bool,
    /// `/proc` cannot be written to.
    pub proc_read_only: bool,
    /// The command has no descriptors but its three.
    pub descriptors: bool,
    /// The environment is made anew.
    pub environment: bool,
    /// The limits of each process.
    pub rlimits: bool,
    /// Processes and memory are sampled, where no cgroup bounds them.
    pub sampling: bool,
    /// The folders in memory have a size.
    pub scratch_size: bool,
    /// The file system is made of what is named. Without, the host's is in `/host` as well.
    pub mounts: bool,
    /// The pid namespace.
    pub pids: bool,
    /// The IPC namespace.
    pub ipc: bool,
}

impl Guards {
    /// All of them.
    pub const ALL: Self = Self {
        seccomp: true,
        landlock: true,
        network: true,
        nested_users: true,
        proc_read_only: true,
        descriptors: true,
        environment: true,
        rlimits: true,
        sampling: true,
        scratch_size: true,
        mounts: true,
        pids: true,
        ipc: true,
    };
}
