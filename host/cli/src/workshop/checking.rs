//! Validating a candidate, and checking a finished phase.
//!
//! Invariant: an agent answers what can be seen in files; what a command shows, the host observes
//! and judges itself; what is for a person, nobody here.

use std::collections::BTreeMap;
use std::sync::Arc;

use idumb_core::{
    AccessRecord, Blobs, ChangeSet, Criterion, CriterionId, Digest, EvidenceId, Examination,
    Finding, Grants, Read, ResourceLimits, Role, Seen, Trouble, Verdict,
};
use idumb_overlay::ReadView;
use idumb_sandbox::{CallOptions, Candidate, Context, Stop};

use super::promises::AtStake;
use super::{Assignment, Workshop, came_to, host_trouble};
use crate::desk::QuietDesk;
use crate::established::recheckable;
use crate::native::{Came, Invocation, Listener};

impl Workshop {
    pub(super) async fn validate(
        self: &Arc<Self>,
        work: &Assignment,
        digest: Digest,
        stakes: AtStake,
    ) -> Result<(Examination, AccessRecord), Trouble> {
        let change_set = self.change_set(digest)?;
        let view = self.candidate_view(&change_set, work.grants.clone())?;
        // What only a person can judge is not the validator's, nor what the host has commands run for.
        let (by_host, mut task) = (commands_of(&work.task.accept), work.task.clone());
        task.accept.retain(|criterion| !criterion.is_judged() && criterion.command().is_none());
        let mut examination = Examination::default();
        if !task.accept.is_empty() {
            let agent = self.agent(&work.agent, &work.stop).await?;
            let candidate = self.candidate(&change_set);
            let options = self.options(work, Role::Validator);
            let ended =
                agent.validate(view.clone(), candidate, &task, &work.context, options).await;
            examination.findings = came_to(ended.result, ended.host_error)
                .map_err(|trouble| of_checker(Role::Validator, trouble))?;
            examination.evidence = ended.evidence;
        }
        let mut record = view.record();
        if !by_host.is_empty() {
            let commands = Commanded { by_host: &by_host, change_set: &change_set };
            let listener = self.listener(Some(&work.task.id));
            self.add_commands(&mut examination, commands, listener, &work.stop).await?;
            read_everything(&mut record);
        }
        let asked = work.task.accept.iter().filter(|criterion| !criterion.is_judged());
        let asked: Vec<CriterionId> = asked.map(|criterion| criterion.id.clone()).collect();
        if examination.judge(&asked).unmet.is_empty() {
            self.recheck(work, stakes, &change_set, (&mut examination, &mut record)).await?;
        }
        Ok((examination, record))
    }

    pub(super) fn candidate_view(
        &self,
        change_set: &ChangeSet,
        grants: Grants,
    ) -> Result<ReadView, Trouble> {
        ReadView::of_candidate(&self.base, change_set, self.blobs.clone(), grants)
            .map_err(|why| host_trouble("the candidate's view", &why))
    }

    pub(super) fn candidate(&self, change_set: &ChangeSet) -> Candidate {
        let content = Some((self.base.clone(), self.blobs.clone() as Arc<dyn Blobs>));
        Candidate { change_set: change_set.clone(), content }
    }

    /// Has the commands of criteria run, unless something else does not hold already.
    pub(super) async fn add_commands(
        &self,
        examination: &mut Examination,
        commands: Commanded<'_>,
        listener: Listener,
        stop: &Stop,
    ) -> Result<(), Trouble> {
        let holds = examination.findings.iter().all(|finding| finding.verdict == Verdict::Pass);
        if !holds {
            let not_run = |criterion: &Criterion| Finding {
                criterion: criterion.id.clone(),
                verdict: Verdict::Inconclusive,
                evidence: Vec::new(),
                note: "its command was not run, since another criterion does not hold".to_owned(),
            };
            examination.findings.extend(commands.by_host.iter().map(not_run));
            return Ok(());
        }
        let found = self.found_by_commands(examination, commands, listener, stop).await?;
        examination.findings.extend(found);
        Ok(())
    }

    /// What commands show of their criteria; what came of them is added to the evidence.
    pub(super) async fn found_by_commands(
        &self,
        examination: &mut Examination,
        Commanded { by_host, change_set }: Commanded<'_>,
        listener: Listener,
        stop: &Stop,
    ) -> Result<Vec<Finding>, Trouble> {
        let wanted = by_host.iter().filter_map(Invocation::of).collect();
        let ran = self.natives.run(wanted, change_set.clone(), listener, stop.clone()).await?;
        judged_by(&ran, by_host, examination)
    }

    pub(super) async fn check_phase(
        self: &Arc<Self>,
        role: Role,
        context: &Context,
        most: Grants,
        stop: Stop,
    ) -> Result<(Vec<CriterionId>, Examination), Trouble> {
        let options = CallOptions {
            stop: stop.clone(),
            desk: Arc::new(QuietDesk),
            commands: Arc::new(idumb_sandbox::NoCommands),
            limits: ResourceLimits::default(),
        };
        let name = self.roster.holder(role);
        let by_host;
        let (mut asked, ended) = if role == Role::Verifier {
            by_host = commands_of(self.plan.tasks.iter().flat_map(|task| &task.accept));
            let asked: Vec<CriterionId> =
                recheckable(&self.plan).map(|criterion| criterion.id.clone()).collect();
            let looks_at = recheckable(&self.plan).flat_map(|criterion| &criterion.looks_at);
            let reads = looks_at.cloned().collect();
            let grants = Grants { reads, ..most };
            let view = ReadView::of_base(&self.base, grants);
            let mut tasks = self.plan.tasks.clone();
            for task in &mut tasks {
                task.accept.retain(|criterion| !criterion.looks_at.is_empty());
            }
            let agent = self.agent(name, &stop).await?;
            (asked, agent.verify(view, &tasks, context, options).await)
        } else {
            let (criteria, links) = (&self.established.criteria, &self.plan.links);
            let asked: Vec<CriterionId> = criteria
                .iter()
                .map(|criterion| criterion.id.clone())
                .chain(links.iter().map(|link| link.id.clone()))
                .collect();
            by_host = self.established.commands.clone();
            if asked.is_empty() && by_host.is_empty() {
                return Ok((asked, Examination::default()));
            }
            let Grants { reads, .. } = self.established.grants(&self.plan);
            let grants = Grants { reads, ..most };
            let view = ReadView::of_base(&self.base, grants);
            let agent = self.agent(name, &stop).await?;
            (asked, agent.check_integration(view, criteria, links, context, options).await)
        };
        let findings =
            came_to(ended.result, ended.host_error).map_err(|trouble| of_checker(role, trouble))?;
        let mut examination =
            Examination { findings, evidence: ended.evidence, ..Examination::default() };
        if !by_host.is_empty() {
            asked.extend(by_host.iter().map(|criterion| criterion.id.clone()));
            let (by_host, change_set) = (&by_host[..], &ChangeSet::default());
            let commands = Commanded { by_host, change_set };
            self.add_commands(&mut examination, commands, self.listener(None), &stop).await?;
        }
        Ok((asked, examination))
    }
}

/// The criteria that the host has commands run for.
pub(crate) fn commands_of<'a>(criteria: impl IntoIterator<Item = &'a Criterion>) -> Vec<Criterion> {
    criteria.into_iter().filter(|criterion| criterion.command().is_some()).cloned().collect()
}

/// Criteria that commands show, and the candidate that they are to run on.
#[derive(Clone, Copy)]
pub(super) struct Commanded<'a> {
    pub(super) by_host: &'a [Criterion],
    pub(super) change_set: &'a ChangeSet,
}

/// What the commands that `ran` show of `criteria`; each is evidence of `examination` from then on.
///
/// # Errors
/// The host's own: none is expected.
pub(crate) fn judged_by(
    ran: &BTreeMap<Invocation, Came>,
    criteria: &[Criterion],
    examination: &mut Examination,
) -> Result<Vec<Finding>, Trouble> {
    let mut ids = BTreeMap::new();
    for (invocation, came) in ran {
        let id = EvidenceId::new(format!("c{}", examination.evidence.len() + 1));
        let id = id.map_err(|why| Trouble::Error { message: why.to_string() })?;
        examination.evidence.push(came.evidence(id.clone()));
        ids.insert(invocation, (came, id));
    }
    let one = |criterion: &Criterion| {
        let (came, id) = ids.get(&Invocation::of(criterion)?)?;
        Some(came.judged(criterion, id.clone()))
    };
    Ok(criteria.iter().filter_map(one).collect())
}

/// A command may have read everything: what is integrated meanwhile makes its verdict stale.
pub(super) fn read_everything(record: &mut AccessRecord) {
    record.reads.push(Read { path: String::new(), seen: Seen::Tree });
}

/// A checker's trouble is not the builder's: say whose it is.
pub(super) fn of_checker(role: Role, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failure(mut failure) => {
            failure.message = format!("the {role} could not check: {}", failure.message);
            Trouble::Failure(failure)
        }
        Trouble::Trap { message } => Trouble::Trap { message: format!("{role}: {message}") },
        other => other,
    }
}
