//! The agents of a run: which there are, which digests they have, compiled when needed.
//!
//! Invariant: an agent is bound by its bytes when the roster is made; nothing that
//! changes on the disk later changes what runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use idumb_core::{AgentBinding, Bounds, Digest, Plan, Role};
use idumb_plan::{AgentSource, Config};
use idumb_sandbox::{Agent, BadCeiling, Refused, Sandbox, declared_ceiling};
use tokio::sync::OnceCell;

use crate::fault::Fault;
use crate::text::printable;

/// The largest component that is read, in bytes.
const MAX_COMPONENT: u64 = 64 << 20;

/// Where an agent of ours comes from.
pub(crate) const BUILT_IN: &str = "built in";

/// The agents that one plan may need, by name.
pub(crate) struct Roster {
    entries: BTreeMap<String, Entry>,
    roles: BTreeMap<Role, String>,
}

struct Entry {
    binding: AgentBinding,
    component: Cow<'static, [u8]>,
    agent: Arc<OnceCell<Agent>>,
}

impl Roster {
    /// Reads every agent that `plan` needs: those of its tasks, and those of the checking roles.
    pub(crate) fn of(root: &Path, config: &Config, plan: &Plan) -> Result<Self> {
        let (roster, errors) = Self::gathered(root, config, plan);
        errors.into_iter().next().map_or(Ok(roster), Err)
    }

    /// The same, with the agents that can be had, and why the others cannot.
    pub(crate) fn gathered(
        root: &Path,
        config: &Config,
        plan: &Plan,
    ) -> (Self, Vec<anyhow::Error>) {
        let mut roster = Self { entries: BTreeMap::new(), roles: BTreeMap::new() };
        let mut errors = Vec::new();
        for role in [Role::Validator, Role::Verifier, Role::IntegrationChecker] {
            let name = config.roles.get(&role).map_or(role.as_str(), String::as_str);
            errors.extend(roster.add(root, config, name, role).err());
            roster.roles.insert(role, name.to_owned());
        }
        let names: BTreeSet<&str> = plan.tasks.iter().map(|task| task.agent.as_str()).collect();
        for name in names {
            errors.extend(roster.add(root, config, name, Role::Builder).err());
        }
        (roster, errors)
    }

    /// Checks that every agent can take its role; compiles those that are in no cache.
    pub(crate) fn unfit(&self, sandbox: &Sandbox) -> Vec<(&AgentBinding, Refused)> {
        let entries = self.entries.values();
        let refused = entries.filter_map(|entry| {
            let prepared = sandbox.prepare(entry.binding.role, &entry.component);
            Some((&entry.binding, prepared.err()?))
        });
        refused.collect()
    }

    fn add(&mut self, root: &Path, config: &Config, name: &str, role: Role) -> Result<()> {
        if self.entries.contains_key(name) {
            return Ok(());
        }
        let built_in = idumb_builtin::ALL.iter().find(|agent| agent.name == name);
        let third_party = config.agents.contains_key(name);
        let (component, source, found) = match (config.agents.get(name), built_in) {
            (Some(agent), _) => {
                (read_component(root, name, agent)?, agent.path.clone(), agent.role)
            }
            (None, Some(agent)) => {
                let role = Role::ALL.into_iter().find(|role| role.as_str() == agent.role);
                let role = role.unwrap_or(Role::Builder);
                (Cow::Borrowed(agent.component), BUILT_IN.to_owned(), role)
            }
            (None, None) => return Err(unknown(config, name).into()),
        };
        if found != role {
            let message = format!("agent `{name}` is a {found}, but a {role} is needed");
            return Err(Fault::usage(message).into());
        }
        let digest = Digest::of(&component);
        let ceiling =
            declared_ceiling(&component).map_err(|bad| bad_ceiling(name, &source, &bad))?;
        let binding =
            AgentBinding { name: name.to_owned(), role, digest, source, third_party, ceiling };
        let entry = Entry { binding, component, agent: Arc::default() };
        self.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// All agents, by name.
    pub(crate) fn bindings(&self) -> Vec<AgentBinding> {
        self.entries.values().map(|entry| entry.binding.clone()).collect()
    }

    /// The agent of that name, as it is bound.
    pub(crate) fn binding(&self, name: &str) -> Option<&AgentBinding> {
        self.entries.get(name).map(|entry| &entry.binding)
    }

    /// What the agent that has a checking role can have at most, if it declares that.
    pub(crate) fn bounds(&self, role: Role) -> Option<Bounds> {
        self.binding(self.holder(role)).and_then(AgentBinding::bounds)
    }

    /// The name of the agent that has a checking role.
    pub(crate) fn holder(&self, role: Role) -> &str {
        self.roles.get(&role).map_or(role.as_str(), String::as_str)
    }

    /// The agent of that name, compiled once.
    pub(crate) async fn agent(&self, sandbox: &Sandbox, name: &str) -> Result<Agent, String> {
        let Some(entry) = self.entries.get(name) else {
            return Err(format!("there is no agent `{name}` in this run"));
        };
        let compile = || async {
            let (sandbox, role) = (sandbox.clone(), entry.binding.role);
            let component = entry.component.clone();
            let prepared =
                tokio::task::spawn_blocking(move || sandbox.prepare(role, &component)).await;
            match prepared {
                Ok(prepared) => prepared.map_err(|refused: Refused| refused.to_string()),
                Err(_) => Err("compiling it failed inside idumb".to_owned()),
            }
        };
        let compiled = entry.agent.get_or_try_init(compile).await;
        compiled.cloned().map_err(|why| format!("agent `{name}` cannot run: {why}"))
    }
}

fn unknown(config: &Config, name: &str) -> Fault {
    let built_in = idumb_builtin::ALL.iter().map(|agent| agent.name);
    let known: Vec<&str> = config.agents.keys().map(String::as_str).chain(built_in).collect();
    Fault::usage(format!("there is no agent `{}`", printable(name))).hint(format!(
        "the agents are {}; add yours to idumb.toml: [agents.{name}] path = \"…\", role = \"builder\"",
        known.join(", ")
    ))
}

fn bad_ceiling(name: &str, source: &str, bad: &BadCeiling) -> Fault {
    let (source, why) = (printable(source), printable(&bad.to_string()));
    Fault::usage(format!("agent `{name}`: {source}: {why}"))
        .hint("have its author mend what it declares, or take another agent")
}

fn read_component(root: &Path, name: &str, agent: &AgentSource) -> Result<Cow<'static, [u8]>> {
    let path = root.join(&agent.path);
    let shown = printable(&agent.path);
    // What the user can mend in the configuration, told apart from the disk's trouble.
    let unread = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory => {
            Fault::usage(format!("agent `{name}`: {shown}: {error}")).into()
        }
        _ => anyhow::Error::from(error).context(format!("reading agent `{name}`, {shown}")),
    };
    let size = std::fs::metadata(&path).map_err(unread)?;
    if !size.is_file() || size.len() > MAX_COMPONENT {
        let message = format!("agent `{name}`: {shown} is not a file of at most 64 MiB");
        return Err(Fault::usage(message).into());
    }
    let bytes = std::fs::read(&path).map_err(unread)?;
    let found = Digest::of(&bytes);
    match agent.digest {
        Some(expected) if expected != found => Err(Fault::usage(format!(
            "agent `{name}`: {shown} has digest {found}, but idumb.toml pins {expected}"
        ))
        .hint("review the new agent, then pin its digest; or restore the old file")
        .into()),
        _ => Ok(Cow::Owned(bytes)),
    }
}
