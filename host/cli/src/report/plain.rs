//! Plain lines, for pipes, logs and dumb terminals.
//!
//! Invariant: one event, at most one paragraph; nothing is ever redrawn.

use std::io::Write as _;

use idumb_core::{
    Aftermath, Denial, Event, LogLevel, Parking, Plan, RuleDecision, Stamped, TaskId, Unkept,
    WorkflowStep, duration_text,
};

use crate::columns;
use crate::report::progress::title;
use crate::report::{Notice, Paint, Reporter, Scene, limit_texts, progress_block, tool_texts};
use crate::text::{TASKS, counted, one_line, printable};

/// Prints to standard error.
pub(crate) struct Plain {
    paint: Paint,
    /// What happened while a person was asked.
    held: Option<String>,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self { paint: Paint::for_stream(&std::io::stderr()), held: None }
    }

    fn print(&mut self, text: &str) {
        match &mut self.held {
            Some(held) => held.push_str(text),
            None => write(text),
        }
    }
}

impl Reporter for Plain {
    fn event(&mut self, stamped: &Stamped, scene: &Scene<'_>) {
        let mut out = String::new();
        if matches!(stamped.event, Event::BatchStarted { batch, .. } if batch > 1) {
            out.push('\n');
            out.push_str(&progress_block(scene.plan, &scene.progress(), self.paint));
            out.push('\n');
        }
        if let Some(line) = event_line(stamped, scene, self.paint) {
            out.push_str(&line);
            out.push('\n');
        }
        self.print(&out);
    }

    fn notice(&mut self, notice: &Notice) {
        if let Some(line) = notice_line(notice, self.paint) {
            self.print(&format!("{line}\n"));
        }
    }

    fn suspended(&mut self) {
        self.held = Some(String::new());
    }

    fn resumed(&mut self) {
        write(&self.held.take().unwrap_or_default());
    }

    fn finished(&mut self) {
        self.resumed();
    }
}

fn write(text: &str) {
    let text = columns::wrapped(text, columns::of(&std::io::stderr()));
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// An agent's words, marked as such; debug lines and mere progress are left out.
pub(crate) fn notice_line(notice: &Notice, paint: Paint) -> Option<String> {
    match notice {
        // Of what a command prints, the end is told if it fails, and all is kept.
        Notice::Progress { .. } | Notice::Output { .. } => None,
        Notice::Log { line, .. } if line.level == LogLevel::Debug => None,
        Notice::Log { task, line } => {
            let said = format!("  {task} says: {}", one_line(&line.message, 200));
            Some(if line.level >= LogLevel::Warn { paint.odd(&said) } else { paint.dim(&said) })
        }
        Notice::Host(text) => Some(paint.odd(&format!("idumb: {text}"))),
    }
}

/// What people are told of an event; `None` if they are not.
pub(crate) fn event_line(stamped: &Stamped, scene: &Scene<'_>, paint: Paint) -> Option<String> {
    let plan = scene.plan;
    Some(match &stamped.event {
        Event::RunStarted { phase, tasks, config, goal, .. } => format!(
            "{}: {}, {} mode\n  goal: {}",
            paint.strong(&format!("Phase {phase}, run {}", config.run)),
            counted(*tasks as usize, TASKS),
            config.mode,
            one_line(goal, 200)
        ),
        Event::StepEntered { step } => match step {
            WorkflowStep::CrossPhaseValidation => "Checking integration with other phases".into(),
            WorkflowStep::FinalValidation => "Verifying the phase".into(),
            _ => return None,
        },
        Event::BatchStarted { batch, tasks } => {
            let names: Vec<&str> = tasks.iter().map(TaskId::as_str).collect();
            format!("Batch {batch}: {}", names.join(", "))
        }
        Event::TaskSucceeded { task, .. } => {
            let latest = scene.state.task(task)?.latest.as_ref();
            let took = latest.and_then(|latest| latest.took_ms).map(duration_text);
            let took = paint.dim(&took.unwrap_or_default());
            format!("  {} {task}: {} {took}", paint.good("✓"), title(plan, task))
        }
        Event::AttemptFailed { task, attempt, trouble, record, then, .. } => {
            let code = trouble.code();
            let mut text = format!(
                "  {} {task} attempt {attempt}: {code} {}: {}",
                paint.odd("!"),
                code.cause(),
                one_line(&trouble.to_string(), 300)
            );
            let denials = denial_texts(&record.denials, Denial::grant_line).take(5);
            for refused in denials.chain(limit_texts(&record.limits)) {
                text.push_str(&format!("\n      {refused}"));
            }
            if let Some(next) = aftermath_text(*then) {
                text.push_str(&format!("\n      {next}"));
            }
            text
        }
        Event::TaskFailed { task, code, .. } => {
            let head = format!("✗ {task}: {} — {code} {}", title(plan, task), code.cause());
            format!("  {}", paint.bad(&head))
        }
        Event::TaskSkipped { task, because } => {
            let why = match because {
                Some(other) => format!("skipped, since {other} was"),
                None => "skipped".to_owned(),
            };
            format!("  {} {task}: {why}", paint.odd("-"))
        }
        Event::TaskParked { task, parking: Parking::HostDied { times } } => {
            let text = format!("parked: idumb died {times} times while it ran");
            format!("  {} {task}: {text}", paint.bad("!"))
        }
        Event::RuleApplied { task, rule, blocker, decision } => format!(
            "  {} {task}: {blocker}: {} decides: {}",
            paint.odd("!"),
            printable(rule),
            match decision {
                RuleDecision::Retry { delay_ms } => {
                    format!("try again in {}", duration_text(*delay_ms))
                }
                RuleDecision::Resort { then } => then.to_string(),
            }
        ),
        Event::DelegationRefused { refused } => {
            let task = refused.task.as_ref().map_or_else(String::new, |task| format!("{task}: "));
            let why = printable(&refused.why.to_string());
            format!("  {} {task}refused: {why}", paint.bad("✗"))
        }
        Event::PhaseCheckVoid { reason, .. } => {
            format!("  - nothing to check: {}", printable(reason))
        }
        Event::CheckpointPassed { task, .. } => {
            format!("  {task}: its checkpoint is passed, in auto mode")
        }
        Event::PromptAnswered { prompt, choice, .. } => {
            format!("  prompt {prompt}: {}", printable(choice))
        }
        Event::CancelRequested { reason } => format!("Giving the run up: {}", printable(reason)),
        Event::Replanned { kept, changed, .. } => {
            let mut text = format!("Another plan: {} completed tasks stay done", kept.len());
            for (task, why) in changed {
                text.push_str(&format!("\n  {}", unkept_text(plan, task, why)));
            }
            text
        }
        Event::JudgementOutdated { task, path, by } => format!(
            "  {} {task}: checked again, since {by} changed `{}`",
            paint.odd("!"),
            printable(path)
        ),
        Event::AttemptSealed { task, sealed, .. } => {
            let denials = denial_texts(&sealed.record.denials, Denial::grant_line).take(5);
            let told: Vec<String> = denials
                .chain(tool_texts(&sealed.paths).take(5))
                .map(|text| format!("  {} {task}: {text}", paint.odd("!")))
                .collect();
            if told.is_empty() {
                return None;
            }
            told.join("\n")
        }
        Event::AttemptInterrupted { task, attempt, .. } => {
            format!("  {task}: attempt {attempt} was interrupted; nothing of it was kept")
        }
        Event::IntegrationJudged { examination, judgement } => {
            judged("integration", examination.findings.len(), judgement, paint)
        }
        Event::PhaseJudged { examination, judgement } => {
            judged("criteria", examination.findings.len(), judgement, paint)
        }
        Event::PhaseCheckFailed { role, trouble } => {
            format!("  {} {role}: {}", paint.bad("✗"), printable(&trouble.to_string()))
        }
        Event::PauseRequested { reason, .. } => {
            format!("Pausing at the next safe point: {}", printable(reason))
        }
        Event::RunResumed { .. } => paint.strong("Resuming"),
        Event::QuestionDeclined { task, question, .. } => format!(
            "  {} {task} asked, and nobody decides in auto mode: {}",
            paint.odd("?"),
            one_line(question, 200)
        ),
        Event::StaleAnswer { task, answer, .. } => {
            format!("  {task}: a late answer ({}) was ignored", printable(answer))
        }
        _ => return None,
    })
}

/// What becomes of a completed task that `plan`, the new one, does not keep, and why.
pub(crate) fn unkept_text(plan: &Plan, task: &TaskId, why: &Unkept) -> String {
    let why = match why {
        _ if plan.task(task).is_none() => {
            return format!("{task} is no longer in the plan; what it wrote stays");
        }
        Unkept::Definition => "the new plan has it otherwise".to_owned(),
        Unkept::Dependency { task } => format!("it depends on {task}, which is not kept"),
        Unkept::Input { path, task } => {
            format!("it read `{}`, which {task} wrote, which is not kept", printable(path))
        }
    };
    format!("{task} runs again: {why}")
}

/// What follows a failed attempt, where that is not said by what comes next.
fn aftermath_text(then: Aftermath) -> Option<String> {
    match then {
        Aftermath::Rerun => Some("it runs again, on the files as they are now".to_owned()),
        Aftermath::BackOff { delay_ms } => {
            Some(format!("another attempt in {}", duration_text(delay_ms)))
        }
        Aftermath::Ready => Some("this does not count as an attempt".to_owned()),
        Aftermath::Park(_) => None,
    }
}

fn judged(what: &str, findings: usize, judgement: &idumb_core::Judgement, paint: Paint) -> String {
    if judgement.unmet.is_empty() {
        let note =
            if findings == 0 { "nothing to check".into() } else { format!("{findings} hold") };
        return format!("  {} {what}: {note}", paint.good("✓"));
    }
    let mut text = format!("  {} {what}: {} do not hold", paint.bad("✗"), judgement.unmet.len());
    for unmet in &judgement.unmet {
        text.push_str(&format!("\n      {}: {}", unmet.criterion, printable(&unmet.note)));
    }
    text
}

/// Refused requests, in the order of their paths: one text for all ways in which an agent
/// tried the same. `advice` says what would allow one, where anything would.
pub(crate) fn denial_texts(
    denials: &[Denial],
    advice: impl Fn(&Denial) -> Option<String>,
) -> impl Iterator<Item = String> {
    let same = |a: &Denial, b: &Denial| {
        a.capability == b.capability && a.path == b.path && a.reason == b.reason
    };
    denials.chunk_by(same).map(move |same| {
        let count = same.iter().fold(0, |count: u32, denial| count.saturating_add(denial.count));
        denial_text(&Denial { count, ..same[0].clone() }, advice(&same[0]))
    })
}

/// A refused request: what, why, and what would allow it.
fn denial_text(denial: &Denial, advice: Option<String>) -> String {
    let times = if denial.count > 1 { format!(" ({} times)", denial.count) } else { String::new() };
    let mut text = format!(
        "denied: {} `{}`{times}: {}",
        denial.capability,
        printable(&denial.path),
        denial.reason
    );
    if let Some(line) = advice {
        text.push_str(&format!("; to allow it: {}", printable(&line)));
    }
    text
}
