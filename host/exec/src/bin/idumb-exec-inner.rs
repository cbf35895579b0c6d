//! The first process inside a sandbox, as a program of its own.
//!
//! Invariant: it calls [`idumb_exec::inner`] and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    idumb_exec::inner()
}
