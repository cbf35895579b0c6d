//! Stories about a run, told without any I/O.
//!
//! Invariant: each test reads as the story that its name tells; `world` plays everybody
//! who is not the run.

mod answers;
mod batches;
mod checkpoints;
mod clocks;
mod delegating;
mod draft;
mod endings;
mod failures;
mod happy;
mod judging;
mod keeping;
mod people;
mod resuming;
mod rules;
mod seen;
mod stale;
mod words;
mod world;
