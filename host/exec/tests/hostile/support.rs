//! What the tests have in common: a tree, a confinement, and attacks.
//!
//! Invariant: an attack either succeeds (status 0) or is refused (status 77); anything else is a
//! mistake in it, and fails the test.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use idumb_exec::{Command, Confinement, Ended, Guards, Inner, Limits, Ran, Setup, Stop, run};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use tempfile::TempDir;

pub(crate) const ALL: Guards = Guards::ALL;

/// The status of an attack that was refused.
const REFUSED: i32 = 77;

/// What comes before every attack in Python.
const PRELUDE: &str = "
import ctypes, errno, os, socket, signal, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def refused(why):
    print(why, flush=True)
    os._exit(77)
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return result, ctypes.get_errno()
def attempt(what):
    try:
        return what()
    except OSError as error:
        refused(repr(error))
";

pub(crate) struct Ground {
    pub(crate) tree: TempDir,
    pub(crate) confinement: Confinement,
}

pub(crate) fn inner() -> Inner {
    Inner { program: env!("CARGO_BIN_EXE_idumb-exec-inner").into(), args: Vec::new() }
}

pub(crate) fn setup(tree: &Path) -> Setup {
    Setup {
        inner: inner(),
        bubblewrap: None,
        cgroup: None,
        tree: tree.into(),
        read_only: Vec::new(),
        caches: Vec::new(),
        weaker: Vec::new(),
    }
}

/// Small caps: the machine is others' too.
pub(crate) fn limits() -> Limits {
    Limits {
        time: Duration::from_secs(60),
        grace: Duration::from_millis(200),
        memory: 256 << 20,
        processes: 64,
        file_size: 8 << 20,
        scratch: 1 << 20,
        files: 256,
        output: 64 << 10,
    }
}

pub(crate) fn command<const N: usize>(argv: [&str; N]) -> Command {
    let mut command = Command::new(argv);
    command.limits = limits();
    command
}

pub(crate) fn python(script: &str) -> Command {
    command(["python3", "-c", &format!("{PRELUDE}{script}")])
}

impl Ground {
    pub(crate) fn new() -> Self {
        let tree = tempfile::tempdir().expect("a tree");
        let confinement = Confinement::probe(&setup(tree.path()))
            .unwrap_or_else(|lacking| panic!("{lacking}: {:?}", lacking.advice()));
        Self { tree, confinement }
    }

    pub(crate) fn run(&self, guards: Guards, command: &Command) -> Ran {
        let confinement = self.confinement.with_guards(guards);
        run(&confinement, command, &self.tree.path().into(), &Stop::never(), &mut |_, _| ())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether the attack succeeds.
    pub(crate) fn succeeds(&self, guards: Guards, attack: &Command) -> bool {
        let ran = self.run(guards, attack);
        match ran.ended {
            Ended::Exited(0) => true,
            Ended::Exited(REFUSED) => false,
            other => panic!("{other:?}\n{}\n{}", ran.stdout.text(), ran.stderr.text()),
        }
    }

    /// The attack is refused with every guard, and succeeds without some.
    pub(crate) fn refuses(&self, attack: &Command, without: Guards) {
        assert!(self.succeeds(without, attack), "it does nothing even without its guard");
        assert!(!self.succeeds(ALL, attack), "it succeeds");
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A FIFO in a tree, whose reading end is here: it ends when nobody has its other end any more.
pub(crate) struct Lifeline(std::fs::File);

impl Lifeline {
    /// Made before anybody is there to write.
    pub(crate) fn new(tree: &Path) -> Self {
        let path = tree.join("lifeline");
        mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).expect("a FIFO");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Self(rustix::fs::open(&path, flags, Mode::empty()).expect("a FIFO").into())
    }

    fn wait(&self, what: PollFlags, most: Duration) -> PollFlags {
        let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), what)];
        poll(&mut fds, Some(&Timespec::try_from(most).expect("short"))).expect("a poll");
        fds[0].revents()
    }

    /// Waits until somebody inside has written.
    pub(crate) fn wait_for_a_word(&mut self) {
        let ready = self.wait(PollFlags::IN, Duration::from_secs(60));
        assert!(ready.contains(PollFlags::IN), "nobody came");
        assert!(self.0.read(&mut [0; 64]).expect("a word") > 0);
    }

    /// Whether everybody who had it is gone, within the seconds that are allowed.
    pub(crate) fn ends(&self) -> bool {
        self.wait(PollFlags::empty(), Duration::from_secs(5)).contains(PollFlags::HUP)
    }

    /// Whether somebody has it now.
    pub(crate) fn is_held(&self) -> bool {
        !self.wait(PollFlags::empty(), Duration::ZERO).contains(PollFlags::HUP)
    }
}

/// In which of its two roles a test runs.
const ROLE: &str = "IDUMB_EXEC_TEST_ROLE";

/// Whether this process is the one that [`in_another_process`] started.
pub(crate) fn is_the_other_process() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// This test again, alone in a process of its own, which can have another environment or die.
pub(crate) fn in_another_process(test: &str) -> Process {
    let mut process = Process::new(std::env::current_exe().expect("this test"));
    process.args(["--exact", test, "--nocapture"]).env(ROLE, "1");
    process
}
