//! The first process inside: what it does before a command runs, and until it ended.
//!
//! Invariant: it is the first process of its pid namespace, so that no process inside can end it
//! or outlive it; it has the only end of the socket to the host, and it ends when that is gone.

pub(crate) mod facts;
mod landlock;
mod sample;

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sys::resource::{UsageWho, getrusage};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitOptions, getpid, kill_process_group,
    set_dumpable_behavior, setpriority_process, setrlimit, wait,
};

use super::seccomp;
use super::wire::{FromInner, How, Launch, ToInner, receive, send};

/// The last argument with which it does nothing: a trivial command, to be tried with.
pub(crate) const NOTHING: &str = "nothing";

/// The priority of a command (`nice`): lower than that of who watches it, and the host's.
const NICE: i32 = 10;

/// What does not count for a command: the threads of this process.
pub(crate) const OWN_THREADS: u64 = 4;

/// Runs inside a sandbox, as its first process: see [`Inner`](crate::Inner).
///
/// Standard input is the socket to the host. Without one it does nothing, and fails.
pub fn inner() -> ExitCode {
    if std::env::args_os().next_back().is_some_and(|last| last == NOTHING) {
        return ExitCode::SUCCESS;
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before a command runs, the host reads this.
            let _ = writeln!(io::stderr(), "the first process inside: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A step that did not succeed, and its error.
type Failed = (&'static str, io::Error);

fn step<T, E: Into<io::Error>>(name: &'static str, result: Result<T, E>) -> Result<T, Failed> {
    result.map_err(|error| (name, error.into()))
}

fn serve() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some(ToInner::Launch(launch)) = receive(&control)? else {
        return Ok(());
    };
    if launch.seccomp {
        // While there is one thread: all others get the filters from it.
        seccomp::apply(launch.network, launch.sample_memory)?;
    }
    send(&control, &FromInner::Facts(facts::look()?))?;
    let Some(ToInner::Go) = receive(&control)? else {
        return Ok(());
    };
    let attended = attend(&launch, &control);
    let last = attended.unwrap_or_else(|(step, error)| FromInner::NotStarted {
        step: step.to_owned(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    });
    // With this process everything ends: what is left of the command, and what it left behind.
    send(&control, &last)
}

/// Starts the command, and waits for its end.
fn attend(launch: &Launch, control: &UnixStream) -> Result<FromInner, Failed> {
    if launch.close_descriptors {
        step("closing what was inherited", close_at_exec())?;
    }
    // Nobody inside may look into this process, or take its socket.
    step("hiding", set_dumpable_behavior(DumpableBehavior::NotDumpable))?;
    let told = step("a second socket", control.try_clone())?;
    step("a thread", thread::Builder::new().spawn(move || listen(&told)))?;
    if launch.sample_processes || launch.sample_memory {
        let told = step("a third socket", control.try_clone())?;
        let caps = sample::Caps {
            threads: launch.sample_processes.then_some(launch.limits.processes.into()),
            memory: launch.sample_memory.then_some(launch.limits.memory),
        };
        let watch = move || {
            let cap = sample::until_exceeded(caps);
            leave(&told, How::Exceeded(cap))
        };
        step("a thread", thread::Builder::new().spawn(watch))?;
    }
    let command = start(launch, control)?;
    loop {
        let ended = match wait(WaitOptions::empty()) {
            // By a signal for which this process has a handler: from inside, it may be anybody's.
            Err(Errno::INTR) => continue,
            waited => step("waiting", waited)?,
        };
        // What lost its parent is waited for here as well.
        let Some((_, status)) = ended.filter(|(pid, _)| *pid == command) else {
            continue;
        };
        let how = match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => How::Exited(status),
            (_, Some(signal)) => How::Signalled(signal),
            _ => continue,
        };
        return Ok(FromInner::Ended { how, peak_memory: peak_memory() });
    }
}

/// Bytes that the largest process had which ended and was waited for.
fn peak_memory() -> Option<u64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    // The kernel counts in KiB. (getrusage(2))
    u64::try_from(usage.max_rss()).ok().map(|kib| kib * 1024)
}

/// Starts the command in a thread of its own, whose restrictions are the command's.
fn start(launch: &Launch, control: &UnixStream) -> Result<Pid, Failed> {
    if launch.rlimits {
        step("limiting", limit(launch))?;
    }
    let (give, taken) = mpsc::channel();
    thread::scope(|scope| {
        let begin = || -> Result<(u32, Option<u32>), Failed> {
            step("a lower priority", setpriority_process(None, NICE))?;
            let abi = match &launch.landlock {
                Some(places) => step("landlock", landlock::restrict(places, launch.network))?,
                None => None,
            };
            Ok((step("starting the command", spawn(launch))?, abi))
        };
        let run = move || give.send(begin());
        step("a thread", thread::Builder::new().spawn_scoped(scope, run)).map(drop)
    })?;
    let (pid, landlock) = step("a thread", taken.recv().map_err(io::Error::other))??;
    let started = FromInner::Started { landlock };
    step("telling", send(control, &started))?;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or(("a number", io::ErrorKind::InvalidData.into()))
}

fn spawn(launch: &Launch) -> io::Result<u32> {
    let Some((program, args)) = launch.argv.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    if launch.clear_environment {
        command.env_clear();
    }
    command.args(args).envs(launch.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&launch.dir).stdin(Stdio::null());
    // It is waited for with all that it leaves behind.
    Ok(command.spawn()?.id())
}

fn limit(launch: &Launch) -> io::Result<()> {
    let limits = &launch.limits;
    let processes = u64::from(limits.processes) + OWN_THREADS;
    let processes = if launch.limit_processes { processes } else { u64::MAX };
    for (resource, most) in [
        // 0 would still feed a host's handler of cores, if it has one. (core(5), `fs/coredump.c`)
        (Resource::Core, 1),
        (Resource::Data, limits.memory),
        (Resource::Fsize, limits.file_size),
        (Resource::Nofile, limits.files.into()),
        (Resource::Nproc, processes),
        // Locked memory, message queues and signals that wait are the kernel's memory.
        (Resource::Memlock, 8 << 20),
        (Resource::Msgqueue, 1 << 20),
        (Resource::Sigpending, 4096),
    ] {
        let highest = rustix::process::getrlimit(resource).maximum;
        // What the host is limited to cannot be raised.
        let most = Some(highest.map_or(most, |highest| most.min(highest)));
        setrlimit(resource, Rlimit { current: most, maximum: most })?;
    }
    Ok(())
}

/// Ends what the host asks to end, and this process when the host is gone.
fn listen(control: &UnixStream) -> Infallible {
    loop {
        match receive(control) {
            Ok(Some(ToInner::Terminate)) => terminate_all(),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => exit(),
        }
    }
}

fn terminate_all() {
    // Group 1 is `kill(-1)`: everybody but this process. Outside of a namespace of its own that
    // would be everybody on the machine.
    if getpid() == Pid::INIT {
        let _ = kill_process_group(Pid::INIT, Signal::TERM);
    }
}

fn leave(control: &UnixStream, how: How) -> Infallible {
    let _ = send(control, &FromInner::Ended { how, peak_memory: None });
    exit()
}

fn exit() -> ! {
    #[expect(clippy::disallowed_methods, reason = "with the first process the kernel ends all")]
    std::process::exit(1)
}

/// Has every descriptor but the standard ones closed in what this process starts.
fn close_at_exec() -> io::Result<()> {
    #[expect(unsafe_code, reason = "no crate here has this call; it only sets a flag of numbers")]
    // SAFETY: with CLOSE_RANGE_CLOEXEC no descriptor is closed here, so that none that is owned
    // becomes invalid; no memory is given to the kernel.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
