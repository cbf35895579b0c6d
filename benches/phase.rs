//! How long a phase takes, beside what else a machine does: prints ratios from one run.
//!
//! `cargo bench -p idumb --bench phase [-- TASKS]` generates a plan of TASKS trivial tasks (1,000
//! by default) in layers of ten, runs it with the binary of this profile, and prints its figures
//! beside `/bin/true`, beside writing and syncing the same files one by one, and beside `make -j2`
//! and `ninja`, which have `touch` make the files of the same graph. Both have to be installed.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const IDUMB: &str = env!("CARGO_BIN_EXE_idumb");

fn main() {
    let tasks: usize =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    let project = tempfile::tempdir().expect("a temporary folder");
    let cache = tempfile::tempdir().expect("a temporary folder");
    generate(project.path(), tasks);

    let nothing = median(21, || run(&mut Command::new("/bin/true")));
    let version = median(21, || run(Command::new(IDUMB).arg("--version")));
    let cold = phase(project.path(), tasks, &cache.path().join("cold"));
    let again = tempfile::tempdir().expect("a temporary folder");
    generate(again.path(), tasks);
    let phase = phase(again.path(), tasks, &cache.path().join("cold"));
    let plain = plain_files(tasks);
    let builds = tempfile::tempdir().expect("a temporary folder");
    let make = make(builds.path(), tasks);
    let ninja = ninja(builds.path(), tasks);

    let per_task = phase.total.as_secs_f64() * 1e6 / tasks as f64;
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    let mut out = String::new();
    let _ = writeln!(out, "/bin/true                         {nothing:>10.2?}");
    let _ = writeln!(
        out,
        "idumb --version                   {version:>10.2?}  {:.1} x /bin/true",
        ratio(version, nothing)
    );
    for (first, how) in [(cold.first, "agents compiled"), (phase.first, "agents cached")] {
        let _ = writeln!(
            out,
            "to first task done, {how:<15}{first:>9.2?}  {:.0} x /bin/true",
            ratio(first, nothing)
        );
    }
    let _ = writeln!(out, "{tasks} tasks, whole process        {:>10.2?}", phase.total);
    let _ = writeln!(out, "per task                          {per_task:>8.0} µs");
    let _ = writeln!(
        out,
        "after the first task, per task    {:>8.0} µs",
        (phase.total - phase.first).as_secs_f64() * 1e6 / tasks as f64
    );
    let _ = writeln!(
        out,
        "write+fsync of the same files     {plain:>10.2?}  the phase is {:.1} x that",
        ratio(phase.total, plain)
    );
    for (name, time) in [("make -j2", make), ("ninja", ninja)] {
        let _ = writeln!(
            out,
            "{name:<9} with touch, same graph   {time:>10.2?}  the phase is {:.1} x that",
            ratio(phase.total, time)
        );
    }
    let _ = writeln!(
        out,
        "throughput, tasks a second        {:>8.0}  make {:.0}, ninja {:.0}",
        tasks as f64 / phase.total.as_secs_f64(),
        tasks as f64 / make.as_secs_f64(),
        tasks as f64 / ninja.as_secs_f64()
    );
    let _ = writeln!(out, "peak memory                       {:>6} MiB", phase.peak_kib / 1024);
    print(&out);
}

fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// A project with a plan of `tasks` tasks in layers of ten, each depending on two of the layer
/// above; each writes a file and has one criterion.
fn generate(root: &Path, tasks: usize) {
    let mut plan = String::from("phase = 1\ngoal = \"Measure.\"\n");
    for index in 0..tasks {
        let after: Vec<String> =
            above(index).into_iter().map(|other| format!("\"T{other}\"")).collect();
        let _ = write!(
            plan,
            "\n[[tasks]]\nid = \"T{index}\"\ntitle = \"Task {index}\"\ndepends_on = [{}]\n\
             writes = [\"out/{index}.txt\"]\n\
             steps = [{{ write = \"out/{index}.txt\", content = \"task {index}\\n\" }}]\n\
             accept = [{{ contains = \"out/{index}.txt\", text = \"task {index}\" }}]\n",
            after.join(", ")
        );
    }
    let phase = root.join(".idumb/phases/1-measure");
    fs::create_dir_all(&phase).expect("the phase's folder");
    fs::write(phase.join("plan.toml"), plan).expect("the plan");
}

/// The tasks that a task depends on.
fn above(index: usize) -> Vec<usize> {
    let of = |shift: usize| {
        let layer = (index / 10).checked_sub(1)?;
        Some(layer * 10 + (index + shift) % 10)
    };
    [of(0), of(3)].into_iter().flatten().collect()
}

fn names(numbers: &[usize]) -> String {
    numbers.iter().map(|number| format!(" t{number}")).collect()
}

fn make(folder: &Path, tasks: usize) -> Duration {
    let all: Vec<usize> = (0..tasks).collect();
    let mut text = format!("all:{}\n", names(&all));
    for index in 0..tasks {
        let _ = write!(text, "t{index}:{}\n\t@touch $@\n", names(&above(index)));
    }
    let folder = folder.join("make");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("Makefile"), text).expect("a makefile");
    timed(Command::new("make").arg("-C").arg(&folder).args(["-s", "-j2"]))
}

fn ninja(folder: &Path, tasks: usize) -> Duration {
    let mut text = "rule touch\n  command = touch $out\n".to_owned();
    for index in 0..tasks {
        let _ = writeln!(text, "build t{index}: touch{}", names(&above(index)));
    }
    let folder = folder.join("ninja");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("build.ninja"), text).expect("a build file");
    timed(Command::new("ninja").arg("-C").arg(&folder).args(["--quiet", "-j2"]))
}

fn timed(command: &mut Command) -> Duration {
    let start = Instant::now();
    run(command);
    start.elapsed()
}

struct Phase {
    first: Duration,
    total: Duration,
    peak_kib: u64,
}

fn phase(root: &Path, tasks: usize, cache: &Path) -> Phase {
    let start = Instant::now();
    let mut child = Command::new(IDUMB)
        .env("IDUMB_CACHE_DIR", cache)
        .arg("-C")
        .arg(root)
        .args(["execute-phase", "1", "--mode=auto", "--batch-size=10", "--format=jsonl"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("idumb starts");
    let status = format!("/proc/{}/status", child.id());
    let (mut first, mut done, mut peak_kib) = (None, 0, 0);
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    for line in lines.map_while(Result::ok) {
        if line.contains("\"kind\":\"task_succeeded\"") {
            done += 1;
            first.get_or_insert_with(|| start.elapsed());
        }
        if line.contains("\"kind\":\"run_finished\"") || done % 100 == 1 {
            peak_kib = peak(&status).unwrap_or(peak_kib);
        }
    }
    let ended = child.wait().expect("idumb ends");
    let total = start.elapsed();
    assert!(ended.success() && done == tasks, "{done} of {tasks} tasks, {ended}");
    Phase { first: first.unwrap_or(total), total, peak_kib }
}

/// The most memory that a process ever had resident, in KiB.
fn peak(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What a script does that trusts everybody: write each file, and sync it.
fn plain_files(tasks: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = Instant::now();
    for index in 0..tasks {
        let mut file = fs::File::create(folder.path().join(index.to_string())).expect("a file");
        writeln!(file, "task {index}").and_then(|()| file.sync_all()).expect("synced");
    }
    start.elapsed()
}

fn run(command: &mut Command) {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{name} has to be installed: {error}"));
    assert!(status.success());
}

fn median(times: usize, mut work: impl FnMut()) -> Duration {
    let mut taken: Vec<Duration> = (0..times)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    taken.sort();
    taken[times / 2]
}
