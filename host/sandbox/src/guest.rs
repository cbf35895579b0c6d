//! What the store of one call into an agent holds.
//!
//! Invariant: nothing in here outlives the call, and no guest reaches another's.

use std::sync::Arc;

use idumb_core::{Blobs, ChangeSet, Evidence};
use idumb_overlay::{Base, ReadView};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::IoView;

use crate::log::{LogBook, Pipe, Source};
use crate::seat::{Files, Mount, Seat, Seated};
use crate::{Commands, Desk, Limits};

/// The candidate that a checking guest may ask about.
#[derive(Clone, Default)]
pub struct Candidate {
    /// What the attempt would change; empty for checks of the real tree.
    pub change_set: ChangeSet,
    /// Where the old and the new bytes are.
    pub content: Option<(Base, Arc<dyn Blobs>)>,
}

impl Candidate {
    pub(crate) fn diff(&self, path: &str) -> Result<String, String> {
        let Some((base, blobs)) = &self.content else {
            return Err(format!("`{path}` is not in the change-set"));
        };
        idumb_overlay::unified_diff(&self.change_set, path, base, blobs.as_ref())
            .map_err(|error| format!("`{path}`: {error}"))
    }
}

/// The state of an agent's store.
pub(crate) struct Guest {
    pub(crate) seat: Seat,
    pub(crate) candidate: Candidate,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) log: LogBook,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) questions: usize,
    pub(crate) commands: Arc<dyn Commands>,
    pub(crate) commands_asked: usize,
    pub(crate) limits: Limits,
}

impl Guest {
    pub(crate) fn new(
        files: Files,
        candidate: Candidate,
        (desk, commands): (Arc<dyn Desk>, Arc<dyn Commands>),
        limits: Limits,
    ) -> Self {
        let log = LogBook::new(&limits);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(Pipe(log.clone(), Source::Stdout)).stderr(Pipe(log.clone(), Source::Stderr));
        // An agent finds the project where it starts.
        let project = Mount { name: ".".to_owned(), files };
        let seat = Seat::new(vec![project], &limits, wasi);
        Self {
            seat,
            candidate,
            evidence: Vec::new(),
            log,
            desk,
            questions: 0,
            commands,
            commands_asked: 0,
            limits,
        }
    }

    /// The project, as the agent sees it.
    pub(crate) fn project(&self) -> &ReadView {
        self.seat.mounts[0].files.view()
    }
}

impl Seated for Guest {
    fn seat(&mut self) -> &mut Seat {
        &mut self.seat
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.seat.ctx()
    }
}

impl IoView for Guest {
    fn table(&mut self) -> &mut ResourceTable {
        self.seat.table()
    }
}
