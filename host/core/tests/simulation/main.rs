//! A run in bad weather: random plans, a world that delays, reorders, doubles, drops and
//! invents answers, a host that dies at any event, people who answer anything, at any time,
//! and a clock on the wall that jumps.
//!
//! Invariant: everything follows from the seed. `IDUMB_SIM_SEED=n` replays one seed, with
//! its story; `IDUMB_SIM_SEEDS=n` says how many to try.

mod answers;
mod case;
mod checker;
mod lives;
mod rng;
mod simulation;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use idumb_core::Event;

use crate::simulation::Simulation;

/// Well under a minute's worth for two processors.
const SEEDS: u64 = 60_000;

/// Situations that must come about, beside each kind of event.
const SITUATIONS: [&str; 16] = [
    "a crash while integrating",
    "a rest with a broken integration",
    "an answer while nobody runs it",
    "an agent that waits for a person",
    "a verdict that was outdated",
    "a task while which the host kept dying",
    "a phase that took too long",
    "kept tasks",
    "dropped tasks",
    "work that was given up",
    "a run that was given up",
    "another plan",
    "another configuration",
    "a settled run",
    "a snapshot that was gone on from",
    "a jump of the clock",
];

#[test]
fn a_run_never_loses_its_place() {
    if let Some(seed) = number("IDUMB_SIM_SEED") {
        try_seed(seed, true);
        return;
    }
    let seeds = number("IDUMB_SIM_SEEDS").unwrap_or(SEEDS);
    let seen = try_seeds(seeds);
    if seeds >= 1000 {
        // A simulation that never gets somewhere proves nothing about that place.
        let missing: Vec<_> = SITUATIONS.iter().filter(|name| !seen.contains_key(*name)).collect();
        assert!(missing.is_empty(), "never came about: {missing:?}");
        let unseen: Vec<_> = Event::KINDS.iter().filter(|kind| !seen.contains_key(*kind)).collect();
        assert!(unseen.is_empty(), "these events never happened: {unseen:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test chooses the seeds")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

type Seen = BTreeMap<&'static str, u64>;

/// Simulates that many seeds, on all processors; what came about, and in how many of them.
fn try_seeds(seeds: u64) -> Seen {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let share = |first: u64| {
        let mut seen = Seen::new();
        for seed in (first..seeds).step_by(threads as usize) {
            for name in try_seed(seed, seed % 16 == 0) {
                *seen.entry(name).or_default() += 1;
            }
        }
        seen
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        let mut seen = Seen::new();
        for worker in workers {
            match worker.join() {
                Ok(part) => {
                    part.into_iter().for_each(|(name, n)| *seen.entry(name).or_default() += n)
                }
                Err(panic) => resume_unwind(panic),
            }
        }
        seen
    })
}

/// Simulates one seed; what came about.
fn try_seed(seed: u64, thorough: bool) -> Vec<&'static str> {
    let mut sim = Simulation::new(seed, thorough);
    let ended = catch_unwind(AssertUnwindSafe(|| sim.simulate()));
    if let Err(panic) = ended {
        let why = panic.downcast_ref::<String>().map_or_else(
            || panic.downcast_ref::<&str>().copied().unwrap_or_default(),
            String::as_str,
        );
        let newest = sim.journal.len().saturating_sub(40);
        let story: Vec<String> = sim.journal[newest..]
            .iter()
            .map(|stamped| format!("{:6} {:?}", stamped.up, stamped.event))
            .collect();
        panic!(
            "{why}\n  after:\n{}\n  seed {seed}: replay with IDUMB_SIM_SEED={seed}",
            story.join("\n")
        );
    }
    sim.seen()
}
