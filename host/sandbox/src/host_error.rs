//! The first error of the host itself that an agent's file operations ran into.
//!
//! Invariant: what is noted stays noted, whatever the agent makes of the error it was told of:
//! an attempt on a full or broken disk says nothing about the task.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use idumb_overlay::FsError;
use rustix::io::Errno;

/// Where it is noted. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostError(Arc<Mutex<Option<io::Error>>>);

impl HostError {
    /// Keeps `error` if it is the host's own and the first one.
    pub(crate) fn note(&self, error: FsError) {
        if error.is_hosts() {
            self.keep(error.into());
        }
    }

    /// Keeps `error`, which is the host's own, if it is the first one.
    pub(crate) fn keep(&self, error: io::Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Keeps an error that making an instance ended with, if it is the system's and the first
    /// one: no memory or descriptors left. The guest had no part in it yet.
    pub(crate) fn note_unmade(&self, error: &wasmtime::Error) {
        let cause = error.root_cause();
        let errno = cause.downcast_ref::<Errno>().map(|errno| io::Error::from(*errno));
        let number = || cause.downcast_ref::<io::Error>()?.raw_os_error();
        if let Some(error) = errno.or_else(|| number().map(io::Error::from_raw_os_error)) {
            self.keep(error);
        }
    }

    /// What was noted, if anything was.
    pub(crate) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
