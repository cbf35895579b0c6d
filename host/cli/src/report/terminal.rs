//! The live display: the seed's layout, redrawn in place, with a progress bar.
//!
//! Invariant: what is done scrolls away above; only the block at the bottom is redrawn.

use std::collections::BTreeMap;
use std::time::Duration;

use idumb_core::{Event, Stamped, TaskId};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::columns;
use crate::report::plain::notice_line;
use crate::report::progress::body;
use crate::report::{Notice, Paint, Reporter, Scene, event_line};
use crate::text::one_line;

/// How often what was not drawn, since too much happened at once, is caught up with.
const CATCH_UP: Duration = Duration::from_millis(500);

/// Draws on standard error.
pub(crate) struct Terminal {
    paint: Paint,
    bar: ProgressBar,
    /// What each agent at work said last of its progress.
    parts: BTreeMap<TaskId, String>,
    block: Block,
    /// What happened while a person was asked.
    held: Option<Vec<String>>,
}

/// Where the run stands, as it was last known.
#[derive(Default)]
struct Block {
    title: String,
    completed: u64,
    total: u64,
    body: String,
    /// The tasks that are under way.
    current: Vec<TaskId>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let paint = Paint::for_stream(&std::io::stderr());
        let bar = new_bar(paint);
        Self { paint, bar, parts: BTreeMap::new(), block: Block::default(), held: None }
    }

    fn print(&mut self, line: String) {
        let line = columns::wrapped(&line, columns::of(&std::io::stderr()));
        match &mut self.held {
            Some(held) => held.push(line),
            None => self.bar.println(line),
        }
    }

    fn look(&mut self, scene: &Scene<'_>) {
        let title = format!("Phase {} Execution Progress", scene.plan.phase.number);
        let underline = "=".repeat(title.len());
        let progress = scene.progress();
        self.block = Block {
            title: format!("\n{}\n{underline}", self.paint.strong(&title)),
            completed: progress.completed as u64,
            total: progress.total as u64,
            body: body(scene.plan, &progress, self.paint).trim_end().to_owned(),
            current: progress.current,
        };
        self.parts.retain(|task, _| self.block.current.contains(task));
    }

    fn redraw(&self) {
        if self.held.is_some() {
            return;
        }
        let mut message = self.block.body.clone();
        for (task, part) in &self.parts {
            message.push_str(&self.paint.dim(&format!("\n  {task} {part}")));
        }
        self.bar.set_prefix(self.block.title.clone());
        self.bar.set_length(self.block.total);
        self.bar.set_position(self.block.completed);
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
            _ => {
                let first = self.block.title.is_empty();
                self.look(scene);
                self.redraw();
                if first {
                    self.bar.enable_steady_tick(CATCH_UP);
                }
            }
        }
    }

    fn notice(&mut self, notice: &Notice) {
        // What an agent said may arrive after what became of its task.
        if let Notice::Progress { task, done, total, message } = notice
            && self.block.current.contains(task)
        {
            let part = format!("says: {done}/{total} {}", one_line(message, 60));
            self.parts.insert(task.clone(), part);
            self.redraw();
        }
        if let Notice::Output { task: Some(task), command, line } = notice
            && self.block.current.contains(task)
        {
            let part = format!("runs {command}: {}", one_line(line, 60));
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
        let Some(held) = self.held.take() else {
            return;
        };
        self.bar = new_bar(self.paint);
        self.redraw();
        self.bar.enable_steady_tick(CATCH_UP);
        for line in held {
            self.bar.println(line);
        }
    }

    fn finished(&mut self) {
        self.resumed();
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_that_arrives_late_is_not_shown() {
        let task = |id| TaskId::new(id).unwrap();
        let said = |id| Notice::Progress {
            task: task(id),
            done: 1,
            total: 2,
            message: "halfway".to_owned(),
        };
        let mut terminal = Terminal::new();
        terminal.block.current = vec![task("T2")];
        terminal.notice(&said("T1"));
        terminal.notice(&said("T2"));
        assert_eq!(terminal.parts.keys().collect::<Vec<_>>(), [&task("T2")]);
    }
}
