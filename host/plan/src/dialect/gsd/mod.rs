//! GSD plans: several files make one phase, each a plan whose tasks run in order.
//!
//! Invariant: every file is read before anything between files is looked at, and all of
//! it is told at once.

mod build;
mod file;
mod must;
mod phase;
mod task;

pub(super) use phase::read;
