//! How long a phase takes, beside what else a machine does: prints ratios from one run.
//!
//! `cargo bench -p idumb --bench phase [-- TASKS]` generates a plan of TASKS trivial tasks (1,000
//! by default) in layers of ten, runs it with the binary of this profile, and prints its figures
//! beside `/bin/true`, beside writing and syncing the same files one by one, and beside `make -j2`
//! and `ninja`, which have `touch` make the files of the same graph. Both have to be installed.

#[path = "support.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{IDUMB, above, generate, median, phase, run};

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
    run(Command::new("make").arg("-C").arg(&folder).args(["-s", "-j2"]))
}

fn ninja(folder: &Path, tasks: usize) -> Duration {
    let mut text = "rule touch\n  command = touch $out\n".to_owned();
    for index in 0..tasks {
        let _ = writeln!(text, "build t{index}: touch{}", names(&above(index)));
    }
    let folder = folder.join("ninja");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("build.ninja"), text).expect("a build file");
    run(Command::new("ninja").arg("-C").arg(&folder).args(["--quiet", "-j2"]))
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
