//! The JSON Schemas against the readers: both are asked about the same files.
//!
//! Invariant: what a reader takes is valid, and what it refuses is not, but for what a
//! schema cannot say, which is listed here with the reason.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use idumb_core::{Digest, PhaseId};
use idumb_plan::{Code, Refused, Schema, read_config, read_plan, read_rules, schema};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value as Toml};

fn validator(of: Schema) -> Validator {
    jsonschema::draft202012::new(&schema(of)).expect("a schema")
}

/// The file as editors show it to a schema, if it is TOML: times are texts.
fn json(source: &str) -> Option<Json> {
    let table = DeTable::parse(source.trim_start_matches('\u{feff}')).ok()?;
    Some(json_table(table.get_ref()))
}

fn json_table(table: &DeTable<'_>) -> Json {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &Cow<'_, str> = key.get_ref();
        (key.to_string(), json_value(value.get_ref()))
    };
    table.iter().map(entry).collect()
}

fn json_value(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => number.into(),
            // Larger than any bound; how much larger no schema asks.
            Err(_) => 1e30.into(),
        },
        DeValue::Float(digits) => digits.as_str().parse::<f64>().expect("a number").into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json_value(item.get_ref())).collect(),
        DeValue::Table(table) => json_table(table),
    }
}

/// The file, to be changed.
fn parsed(source: &str) -> Toml {
    Toml::Table(source.parse().expect("TOML"))
}

/// What the reader says of a file in a folder `expected`.
fn refused(of: Schema, source: &str, expected: Option<&PhaseId>) -> Option<Refused> {
    match of {
        Schema::Plan => read_plan(source, "plan.toml", expected).err(),
        Schema::Config => read_config(source, "idumb.toml").err(),
        Schema::Rules => read_rules(source, "night.toml").err(),
        Schema::Events => unreachable!("nobody writes events"),
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text").replace("\r\n", "\n")
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// The TOML examples of the formats' page.
fn documented() -> Vec<String> {
    let page = include_str!("../../../docs/plan-format.md").replace("\r\n", "\n");
    let blocks = page.split("```toml\n").skip(1);
    let digest = Digest::of(b"").to_string();
    let block =
        |block: &str| block.split("```").next().expect("its end").replace("blake3:…", &digest);
    blocks.map(block).collect()
}

/// The phase that a folder's name, such as `2-search`, names.
fn phase(folder: &str) -> Option<PhaseId> {
    let (number, name) = folder.split_once('-')?;
    PhaseId::new(number.parse().ok()?, name).ok()
}

#[test]
fn every_schema_is_one() {
    for of in Schema::ALL {
        let schema = schema(of);
        assert!(schema["$schema"].as_str().is_some_and(|draft| draft.contains("2020-12")));
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| {
            panic!("{}: {error} at {}", of.as_str(), error.instance_path())
        });
        validator(of);
    }
}

/// What stands in the repository, and is taken, with its format.
fn taken() -> Vec<(String, Schema, Json)> {
    let mut sources = Vec::new();
    for (name, of) in [
        ("forty", Schema::Plan),
        ("kinds", Schema::Plan),
        ("non-ascii", Schema::Plan),
        ("small", Schema::Plan),
        ("idumb", Schema::Config),
        ("rules", Schema::Rules),
    ] {
        sources.push((name.to_owned(), of, text(&tests().join(format!("taken/{name}.toml")))));
    }
    let listed = sources.len();
    let mut all = Vec::new();
    files(&tests().join("taken"), &mut all);
    assert_eq!(all.len(), listed, "a file of tests/taken that is not asked about");
    for (index, block) in documented().into_iter().enumerate() {
        let of = [Schema::Plan, Schema::Config, Schema::Rules][index];
        sources.push((format!("documented {index}"), of, block));
    }
    let root = tests().join("../../..");
    let mut all = Vec::new();
    files(&root.join("examples"), &mut all);
    files(&root.join("tests/scenarios"), &mut all);
    let before = sources.len();
    for path in all {
        let named = |name: &str| path.file_name().is_some_and(|file| file == name);
        let of = match () {
            () if named("plan.toml") => Schema::Plan,
            () if named("idumb.toml") => Schema::Config,
            () if named("rules.toml") => Schema::Rules,
            () => continue,
        };
        let folder = path.parent().and_then(Path::file_name).expect("a folder");
        let source = text(&path);
        if refused(of, &source, phase(&folder.to_string_lossy()).as_ref()).is_none() {
            sources.push((path.display().to_string(), of, source));
        }
    }
    assert!(sources.len() > before + 50, "the examples and scenarios were not found");
    let parse = |(name, of, source): (String, Schema, String)| {
        (name, of, json(&source).expect("what is taken is TOML"))
    };
    sources.into_iter().map(parse).collect()
}

#[test]
fn what_is_taken_is_valid() {
    let validators = Schema::ALL.map(|of| (of, validator(of)));
    for (name, of, document) in taken() {
        let (_, validator) = validators.iter().find(|(known, _)| *known == of).expect("one");
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

/// Refused fixtures that their schema refuses too.
const EXPRESSED: &[(&str, &[&str])] = &[
    (
        "refused",
        &[
            "bad-digest",
            "bad-duration",
            "bad-id",
            "bad-path",
            "bad-pattern",
            "bad-pointer",
            "checkpoint",
            "duplicate-dependency",
            "empty",
            "empty-text",
            "everything",
            "given-twice",
            "judged",
            "limits",
            "lines",
            "missing-key",
            "missing-phase",
            "no-criteria",
            "no-tasks",
            "no-tasks-in-list",
            "not-tables",
            "other-agent",
            "out-of-range",
            "own-argument",
            "pattern-for-path",
            "several-kinds",
            "steering",
            "unknown-format",
            "unknown-key",
            "unknown-kind",
            "wrong-type",
        ],
    ),
    (
        "refused-config",
        &[
            "agents",
            "bad-values",
            "durations",
            "missing-key",
            "mode",
            "policy",
            "policy-same-agent",
            "roles",
            "rules",
            "rules-table",
            "rules-types",
            "unknown-key",
            "wrong-type",
        ],
    ),
    ("refused-rules", &["policy", "rules", "unknown-key"]),
];

/// Refused fixtures that are valid under their schema, and why it cannot say so.
const NOT_EXPRESSED: &[(&str, &str, &str)] = &[
    ("refused", "bad-regex", "expressions are Rust's, and no format of JSON Schema is"),
    ("refused", "cycle", "what waits for what is a graph"),
    ("refused", "cycle-two", "what waits for what is a graph"),
    ("refused", "duplicate-id", "only whole entries of a list can be told to differ"),
    ("refused", "not-json", "JSON has no such values, so a schema never sees them"),
    ("refused", "other-phase", "the folder is outside of the file"),
    ("refused", "outside-grants", "patterns in one place decide about paths in another"),
    ("refused", "protected-path", "patterns in one place decide about paths in another"),
    ("refused", "self-dependency", "two values cannot be compared"),
    ("refused", "unknown-dependency", "the ids are elsewhere in the file"),
    ("refused-config", "backoff-cap", "two values cannot be compared"),
];

/// Refused fixtures that are no TOML: a schema never sees them.
const NO_TOML: &[(&str, &str)] = &[
    ("refused", "syntax"),
    ("refused", "syntax-duplicate-key"),
    ("refused", "syntax-prose"),
    ("refused", "syntax-unclosed"),
    ("refused-config", "syntax"),
    ("refused-rules", "syntax"),
];

#[test]
fn what_is_refused_is_invalid_where_a_schema_can_say_so() {
    let folders = [
        ("refused", Schema::Plan),
        ("refused-config", Schema::Config),
        ("refused-rules", Schema::Rules),
    ];
    let mut wrong = Vec::new();
    let mut met = 0;
    for (folder, of) in folders {
        let validator = validator(of);
        let mut paths = Vec::new();
        files(&tests().join(folder), &mut paths);
        for path in paths {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let valid = json(&text(&path)).map(|document| validator.is_valid(&document));
            let expressed = EXPRESSED
                .iter()
                .any(|(known, names)| *known == folder && names.contains(&name.as_str()));
            let not_expressed =
                NOT_EXPRESSED.iter().any(|(known, file, _)| (*known, *file) == (folder, &name));
            let no_toml = NO_TOML.contains(&(folder, &name));
            met += 1;
            match (valid, expressed, not_expressed, no_toml) {
                (Some(false), true, false, false)
                | (Some(true), false, true, false)
                | (None, false, false, true) => {}
                other => wrong.push(format!("{folder}/{name}: {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "valid, expressed, not expressed, no TOML: {wrong:#?}");
    let listed: usize = EXPRESSED.iter().map(|(_, names)| names.len()).sum();
    assert_eq!(met, listed + NOT_EXPRESSED.len() + NO_TOML.len(), "a name without its file");
}

/// Values of every type, right and wrong for most keys.
const VALUES: &[&str] = &[
    "true",
    "0",
    "-1",
    "11",
    "101",
    "1001",
    "4294967296",
    "2.0",
    "1.5",
    "nan",
    "2025-01-01",
    "\"\"",
    "\" \"",
    "\"two\\nlines\"",
    "\"a b\"",
    "\"../x\"",
    "\"/x\"",
    "\"a//b\"",
    "\"..x/.y/...\"",
    "\"a/**/b*c?\"",
    "\"a**\"",
    "\"src/[ab].rs\"",
    "\"src/{a}.rs\"",
    "\"a\\\\b\"",
    "\"none\"",
    "\"before\"",
    "\"auto\"",
    "\"builder\"",
    "\"writer\"",
    "\"validator\"",
    "\"skip\"",
    "\"trap\"",
    "\"judged\"",
    "\"exists\"",
    "\"copy\"",
    "\"yaml\"",
    "\"/a~2\"",
    "\"/a~1/~0\"",
    "\"0s\"",
    "\"1ns\"",
    "\"1h 30m\"",
    "\"5m ago\"",
    "\"721h\"",
    "\"64KiB\"",
    "\"64KB\"",
    "\"0GiB\"",
    "[]",
    "[1]",
    "[\"x\", \"x\"]",
    "[\"x\", \"y\"]",
    "[{}]",
    "[[]]",
    "{}",
    "{ x = \"y\" }",
    "{ x = 1 }",
];

/// Why a schema may take what the reader refuses for this.
fn cannot_say(code: Code, value: &str) -> bool {
    match code {
        // The folder, other entries, other files, and what grants cover.
        Code::OtherPhase
        | Code::DuplicateId
        | Code::DuplicateDependency
        | Code::UnknownDependency
        | Code::SelfDependency
        | Code::Cycle
        | Code::OutsideGrants
        | Code::ProtectedPath
        | Code::UnknownAgent
        | Code::OtherRole
        | Code::EmptyRange => true,
        // Rust's expressions, and brackets within patterns.
        Code::BadRegex => true,
        // JSON has no such values.
        Code::NotJson => matches!(value, "nan" | "2025-01-01"),
        // A number without a fraction is whole to JSON Schema, and a time is a text.
        Code::WrongType => matches!(value, "2.0" | "2025-01-01"),
        // How long, and how fine.
        Code::BadDuration => matches!(value, "\"721h\"" | "\"1ns\""),
        _ => false,
    }
}

/// The folder that a plan is in: the one that it says, as far as it says one.
fn folder(document: &Toml) -> Option<PhaseId> {
    let number = document.get("phase").and_then(Toml::as_integer).unwrap_or(1);
    let name = document.get("name").and_then(Toml::as_str).unwrap_or("name");
    PhaseId::new(u32::try_from(number).unwrap_or(1), name).ok()
}

/// Asks both about a document, and takes note where they differ without a reason.
fn compare(
    (of, validator): (Schema, &Validator),
    document: &Toml,
    (what, value): (&str, &str),
    differ: &mut Vec<String>,
) {
    let source = toml::to_string(document).expect("TOML");
    let valid = validator.is_valid(&json(&source).expect("TOML"));
    match refused(of, &source, folder(document).as_ref()) {
        None if !valid => differ.push(format!("{what} {value}: taken, and invalid")),
        Some(refused) if valid => {
            let codes: Vec<Code> = refused.problems().iter().map(|p| p.code()).collect();
            if !codes.iter().all(|code| cannot_say(*code, value)) {
                differ.push(format!("{what} {value}: {codes:?}, and valid"));
            }
        }
        _ => {}
    }
}

/// Where a value stands: keys and numbers of entries.
type Place = Vec<String>;

/// The places of all values within one.
fn places(value: &Toml, here: &Place, all: &mut Vec<Place>) {
    let mut go = |key: String, value: &Toml| {
        let place = [here.clone(), vec![key]].concat();
        all.push(place.clone());
        places(value, &place, all);
    };
    match value {
        Toml::Table(table) => table.iter().for_each(|(key, value)| go(key.clone(), value)),
        Toml::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| go(index.to_string(), value));
        }
        _ => {}
    }
}

fn at<'a>(document: &'a mut Toml, place: &[String]) -> &'a mut Toml {
    place.iter().fold(document, |value, key| match value {
        Toml::Table(table) => table.get_mut(key).expect("the key"),
        Toml::Array(items) => &mut items[key.parse::<usize>().expect("a number")],
        _ => panic!("no value within a value"),
    })
}

/// Every kind at length, and what the other documents do not say.
const AT_LENGTH: &str = r#"
phase = 1
goal = "Spell everything out"

[[tasks]]
id = "a"
title = "Steps"
writes = ["**"]
limits = { memory = 1048576, cpu = "0.5s", files = 3 }
steps = [
    { kind = "write", path = "a", content = "" },
    { kind = "append", path = "a", content = "" },
    { kind = "replace", path = "a", find = " ", with = "" },
    { kind = "patch", path = "a", diff = "x" },
    { kind = "copy", from = "a", to = "b" },
    { kind = "delete", path = "a" },
    { kind = "mkdir", path = "a" },
    { kind = "template", path = "a", from = "b" },
    { kind = "template", path = "a", template = "b" },
]
accept = [
    { kind = "exists", path = "a" },
    { kind = "absent", path = "a" },
    { kind = "contains", path = "a", text = " " },
    { kind = "matches", path = "a", regex = "." },
    { kind = "equals", path = "a", at = "", value = 1, format = "json" },
    { kind = "equals", path = "a.YML", at = "/a", value = "b" },
    { kind = "digest", path = "a", digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { kind = "unchanged", paths = ["a"] },
    { kind = "lines", path = "a", max = 3 },
    { kind = "judged", text = "It is done" },
]
"#;

/// The documents that are changed: every kind and every key is in one.
fn wholes() -> Vec<(&'static str, Schema, Toml)> {
    let file = |name| parsed(&text(&tests().join("taken").join(name)));
    let page = |index: usize| parsed(&documented()[index]);
    vec![
        ("kinds", Schema::Plan, file("kinds.toml")),
        ("at length", Schema::Plan, parsed(AT_LENGTH)),
        ("documented plan", Schema::Plan, page(0)),
        ("documented config", Schema::Config, page(1)),
        ("rules", Schema::Rules, file("rules.toml")),
        ("documented rules", Schema::Rules, page(2)),
    ]
}

#[test]
fn the_documents_that_are_changed_are_taken() {
    for (name, of, whole) in wholes() {
        let source = toml::to_string(&whole).expect("TOML");
        assert!(refused(of, &source, folder(&whole).as_ref()).is_none(), "{name}");
    }
}

#[test]
fn without_a_key_both_say_the_same() {
    let mut differ = Vec::new();
    for (name, of, whole) in wholes() {
        let validator = validator(of);
        let mut all = Vec::new();
        places(&whole, &vec![], &mut all);
        for place in all {
            let mut document = whole.clone();
            let (key, parent) = place.split_last().expect("a key");
            match at(&mut document, parent) {
                Toml::Table(table) => drop(table.remove(key)),
                Toml::Array(items) => drop(items.remove(key.parse().expect("a number"))),
                _ => panic!("no value within a value"),
            }
            let what = format!("{name}: without {}", place.join("."));
            compare((of, &validator), &document, (&what, ""), &mut differ);
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn with_another_value_both_say_the_same() {
    let mut differ = Vec::new();
    for (name, of, whole) in wholes() {
        let validator = validator(of);
        let mut all = Vec::new();
        places(&whole, &vec![], &mut all);
        for place in all {
            for value in VALUES {
                let mut document = whole.clone();
                let parsed: Table = format!("value = {value}").parse().expect("TOML");
                *at(&mut document, &place) = parsed["value"].clone();
                let what = format!("{name}: {} =", place.join("."));
                compare((of, &validator), &document, (&what, value), &mut differ);
            }
        }
    }
    assert!(differ.is_empty(), "{} {differ:#?}", differ.len());
}

#[test]
fn with_a_key_of_elsewhere_both_say_the_same() {
    let mut differ = Vec::new();
    for (name, of, whole) in wholes() {
        let validator = validator(of);
        let mut all = Vec::new();
        places(&whole, &vec![], &mut all);
        // Each key with one value that it has somewhere, and one that no format has.
        let mut met = BTreeSet::new();
        let mut grafts = vec![("stray".to_owned(), Toml::Integer(1))];
        for place in &all {
            let key = place.last().expect("a key");
            if key.parse::<usize>().is_err() && met.insert(key.clone()) {
                grafts.push((key.clone(), at(&mut whole.clone(), place).clone()));
            }
        }
        all.push(vec![]);
        for place in &all {
            for (key, value) in &grafts {
                let mut document = whole.clone();
                let Toml::Table(table) = at(&mut document, place) else { break };
                if table.contains_key(key) {
                    continue;
                }
                table.insert(key.clone(), value.clone());
                let what = format!("{name}: {}.{key} too", place.join("."));
                compare((of, &validator), &document, (&what, ""), &mut differ);
            }
        }
    }
    assert!(differ.is_empty(), "{} {differ:#?}", differ.len());
}

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
    static VALIDATORS: [Validator; 4] = Schema::ALL.map(validator);
}
