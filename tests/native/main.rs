//! Real projects, each with the tests of its language, whose tests run under confinement: in Rust
//! with `cargo test`, in Python with pytest, in Node.js with `npm test`.
//!
//! Invariant: each has something hostile in it that its tests run (a build script, a conftest, a
//! package script). What that reaches under confinement is nothing; that it reaches all of it
//! without is seen in the same test. Each runs as the user of these tests and, where that is root,
//! as a normal user too.
//!
//! The projects are in `tests/projects`. A machine without their tools fails these tests and is
//! told what to install.
#![cfg(target_os = "linux")]

mod node;
mod python;
mod rust;
mod victim;

#[path = "../support/project.rs"]
mod project;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use serde_json::Value;
use support::{idumb, told};

/// What `.ci/run` relies on: where a wall is missing on this machine, this test says so.
#[test]
fn the_full_level_of_confinement_is_had_on_this_machine() {
    let temporary = tempfile::tempdir().unwrap();
    let output = idumb(temporary.path(), temporary.path())
        .args(["doctor", "--format=json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let found = report["found"].as_array().unwrap();
    let native = found.iter().find(|found| found["what"] == "native commands");
    let native = native.unwrap_or_else(|| panic!("nothing of commands: {}", told(&output)));
    assert_eq!(native["verdict"], "ok", "native commands cannot be confined here: {native:#}");
    let walls = native["text"].as_str().unwrap().strip_prefix("confined by ").unwrap();
    assert_full(walls);
}

/// The walls of evidence are all there are.
#[track_caller]
fn assert_full(walls: &str) {
    assert!(walls.starts_with("7 namespaces, "), "{walls}");
    let filters = walls.split(", ").find_map(|wall| wall.strip_suffix(" seccomp filters"));
    let filters: u32 = filters.and_then(|number| number.parse().ok()).unwrap_or(0);
    assert!(filters >= 1, "{walls}");
}

/// Fails, and says what to install, if this does not succeed.
#[track_caller]
fn needs(program: &str, args: &[&str], packages: &str) {
    let there = Command::new(program).args(args).output();
    if !there.is_ok_and(|output| output.status.success()) {
        panic!("`{program} {}` fails: apt-get install {packages}", args.join(" "));
    }
}
