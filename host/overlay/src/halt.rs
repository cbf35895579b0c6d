//! How an operation that goes on for long ends when its attempt does.
//!
//! Invariant: what copies, digests or lists for a guest asks between its pieces, so a file of any
//! size keeps nobody waiting; an operation that was ended has changed nothing.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use crate::FsError;

type Ask = Box<dyn Fn() -> bool + Send + Sync>;

/// Where it is asked whether to go on. Clones ask the same.
#[derive(Clone, Default)]
pub(crate) struct Halt(Arc<OnceLock<Ask>>);

/// Carried by the error of a reader whose attempt is over.
#[derive(Debug, thiserror::Error)]
#[error("the attempt is over")]
struct Over;

impl Halt {
    /// Says what is asked; only the first one counts.
    pub(crate) fn when(&self, over: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(over));
    }

    fn is_given(&self) -> bool {
        self.0.get().is_some_and(|over| over())
    }

    /// `Stopped` if the attempt is over.
    pub(crate) fn check(&self) -> Result<(), FsError> {
        if self.is_given() { Err(FsError::Stopped) } else { Ok(()) }
    }

    /// The same bytes, until the attempt is over.
    pub(crate) fn reader<R: Read>(&self, from: R) -> impl Read + use<R> {
        Halting { from, halt: self.clone() }
    }
}

impl fmt::Debug for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Halt").field(&self.is_given()).finish()
    }
}

/// Whether it is the error of such a reader.
pub(crate) fn is_over(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Over>())
}

struct Halting<R> {
    from: R,
    halt: Halt,
}

impl<R: Read> Read for Halting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.halt.is_given() {
            return Err(io::Error::other(Over));
        }
        self.from.read(buf)
    }
}
