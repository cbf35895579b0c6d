//! The write-ahead log's file: as long as it gets, from the start, and blank when closed.
//!
//! Invariant: what a killed process would leave is what the files hold, read by another
//! program, for closing a file that SQLite has open would end its locks.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use idumb_core::{Digest, PhaseId, RunId};
use idumb_journal::{Error, Journal, NewEvent, NewRun, StateDir};
use rusqlite::Connection;
use tempfile::TempDir;

const HEADER: usize = 32;
/// SQLite's own measure of when to copy it into the journal.
const LEAST: u64 = 1000 * (4096 + 24);

struct Project {
    folder: TempDir,
    state: StateDir,
}

fn project() -> Project {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(folder.path()).unwrap();
    Project { folder, state }
}

impl Project {
    fn open(&self) -> Journal {
        Journal::open(&self.state.lock().unwrap()).unwrap()
    }

    fn log(&self) -> PathBuf {
        self.state.path().join("journal.db-wal")
    }

    /// What is there if everything is killed now, as a project of its own.
    fn killed_now(&self) -> Self {
        let copy = project();
        for name in ["journal.db", "journal.db-wal"] {
            let status = Command::new("cp")
                .arg(self.state.path().join(name))
                .arg(copy.state.path().join(name))
                .status()
                .unwrap();
            assert!(status.success());
        }
        copy
    }

    fn events(&self) -> usize {
        self.open().events(&run()).unwrap().len()
    }
}

fn run() -> RunId {
    RunId::new("phase-1-r1").unwrap()
}

fn begin(journal: &mut Journal) {
    let (run, phase) = (run(), PhaseId::new(1, "a").unwrap());
    let plan_digest = Digest::of(b"");
    let new = NewRun { run: &run, phase: &phase, plan_digest, plan: "{}", started_at: 0 };
    journal.begin_run(&new, &[]).unwrap();
}

fn append(journal: &mut Journal) {
    let event = NewEvent { at: 0, kind: "noted", task: None, body: "{}".to_owned() };
    journal.append(&run(), &[event]).unwrap();
}

fn is_blank(log: &Path) -> bool {
    fs::read(log).unwrap()[..HEADER].iter().all(|byte| *byte == 0)
}

/// The file's length, and that all of it has blocks of its own on the disk.
fn length(log: &Path) -> u64 {
    let found = fs::metadata(log).unwrap();
    assert!(found.blocks() * 512 >= found.len(), "no holes: {found:?}");
    found.len()
}

#[test]
fn it_has_its_length_from_the_start_and_keeps_it() {
    let project = project();
    let mut journal = project.open();
    let whole = length(&project.log());
    assert!(whole >= LEAST, "{whole}");
    begin(&mut journal);
    for _ in 0..50 {
        append(&mut journal);
    }
    assert_eq!(length(&project.log()), whole);
    drop(journal);
    assert_eq!(length(&project.log()), whole, "closing does not shorten it");
    let inode = fs::metadata(project.log()).unwrap().ino();
    assert_eq!(project.events(), 50);
    assert_eq!(length(&project.log()), whole);
    assert_eq!(fs::metadata(project.log()).unwrap().ino(), inode, "it is not made anew");
}

#[test]
fn a_shorter_one_is_made_longer_whatever_it_holds() {
    let project = project();
    let mut journal = project.open();
    begin(&mut journal);
    append(&mut journal);
    let left = project.killed_now();
    let whole = length(&project.log());
    // As SQLite would have left it that wrote no more than its frames: cut in its zeros.
    let log = fs::read(left.log()).unwrap();
    let end = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    fs::write(left.log(), &log[..end]).unwrap();
    assert_eq!(left.events(), 1);
    assert_eq!(length(&left.log()), whole);
    // Cut in its last frame: the append was never whole.
    let left = project.killed_now();
    fs::write(left.log(), &log[..end - 10]).unwrap();
    assert_eq!(left.events(), 0);
    assert_eq!(length(&left.log()), whole);
}

#[test]
fn closed_the_journal_is_one_file() {
    let project = project();
    let mut journal = project.open();
    begin(&mut journal);
    append(&mut journal);
    assert!(!is_blank(&project.killed_now().log()), "it is in the log now");
    drop(journal);
    assert!(is_blank(&project.log()));
    let backup = fs::read(project.state.journal()).unwrap();

    let mut journal = project.open();
    append(&mut journal);
    drop(journal);
    assert_eq!(project.events(), 2);
    fs::write(project.state.journal(), backup).unwrap();
    assert_eq!(project.events(), 1, "a copy in its place is what it was");
}

#[test]
fn a_reader_that_stays_does_not_make_the_next_writer_lose_anything() {
    let project = project();
    let mut journal = project.open();
    begin(&mut journal);
    append(&mut journal);
    let reader = Journal::open_read_only(&project.state).unwrap().unwrap();
    assert_eq!(reader.events(&run()).unwrap().len(), 1);
    drop(journal);
    // By another program: the reader has it open.
    assert!(is_blank(&project.killed_now().log()), "the reader was not reading");

    let mut journal = project.open();
    // The reader knew of frames whose header is gone: what comes next begins anew.
    let known: i64 = Connection::open(project.state.journal())
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))
        .unwrap();
    assert_eq!(known, 0);
    assert!(length(&project.log()) >= LEAST);
    append(&mut journal);
    assert_eq!(reader.events(&run()).unwrap().len(), 2);
    assert_eq!(project.killed_now().events(), 2, "its frames have a header");
    append(&mut journal);
    drop(journal);
    assert_eq!(reader.events(&run()).unwrap().len(), 3);
}

#[test]
fn a_log_that_is_being_read_is_left_as_it_is() {
    let project = project();
    let mut journal = Some(project.open());
    begin(journal.as_mut().unwrap());
    append(journal.as_mut().unwrap());
    append(journal.as_mut().unwrap());
    let reader = Journal::open_read_only(&project.state).unwrap().unwrap();
    let mut seen = 0;
    let close_meanwhile = |_| {
        seen += 1;
        drop(journal.take());
        std::ops::ControlFlow::Continue(())
    };
    reader.visit(&run(), 0, close_meanwhile).unwrap();
    assert_eq!(seen, 2);
    assert!(!is_blank(&project.killed_now().log()));
    assert_eq!(project.events(), 2);
    drop(project.folder);
}

#[test]
fn it_is_copied_into_the_journal_as_it_goes() {
    let project = project();
    let mut journal = project.open();
    begin(&mut journal);
    let whole = length(&project.log());
    let empty = fs::metadata(project.state.journal()).unwrap().len();
    for _ in 0..900 {
        append(&mut journal);
    }
    assert!(fs::metadata(project.state.journal()).unwrap().len() > empty);
    assert_eq!(length(&project.log()), whole, "it is long enough for what comes between");
    assert_eq!(project.killed_now().events(), 900);
}

#[test]
fn what_a_big_commit_made_it_longer_is_given_back() {
    let project = project();
    let mut journal = project.open();
    begin(&mut journal);
    let big = 30_000_000;
    journal.save_snapshot(&run(), 0, 1, &vec![7; big]).unwrap();
    assert!(length(&project.log()) > big as u64);
    append(&mut journal);
    drop(journal);
    let mut journal = project.open();
    append(&mut journal);
    drop(journal);
    assert!((LEAST..big as u64).contains(&length(&project.log())));
    assert_eq!(project.events(), 2);
}

#[test]
fn a_lost_header_of_what_only_the_log_has_is_damage() {
    let project = project();
    let mut journal = project.open();
    begin(&mut journal);
    append(&mut journal);
    let reader = Journal::open_read_only(&project.state).unwrap().unwrap();
    assert_eq!(reader.events(&run()).unwrap().len(), 1);
    let log = fs::OpenOptions::new().write(true).open(project.log()).unwrap();
    log.write_all_at(&[0; HEADER], 0).unwrap();
    let before = fs::metadata(project.state.journal()).unwrap().len();
    let error = journal.reopen().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    drop(journal);
    assert_eq!(fs::metadata(project.state.journal()).unwrap().len(), before);
    assert_eq!(reader.events(&run()).unwrap().len(), 1, "who still can reads it");
}
