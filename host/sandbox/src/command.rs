//! Running a WASI 0.2 command: any component that exports `wasi:cli/run`.
//!
//! Invariant: its files are the very views that agents work in, and nothing else of the host is
//! in reach but what the options hand over: no network, and no environment by default.

use std::io;

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::{CommandPre, sockets};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{I32Exit, WasiCtx};

use crate::agent::trap_text;
use crate::engine::{exports, link_wasi, whole};
use crate::seat::{Mount, Seat, store};
use crate::shares::Share;
use crate::stop::Ends;
use crate::{Limits, Refused, Stop};

/// A component that was checked and compiled as a command.
#[derive(Clone)]
pub struct Command {
    pre: CommandPre<Seat>,
    share: Share,
    limits: Limits,
}

/// How one run of a command is to go.
#[derive(Clone)]
pub struct CommandOptions {
    /// Its arguments; the first is the name that it is called by.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// The directories that it finds open.
    pub mounts: Vec<Mount>,
    /// Its standard input, output and error.
    pub stdio: Stdio,
    /// Ends it when it is given.
    pub stop: Stop,
}

/// The standard input, output and error of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdio {
    /// Those of this process.
    Inherit,
    /// It reads these bytes, and what it prints is kept.
    Capture {
        /// What it reads.
        stdin: Vec<u8>,
        /// The most bytes that are kept of each; writing more than that fails.
        most: usize,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status; 0 is success.
    Status(u8),
    /// It crashed, or broke a limit.
    Trap(String),
    /// Its stop was given.
    Stopped,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// How.
    pub exit: Exit,
    /// The first error of the host's own that its file operations ran into.
    pub host_error: Option<io::Error>,
    /// What it printed, if that was captured.
    pub stdout: Vec<u8>,
    /// What it printed to standard error, if that was captured.
    pub stderr: Vec<u8>,
}

impl Command {
    pub(crate) fn new(
        engine: &Engine,
        component: &Component,
        share: Share,
        limits: Limits,
    ) -> Result<Self, Refused> {
        let found = exports(engine, component);
        if !found.iter().any(|name| name.starts_with("wasi:cli/run@0.2.")) {
            return Err(Refused::NoCommand { found: found.join(", ") });
        }
        let refused = |error| Refused::Invalid(whole(&error));
        let linker = linker(engine).map_err(refused)?;
        let pre = linker.instantiate_pre(component).map_err(refused)?;
        Ok(Self { pre: CommandPre::new(pre).map_err(refused)?, share, limits })
    }

    /// Runs it to its end.
    pub async fn run(&self, options: CommandOptions) -> Ran {
        let mut wasi = WasiCtx::builder();
        wasi.args(&options.args).envs(&options.env);
        let kept = match options.stdio {
            Stdio::Inherit => {
                wasi.inherit_stdio();
                None
            }
            Stdio::Capture { stdin, most } => {
                let (out, err) = (MemoryOutputPipe::new(most), MemoryOutputPipe::new(most));
                wasi.stdin(MemoryInputPipe::new(stdin)).stdout(out.clone()).stderr(err.clone());
                Some((out, err))
            }
        };
        let calls: Vec<_> =
            options.mounts.iter().map(|mount| options.stop.ends(mount.files.view())).collect();
        let seat = Seat::new(options.mounts, &self.limits, wasi);
        let mut store = store(self.pre.engine(), seat);
        // Beyond the store, whose memory is what it stands for.
        let mut held = None;
        let running = async {
            held = Some(self.share.held().await);
            self.call(&mut store).await
        };
        let exit = tokio::select! {
            biased;
            () = options.stop.given() => Exit::Stopped,
            ended = running => match calls.iter().any(Ends::cut) {
                true => Exit::Stopped,
                false => ended,
            },
        };
        let host_error = store.data().host_error.take();
        drop(store);
        drop((held, calls));
        let (stdout, stderr) = kept.map_or_else(Default::default, |(out, err)| {
            (out.contents().to_vec(), err.contents().to_vec())
        });
        Ran { exit, host_error, stdout, stderr }
    }

    async fn call(&self, store: &mut Store<Seat>) -> Exit {
        let run = async {
            let command = self.pre.instantiate_async(&mut *store).await?;
            command.wasi_cli_run().call_run(&mut *store).await
        };
        match run.await {
            Ok(Ok(())) => Exit::Status(0),
            Ok(Err(())) => Exit::Status(1),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                // What does not fit is not success, as in a shell.
                Some(exit) => Exit::Status(u8::try_from(exit.0 & 0xff).unwrap_or(1)),
                None => Exit::Trap(trap_text(&error)),
            },
        }
    }
}

/// All of `wasi:cli/command`; its sockets reach no address and resolve no name.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Seat>> {
    let mut linker = Linker::<Seat>::new(engine);
    let l = &mut linker;
    link_wasi(l)?;
    sockets::tcp::add_to_linker::<Seat, WasiSockets>(l, Seat::sockets)?;
    sockets::udp::add_to_linker::<Seat, WasiSockets>(l, Seat::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<Seat, WasiSockets>(l, Seat::sockets)?;
    sockets::udp_create_socket::add_to_linker::<Seat, WasiSockets>(l, Seat::sockets)?;
    sockets::instance_network::add_to_linker::<Seat, WasiSockets>(l, Seat::sockets)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<Seat, WasiSockets>(l, &options, Seat::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<Seat, WasiSockets>(l, Seat::sockets)?;
    Ok(linker)
}
