//! Killed in the midst of appending, again and again, the journal loses nothing that it
//! acknowledged.
//!
//! Invariant: the killing is timed by what the killed process said, not by a clock.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use idumb_core::{Digest, PhaseId, RunId};
use idumb_journal::{Journal, NewEvent, NewRun, Outcome, StateDir};

const PROJECT: &str = "IDUMB_TEST_CRASH_PROJECT";
/// Far more than are ever waited for; the writer ends at some point if nobody kills it.
const ENOUGH: u64 = 1_000_000;

fn body(seq: u64) -> String {
    let words = "word ".repeat(usize::try_from(seq % 97).unwrap());
    format!(r#"{{"seq":{seq},"words":"{words}"}}"#)
}

fn run() -> RunId {
    RunId::new("phase-1-r1").unwrap()
}

/// Not a test of its own: what the killed process runs.
#[test]
fn writer() {
    let Some(project) = std::env::var_os(PROJECT) else {
        return;
    };
    let lock = StateDir::prepare(Path::new(&project)).unwrap().lock().unwrap();
    let mut journal = Journal::open(&lock).unwrap();
    let mut out = std::io::stdout();
    let mut next = journal.run(&run()).unwrap().unwrap().events;
    while next < ENOUGH {
        let event = |seq| NewEvent { at: seq, kind: "noted", task: None, body: body(seq) };
        let events: Vec<_> = (next..=next + next % 5).map(event).collect();
        // The outcome tells whether an append was taken apart: it is the next number.
        let next_after = (next + events.len() as u64).to_string();
        let outcome = Outcome { name: next_after, at: next };
        next = journal.append_with_outcome(&run(), &events, Some(outcome)).unwrap().end;
        writeln!(out, "acknowledged {next}").unwrap();
        out.flush().unwrap();
    }
}

/// Runs a writer until it acknowledged something `acknowledgements` times, kills it, and
/// returns what it acknowledged last.
fn write_until_killed(project: &Path, acknowledgements: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(PROJECT, project)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut said = out.lines().filter_map(|line| {
        let line = line.unwrap();
        line.rsplit_once("acknowledged ").map(|(_, number)| number.parse::<u64>().unwrap())
    });
    let mut last = said.nth(acknowledgements - 1).expect("it goes on until it is killed");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was killed");
    // It went on until the kill: what it said meanwhile counts too.
    last = said.last().unwrap_or(last);
    last
}

#[test]
fn all_that_was_acknowledged_is_there_after_kill_9() {
    let project = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(project.path()).unwrap();
    let phase = PhaseId::new(1, "crash").unwrap();
    let (run, plan_digest) = (run(), Digest::of(b""));
    let new = NewRun { run: &run, phase: &phase, plan_digest, plan: "{}", started_at: 0 };
    Journal::open(&state.lock().unwrap()).unwrap().begin_run(&new, &[]).unwrap();

    for round in 0..25 {
        let acknowledged = write_until_killed(project.path(), 1 + round * 7 % 40);

        // First as a reader that comes upon the remains, then as the next writer.
        let reader = Journal::open_read_only(&state).unwrap().unwrap();
        let seen = reader.events(&run).unwrap();
        let journal = Journal::open(&state.lock().unwrap()).unwrap();
        let events = journal.events(&run).unwrap();
        assert_eq!(seen, events, "round {round}");
        let found = events.len() as u64;
        assert!(found >= acknowledged, "round {round}: {acknowledged} acknowledged, {found} found");
        assert!(
            found <= acknowledged + 5,
            "round {round}: at most one append was not acknowledged"
        );
        for (seq, event) in (0..).zip(&events) {
            assert_eq!((event.seq, event.at, &event.body), (seq, seq, &body(seq)));
        }
        let outcome = journal.run(&run).unwrap().unwrap().outcome.unwrap();
        assert_eq!(outcome.name, found.to_string(), "round {round}: whole appends only");
    }
}
