//! What is in a tree, by either way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use idumb_core::{Change, Digest, Entry};
use proptest::prelude::*;
use rustix::fs::FileType;

use super::*;
use crate::tests::{both, grants, names, read, write};
use crate::{Kind, ReadView, WorkView};

fn all() -> ScratchOptions {
    ScratchOptions { exclude: Vec::new(), ..ScratchOptions::default() }
}

fn change(path: &str, after: Option<Entry>) -> Change {
    Change { path: path.to_owned(), before: None, after, renamed_from: None }
}

/// Everything in a view, as [`tree_of`] has it.
fn seen(view: &ReadView) -> BTreeMap<String, String> {
    let (mut tree, mut left) = (BTreeMap::new(), vec![String::new()]);
    while let Some(dir) = left.pop() {
        for name in names(view, if dir.is_empty() { "." } else { &dir }) {
            let path = crate::base::join(&dir, &name);
            let stat = view.stat(view.root(), &path, false).unwrap();
            let what = match stat.kind {
                Kind::Dir => {
                    left.push(path.clone());
                    "dir".to_owned()
                }
                Kind::Symlink => format!("-> {}", view.read_link(view.root(), &path).unwrap()),
                Kind::File => {
                    let bit = if stat.executable { "x" } else { "-" };
                    format!("{bit} {}", read(view, &path).unwrap())
                }
                Kind::Other => "special".to_owned(),
            };
            tree.insert(path, what);
        }
    }
    tree
}

const PATHS: [&str; 12] =
    ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/f", "g", "g/a", "g/h", "g/h/i"];

/// Makes something of the base, or not, at a path.
fn grow(project: &Project, (path, what): (usize, u8)) {
    let path = PATHS[path % PATHS.len()];
    let at = project.at(path);
    if fs::create_dir_all(at.parent().unwrap()).is_err() || fs::symlink_metadata(&at).is_ok() {
        return;
    }
    match what % 4 {
        0 => fs::create_dir(&at).unwrap(),
        1 => symlink(PATHS[usize::from(what) % 7], &at).unwrap(),
        _ => {
            fs::write(&at, format!("base {what}")).unwrap();
            let mode = if what % 3 == 0 { 0o755 } else { 0o644 };
            fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// Does something in a view, or is refused.
fn act(view: &WorkView, (path, other, what): (usize, usize, u8)) {
    let (path, other) = (PATHS[path % PATHS.len()], PATHS[other % PATHS.len()]);
    let root = view.root();
    let _ = match what % 7 {
        0 => view.mkdir(root, path),
        1 => view.unlink(root, path),
        2 => view.rmdir(root, path),
        3 | 4 => view.rename(root, path, root, other),
        5 => view.symlink(other, root, path),
        _ => write(view, path, &format!("work {what}"))
            .and_then(|()| view.set_executable(root, path, what % 2 == 0)),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_what_a_view_of_the_candidate_shows(
        base in prop::collection::vec((0_usize..12, any::<u8>()), 0..16),
        steps in prop::collection::vec((0_usize..12, 0_usize..12, any::<u8>()), 0..24),
        threads in 1_usize..4,
    ) {
        let project = Project::in_memory(&[]);
        base.into_iter().for_each(|step| grow(&project, step));
        let view = project.work(&[], &["**"]);
        steps.into_iter().for_each(|step| act(&view, step));
        let changes = project.seal(view).change_set;
        let all_reads = grants(&["**"], &[]);
        let base = project.base();
        let view = ReadView::of_candidate(&base, &changes, project.blobs(), all_reads).unwrap();
        let (expected, before) = (seen(&view), project.tree());

        let options = ScratchOptions { threads, ..ScratchOptions::default() };
        let made = project.materialise(&changes, &options).unwrap();
        prop_assert_eq!(&tree_of(&made.path), &expected);
        let digest = made.digest;
        made.remove().unwrap();

        let layers = project.layer(&changes, &options).unwrap();
        prop_assert_eq!(layers.digest, digest);
        if overlays(project.dir.path()) {
            let by = project.dir.path().join("by");
            fs::create_dir(&by).unwrap();
            prop_assert_eq!(&shown(&layers, &by), &expected);
        }
        layers.remove().unwrap();
        prop_assert_eq!(fingerprint(&base, &changes, &options).unwrap(), digest);
        prop_assert_eq!(project.tree(), before);
    }
}

#[test]
fn no_file_is_a_file_of_the_base() {
    // The large one shares its bytes, where the file system of temporary files can do that.
    let large = "large".repeat(100_000);
    let project = Project::new(&[("a", "a"), ("d/b", "b"), ("large", &large)]);
    let made = project.materialise(&ChangeSet::default(), &all()).unwrap();
    let before = project.tree();
    assert_eq!(tree_of(&made.path), before);
    assert_eq!(made.counts.reflinked + made.counts.copied, 3);
    for path in ["a", "d/b", "large"] {
        let (ours, theirs) = (made.path.join(path), project.at(path));
        assert_ne!(fs::metadata(&ours).unwrap().ino(), fs::metadata(&theirs).unwrap().ino());
        fs::write(&ours, "written by a command").unwrap();
        fs::set_permissions(&ours, fs::Permissions::from_mode(0o777)).unwrap();
    }
    assert_eq!(project.tree(), before);
    made.remove().unwrap();
}

#[test]
fn modes_and_times_are_the_bases_and_what_changed_is_new() {
    let project = Project::new(&[("run", "r"), ("d/plain", "p"), ("d/e/x", "x"), ("c", "c")]);
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    fs::set_permissions(project.at("run"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(project.at("d/plain"), fs::Permissions::from_mode(0o400)).unwrap();
    for path in ["run", "d/plain", "d/e/x", "c", "d/e", "d"] {
        fs::File::open(project.at(path)).unwrap().set_modified(then).unwrap();
    }
    let view = project.work(&[], &["**"]);
    write(&view, "c", "changed").unwrap();
    write(&view, "d/e/new", "new").unwrap();
    let changes = project.seal(view).change_set;
    let begun = SystemTime::now() - Duration::from_secs(2);
    let made = project.materialise(&changes, &all()).unwrap();
    let check = |root: &Path, paths: &[&str], new: &[&str]| {
        let modified = |path: &&str| fs::metadata(root.join(path)).unwrap().modified().unwrap();
        paths.iter().for_each(|path| assert_eq!(modified(path), then, "{path}"));
        new.iter().for_each(|path| assert!(modified(path) > begun, "{path}"));
    };
    check(&made.path, &["run", "d/plain", "d/e/x", "d"], &["c", "d/e/new", "d/e"]);
    assert_eq!(mode(&made.path.join("run")), 0o755);
    assert_eq!(mode(&made.path.join("d/plain")), 0o400);
    made.remove().unwrap();
    // In layers, what shows is the base itself; the directories on the way are copies.
    let layers = project.layer(&changes, &all()).unwrap();
    check(&layers.room.join("upper"), &["d"], &["c", "d/e/new", "d/e"]);
    layers.remove().unwrap();
}

#[test]
fn git_and_idumb_are_left_out_unless_asked_for() {
    let files =
        [(".git/HEAD", "h"), (".idumb/state/journal.db", "j"), ("target/o", "o"), ("a", "a")];
    both(&files, |project| {
        let entry = Entry::File { digest: Digest::of(b""), size: 0, executable: false };
        project.store.put(Digest::of(b""), b"");
        let add = |path: &str| change(path, Some(entry.clone()));
        let changes = ChangeSet { changes: [".git/new", "target/new"].map(add).to_vec() };
        let made = project.materialise(&changes, &ScratchOptions::default()).unwrap();
        let paths: Vec<String> = tree_of(&made.path).into_keys().collect();
        assert_eq!(paths, ["a", "target", "target/new", "target/o"]);
        assert_eq!(made.counts.excluded, 2);
        made.remove().unwrap();
        let exclude = vec!["target/**".parse().unwrap()];
        let options = ScratchOptions { exclude, ..ScratchOptions::default() };
        let made = project.materialise(&changes, &options).unwrap();
        let paths: Vec<String> = tree_of(&made.path).into_keys().collect();
        let git = [".git", ".git/HEAD", ".git/new"];
        assert_eq!(paths[..3], git);
        assert_eq!(paths[3..], [".idumb", ".idumb/state", ".idumb/state/journal.db", "a"]);
        made.remove().unwrap();
        let layers = project.layer(&changes, &ScratchOptions::default()).unwrap();
        for hidden in [".git", ".idumb"] {
            let whiteout = fs::symlink_metadata(layers.room.join("upper").join(hidden)).unwrap();
            assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
        }
        layers.remove().unwrap();
    });
}

#[test]
fn links_say_what_they_said_and_are_not_followed() {
    let project = Project::new(&[("d/", ""), ("up -> ../outside", "")]);
    let outside = project.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, project.at("d/abs")).unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"odd\xff"), project.at("d/odd")).unwrap();
    let made = project.materialise(&ChangeSet::default(), &all()).unwrap();
    assert_eq!(fs::read_link(made.path.join("d/abs")).unwrap(), outside);
    assert_eq!(fs::read_link(made.path.join("up")).unwrap(), Path::new("../outside"));
    assert_eq!(fs::read_link(made.path.join("d/odd")).unwrap().as_os_str().as_bytes(), b"odd\xff");
    assert_eq!((made.counts.links, made.counts.copied), (3, 0));
    made.remove().unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn what_is_no_place_for_a_tree_is_refused_and_left_alone() {
    let project = Project::new(&[("a", "a")]);
    let none = ChangeSet::default();
    let (into, other) = (project.scratch(), project.dir.path().join("other"));
    fs::create_dir(&other).unwrap();
    symlink(&other, &into).unwrap();
    assert_eq!(kind(project.materialise(&none, &all())), io::ErrorKind::NotADirectory);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    fs::remove_file(&into).unwrap();
    fs::create_dir(&into).unwrap();
    symlink("../other", into.join("a")).unwrap();
    assert_eq!(kind(project.materialise(&none, &all())), io::ErrorKind::DirectoryNotEmpty);
    assert!(into.join("a").is_symlink());
    fs::remove_file(into.join("a")).unwrap();
    project.materialise(&none, &all()).unwrap().remove().unwrap();
}

#[test]
fn a_place_in_the_base_is_not_in_itself() {
    let project = Project::new(&[("a", "a"), ("d/", "")]);
    let (none, into) = (ChangeSet::default(), project.at("d/tree"));
    let made = materialise(&project.base(), &none, &project.blobs(), &into, &all()).unwrap();
    assert_eq!(tree_of(&into).into_keys().collect::<Vec<_>>(), ["a", "d"]);
    made.remove().unwrap();
    let layers = layer(&project.base(), &none, &project.blobs(), &into, &all()).unwrap();
    assert!(fs::symlink_metadata(into.join("upper/d/tree")).unwrap().file_type().is_char_device());
    layers.remove().unwrap();
    assert_eq!(project.tree().len(), 2);
}

#[test]
fn special_files_and_names_that_are_not_text_are_left_out_and_listed() {
    let project = Project::new(&[("d/a", "a")]);
    let odd = project.root().join(std::ffi::OsStr::from_bytes(b"d/odd\xff"));
    fs::write(&odd, "x").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(project.at("d/sock")).unwrap();
    let fifo = (FileType::Fifo, Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, project.at("fifo"), fifo.0, fifo.1, 0).unwrap();
    let expected =
        [("d/odd\u{fffd}", Why::NotText), ("d/sock", Why::Special), ("fifo", Why::Special)];
    let expected = expected.map(|(path, why)| LeftOut { path: path.to_owned(), why });
    let made = project.materialise(&ChangeSet::default(), &all()).unwrap();
    assert_eq!(made.left_out, expected);
    assert_eq!(tree_of(&made.path).into_keys().collect::<Vec<_>>(), ["d", "d/a"]);
    made.remove().unwrap();
    let layers = project.layer(&ChangeSet::default(), &all()).unwrap();
    assert_eq!(layers.left_out, expected);
    if overlays(project.dir.path()) {
        let by = project.dir.path().join("by");
        fs::create_dir(&by).unwrap();
        assert_eq!(shown(&layers, &by).into_keys().collect::<Vec<_>>(), ["d", "d/a"]);
    }
    layers.remove().unwrap();
}

#[test]
fn what_the_host_may_not_read_is_left_out_and_listed() {
    let test = "scratch::tests::trees::what_the_host_may_not_read_is_left_out_and_listed";
    if !inside(test, &["-U"], "") {
        return;
    }
    let project = Project::new(&[("closed/a", "a"), ("b", "b"), ("c", "c")]);
    for path in ["closed", "b"] {
        fs::set_permissions(project.at(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let made = project.materialise(&ChangeSet::default(), &all()).unwrap();
    let expected = ["b", "closed"].map(|path| (path.to_owned(), Why::Unreadable));
    let left_out: Vec<_> = made.left_out.iter().map(|out| (out.path.clone(), out.why)).collect();
    assert_eq!(left_out, expected);
    assert_eq!(tree_of(&made.path).into_keys().collect::<Vec<_>>(), ["c", "closed"]);
    made.remove().unwrap();
    fs::set_permissions(project.at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn each_limit_is_an_error_that_says_so_and_leaves_nothing() {
    let project = Project::new(&[("d/e/f/a", "12345"), ("b", "67890")]);
    let over = ScratchOptions { until: Until::over(|| true), ..all() };
    for (options, expected) in [
        (ScratchOptions { most_entries: 4, ..all() }, "names"),
        (ScratchOptions { most_bytes: 9, ..all() }, "bytes"),
        (ScratchOptions { most_depth: 2, ..all() }, "inside each other"),
        (over, "ended"),
    ] {
        let error = project.materialise(&ChangeSet::default(), &options).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!project.scratch().try_exists().unwrap());
    }
    let just = ScratchOptions { most_entries: 5, most_bytes: 10, most_depth: 3, ..all() };
    project.materialise(&ChangeSet::default(), &just).unwrap().remove().unwrap();
}

#[test]
fn other_bytes_than_the_digest_says_are_an_error_that_leaves_nothing() {
    let project = Project::new(&[("a", "a")]);
    let view = project.work(&[], &["**"]);
    write(&view, "b", "the content").unwrap();
    let changes = project.seal(view).change_set;
    for wrong in ["the consent", "the content and more", "the"] {
        project.store.put(Digest::of(b"the content"), wrong.as_bytes());
        assert_eq!(kind(project.materialise(&changes, &all())), io::ErrorKind::InvalidData);
        assert!(!project.scratch().try_exists().unwrap());
        assert_eq!(kind(project.layer(&changes, &all())), io::ErrorKind::InvalidData);
        assert!(!project.scratch().try_exists().unwrap());
    }
}

#[test]
fn a_full_disk_is_an_error_that_leaves_nothing() {
    let test = "scratch::tests::trees::a_full_disk_is_an_error_that_leaves_nothing";
    let script = "mkdir -p \"${TMPDIR:-/tmp}\"; mount -t tmpfs -o size=128k tmpfs /mnt";
    if !inside(test, &["-Urm"], script) {
        return;
    }
    let project = Project::new(&[("a", "a"), ("d/large", &"x".repeat(1 << 20))]);
    let into = Path::new("/mnt/tree");
    let none = ChangeSet::default();
    let made = materialise(&project.base(), &none, &project.blobs(), into, &all());
    assert_eq!(kind(made), io::ErrorKind::StorageFull);
    assert!(!into.try_exists().unwrap());
}

#[test]
fn a_file_that_is_written_to_meanwhile_is_read_again_or_said_to_be_unsettled() {
    let single = ScratchOptions { threads: 1, ..all() };
    let large = "0".repeat(1 << 20);
    for (writes, content) in [(1, "old"), (3, "old"), (4, "old"), (1, large.as_str())] {
        let project = Project::in_memory(&[("busy", content)]);
        let path = project.at("busy");
        let mut left = writes;
        MEANWHILE.set(Some(Box::new(move || {
            if left > 0 {
                left -= 1;
                // Longer than a tick of the clock that the kernel stamps files by.
                std::thread::park_timeout(Duration::from_millis(20));
                fs::write(&path, format!("new {left}")).unwrap();
            }
        })));
        let made = project.materialise(&ChangeSet::default(), &single);
        MEANWHILE.set(None);
        let made = made.unwrap();
        if writes < 4 {
            assert_eq!(fs::read_to_string(made.path.join("busy")).unwrap(), "new 0");
            assert_eq!(made.left_out, []);
        } else {
            let out = LeftOut { path: "busy".to_owned(), why: Why::Unsettled };
            assert_eq!(made.left_out, [out]);
        }
        made.remove().unwrap();
    }
}

/// Raises a flag when it goes, also when a test fails.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_goes_and_comes_meanwhile_is_no_error() {
    let project = Project::in_memory(&[("d/e/stays", "stays")]);
    let done = AtomicBool::new(false);
    let mut vanished = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for number in 0..50 {
                    let at = project.at(&format!("d/{number}"));
                    fs::create_dir(&at).unwrap();
                    fs::write(at.join("file"), "x").unwrap();
                    fs::remove_dir_all(&at).unwrap();
                    fs::write(&at, "x").unwrap();
                    fs::remove_file(&at).unwrap();
                    symlink("stays", &at).unwrap();
                    fs::remove_file(&at).unwrap();
                }
            }
        });
        let _done = Raised(&done);
        // As often as it takes: on a machine with much to do, seldom does anything go in time.
        for round in 0..100_000 {
            let made = project.materialise(&ChangeSet::default(), &all()).unwrap();
            assert_eq!(fs::read_to_string(made.path.join("d/e/stays")).unwrap(), "stays");
            vanished += made.counts.vanished;
            made.remove().unwrap();
            if round >= 200 && vanished > 0 {
                break;
            }
        }
    });
    assert!(vanished > 0, "nothing went while it was looked at");
}

#[test]
fn the_digest_is_another_after_every_write() {
    let project = Project::new(&[("a", "one"), ("d/b", "b"), ("l -> a", "")]);
    let (base, none) = (project.base(), ChangeSet::default());
    let digest = || fingerprint(&base, &none, &all()).unwrap();
    let first = digest();
    assert_eq!(digest(), first);
    // The same size and time, and another content.
    let modified = fs::metadata(project.at("a")).unwrap().modified().unwrap();
    std::thread::park_timeout(Duration::from_millis(20));
    fs::write(project.at("a"), "two").unwrap();
    fs::File::options().write(true).open(project.at("a")).unwrap().set_modified(modified).unwrap();
    let second = digest();
    assert_ne!(second, first);
    fs::remove_file(project.at("l")).unwrap();
    symlink("b", project.at("l")).unwrap();
    let third = digest();
    assert_ne!(third, second);
    fs::set_permissions(project.at("d"), fs::Permissions::from_mode(0o711)).unwrap();
    let fourth = digest();
    assert_ne!(fourth, third);
    for change in [change("a", None), change("new", Some(Entry::Dir))] {
        let changes = ChangeSet { changes: vec![change] };
        assert_ne!(fingerprint(&base, &changes, &all()).unwrap(), fourth);
    }
}

#[test]
fn a_directory_that_the_change_set_names_does_not_show_the_bases() {
    let project = Project::new(&[("d/old", "old"), ("d/e/old", "old")]);
    let entry = Entry::File { digest: Digest::of(b"new"), size: 3, executable: false };
    project.store.put(Digest::of(b"new"), b"new");
    let changes = vec![change("d", Some(Entry::Dir)), change("d/new", Some(entry))];
    let changes = ChangeSet { changes };
    let made = project.materialise(&changes, &all()).unwrap();
    let expected = tree_of(&made.path);
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["d", "d/new"]);
    made.remove().unwrap();
    let layers = project.layer(&changes, &all()).unwrap();
    if overlays(project.dir.path()) {
        let by = project.dir.path().join("by");
        fs::create_dir(&by).unwrap();
        assert_eq!(shown(&layers, &by), expected);
    }
    layers.remove().unwrap();
}
