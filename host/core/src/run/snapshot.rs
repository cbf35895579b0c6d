//! Saved state at a journal position, so that going on does not fold what was folded before.
//!
//! Invariant: a snapshot and the events after it give the state that all events give, but
//! for the details of attempts that succeeded, which only [`Run::replan`] looks at: what is to be
//! replanned is recovered from all its events.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::state::{Integration, RunState, TaskRecord, TaskState};
use super::{Run, RunConfig};
use crate::{Digest, Plan, Stamped, TaskId};

/// The format that [`Run::snapshot`] writes. One of another format is of no use.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// A snapshot that is of no use here: fold all events instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It was taken of a run of another plan.
    #[error("the snapshot is of plan {found}, not of {expected}", found = found.short(), expected = expected.short())]
    OtherPlan {
        /// The plan at hand.
        expected: Digest,
        /// The plan that it was taken of.
        found: Digest,
    },
    /// It is not one.
    #[error("the snapshot cannot be read: {0}")]
    Unreadable(String),
}

/// What is written. Tasks that need few words are letters in `tasks`, in the order of the
/// plan; the others have their record. What the state skips is here.
#[derive(Debug, Serialize, Deserialize)]
struct Saved<'a> {
    plan: Digest,
    config: Cow<'a, RunConfig>,
    tasks: String,
    records: Vec<(u32, TaskRecord)>,
    completed: Vec<u32>,
    forgotten: usize,
    integrations: Vec<Integration>,
    state: Cow<'a, RunState>,
}

const BLOCKED: char = '.';
const READY: char = 'r';
const SUCCEEDED: char = '+';
const OTHER: char = '?';

impl Run {
    /// The state, for [`Self::recover_from`]. To be taken when no event is undrained.
    pub fn snapshot(&self) -> Vec<u8> {
        let state = &self.state;
        let mut records = Vec::new();
        let mut tasks = String::with_capacity(state.tasks.len());
        for (number, record) in state.tasks.iter().enumerate() {
            let letter = letter(record);
            tasks.push(letter);
            if letter == OTHER
                && let Ok(number) = u32::try_from(number)
            {
                records.push((number, slim(record)));
            }
        }
        let number = |id: &TaskId| u32::try_from(state.graph.number(id)?).ok();
        let builds = |state: &TaskState| matches!(state, TaskState::Leased | TaskState::Running);
        let open = state.tasks.iter().filter(|record| {
            let candidate = record.change_set().is_some() && !record.state.is_terminal();
            candidate || builds(&record.state)
        });
        let seen = open.filter_map(|record| Some(record.latest.as_ref()?.built_after));
        // Nobody asks any more what was integrated before the oldest open attempt was leased.
        let oldest = seen.min().unwrap_or_else(|| state.integrated()).max(state.forgotten);
        let saved = Saved {
            plan: self.plan.digest,
            config: Cow::Borrowed(&self.config),
            tasks,
            records,
            completed: state.completed.iter().filter_map(number).collect(),
            forgotten: oldest,
            integrations: state.integrations[oldest - state.forgotten..].to_vec(),
            state: Cow::Borrowed(state),
        };
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// A run as a snapshot and the events recorded after it left it: to go on as `config` says,
    /// or, without one, as it went the last time.
    ///
    /// # Errors
    /// [`SnapshotError`]: all events have to be folded instead.
    pub fn recover_from<'a>(
        plan: Plan,
        config: impl Into<Option<RunConfig>>,
        snapshot: &[u8],
        tail: impl IntoIterator<Item = &'a Stamped>,
    ) -> Result<Self, SnapshotError> {
        let unreadable = |why: String| SnapshotError::Unreadable(why);
        let saved: Saved<'_> =
            serde_json::from_slice(snapshot).map_err(|error| unreadable(error.to_string()))?;
        if saved.plan != plan.digest {
            let (expected, found) = (plan.digest, saved.plan);
            return Err(SnapshotError::OtherPlan { expected, found });
        }
        let mut latest = saved.config.clone();
        let state = restored(saved, RunState::uncounted(&plan)).map_err(unreadable)?;
        let mut run = Self::with_state(plan, latest.clone().into_owned(), state);
        for stamped in tail {
            run.state.apply(stamped);
            if let Some(config) = stamped.event.config() {
                latest = Cow::Borrowed(config);
            }
        }
        run.config = config.into().unwrap_or_else(|| latest.into_owned());
        Ok(run)
    }
}

/// One letter for a record that has nothing else to say.
fn letter(record: &TaskRecord) -> char {
    let untouched = record.attempt == 0 && record.latest.is_none() && !record.passed;
    let once = (record.attempt, record.epoch, record.failures, record.conflicts) == (1, 2, 0, 0);
    let plain = record.granted == 0 && record.deaths == 0 && record.artifacts.is_empty();
    match record.state {
        TaskState::Blocked if untouched => BLOCKED,
        TaskState::Ready if untouched => READY,
        TaskState::Succeeded if once && plain && !record.passed => SUCCEEDED,
        _ => OTHER,
    }
}

/// Without the details of an attempt that succeeded.
fn slim(record: &TaskRecord) -> TaskRecord {
    let mut slim = record.clone();
    if slim.state == TaskState::Succeeded {
        slim.latest = None;
    }
    slim
}

fn restored(saved: Saved<'_>, fresh: RunState) -> Result<RunState, String> {
    let Saved { tasks: letters, records, completed, forgotten, integrations, state, .. } = saved;
    let RunState { tasks, graph, .. } = fresh;
    if letters.len() != tasks.len() {
        return Err(format!("{} tasks, not {}", letters.len(), tasks.len()));
    }
    let mut state = RunState { tasks, graph, forgotten, integrations, ..state.into_owned() };
    for (record, letter) in state.tasks.iter_mut().zip(letters.chars()) {
        match letter {
            BLOCKED => record.state = TaskState::Blocked,
            READY => record.state = TaskState::Ready,
            SUCCEEDED => {
                record.state = TaskState::Succeeded;
                (record.attempt, record.epoch) = (1, 2);
            }
            _ => {}
        }
    }
    let place = |number: u32| {
        let number = usize::try_from(number).ok().filter(|number| *number < letters.len());
        number.ok_or("a task that is not in the plan")
    };
    for (number, record) in records {
        state.tasks[place(number)?] = record;
    }
    for number in completed {
        state.completed.push(state.graph.id(place(number)?).clone());
    }
    state.count_anew();
    Ok(state)
}
