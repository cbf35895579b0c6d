//! One path's change as a unified diff.
//!
//! Invariant: the text shown is the text of the digests in the change-set, or there is none.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use idumb_core::{Blobs, Change, ChangeSet, Digest, Entry};
use similar::{ChangeTag, TextDiff};

use crate::Base;

/// The longest file that is shown as text.
pub(crate) const MOST: u64 = 4 << 20;
/// After this, the diff is still right, but may be longer than it could be.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for an agent, whose deadline may come meanwhile.
const GUESTS_PATIENCE: Duration = Duration::from_millis(50);

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
    /// The content of one of the sides is not in the blob store, nor in the base any more.
    #[error("the content {digest} of {path} is not to be had any more")]
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
    let (before, after) = sides(change, change, base, blobs)?;
    let hunks = unified(&before, &after, GUESTS_PATIENCE);
    let header = if hunks.is_empty() { String::new() } else { header(change) };
    Ok(format!("{}{header}{hunks}", notes(change)))
}

/// The lines that `change` makes other than they were, with three lines of context and without any
/// header; nothing if they are the same. `from` is the change of the path that it was renamed from,
/// whose before side is compared with then.
///
/// # Errors
/// As [`DiffError`] says.
pub fn hunks(
    change: &Change,
    from: Option<&Change>,
    base: &Base,
    blobs: &dyn Blobs,
) -> Result<String, DiffError> {
    let (before, after) = sides(from.unwrap_or(change), change, base, blobs)?;
    Ok(unified(&before, &after, PATIENCE))
}

/// Only a line feed ends a line here: were a carriage return to end one too, what follows it would
/// stand on the line of what it is in, without a sign of its own.
fn unified(before: &str, after: &str, patience: Duration) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let diff = TextDiff::configure().timeout(patience).diff_slices(&old, &new);
    let mut out = String::new();
    for group in diff.grouped_ops(3) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (old, new) = (first.old_range().start, first.new_range().start);
        let old = range(old, last.old_range().end - old);
        let new = range(new, last.new_range().end - new);
        out.push_str(&format!("@@ -{old} +{new} @@\n"));
        for line in group.iter().flat_map(|op| diff.iter_changes(op)) {
            out.push(match line.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            });
            out.push_str(line.value());
            if !line.value().ends_with('\n') {
                out.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    out
}

/// Lines as a hunk names them: from 1, and before the first if there are none.
fn range(start: usize, lines: usize) -> String {
    match lines {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        _ => format!("{},{lines}", start + 1),
    }
}

/// The text before and after.
fn sides(
    from: &Change,
    to: &Change,
    base: &Base,
    blobs: &dyn Blobs,
) -> Result<(String, String), DiffError> {
    for (path, side) in [(&from.path, &from.before), (&to.path, &to.after)] {
        if let Some(Entry::File { size, .. }) = side
            && *size > MOST
        {
            return Err(DiffError::TooLong { path: path.clone(), size: *size });
        }
    }
    // First what is surely kept: whether it is text is known even if the other side is gone.
    let after = match &to.after {
        Some(Entry::File { digest, size, .. }) => kept(&to.path, (*digest, *size), blobs)?,
        other => text_of(other.as_ref()),
    };
    let before = match &from.before {
        Some(Entry::File { digest, size, .. }) => {
            before(&from.path, (*digest, *size), base, blobs)?
        }
        other => text_of(other.as_ref()),
    };
    Ok((before, after))
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
    kept(path, (digest, size), blobs)
}

/// The content that the blob store has.
fn kept(path: &str, (digest, size): (Digest, u64), blobs: &dyn Blobs) -> Result<String, DiffError> {
    match blobs.open(digest).and_then(|file| read(file, size)) {
        Ok(bytes) if Digest::of(&bytes) == digest => text(path, bytes),
        Ok(_) => {
            let source = io::Error::other("its bytes are not those that were kept");
            Err(DiffError::Io { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(DiffError::Unavailable { path: path.to_owned(), digest })
        }
        Err(source) => Err(DiffError::Io { path: path.to_owned(), source }),
    }
}

pub(crate) fn read(file: File, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One more than is due shows that it is not what is due.
    file.take(size + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether it can be shown in lines.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
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

fn header(change: &Change) -> String {
    let side = |entry: &Option<Entry>, sign: char| match entry {
        Some(_) => format!("{sign}/{}", change.path),
        None => "/dev/null".to_owned(),
    };
    format!("--- {}\n+++ {}\n", side(&change.before, 'a'), side(&change.after, 'b'))
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
