//! Stories about a run, told without any I/O.
//!
//! Invariant: each test reads as the story that its name tells; `world` plays everybody
//! who is not the run.

mod answers;
mod batches;
mod draft;
mod failures;
mod happy;
mod people;
mod resuming;
mod stale;
mod words;
mod world;
