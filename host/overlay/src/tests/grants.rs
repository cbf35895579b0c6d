//! What grants let through, and that every other door is closed the same way.

use idumb_core::Bounds;

use super::*;
use idumb_core::{Limit, LimitReached};
use std::time::SystemTime;

#[test]
fn ungranted_is_not_there_and_read_only_is_not_permitted() {
    let files = [("src/a.rs", "a"), ("docs/b.md", "b"), ("secret/c", "c"), ("top", "t")];
    both(&files, |project| {
        let view = project.work(&["docs/**"], &["src/**"]);
        let root = view.root();
        assert_eq!(names(&view, "."), ["docs", "src"]);
        assert_eq!(read(&view, "docs/b.md").unwrap(), "b");
        for path in ["secret", "secret/c", "top", "absent", "absent/deep"] {
            fails(read(&view, path), "NoEntry");
            fails(view.stat(root, path, false), "NoEntry");
            fails(view.open(root, path, true, WRITE), "NoEntry");
            fails(view.unlink(root, path), "NoEntry");
            fails(view.rmdir(root, path), "NoEntry");
            fails(view.rename(root, path, root, "src/x"), "NoEntry");
            fails(view.link(root, path, true, root, "src/x"), "NoEntry");
            fails(view.read_link(root, path), "NoEntry");
            fails(view.set_times(root, path, true, Some(SystemTime::now()), None), "NoEntry");
            fails(view.set_executable(root, path, true), "NoEntry");
        }
        // Whether something is there makes no difference to what creating answers.
        for path in ["top", "absent"] {
            fails(view.open(root, path, true, CREATE), "NotPermitted");
            let exclusive = OpenFlags { exclusive: true, ..CREATE };
            fails(view.open(root, path, true, exclusive), "NotPermitted");
            fails(view.mkdir(root, path), "NotPermitted");
            fails(view.symlink("x", root, path), "NotPermitted");
            fails(view.rename(root, "src/a.rs", root, path), "NotPermitted");
            fails(view.link(root, "src/a.rs", true, root, path), "NotPermitted");
        }
        fails(view.open(root, "secret/new", true, CREATE), "NoEntry");
        {
            let path = "docs/b.md";
            fails(view.open(root, path, true, WRITE), "NotPermitted");
            fails(view.open(root, path, true, CREATE), "NotPermitted");
            fails(view.unlink(root, path), "NotPermitted");
            fails(view.rename(root, path, root, "src/b.md"), "NotPermitted");
            fails(view.rename(root, "src/a.rs", root, path), "NotPermitted");
            fails(view.set_times(root, path, true, None, Some(SystemTime::now())), "NotPermitted");
            fails(view.set_executable(root, path, true), "NotPermitted");
        }
        fails(view.open(root, "docs/new", true, CREATE), "NotPermitted");
        fails(view.rmdir(root, "docs"), "NotPermitted");
        fails(view.rename(root, "docs", root, "src/docs"), "NotPermitted");
        assert!(project.seal(view).change_set.changes.is_empty());
    });
}

#[test]
fn a_denial_says_what_and_which_line_would_allow_it() {
    let project = Project::new(&[("a/b.txt", "")]);
    let view = project.work(&["a/**"], &[]);
    for _ in 0..3 {
        fails(view.open(view.root(), "./a//b.txt", true, WRITE), "NotPermitted");
    }
    let denials = denials(&view);
    assert_eq!(denials.len(), 1);
    assert_eq!((denials[0].operation.as_str(), denials[0].count), ("open", 3));
    assert_eq!(denials[0].grant_line().unwrap(), r#"writes = ["a/b.txt"]"#);
}

/// Every door is the gate's: beyond a ceiling is like not granted, but for the reason.
#[test]
fn beyond_the_ceiling_is_not_there_whatever_is_granted() {
    let project = Project::new(&[("src/a.rs", "a"), ("docs/b.md", "b"), ("api", "a file")]);
    let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let most = Bounds { reads: globs(&["src/**", "api/*"]), writes: globs(&["docs/new/*"]) };
    let grants = Grants { ceiling: Some(most), ..grants(&["**"], &["**"]) };
    let upper = project.dir.path().join("upper");
    let view = WorkView::new(&project.base(), &upper, grants, Quota::default()).unwrap();
    let root = view.root();
    assert_eq!(names(&view, "."), ["docs", "src"], "`api` is no directory");
    assert_eq!(names(&view, "docs"), Vec::<String>::new());
    assert_eq!(read(&view, "src/a.rs").unwrap(), "a");
    fails(read(&view, "docs/b.md"), "NoEntry");
    fails(view.stat(root, "docs/b.md", true), "NoEntry");
    fails(read(&view, "api"), "NoEntry");
    fails(view.open(root, "src/a.rs", true, WRITE), "NotPermitted");
    fails(view.open(root, "top", true, CREATE), "NotPermitted");
    fails(view.mkdir(root, "docs/other"), "NotPermitted");
    view.mkdir(root, "docs/new").unwrap();
    view.open(root, "docs/new/c.md", true, CREATE).unwrap();
    fails(view.rename(root, "docs/new/c.md", root, "src/c.md"), "NotPermitted");
    let denials = denials(&view);
    assert!(!denials.is_empty());
    for denial in &denials {
        assert_eq!(denial.reason, DenialReason::BeyondCeiling, "{denial:?}");
        assert_eq!(denial.grant_line(), None, "no line of the plan can allow it");
    }
    let changes = project.seal(view).change_set.changes;
    let paths: Vec<String> = changes.into_iter().map(|change| change.path).collect();
    assert_eq!(paths, ["docs/new", "docs/new/c.md"]);
}

#[test]
fn a_view_that_reads_has_no_way_to_write() {
    both(&[("a.txt", "a")], |project| {
        let view = ReadView::of_base(&project.base(), grants(&["**"], &["**"]));
        let root = view.root();
        for flags in [
            WRITE,
            CREATE,
            OpenFlags { create: true, ..OpenFlags::READ },
            OpenFlags { truncate: true, ..OpenFlags::READ },
        ] {
            fails(view.open(root, "a.txt", true, flags), "ReadOnly");
        }
        let file = file(view.open(root, "a.txt", true, OpenFlags::READ).unwrap());
        fails(file.write_at(b"x", 0), "BadDescriptor");
        fails(file.append(b"x"), "BadDescriptor");
        fails(file.set_len(0), "Invalid");
        fails(file.set_times(None, Some(SystemTime::now())), "NotPermitted");
        assert!(matches!(view.refuse_write("mkdir", root, "d"), FsError::ReadOnly));
        assert_eq!(
            reasons(&view),
            [("a.txt", DenialReason::ReadOnlyView), ("d", DenialReason::ReadOnlyView)]
                .map(|(path, reason)| (path.to_owned(), reason))
        );
        // A builder's view, passed where only reading is wanted, does not write either.
        let work = project.work(&[], &["**"]);
        fails(ReadView::open(&work, root, "a.txt", true, WRITE), "ReadOnly");
    });
}

#[test]
fn opening_to_read_with_truncate_or_create_is_writing() {
    both(&[("ro.txt", "kept"), ("rw/a.txt", "a")], |project| {
        let view = project.work(&["**"], &["rw/**"]);
        let root = view.root();
        let truncate = OpenFlags { truncate: true, ..OpenFlags::READ };
        let create = OpenFlags { create: true, ..OpenFlags::READ };
        fails(view.open(root, "ro.txt", true, truncate), "NotPermitted");
        fails(view.open(root, "new.txt", true, create), "NotPermitted");
        view.open(root, "ro.txt", true, create).unwrap();
        assert_eq!(read(&view, "ro.txt").unwrap(), "kept");
        view.open(root, "rw/a.txt", true, truncate).unwrap();
        assert_eq!(read(&view, "rw/a.txt").unwrap(), "");
    });
}

#[test]
fn hard_links_need_the_right_to_write_at_both_ends() {
    both(&[("ro/a.txt", "kept"), ("rw/b.txt", "b")], |project| {
        let view = project.work(&["ro/**"], &["rw/**"]);
        let root = view.root();
        fails(view.link(root, "ro/a.txt", true, root, "rw/a.txt"), "NotPermitted");
        fails(view.link(root, "rw/b.txt", true, root, "ro/b.txt"), "NotPermitted");
        assert_eq!(denials(&view)[0].path, "ro/a.txt");
        view.link(root, "rw/b.txt", true, root, "rw/c.txt").unwrap();
        write(&view, "rw/c.txt", "both").unwrap();
        assert_eq!(read(&view, "rw/b.txt").unwrap(), "both");
    });
}

#[test]
fn a_name_hard_linked_in_the_base_is_a_file_of_its_own() {
    both(&[("ro/a.txt", "kept"), ("rw/", "")], |project| {
        fs::hard_link(project.at("ro/a.txt"), project.at("rw/a.txt")).unwrap();
        let view = project.work(&["ro/**"], &["rw/**"]);
        write(&view, "rw/a.txt", "changed").unwrap();
        assert_eq!(read(&view, "ro/a.txt").unwrap(), "kept");
        project.integrate(&project.seal(view).change_set).unwrap();
        assert_eq!(fs::read_to_string(project.at("ro/a.txt")).unwrap(), "kept");
        assert_eq!(fs::read_to_string(project.at("rw/a.txt")).unwrap(), "changed");
    });
}

#[test]
fn renaming_a_directory_needs_leave_for_all_that_moves() {
    let files = [
        ("plain/a", ""),
        ("git/.git/config", ""),
        ("mixed/ok/x", ""),
        ("mixed/no/x", ""),
        ("env/.env", ""),
    ];
    both(&files, |project| {
        let view =
            project.work(&[], &["plain/**", "git/**", "mixed/ok/**", "env/**", "to/**", "b/*"]);
        let root = view.root();
        fails(view.rename(root, "git", root, "to"), "NotPermitted");
        fails(view.rename(root, "mixed", root, "to"), "NotPermitted");
        fails(view.rename(root, "env", root, "to"), "NotPermitted");
        fails(view.rename(root, "plain", root, "elsewhere"), "NotPermitted");
        let denied = reasons(&view);
        assert!(denied.contains(&("git/.git".into(), DenialReason::Protected)), "{denied:?}");
        assert!(denied.contains(&("mixed/no".into(), DenialReason::NotGranted)), "{denied:?}");
        assert!(denied.contains(&("env/.env".into(), DenialReason::Protected)), "{denied:?}");
        // The place it goes to decides too, all the way down.
        view.mkdir(root, "plain/deep").unwrap();
        write(&view, "plain/deep/x", "").unwrap();
        fails(view.rename(root, "plain", root, "b"), "NotPermitted");
        view.rename(root, "plain", root, "to").unwrap();
        assert_eq!(names(&view, "to"), ["a", "deep"]);
    });
}

#[test]
fn a_directory_with_hidden_entries_is_not_empty() {
    let project = Project::new(&[("d/.env", ""), ("d/a", "")]);
    let view = project.work(&[], &["**"]);
    view.unlink(view.root(), "d/a").unwrap();
    assert!(names(&view, "d").is_empty());
    fails(view.rmdir(view.root(), "d"), "NotEmpty");
    view.mkdir(view.root(), "e").unwrap();
    fails(view.rename(view.root(), "e", view.root(), "d"), "NotEmpty");
}

#[test]
fn missing_directories_above_a_granted_file_can_be_made() {
    let project = Project::new(&[("x", "")]);
    let view = project.work(&[], &["src/gen/*.rs"]);
    let root = view.root();
    view.mkdir(root, "src").unwrap();
    view.mkdir(root, "src/gen").unwrap();
    write(&view, "src/gen/a.rs", "made").unwrap();
    fails(view.mkdir(root, "src/other"), "NotPermitted");
    fails(write(&view, "src/a.rs", ""), "NotPermitted");
    fails(write(&view, "src/gen/a.txt", ""), "NotPermitted");
    project.integrate(&project.seal(view).change_set).unwrap();
    assert_eq!(fs::read_to_string(project.at("src/gen/a.rs")).unwrap(), "made");
}

#[test]
fn a_file_on_the_way_to_a_grant_is_hidden() {
    let project = Project::new(&[("a/b", "a file"), ("l -> a", "")]);
    let view = project.work(&["a/b/*.rs", "l/x/*"], &[]);
    fails(read(&view, "a/b"), "NoEntry");
    assert!(names(&view, "a").is_empty());
    fails(view.read_link(view.root(), "l"), "NoEntry");
    assert_eq!(names(&view, "."), ["a"]);
}

#[test]
fn quotas_refuse() {
    let project = Project::new(&[("big.txt", &"x".repeat(600))]);
    let quota = Quota { bytes: 1000, files: 3, open_files: 2, depth: 2, listing: 4 };
    let view = project.work_within(&[], &["**"], quota);
    let root = view.root();
    write(&view, "a", &"x".repeat(500)).unwrap();
    let handle = file(view.open(root, "a", true, WRITE).unwrap());
    fails(handle.set_len(1 << 62), "Quota");
    fails(handle.write_at(b"x", 1 << 62), "Quota");
    fails(handle.write_at(b"x", u64::MAX), "FileTooLarge");
    assert_eq!(handle.stat().unwrap().size, 500);
    // A copy of a file of the base counts in full.
    let big = file(view.open(root, "big.txt", true, WRITE).unwrap());
    fails(big.append(b"x"), "Quota");
    assert_eq!(content(&big).len(), 600);
    fails(view.open(root, "a", true, OpenFlags::READ), "Quota");
    drop((big, handle));
    view.mkdir(root, "d").unwrap();
    view.mkdir(root, "d/e").unwrap();
    fails(view.mkdir(root, "d/e/f"), "Quota");
    fails(write(&view, "d/x", ""), "Quota");
    view.rmdir(root, "d/e").unwrap();
    write(&view, "d/x", "").unwrap();
    view.unlink(root, "d/x").unwrap();
    view.unlink(root, "a").unwrap();
    let usage = view.usage();
    assert_eq!((usage.bytes, usage.files, usage.open_files), (0, 1, 0));
    // A further name is charged, wherever it is moved, until it goes.
    write(&view, "x", "").unwrap();
    view.link(root, "x", false, root, "y").unwrap();
    view.rename(root, "y", root, "z").unwrap();
    assert_eq!(view.usage().files, 3);
    fails(view.link(root, "z", false, root, "y"), "Quota");
    view.unlink(root, "x").unwrap();
    view.unlink(root, "z").unwrap();
    assert_eq!(view.usage().files, 1);
    project.add(&[("m/1", ""), ("m/2", ""), ("m/3", ""), ("m/4", ""), ("m/5", "")]);
    let Opened::Dir(m) = view.open(root, "m", true, OpenFlags::READ).unwrap() else { panic!() };
    fails(view.read_dir(m), "Quota");
    fails(write(&view, &"n".repeat(256), ""), "NameTooLong");
    fails(view.stat(root, &"./".repeat(2100), true), "NameTooLong");
    let expected = [
        (Limit::Bytes, 1000, 3),
        (Limit::Files, 3, 2),
        (Limit::OpenFiles, 2, 1),
        (Limit::Depth, 2, 1),
        (Limit::Listing, 4, 1),
        (Limit::NameLength, 255, 1),
        (Limit::PathLength, 4095, 1),
    ];
    let expected = expected.map(|(limit, most, count)| LimitReached { limit, most, count });
    // What is recorded of a view, sealed or not, has them.
    assert_eq!(view.record().limits, expected);
    assert_eq!(project.seal(view).record.limits, expected);
}
