//! In what a run that could go on is not what it was bound to.
//!
//! Invariant: each difference is told with what was and what is.

use idumb_core::{AgentBinding, Plan, RunConfig, RunId};
use idumb_journal::RunRow;

use crate::fault::Fault;

/// In what the plan and the agents are not those that the run was bound to.
pub(crate) fn changes(
    latest: &RunRow,
    recorded: &RunConfig,
    plan: &Plan,
    bindings: &[AgentBinding],
) -> Vec<String> {
    let mut changes = Vec::new();
    if latest.plan_digest != plan.digest {
        let (old, new) = (latest.plan_digest.short(), plan.digest.short());
        changes.push(format!("the plan (was {old}, is {new})"));
    }
    for agent in bindings {
        let before = recorded.agents.iter().find(|before| before.name == agent.name);
        match before {
            Some(before) if before.digest == agent.digest => {}
            Some(before) => changes.push(format!(
                "agent {} (was {}, is {})",
                agent.name,
                before.digest.short(),
                agent.digest.short()
            )),
            None => changes.push(format!("agent {} is new", agent.name)),
        }
    }
    changes
}

/// The first task that is the same and that another agent does now: `[roles]` changed.
pub(crate) fn reassigned(old: &Plan, new: &Plan) -> Option<String> {
    let pairs = old.tasks.iter().zip(&new.tasks);
    let mut others = pairs.filter(|(old, new)| old.id == new.id && old.agent != new.agent);
    let (old, new) = others.next()?;
    Some(format!("who does task {} (was {}, is {})", new.id, old.agent, new.agent))
}

/// A run goes on by itself only with the plan and the agents that it was bound to.
pub(crate) fn changed(run: &RunId, changes: &[String], number: u32) -> Fault {
    Fault::paused(format!(
        "run {run} cannot go on as it began, since these changed: {}",
        changes.join("; ")
    ))
    .hint("put them back as they were to resume")
    .hint(format!(
        "or go on with what there is now: idumb execute-phase {number} --resume --replan \
         (completed tasks stay done whose definition and inputs did not change)"
    ))
    .hint(format!("or begin anew: idumb execute-phase {number} --restart"))
}
