//! Between a run and its journal.
//!
//! Invariant: what [`Recorder::record`] returns is on the disk.

use anyhow::{Context as _, Result};
use idumb_core::{
    Event, Plan, Run, RunConfig, RunId, RunOutcome, SNAPSHOT_FORMAT, Stamped, StateDocument,
};
use idumb_journal::{Durability, Journal, NewEvent, NewRun, Outcome, StateDir, write_state};

use crate::fail_point::fail_point;

/// How many events are folded anew at most, for a small plan.
const SNAPSHOT_EVERY: u64 = 2000;

/// Writes a run's events down.
pub(crate) struct Recorder {
    journal: Journal,
    /// Whether the run is in the journal yet.
    recorded: bool,
    /// How many events it has.
    events: u64,
    /// How many of them the latest snapshot covers.
    covered: u64,
}

impl Recorder {
    /// For a run that is not in the journal yet.
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, recorded: false, events: 0, covered: 0 }
    }

    /// For a run with so many recorded events.
    pub(crate) fn going_on(journal: Journal, events: u64, covered: u64) -> Self {
        Self { journal, recorded: true, events, covered }
    }

    /// Makes every pending event durable, all in one transaction.
    pub(crate) fn record(&mut self, run: &mut Run) -> Result<Vec<Stamped>> {
        let mut events: Vec<Stamped> = Vec::new();
        while let Some(event) = run.poll_event() {
            events.push(event);
        }
        if events.is_empty() {
            return Ok(events);
        }
        fail_point("journal.commit.before");
        self.append(run, &events).map_err(unrecorded)?;
        fail_point("journal.commit.after");
        self.events += events.len() as u64;
        Ok(events)
    }

    fn append(&mut self, run: &Run, events: &[Stamped]) -> Result<()> {
        let rows = rows(events)?;
        let id = &run.config().run;
        let outcome = outcome_of(events);
        if !self.recorded {
            let plan = serde_json::to_string(run.plan())?;
            let new = NewRun {
                run: id,
                phase: &run.plan().phase,
                plan_digest: run.plan().digest,
                plan: &plan,
                started_at: events.first().map_or(0, |event| event.at),
            };
            self.journal.begin_run(&new, &rows)?;
            self.recorded = true;
            if outcome.is_some() {
                self.journal.append_with_outcome(id, &[], outcome)?;
            }
        } else if reopened(events) || outcome.is_some() {
            self.journal.append_with_outcome(id, &rows, outcome)?;
        } else {
            self.journal.append(id, &rows)?;
        }
        Ok(())
    }

    /// Records that the run goes on with another plan.
    pub(crate) fn replan(&mut self, run: &RunId, plan: &Plan, event: &Stamped) -> Result<()> {
        let rows = rows(std::slice::from_ref(event))?;
        let text = serde_json::to_string(plan)?;
        fail_point("replan.before");
        self.journal.append_with_plan(run, &rows, plan.digest, &text)?;
        fail_point("replan.after");
        self.events += 1;
        Ok(())
    }

    /// Saves the run's state if there is enough that would be folded anew, or, at the end of
    /// its work, if there is anything worth it.
    pub(crate) fn snapshot(&mut self, run: &Run, at_rest: bool) -> Result<()> {
        let tail = self.events - self.covered;
        let often = SNAPSHOT_EVERY.max(run.plan().tasks.len() as u64 / 4);
        let wanted = if at_rest { often / 8 } else { often };
        if !self.recorded || tail < wanted {
            return Ok(());
        }
        let id = &run.config().run;
        fail_point("snapshot.before");
        self.journal.save_snapshot(id, self.events, SNAPSHOT_FORMAT, &run.snapshot())?;
        fail_point("snapshot.after");
        self.covered = self.events;
        Ok(())
    }
}

/// Writes the state document, for others to read.
pub(crate) fn write_document(
    state: &StateDir,
    document: &StateDocument,
    durability: Durability,
) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    fail_point("document.before");
    write_state(state, &text, durability)?;
    fail_point("document.after");
    Ok(())
}

/// What a person is told when events cannot be kept.
fn unrecorded(error: anyhow::Error) -> anyhow::Error {
    error.context("what happened cannot be recorded, so the run stops here")
}

fn rows(events: &[Stamped]) -> Result<Vec<NewEvent<'_>>> {
    let row = |stamped: &'_ Stamped| -> Result<String> { Ok(serde_json::to_string(stamped)?) };
    let mut rows = Vec::with_capacity(events.len());
    for stamped in events {
        rows.push(NewEvent {
            at: stamped.at,
            kind: stamped.event.kind(),
            task: stamped.event.task(),
            body: row(stamped)?,
        });
    }
    Ok(rows)
}

fn reopened(events: &[Stamped]) -> bool {
    events.iter().any(|stamped| matches!(stamped.event, Event::RunResumed { .. }))
}

/// How the run ended with these events, if it did.
fn outcome_of(events: &[Stamped]) -> Option<Outcome> {
    events.iter().rev().find_map(|stamped| {
        let Event::RunFinished { outcome } = &stamped.event else {
            return None;
        };
        let name = match outcome {
            RunOutcome::Completed => Outcome::COMPLETED,
            RunOutcome::Failed { .. } => "failed",
            RunOutcome::Refused { .. } => "refused",
            RunOutcome::Cancelled { .. } => "cancelled",
        };
        Some(Outcome { name: name.to_owned(), at: stamped.at })
    })
}

/// The events that a run recorded from number `from` on.
pub(crate) fn recorded_events<A>(
    journal: &Journal<A>,
    run: &RunId,
    from: u64,
) -> Result<Vec<Stamped>> {
    let stored = journal.events_from(run, from)?;
    let parse = |event: &idumb_journal::StoredEvent| -> Result<Stamped> {
        let unknown = |error: serde_json::Error| Unknown {
            run: run.clone(),
            seq: event.seq,
            why: error.to_string(),
        };
        Ok(serde_json::from_str(&event.body).map_err(unknown)?)
    };
    stored.iter().map(parse).collect()
}

/// A sound event that another version of idumb wrote.
#[derive(Debug)]
pub(crate) struct Unknown {
    run: RunId,
    seq: u64,
    why: String,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { run, seq, why } = self;
        write!(f, "event {seq} of {run} is not one that this idumb knows ({why})")
    }
}

impl std::error::Error for Unknown {}

/// A recorded run, as its journal tells it: from its snapshot where there is one.
pub(crate) struct Recorded {
    pub(crate) run: Run,
    pub(crate) events: u64,
    pub(crate) covered: u64,
}

/// Recovers a run as it was recorded.
pub(crate) fn recover<A>(journal: &Journal<A>, id: &RunId, plan: Plan) -> Result<Recorded> {
    let snapshot = journal.snapshot(id)?.filter(|saved| saved.format == SNAPSHOT_FORMAT);
    if let Some(saved) = snapshot {
        let tail = recorded_events(journal, id, saved.seq)?;
        let events = saved.seq + tail.len() as u64;
        if let Ok(run) = Run::recover_from(plan.clone(), None, &saved.body, &tail) {
            return Ok(Recorded { run, events, covered: saved.seq });
        }
    }
    let events = recorded_events(journal, id, 0)?;
    let run = Run::recover(plan, config_of(&events)?, &events);
    Ok(Recorded { run, events: events.len() as u64, covered: 0 })
}

/// How the run was to go, the last time that it began or was taken up.
pub(crate) fn config_of(events: &[Stamped]) -> Result<RunConfig> {
    let latest = events.iter().rev().find_map(|stamped| stamped.event.config());
    latest.cloned().context("the journal's run does not begin with its start")
}
