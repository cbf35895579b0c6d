//! Guests that hold handles without end, or wait without end.
//!
//! Invariant: each is refused, ended or stopped, whatever it holds and waits for.

use idumb_core::{Limit, Task};
use idumb_sandbox::Limits;

use crate::alone::alone;
use crate::world::{Attempt, SHORT, World, assert_a_good_agent_works, task};

fn world() -> World {
    World::new(&[("open.txt", "for everybody\n"), ("out/keep", "")])
}

fn doing(what: &str, options: &[(&str, &str)]) -> Task {
    let options: Vec<_> = [("do", what)].iter().chain(options).copied().collect();
    task(&["open.txt", "many/**"], &["out/**"], &options)
}

fn misbehave(what: &str, options: &[(&str, &str)]) -> Attempt {
    let attempt = world().misbehave(&doing(what, options));
    assert_a_good_agent_works();
    attempt
}

/// Asserts that it was ended when it held as many as a guest may, or fewer.
fn assert_ended_at_the_limit(what: &str, options: &[(&str, &str)]) {
    let attempt = misbehave(what, options);
    attempt.assert_trap("table has no free keys");
    let told: usize = attempt.ended.log.last().unwrap().message.parse().unwrap();
    assert!(told > 1000 && told <= Limits::default().handles, "{told} were held");
}

#[test]
pub(crate) fn many_pollables() {
    assert_ended_at_the_limit("many_pollables", &[]);
}

#[test]
pub(crate) fn many_streams() {
    assert_ended_at_the_limit("many_streams", &[("path", "open.txt")]);
}

#[test]
pub(crate) fn many_folders() {
    assert_ended_at_the_limit("many_folders", &[("path", "out")]);
}

/// A thousand times ten thousand entries: a listing is in memory for as long as it is held.
#[test]
pub(crate) fn many_listings() {
    alone("handles::many_listings", || {
        let world = world();
        for number in 0..10_000 {
            world.put(&format!("many/{number:0>200}"), "");
        }
        let attempt = world.misbehave(&doing("many_listings", &[("path", "many")]));
        assert_eq!(attempt.summary(), "25; quota");
        assert!(attempt.record.limits.iter().any(|reached| reached.limit == Limit::Listing));
    });
}

/// As a million entries are to the default.
#[test]
fn a_listing_of_more_entries_than_the_quota_is_refused() {
    let mut world = world();
    world.quota.listing = 100;
    for number in 0..100 {
        world.put(&format!("many/{number}"), "");
    }
    let task = doing("list_tree", &[]);
    assert!(world.misbehave(&task).summary().contains("many/99"));
    world.put("many/one-more", "");
    let attempt = world.misbehave(&task);
    assert!(attempt.ended.result.is_err(), "{:?}", attempt.ended.result);
    assert!(attempt.record.limits.iter().any(|reached| reached.limit == Limit::Listing));
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn wait_for_ever() {
    for how in ["duration", "instant", "poll", "poll-many"] {
        let world = world().stopped_after(SHORT);
        world.misbehave(&doing("wait_for_ever", &[("how", how)])).assert_stopped();
    }
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn poll_again_and_again() {
    let attempt = misbehave("poll_again_and_again", &[("times", "0")]);
    attempt.assert_trap("empty poll list");
    let attempt = misbehave("poll_again_and_again", &[("times", "50000")]);
    assert_eq!(attempt.summary(), "50000 are ready");
    // Every element lends a handle.
    let attempt = misbehave("poll_again_and_again", &[("times", "1000000")]);
    attempt.assert_trap("handle limit exceeded");
}

#[test]
pub(crate) fn stream_never_read() {
    alone("handles::stream_never_read", || {
        let attempt = misbehave("stream_never_read", &[("path", "out/large")]);
        assert_eq!(attempt.summary(), format!("{} bytes; all; 1000 not read", 32 << 20));
    });
}

/// What a stream takes is in the file at once, and charged at once: there is nothing to flush.
#[test]
pub(crate) fn stream_never_flushed() {
    let mut world = world();
    let task = doing("stream_never_flushed", &[("path", "out/large")]);
    assert_eq!(world.misbehave(&task).summary(), format!("{} bytes; all", 32 << 20));
    world.quota.bytes = 1 << 20;
    let attempt = world.misbehave(&task);
    assert_eq!(attempt.summary(), format!("{} bytes; quota", 1 << 20));
    let changes = attempt.changes(&world);
    let entry = changes.changes[0].after.as_ref().unwrap();
    assert!(matches!(entry, idumb_core::Entry::File { size: 0x10_0000, .. }), "{entry:?}");
    assert_a_good_agent_works();
}

/// As many as a guest may hold are fewer than what it may lend of one.
#[test]
fn the_limit_of_handles_is_the_smaller_one() {
    assert!(Limits::default().handles < 50_000);
}
