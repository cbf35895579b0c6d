//! Validating a candidate, and checking a finished phase.
//!
//! Invariant: an agent answers what can be seen in files; what a command shows, the host observes
//! and judges itself; what is for a person, nobody here.

use std::sync::Arc;

use idumb_core::{
    ChangeSet, Criterion, CriterionId, Digest, Examination, Finding, Grants, Read, ResourceLimits,
    Role, Seen, Trouble, Verdict,
};
use idumb_overlay::ReadView;
use idumb_sandbox::{CallOptions, Candidate, Context, Stop};

use super::{Assignment, Workshop, came_to, host_trouble};
use crate::desk::QuietDesk;
use crate::established::recheckable;

impl Workshop {
    pub(super) async fn validate(
        self: &Arc<Self>,
        work: &Assignment,
        digest: Digest,
    ) -> Result<(Examination, idumb_core::AccessRecord), Trouble> {
        let change_set = self.change_set(digest)?;
        let blobs: Arc<dyn idumb_core::Blobs> = self.blobs.clone();
        let grants = work.grants.clone();
        let view = ReadView::of_candidate(&self.base, &change_set, Arc::clone(&blobs), grants)
            .map_err(|why| host_trouble("the candidate's view", &why))?;
        // What only a person can judge is not the validator's, nor what the host has commands run for.
        let (by_host, mut task) = (commands_of(&work.task.accept), work.task.clone());
        task.accept.retain(|criterion| !criterion.is_judged() && criterion.command().is_none());
        let mut examination = Examination::default();
        if !task.accept.is_empty() {
            let agent = self.agent(&work.agent, &work.stop).await?;
            let content = Some((self.base.clone(), blobs));
            let candidate = Candidate { change_set: change_set.clone(), content };
            let options = self.options(work);
            let ended =
                agent.validate(view.clone(), candidate, &task, &work.context, options).await;
            examination.findings = came_to(ended.result, ended.host_error)
                .map_err(|trouble| of_checker(Role::Validator, trouble))?;
            examination.evidence = ended.evidence;
        }
        let mut record = view.record();
        if !by_host.is_empty() {
            let name = format!("{}-{}", work.task.id, work.epoch);
            self.add_commands(&mut examination, by_host, change_set, name, &work.stop).await?;
            // It may have read everything: what is integrated meanwhile makes it stale.
            record.reads.push(Read { path: String::new(), seen: Seen::Tree });
        }
        Ok((examination, record))
    }

    /// Has the commands of criteria run, unless something else does not hold already.
    async fn add_commands(
        &self,
        examination: &mut Examination,
        criteria: Vec<Criterion>,
        change_set: ChangeSet,
        name: String,
        stop: &Stop,
    ) -> Result<(), Trouble> {
        let holds = examination.findings.iter().all(|finding| finding.verdict == Verdict::Pass);
        if !holds {
            let not_run = |criterion: Criterion| Finding {
                criterion: criterion.id,
                verdict: Verdict::Inconclusive,
                evidence: Vec::new(),
                note: "its command was not run, since another criterion does not hold".to_owned(),
            };
            examination.findings.extend(criteria.into_iter().map(not_run));
            return Ok(());
        }
        let more = self.natives.examine(criteria, change_set, name, stop.clone()).await?;
        examination.findings.extend(more.findings);
        examination.evidence.extend(more.evidence);
        Ok(())
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
        let mut by_host = Vec::new();
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
            if asked.is_empty() {
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
            let (tree, name) = (ChangeSet::default(), format!("phase-{role}"));
            self.add_commands(&mut examination, by_host, tree, name, &stop).await?;
        }
        Ok((asked, examination))
    }
}

/// The criteria that the host has commands run for.
pub(crate) fn commands_of<'a>(criteria: impl IntoIterator<Item = &'a Criterion>) -> Vec<Criterion> {
    criteria.into_iter().filter(|criterion| criterion.command().is_some()).cloned().collect()
}

/// A checker's trouble is not the builder's: say whose it is.
fn of_checker(role: Role, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failure(mut failure) => {
            failure.message = format!("the {role} could not check: {}", failure.message);
            Trouble::Failure(failure)
        }
        Trouble::Trap { message } => Trouble::Trap { message: format!("{role}: {message}") },
        other => other,
    }
}
