//! Where a run stands, for people and for the state document.
//!
//! Invariant: everything here is derived from the state; nothing reads it back.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Control, Run, RunConfig, RunState, TaskState};
use crate::{Millis, Moment, RunOutcome, TaskId, WorkflowStep};

/// The execution state as the seed lays it down: seven keys, no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDocument {
    /// `phase-2`; `phase-2_completed` once the phase is completed.
    pub phase: String,
    /// `in_progress`, `paused`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// In the order of their completion.
    pub completed_tasks: Vec<String>,
    /// What is being worked on.
    pub current_batch: Vec<String>,
    /// What failed, waits for a decision, or cannot run because of such a task.
    pub blocked_tasks: Vec<String>,
    /// RFC 3339, UTC.
    pub start_time: String,
    /// RFC 3339, UTC; `null` while nothing is known.
    pub estimated_completion: Option<String>,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How many tasks succeeded.
    pub completed: usize,
    /// How many tasks there are.
    pub total: usize,
    /// The tasks that succeeded last, newest last, at most five.
    pub recent: Vec<TaskId>,
    /// The tasks that are under way, and those of the batch at hand that wait for an attempt.
    pub current: Vec<TaskId>,
    /// What failed, waits for a decision, or cannot run because of such a task.
    pub blocked: Vec<TaskId>,
    /// How long it will take yet; `None`: unknown.
    pub remaining_ms: Option<u64>,
}

impl Progress {
    pub(crate) fn of(config: &RunConfig, state: &RunState, now: Moment) -> Self {
        let newest = state.completed.len().saturating_sub(5);
        Self {
            completed: state.completed.len(),
            total: state.tasks.len(),
            recent: state.completed[newest..].to_vec(),
            current: current(state),
            blocked: state.blocked(),
            remaining_ms: remaining_ms(config, state, now),
        }
    }

    /// Completed tasks of all, in whole percent, rounded down.
    pub fn percent(&self) -> usize {
        (self.completed * 100).checked_div(self.total).unwrap_or(100)
    }
}

fn current(state: &RunState) -> Vec<TaskId> {
    let waits = |id: &&TaskId| {
        state.task(id).is_some_and(|record| {
            matches!(
                record.state,
                TaskState::Ready | TaskState::Conflicted | TaskState::BackOff { .. }
            )
        })
    };
    let mut current: Vec<TaskId> = Vec::new();
    let under_way = state.sets.under_way.iter().map(|&number| state.graph.id(number));
    current.extend(under_way.cloned());
    current.extend(state.batch.iter().filter(waits).cloned());
    current
}

/// The longer of two lower bounds, by the mean duration of the attempts that succeeded: the
/// remaining critical path, and all open tasks over the width of a batch.
fn remaining_ms(config: &RunConfig, state: &RunState, now: Moment) -> Option<u64> {
    let open = state.tasks.len() - state.completed.len();
    if open == 0 {
        return Some(0);
    }
    let mean = state.worked_ms.checked_div(u64::from(state.measured))?;
    let sets = &state.sets;
    let next = sets.ready.iter().chain(&sets.under_way).chain(&sets.backing_off);
    let longest = next.map(|&number| u64::from(state.graph.chain(number))).max()?;
    let width = (open as u64).div_ceil(u64::from(config.batch_size.max(1)));
    let spent = sets
        .under_way
        .iter()
        .filter_map(|&number| state.tasks[number].latest.as_ref())
        .filter(|latest| latest.started_up.0 == state.life)
        .map(|latest| now.up.saturating_sub(latest.started_up.1))
        .min()
        .unwrap_or(0);
    Some(mean.saturating_mul(longest.max(width)).saturating_sub(spent))
}

impl Run {
    /// The state document, as it is now.
    pub fn state_document(&self, now: impl Into<Moment>) -> StateDocument {
        let status = match &self.state.control {
            Control::Finished(RunOutcome::Completed) => "completed",
            Control::Finished(RunOutcome::Cancelled { .. }) => "cancelled",
            Control::Finished(_) => "failed",
            Control::Paused(..) => "paused",
            Control::Active | Control::PauseRequested(..) | Control::Cancelling(_) => "in_progress",
        };
        self.document(now.into(), status)
    }

    pub(super) fn document(&self, now: Moment, status: &str) -> StateDocument {
        let progress = self.progress(now);
        let names = |ids: &[TaskId]| ids.iter().map(ToString::to_string).collect();
        let completed = status == "completed" || self.state.step == Some(WorkflowStep::Report);
        let key = self.plan.phase.key();
        StateDocument {
            phase: if completed { format!("{key}_completed") } else { key },
            status: status.to_owned(),
            completed_tasks: names(&self.state.completed),
            current_batch: names(&progress.current),
            blocked_tasks: names(&progress.blocked),
            start_time: time_text(self.state.started_at),
            estimated_completion: progress
                .remaining_ms
                .map(|left| time_text(now.at.saturating_add(left))),
        }
    }
}

/// RFC 3339, UTC, whole seconds.
fn time_text(at: Millis) -> String {
    let seconds = i64::try_from(at / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| time.to_string())
}

/// A duration for people: `320ms`, `12s`, `2h 5m`.
pub fn duration_text(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let whole = SignedDuration::from_millis(i64::try_from(ms / 1000 * 1000).unwrap_or(i64::MAX));
    format!("{whole:#}")
}
