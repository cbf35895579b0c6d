//! Guests that ask for more than there is, or than numbers can say.
//!
//! Invariant: such a request is refused or ends the guest; the host sets aside nothing for it.

use idumb_core::Task;

use crate::alone::alone;
use crate::world::{Attempt, World, assert_a_good_agent_works, task};

/// The most that one read or write of a stream moves.
const CHUNK: usize = 1 << 20;

fn world() -> World {
    World::new(&[("open.txt", "for everybody\n"), ("out/keep", "")])
}

fn doing(what: &str, options: &[(&str, &str)]) -> Task {
    let options: Vec<_> = [("do", what)].iter().chain(options).copied().collect();
    task(&["open.txt", "large"], &["out/**"], &options)
}

fn misbehave(what: &str, options: &[(&str, &str)]) -> Attempt {
    let attempt = world().misbehave(&doing(what, options));
    assert_a_good_agent_works();
    attempt
}

#[test]
pub(crate) fn random_without_end() {
    alone("numbers::random_without_end", || {
        for how in ["secure", "insecure", "secure-1-gib", "insecure-1-gib"] {
            misbehave("random_without_end", &[("how", how)]).assert_trap("exceeds limit");
        }
    });
}

#[test]
pub(crate) fn times_without_end() {
    let world = world();
    let attempt = world.misbehave(&doing("times_without_end", &[("path", "out/keep")]));
    let over = "overflow overflow";
    let expected = [over, over, over, "set set", over, "set set"].join(" ");
    assert_eq!(attempt.summary(), expected);
    // Times alone are no change.
    assert!(attempt.ended.host_error.is_none(), "{:?}", attempt.ended.host_error);
    attempt.assert_harmless(&world);
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn zeroes_without_end() {
    alone("numbers::zeroes_without_end", || {
        for how in ["file", "append", "stdout", "stderr", "file-1-gib"] {
            let options = [("how", how), ("path", "out/zeroes")];
            let attempt = misbehave("zeroes_without_end", &options);
            attempt.assert_trap("more zeroes than `check_write` allows");
        }
        let options = [("how", "file-and-flush"), ("path", "out/zeroes")];
        misbehave("zeroes_without_end", &options).assert_trap("Buffer too large");
    });
}

#[test]
pub(crate) fn skip_and_splice() {
    let mut world = world();
    world.quota.bytes = 16 << 20;
    world.put("large", &"x".repeat(3 * CHUNK));
    let options = [("from", "large"), ("path", "out/spliced")];
    let attempt = world.misbehave(&doing("skip_and_splice", &options));
    let mut expected = vec![CHUNK.to_string(); 6];
    expected.push("quota".to_owned());
    assert_eq!(attempt.summary(), expected.join(" "));
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn far_offsets() {
    let world = world();
    let attempt = world.misbehave(&doing("far_offsets", &[("path", "out/keep")]));
    let line = |read: &str, write: &str, stream_read: &str| {
        format!(
            "read: {read}; write: {write}; nothing: 0; stream-read: {stream_read}; \
             stream-write: {write}"
        )
    };
    let beyond = line("invalid", "file-too-large", "invalid");
    let expected = [
        beyond.clone(),
        beyond.clone(),
        beyond,
        // The first that a file could end at, so that nothing fits behind it.
        line("invalid", "file-too-large", "invalid"),
        // A place that there is, beyond the quota.
        line("0", "quota", "closed"),
    ];
    assert_eq!(attempt.summary(), expected.join("; "));
    assert!(attempt.ended.host_error.is_none(), "{:?}", attempt.ended.host_error);
    attempt.assert_harmless(&world);
    assert_a_good_agent_works();
}
