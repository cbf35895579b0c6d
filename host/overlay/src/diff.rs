//! One path's change as a unified diff.
//!
//! Invariant: the text shown is the text of the digests in the change-set, or there is none.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use idumb_core::{Blobs, Change, ChangeSet, Digest, Entry};
use similar::TextDiff;

use crate::Base;

/// The longest file that is shown as text.
const MOST: u64 = 4 << 20;
/// After this, the diff is still right, but may be longer than it could be.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no diff of a path.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The change-set does not name the path.
    #[error("{0} is not in the change-set")]
    NotChanged(String),
    /// One of the sides is not UTF-8 text, or has a NUL in it.
    #[error("{0} is not text")]
    NotText(String),
    /// One of the sides is too long to be shown.
    #[error("{path} has {size} bytes: too long for a diff")]
    TooLong {
        /// Which.
        path: String,
        /// The longer side, in bytes.
        size: u64,
    },
    /// What stood there before is neither in the base any more nor in the blob store.
    #[error("the content of {path} before the change ({digest}) is not to be had any more")]
    Unavailable {
        /// Which.
        path: String,
        /// What is missing.
        digest: Digest,
    },
    /// The blob store could not be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// The change of `path` as a unified diff, with three lines of context.
///
/// The before side is read from the base, if it still has exactly that, and else from `blobs`.
/// A link is shown as its target. Control characters are left as they are: whoever shows this on
/// a terminal escapes them.
///
/// # Errors
/// As [`DiffError`] says.
pub fn unified_diff(
    change_set: &ChangeSet,
    path: &str,
    base: &Base,
    blobs: &dyn Blobs,
) -> Result<String, DiffError> {
    let change = change_set.changes.iter().find(|change| change.path == path);
    let change = change.ok_or_else(|| DiffError::NotChanged(path.to_owned()))?;
    for side in [&change.before, &change.after].into_iter().flatten() {
        if let Entry::File { size, .. } = side
            && *size > MOST
        {
            return Err(DiffError::TooLong { path: path.to_owned(), size: *size });
        }
    }
    let before = match &change.before {
        Some(Entry::File { digest, size, .. }) => before(path, (*digest, *size), base, blobs)?,
        other => text_of(other.as_ref()),
    };
    let after = match &change.after {
        Some(Entry::File { digest, size, .. }) => {
            let io = |source| DiffError::Io { path: path.to_owned(), source };
            text(path, read(blobs.open(*digest).map_err(io)?, *size).map_err(io)?)?
        }
        other => text_of(other.as_ref()),
    };
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&before, &after);
    let (old, new) = header(change);
    let hunks = diff.unified_diff().context_radius(3).header(&old, &new).to_string();
    Ok(format!("{}{hunks}", notes(change)))
}

/// The content before the change.
fn before(
    path: &str,
    (digest, size): (Digest, u64),
    base: &Base,
    blobs: &dyn Blobs,
) -> Result<String, DiffError> {
    if let Ok((file, _)) = base.open_file(path)
        && let Ok(bytes) = read(file, size)
        && Digest::of(&bytes) == digest
    {
        return text(path, bytes);
    }
    match blobs.open(digest).and_then(|file| read(file, size)) {
        Ok(bytes) => text(path, bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(DiffError::Unavailable { path: path.to_owned(), digest })
        }
        Err(source) => Err(DiffError::Io { path: path.to_owned(), source }),
    }
}

fn read(file: File, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than is due shows that it is not what is due.
    file.take(size + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(path: &str, bytes: Vec<u8>) -> Result<String, DiffError> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(DiffError::NotText(path.to_owned())),
    }
}

fn text_of(entry: Option<&Entry>) -> String {
    match entry {
        Some(Entry::Symlink { target }) => target.clone(),
        _ => String::new(),
    }
}

fn header(change: &Change) -> (String, String) {
    let side = |entry: &Option<Entry>, name: String| match entry {
        Some(_) => name,
        None => "/dev/null".to_owned(),
    };
    (
        side(&change.before, format!("a/{}", change.path)),
        side(&change.after, format!("b/{}", change.path)),
    )
}

/// What the lines cannot show: kinds, the executable bit, and where it came from.
fn notes(change: &Change) -> String {
    let word = |entry: &Option<Entry>| match entry {
        None => "nothing",
        Some(Entry::File { executable: false, .. }) => "file",
        Some(Entry::File { executable: true, .. }) => "executable file",
        Some(Entry::Dir) => "directory",
        Some(Entry::Symlink { .. }) => "symbolic link",
    };
    let mut notes = String::new();
    if let Some(from) = &change.renamed_from {
        notes.push_str(&format!("renamed from {from}\n"));
    }
    let (before, after) = (word(&change.before), word(&change.after));
    if (before, after) != ("file", "file") {
        notes.push_str(&format!("{before} becomes {after}\n"));
    }
    notes
}
