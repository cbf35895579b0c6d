//! Rules and policies, as `idumb.toml` and a rules file of a person's own write them.
//!
//! Invariant: a rule that was read names at least one kind of blocker and what happens in
//! the end; what widens rights is read from a person's own file alone.

use std::collections::BTreeMap;

use idumb_core::{Blocker, PathGlob, Policy, Resort, Role, Rule, TaskId};

use crate::agents::{Agents, role_agent, role_named};
use crate::names::Names;
use crate::problem::{Code, Document, Problem, Refused, Told};
use crate::reading::{Item, Reading, Table, every, read_document};
use crate::suggest::meant;

/// The most further attempts that a rule gives.
pub(crate) const MOST_RETRIES: u32 = 100;

/// The keys of a rules file.
pub(crate) const KEYS: &[&str] = &["rules", "policy"];

/// The keys of a rule.
pub(crate) const RULE_KEYS: &[&str] = &["on", "tasks", "retry", "backoff", "then"];

/// The words of `then`.
pub(crate) const RESORTS: [&str; 3] = ["skip", "pause", "fail"];

/// The keys of `[policy]`, in every file.
pub(crate) const POLICY_KEYS: &[&str] = &["never", "reads", "writes", "roles"];

/// The keys of `[policy]` that only a person's own file may have: they widen rights.
pub(crate) const PERSONS_KEYS: &[&str] = &["same_agent"];

/// What a rules file says: `--rules FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesFile {
    /// What auto mode does about blockers; the first that decides one counts.
    pub rules: Vec<Rule>,
    /// What the person sets beside the plan; it has the file's name.
    pub policy: Policy,
}

/// Whose file it is.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The project's, with the agents that it defines, where they could be read. It cannot
    /// widen its own rights.
    Project(Option<&'a Agents>),
    /// A person's own.
    Person,
}

/// Reads a rules file, as `docs/plan-format.md` describes it.
///
/// `file_name` is for messages, and for the names of the rules and the policy. Agents are
/// taken by any name: the file is for more than one project.
///
/// # Errors
/// Everything that is wrong with the file, in order of position.
///
/// ```
/// let source = "[[rules]]\non = \"timeout\"\nretry = 2\nthen = \"skip\"\n";
/// let file = idumb_plan::read_rules(source, "night.toml").unwrap();
/// assert_eq!(file.rules[0].name, "night.toml rule 1");
/// assert_eq!(file.rules[0].retry, 2);
/// ```
pub fn read_rules(source: &str, file_name: &str) -> Result<RulesFile, Refused> {
    read_document(Document::Rules, source, file_name, |reading, root| {
        let stray = reading.only(root, KEYS);
        let rules = rules(reading, root, file_name);
        let policy = policy(reading, root, file_name, Origin::Person);
        stray?;
        Ok(RulesFile { rules: rules?, policy: policy? })
    })
}

/// `[[rules]]`, in the order of the file.
pub(crate) fn rules(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    file_name: &str,
) -> Result<Vec<Rule>, Told> {
    let Some(item) = root.get("rules") else {
        return Ok(Vec::new());
    };
    let tables = reading.tables(&item, "a rule")?;
    every(tables.into_iter().enumerate(), |(index, table)| {
        rule(reading, &table?, format!("{file_name} rule {}", index + 1))
    })
}

fn rule(reading: &mut Reading<'_>, table: &Table<'_>, name: String) -> Result<Rule, Told> {
    let stray = reading.only(table, RULE_KEYS);
    let on =
        reading.required(table, "on", "on = \"timeout\"").and_then(|item| blockers(reading, &item));
    let tasks = table.get("tasks").map(|item| tasks(reading, &item)).transpose();
    let retry = table.get("retry").map(|item| reading.small_number(&item, 0..=MOST_RETRIES));
    let retry = retry.transpose().map(Option::unwrap_or_default);
    let backoff_ms = backoff_ms(reading, table, retry);
    let then =
        reading.required(table, "then", "then = \"pause\"").and_then(|item| resort(reading, &item));
    stray?;
    Ok(Rule {
        name,
        on: on?,
        tasks: tasks?.unwrap_or_default(),
        retry: retry?,
        backoff_ms: backoff_ms?,
        then: then?,
    })
}

/// One kind of blocker, or a list of them.
fn blockers(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Vec<Blocker>, Told> {
    if item.as_text().is_some() {
        return Ok(vec![blocker(reading, item)?]);
    }
    if !item.is_list() {
        let example = "`\"timeout\"`, or `[\"failure\", \"trap\"]`";
        return Err(reading.wrong_type(item, "a kind of blocker, or a list of them", example));
    }
    let help = "name the kinds that the rule decides: `[\"failure\", \"trap\"]`";
    let mut met = Names::new("kind of blocker");
    some(reading, item, help, |reading, item| {
        let blocker = blocker(reading, item)?;
        met.once(reading, Code::GivenTwice, blocker.as_str(), &item.span)?;
        Ok(blocker)
    })
}

fn blocker(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Blocker, Told> {
    let text = reading.text(item)?;
    let known = Blocker::ALL.into_iter().find(|blocker| blocker.as_str() == text);
    known.ok_or_else(|| {
        let help = meant(text, Blocker::ALL.map(Blocker::as_str), "the kinds are");
        let message = format!("no kind of blocker is called `{text}`");
        reading.refuse_value(Code::UnknownBlocker, item, message, "unknown", help)
    })
}

/// The tasks that a rule is about, which need not be of one plan.
fn tasks(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Vec<TaskId>, Told> {
    let mut met = Names::new("task");
    some(reading, item, "leave it out, if the rule is for all tasks", |reading, item| {
        let id: TaskId = reading.id(item)?;
        met.once(reading, Code::GivenTwice, id.as_str(), &item.span)?;
        Ok(id)
    })
}

/// The entries of a list that is not empty; `help` says what to do about one that is.
fn some<T>(
    reading: &mut Reading<'_>,
    item: &Item<'_>,
    help: &str,
    mut read: impl FnMut(&mut Reading<'_>, &Item<'_>) -> Result<T, Told>,
) -> Result<Vec<T>, Told> {
    let items = reading.list(item)?;
    if items.is_empty() {
        let message = format!("{} is empty", item.name);
        return Err(reading.refuse_value(Code::EmptyText, item, message, "nothing here", help));
    }
    every(&items, |item| read(reading, item))
}

/// The first delay before the further attempts that `retry` gives.
fn backoff_ms(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    retry: Result<u32, Told>,
) -> Result<Option<u64>, Told> {
    let Some(item) = table.get("backoff") else {
        return Ok(None);
    };
    let delay = reading.delay(&item)?;
    if retry? == 0 {
        let message = "a delay before further attempts, and the rule gives none";
        let problem = Problem::new(Code::NoRetry, item.key_span, message).label("nothing to delay");
        let help = "say how many there are, `retry = 1`, or leave `backoff` out";
        return Err(reading.refuse(problem.help(help)));
    }
    // A delay that was read is a month at most.
    Ok(u64::try_from(delay.as_millis()).ok())
}

fn resort(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Resort, Told> {
    match reading.text(item)? {
        "skip" => Ok(Resort::Skip),
        "pause" => Ok(Resort::Pause),
        "fail" => Ok(Resort::Fail),
        other => {
            let help = match other {
                "retry" => "write `retry = 1` beside it, and here what happens after that: \
                            `skip`, `pause` or `fail`"
                    .to_owned(),
                _ => meant(other, RESORTS, "the last resorts are"),
            };
            let message = format!("no last resort is called `{other}`");
            Err(reading.refuse_value(Code::UnknownResort, item, message, "unknown", help))
        }
    }
}

/// `[policy]`; without it, one that takes nothing away.
pub(crate) fn policy(
    reading: &mut Reading<'_>,
    root: &Table<'_>,
    file_name: &str,
    origin: Origin<'_>,
) -> Result<Policy, Told> {
    let policy = reading
        .section(root, "policy", "`[policy]`", |reading, table| limits(reading, table, origin))?;
    Ok(Policy { name: file_name.to_owned(), ..policy })
}

fn limits(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    origin: Origin<'_>,
) -> Result<Policy, Told> {
    let stray = match origin {
        Origin::Project(_) => reading.only_beside(table, POLICY_KEYS, PERSONS_KEYS),
        Origin::Person => reading.only(table, &[POLICY_KEYS, PERSONS_KEYS].concat()),
    };
    let mut patterns = |key: &str| -> Result<Option<Vec<PathGlob>>, Told> {
        table.get(key).map(|item| reading.patterns(&item)).transpose()
    };
    let (never, reads, writes) = (patterns("never"), patterns("reads"), patterns("writes"));
    let roles = reading.section(table, "roles", "`[policy.roles]`", |reading, table| {
        role_limits(reading, table, origin)
    });
    let same_agent = same_agent(reading, table, origin);
    stray?;
    Ok(Policy {
        name: String::new(),
        never: never?.unwrap_or_default(),
        reads: reads?,
        writes: writes?,
        roles: roles?,
        same_agent: same_agent?,
    })
}

/// The only agents that may take a role, for the roles that the file names.
fn role_limits(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    origin: Origin<'_>,
) -> Result<BTreeMap<Role, Vec<String>>, Told> {
    let agents = match origin {
        Origin::Project(agents) => agents,
        Origin::Person => None,
    };
    let pairs = every(table.keys(), |(key, span)| {
        let Some(role) = role_named(key) else {
            let help = meant(key, Role::ALL.map(Role::as_str), "the roles are");
            let message = format!("no role is called `{key}`");
            let problem = Problem::new(Code::UnknownRole, span, message).label("unknown");
            return Err(reading.refuse(problem.help(help)));
        };
        let item = reading.required(table, key, "builder = [\"builder\"]")?;
        let help = "name the agents that may take the role, or leave it out: any may";
        let mut met = Names::new("agent");
        let names = some(reading, &item, help, |reading, item| {
            let name = role_agent(reading, item, role, agents)?;
            met.once(reading, Code::GivenTwice, &name, &item.span)?;
            Ok(name)
        })?;
        Ok((role, names))
    })?;
    Ok(pairs.into_iter().collect())
}

/// Whether one component may build and judge: only a person can allow that.
fn same_agent(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    origin: Origin<'_>,
) -> Result<bool, Told> {
    match (table.get("same_agent"), origin) {
        (None, _) => Ok(false),
        (Some(item), Origin::Person) => reading.flag(&item),
        (Some(item), Origin::Project(_)) => {
            let message = "`same_agent` is not for a project's file: \
                           a repository cannot widen its own rights";
            let problem = Problem::new(Code::WidensRights, item.key_span, message);
            let help = "give it in a file of your own: --rules FILE";
            Err(reading.refuse(problem.label("only a person can").help(help)))
        }
    }
}
