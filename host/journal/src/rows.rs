//! The rows of the journal, and the sums that bind them.
//!
//! Invariant: a row that is handed out is the row that was written, or its sum would not
//! match; an event's sum also vouches for every event before it.

use idumb_core::{Digest, Millis, PhaseId, RunId, TaskId};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row, named_params};

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// Its name, from [`Journal::next_run_id`](crate::Journal::next_run_id).
    pub run: &'a RunId,
    /// The phase it executes.
    pub phase: &'a PhaseId,
    /// Of the plan's file.
    pub plan_digest: Digest,
    /// The plan as it was parsed, in JSON: the run goes on with it after the file is edited.
    pub plan: &'a str,
    /// When it began.
    pub started_at: Millis,
}

/// An event to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// When it happened.
    pub at: Millis,
    /// The event's name; not empty.
    pub kind: &'a str,
    /// The task it is about, if it is about one.
    pub task: Option<&'a TaskId>,
    /// All of it, in JSON.
    pub body: String,
}

/// An event as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the run, from 0, without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Millis,
    /// The event's name.
    pub kind: String,
    /// The task it is about, if it is about one.
    pub task: Option<TaskId>,
    /// All of it, in JSON.
    pub body: String,
}

/// How and when a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In one word; [`Outcome::COMPLETED`] is the one that counts as a phase's completion.
    pub name: String,
    /// When.
    pub at: Millis,
}

impl Outcome {
    /// The run did all that its plan says.
    pub const COMPLETED: &'static str = "completed";
}

/// A run as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its name.
    pub run: RunId,
    /// The phase it executes.
    pub phase: PhaseId,
    /// Of the plan's file: when the run began, or when it was bound to another plan last.
    pub plan_digest: Digest,
    /// When it began.
    pub started_at: Millis,
    /// How many events it has: the number that the next one gets.
    pub events: u64,
    /// How it ended; `None`: it did not, yet.
    pub outcome: Option<Outcome>,
}

/// The state of a run at a place in its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How many events it comes of: the number of the first one that is not in it.
    pub seq: u64,
    /// How to read `body`; what the numbers mean is the caller's.
    pub format: u32,
    /// The state.
    pub body: Vec<u8>,
}

/// A snapshot whose body is elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SnapshotOf<'a> {
    pub(crate) seq: u64,
    pub(crate) format: u32,
    pub(crate) body: &'a [u8],
}

/// A run as it is stored: with what only the journal needs to know.
#[derive(Debug, Clone)]
pub(crate) struct StoredRun {
    pub(crate) row: RunRow,
    /// Its place among all runs, from 1.
    pub(crate) number: u64,
    /// Of its plan.
    pub(crate) plan: Sum,
    /// Of its last event.
    pub(crate) head: Sum,
}

/// The BLAKE3 sum of a row; two rows of the same sum are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum([u8; 32]);

impl Sum {
    pub(crate) fn of_plan(plan: &str) -> Self {
        Self(*blake3::hash(plan.as_bytes()).as_bytes())
    }

    /// What the sum of a run's first event stands on.
    pub(crate) fn before_events(run: &RunId) -> Self {
        Fields::of("events").text(run.as_str()).sum()
    }

    /// Of the event at `seq` that follows the one with this sum.
    pub(crate) fn then(self, seq: u64, event: &NewEvent<'_>) -> Self {
        self.followed_by(seq, event.at, event.kind, event.task.map(TaskId::as_str), &event.body)
    }

    fn followed_by(self, seq: u64, at: u64, kind: &str, task: Option<&str>, body: &str) -> Self {
        Fields::of("event")
            .bytes(&self.0)
            .number(seq)
            .number(at)
            .text(kind)
            .optional(task)
            .text(body)
            .sum()
    }

    /// Of a snapshot of the events up to the one with the sum `before`.
    pub(crate) fn of_snapshot(run: &RunId, snapshot: &SnapshotOf<'_>, before: Self) -> Self {
        Fields::of("snapshot")
            .text(run.as_str())
            .number(snapshot.seq)
            .number(snapshot.format.into())
            .bytes(&before.0)
            .bytes(snapshot.body)
            .sum()
    }

    fn of_run(run: &StoredRun) -> Self {
        let StoredRun { row, number, plan, head } = run;
        let ended = row.outcome.as_ref();
        Fields::of("run")
            .number(*number)
            .text(row.run.as_str())
            .number(row.phase.number.into())
            .text(&row.phase.name)
            .text(&row.plan_digest.to_hex())
            .bytes(&plan.0)
            .number(row.started_at)
            .number(row.events)
            .bytes(&head.0)
            .optional(ended.map(|outcome| outcome.name.as_str()))
            .number(ended.map_or(0, |outcome| outcome.at))
            .sum()
    }
}

impl ToSql for Sum {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Sum {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        FromSql::column_result(value).map(Self)
    }
}

/// Hashes fields so that no two different rows yield the same bytes.
struct Fields(blake3::Hasher);

impl Fields {
    fn of(kind: &str) -> Self {
        Self(blake3::Hasher::new()).text(kind)
    }

    fn number(mut self, number: u64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn optional(self, text: Option<&str>) -> Self {
        match text {
            None => self.number(0),
            Some(text) => self.number(1).text(text),
        }
    }

    fn sum(self) -> Sum {
        Sum(*self.0.finalize().as_bytes())
    }
}

/// A whole number as SQLite stores it: it has no unsigned ones.
pub(crate) fn stored(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// The error for a value that is not what was written; it becomes [`crate::Error::Damaged`].
pub(crate) fn altered(what: impl Into<String>) -> rusqlite::Error {
    let what: String = what.into();
    rusqlite::Error::FromSqlConversionFailure(0, Type::Null, what.into())
}

/// The error for what the caller may not write; it becomes [`crate::Error::Refused`].
pub(crate) fn refused(what: impl Into<String>) -> rusqlite::Error {
    let what: String = what.into();
    rusqlite::Error::ToSqlConversionFailure(what.into())
}

/// A column that is never negative.
fn number(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let found: i64 = row.get(column)?;
    u64::try_from(found).map_err(|_| altered(format!("`{column}` is {found}")))
}

fn parsed<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| altered(format!("`{column}` is `{text}`")))
}

impl StoredRun {
    /// The runs that `rest` of the statement selects, each checked.
    pub(crate) fn select(
        connection: &Connection,
        rest: &str,
        params: impl Params,
    ) -> rusqlite::Result<Vec<Self>> {
        let mut select = connection.prepare_cached(&format!("SELECT * FROM runs {rest}"))?;
        select.query_map(params, Self::from_row)?.collect()
    }

    /// The run of that name, checked; `QueryReturnedNoRows` if there is none.
    pub(crate) fn find(connection: &Connection, run: &RunId) -> rusqlite::Result<Self> {
        let mut found = Self::select(connection, "WHERE run = ?1", [run.as_str()])?;
        found.pop().ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let phase_number = row.get("phase_number")?;
        let outcome = match row.get("outcome")? {
            None => None,
            Some(name) => Some(Outcome { name, at: number(row, "ended_at")? }),
        };
        let found = Self {
            row: RunRow {
                run: parsed(row, "run", |text| RunId::new(text).ok())?,
                phase: parsed(row, "phase_name", |text| PhaseId::new(phase_number, text).ok())?,
                plan_digest: parsed(row, "plan_digest", |text| text.parse().ok())?,
                started_at: number(row, "started_at")?,
                events: number(row, "events")?,
                outcome,
            },
            number: number(row, "number")?,
            plan: row.get("plan")?,
            head: row.get("head")?,
        };
        if Sum::of_run(&found) == row.get("sum")? {
            Ok(found)
        } else {
            Err(altered(format!("the row of run {} is not what was written", found.row.run)))
        }
    }

    pub(crate) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let row = &self.row;
        connection.execute(
            "INSERT INTO runs (number, run, phase_number, phase_name, plan_digest, plan,
                               started_at, events, head, sum)
             VALUES (:number, :run, :phase_number, :phase_name, :plan_digest, :plan,
                     :started_at, :events, :head, :sum)",
            named_params! {
                ":number": stored(self.number)?,
                ":run": row.run.as_str(),
                ":phase_number": row.phase.number,
                ":phase_name": row.phase.name,
                ":plan_digest": row.plan_digest.to_string(),
                ":plan": self.plan,
                ":started_at": stored(row.started_at)?,
                ":events": stored(row.events)?,
                ":head": self.head,
                ":sum": Sum::of_run(self),
            },
        )?;
        Ok(())
    }

    /// Writes where the run stands: all that an append changes of it.
    pub(crate) fn update(&self, connection: &Connection) -> rusqlite::Result<()> {
        let outcome = self.row.outcome.as_ref();
        let mut update = connection.prepare_cached(
            "UPDATE runs SET events = :events, head = :head, outcome = :outcome,
                             ended_at = :ended_at, sum = :sum
             WHERE number = :number",
        )?;
        let changed = update.execute(named_params! {
            ":events": stored(self.row.events)?,
            ":head": self.head,
            ":outcome": outcome.map(|outcome| &outcome.name),
            ":ended_at": outcome.map(|outcome| stored(outcome.at)).transpose()?,
            ":sum": Sum::of_run(self),
            ":number": stored(self.number)?,
        })?;
        if changed == 1 {
            Ok(())
        } else {
            Err(altered(format!("the row of run {} is gone", self.row.run)))
        }
    }

    /// Records `plan` and binds the run to it. The row is whole again after [`Self::update`].
    pub(crate) fn bind(
        &mut self,
        connection: &Connection,
        digest: Digest,
        plan: &str,
    ) -> rusqlite::Result<()> {
        self.row.plan_digest = digest;
        self.plan = record_plan(connection, plan)?;
        connection.execute(
            "UPDATE runs SET plan_digest = ?1, plan = ?2 WHERE number = ?3",
            (digest.to_string(), self.plan, stored(self.number)?),
        )?;
        Ok(())
    }
}

/// Records a plan, if it is not yet there; returns its sum.
pub(crate) fn record_plan(connection: &Connection, plan: &str) -> rusqlite::Result<Sum> {
    let sum = Sum::of_plan(plan);
    connection.execute(
        "INSERT INTO plans (sum, plan) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        (sum, plan),
    )?;
    Ok(sum)
}

impl Snapshot {
    /// The snapshot of a run, not yet checked, and the sum it was written with.
    pub(crate) fn find(
        connection: &Connection,
        run: &RunId,
    ) -> rusqlite::Result<Option<(Self, Sum)>> {
        connection
            .prepare_cached("SELECT seq, format, body, sum FROM snapshots WHERE run = ?1")?
            .query_row([run.as_str()], |row| {
                let (format, body) = (row.get("format")?, row.get("body")?);
                Ok((Self { seq: number(row, "seq")?, format, body }, row.get("sum")?))
            })
            .optional()
    }

    pub(crate) fn borrowed(&self) -> SnapshotOf<'_> {
        SnapshotOf { seq: self.seq, format: self.format, body: &self.body }
    }
}

impl SnapshotOf<'_> {
    /// Writes it in the place of the one before.
    pub(crate) fn replace(
        &self,
        connection: &Connection,
        run: &RunId,
        sum: Sum,
    ) -> rusqlite::Result<()> {
        let mut replace = connection.prepare_cached(
            "INSERT INTO snapshots (run, seq, format, body, sum) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, format = excluded.format,
                                             body = excluded.body, sum = excluded.sum",
        )?;
        replace.execute((run.as_str(), stored(self.seq)?, self.format, self.body, sum))?;
        Ok(())
    }
}

impl StoredEvent {
    /// Takes the row of the event at `seq`, which follows the one with the sum `before`;
    /// with its own sum.
    pub(crate) fn from_row(
        row: &Row<'_>,
        run: &RunId,
        seq: u64,
        before: Sum,
    ) -> rusqlite::Result<(Self, Sum)> {
        let task: Option<String> = row.get("task")?;
        let event = Self {
            seq: number(row, "seq")?,
            at: number(row, "at_ms")?,
            kind: row.get("kind")?,
            task: task.map(TaskId::new).transpose().map_err(|error| altered(error.to_string()))?,
            body: row.get("body")?,
        };
        let task = event.task.as_ref().map(TaskId::as_str);
        let sum = before.followed_by(seq, event.at, &event.kind, task, &event.body);
        if event.seq == seq && sum == row.get("sum")? {
            Ok((event, sum))
        } else {
            Err(altered(format!("event {seq} of run {run} is not what was written")))
        }
    }
}
