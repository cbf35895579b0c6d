//! What a walk of the base found, and which tree that is.
//!
//! Invariant: what grows with the tree is listed up to a bound; the digest is over all of it.

use std::ffi::{CStr, CString};

use idumb_core::Digest;
use rustix::fs::Stat;

use super::plan::Plan;
use super::{Counts, LeftOut, Why};

/// How many of what was left out are listed by path.
const MOST_LISTED: usize = 10_000;

/// What was found, by one thread or by all.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) left_out: Vec<LeftOut>,
    /// Names of the base that must not be seen through a layer.
    pub(super) hidden: Vec<CString>,
    /// Why a layer cannot lie over the base, by the first name that is a reason.
    pub(super) no_layer: Option<String>,
    /// The digest of what is in each directory.
    pub(super) dirs: Vec<(String, Digest)>,
}

impl Tally {
    pub(super) fn leave_out(&mut self, path: impl Into<String>, why: Why) {
        if self.left_out.len() < MOST_LISTED {
            self.left_out.push(LeftOut { path: path.into(), why });
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        let (sum, more) = (&mut self.counts, other.counts);
        sum.dirs += more.dirs;
        sum.links += more.links;
        sum.reflinked += more.reflinked;
        sum.copied += more.copied;
        sum.shown += more.shown;
        sum.placed += more.placed;
        sum.bytes += more.bytes;
        sum.excluded += more.excluded;
        sum.vanished += more.vanished;
        self.left_out.extend(other.left_out);
        self.hidden.extend(other.hidden);
        self.no_layer = self.no_layer.take().or(other.no_layer);
        self.dirs.extend(other.dirs);
    }

    pub(super) fn settle(mut self) -> Self {
        self.left_out.sort();
        self.left_out.truncate(MOST_LISTED);
        self.hidden.sort();
        self.dirs.sort();
        self
    }

    pub(super) fn digest(&self, plan: &Plan<'_>) -> Digest {
        let mut bytes = b"idumb tree 1\0".to_vec();
        for (path, digest) in &self.dirs {
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(digest.as_bytes());
        }
        bytes.extend_from_slice(plan.digest().as_bytes());
        Digest::of(&bytes)
    }
}

impl Tally {
    pub(super) fn hide(&mut self, dir: &str, name: &CStr) {
        let mut path = dir.as_bytes().to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        self.hidden.extend(CString::new(path).ok());
    }
}

/// Adds which version of which file it is.
pub(super) fn note(record: &mut Vec<u8>, kind: u8, name: &CStr, stat: &Stat) {
    record.push(kind);
    record.extend_from_slice(name.to_bytes_with_nul());
    record.extend_from_slice(&stat.st_mode.to_le_bytes());
    record.extend_from_slice(&stat.st_ino.to_le_bytes());
    for number in [stat.st_size, stat.st_mtime, stat.st_ctime] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    for number in [stat.st_mtime_nsec, stat.st_ctime_nsec] {
        record.extend_from_slice(&number.to_le_bytes());
    }
}
