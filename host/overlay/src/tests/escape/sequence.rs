//! One sequence: a tree, grants, operations and disturbances, and an end.
//!
//! Invariant: everything follows from the bytes; before its end, nothing that the guest did has
//! changed anything inside the project or outside it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use super::chance::Chance;
use super::ending;
use super::guest::{Guest, Tally};
use super::oracle::Oracle;
use super::overlay::{Base, Quota, WorkView};
use super::world::{NAMES, World};

/// How many operations at most.
const OPERATIONS: usize = 80;

/// A pattern over the paths of the world: of any form, and with names that look like patterns.
fn pattern(world: &World, chance: &mut Chance<'_>) -> String {
    let path = world.paths[chance.below(world.paths.len())].clone();
    let top = path.split('/').next().unwrap_or("a").to_owned();
    let name = chance.pick(NAMES);
    match chance.below(16) {
        0..=2 => "**".to_owned(),
        3..=4 => format!("{top}/**"),
        5..=7 => path,
        8 => format!("{path}/*"),
        9 => format!("{path}/**"),
        10 => "**/*.rs".to_owned(),
        11 => format!("**/{name}"),
        12 => "[[]ab]/**".to_owned(),
        13 => "[*]".to_owned(),
        14 => ["g?", "?", "*", "a/g*"][chance.below(4)].to_owned(),
        _ => format!("{top}/?*/**"),
    }
}

fn patterns(world: &World, chance: &mut Chance<'_>, most: usize) -> Vec<String> {
    (0..chance.below(most + 1)).map(|_| pattern(world, chance)).collect()
}

/// Runs what `bytes` say, on a base that `open` opens. Panics if anything got out.
pub(super) fn run(bytes: &[u8], open: &dyn Fn(&Path) -> Base, tally: &mut Tally) {
    let mut chance = Chance::new(bytes);
    let mut world = World::plant(&mut chance);
    let reads = patterns(&world, &mut chance, 3);
    let mut writes = patterns(&world, &mut chance, 3);
    match chance.below(4) {
        0 => writes.push("g?/**".to_owned()),
        1 => writes.push("**".to_owned()),
        _ => {}
    }
    let never = if chance.percent(40) { patterns(&world, &mut chance, 2) } else { Vec::new() };
    let oracle = Oracle { reads, writes, never };
    let base = open(&world.root());
    let view =
        WorkView::new(&base, &world.beside("upper"), oracle.grants(), Quota::default()).unwrap();
    let calm = chance.percent(50);
    let story =
        format!("reads {:?} writes {:?} never {:?}", oracle.reads, oracle.writes, oracle.never);
    let story = RefCell::new(story);
    tally.add("sequences", 1);
    // What led to a failure is told with it.
    let went = catch_unwind(AssertUnwindSafe(|| {
        let mut guest = Guest::new(view, &oracle, tally, &story);
        let mut disturbed = false;
        for _ in 0..OPERATIONS {
            if chance.is_used_up() {
                break;
            }
            if !calm && chance.percent(4) {
                world.assert_untouched(&story.borrow());
                let what = world.disturb(&mut chance);
                let _ = write!(story.borrow_mut(), "\ndisturbed {what}");
                guest.tally.add("disturbed", 1);
                disturbed = true;
            }
            guest.act(&world, &mut chance);
            guest.tally.add("operations", 1);
        }
        world.assert_untouched(&story.borrow());
        for denial in guest.view.record().denials {
            guest.tally.add(format!("refused: {:?}", denial.reason), u64::from(denial.count));
        }
        ending::end(guest, &world, &base, disturbed);
    }));
    if let Err(panic) = went {
        tell(&story.borrow());
        resume_unwind(panic);
    }
}

#[expect(clippy::print_stderr, reason = "only when the test has failed")]
fn tell(story: &str) {
    eprintln!("{story}");
}
