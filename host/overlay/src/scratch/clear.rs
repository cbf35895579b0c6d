//! Removing a tree in which a command could do what it liked.
//!
//! Invariant: everything is removed by its name in a directory that is held; no link is followed
//! and no mount point entered. In memory is at most a number for each directory, and the handles
//! that are open are as many at any depth.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How directories are called, in the root of the tree, whose turn is still to come.
const TURN: &str = ".idumb-going-";

/// Removes the directory at `path` with everything in it, whatever a command made of it:
/// directories without permissions, links to anywhere, tens of thousands of levels. Nothing is
/// done if nothing is there, and a link is removed instead of what it points at.
///
/// Directories that are not empty are first moved to the top, one by one, so that no path is ever
/// long. No process may be at work in it any more. What is mounted in it stays, and what is left
/// then is the way there.
///
/// # Errors
/// The first trouble, with the path or the last name; what could be removed was. Such as
/// `ResourceBusy`: something is mounted in it; `PermissionDenied`: part of it is somebody else's.
pub fn clear(path: &Path) -> io::Result<()> {
    let say = |errno: Errno| named(errno, &path.to_string_lossy());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let there = match rfs::open(path, flags, Mode::empty()) {
        Ok(there) => there,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(say(errno)),
    };
    let kind = FileType::from_raw_mode(rfs::fstat(&there).map_err(say)?.st_mode);
    if kind != FileType::Directory {
        return rfs::unlink(path).map_err(say);
    }
    let root = open_for_listing(&there).map_err(say)?;
    let mut clearing =
        Clearing { root, next: 0, turns: Vec::new(), stuck: BTreeSet::new(), trouble: None };
    clearing.run();
    match clearing.trouble {
        Some(trouble) => Err(trouble),
        None => rfs::rmdir(path).map_err(say),
    }
}

struct Clearing {
    root: OwnedFd,
    /// The number of the next directory that is moved to the top.
    next: u64,
    /// Those that were, and whose turn is still to come.
    turns: Vec<u64>,
    /// Those that could not be removed.
    stuck: BTreeSet<u64>,
    trouble: Option<io::Error>,
}

/// What became of a name.
enum Became {
    Removed,
    /// It is at the top now.
    Moved,
    /// It stays.
    Stays,
}

impl Clearing {
    fn run(&mut self) {
        // Names that are made while a directory is listed may be listed or not, so until nothing
        // more happens.
        while self.pass(None) {
            while let Some(turn) = self.turns.pop() {
                self.turn(turn);
            }
        }
    }

    /// Empties and removes a directory that was moved to the top.
    fn turn(&mut self, turn: u64) {
        let name = format!("{TURN}{turn}");
        match self.open(&name) {
            Ok(dir) => loop {
                let changed = self.pass(Some(dir.as_fd()));
                match rfs::unlinkat(&self.root, &name, AtFlags::REMOVEDIR) {
                    Ok(()) => return,
                    Err(Errno::NOTEMPTY | Errno::EXIST) if changed => {}
                    Err(errno) => {
                        self.note(named(errno, &name));
                        break;
                    }
                }
            },
            Err(errno) => self.note(named(errno, &name)),
        }
        self.stuck.insert(turn);
    }

    /// Goes once through a directory, or through the root; whether anything changed.
    fn pass(&mut self, dir: Option<BorrowedFd<'_>>) -> bool {
        let is_root = dir.is_none();
        let own = if is_root { self.root.try_clone().ok() } else { None };
        let Some(dir) = dir.or(own.as_ref().map(AsFd::as_fd)) else {
            self.note(Errno::MFILE.into());
            return false;
        };
        let first = self.next;
        let entries = match rfs::Dir::read_from(dir) {
            Ok(entries) => entries,
            Err(errno) => {
                self.note(errno.into());
                return false;
            }
        };
        let mut changed = false;
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => {
                    self.note(errno.into());
                    break;
                }
            };
            let name = entry.file_name();
            let dots = matches!(name.to_bytes(), b"." | b"..");
            if dots || (is_root && self.is_settled(name, first)) {
                continue;
            }
            changed |= !matches!(self.name(dir, name, entry.file_type()), Became::Stays);
        }
        changed
    }

    /// Whether a name of the root was moved there by this pass, or cannot be removed.
    fn is_settled(&self, name: &CStr, first: u64) -> bool {
        let number = name.to_str().ok().and_then(|name| name.strip_prefix(TURN)?.parse().ok());
        number.is_some_and(|number| {
            (first..self.next).contains(&number) || self.stuck.contains(&number)
        })
    }

    fn name(&mut self, dir: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Became {
        if !matches!(kind, FileType::Directory | FileType::Unknown) {
            return self.unlink(dir, name);
        }
        match rfs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Became::Removed,
            Err(Errno::NOTDIR) => self.unlink(dir, name),
            // Some file systems say it the other way.
            Err(Errno::NOTEMPTY | Errno::EXIST) => self.move_up(dir, name),
            Err(errno) => self.stays(errno, name),
        }
    }

    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Became {
        match rfs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Became::Removed,
            Err(errno) => self.stays(errno, name),
        }
    }

    fn stays(&mut self, errno: Errno, name: &CStr) -> Became {
        self.note(named(errno, &name.to_string_lossy()));
        Became::Stays
    }

    /// Moves a directory to the top. One that cannot be written to cannot be moved either, so it
    /// is opened to its owner first.
    fn move_up(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Became {
        if let Err(errno) = open_to_owner(dir, name) {
            return self.stays(errno, name);
        }
        loop {
            let turn = self.next;
            self.next += 1;
            match rfs::renameat(dir, name, &self.root, format!("{TURN}{turn}")) {
                Ok(()) => {
                    self.turns.push(turn);
                    return Became::Moved;
                }
                // The command used that name too.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                Err(errno) => return self.stays(errno, name),
            }
        }
    }

    fn open(&self, name: &str) -> Result<OwnedFd, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        open_for_listing(&open_path(self.root.as_fd(), &name)?)
    }

    fn note(&mut self, error: io::Error) {
        self.trouble.get_or_insert(error);
    }
}

fn named(errno: Errno, name: &str) -> io::Error {
    super::at(name)(errno)
}

/// Names a directory without opening it; it is neither a link nor a mount point.
fn open_path(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rfs::openat2(dir, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => {}
        other => return other,
    }
    // Without openat2: a mount of the same file system is not told apart.
    let fd = rfs::openat(dir, name, flags, Mode::empty())?;
    if rfs::fstat(&fd)?.st_dev == rfs::fstat(dir)?.st_dev { Ok(fd) } else { Err(Errno::XDEV) }
}

/// Makes a directory usable for its owner.
fn open_to_owner(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    open_held(&open_path(dir, name)?)
}

fn open_held(held: &OwnedFd) -> Result<(), Errno> {
    let stat = rfs::fstat(held)?;
    if stat.st_mode & 0o700 == 0o700 {
        return Ok(());
    }
    // What is only named cannot be changed through its handle, but through the handle's name.
    rfs::chmod(format!("/proc/self/fd/{}", held.as_raw_fd()), Mode::RWXU)
}

/// Opens what is held for listing, after opening it to its owner.
fn open_for_listing(held: &OwnedFd) -> Result<OwnedFd, Errno> {
    open_held(held)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rfs::openat(held, c".", flags, Mode::empty())
}
