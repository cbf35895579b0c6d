//! Where effects are carried out: overlays are made, agents called, change-sets applied.
//!
//! Invariant: every effect is answered by exactly one message, whatever happens in it; and
//! the user's tree is written in [`Workshop::integrate`] and nowhere else.

mod checking;
mod promises;
mod recheck;

pub(crate) use checking::{commands_of, judged_by};
pub(crate) use promises::Promises;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use idumb_core::{
    Artifact, Attempt, Blobs as _, BrokenAttempt, Change, ChangeSet, Digest, Effect, Entry, Epoch,
    Failure, FailureKind, Feedback, Grants, Input, Lease, Other, Plan, Role, RunId, RunState,
    SealedAttempt, Task, TaskId, Trouble,
};
use idumb_journal::BlobStore;
use idumb_overlay::{Base, IntegrateError, Quota, SealError, WorkView};
use idumb_plan::Limits;
use idumb_sandbox::{Agent, Broken, CallOptions, Context, Desk, Sandbox, Stop, Stopper};
use tokio::sync::mpsc;

use crate::desk::TaskDesk;
use crate::driver::Message;
use crate::established::Established;
use crate::native::{Listener, Natives, TaskCommands};
use crate::report::Notice;
use crate::roster::Roster;

/// Everything that effects need.
pub(crate) struct Workshop {
    pub(crate) run: RunId,
    pub(crate) plan: Plan,
    pub(crate) base: Base,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) upper: PathBuf,
    pub(crate) staging: PathBuf,
    pub(crate) sandbox: Sandbox,
    pub(crate) roster: Roster,
    pub(crate) established: Established,
    pub(crate) natives: Arc<Natives>,
    /// What completed tasks promised, found by paths.
    pub(crate) promises: Mutex<Promises>,
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    pub(crate) notices: mpsc::Sender<Notice>,
    /// How much of the machine this process and the agents may use.
    pub(crate) limits: Limits,
    /// How to end what is under way.
    pub(crate) stops: Mutex<BTreeMap<Lease, Stopper>>,
}

/// What an attempt's agent is told, gathered when the effect is started.
struct Assignment {
    task: Task,
    agent: String,
    grants: Grants,
    epoch: Epoch,
    context: Context,
    stop: Stop,
}

/// Why an attempt has no candidate.
type Broke = Box<BrokenAttempt>;

impl Workshop {
    /// Starts an effect about agents or files; its answer arrives as a message.
    pub(crate) fn start(self: &Arc<Self>, effect: Effect, state: &RunState) {
        let shop = Arc::clone(self);
        match effect {
            Effect::Build { task, attempt, epoch, feedback, agent, grants } => {
                let (lease, stop) = self.stoppable(Lease::Task { task: task.clone(), epoch });
                let by = (agent, grants, stop);
                let Some(work) = self.assign(&task, by, attempt, epoch, feedback, state) else {
                    return;
                };
                tokio::spawn(async move {
                    let result = shop.build(&work).await;
                    shop.ended(&lease, Input::Built { task, epoch, result });
                });
            }
            Effect::Validate { task, attempt, epoch, change_set, grants } => {
                let (lease, stop) = self.stoppable(Lease::Task { task: task.clone(), epoch });
                let by = (self.roster.holder(Role::Validator).to_owned(), grants, stop);
                let feedback = Feedback::default();
                let work = self.assign(&task, by, attempt, epoch, feedback, state);
                let Some(work) = work else { return };
                let stakes = self.stakes(&task, state);
                tokio::spawn(async move {
                    let result = shop.validate(&work, change_set, stakes).await;
                    shop.ended(&lease, Input::Validated { task, epoch, change_set, result });
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
            Effect::CheckPhase { role, epoch, never, ceiling } => {
                let most = Grants { never, ceiling, ..Grants::default() };
                let (lease, stop) = self.stoppable(Lease::Phase { role, epoch });
                let artifacts = self.artifacts(state, self.plan.tasks.iter().map(|task| &task.id));
                let context = self.context(1, Feedback::default(), artifacts);
                tokio::spawn(async move {
                    let result = shop.check_phase(role, &context, most, stop).await;
                    shop.ended(&lease, Input::PhaseChecked { role, epoch, result });
                });
            }
            Effect::Stop { lease } => {
                if let Some(stopper) = self.stops().get(&lease) {
                    stopper.stop();
                }
            }
            Effect::WriteState { .. } | Effect::Ask { .. } | Effect::Reply { .. } => {}
        }
    }

    fn stops(&self) -> MutexGuard<'_, BTreeMap<Lease, Stopper>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stoppable(&self, lease: Lease) -> (Lease, Stop) {
        let (stopper, stop) = Stop::new();
        self.stops().insert(lease.clone(), stopper);
        (lease, stop)
    }

    fn ended(&self, lease: &Lease, answer: Input) {
        self.stops().remove(lease);
        self.tell(answer);
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
        (agent, grants, stop): (String, Grants, Stop),
        attempt: Attempt,
        epoch: Epoch,
        feedback: Feedback,
        state: &RunState,
    ) -> Option<Assignment> {
        let task = self.plan.task(task)?.clone();
        let artifacts = self.artifacts(state, task.depends_on.iter());
        let context = self.context(attempt, feedback, artifacts);
        Some(Assignment { task, agent, grants, epoch, context, stop })
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

    /// Where the output of commands is shown that run for a task, or for the phase.
    fn listener(&self, task: Option<&TaskId>) -> Listener {
        let (task, notices) = (task.cloned(), self.notices.clone());
        Arc::new(move |command, line| {
            let (task, command, line) = (task.clone(), command.to_owned(), line.to_owned());
            // Bounded: who prints faster than anybody reads is not listened to.
            let _ = notices.try_send(Notice::Output { task, command, line });
        })
    }

    fn options(&self, work: &Assignment, role: Role) -> CallOptions {
        let desk: Arc<dyn Desk> = Arc::new(TaskDesk {
            task: work.task.id.clone(),
            epoch: work.epoch,
            messages: self.messages.clone(),
            notices: self.notices.clone(),
        });
        let (blobs, listener) = (self.blobs.clone(), self.listener(Some(&work.task.id)));
        let commands = TaskCommands::new(role, &work.task, &self.natives, blobs, listener);
        let commands = Arc::new(commands);
        CallOptions { stop: work.stop.clone(), desk, commands, limits: work.task.limits }
    }

    /// The agent, compiled; or why not, unless it is told to stop before.
    async fn agent(&self, name: &str, stop: &Stop) -> Result<Agent, Trouble> {
        tokio::select! {
            agent = self.roster.agent(&self.sandbox, name) => {
                agent.map_err(|message| Trouble::Unavailable { message })
            }
            () = stop.clone().given() => Err(stopped()),
        }
    }

    /// Whether another attempt may begin beside what is there.
    fn room_for_more(&self) -> Result<(), Trouble> {
        let (Some(most), Some(resident)) = (self.limits.host_memory, resident()) else {
            return Ok(());
        };
        if resident <= most {
            return Ok(());
        }
        let (has, may) = (resident >> 20, most >> 20);
        let message = format!("idumb has {has} MiB of memory; `host_memory` allows {may} MiB");
        Err(Trouble::Unavailable { message })
    }

    /// What an attempt at `task` may use of files.
    fn quota(&self, task: &Task) -> Quota {
        let (usual, project, task) = (Quota::default(), &self.limits.agent, &task.limits);
        let least = |usual: u64, project: Option<u64>, task: Option<u64>| {
            let most = project.unwrap_or(usual);
            task.map_or(most, |task| task.min(most))
        };
        Quota {
            bytes: least(usual.bytes, project.written, task.written),
            files: least(usual.files, project.files, task.files),
            open_files: least(usual.open_files, project.open_files, task.open_files),
            ..usual
        }
    }

    async fn build(self: &Arc<Self>, work: &Assignment) -> Result<Box<SealedAttempt>, Broke> {
        let broken = |trouble| {
            Box::new(BrokenAttempt { trouble, record: Default::default(), log: Vec::new() })
        };
        self.room_for_more().map_err(broken)?;
        let agent = self.agent(&work.agent, &work.stop).await.map_err(broken)?;
        let upper = self.upper.join(format!("{}-{}", work.task.id, work.epoch));
        let view = WorkView::new(&self.base, &upper, work.grants.clone(), self.quota(&work.task))
            .map_err(|error| broken(host_trouble("the overlay", &error)))?;
        self.tell(Input::Started { task: work.task.id.clone(), epoch: work.epoch });
        let ended = agent
            .build(view.clone(), &work.task, &work.context, self.options(work, Role::Builder))
            .await;
        let outcome = match came_to(ended.result, ended.host_error) {
            Ok(outcome) => outcome,
            Err(trouble) => {
                let (record, log) = (view.record(), ended.log);
                return Err(Box::new(BrokenAttempt { trouble, record, log }));
            }
        };
        let (shop, task) = (Arc::clone(self), work.task.clone());
        let record = view.record();
        let sealed = tokio::task::spawn_blocking(move || shop.seal(&task, view, outcome)).await;
        match sealed {
            Ok(Ok(sealed)) => {
                Ok(Box::new(SealedAttempt { evidence: ended.evidence, log: ended.log, ..sealed }))
            }
            Ok(Err(trouble)) => Err(Box::new(BrokenAttempt { trouble, record, log: ended.log })),
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
            .map_err(|why| host_trouble("the change-set cannot be kept", &why))?;
        let changes: HashMap<&str, &Change> =
            change_set.changes.iter().map(|change| (change.path.as_str(), change)).collect();
        let mut named: Vec<String> = task.artifacts.clone();
        // The agent names each once: what it answered was read so.
        let promised: HashSet<&str> = task.artifacts.iter().map(String::as_str).collect();
        let new = |path: &String| {
            !promised.contains(path.as_str()) && changes.contains_key(path.as_str())
        };
        named.extend(outcome.artifacts.into_iter().filter(new));
        let digest_of = |path: &str| match &changes.get(path)?.after {
            Some(Entry::File { digest, .. }) => Some(*digest),
            _ => None,
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
        read().map_err(|error| host_trouble(&format!("change-set {}", digest.short()), &error))
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
            Err(other) => Err(host_trouble("applying the changes", &other)),
        }
    }
}

/// A base that changed while the attempt read it is a conflict: it is run again.
fn of_sealing(error: SealError) -> Trouble {
    match error {
        SealError::BaseChanged(paths) => Trouble::Conflict {
            path: paths.into_iter().next().unwrap_or_default(),
            with: Other::Unknown,
        },
        SealError::Unreadable { .. } | SealError::NotKept { .. } => {
            host_trouble("what the agent wrote cannot be kept", &error)
        }
        other => Trouble::Failure(Failure {
            kind: FailureKind::Denied,
            message: format!("what the agent wrote cannot be kept: {other}"),
            step: None,
            retryable: true,
        }),
    }
}

/// The answer of work that was told to stop: whoever told it knows why.
pub(crate) fn stopped() -> Trouble {
    Trouble::Error { message: "it was stopped".to_owned() }
}

/// What a call came to. An error of the host that the agent's files ran into comes before what
/// the agent made of it: the task is not to blame, and what it answered means nothing.
pub(crate) fn came_to<T>(
    result: Result<T, Broken>,
    host_error: Option<std::io::Error>,
) -> Result<T, Trouble> {
    match (result, host_error) {
        (Err(Broken::Stopped), _) => Err(stopped()),
        (_, Some(error)) => Err(host_trouble("what an agent runs on", &error)),
        (Err(Broken::Trouble(trouble)), None) => Err(trouble),
        (Ok(answer), None) => Ok(answer),
    }
}

/// The host's own trouble, told apart by whether something is used up that may come back.
pub(crate) fn host_trouble(what: &str, error: &(dyn std::error::Error + 'static)) -> Trouble {
    let message = format!("{what}: {error}");
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(is_used_up) {
            return Trouble::Unavailable { message };
        }
        cause = error.source();
    }
    Trouble::Error { message }
}

/// How much memory this process has, in bytes, where the system says so.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Space, quota, memory or descriptors.
pub(crate) fn is_used_up(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
    // EMFILE and ENFILE have no kind of their own.
    let descriptors = matches!(error.raw_os_error(), Some(23 | 24));
    descriptors || matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge | OutOfMemory)
}
