//! Putting what a change-set says in place: files with their content from the blob store.
//!
//! Invariant: a file that is placed has exactly the bytes its digest names; nothing that is there
//! is written to or replaced.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use idumb_core::{Blobs, Digest, Entry};
use rustix::fs::{self as rfs, Mode, OFlags};

use super::at;
use super::walk::Spent;
use crate::Base;
use crate::base::{is_absent, last_name, parent};

pub(super) struct Placing<'a> {
    pub(super) blobs: &'a dyn Blobs,
    pub(super) spent: &'a Spent<'a>,
}

/// Opens the directory that `path` is to be in.
pub(super) fn open_parent(to: &Base, path: &str) -> io::Result<OwnedFd> {
    match to.open_dir(parent(path)) {
        Err(errno) if is_absent(errno) => Err(nowhere(path)),
        other => other.map_err(at(path)),
    }
}

/// Says that a path is to be where no directory is.
pub(super) fn nowhere(path: &str) -> io::Error {
    let why = format!("{path:?} is in no directory of the candidate");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Placing<'_> {
    /// Makes `after` under the last name of `path` in `dir`, where nothing is.
    pub(super) fn put(&self, dir: impl AsFd, path: &str, after: &Entry) -> io::Result<()> {
        let name = last_name(path);
        match after {
            Entry::Dir => rfs::mkdirat(dir, name, Mode::from_raw_mode(0o777)).map_err(at(path)),
            Entry::Symlink { target } => {
                rfs::symlinkat(target.as_str(), dir, name).map_err(at(path))
            }
            Entry::File { digest, size, executable } => {
                self.spent.spend(*size).map_err(at(path))?;
                let mode = Mode::from_raw_mode(if *executable { 0o777 } else { 0o666 });
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let made = rfs::openat(dir, name, flags | OFlags::CLOEXEC, mode);
                let to = File::from(made.map_err(at(path))?);
                self.content(*digest, *size, to).map_err(at(path))
            }
        }
    }

    fn content(&self, digest: Digest, size: u64, to: File) -> io::Result<()> {
        // A byte more than there should be is enough to see that it is another content.
        let from = self.blobs.open(digest)?.take(size.saturating_add(1));
        let copied = Digest::of_reader(Both { from, to, spent: self.spent })?;
        if copied != (digest, size) {
            let why = format!("the stored content is not {digest}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(())
    }
}

/// Yields what it reads from one side after writing it to the other.
struct Both<'a, R> {
    from: R,
    to: File,
    spent: &'a Spent<'a>,
}

impl<R: Read> Read for Both<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.spent.go_on()?;
        let read = self.from.read(buffer)?;
        self.to.write_all(&buffer[..read])?;
        Ok(read)
    }
}
