//! The file of SQLite's write-ahead log: long enough from the start, and blank between
//! one writer and the next.
//!
//! An append into a file that has its length and its blocks already waits for its content
//! alone; one that makes the file longer also waits for the file system's own journal.
//!
//! Invariant: nothing that the log holds is lost here. Zeros are put behind it, what it
//! holds is written again as it is, and it is blanked only when the journal has all of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Its header; while that is zero, SQLite takes nothing in the file for content.
const HEADER: usize = 32;
/// A page, and the header of its own that it has in the log.
const FRAME: u64 = 4096 + 24;
/// SQLite copies the log into the journal and starts it over when a commit reaches this.
pub(super) const FRAMES_BEFORE_COPYING: u64 = 1000;
/// With room for the commit that reaches it.
const LENGTH: u64 = HEADER as u64 + (FRAMES_BEFORE_COPYING + 24) * FRAME;
/// What a reader or one big commit made it grow beyond is given back to the disk.
pub(super) const KEPT: u64 = 4 * LENGTH;

const CHUNK: usize = 1 << 18;

/// The log of the journal at `path`.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_file_name("journal.db-wal")
}

/// The log, as its only writer has it.
#[derive(Debug)]
pub(super) struct Log(File);

impl Log {
    /// Makes what the log holds durable, and the file long enough.
    pub(super) fn settle(path: &Path) -> io::Result<Self> {
        let log = Self(open(path, true)?);
        let length = log.0.metadata()?.len();
        let is_blank = log.is_blank()?;
        if !is_blank {
            // A killed process may have left events that were never synced, or whose sync
            // failed: then the system has them for written, and only writing them again
            // brings them to the disk. They are read from here on.
            each_chunk(&log.0, length, |at, bytes| log.0.write_all_at(bytes, at).map(|()| true))?;
        }
        let zeros = vec![0; CHUNK];
        let mut at = length;
        while at < LENGTH {
            let more = zeros.len().min(usize::try_from(LENGTH - at).unwrap_or(CHUNK));
            log.0.write_all_at(&zeros[..more], at)?;
            at += more as u64;
        }
        if at > length || !is_blank {
            log.0.sync_all()?;
        }
        Ok(log)
    }

    /// Whether SQLite finds nothing in it.
    pub(super) fn is_blank(&self) -> io::Result<bool> {
        let mut is_blank = true;
        each_chunk(&self.0, HEADER as u64, |_, bytes| {
            is_blank = is_zero(bytes);
            Ok(true)
        })?;
        Ok(is_blank)
    }

    /// Makes SQLite find nothing in it: for when all of it is in the journal, durably, and
    /// the journal may be copied, or replaced by a copy, without it.
    pub(super) fn blank(&self) -> io::Result<()> {
        self.0.write_all_at(&[0; HEADER], 0)?;
        self.0.sync_data()
    }
}

/// Whether there is nothing but zeros in the file at `path`.
pub(super) fn is_only_zeros(path: &Path) -> io::Result<bool> {
    let file = open(path, false)?;
    let mut only_zeros = true;
    each_chunk(&file, file.metadata()?.len(), |_, bytes| {
        only_zeros = is_zero(bytes);
        Ok(only_zeros)
    })?;
    Ok(only_zeros)
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).write(write).custom_flags(no_follow).open(path)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Shows `each` the first `length` bytes of a file, or those there are, until it says `false`.
fn each_chunk(
    file: &File,
    length: u64,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
    let mut at = 0;
    while at < length {
        let want = buffer.len().min(usize::try_from(length - at).unwrap_or(CHUNK));
        let read = match file.read_at(&mut buffer[..want], at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 || !each(at, &buffer[..read])? {
            break;
        }
        at += read as u64;
    }
    Ok(())
}
