//! Native commands that agents ask for: what the host is asked, and what the agent is told.
//!
//! Invariant: no command is run here. What is asked is noted, and answered with what a test put
//! there.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use idumb_core::{
    AccessRecord, Blobs, Change, ChangeSet, CommandSeen, Digest, Entry, Examination, Observed,
    Read, Seen, Task, TestCounts, Verdict,
};
use idumb_overlay::{Quota, WorkView};
use idumb_sandbox::{
    Broken, CommandOutput, CommandRan, CommandRequest, Commands, NotRun, Running, Stopper,
};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{Attempt, World, criterion, misbehaving_builder, misbehaving_validator, task};

/// Notes what it is asked, and answers in turn with what was put there.
#[derive(Default)]
struct Noted {
    asked: Mutex<Vec<(String, Vec<String>, ChangeSet)>>,
    answers: Mutex<VecDeque<Result<CommandRan, NotRun>>>,
    blobs: Option<Arc<dyn Blobs>>,
    /// Given when it is asked; there is no answer then.
    stopper: Option<Stopper>,
    dropped: Arc<AtomicBool>,
}

/// Tells that the future it is in was dropped.
struct TellsOfItsEnd(Arc<AtomicBool>);

impl Drop for TellsOfItsEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The one half is handed to the sandbox, the other one looked at.
struct Handed(Arc<Noted>);

impl Commands for Handed {
    fn allowed(&self) -> BTreeSet<String> {
        ["test", "lint"].map(str::to_owned).into()
    }

    fn run(&self, request: CommandRequest) -> Running {
        let noted = Arc::clone(&self.0);
        Box::pin(async move {
            let _end = TellsOfItsEnd(Arc::clone(&noted.dropped));
            let blobs = noted.blobs.clone().expect("a blob store");
            let change_set = request.change_set(blobs).await?;
            noted.asked.lock().unwrap().push((request.name, request.arguments, change_set));
            if let Some(stopper) = &noted.stopper {
                stopper.stop();
                std::future::pending::<()>().await;
            }
            let answer = noted.answers.lock().unwrap().pop_front();
            answer.unwrap_or_else(|| Ok(ran()))
        })
    }
}

fn ran() -> CommandRan {
    let output = |text: &str| CommandOutput { head: text.into(), ..CommandOutput::default() };
    CommandRan {
        definition: Digest::of(b"definition"),
        tree: Digest::of(b"tree"),
        exit: Some(0),
        ended: "exited with 0".to_owned(),
        tests: Some(TestCounts { passed: 3, failed: 0, skipped: 1 }),
        stdout: output("3 passed"),
        stderr: output(""),
        printed: [Some(Digest::of(b"3 passed")), None],
        walls: "walls".to_owned(),
        reused: false,
    }
}

fn world(noted: Noted) -> (World, Arc<Noted>) {
    let mut world = World::new(&[("src/a.rs", "a"), ("src/b.rs", "b")]);
    let blobs: Arc<dyn Blobs> = Arc::new(world.blobs());
    let noted = Arc::new(Noted { blobs: Some(blobs), ..noted });
    world.commands = Arc::new(Handed(Arc::clone(&noted)));
    (world, noted)
}

fn answering<const N: usize>(answers: [Result<CommandRan, NotRun>; N]) -> Noted {
    Noted { answers: Mutex::new(answers.into()), ..Noted::default() }
}

fn asking(what: &str, ask: &str) -> Task {
    task(&["src/**"], &["out.txt"], &[("do", what), ("ask", ask), ("path", "out.txt")])
}

/// What the agent says of each command that it asked for.
fn told(attempt: &Attempt) -> Vec<&str> {
    attempt.summary().lines().skip(1).collect()
}

fn read_everything(record: &AccessRecord) -> bool {
    record.reads.contains(&Read { path: String::new(), seen: Seen::Tree })
}

/// The one change that a request of the builder was about.
fn written(text: &str) -> ChangeSet {
    let after = Entry::File {
        digest: Digest::of(text.as_bytes()),
        size: text.len() as u64,
        executable: false,
    };
    let change =
        Change { path: "out.txt".to_owned(), before: None, after: Some(after), renamed_from: None };
    ChangeSet { changes: vec![change] }
}

#[test]
pub(crate) fn ask_for_commands() {
    let again = CommandRan {
        exit: None,
        ended: "took too long".to_owned(),
        tests: None,
        stdout: CommandOutput { head: b"a".into(), left_out: 5, tail: b"z\xff".into() },
        reused: true,
        ..ran()
    };
    let (world, noted) = world(answering([Ok(ran()), Ok(again)]));
    let attempt = world.misbehave(&asking("ask_for_commands", "test --all é\nlint"));
    let asked = noted.asked.lock().unwrap();
    let words = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    // Each runs on what was written until then, to a file that is still open.
    let first = "before test --all é\n";
    let expected = [
        ("test".to_owned(), words(&["--all", "é"]), written(first)),
        ("lint".to_owned(), words(&[]), written(&format!("{first}before lint\n"))),
    ];
    assert_eq!(*asked, expected);
    let tree = Digest::of(b"tree");
    let said = [
        "allowed: lint test".to_owned(),
        format!(
            r#"e1: exited with 0 Some(0) Some((3, 0, 1)) ("3 passed", 0, "") ("", 0, "") on {tree}"#
        ),
        format!(r#"e2: took too long None None ("a", 5, "z�") ("", 0, "") on {tree}, again"#),
    ];
    assert_eq!(attempt.summary().lines().collect::<Vec<_>>(), said);
    let observed: Vec<Observed> =
        attempt.ended.evidence.iter().map(|evidence| evidence.observed.clone()).collect();
    let command = |name: &str, arguments, ended: &str, exit, tests, reused| {
        Observed::Command(Box::new(CommandSeen {
            name: name.to_owned(),
            arguments,
            definition: Digest::of(b"definition"),
            tree,
            ended: ended.to_owned(),
            exit,
            tests,
            walls: "walls".to_owned(),
            stdout: Some(Digest::of(b"3 passed")),
            stderr: None,
            outputs: Vec::new(),
            reused,
        }))
    };
    let first =
        command("test", words(&["--all", "é"]), "exited with 0", Some(0), ran().tests, false);
    let second = command("lint", words(&[]), "took too long", None, None, true);
    assert_eq!(observed, [first, second]);
    assert!(read_everything(&attempt.record), "{:?}", attempt.record.reads);
}

/// What was written before and after a command is the candidate, as without one.
#[test]
fn a_builder_goes_on_after_a_command() {
    let (world, _) = world(Noted::default());
    let attempt = world.misbehave(&asking("ask_for_commands", "test\nlint"));
    assert_eq!(attempt.changes(&world), written("before test\nbefore lint\n"));
}

#[test]
fn what_is_not_allowed_is_not_asked() {
    let (world, noted) = world(Noted::default());
    let attempt = world.misbehave(&asking("ask_for_commands", "deploy now\n../test"));
    let told = told(&attempt);
    for (said, name) in told.iter().zip(["deploy", "../test"]) {
        let expected = format!("the command `{name}` on this task; it may ask for lint, test");
        assert!(said.contains("NotAllowed") && said.contains(&expected), "{said}");
    }
    assert_eq!(told.len(), 2);
    assert!(noted.asked.lock().unwrap().is_empty());
    assert!(attempt.ended.evidence.is_empty());
    assert!(!read_everything(&attempt.record), "nothing was read by a command");
}

#[test]
fn where_nothing_is_allowed_that_is_said() {
    let attempt = World::new(&[]).misbehave(&asking("ask_for_commands", "test"));
    assert!(attempt.summary().starts_with("allowed: \n"), "{}", attempt.summary());
    assert!(told(&attempt)[0].contains("it may ask for none"), "{}", attempt.summary());
}

#[test]
pub(crate) fn many_commands() {
    let (world, noted) = world(Noted::default());
    let attempt = world.misbehave(&asking("many_commands", "test"));
    attempt.assert_trap("it asked for more than 50 commands");
    assert_eq!(noted.asked.lock().unwrap().len(), 50);
}

/// Those that are refused count too, and a task may say less.
#[test]
fn a_task_lets_its_agent_ask_less() {
    let (mut world, _) = world(Noted::default());
    world.limits.commands = Some(2);
    let attempt = world.misbehave(&asking("many_commands", "deploy"));
    attempt.assert_trap("it asked for more than 2 commands");
}

#[test]
pub(crate) fn huge_arguments() {
    let (world, noted) = world(Noted::default());
    let attempt = world.misbehave(&asking("huge_arguments", "test"));
    let told: Vec<&str> = attempt.summary().lines().collect();
    let why = ["a command's name has", "a command takes", "a command takes", "a zero byte"];
    assert_eq!(told.len(), why.len(), "{told:?}");
    for (said, why) in told.iter().zip(why) {
        assert!(said.contains("Invalid") && said.contains(why), "{said}");
        assert!(said.len() < 200, "what was too long is repeated");
    }
    assert!(noted.asked.lock().unwrap().is_empty());
}

/// On a candidate that is not what the project is.
#[test]
pub(crate) fn rest_on_a_command() {
    let failed = CommandRan { exit: Some(1), ended: "exited with 1".to_owned(), ..ran() };
    let (world, noted) = world(answering([Ok(failed)]));
    let mut task = asking("rest_on_a_command", "lint");
    task.accept = vec![criterion("c", "of-its-own", json!({}))];
    let candidate = written("of the builder");
    world.blobs().keep(&mut "of the builder".as_bytes()).unwrap();
    let (ended, record) = world.validate_candidate(misbehaving_validator(), &task, &candidate);
    let asked = noted.asked.lock().unwrap();
    assert_eq!(*asked, [("lint".to_owned(), vec!["--all".to_owned()], candidate)]);
    let findings = ended.result.unwrap();
    assert_eq!(findings[0].note, "exited with 1, lint test");
    // What it makes of that is its own; that it rests on it can be seen.
    let exit = ended.evidence.iter().map(|evidence| match &evidence.observed {
        Observed::Command(seen) if evidence.id == findings[0].evidence[0] => seen.exit,
        other => panic!("{other:?}"),
    });
    assert_eq!(exit.collect::<Vec<_>>(), [Some(1)]);
    let judged =
        Examination { findings, evidence: ended.evidence.clone(), ..Examination::default() }
            .judge(task.accept.iter().map(|criterion| &criterion.id));
    assert_eq!(judged.verdict, Verdict::Pass, "{judged:?}");
    assert!(read_everything(&record), "{:?}", record.reads);
}

#[test]
fn a_call_that_waits_for_a_command_ends_with_its_stop_and_the_command_with_it() {
    let (mut world, _) = world(Noted::default());
    let noted = Arc::new(Noted {
        stopper: Some(world.stopper()),
        blobs: Some(Arc::new(world.blobs())),
        ..Noted::default()
    });
    world.commands = Arc::new(Handed(Arc::clone(&noted)));
    let (folder, task) = (TempDir::new().unwrap(), asking("ask_for_commands", "test"));
    let upper = folder.path().join("upper");
    let view = WorkView::new(&world.base(), &upper, task.grants(), Quota::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Looked at while the runtime is there: its end would end the command too.
    let (ended, dropped) = runtime.block_on(async {
        let call = misbehaving_builder().build(view, &task, &world.context, world.options());
        (call.await, noted.dropped.load(Ordering::Relaxed))
    });
    assert_eq!(ended.result.unwrap_err(), Broken::Stopped);
    assert_eq!(noted.asked.lock().unwrap().len(), 1);
    assert!(dropped, "the command would go on");
    assert!(ended.evidence.is_empty(), "nothing came of it");
}

#[test]
fn a_command_that_cannot_be_run_is_told_of() {
    let (world, _) = world(answering([
        Err(NotRun::Unavailable("install bubblewrap".to_owned())),
        Err(NotRun::Invalid("lint takes no arguments".to_owned())),
    ]));
    let attempt = world.misbehave(&asking("ask_for_commands", "test\nlint -x"));
    let told = told(&attempt);
    assert!(told[0].ends_with("Unavailable: install bubblewrap"), "{told:?}");
    assert!(told[1].ends_with("Invalid: lint takes no arguments"), "{told:?}");
    assert!(attempt.ended.host_error.is_none());
    assert!(attempt.ended.evidence.is_empty());
}

/// A full disk says nothing about the task, whatever the agent makes of it.
#[test]
fn the_hosts_own_trouble_is_noted() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let (world, _) = world(answering([Err(NotRun::Host(full))]));
    let attempt = world.misbehave(&asking("ask_for_commands", "test"));
    assert!(told(&attempt)[0].contains("Unavailable"), "{}", attempt.summary());
    let noted = attempt.ended.host_error.as_ref().map(io::Error::kind);
    assert_eq!(noted, Some(io::ErrorKind::StorageFull));
}
