//! The built-in builder: carries out the declared steps of a task, in order.
//!
//! Invariant: all steps are understood before the first is carried out, and the first that
//! fails ends the attempt, naming itself and its path.

mod action;
mod dir;
mod patch;
mod text;

use std::collections::BTreeSet;

use idumb_agent::{Builder, Context, Failure, Outcome, Task, log, progress};

use action::Action;
use dir::Dir;

/// The agent, as the host knows it.
pub struct BuiltIn;

impl Builder for BuiltIn {
    fn build(task: Task, context: Context) -> Result<Outcome, Failure> {
        for finding in &context.feedback {
            log::warn(format!("rejected before: {}: {}", finding.criterion, finding.note));
        }
        if !context.feedback.is_empty() {
            log::warn(
                "the built-in builder does the same steps again: if the plan stays as it is, so may the result",
            );
        }
        carry_out(&Dir::new("."), &task, &mut |done, total, text: &str| progress(done, total, text))
    }
}

idumb_agent::builder!(BuiltIn);

/// Carries out the steps of `task` in `dir`, and tells `say` how far it is.
fn carry_out<S>(dir: &Dir, task: &Task, say: &mut S) -> Result<Outcome, Failure>
where
    S: FnMut(u32, u32, &str),
{
    if task.steps.is_empty() {
        return Err(Failure::invalid(
            "no steps: the built-in builder carries out declared steps; \
             add `[[tasks.steps]]` to the task, or name another `agent` for it",
        ));
    }
    let total = task.steps.len() as u32;
    let located = |index: u32, failure: Failure| {
        let kind = &task.steps[index as usize].kind;
        let message = format!("{kind}: {}", failure.message);
        Failure { message, ..failure }.at_step(index)
    };
    let mut actions = Vec::new();
    for (index, step) in (0..).zip(&task.steps) {
        actions.push(Action::parse(step).map_err(|failure| located(index, failure))?);
    }
    let mut tally = Tally::default();
    for (index, action) in (0..).zip(&actions) {
        say(index, total, &action.to_string());
        action.carry_out(dir, task, &mut tally).map_err(|failure| located(index, failure))?;
    }
    say(total, total, "done");
    Ok(tally.into_outcome())
}

/// What the steps came to, so far.
#[derive(Debug, Default)]
struct Tally {
    /// Paths created or changed, and not deleted since.
    paths: BTreeSet<String>,
    /// One phrase for each step that changed something.
    done: Vec<String>,
    /// How many steps found their work done.
    idle: usize,
}

impl Tally {
    /// A step created or changed `path`.
    fn changed(&mut self, path: &str, phrase: String) {
        self.paths.insert(path.to_owned());
        self.done.push(phrase);
    }

    /// A step deleted `path`, and what was below it.
    fn deleted(&mut self, path: &str, phrase: String) {
        self.paths.retain(|known| !is_at_or_below(known, path));
        self.done.push(phrase);
    }

    /// A step moved `from`, and what was below it, to `to`.
    fn moved(&mut self, from: &str, to: &str, phrase: String) {
        let (moved, kept) = std::mem::take(&mut self.paths)
            .into_iter()
            .partition::<BTreeSet<_>, _>(|known| is_at_or_below(known, from));
        self.paths = kept;
        self.paths.extend(moved.iter().map(|known| format!("{to}{}", &known[from.len()..])));
        self.changed(to, phrase);
    }

    /// A step found its work done.
    fn idle(&mut self) {
        self.idle += 1;
    }

    fn into_outcome(self) -> Outcome {
        const TOLD: usize = 10;
        if self.done.is_empty() {
            return Outcome::already_done("every step found its work done");
        }
        let mut summary = self.done[..self.done.len().min(TOLD)].join("; ");
        if self.done.len() > TOLD {
            summary.push_str(&format!("; and {} steps more", self.done.len() - TOLD));
        }
        if self.idle > 0 {
            summary.push_str(&format!("; {} found done before", self.idle));
        }
        Outcome { artifacts: self.paths.into_iter().collect(), ..Outcome::done(summary) }
    }
}

fn is_at_or_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
