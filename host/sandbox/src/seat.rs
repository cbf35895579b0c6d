//! What the store of every call holds, whatever the guest is for: files, WASI, handles, limits.
//!
//! Invariant: nothing in here outlives the call, and no guest reaches another's.

use idumb_overlay::{ReadView, WorkView};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_io::IoView;

use crate::files::FileHost;
use crate::host_error::HostError;
use crate::limiter::Limiter;
use crate::settings::TICK;
use crate::{LimitBroken, Limits};

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
    pub(crate) limiter: Limiter,
    /// How many more ticks may find it computing.
    ticks: Option<u128>,
    limits: Limits,
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
            limiter: Limiter::new(limits),
            ticks: limits.cpu.map(|cpu| cpu.as_nanos().div_ceil(TICK.as_nanos())),
            limits: *limits,
            table,
            wasi: wasi.max_random_size(limits.random_bytes).build(),
        }
    }
}

impl Seat {
    /// A tick found it computing: lets others run, and a stop be noticed.
    fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        if let Some(ticks) = &mut self.ticks {
            match ticks.checked_sub(1) {
                Some(left) => *ticks = left,
                None => {
                    let cpu = self.limits.cpu.unwrap_or_default();
                    return Err(LimitBroken(format!("it computed for more than {cpu:?}")).into());
                }
            }
        }
        Ok(UpdateDeadline::Yield(1))
    }
}

/// Handles on the guest's side at once: a call lends one for each that it names, and a component
/// may have resources of its own, of which this is the only bound.
const COMPONENT_HANDLES: usize = 100_000;

/// A store for one call: bounded by its seat's limits, and stopped where it computes.
pub(crate) fn store<T: Seated + Send + 'static>(engine: &Engine, state: T) -> Store<T> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.seat().limiter);
    let host_call_bytes = store.data_mut().seat().limits.host_call_bytes;
    store.set_hostcall_fuel(host_call_bytes);
    store.set_max_component_handles(COMPONENT_HANDLES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| context.data_mut().seat().tick());
    store
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
