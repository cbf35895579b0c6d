//! What the store of every call holds, whatever the guest is for: files, WASI, handles, limits.
//!
//! Invariant: nothing in here outlives the call, and no guest reaches another's.

use idumb_overlay::{ReadView, WorkView};
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_io::IoView;

use crate::Limits;
use crate::files::FileHost;
use crate::host_error::HostError;

/// The files of a guest: by type, only a builder's have a write path.
#[derive(Clone)]
pub enum Files {
    /// They can be read.
    Read(ReadView),
    /// They can be changed, in the view.
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

/// A directory that a guest finds open when it starts.
#[derive(Clone)]
pub struct Mount {
    /// The path by which the guest knows it.
    pub name: String,
    /// What stands there.
    pub files: Files,
}

/// The state of a guest's store that [`crate::files`] and WASI work on.
pub(crate) struct Seat {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) host_error: HostError,
    pub(crate) memory: StoreLimits,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl Seat {
    pub(crate) fn new(mounts: Vec<Mount>, limits: &Limits, mut wasi: WasiCtxBuilder) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            mounts,
            host_error: HostError::default(),
            memory: StoreLimitsBuilder::new()
                .memory_size(limits.memory)
                .table_elements(limits.table_elements)
                .instances(limits.instances)
                .trap_on_grow_failure(false)
                .build(),
            table,
            wasi: wasi.max_random_size(limits.random_bytes).build(),
        }
    }
}

/// A store's state with a [`Seat`] in it.
pub(crate) trait Seated: WasiView + IoView {
    fn seat(&mut self) -> &mut Seat;

    /// The file system's part of the state.
    fn file_host(&mut self) -> FileHost<'_> {
        let Seat { mounts, host_error, table, .. } = self.seat();
        FileHost { mounts, host_error, table }
    }
}

impl Seated for Seat {
    fn seat(&mut self) -> &mut Seat {
        self
    }
}

impl WasiView for Seat {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl IoView for Seat {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}
