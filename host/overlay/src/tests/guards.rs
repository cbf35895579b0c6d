//! What one guard alone holds, where the tests by case would not miss it: each of these tests was
//! written since taking that guard out failed no other, or only one that works at random.
//!
//! Invariant: each fails with its guard taken out, and says by its name which one it is.

use super::*;
use crate::Kind;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;
use std::mem::MaybeUninit;

#[test]
fn a_plain_view_keeps_absolute_links_and_what_the_host_stages() {
    let staged = ".idumb-staged-x";
    let files = [(".env", "e"), ("d/f", "f"), ("out -> /etc", ""), (staged, "staged")];
    both(&files, |project| {
        fs::write(project.dir.path().join("secret"), "secret").unwrap();
        let upper = project.dir.path().join("upper");
        let view = WorkView::plain(&project.base(), &upper, Quota::default()).unwrap();
        let root = view.root();
        assert_eq!(read(&view, ".env").unwrap(), "e");
        // Any other link may be made, and leads nowhere if it leads out.
        view.symlink("../../secret", root, "d/up").unwrap();
        assert_eq!(view.read_link(root, "d/up").unwrap(), "../../secret");
        fails(read(&view, "d/up"), "NotPermitted");
        for target in ["/", "/etc/passwd", "//x"] {
            fails(view.symlink(target, root, "absolute"), "NotPermitted");
        }
        fails(view.read_link(root, "out"), "NotPermitted");
        fails(read(&view, "out/passwd"), "NotPermitted");
        assert!(reasons(&view).iter().all(|(_, reason)| *reason == DenialReason::Escapes));
        fails(read(&view, staged), "NoEntry");
        fails(write(&view, staged, "x"), "NotPermitted");
        assert_eq!(names(&view, "."), [".env", "d", "out"]);
    });
}

#[test]
fn what_an_absolute_link_says_stays_with_the_host() {
    both(&[("d/", ""), ("d/out -> /etc", ""), ("d/in -> f", "")], |project| {
        let view = project.work(&[], &["**"]);
        fails(view.read_link(view.root(), "d/out"), "NotPermitted");
        assert_eq!(reasons(&view), [("d/out".into(), DenialReason::Escapes)]);
        assert_eq!(view.read_link(view.root(), "d/in").unwrap(), "f");
    });
}

#[test]
fn a_name_with_nul_is_none_also_where_the_host_is_not_asked() {
    both(&[], |project| {
        let view = project.work(&[], &["**"]);
        let root = view.root();
        // Nothing of the base shows through there.
        view.mkdir(root, "made").unwrap();
        fails(write(&view, "made/a\0b", "x"), "Invalid");
        fails(view.mkdir(root, "made/a\0b"), "Invalid");
        fails(view.symlink("x", root, "made/a\0b"), "Invalid");
        assert!(names(&view, "made").is_empty());
    });
}

#[test]
fn what_hides_on_the_way_to_a_grant_is_not_replaced() {
    both(&[("x", "hidden"), ("d/f", "f")], |project| {
        let view = project.work(&[], &["d/**", "x/*"]);
        let root = view.root();
        fails(view.stat(root, "x", false), "NoEntry");
        // As a directory, it might be made.
        fails(view.mkdir(root, "x"), "NotPermitted");
        fails(view.rename(root, "d", root, "x"), "NotPermitted");
        assert_eq!(read(&view, "d/f").unwrap(), "f");
        assert!(project.seal(view).change_set.changes.is_empty());
    });
}

#[test]
fn a_newcomer_on_the_way_to_a_grant_is_not_taken_along() {
    both(&[("d/f", "f")], |project| {
        let view = project.work(&[], &["d/f", "d/x/y", "d/z/y", "e/**"]);
        let root = view.root();
        view.rename(root, "d", root, "e").unwrap();
        // Where it stands, only a directory of this name may be seen.
        project.add(&[("d/x", "secret"), ("d/z/y", "granted")]);
        assert_eq!(names(&view, "e"), ["f", "z"]);
        fails(view.stat(root, "e/x", false), "NoEntry");
        fails(read(&view, "e/x"), "NoEntry");
        assert_eq!(read(&view, "e/z/y").unwrap(), "granted");
    });
}

#[test]
fn a_newcomer_that_hides_is_not_looked_at() {
    both(&[("d/f", "f")], |project| {
        let view = project.work(&[], &["d/f", "e/**"]);
        let root = view.root();
        view.rename(root, "d", root, "e").unwrap();
        project.add(&[("d/secret", "secret")]);
        for name in ["e/secret", "e/absent"] {
            fails(view.stat(root, name, false), "NoEntry");
        }
        // Or else the attempt would go stale by what it may not see.
        let record = view.record();
        let looked: Vec<String> = record.reads.into_iter().map(|read| read.path).collect();
        assert_eq!(looked, ["d", "e"]);
    });
}

#[test]
fn no_absence_is_observed_behind_what_is_missing() {
    both(&[("d/f", "f")], |project| {
        let view = project.reading(&["d/**", "no/**"]);
        // Linux would answer the same, and nobody can say which path that is.
        for path in ["no/such/../../d/f", "no/such/../x", "no/../d/f"] {
            fails(view.observe(path), "NoEntry");
        }
    });
}

#[test]
fn every_refusal_of_a_special_file_is_on_record() {
    both(&[("f", "f")], |project| {
        let dir = fs::File::open(project.root()).unwrap();
        mknodat(&dir, "fifo", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let view = project.work(&[], &["**"]);
        let root = view.root();
        fails(view.open(root, "fifo", true, OpenFlags::READ), "NotPermitted");
        fails(view.observe("fifo"), "NotPermitted");
        fails(view.link(root, "fifo", true, root, "other"), "NotPermitted");
        fails(view.rename(root, "fifo", root, "other"), "NotPermitted");
        fails(view.set_executable(root, "fifo", true), "NotPermitted");
        fails(view.unlink(root, "fifo"), "NotPermitted");
        let denials = denials(&view);
        let mut operations: Vec<&str> = denials.iter().map(|it| it.operation.as_str()).collect();
        operations.sort_unstable();
        let all = ["link", "observe", "open", "rename", "set-executable", "unlink"];
        assert_eq!(operations, all);
        assert!(
            denials.iter().all(|it| it.reason == DenialReason::SpecialFile && it.path == "fifo")
        );
    });
}

/// Opening some devices does something by itself, so opening and then looking is too late.
#[test]
fn what_became_a_fifo_is_not_even_opened() {
    both(&[("a.txt", "a")], |project| {
        let view = project.reading(&["**"]);
        assert_eq!(view.stat(view.root(), "a.txt", true).unwrap().kind, Kind::File);
        fs::remove_file(project.at("a.txt")).unwrap();
        let dir = fs::File::open(project.root()).unwrap();
        mknodat(dir, "a.txt", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, project.at("a.txt"), WatchFlags::OPEN).unwrap();
        let opened = || {
            let mut buffer = [MaybeUninit::uninit(); 512];
            let mut reader = inotify::Reader::new(&watch, &mut buffer);
            reader.next().map(|event| event.events())
        };
        fails(view.open(view.root(), "a.txt", true, OpenFlags::READ), "NotPermitted");
        assert_eq!(opened().unwrap_err(), Errno::AGAIN, "it was opened");
        // The watch would have noticed.
        drop(fs::OpenOptions::new().read(true).write(true).open(project.at("a.txt")).unwrap());
        opened().unwrap();
    });
}

#[test]
fn the_base_is_asked_for_plain_paths_only() {
    both(&[("d/f", "f")], |project| {
        fs::write(project.dir.path().join("secret"), "secret").unwrap();
        let base = project.base();
        for path in ["..", "../secret", "d/../f", "d/..", "/etc/passwd", "d//f", "d/", ".", "d/./f"]
        {
            assert_eq!(base.open_at(path, OFlags::PATH).unwrap_err(), Errno::INVAL, "{path}");
        }
        base.open_at("d/f", OFlags::PATH).unwrap();
    });
}

#[test]
fn a_directory_does_not_move_into_itself() {
    both(&[("d/e/f", "f")], |project| {
        let view = project.work(&[], &["**"]);
        let root = view.root();
        for to in ["d/new", "d/e", "d/e/new"] {
            fails(view.rename(root, "d", root, to), "Invalid");
        }
        assert_eq!(read(&view, "d/e/f").unwrap(), "f");
    });
}

#[test]
fn no_file_is_made_under_a_name_with_a_slash_behind_it() {
    both(&[("d/f", "f"), ("d/l -> none", "")], |project| {
        let view = project.work(&[], &["**"]);
        for path in ["new/", "new//", "d/new/", "d/f/", "d/", "d/l/"] {
            fails(write(&view, path, "x"), "IsDirectory");
        }
        assert!(project.seal(view).change_set.changes.is_empty());
    });
}
