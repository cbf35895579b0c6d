//! A Node.js project, tested by `npm test`: its package scripts are hostile.

use std::path::PathBuf;
use std::process::Command;

use crate::needs;
use crate::victim::{Victim, Who, plan};

const FILE: &str = "src/slug.js";
const GOOD: &str = "module.exports = (title) => title.toLowerCase().replaceAll(' ', '-');\n";
const BAD: &str = "module.exports = (title) => title.toLowerCase().replaceAll(' ', '_');\n";

/// The command as a user defines it; where Node.js is not the system's, with where it is.
fn config() -> String {
    for program in ["node", "npm"] {
        needs(program, &["--version"], "nodejs npm");
    }
    let mut config = "[commands.test]\nrun = [\"npm\", \"test\"]\nreport = \"tap\"\n".to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let places = std::env::split_paths(&path).map(|folder| folder.join("node"));
    let node = places.filter_map(|place| place.canonicalize().ok()).next().unwrap();
    let prefix = PathBuf::from(node.ancestors().nth(2).unwrap());
    if !prefix.starts_with("/usr") {
        config.push_str(&format!("read_only = [{prefix:?}]\nbins = [{:?}]\n", prefix.join("bin")));
    }
    config
}

#[test]
fn a_node_project_is_tested_and_its_package_script_reaches_nothing() {
    let config = config();
    for who in Who::all() {
        let mut attack = Command::new("node");
        attack.arg("scripts/hostile.js");
        Victim::new(who, "node", &config).assert_reached_by(attack);

        let victim = Victim::new(who, "node", &config);
        victim.assert_is_tested(
            FILE,
            (BAD, GOOD),
            3,
            "1 test failed: a slug > has hyphens for spaces",
        );
    }
}

/// Package scripts that say that tests passed, where they did not or were not run. What cannot be
/// told from the truth is a runner that is replaced as a whole and exits with 0: the manifest that
/// says how tests are run has to be kept out of what agents write.
#[test]
fn a_package_script_that_says_that_tests_passed_does_not_make_them_pass() {
    const FAKE: &str = r"printf 'TAP version 13\n1..3\nok 1 - a\nok 2 - b\nok 3 - c\n'";
    const REAL: &str = "node --test --test-reporter=tap";
    let config = config();
    let victim = Victim::new(Who::Tests, "node", &config);
    for (scripts, work, why) in [
        // Before the real ones, which fail.
        ([FAKE, REAL], BAD, "exited with status 1"),
        // The same, and the failure is not told.
        ([FAKE, &format!("{REAL} || true")], BAD, "its tests cannot be counted"),
        // Even if they pass.
        ([FAKE, REAL], GOOD, "its tests cannot be counted"),
        // In their place, but for how it ended.
        ([FAKE, &format!("{REAL} >&2")], BAD, "exited with status 1"),
        // The failure is in the report only.
        (["true", &format!("{REAL} || true")], BAD, "1 test failed"),
        // No test is run, whatever Node.js makes of the file itself.
        (["true", &format!("{REAL} --test-name-pattern=nothing || true")], GOOD, "it ran "),
    ] {
        let manifest = serde_json::json!({
            "name": "slug",
            "scripts": { "pretest": scripts[0], "test": scripts[1] },
        });
        victim.put("package.json", &manifest.to_string());
        let text = victim.executes(&plan(FILE, work, 3), &["--restart"], 14);
        assert!(text.contains(why), "{scripts:?}: {text}");
    }
}
