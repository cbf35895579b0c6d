//! Another plan for a run that has begun: what of its work can stay.
//!
//! Invariant: a task stays done only if its definition, everything that it depends on and
//! everything that it read stayed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Run, TaskState};
use crate::{Event, Plan, ResourceLimits, Task, TaskId, Unkept};

impl Run {
    /// The event that binds this run to another plan. Once it is recorded,
    /// [`Run::recover`] with that plan, and all events with this one, is the run as it then is.
    ///
    /// What was read and written must be known: of a run that was folded from all its events,
    /// not from a snapshot. And the base must be in one state: see [`Run::is_unsettled`].
    pub fn replan(&self, plan: &Plan) -> Event {
        let new: BTreeMap<&TaskId, &Task> =
            plan.tasks.iter().map(|task| (&task.id, task)).collect();
        let mut kept: Vec<TaskId> = Vec::new();
        let mut keeps: BTreeSet<&TaskId> = BTreeSet::new();
        let mut changed = Vec::new();
        // What was written by tasks that are not kept, and by which.
        let mut outdated: BTreeMap<&str, &TaskId> = BTreeMap::new();
        for id in &self.state.completed {
            match self.unkept(id, new.get(id).copied(), &keeps, &outdated) {
                None => {
                    keeps.insert(id);
                    kept.push(id.clone());
                }
                Some(why) => {
                    let latest = self.state.task(id).and_then(|record| record.latest.as_ref());
                    let paths = latest.into_iter().flat_map(|latest| &latest.paths);
                    outdated.extend(paths.map(|path| (path.as_str(), id)));
                    changed.push((id.clone(), why));
                }
            }
        }
        let tasks = u32::try_from(plan.tasks.len()).unwrap_or(u32::MAX);
        Event::Replanned { plan: plan.digest, tasks, kept, changed }
    }

    /// Why a completed task cannot stay done, if it cannot.
    fn unkept(
        &self,
        id: &TaskId,
        new: Option<&Task>,
        keeps: &BTreeSet<&TaskId>,
        outdated: &BTreeMap<&str, &TaskId>,
    ) -> Option<Unkept> {
        let old = self.plan_task(id);
        let Some(task) = new.filter(|new| old.is_some_and(|old| same(old, new))) else {
            return Some(Unkept::Definition);
        };
        if let Some(gone) = task.depends_on.iter().find(|other| !keeps.contains(other)) {
            return Some(Unkept::Dependency { task: gone.clone() });
        }
        let record = self.state.task(id)?;
        debug_assert!(record.latest.is_some(), "a snapshot does not say what was read");
        debug_assert_eq!(record.state, TaskState::Succeeded, "completed tasks have succeeded");
        let paths: BTreeSet<&str> = outdated.keys().copied().collect();
        let (read, path) = record.latest.as_ref()?.record.stale_read(&paths)?;
        let task = (*outdated.get(path)?).clone();
        Some(Unkept::Input { path: read.to_owned(), task })
    }
}

/// Whether the two say the same about what is to be done. How long it may take, how often it
/// may be tried and where a person decides do not matter once it is done.
fn same(old: &Task, new: &Task) -> bool {
    let bare = |task: &Task| Task {
        timeout: None,
        limits: ResourceLimits::default(),
        retries: 0,
        checkpoint: None,
        ..task.clone()
    };
    bare(old) == bare(new)
}
