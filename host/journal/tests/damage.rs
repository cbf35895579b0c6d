//! A damaged journal is reported and left alone; it never reads as something else.
//!
//! Invariant: after each refusal the file has the bytes it had before.

use std::fs;
use std::path::Path;

use idumb_core::{Digest, PhaseId, RunId, TaskId};
use idumb_journal::{
    Error, Journal, Lock, NewEvent, NewRun, Outcome, Result, RunRow, StateDir, StoredEvent,
};
use rusqlite::Connection;
use tempfile::TempDir;

/// A project with a journal of two runs, all of it in the one file.
fn project() -> (TempDir, Lock) {
    let folder = tempfile::tempdir().unwrap();
    let lock = StateDir::prepare(folder.path()).unwrap().lock().unwrap();
    let mut journal = Journal::open(&lock).unwrap();
    let task = TaskId::new("P1-T1").unwrap();
    for number in 1..=2 {
        let phase = PhaseId::new(number, "some-phase").unwrap();
        let run = journal.next_run_id(&phase).unwrap();
        let plan = format!(r#"{{"goal":"{}"}}"#, "a plan of some length ".repeat(300));
        let plan_digest = Digest::of(plan.as_bytes());
        let new = NewRun { run: &run, phase: &phase, plan_digest, plan: &plan, started_at: 5 };
        journal.begin_run(&new, &[]).unwrap();
        let event = |at| NewEvent {
            at,
            kind: "noted",
            task: (at % 2 == 0).then_some(&task),
            body: format!(r#"{{"words":"{}"}}"#, "event ".repeat(usize::try_from(at).unwrap())),
        };
        let events: Vec<_> = (0..60).map(event).collect();
        let outcome = Outcome { name: Outcome::COMPLETED.to_owned(), at: 8 };
        journal.append_with_outcome(&run, &events, Some(outcome)).unwrap();
    }
    drop(journal);
    assert!(!lock.state().path().join("journal.db-wal").exists(), "closed, it is one file");
    (folder, lock)
}

type Everything = Vec<(RunRow, String, Vec<StoredEvent>)>;

fn read_everything(lock: &Lock) -> Result<Everything> {
    let journal = Journal::open(lock)?;
    let read = |row: RunRow| {
        let run: &RunId = &row.run;
        let (plan, events) = (journal.plan(run)?, journal.events(run)?);
        Ok((row, plan, events))
    };
    journal.runs()?.into_iter().map(read).collect()
}

/// Puts `bytes` in the journal's place, as if nothing else had ever been there.
fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    for aside in ["journal.db-wal", "journal.db-shm"] {
        let _ = fs::remove_file(path.with_file_name(aside));
    }
}

fn refused(lock: &Lock) -> Error {
    let path = lock.state().journal();
    let before = fs::read(&path).unwrap();
    let error = Journal::open(lock).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), before, "it was left alone: {error}");
    assert!(error.to_string().contains(&path.display().to_string()), "it says where: {error}");
    error
}

#[test]
fn no_flipped_byte_goes_unnoticed() {
    let (_folder, lock) = project();
    let path = lock.state().journal();
    let sound = fs::read(&path).unwrap();
    let expected = read_everything(&lock).unwrap();
    let mut reported = 0;
    // A step that is coprime to the page size: all places within a page come up.
    for place in (0..sound.len()).step_by(61) {
        let mut bytes = sound.clone();
        bytes[place] ^= 0x15;
        put(&path, &bytes);
        match read_everything(&lock) {
            // It was a place that holds nothing, or says nothing about what was written.
            Ok(read) => assert!(read == expected, "the flip at {place} changed what is read"),
            Err(_) => reported += 1,
        }
    }
    // Most of the file is content: if this sinks, the reports have stopped.
    assert!(reported * 2 > sound.len() / 61, "{reported} reported");
}

#[test]
fn an_altered_value_is_damage_even_if_the_file_is_sound() {
    let alterations = [
        "UPDATE runs SET outcome = 'failed' WHERE number = 1",
        "UPDATE runs SET plan_digest = replace(plan_digest, 'a', 'b')",
        "UPDATE plans SET plan = '{}'",
        "DROP TRIGGER events_stay; UPDATE events SET body = '{}' WHERE seq = 7",
        "DROP TRIGGER events_stay; UPDATE events SET at_ms = at_ms + 1 WHERE seq = 7",
        "DROP TRIGGER events_stay; UPDATE events SET task = NULL WHERE seq = 8",
        "DROP TRIGGER events_stay; UPDATE events SET kind = 'task_succeeded' WHERE seq = 59",
        "DROP TRIGGER events_are_kept; DELETE FROM events WHERE seq = 7",
        "DROP TRIGGER events_are_kept; DELETE FROM events WHERE seq > 50",
        "DROP TRIGGER events_are_kept; DELETE FROM events",
        "UPDATE runs SET events = 59 WHERE number = 1",
        "UPDATE runs SET number = 3 WHERE number = 1",
        "DELETE FROM plans",
        "DROP TRIGGER events_stay; UPDATE events SET run = 'phase-1-r1', seq = 60 + seq WHERE run = 'phase-2-r1'",
    ];
    for alteration in alterations {
        let (_folder, lock) = project();
        let connection = Connection::open(lock.state().journal()).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.execute_batch(alteration).unwrap();
        drop(connection);
        let error = read_everything(&lock).expect_err(alteration);
        assert!(matches!(error, Error::Damaged { .. }), "{alteration}: {error:?}");
    }
}

#[test]
fn a_truncated_file_is_damage() {
    let (_folder, lock) = project();
    let path = lock.state().journal();
    let sound = fs::read(&path).unwrap();
    let expected = read_everything(&lock).unwrap();
    let runs: Vec<_> = expected.iter().map(|(run, ..)| run.clone()).collect();
    let whole_pages = (0..sound.len()).step_by(4096);
    for length in whole_pages.chain([1, 100, 4095, 4097, sound.len() - 4095]) {
        put(&path, &sound[..length]);
        let error = refused(&lock);
        assert!(matches!(error, Error::Damaged { .. }), "{length}: {error:?}");
        let reader = Journal::open_read_only(lock.state());
        if let Ok(seen) = reader.and_then(|reader| reader.unwrap().runs()) {
            assert_eq!(seen, runs, "{length}: a reader sees the truth or an error");
        }
    }
    // SQLite fills the last page up with zeros: what stood there is missed by its sum.
    for lost in [1, 2, 40, 400] {
        put(&path, &sound[..sound.len() - lost]);
        if let Ok(read) = read_everything(&lock) {
            assert!(read == expected, "{lost} bytes less changed what is read");
        }
    }
}

#[test]
fn a_lost_file_whose_log_remains_is_not_made_anew() {
    let (_folder, lock) = project();
    let path = lock.state().journal();
    fs::remove_file(&path).unwrap();
    fs::write(path.with_file_name("journal.db-wal"), "something").unwrap();
    let error = Journal::open(&lock).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(!path.exists());
}

#[test]
fn what_was_left_of_making_one_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let lock = StateDir::prepare(folder.path()).unwrap().lock().unwrap();
    fs::write(lock.state().path().join("journal.db.new"), "half a journal").unwrap();
    assert_eq!(Journal::open(&lock).unwrap().runs().unwrap(), []);
}

#[test]
fn another_programs_database_is_not_ours() {
    let (_folder, lock) = project();
    let path = lock.state().journal();
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let error = refused(&lock);
    assert!(matches!(error, Error::NotAJournal { .. }), "{error:?}");
}

#[test]
fn a_newer_schema_is_refused_with_what_to_do() {
    let (_folder, lock) = project();
    let connection = Connection::open(lock.state().journal()).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let error = refused(&lock);
    assert!(matches!(error, Error::NewerSchema { found: 2, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("update idumb"), "{error}");
    let error = Journal::open_read_only(lock.state()).unwrap_err();
    assert!(matches!(error, Error::NewerSchema { .. }), "{error:?}");
}

#[test]
fn a_planted_link_is_not_followed() {
    let (folder, lock) = project();
    let path = lock.state().journal();
    let elsewhere = folder.path().join("elsewhere.db");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let errors =
        [Journal::open(&lock).unwrap_err(), Journal::open_read_only(lock.state()).unwrap_err()];
    for error in errors {
        assert!(matches!(error, Error::Symlink { .. }), "{error:?}");
        assert!(error.to_string().contains("elsewhere.db"), "{error}");
    }
}
