//! The JSON Schemas against the readers: both are asked about the same files.
//!
//! Invariant: what a reader takes is valid, and what it refuses is not, but for what a
//! schema cannot say, which is listed here with the reason.

mod changed;
mod texts;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use idumb_core::{Digest, PhaseId};
use idumb_plan::{Refused, Schema, read_config, read_plan, read_rules, read_settings, schema};
use jsonschema::Validator;
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value as Toml};

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
        Schema::Settings => read_settings(source, "config.toml").err(),
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
    let page = include_str!("../../../../docs/plan-format.md").replace("\r\n", "\n");
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
        let of = [Schema::Plan, Schema::Config, Schema::Rules, Schema::Settings][index];
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
            "commands",
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
            "commands",
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
