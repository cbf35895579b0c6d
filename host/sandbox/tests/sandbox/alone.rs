//! A test in a process of its own, where its memory can be measured.
//!
//! Invariant: the process that measures runs one test and nothing else, so what it uses is that
//! test's.

use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::world::assert_a_good_agent_works;

const MARK: &str = "IDUMB_TEST_ALONE";

/// More than a guest's memory, what it hands over in one call, and a compiler leave behind; less
/// than any guest in here tries to take.
const MOST: u64 = 768 << 20;

/// What ends the process, so that a host without a guard does not take the machine with it.
const TOO_MUCH: u64 = 4 << 30;

/// Runs `test`, which is the test of this name, in a process of its own; fails if it fails there,
/// or if the process ever used more than [`MOST`].
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        let limit = Rlimit { current: Some(TOO_MUCH), maximum: Some(TOO_MUCH) };
        setrlimit(Resource::Data, limit).unwrap();
        assert_a_good_agent_works();
        test();
        assert_a_good_agent_works();
        let peak = peak();
        assert!(peak < MOST, "{} MiB were used", peak >> 20);
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--nocapture"]).env(MARK, "1").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{}\n{said}", output.status);
    assert!(said.contains("1 passed"), "there is no test `{name}`:\n{said}");
}

/// The most memory that this process ever held.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
