//! `idumb debug`: what happened to a task, why, on which evidence, and what to do next.
//!
//! Invariant: only reads; a cause is named only where the journal has what points to it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use idumb_core::{
    Denial, Event, FailureKind, Moment, Other, Parking, Run, TaskId, TaskRecord, TaskState,
    Trouble, Verdict,
};
use serde_json::{Value, json};

use crate::args::{Debug, Format};
use crate::clock::wall;
use crate::columns;
use crate::fault::{DONE, Fault};
use crate::look::Looked;
use crate::output::Objects;
use crate::report::{Paint, Scene, failure_block};
use crate::text::{CRITERIA, counted, one_line, printable};

/// What may be behind it, and what to do about that.
struct Cause {
    what: String,
    next: String,
}

fn cause(what: impl Into<String>, next: impl Into<String>) -> Cause {
    Cause { what: what.into(), next: next.into() }
}

/// Tells about the tasks that did not succeed, or about one; answers the exit status.
pub(crate) fn debug(project: Option<&Path>, args: &Debug) -> Result<u8> {
    let looked =
        Looked::open(project, args.phase.as_deref()).map_err(|error| coded("D001", error))?;
    let run = looked.run().map_err(|error| coded("D004", error))?;
    let tasks = chosen(&run, args.task.as_deref())?;
    let events = looked.events(0).map_err(|error| coded("D004", error))?;
    let scene = Scene::new(&run, Moment { at: wall(), up: 0 });
    let mut out = String::new();
    let mut objects = Objects::new(args.output.format, "debug");
    objects.begin()?;
    let paint = Paint::for_stream(&std::io::stdout());
    for id in tasks {
        let Some(record) = run.state().task(&id) else { continue };
        let causes = causes(&run, &id, record);
        let history = events.iter().filter_map(|stamped| told(&stamped.event, &id));
        let history: Vec<String> = history.collect();
        match args.output.format {
            Format::Text => text(&mut out, &scene, (&id, record), &history, &causes, paint),
            Format::Json | Format::Jsonl => {
                objects.print(&as_json(&run, (&id, record), &history, &causes))?;
            }
        }
    }
    std::io::stdout().lock().write_all(columns::fit(&out).as_bytes())?;
    objects.end()?;
    Ok(DONE)
}

fn coded(code: &str, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Fault>() {
        Ok(fault) => Fault { message: format!("{code}: {}", fault.message), ..fault }.into(),
        Err(error) => error.context(code.to_owned()),
    }
}

/// The task that is meant, or all that did not succeed.
fn chosen(run: &Run, task: Option<&str>) -> Result<Vec<TaskId>> {
    let all: Vec<&TaskId> = run.plan().tasks.iter().map(|task| &task.id).collect();
    let Some(task) = task else {
        let open = run.state().tasks().filter(|(_, record)| {
            record.trouble().is_some() && !matches!(record.state, TaskState::Succeeded)
                || matches!(record.state, TaskState::Parked(_) | TaskState::Failed(_))
        });
        let open: Vec<TaskId> = open.map(|(id, _)| id.clone()).collect();
        if open.is_empty() {
            let fault = Fault::usage("D003: no task of the latest run has any trouble");
            return Err(fault
                .hint("idumb status says where it stands; name a task to see one")
                .into());
        }
        return Ok(open);
    };
    match all.iter().find(|id| id.as_str() == task) {
        Some(id) => Ok(vec![(*id).clone()]),
        None => {
            let names = all.iter().map(|id| id.as_str());
            let hint = idumb_plan::meant(task, names, "the tasks are");
            let message = format!("D002: the plan has no task `{}`", printable(task));
            Err(Fault::usage(message).hint(hint).into())
        }
    }
}

/// One line of a task's history, if the event is worth one.
fn told(event: &Event, id: &TaskId) -> Option<String> {
    Some(match event {
        Event::LeaseGranted { task, agent, attempt, .. } if task == id => {
            format!("attempt {attempt} was given to `{agent}`")
        }
        Event::AttemptSealed { task, attempt, sealed, .. } if task == id => {
            format!("attempt {attempt} left {} changed paths", sealed.paths.len())
        }
        Event::CandidateJudged { task, judgement, .. } if task == id => match judgement.verdict {
            Verdict::Pass => "its candidate passed".to_owned(),
            _ => {
                format!("its candidate did not pass: {}", counted(judgement.unmet.len(), CRITERIA))
            }
        },
        Event::AttemptFailed { task, attempt, trouble, .. } if task == id => {
            format!("attempt {attempt} came to nothing: {}", one_line(&trouble.to_string(), 160))
        }
        Event::AttemptInterrupted { task, attempt, .. } if task == id => {
            format!("attempt {attempt} was interrupted")
        }
        Event::RuleApplied { task, rule, .. } if task == id => {
            format!("rule `{}` decided", printable(rule))
        }
        Event::QuestionDeclined { task, question, .. } if task == id => {
            format!("it asked, and nobody decided: {}", one_line(question, 120))
        }
        Event::TaskSucceeded { task, .. } if task == id => "it was done".to_owned(),
        Event::TaskFailed { task, code, .. } if task == id => format!("it failed with {code}"),
        Event::TaskSkipped { task, because, .. } if task == id => match because {
            Some(because) => format!("it was left out, because {because} was"),
            None => "it was left out".to_owned(),
        },
        _ => return None,
    })
}

/// What the journal points to.
fn causes(run: &Run, id: &TaskId, record: &TaskRecord) -> Vec<Cause> {
    let phase = run.plan().phase.number;
    let resume = format!("idumb execute-phase {phase} --resume");
    let replan = format!("{resume} --replan");
    let name = &run.config().run;
    let latest = record.latest.as_deref();
    let mut found = Vec::new();
    if let Some(Parking::HostDied { times }) = record.parking {
        let what = format!("idumb itself died {times} times while it ran");
        found.push(cause(what, "look at memory and the system's log, then resume"));
    }
    for denial in latest.iter().flat_map(|latest| &latest.record.denials).take(3) {
        let what = format!("it was refused to {} `{}`", denial.capability, printable(&denial.path));
        let next = match Denial::grant_line(denial) {
            Some(line) => format!("if it is to have that, {line} in the plan, then {replan}"),
            None => "no plan can allow that: the task has to do without".to_owned(),
        };
        found.push(cause(what, next));
    }
    for limit in latest.iter().flat_map(|latest| &latest.record.limits).take(3) {
        found.push(cause(
            format!("a limit refused something: {limit}"),
            "raise it in [limits] of idumb.toml if the task needs that much",
        ));
    }
    match record.trouble() {
        Some(Trouble::Timeout { after_ms, of }) => found.push(cause(
            format!("the {of} took longer than {}", idumb_core::duration_text(*after_ms)),
            format!(
                "give the task more time (`timeout` in the plan), or less to do, then {replan}"
            ),
        )),
        Some(Trouble::Trap { .. }) => found.push(cause(
            "the agent crashed, or broke a limit: a fault of the agent, or too tight a limit",
            format!("idumb log {phase} --task {id} has its last words; then {resume}"),
        )),
        Some(Trouble::Rejected { unmet }) if unmet.iter().any(|one| one.breaks.is_some()) => {
            found.push(cause(
                "it breaks what a task that is done promised",
                format!("idumb diff {name} {id} shows what it made; then {resume}"),
            ));
        }
        Some(Trouble::Rejected { unmet })
            if unmet.iter().any(|one| one.verdict == Verdict::Fail) =>
        {
            found.push(cause(
                "what it made is not what the criteria ask for, or a criterion asks for too much",
                format!("idumb diff {name} {id} shows what it made; then {resume}"),
            ));
        }
        Some(Trouble::Rejected { .. }) => found.push(cause(
            "a criterion could not be checked, so nobody knows whether it holds",
            format!("idumb check {phase} says which criteria say nothing; then {replan}"),
        )),
        Some(Trouble::Conflict { path, with: Other::Task { task } }) => found.push(cause(
            format!("task {task} changes `{}`, which this one reads", printable(path)),
            format!("have it wait: `depends_on = [\"{task}\"]`, then {replan}"),
        )),
        Some(Trouble::Conflict { path, .. }) => found.push(cause(
            format!("somebody changed `{}` meanwhile", printable(path)),
            format!("leave the task's files alone while it runs, then {resume}"),
        )),
        Some(Trouble::Unavailable { .. } | Trouble::Error { .. }) => found.push(cause(
            "the machine lacks something: the task is not to blame",
            format!("idumb doctor says what; then {resume}"),
        )),
        Some(Trouble::Failure(failure)) => found.push(match failure.kind {
            FailureKind::Precondition => cause(
                "what the task takes for granted does not hold: a file is not as its steps expect",
                format!("look at that file, and at what earlier tasks made of it; then {replan}"),
            ),
            FailureKind::Denied => cause(
                "its agent needs a path that the task does not grant",
                format!("idumb log {phase} --files --task {id} lists what it was refused"),
            ),
            FailureKind::Unsupported | FailureKind::Invalid => cause(
                "the plan asks its agent for what it does not know",
                format!("idumb check {phase}, or another agent for the task; then {replan}"),
            ),
            FailureKind::Undecided => cause(
                "it needs a decision that nobody gave",
                format!("run it with --mode=interactive, or give a rule; {resume}"),
            ),
            FailureKind::Other => {
                cause("its agent says so", format!("idumb log {phase} --task {id}; then {resume}"))
            }
        }),
        None => {}
    }
    let waits = run.plan().task(id).into_iter().flat_map(|task| &task.depends_on);
    let open = waits.filter(|task| {
        run.state().task(task).is_some_and(|other| !matches!(other.state, TaskState::Succeeded))
    });
    if let Some(first) = open.into_iter().next() {
        let next = format!("idumb debug {phase} --task {first}");
        found.push(cause(format!("it waits for {first}, which is not done"), next));
    }
    found
}

fn text(
    out: &mut String,
    scene: &Scene<'_>,
    (id, record): (&TaskId, &TaskRecord),
    history: &[String],
    causes: &[Cause],
    paint: Paint,
) {
    if record.trouble().is_some() {
        let _ = writeln!(out, "{}", failure_block(scene, id, paint));
    } else {
        let _ = writeln!(out, "  {} is {:?}", paint.strong(id.as_str()), record.state);
    }
    let _ = writeln!(out, "      {}:", paint.strong("what happened"));
    for line in history {
        let _ = writeln!(out, "        {line}");
    }
    for Cause { what, next } in causes {
        let _ = writeln!(out, "      {}: {what}", paint.strong("likely cause"));
        let _ = writeln!(out, "        {next}");
    }
}

fn as_json(
    run: &Run,
    (id, record): (&TaskId, &TaskRecord),
    history: &[String],
    causes: &[Cause],
) -> Value {
    let latest = record.latest.as_deref();
    let causes: Vec<_> =
        causes.iter().map(|cause| json!({ "cause": cause.what, "next": cause.next })).collect();
    json!({
        "run": run.config().run,
        "task": id,
        "trouble": record.trouble(),
        "examination": latest.and_then(|latest| latest.examination.as_ref()),
        "history": history,
        "likely_causes": causes,
    })
}
