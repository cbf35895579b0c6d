//! Events as JSON lines, for programs.
//!
//! Invariant: standard output holds nothing but JSON objects, one a line, the first of
//! which names the format and its version. Text is raw, as the agents said it.

use std::io::Write as _;

use idumb_core::{ErrorCode, Stamped};
use serde_json::json;

use crate::report::{Reporter, Scene};

/// Prints every event.
pub(crate) struct Jsonl;

impl Jsonl {
    pub(crate) fn new() -> Self {
        write_line(&json!({"kind": "format", "format": "idumb-events", "version": 1}).to_string());
        Self
    }
}

impl Reporter for Jsonl {
    fn event(&mut self, stamped: &Stamped, _: &Scene<'_>) {
        if let Ok(line) = serde_json::to_string(stamped) {
            write_line(&line);
        }
    }
}

fn write_line(line: &str) {
    // A reader that went away must not stop the run.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// An error before or outside of a run, as a line.
pub(crate) fn error_line(code: Option<ErrorCode>, message: &str) {
    let line = json!({"kind": "error", "code": code, "message": message});
    write_line(&line.to_string());
}
