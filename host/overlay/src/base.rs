//! The user's project tree, pinned by an open handle.
//!
//! Invariant: every access goes through [`Base::open_at`], from the pinned handle downwards,
//! and follows no symbolic link anywhere; nothing here writes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use idumb_core::{Digest, Entry};
use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::FsError;
use crate::halt::Halt;

/// What kind of thing stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A FIFO, socket or device: seen, never opened.
    Other,
}

impl From<FileType> for Kind {
    fn from(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Dir,
            FileType::Symlink => Self::Symlink,
            _ => Self::Other,
        }
    }
}

/// How names begin that integration uses in the project's root. No guest sees them.
pub(crate) const STAGED: &str = ".idumb-staged-";

/// After how many entries of a listing it is asked whether to go on.
const HALT_EVERY: usize = 1024;

/// The project's root directory; cheap to clone.
///
/// The handle stays on the same directory when the path it was opened by is renamed.
#[derive(Debug, Clone)]
pub struct Base(Arc<Pinned>, pub(crate) Halt);

#[derive(Debug)]
struct Pinned {
    dir: Dir,
    /// Only to see whether the root still stands where it was; never to reach into it.
    path: PathBuf,
    openat2: bool,
}

/// Which version of a file it is, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    inode: u64,
    size: u64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// The metadata of something in the base.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) executable: bool,
    pub(crate) accessed: Option<SystemTime>,
    pub(crate) modified: Option<SystemTime>,
    pub(crate) changed: Option<SystemTime>,
    pub(crate) fingerprint: Fingerprint,
    /// Permission bits, owner and group, as they stand.
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
}

/// One name in a directory of the base.
#[derive(Debug)]
pub(crate) struct Listed {
    /// `None`: the name is not UTF-8, so no guest can have it.
    pub(crate) name: Option<String>,
    pub(crate) kind: Kind,
}

fn time(seconds: i64, nanos: u64) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    base?.checked_add(Duration::from_nanos(nanos))
}

impl Probe {
    pub(crate) fn of(fd: impl AsFd) -> Result<Self, Errno> {
        let stat = rfs::fstat(fd)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Self {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            size,
            executable: stat.st_mode & 0o100 != 0,
            accessed: time(stat.st_atime, stat.st_atime_nsec),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
            fingerprint: Fingerprint {
                inode: stat.st_ino,
                size,
                modified: (stat.st_mtime, stat.st_mtime_nsec),
                changed: (stat.st_ctime, stat.st_ctime_nsec),
            },
            mode: stat.st_mode & 0o7777,
            owner: (stat.st_uid, stat.st_gid),
        })
    }
}

/// Whether an error of opening means that nothing stands there: the name is missing, or
/// something on the way is no directory (any more).
pub(crate) fn is_absent(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

impl Base {
    /// Pins the directory at `path`.
    ///
    /// # Errors
    /// Whatever opening it gives, `NotADirectory` included.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::pin(path.as_ref(), true)
    }

    /// As [`Self::open`], for the case that the kernel has no `openat2`.
    #[cfg(test)]
    pub(crate) fn open_without_openat2(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::pin(path.as_ref(), false)
    }

    fn pin(path: &Path, try_openat2: bool) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        let pinned = Pinned { dir, path, openat2: try_openat2 };
        let works = try_openat2 && pinned.openat2(".", OFlags::PATH).is_ok();
        Ok(Self(Arc::new(Pinned { openat2: works, ..pinned }), Halt::default()))
    }

    /// The same directory for one view, whose long operations end when its attempt does.
    pub(crate) fn for_a_view(&self) -> Self {
        Self(Arc::clone(&self.0), Halt::default())
    }

    /// Where the root was when it was pinned: for display.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether the root still stands at [`Self::path`].
    ///
    /// # Errors
    /// Any but that nothing stands there.
    pub fn is_in_place(&self) -> io::Result<bool> {
        let there = match rfs::stat(&self.0.path) {
            Ok(stat) => stat,
            Err(errno) if is_absent(errno) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let pinned = rfs::fstat(self.root())?;
        Ok((there.st_dev, there.st_ino) == (pinned.st_dev, pinned.st_ino))
    }

    fn root(&self) -> BorrowedFd<'_> {
        self.0.dir.as_fd()
    }

    /// Opens `path` (relative, no dots; the root is the empty text), following no link.
    ///
    /// A link as the last component gives the link itself with `OFlags::PATH`, and `LOOP` without.
    pub(crate) fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if path.is_empty() {
            return rfs::openat(self.root(), ".", flags, Mode::empty());
        }
        if !is_plain(path) {
            return Err(Errno::INVAL);
        }
        if self.0.openat2 {
            return self.0.openat2(path, flags);
        }
        match path.rsplit_once('/') {
            None => rfs::openat(self.root(), path, flags, Mode::empty()),
            Some((above, name)) => rfs::openat(self.walk(above)?, name, flags, Mode::empty()),
        }
    }

    /// Opens a directory one name at a time, for kernels without `openat2`.
    fn walk(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at: Option<OwnedFd> = None;
        for name in path.split('/') {
            let from = at.as_ref().map_or(self.root(), |fd| fd.as_fd());
            at = Some(rfs::openat(from, name, flags, Mode::empty())?);
        }
        at.ok_or(Errno::INVAL)
    }

    /// What stands at `path`; `None`: nothing.
    pub(crate) fn probe(&self, path: &str) -> Result<Option<Probe>, FsError> {
        Ok(self.peek(path)?.map(|(probe, _)| probe))
    }

    fn peek(&self, path: &str) -> Result<Option<(Probe, OwnedFd)>, Errno> {
        match self.open_at(path, OFlags::PATH) {
            Ok(fd) => Ok(Some((Probe::of(&fd)?, fd))),
            Err(errno) if is_absent(errno) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Opens a regular file for reading. Never blocks, and never opens a device.
    pub(crate) fn open_file(&self, path: &str) -> Result<(File, Probe), FsError> {
        // Opening a device can have effects of its own, so look before opening, and after it.
        let Some(probe) = self.probe(path)? else {
            return Err(FsError::NoEntry);
        };
        require_file(probe.kind)?;
        let fd = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let probe = Probe::of(&fd)?;
        require_file(probe.kind)?;
        Ok((File::from(fd), probe))
    }

    /// Opens a directory for listing, or as the place where names are changed.
    pub(crate) fn open_dir(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Everything in a directory, in no order; at most `most` and one more names.
    pub(crate) fn list(&self, path: &str, most: usize) -> Result<Vec<Listed>, FsError> {
        let fd = self.open_dir(path)?;
        let mut listed = Vec::new();
        for entry in rfs::Dir::read_from(&fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match rfs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode).into(),
                    Err(errno) if is_absent(errno) => continue,
                    Err(errno) => return Err(errno.into()),
                },
                known => known.into(),
            };
            if listed.len() % HALT_EVERY == 0 {
                self.1.check()?;
            }
            listed.push(Listed { name: name.to_str().ok().map(str::to_owned), kind });
            if listed.len() > most {
                break;
            }
        }
        Ok(listed)
    }

    /// The target of the link at `path`; `None`: it is not UTF-8.
    pub(crate) fn read_link(&self, path: &str) -> Result<Option<String>, FsError> {
        let fd = self.open_at(path, OFlags::PATH)?;
        Ok(rfs::readlinkat(&fd, "", Vec::new())?.into_string().ok())
    }

    /// What stands at `path` now, its content's digest included; `None`: nothing.
    pub(crate) fn found(&self, path: &str) -> Result<Option<Found>, FsError> {
        match self.open_dir(parent(path)) {
            Ok(dir) => found_in(&dir, last_name(path)),
            Err(errno) if is_absent(errno) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// What stands under `name` in a directory, its content's digest included; `None`: nothing.
pub(crate) fn found_in(dir: impl AsFd, name: &str) -> Result<Option<Found>, FsError> {
    let dir = dir.as_fd();
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match rfs::openat(dir, name, flags | OFlags::PATH, Mode::empty()) {
        Ok(fd) => fd,
        Err(errno) if is_absent(errno) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    Ok(Some(match Probe::of(&fd)?.kind {
        Kind::Dir => Found::Entry(Entry::Dir),
        Kind::Other => Found::Foreign,
        Kind::Symlink => match rfs::readlinkat(&fd, "", Vec::new())?.into_string() {
            Ok(target) => Found::Entry(Entry::Symlink { target }),
            Err(_) => Found::Foreign,
        },
        Kind::File => {
            let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
            let fd = rfs::openat(dir, name, flags, Mode::empty())?;
            let executable = Probe::of(&fd)?.executable;
            let (digest, size) = Digest::of_reader(File::from(fd))?;
            Found::Entry(Entry::File { digest, size, executable })
        }
    }))
}

/// What was found at a path of the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Something a change-set can describe.
    Entry(Entry),
    /// A FIFO, socket or device, or a link whose target is not UTF-8.
    Foreign,
}

impl Found {
    pub(crate) fn entry(self) -> Option<Entry> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Foreign => None,
        }
    }
}

impl Pinned {
    fn openat2(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rfs::openat2(self.dir.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }
}

fn require_file(kind: Kind) -> Result<(), FsError> {
    match kind {
        Kind::File => Ok(()),
        Kind::Dir => Err(FsError::IsDirectory),
        Kind::Symlink => Err(FsError::Loop),
        Kind::Other => Err(FsError::NotPermitted),
    }
}

/// Whether `path` is relative, and every name in it is one: the only paths the base is asked for.
pub(crate) fn is_plain(path: &str) -> bool {
    !path.contains('\0')
        && path.split('/').all(|name| !matches!(name, "" | "." | "..") && name.len() <= 255)
}

/// `dir` and `name` as one path; the root is the empty text.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// The directory that `path` is in.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The last name of `path`.
pub(crate) fn last_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
