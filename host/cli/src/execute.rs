//! `idumb execute-phase`: from a command line to a run that rests.
//!
//! Invariant: a run is bound to the digests of its plan and its agents; one that could be
//! resumed is never replaced without `--restart`; what an earlier process was about to
//! change is finished before anything else is touched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use idumb_core::{
    AgentBinding, Input, Mode, PhaseId, Plan, Run, RunConfig, RunOutcome, Stamped, WorkflowStep,
};
use idumb_journal::{BlobStore, Journal, Lock, LockError, Outcome, RunRow, StateDir};
use idumb_overlay::Base;
use idumb_sandbox::{Limits, Sandbox};
use tokio::sync::mpsc;

use crate::args::{ExecutePhase, Format};
use crate::driver::{self, Driver, recorded_config, recorded_events};
use crate::established::{Established, recorded_plan};
use crate::fault::{DONE, Fault};
use crate::project::Project;
use crate::report::{self, Reporter};
use crate::roster::Roster;
use crate::workshop::Workshop;
use crate::{dry_run, scratch};

/// Where the flags are silent and `idumb.toml` too.
const BATCH_SIZE: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(600);

/// How many of the agents' words may wait to be shown.
const NOTICES: usize = 256;

/// How a run is to go, from flags, `idumb.toml` and defaults, in this order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) batch_size: u32,
    pub(crate) timeout: Duration,
}

impl Settings {
    fn of(args: &ExecutePhase, project: &Project) -> Self {
        let defaults = &project.config.defaults;
        let batch_size = defaults.batch_size.and_then(|size| u32::try_from(size).ok());
        Self {
            mode: args.mode.map(Mode::from).or(defaults.mode).unwrap_or(Mode::Interactive),
            batch_size: args.batch_size.or(batch_size).unwrap_or(BATCH_SIZE),
            timeout: args.timeout.or(defaults.timeout).unwrap_or(TIMEOUT),
        }
    }
}

/// Executes a phase; answers the exit status.
pub(crate) fn execute_phase(project: Option<&Path>, args: &ExecutePhase) -> Result<u8> {
    let mut project = Project::open(project)?;
    if let Some(to) = &args.scratch
        && !args.dry_run
    {
        let root = scratch::copy(&project.root, to.as_deref())?;
        say(args, &format!("working on a copy of the project: {}", root.display()));
        project = Project::open(Some(&root))?;
    }
    let settings = Settings::of(args, &project);
    if args.dry_run {
        return dry_run::show(&project, args, settings);
    }
    // The phase is chosen and the plan read before anything is written.
    let state = StateDir::find(&project.root)?;
    let reader = state.as_ref().map(Journal::open_read_only).transpose()?.flatten();
    let phase = choose_phase(&project, args.phase.as_deref(), reader.as_ref())?;
    drop(reader);
    let plan = project.plan(&phase)?;
    let roster = Roster::of(&project.root, &project.config, &plan)?;

    let state = StateDir::prepare(&project.root)?;
    let lock = state.lock().map_err(held)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let opened = Opened { project: &project, state: &state, lock: &lock, settings };
    let status = runtime.block_on(opened.execute(args, plan, roster));
    // A guest that does not yield, or a question nobody answers, must not keep the process.
    runtime.shutdown_background();
    status
}

/// The phase that is meant, or the current one.
pub(crate) fn choose_phase<A>(
    project: &Project,
    text: Option<&str>,
    journal: Option<&Journal<A>>,
) -> Result<PhaseId> {
    if let Some(text) = text {
        return project.choose(text);
    }
    if let Some(number) = project.config.project.current_phase {
        return project.choose(&number.to_string());
    }
    let phases = project.phases()?;
    let completed = journal.map(Journal::completed_phases).transpose()?.unwrap_or_default();
    let open = |phase: &&PhaseId| !completed.iter().any(|row| row.phase.number == phase.number);
    match (phases.iter().find(open), phases.last()) {
        (Some(phase), _) | (None, Some(phase)) => Ok(phase.clone()),
        (None, None) => {
            let message = format!("there is no phase in {}/.idumb/phases", project.root.display());
            Err(Fault::coded(idumb_core::ErrorCode::E001, message).into())
        }
    }
}

fn held(error: LockError) -> anyhow::Error {
    match error {
        LockError::Held { .. } => Fault::paused(error.to_string())
            .hint("wait for it, or look at it with `idumb status`")
            .into(),
        other => other.into(),
    }
}

fn say(args: &ExecutePhase, text: &str) {
    if args.output.format == Format::Text {
        crate::tell(&format!("idumb: {text}"));
    }
}

/// A project whose state directory is ours.
struct Opened<'a> {
    project: &'a Project,
    state: &'a StateDir,
    lock: &'a Lock,
    settings: Settings,
}

/// What to do about the phase's latest run.
enum Start {
    Fresh,
    Resume(RunConfig, Vec<Stamped>),
    Nothing(String),
}

impl Opened<'_> {
    async fn execute(&self, args: &ExecutePhase, plan: Plan, roster: Roster) -> Result<u8> {
        let mut journal = Journal::open(self.lock)?;
        self.settle_others(&mut journal).await?;
        let latest = journal.latest_run(Some(plan.phase.number))?;
        let bindings = roster.bindings();
        match self.start(args, &journal, latest, &plan, &bindings)? {
            Start::Nothing(text) => {
                say(args, &text);
                Ok(DONE)
            }
            Start::Fresh => {
                let run = journal.next_run_id(&plan.phase)?;
                let established = Established::before(&journal, &plan)?;
                let prerequisites = established.prerequisites(&plan);
                let config = self.config(run, bindings);
                let mut run = Run::new(plan, config);
                run.handle(driver::now(), Input::Begin { prerequisites });
                let reporters = report::reporters(args.output.format);
                let driver = self.driver(run, false, journal, roster, established, reporters)?;
                driver.workshop.warm_up();
                driver.drive().await
            }
            Start::Resume(recorded, events) => {
                let established = Established::before(&journal, &plan)?;
                let prerequisites = established.prerequisites(&plan);
                let config = self.config(recorded.run, bindings);
                let mut run = Run::recover(plan, config, &events);
                let now = driver::now();
                run.resume(now);
                // Only a run that never got beyond its prerequisites takes them in.
                run.handle(now, Input::Begin { prerequisites });
                let reporters = report::reporters(args.output.format);
                let driver = self.driver(run, true, journal, roster, established, reporters)?;
                driver.workshop.warm_up();
                driver.drive().await
            }
        }
    }

    fn config(&self, run: idumb_core::RunId, agents: Vec<AgentBinding>) -> RunConfig {
        RunConfig {
            run,
            mode: self.settings.mode,
            batch_size: self.settings.batch_size,
            timeout_ms: u64::try_from(self.settings.timeout.as_millis()).unwrap_or(u64::MAX),
            agents,
        }
    }

    fn driver(
        &self,
        run: Run,
        recorded: bool,
        journal: Journal,
        roster: Roster,
        established: Established,
        reporters: Vec<Box<dyn Reporter>>,
    ) -> Result<Driver> {
        self.lock.tell_run(&run.config().run)?;
        let (sender, messages) = mpsc::unbounded_channel();
        let (notices, noticed) = mpsc::channel(NOTICES);
        let mut limits = Limits::default();
        if let Some(memory) = self.project.config.limits.memory {
            limits.memory = usize::try_from(memory).unwrap_or(usize::MAX);
        }
        let workshop = Workshop {
            run: run.config().run.clone(),
            plan: run.plan().clone(),
            timeout: Duration::from_millis(run.config().timeout_ms),
            base: Base::open(&self.project.root).context("opening the project's folder")?,
            blobs: Arc::new(BlobStore::new(self.state)?),
            upper: emptied(&self.state.upper())?,
            // Never emptied: a run that was cut short may have moved a file of the user's
            // there, and only integrating again puts it where it belongs.
            staging: self.state.staging(),
            sandbox: Sandbox::new(limits)?,
            roster,
            established,
            messages: sender,
            notices,
        };
        let (state, shop) = (self.state.clone(), Arc::new(workshop));
        Ok(Driver::new(run, recorded, journal, state, shop, (messages, noticed), reporters))
    }

    /// Finishes what runs that went away were about to change.
    async fn settle_others(&self, journal: &mut Journal) -> Result<()> {
        for row in journal.runs()?.into_iter().filter(|row| row.outcome.is_none()) {
            let events = recorded_events(journal, &row.run)?;
            let plan = recorded_plan(journal, &row.run)?;
            let config = recorded_config(&events)?;
            let mut run = Run::recover(plan, config, &events);
            if !run.is_unsettled() {
                continue;
            }
            run.settle(driver::now());
            let roster =
                Roster::of(&self.project.root, &Default::default(), &empty_of(run.plan()))?;
            let owned = Journal::open(self.lock)?;
            let established = Established::default();
            let driver = self.driver(run, true, owned, roster, established, Vec::new())?;
            driver.drive().await?;
            journal.reopen()?;
        }
        Ok(())
    }

    fn start(
        &self,
        args: &ExecutePhase,
        journal: &Journal,
        latest: Option<RunRow>,
        plan: &Plan,
        bindings: &[AgentBinding],
    ) -> Result<Start> {
        let number = plan.phase.number;
        let Some(latest) = latest else {
            return if args.resume {
                Err(nothing_to_resume(number).into())
            } else {
                Ok(Start::Fresh)
            };
        };
        if args.restart {
            return Ok(Start::Fresh);
        }
        let run = &latest.run;
        if latest.outcome.as_ref().is_some_and(|outcome| outcome.name == Outcome::COMPLETED) {
            return Ok(Start::Nothing(format!(
                "phase {} was completed by run {run}; --restart runs it again",
                plan.phase
            )));
        }
        let events = recorded_events(journal, run)?;
        let recorded = recorded_config(&events)?;
        let old = driver::recover(recorded_plan(journal, run)?, &events)?;
        if old.state().step < Some(WorkflowStep::ExecutionLoop) && !args.resume {
            // It ended before anything was executed: there is nothing that could be lost.
            return Ok(Start::Fresh);
        }
        let progress = old.progress(driver::now());
        if !args.resume {
            let how = match &old.state().control {
                idumb_core::Control::Finished(RunOutcome::Failed { code, .. }) => {
                    format!("failed with {code}")
                }
                idumb_core::Control::Paused(..) => "is paused".to_owned(),
                _ => "was interrupted".to_owned(),
            };
            let (done, total) = (progress.completed, progress.total);
            let message =
                format!("run {run} of phase {} {how} ({done}/{total} tasks done)", plan.phase);
            return Err(Fault::paused(message)
                .hint(format!("go on with it: idumb execute-phase {number} --resume"))
                .hint(format!("or begin anew: idumb execute-phase {number} --restart"))
                .into());
        }
        bound(&latest, &recorded, plan, bindings)?;
        Ok(Start::Resume(recorded, events))
    }
}

/// A plan without tasks: what is being settled needs no builder.
fn empty_of(plan: &Plan) -> Plan {
    Plan { tasks: Vec::new(), ..plan.clone() }
}

fn nothing_to_resume(number: u32) -> Fault {
    Fault::usage(format!("phase {number} has no run to resume"))
        .hint(format!("begin one: idumb execute-phase {number}"))
}

/// A run goes on only with the plan and the agents that it began with.
fn bound(
    latest: &RunRow,
    recorded: &RunConfig,
    plan: &Plan,
    bindings: &[AgentBinding],
) -> Result<(), Fault> {
    let mut changes = Vec::new();
    if latest.plan_digest != plan.digest {
        let (old, new) = (latest.plan_digest.short(), plan.digest.short());
        changes.push(format!("the plan (was {old}, is {new})"));
    }
    for agent in bindings {
        let before = recorded.agents.iter().find(|before| before.name == agent.name);
        match before {
            Some(before) if before.digest == agent.digest => {}
            Some(before) => changes.push(format!(
                "agent {} (was {}, is {})",
                agent.name,
                before.digest.short(),
                agent.digest.short()
            )),
            None => changes.push(format!("agent {} is new", agent.name)),
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let number = plan.phase.number;
    Err(Fault::paused(format!(
        "run {} cannot go on as it began, since these changed: {}",
        latest.run,
        changes.join("; ")
    ))
    .hint("put them back as they were to resume")
    .hint(format!("or begin anew with what there is now: idumb execute-phase {number} --restart")))
}

/// Our own private folder, without what an earlier process left in it.
fn emptied(folder: &Path) -> Result<std::path::PathBuf> {
    let wrap = || format!("emptying {}", folder.display());
    match std::fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(wrap),
    }
    std::fs::create_dir_all(folder).with_context(wrap)?;
    Ok(folder.to_owned())
}
