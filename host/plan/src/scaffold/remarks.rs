//! What a scaffold says about itself, as comments.
//!
//! Invariant: a comment is lines that begin with `#`, whatever is in what it tells.

use idumb_core::{Plan, duration_text};

use super::Recorded;
use crate::problem::plain;

/// How wide a comment's lines are.
const WIDTH: usize = 96;

/// About the criteria of built-in templates.
pub(super) const JUDGED: &str = "Only a person can judge the criteria that begin with `judged`: \
    put some beside them that can be checked, such as `contains = \"FILE\"` with `text = \"…\"`.";

/// About a task for each folder of sources.
pub(super) const SEVERAL: &str = "Each folder of sources has a task of its own: remove those that \
    the goal does not concern.";

/// About the end of a phase.
pub(super) const CHECKPOINT: &str = "The end: a person looks at all of it here, and decides.";

/// How a plan of a built-in template came about.
pub(super) fn from_template(name: &str, about: &str) -> String {
    format!(
        "A scaffold by `idumb plan-phase`: no model wrote it, and nobody has thought about it yet. \
         It is made of the template `{name}` ({about}): make it your own before it runs."
    )
}

/// How a plan that follows another one came about.
pub(super) fn from_plan(path: &str) -> String {
    format!(
        "A scaffold by `idumb plan-phase`: no model wrote it, and nobody has thought about it yet. \
         Its tasks, files and criteria are those of the plan {path}, and its texts may name that \
         plan's tasks: make it your own before it runs."
    )
}

/// About tasks that the built-in builder cannot do.
pub(super) fn idle(phase: u32) -> String {
    format!(
        "The built-in builder only follows `[[tasks.steps]]`: give the tasks steps, or an agent of \
         yours that idumb.toml names (`agent = \"NAME\"`). Until then `idumb check {phase}` says \
         E002 of them."
    )
}

/// About files that a task may not read, since other tasks are at work on them.
pub(super) fn unseen(ids: &[&str]) -> String {
    let ids = ids.join(", ");
    format!(
        "It does not wait for {ids}, and so reads none of those files: if it must, put the files \
         into `reads`, and the tasks into `depends_on`."
    )
}

/// How long a phase may take, by what was recorded.
pub(super) fn estimate(plan: &Plan, recorded: Option<Recorded>) -> String {
    let Some(Recorded { attempts, median }) = recorded else {
        return "there is nothing to estimate from: no attempt that succeeded is recorded here"
            .to_owned();
    };
    let chain = plan.critical_path().len();
    let long = duration_text(median.saturating_mul(chain as u64));
    let (tasks, attempts) = (counted(chain, "task"), counted(attempts, "attempt"));
    format!(
        "about {long}: the longest chain is {tasks}, and the median of {attempts} that succeeded \
         here is {}, what people took to decide included",
        duration_text(median)
    )
}

/// `1 task`, `2 tasks`.
fn counted(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// Writes `text` as a comment.
pub(super) fn comment(out: &mut String, text: &str) {
    let text = plain(text);
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}
