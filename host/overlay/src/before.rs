//! What stood in the base before a change is kept, so that the change can be shown afterwards.
//!
//! Invariant: what is kept is exactly what the change-set says stood there; nothing rests on it
//! but a diff, so what is not kept costs no more than that.

use std::collections::HashSet;
use std::fs::File;
use std::io;

use idumb_core::{Blobs, ChangeSet, Digest, Entry};

use crate::base::Base;
use crate::diff::{MOST, is_text, read};
use crate::{FsError, SealError};

/// How many files of one change-set are kept.
const FILES: usize = 1000;
/// How many bytes of them, together.
const BYTES: u64 = 64 << 20;

/// Keeps in `blobs` the text of the files that the change-set changes or deletes.
///
/// Only what a diff shows: text of at most [`MOST`] bytes a file, and [`FILES`] files and [`BYTES`]
/// bytes a change-set, in the order of paths. What the base no longer has is left out.
pub(crate) fn keep_before(
    change_set: &ChangeSet,
    base: &Base,
    blobs: &dyn Blobs,
) -> Result<(), SealError> {
    let digest_of = |entry: &Option<Entry>| match entry {
        Some(Entry::File { digest, .. }) => Some(*digest),
        _ => None,
    };
    // A file that was moved as it is has been kept under its new name.
    let after = change_set.changes.iter().filter_map(|change| digest_of(&change.after));
    let mut kept: HashSet<Digest> = after.collect();
    let (mut files, mut bytes) = (0, 0);
    for change in &change_set.changes {
        let Some(Entry::File { digest, size, .. }) = &change.before else { continue };
        if *size > MOST || files == FILES || bytes + size > BYTES || !kept.insert(*digest) {
            continue;
        }
        let content = match base.open_file(&change.path).and_then(|(file, _)| whole(file, *size)) {
            Ok(content) if Digest::of(&content) == *digest && is_text(&content) => content,
            Err(source) if source.is_hosts() => {
                return Err(SealError::Unreadable { path: change.path.clone(), source });
            }
            Ok(_) | Err(_) => continue,
        };
        blobs
            .keep(&mut content.as_slice())
            .map_err(|source| SealError::NotKept { path: change.path.clone(), source })?;
        files += 1;
        bytes += size;
    }
    Ok(())
}

fn whole(file: File, size: u64) -> Result<Vec<u8>, FsError> {
    read(file, size).map_err(|error: io::Error| error.into())
}
