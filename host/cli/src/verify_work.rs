//! `idumb verify-work`: a phase's criteria, checked again on the tree as it is now.
//!
//! Invariant: nothing is written but compiled agents into the cache, and trees for commands that go
//! again; what holds was observed by the host just now, and nothing is taken from what the run found then.

use std::fmt;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use idumb_core::{
    ChangeSet, Criterion, CriterionId, Examination, Feedback, Grants, Plan, ResourceLimits, Role,
    RunState, TaskState, Trouble, Unmet, Verdict,
};
use idumb_journal::{BlobStore, Journal, StateDir};
use idumb_overlay::{Base, ReadView};
use idumb_sandbox::{CallOptions, Context, Sandbox, Stop};
use serde_json::json;

use crate::args::{Format, VerifyWork};
use crate::columns;
use crate::consent::Asking;
use crate::desk::QuietDesk;
use crate::established::{Established, recheckable, recorded_plan};
use crate::fault::{DONE, Fault, INTERRUPTED, PAUSED};
use crate::native::{Invocation, Listener, Natives};
use crate::project::Project;
use crate::report::Paint;
use crate::roster::Roster;
use crate::text::{one_line, printable};
use crate::workshop::{came_to, commands_of, judged_by};
use crate::{compiled, native, prompt, record};

/// Exit status: something does not hold, as for E005.
const FAILED: u8 = 14;

/// What the seed calls what can be wrong with finished work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// There is no work to verify.
    V001,
    /// There is no criterion to verify it by.
    V002,
    /// A criterion does not hold.
    V003,
    /// A criterion of an earlier phase does not hold any more.
    V004,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Pass,
    /// What was checked holds, and not everything was: tasks are open, or only a person can judge.
    Partial,
    Fail,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Partial => "partial",
            Self::Fail => "fail",
        }
    }
}

/// One criterion, and what was found.
struct Checked {
    criterion: Criterion,
    verdict: Verdict,
    note: String,
    /// Whether an earlier phase established it.
    earlier: bool,
}

/// Verifies the work of a phase; answers the exit status.
pub(crate) fn verify(project: Option<&Path>, args: &VerifyWork) -> Result<u8> {
    let project = Project::open(project)?;
    let phase = args.phase.as_deref().map(|text| project.choose(text)).transpose()?;
    let none = || {
        Fault::usage(format!("{}: nothing was run here that could be verified", Code::V001))
            .hint("run the phase: idumb execute-phase")
    };
    let state = StateDir::find(&project.root)?.ok_or_else(none)?;
    let journal = Journal::open_read_only(&state)?.ok_or_else(none)?;
    let row = journal.latest_run(phase.map(|found| found.phase.number))?.ok_or_else(none)?;
    let plan = recorded_plan(&journal, &row.run)?;
    let recorded = record::recover(&journal, &row.run, plan.clone())?;
    let established = Established::before(&journal, &plan)?;
    let open = open_tasks(recorded.run.state());
    let done = done_part(&plan, recorded.run.state());
    if done.tasks.is_empty() {
        let message = format!("{}: no task of run {} is done", Code::V001, row.run);
        let number = plan.phase.number;
        let hint = format!("go on with it: idumb execute-phase {number} --resume");
        return Err(Fault::usage(message).hint(hint).into());
    }
    let by_host = commands_of(done.tasks.iter().flat_map(|task| &task.accept));
    let none = recheckable(&done).next().is_none() && by_host.is_empty();
    if none && established.is_empty() {
        let message = format!("{}: no criterion of what is done can be checked", Code::V002);
        let hint = "give the tasks criteria that look at a file, or have a command run";
        return Err(Fault::usage(message).hint(hint).into());
    }
    if let Some((task, fault)) = native::undefined(&done, &project.config).into_iter().next() {
        return Err(Fault { message: format!("task {task}: {}", fault.message), ..fault }.into());
    }
    native::still_defined(&established, &project.config)?;
    let roster = Roster::of(&project.root, &project.config, &done)?;
    let asking = Asking {
        project: &project.root,
        root: &project.root,
        run: Some(&row.run),
        plan: &done,
        roster: &roster,
        established: &established,
        flags: &args.grants.grant,
        roles: &[Role::Verifier, Role::IntegrationChecker],
        commands: native::used(&done, &established, &project.config),
    };
    asking.settle(args.output.format == Format::Text && prompt::is_attended())?;
    let context = Context {
        run: row.run.clone(),
        phase: plan.phase.clone(),
        goal: plan.goal.clone(),
        attempt: 1,
        artifacts: Vec::new(),
        feedback: Feedback::default(),
    };
    let mut checked = checked(&project, &roster, &done, &established, &context)?;
    let used = native::used(&done, &established, &project.config);
    let room = tempfile::Builder::new().prefix("idumb-verify-").tempdir();
    let room = room.context("making room for commands")?;
    let weaker = args.confinement.weaker();
    if let Some(walls) = native::tried(&used, &project.root, room.path(), &weaker)? {
        let blobs =
            BlobStore::find(&state)?.ok_or_else(|| Fault::paused("the run left no contents"))?;
        let base = Base::open(&project.root).context("opening the project's folder")?;
        let (config, copies) = (&project.config, room.path().to_owned());
        let natives = Natives::new(config, base, Arc::new(blobs), copies, Some(walls));
        let commands = [(by_host, false), (established.commands.clone(), true)];
        checked.extend(by_commands(&Arc::new(natives), commands)?);
    }
    let status = status_of(&checked, &open);
    let out = match args.output.format {
        Format::Text => columns::fit(&text(&plan, &row.run.to_string(), &checked, &open, status)),
        Format::Json | Format::Jsonl => {
            json_line(&plan, &row.run.to_string(), &checked, &open, status)
        }
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(match status {
        Status::Pass => DONE,
        Status::Partial => PAUSED,
        Status::Fail => FAILED,
    })
}

fn is_done(state: &RunState, task: &idumb_core::TaskId) -> bool {
    state.task(task).is_some_and(|record| matches!(record.state, TaskState::Succeeded))
}

fn open_tasks(state: &RunState) -> Vec<String> {
    let open = state.tasks().filter(|(_, record)| !matches!(record.state, TaskState::Succeeded));
    open.map(|(id, _)| id.to_string()).collect()
}

/// The plan with the tasks that succeeded.
fn done_part(plan: &Plan, state: &RunState) -> Plan {
    let tasks = plan.tasks.iter().filter(|task| is_done(state, &task.id)).cloned().collect();
    Plan { tasks, ..plan.clone() }
}

/// Has the checking agents look at everything.
fn checked(
    project: &Project,
    roster: &Roster,
    plan: &Plan,
    established: &Established,
    context: &Context,
) -> Result<Vec<Checked>> {
    let options = compiled::options(&project.limits(), 1, &[&project.root]);
    let sandbox = Sandbox::with(options)?;
    let base = Base::open(&project.root).context("opening the project's folder")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let call = || CallOptions {
        stop: Stop::never(),
        desk: Arc::new(QuietDesk),
        commands: Arc::new(idumb_sandbox::NoCommands),
        limits: ResourceLimits::default(),
    };
    let unavailable = |why: String| Fault::paused(why);
    let failed = |role: Role, trouble: idumb_core::Trouble| {
        Fault::paused(format!("the {role} could not check: {}", printable(&trouble.to_string())))
    };
    let mut all = Vec::new();
    let own: Vec<Criterion> = recheckable(plan).cloned().collect();
    if !own.is_empty() {
        let reads = own.iter().flat_map(|criterion| &criterion.looks_at).cloned().collect();
        let view = ReadView::of_base(&base, Grants { reads, ..Grants::default() });
        let mut tasks = plan.tasks.clone();
        for task in &mut tasks {
            task.accept.retain(|criterion| !criterion.looks_at.is_empty());
        }
        let name = roster.holder(Role::Verifier);
        let ended = runtime.block_on(async {
            let agent = roster.agent(&sandbox, name).await.map_err(unavailable)?;
            Ok::<_, Fault>(agent.verify(view, &tasks, context, call()).await)
        })?;
        let findings = came_to(ended.result, ended.host_error)
            .map_err(|trouble| failed(Role::Verifier, trouble))?;
        all.extend(judged(
            own,
            Examination { findings, evidence: ended.evidence, ..Examination::default() },
            false,
        ));
    }
    let earlier = &established.criteria;
    if !earlier.is_empty() {
        let Grants { reads, .. } = established.grants(&Plan { links: Vec::new(), ..plan.clone() });
        let view = ReadView::of_base(&base, Grants { reads, ..Grants::default() });
        let name = roster.holder(Role::IntegrationChecker);
        let ended = runtime.block_on(async {
            let agent = roster.agent(&sandbox, name).await.map_err(unavailable)?;
            Ok::<_, Fault>(agent.check_integration(view, earlier, &[], context, call()).await)
        })?;
        let findings = came_to(ended.result, ended.host_error)
            .map_err(|trouble| failed(Role::IntegrationChecker, trouble))?;
        let examination =
            Examination { findings, evidence: ended.evidence, ..Examination::default() };
        all.extend(judged(earlier.clone(), examination, true));
    }
    for criterion in plan.tasks.iter().flat_map(|task| &task.accept) {
        if criterion.is_judged() {
            let note = "only a person can judge it".to_owned();
            let (criterion, verdict) = (criterion.clone(), Verdict::Inconclusive);
            all.push(Checked { criterion, verdict, note, earlier: false });
        }
    }
    Ok(all)
}

/// Has the commands of criteria run on the tree as it is: the phase's, and those of earlier ones.
fn by_commands(
    natives: &Arc<Natives>,
    commands: [(Vec<Criterion>, bool); 2],
) -> Result<Vec<Checked>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let all = commands.iter().flat_map(|(criteria, _)| criteria);
    let wanted = all.filter_map(Invocation::of).collect();
    let (tree, unheard): (_, Listener) = (ChangeSet::default(), Arc::new(|_, _| ()));
    let told =
        |trouble: Trouble| Fault::paused(format!("a command: {}", printable(&trouble.to_string())));
    // Its processes and its trees go first, whoever interrupts.
    let (stopper, stop) = Stop::new();
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&interrupted);
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            seen.store(true, Ordering::Relaxed);
            stopper.stop();
        }
    });
    let ran = runtime.block_on(natives.run(wanted, tree, unheard, stop));
    if interrupted.load(Ordering::Relaxed) {
        let message = "interrupted: not all that commands show was looked at";
        return Err(Fault { exit: INTERRUPTED, ..Fault::paused(message) }.into());
    }
    let ran = ran.map_err(told)?;
    let mut checked = Vec::new();
    for (criteria, earlier) in commands {
        let mut examination = Examination::default();
        let findings = judged_by(&ran, &criteria, &mut examination).map_err(told)?;
        examination.findings = findings;
        checked.extend(judged(criteria, examination, earlier));
    }
    Ok(checked)
}

fn judged(criteria: Vec<Criterion>, examination: Examination, earlier: bool) -> Vec<Checked> {
    let ids: Vec<CriterionId> = criteria.iter().map(|criterion| criterion.id.clone()).collect();
    let judgement = examination.judge(&ids);
    let one = |criterion: Criterion| {
        let unmet: Option<&Unmet> =
            judgement.unmet.iter().find(|unmet| unmet.criterion == criterion.id);
        let verdict = unmet.map_or(Verdict::Pass, |unmet| unmet.verdict);
        let note = unmet.map_or(String::new(), |unmet| unmet.note.clone());
        Checked { criterion, verdict, note, earlier }
    };
    criteria.into_iter().map(one).collect()
}

fn status_of(checked: &[Checked], open: &[String]) -> Status {
    if checked.iter().any(|checked| checked.verdict == Verdict::Fail) {
        return Status::Fail;
    }
    let all = checked.iter().all(|checked| checked.verdict == Verdict::Pass);
    if all && open.is_empty() { Status::Pass } else { Status::Partial }
}

fn codes(checked: &[Checked]) -> Vec<Code> {
    let fails = |earlier| {
        let mut all = checked.iter().filter(move |checked| checked.earlier == earlier);
        all.any(|checked| checked.verdict == Verdict::Fail)
    };
    let codes = [(false, Code::V003), (true, Code::V004)];
    codes.into_iter().filter(|(earlier, _)| fails(*earlier)).map(|(_, code)| code).collect()
}

fn text(plan: &Plan, run: &str, checked: &[Checked], open: &[String], status: Status) -> String {
    let paint = Paint::for_stream(&std::io::stdout());
    let mut out = format!("Phase {}, run {run}, on the tree as it is now\n", plan.phase);
    for checked in checked {
        let mark = match checked.verdict {
            Verdict::Pass => paint.good("✓"),
            Verdict::Fail => paint.bad("✗"),
            Verdict::Inconclusive => paint.odd("?"),
        };
        let (id, text) = (&checked.criterion.id, one_line(&checked.criterion.text, 90));
        let code = match (checked.verdict, checked.earlier) {
            (Verdict::Fail, false) => format!(" [{}]", Code::V003),
            (Verdict::Fail, true) => format!(" [{}]", Code::V004),
            _ => String::new(),
        };
        let _ = writeln!(out, "  {mark} {id}: {text}{code}");
        if !checked.note.is_empty() {
            let _ = writeln!(out, "      {}", one_line(&checked.note, 200));
        }
    }
    if !open.is_empty() {
        let _ = writeln!(out, "  not done: {}", open.join(", "));
    }
    let held = checked.iter().filter(|checked| checked.verdict == Verdict::Pass).count();
    let status = match status {
        Status::Pass => paint.good(status.as_str()),
        Status::Partial => paint.odd(status.as_str()),
        Status::Fail => paint.bad(status.as_str()),
    };
    let _ = writeln!(out, "{status}: {held} of {} criteria hold", checked.len());
    out
}

fn json_line(
    plan: &Plan,
    run: &str,
    checked: &[Checked],
    open: &[String],
    status: Status,
) -> String {
    let one = |checked: &Checked| {
        json!({
            "criterion": checked.criterion.id,
            "text": checked.criterion.text,
            "verdict": checked.verdict,
            "note": checked.note,
            "earlier_phase": checked.earlier,
        })
    };
    let codes: Vec<String> = codes(checked).iter().map(ToString::to_string).collect();
    let line = json!({
        "kind": "verify_work",
        "version": 1,
        "phase": plan.phase.to_string(),
        "run": run,
        "status": status.as_str(),
        "codes": codes,
        "criteria": checked.iter().map(one).collect::<Vec<_>>(),
        "not_done": open,
    });
    format!("{line}\n")
}
