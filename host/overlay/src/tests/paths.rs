//! Hostile paths: each case with `openat2` and without it.

use super::*;
use crate::Kind;
use idumb_core::Observed;
use rustix::fs::{FileType, Mode, mknodat};

fn outside(project: &Project, content: &str) {
    fs::write(project.dir.path().join("secret"), content).unwrap();
}

#[test]
fn nothing_leads_above_the_root() {
    both(&[("a.txt", "a"), ("dir/sub/b.txt", "b")], |project| {
        outside(project, "secret");
        let view = project.work(&["**"], &["**"]);
        let root = view.root();
        for path in [
            "..",
            "../",
            "../secret",
            "dir/../../secret",
            "dir/sub/../../../secret",
            "./../secret",
            "/etc/passwd",
            "//etc/passwd",
            "/",
            "dir/../..",
        ] {
            fails(view.open(root, path, true, OpenFlags::READ), "NotPermitted");
            fails(view.stat(root, path, false), "NotPermitted");
            fails(view.open(root, path, true, CREATE), "NotPermitted");
            fails(view.mkdir(root, path), "NotPermitted");
            fails(view.unlink(root, path), "NotPermitted");
            fails(view.rmdir(root, path), "NotPermitted");
            fails(view.rename(root, "a.txt", root, path), "NotPermitted");
            fails(view.rename(root, path, root, "stolen"), "NotPermitted");
            fails(view.link(root, path, true, root, "stolen"), "NotPermitted");
            fails(view.symlink("a.txt", root, path), "NotPermitted");
            fails(view.observe(path), "NotPermitted");
        }
        assert!(denials(&view).iter().all(|denial| denial.reason == DenialReason::Escapes));
        assert_eq!(read(&view, "dir/sub/../../a.txt").unwrap(), "a");
        let Opened::Dir(sub) = view.open(root, "dir/sub", true, OpenFlags::READ).unwrap() else {
            panic!()
        };
        fails(view.stat(sub, "../../../secret", true), "NotPermitted");
    });
}

#[test]
fn nothing_leads_above_the_directory_that_a_path_starts_from() {
    let files =
        [("a.txt", "a"), ("dir/b.txt", "b"), ("dir/sub/", ""), ("dir/sub/up -> ../b.txt", "")];
    both(&files, |project| {
        let view = project.work(&["**"], &["**"]);
        let root = view.root();
        let held = |path: &str| match view.open(root, path, true, OpenFlags::READ).unwrap() {
            Opened::Dir(dir) => dir,
            Opened::File(_) => panic!("{path} is a file"),
        };
        let (dir, sub) = (held("dir"), held("dir/sub"));
        for path in ["..", "../b.txt", "../../a.txt", "./../b.txt", "../sub/up", "up"] {
            fails(view.stat(sub, path, true), "NotPermitted");
            fails(view.open(sub, path, true, OpenFlags::READ), "NotPermitted");
        }
        for path in ["../new", "../../new"] {
            fails(view.open(sub, path, true, CREATE), "NotPermitted");
            fails(view.mkdir(sub, path), "NotPermitted");
            fails(view.rename(sub, "up", sub, path), "NotPermitted");
            fails(view.link(sub, "up", false, sub, path), "NotPermitted");
            fails(view.symlink("up", sub, path), "NotPermitted");
        }
        fails(view.unlink(sub, "../b.txt"), "NotPermitted");
        assert!(denials(&view).iter().all(|denial| denial.reason == DenialReason::Escapes));
        // Within it, `..` and links lead wherever they lead.
        assert_eq!(view.stat(dir, "sub/../b.txt", true).unwrap().kind, Kind::File);
        assert_eq!(view.stat(dir, "sub/up", true).unwrap().kind, Kind::File);
        assert_eq!(view.stat(sub, "up", false).unwrap().kind, Kind::Symlink);
        // An observation starts from the root, wherever the link is that it goes through.
        let observed = view.observe("dir/sub/up").unwrap();
        assert!(matches!(observed, idumb_core::Observed::File { .. }), "{observed:?}");
    });
}

#[test]
fn links_do_not_lead_out_of_the_project_or_the_grant() {
    let files = [
        ("open/a.txt", "a"),
        ("closed/b.txt", "b"),
        ("open/absolute -> /etc", ""),
        ("open/proc -> /proc/self/root", ""),
        ("open/above -> ../../secret", ""),
        ("open/sideways -> ../closed", ""),
        ("open/file -> ../closed/b.txt", ""),
        ("open/fine -> ../open/a.txt", ""),
        ("open/slash -> ../closed/", ""),
        ("open/loop -> loop", ""),
    ];
    both(&files, |project| {
        outside(project, "secret");
        let view = project.work(&[], &["open/**"]);
        fails(read(&view, "open/absolute/passwd"), "NotPermitted");
        fails(read(&view, "open/proc/etc/passwd"), "NotPermitted");
        fails(read(&view, "open/above"), "NotPermitted");
        fails(write(&view, "open/above", "overwritten"), "NotPermitted");
        fails(read(&view, "open/sideways/b.txt"), "NoEntry");
        fails(read(&view, "open/slash/b.txt"), "NoEntry");
        fails(write(&view, "open/sideways/new.txt", "planted"), "NoEntry");
        fails(read(&view, "open/file"), "NoEntry");
        fails(write(&view, "open/file", "overwritten"), "NoEntry");
        fails(read(&view, "open/loop"), "Loop");
        assert_eq!(read(&view, "open/fine").unwrap(), "a");
        // The link itself may be looked at.
        assert_eq!(view.read_link(view.root(), "open/above").unwrap(), "../../secret");
        let denied = reasons(&view);
        // The whole path that was wanted: what a grant would have to name.
        for wanted in ["closed/b.txt", "closed/new.txt"] {
            assert!(denied.contains(&(wanted.into(), DenialReason::NotGranted)), "{denied:?}");
        }
        assert!(denied.contains(&("open/above".into(), DenialReason::Escapes)), "{denied:?}");
    });
}

#[test]
fn links_that_lead_out_cannot_be_planted() {
    both(&[("a.txt", ""), ("d/e/", "")], |project| {
        let view = project.work(&[], &["**"]);
        let root = view.root();
        for (target, at) in [
            ("/etc/passwd", "l"),
            ("..", "l"),
            ("../x", "l"),
            ("../../x", "d/l"),
            ("d/../../x", "l"),
            ("e/../../../x", "d/l"),
        ] {
            fails(view.symlink(target, root, at), "NotPermitted");
        }
        assert!(reasons(&view).iter().all(|(_, reason)| *reason == DenialReason::Escapes));
        // Harmless where it is made, and moved to where it is not.
        view.symlink("../../a.txt", root, "d/e/l").unwrap();
        fails(view.rename(root, "d/e/l", root, "l"), "NotPermitted");
        fails(view.link(root, "d/e/l", false, root, "l"), "NotPermitted");
        view.rename(root, "d/e", root, "e").unwrap();
        let sealed = view.seal(&*project.store);
        assert!(matches!(sealed, Err(crate::SealError::Escapes(path)) if path == "e/l"));
    });
}

#[test]
fn trailing_forms_are_decided_as_the_plain_path() {
    let files = [("d/f", "f"), ("d/l -> f", ""), ("ld -> d", ""), ("ldd -> d/", ""), ("h/x", "")];
    both(&files, |project| {
        let view = project.work(&["d/**", "ld/**", "ldd/**", "new/**", "n/**"], &[]);
        let root = view.root();
        for dir in ["d", "d/", "d//", "d/.", ".//d/./", "./d", "ld/", "ldd", "ldd/.", "d/../d"] {
            assert_eq!(view.stat(root, dir, true).unwrap().kind, Kind::Dir, "{dir}");
            assert_eq!(names(&view, dir), ["f", "l"], "{dir}");
        }
        assert_eq!(view.stat(root, "ld", false).unwrap().kind, Kind::Symlink);
        assert_eq!(view.stat(root, "ld/", false).unwrap().kind, Kind::Dir);
        for file in ["d/f/", "d/f/.", "d/f//", "d/l/", "d/f/.."] {
            fails(view.stat(root, file, true), "NotDirectory");
            fails(view.open(root, file, true, OpenFlags::READ), "NotDirectory");
        }
        for hidden in ["h", "h/", "h/.", "h//", "h/x", "h//x", "./h/./x", "d/../h"] {
            fails(view.stat(root, hidden, true), "NoEntry");
        }
        let denied = reasons(&view);
        assert!(denied.iter().all(|(path, _)| path == "h" || path == "h/x"), "{denied:?}");
        for dir in ["d", "d/", "d//", "d/f"] {
            fails(
                view.unlink(root, dir),
                if dir == "d/f" { "NotPermitted" } else { "IsDirectory" },
            );
        }
        for new in ["new", "new/", "new//"] {
            fails(view.mkdir(root, new), "NotPermitted");
        }
    });
}

#[test]
fn a_name_swapped_for_a_link_is_not_followed() {
    both(&[("d/f", "inside"), ("d/deep/g", "inside")], |project| {
        fs::create_dir_all(project.dir.path().join("outside/deep")).unwrap();
        fs::write(project.dir.path().join("outside/f"), "outside").unwrap();
        fs::write(project.dir.path().join("outside/deep/g"), "outside").unwrap();
        let view = project.reading(&["**"]);
        // The directory is known to be one; then it is swapped.
        assert_eq!(read(&view, "d/f").unwrap(), "inside");
        assert_eq!(view.stat(view.root(), "d/deep", true).unwrap().kind, Kind::Dir);
        fs::rename(project.at("d"), project.at("d.old")).unwrap();
        symlink(project.dir.path().join("outside"), project.at("d")).unwrap();
        assert!(read(&view, "d/f").is_err());
        assert!(read(&view, "d/deep/g").is_err());
        let Opened::Dir(d) = view.open(view.root(), "d", true, OpenFlags::READ).unwrap() else {
            panic!()
        };
        assert!(view.read_dir(d).is_err());
    });
}

#[test]
fn a_name_swapped_for_a_link_inside_is_not_followed_either() {
    both(&[("d/f", "open"), ("closed/f", "closed")], |project| {
        let view = project.reading(&["d/**"]);
        assert_eq!(read(&view, "d/f").unwrap(), "open");
        fs::rename(project.at("d"), project.at("d.old")).unwrap();
        symlink("closed", project.at("d")).unwrap();
        assert!(read(&view, "d/f").is_err());
        fs::remove_file(project.at("d")).unwrap();
        fs::rename(project.at("d.old"), project.at("d")).unwrap();
        fs::remove_file(project.at("d/f")).unwrap();
        symlink("../closed/f", project.at("d/f")).unwrap();
        assert!(read(&view, "d/f").is_err());
    });
}

#[test]
fn names_and_paths_have_limits() {
    both(&[("a.txt", "a")], |project| {
        let view = project.work(&[], &["**"]);
        let root = view.root();
        fails(view.stat(root, "a\0b", true), "Invalid");
        fails(view.stat(root, "", true), "NoEntry");
        fails(write(&view, "a.txt\0", "x"), "Invalid");
        fails(write(&view, &"n".repeat(256), "x"), "NameTooLong");
        write(&view, &"n".repeat(255), "x").unwrap();
        // Would collapse to `a.txt`.
        let long = format!("{}a.txt", "./".repeat(2100));
        fails(view.stat(root, &long, true), "NameTooLong");
        let short = format!("{}a.txt", "./".repeat(2000));
        assert_eq!(view.stat(root, &short, true).unwrap().kind, Kind::File);
        fails(view.symlink(&"t".repeat(4096), root, "l"), "NameTooLong");
        // A backslash is a character of a name here.
        write(&view, "..\\up", "x").unwrap();
        assert!(names(&view, ".").contains(&"..\\up".to_owned()));
    });
}

#[test]
fn forty_links_are_followed_and_no_more() {
    both(&[("0", "end")], |project| {
        for n in 1..=41 {
            symlink(format!("{}", n - 1), project.at(&n.to_string())).unwrap();
        }
        let view = project.reading(&["**"]);
        for (path, follows) in [("40", true), ("41", false)] {
            assert_eq!(fs::read(project.at(path)).is_ok(), follows, "Linux at {path}");
            assert_eq!(read(&view, path).is_ok(), follows, "{path}");
        }
        fails(read(&view, "41"), "Loop");
    });
}

#[test]
fn metacharacters_in_names_are_names() {
    let files = [("[ab].txt", "brackets"), ("a.txt", "a"), ("*", "star"), ("?", "question")];
    both(&files, |project| {
        let view = project.reading(&["[[]ab].txt", "[*]"]);
        assert_eq!(read(&view, "[ab].txt").unwrap(), "brackets");
        assert_eq!(read(&view, "*").unwrap(), "star");
        fails(read(&view, "a.txt"), "NoEntry");
        fails(read(&view, "?"), "NoEntry");
        assert_eq!(names(&view, "."), ["*", "[ab].txt"]);
        fails(read(&project.reading(&["a.txt"]), "*"), "NoEntry");
    });
}

#[test]
fn protected_names_stay_hidden_under_every_alias() {
    let files = [(".git/config", "git"), (".GIT2/x", ""), (".Env", "e"), (".env.local", "e")];
    both(&files, |project| {
        let view = project.work(&["**"], &["**"]);
        for name in [
            ".git",
            ".git/",
            ".git/config",
            ".GIT/config",
            ".Git/new",
            ".env",
            ".ENV",
            ".Env",
            ".env.local",
            ".e\u{200b}nv",
            ".\u{ff45}nv",
            "sub/.git/config",
            "idumb.toml",
            ".idumb/phases",
        ] {
            fails(view.stat(view.root(), name, true), "NoEntry");
            fails(view.observe(name), "NotPermitted");
            fails(view.unlink(view.root(), name), "NoEntry");
        }
        for name in [".git", ".GIT", ".env", ".ENV", "idumb.toml", ".envrc", ".e\u{200b}nv"] {
            fails(write(&view, name, "x"), "NotPermitted");
            fails(view.mkdir(view.root(), name), "NotPermitted");
            fails(view.symlink("a", view.root(), name), "NotPermitted");
        }
        assert_eq!(names(&view, "."), [".GIT2"]);
        assert!(reasons(&view).iter().all(|(_, reason)| *reason == DenialReason::Protected));
        // By name, and only that.
        let view = project.reading(&["**", ".git/config"]);
        assert_eq!(read(&view, ".git/config").unwrap(), "git");
        assert_eq!(names(&view, "."), [".GIT2", ".git"]);
    });
}

#[test]
fn special_files_are_seen_and_never_opened() {
    both(&[("a.txt", "a"), ("d/x", "")], |project| {
        let dir = fs::File::open(project.root()).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        for fifo in ["fifo", "d/fifo"] {
            mknodat(&dir, fifo, FileType::Fifo, mode, 0).unwrap();
        }
        let _listening = std::os::unix::net::UnixListener::bind(project.at("socket")).unwrap();
        let mut special = vec!["fifo", "socket"];
        // Only root may, and not everywhere; this one would be `/dev/null`.
        let null = rustix::fs::makedev(1, 3);
        if mknodat(&dir, "device", FileType::CharacterDevice, mode, null).is_ok() {
            special.push("device");
        }
        let view = project.work(&[], &["**"]);
        let root = view.root();
        for name in special {
            assert_eq!(view.stat(root, name, true).unwrap().kind, Kind::Other);
            fails(view.open(root, name, true, OpenFlags::READ), "NotPermitted");
            fails(view.open(root, name, true, WRITE), "NotPermitted");
            fails(view.open(root, name, true, CREATE), "NotPermitted");
            fails(view.open(root, name, true, OpenFlags::default()), "NotPermitted");
            fails(view.observe(name), "NotPermitted");
            fails(view.link(root, name, false, root, "other"), "NotPermitted");
            fails(view.rename(root, name, root, "other"), "NotPermitted");
            fails(view.rename(root, "a.txt", root, name), "NotPermitted");
            fails(view.unlink(root, name), "NotPermitted");
            fails(view.set_executable(root, name, true), "NotPermitted");
            assert!(names(&view, ".").contains(&name.to_owned()));
        }
        fails(view.rename(root, "d", root, "e"), "NotPermitted");
        assert!(reasons(&view).iter().all(|(_, reason)| *reason == DenialReason::SpecialFile));
        assert!(project.seal(view).change_set.changes.is_empty());
    });
}

#[test]
fn a_file_swapped_for_a_fifo_does_not_block() {
    both(&[("a.txt", "a")], |project| {
        let view = project.reading(&["**"]);
        assert_eq!(view.stat(view.root(), "a.txt", true).unwrap().kind, Kind::File);
        fs::remove_file(project.at("a.txt")).unwrap();
        let dir = fs::File::open(project.root()).unwrap();
        mknodat(dir, "a.txt", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        fails(view.open(view.root(), "a.txt", true, OpenFlags::READ), "NotPermitted");
    });
}

#[test]
fn what_the_host_may_not_read_is_an_access_error() {
    both(&[("closed/a.txt", "a"), ("b.txt", "b")], |project| {
        for (path, mode) in [("", 0o755), ("closed", 0o000), ("b.txt", 0o000)] {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(project.at(path), mode).unwrap();
        }
        fs::set_permissions(project.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let base = project.base();
        // Only root has to become somebody else, in a thread of its own.
        let is_root = fs::metadata("/proc/self")
            .is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if is_root {
                    let nobody = rustix::fs::Uid::from_raw(65534);
                    rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
                }
                let view = ReadView::of_base(&base, grants(&["**"], &[]));
                fails(read(&view, "b.txt"), "Access");
                fails(view.observe("b.txt"), "Access");
                fails(view.stat(view.root(), "closed/a.txt", true), "Access");
                fails(view.observe("closed/a.txt"), "Access");
                fails(view.observe("closed/absent"), "Access");
                fails(read(&view, "absent"), "NoEntry");
            });
        });
        fs::set_permissions(project.at("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    });
}

#[test]
fn names_that_are_not_text_are_not_there() {
    use std::os::unix::ffi::OsStrExt;
    both(&[("d/a.txt", "a")], |project| {
        let odd = std::ffi::OsStr::from_bytes(b"d/odd\xff");
        fs::write(project.root().join(odd), "x").unwrap();
        symlink(std::ffi::OsStr::from_bytes(b"\xff"), project.at("l")).unwrap();
        let view = project.work(&[], &["**"]);
        assert_eq!(names(&view, "d"), ["a.txt"]);
        assert_eq!(view.stat(view.root(), "l", false).unwrap().kind, Kind::Other);
        view.unlink(view.root(), "d/a.txt").unwrap();
        fails(view.rmdir(view.root(), "d"), "NotEmpty");
        fails(view.rename(view.root(), "d", view.root(), "e"), "NotPermitted");
    });
}

#[test]
fn the_pinned_root_wins_over_its_path() {
    both(&[("a.txt", "mine")], |project| {
        let view = project.work(&[], &["**"]);
        let base = view.0.base.clone();
        fs::rename(project.root(), project.dir.path().join("renamed")).unwrap();
        fs::create_dir(project.root()).unwrap();
        fs::write(project.at("a.txt"), "theirs").unwrap();
        assert_eq!(read(&view, "a.txt").unwrap(), "mine");
        write(&view, "a.txt", "changed").unwrap();
        let sealed = project.seal(view);
        let staging = project.dir.path().join("staging");
        let result = integrate(&base, &sealed.change_set, &*project.store, &staging);
        assert!(matches!(result, Err(crate::IntegrateError::RootMoved)), "{result:?}");
        assert_eq!(fs::read_to_string(project.at("a.txt")).unwrap(), "theirs");
    });
}

#[test]
fn observations_by_table() {
    let files = [
        ("d/f", "text"),
        ("l -> d/f", ""),
        ("ld -> d", ""),
        ("dangling -> d/none", ""),
        ("out -> /etc", ""),
        ("hidden/x", ""),
        ("to-hidden -> hidden/x", ""),
    ];
    both(&files, |project| {
        let view =
            project.reading(&["d/**", "l", "ld/**", "dangling", "out", "to-hidden", "no/**"]);
        let text =
            |path: &str| Observed::File { path: path.into(), digest: Digest::of(b"text"), size: 4 };
        let table = [
            ("d/f", text("d/f")),
            ("./d//f", text("d/f")),
            ("l", text("l")),
            ("ld/f", text("d/f")),
            ("d", Observed::Dir { path: "d".into() }),
            ("ld", Observed::Dir { path: "ld".into() }),
            (".", Observed::Dir { path: String::new() }),
            ("d/none", Observed::Absent { path: "d/none".into() }),
            ("no/such/path", Observed::Absent { path: "no/such/path".into() }),
            ("dangling", Observed::Symlink { path: "dangling".into() }),
            ("out", Observed::Symlink { path: "out".into() }),
            ("to-hidden", Observed::Symlink { path: "to-hidden".into() }),
        ];
        for (path, expected) in table {
            assert_eq!(view.observe(path).unwrap(), expected, "{path}");
        }
        for path in ["hidden/x", "hidden", "absent", "../x", "/x"] {
            fails(view.observe(path), "NotPermitted");
        }
        fails(view.observe("d/f/x"), "NotDirectory");
    });
}
