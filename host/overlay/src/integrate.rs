//! Integration: making the user's tree what a change-set says. The only code that writes to it.
//!
//! Invariant: a path is changed only from exactly its before side to exactly its after side; what
//! is replaced or removed is first moved out of the way, verified, and put back if it is anything
//! else. Calling it again after a crash at any point completes the change or refuses it.
//!
//! The order: everything is checked, then all new content is staged and synced, and only then
//! does the tree change: directories from the top, files, deletions, directories to go from the
//! bottom. If a path turns out to have changed in between, the steps before are undone.

mod call;
mod check;
mod slot;
mod step;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;

use idumb_core::{Blobs, Change, ChangeSet, Digest, Entry};

#[cfg(debug_assertions)]
pub use self::call::on_integration_step;
use crate::base::{is_absent, parent};
use crate::{Base, FsError};

pub use check::check;
use check::{Standing, survey};
use slot::Slots;
use step::{Done, Stepper};

/// A path that is not as the change-set expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Relative to the project's root.
    pub path: String,
    /// What stood there when the attempt looked.
    pub expected: Option<Entry>,
    /// What stands there now.
    pub found: Option<Entry>,
    /// Something stands there that has no [`Entry`]: a FIFO, socket, device, or odd link.
    pub foreign: bool,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |entry: &Option<Entry>| match entry {
            None => "nothing".to_owned(),
            Some(Entry::Dir) => "a directory".to_owned(),
            Some(Entry::Symlink { target }) => format!("a link to {target:?}"),
            Some(Entry::File { digest, executable, .. }) => {
                format!("{} {digest}", if *executable { "an executable file" } else { "a file" })
            }
        };
        let found = if self.foreign { "a special file".to_owned() } else { words(&self.found) };
        write!(f, "{}: expected {}, found {found}", self.path, words(&self.expected))
    }
}

/// What integrating did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integrated {
    /// Paths that were changed now, in the order of the change-set.
    pub changed: Vec<String>,
    /// Paths that were as they should be before: a run that was cut short had changed them.
    pub already: Vec<String>,
}

/// Why a change-set was not integrated.
#[derive(Debug, thiserror::Error)]
pub enum IntegrateError {
    /// These paths are not as the attempt saw them. The tree is as it was when this call began.
    #[error("changed since the attempt looked: {}", list(.0))]
    Conflict(Vec<Conflict>),
    /// The project's root was renamed or removed since it was opened.
    #[error("the project is no longer where it was opened")]
    RootMoved,
    /// The change-set is malformed.
    #[error("the change-set is malformed: {0}")]
    Malformed(String),
    /// The blob store has other bytes than the digest says.
    #[error("{path}: the stored content is not {digest}")]
    Corrupt {
        /// Which path they were for.
        path: String,
        /// Which were wanted.
        digest: Digest,
    },
    /// The disk, or the blob store. What was changed was undone as far as the disk let it;
    /// calling again completes it.
    #[error("{path}: {source}")]
    Io {
        /// Where in the project, or empty.
        path: String,
        /// Why.
        source: io::Error,
    },
}

fn list(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(Conflict::to_string).collect::<Vec<_>>().join("; ")
}

impl IntegrateError {
    fn io(path: &str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    fn fs(path: &str) -> impl Fn(FsError) -> Self {
        move |error| Self::Io { path: path.to_owned(), source: error.into() }
    }

    fn os(path: &str) -> impl Fn(rustix::io::Errno) -> Self {
        move |errno| Self::Io { path: path.to_owned(), source: errno.into() }
    }
}

/// Makes the tree of `base` what `change_set` says, with the content from `blobs`.
///
/// The caller has made its intent durable before, and calls again with the same arguments if it
/// was cut short. `staging` is a directory of the host's, made if it is not there; on the file
/// system of the project, nothing but finished content ever appears in the tree.
///
/// # Errors
/// As [`IntegrateError`] says.
pub fn integrate(
    base: &Base,
    change_set: &ChangeSet,
    blobs: &dyn Blobs,
    staging: &Path,
) -> Result<Integrated, IntegrateError> {
    integrate_by(base, change_set, blobs, &Slots::open(base, change_set, staging, true)?)
}

fn integrate_by(
    base: &Base,
    change_set: &ChangeSet,
    blobs: &dyn Blobs,
    slots: &Slots<'_>,
) -> Result<Integrated, IntegrateError> {
    check::well_formed(change_set)?;
    if !base.is_in_place().map_err(IntegrateError::io(""))? {
        return Err(IntegrateError::RootMoved);
    }
    let stepper = Stepper { base, blobs, slots };
    change_set.changes.iter().try_for_each(|change| stepper.recover(change))?;
    let survey = survey(base, change_set)?;
    if !survey.conflicts.is_empty() {
        return Err(IntegrateError::Conflict(survey.conflicts));
    }
    let is_open = |change: &&Change| survey.standing(&change.path) == Standing::Before;
    let open: Vec<&Change> = change_set.changes.iter().filter(is_open).collect();
    change_set.changes.iter().try_for_each(|change| stepper.clear(change))?;
    open.iter().try_for_each(|change| stepper.stage(change))?;
    slots.sync()?;

    let mut done: Vec<Done<'_>> = Vec::new();
    let mut steps = in_order(&open).into_iter();
    let went = steps.try_for_each(|change| stepper.step(change, &mut done));
    // Once more at the end: an editor that holds an old file open may have written to it since.
    if let Err(error) = went.and_then(|()| done.iter().try_for_each(|step| stepper.recheck(step))) {
        done.iter().rev().try_for_each(|step| stepper.undo(step))?;
        sync_parents(base, &open)?;
        change_set.changes.iter().try_for_each(|change| stepper.clear(change))?;
        return Err(error);
    }
    // Also what a run that was cut short had changed: it may not have come to syncing it.
    let all: Vec<&Change> = change_set.changes.iter().collect();
    sync_parents(base, &all)?;
    all.iter().try_for_each(|change| stepper.clear(change))?;
    let path = |change: &Change| change.path.clone();
    let already = change_set.changes.iter().filter(|change| !is_open(change)).map(path).collect();
    Ok(Integrated { changed: open.into_iter().map(path).collect(), already })
}

/// Directories from the top, files, deletions, and directories to go from the bottom.
fn in_order<'a>(open: &[&'a Change]) -> Vec<&'a Change> {
    let phase = |change: &Change| match (&change.before, &change.after) {
        (_, Some(Entry::Dir)) => 0,
        (Some(Entry::Dir), _) => 3,
        (_, Some(_)) => 1,
        (_, None) => 2,
    };
    let of = |wanted: u8| open.iter().copied().filter(move |change| phase(change) == wanted);
    let going: Vec<&Change> = of(3).collect();
    of(0).chain(of(1)).chain(of(2)).chain(going.into_iter().rev()).collect()
}

/// Makes the changed names durable.
fn sync_parents(base: &Base, changes: &[&Change]) -> Result<(), IntegrateError> {
    let dirs: BTreeSet<&str> = changes.iter().map(|change| parent(&change.path)).collect();
    for dir in dirs {
        match base.open_dir(dir) {
            Ok(fd) => call::sync(fd).map_err(IntegrateError::os(dir))?,
            // It went itself; its own parent says so.
            Err(errno) if is_absent(errno) => {}
            Err(errno) => return Err(IntegrateError::os(dir)(errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
