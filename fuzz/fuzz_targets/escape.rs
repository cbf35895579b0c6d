//! A guest that tries to get out, by a fuzzer's bytes: the interpreter and the oracle are those of
//! `no_guest_gets_out` in host/overlay. How to run it is in `fuzz/Cargo.toml`.
//!
//! Invariant: nothing is known here that the test does not know.

#![no_main]

use idumb_overlay as overlay;

#[path = "../../host/overlay/src/tests/chance.rs"]
#[expect(dead_code, reason = "seeds and the environment are the test's")]
mod chance;
#[path = "../../host/overlay/src/tests/escape/ending.rs"]
mod ending;
#[path = "../../host/overlay/src/tests/escape/guest.rs"]
mod guest;
#[path = "../../host/overlay/src/tests/escape/oracle.rs"]
mod oracle;
#[path = "../../host/overlay/src/tests/escape/sequence.rs"]
mod sequence;
#[path = "../../host/overlay/src/tests/escape/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let open = |path: &std::path::Path| overlay::Base::open(path).expect("it was just made");
    sequence::run(bytes, &open, &mut guest::Tally::default());
});
