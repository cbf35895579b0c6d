//! Hostile commands, each with its guard and without.
//!
//! Invariant: an attack that is refused here was seen to succeed in the same test, with the guard
//! taken out, wherever that can be done on a machine that others use.
//!
//! The attacks are small programs in Python (or the shell): a machine without `python3` fails
//! these tests. They pass as root and as any other user; what differs is said where it does.
#![cfg(target_os = "linux")]

mod bounds;
mod ending;
mod environment;
mod files;
mod kernel;
mod network;
mod probing;
mod support;
