//! Limits of one view, and the meter that holds them.
//!
//! Invariant: what is charged is given back exactly once, when the thing it was charged for goes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::FsError;

/// What one attempt may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Logical bytes of all files in the upper together.
    pub bytes: u64,
    /// Files, directories and links in the upper.
    pub files: u64,
    /// Files open at once.
    pub open_files: u64,
    /// Names in the longest path that the attempt may make.
    pub depth: usize,
    /// Entries of one listing, and of one directory that is renamed.
    pub listing: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { bytes: 1 << 30, files: 100_000, open_files: 1024, depth: 64, listing: 250_000 }
    }
}

/// Which limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// [`Quota::bytes`]
    Bytes,
    /// [`Quota::files`]
    Files,
    /// [`Quota::open_files`]
    OpenFiles,
    /// [`Quota::depth`]
    Depth,
    /// [`Quota::listing`]
    Listing,
}

/// What a view uses now, and how often each limit refused something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Logical bytes in the upper.
    pub bytes: u64,
    /// Files, directories and links in the upper.
    pub files: u64,
    /// Files open.
    pub open_files: u64,
    /// Refusals by limit; a limit that refused nothing is not in it.
    pub refused: BTreeMap<Limit, u64>,
}

const LIMITS: [Limit; 5] =
    [Limit::Bytes, Limit::Files, Limit::OpenFiles, Limit::Depth, Limit::Listing];

/// Counts what a view uses against its quota.
#[derive(Debug)]
pub(crate) struct Meter {
    quota: Quota,
    bytes: AtomicU64,
    files: AtomicU64,
    open_files: AtomicU64,
    refused: [AtomicU64; LIMITS.len()],
}

impl Meter {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            quota,
            bytes: AtomicU64::new(0),
            files: AtomicU64::new(0),
            open_files: AtomicU64::new(0),
            refused: Default::default(),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        let refused = LIMITS.into_iter().zip(&self.refused);
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
            open_files: self.open_files.load(Ordering::Relaxed),
            refused: refused
                .map(|(limit, count)| (limit, count.load(Ordering::Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    /// Charges for a file that grows or shrinks from `old` to `new` bytes.
    pub(crate) fn resize(&self, old: u64, new: u64) -> Result<(), FsError> {
        match new.checked_sub(old) {
            Some(more) => self.take(Limit::Bytes, &self.bytes, more, self.quota.bytes),
            None => {
                self.bytes.fetch_sub(old - new, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    pub(crate) fn add_file(&self) -> Result<(), FsError> {
        self.take(Limit::Files, &self.files, 1, self.quota.files)
    }

    pub(crate) fn remove_file(&self) {
        self.files.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> Result<(), FsError> {
        self.take(Limit::OpenFiles, &self.open_files, 1, self.quota.open_files)
    }

    pub(crate) fn close(&self) {
        self.open_files.fetch_sub(1, Ordering::Relaxed);
    }

    /// Checks a path that is to be made.
    pub(crate) fn check_depth(&self, names: usize) -> Result<(), FsError> {
        self.check(Limit::Depth, names, self.quota.depth)
    }

    /// Checks the length of a listing.
    pub(crate) fn check_listing(&self, entries: usize) -> Result<(), FsError> {
        self.check(Limit::Listing, entries, self.quota.listing)
    }

    /// How many entries are worth reading before the check refuses them.
    pub(crate) fn most_listed(&self) -> usize {
        self.quota.listing
    }

    fn check(&self, limit: Limit, wanted: usize, most: usize) -> Result<(), FsError> {
        if wanted > most {
            return Err(self.refuse(limit));
        }
        Ok(())
    }

    fn take(&self, limit: Limit, used: &AtomicU64, more: u64, most: u64) -> Result<(), FsError> {
        let add = |now: u64| now.checked_add(more).filter(|sum| more == 0 || *sum <= most);
        match used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.refuse(limit)),
        }
    }

    fn refuse(&self, limit: Limit) -> FsError {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        FsError::Quota
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_refuses_and_counts() {
        let meter = Meter::new(Quota { bytes: 10, files: 1, ..Quota::default() });
        meter.resize(0, 10).unwrap();
        assert!(matches!(meter.resize(10, 11), Err(FsError::Quota)));
        assert!(matches!(meter.resize(0, u64::MAX), Err(FsError::Quota)));
        meter.resize(10, 3).unwrap();
        meter.resize(0, 7).unwrap();
        meter.add_file().unwrap();
        assert!(matches!(meter.add_file(), Err(FsError::Quota)));
        let refused = BTreeMap::from([(Limit::Bytes, 2), (Limit::Files, 1)]);
        assert_eq!(meter.usage(), Usage { bytes: 10, files: 1, open_files: 0, refused });
    }
}
