//! The live display: the seed's layout, redrawn in place, with a progress bar.
//!
//! Invariant: what is done scrolls away above; only the block at the bottom is redrawn.

use std::collections::BTreeMap;

use idumb_core::{Event, Stamped, TaskId};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::plain::notice_line;
use crate::report::progress::body;
use crate::report::{Notice, Paint, Reporter, Scene, event_line};
use crate::text::one_line;

/// Draws on standard error.
pub(crate) struct Terminal {
    paint: Paint,
    bar: ProgressBar,
    /// What each agent at work said last of its progress.
    parts: BTreeMap<TaskId, String>,
    block: String,
    held: Option<Vec<String>>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let paint = Paint::for_stream(&std::io::stderr());
        let bar = new_bar(paint);
        Self { paint, bar, parts: BTreeMap::new(), block: String::new(), held: None }
    }

    fn print(&mut self, line: String) {
        match &mut self.held {
            Some(held) => held.push(line),
            None => self.bar.println(line),
        }
    }

    fn redraw(&self) {
        if self.held.is_some() {
            return;
        }
        let mut message = self.block.clone();
        for (task, part) in &self.parts {
            message.push_str(&self.paint.dim(&format!("\n  {task} says: {part}")));
        }
        self.bar.set_message(message);
    }
}

fn new_bar(paint: Paint) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(12));
    let colours = if paint.is_on() { ".green/dim" } else { "" };
    let template = format!("{{prefix}}\n[{{bar:40{colours}}}] {{pos}}/{{len}}\n{{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

impl Reporter for Terminal {
    fn event(&mut self, stamped: &Stamped, scene: &Scene<'_>) {
        if let Some(line) = event_line(stamped, scene, self.paint) {
            self.print(line);
        }
        if let Some(task) = stamped.event.task()
            && !matches!(stamped.event, Event::AttemptStarted { .. } | Event::LeaseGranted { .. })
        {
            self.parts.remove(task);
        }
        match &stamped.event {
            Event::RunFinished { .. } | Event::RunPaused { .. } => self.bar.finish_and_clear(),
            _ if self.held.is_some() => {}
            _ => {
                let title = format!("Phase {} Execution Progress", scene.plan.phase.number);
                let underline = "=".repeat(title.len());
                self.bar.set_prefix(format!("\n{}\n{underline}", self.paint.strong(&title)));
                let progress = scene.progress();
                self.bar.set_length(progress.total as u64);
                self.bar.set_position(progress.completed as u64);
                self.block = body(scene.plan, &progress, self.paint).trim_end().to_owned();
                self.redraw();
            }
        }
    }

    fn notice(&mut self, notice: &Notice) {
        if let Notice::Progress { task, done, total, message } = notice {
            let part = format!("{done}/{total} {}", one_line(message, 60));
            self.parts.insert(task.clone(), part);
            self.redraw();
        }
        if let Some(line) = notice_line(notice, self.paint) {
            self.print(line);
        }
    }

    fn suspended(&mut self) {
        self.held = Some(Vec::new());
        self.bar.finish_and_clear();
    }

    fn resumed(&mut self) {
        self.bar = new_bar(self.paint);
        for line in self.held.take().unwrap_or_default() {
            self.bar.println(line);
        }
    }

    fn finished(&mut self) {
        self.bar.finish_and_clear();
    }
}
