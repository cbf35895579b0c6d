//! Where effects are carried out: overlays are made, agents called, change-sets applied.
//!
//! Invariant: every effect is answered by exactly one message, whatever happens in it; and
//! the user's tree is written in [`Workshop::integrate`] and nowhere else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use idumb_core::{
    Artifact, Attempt, Blobs as _, BrokenAttempt, ChangeSet, CriterionId, Digest, Effect, Entry,
    Epoch, Examination, Feedback, Grants, Input, Other, Plan, Role, RunId, RunState, SealedAttempt,
    Task, TaskId, Trouble,
};
use idumb_journal::BlobStore;
use idumb_overlay::{Base, IntegrateError, Quota, ReadView, SealError, WorkView};
use idumb_sandbox::{CallOptions, Candidate, Context, Desk, Sandbox};
use tokio::sync::mpsc;

use crate::desk::{QuietDesk, TaskDesk};
use crate::driver::Message;
use crate::established::{Established, recheckable};
use crate::report::Notice;
use crate::roster::Roster;

/// How long a check of the whole phase may take.
const PHASE_CHECK: Duration = Duration::from_secs(600);

/// Everything that effects need.
pub(crate) struct Workshop {
    pub(crate) run: RunId,
    pub(crate) plan: Plan,
    pub(crate) timeout: Duration,
    pub(crate) base: Base,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) upper: PathBuf,
    pub(crate) staging: PathBuf,
    pub(crate) sandbox: Sandbox,
    pub(crate) roster: Roster,
    pub(crate) established: Established,
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    pub(crate) notices: mpsc::Sender<Notice>,
}

/// What an attempt's agent is told, gathered when the effect is started.
struct Assignment {
    task: Task,
    epoch: Epoch,
    context: Context,
}

impl Workshop {
    /// Starts an effect about agents or files; its answer arrives as a message.
    pub(crate) fn start(self: &Arc<Self>, effect: Effect, state: &RunState) {
        let shop = Arc::clone(self);
        match effect {
            Effect::Build { task, attempt, epoch, feedback } => {
                let Some(work) = self.assign(&task, attempt, epoch, feedback, state) else {
                    return;
                };
                tokio::spawn(async move {
                    let result = shop.build(&work).await;
                    shop.tell(Input::Built { task, epoch, result });
                });
            }
            Effect::Validate { task, attempt, epoch, change_set } => {
                let work = self.assign(&task, attempt, epoch, Feedback::default(), state);
                let Some(work) = work else { return };
                tokio::spawn(async move {
                    let result = shop.validate(&work, change_set).await;
                    shop.tell(Input::Validated { task, epoch, change_set, result });
                });
            }
            Effect::Integrate { task, epoch, change_set } => {
                let named =
                    state.task(&task).map_or_else(Vec::new, |record| record.artifacts.clone());
                tokio::task::spawn_blocking(move || {
                    let result = shop.integrate(change_set, named);
                    shop.tell(Input::Integrated { task, epoch, result });
                });
            }
            Effect::CheckPhase { role } => {
                let artifacts = self.artifacts(state, self.plan.tasks.iter().map(|task| &task.id));
                let context = self.context(1, Feedback::default(), artifacts);
                tokio::spawn(async move {
                    let result = shop.check_phase(role, &context).await;
                    shop.tell(Input::PhaseChecked { role, result });
                });
            }
            Effect::WriteState { .. } | Effect::Ask { .. } | Effect::Reply { .. } => {}
        }
    }

    /// Has the agents compiled that the first batch needs, before it needs them.
    pub(crate) fn warm_up(self: &Arc<Self>) {
        for name in ["builder", self.roster.holder(Role::Validator)] {
            let (shop, name) = (Arc::clone(self), name.to_owned());
            tokio::spawn(async move { shop.roster.agent(&shop.sandbox, &name).await.is_ok() });
        }
    }

    fn tell(&self, input: Input) {
        // Once the driver is gone the answer is too late: the next start asks again.
        let _ = self.messages.send(Message::Input(input));
    }

    fn assign(
        &self,
        task: &TaskId,
        attempt: Attempt,
        epoch: Epoch,
        feedback: Feedback,
        state: &RunState,
    ) -> Option<Assignment> {
        let task = self.plan.task(task)?.clone();
        let artifacts = self.artifacts(state, task.depends_on.iter());
        let context = self.context(attempt, feedback, artifacts);
        Some(Assignment { task, epoch, context })
    }

    fn artifacts<'a>(
        &self,
        state: &RunState,
        tasks: impl Iterator<Item = &'a TaskId>,
    ) -> Vec<(TaskId, Artifact)> {
        tasks
            .filter_map(|id| Some((id, state.task(id)?)))
            .flat_map(|(id, record)| {
                record.artifacts.iter().map(|artifact| (id.clone(), artifact.clone()))
            })
            .collect()
    }

    fn context(
        &self,
        attempt: Attempt,
        feedback: Feedback,
        artifacts: Vec<(TaskId, Artifact)>,
    ) -> Context {
        Context {
            run: self.run.clone(),
            phase: self.plan.phase.clone(),
            goal: self.plan.goal.clone(),
            attempt,
            artifacts,
            feedback,
        }
    }

    fn options(&self, work: &Assignment) -> CallOptions {
        let desk: Arc<dyn Desk> = Arc::new(TaskDesk {
            task: work.task.id.clone(),
            epoch: work.epoch,
            messages: self.messages.clone(),
            notices: self.notices.clone(),
        });
        CallOptions { timeout: work.task.timeout.unwrap_or(self.timeout), desk }
    }

    async fn build(
        self: &Arc<Self>,
        work: &Assignment,
    ) -> Result<Box<SealedAttempt>, Box<BrokenAttempt>> {
        let broken = |trouble| {
            Box::new(BrokenAttempt { trouble, record: Default::default(), log: Vec::new() })
        };
        let agent = self
            .roster
            .agent(&self.sandbox, &work.task.agent)
            .await
            .map_err(|message| broken(Trouble::Error { message }))?;
        let upper = self.upper.join(format!("{}-{}", work.task.id, work.epoch));
        let grants = work.task.grants();
        let view = WorkView::new(&self.base, &upper, grants, Quota::default())
            .map_err(|error| broken(Trouble::Error { message: format!("the overlay: {error}") }))?;
        let ended = agent.build(view.clone(), &work.task, &work.context, self.options(work)).await;
        let outcome = match ended.result {
            Ok(outcome) => outcome,
            Err(trouble) => {
                let (record, log) = (view.record(), ended.log);
                return Err(Box::new(BrokenAttempt { trouble, record, log }));
            }
        };
        let (shop, task) = (Arc::clone(self), work.task.clone());
        let sealed = tokio::task::spawn_blocking(move || shop.seal(&task, view, outcome)).await;
        match sealed {
            Ok(Ok(sealed)) => {
                Ok(Box::new(SealedAttempt { evidence: ended.evidence, log: ended.log, ..sealed }))
            }
            Ok(Err(trouble)) => Err(broken(trouble)),
            Err(_) => Err(broken(Trouble::Error { message: "sealing failed inside idumb".into() })),
        }
    }

    fn seal(
        &self,
        task: &Task,
        view: WorkView,
        outcome: idumb_sandbox::Outcome,
    ) -> Result<SealedAttempt, Trouble> {
        let error = |message: String| Trouble::Error { message };
        let sealed = view.seal(self.blobs.as_ref()).map_err(of_sealing)?;
        let change_set = sealed.change_set;
        let bytes = serde_json::to_vec(&change_set).map_err(|why| error(why.to_string()))?;
        let (digest, _) = self
            .blobs
            .keep(&mut bytes.as_slice())
            .map_err(|why| error(format!("the change-set cannot be kept: {why}")))?;
        let mut named: Vec<String> = task.artifacts.clone();
        for path in outcome.artifacts {
            if !named.contains(&path) && change_set.paths().any(|changed| changed == path) {
                named.push(path);
            }
        }
        let digest_of = |path: &str| {
            let change = change_set.changes.iter().find(|change| change.path == path)?;
            match &change.after {
                Some(Entry::File { digest, .. }) => Some(*digest),
                _ => None,
            }
        };
        Ok(SealedAttempt {
            change_set: digest,
            paths: change_set.paths().map(str::to_owned).collect(),
            summary: outcome.summary,
            artifacts: named
                .iter()
                .map(|path| Artifact { path: path.clone(), digest: digest_of(path) })
                .collect(),
            record: sealed.record,
            evidence: Vec::new(),
            log: Vec::new(),
        })
    }

    fn change_set(&self, digest: Digest) -> Result<ChangeSet, Trouble> {
        let read = || -> std::io::Result<ChangeSet> {
            let mut file = self.blobs.open(digest)?;
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes)?;
            if Digest::of(&bytes) != digest {
                return Err(std::io::Error::other("its bytes are not those that were kept"));
            }
            Ok(serde_json::from_slice(&bytes)?)
        };
        read().map_err(|error| Trouble::Error {
            message: format!("change-set {}: {error}", digest.short()),
        })
    }

    async fn validate(
        self: &Arc<Self>,
        work: &Assignment,
        digest: Digest,
    ) -> Result<(Examination, idumb_core::AccessRecord), Trouble> {
        let error = |message| Trouble::Error { message };
        let change_set = self.change_set(digest)?;
        let name = self.roster.holder(Role::Validator);
        let agent = self.roster.agent(&self.sandbox, name).await.map_err(error)?;
        let grants = work.task.validation_grants();
        let blobs: Arc<dyn idumb_core::Blobs> = self.blobs.clone();
        let view = ReadView::of_candidate(&self.base, &change_set, Arc::clone(&blobs), grants)
            .map_err(|why| error(format!("the candidate's view: {why}")))?;
        let candidate = Candidate { change_set, content: Some((self.base.clone(), blobs)) };
        let options = self.options(work);
        let ended =
            agent.validate(view.clone(), candidate, &work.task, &work.context, options).await;
        let findings = ended.result.map_err(|trouble| of_checker(Role::Validator, trouble))?;
        Ok((Examination { findings, evidence: ended.evidence }, view.record()))
    }

    fn integrate(&self, digest: Digest, named: Vec<Artifact>) -> Result<Vec<Artifact>, Trouble> {
        let change_set = self.change_set(digest)?;
        match idumb_overlay::integrate(&self.base, &change_set, self.blobs.as_ref(), &self.staging)
        {
            Ok(_) => Ok(named),
            Err(IntegrateError::Conflict(conflicts)) => {
                let first = conflicts.into_iter().next();
                Err(first.map_or_else(
                    || Trouble::Error { message: "a conflict without a path".into() },
                    |conflict| Trouble::Conflict {
                        path: conflict.path,
                        with: Other::Outside { expected: conflict.expected, found: conflict.found },
                    },
                ))
            }
            Err(other) => Err(Trouble::Error { message: format!("applying the changes: {other}") }),
        }
    }

    async fn check_phase(
        self: &Arc<Self>,
        role: Role,
        context: &Context,
    ) -> Result<(Vec<CriterionId>, Examination), Trouble> {
        let error = |message| Trouble::Error { message };
        let options = CallOptions { timeout: PHASE_CHECK, desk: Arc::new(QuietDesk) };
        let name = self.roster.holder(role);
        let agent = self.roster.agent(&self.sandbox, name);
        let (asked, ended) = if role == Role::Verifier {
            let asked: Vec<CriterionId> =
                recheckable(&self.plan).map(|criterion| criterion.id.clone()).collect();
            let looks_at = recheckable(&self.plan).flat_map(|criterion| &criterion.looks_at);
            let grants = Grants { reads: looks_at.cloned().collect(), ..Grants::default() };
            let view = ReadView::of_base(&self.base, grants);
            let mut tasks = self.plan.tasks.clone();
            for task in &mut tasks {
                task.accept.retain(|criterion| !criterion.looks_at.is_empty());
            }
            let agent = agent.await.map_err(error)?;
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
            let view = ReadView::of_base(&self.base, self.established.grants(&self.plan));
            let agent = agent.await.map_err(error)?;
            (asked, agent.check_integration(view, criteria, links, context, options).await)
        };
        let findings = ended.result.map_err(|trouble| of_checker(role, trouble))?;
        Ok((asked, Examination { findings, evidence: ended.evidence }))
    }
}

/// A base that changed while the attempt read it is a conflict: it is run again.
fn of_sealing(error: SealError) -> Trouble {
    match error {
        SealError::BaseChanged(paths) => Trouble::Conflict {
            path: paths.into_iter().next().unwrap_or_default(),
            with: Other::Unknown,
        },
        other => {
            Trouble::Error { message: format!("what the agent wrote cannot be kept: {other}") }
        }
    }
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
