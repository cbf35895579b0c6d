//! System calls that fail: every place in which the disk can let a run down.
//!
//! Invariant: the process stops by itself, says what happened and what to do, blames no task
//! for it, and the run goes on later as if nothing had been.
//!
//! One call in [`STRIDE`] is made to fail by default, `IDUMB_CRASH_STRIDE=1` takes each.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::told;
use crate::trial::{Trial, number, say, temporary};
use crate::{EVERY_CHANGE, every_change};

/// Which calls fail by default: the first, and from there every so many.
const STRIDE: u64 = 23;

/// What makes a full or a broken disk.
const DISK: [&str; 2] = ["EIO", "ENOSPC"];

/// Fails unless this machine can make system calls fail.
fn require_strace() {
    let output = match Command::new("strace").args(["-f", "-e", "trace=none", "true"]).output() {
        Ok(output) => output,
        Err(error) => panic!("strace is needed (apt-get install strace): {error}"),
    };
    assert!(
        output.status.success(),
        "strace cannot trace here; in a container, allow ptrace (--cap-add=SYS_PTRACE): {}",
        told(&output)
    );
}

/// `command`, in each of whose threads the `time`-th of `calls` fails with `error`: only those
/// on a file in `only`, unless that is empty. Also whether there was such a call.
fn failing(
    trial: &Trial,
    command: &Command,
    (call, error, time): (&str, &str, u64),
    only: &[&str],
) -> (Output, bool) {
    let log = trial.beside("strace.log");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "--seccomp-bpf", "-e", &format!("trace={call}")]);
    traced.args(["-e", &format!("inject={call}:error={error}:when={time}"), "-o"]).arg(&log);
    for path in only {
        traced.arg("-P").arg(trial.folder().join(path));
    }
    traced.arg(command.get_program()).args(command.get_args()).env_clear();
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    traced.current_dir(trial.folder()).stdin(std::process::Stdio::null());
    let output = traced.output().unwrap();
    let log = fs::read_to_string(log).unwrap();
    (output, log.contains("(INJECTED)"))
}

/// A stop that helps: its own exit status, and what to do.
fn assert_clean(output: &Output, what: &str) {
    let (code, stderr) = (output.status.code(), String::from_utf8_lossy(&output.stderr));
    let said = format!("{}{stderr}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("panicked at"), "{what}: {}", told(output));
    assert!(matches!(code, Some(0 | 1 | 20)), "{what}: {}", told(output));
    let advice = ["what to do", "next: ", "go on with"];
    let helps = code == Some(0) || advice.iter().any(|words| said.contains(words));
    assert!(helps, "{what}: it does not say what to do: {}", told(output));
}

/// Has calls fail one after the other, as `IDUMB_CRASH_STRIDE` says; how many did.
fn fail_each(call: &str, errors: &[&str], only: &[&str]) -> u64 {
    fail_each_from(1, call, errors, only)
}

/// The same from the `from`-th call of each thread on.
fn fail_each_from(from: u64, call: &str, errors: &[&str], only: &[&str]) -> u64 {
    require_strace();
    let stride = number("IDUMB_CRASH_STRIDE").unwrap_or(STRIDE);
    let mut failed = 0;
    let mut unclean = Vec::new();
    for error in errors {
        for time in (from..).step_by(usize::try_from(stride).unwrap().max(1)) {
            let trial = Trial::new(every_change);
            let (output, hit) = failing(&trial, &trial.begin(), (call, error, time), only);
            if !hit {
                break;
            }
            failed += 1;
            let what = format!("{call} number {time} with {error}");
            let tried = std::panic::catch_unwind(|| {
                assert_clean(&output, &what);
                let end = trial.to_the_end(|_| {});
                trial.assert_ends_as(&EVERY_CHANGE, &end, &what);
            });
            if tried.is_err() {
                unclean.push(what);
            }
        }
    }
    say(&format!("{call}: {failed} failed"));
    assert!(failed > 0, "there is no {call}");
    assert!(unclean.is_empty(), "{} of {failed} went wrong: {unclean:#?}", unclean.len());
    failed
}

#[test]
fn a_failing_fsync_stops_cleanly() {
    fail_each("fsync", &DISK, &[]);
}

#[test]
fn a_failing_fdatasync_stops_cleanly() {
    fail_each("fdatasync", &DISK, &[]);
}

#[test]
fn a_failing_write_into_the_journal_or_a_file_of_an_attempt_stops_cleanly() {
    // Neither the terminal nor a socket is written to with this call.
    fail_each("pwrite64", &DISK, &[]);
}

#[test]
fn a_failing_write_of_the_state_document_stops_cleanly() {
    let state = |name: &str| format!(".idumb/state/{name}");
    let paths = ["state.json.new", ".gitignore", "lock"].map(state);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    fail_each("write", &DISK, &paths);
}

#[test]
fn a_failing_rename_stops_cleanly() {
    for call in ["rename", "renameat", "renameat2"] {
        fail_each(call, &DISK, &[]);
    }
}

#[test]
fn a_failing_removal_stops_cleanly() {
    for call in ["unlink", "unlinkat"] {
        fail_each(call, &DISK, &[]);
    }
}

#[test]
fn a_failing_making_of_a_folder_stops_cleanly() {
    for call in ["mkdir", "mkdirat"] {
        fail_each(call, &DISK, &[]);
    }
}

#[test]
fn a_failing_look_into_the_project_stops_cleanly() {
    fail_each("openat2", &["EIO", "EMFILE"], &[]);
}

#[test]
fn a_failing_opening_of_a_file_stops_cleanly() {
    // The journal, the blobs, the plan; after what the loader of the process opens by itself.
    fail_each_from(8, "openat", &["EIO", "ENOSPC", "EMFILE"], &[]);
}

#[test]
fn a_failing_opening_of_a_file_of_an_attempt_stops_cleanly() {
    // In these directories: contents that an agent writes, and those that are to be put in place.
    let tasks = ["create", "replace", "delete", "move", "retry", "source", "copy", "again"];
    let upper = |task: &&str| [1, 2].map(|epoch| format!(".idumb/state/upper/P1-{task}-{epoch}"));
    let mut dirs: Vec<String> = tasks.iter().flat_map(upper).collect();
    dirs.push(".idumb/state/staging".to_owned());
    let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
    fail_each("openat", &["EIO", "ENOSPC", "EMFILE"], &dirs);
}

/// Fills what is left of a small file system but for some pages, and runs there.
#[test]
fn a_full_disk_stops_cleanly() {
    const PAGE: u64 = 4096;
    let disk = temporary();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
        .arg(disk.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        say("skipped: mounting is not permitted here; the failing system calls stand for it");
        return;
    }
    let tried = std::panic::catch_unwind(|| {
        let stride = number("IDUMB_CRASH_STRIDE").unwrap_or(STRIDE);
        let mut pages = 0;
        loop {
            let trial = Trial::within(disk.path(), every_change);
            let filler = disk.path().join("filler");
            fill(&filler);
            let file = OpenOptions::new().write(true).open(&filler).unwrap();
            let full = file.metadata().unwrap().len();
            file.set_len(full.saturating_sub(pages * PAGE)).unwrap();
            drop(file);
            let output = trial.begin().output().unwrap();
            fs::remove_file(&filler).unwrap();
            let what = format!("with {pages} pages left");
            assert_clean(&output, &what);
            let end = trial.to_the_end(|_| {});
            trial.assert_ends_as(&EVERY_CHANGE, &end, &what);
            fs::remove_dir_all(trial.folder()).unwrap();
            if output.status.success() {
                assert!(pages > 0, "the disk was not full");
                break;
            }
            pages += stride;
        }
        say(&format!("it needs {pages} pages"));
    });
    let unmounted = Command::new("umount").arg(disk.path()).status().unwrap();
    assert!(unmounted.success(), "{} is still mounted", disk.path().display());
    assert!(tried.is_ok(), "see above");
}

/// Writes zeros to `path` until no more fit.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let zeros = vec![0; 64 << 10];
    while file.write(&zeros).is_ok_and(|written| written > 0) {}
}
