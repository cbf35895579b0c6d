//! No test is forgotten.
//!
//! Invariant: every `.rs` file of this folder is a test target of the package `idumb`, and
//! every folder of `scenarios/` is a scenario.

mod support;

use std::collections::BTreeSet;
use std::fs;

#[test]
fn every_file_is_a_test_target() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let declared: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"../../tests/"))
        .map(|rest| rest.trim_end_matches('"').to_owned())
        .collect();
    let there: BTreeSet<String> = fs::read_dir(support::tests())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".rs"))
        .collect();
    assert_eq!(declared, there, "host/cli/Cargo.toml declares the left, tests/ holds the right");
}

#[test]
fn every_folder_is_a_scenario() {
    let folder = support::tests().join("scenarios");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        count += 1;
        // What else is wrong with it, the scenario's own run tells.
        assert!(path.join("scenario.toml").is_file(), "{} holds no scenario", path.display());
        assert!(path.join("base").is_dir(), "{} has no base", path.display());
    }
    assert!(count > 0, "there are no scenarios");
}

/// A folder below this one is the scenarios', the guests', or what tests share.
#[test]
fn nothing_else_lies_here() {
    for entry in fs::read_dir(support::tests()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let known = ["guests", "scenarios", "support", "snapshots"];
        assert!(name.ends_with(".rs") || known.contains(&name.as_str()), "tests/{name}");
    }
}
