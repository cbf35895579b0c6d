//! What the capability file system costs: prints ratios from one run.
//!
//! `cargo bench -p idumb-sandbox --bench files [-- FILES]` makes a project of FILES files (50,000
//! by default) under version control, and measures in it:
//! - starting an attempt, beside `cp -r` and `git worktree add`;
//! - sealing one, beside the same in a small project;
//! - a compiled guest's files, beside the same code run natively, and under the stock file system
//!   of wasmtime-wasi as it comes and with blocking calls allowed.
//!
//! It needs `git`. Everything lies in the folder of the build, on its disk.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use idumb_core::{Digest, Grants};
use idumb_overlay::{Base, OpenFlags, Opened, Quota, WorkView};
use idumb_sandbox::{
    Command as Guest, CommandOptions, Exit, Files, Limits, Mount, Sandbox, Stdio, Stop,
};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command as Stock;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

#[path = "../tests/guests/commander/src/timing.rs"]
mod timing;

mod spread;

use spread::{content, spread};

/// How often what is cheap is measured; the median counts.
const TIMES: usize = 9;
/// How many small files a guest writes and reads, and how much it streams.
const SMALL: u32 = 2000;
const MIB: u32 = 256;

fn main() {
    let files: usize =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(50_000);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a new folder");
    // First, while the disk has nothing else to write.
    guest_files(folder.path());
    let large = project(&folder.path().join("large"), files);
    let small = project(&folder.path().join("small"), 100);
    println!("\na project of {files} files, {} bytes each", content(0).len());
    starting(folder.path(), &large, &small);
    sealing(folder.path(), &large, &small);
}

/// A project of `files` files, a hundred in a directory, all of them checked in.
fn project(root: &Path, files: usize) -> PathBuf {
    spread(root, files);
    for args in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "all"],
    ] {
        run(Command::new("git").arg("-C").arg(root).args(args));
    }
    root.to_owned()
}

fn run(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let took = start.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn grants() -> Grants {
    let all = || vec!["**".parse().expect("a pattern")];
    Grants { reads: all(), writes: all(), ..Grants::default() }
}

fn view(base: &Base, upper: &Path) -> WorkView {
    WorkView::new(base, upper, grants(), Quota::default()).expect("a view")
}

fn line(what: &str, took: Duration, beside: &str) {
    println!("{what:<44}{took:>12.2?}  {beside}");
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(1e-12)
}

fn starting(folder: &Path, large: &Path, small: &Path) {
    println!("\nstarting an attempt");
    let start = |root: &Path| {
        let base = Base::open(root).expect("a base");
        let once = |number: usize| {
            let upper = folder.join(format!("upper-{number}"));
            let start = Instant::now();
            let view = view(&base, &upper);
            let took = start.elapsed();
            drop(view);
            took
        };
        median((0..TIMES * 10).map(once).collect())
    };
    let ours = start(large);
    line("a view", ours, "(wanted: at most 1 ms)");
    let beside = format!("{:.2} x of the large project's", ratio(start(small), ours));
    line("a view of a project of 100 files", start(small), &beside);
    let copy = run(Command::new("cp").arg("-r").arg(large).arg(folder.join("copy")));
    line("cp -r", copy, &format!("{:.0} x ours (wanted: 100)", ratio(copy, ours)));
    let mut git = Command::new("git");
    git.arg("-C").arg(large).args(["worktree", "add", "-q", "--detach"]);
    let tree = run(git.arg(folder.join("worktree")));
    line("git worktree add", tree, &format!("{:.0} x ours (wanted: 100)", ratio(tree, ours)));
}

/// Keeps nothing but what it was, so that sealing is what is measured, not the disk.
struct Forgetful;

impl idumb_core::Blobs for Forgetful {
    fn open(&self, _: Digest) -> std::io::Result<fs::File> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn keep(&self, content: &mut dyn std::io::Read) -> std::io::Result<(Digest, u64)> {
        Digest::of_reader(content)
    }
}

fn sealing(folder: &Path, large: &Path, small: &Path) {
    println!("\nsealing an attempt that changed files, without keeping what they hold");
    let seal = |root: &Path, touched: usize| {
        let base = Base::open(root).expect("a base");
        let once = |number: usize| {
            let view = view(&base, &folder.join(format!("sealed-{number}")));
            for file in 0..touched {
                let flags = OpenFlags { write: true, truncate: true, ..OpenFlags::READ };
                let path = format!("d0/e0/{file}.txt");
                let opened = view.open(view.root(), &path, true, flags).expect("a file");
                let Opened::File(file) = opened else { panic!("{path} is no file") };
                file.write_at(b"changed", 0).expect("a write");
            }
            let start = Instant::now();
            let sealed = view.seal(&Forgetful).expect("a change-set");
            let took = start.elapsed();
            assert_eq!(sealed.change_set.changes.len(), touched);
            took
        };
        median((0..TIMES).map(once).collect())
    };
    let one = seal(large, 1);
    line("1 file", one, "");
    line(
        "1 file, in a project of 100",
        seal(small, 1),
        &format!("{:.2} x", ratio(one, seal(small, 1))),
    );
    line("100 files", seal(large, 100), "(the large project's over the small one's, above)");
}

/// A name and nanoseconds, as the guest and the native code print them.
type Figures = BTreeMap<String, u64>;

fn figures(text: &str) -> Figures {
    let figure = |line: &str| {
        let (name, nanos) = line.rsplit_once(' ').expect("a figure");
        (name.to_owned(), nanos.parse().expect("a number"))
    };
    text.lines().map(figure).collect()
}

/// The median of each figure over several runs.
fn middle(runs: &[Figures]) -> Figures {
    let names = runs[0].keys();
    let of = |name: &String| {
        let mut nanos: Vec<u64> = runs.iter().map(|run| run[name]).collect();
        nanos.sort_unstable();
        (name.clone(), nanos[nanos.len() / 2])
    };
    names.map(of).collect()
}

fn guest_files(folder: &Path) {
    println!("\nfiles of a compiled guest: {SMALL} of 1 KiB, and a stream of {MIB} MiB");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let fresh = |name: &str, time: usize| {
        let folder = folder.join(format!("{name}-{time}"));
        fs::create_dir(&folder).expect("a folder");
        folder
    };
    let native = |time: usize| {
        let folder = fresh("native", time);
        let text = |path: &Path| path.to_str().expect("a path").to_owned();
        let small = timing::small(&text(&folder), SMALL).expect("small files");
        let stream = timing::stream(&text(&folder.join("stream")), MIB).expect("a stream");
        figures(&format!("{small}{stream}"))
    };
    let limits = Limits { memory: 1 << 30, ..Limits::default() };
    let sandbox = Sandbox::new(limits).expect("a sandbox");
    let guest = sandbox.prepare_command(idumb_test_guests::COMMANDER).expect("the command");
    let base = Base::open(fresh("base", 0)).expect("a base");
    let ours = |time: usize| {
        let quota = Quota { bytes: 4 << 30, ..Quota::default() };
        let upper = folder.join(format!("guest-{time}"));
        let view = WorkView::new(&base, &upper, grants(), quota).expect("a view");
        figures(&runtime.block_on(called(&guest, &view)))
    };
    let engine = engine();
    let code = Component::new(&engine, idumb_test_guests::COMMANDER).expect("the command");
    let stock = |time: usize, blocking: bool| {
        let folder = fresh(if blocking { "blocking" } else { "stock" }, time);
        figures(&runtime.block_on(stock_called(&engine, &code, &folder, blocking)))
    };
    // In turn, so that whatever else the disk does is shared by all.
    let mut runs: [Vec<Figures>; 4] = Default::default();
    for time in 0..TIMES {
        runs[0].push(native(time));
        runs[1].push(ours(time));
        runs[2].push(stock(time, false));
        runs[3].push(stock(time, true));
    }
    let [native, ours, hopping, blocking] = runs.map(|runs| middle(&runs));
    println!(
        "{:<16}{:>12}{:>12}{:>8}{:>16}{:>16}",
        "ns", "native", "ours", "ratio", "stock", "stock, blocking"
    );
    for (name, nanos) in &native {
        let (ours, stock, blocking) = (ours[name], hopping[name], blocking[name]);
        let over = |other: u64| other as f64 / *nanos as f64;
        println!(
            "{name:<16}{nanos:>12}{ours:>12}{:>7.2}x{:>15.2}x{:>15.2}x",
            over(ours),
            over(stock),
            over(blocking)
        );
    }
    println!("(wanted: small files at most 3 x native, streams at most 2 x)");
}

const WORDS: [&str; 8] =
    ["commander", "then", "time-small", ".", "", "then", "time-stream", "stream"];

fn words() -> Vec<String> {
    let mut words: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    words[4] = SMALL.to_string();
    words.push(MIB.to_string());
    words
}

async fn called(guest: &Guest, view: &WorkView) -> String {
    let mount = Mount { name: ".".to_owned(), files: Files::Work(view.clone()) };
    let stdio = Stdio::Capture { stdin: Vec::new(), most: 1 << 16 };
    let stop = Stop::never();
    let options =
        CommandOptions { args: words(), env: Vec::new(), mounts: vec![mount], stdio, stop };
    let ran = guest.run(options).await;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.exit, Exit::Status(0), "{said}");
    said
}

struct Plain {
    table: ResourceTable,
    wasi: WasiCtx,
}

impl WasiView for Plain {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    Engine::new(&config).expect("an engine")
}

async fn stock_called(engine: &Engine, code: &Component, folder: &Path, blocking: bool) -> String {
    let mut linker = Linker::<Plain>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("a linker");
    let out = MemoryOutputPipe::new(1 << 16);
    let mut wasi = WasiCtx::builder();
    wasi.args(&words()).stdout(out.clone()).allow_blocking_current_thread(blocking);
    wasi.preopened_dir(folder, ".", FsPerms::ReadWrite).expect("a folder");
    let mut store = Store::new(engine, Plain { table: ResourceTable::new(), wasi: wasi.build() });
    store.set_epoch_deadline(u64::MAX / 2);
    let command = Stock::instantiate_async(&mut store, code, &linker).await.expect("an instance");
    command.wasi_cli_run().call_run(&mut store).await.expect("no trap").expect("success");
    drop(store);
    String::from_utf8_lossy(&out.contents()).into_owned()
}
