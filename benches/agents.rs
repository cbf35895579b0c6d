//! What agents cost, beside what processes cost: prints ratios from one run.
//!
//! `cargo bench -p idumb --bench agents` calls agents in this process, and runs phases with the
//! binary of this profile. `bwrap` (bubblewrap) has to be installed, to be compared with.

#[path = "support.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use idumb_core::{Feedback, Grants, LogLine, PhaseId, ResourceLimits, Role, RunId, Task, Trouble};
use idumb_overlay::{Base, Quota, WorkView};
use idumb_sandbox::{
    Agent, Broken, Cache, CallOptions, Context, Desk, NoCommands, Options, Question, Sandbox, Stop,
    Stopper,
};
use support::{generate, median, phase, run};

/// How often a call is measured.
const CALLS: usize = 2000;
/// How often a hang is stopped.
const STOPS: usize = 1000;
/// Tasks of the phase.
const TASKS: usize = 300;
/// Different agents that are alive at once.
const ALIVE: usize = 20;
/// Bytes of the large component, about.
const LARGE: usize = 18 << 20;

fn main() {
    let room = tempfile::tempdir().expect("a temporary folder");
    let mut out = String::new();
    let spawn = median(200, || run(&mut Command::new("/bin/true")));
    let confined = median(50, || {
        run(Command::new("bwrap").args(["--unshare-all", "--ro-bind", "/", "/", "/bin/true"]))
    });
    line(&mut out, "/bin/true, spawned and waited for", spawn, "");
    line(&mut out, "bwrap --unshare-all /bin/true", confined, "");
    calls(&mut out, room.path(), spawn);
    phases(&mut out, room.path(), spawn, confined);
    large(&mut out, room.path());
    memory(&mut out, room.path());
    interruption(&mut out);
    stops(&mut out, room.path());
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
}

fn line(out: &mut String, what: &str, time: Duration, beside: &str) {
    let _ = writeln!(out, "{what:<52}{time:>10.2?}  {beside}");
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn sandbox(options: Options) -> Sandbox {
    Sandbox::with(options).expect("a sandbox")
}

/// An agent without anything in it: what the engine and the host cost by themselves.
fn bare_agent() -> Vec<u8> {
    builder("")
}

/// A builder that does nothing, with these functions beside.
fn builder(functions: &str) -> Vec<u8> {
    let inside = format!("(func $try (result i32) i32.const 0) {functions}");
    let text = include_str!("../host/sandbox/tests/sandbox/builder.wat")
        .replace("{inside}", &inside)
        .replace("{beside}", "")
        .replace("{imports}", "")
        .replace("{with}", "")
        .replace("{on-realloc}", "");
    wat::parse_str(text).expect("a component")
}

/// Calls of agents, on a view of an empty project.
struct Caller {
    runtime: tokio::runtime::Runtime,
    base: Base,
    upper: PathBuf,
    made: std::cell::Cell<usize>,
    context: Context,
}

impl Caller {
    fn new(room: &Path) -> Self {
        let folder = tempfile::tempdir_in(room).expect("a folder").keep();
        let project = folder.join("project");
        fs::create_dir(&project).expect("a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Self {
            runtime: runtime.expect("a runtime"),
            base: Base::open(&project).expect("the project"),
            upper: folder,
            made: Default::default(),
            context: Context {
                run: RunId::new("phase-1-r1").expect("an id"),
                phase: PhaseId { number: 1, name: "measure".to_owned() },
                goal: "Measure.".to_owned(),
                attempt: 1,
                artifacts: Vec::new(),
                feedback: Feedback::default(),
            },
        }
    }

    fn view(&self) -> WorkView {
        let number = self.made.replace(self.made.get() + 1);
        let upper = self.upper.join(format!("upper-{number}"));
        WorkView::new(&self.base, &upper, Grants::default(), Quota::default()).expect("a view")
    }

    /// Whether the agent answered.
    fn call(&self, agent: &Agent, view: WorkView, task: &Task, stop: Stop) -> bool {
        let limits = ResourceLimits::default();
        let options =
            CallOptions { stop, desk: Arc::new(Silent), commands: Arc::new(NoCommands), limits };
        let ended = self.runtime.block_on(agent.build(view, task, &self.context, options));
        // The built-in builder says that a task without steps is none: an answer as any other.
        matches!(ended.result, Ok(_) | Err(Broken::Trouble(Trouble::Failure(_))))
    }
}

struct Silent;

impl Desk for Silent {
    fn progress(&self, _: u32, _: u32, _: &str) {}

    fn log(&self, _: &LogLine) {}

    fn ask(&self, _: Question) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
        Box::pin(std::future::ready(None))
    }
}

fn task(options: &[(&str, &str)]) -> Task {
    let options: serde_json::Map<String, serde_json::Value> =
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    serde_json::from_value(serde_json::json!({
        "id": "T1", "title": "Do nothing", "description": "", "agent": "builder",
        "depends_on": [], "reads": [], "writes": [], "artifacts": [], "timeout": null,
        "retries": 0, "steps": [], "options": options, "accept": [],
    }))
    .expect("a task")
}

fn calls(out: &mut String, room: &Path, spawn: Duration) {
    let caller = Caller::new(room);
    let idle = task(&[]);
    for (how, on_demand) in [("in advance", false), ("on demand", true)] {
        let sandbox = sandbox(Options { on_demand, ..Options::default() });
        assert_eq!(sandbox.is_pooled(), !on_demand, "there is no room in advance here");
        let agents =
            [("bare agent", bare_agent()), ("built-in builder", idumb_builtin::BUILDER.to_vec())];
        for (name, bytes) in agents {
            let agent = sandbox.prepare(Role::Builder, &bytes).expect(name);
            // A view is made before the call and removed after it: that is the overlay's cost.
            let once = |view: &WorkView| {
                let start = Instant::now();
                assert!(caller.call(&agent, view.clone(), &idle, Stop::never()), "{name} failed");
                start.elapsed()
            };
            let views: Vec<WorkView> = (0..CALLS).map(|_| caller.view()).collect();
            let mut times: Vec<Duration> = views.iter().map(once).collect();
            times.sort();
            let time = times[CALLS / 2];
            let what = format!("instance, call, drop: {name}, memory {how}");
            line(out, &what, time, &format!("/bin/true is {:.1} x that", ratio(spawn, time)));
        }
    }
}

fn phases(out: &mut String, room: &Path, spawn: Duration, confined: Duration) {
    let cache = room.join("phase-cache");
    let fresh = |tasks| {
        let root = tempfile::tempdir_in(room).expect("a folder").keep();
        generate(&root, tasks);
        root
    };
    let cold = phase(&fresh(1), 1, &cache).first;
    let mut firsts: Vec<Duration> = (0..21).map(|_| phase(&fresh(1), 1, &cache).first).collect();
    firsts.sort();
    let first = firsts[firsts.len() / 2];
    let whole = phase(&fresh(TASKS), TASKS, &cache);
    let each = (whole.total - whole.first) / (TASKS as u32 - 1);
    let beside = |time| format!("{:.1} x /bin/true", ratio(time, spawn));
    line(out, "start to first task done, agents compiled", cold, &beside(cold));
    line(out, "start to first task done, agents cached", first, &beside(first));
    let confined = format!("bwrap is {:.1} x that", ratio(confined, each));
    line(out, &format!("one durable task of {TASKS}, two cores"), each, &confined);
}

/// A component of about 18 MB, of many functions that compute.
fn large_component() -> Vec<u8> {
    let mut body = String::new();
    let mut text = String::new();
    for number in 0..400 {
        let _ = write!(
            text,
            "local.get 0 i32.const {} i32.mul local.get 1 i32.xor local.set 0 \
             local.get 0 i32.load offset={} local.set 1 ",
            number * 7919 + 65_537,
            number * 4
        );
    }
    let functions = LARGE / (400 * 17);
    for number in 0..functions {
        let _ = writeln!(
            body,
            "(func (export \"f{number}\") (param i32 i32) (result i32) {text} local.get 0)"
        );
    }
    builder(&body)
}

fn large(out: &mut String, room: &Path) {
    let bytes = large_component();
    let cache = Cache::open(&room.join("large-cache")).expect("a cache").bounded(4 << 30);
    let options = || Options { cache: Some(cache.clone()), ..Options::default() };
    let mib = bytes.len() as f64 / f64::from(1 << 20);
    let start = Instant::now();
    let agent = sandbox(options()).prepare(Role::Builder, &bytes).expect("it compiles");
    let compiled = start.elapsed();
    assert!(!agent.is_cached(), "it was compiled before");
    let again = sandbox(options());
    let loaded = median(9, || {
        let start = Instant::now();
        assert!(again.prepare(Role::Builder, &bytes).expect("it loads").is_cached());
        start.elapsed()
    });
    line(out, &format!("compiling a component of {mib:.1} MiB, in this process"), compiled, "");
    let beside = format!("compiling is {:.0} x that", ratio(compiled, loaded));
    line(out, "loading it from the cache", loaded, &beside);
}

/// What this process has to itself, in KiB: not what it maps of files, dirty or not, which is the
/// page cache's.
fn anonymous_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("smaps");
    let of = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    };
    of("Anonymous:")
}

fn memory(out: &mut String, room: &Path) {
    let cache = Cache::open(&room.join("memory-cache")).expect("a cache");
    // Different bytes, so that each is compiled and loaded by itself.
    let agents: Vec<Vec<u8>> = (0..ALIVE)
        .map(|number| {
            let name = format!("{number:>8}");
            let section = [&[8], name.as_bytes()].concat();
            let mut bytes = idumb_builtin::BUILDER.to_vec();
            bytes.extend([0, section.len() as u8]);
            bytes.extend(section);
            bytes
        })
        .collect();
    let options = || Options { cache: Some(cache.clone()), ..Options::default() };
    let compiling = sandbox(options());
    for bytes in &agents {
        compiling.prepare(Role::Builder, bytes).expect("it compiles");
    }
    drop(compiling);
    let caller = Caller::new(room);
    let sandbox = sandbox(options());
    let use_once = |agent: &Agent| caller.call(agent, caller.view(), &task(&[]), Stop::never());
    let first = sandbox.prepare(Role::Builder, idumb_builtin::BUILDER).expect("the builder");
    assert!(use_once(&first), "it failed");
    let before = anonymous_kib();
    let alive: Vec<Agent> = agents
        .iter()
        .map(|bytes| sandbox.prepare(Role::Builder, bytes).expect("it loads"))
        .collect();
    let each = |now: u64| now.saturating_sub(before) / ALIVE as u64;
    let loaded = each(anonymous_kib());
    for agent in &alive {
        assert!(agent.is_cached() && use_once(agent), "it failed");
    }
    let used = each(anonymous_kib());
    let _ = writeln!(
        out,
        "private memory of each of {ALIVE} compiled agents: loaded {loaded} KiB, and with what the \
         pool keeps when each was called once {used} KiB"
    );
}

/// What being interruptible costs: the same loop, compiled with and without epochs.
fn interruption(out: &mut String) {
    let text = r#"(module (func (export "f") (param i64) (result i64) (local i64)
        (loop $again
            (local.set 1 (i64.add (i64.mul (local.get 1) (i64.const 6364136223846793005))
                                  (i64.const 1442695040888963407)))
            (local.set 1 (i64.xor (local.get 1) (i64.shr_u (local.get 1) (i64.const 13))))
            (local.set 1 (i64.rotl (local.get 1) (i64.const 7)))
            (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
            (br_if $again (i64.ne (local.get 0) (i64.const 0))))
        (local.get 1)))"#;
    let module = wat::parse_str(text).expect("a module");
    let mut times = [Duration::MAX; 2];
    for _ in 0..7 {
        for (place, epochs) in [false, true].into_iter().enumerate() {
            times[place] = times[place].min(compute(&module, epochs));
        }
    }
    let [without, with] = times;
    let cost = (ratio(with, without) - 1.0) * 100.0;
    line(out, "a compute loop that is interrupted each ms", with, &format!("costs {cost:+.1} %"));
}

/// How long the loop takes, with ticks of 1 ms if it is interruptible.
fn compute(module: &[u8], epochs: bool) -> Duration {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(epochs);
    let engine = wasmtime::Engine::new(&config).expect("an engine");
    let module = wasmtime::Module::new(&engine, module).expect("it compiles");
    let mut store = wasmtime::Store::new(&engine, ());
    if epochs {
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|_| Ok(wasmtime::UpdateDeadline::Continue(1)));
        let weak = engine.weak();
        std::thread::spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                #[expect(clippy::disallowed_methods, reason = "the clock of the epochs")]
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
    let instance = wasmtime::Instance::new(&mut store, &module, &[]).expect("an instance");
    let function = instance.get_typed_func::<u64, u64>(&mut store, "f").expect("f");
    let start = Instant::now();
    std::hint::black_box(function.call(&mut store, 200_000_000).expect("it runs"));
    start.elapsed()
}

fn stops(out: &mut String, room: &Path) {
    let caller = Caller::new(room);
    let sandbox = sandbox(Options::default());
    let evil = idumb_test_guests::MISBEHAVING_BUILDER;
    let agent = sandbox.prepare(Role::Builder, evil).expect("the guest");
    for hang in ["loop_forever", "loop_in_host_calls", "sleep_forever"] {
        let task = task(&[("do", hang)]);
        let mut late: Vec<Duration> =
            (0..STOPS).map(|_| stopped_after(&caller, &agent, &task)).collect();
        late.sort();
        let (median, p99) = (late[STOPS / 2], late[STOPS * 99 / 100]);
        let beside = format!("p99 {p99:.2?}, worst {:.2?}, of {STOPS}", late[STOPS - 1]);
        line(out, &format!("deadline to gone: {hang}"), median, &beside);
    }
}

/// How long after its deadline a guest is gone.
fn stopped_after(caller: &Caller, agent: &Agent, task: &Task) -> Duration {
    let (stopper, stop): (Stopper, Stop) = Stop::new();
    let (sender, given) = std::sync::mpsc::channel();
    caller.runtime.spawn(async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let _ = sender.send(Instant::now());
        stopper.stop();
    });
    assert!(!caller.call(agent, caller.view(), task, stop), "it ended by itself");
    let gone = Instant::now();
    gone - given.recv().expect("it was stopped")
}
