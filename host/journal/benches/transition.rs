//! What one durable step of a run costs, and what coming back to a long one does: prints
//! ratios and times from one run.
//!
//! `cargo bench -p idumb-journal --bench transition [-- FOLDER]` works in a new folder in FOLDER
//! (the current one by default: a temporary folder may be in memory, where a sync costs nothing).
//! It appends events one by one, each beside the same bytes written and synced to a plain file,
//! and then opens a journal of 300,000 events that has a snapshot.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use idumb_core::{Digest, PhaseId, RunId};
use idumb_journal::{Journal, NewEvent, NewRun, StateDir};

/// Over more than one round through the write-ahead log.
const APPENDS: u64 = 3000;
const EVENTS: u64 = 300_000;
/// How many of them came after the snapshot.
const TAIL: u64 = 200;
const OPENINGS: usize = 21;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = tempfile::tempdir_in(folder.map_or_else(|| PathBuf::from("."), PathBuf::from))
        .expect("a new folder");
    let mut out = String::new();
    appends(&folder.path().join("appends"), &mut out);
    openings(&folder.path().join("openings"), &mut out);
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
}

/// An event of about 400 bytes.
fn event(number: u64) -> NewEvent<'static> {
    let body = format!(r#"{{"kind":"noted","number":{number},"words":"{}"}}"#, "x".repeat(350));
    NewEvent { at: number, kind: "noted", task: None, body }
}

fn project(folder: &Path) -> (StateDir, Journal, RunId) {
    std::fs::create_dir(folder).expect("a new folder");
    let state = StateDir::prepare(folder).expect("a state folder");
    let mut journal = Journal::open(&state.lock().expect("the lock")).expect("a journal");
    let phase = PhaseId::new(1, "measured").expect("a phase");
    let run = journal.next_run_id(&phase).expect("a name");
    let plan_digest = Digest::of(b"{}");
    let new = NewRun { run: &run, phase: &phase, plan_digest, plan: "{}", started_at: 0 };
    journal.begin_run(&new, &[]).expect("a run");
    (state, journal, run)
}

/// One after the other, so that whatever else the disk does hits both.
fn appends(folder: &Path, out: &mut String) {
    let (state, mut journal, run) = project(folder);
    let mut plain = File::create(state.path().join("plain")).expect("a plain file");
    let (mut ours, mut plains) = (Vec::new(), Vec::new());
    for number in 0..APPENDS {
        let events = [event(number)];
        ours.push(timed(|| journal.append(&run, &events).expect("an append")).0);
        let bytes = events[0].body.as_bytes();
        let mut write = || plain.write_all(bytes).and_then(|()| plain.sync_data());
        plains.push(timed(|| write().expect("a write")).0);
    }
    let (ours, plains) = (Spread::of(ours), Spread::of(plains));
    let ratio = ours.median.as_secs_f64() / plains.median.as_secs_f64();
    let _ = writeln!(out, "one event of 400 bytes, durable   {ours}");
    let _ = writeln!(out, "write + fdatasync of the same     {plains}");
    let _ = writeln!(out, "the journal is                    {ratio:>8.2} x that (wanted: 1.8)");
}

fn openings(folder: &Path, out: &mut String) {
    let (state, mut journal, run) = project(folder);
    for first in (0..EVENTS).step_by(1000) {
        let events: Vec<_> = (first..first + 1000).map(event).collect();
        journal.append(&run, &events).expect("an append");
    }
    let body = vec![b's'; 1 << 20];
    let mut save =
        |_| timed(|| journal.save_snapshot(&run, EVENTS - TAIL, 1, &body).expect("saved")).0;
    let saves = Spread::of((0..OPENINGS).map(&mut save).collect());
    let closing = timed(|| drop(journal)).0;

    let (mut opens, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let lock = state.lock().expect("the lock");
        let begun = Instant::now();
        let journal = Journal::open(&lock).expect("a journal");
        opens.push(begun.elapsed());
        let snapshot = journal.snapshot(&run).expect("sound").expect("a snapshot");
        let tail = journal.events_from(&run, snapshot.seq).expect("sound");
        tails.push(begun.elapsed());
        assert_eq!((snapshot.body.len(), tail.len() as u64), (1 << 20, TAIL));
    }
    let (opens, tails) = (Spread::of(opens), Spread::of(tails));
    let lock = state.lock().expect("the lock");
    let (checked, _journal) = timed(|| {
        let mut journal = Journal::open(&lock).expect("a journal");
        journal.checked().expect("sound");
        journal
    });
    let megabytes = std::fs::metadata(state.journal()).expect("the journal").len() >> 20;
    let _ = writeln!(out, "\n{EVENTS} events, {megabytes} MiB, a snapshot of 1 MiB");
    let _ = writeln!(out, "saving the snapshot               {saves}");
    let _ = writeln!(out, "closing                           {closing:>10.2?}");
    let _ = writeln!(out, "opening                           {opens}");
    let _ = writeln!(out, "opening to {TAIL} events of the tail {tails} (wanted: 20 ms)");
    let _ = writeln!(out, "opening to the check's answer     {checked:>10.2?}");
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let value = work();
    (begun.elapsed(), value)
}

struct Spread {
    median: Duration,
    /// Only one in a hundred took longer.
    most: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self { median: times[times.len() / 2], most: times[(times.len() - 1) * 99 / 100] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:>10.2?}  (99 of 100: {:.2?})", self.median, self.most)
    }
}
