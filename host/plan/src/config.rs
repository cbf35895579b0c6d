//! `idumb.toml`: what a project says about itself, read strictly.
//!
//! Invariant: a config that was read names only agents it defines, in roles they have.
//! It gives no rights: a repository cannot consent for its user.

use std::collections::BTreeMap;
use std::time::Duration;

use idumb_core::{Digest, Mode, Role, TaskId};

use crate::problem::{Code, Document, Problem, Refused, Told};
use crate::reading::{Item, MOST, Reading, Table, every, read_document};
use crate::suggest::{listed, meant};

/// The most tasks in a batch.
const LARGEST_BATCH: u32 = 1000;

/// A project's settings; what is absent has its default elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// About the project itself.
    pub project: Project,
    /// What the command line's flags override.
    pub defaults: Defaults,
    /// Third parties' agents, by the name that tasks and roles use.
    pub agents: BTreeMap<String, AgentSource>,
    /// Which agent takes a role: a name from `agents`, or the role's built-in one.
    pub roles: BTreeMap<Role, String>,
    /// Bounds on every agent.
    pub limits: Limits,
}

/// `[project]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// What people call it; absent: the folder's name.
    pub name: Option<String>,
    /// The phase to run when none is named; absent: the first that is not completed.
    pub current_phase: Option<u32>,
}

/// `[defaults]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Who decides.
    pub mode: Option<Mode>,
    /// The most tasks in a batch, from 1.
    pub batch_size: Option<usize>,
    /// How long one attempt may take, for tasks that do not say.
    pub timeout: Option<Duration>,
}

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

/// `[limits]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one agent, in bytes.
    pub memory: Option<u64>,
}

/// Reads `idumb.toml`, as `docs/plan-format.md` describes it.
///
/// `file_name` is only for messages.
///
/// # Errors
/// Everything that is wrong with the file, in order of position.
///
/// ```
/// let source = "[limits]\nmemory = \"256MiB\"\n";
/// let config = idumb_plan::read_config(source, "idumb.toml").unwrap();
/// assert_eq!(config.limits.memory, Some(256 << 20));
/// ```
pub fn read_config(source: &str, file_name: &str) -> Result<Config, Refused> {
    read_document(Document::Config, source, file_name, config)
}

fn config(reading: &mut Reading<'_>, root: &Table<'_>) -> Result<Config, Told> {
    let stray = reading.only(root, &["project", "defaults", "agents", "roles", "limits"]);
    let project = section(reading, root, "project", "`[project]`", project);
    let defaults = section(reading, root, "defaults", "`[defaults]`", defaults);
    let agents = section(reading, root, "agents", "`[agents]`", agents);
    let known = agents.as_ref().ok();
    let roles =
        section(reading, root, "roles", "`[roles]`", |reading, table| roles(reading, table, known));
    let limits = section(reading, root, "limits", "`[limits]`", limits);
    stray?;
    let agents = agents?.into_iter().map(|(name, agent)| Ok((name, agent?)));
    Ok(Config {
        project: project?,
        defaults: defaults?,
        agents: agents.collect::<Result<_, Told>>()?,
        roles: roles?,
        limits: limits?,
    })
}

/// Reads a table of the file, if it is there.
fn section<T: Default>(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    key: &str,
    what: &'static str,
    read: impl FnOnce(&mut Reading<'_>, &Table<'_>) -> Result<T, Told>,
) -> Result<T, Told> {
    let Some(item) = root.get(key) else {
        return Ok(T::default());
    };
    let table = reading.table(&item, what)?;
    read(reading, &table)
}

fn project(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Project, Told> {
    let stray = reading.only(table, &["name", "current_phase"]);
    let name = table.get("name").map(|item| reading.words(&item)).transpose();
    let current = table.get("current_phase").map(|item| reading.small_number(&item, 0..=u32::MAX));
    stray?;
    Ok(Project { name: name?.map(str::to_owned), current_phase: current.transpose()? })
}

fn defaults(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Defaults, Told> {
    let stray = reading.only(table, &["mode", "batch_size", "timeout"]);
    let mode = table.get("mode").map(|item| mode(reading, &item)).transpose();
    let batch = table.get("batch_size").map(|item| reading.small_number(&item, 1..=LARGEST_BATCH));
    let timeout = table.get("timeout").map(|item| reading.duration(&item)).transpose();
    stray?;
    let batch_size = batch.transpose()?.and_then(|size| usize::try_from(size).ok());
    Ok(Defaults { mode: mode?, batch_size, timeout: timeout? })
}

fn mode(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Mode, Told> {
    match reading.text(item)? {
        "interactive" => Ok(Mode::Interactive),
        "auto" => Ok(Mode::Auto),
        other => {
            let help = meant(other, ["interactive", "auto"], "the modes are");
            let message = format!("no mode is called `{other}`");
            Err(reading.refuse_value(Code::UnknownMode, item, message, "unknown", help))
        }
    }
}

/// The agents that the file defines; one that was refused still has its name.
type Agents = BTreeMap<String, Result<AgentSource, Told>>;

fn agents(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Agents, Told> {
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
    let stray = reading.only(&table, &["path", "role", "digest"]);
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

fn role_named(text: &str) -> Option<Role> {
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

/// Which agent takes a role. Builders are not here: each task names its own.
fn roles(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    agents: Option<&Agents>,
) -> Result<BTreeMap<Role, String>, Told> {
    let open = [Role::Validator, Role::Verifier, Role::IntegrationChecker];
    let pairs = every(table.keys(), |(key, span)| {
        let Some(role) = open.into_iter().find(|role| role.as_str() == key) else {
            let help = match key {
                "builder" => "a task names its builder itself: `agent = \"NAME\"`".to_owned(),
                _ => meant(key, open.map(Role::as_str), "the roles here are"),
            };
            let message = format!("`[roles]` has no `{key}`");
            let problem = Problem::new(Code::UnknownRole, span, message).label("not a role here");
            return Err(reading.refuse(problem.help(help)));
        };
        let agent = table.get(key).map(|item| role_agent(reading, &item, role, agents));
        Ok(agent.transpose()?.map(|agent| (role, agent)))
    })?;
    Ok(pairs.into_iter().flatten().collect())
}

/// The agent for `role`: the built-in one, or one that has this role.
fn role_agent(
    reading: &mut Reading<'_>,
    item: &Item<'_>,
    role: Role,
    agents: Option<&Agents>,
) -> Result<String, Told> {
    let name = reading.text(item)?;
    // Without the agents' names every other name would seem unknown.
    let Some(agents) = agents.filter(|_| name != role.as_str()) else {
        return Ok(name.to_owned());
    };
    match agents.get(name) {
        Some(Ok(agent)) if agent.role != role => {
            let message = format!("the agent `{name}` is a {}, not a {role}", agent.role);
            let fits =
                agents.iter().filter(|(_, agent)| agent.as_ref().is_ok_and(|a| a.role == role));
            let fits = fits.map(|(name, _)| name.as_str()).chain([role.as_str()]);
            let help = format!("agents with this role: {}", listed(fits));
            Err(reading.refuse_value(Code::OtherRole, item, message, "of another role", help))
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

fn limits(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Limits, Told> {
    let stray = reading.only(table, &["memory"]);
    let memory = table.get("memory").map(|item| size(reading, &item)).transpose();
    stray?;
    Ok(Limits { memory: memory? })
}

/// An amount of memory, in bytes: a number, or a text such as `256MiB`.
fn size(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<u64, Told> {
    if item.as_count().is_some() {
        return reading.number(item, 1..=MOST);
    }
    let Some(text) = item.as_text() else {
        return Err(reading.wrong_type(item, "an amount of memory", "it in quotes: `\"256MiB\"`"));
    };
    bytes(text).ok_or_else(|| {
        let message = format!("`{text}` is not an amount of memory");
        let help = "write `256MiB`, `1GiB` (units: KiB, MiB, GiB), or a number of bytes";
        reading.refuse_value(Code::BadSize, item, message, "not an amount of memory", help)
    })
}

fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| (1..=MOST).contains(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_a_table() {
        let table = [
            ("256MiB", Some(256 << 20)),
            ("1GiB", Some(1 << 30)),
            ("64 KiB", Some(64 << 10)),
            ("1048576", Some(1 << 20)),
            ("0", None),
            ("0MiB", None),
            ("", None),
            ("MiB", None),
            ("256MB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("99999999999GiB", None),
            ("18446744073709551616", None),
        ];
        for (text, expected) in table {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
