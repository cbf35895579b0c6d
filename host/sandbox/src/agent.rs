//! A compiled agent, and the calls into it.
//!
//! Invariant: a call ends when its stop is given wherever the guest is, and its store with it.

use std::io;
use std::sync::Arc;

use idumb_core::{
    Criterion, Digest, Evidence, Failure, Finding, Link, LogLine, ResourceLimits, Role, Task,
    Trouble,
};
use idumb_overlay::{ReadView, WorkView};
use wasmtime::component::{ComponentNamedList, InstancePre, Lift, Lower};
use wasmtime::{Store, Trap};

use crate::contract::types;
use crate::engine::{export_name, whole};
use crate::guest::{Candidate, Guest};
use crate::seat::{Files, store};
use crate::shares::Share;
use crate::{Commands, Context, Desk, LimitBroken, Limits, Outcome, Stop, wire};

/// A component that was checked and compiled for a role.
#[derive(Clone)]
pub struct Agent {
    role: Role,
    digest: Digest,
    pre: InstancePre<Guest>,
    share: Share,
    limits: Limits,
    cached: bool,
}

/// How one call is to go.
#[derive(Clone)]
pub struct CallOptions {
    /// Ends the call when it is given: at the guest's next tick if it computes, at once if
    /// it waits for the host.
    pub stop: Stop,
    /// Where its words go.
    pub desk: Arc<dyn Desk>,
    /// What answers where it asks for native commands; [`NoCommands`](crate::NoCommands) where it
    /// may ask for none.
    pub commands: Arc<dyn Commands>,
    /// Where it may use less than the sandbox allows.
    pub limits: ResourceLimits,
}

/// How a call ended.
#[derive(Debug)]
pub struct Ended<T> {
    /// What the agent answered, or why there is no answer.
    pub result: Result<T, Broken>,
    /// What the host observed for it, until it ended.
    pub evidence: Vec<Evidence>,
    /// What it said and printed, until it ended.
    pub log: Vec<LogLine>,
    /// The first error of the host's own (a full or broken disk, no memory or descriptors left)
    /// that its file operations ran into. If there is one, the result says nothing about the
    /// task, not even if it is an outcome.
    pub host_error: Option<io::Error>,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The agent could not, or crashed.
    Trouble(Trouble),
    /// The caller stopped it. Why is the caller's to say.
    Stopped,
}

/// The one result of a contract function.
type Answer<T> = (Result<T, types::Failure>,);

impl Agent {
    pub(crate) fn new(
        role: Role,
        digest: Digest,
        pre: InstancePre<Guest>,
        share: Share,
        limits: Limits,
        cached: bool,
    ) -> Self {
        Self { role, digest, pre, share, limits, cached }
    }

    /// The digest of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether its machine code came from the cache, not from the compiler.
    pub fn is_cached(&self) -> bool {
        self.cached
    }

    /// The role that it was prepared for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Has a builder carry out `task` in `view`.
    pub async fn build(
        &self,
        view: WorkView,
        task: &Task,
        context: &Context,
        options: CallOptions,
    ) -> Ended<Outcome> {
        let args = (wire::task(task), wire::context(context));
        self.call(Files::Work(view), Candidate::default(), args, options, wire::outcome).await
    }

    /// Has a validator check `task`'s criteria on a candidate.
    pub async fn validate(
        &self,
        view: ReadView,
        candidate: Candidate,
        task: &Task,
        context: &Context,
        options: CallOptions,
    ) -> Ended<Vec<Finding>> {
        let args = (wire::task(task), wire::context(context));
        self.call(Files::Read(view), candidate, args, options, wire::findings).await
    }

    /// Has a verifier check a finished phase.
    pub async fn verify(
        &self,
        view: ReadView,
        tasks: &[Task],
        context: &Context,
        options: CallOptions,
    ) -> Ended<Vec<Finding>> {
        let tasks: Vec<types::Task> = tasks.iter().map(wire::task).collect();
        let args = (tasks, wire::context(context));
        self.call(Files::Read(view), Candidate::default(), args, options, wire::findings).await
    }

    /// Has an integration-checker check a finished phase against earlier ones.
    pub async fn check_integration(
        &self,
        view: ReadView,
        established: &[Criterion],
        links: &[Link],
        context: &Context,
        options: CallOptions,
    ) -> Ended<Vec<Finding>> {
        let links: Vec<types::Link> = links.iter().map(wire::link).collect();
        let args = (wire::criteria(established), links, wire::context(context));
        self.call(Files::Read(view), Candidate::default(), args, options, wire::findings).await
    }

    async fn call<P, R, T>(
        &self,
        files: Files,
        candidate: Candidate,
        args: P,
        options: CallOptions,
        convert: fn(R) -> T,
    ) -> Ended<T>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Send + Sync + 'static,
        Answer<R>: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let limits = self.limits.narrowed(&options.limits);
        let call = options.stop.ends(files.view());
        let guest = Guest::new(files, candidate, (options.desk, options.commands), limits);
        let log = guest.log.clone();
        let mut store = store(self.pre.engine(), guest);
        // Beyond the store, whose memory is what it stands for.
        let mut held = None;
        let running = async {
            held = Some(self.share.held().await);
            run::<P, R>(&mut store, &self.pre, export_name(self.role), args).await
        };
        let result = tokio::select! {
            // First, so that a call whose stop was given before does not start.
            biased;
            () = options.stop.given() => Err(Broken::Stopped),
            ran = running => match ran {
                // It went on, for a moment, with an answer that said that it was stopped.
                _ if call.cut() => Err(Broken::Stopped),
                Err(error) => Err(Broken::Trouble(Trouble::Trap { message: trap_text(&error) })),
                Ok(Err(failure)) => Err(Broken::Trouble(Trouble::Failure(said(failure)))),
                Ok(Ok(answer)) => Ok(convert(answer)),
            },
        };
        let evidence = std::mem::take(&mut store.data_mut().evidence);
        let host_error = store.data().seat.host_error.take();
        drop(store);
        drop((held, call));
        Ended { result, evidence, log: log.take(), host_error }
    }
}

fn said(failure: types::Failure) -> Failure {
    wire::failure(failure)
}

async fn run<P, R>(
    store: &mut Store<Guest>,
    pre: &InstancePre<Guest>,
    export: &str,
    args: P,
) -> wasmtime::Result<Result<R, types::Failure>>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: Send + Sync + 'static,
    Answer<R>: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let made = pre.instantiate_async(&mut *store).await;
    let instance = made.inspect_err(|error| store.data().seat.host_error.note_unmade(error))?;
    let function = instance.get_typed_func::<P, Answer<R>>(&mut *store, export)?;
    let (answer,) = function.call_async(&mut *store, args).await?;
    Ok(answer)
}

/// What a person can make of a trap: its cause, without the guest's stack.
pub(crate) fn trap_text(error: &wasmtime::Error) -> String {
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return format!("it called exit({})", exit.0);
    }
    if let Some(limit) = error.downcast_ref::<LimitBroken>() {
        return limit.to_string();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "it aborted (its last log lines say why)".to_owned(),
        Some(trap) => trap.to_string(),
        // The engine has no type for it.
        None if whole(error).contains("fuel allocated for hostcalls") => {
            "it handed over more at once than its limit `host_call` allows".to_owned()
        }
        None => whole(error),
    }
}
