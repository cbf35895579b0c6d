//! What an attempt looked at, and what it was refused.
//!
//! Invariant: the record's size is bounded whatever a guest asks for, and aggregation never
//! loses a conflict: it only ever widens what counts as read.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use idumb_core::{AccessRecord, Capability, Denial, DenialReason, Read, Seen};

/// How many different denials are kept.
const DENIALS: usize = 256;

/// How many absent names of one directory are kept before the directory counts as listed.
const ABSENT_NAMES: u32 = 1024;

/// How many absent names are kept in all before a directory counts as listed at the first.
const ABSENT_IN_ALL: u32 = 1 << 16;

/// The longest path kept in a denial; longer ones are cut.
const DENIAL_PATH: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    reads: BTreeMap<String, Seen>,
    /// By directory: how many absent names were asked for; `ABSENT_NAMES`: it counts as listed.
    absent: HashMap<String, u32>,
    /// How many of them are in `reads`.
    absent_kept: u32,
    denials: BTreeMap<(Capability, String, &'static str), (DenialReason, u32)>,
    dropped: u64,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `seen` of the base's `path` was seen; the most that was seen stays.
    pub(crate) fn saw(&self, path: &str, seen: Seen) {
        let mut records = self.lock();
        match records.reads.get_mut(path) {
            Some(most) => *most = (*most).max(seen),
            None if seen == Seen::Absent => records.saw_absent(path),
            None => {
                records.reads.insert(path.to_owned(), seen);
            }
        }
    }

    /// Notes a refused request.
    pub(crate) fn denied(
        &self,
        capability: Capability,
        path: &str,
        operation: &'static str,
        reason: DenialReason,
    ) {
        let cut = path.floor_char_boundary(DENIAL_PATH);
        let key = (capability, path[..cut].to_owned(), operation);
        let mut records = self.lock();
        if let Some((_, count)) = records.denials.get_mut(&key) {
            *count = count.saturating_add(1);
        } else if records.denials.len() < DENIALS {
            records.denials.insert(key, (reason, 1));
        } else {
            records.dropped += 1;
        }
    }

    /// Everything so far, sorted; of what was written and of limits it knows nothing.
    pub(crate) fn to_record(&self) -> AccessRecord {
        let records = self.lock();
        let read = |(path, seen): (&String, &Seen)| Read { path: path.clone(), seen: *seen };
        AccessRecord {
            reads: records.reads.iter().map(read).collect(),
            denials: records.denials.iter().map(denial).collect(),
            denials_dropped: records.dropped,
            ..AccessRecord::default()
        }
    }
}

fn denial(
    ((capability, path, operation), (reason, count)): (
        &(Capability, String, &'static str),
        &(DenialReason, u32),
    ),
) -> Denial {
    Denial {
        capability: *capability,
        path: path.clone(),
        operation: (*operation).to_owned(),
        reason: *reason,
        count: *count,
    }
}

impl Records {
    /// A guest can ask for any number of names that are not there. Past a bound, the directory
    /// counts as listed: that goes stale whenever one of the names appears.
    fn saw_absent(&mut self, path: &str) {
        let dir = parent(path);
        let count = self.absent.entry(dir.to_owned()).or_default();
        if *count >= ABSENT_NAMES {
            return;
        }
        let kept = *count;
        let full = self.absent_kept >= ABSENT_IN_ALL;
        *count = if full { ABSENT_NAMES } else { *count + 1 };
        if *count < ABSENT_NAMES {
            self.absent_kept += 1;
            self.reads.insert(path.to_owned(), Seen::Absent);
            return;
        }
        let dir = dir.to_owned();
        if kept > 0 {
            self.reads.retain(|path, seen| *seen != Seen::Absent || parent(path) != dir);
            self.absent_kept -= kept;
        }
        self.reads.insert(dir, Seen::Listing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn absent_names_without_end_become_a_listing() {
        let recorder = Recorder::default();
        recorder.saw("src/kept", Seen::Metadata);
        for n in 0..ABSENT_NAMES * 2 {
            recorder.saw(&format!("src/{n}"), Seen::Absent);
        }
        let record = recorder.to_record();
        let reads: Vec<(&str, Seen)> =
            record.reads.iter().map(|read| (read.path.as_str(), read.seen)).collect();
        assert_eq!(reads, [("src", Seen::Listing), ("src/kept", Seen::Metadata)]);
        assert_eq!(record.stale_read(&BTreeSet::from(["src/7"])), Some(("src", "src/7")));
    }

    #[test]
    fn absent_names_in_directories_without_end_are_bounded_too() {
        let recorder = Recorder::default();
        let (dirs, names) = (200, ABSENT_NAMES - 1);
        for dir in 0..dirs {
            for name in 0..names {
                recorder.saw(&format!("{dir}/{name}"), Seen::Absent);
            }
        }
        let record = recorder.to_record();
        assert!(record.reads.len() < 70_000, "{}", record.reads.len());
        // Nothing that was asked for is forgotten.
        for path in ["0/7", "199/7", "199/1022"] {
            assert!(record.stale_read(&BTreeSet::from([path])).is_some(), "{path}");
        }
        assert_eq!(record.stale_read(&BTreeSet::from(["200/7"])), None);
    }

    #[test]
    fn denials_are_counted_and_bounded() {
        let recorder = Recorder::default();
        let deny = |path: &str| {
            recorder.denied(Capability::Read, path, "open", DenialReason::NotGranted);
        };
        for n in 0..300 {
            deny(&format!("{n}"));
        }
        deny("0");
        let record = recorder.to_record();
        assert_eq!((record.denials.len(), record.denials_dropped), (DENIALS, 44));
        assert_eq!(record.denials.iter().find(|denial| denial.path == "0").unwrap().count, 2);
    }

    #[test]
    fn the_most_that_was_seen_stays() {
        let recorder = Recorder::default();
        recorder.saw("a", Seen::Content);
        recorder.saw("a", Seen::Metadata);
        assert_eq!(recorder.to_record().reads, [Read { path: "a".into(), seen: Seen::Content }]);
    }
}
