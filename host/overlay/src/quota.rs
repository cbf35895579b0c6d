//! Limits of one view, and the meter that holds them.
//!
//! Invariant: what is charged is given back exactly once, when the thing it was charged for goes.

use std::sync::atomic::{AtomicU64, Ordering};

use idumb_core::{Limit, LimitReached};

use crate::FsError;

/// Bytes of the longest name, as Linux.
pub(crate) const NAME_MAX: usize = 255;
/// Bytes of the longest path and of the longest target of a link, as Linux: 4096 with an end mark.
pub(crate) const PATH_MAX: usize = 4095;

/// What one attempt may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Logical bytes of all files in the upper together.
    pub bytes: u64,
    /// Files, directories and links in the upper, and further names of files and links.
    pub files: u64,
    /// Files open at once.
    pub open_files: u64,
    /// Names in the longest path that the attempt may make.
    pub depth: usize,
    /// Entries of all listings that are held, and of one directory that is renamed.
    pub listing: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { bytes: 1 << 30, files: 100_000, open_files: 1024, depth: 64, listing: 250_000 }
    }
}

/// What a view uses now, and how often each limit refused something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Logical bytes in the upper.
    pub bytes: u64,
    /// Files, directories and links in the upper, and further names of files and links.
    pub files: u64,
    /// Files open.
    pub open_files: u64,
    /// The limits that refused something.
    pub refused: Vec<LimitReached>,
}

/// Counts what a view uses against its quota.
#[derive(Debug)]
pub(crate) struct Meter {
    quota: Quota,
    bytes: AtomicU64,
    files: AtomicU64,
    open_files: AtomicU64,
    listed: AtomicU64,
    refused: [AtomicU64; Limit::ALL.len()],
}

impl Meter {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            quota,
            bytes: AtomicU64::new(0),
            files: AtomicU64::new(0),
            open_files: AtomicU64::new(0),
            listed: AtomicU64::new(0),
            refused: Default::default(),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
            open_files: self.open_files.load(Ordering::Relaxed),
            refused: self.refused(),
        }
    }

    /// The limits that refused something.
    pub(crate) fn refused(&self) -> Vec<LimitReached> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        let of = |(limit, count)| LimitReached { limit, most: self.most(limit), count };
        Limit::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).map(of).collect()
    }

    fn most(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Bytes => self.quota.bytes,
            Limit::Files => self.quota.files,
            Limit::OpenFiles => self.quota.open_files,
            Limit::Depth => self.quota.depth as u64,
            Limit::Listing => self.quota.listing as u64,
            Limit::NameLength => NAME_MAX as u64,
            Limit::PathLength => PATH_MAX as u64,
        }
    }

    /// Charges for a file that grows or shrinks from `old` to `new` bytes.
    pub(crate) fn resize(&self, old: u64, new: u64) -> Result<(), FsError> {
        match new.checked_sub(old) {
            Some(more) => self.take(Limit::Bytes, &self.bytes, more),
            None => {
                self.bytes.fetch_sub(old - new, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    pub(crate) fn add_file(&self) -> Result<(), FsError> {
        self.take(Limit::Files, &self.files, 1)
    }

    pub(crate) fn remove_file(&self) {
        self.files.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> Result<(), FsError> {
        self.take(Limit::OpenFiles, &self.open_files, 1)
    }

    pub(crate) fn close(&self) {
        self.open_files.fetch_sub(1, Ordering::Relaxed);
    }

    /// Charges for a listing of so many entries, until it is dropped.
    pub(crate) fn hold_listing(&self, entries: usize) -> Result<(), FsError> {
        self.take(Limit::Listing, &self.listed, entries as u64)
    }

    pub(crate) fn drop_listing(&self, entries: usize) {
        self.listed.fetch_sub(entries as u64, Ordering::Relaxed);
    }

    /// Checks a path that is to be made.
    pub(crate) fn check_depth(&self, names: usize) -> Result<(), FsError> {
        self.check(Limit::Depth, names, FsError::Quota)
    }

    /// Checks the length of a listing.
    pub(crate) fn check_listing(&self, entries: usize) -> Result<(), FsError> {
        self.check(Limit::Listing, entries, FsError::Quota)
    }

    /// Checks a name's length in bytes.
    pub(crate) fn check_name(&self, bytes: usize) -> Result<(), FsError> {
        self.check(Limit::NameLength, bytes, FsError::NameTooLong)
    }

    /// Checks the length in bytes of a path, or of a link's target.
    pub(crate) fn check_path(&self, bytes: usize) -> Result<(), FsError> {
        self.check(Limit::PathLength, bytes, FsError::NameTooLong)
    }

    /// How many entries are worth reading before the check refuses them.
    pub(crate) fn most_listed(&self) -> usize {
        self.quota.listing
    }

    fn check(&self, limit: Limit, wanted: usize, error: FsError) -> Result<(), FsError> {
        if wanted as u64 > self.most(limit) {
            self.count(limit);
            return Err(error);
        }
        Ok(())
    }

    fn take(&self, limit: Limit, used: &AtomicU64, more: u64) -> Result<(), FsError> {
        let most = self.most(limit);
        let add = |now: u64| now.checked_add(more).filter(|sum| more == 0 || *sum <= most);
        match used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(()),
            Err(_) => {
                self.count(limit);
                Err(FsError::Quota)
            }
        }
    }

    fn count(&self, limit: Limit) {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
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
        assert!(matches!(meter.check_name(NAME_MAX + 1), Err(FsError::NameTooLong)));
        let reached = |limit, most, count| LimitReached { limit, most, count };
        let refused = vec![
            reached(Limit::Bytes, 10, 2),
            reached(Limit::Files, 1, 1),
            reached(Limit::NameLength, 255, 1),
        ];
        assert_eq!(meter.usage(), Usage { bytes: 10, files: 1, open_files: 0, refused });
    }
}
