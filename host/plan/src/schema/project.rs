//! The schemas of `idumb.toml` and of a rules file, which share rules and policies.
//!
//! Invariant: what widens rights is only in the rules file's.

use idumb_core::{Blocker, Role};
use serde_json::{Value, json};

use super::plan::limits;
use super::{about, closed, closed_map, distinct, flag, leaf, list, number, some, word};
use crate::agents;
use crate::commands::{self, NETWORKS, REPORTS};
use crate::config::{self, DEFAULTS, LARGEST_BATCH, MODES, OPEN_ROLES, PROJECT};
use crate::limits::OF_THE_HOST;
use crate::rules::{self, MOST_RETRIES, PERSONS_KEYS, POLICY_KEYS, RESORTS, RULE_KEYS};
use crate::settings;

/// `idumb.toml`
pub(super) fn config() -> Value {
    closed(config::KEYS, &[], |key| match key {
        "project" => about(project(), "About the project itself."),
        "defaults" => about(defaults(), "What the command line's flags override."),
        "agents" => about(agents(), "Third parties' agents, by the name that tasks and roles use."),
        "roles" => about(
            roles(),
            "Which agent takes a role; default: the built-in one. A task can name its builder itself.",
        ),
        "commands" => about(commands(), "Native programs that criteria have the host run."),
        "limits" => {
            about(all_limits(), "What agents may use of the machine; a task can only narrow these.")
        }
        "rules" => about(all_rules(), RULES),
        "policy" => about(policy(POLICY_KEYS), "Takes away from every plan; it can give nothing."),
        _ => Value::Null,
    })
}

/// A person's own file.
pub(super) fn rules_file() -> Value {
    closed(rules::KEYS, &[], |key| match key {
        "rules" => about(all_rules(), RULES),
        "policy" => about(own_policy(), OWN_POLICY),
        _ => Value::Null,
    })
}

/// A person's own settings.
pub(super) fn settings() -> Value {
    closed(settings::KEYS, &[], |key| match key {
        "defaults" => about(defaults(), "What a project and the command line override."),
        "limits" => about(all_limits(), "What agents may use, where a project does not say."),
        "rules" => about(all_rules(), RULES),
        "policy" => about(own_policy(), OWN_POLICY),
        _ => Value::Null,
    })
}

const OWN_POLICY: &str = "Takes away from every plan; only a person's own file can give something: \
                          `same_agent`.";

fn own_policy() -> Value {
    policy(&[POLICY_KEYS, PERSONS_KEYS].concat())
}

const RULES: &str = "What auto mode does about a blocker; the first that fits decides.";

fn project() -> Value {
    closed(PROJECT, &[], |key| match key {
        "name" => about(leaf::words(), "Default: the folder's name."),
        "current_phase" => about(
            number(0, u64::from(u32::MAX)),
            "What `execute-phase` without a phase runs; default: the first not completed.",
        ),
        _ => Value::Null,
    })
}

fn defaults() -> Value {
    closed(DEFAULTS, &[], |key| match key {
        "mode" => about(word(MODES), "Who decides: a person, or declared rules."),
        "batch_size" => about(number(1, u64::from(LARGEST_BATCH)), "The most tasks in a batch."),
        "timeout" => about(leaf::time(), "Of one attempt, for tasks that do not say."),
        "validation_timeout" => about(leaf::time(), "Of the validation of one candidate."),
        "phase_timeout" => about(leaf::time(), "Of the whole run."),
        "grace" => about(leaf::time(), "What is under way gets to end, when the run is to pause."),
        "backoff" => about(
            leaf::delay(),
            "Before the second attempt, then doubled, in whole milliseconds; `0s`: none.",
        ),
        "backoff_cap" => about(leaf::time(), "The longest such delay, in whole milliseconds."),
        _ => Value::Null,
    })
}

fn role_names() -> [&'static str; 4] {
    Role::ALL.map(Role::as_str)
}

fn agents() -> Value {
    let agent = closed(agents::KEYS, &["path", "role"], |key| match key {
        "path" => about(leaf::path(), "The component, relative to the project's root."),
        "role" => about(word(role_names()), "What the agent is for."),
        "digest" => about(leaf::digest(), "Refuse any other bytes: `blake3:` and 64 hex digits."),
        _ => Value::Null,
    });
    json!({
        "type": "object",
        // The roles' names are those of the built-in agents.
        "propertyNames": { "pattern": leaf::ID, "not": { "enum": role_names() } },
        "additionalProperties": about(agent, "A third party's agent."),
    })
}

fn commands() -> Value {
    let hosts = || list(json!({ "type": "string", "pattern": "^(~/|/)" }));
    let command = closed(commands::KEYS, &["run"], |key| match key {
        "run" => {
            let mut words = some(list(leaf::any_text()));
            words["prefixItems"] = json!([leaf::words()]);
            about(words, "The program and its arguments; no shell.")
        }
        "arguments" => {
            let patterns = list(leaf::sought());
            about(patterns, "What further arguments may be: regular expressions for a whole one.")
        }
        "dir" => about(leaf::literal(), "Where it starts, from the project's root."),
        "env" => {
            let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
            about(texts, "Its environment, beside PATH, HOME, TMPDIR, USER and LANG.")
        }
        "network" => about(word(NETWORKS), "Default: none."),
        "time" => about(leaf::time(), "How long it may run; default: ten minutes."),
        "memory" => about(leaf::size(), "Of all its processes; default: 4 GiB."),
        "processes" => about(number(1, 100_000), "At one time, with threads; default: 512."),
        "file_size" => about(leaf::size(), "Of any one file; default: 1 GiB."),
        "output" => about(leaf::size(), "Kept of each of its outputs; default: 1 MiB."),
        "read_only" => about(hosts(), "Host paths that it may read, beside the system's."),
        "caches" => about(hosts(), "Host folders that it may write: what it leaves there stays."),
        "bins" => about(hosts(), "Host folders with programs, first in PATH."),
        "report" => about(word(REPORTS), "How it reports what its tests did."),
        "report_file" => {
            about(leaf::literal(), "Where it leaves that report; default: its output.")
        }
        _ => Value::Null,
    });
    json!({
        "type": "object",
        "propertyNames": { "pattern": leaf::ID },
        "additionalProperties": about(command, "A native program."),
    })
}

/// The name of an agent for `role`: any but that of another role's built-in agent.
fn agent_for(role: Role) -> Value {
    let mut name = leaf::id();
    let others: Vec<&str> =
        role_names().into_iter().filter(|name| *name != role.as_str()).collect();
    name["not"] = json!({ "enum": others });
    name
}

fn roles() -> Value {
    let role = |role: Role| {
        let agent = about(agent_for(role), "The built-in agent, or one of `[agents]`.");
        (role.as_str().to_owned(), agent)
    };
    closed_map(OPEN_ROLES.into_iter().map(role).collect(), &[])
}

/// The bounds of a task, and those of the host.
fn all_limits() -> Value {
    let mut all = limits();
    for key in OF_THE_HOST {
        let limit = match *key {
            "host_memory" => about(
                leaf::size(),
                "Memory of idumb with all agents: beyond it the run pauses; default: no limit.",
            ),
            "compile_memory" => {
                about(leaf::size(), "Memory of the process that compiles one agent.")
            }
            "compile_time" => about(leaf::time(), "Of that process."),
            _ => Value::Null,
        };
        all.insert((*key).to_owned(), limit);
    }
    closed_map(all, &[])
}

fn all_rules() -> Value {
    let mut rule = closed(RULE_KEYS, &["on", "then"], |key| match key {
        "on" => about(blockers(), "A kind of blocker, or a list of them."),
        "tasks" => about(some(distinct(leaf::id())), "Only these; default: all."),
        "retry" => about(
            number(0, u64::from(MOST_RETRIES)),
            "Further attempts beside the plan's; default: 0.",
        ),
        "backoff" => about(
            leaf::delay(),
            "The first delay, with `retry`, in whole milliseconds; default: that of the run.",
        ),
        "then" => about(
            word(RESORTS),
            "After that: leave the task and what depends on it out (`skip`), bring the run to \
             rest so that a person decides (`pause`), or give the task up (`fail`).",
        ),
        _ => Value::Null,
    });
    // A delay before further attempts, where there are some.
    rule["if"] = json!({ "required": ["backoff"] });
    rule["then"] = json!({ "required": ["retry"], "properties": { "retry": { "minimum": 1 } } });
    list(rule)
}

fn blockers() -> Value {
    let kinds = Blocker::ALL.map(|kind| about(json!({ "const": kind.as_str() }), says(kind)));
    let kind = json!({ "type": "string", "anyOf": kinds });
    json!({ "anyOf": [kind, some(distinct(kind.clone()))] })
}

/// What a kind of blocker is about.
fn says(kind: Blocker) -> &'static str {
    match kind {
        Blocker::Failure => "The agent said that it could not.",
        Blocker::Trap => "It crashed, or broke a limit.",
        Blocker::Timeout => "An attempt or its validation took too long.",
        Blocker::Denied => "It could not without a path that it is not granted.",
        Blocker::Rejected => "The candidate did not pass.",
        Blocker::Judged => "Only a person can judge a criterion.",
        Blocker::Conflict => "Others kept changing what the attempts read.",
        Blocker::Error => "The host's own trouble.",
    }
}

fn policy(keys: &[&str]) -> Value {
    closed(keys, &[], |key| match key {
        "never" => about(leaf::patterns(), "Patterns: what nobody gets."),
        "reads" => about(
            leaf::patterns(),
            "Patterns: the most that any task may read; default: what the plan says.",
        ),
        "writes" => about(
            leaf::patterns(),
            "Patterns: the most that any task may write; default: what the plan says.",
        ),
        "roles" => about(role_limits(), "The only agents that may take a role; default: any."),
        "same_agent" => {
            about(flag(), "One component may build a candidate and judge it; default: false.")
        }
        _ => Value::Null,
    })
}

fn role_limits() -> Value {
    let role = |role: Role| (role.as_str().to_owned(), some(distinct(agent_for(role))));
    closed_map(Role::ALL.into_iter().map(role).collect(), &[])
}
