//! The shape of a plan: which task is where, what waits for it, how far it is to the end.
//!
//! Invariant: built once from a plan, and the same for the same plan.

use std::collections::{BTreeSet, VecDeque};

use crate::{CheckpointAt, Plan, Task, TaskId};

/// Where each task is.
#[expect(clippy::disallowed_types, reason = "it is only looked up, never gone through")]
type Index = std::collections::HashMap<TaskId, usize>;

/// The shape of a plan. Tasks are numbered in the order of the plan.
#[derive(Debug)]
pub(crate) struct Graph {
    index: Index,
    ids: Vec<TaskId>,
    dependents: Vec<Vec<usize>>,
    /// How many different dependencies each task has; one that is not in the plan counts.
    needs: Vec<usize>,
    /// How many tasks the longest chain has that begins with each.
    chains: Vec<u32>,
    /// The tasks with a checkpoint after them.
    stops: BTreeSet<usize>,
}

impl Graph {
    /// Of `plan`.
    pub(crate) fn of(plan: &Plan) -> Self {
        let ids: Vec<TaskId> = plan.tasks.iter().map(|task| task.id.clone()).collect();
        let index: Index = ids.iter().enumerate().map(|(at, id)| (id.clone(), at)).collect();
        let mut dependents = vec![Vec::new(); ids.len()];
        let mut needs = vec![0; ids.len()];
        for (at, task) in plan.tasks.iter().enumerate() {
            for (nth, id) in task.depends_on.iter().enumerate() {
                if task.depends_on[..nth].contains(id) {
                    continue;
                }
                needs[at] += 1;
                if let Some(&other) = index.get(id) {
                    dependents[other].push(at);
                }
            }
        }
        let chains = chains(&dependents, &needs);
        let after =
            |task: &Task| task.checkpoint.is_some_and(|stop| stop.at == CheckpointAt::After);
        let stops = (0..ids.len()).filter(|&at| after(&plan.tasks[at])).collect();
        Self { index, ids, dependents, needs, chains, stops }
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The number of a task of the plan.
    pub(crate) fn number(&self, id: &TaskId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The task of that number.
    pub(crate) fn id(&self, number: usize) -> &TaskId {
        &self.ids[number]
    }

    /// The tasks that depend on it directly.
    pub(crate) fn dependents(&self, number: usize) -> &[usize] {
        &self.dependents[number]
    }

    /// How many tasks it depends on directly.
    pub(crate) fn needs(&self, number: usize) -> usize {
        self.needs[number]
    }

    /// How many tasks the longest chain has that begins with it.
    pub(crate) fn chain(&self, number: usize) -> u32 {
        self.chains[number]
    }

    /// Whether it has a checkpoint after it.
    pub(crate) fn stops_after(&self, number: usize) -> bool {
        self.stops.contains(&number)
    }

    /// Every task that depends on one of `roots`, directly or not, in the order of the plan.
    pub(crate) fn reached_from(&self, roots: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut open: Vec<usize> = roots.into_iter().collect();
        let mut reached = BTreeSet::new();
        while let Some(number) = open.pop() {
            open.extend(self.dependents(number).iter().filter(|next| reached.insert(**next)));
        }
        reached.into_iter().collect()
    }
}

/// The plan is the same wherever states of one run are compared.
impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.ids == other.ids
    }
}

impl Eq for Graph {}

/// By taking away what nothing waits for any more. In a cycle, which no plan has that was
/// read, each counts as one.
fn chains(dependents: &[Vec<usize>], needs: &[usize]) -> Vec<u32> {
    let mut left = needs.to_vec();
    let mut order: VecDeque<usize> = (0..needs.len()).filter(|&at| needs[at] == 0).collect();
    let mut sorted = Vec::with_capacity(needs.len());
    while let Some(at) = order.pop_front() {
        sorted.push(at);
        for &next in &dependents[at] {
            left[next] -= 1;
            if left[next] == 0 {
                order.push_back(next);
            }
        }
    }
    let mut chains = vec![1; needs.len()];
    for &at in sorted.iter().rev() {
        chains[at] = 1 + dependents[at].iter().map(|&next| chains[next]).max().unwrap_or(0);
    }
    chains
}
