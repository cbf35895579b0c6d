//! A journal of an earlier schema is upgraded, whole or not at all.
//!
//! Invariant: each test begins with a file that the SQL of the earlier version made.

use std::fs;
use std::path::Path;

use idumb_core::{Digest, RunId, TaskId};
use idumb_journal::{Error, Journal, Lock, NewEvent, Outcome, StateDir};
use rusqlite::Connection;
use tempfile::TempDir;

const LOG: &str = "journal.db-wal";
const HEADER: usize = 32;
const FRAME: usize = 4096 + 24;

/// A project with a journal of schema 1, in which two runs are.
fn first_version() -> (TempDir, Lock) {
    let folder = tempfile::tempdir().unwrap();
    let lock = StateDir::prepare(folder.path()).unwrap().lock().unwrap();
    let connection = Connection::open(lock.state().journal()).unwrap();
    connection.execute_batch(include_str!("../src/schema/1.sql")).unwrap();
    connection.execute_batch(include_str!("data/version-1.sql")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    (folder, lock)
}

fn version(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn tables(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut select = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap();
    select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What is in the fixture is in the journal.
fn expect_all(journal: &Journal) {
    let rows = journal.runs().unwrap();
    let outcome = Outcome { name: "completed".to_owned(), at: 8 };
    assert_eq!(
        rows.iter().map(|row| row.run.as_str()).collect::<Vec<_>>(),
        ["phase-1-r1", "phase-2-r1"]
    );
    assert_eq!(rows.iter().map(|row| &row.outcome).collect::<Vec<_>>(), [&Some(outcome), &None]);
    for (number, row) in (1..).zip(&rows) {
        let plan = format!(r#"{{"goal":"plan {number}"}}"#);
        assert_eq!(journal.plan(&row.run).unwrap(), plan);
        assert_eq!(row.plan_digest, Digest::of(plan.as_bytes()));
        let events = journal.events(&row.run).unwrap();
        assert_eq!(events.len(), 3);
        for (number, event) in (0..).zip(&events) {
            assert_eq!((event.seq, event.at, event.kind.as_str()), (number, number, "noted"));
            assert_eq!(event.body, format!(r#"{{"n":{number}}}"#));
            assert_eq!(event.task, (number % 2 == 0).then(|| TaskId::new("P1-T1").unwrap()));
        }
        assert_eq!(journal.snapshot(&row.run).unwrap(), None);
    }
}

#[test]
fn an_upgrade_keeps_everything_and_the_journal_goes_on() {
    let (_folder, lock) = first_version();
    let path = lock.state().journal();
    let error = Journal::open_read_only(lock.state()).unwrap_err();
    assert!(matches!(error, Error::OlderSchema { found: 1, known: 2, .. }), "{error:?}");
    let mut journal = Journal::open(&lock).unwrap();
    expect_all(&journal);
    let run = RunId::new("phase-2-r1").unwrap();
    let event = NewEvent { at: 9, kind: "noted", task: None, body: "{}".to_owned() };
    assert_eq!(journal.append(&run, &[event]).unwrap(), 3..4);
    journal.save_snapshot(&run, 4, 1, b"state").unwrap();
    drop(journal);
    assert_eq!(version(&path), 2);
    assert_eq!(tables(&path), ["events", "plans", "runs", "snapshots"]);
    let reader = Journal::open_read_only(lock.state()).unwrap().unwrap();
    assert_eq!(reader.snapshot(&run).unwrap().unwrap().body, b"state");
}

/// The journal and its log as a process would leave them that is killed after an upgrade
/// and before anything is copied from the log.
fn killed_after_the_upgrade() -> (Vec<u8>, Vec<u8>) {
    let (_folder, lock) = first_version();
    let state = lock.state();
    let before = fs::read(state.journal()).unwrap();
    let journal = Journal::open(&lock).unwrap();
    expect_all(&journal);
    // Read by another program: closing a file that SQLite has open ends its locks.
    let read = |path: &Path| {
        std::process::Command::new("cat").arg(path).output().expect("`cat` runs").stdout
    };
    let (file, log) = (read(&state.journal()), read(&state.path().join(LOG)));
    assert_eq!(file, before, "the upgrade is in the log");
    (file, log)
}

#[test]
fn wherever_an_upgrade_is_interrupted_the_earlier_version_is_intact() {
    let (file, log) = killed_after_the_upgrade();
    let frames = (log.len() - HEADER) / FRAME;
    for kept_length in [true, false] {
        let mut versions = Vec::new();
        let ends = (0..frames.min(8)).map(|frame| HEADER + frame * FRAME);
        // At the end of each write, and in the midst of it; the rest is as it was before.
        for written in ends.flat_map(|end| [end.saturating_sub(FRAME / 2), end - 1, end]) {
            let (_folder, lock) = first_version();
            let path = lock.state().journal();
            let mut log = log.clone();
            if kept_length {
                log[written..].fill(0);
            } else {
                log.truncate(written);
            }
            fs::write(&path, &file).unwrap();
            fs::write(lock.state().path().join(LOG), log).unwrap();
            // A copy, to look at without the journal's own upgrade.
            let look = tempfile::tempdir().unwrap();
            for name in ["journal.db", LOG] {
                fs::copy(lock.state().path().join(name), look.path().join(name)).unwrap();
            }
            let found = version(&look.path().join("journal.db"));
            let tables = tables(&look.path().join("journal.db"));
            assert_eq!(tables.contains(&"snapshots".to_owned()), found == 2, "all or nothing");
            versions.push(found);

            let mut journal = Journal::open(&lock).unwrap();
            expect_all(&journal);
            journal.checked().unwrap();
            drop(journal);
            assert_eq!(version(&path), 2);
        }
        assert!(versions.contains(&1) && versions.contains(&2), "{versions:?}");
        assert!(versions.is_sorted(), "{versions:?}");
    }
}

#[test]
fn a_damaged_file_is_not_upgraded() {
    let (_folder, lock) = first_version();
    let path = lock.state().journal();
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let error = Journal::open(&lock).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "it was left alone");
}
