//! What earlier phases established, and what a later phase must not break.
//!
//! Invariant: taken from the plans that the journal recorded when those phases were
//! completed, never from files that were edited since.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use idumb_core::{
    Criterion, CriterionId, Grants, Link, PathGlob, PhaseId, Plan, Prerequisite, RunId, TaskId,
};
use idumb_journal::{Journal, RunRow};

/// The criteria that completed phases established.
#[derive(Debug, Default)]
pub(crate) struct Established {
    /// Those that agents check, by a name that is unique over all phases.
    pub(crate) criteria: Vec<Criterion>,
    /// Those that native commands show, by such a name.
    pub(crate) commands: Vec<Criterion>,
    /// Whose each is.
    whose: BTreeMap<CriterionId, Owner>,
    /// What the current plan ends and nobody established.
    unknown: Vec<CriterionId>,
    completed: Vec<RunRow>,
}

/// Who established a criterion, and what it is called there.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) phase: PhaseId,
    pub(crate) task: TaskId,
    own: CriterionId,
}

impl Established {
    /// Of every completed phase but `current`'s own, without what later phases ended.
    pub(crate) fn before<A>(journal: &Journal<A>, current: &Plan) -> Result<Self> {
        let completed = journal.completed_phases()?;
        let mut plans: Vec<Plan> = Vec::new();
        for row in completed.iter().filter(|row| row.phase.number != current.phase.number) {
            plans.push(recorded_plan(journal, &row.run)?);
        }
        let own = current.tasks.iter().flat_map(|task| &task.accept).map(|one| &one.id);
        let mut taken: BTreeSet<CriterionId> =
            current.links.iter().map(|link| &link.id).chain(own).cloned().collect();
        let mut all = Self { completed, ..Self::default() };
        // In the order of phases: a plan ends what was established before it, by the names that
        // are shown, and nothing of its own or of what comes after.
        for plan in &plans {
            all.end(&plan.supersedes);
            let criteria = plan
                .tasks
                .iter()
                .flat_map(|task| task.recheckable().map(move |criterion| (&task.id, criterion)));
            for (task, criterion) in criteria {
                let number = taken.len() + 1;
                let id = unique(&criterion.id, &plan.phase.key(), number, &taken)?;
                taken.insert(id.clone());
                let (phase, own) = (plan.phase.clone(), criterion.id.clone());
                all.whose.insert(id.clone(), Owner { phase, task: task.clone(), own });
                let text = format!("{}: {}", plan.phase, criterion.text);
                let criterion = Criterion { id, text, ..criterion.clone() };
                match criterion.command() {
                    Some(_) => all.commands.push(criterion),
                    None => all.criteria.push(criterion),
                }
            }
        }
        all.unknown = all.end(&current.supersedes);
        Ok(all)
    }

    /// Takes promises out, each by the name that is shown, by its own with its phase, or by its own
    /// if no other has that; returns those names that mean none, or more than one.
    fn end(&mut self, names: &[CriterionId]) -> Vec<CriterionId> {
        let mut unknown = Vec::new();
        for name in names {
            let called = |owner: &Owner| {
                let whole = format!("{}.{}", owner.phase.key(), owner.own);
                owner.own == *name || whole == name.as_str()
            };
            let of_name = self.whose.iter().filter(|(_, owner)| called(owner)).map(|(id, _)| id);
            let mut found = of_name.cloned();
            let meant = match (self.whose.contains_key(name), found.next(), found.next()) {
                (true, ..) => Some(name.clone()),
                (false, one, None) => one,
                _ => None,
            };
            if meant.and_then(|id| self.whose.remove(&id)).is_none() {
                unknown.push(name.clone());
            }
        }
        let left = |criterion: &Criterion| self.whose.contains_key(&criterion.id);
        self.criteria.retain(left);
        self.commands.retain(left);
        unknown
    }

    /// What the current plan's `supersedes` names and no earlier phase established.
    pub(crate) fn unknown(&self) -> &[CriterionId] {
        &self.unknown
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Criterion> {
        self.criteria.iter().chain(&self.commands)
    }

    /// The phase and the task that established a criterion of these.
    pub(crate) fn whose(&self, criterion: &CriterionId) -> Option<&Owner> {
        self.whose.get(criterion)
    }

    /// Whether nothing was established.
    pub(crate) fn is_empty(&self) -> bool {
        self.whose.is_empty()
    }

    /// The plan's prerequisites, and which run met each.
    pub(crate) fn prerequisites(&self, plan: &Plan) -> Vec<Prerequisite> {
        let met = |text: &String| self.completed.iter().find(|row| row.phase.is_meant_by(text));
        plan.depends_on
            .iter()
            .map(|phase| Prerequisite {
                phase: phase.clone(),
                completed_by: met(phase).map(|row| row.run.clone()),
            })
            .collect()
    }

    /// What an integration-checker of `plan` may read.
    pub(crate) fn grants(&self, plan: &Plan) -> Grants {
        let looks_at = self.criteria.iter().flat_map(|criterion| &criterion.looks_at).cloned();
        let linked = |link: &Link| [link.from.parse::<PathGlob>(), link.to.parse::<PathGlob>()];
        let links = plan.links.iter().flat_map(linked).flatten();
        Grants { reads: looks_at.chain(links).collect(), ..Grants::default() }
    }
}

/// The criteria of a plan that say something about files, not about a change-set.
pub(crate) fn recheckable(plan: &Plan) -> impl Iterator<Item = &Criterion> {
    let criteria = plan.tasks.iter().flat_map(|task| &task.accept);
    criteria.filter(|criterion| !criterion.looks_at.is_empty())
}

/// The plan that a run recorded when it began.
pub(crate) fn recorded_plan<A>(journal: &Journal<A>, run: &RunId) -> Result<Plan> {
    let text = journal.plan(run)?;
    serde_json::from_str(&text).with_context(|| format!("reading the plan that {run} recorded"))
}

/// The criterion's own name where no other has it, else one with its phase.
fn unique(
    id: &CriterionId,
    phase: &str,
    number: usize,
    taken: &BTreeSet<CriterionId>,
) -> Result<CriterionId> {
    if !taken.contains(id) {
        return Ok(id.clone());
    }
    let named = CriterionId::new(format!("{phase}.{id}")).ok().filter(|id| !taken.contains(id));
    match named {
        Some(id) => Ok(id),
        None => Ok(CriterionId::new(format!("{phase}.criterion-{number}"))?),
    }
}
