//! Guests that use up what the host has.
//!
//! Invariant: each is refused or stopped at a limit, and what the host holds stays small.

use std::sync::atomic::Ordering;

use idumb_core::{Task, Trouble};
use idumb_overlay::Quota;
use idumb_sandbox::{Broken, Limits};

use crate::alone::alone;
use crate::world::{SHORT, World, assert_a_good_agent_works, task};

fn world() -> World {
    World::new(&[("open.txt", "for everybody\n"), ("out/keep", "")])
}

fn doing(what: &str, path: &str) -> Task {
    task(&["open.txt"], &["out/**"], &[("do", what), ("path", path)])
}

#[test]
pub(crate) fn loop_forever() {
    let world = world().stopped_after(SHORT);
    world.misbehave(&doing("loop_forever", "")).assert_stopped();
}

#[test]
pub(crate) fn loop_in_host_calls() {
    let world = world().stopped_after(SHORT);
    world.misbehave(&doing("loop_in_host_calls", "")).assert_stopped();
}

#[test]
pub(crate) fn sleep_forever() {
    let world = world().stopped_after(SHORT);
    world.misbehave(&doing("sleep_forever", "")).assert_stopped();
}

#[test]
pub(crate) fn grow_memory() {
    let attempt = world().misbehave(&doing("grow_memory", ""));
    let (held, end) = attempt.summary().split_once(" MiB; ").unwrap();
    assert_eq!(end, "refused");
    let held: usize = held.parse().unwrap();
    assert!(held > 16 && held < Limits::default().memory >> 20, "{held} MiB");
}

#[test]
pub(crate) fn recurse_forever() {
    let attempt = world().misbehave(&doing("recurse_forever", ""));
    attempt.assert_trap("");
}

#[test]
pub(crate) fn panic_aloud() {
    let attempt = world().misbehave(&doing("panic_aloud", ""));
    attempt.assert_trap("aborted");
    let said = |text: &str| attempt.ended.log.iter().any(|line| line.message.contains(text));
    assert!(said("it was too much"), "{:?}", attempt.ended.log);
}

#[test]
pub(crate) fn exit_early() {
    // WASI 0.2 tells success from failure, and no more.
    world().misbehave(&doing("exit_early", "")).assert_trap("it called exit(1)");
}

#[test]
pub(crate) fn huge_file() {
    let world = world();
    let attempt = world.misbehave(&doing("huge_file", "out/huge"));
    assert!(!attempt.summary().contains("done"), "{}", attempt.summary());
    assert_eq!(attempt.changes(&world).changes.len(), 1);
}

#[test]
pub(crate) fn many_descriptors() {
    let attempt = world().misbehave(&doing("many_descriptors", "open.txt"));
    let (held, end) = attempt.summary().split_once("; ").unwrap();
    assert_ne!(end, "no end");
    let held: u64 = held.parse().unwrap();
    assert!(held <= Quota::default().open_files, "{held}");
}

#[test]
pub(crate) fn many_files() {
    let mut world = world();
    world.quota.files = 50;
    let attempt = world.misbehave(&doing("many_files", "out"));
    let (made, end) = attempt.summary().split_once("; ").unwrap();
    assert_ne!(end, "no end");
    assert!(made.parse::<u64>().unwrap() <= 50, "{made}");
}

#[test]
pub(crate) fn many_names() {
    let mut world = world();
    world.quota.files = 50;
    let attempt = world.misbehave(&doing("many_names", "out"));
    // One is for the file itself.
    assert_eq!(attempt.summary(), "49; QuotaExceeded");
    assert_a_good_agent_works();
}

#[test]
pub(crate) fn deep_directories() {
    let attempt = world().misbehave(&doing("deep_directories", "out"));
    let (depth, end) = attempt.summary().split_once("; ").unwrap();
    assert_ne!(end, "no end");
    assert!(depth.parse::<usize>().unwrap() <= Quota::default().depth, "{depth}");
}

#[test]
pub(crate) fn flood_log() {
    let world = world();
    let attempt = world.misbehave(&doing("flood_log", ""));
    assert_eq!(attempt.summary(), "said it all");
    let limits = Limits::default();
    let log = &attempt.ended.log;
    // What was dropped is told in one line more.
    assert!(log.len() <= limits.log_lines + 1, "{} lines", log.len());
    let longest = log.iter().map(|line| line.message.len()).max().unwrap();
    assert!(longest <= limits.log_line_bytes + 100, "{longest} bytes");
    assert!(log.last().unwrap().message.contains("dropped"), "{:?}", log.last());
    let told = world.desk.lines.lock().unwrap().len();
    assert!(told <= limits.log_lines, "{told} lines");
}

#[test]
pub(crate) fn lines_without_end() {
    alone("exhausting::lines_without_end", || {
        let attempt = world().misbehave(&doing("lines_without_end", ""));
        assert_eq!(attempt.summary(), "printed it all");
        let [out, error] = &*attempt.ended.log else { panic!("{} lines", attempt.ended.log.len()) };
        for line in [out, error] {
            assert!(line.message.ends_with("[idumb: cut]"), "{:?}", line.message.get(..20));
            assert!(line.message.len() < 5000, "{} bytes", line.message.len());
        }
    });
}

#[test]
pub(crate) fn flood_progress() {
    let world = world();
    let attempt = world.misbehave(&doing("flood_progress", ""));
    assert_eq!(attempt.summary(), "told it all");
    let longest = world.desk.longest.load(Ordering::Relaxed);
    assert!(longest < 20_000, "{longest} bytes");
}

#[test]
pub(crate) fn huge_outcome() {
    let attempt = world().misbehave(&doing("huge_outcome", ""));
    match &attempt.ended.result {
        Ok(outcome) => {
            assert!(outcome.summary.len() < 10_000, "{} bytes", outcome.summary.len());
            assert!(outcome.artifacts.len() <= 10_000, "{}", outcome.artifacts.len());
        }
        Err(broken) => {
            assert!(matches!(broken, Broken::Trouble(Trouble::Trap { .. })), "{broken:?}");
        }
    }
}

#[test]
pub(crate) fn aliased_outcome() {
    let attempt = world().misbehave(&doing("aliased_outcome", ""));
    let trap = matches!(attempt.ended.result, Err(Broken::Trouble(Trouble::Trap { .. })));
    assert!(trap, "it was all read");
}
