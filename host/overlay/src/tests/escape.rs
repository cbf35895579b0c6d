//! A guest that tries to get out: random trees full of traps, random grants, random operations in
//! random spellings, while somebody else swaps entries for links behind its back.
//!
//! Invariant: what a guest is told, and what its work changes, is decided by the grants alone, as
//! an oracle knows them that shares no code with what is tested. Everything follows from the seed:
//! `IDUMB_ESCAPE_SEED=n` runs the sequence of one seed, `IDUMB_ESCAPE_SEQUENCES=n` says how many
//! to run. The fuzz target in `fuzz/` runs the same from a fuzzer's bytes, and
//! `IDUMB_ESCAPE_BYTES=file` runs what it found.

mod ending;
mod guest;
mod oracle;
mod sequence;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::chance::{self, bytes_of, number};
use crate as overlay;
use guest::Tally;

/// About ten seconds' worth for one processor.
const SEQUENCES: u64 = 1500;

/// The bytes of a sequence: enough for a tree and some sixty operations.
const BYTES: usize = 900;

/// Situations that must come about, and how often at least in a hundred sequences.
const SITUATIONS: &[(&str, u64)] = &[
    ("refused: NotGranted", 100),
    ("refused: Protected", 30),
    ("refused: Escapes", 100),
    ("refused: ReadOnlyView", 100),
    ("refused: SpecialFile", 3),
    ("refused: Never", 10),
    ("links followed", 1),
    ("disturbed", 50),
    ("marks read", 100),
    ("marks seen", 100),
    ("names listed", 100),
    ("targets read", 2),
    ("observed", 30),
    ("written", 10),
    ("directories renamed", 2),
    ("links made", 1),
    ("changes sealed", 20),
    ("paths changed", 10),
    ("integrated", 20),
    ("in conflict", 1),
    ("with openat2", 20),
    ("without openat2", 20),
];

fn run(bytes: &[u8], openat2: bool, tally: &mut Tally) {
    let open = |path: &std::path::Path| {
        if openat2 {
            overlay::Base::open(path).unwrap()
        } else {
            overlay::Base::open_without_openat2(path).unwrap()
        }
    };
    tally.add(if openat2 { "with openat2" } else { "without openat2" }, 1);
    sequence::run(bytes, &open, tally);
}

fn run_seed(seed: u64, tally: &mut Tally) {
    run(&bytes_of(seed, BYTES), seed.is_multiple_of(2), tally);
}

#[test]
#[expect(clippy::print_stdout, reason = "what came about is worth reading")]
fn no_guest_gets_out() {
    let mut tally = Tally::default();
    if let Some(file) = std::env::var_os("IDUMB_ESCAPE_BYTES") {
        let bytes = std::fs::read(file).unwrap();
        [true, false].into_iter().for_each(|openat2| run(&bytes, openat2, &mut tally));
        return;
    }
    if let Some(seed) = number("IDUMB_ESCAPE_SEED") {
        run_seed(seed, &mut tally);
        println!("{tally:#?}");
        return;
    }
    let sequences = number("IDUMB_ESCAPE_SEQUENCES").unwrap_or(SEQUENCES);
    for seed in 0..sequences {
        if catch_unwind(AssertUnwindSafe(|| run_seed(seed, &mut tally))).is_err() {
            panic!("IDUMB_ESCAPE_SEED={seed} runs the sequence that failed");
        }
    }
    println!("{tally:#?}");
    if sequences >= 500 {
        // A guest that never comes to a door proves nothing about it.
        let often = |what: &str| tally.0.get(what).copied().unwrap_or(0);
        for (what, least) in SITUATIONS {
            let least = least * sequences / 100;
            assert!(often(what) >= least, "too seldom: {what}: {} of {least}", often(what));
        }
    }
}
