//! Files that are on the disk when a function returns, unless they need not be.
//!
//! Invariant: under a final name stands the old content or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::{Error, Result};

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// From how many files on one sync of the whole file system costs less than one for each:
/// each waits for the disk, and the first already wrote most of what the others ask for.
#[cfg(target_os = "linux")]
const MANY: usize = 8;

/// Makes the content of `files`, which are on one file system, durable.
pub(crate) fn sync_together(files: &[&File]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let [first, ..] = files
        && files.len() >= MANY
    {
        // Reports any error of writing back since `first` was opened, whichever file's.
        return Ok(rustix::fs::syncfs(first)?);
    }
    files.iter().try_for_each(|file| file.sync_all())
}

/// Makes a file that was not there before. `O_EXCL` also refuses a planted link.
pub(crate) fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Removes a file; it may be gone already.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// When what was written has to outlive a failure of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the function returns.
    Now,
    /// Some time later: what is written again soon, and can be made anew from the journal.
    Later,
}

/// Replaces the file `name` in `folder` by one that holds `bytes`.
pub(crate) fn replace(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    durability: Durability,
) -> Result<()> {
    let now = durability == Durability::Now;
    let path = folder.join(name);
    let new = folder.join(format!("{name}.new"));
    // What a killed process left under this name was never read by anyone.
    remove_if_there(&new).map_err(Error::io("remove", &new))?;
    let written = create_new(&new, 0o600)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if now { file.sync_all() } else { Ok(()) }
        })
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| if now { sync_folder(folder) } else { Ok(()) });
    if written.is_err() {
        // The error is what matters; the next call removes the file if this cannot.
        let _ = remove_if_there(&new);
    }
    written.map_err(Error::io("write", &path))
}
