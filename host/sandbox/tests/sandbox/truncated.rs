//! Components that were cut short, at every byte.
//!
//! Invariant: the host takes such a one as an agent if nothing but custom sections at its end was
//! lost, and else refuses it; it panics at none.

use idumb_core::Role;
use idumb_sandbox::{BadCeiling, CEILING_SECTION, Refused, declared_ceiling};

use crate::parts::{
    CODE, COMPONENT, COMPONENT_HEAD, CORE_MODULE, CUSTOM, EXPORT, FUNCTIONS, HEAD, sections,
    small_agent,
};
use crate::world::{ROLES, World, sandbox, task};

/// The ends after which there is a whole component: its head, and each of its sections.
fn wholes(component: &[u8]) -> Vec<usize> {
    let ends = sections(component).into_iter().map(|section| section.whole.end);
    [HEAD].into_iter().chain(ends).collect()
}

/// Where the last section ends that an agent cannot do without: its last export.
fn needed(component: &[u8]) -> usize {
    let all = sections(component);
    let last = all.iter().rfind(|section| section.id == EXPORT).unwrap();
    let behind = all.iter().filter(|section| section.whole.start >= last.whole.end);
    assert!(behind.clone().all(|section| section.id == CUSTOM), "more than custom sections behind");
    assert!(behind.count() > 0, "nothing stands behind the last export that could be cut off");
    last.whole.end
}

/// What the following tests cut short: without this they would show nothing.
#[test]
fn the_small_agent_is_one_in_every_role() {
    for role in ROLES {
        let agent = sandbox().prepare(role, small_agent()).unwrap();
        let world = World::new(&[]);
        world.call(&agent, &task(&["**"], &["**"], &[])).unwrap();
    }
    let agent = sandbox().prepare(Role::Builder, small_agent()).unwrap();
    let world = World::new(&[]);
    let attempt = world.build(&agent, &task(&["**"], &["**"], &[]));
    assert_eq!(attempt.summary(), "It was made.");
    assert_eq!(attempt.ended.evidence.len(), 1);
    let changes = attempt.changes(&world);
    assert_eq!(changes.paths().collect::<Vec<_>>(), ["made", "made/file"]);
}

/// All of the small agent's exports stand in one section, behind which there are only names.
#[test]
fn an_agent_cut_at_every_byte_is_refused_unless_only_custom_sections_were_lost() {
    let agent = small_agent();
    let (wholes, needed) = (wholes(agent), needed(agent));
    let mut taken = Vec::new();
    for end in 0..agent.len() {
        match sandbox().prepare(Role::Builder, &agent[..end]) {
            Ok(_) => taken.push(end),
            // A component, of which there is too little.
            Err(Refused::Export { .. }) if wholes.contains(&end) && end < needed => {}
            Err(Refused::Invalid(_)) if !wholes.contains(&end) => {}
            Err(refused) => panic!("{end}: {refused}"),
        }
    }
    let expected = wholes.iter().filter(|&&end| needed <= end && end < agent.len());
    assert_eq!(taken, expected.copied().collect::<Vec<_>>());
    assert_eq!(taken.len(), 1, "the names were one section");
}

/// Which role is asked for makes no difference to what is a component.
#[test]
fn an_agent_cut_between_sections_is_refused_in_every_role_that_it_lost_the_function_of() {
    let component = small_agent();
    let needed = needed(component);
    for role in ROLES {
        for end in wholes(component) {
            match sandbox().prepare(role, &component[..end]) {
                Ok(agent) if end >= needed => {
                    World::new(&[]).call(&agent, &task(&["**"], &["**"], &[])).unwrap();
                }
                Err(Refused::Export { .. }) if end < needed => {}
                other => panic!("{role}, {end}: {:?}", other.err()),
            }
        }
    }
}

/// It is there whole or not at all. What the lengths say of the modules and components around it
/// goes unnoticed: a component that lacks some of those is refused by the engine.
#[test]
fn a_ceiling_is_read_between_sections_alone_at_every_byte() {
    for component in [small_agent(), idumb_test_guests::NARROW_BUILDER] {
        let declared = declared_ceiling(component).unwrap();
        assert!(declared.is_some());
        let mut ends = Vec::new();
        let ceiling = every_end(component, 0, &mut ends).expect("it has a ceiling");
        for end in 0..component.len() {
            let told = declared_ceiling(&component[..end]);
            let expected = match ends.contains(&end) {
                false => matches!(told, Err(BadCeiling::Unreadable(_))),
                true if end < ceiling => told == Ok(None),
                true => told.as_ref() == Ok(&declared),
            };
            assert!(expected, "{end}: {told:?}");
        }
    }
}

/// The ends of heads and sections, at any depth, of the component or module that stands `at` a
/// place: not those between a module's functions and their code, without which they are none.
/// Answers where the section of a ceiling ends.
fn every_end(bytes: &[u8], at: usize, ends: &mut Vec<usize>) -> Option<usize> {
    let is_component = bytes[4..HEAD] == COMPONENT_HEAD;
    let (mut ceiling, mut lacks_code) = (None, false);
    ends.push(at + HEAD);
    for section in sections(bytes) {
        let (body, end) = (&bytes[section.body.clone()], at + section.whole.end);
        match section.id {
            CORE_MODULE | COMPONENT if is_component => {
                ceiling = every_end(body, at + section.body.start, ends).or(ceiling);
            }
            FUNCTIONS if !is_component => lacks_code = true,
            CODE if !is_component => lacks_code = false,
            // The length of the name stands before it.
            CUSTOM if body[1..].starts_with(CEILING_SECTION.as_bytes()) => ceiling = Some(end),
            _ => {}
        }
        if !lacks_code {
            ends.push(end);
        }
    }
    ceiling
}

/// The agents that people use, some two megabytes: at places all over, and around the ends of
/// their sections.
#[test]
fn a_built_agent_cut_anywhere_is_refused_unless_only_custom_sections_were_lost() {
    let guests = [
        (Role::Builder, idumb_builtin::BUILDER),
        (Role::Validator, idumb_builtin::VALIDATOR),
        (Role::Builder, idumb_test_guests::NARROW_BUILDER),
        (Role::Validator, idumb_test_guests::MISBEHAVING_VALIDATOR),
    ];
    for (role, component) in guests {
        let (wholes, needed) = (wholes(component), needed(component));
        let places = (0..component.len()).step_by(component.len() / 150 + 1);
        let around = wholes.iter().flat_map(|&end| [end - 1, end + 1]);
        for end in places.chain(around).filter(|&end| end < component.len()) {
            let cut = &component[..end];
            let whole = wholes.contains(&end);
            assert_eq!(declared_ceiling(cut).is_ok(), whole, "{end}");
            match sandbox().prepare(role, cut) {
                Err(Refused::Invalid(_)) if !whole => {}
                Err(Refused::Export { .. }) if whole && end < needed => {}
                Ok(_) if whole && end >= needed => {}
                other => panic!("{role}, {end}: {:?}", other.err()),
            }
        }
    }
}

/// Both are compiled, which takes long with larger ones: without its exports, and without what
/// stands behind them.
#[test]
fn a_built_agent_is_one_without_the_custom_sections_at_its_end_and_none_without_exports() {
    let component = idumb_test_guests::NARROW_BUILDER;
    let needed = needed(component);
    let all = sections(component);
    let export = all.iter().rfind(|section| section.id == EXPORT).unwrap().whole.start;
    let lacking = sandbox().prepare(Role::Builder, &component[..export]);
    assert!(matches!(lacking, Err(Refused::Export { .. })), "{:?}", lacking.err());
    sandbox().prepare(Role::Builder, &component[..needed]).unwrap();
}
