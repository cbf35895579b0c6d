//! Change-sets, candidates and diffs.

use super::*;
use crate::{DiffError, SealError, hunks, unified_diff};
use idumb_core::{Change, Entry};

fn changes(sealed: &Sealed) -> Vec<(&str, bool, bool, Option<&str>)> {
    let change = |change: &'_ Change| (change.before.is_some(), change.after.is_some());
    sealed
        .change_set
        .changes
        .iter()
        .map(|c| (c.path.as_str(), change(c).0, change(c).1, c.renamed_from.as_deref()))
        .collect()
}

fn entry(content: &str) -> Option<Entry> {
    let digest = Digest::of(content.as_bytes());
    Some(Entry::File { digest, size: content.len() as u64, executable: false })
}

#[test]
fn only_what_changed_is_in_it() {
    let project = Project::new(&[("a", "a"), ("same", "same"), ("read", "r"), ("del/x", "x")]);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    write(&view, "a", "changed").unwrap();
    write(&view, "same", "same").unwrap();
    read(&view, "read").unwrap();
    file(view.open(root, "read", true, WRITE).unwrap());
    view.unlink(root, "del/x").unwrap();
    view.rmdir(root, "del").unwrap();
    write(&view, "tmp", "t").unwrap();
    view.unlink(root, "tmp").unwrap();
    view.rename(root, "read", root, "away").unwrap();
    view.rename(root, "away", root, "read").unwrap();
    let sealed = project.seal(view);
    let expected =
        [("a", true, true, None), ("del", true, false, None), ("del/x", true, false, None)];
    assert_eq!(changes(&sealed), expected);
    let change = &sealed.change_set.changes[0];
    assert_eq!((&change.before, &change.after), (&entry("a"), &entry("changed")));
}

#[test]
fn renames_are_recognised() {
    let files = [("a", "alpha"), ("b", "beta"), ("d/x", "x"), ("d/sub/y", "y"), ("c", "gamma")];
    let project = Project::new(&files);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    view.rename(root, "a", root, "a2").unwrap();
    view.rename(root, "d", root, "e").unwrap();
    write(&view, "e/x", "edited").unwrap();
    // As programs do that cannot rename.
    write(&view, "b2", "beta").unwrap();
    view.unlink(root, "b").unwrap();
    // A second name is no renaming.
    view.link(root, "c", true, root, "c2").unwrap();
    let sealed = project.seal(view);
    assert_eq!(
        changes(&sealed),
        [
            ("a", true, false, None),
            ("a2", false, true, Some("a")),
            ("b", true, false, None),
            ("b2", false, true, Some("b")),
            ("c2", false, true, None),
            ("d", true, false, None),
            ("d/sub", true, false, None),
            ("d/sub/y", true, false, None),
            ("d/x", true, false, None),
            ("e", false, true, Some("d")),
            ("e/sub", false, true, Some("d/sub")),
            ("e/sub/y", false, true, Some("d/sub/y")),
            ("e/x", false, true, Some("d/x")),
        ]
    );
    project.integrate(&sealed.change_set).unwrap();
    assert_eq!(project.tree()["e/x"], "- edited");
    assert_eq!(project.tree()["e/sub/y"], "- y");
}

#[test]
fn the_before_side_is_what_the_attempt_saw() {
    let project = Project::new(&[("a", "one"), ("gone", "one")]);
    let view = project.work(&[], &["**"]);
    write(&view, "a", "mine").unwrap();
    view.unlink(view.root(), "gone").unwrap();
    fs::write(project.at("a"), "the user's").unwrap();
    fs::write(project.at("gone"), "the user's").unwrap();
    let sealed = project.seal(view);
    assert!(sealed.change_set.changes.iter().all(|change| change.before == entry("one")));
    let result = project.integrate(&sealed.change_set);
    let Err(crate::IntegrateError::Conflict(conflicts)) = result else { panic!("{result:?}") };
    assert_eq!(conflicts.len(), 2);
    assert!(conflicts.iter().all(|conflict| conflict.found == entry("the user's")));
    assert_eq!(project.tree()["a"], "- the user's");
}

#[test]
fn reading_one_version_and_replacing_another_is_refused() {
    let project = Project::new(&[("a", "one"), ("b", "one"), ("c", "one")]);
    let view = project.work(&[], &["**"]);
    for path in ["a", "b", "c"] {
        read(&view, path).unwrap();
        fs::write(project.at("new"), "the user's").unwrap();
        fs::rename(project.at("new"), project.at(path)).unwrap();
    }
    write(&view, "a", "one, edited").unwrap();
    view.unlink(view.root(), "b").unwrap();
    let result = view.seal(&*project.store);
    assert!(matches!(&result, Err(SealError::BaseChanged(paths)) if *paths == ["a", "b"]));
}

#[test]
fn sealing_is_a_second_wall() {
    let project = Project::new(&[("a", "a")]);
    let view = project.work(&["**"], &[]);
    // As if an operation had forgotten to ask.
    let mut tree = view.0.lock();
    let counted = crate::upper::Counted::new(&view.upper.meter).unwrap();
    let made = tree.add_dir(crate::tree::ROOT, "d".into(), None, Some(counted));
    tree.attach(crate::tree::ROOT, "d", crate::node::Child::Dir(made)).unwrap();
    drop(tree);
    let result = view.seal(&*project.store);
    assert!(matches!(&result, Err(SealError::NotGranted(path)) if path == "d"), "{result:?}");
}

#[test]
fn a_candidate_is_the_base_with_the_changes_in_it() {
    let files = [("a", "a"), ("d/x", "x"), ("d/y", "y"), ("gone/z", "z"), ("kept/k", "k")];
    let project = Project::new(&files);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    write(&view, "a", "new a").unwrap();
    view.rename(root, "d", root, "e").unwrap();
    view.unlink(root, "gone/z").unwrap();
    view.rmdir(root, "gone").unwrap();
    write(&view, "kept/n", "n").unwrap();
    view.symlink("kept/n", root, "l").unwrap();
    let sealed = project.seal(view);
    let base = project.base();
    let look = |reads: &[&str]| {
        let blobs: Arc<dyn Blobs> = Arc::clone(&project.store) as Arc<dyn Blobs>;
        ReadView::of_candidate(&base, &sealed.change_set, blobs, grants(reads, &[])).unwrap()
    };
    let all = look(&["**"]);
    assert_eq!(names(&all, "."), ["a", "e", "kept", "l"]);
    assert_eq!(names(&all, "e"), ["x", "y"]);
    assert_eq!(names(&all, "kept"), ["k", "n"]);
    assert_eq!(read(&all, "a").unwrap(), "new a");
    assert_eq!(read(&all, "l").unwrap(), "n");
    assert_eq!(read(&all, "kept/k").unwrap(), "k");
    fails(read(&all, "d/x"), "NoEntry");
    fails(all.open(root, "a", true, WRITE), "ReadOnly");
    let some = look(&["a"]);
    assert_eq!(names(&some, "."), ["a"]);
    fails(read(&some, "e/x"), "NoEntry");
    let observed = all.observe("a").unwrap();
    assert!(matches!(observed, idumb_core::Observed::File { digest, .. }
        if digest == Digest::of(b"new a")));
}

#[test]
fn a_malformed_candidate_is_refused() {
    let project = Project::new(&[("a", "a")]);
    let of = |paths: &[&str]| {
        let change = |path: &&str| Change {
            path: (*path).to_owned(),
            before: None,
            after: Some(Entry::Dir),
            renamed_from: None,
        };
        ChangeSet { changes: paths.iter().map(change).collect() }
    };
    for paths in
        [&["../x"][..], &["/x"], &["x/"], &["x//y"], &["./x"], &["b", "a"], &["b", "b"], &["x\0"]]
    {
        let blobs: Arc<dyn Blobs> = Arc::clone(&project.store) as Arc<dyn Blobs>;
        let changes = of(paths);
        let view = ReadView::of_candidate(&project.base(), &changes, blobs, Grants::default());
        assert_eq!(view.unwrap_err().kind(), io::ErrorKind::InvalidData, "{paths:?}");
        let result = project.integrate(&changes);
        assert!(matches!(result, Err(crate::IntegrateError::Malformed(_))), "{paths:?}");
    }
}

#[test]
fn diffs_show_what_the_digests_say() {
    let project = Project::new(&[("a.txt", "one\ntwo\n"), ("bin", "a\0b"), ("gone", "text")]);
    let view = project.work(&[], &["**"]);
    write(&view, "a.txt", "one\nTWO\n").unwrap();
    write(&view, "bin", "c\0d").unwrap();
    write(&view, "new", "no newline").unwrap();
    view.unlink(view.root(), "gone").unwrap();
    let changes = project.seal(view).change_set;
    let base = project.base();
    let diff = |path: &str| unified_diff(&changes, path, &base, &*project.store);
    let expected = "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n";
    assert_eq!(diff("a.txt").unwrap(), expected);
    let new = diff("new").unwrap();
    assert!(new.starts_with("nothing becomes file\n--- /dev/null\n+++ b/new\n"), "{new}");
    assert!(new.contains("+no newline\n\\ No newline at end of file"), "{new}");
    assert!(matches!(diff("bin"), Err(DiffError::NotText(_))));
    assert!(matches!(diff("other"), Err(DiffError::NotChanged(_))));
    // What stood there before was kept, whatever stands there now.
    project.integrate(&changes).unwrap();
    assert_eq!(diff("a.txt").unwrap(), expected);
    assert!(diff("gone").unwrap().contains("-text"));
    project.store.put(Digest::of(b"text"), b"else");
    assert!(matches!(diff("gone"), Err(DiffError::Io { .. })));
    project.store.remove(Digest::of(b"text"));
    assert!(matches!(diff("gone"), Err(DiffError::Unavailable { .. })));
}

#[test]
fn a_carriage_return_hides_no_line_of_a_diff() {
    let project = Project::new(&[("a", "one\rtwo\r")]);
    let view = project.work(&[], &["**"]);
    write(&view, "a", "one\r-two\n").unwrap();
    let changes = project.seal(view).change_set.changes;
    let found = hunks(&changes[0], None, &project.base(), &*project.store).unwrap();
    let end = "\\ No newline at end of file";
    assert_eq!(found, format!("@@ -1 +1 @@\n-one\rtwo\r\n{end}\n+one\r-two\n"));
}

#[test]
fn what_no_diff_shows_is_not_kept() {
    let long = "line\n".repeat(1 << 20);
    let files = [("bin", "a\0b"), ("long", long.as_str()), ("old", "moved"), ("x", "x")];
    let project = Project::new(&files);
    let view = project.work(&[], &["**"]);
    for path in ["bin", "long", "x"] {
        write(&view, path, "").unwrap();
    }
    view.rename(view.root(), "old", view.root(), "new").unwrap();
    project.seal(view);
    let is_kept = |content: &str| project.store.open(Digest::of(content.as_bytes())).is_ok();
    assert_eq!(files.map(|(_, content)| is_kept(content)), [false, false, true, true]);
}

#[test]
fn a_renamed_file_is_compared_with_what_it_was() {
    let project = Project::new(&[("old", "one\ntwo\n")]);
    let view = project.work(&[], &["**"]);
    view.rename(view.root(), "old", view.root(), "new").unwrap();
    write(&view, "new", "one\nTWO\n").unwrap();
    let changes = project.seal(view).change_set.changes;
    let [new, old] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(new.renamed_from.as_deref(), Some("old"));
    let lines = |from| hunks(new, from, &project.base(), &*project.store).unwrap();
    assert_eq!(lines(Some(old)), "@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n");
    assert_eq!(lines(None), "@@ -0,0 +1,2 @@\n+one\n+TWO\n");
}

#[test]
fn content_that_is_moved_is_kept_even_if_it_was_written_back() {
    let project = Project::new(&[("a", "a"), ("b", "b")]);
    let view = project.work(&[], &["**"]);
    write(&view, "a", "a").unwrap();
    view.rename(view.root(), "a", view.root(), "moved").unwrap();
    write(&view, "b", "b").unwrap();
    view.link(view.root(), "b", false, view.root(), "linked").unwrap();
    project.integrate(&project.seal(view).change_set).unwrap();
    let expected = [("b", "- b"), ("linked", "- b"), ("moved", "- a")];
    assert_eq!(project.tree(), expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
}

#[test]
fn what_changed_so_far_leaves_the_view_to_go_on() {
    let project = Project::new(&[("a", "a"), ("b", "b"), ("d/x", "x"), ("d/y", "y")]);
    let view = project.work(&[], &["**"]);
    let root = view.root();
    let open = file(view.open(root, "new", true, CREATE).unwrap());
    open.write_at(b"written, not closed", 0).unwrap();
    write(&view, "a", "first").unwrap();
    view.rename(root, "d", root, "e").unwrap();
    view.unlink(root, "b").unwrap();
    let first = view.changes_so_far(&*project.store, || false).unwrap();
    let after = |changes: &ChangeSet, path: &str| {
        changes.changes.iter().find(|change| change.path == path).map(|change| change.after.clone())
    };
    assert_eq!(
        first.paths().collect::<Vec<_>>(),
        "a b d d/x d/y e e/x e/y new".split(' ').collect::<Vec<_>>()
    );
    assert_eq!(after(&first, "new"), Some(entry("written, not closed")));
    assert_eq!(after(&first, "a"), Some(entry("first")));
    let mut kept = String::new();
    project.store.open(Digest::of(b"first")).unwrap().read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "first", "its content is kept");

    open.append(b", and more").unwrap();
    write(&view, "a", "a").unwrap();
    write(&view, "b", "second").unwrap();
    view.rename(root, "e", root, "d").unwrap();
    let sealed = project.seal(view).change_set;
    assert_eq!(sealed.paths().collect::<Vec<_>>(), ["b", "new"]);
    assert_eq!(after(&sealed, "b"), Some(entry("second")));
    assert_eq!(after(&sealed, "new"), Some(entry("written, not closed, and more")));
    assert_eq!(after(&first, "a"), Some(entry("first")), "what was said then stays");
}

/// The walls of sealing stand on the way too.
#[test]
fn what_changed_so_far_is_refused_as_sealing_is() {
    let project = Project::new(&[("a", "a")]);
    let view = project.work(&[], &["**"]);
    read(&view, "a").unwrap();
    fs::write(project.at("a"), "somebody else's").unwrap();
    write(&view, "a", "mine").unwrap();
    let so_far = view.changes_so_far(&*project.store, || false).unwrap_err();
    assert!(matches!(so_far, SealError::BaseChanged(_)), "{so_far}");
    assert_eq!(so_far.to_string(), view.seal(&*project.store).unwrap_err().to_string());
}

#[test]
fn after_a_command_everything_counts_as_read() {
    let project = Project::new(&[("a", "a")]);
    let view = project.reading(&["**"]);
    names(&view, ".");
    view.note_all_read();
    let record = view.record();
    let changed = std::collections::BTreeSet::from(["deep/down"]);
    assert_eq!(record.stale_read(&changed), Some(("", "deep/down")), "{record:?}");
}
