//! `idumb status` and `idumb log`: looking at recorded runs.
//!
//! Invariant: only reads; works while another process runs the phase.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use idumb_core::{AccessRecord, Event, Mode, Stamped, TaskId};
use idumb_journal::{Journal, RunRow, StateDir};

use crate::args::{Format, Log, Status};
use crate::driver::{now, recorded_config, recorded_events, recover};
use crate::established::recorded_plan;
use crate::fault::{DONE, Fault};
use crate::project::Project;
use crate::report::{Paint, Scene, event_line, progress_block};
use crate::text::{one_line, printable};

struct Recorded {
    row: RunRow,
    plan: idumb_core::Plan,
    events: Vec<Stamped>,
    holder: Option<String>,
}

fn latest(project: Option<&Path>, phase: Option<&str>) -> Result<Recorded> {
    let project = Project::open(project)?;
    let number = phase.map(|text| project.choose(text)).transpose()?.map(|phase| phase.number);
    let none = || Fault::usage("nothing was run here yet").hint("begin with: idumb execute-phase");
    let state = StateDir::find(&project.root)?.ok_or_else(none)?;
    let journal = Journal::open_read_only(&state)?.ok_or_else(none)?;
    let row = journal.latest_run(number)?.ok_or_else(none)?;
    let events = recorded_events(&journal, &row.run)?;
    let plan = recorded_plan(&journal, &row.run)?;
    let holder = state.holder()?;
    Ok(Recorded { row, plan, events, holder })
}

/// Shows where the latest run stands.
pub(crate) fn status(project: Option<&Path>, args: &Status) -> Result<u8> {
    let Recorded { row, plan, events, holder } = latest(project, args.phase.as_deref())?;
    let paint = Paint::for_stream(&std::io::stdout());
    let run = recover(plan, &events)?;
    let control = match &run.state().control {
        idumb_core::Control::Active | idumb_core::Control::PauseRequested(..) => match &holder {
            Some(holder) => format!("running ({})", printable(holder)),
            None => format!(
                "interrupted; go on with: idumb execute-phase {} --resume",
                row.phase.number
            ),
        },
        idumb_core::Control::Paused(_, reason) => format!(
            "paused: {}; go on with: idumb execute-phase {} --resume",
            printable(reason),
            row.phase.number
        ),
        idumb_core::Control::Finished(idumb_core::RunOutcome::Completed) => "completed".to_owned(),
        idumb_core::Control::Finished(idumb_core::RunOutcome::Failed { code, reason }) => {
            format!("failed: {code} {}: {}", code.cause(), printable(reason))
        }
    };
    let block = progress_block(run.plan(), &run.progress(now()), paint);
    let out = format!("{block}\nRun {} is {control}\n", row.run);
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(DONE)
}

/// Shows what happened in the latest run.
pub(crate) fn log(project: Option<&Path>, args: &Log) -> Result<u8> {
    let Recorded { plan, events, .. } = latest(project, args.phase.as_deref())?;
    let task = args.task.as_deref().map(|text| known_task(&plan, text)).transpose()?;
    let mut out = std::io::stdout().lock();
    let paint = Paint::for_stream(&std::io::stdout());
    let mut config = recorded_config(&events)?;
    config.mode = Mode::Auto;
    for (index, stamped) in events.iter().enumerate() {
        if task.is_some() && stamped.event.task() != task.as_ref() {
            continue;
        }
        if args.output.format == Format::Jsonl {
            writeln!(out, "{}", serde_json::to_string(stamped)?)?;
            continue;
        }
        if args.files {
            write!(out, "{}", files(&stamped.event))?;
            continue;
        }
        let run = idumb_core::Run::recover(plan.clone(), config.clone(), &events[..=index]);
        let progress = run.progress(stamped.at);
        let scene = Scene { plan: &plan, state: run.state(), progress };
        let line = event_line(stamped, &scene, paint).unwrap_or_else(|| bare(&stamped.event));
        writeln!(out, "{} {line}", paint.dim(&time(stamped.at)))?;
        write!(out, "{}", said(&stamped.event))?;
    }
    Ok(DONE)
}

fn known_task(plan: &idumb_core::Plan, text: &str) -> Result<TaskId, Fault> {
    let found = plan.tasks.iter().find(|task| task.id.as_str() == text);
    found.map(|task| task.id.clone()).ok_or_else(|| {
        let names: Vec<&str> = plan.tasks.iter().map(|task| task.id.as_str()).collect();
        Fault::usage(format!("phase {} has no task `{}`", plan.phase, printable(text)))
            .hint(format!("its tasks are {}", names.join(", ")))
    })
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
        Event::AttemptStarted { task, attempt, epoch } => {
            format!("  {task}: attempt {attempt} started (epoch {epoch})")
        }
        Event::AttemptSealed { task, sealed, .. } => format!(
            "  {task}: sealed {} with {} paths: {}",
            sealed.change_set.short(),
            sealed.paths.len(),
            one_line(&sealed.summary, 120)
        ),
        Event::CandidateJudged { task, judgement, examination, .. } => format!(
            "  {task}: {} findings, verdict {:?}",
            examination.findings.len(),
            judgement.verdict
        ),
        _ => match event.task() {
            Some(task) => format!("  {task}: {name}"),
            None => name,
        },
    }
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

/// What an attempt, or its validator, did with files.
fn files(event: &Event) -> String {
    let (who, record): (String, &AccessRecord) = match event {
        Event::AttemptSealed { task, attempt, sealed, .. } => {
            (format!("{task} attempt {attempt}, builder"), &sealed.record)
        }
        Event::AttemptFailed { task, attempt, record, .. } if !record.is_empty() => {
            (format!("{task} attempt {attempt}, given up"), record)
        }
        Event::CandidateJudged { task, attempt, record, .. } => {
            (format!("{task} attempt {attempt}, validator"), record)
        }
        _ => return String::new(),
    };
    let mut out = format!("{who}\n");
    for read in &record.reads {
        let path = if read.path.is_empty() { "." } else { &read.path };
        out.push_str(&format!("  read    {} ({:?})\n", printable(path), read.seen));
    }
    for path in &record.writes {
        out.push_str(&format!("  wrote   {}\n", printable(path)));
    }
    for denial in &record.denials {
        out.push_str(&format!("  {}\n", crate::report::denial_text(denial)));
    }
    out
}
