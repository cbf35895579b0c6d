//! `idumb.toml`: what a project says about itself, read strictly.
//!
//! Invariant: a config that was read names only agents it defines, in roles they have.
//! It gives no rights: a repository cannot consent for its user.

use std::collections::BTreeMap;
use std::time::Duration;

use idumb_core::{Mode, Policy, Role, Rule};

use crate::agents::{AgentSource, Agents, agents, role_agent};
use crate::commands::{CommandSource, commands};
use crate::limits::{Limits, limits};
use crate::problem::{Code, Document, Problem, Refused, Told};
use crate::reading::{Item, Reading, Table, every, read_document};
use crate::rules::{Origin, policy, rules};
use crate::suggest::meant;

pub(crate) const KEYS: &[&str] =
    &["project", "defaults", "agents", "roles", "commands", "limits", "rules", "policy"];

pub(crate) const DEFAULTS: &[&str] = &[
    "mode",
    "batch_size",
    "timeout",
    "validation_timeout",
    "phase_timeout",
    "grace",
    "backoff",
    "backoff_cap",
];

/// The keys of `[project]`.
pub(crate) const PROJECT: &[&str] = &["name", "current_phase"];

/// The words of `mode`.
pub(crate) const MODES: [&str; 2] = ["interactive", "auto"];

/// The roles that `[roles]` gives; a task can name its builder itself.
pub(crate) const OPEN_ROLES: [Role; 4] = Role::ALL;

/// The most tasks in a batch.
pub(crate) const LARGEST_BATCH: u32 = 1000;

/// A project's settings; what is absent has its default elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// About the project itself.
    pub project: Project,
    /// What the command line's flags override.
    pub defaults: Defaults,
    /// Third parties' agents, by the name that tasks and roles use.
    pub agents: BTreeMap<String, AgentSource>,
    /// Which agent takes a role: a name from `agents`, or the role's built-in one. A builder's is
    /// for the tasks that name no agent and have no steps.
    pub roles: BTreeMap<Role, String>,
    /// Native programs that criteria have the host run, by the name that they use.
    pub commands: BTreeMap<String, CommandSource>,
    /// How much of the machine agents may use, and compiling them.
    pub limits: Limits,
    /// What auto mode does about blockers; the first that decides one counts.
    pub rules: Vec<Rule>,
    /// What the project takes away from every plan; it has the file's name.
    pub policy: Policy,
}

impl Default for Config {
    /// What an empty `idumb.toml`, or none, says.
    fn default() -> Self {
        Self {
            project: Project::default(),
            defaults: Defaults::default(),
            agents: BTreeMap::new(),
            roles: BTreeMap::new(),
            commands: BTreeMap::new(),
            limits: Limits::default(),
            rules: Vec::new(),
            policy: Policy { name: "idumb.toml".to_owned(), ..Policy::default() },
        }
    }
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
    /// How long the validation of one candidate may take.
    pub validation_timeout: Option<Duration>,
    /// How long the whole run may take.
    pub phase_timeout: Option<Duration>,
    /// How long what is under way gets to end, when the run is to pause.
    pub grace: Option<Duration>,
    /// The first delay before a further attempt, in whole milliseconds; zero: none.
    pub backoff: Option<Duration>,
    /// The longest such delay, in whole milliseconds.
    pub backoff_cap: Option<Duration>,
}

/// Reads `idumb.toml`, as `docs/plan-format.md` describes it.
///
/// `file_name` is for messages, and for the names of the rules and the policy.
///
/// # Errors
/// Everything that is wrong with the file, in order of position.
///
/// ```
/// let source = "[limits]\nmemory = \"256MiB\"\n";
/// let config = idumb_plan::read_config(source, "idumb.toml").unwrap();
/// assert_eq!(config.limits.agent.memory, Some(256 << 20));
/// ```
pub fn read_config(source: &str, file_name: &str) -> Result<Config, Refused> {
    read_document(Document::Config, source, file_name, |reading, root| {
        config(reading, root, file_name)
    })
}

fn config(reading: &mut Reading<'_>, root: &Table<'_>, file_name: &str) -> Result<Config, Told> {
    let stray = reading.only(root, KEYS);
    let project = reading.section(root, "project", "`[project]`", project);
    let defaults = reading.section(root, "defaults", "`[defaults]`", defaults);
    let agents = reading.section(root, "agents", "`[agents]`", agents);
    let known = agents.as_ref().ok();
    let roles =
        reading.section(root, "roles", "`[roles]`", |reading, table| roles(reading, table, known));
    let commands = reading.section(root, "commands", "`[commands]`", commands);
    let limits = reading.section(root, "limits", "`[limits]`", limits);
    let rules = rules(reading, root, file_name);
    let policy = policy(reading, root, file_name, Origin::Project(known));
    stray?;
    let agents = agents?.into_iter().map(|(name, agent)| Ok((name, agent?)));
    Ok(Config {
        project: project?,
        defaults: defaults?,
        agents: agents.collect::<Result<_, Told>>()?,
        roles: roles?,
        commands: commands?,
        limits: limits?,
        rules: rules?,
        policy: policy?,
    })
}

fn project(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Project, Told> {
    let stray = reading.only(table, PROJECT);
    let name = table.get("name").map(|item| reading.words(&item)).transpose();
    let current = table.get("current_phase").map(|item| reading.small_number(&item, 0..=u32::MAX));
    stray?;
    Ok(Project { name: name?.map(str::to_owned), current_phase: current.transpose()? })
}

pub(crate) fn defaults(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Defaults, Told> {
    let stray = reading.only(table, DEFAULTS);
    let mode = table.get("mode").map(|item| mode(reading, &item)).transpose();
    let batch = table.get("batch_size").map(|item| reading.small_number(&item, 1..=LARGEST_BATCH));
    let mut duration = |key: &str| table.get(key).map(|item| reading.duration(&item)).transpose();
    let timeout = duration("timeout");
    let validation_timeout = duration("validation_timeout");
    let phase_timeout = duration("phase_timeout");
    let grace = duration("grace");
    let delays = delays(reading, table);
    stray?;
    let (backoff, backoff_cap) = delays?;
    let batch_size = batch.transpose()?.and_then(|size| usize::try_from(size).ok());
    Ok(Defaults {
        mode: mode?,
        batch_size,
        timeout: timeout?,
        validation_timeout: validation_timeout?,
        phase_timeout: phase_timeout?,
        grace: grace?,
        backoff,
        backoff_cap,
    })
}

/// The first and the longest delay before a further attempt.
fn delays(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
) -> Result<(Option<Duration>, Option<Duration>), Told> {
    let (first, cap) = (table.get("backoff"), table.get("backoff_cap"));
    let delay = first.as_ref().map(|item| reading.delay(item)).transpose();
    let longest = cap.as_ref().map(|item| reading.longest_delay(item)).transpose();
    let (delay, longest) = (delay?, longest?);
    let (Some(first), Some(cap)) = (first, cap) else {
        return Ok((delay, longest));
    };
    if delay <= longest {
        return Ok((delay, longest));
    }
    let message = "the first delay is longer than the longest one";
    let problem = Problem::new(Code::EmptyRange, first.span, message).label("more than the cap");
    let problem = problem.also(cap.span, "the longest");
    Err(reading.refuse(problem.help("`backoff` is at most `backoff_cap`")))
}

fn mode(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Mode, Told> {
    match reading.text(item)? {
        "interactive" => Ok(Mode::Interactive),
        "auto" => Ok(Mode::Auto),
        other => {
            let help = meant(other, MODES, "the modes are");
            let message = format!("no mode is called `{other}`");
            Err(reading.refuse_value(Code::UnknownMode, item, message, "unknown", help))
        }
    }
}

/// Which agent takes a role.
fn roles(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    agents: Option<&Agents>,
) -> Result<BTreeMap<Role, String>, Told> {
    let pairs = every(table.keys(), |(key, span)| {
        let Some(role) = OPEN_ROLES.into_iter().find(|role| role.as_str() == key) else {
            let help = meant(key, OPEN_ROLES.map(Role::as_str), "the roles are");
            let message = format!("`[roles]` has no `{key}`");
            let problem = Problem::new(Code::UnknownRole, span, message).label("not a role");
            return Err(reading.refuse(problem.help(help)));
        };
        let agent = table.get(key).map(|item| role_agent(reading, &item, role, agents));
        Ok(agent.transpose()?.map(|agent| (role, agent)))
    })?;
    Ok(pairs.into_iter().flatten().collect())
}
