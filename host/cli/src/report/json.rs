//! Where a run stands when it rests, as one JSON object, for programs.
//!
//! Invariant: standard output holds this object and nothing else; its keys are those of
//! `idumb status`.

use std::io::Write as _;

use idumb_core::{Event, Moment, Prompt, Run, Stamped};
use serde_json::{Value, json};

use crate::output;
use crate::report::{Reporter, Scene};

/// Prints where the run stands, once it rests.
#[derive(Default)]
pub(crate) struct Json {
    stands: Option<Value>,
}

impl Reporter for Json {
    fn event(&mut self, stamped: &Stamped, scene: &Scene<'_>) {
        if matches!(stamped.event, Event::RunPaused { .. } | Event::RunFinished { .. }) {
            self.stands = Some(status(scene.run, None, scene.now));
        }
    }

    fn finished(&mut self) {
        if let Some(stands) = self.stands.take() {
            // A reader that went away is told nothing.
            let line = output::object("status", stands);
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
    }
}

/// Where a run stands; `holder` says which process has it.
pub(crate) fn status(run: &Run, holder: Option<&str>, now: Moment) -> Value {
    let progress = run.progress(now);
    let prompt = |prompt: &Prompt| {
        let options: Vec<Value> =
            prompt.options.iter().map(|(id, text)| json!({"id": id, "text": text})).collect();
        json!({
            "id": prompt.id, "about": prompt.subject, "question": prompt.question,
            "options": options,
        })
    };
    json!({
        "run": run.config().run,
        "phase": run.plan().phase.to_string(),
        "control": run.state().control,
        "running": holder,
        "step": run.state().step,
        "completed": run.state().completed,
        "total": progress.total,
        "current": progress.current,
        "blocked": progress.blocked,
        "remaining_ms": progress.remaining_ms,
        "prompts": run.state().prompts.iter().map(prompt).collect::<Vec<_>>(),
    })
}
