//! Which commands a run uses, and what is wrong with how it does.
//!
//! Invariant: what a plan says of commands holds before anything runs: each is defined, takes the
//! arguments that it is given, and reports tests where tests are wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use idumb_core::{Criterion, Plan, TaskId};
use idumb_exec::report::Format;
use idumb_plan::{CommandSource, Config};

use super::Invocation;
use crate::established::Established;
use crate::fault::Fault;
use crate::text::printable;

/// The commands that a plan's criteria use, that its tasks' agents may ask for, and that criteria of
/// earlier phases use, by name.
pub(crate) fn used<'a>(
    plan: &'a Plan,
    established: &'a Established,
    config: &'a Config,
) -> Vec<(&'a str, &'a CommandSource)> {
    let criteria = plan.tasks.iter().flat_map(|task| &task.accept).chain(&established.commands);
    let asked = plan.tasks.iter().flat_map(|task| &task.commands).map(String::as_str);
    let names: BTreeSet<&str> = criteria.filter_map(Criterion::command).chain(asked).collect();
    names.into_iter().filter_map(|name| Some((name, config.commands.get(name)?))).collect()
}

/// How long everything may take, one after the other, that criteria have commands do.
pub(crate) fn time_of_all(plan: &Plan, established: &Established, config: &Config) -> Duration {
    let criteria = plan.tasks.iter().flat_map(|task| &task.accept).chain(&established.commands);
    let all: BTreeSet<Invocation> = criteria.filter_map(Invocation::of).collect();
    let usual = idumb_exec::Limits::default().time;
    let time = |invocation: &Invocation| {
        let source = config.commands.get(&invocation.name);
        source.and_then(|source| source.time).unwrap_or(usual)
    };
    all.iter().map(time).fold(Duration::ZERO, Duration::saturating_add)
}

/// What is wrong with the plan's use of commands, task by task.
pub(crate) fn undefined(plan: &Plan, config: &Config) -> Vec<(TaskId, Fault)> {
    let of_task = |task: &idumb_core::Task| {
        let criteria = task.accept.iter().filter_map(|criterion| of_criterion(criterion, config));
        let asked = task.commands.iter().filter_map(|name| {
            let who = "`commands` names the command".to_owned();
            defined(config, name, who).err()
        });
        let faults = criteria.chain(asked).map(|fault| (task.id.clone(), fault));
        faults.collect::<Vec<_>>()
    };
    plan.tasks.iter().flat_map(of_task).collect()
}

/// What is wrong with criteria of earlier phases that commands show, since they were completed.
///
/// # Errors
/// The first such thing.
pub(crate) fn still_defined(established: &Established, config: &Config) -> Result<(), Fault> {
    for criterion in &established.commands {
        if let Some(fault) = of_criterion(criterion, config) {
            let ended = format!("supersedes = [\"{}\"]", criterion.id);
            let message = format!("an earlier phase promised it: {}", fault.message);
            let help = "define it as it was, or end the promise in this phase's plan";
            return Err(Fault::usage(message).hint(format!("{help}: {ended}")));
        }
    }
    Ok(())
}

fn of_criterion(criterion: &Criterion, config: &Config) -> Option<Fault> {
    let Invocation { name, arguments, .. } = Invocation::of(criterion)?;
    let id = &criterion.id;
    let source = match defined(config, &name, format!("criterion {id} names the command")) {
        Ok(source) => source,
        Err(fault) => return Some(fault),
    };
    if let Some(refused) = source.refuses(&arguments) {
        let shown = printable(refused);
        let message = format!("criterion {id} gives `{name}` the argument `{shown}`");
        let help = match source.arguments.is_empty() {
            true => format!("allow it in [commands.{name}]: arguments = [\"PATTERN\"]"),
            false => format!("its `arguments` allow {}", source.arguments.join(", ")),
        };
        return Some(Fault::usage(format!("{message}, which it does not take")).hint(help));
    }
    if criterion.kind != Criterion::TESTS_PASS || source.report.is_some() {
        return None;
    }
    let message = format!("criterion {id} wants the tests of `{name}`");
    let all = Format::ALL.map(Format::as_str).join(", ");
    let help = format!("say how it reports them, `report = \"…\"`: {all}");
    Some(Fault::usage(format!("{message}, which says no `report`")).hint(help))
}

fn defined<'a>(config: &'a Config, name: &str, who: String) -> Result<&'a CommandSource, Fault> {
    config.commands.get(name).ok_or_else(|| {
        let help = match config.commands.is_empty() {
            true => format!("define it in idumb.toml: [commands.{name}] run = [\"…\"]"),
            false => {
                let known = config.commands.keys().map(String::as_str);
                idumb_plan::meant(name, known, "the commands are")
            }
        };
        Fault::usage(format!("{who} `{name}`, which idumb.toml does not define")).hint(help)
    })
}
