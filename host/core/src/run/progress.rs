//! Where a run stands, for people and for the state document.
//!
//! Invariant: everything here is derived from the state; nothing reads it back.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::run::{Run, RunConfig, RunState, TaskState};
use crate::{Millis, Plan, TaskId, WorkflowStep};

/// The execution state as the seed lays it down: seven keys, no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDocument {
    /// `phase-2`; `phase-2_completed` once the phase is completed.
    pub phase: String,
    /// `in_progress`, `paused`, `completed` or `failed`.
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

impl StateDocument {
    /// Whether `other` differs at most in its estimate.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let without = |document: &Self| Self { estimated_completion: None, ..document.clone() };
        without(self) == without(other)
    }
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
    /// The tasks of the batch at hand that are not done.
    pub current: Vec<TaskId>,
    /// What failed, waits for a decision, or cannot run because of such a task.
    pub blocked: Vec<TaskId>,
    /// How long it will take yet; `None`: unknown.
    pub remaining_ms: Option<u64>,
}

impl Progress {
    pub(crate) fn of(plan: &Plan, config: &RunConfig, state: &RunState, now: Millis) -> Self {
        let in_state = |wanted: &dyn Fn(&TaskState) -> bool| -> Vec<TaskId> {
            let fits = |id: &TaskId| state.task(id).is_some_and(|record| wanted(&record.state));
            plan.tasks.iter().map(|task| &task.id).filter(|id| fits(id)).cloned().collect()
        };
        let newest = state.completed.len().saturating_sub(5);
        Self {
            completed: state.completed.len(),
            total: plan.tasks.len(),
            recent: state.completed[newest..].to_vec(),
            current: state
                .batch
                .iter()
                .filter(|id| state.task(id).is_some_and(|record| !record.state.is_terminal()))
                .cloned()
                .collect(),
            blocked: in_state(&|state| {
                matches!(
                    state,
                    TaskState::AwaitingDecision(_) | TaskState::Failed(_) | TaskState::Skipped(_)
                )
            }),
            remaining_ms: remaining_ms(plan, config, state, now),
        }
    }

    /// Completed tasks of all, in whole percent, rounded down.
    pub fn percent(&self) -> usize {
        (self.completed * 100).checked_div(self.total).unwrap_or(100)
    }
}

/// The longer of two lower bounds, by the mean duration of what was done so far: the
/// longest chain of dependent tasks, and all tasks over the width of a batch.
fn remaining_ms(plan: &Plan, config: &RunConfig, state: &RunState, now: Millis) -> Option<u64> {
    if state.completed.is_empty() {
        return None;
    }
    if state.completed.len() == plan.tasks.len() {
        return Some(0);
    }
    let mean = state.worked_ms / state.completed.len() as u64;
    let open: Vec<_> = plan
        .tasks
        .iter()
        .filter(|task| state.task(&task.id).is_some_and(|record| !record.state.is_terminal()))
        .collect();
    if open.is_empty() {
        return None;
    }
    let mut depth: BTreeMap<&TaskId, u64> = BTreeMap::new();
    // Plans list tasks in any order: as many rounds as the longest chain settle it.
    let mut longest = 0;
    loop {
        let mut changed = false;
        for task in &open {
            let above = task.depends_on.iter().filter_map(|id| depth.get(id)).max();
            let mine = above.map_or(1, |above| above + 1);
            longest = longest.max(mine);
            changed |= depth.insert(&task.id, mine) != Some(mine);
        }
        if !changed || longest > open.len() as u64 {
            break;
        }
    }
    let width = (open.len() as u64).div_ceil(u64::from(config.batch_size.max(1)));
    let spent = state
        .batch
        .iter()
        .filter_map(|id| state.task(id))
        .filter(|record| !record.state.is_terminal() && record.started_at > 0)
        .map(|record| now.saturating_sub(record.started_at))
        .min()
        .unwrap_or(0);
    Some((mean * longest.max(width)).saturating_sub(spent))
}

impl Run {
    pub(super) fn document(&self, now: Millis, status: &str) -> StateDocument {
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
            estimated_completion: progress.remaining_ms.map(|left| time_text(now + left)),
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
