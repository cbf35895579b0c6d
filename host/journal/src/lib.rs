//! What idumb remembers between one process and the next: the journal of its runs, the
//! blobs beside it, the state document, and the lock that gives all of it one writer.
//!
//! Invariant: what a function here reported as kept survives the death of the process
//! and of the machine, and damage is reported, never repaired by forgetting.
//!
//! ```
//! use idumb_core::{Digest, PhaseId};
//! use idumb_journal::{Journal, NewEvent, NewRun, StateDir};
//!
//! # let project = tempfile::tempdir()?;
//! let state = StateDir::prepare(project.path())?;
//! let lock = state.lock()?; // nobody else writes while this lives
//! let mut journal = Journal::open(&lock)?;
//!
//! let phase = PhaseId::new(1, "foundation")?;
//! let run = journal.next_run_id(&phase)?;
//! let begun = NewRun { run: &run, phase: &phase, plan_digest: Digest::of(b"the plan"), plan: "{}", started_at: 1 };
//! let started = NewEvent { at: 1, kind: "run_started", task: None, body: r#"{"kind":"run_started"}"#.into() };
//! assert_eq!(journal.begin_run(&begun, &[started])?, 0..1); // durable from here on
//!
//! // Anyone may read meanwhile, without the lock.
//! let reader = Journal::open_read_only(&state)?.expect("the journal is there");
//! assert_eq!(reader.events(&run)?[0].kind, "run_started");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blob;
mod durable;
mod error;
mod journal;
mod lock;
mod rows;
mod schema;
mod state;

pub use blob::{BlobStore, Swept, Written};
pub use durable::Durability;
pub use error::{Error, LockError, Result};
pub use journal::{Journal, Reading, Writing};
pub use lock::Lock;
pub use rows::{NewEvent, NewRun, Outcome, RunRow, Snapshot, StoredEvent};
pub use state::{StateDir, write_state};
