//! What can go wrong with the state of a project, in words that say what to do.
//!
//! Invariant: every message names the place; none advises to delete what cannot be had again.

use std::io;
use std::path::{Path, PathBuf};

use idumb_core::RunId;
use rusqlite::ErrorCode;

/// The result of anything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Trouble with the state of a project.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk, or the user's share of it, is full.
    #[error("no space is left to write `{}`: free some, then run the command again; nothing that was recorded is lost", path.display())]
    StorageFull {
        /// What was being written.
        path: PathBuf,
    },

    /// The operating system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// SQLite refused, and it is neither damage nor a full disk.
    #[error("cannot {action} the journal `{}`: {source}; if it goes on, look at the disk and at who else has the file open", path.display())]
    Sqlite {
        /// What was tried, as a verb.
        action: &'static str,
        /// The journal.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },

    /// A symbolic link stands where only a real file or folder is accepted.
    #[error("`{}` is a symbolic link to `{}`: idumb keeps its state only inside the project; find out who made the link, then remove it", path.display(), target.display())]
    Symlink {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },

    /// A file stands where a folder should.
    #[error("`{}` is not a folder: move it away, and idumb makes the folder", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },

    /// Others may enter the state folder; it may have come with the project.
    #[error("`{0}` is open to others (mode {mode:03o}): if it came with the project, remove it, for what it says of earlier runs is not yours; if it is your own, `chmod 700 {0}`", path.display())]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },

    /// The state folder is someone else's.
    #[error("`{}` belongs to user {owner}, and this is user {user}: run idumb as its owner, or work on a copy of the project without `.idumb/state`", path.display())]
    NotOwned {
        /// The folder.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },

    /// What is stored is not what was written.
    #[error("`{}` is damaged: {what}; nothing was changed. Copy the folder it is in to a safe place, then restore it from a backup, or move it away to start without the earlier runs (the project's files are not in it)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it is known.
        what: String,
    },

    /// A SQLite file, but not one of ours.
    #[error("`{}` is not a journal of idumb (its application id is {found:#010x}): move it away, or restore the journal if the file's header was overwritten", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// What its header says.
        found: i32,
    },

    /// A later idumb wrote the journal.
    #[error("`{}` was written by a newer idumb (schema {found}; this one knows up to {known}): update idumb; nothing was changed", path.display())]
    NewerSchema {
        /// The journal.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The latest that this idumb knows.
        known: u32,
    },

    /// An earlier idumb wrote the journal, and a reader may not change it.
    #[error("`{}` was written by an older idumb (schema {found}; this one reads {known}): run `idumb execute-phase` once, which upgrades it", path.display())]
    OlderSchema {
        /// The journal.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The one that this idumb reads.
        known: u32,
    },

    /// An earlier write failed; what is in the journal is known only after a reopening.
    #[error("the connection to the journal `{}` was given up after an earlier error ({why}): run the command again, and the run goes on from the last event that was recorded", path.display())]
    Abandoned {
        /// The journal.
        path: PathBuf,
        /// The earlier error.
        why: String,
    },

    /// A run of that name was begun before.
    #[error("run `{run}` is already in the journal")]
    RunExists {
        /// Its name.
        run: RunId,
    },

    /// No run of that name was begun.
    #[error("there is no run `{run}` in the journal; `idumb status` lists those there are")]
    NoSuchRun {
        /// The name.
        run: RunId,
    },

    /// The journal does not take what was to be written, such as a body that is not JSON.
    #[error("the journal refused an entry of run `{run}`, and kept nothing of it: {what}")]
    Refused {
        /// Which run's.
        run: RunId,
        /// The rule that it breaks.
        what: String,
    },
}

/// Why the lock of a project could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{by} is working on this project: wait until it is done, or stop it (the lock is `{}`)", path.display())]
    Held {
        /// Who, such as `another idumb (pid 123, run phase-1-r3)`.
        by: String,
        /// The lock file.
        path: PathBuf,
    },
    /// The lock cannot be tried.
    #[error(transparent)]
    Error(#[from] Error),
}

impl Error {
    /// For `map_err` on an operation of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull { path },
            _ => Self::Io { action, path, source },
        }
    }

    /// For `map_err` on an operation of SQLite.
    pub(crate) fn sqlite(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |source| match (source.sqlite_error_code(), source) {
            (Some(ErrorCode::DiskFull), _) => Self::StorageFull { path },
            // The file ends before it should.
            (Some(ErrorCode::SystemIoFailure), source)
                if source.sqlite_extended_error_code()
                    == Some(rusqlite::ffi::SQLITE_IOERR_SHORT_READ) =>
            {
                Self::Damaged { path, what: "a part of it is missing at its end".to_owned() }
            }
            // SQLite does not say so of the files beside the journal.
            (Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen), _) if is_full(&path) => {
                Self::StorageFull { path }
            }
            // What the schema or a sum promises about a value does not hold.
            (_, rusqlite::Error::FromSqlConversionFailure(.., why)) => {
                Self::Damaged { path, what: why.to_string() }
            }
            (
                _,
                source @ (rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)),
            )
            | (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), source) => {
                Self::Damaged { path, what: source.to_string() }
            }
            (_, source) => Self::Sqlite { action, path, source },
        }
    }

    /// Says which run was not found, if that is what went wrong.
    pub(crate) fn or_no_such(self, run: &RunId) -> Self {
        match self {
            Self::Sqlite { source: rusqlite::Error::QueryReturnedNoRows, .. } => {
                Self::NoSuchRun { run: run.clone() }
            }
            other => other,
        }
    }

    /// Whether the storage let the journal down, as opposed to a request it refused.
    pub(crate) fn is_of_storage(&self) -> bool {
        !matches!(self, Self::RunExists { .. } | Self::NoSuchRun { .. } | Self::Refused { .. })
    }
}

/// Whether the file system of `path` has no space, or no more room for files.
fn is_full(path: &Path) -> bool {
    let found = rustix::fs::statvfs(path.parent().unwrap_or(path));
    found.is_ok_and(|found| found.f_bavail == 0 || (found.f_files > 0 && found.f_favail == 0))
}
