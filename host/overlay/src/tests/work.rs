//! What a builder's view does, beyond what the differential test compares.

use super::*;
use crate::Kind;
use std::time::{Duration, SystemTime};

#[test]
fn a_handle_stays_on_its_file() {
    let project = Project::new(&[("a.txt", "one")]);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    let reader = file(view.open(root, "a.txt", true, OpenFlags::READ).unwrap());
    let writer = file(view.open(root, "a.txt", true, WRITE).unwrap());
    view.rename(root, "a.txt", root, "b.txt").unwrap();
    writer.write_at(b"two!", 0).unwrap();
    // Opened before the file was copied, the reader sees what is written after.
    assert_eq!(content(&reader), "two!");
    view.unlink(root, "b.txt").unwrap();
    write(&view, "b.txt", "another").unwrap();
    writer.append(b" three").unwrap();
    assert_eq!(content(&reader), "two! three");
    assert_eq!(read(&view, "b.txt").unwrap(), "another");
    assert_eq!(fs::read_to_string(project.at("a.txt")).unwrap(), "one");
    let (stat, other) = (reader.stat().unwrap(), view.stat(root, "b.txt", true).unwrap());
    assert_eq!((stat.nlink, stat.size), (0, 10));
    assert_ne!(stat.id, other.id);
}

#[test]
fn an_open_directory_follows_its_renaming_and_ends_with_its_removal() {
    let project = Project::new(&[("d/a", "a"), ("other/", "")]);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    let Opened::Dir(d) = view.open(root, "d", true, OpenFlags::READ).unwrap() else { panic!() };
    view.rename(root, "d", root, "other/e").unwrap();
    assert_eq!(view.path_of(d).unwrap(), "other/e");
    assert_eq!(view.stat(d, "a", true).unwrap().kind, Kind::File);
    assert_eq!(view.stat(root, "other/e/../../other", true).unwrap().kind, Kind::Dir);
    view.unlink(d, "a").unwrap();
    view.rmdir(root, "other/e").unwrap();
    assert!(view.read_dir(d).unwrap().is_empty());
    assert_eq!(view.stat_node(d).unwrap().kind, Kind::Dir);
    fails(view.stat(d, "a", true), "NoEntry");
    fails(view.open(d, "new", true, CREATE), "NoEntry");
    fails(view.mkdir(d, "new"), "NoEntry");
    fails(view.path_of(d), "NoEntry");
    // Long after, the place is used for others, and the old name for it finds nothing.
    for _ in 0..3000 {
        view.mkdir(root, "again").unwrap();
        view.rmdir(root, "again").unwrap();
    }
    view.mkdir(root, "last").unwrap();
    fails(view.stat_node(d), "NoEntry");
    fails(view.stat(d, ".", true).and_then(|_| view.stat_node(d)), "NoEntry");
}

#[test]
fn deleted_and_made_anew_as_another_kind() {
    both(&[("x", "file"), ("d/y", "y"), ("l -> x", "")], |project| {
        let view = project.work(&[], &["**"]);
        let root = view.root();
        view.unlink(root, "x").unwrap();
        view.mkdir(root, "x").unwrap();
        write(&view, "x/in", "in").unwrap();
        view.unlink(root, "d/y").unwrap();
        view.rmdir(root, "d").unwrap();
        write(&view, "d", "now a file").unwrap();
        view.unlink(root, "l").unwrap();
        view.mkdir(root, "l").unwrap();
        assert_eq!(names(&view, "."), ["d", "l", "x"]);
        assert_eq!(names(&view, "x"), ["in"]);
        assert!(names(&view, "l").is_empty());
        let changes = project.seal(view).change_set;
        project.integrate(&changes).unwrap();
        let expected = [("d", "- now a file"), ("l", "dir"), ("x", "dir"), ("x/in", "- in")];
        assert_eq!(project.tree(), expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    });
}

#[test]
fn a_directory_made_anew_does_not_show_the_old_one() {
    let project = Project::new(&[("d/old", "old")]);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    view.rename(root, "d", root, "e").unwrap();
    view.mkdir(root, "d").unwrap();
    assert!(names(&view, "d").is_empty());
    fails(read(&view, "d/old"), "NoEntry");
    assert_eq!(read(&view, "e/old").unwrap(), "old");
}

#[test]
fn times_are_set_without_copying() {
    let project = Project::new(&[("a.txt", "a"), ("d/", ""), ("l -> a.txt", "")]);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    for (path, follow) in [("a.txt", true), ("d", true), ("l", false)] {
        view.set_times(root, path, follow, None, Some(then)).unwrap();
        assert_eq!(view.stat(root, path, follow).unwrap().modified, Some(then));
    }
    view.set_times_node(root, Some(then), None).unwrap();
    assert_eq!(view.stat_node(root).unwrap().accessed, Some(then));
    assert_eq!(view.usage().bytes, 0);
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(u64::from(u32::MAX));
    view.set_times(root, "a.txt", true, Some(before), None).unwrap();
    assert_eq!(view.stat(root, "a.txt", true).unwrap().accessed, Some(before));
    assert!(project.seal(view).change_set.changes.is_empty());
}

#[test]
fn the_executable_bit_is_kept_and_can_be_set() {
    let project = Project::new(&[("run.sh", "old"), ("plain.sh", "plain")]);
    fs::set_permissions(project.at("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    let view = project.work(&[], &["**"]);
    write(&view, "run.sh", "new").unwrap();
    view.set_executable(view.root(), "plain.sh", true).unwrap();
    assert!(view.stat(view.root(), "plain.sh", true).unwrap().executable);
    project.integrate(&project.seal(view).change_set).unwrap();
    let mode = |path: &str| fs::metadata(project.at(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("run.sh"), 0o750);
    assert_eq!(mode("plain.sh") & 0o100, 0o100);
    assert_eq!(fs::read_to_string(project.at("plain.sh")).unwrap(), "plain");
}

#[test]
fn the_upper_is_gone_with_the_view() {
    let project = Project::new(&[("a.txt", "a")]);
    let upper = project.dir.path().join("upper");
    let view = project.work(&[], &["**"]);
    write(&view, "a.txt", "b").unwrap();
    write(&view, "c.txt", "c").unwrap();
    assert_eq!(fs::read_dir(&upper).unwrap().count(), 2);
    view.unlink(view.root(), "c.txt").unwrap();
    assert_eq!(fs::read_dir(&upper).unwrap().count(), 1);
    drop(view);
    assert!(!upper.try_exists().unwrap());
}

#[test]
fn starting_touches_nothing() {
    let project = Project::new(&[("a.txt", "a")]);
    let view = project.work(&["**"], &["**"]);
    assert!(view.record().reads.is_empty());
    assert_eq!(view.usage(), crate::Usage::default());
    assert_eq!(fs::read_dir(project.dir.path().join("upper")).unwrap().count(), 0);
}

#[test]
fn a_sealed_view_takes_no_more_writes() {
    let project = Project::new(&[("a.txt", "a")]);
    let view = project.work(&[], &["**"]);
    let (clone, root) = (view.clone(), view.root());
    let handle = file(view.open(root, "a.txt", true, WRITE).unwrap());
    handle.write_at(b"b", 0).unwrap();
    project.seal(view);
    fails(handle.write_at(b"c", 0), "ReadOnly");
    fails(handle.set_len(0), "ReadOnly");
    fails(handle.set_times(None, Some(SystemTime::now())), "ReadOnly");
    fails(write(&clone, "new", ""), "ReadOnly");
    fails(clone.mkdir(root, "new"), "ReadOnly");
    fails(clone.unlink(root, "a.txt"), "ReadOnly");
    fails(clone.rename(root, "a.txt", root, "b"), "ReadOnly");
    fails(clone.link(root, "a.txt", true, root, "b"), "ReadOnly");
    fails(clone.symlink("a.txt", root, "b"), "ReadOnly");
    fails(clone.set_executable(root, "a.txt", true), "ReadOnly");
    assert_eq!(read(&clone, "a.txt").unwrap(), "b");
}
