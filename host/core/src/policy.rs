//! The policy of high-governance, and the chain of delegation that it is a link of.
//!
//! Invariant: authority only shrinks: what a link asks for and the one above does not have
//! is refused, and said so.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentBinding, Bounds, Capability, Digest, Grants, PathGlob, Plan, Role, TaskId};

/// Limits that a person or a project sets beside the plan. It can only take away, but for
/// [`Policy::same_agent`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What the journal calls it, such as `idumb.toml`.
    pub name: String,
    /// Patterns of paths that nobody gets, whatever a plan says.
    #[serde(default)]
    pub never: Vec<PathGlob>,
    /// The most that any task may read; `None`: what the plan says.
    #[serde(default)]
    pub reads: Option<Vec<PathGlob>>,
    /// The most that any task may write; `None`: what the plan says.
    #[serde(default)]
    pub writes: Option<Vec<PathGlob>>,
    /// The only agents that may take a role, by name; an absent role: any.
    #[serde(default)]
    pub roles: BTreeMap<Role, Vec<String>>,
    /// Whether one component may build a candidate and judge it.
    #[serde(default)]
    pub same_agent: bool,
}

/// Someone in the chain of delegation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The person who started the run: what they grant is the plan that they run, and what they
    /// consented to of other people's agents.
    User,
    /// Takes the phase on, and writes nothing.
    SupremeCoordinator,
    /// Applies the policy, and writes nothing.
    HighGovernance,
    /// Runs the batches, and writes nothing.
    Executor,
    /// An agent that carries out a task.
    Builder,
    /// An agent that checks a candidate.
    LowValidator,
    /// An agent that checks the finished phase.
    Verifier,
    /// An agent that checks the phase against earlier ones.
    IntegrationChecker,
}

impl Actor {
    /// The links from the user to the executor, from the top.
    pub const CHAIN: [(Self, Self); 3] = [
        (Self::User, Self::SupremeCoordinator),
        (Self::SupremeCoordinator, Self::HighGovernance),
        (Self::HighGovernance, Self::Executor),
    ];

    /// The actor that an agent of `role` is.
    pub fn of(role: Role) -> Self {
        match role {
            Role::Builder => Self::Builder,
            Role::Validator => Self::LowValidator,
            Role::Verifier => Self::Verifier,
            Role::IntegrationChecker => Self::IntegrationChecker,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::User => "user",
            Self::SupremeCoordinator => "supreme-coordinator",
            Self::HighGovernance => "high-governance",
            Self::Executor => "executor",
            Self::Builder => "builder",
            Self::LowValidator => "low-validator",
            Self::Verifier => "verifier",
            Self::IntegrationChecker => "integration-checker",
        })
    }
}

/// What a link of the chain is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "kebab-case")]
pub enum Scope {
    /// What the tasks of the plan with this digest ask for, together, without `never`, and
    /// within what the policies allow at most.
    Plan {
        /// The plan.
        plan: Digest,
        /// What nobody gets.
        never: Vec<PathGlob>,
        /// The most that may be read, one list for each policy that sets one.
        most_reads: Vec<Vec<PathGlob>>,
        /// The most that may be written, one list for each policy that sets one.
        most_writes: Vec<Vec<PathGlob>>,
    },
    /// What the checks of the plan with this digest look at; to be read.
    Checks {
        /// The plan.
        plan: Digest,
        /// What nobody gets.
        never: Vec<PathGlob>,
        /// The most that the agent declares that it may want; `None`: it declares nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ceiling: Option<Bounds>,
    },
    /// Exactly this.
    Exactly {
        /// What may be touched.
        grants: Grants,
    },
}

/// Why a delegation was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum Refusal {
    /// A policy gives the path to nobody.
    Never {
        /// What was asked for.
        path: PathGlob,
        /// Whose policy.
        policy: String,
    },
    /// It is more than a policy allows at most.
    Beyond {
        /// To do what.
        capability: Capability,
        /// What was asked for.
        path: PathGlob,
        /// Whose policy.
        policy: String,
    },
    /// It is more than the link above has.
    Wider {
        /// To do what.
        capability: Capability,
        /// What was asked for.
        path: PathGlob,
        /// The link above.
        above: Actor,
    },
    /// The agent may not take the role.
    Role {
        /// Which agent.
        agent: String,
        /// Which role.
        role: Role,
        /// Whose policy.
        policy: String,
    },
    /// The same component would build and judge.
    SameAgent {
        /// The builder's name.
        agent: String,
        /// The validator's name.
        validator: String,
    },
    /// No person lets the agent take part.
    Unconsented {
        /// Which agent.
        agent: String,
        /// The component that it is.
        digest: Digest,
    },
    /// It is more than a person lets the agent do.
    BeyondConsent {
        /// Which agent.
        agent: String,
        /// To do what.
        capability: Capability,
        /// What was asked for.
        path: PathGlob,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never { path, policy } => {
                write!(f, "the policy of {policy} gives `{path}` to nobody")
            }
            Self::Beyond { capability, path, policy } => {
                write!(f, "to {capability} `{path}` is more than the policy of {policy} allows")
            }
            Self::Wider { capability, path, above } => {
                write!(f, "to {capability} `{path}` is more than the {above} has")
            }
            Self::Role { agent, role, policy } => {
                write!(f, "the policy of {policy} does not let agent `{agent}` be a {role}")
            }
            Self::SameAgent { agent, validator } => write!(
                f,
                "the builder `{agent}` and the validator `{validator}` are the same component"
            ),
            Self::Unconsented { agent, digest } => {
                write!(f, "nobody has allowed agent `{agent}` ({}) to take part", digest.short())
            }
            Self::BeyondConsent { agent, capability, path } => {
                write!(f, "to {capability} `{path}` is more than agent `{agent}` was allowed")
            }
        }
    }
}

/// High-governance: the policies of a run, applied.
#[derive(Debug, Clone, Copy)]
pub struct Governance<'a> {
    /// All of them apply.
    pub policies: &'a [Policy],
}

impl Governance<'_> {
    /// The paths that nobody gets.
    pub fn never(&self) -> Vec<PathGlob> {
        self.policies.iter().flat_map(|policy| policy.never.iter().cloned()).collect()
    }

    /// What the executor is given of `plan`.
    pub fn scope(&self, plan: &Plan) -> Scope {
        let most = |of: fn(&Policy) -> &Option<Vec<PathGlob>>| {
            self.policies.iter().filter_map(|policy| of(policy).clone()).collect()
        };
        Scope::Plan {
            plan: plan.digest,
            never: self.never(),
            most_reads: most(|policy| &policy.reads),
            most_writes: most(|policy| &policy.writes),
        }
    }

    /// The grants as the executor may hand them on: without what nobody gets.
    #[must_use]
    pub fn narrowed(&self, grants: Grants) -> Grants {
        let never = self.never();
        Grants { never, ..grants }
    }

    /// Why `asked` cannot be delegated, if it cannot.
    pub fn refuses(&self, asked: &Grants) -> Option<Refusal> {
        self.policies.iter().find_map(|policy| refused_by(policy, asked))
    }

    /// Why `agent` cannot take its role, if it cannot.
    pub fn refuses_role(&self, agent: &AgentBinding) -> Option<Refusal> {
        self.policies.iter().find_map(|policy| {
            let allowed = policy.roles.get(&agent.role)?;
            (!allowed.contains(&agent.name)).then(|| Refusal::Role {
                agent: agent.name.clone(),
                role: agent.role,
                policy: policy.name.clone(),
            })
        })
    }

    /// Why `builder`'s work cannot be judged by `validator`, if it cannot.
    pub fn refuses_pair(
        &self,
        builder: &AgentBinding,
        validator: &AgentBinding,
    ) -> Option<Refusal> {
        let allowed = self.policies.iter().any(|policy| policy.same_agent);
        (builder.digest == validator.digest && !allowed).then(|| Refusal::SameAgent {
            agent: builder.name.clone(),
            validator: validator.name.clone(),
        })
    }
}

fn refused_by(policy: &Policy, asked: &Grants) -> Option<Refusal> {
    let covered = |by: &[PathGlob], path: &PathGlob| by.iter().any(|wide| wide.covers(path));
    let name = || policy.name.clone();
    let all = || asked.reads.iter().chain(&asked.writes);
    if let Some(path) = all().find(|path| covered(&policy.never, path)) {
        return Some(Refusal::Never { path: path.clone(), policy: name() });
    }
    let beyond = |capability, most: &Option<Vec<PathGlob>>, asked: &[PathGlob]| {
        let most = most.as_ref()?;
        let path = asked.iter().find(|path| !covered(most, path))?.clone();
        Some(Refusal::Beyond { capability, path, policy: name() })
    };
    beyond(Capability::Write, &policy.writes, &asked.writes)
        .or_else(|| beyond(Capability::Read, &policy.reads, &asked.reads))
}

/// A delegation that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// To whom it would have been.
    pub to: Actor,
    /// For which task, if for one.
    pub task: Option<TaskId>,
    /// Why.
    pub why: Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(texts: &[&str]) -> Vec<PathGlob> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn asks(reads: &[&str], writes: &[&str]) -> Grants {
        Grants { reads: globs(reads), writes: globs(writes), ..Grants::default() }
    }

    fn policy() -> Policy {
        Policy {
            name: "the house".into(),
            never: globs(&["secrets/**"]),
            writes: Some(globs(&["src/**", "docs/*.md"])),
            ..Policy::default()
        }
    }

    #[test]
    fn what_is_asked_for_is_refused_by_a_table() {
        let policies = [policy()];
        let governance = Governance { policies: &policies };
        let table = [
            (asks(&["README.md"], &["src/a.rs"]), None),
            (asks(&["**"], &["src/**"]), None),
            (asks(&["secrets/key"], &[]), Some("gives `secrets/key` to nobody")),
            (asks(&[], &["secrets/**"]), Some("gives `secrets/**` to nobody")),
            (asks(&[], &["docs/a/b.md"]), Some("to write `docs/a/b.md` is more than")),
            (asks(&[], &["**"]), Some("to write `**` is more than")),
        ];
        for (asked, expected) in table {
            let refusal = governance.refuses(&asked).map(|refusal| refusal.to_string());
            match expected {
                None => assert_eq!(refusal, None, "{asked:?}"),
                Some(text) => {
                    assert!(refusal.clone().is_some_and(|r| r.contains(text)), "{refusal:?}")
                }
            }
        }
    }

    #[test]
    fn what_is_handed_on_carries_what_nobody_gets() {
        let policies = [policy(), Policy { never: globs(&["*.pem"]), ..Policy::default() }];
        let governance = Governance { policies: &policies };
        let narrowed = governance.narrowed(asks(&["**"], &[]));
        assert_eq!(narrowed.never, globs(&["secrets/**", "*.pem"]));
    }

    #[test]
    fn roles_and_pairs() {
        let agent = |name: &str, role, bytes: &[u8]| AgentBinding {
            name: name.into(),
            role,
            digest: Digest::of(bytes),
            source: "built in".into(),
            third_party: false,
            ceiling: None,
        };
        let builder = agent("writer", Role::Builder, b"1");
        let other = agent("judge", Role::Validator, b"2");
        let same = agent("judge", Role::Validator, b"1");
        let roles = BTreeMap::from([(Role::Builder, vec!["builder".to_owned()])]);
        let policies = [Policy { roles, ..Policy::default() }];
        let governance = Governance { policies: &policies };
        assert!(governance.refuses_role(&builder).is_some());
        assert!(governance.refuses_role(&other).is_none());
        assert!(governance.refuses_pair(&builder, &other).is_none());
        assert!(governance.refuses_pair(&builder, &same).is_some());
        let lenient = [Policy { same_agent: true, ..Policy::default() }];
        assert!(Governance { policies: &lenient }.refuses_pair(&builder, &same).is_none());
    }
}
