//! The lock that gives a state folder one writer.
//!
//! Invariant: the operating system holds it, so it ends with its process, however that
//! ends; what the file says is for people, and stale words in it mean nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

use idumb_core::RunId;

use crate::state::entry;
use crate::{Error, LockError, Result, StateDir};

/// How often a taker makes way for processes that only look who holds the lock.
const PATIENCE: u32 = 10_000;

/// The right to write to a state folder; released when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Lock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    file: File,
    state: StateDir,
}

impl Lock {
    pub(crate) fn take(state: &StateDir) -> Result<Self, LockError> {
        let path = state.lock_file();
        entry(&path)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&path)
            .map_err(Error::io("open", &path))?;
        for _ in 0..PATIENCE {
            if try_exclusive(&file).map_err(Error::io("lock", &path))? {
                let lock = Self { held: Arc::new(Held { file, state: state.clone() }) };
                lock.sign("")?;
                return Ok(lock);
            }
            // A shared lock can be had beside one who only looks, not beside a holder.
            if !try_shared(&file).map_err(Error::io("lock", &path))? {
                break;
            }
            file.unlock().map_err(Error::io("unlock", &path))?;
            std::thread::yield_now();
        }
        Err(LockError::Held { by: signature(&file), path })
    }

    pub(crate) fn holder(state: &StateDir) -> Result<Option<String>> {
        let path = state.lock_file();
        if entry(&path)?.is_none() {
            return Ok(None);
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(no_follow())
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let free = try_shared(&file).map_err(Error::io("look at", &path))?;
        Ok((!free).then(|| signature(&file)))
    }

    /// The folder that it is for.
    pub fn state(&self) -> &StateDir {
        &self.held.state
    }

    /// Tells others which run is going on.
    ///
    /// # Errors
    /// [`Error::StorageFull`], or what the operating system says.
    pub fn tell_run(&self, run: &RunId) -> Result<()> {
        self.sign(&format!(", run {run}"))
    }

    fn sign(&self, more: &str) -> Result<()> {
        let file = &self.held.file;
        let text = format!("pid {}{more}\n", std::process::id());
        // One write, then the cut: a reader never finds the file empty.
        file.write_all_at(text.as_bytes(), 0)
            .and_then(|()| file.set_len(text.len() as u64))
            .map_err(Error::io("write", &self.held.state.lock_file()))
    }
}

fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

fn try_exclusive(file: &File) -> io::Result<bool> {
    answer(file.try_lock())
}

fn try_shared(file: &File) -> io::Result<bool> {
    answer(file.try_lock_shared())
}

fn answer(tried: Result<(), TryLockError>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What the holder wrote about itself, printable and short: the file is not to be trusted.
fn signature(file: &File) -> String {
    let mut bytes = [0; 120];
    let read = file.read_at(&mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..read]);
    let line: String =
        text.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).collect();
    if line.is_empty() { "another idumb".to_owned() } else { format!("another idumb ({line})") }
}
