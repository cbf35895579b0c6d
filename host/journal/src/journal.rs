//! The journal: what happened in every run, appended and never changed.
//!
//! Invariant: when an append returns, all of its events are on the disk, in order, or it
//! returned an error and the connection is not used again. Nothing is written to a journal
//! whose check has not passed.

mod check;
mod connect;
mod log;
mod read;

use std::ops::Range;
use std::path::PathBuf;

use idumb_core::{Digest, RunId};
use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

use self::connect::{Connected, create};
use self::read::sum_before;
use crate::rows::{
    NewEvent, NewRun, Outcome, RunRow, SnapshotOf, StoredRun, Sum, record_plan, refused, stored,
};
use crate::state::entry;
use crate::{Error, Lock, Result, StateDir, schema};

/// The events of a project's runs.
///
/// `A` says what its holder may do: [`Writing`] needs the [`Lock`]; [`Reading`] needs
/// nothing, and goes on beside a writer in another process.
#[derive(Debug)]
pub struct Journal<A = Writing> {
    path: PathBuf,
    /// Or why there is none any more.
    connection: Result<Connected, String>,
    /// Held for what it stands for: a writing journal keeps its lock alive.
    _access: A,
}

/// The right to append.
#[derive(Debug)]
pub struct Writing {
    _lock: Lock,
}

/// The right to look.
#[derive(Debug)]
pub struct Reading(());

impl Journal {
    /// Opens the journal of the folder that `lock` is for, or makes an empty one.
    ///
    /// Recovers what a killed process left, upgrades the file's schema, makes all of its
    /// content durable, and starts the check of the file's structure, which may take a
    /// while: the first write waits for it, or [`Self::checked`]. Until then each row is
    /// checked when it is read. (An older schema is upgraded only after the check.) The
    /// lock is kept as long as the journal is.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::NotAJournal`], [`Error::NewerSchema`]: the file was
    /// left as it is. [`Error::StorageFull`] or what the storage says.
    pub fn open(lock: &Lock) -> Result<Self> {
        let path = lock.state().journal();
        if entry(&path)?.is_none() {
            create(lock.state())?;
        }
        let open = Connected::for_writing(&path)?;
        Ok(Self { path, connection: Ok(open), _access: Writing { _lock: lock.clone() } })
    }

    /// Opens the journal for looking, beside whoever writes; `None` if there is none yet.
    ///
    /// Needs no lock and makes no journal. It does not check the whole file, which takes
    /// a while: each row is checked when it is read.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::NotAJournal`], [`Error::NewerSchema`],
    /// [`Error::OlderSchema`], or what the storage says.
    pub fn open_read_only(state: &StateDir) -> Result<Option<Journal<Reading>>> {
        let path = state.journal();
        let Some(open) = Connected::for_reading(&path)? else {
            return Ok(None);
        };
        let found = schema::identify(&open.connection, &path, schema::MIGRATIONS)?;
        let known = schema::latest(schema::MIGRATIONS);
        if found < known {
            return Err(Error::OlderSchema { path, found, known });
        }
        Ok(Some(Journal { path, connection: Ok(open), _access: Reading(()) }))
    }

    /// Opens the journal again after a failed write.
    ///
    /// What was appended last may be there or not: a disk that reported an error may have
    /// done its work all the same. So fold the events anew after this, as at a start.
    ///
    /// # Errors
    /// As [`Self::open`]; then the journal stays as it was, given up.
    pub fn reopen(&mut self) -> Result<()> {
        self.abandon("it is being opened again".to_owned());
        match Connected::for_writing(&self.path) {
            Ok(open) => self.connection = Ok(open),
            Err(error) => {
                self.connection = Err(error.to_string());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits until the file's structure is known to be sound, as the first write does.
    ///
    /// # Errors
    /// [`Error::Damaged`]: the file was left as it is. What the storage says. After either
    /// the connection is given up.
    pub fn checked(&mut self) -> Result<()> {
        let checked = self.connected()?.checked();
        if let Err(error) = &checked {
            self.abandon(error.to_string());
        }
        checked
    }

    /// Records a run and its first events, all or nothing; returns their numbers.
    ///
    /// # Errors
    /// [`Error::RunExists`]; else as [`Self::append`].
    pub fn begin_run(&mut self, new: &NewRun<'_>, events: &[NewEvent<'_>]) -> Result<Range<u64>> {
        if self.run(new.run)?.is_some() {
            return Err(Error::RunExists { run: new.run.clone() });
        }
        let row = RunRow {
            run: new.run.clone(),
            phase: new.phase.clone(),
            plan_digest: new.plan_digest,
            started_at: new.started_at,
            events: 0,
            outcome: None,
        };
        self.write(new.run, |transaction, _| {
            let plan = record_plan(transaction, new.plan)?;
            let last = StoredRun::select(transaction, "ORDER BY number DESC LIMIT 1", [])?;
            let number = last.first().map_or(1, |last| last.number + 1);
            let head = Sum::before_events(new.run);
            let run = StoredRun { row, number, plan, head };
            run.insert(transaction)?;
            append(transaction, run, events)
        })
    }

    /// Appends events to a run, all or nothing, with one sync of the disk however many
    /// they are; returns the numbers they got.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] and [`Error::Refused`] are the caller's, and the journal goes
    /// on as before. After [`Error::StorageFull`], [`Error::Sqlite`] or
    /// [`Error::Damaged`] the connection is given up: everything else returns
    /// [`Error::Abandoned`] until [`Self::reopen`].
    pub fn append(&mut self, run: &RunId, events: &[NewEvent<'_>]) -> Result<Range<u64>> {
        self.write(run, |transaction, stands| append(transaction, stands()?, events))
    }

    /// As [`Self::append`], and with the events sets how the run ended; `None`: it goes on.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_with_outcome(
        &mut self,
        run: &RunId,
        events: &[NewEvent<'_>],
        outcome: Option<Outcome>,
    ) -> Result<Range<u64>> {
        self.write(run, |transaction, stands| {
            let mut run = stands()?;
            run.row.outcome = outcome;
            append(transaction, run, events)
        })
    }

    /// As [`Self::append`], and with the events binds the run to another plan, which
    /// [`Self::plan`] and [`RunRow::plan_digest`] say from then on. Plans that a run went by
    /// before stay recorded.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_with_plan(
        &mut self,
        run: &RunId,
        events: &[NewEvent<'_>],
        plan_digest: Digest,
        plan_json: &str,
    ) -> Result<Range<u64>> {
        self.write(run, |transaction, stands| {
            let mut run = stands()?;
            run.bind(transaction, plan_digest, plan_json)?;
            append(transaction, run, events)
        })
    }

    /// Saves the state that the events of `run` before number `seq` come to, in the place
    /// of what was saved of the run before. What `format` means is the caller's.
    ///
    /// # Errors
    /// [`Error::Refused`] if the run has fewer events; else as [`Self::append`].
    pub fn save_snapshot(&mut self, run: &RunId, seq: u64, format: u32, body: &[u8]) -> Result<()> {
        self.write(run, |transaction, stands| {
            let stands = stands()?;
            let before = sum_before(transaction, &stands, seq)?.ok_or_else(|| {
                let events = stands.row.events;
                refused(format!("a snapshot of {seq} events, and there are {events}"))
            })?;
            let snapshot = SnapshotOf { seq, format, body };
            snapshot.replace(transaction, run, Sum::of_snapshot(run, &snapshot, before))?;
            Ok(((), stands))
        })
    }

    /// Does `work` in a transaction. It is given where the run stands, when it asks, and
    /// returns where the run stands then.
    fn write<T>(
        &mut self,
        run: &RunId,
        work: impl FnOnce(&Transaction<'_>, Stands<'_>) -> rusqlite::Result<(T, StoredRun)>,
    ) -> Result<T> {
        self.checked()?;
        let Connected { connection, stands, .. } = self.connected()?;
        // Taken: what it is after a failure is for the file to say.
        let known = stands.take().filter(|stands| stands.row.run == *run);
        let written = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let find = || known.map_or_else(|| StoredRun::find(&transaction, run), Ok);
                let (value, stands) = work(&transaction, Box::new(find))?;
                transaction.commit()?;
                Ok((value, stands))
            });
        match written {
            Ok((value, now)) => {
                *stands = Some(now);
                Ok(value)
            }
            Err(error) => {
                let error = match refusal(run, &error) {
                    Some(refused) => refused,
                    None => Error::sqlite("write to", &self.path)(error),
                };
                if error.is_of_storage() {
                    self.abandon(error.to_string());
                }
                Err(error)
            }
        }
    }

    fn connected(&mut self) -> Result<&mut Connected> {
        self.connection
            .as_mut()
            .map_err(|why| Error::Abandoned { path: self.path.clone(), why: why.clone() })
    }

    /// After a failed write nothing that the connection believes can be relied on, least
    /// of all what it would copy from its log into the journal when it is closed.
    fn abandon(&mut self, why: String) {
        if let Ok(open) = std::mem::replace(&mut self.connection, Err(why)) {
            open.leave_as_it_is();
        }
    }
}

/// Finds where a run stands: in memory, or in the journal.
type Stands<'a> = Box<dyn FnOnce() -> rusqlite::Result<StoredRun> + 'a>;

/// What the caller asked for that the schema forbids; `None` if that is not it.
fn refusal(run: &RunId, error: &rusqlite::Error) -> Option<Error> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Some(Error::NoSuchRun { run: run.clone() }),
        rusqlite::Error::ToSqlConversionFailure(_) => {
            Some(Error::Refused { run: run.clone(), what: error.to_string() })
        }
        _ if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig)
        ) =>
        {
            Some(Error::Refused { run: run.clone(), what: error.to_string() })
        }
        _ => None,
    }
}

/// Inserts `events` after those that `run` has, and brings its row up to them; returns
/// their numbers, and where the run stands then.
fn append(
    transaction: &Transaction<'_>,
    mut run: StoredRun,
    events: &[NewEvent<'_>],
) -> rusqlite::Result<(Range<u64>, StoredRun)> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events (run, seq, at_ms, kind, task, body, sum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let first = run.row.events;
    for event in events {
        let seq = run.row.events;
        run.head = run.head.then(seq, event);
        run.row.events += 1;
        let task = event.task.map(|task| task.as_str());
        let (at, body) = (stored(event.at)?, &event.body);
        let id = run.row.run.as_str();
        insert.execute((id, stored(seq)?, at, event.kind, task, body, run.head))?;
    }
    run.update(transaction)?;
    Ok((first..run.row.events, run))
}

#[cfg(test)]
mod tests {
    use idumb_core::{Digest, PhaseId};

    use super::*;

    fn event(body: String) -> NewEvent<'static> {
        NewEvent { at: 7, kind: "noted", task: None, body }
    }

    /// A journal of one run with one event, whose file may not grow.
    fn full_journal(project: &std::path::Path) -> (Journal, RunId) {
        let lock = StateDir::prepare(project).unwrap().lock().unwrap();
        let mut journal = Journal::open(&lock).unwrap();
        let phase = PhaseId::new(1, "a").unwrap();
        let run = journal.next_run_id(&phase).unwrap();
        let plan_digest = Digest::of(b"");
        let new = NewRun { run: &run, phase: &phase, plan_digest, plan: "{}", started_at: 1 };
        journal.begin_run(&new, &[event("{}".to_owned())]).unwrap();
        let connection = &journal.connection.as_ref().unwrap().connection;
        connection.pragma_update_and_check(None, "max_page_count", 1, |_| Ok(())).unwrap();
        (journal, run)
    }

    fn too_much() -> NewEvent<'static> {
        event(format!("\"{}\"", "x".repeat(100_000)))
    }

    #[test]
    fn every_commit_is_synced() {
        let project = tempfile::tempdir().unwrap();
        let (journal, _) = full_journal(project.path());
        let pragma = |name| {
            let connection = &journal.connection.as_ref().unwrap().connection;
            connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
        assert_eq!(pragma("synchronous"), 2.into());
        assert_eq!(pragma("foreign_keys"), 1.into());
        assert_eq!(pragma("ignore_check_constraints"), 0.into());
    }

    #[test]
    fn a_failed_write_gives_the_connection_up_until_it_is_reopened() {
        let project = tempfile::tempdir().unwrap();
        let (mut journal, run) = full_journal(project.path());
        let small = || event("{}".to_owned());

        let full = journal.append(&run, &[small(), too_much()]).unwrap_err();
        assert!(matches!(full, Error::StorageFull { .. }), "{full:?}");
        let after = journal.append(&run, &[small()]).unwrap_err();
        assert!(
            matches!(&after, Error::Abandoned { why, .. } if why.contains("no space")),
            "{after}"
        );
        let reading = journal.events(&run).unwrap_err();
        assert!(matches!(reading, Error::Abandoned { .. }), "{reading:?}");

        journal.reopen().unwrap();
        assert_eq!(
            journal.run(&run).unwrap().unwrap().events,
            1,
            "nothing of the failed append is there"
        );
        assert_eq!(journal.append(&run, &[small(), too_much()]).unwrap(), 1..3);
    }

    #[test]
    fn a_failed_reopening_leaves_the_journal_given_up() {
        let project = tempfile::tempdir().unwrap();
        let (mut journal, run) = full_journal(project.path());
        std::fs::rename(&journal.path, journal.path.with_extension("away")).unwrap();
        assert!(matches!(journal.reopen().unwrap_err(), Error::Io { .. }));
        assert!(matches!(journal.append(&run, &[]).unwrap_err(), Error::Abandoned { .. }));
    }

    #[test]
    fn what_the_schema_refuses_is_the_callers_and_the_journal_goes_on() {
        let project = tempfile::tempdir().unwrap();
        let (mut journal, run) = full_journal(project.path());
        let refused = journal.append(&run, &[event("not JSON".to_owned())]).unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
        let late = NewEvent { at: u64::MAX, ..event("{}".to_owned()) };
        let refused = journal.append(&run, &[late]).unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
        assert_eq!(journal.append(&run, &[event("{}".to_owned())]).unwrap(), 1..2);
    }
}
