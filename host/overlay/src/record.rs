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

/// The longest path kept in a denial; longer ones are cut.
const DENIAL_PATH: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    reads: BTreeMap<String, Seen>,
    absent: HashMap<String, u32>,
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
        *count += 1;
        if *count < ABSENT_NAMES {
            self.reads.insert(path.to_owned(), Seen::Absent);
            return;
        }
        let dir = dir.to_owned();
        self.reads.retain(|path, seen| *seen != Seen::Absent || parent(path) != dir);
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
