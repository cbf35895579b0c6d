//! How a caller ends a call early.
//!
//! Invariant: a stop that was given stays given; nothing in here knows the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use idumb_overlay::ReadView;
use tokio::sync::watch;

/// How the stop of a call ends what the host does for it.
#[derive(Debug)]
pub(crate) struct Ends(Arc<AtomicBool>);

impl Ends {
    /// Whether an operation was cut short: what the guest made of that says nothing.
    pub(crate) fn cut(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Gives the stop. Clones give the same one.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

/// Where a call learns that it is to end. Clones learn of the same stop, so one
/// [`Stopper`] may end several calls.
///
/// ```
/// let (stopper, stop) = idumb_sandbox::Stop::new();
/// assert!(!stop.is_given());
/// stopper.stop();
/// assert!(stop.is_given());
/// ```
#[derive(Debug, Clone)]
pub struct Stop(Option<watch::Receiver<bool>>);

impl Stopper {
    /// Ends the calls that listen, now and later. Giving it again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// A stop that is not given yet, and what gives it.
    ///
    /// If the stopper goes away without giving it, it is never given.
    pub fn new() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Self(Some(receiver)))
    }

    /// A stop that is never given.
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether it was given.
    pub fn is_given(&self) -> bool {
        self.0.as_ref().is_some_and(|given| *given.borrow())
    }

    /// Has what `view` does for a call end with this stop, as long as what it answers is kept:
    /// what is done with the view when the call has ended is not the call's.
    pub(crate) fn ends(&self, view: &ReadView) -> Ends {
        let ends = Ends(Arc::default());
        let (stop, call) = (self.clone(), Arc::downgrade(&ends.0));
        view.stops_when(move || match call.upgrade() {
            Some(cut) if stop.is_given() => {
                cut.store(true, Ordering::Relaxed);
                true
            }
            _ => false,
        });
        ends
    }

    /// Waits until it is given.
    pub async fn given(mut self) {
        if let Some(given) = &mut self.0
            && given.wait_for(|given| *given).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}
