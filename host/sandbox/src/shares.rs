//! Which calls may begin, where the engine's room was made in advance.
//!
//! Invariant: the calls that hold their shares never want more of the pool than there is; who
//! finds none waits, and is not refused.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component;

use crate::settings::{MEMORIES_PER_SHARE, TABLES_PER_SHARE};

/// All there are. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Shares(Option<(Arc<Semaphore>, u32)>);

/// What each call of one component takes of them.
#[derive(Debug, Clone)]
pub(crate) struct Share(Option<(Arc<Semaphore>, u32)>);

/// A share that is held, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "it is held")] Option<OwnedSemaphorePermit>);

impl Shares {
    pub(crate) fn of(number: u32) -> Self {
        Self(Some((Arc::new(Semaphore::new(number as usize)), number)))
    }

    /// Where calls ask the system for what they need.
    pub(crate) fn without_end() -> Self {
        Self(None)
    }

    pub(crate) fn are_counted(&self) -> bool {
        self.0.is_some()
    }

    /// What a call of `component` takes.
    pub(crate) fn for_each_call(&self, component: &Component) -> Share {
        let (memories, tables) = component
            .resources_required()
            .map_or((0, 0), |needs| (needs.num_memories, needs.num_tables));
        Share(self.0.as_ref().map(|(semaphore, all)| {
            let parts = memories
                .div_ceil(MEMORIES_PER_SHARE)
                .max(tables.div_ceil(TABLES_PER_SHARE))
                // What is more than all is refused by the engine, in its words.
                .clamp(1, *all);
            (Arc::clone(semaphore), parts)
        }))
    }
}

impl Share {
    /// Waits until it is free.
    pub(crate) async fn held(&self) -> Held {
        let Some((semaphore, parts)) = &self.0 else {
            return Held(None);
        };
        // It is never closed.
        Held(Arc::clone(semaphore).acquire_many_owned(*parts).await.ok())
    }
}
