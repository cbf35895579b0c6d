//! The last word of a run, on standard output.
//!
//! Invariant: printed once, when the run comes to rest; it says what changed, what was
//! checked, what was refused, what was granted for nothing, and what to type next.

use std::fmt::Write as _;
use std::io::Write as _;

use idumb_core::{Event, RunOutcome, Stamped, TaskState, duration_text};

use crate::columns;
use crate::driver::how_to_answer;
use crate::report::{Granted, Paint, Reporter, Scene, failure_block, progress_block};
use crate::text::{CRITERIA, counted, one_line, printable};

/// How many letters of a reason are shown: of what a command printed, its first line.
const MOST_REASON: usize = 300;

/// How many failures are told in full.
const MOST_FAILURES: usize = 20;

/// Counts while the run goes, and tells at its end.
pub(crate) struct Summary {
    paint: Paint,
    attempts: u32,
    denials: u32,
    conflicts: u32,
    checked: usize,
    rechecked: usize,
    untouched: usize,
    verified: usize,
    integration: usize,
    granted: Granted,
}

impl Summary {
    pub(crate) fn new() -> Self {
        Self {
            paint: Paint::for_stream(&std::io::stdout()),
            attempts: 0,
            denials: 0,
            conflicts: 0,
            checked: 0,
            rechecked: 0,
            untouched: 0,
            verified: 0,
            integration: 0,
            granted: Granted::default(),
        }
    }

    fn text(&self, stamped: &Stamped, scene: &Scene<'_>) -> String {
        let paint = self.paint;
        let phase = &scene.plan.phase;
        let mut out = format!("\n{}\n", progress_block(scene.plan, &scene.progress(), paint));
        let took = duration_text(stamped.at.saturating_sub(scene.state.started_at));
        let _ = match &stamped.event {
            Event::RunFinished { outcome: RunOutcome::Completed } => {
                let head = format!("Phase {phase} is completed");
                writeln!(out, "{} ({took})", paint.good(&head))
            }
            Event::RunFinished { outcome: RunOutcome::Failed { code, reason } } => {
                let head = format!("Phase {phase} failed: {code} {}", code.cause());
                let why = one_line(reason, MOST_REASON);
                writeln!(out, "{}: {why}\n  what to do: {}", paint.bad(&head), code.resolution())
            }
            Event::RunFinished { outcome: RunOutcome::Refused { reason } } => {
                let head = format!("Phase {phase} was refused");
                let what = "change the plan, or the policy that forbids it";
                writeln!(
                    out,
                    "{}: {}\n  what to do: {what}",
                    paint.bad(&head),
                    one_line(reason, MOST_REASON)
                )
            }
            Event::RunFinished { outcome: RunOutcome::Cancelled { reason } } => {
                let head = format!("Phase {phase} was cancelled");
                let what = "what was integrated stays";
                writeln!(out, "{}: {}; {what}", paint.odd(&head), printable(reason))
            }
            Event::RunPaused { cause, reason } => {
                let head = format!("Phase {phase} is paused");
                writeln!(
                    out,
                    "{} ({cause}): {}\n  go on with: idumb execute-phase {} --resume",
                    paint.odd(&head),
                    printable(reason),
                    phase.number
                )
            }
            _ => Ok(()),
        };
        for prompt in &scene.state.prompts {
            let _ = writeln!(out, "  {}", how_to_answer(scene.config(), prompt));
        }
        let troubled = scene.state.tasks().filter(|(_, record)| {
            matches!(
                record.state,
                TaskState::Failed(_)
                    | TaskState::TimedOut(_)
                    | TaskState::Parked(_)
                    | TaskState::AwaitingDecision(_)
            ) && (record.trouble().is_some() || record.parking.is_some())
        });
        for (id, _) in troubled.take(MOST_FAILURES) {
            let _ = writeln!(out, "{}", failure_block(scene, id, paint));
        }
        let count = |of: fn(&TaskState) -> bool| {
            scene.state.tasks().filter(|(_, record)| of(&record.state)).count()
        };
        let skipped = count(|state| matches!(state, TaskState::Skipped(_)));
        // While the run rests they may still become ready.
        let ended = matches!(stamped.event, Event::RunFinished { .. });
        let blocked = if ended { count(|state| *state == TaskState::Blocked) } else { 0 };
        let paths: std::collections::BTreeSet<&String> =
            scene.state.integrations.iter().flat_map(|integration| &integration.paths).collect();
        let _ = writeln!(
            out,
            "  {} in {}, {} changed, {} passed",
            counted(self.attempts as usize, ("attempt", "attempts")),
            counted(scene.state.batches as usize, ("batch", "batches")),
            counted(paths.len(), ("path", "paths")),
            counted(self.checked, CRITERIA),
        );
        for (count, what) in [
            (self.rechecked, "checked again, as touched"),
            (self.untouched, "not touched, so not checked again"),
        ] {
            if count > 0 {
                let criteria = counted(count, CRITERIA);
                let _ = writeln!(out, "  {what}: {criteria} of completed tasks");
            }
        }
        let counts = [
            (skipped, "tasks skipped"),
            (blocked, "tasks not run, since they depend on one that was not done"),
            (self.conflicts as usize, "attempts run again after a conflict"),
            (self.denials as usize, "requests refused (see `idumb log --files`)"),
            (self.integration, "integration checks hold"),
            (self.verified, "criteria hold on the real tree"),
        ];
        for (count, what) in counts {
            if count > 0 {
                let _ = writeln!(out, "  {count} {what}");
            }
        }
        out.push_str(&self.granted.attention(scene));
        out
    }
}

impl Reporter for Summary {
    fn event(&mut self, stamped: &Stamped, scene: &Scene<'_>) {
        self.granted.note(&stamped.event);
        match &stamped.event {
            Event::LeaseGranted { .. } => self.attempts += 1,
            Event::AttemptSealed { sealed, .. } => {
                self.denials +=
                    sealed.record.denials.iter().map(|denial| denial.count).sum::<u32>();
            }
            Event::AttemptFailed { trouble, record, .. } => {
                self.denials += record.denials.iter().map(|denial| denial.count).sum::<u32>();
                if matches!(trouble, idumb_core::Trouble::Conflict { .. }) {
                    self.conflicts += 1;
                }
            }
            Event::CandidateJudged { examination, judgement, .. } => {
                if judgement.unmet.is_empty() {
                    self.checked += examination.findings.len();
                }
                let hold = usize::try_from(examination.hold_again).unwrap_or(usize::MAX);
                self.rechecked += examination.rechecked.len() + hold;
                self.untouched += usize::try_from(examination.untouched).unwrap_or(usize::MAX);
            }
            Event::IntegrationJudged { examination, judgement } => {
                self.integration = examination.findings.len().saturating_sub(judgement.unmet.len());
            }
            Event::PhaseJudged { examination, judgement } => {
                self.verified = examination.findings.len().saturating_sub(judgement.unmet.len());
            }
            Event::RunFinished { .. } | Event::RunPaused { .. } => {
                let text = self.text(stamped, scene);
                let text = columns::fit(&text);
                let _ = std::io::stdout().lock().write_all(text.as_bytes());
            }
            _ => {}
        }
    }
}
