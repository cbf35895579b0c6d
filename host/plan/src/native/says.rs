//! What a criterion says, where its author did not.
//!
//! Invariant: one line, of a length that fits beside a verdict; but what a person judges
//! is in the author's own words, whole.

use idumb_core::Criterion;
use serde_json::{Map, Value};

/// The most characters of the plan's text that are repeated.
const SHOWN: usize = 48;

/// A sentence for a criterion of `kind` with `args`.
pub(crate) fn sentence(kind: &str, args: &Map<String, Value>) -> String {
    let text = |name: &str| short(args.get(name).and_then(Value::as_str).unwrap_or_default());
    let count = |name: &str| args.get(name).and_then(Value::as_u64);
    let path = text("path");
    let arguments = args.get("arguments").and_then(Value::as_array);
    let arguments: String = arguments
        .map(|words| words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        .map_or(String::new(), |words| format!(" with {}", short(&words)));
    match kind {
        "exists" => format!("{path} is there"),
        "absent" => format!("{path} is not there"),
        "contains" => format!("{path} contains {}", text("text")),
        "matches" => format!("{path} matches {}", text("regex")),
        "equals" => {
            let value = short(&args.get("value").map(Value::to_string).unwrap_or_default());
            match args.get("at").and_then(Value::as_str) {
                Some("") | None => format!("{path} equals {value}"),
                Some(at) => format!("{path} has {value} at {}", short(at)),
            }
        }
        "digest" => format!("{path} has the digest {}", text("digest")),
        "unchanged" => {
            let paths = args.get("paths").and_then(Value::as_array);
            let paths = paths.into_iter().flatten().filter_map(Value::as_str);
            let paths: Vec<&str> = paths.collect();
            format!("nothing changes {}", short(&paths.join(", ")))
        }
        "lines" => match (count("min"), count("max")) {
            (Some(min), Some(max)) if min == max => format!("{path} has {}", lines(min)),
            (Some(min), Some(max)) => format!("{path} has {min} to {}", lines(max)),
            (Some(min), None) => format!("{path} has at least {}", lines(min)),
            (None, Some(max)) => format!("{path} has at most {}", lines(max)),
            (None, None) => format!("{path} has lines"),
        },
        Criterion::COMMAND => match count("exit") {
            Some(exit @ 1..) => format!("command {}{arguments} exits with {exit}", text("name")),
            _ => format!("command {}{arguments} succeeds", text("name")),
        },
        Criterion::TESTS_PASS => {
            let least = match count("at_least") {
                Some(least @ 2..) => format!(", at least {least}"),
                _ => String::new(),
            };
            let skipped = count("skipped_at_most");
            let skipped = skipped.map_or(String::new(), |most| format!(", at most {most} skipped"));
            format!("the tests of {}{arguments} pass{least}{skipped}", text("name"))
        }
        Criterion::JUDGED => {
            args.get("text").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => format!("{kind} holds for {path}"),
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

/// `text` in backticks, on one line and not too long.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A text of nothing but spaces is still a text.
    let line = if line.is_empty() { text.escape_debug().to_string() } else { line };
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(kind: &str, args: Value) -> String {
        sentence(kind, args.as_object().expect("an object"))
    }

    #[test]
    fn every_kind_has_its_sentence() {
        let table = [
            ("exists", json!({"path": "a"}), "`a` is there"),
            ("absent", json!({"path": "a"}), "`a` is not there"),
            ("contains", json!({"path": "a", "text": "x\n  y"}), "`a` contains `x y`"),
            ("contains", json!({"path": "a", "text": "\n"}), "`a` contains `\\n`"),
            ("matches", json!({"path": "a", "regex": "^x"}), "`a` matches `^x`"),
            ("equals", json!({"path": "a", "at": "/b", "value": "c"}), "`a` has `\"c\"` at `/b`"),
            ("equals", json!({"path": "a", "at": "", "value": [1]}), "`a` equals `[1]`"),
            ("digest", json!({"path": "a", "digest": "sha256:0"}), "`a` has the digest `sha256:0`"),
            ("unchanged", json!({"paths": ["a", "b/**"]}), "nothing changes `a, b/**`"),
            ("lines", json!({"path": "a", "min": 1}), "`a` has at least 1 line"),
            ("lines", json!({"path": "a", "max": 9}), "`a` has at most 9 lines"),
            ("lines", json!({"path": "a", "min": 1, "max": 9}), "`a` has 1 to 9 lines"),
            ("lines", json!({"path": "a", "min": 3, "max": 3}), "`a` has 3 lines"),
            ("command", json!({"name": "lint"}), "command `lint` succeeds"),
            ("command", json!({"name": "lint", "exit": 3}), "command `lint` exits with 3"),
            (
                "command",
                json!({"name": "lint", "arguments": ["-q", "src"]}),
                "command `lint` with `-q src` succeeds",
            ),
            ("tests_pass", json!({"name": "t"}), "the tests of `t` pass"),
            (
                "tests_pass",
                json!({"name": "t", "at_least": 3, "skipped_at_most": 1}),
                "the tests of `t` pass, at least 3, at most 1 skipped",
            ),
            ("judged", json!({"text": "It reads\nwell"}), "It reads\nwell"),
        ];
        for (kind, args, expected) in table {
            assert_eq!(said(kind, args), expected);
        }
        for kind in crate::native::kinds::CRITERIA {
            assert!(!sentence(kind.name, &Map::new()).contains("holds for"), "{}", kind.name);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let said = said("contains", json!({"path": "a", "text": "ä".repeat(100)}));
        assert_eq!(said, format!("`a` contains `{}…`", "ä".repeat(SHOWN)));
    }
}
