//! The agents of `idumb.toml`, and which of them may take a role.
//!
//! Invariant: no agent has a built-in one's name, and none takes a role that it does not
//! have.

use std::collections::BTreeMap;

use idumb_core::{Digest, Role, TaskId};

use crate::problem::{Code, Problem, Told};
use crate::reading::{Item, Reading, Table, every};
use crate::suggest::{listed, meant};

/// The keys of `[agents.NAME]`.
pub(crate) const KEYS: &[&str] = &["path", "role", "digest"];

/// `[agents.NAME]`: where a third party's agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSource {
    /// The component, relative to the project's root.
    pub path: String,
    /// What the agent is for.
    pub role: Role,
    /// The only bytes to accept, if given.
    pub digest: Option<Digest>,
}

/// The agents that the file defines; one that was refused still has its name.
pub(crate) type Agents = BTreeMap<String, Result<AgentSource, Told>>;

/// `[agents]`
pub(crate) fn agents(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Agents, Told> {
    let entries = every(table.keys(), |(name, span)| {
        // An agent's name has the same letters as a task's id.
        if TaskId::new(name).is_err() {
            return Ok((name.to_owned(), Err(reading.bad_id(span, name))));
        }
        if role_named(name).is_some() {
            let message = format!("`{name}` is a built-in agent");
            let help = "give yours another name; `[roles]` says which agent takes a role";
            let problem = Problem::new(Code::ReservedName, span, message).label("reserved");
            return Ok((name.to_owned(), Err(reading.refuse(problem.help(help)))));
        }
        let item = reading.required(table, name, "path = \"…\"");
        Ok((name.to_owned(), item.and_then(|item| agent(reading, &item))))
    })?;
    Ok(entries.into_iter().collect())
}

fn agent(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<AgentSource, Told> {
    let table = reading.table(item, "an agent")?;
    let stray = reading.only(&table, KEYS);
    let path = reading
        .required(&table, "path", "path = \"agents/writer.wasm\"")
        .and_then(|item| reading.path(&item));
    let role = reading
        .required(&table, "role", "role = \"builder\"")
        .and_then(|item| role(reading, &item));
    let digest = table.get("digest").map(|item| reading.digest(&item)).transpose();
    stray?;
    Ok(AgentSource { path: path?.to_owned(), role: role?, digest: digest? })
}

/// The role of that name, which is its built-in agent's too.
pub(crate) fn role_named(text: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.as_str() == text)
}

fn role(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Role, Told> {
    let text = reading.text(item)?;
    role_named(text).ok_or_else(|| {
        let help = meant(text, Role::ALL.map(Role::as_str), "the roles are");
        let message = format!("no role is called `{text}`");
        reading.refuse_value(Code::UnknownRole, item, message, "unknown", help)
    })
}

/// The name of an agent for `role`: the built-in one, or one that has this role. Without
/// the `agents` that there are, any name but that of another role's built-in agent.
pub(crate) fn role_agent(
    reading: &mut Reading<'_>,
    item: &Item<'_>,
    role: Role,
    agents: Option<&Agents>,
) -> Result<String, Told> {
    let name = reading.text(item)?;
    match role_named(name) {
        Some(own) if own == role => return Ok(name.to_owned()),
        Some(own) => return Err(other_role(reading, item, own, role, agents)),
        None => {}
    }
    // Without the agents' names every other name would seem unknown.
    let Some(agents) = agents else {
        return reading.id::<TaskId>(item).map(|name| name.to_string());
    };
    match agents.get(name) {
        Some(Ok(agent)) if agent.role != role => {
            Err(other_role(reading, item, agent.role, role, Some(agents)))
        }
        Some(_) => Ok(name.to_owned()),
        None => {
            let known = agents.keys().map(String::as_str).chain([role.as_str()]);
            let help = meant(name, known, "the agents are");
            let message = format!("no agent is called `{name}`");
            Err(reading.refuse_value(Code::UnknownAgent, item, message, "unknown", help))
        }
    }
}

/// Refuses an agent of the role `own` where one for `role` must stand.
fn other_role(
    reading: &mut Reading<'_>,
    item: &Item<'_>,
    own: Role,
    role: Role,
    agents: Option<&Agents>,
) -> Told {
    let a = |role| if role == Role::IntegrationChecker { "an" } else { "a" };
    let name = item.as_text().unwrap_or_default();
    let message = format!("the agent `{name}` is {} {own}, not {} {role}", a(own), a(role));
    let fits = agents.into_iter().flatten();
    let fits = fits.filter(|(_, agent)| agent.as_ref().is_ok_and(|agent| agent.role == role));
    let fits = fits.map(|(name, _)| name.as_str()).chain([role.as_str()]);
    let help = format!("agents with this role: {}", listed(fits));
    reading.refuse_value(Code::OtherRole, item, message, "of another role", help)
}
