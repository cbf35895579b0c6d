//! The check of the whole file, which goes on beside the opening of the journal.
//!
//! Invariant: it changes nothing, and it does not outlive the journal that waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::connect::open_for_reading;
use crate::{Error, Result, schema};

/// How many of its steps SQLite takes before it looks whether anyone still waits.
const STEPS: i32 = 1000;

/// A check that goes on, on a thread and a connection of its own.
#[derive(Debug)]
pub(super) struct Check {
    /// Until it was waited for.
    thread: Option<JoinHandle<Result<()>>>,
    given_up: Arc<AtomicBool>,
}

impl Check {
    pub(super) fn start(path: &Path) -> Result<Self> {
        let mut connection = open_for_reading(path)?;
        let given_up = Arc::new(AtomicBool::new(false));
        let look = Arc::clone(&given_up);
        connection
            .progress_handler(STEPS, Some(move || look.load(Ordering::Relaxed)))
            .map_err(Error::sqlite("check", path))?;
        let place = path.to_owned();
        let thread = thread::Builder::new()
            .name("journal check".to_owned())
            .spawn(move || schema::check(&connection, &place))
            .map_err(Error::io("start the check of", path))?;
        Ok(Self { thread: Some(thread), given_up })
    }

    /// What it found.
    pub(super) fn wait(mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(found)) => found,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Nobody asks any more what it found.
            let _ = thread.join();
        }
    }
}
