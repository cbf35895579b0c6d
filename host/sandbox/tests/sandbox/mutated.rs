//! Components that chance made or changed.
//!
//! Invariant: each is refused, or is an agent whose call ends with the project as it was: there
//! is no panic of the host's in any. What is an agent is called, and stopped if it does not end.
//!
//! `IDUMB_MUTATED_CASES` is the number of changed components (each test has its default),
//! `IDUMB_MUTATED_SEED` that of the first one; a failure names its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use idumb_core::Role;
use idumb_sandbox::{Broken, declared_ceiling};

use crate::parts::{
    CODE, COMPONENT_HEAD, CORE_MODULE, CUSTOM, HEAD, Section, sections, small_agent, with_body,
    with_code, with_component, with_module,
};
use crate::world::{ROLES, World, sandbox, task};

/// When a call is stopped that has not ended. How long it is makes no difference to what is
/// shown, only to how far an agent comes that never ends.
const STOPPED_AFTER: Duration = Duration::from_millis(30);

/// How many were agents, and what became of their calls.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    answered: usize,
    broken: usize,
    stopped: usize,
}

impl Tally {
    /// Has the host look at the component, and call it if it can; in one role, which differs from
    /// number to number, and if it is an agent in the others.
    fn look(&mut self, number: u64, component: &[u8]) {
        let first = (number % 4) as usize;
        if self.look_as(ROLES[first], component) {
            for next in 1..4 {
                self.look_as(ROLES[(first + next) % 4], component);
            }
        }
    }

    /// The same in one role. Answers whether it was an agent.
    fn look_as(&mut self, role: Role, component: &[u8]) -> bool {
        let _ = declared_ceiling(component);
        let agent = match sandbox().prepare(role, component) {
            Ok(agent) => agent,
            Err(refused) => {
                self.refused += 1;
                assert!(!refused.to_string().contains('\n'), "{refused}");
                return false;
            }
        };
        let world = World::new(&[("src/lib.rs", "fn it() {}\n")]).stopped_after(STOPPED_AFTER);
        match world.call(&agent, &task(&["**"], &["**"], &[])) {
            Ok(()) => self.answered += 1,
            Err(Broken::Trouble(_)) => self.broken += 1,
            Err(Broken::Stopped) => self.stopped += 1,
        }
        true
    }

    fn agents(&self) -> usize {
        self.answered + self.broken + self.stopped
    }

    /// Without this, that all were refused would go unnoticed.
    fn assert_some_of_each(&self) {
        if std::env::var_os("IDUMB_MUTATED_CASES").is_none() {
            assert!(self.refused > 10 && self.answered > 5 && self.broken > 2, "{self:?}");
        }
    }
}

/// Says which case it was if it panics.
fn named(what: &str, number: u64, case: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(case)) {
        #[expect(clippy::print_stderr, reason = "what a test says of its failure")]
        {
            eprintln!("{what} {number} did that");
        }
        resume_unwind(panic);
    }
}

/// Each mutated component by the number that is its seed.
fn each_seed(default: u64, mut case: impl FnMut(u64, &mut Chance)) {
    let number = |variable: &str| {
        let text = std::env::var(variable).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
    };
    let first = number("IDUMB_MUTATED_SEED").unwrap_or(0);
    for seed in first..first + number("IDUMB_MUTATED_CASES").unwrap_or(default) {
        named("seed", seed, || case(seed, &mut Chance(seed)));
    }
}

/// SplitMix64: what a seed stands for is the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A piece of the bytes, mostly a short one.
    fn piece<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.below(bytes.len());
        let longest = [1, 4, 16, 64, 1024][self.below(5)];
        let length = 1 + self.below(longest);
        &bytes[start..bytes.len().min(start + length)]
    }
}

/// Changes bytes without a thought of what they mean.
fn change_bytes(chance: &mut Chance, bytes: &mut Vec<u8>, donor: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let at = chance.below(bytes.len());
    match chance.below(8) {
        0..=2 => bytes[at] ^= 1 << chance.below(8),
        3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][chance.below(5)],
        4 => bytes[at] = chance.next() as u8,
        5 => {
            let length = chance.piece(&bytes[at..]).len();
            bytes.drain(at..at + length);
        }
        6 => {
            bytes.splice(at..at, chance.piece(donor).iter().copied());
        }
        _ => {
            let piece = chance.piece(donor);
            let end = bytes.len().min(at + piece.len());
            bytes.splice(at..end, piece.iter().copied());
        }
    }
}

/// Leaves out a section, has it twice, or moves it.
fn change_order(chance: &mut Chance, bytes: &[u8]) -> Vec<u8> {
    let mut all: Vec<Section> = sections(bytes);
    let head = all.first().map_or(bytes.len(), |first| first.whole.start);
    let at = chance.below(all.len());
    match chance.below(3) {
        0 => drop(all.remove(at)),
        1 => all.insert(chance.below(all.len()), all[at].clone()),
        _ => {
            let other = chance.below(all.len());
            all.swap(at, other);
        }
    }
    let body = all.iter().flat_map(|section| &bytes[section.whole.clone()]);
    bytes[..head].iter().chain(body).copied().collect()
}

/// Changes what stands in a section, and says its new length before it; in a module, that is done
/// to a section of the module's.
fn change_within(chance: &mut Chance, bytes: &[u8], donor: &[u8]) -> Vec<u8> {
    let mut all = sections(bytes);
    // Every other time where the code is, with which it still may be an agent.
    if chance.below(2) == 0 && all.iter().any(|section| is_code(bytes, section)) {
        all.retain(|section| is_code(bytes, section));
    }
    let place = &all[chance.below(all.len())];
    let mut body = bytes[place.body.clone()].to_vec();
    let is_module = place.id == CORE_MODULE && is_component(bytes);
    match chance.below(4) {
        0 if is_module => body = change_order(chance, &body),
        1.. if is_module => body = change_within(chance, &body, donor),
        _ => change_bytes(chance, &mut body, donor),
    }
    with_body(bytes, place, &body)
}

fn is_component(bytes: &[u8]) -> bool {
    bytes[4..HEAD] == COMPONENT_HEAD
}

/// Whether a section of the component is a module, or one of the module its code.
fn is_code(bytes: &[u8], section: &Section) -> bool {
    section.id == if is_component(bytes) { CORE_MODULE } else { CODE }
}

fn mutate(chance: &mut Chance, component: &[u8], donor: &[u8]) -> Vec<u8> {
    let mut bytes = match chance.below(6) {
        0 => change_order(chance, component),
        1..=3 => change_within(chance, component, donor),
        _ => component.to_vec(),
    };
    // What has its lengths right comes further than what has not.
    if bytes == component || chance.below(8) == 0 {
        (0..1 + chance.below(3)).for_each(|_| change_bytes(chance, &mut bytes, donor));
    }
    bytes
}

/// The component without its custom sections, in which changes mean nothing.
fn bare(component: &[u8]) -> Vec<u8> {
    let kept = sections(component).into_iter().filter(|section| section.id != CUSTOM);
    let kept = kept.flat_map(|section| &component[section.whole]);
    component[..HEAD].iter().chain(kept).copied().collect()
}

#[test]
fn a_changed_small_agent_is_refused_or_harmless() {
    let agent = bare(small_agent());
    let mut tally = Tally::default();
    each_seed(1200, |seed, chance| {
        tally.look(seed, &mutate(chance, &agent, idumb_test_guests::NARROW_BUILDER));
    });
    tally.assert_some_of_each();
}

/// They are large: what of them still is an agent has changed in a place that few calls come to.
#[test]
fn a_changed_built_agent_is_refused_or_harmless() {
    let guests = [
        (Role::Builder, idumb_test_guests::NARROW_BUILDER),
        (Role::Validator, idumb_test_guests::MISBEHAVING_VALIDATOR),
        (Role::Builder, idumb_builtin::BUILDER),
    ]
    .map(|(role, guest)| (role, bare(guest)));
    let mut tally = Tally::default();
    each_seed(60, |_, chance| {
        let (role, guest) = &guests[chance.below(guests.len())];
        tally.look_as(*role, &mutate(chance, guest, idumb_test_guests::COMMANDER));
    });
    // Few of them still are agents: how many is left to chance.
    assert!(tally.refused + tally.agents() > 0, "{tally:?}");
}

/// They export nothing, so none is an agent by itself: each is one as a part of the small agent,
/// if it is a component.
#[test]
fn a_component_of_chance_is_refused_or_harmless() {
    let mut tally = Tally::default();
    for (number, component) in (0..).zip(idumb_generated_guests::components()) {
        named("component", number, || {
            let alone = tally.look_as(ROLES[number as usize % 4], component);
            assert!(!alone, "it exports nothing");
            tally.look_as(ROLES[number as usize % 4], &with_component(component));
        });
    }
    assert!(tally.agents() > 50, "{tally:?}");
}

#[test]
fn a_module_of_chance_in_an_agent_is_refused_or_harmless() {
    let mut tally = Tally::default();
    for (number, module) in (0..).zip(idumb_generated_guests::modules()) {
        let component = with_module(module);
        named("module", number, || {
            tally.look_as(ROLES[number as usize % 4], &component);
        });
    }
    tally.assert_some_of_each();
}

/// Here chance calls what the host offers, with whatever it likes.
#[test]
fn an_agent_whose_code_is_chance_is_refused_or_harmless() {
    let mut tally = Tally::default();
    for (number, module) in (0..).zip(idumb_generated_guests::codes()) {
        let component = with_code(module);
        named("code", number, || {
            tally.look_as(ROLES[number as usize % 4], &component);
        });
    }
    tally.assert_some_of_each();
    assert!(tally.stopped > 0, "{tally:?}");
}
