//! What the benchmarks share: a phase of trivial tasks, run by the binary, and medians.
//!
//! Invariant: who is compared is measured the same way.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const IDUMB: &str = env!("CARGO_BIN_EXE_idumb");

/// A project with a plan of `tasks` tasks in layers of ten, each depending on two of the layer
/// above; each writes a file and has one criterion.
pub(crate) fn generate(root: &Path, tasks: usize) {
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
pub(crate) fn above(index: usize) -> Vec<usize> {
    let of = |shift: usize| {
        let layer = (index / 10).checked_sub(1)?;
        Some(layer * 10 + (index + shift) % 10)
    };
    [of(0), of(3)].into_iter().flatten().collect()
}

pub(crate) struct Phase {
    pub(crate) first: Duration,
    pub(crate) total: Duration,
    pub(crate) peak_kib: u64,
}

pub(crate) fn phase(root: &Path, tasks: usize, cache: &Path) -> Phase {
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

pub(crate) fn run(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
    start.elapsed()
}

pub(crate) fn median(times: usize, mut once: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<Duration> = (0..times).map(|_| once()).collect();
    all.sort();
    all[times / 2]
}
