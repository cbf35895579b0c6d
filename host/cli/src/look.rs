//! `idumb status`, `log` and `replay`: looking at recorded runs.
//!
//! Invariant: only reads; works while another process runs the phase.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use idumb_core::{
    AccessRecord, Actor, Bounds, Consent, Control, Event, Given, Grants, Moment, Plan, Run,
    RunConfig, RunOutcome, Scope, Stamped, TaskId,
};
use idumb_journal::{BlobStore, Journal, Reading, RunRow, StateDir};

use crate::args::{Format, Log, Replay, Status};
use crate::clock::wall;
use crate::columns;
use crate::driver::{LOOK_AGAIN, how_to_answer};
use crate::established::recorded_plan;
use crate::fault::{DONE, Fault, PAUSED, exit_of};
use crate::output::{self, Objects};
use crate::printed::printed;
use crate::project::Project;
use crate::record;
use crate::report::{self, Paint, Scene, event_line, progress_block};
use crate::text::{one_line, printable};

/// A run that is looked at.
pub(crate) struct Looked {
    state: StateDir,
    journal: Journal<Reading>,
    row: RunRow,
    plan: Plan,
}

impl Looked {
    pub(crate) fn open(project: Option<&Path>, phase: Option<&str>) -> Result<Self> {
        let project = Project::open(project)?;
        let number =
            phase.map(|text| project.choose(text)).transpose()?.map(|found| found.phase.number);
        let none =
            || Fault::usage("nothing was run here yet").hint("begin with: idumb execute-phase");
        let state = StateDir::find(&project.root)?.ok_or_else(none)?;
        let journal = Journal::open_read_only(&state)?.ok_or_else(none)?;
        let row = journal.latest_run(number)?.ok_or_else(none)?;
        let plan = recorded_plan(&journal, &row.run)?;
        Ok(Self { state, journal, row, plan })
    }

    pub(crate) fn run(&self) -> Result<Run> {
        Ok(record::recover(&self.journal, &self.row.run, self.plan.clone())?.run)
    }

    pub(crate) fn events(&self, from: u64) -> Result<Vec<Stamped>> {
        record::recorded_events(&self.journal, &self.row.run, from)
    }

    /// The run before its first event, to be folded one by one.
    fn begun(&self, events: &[Stamped]) -> Result<Run> {
        let config = record::config_of(&events[..events.len().min(1)])?;
        Ok(Run::new(self.plan.clone(), config))
    }

    /// Whether a process has the state directory: then who.
    fn holder(&self) -> Result<Option<String>> {
        Ok(self.state.holder()?)
    }
}

/// Shows where the latest run stands.
pub(crate) fn status(project: Option<&Path>, args: &Status) -> Result<u8> {
    let looked = Looked::open(project, args.phase.as_deref())?;
    if args.wait {
        while looked.holder()?.is_some() {
            rest(LOOK_AGAIN);
        }
    }
    let run = looked.run()?;
    let holder = looked.holder()?;
    let out = match args.output.format {
        Format::Text => columns::fit(&status_text(&run, holder.as_deref())),
        Format::Json | Format::Jsonl => {
            let now = Moment { at: wall(), up: 0 };
            output::object("status", report::status(&run, holder.as_deref(), now))
        }
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(if args.wait { exit_status(&run) } else { DONE })
}

/// As the run's own process exits when it ends or rests so.
fn exit_status(run: &Run) -> u8 {
    match &run.state().control {
        Control::Finished(outcome) => exit_of(outcome),
        _ => PAUSED,
    }
}

fn status_text(run: &Run, holder: Option<&str>) -> String {
    let paint = Paint::for_stream(&std::io::stdout());
    let number = run.plan().phase.number;
    let control = match (&run.state().control, holder) {
        (Control::Paused(cause, reason), _) => format!(
            "is paused ({cause}): {}; go on with: idumb execute-phase {number} --resume",
            printable(reason)
        ),
        (Control::Finished(RunOutcome::Completed), _) => "is completed".to_owned(),
        (Control::Finished(RunOutcome::Failed { code, reason }), _) => {
            format!("failed: {code} {}: {}", code.cause(), one_line(reason, 300))
        }
        (Control::Finished(RunOutcome::Refused { reason }), _) => {
            format!("is refused: {}", printable(reason))
        }
        (Control::Finished(RunOutcome::Cancelled { reason }), _) => {
            format!("is cancelled: {}", printable(reason))
        }
        (_, Some(holder)) => format!("is running ({})", printable(holder)),
        (_, None) => {
            format!("is interrupted; go on with: idumb execute-phase {number} --resume")
        }
    };
    let now = Moment { at: wall(), up: 0 };
    let block = progress_block(run.plan(), &run.progress(now), paint);
    let mut out = format!("{block}\nRun {} {control}\n", run.config().run);
    for prompt in &run.state().prompts {
        out.push_str(&format!("{}\n", how_to_answer(run.config(), prompt)));
    }
    out
}

fn rest(time: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "another process writes, and tells nobody: its journal is looked at again"
    )]
    std::thread::sleep(time);
}

/// Shows what happened in the latest run.
pub(crate) fn log(project: Option<&Path>, args: &Log) -> Result<u8> {
    let looked = Looked::open(project, args.phase.as_deref())?;
    let task = args.task.as_deref().map(|text| known_task(&looked.plan, text)).transpose()?;
    known_kinds(&args.kind)?;
    if args.commands && args.output.format != Format::Text {
        return Err(Fault::usage("what commands printed is shown as text only")
            .hint("events name it by digest: `stdout` and `stderr` of their evidence")
            .into());
    }
    let mut events = looked.events(0)?;
    let mut run = looked.begun(&events)?;
    known_agent(run.config(), args.agent.as_deref())?;
    let mut wanted = Wanted::new(args, task);
    wanted.blobs = BlobStore::find(&looked.state)?;
    let mut objects = Objects::new(args.output.format, "events");
    objects.begin()?;
    let mut seen = 0;
    loop {
        // Asked before the events are read: what was written until then is not missed.
        let goes = args.follow && looked.holder()?.is_some();
        let mut out = std::io::stdout().lock();
        for stamped in &events {
            run.fold(stamped);
            if !wanted.takes(&stamped.event) {
                continue;
            }
            match args.output.format {
                Format::Text => out.write_all(shown(&wanted, &run, stamped).as_bytes())?,
                Format::Json | Format::Jsonl => objects.print(stamped)?,
            }
        }
        out.flush()?;
        drop(out);
        seen += events.len() as u64;
        if !goes {
            let rest = if args.follow { looked.events(seen)? } else { Vec::new() };
            if rest.is_empty() {
                objects.end()?;
                return Ok(DONE);
            }
            events = rest;
            continue;
        }
        self::rest(LOOK_AGAIN);
        events = looked.events(seen)?;
    }
}

fn shown(wanted: &Wanted<'_>, run: &Run, stamped: &Stamped) -> String {
    let args = wanted.args;
    if args.files {
        return wanted.files(&stamped.event);
    }
    if args.grants {
        return grants(&stamped.event);
    }
    if args.commands {
        return printed(&stamped.event, wanted.blobs.as_ref());
    }
    let paint = Paint::for_stream(&std::io::stdout());
    let scene = Scene::new(run, Moment { at: stamped.at, up: stamped.up });
    let line = event_line(stamped, &scene, paint).unwrap_or_else(|| bare(&stamped.event));
    format!("{} {line}\n{}", paint.dim(&time(stamped.at)), said(&stamped.event))
}

/// Which events are shown.
struct Wanted<'a> {
    args: &'a Log,
    task: Option<TaskId>,
    /// Who works on each task.
    agents: BTreeMap<TaskId, String>,
    /// What each task's builder may do, and its validator.
    building: BTreeMap<TaskId, Grants>,
    validating: BTreeMap<TaskId, Grants>,
    /// Where what commands printed is.
    blobs: Option<BlobStore>,
}

impl<'a> Wanted<'a> {
    fn new(args: &'a Log, task: Option<TaskId>) -> Self {
        let (agents, building, validating) = Default::default();
        Self { args, task, agents, building, validating, blobs: None }
    }

    /// What an attempt, or its validator, did with files.
    fn files(&self, event: &Event) -> String {
        let (who, record, grants): (String, &AccessRecord, _) = match event {
            Event::AttemptSealed { task, attempt, sealed, .. } => {
                let who = format!("{task} attempt {attempt}, builder");
                (who, &sealed.record, self.building.get(task))
            }
            Event::AttemptFailed { task, attempt, record, .. } if !record.is_empty() => {
                let who = format!("{task} attempt {attempt}, given up");
                (who, record, self.building.get(task))
            }
            Event::CandidateJudged { task, attempt, record, .. } => {
                let who = format!("{task} attempt {attempt}, validator");
                (who, record, self.validating.get(task))
            }
            _ => return String::new(),
        };
        format!("{who}\n{}", report::access_text(record, grants))
    }

    fn takes(&mut self, event: &Event) -> bool {
        let (task, agent) = match event {
            Event::LeaseGranted { task, agent, grants, .. } => {
                self.building.insert(task.clone(), grants.clone());
                (Some(task), agent.as_str())
            }
            Event::ValidationStarted { task, agent, grants, .. } => {
                self.validating.insert(task.clone(), grants.clone());
                (Some(task), agent.as_str())
            }
            _ => (None, ""),
        };
        if let Some(task) = task {
            self.agents.insert(task.clone(), agent.to_owned());
        }
        let by = match event {
            Event::PhaseCheckStarted { agent, .. } => Some(agent),
            event => event.task().and_then(|task| self.agents.get(task)),
        };
        let kinds = &self.args.kind;
        (self.task.is_none() || event.task() == self.task.as_ref())
            && (kinds.is_empty() || kinds.iter().any(|kind| kind == event.kind()))
            && self.args.agent.as_ref().is_none_or(|agent| by == Some(agent))
    }
}

fn known_kinds(kinds: &[String]) -> Result<(), Fault> {
    match kinds.iter().find(|kind| !Event::KINDS.contains(&kind.as_str())) {
        None => Ok(()),
        Some(kind) => Err(Fault::usage(format!("no event is called `{}`", printable(kind)))
            .hint(format!("the kinds are {}", Event::KINDS.join(", ")))),
    }
}

fn known_agent(config: &RunConfig, name: Option<&str>) -> Result<(), Fault> {
    let Some(name) = name.filter(|name| config.agents.iter().all(|agent| agent.name != *name))
    else {
        return Ok(());
    };
    let names = config.agents.iter().map(|agent| agent.name.as_str());
    Err(Fault::usage(format!("no agent of this run is called `{}`", printable(name)))
        .hint(idumb_plan::meant(name, names, "its agents are")))
}

/// Shows a recorded run as it went.
pub(crate) fn replay(project: Option<&Path>, args: &Replay) -> Result<u8> {
    let looked = Looked::open(project, args.phase.as_deref())?;
    let events = looked.events(0)?;
    let mut run = looked.begun(&events)?;
    let usual = if std::io::stderr().is_terminal() { 10 } else { 0 };
    let speed = u64::from(args.speed.unwrap_or(usual));
    let mut reporters = report::reporters(args.output.format, &[]);
    let mut before: Option<u64> = None;
    for stamped in &events {
        // Rests and restarts are not waited for: there the clock begins anew.
        let passed = before.map_or(0, |before| stamped.up.saturating_sub(before));
        if let Some(time) = passed.checked_div(speed) {
            rest(Duration::from_millis(time));
        }
        let ends = matches!(stamped.event, Event::RunPaused { .. });
        before = (!ends).then_some(stamped.up);
        run.fold(stamped);
        let scene = Scene::new(&run, Moment { at: stamped.at, up: stamped.up });
        for reporter in &mut reporters {
            reporter.event(stamped, &scene);
        }
    }
    for reporter in &mut reporters {
        reporter.finished();
    }
    Ok(DONE)
}

fn known_task(plan: &idumb_core::Plan, text: &str) -> Result<TaskId, Fault> {
    let found = plan.tasks.iter().find(|task| task.id.as_str() == text);
    found.map(|task| task.id.clone()).ok_or_else(|| {
        Fault::usage(format!("phase {} has no task `{}`", plan.phase, printable(text)))
            .hint(task_meant(plan, text))
    })
}

/// Which task of the plan `text` may mean, or all there are.
pub(crate) fn task_meant(plan: &Plan, text: &str) -> String {
    let names = plan.tasks.iter().map(|task| task.id.as_str());
    idumb_plan::meant(text, names, "its tasks are")
}

fn time(at: u64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(i64::try_from(at).unwrap_or(i64::MAX));
    stamp.map_or_else(|_| at.to_string(), |stamp| format!("{stamp:.3}"))
}

/// An event that the live display does not show.
fn bare(event: &Event) -> String {
    let name = event.kind().replace('_', " ");
    match event {
        Event::StepEntered { step } => format!("step {step:?}"),
        Event::PlanValidated { examination, .. } => {
            format!("plan validated: {} findings", examination.findings.len())
        }
        Event::LeaseGranted { task, attempt, epoch, agent, .. } => {
            format!("  {task}: attempt {attempt} leased to {} (epoch {epoch})", printable(agent))
        }
        Event::ValidationStarted { task, change_set, agent, epoch, .. } => format!(
            "  {task}: {} validates {} (epoch {epoch})",
            printable(agent),
            change_set.short()
        ),
        Event::AttemptSealed { task, sealed, .. } => format!(
            "  {task}: sealed {} with {} paths: {}",
            sealed.change_set.short(),
            sealed.paths.len(),
            one_line(&sealed.summary, 120)
        ),
        Event::CandidateJudged { task, judgement, examination, .. } => format!(
            "  {task}: {} findings, verdict {:?}{}",
            examination.findings.len(),
            judgement.verdict,
            match (
                examination.rechecked.len() as u64 + examination.hold_again,
                examination.untouched
            ) {
                (0, 0) => String::new(),
                (again, untouched) =>
                    format!("; of completed tasks, {again} checked again, {untouched} untouched"),
            }
        ),
        Event::Delegated { from, to, .. } => format!("{from} delegates to {to}"),
        _ => match event.task() {
            Some(task) => format!("  {task}: {name}"),
            None => name,
        },
    }
}

/// Who was allowed what, by whom.
fn grants(event: &Event) -> String {
    let line = |from: Actor, to: String, what: String| format!("{from} -> {to}: {what}\n");
    match event {
        Event::RunStarted { config, .. } | Event::RunResumed { config } => {
            config.consents.iter().map(consent_line).collect()
        }
        Event::Delegated { from, to, scope } => line(*from, to.to_string(), scope_text(scope)),
        Event::DelegationRefused { refused } => {
            let task = refused.task.as_ref().map_or_else(String::new, |task| format!(" ({task})"));
            let why = printable(&refused.why.to_string());
            format!("{} -> {}{task}: REFUSED: {why}\n", Actor::HighGovernance, refused.to)
        }
        Event::LeaseGranted { task, attempt, agent, grants, .. } => {
            let to = format!("{} {} ({task}, attempt {attempt})", Actor::Builder, printable(agent));
            line(Actor::Executor, to, grants_text(grants))
        }
        Event::ValidationStarted { task, change_set, agent, grants, .. } => {
            let (agent, what) = (printable(agent), change_set.short());
            let to = format!("{} {agent} ({task}, candidate {what})", Actor::LowValidator);
            line(Actor::Executor, to, grants_text(grants))
        }
        Event::PhaseCheckStarted { role, agent, scope, .. } => {
            let to = format!("{} {}", Actor::of(*role), printable(agent));
            line(Actor::Executor, to, scope_text(scope))
        }
        _ => String::new(),
    }
}

/// What a person let an agent do.
fn consent_line(consent: &Consent) -> String {
    let (agent, digest) = (printable(&consent.agent), consent.digest.short());
    let how = match &consent.given {
        Given::Once => "once".to_owned(),
        Given::Run => "for this run".to_owned(),
        Given::Always => "always".to_owned(),
        Given::Flag => "by --grant".to_owned(),
        Given::Before { digest } => format!("as {} before it", digest.short()),
    };
    let Bounds { reads, writes } = &consent.most;
    let (reads, writes) = (globs_text(reads), globs_text(writes));
    format!("user allows {agent} ({digest}) {how}: reads {reads}; writes {writes}\n")
}

fn globs_text(globs: &[idumb_core::PathGlob]) -> String {
    let texts: Vec<String> = globs.iter().map(|glob| printable(&glob.to_string())).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(" ") }
}

fn grants_text(grants: &Grants) -> String {
    let mut text =
        format!("reads {}; writes {}", globs_text(&grants.reads), globs_text(&grants.writes));
    if !grants.never.is_empty() {
        text.push_str(&format!("; never {}", globs_text(&grants.never)));
    }
    text + &ceiling_text(grants.ceiling.as_ref())
}

/// What an agent may have of it at most.
fn ceiling_text(ceiling: Option<&Bounds>) -> String {
    let Some(Bounds { reads, writes }) = ceiling else {
        return String::new();
    };
    let (reads, writes) = (globs_text(reads), globs_text(writes));
    format!("; of that, what its agent declares: reads {reads}; writes {writes}")
}

fn scope_text(scope: &Scope) -> String {
    let mut bounds = None;
    let (mut text, never) = match scope {
        Scope::Plan { plan, never, most_reads, most_writes } => {
            let mut text = format!("what the tasks of plan {} ask for", plan.short());
            for most in most_reads {
                text.push_str(&format!("; reads at most {}", globs_text(most)));
            }
            for most in most_writes {
                text.push_str(&format!("; writes at most {}", globs_text(most)));
            }
            (text, never.as_slice())
        }
        Scope::Checks { plan, never, ceiling } => {
            bounds = ceiling.as_ref();
            let plan = plan.short();
            (format!("to read what the checks of plan {plan} look at"), never.as_slice())
        }
        Scope::Exactly { grants } => (grants_text(grants), [].as_slice()),
    };
    if !never.is_empty() {
        text.push_str(&format!("; never {}", globs_text(never)));
    }
    text + &ceiling_text(bounds)
}

fn said(event: &Event) -> String {
    let lines = match event {
        Event::AttemptSealed { sealed, .. } => &sealed.log,
        Event::AttemptFailed { log, .. } => log,
        _ => return String::new(),
    };
    let task = event.task().map_or_else(String::new, ToString::to_string);
    lines
        .iter()
        .map(|line| format!("      {task} says: {}\n", one_line(&line.message, 300)))
        .collect()
}
