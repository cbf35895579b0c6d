//! Texts that are no file of anybody's: cut, changed and mixed ones.
//!
//! Invariant: none makes a reader of `plan.toml`, `idumb.toml` or a rules file panic, and what a
//! person is shown of a refusal steers no terminal.

use std::collections::BTreeMap;
use std::path::Path;

use idumb_plan::{Refused, read_config, read_plan, read_rules, render};
use proptest::prelude::*;

fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/taken").join(name);
    std::fs::read_to_string(path).expect("the file").replace("\r\n", "\n")
}

/// Every character's place in `source`, and its end.
fn places(source: &str) -> impl Iterator<Item = usize> + '_ {
    source.char_indices().map(|(at, _)| at).chain([source.len()])
}

/// Reads a text in one of the formats; what is wrong with it, if anything.
type Read = fn(&str) -> Option<Refused>;

const PLAN: Read = |source| read_plan(source, "plan.toml", None).err();
const CONFIG: Read = |source| read_config(source, "idumb.toml").err();
const RULES: Read = |source| read_rules(source, "night.toml").err();

/// Reads `source`: a refusal can be shown, and steers no terminal.
fn reads(read: Read, source: &str) {
    let Some(refused) = read(source) else { return };
    assert!(!refused.problems().is_empty());
    let shown = render(&refused);
    assert!(!shown.is_empty() && !shown.contains(['\u{0}', '\u{1b}', '\r']), "{shown:?}");
}

#[test]
fn a_cut_file_never_makes_a_reader_panic() {
    let files = [
        ("kinds.toml", PLAN, CONFIG),
        ("non-ascii.toml", PLAN, CONFIG),
        ("idumb.toml", CONFIG, RULES),
        ("rules.toml", RULES, CONFIG),
    ];
    for (name, read, other) in files {
        let source = source(name);
        for at in places(&source) {
            for part in [&source[..at], &source[at..]] {
                reads(read, part);
                // Another format's file is mostly unknown keys.
                let _ = other(part);
            }
        }
    }
}

#[test]
fn a_changed_file_never_makes_a_reader_panic() {
    let spoilers =
        ["", "\"", "'", "[", "]", "{", "=", "\n", "\r", "\u{0}", "\u{1b}", "é", "🦀", "-", "9"];
    for (name, read) in [("kinds.toml", PLAN), ("idumb.toml", CONFIG), ("rules.toml", RULES)] {
        let source = source(name).replace('\n', "\r\n");
        for (index, at) in places(&source).enumerate() {
            let spoiler = spoilers[index % spoilers.len()];
            let rest = source[at..].chars().next().map_or(0, char::len_utf8);
            reads(read, &format!("{}{spoiler}{}", &source[..at], &source[at + rest..]));
        }
    }
}

/// Keys of the formats, each where it belongs or not.
const KEYS: &[&str] = &[
    "id",
    "title",
    "checkpoint",
    "human",
    "timeout",
    "phase_timeout",
    "backoff",
    "backoff_cap",
    "on",
    "tasks",
    "retry",
    "then",
    "never",
    "reads",
    "writes",
    "roles",
    "same_agent",
    "builder",
    "validator",
    "path",
    "role",
    "digest",
    "judged",
    "accept",
    "policy",
    "rules",
    "kind",
    "text",
    "\"\\u001b\"",
];

/// Values of every type, right and wrong for most keys.
const VALUES: &[&str] = &[
    "\"none\"",
    "\"after\"",
    "true",
    "false",
    "0",
    "-1",
    "101",
    "9223372036854775807",
    "0x10",
    "1.5",
    "nan",
    "2025-01-01",
    "\"0s\"",
    "\"1ns\"",
    "\"2s\"",
    "\"720h 1ns\"",
    "\"99999999999999999999h\"",
    "\"\"",
    "\"\\u001b[2J\"",
    "\"judged\"",
    "\"timeout\"",
    "\"skip\"",
    "\"builder\"",
    "[]",
    "[[]]",
    "[\"trap\", \"trap\"]",
    "[\"failure\", 1]",
    "[\"src/**\", \"../x\"]",
    "[{}]",
    "[{ judged = \"It reads well\" }]",
    "[{ on = \"trap\", then = \"fail\" }]",
    "{}",
    "{ builder = [\"builder\"] }",
    "{ same_agent = true }",
    "\"\"\"\nmany\nlines\"\"\"",
];

/// Headers, and the formats that have them, or nearly.
const HEADERS: &[(&str, &[Read])] = &[
    ("[[tasks]]", &[PLAN]),
    ("[[tasks.accept]]", &[PLAN]),
    ("[project]", &[CONFIG]),
    ("[defaults]", &[CONFIG]),
    ("[agents.writer]", &[CONFIG]),
    ("[[rules]]", &[CONFIG, RULES]),
    ("[policy]", &[CONFIG, RULES]),
    ("[policy.roles]", &[CONFIG, RULES]),
    ("[rules]", &[RULES]),
    ("[[policy]]", &[RULES]),
];

#[test]
fn no_value_of_any_key_makes_a_reader_panic() {
    for (header, readers) in HEADERS {
        for key in KEYS {
            for value in VALUES {
                let source = format!("{header}\n{key} = {value}\n");
                for read in *readers {
                    reads(*read, &source);
                }
            }
        }
    }
}

proptest! {
    /// Files of the formats' own words in any order: what random characters never reach,
    /// since they are no TOML.
    #[test]
    fn no_mixture_of_the_formats_words_makes_a_reader_panic(
        sections in prop::collection::vec(
            (
                prop::sample::select(HEADERS),
                prop::collection::btree_map(
                    prop::sample::select(KEYS),
                    prop::sample::select(VALUES),
                    0..6,
                ),
            ),
            0..5,
        )
    ) {
        let section = |((header, _), lines): &((&str, &[Read]), BTreeMap<&str, &str>)| {
            let lines: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("{header}\n{lines}")
        };
        let source: String = sections.iter().map(section).collect();
        for read in [PLAN, CONFIG, RULES] {
            reads(read, &source);
        }
    }
}
