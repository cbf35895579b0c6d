//! The read set: every look at the base, and nothing that is not one.

use super::*;
use idumb_core::Seen::{self, Absent, Content, Listing, Metadata};
use std::collections::BTreeSet;

fn reads(view: &ReadView) -> Vec<(String, Seen)> {
    view.record().reads.into_iter().map(|read| (read.path, read.seen)).collect()
}

#[test]
fn what_was_seen_is_recorded_by_path_of_the_base() {
    let files = [("d/a", "a"), ("d/b", "b"), ("d/c", "c"), ("e/x", "x"), ("l -> d/a", "")];
    let project = Project::new(&files);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    read(&view, "l").unwrap();
    view.stat(root, "d/b", true).unwrap();
    fails(read(&view, "gone/deep/er"), "NoEntry");
    fails(read(&view, "d/gone"), "NoEntry");
    names(&view, "d");
    let expected = [
        ("d", Listing),
        ("d/a", Content),
        ("d/b", Metadata),
        ("d/gone", Absent),
        ("gone", Absent),
        ("l", Content),
    ];
    assert_eq!(reads(&view), expected.map(|(path, seen)| (path.to_owned(), seen)));
    // What the attempt made itself is no look at the base; where it came from is.
    view.mkdir(root, "made").unwrap();
    write(&view, "made/x", "").unwrap();
    read(&view, "made/x").unwrap();
    fails(read(&view, "made/none"), "NoEntry");
    view.rename(root, "e", root, "f").unwrap();
    read(&view, "f/x").unwrap();
    let now: BTreeSet<String> = reads(&view).into_iter().map(|(path, _)| path).collect();
    assert!(now.contains("e/x") && now.contains("made"), "{now:?}");
    assert!(!now.contains("f/x") && !now.contains("made/x") && !now.contains("made/none"));
}

#[test]
fn what_an_attempt_rests_on_goes_stale() {
    let project = Project::new(&[("over", "o"), ("gone", "g"), ("dir/x", "x"), ("kept", "k")]);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    write(&view, "over", "new").unwrap();
    view.unlink(root, "gone").unwrap();
    view.rename(root, "dir", root, "moved").unwrap();
    write(&view, "created", "").unwrap();
    let record = project.seal(view).record;
    for path in ["over", "gone", "dir/x", "dir/new", "created", "moved"] {
        assert!(record.stale_read(&BTreeSet::from([path])).is_some(), "{path} in {record:?}");
    }
    assert_eq!(record.stale_read(&BTreeSet::from(["kept"])), None);
    assert_eq!(record.writes, ["created", "dir", "dir/x", "gone", "moved", "moved/x", "over"]);
}

#[test]
fn what_was_written_is_known_before_it_is_sealed() {
    let files = [("back", "b"), ("dir/x", "x"), ("gone", "g"), ("kept", "k"), ("over", "o")];
    let project = Project::new(&files);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    read(&view, "kept").unwrap();
    write(&view, "over", "new").unwrap();
    view.unlink(root, "gone").unwrap();
    view.rename(root, "dir", root, "moved").unwrap();
    write(&view, "created", "").unwrap();
    write(&view, "brief", "").unwrap();
    view.unlink(root, "brief").unwrap();
    view.rename(root, "back", root, "forth").unwrap();
    view.rename(root, "forth", root, "back").unwrap();
    let record = view.record();
    assert_eq!(record.writes, ["created", "dir", "gone", "moved", "over"]);
    assert_eq!(record.writes_dropped, 0);
}

#[test]
fn the_record_of_what_was_written_is_bounded() {
    let project = Project::in_memory(&[]);
    let view = project.work(&[], &["**"]);
    for n in 0..1010 {
        view.mkdir(view.root(), &format!("{n:04}")).unwrap();
    }
    let record = view.record();
    assert_eq!((record.writes.len(), record.writes_dropped), (1000, 10));
    assert_eq!(record.writes.last().map(String::as_str), Some("0999"));
}
