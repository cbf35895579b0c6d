//! An open file, as a guest's descriptor holds it.
//!
//! Invariant: a handle stays on its file when the path is renamed, replaced or removed; it can
//! write exactly if it was opened so through a view that can.

use std::sync::Arc;
use std::time::SystemTime;

use crate::base::Base;
use crate::file::FileNode;
use crate::quota::Meter;
use crate::upper::Upper;
use crate::view::Shared;
use crate::{FsError, Stat};

/// An open file. Clones are the same handle; it is closed when the last one is dropped.
#[derive(Clone)]
pub struct FileHandle(Arc<Held>);

struct Held {
    file: Arc<FileNode>,
    base: Base,
    meter: Arc<Meter>,
    read: bool,
    /// The right to write.
    upper: Option<Arc<Upper>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.file.close();
        self.meter.close();
    }
}

impl std::fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = &self.0;
        f.debug_struct("FileHandle")
            .field("file", &held.file)
            .field("read", &held.read)
            .field("write", &held.upper.is_some())
            .finish()
    }
}

impl FileHandle {
    pub(crate) fn open(
        file: &Arc<FileNode>,
        shared: &Shared,
        read: bool,
        upper: Option<Arc<Upper>>,
    ) -> Result<Self, FsError> {
        shared.meter.open()?;
        if let Err(error) = file.open(&shared.base) {
            shared.meter.close();
            return Err(error);
        }
        Ok(Self(Arc::new(Held {
            file: Arc::clone(file),
            base: shared.base.clone(),
            meter: Arc::clone(&shared.meter),
            read,
            upper,
        })))
    }

    fn upper(&self) -> Result<&Arc<Upper>, FsError> {
        self.0.upper.as_ref().ok_or(FsError::BadDescriptor)
    }

    /// Whether it was opened for reading.
    pub fn reads(&self) -> bool {
        self.0.read
    }

    /// Whether it was opened for writing.
    pub fn writes(&self) -> bool {
        self.0.upper.is_some()
    }

    /// Reads up to `buf.len()` bytes from `offset`; 0 at the end.
    ///
    /// # Errors
    /// `BadDescriptor` if it was not opened for reading; the host's trouble.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, FsError> {
        if !self.0.read {
            return Err(FsError::BadDescriptor);
        }
        self.0.file.read_at(buf, offset)
    }

    /// Writes all of `buf` at `offset`; what lies between the end and it reads as zeroes.
    ///
    /// # Errors
    /// `BadDescriptor` if it was not opened for writing; `Quota`, `FileTooLarge`,
    /// `InsufficientSpace`; `ReadOnly` once the view is sealed.
    pub fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, FsError> {
        self.0.file.write_at(buf, Some(offset), &self.0.base, self.upper()?)?;
        Ok(buf.len())
    }

    /// Writes all of `buf` at the end.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    pub fn append(&self, buf: &[u8]) -> Result<usize, FsError> {
        self.0.file.write_at(buf, None, &self.0.base, self.upper()?)?;
        Ok(buf.len())
    }

    /// Cuts the file, or lengthens it with zeroes.
    ///
    /// # Errors
    /// `Invalid` if it was not opened for writing, as Linux has it; else as [`Self::write_at`].
    pub fn set_len(&self, len: u64) -> Result<(), FsError> {
        let upper = self.upper().map_err(|_| FsError::Invalid)?;
        self.0.file.set_len(len, &self.0.base, upper)
    }

    /// Sets the times that are given.
    ///
    /// # Errors
    /// `NotPermitted` if it was not opened for writing; `ReadOnly` once the view is sealed.
    pub fn set_times(
        &self,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<(), FsError> {
        let upper = self.upper().map_err(|_| FsError::NotPermitted)?;
        upper.require_open()?;
        self.0.file.set_times(accessed, modified);
        Ok(())
    }

    /// Does nothing that a guest could tell: what it wrote becomes durable when it is sealed.
    ///
    /// # Errors
    /// None.
    pub fn sync(&self) -> Result<(), FsError> {
        Ok(())
    }

    /// The metadata of the file.
    ///
    /// # Errors
    /// The host's trouble.
    pub fn stat(&self) -> Result<Stat, FsError> {
        self.0.file.stat(&self.0.base)
    }
}
