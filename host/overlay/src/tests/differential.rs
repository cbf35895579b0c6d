//! Random operations on a builder's view, and the same on a plain directory: what they answer,
//! what is seen, and what the project is after integration must be equal.

use super::*;
use crate::{Kind, NodeId};
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{self as rfs, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

const FILES: &[(&str, &str)] = &[
    ("a/a", "in a"),
    ("a/b/c", "deep"),
    ("b/a", "run"),
    ("b/b -> ../c", ""),
    ("b/c/", ""),
    ("c", "top"),
    ("d -> a", ""),
];

#[derive(Debug, Clone)]
enum Op {
    Open { path: String, flags: OpenFlags, follow: bool, data: String },
    OpenDir(String),
    Write { data: String, at: u16 },
    Append(String),
    SetLen(u16),
    Read,
    Close,
    Mkdir(String),
    Unlink(String),
    Rmdir(String),
    Rename(String, String),
    Link { old: String, new: String, follow: bool },
    Symlink { target: String, path: String },
    Stat { path: String, follow: bool },
    ReadLink(String),
    List(String),
    Executable(String, bool),
}

/// An operation, and which of the open files and directories it is done with.
type Chosen = (Op, prop::sample::Index);

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    let names = vec(name, 1..4).prop_map(|names| names.join("/"));
    prop_oneof![
        12 => names.clone(),
        1 => names.clone().prop_map(|path| format!("{path}/")),
        1 => names.clone().prop_map(|path| format!("{path}/.")),
        1 => names.clone().prop_map(|path| format!("./{path}//")),
        1 => names.clone().prop_map(|path| format!("a/../{path}")),
        1 => names.prop_map(|path| format!("{path}/..")),
        1 => Just(".".to_owned()),
    ]
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => path(),
        1 => prop::sample::select(vec!["../a", "../b/c", "..", "../c/"]).prop_map(str::to_owned),
    ]
}

fn flags() -> impl Strategy<Value = OpenFlags> {
    any::<[bool; 5]>().prop_map(|[read, write, create, exclusive, truncate]| OpenFlags {
        read,
        write,
        create,
        exclusive: create && exclusive,
        truncate,
        directory: false,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let data = || "[xyz]{0,6}";
    prop_oneof![
        6 => (path(), flags(), any::<bool>(), data())
            .prop_map(|(path, flags, follow, data)| Op::Open { path, flags, follow, data }),
        1 => path().prop_map(Op::OpenDir),
        2 => (data(), 0..20_u16).prop_map(|(data, at)| Op::Write { data, at }),
        1 => data().prop_map(Op::Append),
        1 => (0..20_u16).prop_map(Op::SetLen),
        2 => Just(Op::Read),
        1 => Just(Op::Close),
        3 => path().prop_map(Op::Mkdir),
        3 => path().prop_map(Op::Unlink),
        2 => path().prop_map(Op::Rmdir),
        6 => (path(), path()).prop_map(|(old, new)| Op::Rename(old, new)),
        2 => (path(), path(), any::<bool>())
            .prop_map(|(old, new, follow)| Op::Link { old, new, follow }),
        2 => (target(), path()).prop_map(|(target, path)| Op::Symlink { target, path }),
        2 => (path(), any::<bool>()).prop_map(|(path, follow)| Op::Stat { path, follow }),
        1 => path().prop_map(Op::ReadLink),
        1 => path().prop_map(Op::List),
        1 => (path(), any::<bool>()).prop_map(|(path, bit)| Op::Executable(path, bit)),
    ]
}

/// Both sides, and what is open on them.
struct Pair {
    view: WorkView,
    files: Vec<(FileHandle, fs::File, OpenFlags)>,
    dirs: Vec<(NodeId, OwnedFd)>,
}

type Answer = Result<String, String>;

fn seen(answer: Result<String, FsError>) -> Answer {
    answer.map_err(|error| name_of(&error))
}

fn plain(answer: Result<String, Errno>) -> Answer {
    answer.map_err(|errno| name_of(&FsError::from(errno)))
}

fn plain_io(answer: io::Result<String>) -> Answer {
    answer.map_err(|error| name_of(&FsError::from(error)))
}

fn done(_: ()) -> String {
    String::new()
}

fn oflags(flags: OpenFlags, follow: bool) -> OFlags {
    let mut oflags = match (flags.read, flags.write) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        _ => OFlags::RDONLY,
    };
    for (set, flag) in [
        (flags.create, OFlags::CREATE),
        (flags.exclusive, OFlags::EXCL),
        (flags.truncate, OFlags::TRUNC),
        (flags.directory, OFlags::DIRECTORY),
        (!follow, OFlags::NOFOLLOW),
    ] {
        oflags.set(flag, set);
    }
    oflags | OFlags::CLOEXEC
}

impl Pair {
    /// Does an operation on both sides; `Ok(None)`: the view has a rule of its own against it.
    fn apply(&mut self, (op, index): &Chosen) -> Option<(Answer, Answer)> {
        let (dir, fd) = &self.dirs[index.index(self.dirs.len())];
        let (dir, view) = (*dir, self.view.clone());
        let mode = Mode::from_raw_mode(0o666);
        let mine: Answer;
        let theirs: Answer;
        match op {
            Op::Open { path, flags, follow, data } => {
                let opened = view.open(dir, path, *follow, *flags);
                if matches!(opened, Err(FsError::NotPermitted)) {
                    return None;
                }
                let other = rfs::openat(fd, path, oflags(*flags, *follow), mode);
                if let (Ok(Opened::File(mine)), Ok(other)) = (&opened, &other) {
                    let other = fs::File::from(other.try_clone().unwrap());
                    if flags.write {
                        mine.write_at(data.as_bytes(), 1).unwrap();
                        other.write_all_at(data.as_bytes(), 1).unwrap();
                    }
                    self.files.push((mine.clone(), other, *flags));
                }
                let is_dir = |stat: rfs::Stat| rfs::FileType::from_raw_mode(stat.st_mode).is_dir();
                mine = seen(opened.map(|it| matches!(it, Opened::Dir(_)).to_string()));
                theirs = plain(other.map(|fd| is_dir(rfs::fstat(fd).unwrap()).to_string()));
            }
            Op::OpenDir(path) => {
                let flags = OpenFlags { directory: true, ..OpenFlags::READ };
                let opened = view.open(dir, path, true, flags);
                if matches!(opened, Err(FsError::NotPermitted)) {
                    return None;
                }
                let other = rfs::openat(fd, path, oflags(flags, true), mode);
                if let (Ok(Opened::Dir(id)), Ok(fd)) = (&opened, &other) {
                    self.dirs.push((*id, fd.try_clone().unwrap()));
                }
                mine = seen(opened.map(|_| String::new()));
                theirs = plain(other.map(|_| String::new()));
            }
            Op::Mkdir(path) => {
                mine = seen(view.mkdir(dir, path).map(done));
                theirs = self.unless_refused(&mine, || {
                    plain(rfs::mkdirat(fd, path, Mode::from_raw_mode(0o777)).map(done))
                })?;
            }
            Op::Unlink(path) => {
                mine = seen(view.unlink(dir, path).map(done));
                theirs = self.unless_refused(&mine, || {
                    plain(rfs::unlinkat(fd, path, AtFlags::empty()).map(done))
                })?;
            }
            Op::Rmdir(path) => {
                mine = seen(view.rmdir(dir, path).map(done));
                theirs = self.unless_refused(&mine, || {
                    plain(rfs::unlinkat(fd, path, AtFlags::REMOVEDIR).map(done))
                })?;
            }
            Op::Rename(old, new) => {
                mine = seen(view.rename(dir, old, dir, new).map(done));
                theirs = self
                    .unless_refused(&mine, || plain(rfs::renameat(fd, old, fd, new).map(done)))?;
            }
            Op::Link { old, new, follow } => {
                mine = seen(view.link(dir, old, *follow, dir, new).map(done));
                let flags = if *follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                theirs = self.unless_refused(&mine, || {
                    plain(rfs::linkat(fd, old, fd, new, flags).map(done))
                })?;
            }
            Op::Symlink { target, path } => {
                mine = seen(view.symlink(target, dir, path).map(done));
                theirs = self
                    .unless_refused(&mine, || plain(rfs::symlinkat(target, fd, path).map(done)))?;
            }
            Op::Stat { path, follow } => {
                mine = seen(view.stat(dir, path, *follow).map(|stat| shown(&stat)));
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                theirs = self.unless_refused(&mine, || {
                    plain(rfs::statat(fd, path, flags).map(plain_shown))
                })?;
            }
            Op::ReadLink(path) => {
                mine = seen(view.read_link(dir, path));
                let text = |text: std::ffi::CString| text.into_string().unwrap();
                theirs = self.unless_refused(&mine, || {
                    plain(rfs::readlinkat(fd, path, Vec::new()).map(text))
                })?;
            }
            Op::List(path) => {
                let flags = OpenFlags { directory: true, ..OpenFlags::READ };
                mine = seen(view.open(dir, path, true, flags).and_then(|it| listed(&view, &it)));
                theirs = self.unless_refused(&mine, || {
                    let fd = rfs::openat(fd, path, oflags(flags, true), mode);
                    plain(fd.and_then(plain_listed))
                })?;
            }
            Op::Executable(path, bit) => {
                let is_file = view.stat(dir, path, true).is_ok_and(|stat| stat.kind == Kind::File);
                if !is_file {
                    return None;
                }
                mine = seen(view.set_executable(dir, path, *bit).map(done));
                let mode = Mode::from_raw_mode(if *bit { 0o755 } else { 0o644 });
                theirs = plain(rfs::chmodat(fd, path, mode, AtFlags::empty()).map(done));
            }
            Op::Write { .. } | Op::Append(_) | Op::SetLen(_) | Op::Read | Op::Close => {
                return self.apply_to_file(op, index);
            }
        }
        Some((mine, theirs))
    }

    /// What the view refuses by a rule of its own is not done on the plain side either.
    fn unless_refused(&self, mine: &Answer, other: impl FnOnce() -> Answer) -> Option<Answer> {
        if matches!(mine, Err(name) if name == "NotPermitted") { None } else { Some(other()) }
    }

    fn apply_to_file(&mut self, op: &Op, index: &prop::sample::Index) -> Option<(Answer, Answer)> {
        if self.files.is_empty() {
            return None;
        }
        let at = index.index(self.files.len());
        let (mine, theirs, flags) = &self.files[at];
        Some(match op {
            Op::Write { data, at } if flags.write => (
                seen(mine.write_at(data.as_bytes(), u64::from(*at)).map(|_| String::new())),
                plain_io(theirs.write_all_at(data.as_bytes(), u64::from(*at)).map(done)),
            ),
            Op::Append(data) if flags.write => {
                let end = theirs.metadata().unwrap().len();
                (
                    seen(mine.append(data.as_bytes()).map(|_| String::new())),
                    plain_io(theirs.write_all_at(data.as_bytes(), end).map(done)),
                )
            }
            Op::SetLen(len) if flags.write => (
                seen(mine.set_len(u64::from(*len)).map(done)),
                plain_io(theirs.set_len(u64::from(*len)).map(done)),
            ),
            Op::Read => {
                if flags.read {
                    let mut bytes = vec![0; 100];
                    let n = theirs.read_at(&mut bytes, 0).unwrap();
                    assert_eq!(content(mine), String::from_utf8(bytes[..n].to_vec()).unwrap());
                }
                (
                    seen(mine.stat().map(|stat| shown(&stat))),
                    plain(rfs::fstat(theirs).map(plain_shown)),
                )
            }
            Op::Close => {
                self.files.swap_remove(at);
                return None;
            }
            _ => return None,
        })
    }
}

fn shown(stat: &crate::Stat) -> String {
    match stat.kind {
        Kind::File => format!("File {} {} {}", stat.size, stat.nlink, stat.executable),
        Kind::Symlink => format!("Symlink {} {}", stat.size, stat.nlink),
        kind => format!("{kind:?}"),
    }
}

fn plain_shown(stat: rfs::Stat) -> String {
    match Kind::from(rfs::FileType::from_raw_mode(stat.st_mode)) {
        Kind::File => {
            format!("File {} {} {}", stat.st_size, stat.st_nlink, stat.st_mode & 0o100 != 0)
        }
        Kind::Symlink => format!("Symlink {} {}", stat.st_size, stat.st_nlink),
        kind => format!("{kind:?}"),
    }
}

fn listed(view: &ReadView, opened: &Opened) -> Result<String, FsError> {
    let Opened::Dir(node) = opened else {
        return Err(FsError::NotDirectory);
    };
    let entries = view.read_dir(*node)?;
    Ok(format!("{:?}", entries.iter().map(|e| (&*e.name, e.kind)).collect::<Vec<_>>()))
}

fn plain_listed(fd: OwnedFd) -> Result<String, Errno> {
    let mut entries = Vec::new();
    for entry in rfs::Dir::new(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_str().unwrap().to_owned();
        if name != "." && name != ".." {
            entries.push((name, Kind::from(entry.file_type())));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(format!("{entries:?}"))
}

/// Everything a view shows, as [`tree_of`] shows a directory.
fn tree_in(view: &ReadView) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut left = vec![(view.root(), String::new())];
    while let Some((node, path)) = left.pop() {
        for entry in view.read_dir(node).unwrap() {
            let path = crate::base::join(&path, &entry.name);
            let what = match entry.kind {
                Kind::Dir => {
                    let opened = view.open(node, &entry.name, false, OpenFlags::READ).unwrap();
                    let Opened::Dir(id) = opened else { panic!("{path}") };
                    left.push((id, path.clone()));
                    "dir".to_owned()
                }
                Kind::Symlink => format!("-> {}", view.read_link(node, &entry.name).unwrap()),
                Kind::File => {
                    let bit = view.stat(node, &entry.name, false).unwrap().executable;
                    let bit = if bit { "x" } else { "-" };
                    format!("{bit} {}", read(view, &path).unwrap())
                }
                Kind::Other => "special".to_owned(),
            };
            tree.insert(path, what);
        }
    }
    tree
}

fn compare(ops: &[Chosen], openat2: bool) -> Result<(), TestCaseError> {
    let mut project = Project::in_memory(FILES);
    project.openat2 = openat2;
    let other = Project::in_memory(FILES);
    for project in [&project, &other] {
        let run = fs::Permissions::from_mode(0o755);
        fs::set_permissions(project.at("b/a"), run).unwrap();
    }
    let before = project.tree();
    let view = project.work(&[], &["**"]);
    let root = fs::File::open(other.root()).unwrap();
    let dirs = vec![(view.root(), OwnedFd::from(root))];
    let mut pair = Pair { view: view.clone(), files: Vec::new(), dirs };
    for (step, chosen) in ops.iter().enumerate() {
        if let Some((mine, theirs)) = pair.apply(chosen) {
            prop_assert_eq!(mine, theirs, "step {}: {:?}", step, chosen);
        }
    }
    let after = other.tree();
    prop_assert_eq!(&tree_in(&view), &after, "what the view shows");
    prop_assert_eq!(&project.tree(), &before, "the base, untouched");
    drop(pair);
    let sealed = match view.seal(&*project.store) {
        // A link was moved, in a directory, to where it leads out.
        Err(crate::SealError::Escapes(_)) => return Ok(()),
        sealed => sealed.unwrap(),
    };
    let blobs: Arc<dyn Blobs> = Arc::clone(&project.store) as Arc<dyn Blobs>;
    let base = project.base();
    let grants = grants(&["**"], &[]);
    let candidate = ReadView::of_candidate(&base, &sealed.change_set, blobs, grants).unwrap();
    prop_assert_eq!(&tree_in(&candidate), &after, "the candidate");
    project.integrate(&sealed.change_set).unwrap();
    prop_assert_eq!(&project.tree(), &after, "the project, integrated");
    let again = project.integrate(&sealed.change_set).unwrap();
    prop_assert!(again.changed.is_empty());
    let changes = sealed.change_set.paths().count();
    let differing =
        before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
    prop_assert_eq!(changes, differing.collect::<std::collections::BTreeSet<_>>().len());
    Ok(())
}

/// A view after the first operations, in a project of its own.
fn worked(ops: &[Chosen], at: Option<usize>) -> (Project, WorkView, Option<Attempted>) {
    let project = Project::in_memory(FILES);
    let other = Project::in_memory(FILES);
    let view = project.work(&[], &["**"]);
    let root = fs::File::open(other.root()).unwrap();
    let dirs = vec![(view.root(), OwnedFd::from(root))];
    let mut pair = Pair { view: view.clone(), files: Vec::new(), dirs };
    let mut then = None;
    for (step, chosen) in ops.iter().enumerate() {
        if at == Some(step) {
            then = Some(so_far(&project, &view));
        }
        pair.apply(chosen);
    }
    if at == Some(ops.len()) {
        then = Some(so_far(&project, &view));
    }
    (project, view, then)
}

/// What it would change, or why not.
type Attempted = Result<ChangeSet, String>;

fn so_far(project: &Project, view: &WorkView) -> Attempted {
    view.changes_so_far(&*project.store, || false).map_err(|error| error.to_string())
}

fn sealed(project: &Project, view: WorkView) -> Attempted {
    view.seal(&*project.store).map(|it| it.change_set).map_err(|error| error.to_string())
}

/// Asked on the way, it says what sealing then would have said; and asking changes nothing.
fn compare_on_the_way(ops: &[Chosen], at: usize) -> Result<(), TestCaseError> {
    let (asked, view, then) = worked(ops, Some(at));
    let (short, stopped_there, _) = worked(&ops[..at], None);
    let then = then.expect("it was asked");
    prop_assert_eq!(&then, &sealed(&short, stopped_there), "after {} operations", at);
    if let Ok(change_set) = then {
        let blobs: Arc<dyn Blobs> = Arc::clone(&asked.store) as Arc<dyn Blobs>;
        let everything = grants(&["**"], &[]);
        let candidate = ReadView::of_candidate(&asked.base(), &change_set, blobs, everything);
        short.integrate(&change_set).unwrap();
        prop_assert_eq!(tree_in(&candidate.unwrap()), short.tree(), "the candidate then");
    }
    let (never_asked, other, _) = worked(ops, None);
    prop_assert_eq!(sealed(&asked, view), sealed(&never_asked, other), "at the end");
    Ok(())
}

// PROPTEST_CASES=100000 for a long run.
proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_view_is_a_plain_directory(
        ops in vec((op(), any::<prop::sample::Index>()), 1..60),
        openat2: bool,
    ) {
        compare(&ops, openat2)?;
    }

    #[test]
    fn what_changed_so_far_is_what_sealing_then_gives(
        ops in vec((op(), any::<prop::sample::Index>()), 1..40),
        at: prop::sample::Index,
    ) {
        compare_on_the_way(&ops, at.index(ops.len() + 1))?;
    }
}
