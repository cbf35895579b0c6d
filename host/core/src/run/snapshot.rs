//! Saved state at a journal position, so that going on does not fold what was folded before.
//!
//! Invariant: a snapshot and the events after it give the state that all events give, but
//! for the details of attempts that succeeded, which only [`Run::replan`] looks at: what is to be
//! replanned is recovered from all its events.

use serde::{Deserialize, Serialize};

use super::state::{Control, Integration, RunState, TaskRecord, TaskState};
use super::{Run, RunConfig};
use crate::{Digest, Millis, Plan, Prompt, Stamped, TaskId, WorkflowStep};

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
/// plan; the others have their record.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    plan: Digest,
    tasks: String,
    records: Vec<(u32, TaskRecord)>,
    begun: bool,
    life: u32,
    control: Control,
    step: Option<WorkflowStep>,
    phase_epoch: u32,
    batches: u32,
    batch: Vec<TaskId>,
    batch_passed: bool,
    completed: Vec<u32>,
    failed: Vec<TaskId>,
    forgotten: usize,
    integrations: Vec<Integration>,
    prompts: Vec<Prompt>,
    prompts_opened: u32,
    started_at: Millis,
    active_ms: u64,
    budget_ms: u64,
    worked_ms: u64,
    measured: u32,
    last_up: Millis,
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
            tasks,
            records,
            begun: state.begun,
            life: state.life,
            control: state.control.clone(),
            step: state.step,
            phase_epoch: state.phase_epoch,
            batches: state.batches,
            batch: state.batch.clone(),
            batch_passed: state.batch_passed,
            completed: state.completed.iter().filter_map(number).collect(),
            failed: state.failed.clone(),
            forgotten: oldest,
            integrations: state.integrations[oldest - state.forgotten..].to_vec(),
            prompts: state.prompts.iter().cloned().collect(),
            prompts_opened: state.prompts_opened,
            started_at: state.started_at,
            active_ms: state.active_ms,
            budget_ms: state.budget_ms,
            worked_ms: state.worked_ms,
            measured: state.measured,
            last_up: state.last_up,
        };
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// A run as a snapshot and the events recorded after it left it.
    ///
    /// # Errors
    /// [`SnapshotError`]: all events have to be folded instead.
    pub fn recover_from<'a>(
        plan: Plan,
        config: RunConfig,
        snapshot: &[u8],
        tail: impl IntoIterator<Item = &'a Stamped>,
    ) -> Result<Self, SnapshotError> {
        let unreadable = |why: String| SnapshotError::Unreadable(why);
        let saved: Saved =
            serde_json::from_slice(snapshot).map_err(|error| unreadable(error.to_string()))?;
        if saved.plan != plan.digest {
            let (expected, found) = (plan.digest, saved.plan);
            return Err(SnapshotError::OtherPlan { expected, found });
        }
        let state = restored(saved, RunState::uncounted(&plan)).map_err(unreadable)?;
        let mut run = Self::with_state(plan, config, state);
        for stamped in tail {
            run.state.apply(stamped);
        }
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

fn restored(saved: Saved, mut state: RunState) -> Result<RunState, String> {
    if saved.tasks.len() != state.tasks.len() {
        return Err(format!("{} tasks, not {}", saved.tasks.len(), state.tasks.len()));
    }
    for (record, letter) in state.tasks.iter_mut().zip(saved.tasks.chars()) {
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
    for (number, record) in saved.records {
        let place = usize::try_from(number).ok().and_then(|number| state.tasks.get_mut(number));
        *place.ok_or("a task that is not in the plan")? = record;
    }
    for number in &saved.completed {
        let number = usize::try_from(*number).ok().filter(|number| *number < state.tasks.len());
        state
            .completed
            .push(state.graph.id(number.ok_or("a task that is not in the plan")?).clone());
    }
    state.begun = saved.begun;
    state.life = saved.life;
    state.control = saved.control;
    state.step = saved.step;
    state.phase_epoch = saved.phase_epoch;
    state.batches = saved.batches;
    state.batch = saved.batch;
    state.batch_passed = saved.batch_passed;
    state.failed = saved.failed;
    state.forgotten = saved.forgotten;
    state.integrations = saved.integrations;
    state.prompts = saved.prompts.into();
    state.prompts_opened = saved.prompts_opened;
    state.started_at = saved.started_at;
    state.active_ms = saved.active_ms;
    state.budget_ms = saved.budget_ms;
    state.worked_ms = saved.worked_ms;
    state.measured = saved.measured;
    state.last_up = saved.last_up;
    state.count_anew();
    Ok(state)
}
