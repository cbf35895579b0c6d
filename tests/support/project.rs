//! A project of one phase, with an agent that does what its task's options say.
//!
//! Invariant: everything is in a folder of the test's own, which goes with it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{idumb, told};

/// What makes the misbehaving builder the agent `evil`.
const EVIL: &str = "[agents.evil]\npath = \"agents/evil.wasm\"\nrole = \"builder\"\n";

/// A project, and room beside it.
pub(crate) struct Project {
    pub(crate) temporary: tempfile::TempDir,
}

#[allow(dead_code, reason = "each test binary uses its part")]
impl Project {
    /// Makes one with this plan, and this in `idumb.toml` beside the agent.
    pub(crate) fn with(plan: &str, config: &str) -> Self {
        let project = Self { temporary: tempfile::tempdir().unwrap() };
        project.put(".idumb/phases/1-test/plan.toml", plan);
        project.configure(config);
        project.put("agents/evil.wasm", idumb_test_guests::MISBEHAVING_BUILDER);
        project
    }

    /// Says this in `idumb.toml` beside the agent.
    pub(crate) fn configure(&self, config: &str) {
        self.put("idumb.toml", format!("{EVIL}{config}\n"));
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.temporary.path().join("project")
    }

    pub(crate) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = idumb(&self.folder(), self.temporary.path());
        command.args(args);
        command
    }

    /// The events of these kinds, or of all, of the latest run; none before there is a run.
    pub(crate) fn events(&self, kinds: &[&str]) -> Vec<Value> {
        let mut command = self.command(&["log", "--format=jsonl"]);
        let output = command.args(kinds.iter().flat_map(|kind| ["--kind", kind])).output().unwrap();
        let none = told(&output).contains("nothing was run here yet");
        assert!(output.status.success() || none, "{}", told(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        // What the format is called, and an error, are lines too.
        let is_event = |event: &Value| event["kind"] != "error" && event["kind"] != "format";
        text.lines().map(event).filter(is_event).collect()
    }
}
