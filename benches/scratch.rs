//! What the trees cost that commands run on: prints ratios to `cp -r`, from one run.
//!
//! `cargo bench -p idumb-overlay --bench scratch [-- FILES [FOLDER]]` makes a project of FILES
//! files of about 1 KiB (50,000 by default), a hundred in a directory, and a change-set of ten
//! files, and measures each way several times in turn; the median counts. FOLDER says on which
//! disk, by default that of the build. `cp -rl` is there to compare with: nobody may use it.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use idumb_core::{Blobs, Change, ChangeSet, Digest, Entry};
use idumb_overlay::Base;
use idumb_overlay::scratch::{ScratchOptions, clear, fingerprint, layer, layers_work, materialise};

mod spread;

use spread::{content, spread};

const TIMES: usize = 3;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let files = words.iter().find_map(|word| word.parse().ok()).unwrap_or(50_000);
    let place = words.iter().find(|word| word.contains('/')).map(PathBuf::from);
    let place = place.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let folder = tempfile::tempdir_in(place).expect("a new folder");
    let folder = folder.path();
    let root = folder.join("project");
    spread(&root, files);
    run(&mut Command::new("sync"));
    let kind = run(Command::new("stat").args(["-f", "-c", "%T"]).arg(folder)).1;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\na project of {files} files, {} bytes each", content(0).len());
    println!("on {}, {cores} cores, the median of {TIMES}; wanted: at most 0.20", kind.trim());
    measure(folder, &root);
}

fn run(command: &mut Command) -> (Duration, String) {
    let start = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let took = start.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    (took, String::from_utf8_lossy(&output.stdout).into_owned())
}

fn timed<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = what();
    (start.elapsed(), done)
}

/// Has one content under every digest.
struct One(PathBuf);

impl Blobs for One {
    fn open(&self, _: Digest) -> std::io::Result<fs::File> {
        fs::File::open(&self.0)
    }

    fn keep(&self, content: &mut dyn std::io::Read) -> std::io::Result<(Digest, u64)> {
        Digest::of_reader(content)
    }
}

/// Ten files, a thousand apart.
fn changes(folder: &Path) -> (ChangeSet, Arc<dyn Blobs>) {
    let blob = folder.join("blob");
    fs::write(&blob, "changed\n").expect("a blob");
    let after = Entry::File { digest: Digest::of(b"changed\n"), size: 8, executable: false };
    let change = |number: usize| Change {
        path: format!("d0/e{number}/{}.txt", number * 100),
        before: None,
        after: Some(after.clone()),
        renamed_from: None,
    };
    (ChangeSet { changes: (0..10).map(change).collect() }, Arc::new(One(blob)))
}

/// How long each way took, in turn.
#[derive(Default)]
struct Times(Vec<(&'static str, Vec<Duration>)>);

impl Times {
    fn add(&mut self, what: &'static str, took: Duration) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, times)) => times.push(took),
            None => self.0.push((what, vec![took])),
        }
    }

    fn print(mut self) {
        let mut copy = None;
        for (what, times) in &mut self.0 {
            times.sort();
            let median = times[times.len() / 2].as_secs_f64();
            let copy = *copy.get_or_insert(median);
            println!("{what:<48}{:>9.1} ms{:>8.3} x cp -r", median * 1e3, median / copy);
        }
    }
}

fn measure(folder: &Path, root: &Path) {
    let base = Base::open(root).expect("a base");
    let (changes, blobs) = changes(folder);
    let options = ScratchOptions::default();
    let single = ScratchOptions { threads: 1, ..options.clone() };
    let mut times = Times::default();
    let to = folder.join("to");
    let mut counts = String::new();
    let layered = layers_work(folder);
    for _ in 0..TIMES {
        times.add("cp -r", run(Command::new("cp").arg("-r").arg(root).arg(&to)).0);
        times.add("  removed by rm -r", run(Command::new("rm").arg("-r").arg(&to)).0);
        times.add("cp -rl (not safe)", run(Command::new("cp").arg("-rl").arg(root).arg(&to)).0);
        clear(&to).expect("cleared");
        for (what, removed, options) in [
            ("materialise", "  removed by clear", &options),
            ("materialise, one thread", "  removed by clear ", &single),
        ] {
            let (took, made) = timed(|| materialise(&base, &changes, &blobs, &to, options));
            let made = made.expect("a tree");
            times.add(what, took);
            counts = format!("{:?}", made.counts);
            times.add(removed, timed(|| made.remove().expect("removed")).0);
        }
        if layered.is_ok() {
            let (took, made) = timed(|| layer(&base, &changes, &blobs, &to, &options));
            let made = made.expect("layers");
            times.add("layer", took);
            let line = made.enter([OsStr::new("true")]);
            times.add("  mounted, and `true` run", run(Command::new(&line[0]).args(&line[1..])).0);
            times.add("  removed by clear  ", timed(|| made.remove().expect("removed")).0);
        }
        times.add("fingerprint", timed(|| fingerprint(&base, &changes, &options)).0);
    }
    if let Err(error) = layered {
        println!("no layers: {error}");
    }
    times.print();
    println!("materialise: {counts}");
}
