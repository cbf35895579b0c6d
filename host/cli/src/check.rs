//! `idumb check`: everything that can be known of a phase without running it.
//!
//! Invariant: no guest code runs, and nothing is written but compiled agents into the cache; the
//! exit status is the one that the run would end with for the first error.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use idumb_core::{
    Declared, ErrorCode, Event, Input, Plan, Prerequisite, Refusal, Role, Run, RunConfig, RunId,
    Task, TaskId,
};
use idumb_journal::{Journal, StateDir};
use idumb_sandbox::Sandbox;
use serde_json::json;

use crate::args::{Check, Format};
use crate::columns;
use crate::consent::{Asking, Standing};
use crate::dry_run::undeclared;
use crate::established::Established;
use crate::execute::choose_phase;
use crate::fault::{DONE, Fault, INTERNAL, PAUSED, REFUSED, USAGE, told};
use crate::project::Project;
use crate::report::Paint;
use crate::roster::Roster;
use crate::settings::rules;
use crate::text::{TASKS, counted, one_line, printable};
use crate::{clock, compiled, native};

/// From how many tasks on it is not looked for pairs that keep each other waiting.
const MOST_PAIRED: usize = 500;
/// How many of these are told.
const MOST_TOLD: usize = 20;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// The run would not get through; with the exit status that it would end with.
    Error(u8),
    /// The run may get through, and say less than it seems to.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    fn rank(self) -> u8 {
        match self {
            Self::Error(_) => 0,
            Self::Warning => 1,
            Self::Note => 2,
        }
    }
}

/// Something that was found.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    code: Option<ErrorCode>,
    task: Option<TaskId>,
    message: String,
    /// What to do.
    help: Option<String>,
}

impl Finding {
    fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self { severity, code: None, task: None, message: message.into(), help: None }
    }

    fn coded(code: ErrorCode, message: impl Into<String>) -> Self {
        let severity = Severity::Error(code.exit_status());
        Self { code: Some(code), ..Self::new(severity, message) }
    }

    fn of(self, task: &TaskId) -> Self {
        Self { task: Some(task.clone()), ..self }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Checks a phase; answers the exit status.
pub(crate) fn check(project: Option<&Path>, args: &Check) -> Result<u8> {
    let project = Project::open(project)?;
    let (_, policies) = rules(&project, args.rules.as_deref())?;
    let state = StateDir::find(&project.root)?;
    let journal = state.as_ref().map(Journal::open_read_only).transpose()?.flatten();
    let file = args.phase.as_deref().map(Path::new).filter(|path| names_a_file(path));
    // The place of a phase is a path too, from the project's root.
    let plan = match (file, choose_phase(&project, args.phase.as_deref(), journal.as_ref())) {
        (Some(path), chosen) if path.exists() || chosen.is_err() => project.plan_at(path)?,
        (_, chosen) => project.plan(&chosen?)?,
    };
    let established = match &journal {
        Some(journal) => Established::before(journal, &plan)?,
        None => Established::default(),
    };
    let (roster, errors) = Roster::gathered(&project.root, &project.config, &plan);
    let mut findings: Vec<Finding> = errors.iter().map(unavailable).collect();
    findings.extend(unmet(&established.prerequisites(&plan)));
    findings.extend(refused(&plan, &roster, policies)?);
    findings.extend(unconsented(&project, &plan, &roster, &established)?);
    findings.extend(unfit(&project, &roster)?);
    findings.extend(native::undefined(&plan, &project.config).into_iter().map(undefined));
    if let Err(fault) = native::still_defined(&established, &project.config) {
        let help = fault.hints.first().cloned();
        findings.push(Finding { help, ..Finding::new(Severity::Error(fault.exit), fault.message) });
    }
    findings.extend(established.unknown().iter().map(|name| {
        let what = "means no promise of a completed phase, or several: it ends nothing";
        Finding::new(Severity::Warning, format!("`supersedes` names {name}, which {what}"))
    }));
    for task in &plan.tasks {
        findings.extend(idle(task));
        findings.extend(weak(task));
        findings.extend(beyond(task, &roster));
    }
    findings.extend(apart(&plan));
    findings.sort_by_key(|finding| finding.severity.rank());
    let out = match args.output.format {
        Format::Text => columns::fit(&text(&plan, &findings)),
        Format::Json | Format::Jsonl => json_line(&plan, &findings),
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    let status = findings.iter().find_map(|finding| match finding.severity {
        Severity::Error(status) => Some(status),
        Severity::Warning if args.strict => Some(USAGE),
        _ => None,
    });
    Ok(status.unwrap_or(DONE))
}

/// Whether an argument is the path of a plan: a phase's name has no slash.
fn names_a_file(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    path.components().count() > 1 || matches!(ending, Some("toml" | "md"))
}

/// An agent that is not there, or is another than its role needs.
fn unavailable(error: &anyhow::Error) -> Finding {
    let fault = error.downcast_ref::<Fault>();
    let exit = fault.map_or(INTERNAL, |fault| fault.exit);
    let hint = fault.and_then(|fault| fault.hints.first().cloned());
    Finding { help: hint, ..Finding::new(Severity::Error(exit), told(error)) }
}

fn unmet(prerequisites: &[Prerequisite]) -> Vec<Finding> {
    let unmet = prerequisites.iter().filter(|needed| needed.completed_by.is_none());
    let finding = |needed: &Prerequisite| {
        let phase = printable(&needed.phase);
        let message = format!("phase {phase} is not completed, which this one depends on");
        Finding::coded(ErrorCode::E003, message).help(format!("idumb execute-phase {phase}"))
    };
    unmet.map(finding).collect()
}

/// What high-governance refuses: the machine of the run is asked, up to its first batch.
fn refused(
    plan: &Plan,
    roster: &Roster,
    policies: Vec<idumb_core::Policy>,
) -> Result<Vec<Finding>> {
    let id = RunId::new("check")?;
    let config = RunConfig { agents: roster.bindings(), policies, ..RunConfig::new(id) };
    let mut run = Run::new(plan.clone(), config);
    run.handle(clock::Clock::start().now(), Input::Begin { prerequisites: Vec::new() });
    let mut findings = Vec::new();
    while let Some(stamped) = run.poll_event() {
        if let Event::DelegationRefused { refused } = stamped.event {
            // Nobody was asked yet: that is no mistake of the plan's.
            if matches!(refused.why, Refusal::Unconsented { .. } | Refusal::BeyondConsent { .. }) {
                continue;
            }
            let finding =
                Finding::new(Severity::Error(REFUSED), printable(&refused.why.to_string()));
            let finding = finding.help("ask for less in the plan, or change the policy");
            findings.push(Finding { task: refused.task, ..finding });
        }
    }
    Ok(findings)
}

/// A command that is not defined, or says too little.
fn undefined((task, fault): (TaskId, Fault)) -> Finding {
    let hint = fault.hints.first().cloned();
    Finding { help: hint, ..Finding::new(Severity::Error(fault.exit), fault.message) }.of(&task)
}

/// What a run would ask a person for, before it begins.
fn unconsented(
    project: &Project,
    plan: &Plan,
    roster: &Roster,
    established: &Established,
) -> Result<Vec<Finding>> {
    let asking = Asking {
        project: &project.root,
        root: &project.root,
        run: None,
        plan,
        roster,
        established,
        flags: &[],
        roles: &Role::ALL,
        commands: native::used(plan, established, &project.config),
    };
    let open = asking.standings()?.into_iter().filter(|standing| standing.needs);
    let finding = |standing: Standing| {
        let message = format!("a run asks you first: {}", standing.in_a_line());
        let help = format!("where nobody can be asked: --grant {}", standing.agent.name);
        Finding::new(Severity::Note, message).help(help)
    };
    Ok(open.map(finding).collect())
}

/// Agents that cannot take their roles.
fn unfit(project: &Project, roster: &Roster) -> Result<Vec<Finding>> {
    let options = compiled::options(&project.limits(), 1, &[&project.root]);
    let sandbox = Sandbox::with(options)?;
    let finding = |(agent, refused): (&idumb_core::AgentBinding, idumb_sandbox::Refused)| {
        let (name, source) = (&agent.name, printable(&agent.source));
        let why = printable(&refused.to_string());
        Finding::new(
            Severity::Error(PAUSED),
            format!("agent `{name}` ({source}) cannot run: {why}"),
        )
    };
    Ok(roster.unfit(&sandbox).into_iter().map(finding).collect())
}

/// The built-in builder carries out steps, and nothing else.
fn idle(task: &Task) -> Option<Finding> {
    let idle = task.agent == "builder" && task.steps.is_empty();
    idle.then(|| {
        let message = "it has no steps, and the built-in builder does nothing else";
        Finding::coded(ErrorCode::E002, message).of(&task.id).help(
            "give it steps, or an agent of yours: `agent = \"NAME\"`, or `[roles] builder` in \
                   idumb.toml",
        )
    })
}

/// Criteria that say nothing about the task.
fn weak(task: &Task) -> Vec<Finding> {
    // Promised artifacts are the host's own criteria.
    let written =
        task.accept.iter().filter(|criterion| !criterion.id.as_str().contains("artifact"));
    let finding = |criterion: &idumb_core::Criterion| {
        let why = idumb_plan::says_nothing(task, criterion)?;
        let (id, text) = (&criterion.id, one_line(&criterion.text, 60));
        let finding = Finding::new(Severity::Warning, format!("criterion {id} ({text}): {why}"));
        Some(finding.of(&task.id).help("have it look at what the task makes"))
    };
    written.filter_map(finding).collect()
}

/// Grants that the task's agent does not declare: it will not get them.
fn beyond(task: &Task, roster: &Roster) -> Vec<Finding> {
    let finding = |(capability, glob, declared): (_, &idumb_core::PathGlob, Declared)| {
        let beyond = match declared {
            Declared::Part => "all of it, and gets the rest",
            _ => "it",
        };
        let (agent, glob) = (&task.agent, printable(glob.as_str()));
        let message =
            format!("it may {capability} `{glob}`, and agent `{agent}` does not declare {beyond}");
        let finding = Finding::new(Severity::Warning, message).of(&task.id);
        finding.help("narrow the grant to what the agent says that it wants")
    };
    undeclared(task, roster).into_iter().map(finding).collect()
}

/// Tasks that may write the same, and so never run at once, though neither waits for the other.
fn apart(plan: &Plan) -> Vec<Finding> {
    if plan.tasks.len() > MOST_PAIRED {
        return Vec::new();
    }
    let after = |task: &Task| -> BTreeSet<TaskId> {
        let mut found = BTreeSet::new();
        let mut left: Vec<&TaskId> = task.depends_on.iter().collect();
        while let Some(id) = left.pop() {
            if found.insert(id.clone()) {
                left.extend(plan.task(id).into_iter().flat_map(|task| &task.depends_on));
            }
        }
        found
    };
    let waits: Vec<BTreeSet<TaskId>> = plan.tasks.iter().map(after).collect();
    let mut pairs = Vec::new();
    for (second, task) in plan.tasks.iter().enumerate() {
        for (first, other) in plan.tasks[..second].iter().enumerate() {
            let ordered = waits[second].contains(&other.id) || waits[first].contains(&task.id);
            let mut clashes = task
                .writes
                .iter()
                .filter(|mine| other.writes.iter().any(|theirs| mine.overlaps(theirs)));
            if let Some(glob) = clashes.next().filter(|_| !ordered) {
                let glob = printable(glob.as_str());
                pairs.push(format!("{} and {} may both write `{glob}`", other.id, task.id));
            }
        }
    }
    let more = pairs.len().saturating_sub(MOST_TOLD);
    let mut findings: Vec<Finding> = pairs
        .into_iter()
        .take(MOST_TOLD)
        .map(|pair| Finding::new(Severity::Note, format!("{pair}: they never run at once")))
        .collect();
    if more > 0 {
        findings.push(Finding::new(Severity::Note, format!("and {more} more such pairs")));
    }
    findings
}

fn count(findings: &[Finding], is: impl Fn(Severity) -> bool) -> usize {
    findings.iter().filter(|finding| is(finding.severity)).count()
}

fn counts(findings: &[Finding]) -> [usize; 3] {
    [
        count(findings, |severity| matches!(severity, Severity::Error(_))),
        count(findings, |severity| severity == Severity::Warning),
        count(findings, |severity| severity == Severity::Note),
    ]
}

fn text(plan: &Plan, findings: &[Finding]) -> String {
    let paint = Paint::for_stream(&std::io::stdout());
    let mut out = format!(
        "Phase {}: {}, plan {}\n",
        plan.phase,
        counted(plan.tasks.len(), TASKS),
        plan.digest
    );
    for finding in findings {
        let code = finding.code.map_or(String::new(), |code| format!("[{code}]"));
        let head = match finding.severity {
            Severity::Error(_) => paint.bad(&format!("error{code}")),
            Severity::Warning => paint.odd("warning"),
            Severity::Note => paint.dim("note"),
        };
        let task = finding.task.as_ref().map_or(String::new(), |task| format!("task {task}: "));
        let _ = writeln!(out, "{head}: {task}{}", finding.message);
        if let Some(help) = &finding.help {
            let _ = writeln!(out, "  {}: {help}", paint.strong("what to do"));
        }
    }
    let [errors, warnings, notes] = counts(findings);
    let notes = counted(notes, ("note", "notes"));
    let _ = match (errors, warnings) {
        (0, 0) => writeln!(out, "nothing is wrong with it ({notes})"),
        _ => {
            let (errors, warnings) =
                (counted(errors, ("error", "errors")), counted(warnings, ("warning", "warnings")));
            writeln!(out, "{errors}, {warnings}, {notes}")
        }
    };
    out
}

fn json_line(plan: &Plan, findings: &[Finding]) -> String {
    let one = |finding: &Finding| {
        let severity = match finding.severity {
            Severity::Error(_) => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        json!({
            "severity": severity,
            "code": finding.code,
            "task": finding.task,
            "message": finding.message,
            "help": finding.help,
        })
    };
    let findings: Vec<_> = findings.iter().map(one).collect();
    let line = json!({
        "kind": "check",
        "version": 1,
        "phase": plan.phase.to_string(),
        "plan": plan.digest,
        "findings": findings,
    });
    format!("{line}\n")
}
