//! Where settings come from, which of them counts, and how results reach a program.
//!
//! Invariant: a flag comes before the environment, that before the project, that before the
//! person's own settings, and those before the defaults.

#[path = "support/project.rs"]
mod project;
mod support;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use project::Project;
use support::told;

const PLAN: &str = r#"
phase = 1
goal = "Write it."

[[tasks]]
id = "P1-T1"
title = "Write"
writes = ["out.txt"]
steps = [{ write = "out.txt", content = "x\n" }]
accept = [{ exists = "out.txt" }]
"#;

/// A project, and the settings of its user.
struct Place {
    project: Project,
    settings: PathBuf,
}

impl Place {
    fn new() -> Self {
        let project = Project::with(PLAN, "");
        let settings = project.temporary.path().join("settings");
        std::fs::create_dir(&settings).unwrap();
        Self { project, settings }
    }

    fn own(&self, text: &str) {
        std::fs::write(self.settings.join("config.toml"), text).unwrap();
    }

    fn idumb(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.project.command(args);
        command.env("IDUMB_CONFIG_DIR", &self.settings).envs(variables.iter().copied());
        command.output().unwrap()
    }

    /// The value of a setting, and where it came from.
    fn setting(&self, name: &str, variables: &[(&str, &str)]) -> (String, String) {
        let output = self.idumb(&["doctor", "--config", "--format=json"], variables);
        assert!(output.status.success(), "{}", told(&output));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let all = told["settings"].as_array().unwrap();
        let found = all.iter().find(|row| row["name"] == name).unwrap();
        let text = |key: &str| found[key].as_str().unwrap_or("-").to_owned();
        (text("value"), text("from"))
    }
}

#[test]
fn each_place_comes_before_the_next() {
    let place = Place::new();
    let own = place.settings.join("config.toml").display().to_string();
    let set = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    let all = ["batch_size", "timeout", "mode", "limits.memory", "limits.files"];
    let settings = |variables: &[(&str, &str)]| all.map(|name| place.setting(name, variables));
    let usual = [("5", "default"), ("600s", "default"), ("interactive", "default")];
    let mut expected: Vec<_> = usual.map(|(value, from)| set(value, from)).to_vec();
    expected.extend([set("256MiB", "default"), set("100000", "default")]);
    assert_eq!(settings(&[]).to_vec(), expected);

    place.own(
        "[defaults]\nbatch_size = 2\ntimeout = \"20s\"\nmode = \"auto\"\n[limits]\n\
         memory = \"64MiB\"\nfiles = 10\n",
    );
    expected = [("2", &own), ("20s", &own), ("auto", &own), ("64MiB", &own), ("10", &own)]
        .map(|(value, from)| set(value, from))
        .to_vec();
    assert_eq!(settings(&[]).to_vec(), expected);

    place.project.configure("[defaults]\nbatch_size = 3\n[limits]\nmemory = \"1GiB\"");
    expected[0] = set("3", "idumb.toml");
    expected[3] = set("1GiB", "idumb.toml");
    assert_eq!(settings(&[]).to_vec(), expected);

    let variables = [("IDUMB_BATCH_SIZE", "4"), ("IDUMB_TIMEOUT", "1s")];
    expected[0] = set("4", "IDUMB_BATCH_SIZE");
    expected[1] = set("1s", "IDUMB_TIMEOUT");
    assert_eq!(settings(&variables).to_vec(), expected);

    let args = ["execute-phase", "--dry-run", "--batch-size=6"];
    let shown = told(&place.idumb(&args, &variables));
    assert!(shown.contains("auto, at most 6 tasks in a batch, 1s per attempt"), "{shown}");

    let wrong = place.idumb(&["doctor", "--config"], &[("IDUMB_BATCH_SIZE", "many")]);
    assert_eq!(wrong.status.code(), Some(2), "{}", told(&wrong));
    assert!(told(&wrong).contains("invalid value 'many'"), "{}", told(&wrong));
}

#[test]
fn a_persons_policy_holds_in_every_project() {
    let place = Place::new();
    place.own("[policy]\nnever = [\"out.txt\"]\n");
    let refused = place.idumb(&["execute-phase", "1", "--mode=auto"], &[]);
    assert_eq!(refused.status.code(), Some(21), "{}", told(&refused));
    assert!(told(&refused).contains("config.toml gives `out.txt` to nobody"), "{}", told(&refused));
    let checked = place.idumb(&["check"], &[]);
    assert_eq!(checked.status.code(), Some(21), "{}", told(&checked));
}

#[test]
fn own_settings_that_are_wrong_are_told_and_those_in_a_project_are_not_read() {
    let place = Place::new();
    place.own("[defaults]\nbatchsize = 2\n");
    let refused = place.idumb(&["check"], &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    let text = told(&refused);
    assert!(text.contains("config.toml:2:1") && text.contains("`batch_size`"), "{text}");
    place.own("[policy]\nnever = [\"out.txt\"]\n");
    let inside = place.project.folder().join("own");
    std::fs::rename(&place.settings, &inside).unwrap();
    std::os::unix::fs::symlink(&inside, &place.settings).unwrap();
    let output = place.idumb(&["check"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("your own settings are not read"), "{}", told(&output));
}

/// Each command but those whose output is for shells, or their own.
#[test]
fn every_command_speaks_json_with_a_version() {
    let place = Place::new();
    let value = |args: &[&str], exit: i32| -> Value {
        let args = [args, &["--format=json"]].concat();
        let output = place.idumb(&args, &[]);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {}", told(&output));
        let value: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", told(&output)));
        assert_eq!(value["version"], 1, "{args:?}: {value}");
        value
    };
    assert_eq!(value(&["status"], 2)["kind"], "error");
    assert_eq!(value(&["check"], 0)["kind"], "check");
    assert_eq!(value(&["execute-phase", "--dry-run"], 0)["kind"], "dry_run");
    let run = value(&["execute-phase", "1", "--mode=auto"], 0);
    assert_eq!((&run["kind"], &run["completed"][0]), (&"status".into(), &"P1-T1".into()));
    assert_eq!(value(&["status"], 0)["run"], "phase-1-r1");
    assert_eq!(value(&["verify-work"], 0)["status"], "pass");
    assert_eq!(value(&["log"], 0)["items"][0]["kind"], "run_started");
    assert_eq!(value(&["diff"], 0)["items"][0]["path"], "out.txt");
    assert_eq!(value(&["replay"], 0)["run"], "phase-1-r1");
    assert_eq!(value(&["debug"], 2)["kind"], "error");
    assert_eq!(value(&["debug", "--task=P1-T1"], 0)["items"][0]["task"], "P1-T1");
    assert_eq!(value(&["doctor"], 0)["found"][0]["verdict"], "ok");
    assert_eq!(value(&["doctor", "--config"], 0)["kind"], "config");
    assert_eq!(value(&["grants", "list"], 0)["items"], serde_json::json!([]));
    assert_eq!(value(&["grants", "revoke", "--all"], 0)["items"], serde_json::json!([]));
    assert_eq!(value(&["init", "other"], 0)["made"][0], "other/idumb.toml");
    let planned = value(&["plan-phase", "--goal=More"], 0);
    assert_eq!(planned["made"][0], ".idumb/phases/2-more/plan.toml");
    assert_eq!(value(&["pause"], 2)["kind"], "error");
    assert_eq!(value(&["cancel"], 2)["kind"], "error");
    assert_eq!(value(&["answer", "phase-1-r1", "1", "--choose=x"], 2)["kind"], "error");
    assert_eq!(value(&["plan", "import", "1"], 2)["kind"], "error");
}
