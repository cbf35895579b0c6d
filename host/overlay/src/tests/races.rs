//! Races with somebody who swaps a directory for a link all the time.
//!
//! Invariant: how many swaps came in between is counted by what was observed, so that a race that
//! did not take place fails.

use super::*;
use idumb_core::Observed;
use rustix::fs::{FileType, Mode, RenameFlags, mknodat, renameat_with};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many swaps are to be observed by whoever races with them, and in how many looks at most.
const SWAPS: u32 = 300;
const LOOKS: u32 = 1_000_000;

#[test]
fn a_race_of_swaps_never_shows_the_outside() {
    // Out of the project, and out of the grant.
    for (openat2, target) in
        [(true, "../outside"), (false, "../outside"), (true, "closed"), (false, "closed")]
    {
        let files = [("d/f", "inside"), ("closed/f", "outside"), ("closed/out", "")];
        let mut project = Project::in_memory(&files);
        project.openat2 = openat2;
        project.add(&[(&format!("away -> {target}"), "")]);
        fs::create_dir(project.dir.path().join("outside")).unwrap();
        for name in ["f", "out"] {
            fs::write(project.dir.path().join("outside").join(name), "outside").unwrap();
        }
        let stop = AtomicBool::new(false);
        let root = fs::File::open(project.root()).unwrap();
        let (mut observed, mut looks, mut was_there) = (0, 0, true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    renameat_with(&root, "d", &root, "away", RenameFlags::EXCHANGE).unwrap();
                }
            });
            let _stopping = Stop(&stop);
            while (observed < SWAPS || looks < 2000) && looks < LOOKS {
                let view = project.work(&["d/**"], &["d/**"]);
                let is_there = look_at_d(&view, looks);
                observed += u32::from(is_there != was_there);
                was_there = is_there;
                looks += 1;
            }
        });
        assert!(observed >= SWAPS, "{target}: {observed} swaps in {looks} looks");
    }
}

/// Between the look at a file and its opening too; a blocked host would never end this test.
#[test]
fn a_race_with_a_fifo_neither_blocks_nor_opens_it() {
    for openat2 in [true, false] {
        let mut project = Project::in_memory(&[("f", "inside")]);
        project.openat2 = openat2;
        let root = fs::File::open(project.root()).unwrap();
        mknodat(&root, "fifo", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let base = project.base();
        let stop = AtomicBool::new(false);
        let (mut observed, mut looks, mut was_there) = (0, 0, true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    renameat_with(&root, "f", &root, "fifo", RenameFlags::EXCHANGE).unwrap();
                }
            });
            let _stopping = Stop(&stop);
            while (observed < SWAPS || looks < 20_000) && looks < LOOKS {
                let view = ReadView::of_base(&base, grants(&["f"], &[]));
                let found = read(&view, "f");
                assert!(found.as_ref().is_ok_and(|text| text == "inside") || found.is_err());
                observed += u32::from(found.is_ok() != was_there);
                was_there = found.is_ok();
                looks += 1;
            }
        });
        assert!(observed >= SWAPS, "{observed} swaps in {looks} looks");
    }
}

/// Stops the other thread also when this one fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks at `d/f` in one of the ways there are. Says whether it was found.
fn look_at_d(view: &WorkView, way: u32) -> bool {
    let root = view.root();
    match way % 5 {
        0 => match read(view, "d/f") {
            Ok(text) => {
                assert_eq!(text, "inside");
                true
            }
            Err(_) => false,
        },
        1 => {
            // The directory is known before it is swapped.
            let Ok(Opened::Dir(d)) = view.open(root, "d", true, OpenFlags::READ) else {
                return false;
            };
            let listed: Vec<_> = view.read_dir(d).into_iter().flatten().collect();
            assert!(listed.iter().all(|entry| entry.name == "f"), "{listed:?}");
            !listed.is_empty()
        }
        2 => match view.observe("d/f") {
            Ok(Observed::File { digest, .. }) => {
                assert_eq!(digest, Digest::of(b"inside"));
                true
            }
            _ => false,
        },
        3 => {
            let there = view.stat(root, "d/out", true);
            assert!(there.is_err(), "{there:?}");
            view.stat(root, "d/f", true).is_ok_and(|stat| stat.size == 6)
        }
        _ => {
            let Ok(Opened::File(file)) = view.open(root, "d/f", true, WRITE) else {
                return false;
            };
            file.append(b"!").unwrap();
            assert_eq!(content(&file), "inside!");
            true
        }
    }
}
