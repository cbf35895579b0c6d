//! Where content waits before it enters the tree, and where what leaves the tree is verified.
//!
//! Invariant: a slot's name follows from the change-set and the path, so that a later run finds
//! what an earlier one left; a slot never holds unfinished content under its own name.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use idumb_core::{Blobs, ChangeSet, Digest};
use rustix::fs::{self as rfs, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{IntegrateError, call};
use crate::Base;
use crate::base::{Found, STAGED, found_in, parent};

/// Where a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// In the staging directory.
    Staging,
    /// In the project's root, for a project on another file system than the staging directory.
    /// Not beside the path: a directory that is to go has to be empty.
    Root,
}

/// What a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The new content; after an exchange, what was there before.
    New,
    /// What was moved out of the tree.
    Out,
}

/// Every slot there can be for one path.
pub(super) const ALL: [(Side, Use); 4] = [
    (Side::Staging, Use::New),
    (Side::Staging, Use::Out),
    (Side::Root, Use::New),
    (Side::Root, Use::Out),
];

pub(super) struct Slots<'a> {
    base: &'a Base,
    staging: OwnedFd,
    change_set: Digest,
    /// Whether the file system can exchange two names; found out at the first try.
    pub(super) exchange: Cell<bool>,
}

/// A name in a directory that is held.
pub(super) struct Slot {
    pub(super) dir: OwnedFd,
    pub(super) name: String,
    /// Nobody but integration uses the name.
    ours: bool,
}

impl<'a> Slots<'a> {
    pub(super) fn open(
        base: &'a Base,
        change_set: &ChangeSet,
        staging: &Path,
        exchange: bool,
    ) -> Result<Self, IntegrateError> {
        match call::make_private_dir(staging) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(IntegrateError::os("")(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let staging = rfs::open(staging, flags, Mode::empty()).map_err(IntegrateError::os(""))?;
        let change_set = change_set.digest();
        Ok(Self { base, staging, change_set, exchange: Cell::new(exchange) })
    }

    /// The slot of a path.
    pub(super) fn slot(&self, path: &str, side: Side, what: Use) -> io::Result<Slot> {
        let tag = Digest::of(format!("{}\0{path}", self.change_set).as_bytes()).to_hex();
        let suffix = match what {
            Use::New => "",
            Use::Out => ".out",
        };
        let (dir, prefix) = match side {
            Side::Staging => (self.staging.try_clone()?, ""),
            Side::Root => (self.base.open_dir("")?, STAGED),
        };
        let name = format!("{prefix}{}{suffix}", &tag[..32]);
        Ok(Slot { dir, name, ours: true })
    }

    /// Makes the names in the staging directory durable.
    pub(super) fn sync(&self) -> Result<(), IntegrateError> {
        call::sync(&self.staging).map_err(IntegrateError::os(""))
    }
}

impl Slot {
    /// The name of the path itself, as a slot.
    pub(super) fn at(base: &Base, path: &str) -> Result<Self, Errno> {
        let dir = base.open_dir(parent(path))?;
        Ok(Self { dir, name: crate::base::last_name(path).to_owned(), ours: false })
    }

    pub(super) fn found(&self) -> Result<Option<Found>, crate::FsError> {
        found_in(&self.dir, &self.name)
    }

    /// Whether the directory that is there has no entries.
    pub(super) fn is_empty_dir(&self) -> Result<bool, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rfs::openat(&self.dir, &self.name, flags, Mode::empty())?;
        for entry in rfs::Dir::new(dir)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves this to a name that must be free.
    pub(super) fn move_to(&self, to: &Self) -> Result<(), Errno> {
        match call::rename_with(self, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.move_plainly(to),
            other => other,
        }
    }

    /// As [`Self::move_to`], where the file system has no such renaming. Out of the tree, whatever
    /// is there now has to come, so it is renamed. Into the tree, a second name fails if it is
    /// taken, which for directories and links must be looked at instead.
    fn move_plainly(&self, to: &Self) -> Result<(), Errno> {
        if self.ours {
            match call::link(self, to) {
                Ok(()) => return call::unlink(self),
                Err(Errno::PERM | Errno::NOTSUP) => {}
                Err(errno) => return Err(errno),
            }
        }
        match rfs::statat(&to.dir, &to.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => call::rename(self, to),
            Err(errno) => Err(errno),
        }
    }

    /// Exchanges what two names stand for, both of which must be there.
    pub(super) fn exchange(&self, with: &Self) -> Result<(), Errno> {
        call::rename_with(self, with, RenameFlags::EXCHANGE)
    }

    /// Removes what is there, if anything: a file, a link, or an empty directory.
    pub(super) fn remove(&self) -> Result<(), Errno> {
        match call::unlink(self) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => call::remove_dir(self),
            Err(errno) => Err(errno),
        }
    }

    /// Puts the content of `digest` here, finished and synced.
    pub(super) fn fill(
        &self,
        blobs: &dyn Blobs,
        digest: Digest,
        look: &Look,
    ) -> Result<bool, io::Error> {
        let part = self.part()?;
        part.remove()?;
        // The process's umask applies, as for any new file of the user's.
        let mode = Mode::from_raw_mode(if look.executable { 0o777 } else { 0o666 });
        let mut to = call::make_file(&part, mode)?;
        call::write(&mut blobs.open(digest)?, &mut to)?;
        look.apply(&to)?;
        call::sync(&to)?;
        // What is verified is what was written, not what was meant to be.
        io::Seek::rewind(&mut to)?;
        if Digest::of_reader(&to)?.0 != digest {
            part.remove()?;
            return Ok(false);
        }
        call::rename(&part, self)?;
        Ok(true)
    }

    /// Removes what a run that was cut short had begun to put here.
    pub(super) fn remove_part(&self) -> io::Result<()> {
        Ok(self.part()?.remove()?)
    }

    fn part(&self) -> io::Result<Self> {
        let name = format!("{}.part", self.name);
        Ok(Self { dir: self.dir.try_clone()?, name, ours: true })
    }
}

/// What a new file takes over from the one it replaces.
pub(super) struct Look {
    pub(super) executable: bool,
    /// Permission bits and owner of what it replaces.
    pub(super) like: Option<(u32, (u32, u32))>,
}

impl Look {
    fn apply(&self, file: impl AsFd) -> Result<(), Errno> {
        let file = file.as_fd();
        let Some((mode, owner)) = self.like else {
            return Ok(());
        };
        let own = rfs::fstat(file)?;
        if (own.st_uid, own.st_gid) != owner {
            match call::set_owner(file, owner) {
                // Only root may: then it belongs to whoever runs this, as with any editor.
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(errno),
            }
        }
        let mode = mode & 0o777;
        let mode = match (self.executable, mode & 0o100 != 0) {
            (true, false) => mode | 0o100 | (mode & 0o444) >> 2,
            (false, true) => mode & !0o111,
            _ => mode,
        };
        call::set_mode(file, mode)
    }
}
