//! How a caller ends a run early, from any thread.
//!
//! Invariant: a stop that was given stays given.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
struct Shared {
    given: AtomicBool,
    /// Readable once it was given: never read, so that all who wait for it see it.
    #[cfg(target_os = "linux")]
    event: std::os::fd::OwnedFd,
}

/// Gives the stop. Clones give the same one.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Shared>);

/// Where a run learns that it is to end. Clones learn of the same stop.
///
/// ```
/// let (stopper, stop) = idumb_exec::Stop::new()?;
/// assert!(!stop.is_given());
/// stopper.stop();
/// assert!(stop.is_given());
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Stop(Option<Arc<Shared>>);

impl Stopper {
    /// Ends the runs that listen, now and later. Giving it again changes nothing.
    pub fn stop(&self) {
        self.0.given.store(true, Ordering::Release);
        // It cannot fail but by being full, and then it is readable already.
        #[cfg(target_os = "linux")]
        let _ = rustix::io::write(&self.0.event, &1_u64.to_ne_bytes());
    }
}

impl Stop {
    /// A stop that is not given yet, and what gives it.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn new() -> io::Result<(Stopper, Self)> {
        #[cfg(target_os = "linux")]
        let event = {
            use rustix::event::{EventfdFlags, eventfd};
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?
        };
        let shared = Arc::new(Shared {
            given: AtomicBool::new(false),
            #[cfg(target_os = "linux")]
            event,
        });
        Ok((Stopper(Arc::clone(&shared)), Self(Some(shared))))
    }

    /// A stop that is never given.
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether it was given.
    pub fn is_given(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.given.load(Ordering::Acquire))
    }

    /// What is readable once it is given; `None`: never.
    #[cfg(target_os = "linux")]
    pub(crate) fn event(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        use std::os::fd::AsFd as _;
        self.0.as_ref().map(|shared| shared.event.as_fd())
    }
}
