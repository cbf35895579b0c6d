//! Long operations of an attempt that is over.
//!
//! Invariant: they end between two pieces, and have changed nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::SealError;

/// Far more than is copied between two questions.
const LARGE: u64 = 64 << 20;

/// A view of a project with a large file, whose attempt is over after so many questions.
fn view(project: &Project, questions: usize) -> (WorkView, Arc<AtomicUsize>) {
    let large = fs::File::create(project.at("large")).unwrap();
    large.set_len(LARGE).unwrap();
    let (view, asked) = (project.work(&[], &["**"]), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    view.stops_when(move || count.fetch_add(1, Ordering::Relaxed) >= questions);
    (view, asked)
}

#[test]
fn a_copy_of_a_large_file_ends_and_leaves_it_as_it_was() {
    let project = Project::in_memory(&[]);
    let (view, asked) = view(&project, 3);
    let wanted = OpenFlags { write: true, ..OpenFlags::READ };
    let Opened::File(file) = view.open(view.root(), "large", true, wanted).unwrap() else {
        panic!("it is a file");
    };
    assert!(matches!(file.write_at(b"!", 0), Err(FsError::Stopped)));
    assert_eq!(asked.load(Ordering::Relaxed), 4, "it was read on");
    assert_eq!(file.stat().unwrap().size, LARGE);
    assert_eq!(view.usage().bytes, 0, "a part of it counts");
}

#[test]
fn an_observation_of_a_large_file_and_its_removal_end() {
    let project = Project::in_memory(&[]);
    let (view, _) = view(&project, 3);
    assert!(matches!(view.observe("large"), Err(FsError::Stopped)));
    assert!(matches!(view.unlink(view.root(), "large"), Err(FsError::Stopped)));
    assert!(view.stat(view.root(), "large", true).is_ok(), "it is gone");
}

#[test]
fn a_long_listing_ends() {
    let project = Project::in_memory(&[]);
    let (view, _) = view(&project, 1);
    for number in 0..5000 {
        fs::write(project.at(&number.to_string()), "").unwrap();
    }
    assert!(matches!(view.read_dir(view.root()), Err(FsError::Stopped)));
}

#[test]
fn what_changed_so_far_ends_at_a_large_file_and_the_view_goes_on() {
    let project = Project::in_memory(&[("moved/small", "s")]);
    let view = project.work(&[], &["**"]);
    let written = file(view.open(view.root(), "large", true, CREATE).unwrap());
    written.set_len(LARGE).unwrap();
    view.rename(view.root(), "moved", view.root(), "there").unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    for questions in [0, 3, 10] {
        let count = Arc::clone(&asked);
        asked.store(0, Ordering::Relaxed);
        let over = move || count.fetch_add(1, Ordering::Relaxed) >= questions;
        let ended = view.changes_so_far(&*project.store, over).unwrap_err();
        let stopped = matches!(ended, SealError::Unreadable { source: FsError::Stopped, .. });
        assert!(stopped, "after {questions}: {ended}");
        // The store is told, and then it is asked whether that was why.
        assert!(asked.load(Ordering::Relaxed) <= questions + 2, "it was read on");
    }
    written.write_at(b"!", 0).unwrap();
    let changes = view.changes_so_far(&*project.store, || false).unwrap();
    assert_eq!(changes, project.seal(view).change_set);
}
