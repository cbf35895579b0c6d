//! `idumb execute-phase`: from a command line to a run that rests.
//!
//! Invariant: a run is bound to the digests of its plan and its agents; one that could be
//! resumed is never replaced without `--restart`; what an earlier process was about to
//! change is finished before anything else is touched.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use idumb_core::{
    AgentBinding, Consent, Control, Event, Input, Mode, Plan, Role, Run, RunConfig, RunId,
    RunOutcome, Stamped, WorkflowStep,
};
use idumb_journal::{BlobStore, Journal, Lock, LockError, Outcome, RunRow, StateDir};
use idumb_overlay::Base;
use idumb_plan::{FoundPlan, PLACES};
use idumb_sandbox::Sandbox;
use tokio::sync::mpsc;

use crate::approve::Approved;
use crate::args::{ExecutePhase, Format};
use crate::clock::Clock;
use crate::consent::Asking;
use crate::control::{self, Socket};
use crate::drift::{changed, changes, reassigned};
use crate::driver::Driver;
use crate::established::{Established, recorded_plan};
use crate::fail_point::fail_point;
use crate::fault::{self, DONE, Fault};
use crate::native::{Natives, Walls};
use crate::project::Project;
use crate::record::{self, Recorded, Recorder};
use crate::report::{self, Reporter};
use crate::roster::Roster;
use crate::settings::Settings;
use crate::workshop::Workshop;
use crate::{compiled, dry_run, native, prompt, scratch};

/// How many of the agents' words may wait to be shown.
const NOTICES: usize = 256;

/// Executes a phase; answers the exit status.
pub(crate) fn execute_phase(
    project: Option<&Path>,
    args: &ExecutePhase,
    clock: Clock,
) -> Result<u8> {
    let mut project = Project::open(project)?;
    if args.rehearse {
        return rehearse(&project, args, clock);
    }
    let named = project.root.clone();
    if let Some(to) = &args.scratch
        && !args.dry_run
    {
        let root = scratch::copy(&project.root, to.as_deref())?;
        say(args, &format!("working on a copy of the project: {}", root.display()));
        project = Project::open(Some(&root))?;
    }
    execute_in(&project, &named, args, clock)
}

/// Runs the phase on a copy that goes when this returns, and shows what it changed there.
fn rehearse(project: &Project, args: &ExecutePhase, clock: Clock) -> Result<u8> {
    let room = tempfile::Builder::new().prefix("idumb-rehearsal-").tempdir();
    let room = room.context("making room for a rehearsal")?;
    let root = scratch::copy(&project.root, Some(&room.path().join("project")))?;
    scratch::copy_state(&project.root, &root)?;
    say(args, "a rehearsal: what is changed is a copy, and goes with it");
    let copy = Project::open(Some(&root))?;
    let status = execute_in(&copy, &project.root, args, clock)?;
    let shown = crate::args::Diff { output: args.output, ..Default::default() };
    // A run that changed nothing has no diff, and that is told by the run itself.
    match crate::diff::diff(Some(&root), &shown) {
        Ok(_) => {}
        Err(error) => say(args, &fault::told(&error)),
    }
    say(args, "that was a rehearsal: nothing was applied");
    Ok(status)
}

/// As [`execute_phase`], in the project that is meant; `named` is the one that the person named.
fn execute_in(project: &Project, named: &Path, args: &ExecutePhase, clock: Clock) -> Result<u8> {
    let settings = Settings::of(args, project)?;
    if args.dry_run {
        return dry_run::show(project, args, &settings);
    }
    // The phase is chosen and the plan read before anything is written.
    let state = StateDir::find(&project.root)?;
    let reader = state.as_ref().map(Journal::open_read_only).transpose()?.flatten();
    let phase = choose_phase(project, args.phase.as_deref(), reader.as_ref())?;
    drop(reader);
    let plan = project.plan(&phase)?;
    if let Some((task, fault)) = native::undefined(&plan, &project.config).into_iter().next() {
        return Err(Fault { message: format!("task {task}: {}", fault.message), ..fault }.into());
    }
    let roster = Roster::of(&project.root, &project.config, &plan)?;
    if let Some(path) = &args.approved {
        let bound = (settings.rules.as_slice(), settings.policies.as_slice());
        Approved::of(&project.root, &plan, &roster.bindings(), bound)?.expect(path)?;
    }

    let number = plan.phase.number;
    in_folder((project, named), args, (settings, clock), plan, roster)
        .map_err(|error| fault::let_down(error, number))
}

/// As [`execute_phase`], for what was read: from here on the project's state is written.
fn in_folder(
    (project, named): (&Project, &Path),
    args: &ExecutePhase,
    (settings, clock): (Settings, Clock),
    plan: Plan,
    roster: Roster,
) -> Result<u8> {
    let state = StateDir::prepare(&project.root)?;
    let lock = state.lock().map_err(held)?;
    fail_point("lock.taken");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let opened = Opened { project, named, state: &state, lock: &lock, settings, clock };
    let status = runtime.block_on(opened.execute(args, plan, roster));
    // A guest that does not yield, or a question nobody answers, must not keep the process.
    runtime.shutdown_background();
    status
}

/// The plan of the phase that is meant, or of the current one.
pub(crate) fn choose_phase<A>(
    project: &Project,
    text: Option<&str>,
    journal: Option<&Journal<A>>,
) -> Result<FoundPlan> {
    if let Some(text) = text {
        return project.choose(text);
    }
    if let Some(number) = project.config.project.current_phase {
        return project.choose(&number.to_string());
    }
    let plans = project.plans()?;
    let completed = journal.map(Journal::completed_phases).transpose()?.unwrap_or_default();
    let open =
        |found: &&FoundPlan| !completed.iter().any(|row| row.phase.number == found.phase.number);
    match (plans.iter().find(open), plans.last()) {
        // By its number, so that it is told if there is more than one of it.
        (Some(found), _) | (None, Some(found)) => {
            project.choose_of(&plans, &found.phase.number.to_string())
        }
        (None, None) => {
            let message = format!("there is no phase in {}/{}", project.root.display(), PLACES[0]);
            Err(Fault::coded(idumb_core::ErrorCode::E001, message).into())
        }
    }
}

pub(crate) fn held(error: LockError) -> anyhow::Error {
    match error {
        LockError::Held { .. } => Fault::paused(error.to_string())
            .hint("wait for it, or look at it with `idumb status`")
            .into(),
        LockError::Error(error) => error.into(),
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
    /// The project that the person named: what runs may be a copy of it.
    named: &'a Path,
    state: &'a StateDir,
    lock: &'a Lock,
    settings: Settings,
    clock: Clock,
}

/// What to do about the phase's latest run.
enum Start {
    Fresh,
    Resume(Box<Recorded>),
    Nothing(String),
}

impl Opened<'_> {
    async fn execute(&self, args: &ExecutePhase, plan: Plan, roster: Roster) -> Result<u8> {
        let mut journal = Journal::open(self.lock)?;
        fail_point("journal.opened");
        self.settle_others(&mut journal, args.restart).await?;
        let latest = journal.latest_run(Some(plan.phase.number))?;
        let bindings = roster.bindings();
        let start = self.start(args, &journal, latest.as_ref(), &plan, &bindings)?;
        let established = Established::before(&journal, &plan)?;
        let prerequisites = established.prerequisites(&plan);
        let id = match &start {
            Start::Nothing(text) => {
                say(args, text);
                return Ok(DONE);
            }
            Start::Fresh => journal.next_run_id(&plan.phase)?,
            Start::Resume(recorded) => recorded.run.config().run.clone(),
        };
        for name in established.unknown() {
            let what = "which means no promise of a completed phase, or several: it ends nothing";
            say(args, &format!("`supersedes` names {name}, {what}"));
        }
        native::still_defined(&established, &self.project.config)?;
        let consents = self.consents(args, (&plan, &id), &roster, &established)?;
        // Before the run is bound to this plan: what lacks here changes nothing.
        let used = native::used(&plan, &established, &self.project.config);
        let (root, weaker) = (&self.project.root, args.confinement.weaker());
        let walls = native::tried(&used, root, &self.commands(), &weaker)?;
        let promised = !established.is_empty();
        let mut config = RunConfig { consents, promised, ..self.settings.config(id, bindings) };
        // Each command has a clock of its own, beside that of whoever validates.
        let time = native::time_of_all(&plan, &established, &self.project.config);
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        config.timeouts.validation_ms = config.timeouts.validation_ms.saturating_add(time);
        let (run, recorder) = match start {
            Start::Resume(recorded) => {
                let (mut run, recorder) = self.taken_up(journal, *recorded, plan, config)?;
                run.resume(self.clock.now());
                (run, recorder)
            }
            _ => (Run::new(plan, config), Recorder::new(journal)),
        };
        let reporters = report::reporters(args.output.format, &args.report);
        let (mut driver, _socket) =
            self.driver(run, recorder, roster, established, walls, reporters)?;
        // For a run that is taken up this matters only if its prerequisites were not met so far.
        driver.run.handle(self.clock.now(), Input::Begin { prerequisites });
        driver.workshop.warm_up();
        driver.drive().await
    }

    /// What a person lets the run's agents do; asked for, if somebody is there.
    fn consents(
        &self,
        args: &ExecutePhase,
        (plan, run): (&Plan, &RunId),
        roster: &Roster,
        established: &Established,
    ) -> Result<Vec<Consent>> {
        let asking = Asking {
            project: self.named,
            root: &self.project.root,
            // A rehearsal is not taken up again.
            run: (!args.rehearse).then_some(run),
            plan,
            roster,
            established,
            flags: &args.grants.grant,
            roles: &Role::ALL,
            commands: native::used(plan, established, &self.project.config),
        };
        let text = args.output.format == Format::Text;
        let attended = self.settings.mode == Mode::Interactive && prompt::is_attended();
        asking.settle(text && attended)
    }

    /// The recorded run, bound to the plan and the agents as they are now.
    fn taken_up(
        &self,
        journal: Journal,
        recorded: Recorded,
        plan: Plan,
        config: RunConfig,
    ) -> Result<(Run, Recorder)> {
        let Recorded { run, events, covered } = recorded;
        if run.plan().digest == plan.digest && reassigned(run.plan(), &plan).is_none() {
            return Ok((run.with_config(config), Recorder::going_on(journal, events, covered)));
        }
        // What completed tasks read is in their events, not in a snapshot.
        let id = config.run.clone();
        let mut events = record::recorded_events(&journal, &id, 0)?;
        let old = Run::recover(run.plan().clone(), config.clone(), &events);
        let now = self.clock.now();
        let replanned = Stamped { at: now.at, up: now.up, event: old.replan(&plan) };
        let mut recorder = Recorder::going_on(journal, events.len() as u64, 0);
        recorder.replan(&id, &plan, &replanned)?;
        tell_replanned(&plan, &replanned);
        events.push(replanned);
        Ok((Run::recover(plan, config, &events), recorder))
    }

    /// Where the trees of commands are.
    fn commands(&self) -> PathBuf {
        self.state.upper().join("commands")
    }

    fn driver(
        &self,
        run: Run,
        recorder: Recorder,
        roster: Roster,
        established: Established,
        walls: Option<Walls>,
        reporters: Vec<Box<dyn Reporter>>,
    ) -> Result<(Driver, Socket)> {
        self.lock.tell_run(&run.config().run)?;
        let (sender, messages) = mpsc::unbounded_channel();
        let socket = control::listen(self.state, sender.clone())?;
        let (notices, noticed) = mpsc::channel(NOTICES);
        let limits = self.project.limits();
        let calls = run.config().batch_size;
        let sandbox = Sandbox::with(compiled::options(&limits, calls, &[&self.project.root]))?;
        let base = Base::open(&self.project.root).context("opening the project's folder")?;
        let (blobs, upper) = (Arc::new(BlobStore::new(self.state)?), emptied(&self.state.upper())?);
        let (config, room) = (&self.project.config, self.commands());
        let natives = Natives::new(config, base.clone(), blobs.clone(), room, walls);
        let workshop = Workshop {
            run: run.config().run.clone(),
            plan: run.plan().clone(),
            natives: Arc::new(natives),
            promises: Mutex::default(),
            base,
            blobs,
            upper,
            // Never emptied: a run that was cut short may have moved a file of the user's
            // there, and only integrating again puts it where it belongs.
            staging: self.state.staging(),
            sandbox,
            roster,
            established,
            messages: sender,
            notices,
            limits,
            stops: Mutex::default(),
        };
        let (state, shop) = (self.state.clone(), Arc::new(workshop));
        let inbox = (messages, noticed);
        let driver = Driver::new(run, recorder, state, shop, reporters, inbox, self.clock);
        Ok((driver, socket))
    }

    /// Finishes what runs that went away were about to change. Only who begins anew may leave
    /// a run aside that cannot be read.
    async fn settle_others(&self, journal: &mut Journal, anew: bool) -> Result<()> {
        for row in journal.runs()?.into_iter().filter(|row| row.outcome.is_none()) {
            let recorded = recorded_plan(journal, &row.run)
                .and_then(|plan| record::recover(journal, &row.run, plan));
            let Recorded { mut run, events, covered } = match recorded {
                Ok(recorded) => recorded,
                Err(error) if anew && error.is::<record::Unknown>() => {
                    crate::tell(&format!("idumb: {error:#}; that run is left as it is"));
                    continue;
                }
                Err(error) if error.is::<record::Unknown>() => {
                    return Err(Fault::usage(format!("{error:#}"))
                        .hint("finish that run with the idumb that recorded it")
                        .hint("or leave it as it is and begin anew with --restart")
                        .into());
                }
                Err(error) => return Err(error),
            };
            if !run.is_unsettled() {
                continue;
            }
            run.settle(self.clock.now());
            let roster =
                Roster::of(&self.project.root, &Default::default(), &empty_of(run.plan()))?;
            let recorder = Recorder::going_on(Journal::open(self.lock)?, events, covered);
            let established = Established::default();
            let (driver, _socket) =
                self.driver(run, recorder, roster, established, None, Vec::new())?;
            driver.drive().await?;
            journal.reopen()?;
        }
        Ok(())
    }

    fn start(
        &self,
        args: &ExecutePhase,
        journal: &Journal,
        latest: Option<&RunRow>,
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
        // A rehearsal is about the whole phase, whatever became of it here.
        if args.restart || args.rehearse {
            return Ok(Start::Fresh);
        }
        let run = &latest.run;
        match latest.outcome.as_ref().map(|outcome| outcome.name.as_str()) {
            Some(Outcome::COMPLETED) => {
                return Ok(Start::Nothing(format!(
                    "phase {} was completed by run {run}; --restart runs it again",
                    plan.phase
                )));
            }
            Some("cancelled") if args.resume => {
                let message = format!("run {run} was cancelled: there is nothing to resume");
                return Err(Fault::usage(message)
                    .hint(format!("begin a new one: idumb execute-phase {number}"))
                    .into());
            }
            Some("cancelled") => return Ok(Start::Fresh),
            _ => {}
        }
        let recorded = record::recover(journal, run, recorded_plan(journal, run)?)?;
        if recorded.run.state().step < Some(WorkflowStep::ExecutionLoop) && !args.resume {
            // It ended before anything was executed: there is nothing that could be lost.
            return Ok(Start::Fresh);
        }
        if !args.resume {
            return Err(self.could_be_resumed(&recorded.run, number).into());
        }
        let mut changes = changes(latest, recorded.run.config(), plan, bindings);
        changes.extend(reassigned(recorded.run.plan(), plan));
        if changes.is_empty() || args.replan {
            return Ok(Start::Resume(Box::new(recorded)));
        }
        Err(changed(run, &changes, number).into())
    }

    fn could_be_resumed(&self, recorded: &Run, number: u32) -> Fault {
        let how = match &recorded.state().control {
            Control::Finished(RunOutcome::Failed { code, .. }) => format!("failed with {code}"),
            Control::Paused(..) => "is paused".to_owned(),
            _ => "was interrupted".to_owned(),
        };
        let progress = recorded.progress(self.clock.now());
        let (done, total) = (progress.completed, progress.total);
        let (run, phase) = (&recorded.config().run, &recorded.plan().phase);
        Fault::paused(format!("run {run} of phase {phase} {how} ({done}/{total} tasks done)"))
            .hint(format!("go on with it: idumb execute-phase {number} --resume"))
            .hint(format!("or begin anew: idumb execute-phase {number} --restart"))
    }
}

/// What became of the completed tasks when the plan changed.
fn tell_replanned(plan: &Plan, stamped: &Stamped) {
    let Event::Replanned { kept, changed, .. } = &stamped.event else {
        return;
    };
    crate::tell(&format!("idumb: {} completed tasks stay done", kept.len()));
    for (task, why) in changed {
        crate::tell(&format!("idumb: {}", report::unkept_text(plan, task, why)));
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

/// Our own private folder, without what an earlier process left in it.
fn emptied(folder: &Path) -> Result<PathBuf> {
    let wrap = || format!("emptying {}", folder.display());
    match std::fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(wrap),
    }
    std::fs::create_dir_all(folder).with_context(wrap)?;
    Ok(folder.to_owned())
}
