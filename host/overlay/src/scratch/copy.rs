//! Making the base's files anew: a reflink where the file system can, a copy elsewhere.
//!
//! Invariant: no file that is made here is a file of the base under another name; one that was
//! written to while it was read is read again, or said to be unsettled.

use std::ffi::CStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self as rfs, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::tally::Tally;
use super::walk::{File, Name, Spent, Visit};
use super::{Why, at};
use crate::Base;
use crate::base::is_absent;

/// Up to here a file is read and written by hand: fewer calls.
const SMALL: u64 = 128 << 10;
/// Up to here reading and writing costs less than sharing: see `benches/scratch.rs`.
const SHARED_FROM: i64 = 16 << 10;
/// How much of a file is copied before it is asked whether to go on.
const PIECE: usize = 64 << 20;
/// How often a file is read that is written to meanwhile.
const TRIES: u32 = 4;

pub(super) struct Copying<'a> {
    to: &'a Base,
}

/// A directory that is being filled.
pub(super) struct Filling {
    fd: OwnedFd,
    buffer: Vec<u8>,
    /// Whether reflinks were not refused so far.
    reflinks: bool,
}

impl<'a> Copying<'a> {
    pub(super) fn new(to: &'a Base) -> Self {
        Self { to }
    }
}

impl Visit for Copying<'_> {
    type Dir = Filling;

    fn enter(&self, path: &str) -> io::Result<Filling> {
        let fd = self.to.open_dir(path).map_err(at(path))?;
        Ok(Filling { fd, buffer: Vec::new(), reflinks: true })
    }

    fn subdir(&self, dir: &mut Filling, name: &CStr, stat: &Stat) -> io::Result<()> {
        Ok(rfs::mkdirat(&dir.fd, name, mode_of(stat) | Mode::RWXU)?)
    }

    fn link(&self, dir: &mut Filling, name: &CStr, target: &CStr) -> io::Result<()> {
        Ok(rfs::symlinkat(target, &dir.fd, name)?)
    }

    fn file(&self, dir: &mut Filling, from: &Name<'_>, tally: &mut Tally) -> io::Result<File> {
        // The listing said that it is a file: no device is opened, but in a race with one.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
        let source = match rfs::openat(from.dir, from.name, flags, Mode::empty()) {
            Ok(fd) => fs::File::from(fd),
            Err(errno) if is_absent(errno) => return Ok(File::Vanished),
            Err(Errno::NXIO | Errno::ISDIR) => return Ok(File::Vanished),
            Err(Errno::ACCESS | Errno::PERM) => return Ok(File::Unreadable),
            Err(errno) => return Err(at(from.path)(errno)),
        };
        let stat = rfs::fstat(&source).map_err(at(from.path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(File::Vanished);
        }
        from.spent.spend(stat.st_size.unsigned_abs()).map_err(at(from.path))?;
        let stat = fill(dir, from, source, stat, tally).map_err(at(from.path))?;
        Ok(File::Is(stat))
    }

    fn leave(&self, dir: Filling, stat: &Stat) -> io::Result<()> {
        set_modified(dir.fd.as_fd(), stat)
    }
}

fn mode_of(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o777)
}

/// Gives a file or directory the time at which the base's was modified.
pub(super) fn set_modified(fd: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let nanos = stat.st_mtime_nsec.try_into().unwrap_or_default();
    let modified = Timespec { tv_sec: stat.st_mtime, tv_nsec: nanos };
    Ok(rfs::futimens(fd, &Timestamps { last_access: omit, last_modification: modified })?)
}

/// Makes the file; which version of the base's it is.
fn fill(
    dir: &mut Filling,
    from: &Name<'_>,
    mut source: fs::File,
    mut before: Stat,
    tally: &mut Tally,
) -> io::Result<Stat> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let to = rfs::openat(&dir.fd, from.name, flags | OFlags::CLOEXEC, mode_of(&before))?;
    let mut to = fs::File::from(to);
    let mut reflinked = false;
    for attempt in 1..=TRIES {
        let share = dir.reflinks && before.st_size > SHARED_FROM;
        reflinked = share && rfs::ioctl_ficlone(&to, &source).is_ok();
        if !reflinked {
            dir.reflinks &= !share;
            copy(&mut source, &mut to, before.st_size.unsigned_abs(), &mut dir.buffer, from.spent)?;
        }
        #[cfg(test)]
        super::tests::meanwhile();
        let after = rfs::fstat(&source)?;
        if version(&after) == version(&before) {
            break;
        }
        if attempt == TRIES {
            tally.leave_out(from.path, Why::Unsettled);
            break;
        }
        from.spent.spend(after.st_size.unsigned_abs().saturating_sub(to.metadata()?.len()))?;
        before = after;
        io::Seek::rewind(&mut source)?;
        io::Seek::rewind(&mut to)?;
        to.set_len(0)?;
    }
    set_modified(to.as_fd(), &before)?;
    tally.counts.reflinked += u64::from(reflinked);
    tally.counts.copied += u64::from(!reflinked);
    Ok(before)
}

/// What is another after each write that the kernel notes: it stamps a file when a write begins,
/// by a clock that, before Linux 6.13, has ticks of some milliseconds.
fn version(stat: &Stat) -> impl PartialEq + use<> {
    let modified = (stat.st_mtime, stat.st_mtime_nsec);
    (stat.st_size, modified, (stat.st_ctime, stat.st_ctime_nsec))
}

/// Copies `size` bytes, or what there is of them.
fn copy(
    from: &mut fs::File,
    to: &mut fs::File,
    size: u64,
    buffer: &mut Vec<u8>,
    spent: &Spent<'_>,
) -> io::Result<()> {
    if size > SMALL && copy_inside(from, to, size, spent)? {
        return Ok(());
    }
    buffer.resize(SMALL as usize, 0);
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = match from.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..n])?;
        left -= n as u64;
        if left > 0 {
            spent.go_on()?;
        }
    }
    Ok(())
}

/// Has the kernel copy; `false`: it cannot do that here, and has done nothing.
fn copy_inside(from: &fs::File, to: &fs::File, size: u64, spent: &Spent<'_>) -> io::Result<bool> {
    let mut left = size;
    while left > 0 {
        spent.go_on()?;
        let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        match rfs::copy_file_range(from, None, to, None, most) {
            // Some file systems say so of files that do have something in them.
            Ok(0) => return Ok(left < size),
            Ok(n) => left -= n as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM)
                if left == size =>
            {
                return Ok(false);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}
