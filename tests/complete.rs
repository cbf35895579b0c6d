//! No test is forgotten.
//!
//! Invariant: every `.rs` file of this folder, and every `main.rs` a folder below, is a test
//! target of the package `idumb`; every file beside a `main.rs` is a module of it; every folder of
//! `scenarios/` is a scenario; and every folder of `projects/` is tested by a module of `native/`.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_file_is_a_test_target() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let declared: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"../../tests/"))
        .map(|rest| rest.trim_end_matches('"').to_owned())
        .collect();
    let there: BTreeSet<String> = names(&support::tests())
        .map(|name| match support::tests().join(&name).join("main.rs").is_file() {
            true => format!("{name}/main.rs"),
            false => name,
        })
        .filter(|name| name.ends_with(".rs"))
        .collect();
    assert_eq!(declared, there, "host/cli/Cargo.toml declares the left, tests/ holds the right");
}

/// The names in a folder.
fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

#[test]
fn every_file_beside_a_main_is_its_module() {
    for folder in names(&support::tests()).map(|name| support::tests().join(name)) {
        let Ok(main) = fs::read_to_string(folder.join("main.rs")) else { continue };
        for name in names(&folder).filter(|name| name != "main.rs") {
            let module = name.strip_suffix(".rs").unwrap_or_else(|| panic!("{name} is no module"));
            let declared = main.lines().any(|line| line == format!("mod {module};"));
            assert!(declared, "{}/main.rs has no `mod {module};`", folder.display());
        }
    }
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

#[test]
fn every_project_is_tested() {
    for name in names(&support::tests().join("projects")) {
        let module = support::tests().join("native").join(format!("{name}.rs"));
        assert!(module.is_file(), "nothing tests tests/projects/{name}");
    }
}

/// A folder below this one is a target, the scenarios', the projects', the guests', or what tests
/// share.
#[test]
fn nothing_else_lies_here() {
    for name in names(&support::tests()) {
        let known = ["guests", "projects", "scenarios", "support", "snapshots"];
        let target = support::tests().join(&name).join("main.rs").is_file();
        assert!(name.ends_with(".rs") || target || known.contains(&name.as_str()), "tests/{name}");
    }
}
