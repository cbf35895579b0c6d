//! The shape of a plan: which task is where, what waits for it, how far it is to the end.
//!
//! Invariant: built once from a plan, and the same for the same plan.

use std::collections::BTreeSet;

use crate::{CheckpointAt, Plan, Task, TaskId};

/// Where each task is.
///
/// It is only looked up, never gone through, so its order does not matter; and by the author of
/// a plan alone, who would slow down nobody else with names that collide.
type Index = rustc_hash::FxHashMap<TaskId, usize>;

/// The shape of a plan. Tasks are numbered in the order of the plan.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    index: Index,
    ids: Vec<TaskId>,
    /// Where the dependents of each task begin in `dependents`; one more at the end.
    starts: Vec<usize>,
    /// The dependents of each task, one task after the other.
    dependents: Vec<usize>,
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
        // Pairs of a task and one that depends on it.
        let mut pairs: Vec<(usize, usize)> = Vec::with_capacity(2 * ids.len());
        let mut needs = vec![0; ids.len()];
        for (at, task) in plan.tasks.iter().enumerate() {
            for (nth, id) in task.depends_on.iter().enumerate() {
                if task.depends_on[..nth].contains(id) {
                    continue;
                }
                needs[at] += 1;
                pairs.extend(index.get(id).map(|&other| (other, at)));
            }
        }
        let (starts, dependents) = grouped(&pairs, ids.len());
        let chains = chains(&starts, &dependents, &needs);
        let after =
            |task: &Task| task.checkpoint.is_some_and(|stop| stop.at == CheckpointAt::After);
        let stops = (0..ids.len()).filter(|&at| after(&plan.tasks[at])).collect();
        Self { index, ids, starts, dependents, needs, chains, stops }
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
        &self.dependents[self.starts[number]..self.starts[number + 1]]
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

/// The second numbers of `pairs` in the order of the first, and where those of each begin.
fn grouped(pairs: &[(usize, usize)], count: usize) -> (Vec<usize>, Vec<usize>) {
    let mut starts = vec![0; count + 1];
    for &(first, _) in pairs {
        starts[first + 1] += 1;
    }
    for at in 0..count {
        starts[at + 1] += starts[at];
    }
    let mut next = starts.clone();
    let mut grouped = vec![0; pairs.len()];
    for &(first, second) in pairs {
        grouped[next[first]] = second;
        next[first] += 1;
    }
    (starts, grouped)
}

/// By taking away what nothing waits for any more. In a cycle, which no plan has that was
/// read, each counts as one.
fn chains(starts: &[usize], dependents: &[usize], needs: &[usize]) -> Vec<u32> {
    let of = |at: usize| &dependents[starts[at]..starts[at + 1]];
    let mut left = needs.to_vec();
    let mut sorted: Vec<usize> = (0..needs.len()).filter(|&at| needs[at] == 0).collect();
    sorted.reserve(needs.len() - sorted.len());
    let mut done = 0;
    while let Some(&at) = sorted.get(done) {
        done += 1;
        for &next in of(at) {
            left[next] -= 1;
            if left[next] == 0 {
                sorted.push(next);
            }
        }
    }
    let mut chains = vec![1; needs.len()];
    for &at in sorted.iter().rev() {
        chains[at] = 1 + of(at).iter().map(|&next| chains[next]).max().unwrap_or(0);
    }
    chains
}
