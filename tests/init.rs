//! Making a project, and looking at the machine, through the real binary.
//!
//! Invariant: what is made is sound and runs as it is, and nothing that is there is changed.

mod support;

use std::fs;
use std::process::Output;

use support::{difference, idumb, told, tree};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.0.path().join("here")).unwrap();
        place
    }

    fn run(&self, args: &[&str]) -> Output {
        idumb(&self.0.path().join("here"), self.0.path()).args(args).output().unwrap()
    }

    fn says(&self, args: &[&str], exit: i32, texts: &[&str]) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {}", told(&output));
        for text in texts {
            assert!(told(&output).contains(text), "{args:?}: {text:?} is not in {}", told(&output));
        }
    }
}

#[test]
fn a_new_project_is_sound_and_runs() {
    let place = Place::new();
    let made = ["made new/idumb.toml\n", "run it: cd new; idumb execute-phase 1\n"];
    place.says(&["init", "new"], 0, &made);
    place.says(&["-C", "new", "check", "--strict"], 0, &["nothing is wrong with it (0 notes)\n"]);
    place.says(&["-C", "new", "execute-phase", "--mode=auto"], 0, &["Phase 1-first is completed"]);
    place.says(&["-C", "new", "verify-work"], 0, &["pass: 3 of 3 criteria hold\n"]);
}

#[test]
fn what_is_there_is_not_changed() {
    let place = Place::new();
    place.says(&["init"], 0, &["made ./idumb.toml\n", "run it: idumb execute-phase 1\n"]);
    let here = place.0.path().join("here");
    fs::write(here.join("idumb.toml"), "# mine\n").unwrap();
    let before = tree(&here);
    let refused = ["./idumb.toml is there already, and 1 more\n", "nothing was changed"];
    place.says(&["init"], 2, &refused);
    assert_eq!(difference(&before, &tree(&here)), "");
    // The commands of another tool go into a project that is there.
    let commands =
        [".claude/commands/idumb/execute-phase.md\n", ".claude/commands/idumb/plan-phase.md\n"];
    place.says(&["init", "--host=claude"], 0, &commands);
    assert_eq!(fs::read_to_string(here.join("idumb.toml")).unwrap(), "# mine\n");
}

#[test]
fn the_example_is_the_one_of_the_repository() {
    let place = Place::new();
    place.says(&["init", "demo", "--demo", "--host=opencode"], 0, &["made demo/src/main.rs\n"]);
    let mut made = tree(&place.0.path().join("here/demo"));
    assert!(made.keys().any(|path| path.starts_with(".opencode/command/idumb/")));
    made.retain(|path, _| !path.starts_with(".opencode/"));
    let mut example = tree(&support::root().join("examples/notes-api"));
    // It is there to show that no agent sees it; and what runs of it leave.
    example.retain(|path, _| {
        path != ".env" && !path.starts_with(".idumb/state/") && !path.starts_with("target/")
    });
    assert_eq!(difference(&example, &made), "");
    place.says(&["-C", "demo", "check", "1"], 0, &["Phase 1-foundation: 17 tasks"]);
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_not() {
    let place = Place::new();
    let without = [
        "✓ WebAssembly: runs",
        "compiled agents",
        "kernel",
        "native commands",
        "make one: idumb init",
    ];
    place.says(&["doctor"], 0, &without);
    place.says(&["init"], 0, &[]);
    place.says(&["doctor"], 0, &["✓ project: ", "where nothing was run yet\n"]);
    fs::create_dir_all(place.0.path().join("here/.idumb/state")).unwrap();
    fs::write(place.0.path().join("here/.idumb/state/journal.db"), "no journal").unwrap();
    place.says(&["doctor"], 2, &["✗ project: "]);
}

#[test]
fn a_schema_is_printed_for_each_kind_of_file() {
    let place = Place::new();
    for of in ["plan", "config", "rules", "settings", "events"] {
        let output = place.run(&["schema", of]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["$id"], format!("urn:idumb:schema:{of}:0.1"));
    }
}

#[test]
fn completions_and_the_manual_are_written() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        place.says(&["completions", shell], 0, &["execute-phase", "verify-work"]);
    }
    place.says(&["man", "."], 0, &[]);
    let page = fs::read_to_string(place.0.path().join("here/idumb-execute-phase.1")).unwrap();
    assert!(page.contains("batch"), "{page}");
    place.says(&["man", "nowhere"], 1, &["writing the manual into nowhere"]);
}
