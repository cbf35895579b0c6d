//! An existing plan as the pattern of another phase's.
//!
//! Invariant: the tasks, their order and their criteria are those of the pattern; only names
//! change, and all of them together.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{CriterionId, PhaseId, Plan, Task, TaskId};

/// The plan for `phase` and `goal` that `pattern` is the pattern of, with what was left out of it.
///
/// Tasks are called `P<number>-T<n>`. Criteria that have their task's id in front keep the rest of
/// theirs.
pub(super) fn borrowed(pattern: &Plan, phase: &PhaseId, goal: &str) -> (Plan, Vec<String>) {
    let ids: BTreeMap<&TaskId, TaskId> = pattern
        .tasks
        .iter()
        .zip(1_usize..)
        .filter_map(|(task, number)| Some((&task.id, task_id(phase, number)?)))
        .collect();
    let mut taken: BTreeSet<CriterionId> =
        pattern.links.iter().map(|link| link.id.clone()).collect();
    let renamed = |id: &TaskId| ids.get(id).unwrap_or(id).clone();
    let tasks = pattern.tasks.iter().map(|task| {
        let mut new = Task { id: renamed(&task.id), ..task.clone() };
        new.depends_on = task.depends_on.iter().map(renamed).collect();
        for criterion in &mut new.accept {
            criterion.id = criterion_id(&task.id, &new.id, &criterion.id, &mut taken);
        }
        new
    });
    let plan = Plan {
        phase: phase.clone(),
        goal: goal.to_owned(),
        depends_on: Vec::new(),
        supersedes: Vec::new(),
        tasks: tasks.collect(),
        links: pattern.links.clone(),
        digest: pattern.digest,
    };
    (plan, left_out(pattern))
}

/// The id of a task; `None` only if the number has more digits than an id has room.
pub(super) fn task_id(phase: &PhaseId, number: usize) -> Option<TaskId> {
    TaskId::new(format!("P{}-T{number}", phase.number)).ok()
}

/// A criterion's id below its task's new one, which no other has.
fn criterion_id(
    old_task: &TaskId,
    new_task: &TaskId,
    old: &CriterionId,
    taken: &mut BTreeSet<CriterionId>,
) -> CriterionId {
    let kept = match old.as_str().strip_prefix(old_task.as_str()) {
        Some(rest) if rest.starts_with('.') => CriterionId::new(format!("{new_task}{rest}")),
        _ => Ok(old.clone()),
    };
    let counted = (1_usize..).map(|number| CriterionId::new(format!("{new_task}.{number}")));
    let mut free = [kept].into_iter().chain(counted).flatten().filter(|id| !taken.contains(id));
    let id = free.next().unwrap_or_else(|| old.clone());
    taken.insert(id.clone());
    id
}

/// What only that phase depended on, and ended.
fn left_out(pattern: &Plan) -> Vec<String> {
    let mut told = Vec::new();
    if !pattern.depends_on.is_empty() {
        let phases = pattern.depends_on.join(", ");
        told.push(format!("Left out: that phase depended on {phases}; this one may, too."));
    }
    if !pattern.supersedes.is_empty() {
        let ids: Vec<&str> = pattern.supersedes.iter().map(|id| id.as_str()).collect();
        told.push(format!("Left out: that phase ended {}.", ids.join(", ")));
    }
    told
}
