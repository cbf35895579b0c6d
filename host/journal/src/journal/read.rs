//! What can be read from a journal, by whoever writes it and by whoever does not.
//!
//! Invariant: nothing is handed out whose sum does not match.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use idumb_core::{PhaseId, RunId};
use rusqlite::{Connection, OptionalExtension, Params};

use super::Journal;
use crate::rows::{Outcome, RunRow, Snapshot, StoredEvent, StoredRun, Sum, altered, stored};
use crate::{Error, Result};

impl<A> Journal<A> {
    /// The run of that name.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Abandoned`], or what the storage says; so it is with
    /// all that read.
    pub fn run(&self, run: &RunId) -> Result<Option<RunRow>> {
        self.first_run("WHERE run = ?1", [run.as_str()])
    }

    /// All runs, in the order in which they were begun.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn runs(&self) -> Result<Vec<RunRow>> {
        self.select_runs("ORDER BY number", [])
    }

    /// The run that was begun last: of the phase of that number, or of any.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn latest_run(&self, phase: Option<u32>) -> Result<Option<RunRow>> {
        self.first_run(
            "WHERE ?1 IS NULL OR phase_number = ?1 ORDER BY number DESC LIMIT 1",
            [phase],
        )
    }

    /// The latest run that has no outcome and that no later run of its phase replaces: of
    /// the phase of that number, or of any.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn latest_unfinished(&self, phase: Option<u32>) -> Result<Option<RunRow>> {
        let rest = "WHERE outcome IS NULL AND (?1 IS NULL OR phase_number = ?1)
             AND number = (SELECT max(number) FROM runs AS others
                           WHERE others.phase_number = runs.phase_number)
             ORDER BY number DESC LIMIT 1";
        self.first_run(rest, [phase])
    }

    /// For each phase that was ever completed, the latest run that did; by phase number.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn completed_phases(&self) -> Result<Vec<RunRow>> {
        let rest = "WHERE number IN (SELECT max(number) FROM runs WHERE outcome = ?1
                                     GROUP BY phase_number)
             ORDER BY phase_number";
        self.select_runs(rest, [Outcome::COMPLETED])
    }

    /// A name for the next run of `phase`, such as `phase-1-r3`. It is taken only when the
    /// run is begun.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn next_run_id(&self, phase: &PhaseId) -> Result<RunId> {
        let prefix = format!("{}-r", phase.key());
        let found = self.select_runs("WHERE phase_number = ?1", [phase.number])?;
        let numbers = found
            .iter()
            .filter_map(|row| row.run.as_str().strip_prefix(&prefix)?.parse::<u32>().ok());
        let next = numbers.max().map_or(1, |number| number.saturating_add(1));
        Ok(RunId::new(format!("{prefix}{next}")).expect("a phase's key and a number are an id"))
    }

    /// The plan that the run of that name executes, in JSON, as it was when it began.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; else as [`Self::run`].
    pub fn plan(&self, run: &RunId) -> Result<String> {
        self.read(|connection| {
            let sum = StoredRun::find(connection, run)?.plan;
            let plan = connection
                .prepare_cached("SELECT plan FROM plans WHERE sum = ?1")?
                .query_row([sum], |row| row.get::<_, String>(0))
                .optional()?;
            plan.filter(|plan| Sum::of_plan(plan) == sum)
                .ok_or_else(|| altered(format!("the plan of run {run} is not what was written")))
        })
        .map_err(|error| error.or_no_such(run))
    }

    /// The state of the run that was saved last, with the events it is of; `None` if there
    /// is none. What happened since is in [`Self::events_from`] its `seq`.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; else as [`Self::run`].
    pub fn snapshot(&self, run: &RunId) -> Result<Option<Snapshot>> {
        self.read(|connection| {
            // Read first: a writer only ever adds to the events it is of.
            let saved = Snapshot::find(connection, run)?;
            let stands = StoredRun::find(connection, run)?;
            let Some((snapshot, sum)) = saved else {
                return Ok(None);
            };
            match sum_before(connection, &stands, snapshot.seq)? {
                None => Err(altered(format!("the snapshot of run {run} is of events it has not"))),
                Some(before) if Sum::of_snapshot(run, &snapshot.borrowed(), before) != sum => {
                    Err(altered(format!("the snapshot of run {run} is not what was written")))
                }
                Some(_) => Ok(Some(snapshot)),
            }
        })
        .map_err(|error| error.or_no_such(run))
    }

    /// All events of a run, in order.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; else as [`Self::run`].
    pub fn events(&self, run: &RunId) -> Result<Vec<StoredEvent>> {
        self.events_from(run, 0)
    }

    /// The events of a run from number `from` on, in order: none if there are none yet.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn events_from(&self, run: &RunId, from: u64) -> Result<Vec<StoredEvent>> {
        let mut events = Vec::new();
        self.visit(run, from, |event| {
            events.push(event);
            ControlFlow::Continue(())
        })?;
        Ok(events)
    }

    /// Shows `each` the events of a run from number `from` on, one at a time, in order,
    /// until it breaks off. What was shown before an error is sound.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn visit(
        &self,
        run: &RunId,
        from: u64,
        mut each: impl FnMut(StoredEvent) -> ControlFlow<()>,
    ) -> Result<()> {
        self.read(|connection| {
            // Read first: what is appended meanwhile only comes on top.
            let stands = StoredRun::find(connection, run)?;
            let Some(mut sum) = sum_before(connection, &stands, from)? else {
                return Ok(());
            };
            let mut select = connection.prepare_cached(
                "SELECT seq, at_ms, kind, task, body, sum FROM events
                 WHERE run = ?1 AND seq >= ?2 ORDER BY seq",
            )?;
            let mut rows = select.query((run.as_str(), stored(from)?))?;
            let mut next = from;
            while let Some(row) = rows.next()? {
                let event;
                (event, sum) = StoredEvent::from_row(row, run, next, sum)?;
                next += 1;
                if next == stands.row.events && sum != stands.head {
                    return Err(altered(format!("the events of run {run} are not its own")));
                }
                if each(event).is_break() {
                    return Ok(());
                }
            }
            if next < stands.row.events {
                return Err(altered(format!("event {next} of run {run} is gone")));
            }
            Ok(())
        })
        .map_err(|error| error.or_no_such(run))
    }

    fn first_run(&self, rest: &str, params: impl Params) -> Result<Option<RunRow>> {
        Ok(self.select_runs(rest, params)?.into_iter().next())
    }

    fn select_runs(&self, rest: &str, params: impl Params) -> Result<Vec<RunRow>> {
        let found = self.read(|connection| StoredRun::select(connection, rest, params));
        Ok(found?.into_iter().map(|run| run.row).collect())
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        match &self.connection {
            Ok(open) => work(&open.connection).map_err(Error::sqlite("read", &self.path)),
            Err(why) => Err(Error::Abandoned { path: self.path.clone(), why: why.clone() }),
        }
    }
}

/// The sum that event `from` stands on; `None` if the run has not got that far.
pub(super) fn sum_before(
    connection: &Connection,
    run: &StoredRun,
    from: u64,
) -> rusqlite::Result<Option<Sum>> {
    if from == 0 {
        return Ok(Some(Sum::before_events(&run.row.run)));
    }
    match from.cmp(&run.row.events) {
        Ordering::Greater => Ok(None),
        Ordering::Equal => Ok(Some(run.head)),
        Ordering::Less => {
            let before = from - 1;
            connection
                .prepare_cached("SELECT sum FROM events WHERE run = ?1 AND seq = ?2")?
                .query_row((run.row.run.as_str(), stored(before)?), |row| row.get(0))
                .optional()?
                .map(Some)
                .ok_or_else(|| altered(format!("event {before} of run {} is gone", run.row.run)))
        }
    }
}
