//! Plans, `idumb.toml` and rules files, read into the types of `idumb-core`.
//!
//! [`read_any`] reads a plan in whichever dialect its files are, and [`find_plans`] says which
//! plans a project has; [`read_plan`] is for the native `plan.toml` alone.
//!
//! Invariant: nothing is guessed at, and nothing is left out silently. A file is read
//! whole, or refused with everything that is wrong with it, each with its place and what
//! to do. No file is opened here.

mod agents;
mod commands;
mod config;
mod dialect;
mod echoes;
mod found;
mod limits;
mod names;
mod native;
mod order;
mod phases;
mod problem;
mod reading;
mod render;
mod rules;
mod scaffold;
mod schema;
mod settings;
mod suggest;
mod value;
mod weak;

use idumb_core::{PhaseId, Plan};

pub use agents::AgentSource;
pub use commands::CommandSource;
pub use config::{Config, Defaults, Project, read_config};
pub use dialect::{Dialect, Read, SourceFile, read_any};
pub use found::{FoundPlan, PLACES, choose_plan, find_plans};
pub use limits::{Limits, bytes};
pub use native::{NotNative, to_native};
pub use phases::{ChooseError, choose_phase, find_phases};
pub use problem::{Code, Document, Problem, Refused, RefusedPlan, Warned};
pub use render::{Look, render, render_as, render_plan, render_warned};
pub use rules::{RulesFile, read_rules};
pub use scaffold::{
    Detail, LEVELS, Language, Layout, NoPhase, Pattern, Recorded, Scaffold, Template, Unmade,
    Wanted, is_passed_over, new_phase, scaffold,
};
pub use schema::{Schema, schema};
pub use settings::{Settings, read_settings};
pub use suggest::meant;
pub use weak::says_nothing;

/// Reads a plan in the native format, `docs/plan-format.md`.
///
/// `file_name` is only for messages. `expected` is the phase that the file's folder
/// names: the file must agree with it. Without it the file must give its own `name`.
///
/// # Errors
/// Everything that is wrong with the file, in order of position.
///
/// ```
/// let source = r#"
/// phase = 1
/// name = "greeting"
/// goal = "Say hello"
///
/// [[tasks]]
/// id = "P1-T1"
/// title = "Write the greeting"
/// writes = ["hello.txt"]
/// steps = [{ write = "hello.txt", content = "hello\n" }]
/// accept = [{ contains = "hello.txt", text = "hello" }]
/// "#;
/// let plan = idumb_plan::read_plan(source, "plan.toml", None).unwrap();
/// assert_eq!(plan.phase.to_string(), "1-greeting");
/// assert_eq!(plan.tasks[0].accept[0].text, "`hello.txt` contains `hello`");
///
/// let refused = idumb_plan::read_plan("phase = 1", "plan.toml", None).unwrap_err();
/// assert_eq!(refused.problems().len(), 3); // no name, no goal, no tasks
/// ```
pub fn read_plan(
    source: &str,
    file_name: &str,
    expected: Option<&PhaseId>,
) -> Result<Plan, Refused> {
    native::read(source, file_name, expected)
}
