//! Whether every path of a change-set is as the attempt saw it, before anything is changed.
//!
//! Invariant: nothing here writes.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{Change, ChangeSet, Entry};

use super::{Conflict, IntegrateError};
use crate::Base;
use crate::base::{Found, join, parent};
use crate::candidate::check_paths;

/// How a path stands to its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is still to be changed.
    Before,
    /// It is as it should be.
    After,
}

/// What looking at every path gave.
pub(super) struct Survey<'a> {
    pub(super) conflicts: Vec<Conflict>,
    standing: BTreeMap<&'a str, Standing>,
}

impl Survey<'_> {
    pub(super) fn standing(&self, path: &str) -> Standing {
        self.standing.get(path).copied().unwrap_or(Standing::Before)
    }
}

/// The paths that are not as the change-set expects them: what [`integrate`](super::integrate)
/// would refuse. A path that is already as it should be is no conflict.
///
/// # Errors
/// `Malformed`, and `Io` if the base cannot be read.
pub fn check(base: &Base, change_set: &ChangeSet) -> Result<Vec<Conflict>, IntegrateError> {
    well_formed(change_set)?;
    Ok(survey(base, change_set)?.conflicts)
}

/// Refuses what no attempt can have sealed.
pub(super) fn well_formed(change_set: &ChangeSet) -> Result<(), IntegrateError> {
    check_paths(change_set).map_err(IntegrateError::Malformed)?;
    let by_path: BTreeMap<&str, &Change> =
        change_set.changes.iter().map(|change| (change.path.as_str(), change)).collect();
    for change in &change_set.changes {
        let above = by_path.get(parent(&change.path));
        if change.after.is_some() && above.is_some_and(|above| above.after != Some(Entry::Dir)) {
            let why = format!("{:?} is to be where no directory is to be", change.path);
            return Err(IntegrateError::Malformed(why));
        }
    }
    Ok(())
}

pub(super) fn survey<'a>(
    base: &Base,
    change_set: &'a ChangeSet,
) -> Result<Survey<'a>, IntegrateError> {
    let mut survey = Survey { conflicts: Vec::new(), standing: BTreeMap::new() };
    let paths: BTreeSet<&str> = change_set.paths().collect();
    let mut parents: BTreeSet<&str> = BTreeSet::new();
    for change in &change_set.changes {
        let path = change.path.as_str();
        let found = base.found(path).map_err(IntegrateError::fs(path))?;
        match standing(change, found.as_ref()) {
            Some(standing) => {
                survey.standing.insert(path, standing);
            }
            None => survey.conflicts.push(conflict(path, change.before.clone(), found)),
        }
        let above = parent(path);
        if change.after.is_some() && !above.is_empty() && !paths.contains(above) {
            parents.insert(above);
        }
        let goes = change.before == Some(Entry::Dir) && change.after != Some(Entry::Dir);
        if goes && survey.standing(path) == Standing::Before {
            survey.conflicts.extend(left_behind(base, change, change_set)?);
        }
    }
    for path in parents {
        let found = base.found(path).map_err(IntegrateError::fs(path))?;
        if found != Some(Found::Entry(Entry::Dir)) {
            survey.conflicts.push(conflict(path, Some(Entry::Dir), found));
        }
    }
    survey.conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    survey.conflicts.dedup();
    Ok(survey)
}

fn standing(change: &Change, found: Option<&Found>) -> Option<Standing> {
    let found = match found {
        Some(Found::Foreign) => return None,
        Some(Found::Entry(entry)) => Some(entry),
        None => None,
    };
    if found == change.after.as_ref() {
        Some(Standing::After)
    } else if found == change.before.as_ref() {
        Some(Standing::Before)
    } else {
        None
    }
}

/// What stands in a directory that is to go, and is not itself to go.
fn left_behind(
    base: &Base,
    change: &Change,
    change_set: &ChangeSet,
) -> Result<Vec<Conflict>, IntegrateError> {
    let dir = change.path.as_str();
    let listed = match base.list(dir, usize::MAX) {
        Ok(listed) => listed,
        // It is no directory (any more), which is a conflict of its own.
        Err(crate::FsError::NoEntry | crate::FsError::NotDirectory | crate::FsError::Loop) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(IntegrateError::fs(dir)(error)),
    };
    let goes = |path: &str| {
        let at = change_set.changes.binary_search_by(|change| change.path.as_str().cmp(path));
        at.is_ok_and(|at| change_set.changes[at].after.is_none())
    };
    let mut conflicts = Vec::new();
    for entry in listed {
        let Some(name) = entry.name else {
            conflicts.push(conflict(dir, change.before.clone(), Some(Found::Foreign)));
            continue;
        };
        let path = join(dir, &name);
        if !goes(&path) {
            let found = base.found(&path).map_err(IntegrateError::fs(&path))?;
            conflicts.push(conflict(&path, None, found));
        }
    }
    Ok(conflicts)
}

/// Says what was found instead.
pub(super) fn conflict(path: &str, expected: Option<Entry>, found: Option<Found>) -> Conflict {
    Conflict {
        path: path.to_owned(),
        expected,
        foreign: found == Some(Found::Foreign),
        found: found.and_then(Found::entry),
    }
}
