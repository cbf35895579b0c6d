//! Consent: what a person lets agents do that they did not get with idumb.
//!
//! Invariant: a consent is for one component, by its digest, and for patterns of paths; what asks
//! for more is not covered by it. Nothing that a plan says is one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    AgentBinding, Bounds, Capability, Declared, Digest, PathGlob, Plan, Role, is_protected,
};

/// What a person lets one component do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The name that the project uses for it.
    pub agent: String,
    /// The component.
    pub digest: Digest,
    /// The most that it may be granted.
    pub most: Bounds,
    /// How it was given.
    pub given: Given,
}

/// How a person gave a consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Given {
    /// For this start of the run.
    Once,
    /// For the run, however often it is resumed.
    Run,
    /// For this component, whatever the run.
    Always,
    /// By a flag of the command line.
    Flag,
    /// For another component of that name, always; this one asks for no more.
    Before {
        /// The other component.
        digest: Digest,
    },
}

impl Plan {
    /// What needs a person's consent before `agent` takes its role in this plan; `None`: nothing.
    ///
    /// Of an agent that came with idumb that is what the plan names of
    /// [`PROTECTED`](crate::PROTECTED) names; of any other, everything.
    pub fn asked_by(&self, agent: &AgentBinding) -> Option<Bounds> {
        if agent.third_party {
            let Bounds { reads, writes } = self.all_of(agent);
            let output = self.output_for(agent);
            return Some(Bounds { reads: distinct(reads.iter().chain(&output)), writes });
        }
        if agent.role != Role::Builder {
            return None;
        }
        let named = |glob: &&PathGlob| glob.as_literal().is_some_and(is_protected);
        let mine = || self.tasks.iter().filter(|task| task.agent == agent.name);
        let asked = Bounds {
            reads: distinct(mine().flat_map(|task| &task.reads).filter(named)),
            writes: distinct(mine().flat_map(|task| &task.writes).filter(named)),
        };
        (asked != Bounds::default()).then_some(asked)
    }

    /// What an agent can read by the native commands that it may ask for: their output can be of
    /// any file.
    fn output_for(&self, agent: &AgentBinding) -> Option<PathGlob> {
        let of = |task: &&crate::Task| agent.role != Role::Builder || task.agent == agent.name;
        let mut tasks = self.tasks.iter().filter(of);
        let asks = tasks.any(|task| !task.commands_for(agent.role).is_empty());
        if asks { "**".parse().ok() } else { None }
    }

    /// Everything that the plan gives to an agent.
    fn all_of(&self, agent: &AgentBinding) -> Bounds {
        let criteria = || self.tasks.iter().flat_map(|task| &task.accept);
        let reads = match agent.role {
            Role::Builder => {
                let mine = || self.tasks.iter().filter(|task| task.agent == agent.name);
                return Bounds {
                    reads: distinct(mine().flat_map(|task| &task.reads)),
                    writes: distinct(mine().flat_map(|task| &task.writes)),
                };
            }
            Role::Validator => {
                let granted =
                    self.tasks.iter().flat_map(|task| task.reads.iter().chain(&task.writes));
                distinct(granted.chain(criteria().flat_map(|criterion| &criterion.looks_at)))
            }
            Role::Verifier => distinct(criteria().flat_map(|criterion| &criterion.looks_at)),
            Role::IntegrationChecker => {
                let ends = self.links.iter().flat_map(|link| [&link.from, &link.to]);
                let globs: Vec<PathGlob> = ends.filter_map(|path| path.parse().ok()).collect();
                distinct(globs.iter())
            }
        };
        Bounds { reads, writes: Vec::new() }
    }
}

fn distinct<'a>(globs: impl Iterator<Item = &'a PathGlob>) -> Vec<PathGlob> {
    let mut seen = BTreeSet::new();
    globs.filter(|glob| seen.insert(glob.as_str())).cloned().collect()
}

/// What of `asked` none of `consents` gives to the component with that digest, what is written
/// first; `None`: there is no consent for it at all.
#[must_use]
pub fn beyond_consent<'a>(
    consents: &[Consent],
    digest: Digest,
    asked: &'a Bounds,
) -> Option<Vec<(Capability, &'a PathGlob)>> {
    let mine: Vec<&Consent> = consents.iter().filter(|given| given.digest == digest).collect();
    if mine.is_empty() {
        return None;
    }
    let lacks = |capability| {
        // Mostly it is what was asked before: comparing patterns is for the rest.
        let known: BTreeSet<&str> =
            mine.iter().flat_map(|given| given.most.of(capability)).map(PathGlob::as_str).collect();
        let mine = &mine;
        move |glob: &&PathGlob| {
            let covers =
                |given: &&Consent| given.most.declares(capability, glob) == Declared::Whole;
            !known.contains(glob.as_str()) && !mine.iter().any(covers)
        }
    };
    let writes = asked.writes.iter().filter(lacks(Capability::Write));
    let reads = asked.reads.iter().filter(lacks(Capability::Read));
    let writes = writes.map(|glob| (Capability::Write, glob));
    Some(writes.chain(reads.map(|glob| (Capability::Read, glob))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(texts: &[&str]) -> Vec<PathGlob> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn bounds(reads: &[&str], writes: &[&str]) -> Bounds {
        Bounds { reads: globs(reads), writes: globs(writes) }
    }

    fn plan() -> Plan {
        let task = |id: &str, agent: &str, reads: &[&str], writes: &[&str]| {
            serde_json::json!({
                "id": id, "title": "", "description": "", "agent": agent, "depends_on": [],
                "reads": reads, "writes": writes, "artifacts": [], "timeout": null, "retries": 0,
                "steps": [], "options": {}, "accept": [{
                    "id": format!("{id}.c"), "text": "", "kind": "exists", "args": {},
                    "looks_at": [format!("{id}.txt")],
                }],
            })
        };
        let link = serde_json::json!({
            "id": "l", "from": "a.rs", "pattern": "b", "to": "b.rs", "provides": null,
        });
        serde_json::from_value(serde_json::json!({
            "phase": {"number": 1, "name": "one"}, "goal": "", "depends_on": [],
            "supersedes": [], "links": [link], "digest": Digest::of(b"plan").to_string(),
            "tasks": [
                task("A", "mine", &["in/**"], &["out.txt"]),
                task("B", "builder", &["in/**", ".env"], &["src/**"]),
                task("C", "mine", &["in/**"], &["docs/**", ".env"]),
            ],
        }))
        .unwrap()
    }

    fn agent(name: &str, role: Role, third_party: bool) -> AgentBinding {
        let (name, source) = (name.to_owned(), "agents/it.wasm".to_owned());
        let digest = Digest::of(name.as_bytes());
        AgentBinding { name, role, digest, source, third_party, ceiling: None }
    }

    #[test]
    fn what_is_asked_by_a_table() {
        let table = [
            (
                "mine",
                Role::Builder,
                true,
                Some(bounds(&["in/**"], &["out.txt", "docs/**", ".env"])),
            ),
            ("other", Role::Builder, true, Some(Bounds::default())),
            ("builder", Role::Builder, false, Some(bounds(&[".env"], &[]))),
            ("mine", Role::Builder, false, Some(bounds(&[], &[".env"]))),
            ("other", Role::Builder, false, None),
            (
                "judge",
                Role::Validator,
                true,
                Some(bounds(
                    &["in/**", "out.txt", ".env", "src/**", "docs/**", "A.txt", "B.txt", "C.txt"],
                    &[],
                )),
            ),
            ("validator", Role::Validator, false, None),
            ("look", Role::Verifier, true, Some(bounds(&["A.txt", "B.txt", "C.txt"], &[]))),
            ("look", Role::IntegrationChecker, true, Some(bounds(&["a.rs", "b.rs"], &[]))),
        ];
        for (name, role, third_party, expected) in table {
            let asked = plan().asked_by(&agent(name, role, third_party));
            assert_eq!(asked, expected, "{name} as {role}, by others: {third_party}");
        }
    }

    #[test]
    fn who_may_ask_for_commands_asks_to_read_everything() {
        let mut plan = plan();
        let asked = |plan: &Plan, name, role| plan.asked_by(&agent(name, role, true)).unwrap();
        let any: PathGlob = "**".parse().unwrap();
        for (name, role) in [("mine", Role::Builder), ("judge", Role::Validator)] {
            assert!(!asked(&plan, name, role).reads.contains(&any));
        }
        let mine = plan.tasks.iter_mut().find(|task| task.agent == "mine");
        mine.unwrap().commands = vec!["test".to_owned()];
        for (name, role) in [("mine", Role::Builder), ("judge", Role::Validator)] {
            assert!(asked(&plan, name, role).reads.contains(&any), "{name}");
        }
        assert!(!asked(&plan, "other", Role::Builder).reads.contains(&any));
        assert!(!asked(&plan, "look", Role::Verifier).reads.contains(&any));
    }

    #[test]
    fn a_consent_covers_what_it_says_of_its_component_alone() {
        let digest = Digest::of(b"it");
        let consent =
            |digest, most| Consent { agent: "it".into(), digest, most, given: Given::Always };
        let given = [
            consent(digest, bounds(&["in/**"], &["docs/**"])),
            consent(digest, bounds(&[], &["out/a.txt"])),
            consent(Digest::of(b"another"), bounds(&["**"], &["**"])),
        ];
        let asked = bounds(&["in/a", "docs/a", "src/**"], &["docs/*.md", "out/*", "in/b"]);
        let more = beyond_consent(&given, digest, &asked).unwrap();
        let more: Vec<String> = more.iter().map(|(how, glob)| format!("{how} {glob}")).collect();
        assert_eq!(more, ["write out/*", "write in/b", "read src/**"]);
        assert_eq!(beyond_consent(&given, Digest::of(b"new"), &asked), None);
        assert_eq!(beyond_consent(&given, digest, &Bounds::default()), Some(Vec::new()));
    }
}
