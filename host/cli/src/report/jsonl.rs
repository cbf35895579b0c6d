//! Events as JSON lines, for programs.
//!
//! Invariant: standard output holds nothing but JSON objects, one a line, the first of
//! which names the format and its version. Text is raw, as the agents said it.

use std::io::Write as _;

use idumb_core::{ErrorCode, Stamped};
use serde_json::json;

use crate::args::Format;
use crate::output::{self, Objects};
use crate::report::{Reporter, Scene};

/// Prints every event.
pub(crate) struct Jsonl {
    objects: Objects,
}

impl Jsonl {
    pub(crate) fn new() -> Self {
        let mut objects = Objects::new(Format::Jsonl, "events");
        // A reader that went away must not stop the run.
        let _ = objects.begin();
        Self { objects }
    }
}

impl Reporter for Jsonl {
    fn event(&mut self, stamped: &Stamped, _: &Scene<'_>) {
        let _ = self.objects.print(stamped);
    }
}

/// An error before or outside of a run, as a line.
pub(crate) fn error_line(code: Option<ErrorCode>, message: &str, hints: &[String]) {
    let about = json!({ "code": code, "message": message, "hints": hints });
    let _ = std::io::stdout().lock().write_all(output::object("error", about).as_bytes());
}
