//! What the store of one call holds.
//!
//! Invariant: nothing in here outlives the call, and no guest reaches another's.

use std::sync::Arc;

use idumb_core::{Blobs, ChangeSet, Evidence};
use idumb_overlay::{Base, ReadView, WorkView};
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::IoView;

use crate::host_error::HostError;
use crate::log::{LogBook, Pipe, Source};
use crate::{Desk, Limits};

/// The files of a guest: by type, only a builder's have a write path.
pub(crate) enum Files {
    Read(ReadView),
    Work(WorkView),
}

impl Files {
    /// The reading half, which both have.
    pub(crate) fn view(&self) -> &ReadView {
        match self {
            Self::Read(view) => view,
            Self::Work(view) => view,
        }
    }
}

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

pub(crate) struct Guest {
    pub(crate) files: Files,
    pub(crate) candidate: Candidate,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) log: LogBook,
    pub(crate) host_error: HostError,
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) limits: Limits,
    pub(crate) memory: StoreLimits,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl Guest {
    pub(crate) fn new(
        files: Files,
        candidate: Candidate,
        desk: Arc<dyn Desk>,
        limits: Limits,
    ) -> Self {
        let log = LogBook::new(&limits);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(Pipe(log.clone(), Source::Stdout))
            .stderr(Pipe(log.clone(), Source::Stderr))
            .max_random_size(limits.random_bytes);
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            files,
            candidate,
            evidence: Vec::new(),
            log,
            host_error: HostError::default(),
            desk,
            limits,
            memory: StoreLimitsBuilder::new()
                .memory_size(limits.memory)
                .table_elements(limits.table_elements)
                .instances(limits.instances)
                .trap_on_grow_failure(false)
                .build(),
            table,
            wasi: wasi.build(),
        }
    }

    /// The file system's part of the state.
    pub(crate) fn file_host(&mut self) -> crate::files::FileHost<'_> {
        let Self { files, host_error, table, .. } = self;
        crate::files::FileHost { files, host_error, table }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl IoView for Guest {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}
