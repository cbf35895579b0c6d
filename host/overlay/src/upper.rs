//! The attempt's private files: the content of everything it wrote.
//!
//! Invariant: a file here lives as long as the node it belongs to, under a name no guest chose.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{self as rfs, AtFlags, Mode, OFlags};

use crate::FsError;
use crate::quota::Meter;

/// The directory of an attempt's files. Holding one is the right to write.
#[derive(Debug)]
pub(crate) struct Upper {
    dir: OwnedFd,
    /// Set if this made the directory and so removes it.
    made: Option<PathBuf>,
    next: AtomicU64,
    frozen: AtomicBool,
    pub(crate) meter: Arc<Meter>,
}

impl Upper {
    /// Opens `path`, or makes it, as the place of an attempt's files.
    pub(crate) fn create_in(path: &Path, meter: Arc<Meter>) -> std::io::Result<Self> {
        let made = match rfs::mkdir(path, Mode::RWXU) {
            Ok(()) => Some(path.to_owned()),
            Err(rustix::io::Errno::EXIST) => None,
            Err(errno) => return Err(errno.into()),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rfs::open(path, flags, Mode::empty())?;
        Ok(Self { dir, made, next: AtomicU64::new(0), frozen: AtomicBool::new(false), meter })
    }

    /// No write succeeds from here on.
    pub(crate) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }

    /// Asked under the lock of whatever is about to change.
    pub(crate) fn require_open(&self) -> Result<(), FsError> {
        if self.frozen.load(Ordering::SeqCst) { Err(FsError::ReadOnly) } else { Ok(()) }
    }

    /// Makes an empty file.
    pub(crate) fn new_file(self: &Arc<Self>) -> Result<(UpperFile, File), FsError> {
        self.meter.add_file()?;
        let name = format!("{:x}", self.next.fetch_add(1, Ordering::Relaxed));
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rfs::openat(&self.dir, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => {
                let file = UpperFile { upper: Arc::clone(self), name, size: 0 };
                Ok((file, File::from(fd)))
            }
            Err(errno) => {
                self.meter.remove_file();
                match errno {
                    // The directory was not fresh; which names are taken is no guest's business.
                    rustix::io::Errno::EXIST => Err(FsError::Io(errno.into())),
                    other => Err(other.into()),
                }
            }
        }
    }
}

impl Drop for Upper {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            // Fails only if somebody else put something there, which is theirs.
            let _ = rfs::rmdir(path);
        }
    }
}

/// One file of the upper. Dropping it removes the file and gives back what it was charged.
#[derive(Debug)]
pub(crate) struct UpperFile {
    upper: Arc<Upper>,
    name: String,
    size: u64,
}

impl UpperFile {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Charges for, or gives back, the difference to `size`.
    pub(crate) fn resize(&mut self, size: u64) -> Result<(), FsError> {
        self.upper.meter.resize(self.size, size)?;
        self.size = size;
        Ok(())
    }

    pub(crate) fn open(&self) -> Result<File, FsError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rfs::openat(&self.upper.dir, &self.name, flags, Mode::empty())?))
    }
}

impl Drop for UpperFile {
    fn drop(&mut self) {
        // A file that stays behind is removed with its directory by whoever made that.
        let _ = rfs::unlinkat(&self.upper.dir, &self.name, AtFlags::empty());
        let _ = self.upper.meter.resize(self.size, 0);
        self.upper.meter.remove_file();
    }
}

/// A directory or link of the upper, counted as long as it is there.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Meter>);

impl Counted {
    pub(crate) fn new(meter: &Arc<Meter>) -> Result<Self, FsError> {
        meter.add_file()?;
        Ok(Self(Arc::clone(meter)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.remove_file();
    }
}
