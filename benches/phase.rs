//! How long a phase takes, beside what else a machine does: prints ratios from one run.
//!
//! `cargo bench -p idumb --bench phase [-- TASKS]` generates a plan of TASKS trivial tasks (1,000
//! by default) in layers of ten, runs it with the binary of this profile, and prints its figures
//! beside `/bin/true` and beside writing and syncing the same files one by one.

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
    generate(project.path(), tasks);

    let nothing = median(21, || run(&mut Command::new("/bin/true")));
    let version = median(21, || run(Command::new(IDUMB).arg("--version")));
    let phase = phase(project.path(), tasks);
    let plain = plain_files(tasks);

    let per_task = phase.total.as_secs_f64() * 1e6 / tasks as f64;
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    let mut out = String::new();
    let _ = writeln!(out, "/bin/true                         {nothing:>10.2?}");
    let _ = writeln!(
        out,
        "idumb --version                   {version:>10.2?}  {:.1} x /bin/true",
        ratio(version, nothing)
    );
    let _ = writeln!(
        out,
        "process start to first task done  {:>10.2?}  {:.0} x /bin/true",
        phase.first,
        ratio(phase.first, nothing)
    );
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
        let above = |shift: usize| {
            let layer = (index / 10).checked_sub(1)?;
            Some(format!("\"T{}\"", layer * 10 + (index + shift) % 10))
        };
        let after: Vec<String> = [above(0), above(3)].into_iter().flatten().collect();
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

struct Phase {
    first: Duration,
    total: Duration,
    peak_kib: u64,
}

fn phase(root: &Path, tasks: usize) -> Phase {
    let start = Instant::now();
    let mut child = Command::new(IDUMB)
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
    let status = command.stdout(Stdio::null()).status().expect("it starts");
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
