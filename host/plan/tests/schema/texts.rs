//! Any text as a single value.
//!
//! Invariant: the patterns of the schemas take what the reader's types take, but for what a
//! pattern cannot say.

use idumb_plan::{Code, Schema};
use jsonschema::Validator;
use proptest::prelude::*;

use crate::{json, refused, validator};

/// Pieces of names, paths and patterns, with what must not be in one.
const PIECES: &[&str] = &[
    "a",
    "B",
    "7",
    "-",
    "_",
    ".",
    "..",
    "...",
    "/",
    "//",
    "*",
    "**",
    "?",
    "[a]",
    "[",
    "]",
    "{",
    "}",
    ":",
    "\\",
    "~",
    "~0",
    "~1",
    " ",
    "\t",
    "\n",
    "\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "🦀",
    "builder",
    "validator",
    ".json",
    ".yml",
];

/// Pieces of times and amounts.
const AMOUNTS: &[&str] = &[
    "0", "1", "09", "90", ".5", ",5", ".", ",", " ", "\t", "\u{85}", "+", "-", ":", "ago", "d",
    "day", "h", "hr", "hrs", "hour", "hours", "m", "min", "mins", "minutes", "s", "sec", "secs",
    "seconds", "ms", "msec", "millis", "us", "µs", "μs", "usecs", "micro", "ns", "nanos", "nsec",
    "KiB", "MiB", "GiB", "KB",
];

/// A place for a text, in a file that is otherwise taken.
type Frame = (&'static str, Schema, fn(&str) -> String);

const FRAMES: &[Frame] = &[
    ("words", Schema::Config, |text| format!("[project]\nname = {text}")),
    ("path", Schema::Config, |text| format!("[agents.x]\nrole = \"builder\"\npath = {text}")),
    ("agent's name", Schema::Config, |text| {
        format!("[agents.{text}]\nrole = \"builder\"\npath = \"a\"")
    }),
    ("patterns", Schema::Config, |text| format!("[policy]\nnever = [{text}]")),
    ("id", Schema::Rules, |text| {
        format!("[[rules]]\non = \"trap\"\nthen = \"skip\"\ntasks = [{text}]")
    }),
    ("agent for a role", Schema::Rules, |text| format!("[policy.roles]\nvalidator = [{text}]")),
    ("time", Schema::Config, |text| format!("[defaults]\ntimeout = {text}")),
    ("delay", Schema::Config, |text| format!("[defaults]\nbackoff = {text}")),
    ("size", Schema::Config, |text| format!("[limits]\nmemory = {text}")),
    ("title", Schema::Plan, |text| {
        task(&format!("title = {text}\naccept = [{{ absent = \"a\" }}]"))
    }),
    ("literal", Schema::Plan, |text| criterion(&format!("absent = {text}"))),
    ("sought", Schema::Plan, |text| criterion(&format!("contains = \"a\", text = {text}"))),
    ("pointer", Schema::Plan, |text| {
        criterion(&format!("equals = \"a.json\", value = 1, at = {text}"))
    }),
    ("format", Schema::Plan, |text| criterion(&format!("equals = {text}, value = 1, at = \"\""))),
];

fn task(rest: &str) -> String {
    format!("phase = 1\nname = \"name\"\ngoal = \"g\"\n[[tasks]]\nid = \"a\"\n{rest}")
}

fn criterion(table: &str) -> String {
    task(&format!("title = \"t\"\naccept = [{{ {table} }}]"))
}

/// What the property lets pass, since a time's pattern is loose, is tight enough for slips.
#[test]
fn what_is_no_time_is_invalid() {
    let validator = validator(Schema::Config);
    let no_times = [
        "",
        "soon",
        "10",
        "10 parsecs",
        "-5m",
        "5m ago",
        "1d",
        "1 week",
        "0s",
        "0h 0m",
        "PT1H",
        "m5",
    ];
    let times =
        ["1h", "90s", "1h 30m", "1h30m", "1 hour, 30 minutes", "0.5s", "01:30:00", "+5 mins"];
    for (texts, valid) in [(&no_times[..], false), (&times[..], true)] {
        for text in texts {
            let source = format!("[defaults]\ntimeout = \"{text}\"\n");
            assert_eq!(validator.is_valid(&json(&source).expect("TOML")), valid, "{text}");
            assert_eq!(refused(Schema::Config, &source, None).is_none(), valid, "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// The patterns of single values, against the types that read them.
    #[test]
    fn of_any_text_both_say_the_same(
        frame in prop::sample::select(FRAMES),
        pieces in prop_oneof![
            prop::collection::vec(prop::sample::select(PIECES), 0..6),
            prop::collection::vec(prop::sample::select(AMOUNTS), 0..6),
        ],
    ) {
        let (what, of, write) = frame;
        let text = pieces.concat();
        let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
        let source = write(&format!("\"{escaped}\""));
        let valid = VALIDATORS.with(|all| all[of as usize].is_valid(&json(&source).expect("TOML")));
        match refused(of, &source, None) {
            None => prop_assert!(valid, "{what} {text:?}: taken, and invalid"),
            Some(refused) if valid => {
                let loose = |code| match code {
                    // The order of units, how long, and how fine.
                    Code::BadDuration => true,
                    // What stands between brackets.
                    Code::BadPattern => text.contains(['[', ']']),
                    _ => false,
                };
                let codes: Vec<Code> = refused.problems().iter().map(|p| p.code()).collect();
                prop_assert!(codes.iter().all(|code| loose(*code)), "{what} {text:?}: {codes:?}");
            }
            Some(_) => {}
        }
    }
}

thread_local! {
    /// Made once: there are many cases.
    static VALIDATORS: [Validator; 5] = Schema::ALL.map(validator);
}
