//! Counting what the command uses, where the kernel does not bound it.
//!
//! Invariant: what is counted too high is counted again, precisely, before anything is ended for it.

use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use crate::Cap;

/// How often memory is looked at: a burst may go over the cap for as long.
const EVERY: Duration = Duration::from_millis(25);
/// How often, if processes are counted as well: a bomb doubles.
const EVERY_WITH_PROCESSES: Duration = Duration::from_millis(10);

/// What the processes inside use, but for this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Used {
    /// Processes and threads.
    threads: u64,
    /// Bytes that are no file's.
    memory: u64,
}

/// What is looked after; `None`: something else bounds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub(super) threads: Option<u64>,
    pub(super) memory: Option<u64>,
}

/// Looks until a cap is exceeded.
pub(super) fn until_exceeded(caps: Caps) -> Cap {
    let (_open, never) = mpsc::channel::<()>();
    let every = if caps.threads.is_some() { EVERY_WITH_PROCESSES } else { EVERY };
    loop {
        if let Some(cap) = exceeded(caps) {
            return cap;
        }
        // Nobody ever sends: this is the time between two looks.
        let _ = never.recv_timeout(every);
    }
}

fn exceeded(caps: Caps) -> Option<Cap> {
    let (most_threads, most_memory) =
        (caps.threads.unwrap_or(u64::MAX), caps.memory.unwrap_or(u64::MAX));
    // Counting goes no further than it has to: a bomb makes more while it is counted.
    let used = look(most_threads, quick);
    if used.threads > most_threads {
        return Some(Cap::Processes);
    }
    if used.memory <= most_memory {
        return None;
    }
    // Pages that several share were counted for each: this divides them, and takes long.
    (look(most_threads, precise).memory > most_memory).then_some(Cap::Memory)
}

fn look(most: u64, memory: fn(&str, &str) -> u64) -> Used {
    let mut used = Used::default();
    let Ok(processes) = fs::read_dir("/proc") else {
        return used;
    };
    used.memory += segments(&fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default());
    let own = std::process::id();
    for entry in processes.flatten() {
        let name = entry.file_name();
        let Some(pid) =
            name.to_str().filter(|name| name.parse::<u32>().is_ok_and(|pid| pid != own))
        else {
            continue;
        };
        // It may have ended since.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
            continue;
        };
        used.threads += field(&status, "Threads").unwrap_or(1);
        used.memory += memory(pid, &status);
        if used.threads > most {
            break;
        }
    }
    used
}

/// Bytes in System V segments: they stay when nobody has them. (While somebody has them, they
/// count twice.)
fn segments(shm: &str) -> u64 {
    let mut lines = shm.lines().map(str::split_ascii_whitespace);
    let Some(column) = lines.next().and_then(|mut names| names.position(|name| name == "rss"))
    else {
        return 0;
    };
    lines.filter_map(|mut values| values.nth(column)?.parse::<u64>().ok()).sum()
}

fn quick(_: &str, status: &str) -> u64 {
    let kib = field(status, "RssAnon").unwrap_or(0) + field(status, "RssShmem").unwrap_or(0);
    kib * 1024
}

fn precise(pid: &str, status: &str) -> u64 {
    let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
        // A process that lets nobody look is counted in full.
        return quick(pid, status);
    };
    let kib = field(&rollup, "Pss_Anon").unwrap_or(0) + field(&rollup, "Pss_Shmem").unwrap_or(0);
    kib * 1024
}

/// A number of a file in /proc: what comes after the name, without its unit.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "Name:\tx\nThreads:\t3\nRssAnon:\t     120 kB\nRssAnonX:\t1 kB\n";
        assert_eq!(field(status, "Threads"), Some(3));
        assert_eq!(field(status, "RssAnon"), Some(120));
        assert_eq!(field(status, "Rss"), None);
        assert_eq!(quick("1", status), 120 * 1024);
    }

    #[test]
    fn segments_count_by_what_is_in_memory() {
        let shm = "  key shmid perms       size   rss  swap\n  0  3  600  99999  4096  0\n 1 4 600 9 8192 0\n";
        assert_eq!(segments(shm), 12288);
        assert_eq!(segments(""), 0);
    }
}
