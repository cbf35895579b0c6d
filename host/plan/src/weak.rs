//! Criteria that say nothing about what their task does.
//!
//! Invariant: what is named here holds, or fails, whatever the task's agent does; a criterion that
//! is only weak is not named.

use idumb_core::{Criterion, Task};
use regex::Regex;
use serde_json::Value;

/// Why a criterion of `task` cannot tell whether the task was done, if that is so.
///
/// ```
/// let source = r#"
/// phase = 1
/// name = "greeting"
/// goal = "Say hello"
///
/// [[tasks]]
/// id = "P1-T1"
/// title = "Write the greeting"
/// writes = ["hello.txt"]
/// steps = [{ write = "hello.txt", content = "hello\n" }]
/// accept = [{ exists = "hello.txt" }, { exists = "README.md" }]
/// "#;
/// let plan = idumb_plan::read_plan(source, "plan.toml", None).unwrap();
/// let weak = |index: usize| idumb_plan::says_nothing(&plan.tasks[0], &plan.tasks[0].accept[index]);
/// assert_eq!(weak(0), None);
/// assert!(weak(1).unwrap().contains("nothing that the task may write"));
/// ```
pub fn says_nothing(task: &Task, criterion: &Criterion) -> Option<String> {
    if criterion.is_judged() || criterion.looks_at.is_empty() {
        return None;
    }
    let touched = criterion
        .looks_at
        .iter()
        .any(|looked| task.writes.iter().any(|written| written.overlaps(looked)));
    if !touched {
        let why = "it looks at nothing that the task may write: it holds, or fails, whatever the \
                   task does";
        return Some(why.to_owned());
    }
    let text = |name: &str| criterion.args.get(name).and_then(Value::as_str);
    let count = |name: &str| criterion.args.get(name).and_then(Value::as_u64);
    match criterion.kind.as_str() {
        "matches" if matches_nothing(text("regex")?) => {
            Some("its expression matches the empty text: any file will do".to_owned())
        }
        "lines" if count("min").unwrap_or(0) == 0 && count("max").is_none() => {
            Some("any number of lines will do".to_owned())
        }
        _ => None,
    }
}

/// Whether the expression is found in a file without any content.
fn matches_nothing(regex: &str) -> bool {
    Regex::new(regex).is_ok_and(|regex| regex.is_match(""))
}
