//! The two hosts that are compared, and the directories that they work in.
//!
//! Invariant: both run the same component, from the same tree.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use idumb_core::{Blobs, Digest};
use idumb_overlay::{Base, Quota, WorkView, integrate};
use idumb_sandbox::{Command, CommandOptions, Exit, Files, Limits, Mount, Sandbox, Stdio, Stop};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::Command as StockCommand;
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

/// The most bytes that a script may print.
const MOST: usize = 1 << 20;

/// What both directories hold at first.
const FILES: &[(&str, &str)] =
    &[("a/a", "in a"), ("a/b/c", "deep"), ("b/a", "run"), ("b/c/d/keep", ""), ("c", "top")];
const LINKS: &[(&str, &str)] = &[("b/b", "../c"), ("d", "a"), ("e", "../outside"), ("b/e", "/c")];

/// A directory that one host works in, and what is beside it.
pub(crate) struct Side(tempfile::TempDir);

impl Side {
    pub(crate) fn new() -> Self {
        let side = Self(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap());
        for (path, content) in FILES {
            let path = side.root().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        for (path, target) in LINKS {
            std::os::unix::fs::symlink(target, side.root().join(path)).unwrap();
        }
        fs::write(side.0.path().join("outside"), "nobody gets this").unwrap();
        fs::create_dir(side.0.path().join("blobs")).unwrap();
        side
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    /// Everything in the directory: contents, where links lead, and directories.
    pub(crate) fn tree(&self) -> BTreeMap<String, String> {
        let outside = fs::read_to_string(self.0.path().join("outside")).unwrap();
        assert_eq!(outside, "nobody gets this");
        let mut tree = BTreeMap::new();
        let mut left = vec![self.root()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let kind = fs::symlink_metadata(&path).unwrap();
                let name = path.strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned();
                let what = if kind.is_dir() {
                    left.push(path);
                    "dir".to_owned()
                } else if kind.is_symlink() {
                    format!("-> {}", fs::read_link(path).unwrap().display())
                } else {
                    String::from_utf8(fs::read(path).unwrap()).unwrap()
                };
                tree.insert(name, what);
            }
        }
        tree
    }
}

/// Contents in a folder, by digest.
struct Kept(PathBuf);

impl Blobs for Kept {
    fn open(&self, digest: Digest) -> io::Result<File> {
        File::open(self.0.join(digest.to_hex()))
    }

    fn keep(&self, content: &mut dyn io::Read) -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let digest = Digest::of(&bytes);
        fs::write(self.0.join(digest.to_hex()), &bytes)?;
        Ok((digest, bytes.len() as u64))
    }
}

struct Stock {
    table: ResourceTable,
    wasi: WasiCtx,
}

impl WasiView for Stock {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

pub(crate) struct Hosts {
    runtime: tokio::runtime::Runtime,
    engine: Engine,
    component: Component,
    linker: Linker<Stock>,
    command: Command,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let engine = Engine::default();
        let component = Component::new(&engine, idumb_test_guests::COMMANDER).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let sandbox = Sandbox::new(Limits::default()).unwrap();
        let command = sandbox.prepare_command(idumb_test_guests::COMMANDER).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, engine, component, linker, command }
    }

    /// What the command says of `script` in a directory that wasmtime-wasi gives it.
    pub(crate) fn stock(&self, side: &Side, script: &str) -> String {
        let out = MemoryOutputPipe::new(MOST);
        let mut wasi = WasiCtx::builder();
        wasi.args(&["commander", "script"]).stdout(out.clone());
        wasi.stdin(MemoryInputPipe::new(script.to_owned())).allow_blocking_current_thread(true);
        wasi.preopened_dir(side.root(), ".", FsPerms::ReadWrite).unwrap();
        let state = Stock { table: ResourceTable::new(), wasi: wasi.build() };
        let mut store = Store::new(&self.engine, state);
        self.runtime.block_on(async {
            let command =
                StockCommand::instantiate_async(&mut store, &self.component, &self.linker);
            command.await.unwrap().wasi_cli_run().call_run(&mut store).await.unwrap().unwrap();
        });
        drop(store);
        String::from_utf8(out.contents().to_vec()).unwrap()
    }

    /// What the command says of `script` in a plain view, which is integrated afterwards.
    pub(crate) fn ours(&self, side: &Side, script: &str) -> String {
        let base = Base::open(side.root()).unwrap();
        let beside = |name: &str| side.0.path().join(name);
        let view = WorkView::plain(&base, &beside("upper"), Quota::default()).unwrap();
        let options = CommandOptions {
            args: vec!["commander".to_owned(), "script".to_owned()],
            env: Vec::new(),
            mounts: vec![Mount { name: ".".to_owned(), files: Files::Work(view.clone()) }],
            stdio: Stdio::Capture { stdin: script.as_bytes().to_vec(), most: MOST },
            stop: Stop::never(),
        };
        let ran = self.runtime.block_on(self.command.run(options));
        assert_eq!(ran.exit, Exit::Status(0), "{}", String::from_utf8_lossy(&ran.stderr));
        let blobs = Kept(beside("blobs"));
        let sealed = view.seal(&blobs).unwrap();
        integrate(&base, &sealed.change_set, &blobs, Path::new(&beside("staging"))).unwrap();
        String::from_utf8(ran.stdout).unwrap()
    }
}
