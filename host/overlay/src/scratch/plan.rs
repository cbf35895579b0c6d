//! What a change-set and the patterns of what is left out say of each path.
//!
//! Invariant: where the change-set names a path, the base does not show through; what is left out
//! is left out on both sides.

use std::collections::BTreeMap;
use std::io;

use idumb_core::{ChangeSet, Digest, Entry};

use super::ScratchOptions;
use crate::base::STAGED;
use crate::candidate::check_paths;

pub(super) struct Plan<'a> {
    changes: BTreeMap<&'a str, Option<&'a Entry>>,
    options: &'a ScratchOptions,
}

/// What becomes of a name of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the tree.
    Shows,
    /// The change-set decides.
    Changed,
    /// A pattern leaves it out.
    Excluded,
}

impl<'a> Plan<'a> {
    pub(super) fn new(change_set: &'a ChangeSet, options: &'a ScratchOptions) -> io::Result<Self> {
        check_paths(change_set).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
        let side = |change: &'a idumb_core::Change| (change.path.as_str(), change.after.as_ref());
        Ok(Self { changes: change_set.changes.iter().map(side).collect(), options })
    }

    /// Of a path in the base, nothing above which is left out.
    pub(super) fn verdict(&self, path: &str) -> Verdict {
        if self.matches(path) {
            Verdict::Excluded
        } else if self.changes.contains_key(path) {
            Verdict::Changed
        } else {
            Verdict::Shows
        }
    }

    fn matches(&self, path: &str) -> bool {
        // Integration's own, for as long as it is at work.
        path.starts_with(STAGED) || self.options.exclude.iter().any(|glob| glob.matches(path))
    }

    fn is_excluded(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.map(|end| &path[..end]).any(|above| self.matches(above))
    }

    /// Whether the change-set names `path`.
    pub(super) fn hides(&self, path: &str) -> bool {
        self.changes.contains_key(path)
    }

    /// Whether the change-set names a directory above `path`, so that the base does not show
    /// through there.
    pub(super) fn hides_above(&self, path: &str) -> bool {
        path.match_indices('/').any(|(end, _)| self.hides(&path[..end]))
    }

    /// What is to stand where, directories before what is in them.
    pub(super) fn placed(&self) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        self.changes
            .iter()
            .filter_map(|(path, after)| Some((*path, (*after)?)))
            .filter(|(path, _)| !self.is_excluded(path))
    }

    /// What is to be gone.
    pub(super) fn gone(&self) -> impl Iterator<Item = &'a str> {
        self.changes
            .iter()
            .filter(|(path, after)| after.is_none() && !self.is_excluded(path))
            .map(|(path, _)| *path)
    }

    /// Of what it places and takes away.
    pub(super) fn digest(&self) -> Digest {
        let placed: Vec<_> = self.placed().collect();
        let gone: Vec<_> = self.gone().collect();
        Digest::of(format!("{placed:?}\0{gone:?}").as_bytes())
    }
}
