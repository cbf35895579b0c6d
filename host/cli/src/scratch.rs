//! A copy of a project to try things on.
//!
//! Invariant: the original is only read; its run state stays behind unless it is asked for.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use idumb_journal::StateDir;

use crate::fault::Fault;

/// What stays behind: run state, and what builds leave.
const LEFT_BEHIND: &[&str] = &[".idumb/state", "target", "node_modules"];

/// Copies the project at `root` to `to`, which must not exist, or to a new temporary folder.
pub(crate) fn copy(root: &Path, to: Option<&Path>) -> Result<PathBuf> {
    let target = match to {
        Some(to) if to.symlink_metadata().is_ok() => {
            let message = format!("{} exists already", to.display());
            return Err(Fault::usage(message)
                .hint("name a folder that does not exist, or leave it out for a temporary one")
                .into());
        }
        Some(to) => {
            fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
            to.to_owned()
        }
        None => {
            let name = root.file_name().map_or_else(String::new, |n| n.to_string_lossy().into());
            tempfile::Builder::new()
                .prefix(&format!("idumb-{name}-"))
                .tempdir()
                .context("creating a temporary folder")?
                .keep()
        }
    };
    let target = target.canonicalize().with_context(|| format!("opening {}", target.display()))?;
    if target.starts_with(root) {
        // Nothing was copied yet, so only an empty folder is taken away.
        let _ = fs::remove_dir(&target);
        let message = format!("{} is inside the project", target.display());
        return Err(Fault::usage(message).hint("name a folder outside of it").into());
    }
    copy_folder(root, root, &target)?;
    Ok(target)
}

/// Copies what is recorded of the project's runs to the copy of it at `to`, so that what earlier
/// phases established counts there too. Nobody runs a phase meanwhile.
pub(crate) fn copy_state(root: &Path, to: &Path) -> Result<()> {
    let Some(state) = StateDir::find(root)? else { return Ok(()) };
    let _lock = state.lock().map_err(crate::execute::held)?;
    let copy = StateDir::prepare(to)?;
    for name in ["journal.db", "journal.db-wal"] {
        let (from, to) = (state.path().join(name), copy.path().join(name));
        match fs::copy(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => {
                copied.with_context(|| format!("copying {}", from.display()))?;
            }
        }
    }
    for (from, to) in [(state.blobs(), copy.blobs()), (state.staging(), copy.staging())] {
        if from.is_dir() {
            copy_folder(&from, &from, &to)?;
        }
    }
    Ok(())
}

fn copy_folder(root: &Path, from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry.with_context(|| format!("reading {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let relative = source.strip_prefix(root).unwrap_or(&source);
        if LEFT_BEHIND.iter().any(|left| relative == Path::new(left)) {
            continue;
        }
        let copying = || format!("copying {}", source.display());
        let kind = entry.file_type().with_context(copying)?;
        if kind.is_dir() {
            fs::create_dir_all(&target).with_context(copying)?;
            copy_folder(root, &source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).with_context(copying)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&source).with_context(copying)?;
            std::os::unix::fs::symlink(link, &target).with_context(copying)?;
        }
    }
    Ok(())
}
