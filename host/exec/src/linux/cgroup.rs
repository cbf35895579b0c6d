//! A control group for one command, where the host may make one.
//!
//! Invariant: a group that was made is removed, with all that is in it; a group that cannot be
//! had is no error, but a [`Held`](crate::Held) that says something else.
//!
//! Files and their meanings: `Documentation/admin-guide/cgroup-v2.rst` of Linux.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::inner::OWN_THREADS;
use crate::{Cap, Limits};

/// Where groups can be made that bound memory and processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delegated(PathBuf);

/// One group.
#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

impl Delegated {
    /// The folder that was named, else the process's own group, else the one above.
    ///
    /// A group that has processes cannot bound groups below it: then its siblings can.
    pub(crate) fn find(named: Option<&Path>) -> Option<Self> {
        let mut candidates = match named {
            Some(folder) => vec![folder.to_owned()],
            None => {
                let own = own_group()?;
                let above = own.parent().map(Path::to_owned);
                [own].into_iter().chain(above).collect()
            }
        };
        candidates.retain(|folder| bounds_below(folder));
        candidates.into_iter().map(Self).find(|delegated| {
            // The first trial is the only proof.
            delegated.make(&Limits::default()).is_ok()
        })
    }

    /// Makes a group with these limits.
    pub(crate) fn make(&self, limits: &Limits) -> io::Result<Cgroup> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = self.0.join(format!("idumb-exec-{}-{number}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = Cgroup(folder);
        group.write("memory.max", &limits.memory.to_string())?;
        group.write("pids.max", &(u64::from(limits.processes) + OWN_THREADS).to_string())?;
        // Not everywhere: swap may not be accounted, and old kernels have no group killing.
        let _ = group.write("memory.swap.max", "0");
        let _ = group.write("memory.oom.group", "1");
        Ok(group)
    }
}

fn bounds_below(folder: &Path) -> bool {
    let controllers = fs::read_to_string(folder.join("cgroup.subtree_control"));
    controllers.is_ok_and(|controllers| {
        let has = |name| controllers.split_ascii_whitespace().any(|word| word == name);
        has("memory") && has("pids")
    })
}

/// The folder of this process's own group of the second version.
fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mount_point(&mounts)?.join(path))
}

/// Where the second version is mounted, by /proc/self/mountinfo: proc(5).
fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let of_the_second = after.split(' ').next() == Some("cgroup2");
        let point = before.split(' ').nth(4).filter(|_| of_the_second)?;
        Some(PathBuf::from(point))
    })
}

impl Cgroup {
    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(file), value)
    }

    /// Puts a process, and what it starts from now on, into the group.
    pub(crate) fn add(&self, pid: i32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Bytes that it had at once; not known before Linux 5.19.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        fs::read_to_string(self.0.join("memory.peak")).ok()?.trim().parse().ok()
    }

    /// Whether the kernel killed for want of memory below the limit.
    pub(crate) fn exceeded(&self) -> Option<Cap> {
        let events = fs::read_to_string(self.0.join("memory.events")).ok()?;
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        (kills? != "0").then_some(Cap::Memory)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = self.write("cgroup.kill", "1");
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_is_found_among_the_mounts() {
        let mounts = "24 30 0:22 / /proc rw,nosuid - proc proc rw\n\
                      31 24 0:27 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(mount_point(mounts), Some("/sys/fs/cgroup".into()));
        assert_eq!(mount_point("24 30 0:22 / /x rw - cgroup cgroup rw"), None);
    }

    /// In a plain folder, which takes any file: what is written where. The kernel is not asked.
    #[test]
    fn a_group_says_its_limits_before_anybody_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let control = folder.path().join("cgroup.subtree_control");
        fs::write(&control, "cpu memory\n").expect("a file");
        assert_eq!(Delegated::find(Some(folder.path())), None);
        fs::write(&control, "cpu memory pids\n").expect("a file");
        let delegated = Delegated::find(Some(folder.path())).expect("it bounds both");
        let limits = Limits { memory: 1000, processes: 10, ..Limits::default() };
        let group = delegated.make(&limits).expect("a group");
        let read = |file| fs::read_to_string(group.0.join(file)).expect("it was written");
        assert_eq!((read("memory.max"), read("pids.max")), ("1000".into(), "14".into()));
        group.add(7).expect("written");
        assert_eq!(read("cgroup.procs"), "7");
        assert_eq!(group.exceeded(), None);
        group.write("memory.events", "low 0\noom_kill 0\n").expect("written");
        assert_eq!(group.exceeded(), None);
        group.write("memory.events", "low 0\noom_kill 2\n").expect("written");
        assert_eq!(group.exceeded(), Some(Cap::Memory));
    }
}
