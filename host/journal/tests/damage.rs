//! A damaged journal is reported and left alone; it never reads as something else.
//!
//! Invariant: after each refusal the file has the bytes it had before.

use std::fs;
use std::path::Path;

use idumb_core::{Digest, PhaseId, RunId, TaskId};
use idumb_journal::{
    Error, Journal, Lock, NewEvent, NewRun, Outcome, Result, RunRow, Snapshot, StateDir,
    StoredEvent,
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
    let first = RunId::new("phase-1-r1").unwrap();
    journal.save_snapshot(&first, 58, 1, &b"what they come to ".repeat(500)).unwrap();
    drop(journal);
    assert!(is_blank(&lock.state().path().join("journal.db-wal")), "closed, it is one file");
    (folder, lock)
}

/// Whether the log at `path` says nothing.
fn is_blank(path: &Path) -> bool {
    fs::read(path).unwrap()[..32].iter().all(|byte| *byte == 0)
}

type Everything = Vec<(RunRow, String, Vec<StoredEvent>, Option<Snapshot>)>;

fn read_everything(lock: &Lock) -> Result<Everything> {
    let mut journal = Journal::open(lock)?;
    journal.checked()?;
    let read = |row: RunRow| {
        let run: &RunId = &row.run;
        let (plan, events) = (journal.plan(run)?, journal.events(run)?);
        let snapshot = journal.snapshot(run)?;
        Ok((row, plan, events, snapshot))
    };
    journal.runs()?.into_iter().map(read).collect()
}

/// Puts `bytes` in the journal's place, as if nothing else had ever been there.
fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    assert!(is_blank(&path.with_file_name("journal.db-wal")), "a refusal does not write to it");
    let _ = fs::remove_file(path.with_file_name("journal.db-shm"));
}

fn refused(lock: &Lock) -> Error {
    let path = lock.state().journal();
    let before = fs::read(&path).unwrap();
    let error = Journal::open(lock).and_then(|mut journal| journal.checked()).unwrap_err();
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
        "UPDATE snapshots SET seq = 57",
        "UPDATE snapshots SET seq = 61",
        "UPDATE snapshots SET seq = -1",
        "UPDATE snapshots SET format = 2",
        "UPDATE snapshots SET body = zeroblob(9000)",
        "UPDATE snapshots SET run = 'phase-2-r1'",
        "DROP TRIGGER events_stay; UPDATE events SET sum = zeroblob(32) WHERE seq = 57",
        "DROP TRIGGER events_stay; UPDATE events SET run = 'phase-1-r1', seq = 60 + seq WHERE run = 'phase-2-r1'",
    ];
    for alteration in alterations {
        let (_folder, lock) = project();
        let connection = Connection::open(lock.state().journal()).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
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
    for length in whole_pages.chain([1, 100, 4095, 4097]) {
        put(&path, &sound[..length]);
        let error = refused(&lock);
        assert!(matches!(error, Error::Damaged { .. }), "{length}: {error:?}");
        let reader = Journal::open_read_only(lock.state());
        if let Ok(seen) = reader.and_then(|reader| reader.unwrap().runs()) {
            assert_eq!(seen, runs, "{length}: a reader sees the truth or an error");
        }
    }
    // SQLite fills the last page up with zeros: what stood there is missed by its sum.
    for lost in [1, 2, 40, 400, 4095] {
        put(&path, &sound[..sound.len() - lost]);
        match read_everything(&lock) {
            Ok(read) => {
                assert!(read == expected, "{lost} bytes less changed what is read");
                assert!(lost < 4095, "a lost page goes unnoticed");
            }
            Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{lost}: {error:?}"),
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
fn a_lost_file_is_missed_by_the_log_that_it_left_closed() {
    let (_folder, lock) = project();
    fs::remove_file(lock.state().journal()).unwrap();
    let error = Journal::open(&lock).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

#[test]
fn a_log_of_only_zeros_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let lock = StateDir::prepare(folder.path()).unwrap().lock().unwrap();
    fs::write(lock.state().path().join("journal.db-wal"), vec![0; 1 << 20]).unwrap();
    let mut journal = Journal::open(&lock).unwrap();
    assert_eq!(journal.runs().unwrap(), []);
    journal.checked().unwrap();
}

/// Overwrites a page in the midst of the events, which nothing reads to open the journal.
fn lose_a_page_of_events(path: &Path) {
    let leaf: i64 = Connection::open(path)
        .unwrap()
        .query_row(
            "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf'
             ORDER BY path LIMIT 1 OFFSET 2",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut bytes = fs::read(path).unwrap();
    let at = usize::try_from(leaf - 1).unwrap() * 4096;
    bytes[at..at + 4096].fill(0x5a);
    fs::write(path, bytes).unwrap();
}

#[test]
fn nothing_is_written_to_a_journal_whose_check_has_not_passed() {
    let run = RunId::new("phase-1-r1").unwrap();
    let phase = PhaseId::new(3, "some-phase").unwrap();
    let new_run = RunId::new("phase-3-r1").unwrap();
    let digest = Digest::of(b"{}");
    let new =
        NewRun { run: &new_run, phase: &phase, plan_digest: digest, plan: "{}", started_at: 5 };
    type Write<'a> = &'a dyn Fn(&mut Journal) -> Result<()>;
    let writes: [Write<'_>; 6] = [
        &|journal| journal.checked(),
        &|journal| journal.begin_run(&new, &[]).map(drop),
        &|journal| journal.append(&run, &[]).map(drop),
        &|journal| journal.append_with_outcome(&run, &[], None).map(drop),
        &|journal| journal.append_with_plan(&run, &[], digest, "{}").map(drop),
        &|journal| journal.save_snapshot(&run, 1, 1, b"state"),
    ];
    for (number, write) in writes.iter().enumerate() {
        let (_folder, lock) = project();
        let path = lock.state().journal();
        lose_a_page_of_events(&path);
        let before = fs::read(&path).unwrap();
        let mut journal = Journal::open(&lock).expect("opening does not wait for the check");
        let error = write(&mut journal).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{number}: {error:?}");
        let after = write(&mut journal).unwrap_err();
        assert!(matches!(after, Error::Abandoned { .. }), "{number}: {after:?}");
        drop(journal);
        assert_eq!(fs::read(&path).unwrap(), before, "{number}: it was left alone");
        assert!(is_blank(&path.with_file_name("journal.db-wal")), "{number}: its log too");
    }
}

#[test]
fn a_file_that_has_no_log_yet_is_checked_before_it_gets_one() {
    let (_folder, lock) = project();
    let path = lock.state().journal();
    Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "DELETE").unwrap();
    lose_a_page_of_events(&path);
    let before = fs::read(&path).unwrap();
    let error = Journal::open(&lock).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_snapshot_does_not_vouch_for_other_events() {
    let run = RunId::new("phase-1-r1").unwrap();
    let phase = PhaseId::new(1, "some-phase").unwrap();
    let journal_of = |words: &str| {
        let folder = tempfile::tempdir().unwrap();
        let lock = StateDir::prepare(folder.path()).unwrap().lock().unwrap();
        let mut journal = Journal::open(&lock).unwrap();
        let digest = Digest::of(b"");
        let new =
            NewRun { run: &run, phase: &phase, plan_digest: digest, plan: "{}", started_at: 5 };
        let event = |body: &str| NewEvent { at: 1, kind: "noted", task: None, body: body.into() };
        journal.begin_run(&new, &[event(words), event("{}"), event("{}")]).unwrap();
        journal.save_snapshot(&run, 2, 1, b"state").unwrap();
        drop(journal);
        (folder, lock)
    };
    let (_one, first) = journal_of("1");
    let (_other, second) = journal_of("2");
    let connection = Connection::open(second.state().journal()).unwrap();
    connection.execute("ATTACH ?1 AS first", [first.state().journal().to_str().unwrap()]).unwrap();
    connection
        .execute_batch("DELETE FROM snapshots; INSERT INTO snapshots SELECT * FROM first.snapshots")
        .unwrap();
    drop(connection);
    let journal = Journal::open(&second).unwrap();
    assert_eq!(journal.events(&run).unwrap().len(), 3, "the events are sound");
    let error = journal.snapshot(&run).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

#[test]
fn a_damaged_journal_gets_nothing_from_its_log() {
    let (folder, lock) = project();
    let (path, log) = (lock.state().journal(), lock.state().path().join("journal.db-wal"));
    let run = RunId::new("phase-1-r1").unwrap();
    let mut journal = Journal::open(&lock).unwrap();
    let event = NewEvent { at: 1, kind: "noted", task: None, body: "{}".to_owned() };
    journal.append(&run, &[event]).unwrap();
    let left = fs::read(&log).unwrap();
    drop(journal);
    assert_ne!(fs::read(&log).unwrap(), left);
    drop(lock);

    // As if the process had been killed after the append, and then a page was lost.
    let lock = StateDir::prepare(folder.path()).unwrap().lock().unwrap();
    lose_a_page_of_events(&path);
    fs::write(&log, &left).unwrap();
    let _ = fs::remove_file(path.with_file_name("journal.db-shm"));
    let before = fs::read(&path).unwrap();
    for wait in [true, false] {
        let mut journal = Journal::open(&lock).unwrap();
        if wait {
            let error = journal.checked().unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        }
        drop(journal);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read(&log).unwrap(), left);
    }
}

#[test]
fn a_run_that_is_lost_under_an_open_journal_is_missed() {
    let (_folder, lock) = project();
    let run = RunId::new("phase-1-r1").unwrap();
    let mut journal = Journal::open(&lock).unwrap();
    journal.append(&run, &[]).unwrap();
    let other = Connection::open(lock.state().journal()).unwrap();
    other.pragma_update(None, "foreign_keys", false).unwrap();
    other.execute("DELETE FROM runs WHERE number = 1", []).unwrap();
    let error = journal.append(&run, &[]).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
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
    connection.pragma_update(None, "user_version", 3).unwrap();
    drop(connection);
    let error = refused(&lock);
    assert!(matches!(error, Error::NewerSchema { found: 3, known: 2, .. }), "{error:?}");
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
