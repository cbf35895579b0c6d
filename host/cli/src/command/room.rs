//! Where one `sandbox run` keeps its files, and how what it applies survives its death.
//!
//! Invariant: what is to be applied is recorded durably before the first change, and a record
//! that was left behind is completed, or refused with nothing lost, by the next `sandbox run`;
//! a room with a record in it is never cleaned away.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use idumb_core::ChangeSet;
use idumb_journal::{BlobStore, Durability, Lock, LockError, StateDir, write_state};
use idumb_overlay::{Base, IntegrateError};
use serde::{Deserialize, Serialize};

use crate::apart::apart;
use crate::fault::Fault;
use crate::tell;
use crate::text::printable;

/// How often a room is looked for anew after a cleaner took it away unlocked.
const PATIENCE: u32 = 1000;

/// A folder of one process, private to its owner.
pub(super) struct Room {
    folder: PathBuf,
    pub(super) state: StateDir,
    pub(super) blobs: BlobStore,
    /// Whoever holds it knows that the room's process lives.
    _lock: Lock,
}

/// What is to be applied.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    /// Of this document.
    version: u32,
    changes: Vec<Applied>,
}

/// What is to be applied to one directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Applied {
    /// Where it is.
    pub(super) root: PathBuf,
    pub(super) change_set: ChangeSet,
}

/// The folder of all rooms: below the user's state folder, or the temporary one if there is none.
fn rooms() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    match state {
        Some(state) => state.join("idumb/sandbox"),
        None => {
            let user = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("idumb-sandbox-{user}"))
        }
    }
}

/// Refuses a folder in which others could put a record for this user to carry out.
fn require_own(rooms: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(rooms)?;
    let own = meta.uid() == rustix::process::geteuid().as_raw();
    if !meta.is_dir() || !own || meta.mode() & 0o022 != 0 {
        let message = format!("{} is not yours alone", rooms.display());
        let hint = "have it belong to you, with mode 0700, or set XDG_STATE_HOME";
        return Err(Fault::usage(message).hint(hint).into());
    }
    Ok(())
}

impl Room {
    /// A new room apart from `roots`, after what others left behind was seen to.
    pub(super) fn enter(roots: &[&Path]) -> Result<Self> {
        let rooms = apart(&rooms(), roots).map_err(|why| {
            Fault::usage(why).hint("name another folder for state: XDG_STATE_HOME=DIR")
        })?;
        let making = || format!("making {}", rooms.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&rooms).with_context(making)?;
        require_own(&rooms)?;
        tidy(&rooms)?;
        for _ in 0..PATIENCE {
            let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&rooms);
            let folder = folder.with_context(making)?.keep();
            // Until it is locked, another process may take it for one that was left behind.
            if let Ok(state) = StateDir::prepare(&folder)
                && let Ok(lock) = state.lock()
                && state.lock_file().exists()
            {
                let blobs = BlobStore::new(&state)?;
                return Ok(Self { folder, state, blobs, _lock: lock });
            }
        }
        Err(anyhow!("{} cannot be used", rooms.display()))
    }

    /// The folder for the files of the `number`-th mount.
    pub(super) fn upper(&self, number: usize) -> PathBuf {
        self.state.upper().join(number.to_string())
    }

    /// Applies all of it, or none: what is in the way is found before anything changes.
    pub(super) fn apply(&self, changes: Vec<Applied>) -> Result<()> {
        for Applied { root, change_set } in &changes {
            let base = Base::open(root)?;
            let conflicts = idumb_overlay::check(&base, change_set)?;
            if !conflicts.is_empty() {
                return Err(conflict(root, &IntegrateError::Conflict(conflicts)).into());
            }
        }
        let intent = Intent { version: 1, changes };
        write_state(&self.state, &serde_json::to_vec(&intent)?, Durability::Now)?;
        let carried = carry_out(&self.state, &self.blobs, &intent);
        let refused = carried.as_ref().is_err_and(|error| error.is::<Fault>());
        if carried.is_ok() || refused {
            // There is nothing to complete: what was refused, and was said to be, must not be
            // applied by a later run that finds nothing in its way any more.
            fs::remove_file(self.state.document())?;
        }
        carried
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.state.document().exists() {
            // What stays is taken away by the next run.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn conflict(root: &Path, error: &IntegrateError) -> Fault {
    let what = printable(&error.to_string());
    Fault::usage(format!("nothing was applied to {}: {what}", root.display()))
        .hint("somebody else changed it meanwhile: run it again on what stands there now")
}

fn carry_out(state: &StateDir, blobs: &BlobStore, intent: &Intent) -> Result<()> {
    for Applied { root, change_set } in &intent.changes {
        let base = Base::open(root)?;
        match idumb_overlay::integrate(&base, change_set, blobs, &state.staging()) {
            Ok(_) => {}
            Err(error @ IntegrateError::Conflict(_)) => return Err(conflict(root, &error).into()),
            Err(error) => {
                let doing = format!("applying to {}", root.display());
                return Err(anyhow::Error::from(error).context(doing));
            }
        }
    }
    Ok(())
}

/// Completes what others began to apply, and takes away what they left.
fn tidy(rooms: &Path) -> Result<()> {
    let reading = || format!("reading {}", rooms.display());
    for entry in fs::read_dir(rooms).with_context(reading)? {
        let folder = entry.with_context(reading)?.path();
        let Ok(Some(state)) = StateDir::find(&folder) else {
            // Not finished, or not a room: an empty folder goes, anything else is not ours.
            let _ = fs::remove_dir(&folder);
            continue;
        };
        let lock = match state.lock() {
            Ok(lock) => lock,
            Err(LockError::Held { .. }) => continue,
            // Gone meanwhile, or not to be had; whoever comes next may look again.
            Err(_) => continue,
        };
        if let Err(error) = complete(&state) {
            tell(&format!(
                "idumb: an earlier `sandbox run --apply` was cut short and cannot be completed: \
                 {}; what it moved out of the way is in {}",
                printable(&crate::fault::told(&error)),
                state.staging().display()
            ));
            continue;
        }
        let _ = fs::remove_dir_all(&folder);
        drop(lock);
    }
    Ok(())
}

fn complete(state: &StateDir) -> Result<()> {
    let bytes = match fs::read(state.document()) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let intent: Intent = serde_json::from_slice(&bytes)?;
    carry_out(state, &BlobStore::new(state)?, &intent)?;
    let roots: Vec<_> = intent.changes.iter().map(|it| it.root.display().to_string()).collect();
    tell(&format!("idumb: completed what was being applied to {}", printable(&roots.join(", "))));
    Ok(())
}
