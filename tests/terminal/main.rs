//! Interactive mode as a person has it: the real binary in a pseudo-terminal.
//!
//! Invariant: only what a person answers to a question that was shown decides anything; a
//! person can always make the run rest, and finds the terminal in order afterwards.

mod answers;
mod consents;
mod display;
mod elsewhere;
mod interrupting;
mod plans;
#[path = "../support/project.rs"]
mod project;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use serde_json::Value;

use project::Project;
use pty::Terminal;
use support::told;

/// What a person is told at a question.
pub(crate) const CHOOSE: &str = "or a name (prompt";

impl Project {
    pub(crate) fn new(tasks: &str) -> Self {
        let project = Self::with(&format!("phase = 1\ngoal = \"Ask me.\"\n{tasks}"), "");
        project.put("there.txt", "");
        project.put("out/keep.txt", "");
        project
    }

    /// Says how its runs go, in `[defaults]`.
    pub(crate) fn defaults(&self, defaults: &str) {
        self.configure(&format!("[defaults]\n{defaults}"));
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.folder().join(path).exists()
    }

    /// Executes the phase, at a terminal of 100 columns.
    pub(crate) fn run(&self, args: &[&str]) -> Terminal {
        self.run_in(args, 100, &[])
    }

    pub(crate) fn run_in(
        &self,
        args: &[&str],
        columns: u16,
        variables: &[(&str, &str)],
    ) -> Terminal {
        let mut command = self.command(&["execute-phase", "1"]);
        command.env_remove("COLUMNS").env("TERM", "xterm-256color");
        command.envs(variables.iter().copied()).args(args);
        Terminal::start(command, columns)
    }

    /// A command from elsewhere, which must succeed.
    pub(crate) fn elsewhere(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        output
    }

    pub(crate) fn status(&self) -> String {
        let text = fs::read_to_string(self.folder().join(".idumb/state/state.json")).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    /// Waits until an event of that kind is recorded.
    pub(crate) fn waits_for(&self, kind: &str) {
        let mut command = self.command(&["log", "--follow", "--kind", kind, "--format=jsonl"]);
        let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let found = lines.map(Result::unwrap).any(|line| line.contains(kind));
        let _ = follower.kill();
        follower.wait().unwrap();
        assert!(found, "there is no {kind}");
    }

    /// What was chosen, in order.
    pub(crate) fn chosen(&self) -> Vec<String> {
        let answers = self.events(&["prompt_answered"]);
        answers.iter().map(|event| event["choice"].as_str().unwrap().to_owned()).collect()
    }
}
