//! Documents that are taken, with a key less, a key more, or another value.
//!
//! Invariant: reader and schema say the same of each, but for what a schema cannot say.

use std::collections::BTreeSet;

use idumb_core::PhaseId;
use idumb_plan::{Code, Schema};
use jsonschema::Validator;
use toml::{Table, Value as Toml};

use crate::{documented, json, parsed, refused, tests, text, validator};

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
        ("documented settings", Schema::Settings, page(3)),
    ]
}

#[test]
fn the_documents_that_are_changed_are_taken() {
    for (name, of, whole) in wholes() {
        let source = toml::to_string(&whole).expect("TOML");
        assert!(refused(of, &source, folder(&whole).as_ref()).is_none(), "{name}");
    }
}

/// Has `change` make other documents of each one, of which it is told the places; all are compared.
fn compared(change: impl Fn(&Toml, Vec<Place>, &mut dyn FnMut(&Toml, &str, &str))) {
    let mut differ = Vec::new();
    for (name, of, whole) in wholes() {
        let validator = validator(of);
        let mut all = Vec::new();
        places(&whole, &vec![], &mut all);
        change(&whole, all, &mut |document, what, value| {
            let what = format!("{name}: {what}");
            compare((of, &validator), document, (&what, value), &mut differ);
        });
    }
    assert!(differ.is_empty(), "{} {differ:#?}", differ.len());
}

#[test]
fn without_a_key_both_say_the_same() {
    compared(|whole, places, compare| {
        for place in places {
            let mut document = whole.clone();
            let (key, parent) = place.split_last().expect("a key");
            match at(&mut document, parent) {
                Toml::Table(table) => drop(table.remove(key)),
                Toml::Array(items) => drop(items.remove(key.parse().expect("a number"))),
                _ => panic!("no value within a value"),
            }
            compare(&document, &format!("without {}", place.join(".")), "");
        }
    });
}

#[test]
fn with_another_value_both_say_the_same() {
    compared(|whole, places, compare| {
        for place in places {
            for value in VALUES {
                let mut document = whole.clone();
                let parsed: Table = format!("value = {value}").parse().expect("TOML");
                *at(&mut document, &place) = parsed["value"].clone();
                compare(&document, &format!("{} =", place.join(".")), value);
            }
        }
    });
}

#[test]
fn with_a_key_of_elsewhere_both_say_the_same() {
    compared(|whole, mut places, compare| {
        // Each key with one value that it has somewhere, and one that no format has.
        let mut met = BTreeSet::new();
        let mut grafts = vec![("stray".to_owned(), Toml::Integer(1))];
        for place in &places {
            let key = place.last().expect("a key");
            if key.parse::<usize>().is_err() && met.insert(key.clone()) {
                grafts.push((key.clone(), at(&mut whole.clone(), place).clone()));
            }
        }
        places.push(vec![]);
        for place in &places {
            for (key, value) in &grafts {
                let mut document = whole.clone();
                let Toml::Table(table) = at(&mut document, place) else { break };
                if table.contains_key(key) {
                    continue;
                }
                table.insert(key.clone(), value.clone());
                compare(&document, &format!("{}.{key} too", place.join(".")), "");
            }
        }
    });
}
