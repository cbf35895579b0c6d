//! A candidate as layers for the kernel's overlayfs: the user's tree below, what differs on top.
//!
//! Invariant: what is made here lies in the room alone; the user's tree is the lower layer, which
//! overlayfs never writes to.
//!
//! The room holds `upper` (what differs), `work` (overlayfs's own), `merged` (where the tree
//! appears, to those who see the mount), and `lower`, a link to the base, so that no path of the
//! user's has to be quoted in the options of a mount.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use idumb_core::{Blobs, Change, ChangeSet, Digest, Entry};
use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::copy::set_modified;
use super::place::{Placing, nowhere, open_parent};
use super::plan::Plan;
use super::walk::{Look, Walk};
use super::{Counts, LeftOut, ScratchOptions, at, clear, make_root};
use crate::base::{is_absent, parent};
use crate::{Base, Kind};

/// Mounts and goes on as another program, in namespaces of its own: `$1` is the room, `$2` which
/// directory the base is. It looks for programs where the system's are, whatever the environment
/// says. `userxattr`: without it the kernel wants more rights than a user has.
const MOUNT: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin && cd \"$1\" && \
    [ \"$(stat -Lc %d:%i lower)\" = \"$2\" ] && \
    mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work overlay merged && \
    shift 2 && exec \"$@\"";

/// Of util-linux. `PATH` is not asked: it may be anybody's.
const UNSHARE: &str = "/usr/bin/unshare";

/// A candidate's tree, ready to be mounted.
///
/// While it is mounted the user's tree shows through as it is at that moment. Who takes what a
/// command said of it for evidence compares [`fingerprint`](super::fingerprint) before and after.
#[must_use = "somebody has to remove it"]
#[derive(Debug)]
pub struct Layers {
    /// The directory that all of it is in; the host's own, no command should see it.
    pub room: PathBuf,
    /// Which tree it is: see [`fingerprint`](super::fingerprint).
    pub digest: Digest,
    /// How it came about.
    pub counts: Counts,
    /// What is not in it as it is in the base, in the order of paths.
    pub left_out: Vec<LeftOut>,
    /// Which directory the base is.
    lower: String,
}

impl Layers {
    /// Where the tree appears, to the program that [`Self::enter`] starts and what that starts.
    pub fn merged(&self) -> PathBuf {
        self.room.join("merged")
    }

    /// The command line that runs `program` (a name or path, and its arguments) where the tree is
    /// mounted: in a user namespace, as its root, and a mount namespace, which end with it. That
    /// alone confines nothing: `program` is a sandbox (such as bubblewrap, which can be told
    /// which user a command is), or a probe.
    ///
    /// It fails, and does not run `program`, if the mount does, or if the base is not where it
    /// was opened any more.
    pub fn enter<S: AsRef<OsStr>>(&self, program: impl IntoIterator<Item = S>) -> Vec<OsString> {
        let before =
            [UNSHARE, "--user", "--map-root-user", "--mount", "--", "/bin/sh", "-c", MOUNT];
        let own = [OsStr::new("sh"), self.room.as_os_str(), OsStr::new(&self.lower)];
        let mut line: Vec<OsString> = before.iter().map(OsString::from).collect();
        line.extend(own.map(OsString::from));
        line.extend(program.into_iter().map(|word| word.as_ref().to_owned()));
        line
    }

    /// Where what was written to the tree is, when nothing has it mounted any more: files that are
    /// new, or were changed. What stands there instead of what was deleted is no file.
    pub fn written(&self) -> PathBuf {
        self.room.join("upper")
    }

    /// Removes the room with what a command wrote: see [`clear()`](super::clear()).
    ///
    /// # Errors
    /// As [`clear()`](super::clear()).
    pub fn remove(self) -> io::Result<()> {
        clear(&self.room)
    }
}

/// Makes in `room` what [`Layers`] are of: the same tree as [`materialise`](super::materialise)
/// makes, by what differs. It costs a look at each inode of the base, and the change-set.
///
/// Other than there, a file that the host may not read is in the listing of the tree.
///
/// # Errors
/// As [`materialise`](super::materialise). Besides, `Unsupported`: another file system is mounted
/// in the base, which would not show through, or something in it is another user's or group's,
/// which could not be written to.
pub fn layer(
    base: &Base,
    change_set: &ChangeSet,
    blobs: &Arc<dyn Blobs>,
    room: &Path,
    options: &ScratchOptions,
) -> io::Result<Layers> {
    let plan = Plan::new(change_set, options)?;
    let held = make_root(room)?;
    let made = fill(base, &plan, &**blobs, room, &held, options);
    // The first trouble is the one to tell; a full disk can also make clearing up fail.
    made.inspect_err(|_| drop(clear(room)))
}

fn fill(
    base: &Base,
    plan: &Plan<'_>,
    blobs: &dyn Blobs,
    room: &Path,
    held: &OwnedFd,
    options: &ScratchOptions,
) -> io::Result<Layers> {
    let root = base.open_dir("")?;
    let root = rfs::fstat(&root)?;
    for name in ["upper", "work", "merged"] {
        rfs::mkdirat(held, name, Mode::RWXU)?;
    }
    rfs::symlinkat(base.path(), held, "lower")?;
    let walk = Walk::new(base, plan, options, Some(held))?;
    let mut seen = walk.run(&Look)?;
    if let Some(why) = seen.no_layer {
        let why = format!("layers would not serve: {why}");
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let mut upper = Upper { base, plan, dir: Base::open(room.join("upper"))?, made: Vec::new() };
    upper.made.push((String::new(), root));
    let digest = seen.digest(plan);
    for path in &seen.hidden {
        upper.hide(path)?;
    }
    for path in plan.gone() {
        if upper.reach(parent(path))? {
            let path = CString::new(path).map_err(io::Error::other)?;
            upper.white_out(&path)?;
        }
    }
    let place = Placing { blobs, spent: walk.spent() };
    for (path, after) in plan.placed() {
        if !upper.reach(parent(path))? {
            return Err(nowhere(path));
        }
        let dir = open_parent(&upper.dir, path)?;
        place.put(&dir, path, after)?;
        if *after == Entry::Dir {
            upper.make_opaque(path)?;
        }
        seen.counts.placed += 1;
    }
    upper.settle()?;
    seen.counts.bytes += place.spent.bytes();
    Ok(Layers {
        room: room.to_owned(),
        digest,
        counts: seen.counts,
        left_out: seen.left_out,
        lower: format!("{}:{}", root.st_dev, root.st_ino),
    })
}

/// The layer that is being made.
struct Upper<'a> {
    base: &'a Base,
    plan: &'a Plan<'a>,
    dir: Base,
    /// Directories that are only here because something in them is, with the base's own.
    made: Vec<(String, Stat)>,
}

impl Upper<'_> {
    /// Sees to it that the layer has the directory at `path`; `false`: the candidate has none.
    fn reach(&mut self, path: &str) -> io::Result<bool> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for above in ends.map(|end| &path[..end]).filter(|above| !above.is_empty()) {
            match self.dir.open_dir(above) {
                Ok(_) => continue,
                Err(Errno::NOENT) => {}
                // A whiteout, or what the change-set put there.
                Err(errno) if is_absent(errno) => return Ok(false),
                Err(errno) => return Err(at(above)(errno)),
            }
            if self.plan.hides(above) || self.plan.hides_above(above) {
                return Ok(false);
            }
            let found = match self.base.open_at(above, OFlags::PATH) {
                Ok(fd) => rfs::fstat(&fd).map_err(at(above))?,
                Err(errno) if is_absent(errno) => return Ok(false),
                Err(errno) => return Err(at(above)(errno)),
            };
            if Kind::from(FileType::from_raw_mode(found.st_mode)) != Kind::Dir {
                return Ok(false);
            }
            let dir = open_parent(&self.dir, above)?;
            let mode = Mode::from_raw_mode(found.st_mode & 0o777) | Mode::RWXU;
            rfs::mkdirat(&dir, crate::base::last_name(above), mode).map_err(at(above))?;
            self.made.push((above.to_owned(), found));
        }
        Ok(true)
    }

    /// Keeps a name of the base from showing through.
    fn hide(&mut self, path: &CStr) -> io::Result<()> {
        let bytes = path.to_bytes();
        let end = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        // Only the last name can be anything but text.
        let above = String::from_utf8_lossy(&bytes[..end]).into_owned();
        if self.reach(&above)? { self.white_out(path) } else { Ok(()) }
    }

    /// Says that nothing is there. The directory must be there.
    fn white_out(&self, path: &CStr) -> io::Result<()> {
        let shown = path.to_string_lossy();
        let root = self.dir.open_dir("")?;
        let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
        match rfs::mknodat(&root, path, kind, mode, 0) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(at(&shown)(errno)),
        }
    }

    /// Says that nothing of the base is in the directory.
    fn make_opaque(&self, path: &str) -> io::Result<()> {
        let dir = self.dir.open_dir(path).map_err(at(path))?;
        let set = rfs::fsetxattr(&dir, "user.overlay.opaque", b"y", XattrFlags::empty());
        set.map_err(at(path))
    }

    /// Gives directories in which nothing changed the times that they have in the base.
    fn settle(&self) -> io::Result<()> {
        let mut changed: Vec<&str> = self.plan.placed().map(|(path, _)| parent(path)).collect();
        changed.extend(self.plan.gone().map(parent));
        changed.sort_unstable();
        for (path, stat) in &self.made {
            let dir = self.dir.open_dir(path).map_err(at(path))?;
            let mode = Mode::from_raw_mode(stat.st_mode & 0o777) | Mode::RWXU;
            rfs::fchmod(&dir, mode).map_err(at(path))?;
            if changed.binary_search(&path.as_str()).is_err() {
                set_modified(dir.as_fd(), stat).map_err(at(path))?;
            }
        }
        Ok(())
    }
}

/// Whether [`Layers`] can be mounted here, with the room in `place`, an existing directory of the
/// host's: makes two small ones in it, enters, and looks. It takes some 20 ms; the answer stays
/// the same until the machine's settings change.
///
/// # Errors
/// Why not: `Unsupported`, with what the programs said; `NotFound` if one is not there.
pub fn layers_work(place: &Path) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let room = place.join(format!("probe-{}-{count}", std::process::id()));
    // An earlier process of this number left it when it was killed.
    clear(&room)?;
    let held = make_root(&room)?;
    let tried = probe(&room, &held);
    let cleared = clear(&room);
    tried.and(cleared)
}

fn probe(room: &Path, held: &OwnedFd) -> io::Result<()> {
    rfs::mkdirat(held, "base", Mode::RWXU)?;
    for dir in ["base/stays", "base/anew"] {
        rfs::mkdirat(held, dir, Mode::RWXU)?;
    }
    for file in ["base/gone", "base/stays/file", "base/anew/file"] {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rfs::openat(held, file, flags, Mode::RUSR | Mode::WUSR)?;
    }
    let change = |path: &str, after| Change {
        path: path.to_owned(),
        before: None,
        after,
        renamed_from: None,
    };
    let changes = vec![change("anew", Some(Entry::Dir)), change("gone", None)];
    let base = Base::open(room.join("base"))?;
    let (none, options): (Arc<dyn Blobs>, _) = (Arc::new(Nothing), ScratchOptions::default());
    let layers = layer(&base, &ChangeSet { changes }, &none, &room.join("room"), &options)?;
    let look = "cd \"$0\" && test -e stays/file && test ! -e gone && test ! -e anew/file && \
        echo x > stays/file && rm stays/file";
    let line =
        layers.enter([OsStr::new("sh"), "-c".as_ref(), look.as_ref(), layers.merged().as_ref()]);
    let [program, args @ ..] = line.as_slice() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let output = Command::new(program).args(args).stdin(Stdio::null()).output()?;
    // Whatever the programs say, the base must be as it was.
    let untouched = rfs::statat(held, "base/stays/file", AtFlags::SYMLINK_NOFOLLOW);
    match (output.status.success(), untouched) {
        (true, Ok(stat)) if stat.st_size == 0 => Ok(()),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let why = format!("overlayfs cannot be used here: {}", said.trim());
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        }
    }
}

/// The blobs of a change-set that has no files.
struct Nothing;

impl Blobs for Nothing {
    fn open(&self, _: Digest) -> io::Result<std::fs::File> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn keep(&self, _: &mut dyn io::Read) -> io::Result<(Digest, u64)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
