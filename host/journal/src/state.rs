//! The folder `.idumb/state`: where everything is that a project's runs leave behind,
//! other than their results.
//!
//! Invariant: it is a real folder inside the project, its owner's alone, and ignored by
//! version control.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::durable::{Durability, create_new, replace, sync_folder};
use crate::{Error, Lock, LockError, Result};

/// The state folder of one project, checked.
///
/// Having one says that `.idumb/state` was a private folder of this user when it was
/// looked at, and that no symbolic link leads out of the project on the way to it. A
/// repository that brings its own state (a forged "completed", a link to elsewhere) is
/// refused: version control does not keep the mode 0700.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Makes what is missing of the state folder of the project at `project_root`, and
    /// checks what is there.
    ///
    /// # Errors
    /// [`Error::Symlink`], [`Error::NotAFolder`], [`Error::NotPrivate`] and
    /// [`Error::NotOwned`] if what is there is not acceptable; else what the operating
    /// system says.
    pub fn prepare(project_root: &Path) -> Result<Self> {
        let root = canonical(project_root)?;
        let shared = root.join(".idumb");
        // Plans are checked in beside the state: this folder is like any other of the project.
        make_folder(&shared, 0o777)?;
        let path = shared.join("state");
        make_folder(&path, 0o700)?;
        check_private(&path, &expect_folder(&path)?)?;
        let state = Self { path };
        state.ignore_itself()?;
        for folder in [state.blobs(), state.upper(), state.staging()] {
            make_folder(&folder, 0o700)?;
        }
        Ok(state)
    }

    /// The state folder of the project at `project_root`, if there is one; makes nothing.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn find(project_root: &Path) -> Result<Option<Self>> {
        let shared = canonical(project_root)?.join(".idumb");
        if entry(&shared)?.is_none() {
            return Ok(None);
        }
        expect_folder(&shared)?;
        let path = shared.join("state");
        if entry(&path)?.is_none() {
            return Ok(None);
        }
        check_private(&path, &expect_folder(&path)?)?;
        Ok(Some(Self { path }))
    }

    /// Takes the lock that makes the caller the only writer of this folder.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process has it (or this one, already).
    pub fn lock(&self) -> Result<Lock, LockError> {
        Lock::take(self)
    }

    /// Who holds the lock now, such as `another idumb (pid 123, run phase-1-r3)`; `None`
    /// if nobody does. For display: it may change at once.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn holder(&self) -> Result<Option<String>> {
        Lock::holder(self)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that is locked.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.db")
    }

    /// The state document.
    pub fn document(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// The folder of the blobs.
    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    /// The folder of the attempts' upper layers.
    pub fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }

    /// The folder where integration stages files before it renames them.
    pub fn staging(&self) -> PathBuf {
        self.path.join("staging")
    }

    fn ignore_itself(&self) -> Result<()> {
        let path = self.path.join(".gitignore");
        match create_new(&path, 0o600).and_then(|mut file| file.write_all(b"*\n")) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other.map_err(Error::io("write", &path)),
        }
    }
}

/// Replaces the state document: a reader finds the old one or the new one, whole. Written for
/// [`Durability::Later`], it may be an old one, or empty, after a failure of the machine.
///
/// # Errors
/// [`Error::StorageFull`], or what the operating system says; then the old one stands,
/// unless the last step (making the new name durable) is what failed.
pub fn write_state(
    state: &StateDir,
    document: &(impl AsRef<[u8]> + ?Sized),
    durability: Durability,
) -> Result<()> {
    replace(state.path(), "state.json", document.as_ref(), durability)
}

fn canonical(project_root: &Path) -> Result<PathBuf> {
    fs::canonicalize(project_root).map_err(Error::io("find the project's root", project_root))
}

/// What stands at `path` itself; links are not followed.
pub(crate) fn entry(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            let target = fs::read_link(path).unwrap_or_default();
            Err(Error::Symlink { path: path.to_owned(), target })
        }
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

fn expect_folder(path: &Path) -> Result<Metadata> {
    match entry(path)? {
        Some(found) if found.is_dir() => Ok(found),
        Some(_) => Err(Error::NotAFolder { path: path.to_owned() }),
        None => Err(Error::io("look at", path)(io::ErrorKind::NotFound.into())),
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        // A journal is only as durable as the folder's own name.
        Ok(()) => sync_folder(path.parent().unwrap_or(path)).map_err(Error::io("sync", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => expect_folder(path).map(drop),
        Err(error) => Err(Error::io("make the folder", path)(error)),
    }
}

fn check_private(path: &Path, found: &Metadata) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let mode = found.permissions().mode() & 0o777;
    if found.uid() != user {
        return Err(Error::NotOwned { path: path.to_owned(), owner: found.uid(), user });
    }
    if mode & 0o077 != 0 {
        return Err(Error::NotPrivate { path: path.to_owned(), mode });
    }
    Ok(())
}
