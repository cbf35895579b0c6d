//! Checking again, on a candidate, what completed tasks promised.
//!
//! Invariant: a candidate that may break a criterion of a completed task is not accepted before
//! that criterion was checked on it; what it cannot break is not checked again, and is counted.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use idumb_core::{
    AccessRecord, ChangeSet, Criterion, CriterionId, Evidence, EvidenceId, Examination, Finding,
    Grants, Rechecked, Role, RunState, Task, TaskId, Trouble, Verdict,
};
use idumb_sandbox::{CallOptions, Candidate};

use super::checking::{Commanded, commands_of, of_checker, read_everything};
use super::promises::AtStake;
use super::{Assignment, Workshop, came_to};

impl Workshop {
    /// What the candidate of `task` may break, as the run stands when it begins to be validated.
    pub(super) fn stakes(&self, task: &TaskId, state: &RunState) -> AtStake {
        let latest = state.task(task).and_then(|record| record.latest.as_ref());
        let paths = latest.map_or(&[][..], |latest| &latest.paths);
        let changed: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        let mut promises = self.promises.lock().unwrap_or_else(PoisonError::into_inner);
        promises.at_stake(&changed, &self.plan, state, &self.established)
    }

    /// Checks on the candidate what it may break.
    pub(super) async fn recheck(
        self: &Arc<Self>,
        work: &Assignment,
        stakes: AtStake,
        change_set: &ChangeSet,
        (examination, record): (&mut Examination, &mut AccessRecord),
    ) -> Result<(), Trouble> {
        let AtStake { tasks, earlier, untouched } = stakes;
        examination.untouched = untouched;
        let mut by_host = commands_of(&earlier);
        let mut calls = 0;
        for (place, mut accept) in tasks {
            by_host.extend(commands_of(&accept));
            accept.retain(|criterion| criterion.command().is_none());
            if accept.is_empty() {
                continue;
            }
            let task = Task { accept, ..self.plan.tasks[place].clone() };
            let seen = self.task_again(work, &task, change_set).await?;
            calls += 1;
            let asked = task.accept.iter().map(|criterion| (criterion, task.id.clone(), None));
            add(examination, record, asked, (calls, seen));
        }
        let in_files = earlier.iter().filter(|criterion| criterion.command().is_none());
        let in_files: Vec<Criterion> = in_files.cloned().collect();
        if !in_files.is_empty() {
            let seen = self.phases_again(work, &in_files, change_set).await?;
            let asked = in_files.iter().filter_map(|criterion| {
                let owner = self.established.whose(&criterion.id)?;
                Some((criterion, owner.task.clone(), Some(owner.phase.to_string())))
            });
            add(examination, record, asked, (calls + 1, seen));
        }
        // Commands cost more than looking at files: they run if nothing is broken so far.
        let holds = |rechecked: &Rechecked| rechecked.finding.verdict == Verdict::Pass;
        if by_host.is_empty() || !examination.rechecked.iter().all(holds) {
            examination.settle();
            return Ok(());
        }
        let commands = Commanded { by_host: &by_host, change_set };
        let listener = self.listener(Some(&work.task.id));
        let found = self.found_by_commands(examination, commands, listener, &work.stop).await?;
        read_everything(record);
        for finding in found {
            let (task, phase) = self.promised_by(&finding.criterion, work);
            examination.rechecked.push(Rechecked { task, phase, finding });
        }
        examination.settle();
        Ok(())
    }

    /// Whose a criterion of a command is.
    fn promised_by(&self, id: &CriterionId, work: &Assignment) -> (TaskId, Option<String>) {
        if let Some(owner) = self.established.whose(id) {
            return (owner.task.clone(), Some(owner.phase.to_string()));
        }
        let has = |task: &&Task| task.accept.iter().any(|criterion| &criterion.id == id);
        let task = self.plan.tasks.iter().find(has);
        (task.map_or_else(|| work.task.id.clone(), |task| task.id.clone()), None)
    }

    /// The validator looks at a completed task's criteria on the candidate.
    async fn task_again(
        self: &Arc<Self>,
        work: &Assignment,
        task: &Task,
        change_set: &ChangeSet,
    ) -> Result<Seen, Trouble> {
        let Grants { never, ceiling, .. } = work.grants.clone();
        let grants = Grants { never, ceiling, ..task.validation_grants() };
        let view = self.candidate_view(change_set, grants)?;
        let agent = self.agent(&work.agent, &work.stop).await?;
        // What a criterion says of a change-set it said of its own task's.
        let ended = agent
            .validate(view.clone(), Candidate::default(), task, &work.context, self.quiet(work))
            .await;
        let findings = came_to(ended.result, ended.host_error)
            .map_err(|trouble| of_checker(Role::Validator, trouble))?;
        Ok(Seen { findings, evidence: ended.evidence, record: view.record() })
    }

    /// The integration-checker looks at criteria of earlier phases on the candidate.
    async fn phases_again(
        self: &Arc<Self>,
        work: &Assignment,
        criteria: &[Criterion],
        change_set: &ChangeSet,
    ) -> Result<Seen, Trouble> {
        let role = Role::IntegrationChecker;
        let reads = criteria.iter().flat_map(|criterion| &criterion.looks_at).cloned().collect();
        let ceiling = self.roster.bounds(role);
        let grants =
            Grants { reads, never: work.grants.never.clone(), ceiling, ..Grants::default() };
        let view = self.candidate_view(change_set, grants)?;
        let agent = self.agent(self.roster.holder(role), &work.stop).await?;
        let ended = agent
            .check_integration(view.clone(), criteria, &[], &work.context, self.quiet(work))
            .await;
        let findings =
            came_to(ended.result, ended.host_error).map_err(|trouble| of_checker(role, trouble))?;
        Ok(Seen { findings, evidence: ended.evidence, record: view.record() })
    }

    fn quiet(&self, work: &Assignment) -> CallOptions {
        CallOptions {
            stop: work.stop.clone(),
            desk: Arc::new(crate::desk::QuietDesk),
            commands: Arc::new(idumb_sandbox::NoCommands),
            limits: Default::default(),
        }
    }
}

/// What an agent found, and what the host saw of it.
struct Seen {
    findings: Vec<Finding>,
    evidence: Vec<Evidence>,
    record: AccessRecord,
}

/// Adds what was seen of the criteria that were asked about: of each exactly one finding counts.
fn add<'a>(
    examination: &mut Examination,
    record: &mut AccessRecord,
    asked: impl Iterator<Item = (&'a Criterion, TaskId, Option<String>)>,
    (call, seen): (usize, Seen),
) {
    // Another call's evidence has the same names.
    let renamed = |id: &EvidenceId| EvidenceId::new(format!("r{call}-{id}")).ok();
    for evidence in seen.evidence {
        let id = renamed(&evidence.id);
        examination.evidence.extend(id.map(|id| Evidence { id, ..evidence }));
    }
    for (criterion, task, phase) in asked {
        let mut about = seen.findings.iter().filter(|finding| finding.criterion == criterion.id);
        let finding = match (about.next(), about.next()) {
            (Some(finding), None) => {
                // What has too long a name was not recorded, and is nothing to rest on.
                let evidence = finding.evidence.iter().filter_map(renamed).collect();
                Finding { evidence, ..finding.clone() }
            }
            _ => Finding {
                criterion: criterion.id.clone(),
                verdict: Verdict::Inconclusive,
                evidence: Vec::new(),
                note: "not exactly one finding was given".to_owned(),
            },
        };
        examination.rechecked.push(Rechecked { task, phase, finding });
    }
    record.reads.extend(seen.record.reads);
}
