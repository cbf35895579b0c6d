//! Folders of the host that no agent may reach, since what lies there is trusted.
//!
//! Invariant: such a folder is neither within nor around anything that agents change, by whatever
//! links the paths are spelled.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// `folder` by a path without links but perhaps the last part, if it is apart from all of
/// `roots`; else why not, for people. Nothing of the folder need be there.
pub(crate) fn apart(folder: &Path, roots: &[&Path]) -> Result<PathBuf, String> {
    let told = |error: io::Error| format!("{}: {error}", folder.display());
    let place = resolved(folder).map_err(told)?;
    for root in roots {
        let root = root.canonicalize().map_err(told)?;
        if place.starts_with(&root) || root.starts_with(&place) {
            return Err(format!(
                "{} is not apart from {}, which agents change",
                place.display(),
                root.display()
            ));
        }
    }
    Ok(place)
}

/// `folder` by a path without links but perhaps the last part, which opening does not follow.
/// Nothing of it need be there.
fn resolved(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let mut names = Vec::new();
    let mut above = folder.as_path();
    loop {
        let (Some(name), Some(parent)) = (above.file_name(), above.parent()) else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it has no name of its own"));
        };
        names.push(name);
        match parent.canonicalize() {
            Ok(found) => return Ok(names.iter().rev().fold(found, |path, name| path.join(name))),
            Err(error) if error.kind() == ErrorKind::NotFound => above = parent,
            Err(error) => return Err(error),
        }
    }
}
