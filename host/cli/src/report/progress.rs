//! The seed's progress layout.
//!
//! Invariant: the same text live, in a pipe and in `idumb status`.

use std::fmt::Write as _;

use idumb_core::{Plan, Progress, TaskId, duration_text};

use crate::report::Paint;
use crate::text::one_line;

/// Where a run stands, as the seed lays it out.
pub(crate) fn progress_block(plan: &Plan, progress: &Progress, paint: Paint) -> String {
    let mut out = String::new();
    let title = format!("Phase {} Execution Progress", plan.phase.number);
    let _ = writeln!(out, "{}\n{}", paint.strong(&title), "=".repeat(title.len()));
    out.push_str(&body(plan, progress, paint));
    out
}

/// The layout without its title.
pub(crate) fn body(plan: &Plan, progress: &Progress, paint: Paint) -> String {
    let mut out = String::new();
    let (completed, total) = (progress.completed, progress.total);
    let _ = writeln!(out, "Tasks: {completed}/{total} completed ({}%)", progress.percent());
    if let Some(current) = progress.current.first() {
        let _ = writeln!(out, "Current: {} ({current})", title(plan, current));
    }
    let _ = writeln!(out, "ETA: {}", eta(progress));
    if !progress.recent.is_empty() {
        let _ = writeln!(out, "\nRecent completions:");
        for id in &progress.recent {
            let _ = writeln!(out, "{} {id}: {}", paint.good("✓"), title(plan, id));
        }
    }
    if !progress.current.is_empty() {
        let _ = writeln!(out, "\nCurrent batch:");
        for id in &progress.current {
            let _ = writeln!(out, "{} {id}: {}", paint.odd("→"), title(plan, id));
        }
    }
    if !progress.blocked.is_empty() {
        let _ = writeln!(out, "\nBlocked:");
        for id in &progress.blocked {
            let _ = writeln!(out, "{} {id}: {}", paint.bad("✗"), title(plan, id));
        }
    }
    out
}

/// How long it will take yet, in words.
fn eta(progress: &Progress) -> String {
    match progress.remaining_ms {
        None => "unknown".to_owned(),
        Some(_) if progress.completed == progress.total => "done".to_owned(),
        Some(ms) if ms < 1000 => "less than a second remaining".to_owned(),
        Some(ms) => format!("{} remaining", duration_text(ms)),
    }
}

/// A task's title, safe for a terminal.
pub(crate) fn title(plan: &Plan, id: &TaskId) -> String {
    plan.task(id).map_or_else(String::new, |task| one_line(&task.title, 70))
}
