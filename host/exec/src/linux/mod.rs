//! The confinement, on Linux.
//!
//! Invariant: the host decides and attends; what is done inside, [`inner`] does, and it is told
//! what over a socket that no command ever has.

mod attend;
mod bubble;
mod cgroup;
mod confinement;
mod guards;
mod inner;
mod outputs;
mod run;
mod seccomp;
mod wire;

pub use bubble::TREE;
pub use confinement::Confinement;
#[cfg(feature = "unguarded")]
pub use guards::Guards;
pub use inner::inner;
pub use outputs::Outputs;
pub use run::run;
