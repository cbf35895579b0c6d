//! What a later task breaks of what is done, through the real binary.
//!
//! Invariant: a candidate that breaks a completed task's criterion is not integrated, and the task
//! that it would break is named; what it cannot break is not checked again, and is counted.

#[path = "support/project.rs"]
mod project;
mod support;

use std::fs;
use std::process::Output;

use serde_json::Value;

use project::Project;
use support::told;

/// A task that writes `text` to `file` after `before`, with these criteria.
fn task(id: &str, before: &str, (file, text): (&str, &str), accept: &str) -> String {
    format!(
        "[[tasks]]\nid = \"{id}\"\ntitle = \"Write\"\nwrites = [\"{file}\"]\n\
         depends_on = [{before}]\n\
         steps = [{{ write = \"{file}\", content = \"{text}\\n\", overwrite = true }}]\n\
         accept = [{accept}]\n"
    )
}

fn plan(phase: u32, tasks: &[String]) -> String {
    format!("phase = {phase}\ngoal = \"g\"\n{}", tasks.concat())
}

impl Project {
    #[track_caller]
    fn runs(&self, args: &[&str], exit: i32) -> Output {
        let args = [&["execute-phase", "--mode=auto"], args].concat();
        let output = self.command(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{}", told(&output));
        output
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.folder().join(path)).ok()
    }

    /// The latest examination.
    fn examination(&self) -> Value {
        let judged = self.events(&["candidate_judged"]);
        judged.last().unwrap()["examination"].clone()
    }
}

#[test]
fn a_task_that_breaks_what_another_promised_is_not_integrated() {
    let tasks = [
        task("T1", "", ("a.txt", "one"), "{ contains = \"a.txt\", text = \"one\" }"),
        task("T2", "", ("b.txt", "two"), "{ exists = \"b.txt\" }"),
        task("T3", "\"T1\", \"T2\"", ("a.txt", "three"), "{ exists = \"a.txt\" }"),
    ];
    let project = Project::with(&plan(1, &tasks), "");
    let output = project.runs(&["1"], 14);
    let text = told(&output);
    assert!(text.contains("T1.1: promised by T1, which is done"), "{text}");
    assert!(text.contains("regression: it breaks T1: a.txt"), "{text}");
    assert!(text.contains("evidence r"), "it rests on what the host saw: {text}");
    assert!(text.contains("checked again, as touched: 1 criterion of completed tasks"), "{text}");
    assert!(text.contains("not touched, so not checked again: 1 criterion of"), "{text}");
    assert_eq!(project.text("a.txt").as_deref(), Some("one\n"), "it is as T1 left it");
    let examination = project.examination();
    assert_eq!(examination["rechecked"][0]["task"], "T1");
    assert_eq!(examination["untouched"], 1, "nothing of T2 is touched: {examination:#}");
    let report = project.command(&["debug", "1"]).output().unwrap();
    assert!(told(&report).contains("it breaks what a task that is done promised"));
}

#[test]
fn commands_of_completed_tasks_run_again_on_every_candidate() {
    let tasks = [
        task("T1", "", ("a.txt", "one"), "{ command = \"no-bad\" }"),
        task("T2", "\"T1\"", ("b.txt", "good"), "{ exists = \"b.txt\" }"),
        task("T3", "\"T2\"", ("c.txt", "bad"), "{ exists = \"c.txt\" }"),
    ];
    let config = "[commands.no-bad]\nrun = [\"sh\", \"-c\", \"! grep -l bad *.txt\"]\n";
    let project = Project::with(&plan(1, &tasks), config);
    let text = told(&project.runs(&["1", "--grant=no-bad"], 14));
    assert!(text.contains("regression: it breaks T1: it exited with 1"), "{text}");
    assert!(text.contains("| c.txt"), "what the command printed: {text}");
    assert_eq!(project.text("b.txt").as_deref(), Some("good\n"));
    assert_eq!(project.text("c.txt"), None);
}

#[test]
fn what_an_earlier_phase_promised_by_a_command_holds_until_it_is_ended() {
    let first = [task("P1-T1", "", ("a.txt", "one"), "{ command = \"no-bad\", id = \"good\" }")];
    let second = |supersedes: &str| {
        let tasks = [task("P2-T1", "", ("b.txt", "bad"), "{ exists = \"b.txt\" }")];
        let head = "phase = 2\ngoal = \"g\"\ndepends_on = [\"1\"]\n";
        format!("{head}supersedes = [{supersedes}]\n{}", tasks.concat())
    };
    let config = "[commands.no-bad]\nrun = [\"sh\", \"-c\", \"! grep -l bad *.txt\"]\n";
    let project = Project::with(&plan(1, &first), config);
    project.runs(&["1", "--grant=no-bad"], 0);
    project.put(".idumb/phases/2-next/plan.toml", second(""));
    let text = told(&project.runs(&["2"], 21));
    assert!(text.contains("command `no-bad`"), "it needs consent for this run: {text}");
    let text = told(&project.runs(&["2", "--grant=no-bad"], 14));
    assert!(text.contains("it breaks P1-T1 of phase 1-test"), "{text}");
    assert!(text.contains("supersedes = [\"good\"]"), "how to end it: {text}");
    assert_eq!(project.text("b.txt"), None);
    // A command that is not there any more is no way to end a promise.
    project.configure("");
    let text = told(&project.runs(&["2", "--restart"], 2));
    assert!(text.contains("an earlier phase promised it"), "{text}");
    project.put(".idumb/phases/2-next/plan.toml", second("\"good\""));
    project.runs(&["2", "--restart"], 0);
    assert_eq!(project.text("b.txt").as_deref(), Some("bad\n"));
}

#[test]
fn a_promise_is_ended_by_the_name_that_is_shown_and_only_what_was_made_before() {
    let phase = |number: u32, (file, text): (&str, &str), supersedes: &str, accept: &str| {
        let task = task("T1", "", (file, text), accept);
        let head = format!("phase = {number}\ngoal = \"g\"\nsupersedes = [{supersedes}]\n");
        format!("{head}{task}")
    };
    let says = |file: &str, text: &str| format!("{{ contains = \"{file}\", text = \"{text}\" }}");
    let there = |file: &str| format!("{{ exists = \"{file}\" }}");
    let project = Project::with(&phase(1, ("a.txt", "one"), "", &says("a.txt", "one")), "");
    // It ends phase 1's `T1.1`, and has one of its own.
    let second = phase(2, ("a.txt", "two"), "\"T1.1\"", &says("a.txt", "two"));
    project.put(".idumb/phases/2-b/plan.toml", second);
    project.put(".idumb/phases/3-c/plan.toml", phase(3, ("a.txt", "3"), "", &there("a.txt")));
    project.runs(&["1"], 0);
    project.runs(&["2"], 0);
    let text = told(&project.runs(&["3"], 14));
    assert!(text.contains("it breaks T1 of phase 2-b"), "{text}");
    assert_eq!(project.text("a.txt").as_deref(), Some("two\n"));
    let hint = text.split("supersedes = [").nth(1).unwrap().split(']').next().unwrap();
    let ended = phase(3, ("a.txt", "3"), hint, &there("a.txt"));
    project.put(".idumb/phases/3-c/plan.toml", ended);
    project.runs(&["3", "--restart"], 0);
    // A name that means nothing is told.
    let fourth = phase(4, ("b.txt", "4"), "\"T9.9\"", &there("b.txt"));
    project.put(".idumb/phases/4-d/plan.toml", fourth);
    let text = told(&project.runs(&["4"], 0));
    assert!(text.contains("`supersedes` names T9.9") && text.contains("ends nothing"), "{text}");
}

#[test]
fn what_only_a_person_can_judge_is_looked_at_for_what_it_breaks() {
    let tasks = [
        task("T1", "", ("a.txt", "one"), "{ contains = \"a.txt\", text = \"one\" }"),
        task("T2", "\"T1\"", ("a.txt", "two"), "{ judged = \"It reads well.\" }"),
    ];
    let project = Project::with(&plan(1, &tasks), "");
    let text = told(&project.runs(&["1"], 14));
    assert!(text.contains("regression: it breaks T1"), "nobody was asked: {text}");
    assert_eq!(project.text("a.txt").as_deref(), Some("one\n"));
}
