//! The chain of delegation: what each link is given, and what high-governance refuses.

use std::collections::BTreeMap;

use idumb_core::{
    Actor, AgentBinding, Bounds, Capability, Ceiling, CheckpointAt, Consent, Digest, Effect, Event,
    Finding, Given, Grants, Mode, Observed, Policy, Prerequisite, Refusal, Refused, Role,
    RunConfig, RunId, Scope, Task, Verdict, Want,
};

use crate::answers::failure;
use crate::draft::{Draft, globs, id, plan, task};
use crate::world::World;

/// Who handed on to whom, and what, in order.
fn links(world: &World) -> Vec<(Actor, Actor, Scope)> {
    let mut links = Vec::new();
    for stamped in &world.journal {
        if let Event::Delegated { from, to, scope } = &stamped.event {
            links.push((*from, *to, scope.clone()));
        }
    }
    links
}

fn refusals(world: &World) -> Vec<Refused> {
    let mut refusals = Vec::new();
    for stamped in &world.journal {
        if let Event::DelegationRefused { refused } = &stamped.event {
            refusals.push(refused.clone());
        }
    }
    refusals
}

fn policy(name: &str) -> Policy {
    Policy { name: name.to_owned(), ..Policy::default() }
}

fn governed(tasks: impl IntoIterator<Item = Task>, policies: Vec<Policy>) -> World {
    World::with(Mode::Auto, tasks, |config| config.policies = policies)
}

fn agent(name: &str, role: Role, bytes: &[u8]) -> AgentBinding {
    let (name, source) = (name.to_owned(), "built in".to_owned());
    let digest = Digest::of(bytes);
    AgentBinding { name, role, digest, source, third_party: false, ceiling: None }
}

#[test]
fn three_links_are_recorded_when_a_run_begins_and_the_executors_is_narrowed() {
    let most = Policy {
        never: globs(&["secrets/**"]),
        reads: Some(globs(&["**"])),
        writes: Some(globs(&["*.txt"])),
        ..policy("the house")
    };
    let world =
        governed([task("A")], vec![most, Policy { never: globs(&["*.pem"]), ..policy("b") }]);
    let plan = Digest::of(b"plan");
    let all = Scope::Plan { plan, never: vec![], most_reads: vec![], most_writes: vec![] };
    let narrowed = Scope::Plan {
        plan,
        never: globs(&["secrets/**", "*.pem"]),
        most_reads: vec![globs(&["**"])],
        most_writes: vec![globs(&["*.txt"])],
    };
    let expected = [
        (Actor::User, Actor::SupremeCoordinator, all.clone()),
        (Actor::SupremeCoordinator, Actor::HighGovernance, all),
        (Actor::HighGovernance, Actor::Executor, narrowed),
    ];
    assert_eq!(links(&world), expected);
}

#[test]
fn the_chain_is_handed_down_anew_whenever_a_run_is_taken_up() {
    let mut world = World::auto([task("A")]);
    world.crash();
    assert_eq!(links(&world).len(), 6);
    world.stop();
    world.breaks("A", failure("stopped"));
    world.restart_with(|config| {
        config.policies = vec![Policy { never: globs(&["secrets/**"]), ..policy("new") }];
    });
    world.resume();
    let links = links(&world);
    assert_eq!(links.len(), 9);
    let Scope::Plan { never, .. } = &links[8].2 else { panic!("{links:?}") };
    assert_eq!(never, &globs(&["secrets/**"]), "with the policies of now");
}

#[test]
fn what_nobody_gets_is_handed_on_with_every_grant() {
    let never = globs(&["secrets/**"]);
    let house = Policy { never: never.clone(), ..policy("the house") };
    let mut world = governed([task("A").reading(&["**"])], vec![house]);
    let grants = Grants {
        reads: globs(&["**"]),
        writes: globs(&["A.txt"]),
        never: never.clone(),
        ceiling: None,
    };
    let Effect::Build { grants: given, agent, .. } = world.waiting[0].clone() else { panic!() };
    assert_eq!((&given, agent.as_str()), (&grants, "builder"));
    world.builds("A");
    let Effect::Validate { grants: seen, .. } = world.waiting[0].clone() else { panic!() };
    let looked =
        Grants { reads: globs(&["**", "A.txt"]), never: never.clone(), ..Grants::default() };
    assert_eq!(seen, looked, "and a validator writes nothing");
    world.passes("A");
    world.applies("A");
    let Effect::CheckPhase { never: checked, .. } = world.waiting[0].clone() else { panic!() };
    assert_eq!(checked, never);

    let recorded = |event: &Event| match event {
        Event::LeaseGranted { grants, agent, .. }
        | Event::ValidationStarted { grants, agent, .. } => Some((agent.clone(), grants.clone())),
        Event::PhaseCheckStarted { scope: Scope::Checks { never, .. }, agent, .. } => {
            Some((agent.clone(), Grants { never: never.clone(), ..Grants::default() }))
        }
        _ => None,
    };
    let recorded: Vec<(String, Grants)> =
        world.journal.iter().filter_map(|stamped| recorded(&stamped.event)).collect();
    let expected = [
        ("builder".to_owned(), grants),
        ("validator".to_owned(), looked),
        ("integration-checker".to_owned(), Grants { never, ..Grants::default() }),
    ];
    assert_eq!(recorded, expected, "the journal says what was given");
}

/// Each agent's grants carry the ceiling that it declares, and so does the journal.
#[test]
fn an_agents_ceiling_is_handed_on_with_its_grants() {
    let want = |path: &str| Want { paths: globs(&[path]), why: "to test".to_owned() };
    let ceiling = |path: &str| Ceiling { reads: vec![want(path)], writes: vec![want("*.txt")] };
    let bounds = |path: &str| Some(Bounds { reads: globs(&[path]), writes: globs(&["*.txt"]) });
    let bound = |name: &str, role, path: &str| AgentBinding {
        ceiling: Some(ceiling(path)),
        ..agent(name, role, name.as_bytes())
    };
    let mut world = World::with(Mode::Auto, [task("A").reading(&["**"])], |config| {
        config.agents = vec![
            bound("builder", Role::Builder, "b/**"),
            bound("judge", Role::Validator, "j/**"),
            bound("looker", Role::IntegrationChecker, "l/**"),
            agent("last", Role::Verifier, b"v"),
        ];
    });
    let Effect::Build { grants, .. } = world.waiting[0].clone() else { panic!() };
    assert_eq!(grants.ceiling, bounds("b/**"));
    assert_eq!(grants.reads, globs(&["**"]), "what the plan says stays to be seen");
    world.builds("A");
    let Effect::Validate { grants, .. } = world.waiting[0].clone() else { panic!() };
    assert_eq!(grants.ceiling, bounds("j/**"));
    world.passes("A");
    world.applies("A");
    let Effect::CheckPhase { ceiling, .. } = world.waiting[0].clone() else { panic!() };
    assert_eq!(ceiling, bounds("l/**"));
    world.goes_well();

    let recorded = |event: &Event| match event {
        Event::LeaseGranted { grants, .. } | Event::ValidationStarted { grants, .. } => {
            Some(grants.ceiling.clone())
        }
        Event::PhaseCheckStarted { scope: Scope::Checks { ceiling, .. }, .. } => {
            Some(ceiling.clone())
        }
        _ => None,
    };
    let recorded: Vec<Option<Bounds>> =
        world.journal.iter().filter_map(|stamped| recorded(&stamped.event)).collect();
    assert_eq!(recorded, [bounds("b/**"), bounds("j/**"), bounds("l/**"), None]);
}

/// A journal of before there were ceilings is read as one of agents that declare none.
#[test]
fn a_binding_of_before_reads_as_one_without_a_ceiling() {
    let new = agent("builder", Role::Builder, b"b");
    let text = serde_json::to_string(&new).unwrap();
    assert!(!text.contains("ceiling"), "{text}");
    assert_eq!(serde_json::from_str::<AgentBinding>(&text).unwrap(), new);
}

/// The run refused before anything was started, for one reason.
#[track_caller]
fn is_refused(world: &World, expected: &Refused) {
    assert_eq!(world.control(), "refused");
    assert_eq!(world.started, []);
    assert_eq!(refusals(world), std::slice::from_ref(expected));
    let handed_on = links(world);
    assert_eq!(handed_on.len(), 2, "high-governance hands nothing on: {handed_on:?}");
    assert_eq!(world.document().status, "failed");
    assert!(world.run.is_at_rest());
}

#[test]
fn what_a_policy_gives_to_nobody_is_refused() {
    let house = Policy { never: globs(&["secrets/**"]), ..policy("the house") };
    let world = governed([task("A"), task("B").reading(&["secrets/key"])], vec![house]);
    let (path, policy) = ("secrets/key".parse().unwrap(), "the house".to_owned());
    let (to, task, why) = (Actor::Builder, Some(id("B")), Refusal::Never { path, policy });
    is_refused(&world, &Refused { to, task, why });
}

#[test]
fn what_is_more_than_a_policy_allows_is_refused() {
    let most = Policy { writes: Some(globs(&["src/**"])), ..policy("most") };
    let world = governed([task("A")], vec![most]);
    let (path, policy) = ("A.txt".parse().unwrap(), "most".to_owned());
    let why = Refusal::Beyond { capability: Capability::Write, path, policy };
    is_refused(&world, &Refused { to: Actor::Builder, task: Some(id("A")), why });
}

#[test]
fn an_agent_that_may_not_take_its_role_is_refused() {
    let roles = BTreeMap::from([(Role::Verifier, vec!["verifier".to_owned()])]);
    let world = World::with(Mode::Auto, [task("A")], |config: &mut RunConfig| {
        config.policies = vec![Policy { roles, ..policy("roles") }];
        config.agents = vec![agent("lenient", Role::Verifier, b"v")];
    });
    let (name, role, policy) = ("lenient".to_owned(), Role::Verifier, "roles".to_owned());
    let why = Refusal::Role { agent: name, role, policy };
    is_refused(&world, &Refused { to: Actor::Verifier, task: None, why });
}

#[test]
fn a_builder_is_not_its_own_judge_unless_a_policy_says_so() {
    for allowed in [false, true] {
        let world = World::with(Mode::Auto, [task("A")], |config| {
            let same_agent = allowed;
            config.policies = vec![Policy { same_agent, ..policy("p") }];
            config.agents =
                vec![agent("builder", Role::Builder, b"x"), agent("judge", Role::Validator, b"x")];
        });
        if allowed {
            assert_eq!(world.waits_for(), ["build A"]);
            continue;
        }
        let (agent, validator) = ("builder".to_owned(), "judge".to_owned());
        let why = Refusal::SameAgent { agent, validator };
        is_refused(&world, &Refused { to: Actor::Builder, task: Some(id("A")), why });
    }
}

fn consent(bytes: &[u8], reads: &[&str], writes: &[&str]) -> Consent {
    let most = Bounds { reads: globs(reads), writes: globs(writes) };
    let (agent, digest, given) = ("builder".to_owned(), Digest::of(bytes), Given::Once);
    Consent { agent, digest, most, given }
}

/// What others made gets nothing without a person's consent for that very component.
#[test]
fn what_nobody_consented_to_is_refused() {
    let refusal = |consents: Vec<Consent>| {
        let world = World::with(Mode::Auto, [task("A").reading(&["in/**"])], |config| {
            let third_party = true;
            let builder = agent("builder", Role::Builder, b"b");
            config.agents = vec![AgentBinding { third_party, ..builder }];
            config.consents = consents;
        });
        let first = refusals(&world).first().cloned();
        if let Some(refused) = &first {
            is_refused(&world, refused);
        } else {
            assert_eq!(world.waits_for(), ["build A"]);
        }
        first.map(|refused| refused.why)
    };
    let name = || "builder".to_owned();
    let unconsented = || Some(Refusal::Unconsented { agent: name(), digest: Digest::of(b"b") });
    let beyond = |capability, path: &str| {
        let path = path.parse().unwrap();
        Some(Refusal::BeyondConsent { agent: name(), capability, path })
    };
    let wide = ["in/**", "A.txt"];
    assert_eq!(refusal(vec![]), unconsented());
    assert_eq!(refusal(vec![consent(b"another", &["**"], &["**"])]), unconsented());
    let reading = consent(b"b", &["**"], &[]);
    assert_eq!(refusal(vec![reading.clone()]), beyond(Capability::Write, "A.txt"));
    let writing = consent(b"b", &["in/a"], &["*.txt"]);
    assert_eq!(refusal(vec![writing.clone()]), beyond(Capability::Read, "in/**"));
    assert_eq!(refusal(vec![reading, writing]), None, "together they give it");
    assert_eq!(refusal(vec![consent(b"b", &wide, &["A.txt"])]), None);
}

/// A consent is looked at again whenever the rights are handed down.
#[test]
fn a_consent_that_is_gone_refuses_at_the_next_start() {
    let tasks = [task("A").stopping(CheckpointAt::Before, true), task("B")];
    let mut world = World::with(Mode::Auto, tasks, |config| {
        let builder = agent("builder", Role::Builder, b"b");
        config.agents = vec![AgentBinding { third_party: true, ..builder }];
        config.consents = vec![consent(b"b", &[], &["*.txt"])];
    });
    world.succeeds("B");
    assert_eq!(world.control(), "paused User");
    world.restart_with(|config| config.consents.clear());
    world.resume();
    assert_eq!(world.control(), "refused");
    assert_eq!(world.started, []);
}

/// Not even what came with idumb gets what steers tools or holds secrets by a plan's word alone.
#[test]
fn a_protected_name_needs_a_consent_whoever_asks() {
    for consented in [false, true] {
        let world = World::with(Mode::Auto, [task("A").reading(&[".env"])], |config| {
            config.agents = vec![agent("builder", Role::Builder, b"b")];
            config.consents =
                consented.then(|| consent(b"b", &[".env"], &[])).into_iter().collect();
        });
        assert_eq!(world.control() == "refused", !consented);
    }
}

#[test]
fn every_refusal_is_recorded() {
    let house = Policy { never: globs(&["**/*.txt"]), ..policy("the house") };
    let world = governed([task("A"), task("B")], vec![house]);
    let tasks: Vec<_> = refusals(&world).into_iter().filter_map(|refused| refused.task).collect();
    assert_eq!(tasks, [id("A"), id("B")]);
}

#[test]
fn a_refused_run_goes_on_once_the_policy_allows_it() {
    let most = Policy { writes: Some(globs(&["src/**"])), ..policy("most") };
    let mut world = governed([task("A")], vec![most]);
    assert_eq!(world.control(), "refused");
    world.resume();
    assert_eq!(world.control(), "refused", "still not");
    world.restart_with(|config| config.policies.clear());
    world.resume();
    world.goes_well();
    assert_eq!(world.control(), "completed");
}

#[test]
fn a_policy_that_came_later_refuses_at_the_next_start() {
    let tasks = [task("A").stopping(CheckpointAt::Before, true), task("B")];
    let mut world = World::auto(tasks);
    world.succeeds("B");
    assert_eq!(world.control(), "paused User");
    world.restart_with(|config| {
        config.policies = vec![Policy { writes: Some(globs(&["src/**"])), ..policy("most") }];
    });
    world.resume();
    assert_eq!(world.control(), "refused");
    assert_eq!(world.started, [], "nothing is started, and nobody is asked");
    world.cancel();
    assert_eq!(world.control(), "cancelled", "it can be given up all the same");
}

#[test]
fn the_bound_agents_are_named_where_they_are_given_authority() {
    let mut world = World::with(Mode::Auto, [task("A")], |config| {
        config.agents = vec![
            agent("builder", Role::Builder, b"b"),
            agent("judge", Role::Validator, b"j"),
            agent("looker", Role::IntegrationChecker, b"l"),
            agent("last", Role::Verifier, b"v"),
        ];
    });
    world.goes_well();
    let named = |event: &Event| match event {
        Event::LeaseGranted { agent, .. }
        | Event::ValidationStarted { agent, .. }
        | Event::PhaseCheckStarted { agent, .. } => Some(agent.clone()),
        _ => None,
    };
    let named: Vec<String> =
        world.journal.iter().filter_map(|stamped| named(&stamped.event)).collect();
    assert_eq!(named, ["builder", "judge", "looker", "last"]);
}

/// The findings of the first validation point, with what each rests on.
fn preconditions(world: &World) -> (Vec<(Finding, Vec<Observed>)>, bool) {
    let validated = world.journal.iter().rev().find_map(|stamped| match &stamped.event {
        Event::PlanValidated { examination, met, .. } => Some((examination.clone(), *met)),
        _ => None,
    });
    let (examination, met) = validated.expect("the plan was validated");
    let observed = |finding: &Finding| {
        let named = |id| examination.evidence.iter().find(move |evidence| &evidence.id == id);
        let of = finding.evidence.iter().filter_map(named);
        of.map(|evidence| evidence.observed.clone()).collect()
    };
    let findings = examination.findings.iter();
    (findings.map(|finding| (finding.clone(), observed(finding))).collect(), met)
}

#[test]
fn the_first_validation_point_has_a_finding_with_evidence_for_each_check() {
    let world = World::auto([task("A"), task("B")]);
    let (findings, met) = preconditions(&world);
    let names: Vec<&str> = findings.iter().map(|(f, _)| f.criterion.as_str()).collect();
    assert_eq!(names, ["plan_file_exists", "plan_valid", "prerequisites_met"]);
    let plan = Observed::Plan { digest: Digest::of(b"plan"), tasks: 2 };
    for (finding, observed) in &findings {
        assert_eq!(finding.verdict, Verdict::Pass);
        assert_eq!(observed.as_slice(), std::slice::from_ref(&plan));
    }
    assert!(met);
}

#[test]
fn the_evidence_of_a_prerequisite_is_the_run_that_completed_it() {
    for completed in [true, false] {
        let mut world = World::new(plan([task("A")]), Mode::Auto, 5);
        world.begin_after("0-ground", completed);
        let (findings, met) = preconditions(&world);
        let run = completed.then(|| RunId::new("phase-0-r1").unwrap());
        let phase = "0-ground".to_owned();
        assert_eq!(findings[2].1, [Observed::Run { phase: phase.clone(), run: run.clone() }]);
        let verdict = if completed { Verdict::Pass } else { Verdict::Fail };
        assert_eq!((findings[2].0.verdict, met), (verdict, completed));
        assert_eq!(world.control(), if completed { "active" } else { "E003" });
        let Event::PlanValidated { prerequisites, .. } = &world.journal[2].event else { panic!() };
        assert_eq!(prerequisites, &[Prerequisite { phase, completed_by: run }]);
    }
}

#[test]
fn a_check_with_nothing_to_look_at_is_void_and_not_a_pass() {
    let mut world = World::auto([task("A")]);
    world.succeeds("A");
    let position = world.journal.len();
    world.check_ends(Role::IntegrationChecker, Ok(Default::default()));
    let expected = [
        "phase_check_void integration-checker",
        "step_entered FinalValidation",
        "phase_check_started verifier e2",
    ];
    assert_eq!(world.story_from(position), expected);
}
