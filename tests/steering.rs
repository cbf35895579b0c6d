//! A run that is steered and watched by other processes while it goes.
//!
//! Invariant: nothing here waits for a time: the builder works until the test puts a file
//! there, and what another process shows is looked at again until it shows what is awaited.

#[path = "support/project.rs"]
mod project;
mod support;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};

use serde_json::Value;

use project::Project;
use support::told;

/// How often something is looked at before it is given up. Each look is a process of its own.
const LOOKS: usize = 20_000;

const CONFIG: &str = r#"
[defaults]
grace = "1h" # what is told to stop must stop for that reason alone
"#;

/// Its builder reads `from.txt`, waits for `go.txt`, and writes what it read.
const WAITS: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Wait"
agent = "evil"
reads = ["from.txt", "go.txt"]
writes = ["made.txt"]
options = { do = "wait_for_other", from = "from.txt", until = "go.txt", path = "made.txt" }
accept = [{ contains = "made.txt", text = "from" }]
"#;

/// Beside it, what only a person can judge.
const JUDGED: &str = r#"
[[tasks]]
id = "P1-T2"
title = "Be judged"
writes = ["judged.txt"]
steps = [{ write = "judged.txt", content = "judged\n" }]
accept = [{ judged = "It is good" }]
"#;

/// A process that runs; it is killed if the test leaves it so.
struct Live {
    process: Child,
    printed: PathBuf,
}

impl Live {
    /// What it printed so far, on both streams.
    fn printed(&self) -> String {
        fs::read_to_string(&self.printed).unwrap()
    }

    fn goes(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    fn is_killed(&mut self) {
        self.process.kill().unwrap();
        assert_eq!(self.process.wait().unwrap().code(), None, "{}", self.printed());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // One that ended already cannot be killed, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Project {
    fn new(tasks: &[&str]) -> Self {
        let plan = format!("phase = 1\ngoal = \"Wait for it.\"\n{}", tasks.concat());
        let project = Self::with(&plan, CONFIG);
        project.put("from.txt", b"from\n");
        project
    }

    /// Lets the builder go on.
    fn go(&self) {
        self.put("go.txt", b"");
    }

    fn idumb(&self, args: &[&str], exit: i32) -> Output {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "idumb {args:?}: {}", told(&output));
        output
    }

    /// Runs a command that must end with `exit` and print `text`.
    fn says(&self, args: &[&str], exit: i32, text: &str) {
        let output = self.idumb(args, exit);
        assert!(told(&output).contains(text), "{text:?} is not in {}", told(&output));
    }

    /// Starts a command that goes on beside the test.
    fn start(&self, name: &str, args: &[&str]) -> Live {
        let printed = self.temporary.path().join(name);
        let file = File::create(&printed).unwrap();
        let mut command = self.command(args);
        command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(Stdio::from(file));
        Live { process: command.spawn().unwrap(), printed }
    }

    /// Starts the phase, and returns when its builder works.
    fn run(&self, more: &[&str]) -> Live {
        let mut args = vec!["execute-phase", "1", "--mode=auto"];
        args.extend(more);
        let (before, attempts) = self.begun();
        let mut live = self.start("run", &args);
        self.look_until(&mut live, || {
            let (run, now) = self.begun();
            now > if run == before { attempts } else { 0 }
        });
        live
    }

    /// The latest run, if there is one, and how many attempts began in it.
    fn begun(&self) -> (Value, usize) {
        let events = self.events(&["run_started", "attempt_started"]);
        let run = events.first().map_or(Value::Null, |event| event["config"]["run"].clone());
        (run, events.len().saturating_sub(1))
    }

    /// Looks again and again while `live` goes.
    fn look_until(&self, live: &mut Live, mut holds: impl FnMut() -> bool) {
        for _ in 0..LOOKS {
            if holds() {
                return;
            }
            assert!(live.goes(), "it ended: {}", live.printed());
        }
        panic!("it did not come to that: {}", live.printed());
    }

    /// Looks again and again until `live` ends by itself, as it must, with `exit`.
    fn ends(&self, live: &mut Live, exit: i32) {
        for _ in 0..LOOKS {
            if !live.goes() {
                let status = live.process.wait().unwrap();
                assert_eq!(status.code(), Some(exit), "{}", live.printed());
                return;
            }
            self.status();
        }
        panic!("it does not end: {}", live.printed());
    }

    fn status(&self) -> Value {
        let output = self.idumb(&["status", "--format=json"], 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn count(&self, kind: &str) -> usize {
        self.events(&[kind]).len()
    }

    fn made(&self) -> Option<String> {
        fs::read_to_string(self.folder().join("made.txt")).ok()
    }
}

#[test]
fn others_see_who_runs_it_and_cannot_run_it_too() {
    let project = Project::new(&[WAITS]);
    let mut run = project.run(&[]);
    let holder = format!("pid {}, run phase-1-r1", run.process.id());
    project.says(&["status"], 0, &format!("Run phase-1-r1 is running (another idumb ({holder}))"));
    let status = project.status();
    assert!(status["running"].as_str().unwrap().contains(&holder), "{status}");
    assert_eq!(status["current"][0], "P1-T1", "{status}");
    for how in [["execute-phase", "1"].as_slice(), &["execute-phase", "1", "--restart"]] {
        project.says(how, 20, &holder);
    }
    project.says(&["pause", "phase-1-r9"], 2, "there is no run `phase-1-r9` here");
    assert!(run.goes(), "{}", run.printed());
    project.go();
    project.ends(&mut run, 0);
    assert_eq!(project.status()["running"], Value::Null);
    assert_eq!(project.made().as_deref(), Some("from\n"));
}

#[test]
fn a_pause_lets_what_is_under_way_end() {
    let project = Project::new(&[WAITS]);
    let mut run = project.run(&[]);
    project.says(&["pause"], 0, "phase-1-r1 pauses at the next safe point");
    assert_eq!(project.count("pause_requested"), 1);
    assert!(run.goes(), "{}", run.printed());
    project.go();
    project.ends(&mut run, 20);
    assert!(run.printed().contains("asked for with `idumb pause`"), "{}", run.printed());
    assert_eq!(project.made(), None, "a candidate waits as it is");
    project.says(&["pause"], 2, "no process runs phase-1-r1 at the moment");
    project.idumb(&["execute-phase", "1", "--mode=auto", "--resume"], 0);
    assert_eq!(project.count("attempt_started"), 1, "what was built was built again");
    assert_eq!(project.made().as_deref(), Some("from\n"));
}

#[test]
fn a_pause_now_stops_what_is_under_way_and_it_runs_again() {
    let project = Project::new(&[WAITS]);
    let mut run = project.run(&[]);
    // The second finds the run as the first left it: going to rest.
    project.says(&["pause"], 0, "pauses at the next safe point");
    project.says(&["pause", "phase-1-r1", "--now"], 0, "phase-1-r1 stops what is under way");
    project.ends(&mut run, 20);
    assert_eq!(project.count("attempt_interrupted"), 1);
    project.go();
    project.idumb(&["execute-phase", "1", "--mode=auto", "--resume"], 0);
    assert_eq!(project.count("attempt_started"), 2);
    assert_eq!(project.count("attempt_failed"), 0, "the interruption counted as an attempt");
    assert_eq!(project.made().as_deref(), Some("from\n"));
}

#[test]
fn a_cancelled_run_ends_and_a_new_one_begins() {
    let project = Project::new(&[WAITS]);
    let mut run = project.run(&[]);
    project.says(&["cancel"], 0, "phase-1-r1 is given up");
    project.ends(&mut run, 130);
    project.says(&["status", "--wait"], 130, "Run phase-1-r1 is cancelled");
    project.says(
        &["execute-phase", "1", "--resume"],
        2,
        "was cancelled: there is nothing to resume",
    );
    assert_eq!(project.made(), None);
    let mut run = project.run(&[]);
    project.says(&["pause", "phase-1-r1"], 2, "it is phase-1-r2 that runs, not phase-1-r1");
    project.go();
    project.ends(&mut run, 0);
    assert_eq!(project.made().as_deref(), Some("from\n"));
}

#[test]
fn an_answer_is_taken_in_while_others_work() {
    let project = Project::new(&[WAITS, JUDGED]);
    let mut run = project.run(&[]);
    project.look_until(&mut run, || project.count("prompt_opened") == 1);
    project.says(&["answer", "phase-1-r1", "1", "--choose=maybe"], 2, "holds, fails, pause");
    project.says(&["answer", "phase-1-r1", "2", "--choose=holds"], 2, "not open; open: 1");
    project.says(&["answer", "phase-1-r1", "1", "--choose=holds"], 0, "phase-1-r1: holds");
    project.says(&["answer", "phase-1-r1", "1", "--choose=holds"], 2, "no open prompt");
    assert_eq!(project.count("prompt_answered"), 1);
    project.look_until(&mut run, || project.status()["completed"][0] == "P1-T2");
    project.go();
    project.ends(&mut run, 0);
}

#[test]
fn those_who_watch_end_when_the_run_rests() {
    let project = Project::new(&[WAITS]);
    let mut run = project.run(&[]);
    let mut waiting = project.start("waiting", &["status", "--wait"]);
    let mut following = project.start("following", &["log", "--follow", "--format=jsonl"]);
    project.look_until(&mut run, || {
        // To look at a file alone takes no time: this does.
        project.status();
        following.printed().contains("\"attempt_started\"")
    });
    assert!(waiting.goes() && following.goes(), "{}{}", waiting.printed(), following.printed());
    project.idumb(&["pause", "--now"], 0);
    project.ends(&mut run, 20);
    project.ends(&mut waiting, 20);
    project.ends(&mut following, 0);
    assert!(waiting.printed().contains("Run phase-1-r1 is paused"), "{}", waiting.printed());
    let all = project.idumb(&["log", "--format=jsonl"], 0).stdout;
    assert_eq!(following.printed(), String::from_utf8(all).unwrap(), "it missed something");
    assert!(following.printed().lines().last().unwrap().contains("\"run_paused\""));
}

#[test]
fn what_a_killed_process_left_is_answered_and_given_up_all_the_same() {
    let project = Project::new(&[WAITS, JUDGED]);
    let mut run = project.run(&[]);
    project.look_until(&mut run, || project.count("prompt_opened") == 1);
    run.is_killed();
    project.says(&["status"], 0, "Run phase-1-r1 is interrupted; go on with: idumb execute-phase");
    project.says(&["status", "--wait"], 20, "is interrupted");
    project.says(&["pause"], 2, "no process runs phase-1-r1 at the moment");
    project.says(&["answer", "phase-1-r1", "1", "--choose=holds"], 0, "phase-1-r1: holds");
    let mut run = project.run(&["--resume"]);
    project.look_until(&mut run, || project.status()["completed"][0] == "P1-T2");
    run.is_killed();
    project.says(&["cancel"], 0, "phase-1-r1 is given up; what was integrated stays");
    project.says(&["status"], 0, "Run phase-1-r1 is cancelled");
    assert_eq!(fs::read_to_string(project.folder().join("judged.txt")).unwrap(), "judged\n");
    assert_eq!(project.made(), None);
}
