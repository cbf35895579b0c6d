//! Attending a command: from the start of its sandbox to the end of everything in it.
//!
//! Invariant: when an [`Attendance`] is gone, by a return, an error or a panic, so is every
//! process inside; and nothing here waits without a bound but for a caller's own callback.

use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};
use rustix::process::{
    Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, setpriority_process,
};

use super::cgroup::Cgroup;
use super::confinement::{Confinement, diagnose};
use super::inner::facts;
use super::wire::{FromInner, How, Inbox, ToInner, send};
use super::{bubble, run};
use crate::capture::Capture;
use crate::{Command, Ended, Error, Held, Lacking, Level, Namespace, Ran, Stop, Stream, Tree};

/// How long the making of a sandbox may take: on a machine with much to do, seconds.
const SETUP: Duration = Duration::from_secs(60);
/// How long a sandbox may take to go, once its first process ended or was killed.
const GOING: Duration = Duration::from_secs(10);
/// The priority of a first process that has to count: the highest.
const FIRST: i32 = -20;
/// Bytes that are kept of what bubblewrap says.
const MOST_WORDS: usize = 16 << 10;
/// Bytes that are taken of an output at one time.
const PIECE: usize = 64 << 10;

/// A sandbox, and the processes in it.
struct Sandbox {
    /// Bubblewrap, outside: it ends after everything inside did.
    outside: Child,
    outside_fd: OwnedFd,
    /// The first process inside. With it, the kernel ends all.
    first: Option<OwnedFd>,
    control: UnixStream,
    cgroup: Option<Cgroup>,
}

impl Sandbox {
    /// Kills everything inside.
    fn kill(&mut self) {
        // The first process ends when this is closed, were it not found yet.
        let _ = self.control.shutdown(Shutdown::Both);
        match &self.first {
            Some(first) => drop(pidfd_send_signal(first, Signal::KILL)),
            // Bubblewrap takes with it what it started.
            None => drop(self.outside.kill()),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
        let _ = wait_for(self.outside_fd.as_fd(), GOING);
        let _ = self.outside.kill();
        let _ = self.outside.wait();
        if let Some(first) = &self.first {
            let _ = wait_for(first.as_fd(), GOING);
        }
    }
}

/// Waits until a process ended; returns whether it did.
fn wait_for(process: BorrowedFd<'_>, most: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    until(Instant::now() + most, &mut fds).is_ok_and(|ready| ready > 0)
}

/// Polls until something is ready or it is time.
fn until(at: Instant, fds: &mut [PollFd<'_>]) -> io::Result<usize> {
    let left = at.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(fds, Some(&left)) {
        Err(Errno::INTR) => Ok(0),
        result => Ok(result?),
    }
}

/// Where a run is, and when it is not to be there any more.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The sandbox is made.
    Setup(Instant),
    /// The command runs.
    Running(Instant),
    /// It ends, by itself or because it was told to.
    Ending(Instant),
    /// It was killed.
    Killed(Instant),
}

impl Phase {
    fn until(self) -> Instant {
        match self {
            Self::Setup(at) | Self::Running(at) | Self::Ending(at) | Self::Killed(at) => at,
        }
    }
}

/// Where something happens.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// Bubblewrap ended.
    Gone,
    /// The first process inside says something.
    Control,
    /// An output has something, or has ended.
    Output(usize),
    /// The caller's stop is given.
    Stop,
}

/// One of the two outputs.
struct Output {
    stream: Stream,
    /// `None`: nobody writes to it any more.
    pipe: Option<OwnedFd>,
    capture: Capture,
}

/// One command and its sandbox.
pub(crate) struct Attendance<'a> {
    confinement: &'a Confinement,
    command: &'a Command,
    stop: &'a Stop,
    on_output: &'a mut dyn FnMut(Stream, &[u8]),
    sandbox: Sandbox,
    phase: Phase,
    inbox: Inbox,
    /// Whether the first process inside may say something yet.
    listening: bool,
    outputs: [Output; 2],
    /// What was said before the command started: by bubblewrap.
    said: Vec<u8>,
    host: Vec<(Namespace, String)>,
    begun: Instant,
    started: Option<Instant>,
    finished: Option<Instant>,
    level: Option<Level>,
    /// Why the host ended it.
    why: Option<Ended>,
    how: Option<How>,
    peak_memory: Option<u64>,
}

impl<'a> Attendance<'a> {
    /// Starts a sandbox. Nothing of the command runs yet.
    pub(crate) fn start(
        confinement: &'a Confinement,
        command: &'a Command,
        tree: &Tree,
        stop: &'a Stop,
        on_output: &'a mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let (control, inside) = UnixStream::pair()?;
        // The kernel says who sends: that is how the first process is known.
        sockopt::set_socket_passcred(&control, true).map_err(io::Error::from)?;
        control.set_write_timeout(Some(SETUP))?;
        let delegated = confinement.delegated();
        let cgroup = delegated.map(|delegated| delegated.make(&command.limits)).transpose()?;
        let bubblewrap = confinement.bubblewrap().as_os_str();
        let mut words = tree.enter.iter().map(OsString::as_os_str).chain([bubblewrap]);
        let mut outside = std::process::Command::new(words.next().unwrap_or(bubblewrap));
        outside.args(words);
        if confinement.guards().environment {
            outside.env_clear();
        }
        outside.args(bubble::arguments(confinement, command, &tree.path)).current_dir("/");
        // What a person types at the terminal (Ctrl-C) is for the host, which decides what ends.
        outside.process_group(0);
        outside.stdin(OwnedFd::from(inside)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = outside.spawn()?;
        // The builder holds the inside's end of the socket.
        drop(outside);
        let pipes = (child.stdout.take(), child.stderr.take());
        let outside_fd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let outside_fd = outside_fd.inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        });
        let outside_fd = outside_fd.map_err(io::Error::from)?;
        let sandbox = Sandbox { outside: child, outside_fd, first: None, control, cgroup };
        let output =
            |stream, pipe| Output { stream, pipe, capture: Capture::new(command.limits.output) };
        let outputs = [
            output(Stream::Stdout, pipes.0.map(OwnedFd::from)),
            output(Stream::Stderr, pipes.1.map(OwnedFd::from)),
        ];
        for pipe in outputs.iter().filter_map(|output| output.pipe.as_ref()) {
            rustix::io::ioctl_fionbio(pipe, true).map_err(io::Error::from)?;
        }
        let mut attendance = Self {
            confinement,
            command,
            stop,
            on_output,
            sandbox,
            phase: Phase::Setup(begun + SETUP),
            inbox: Inbox::default(),
            listening: true,
            outputs,
            said: Vec::new(),
            host: facts::namespaces()?,
            begun,
            started: None,
            finished: None,
            level: None,
            why: None,
            how: None,
            peak_memory: None,
        };
        attendance.launch()?;
        Ok(attendance)
    }

    fn launch(&mut self) -> Result<(), Error> {
        let launch = Box::new(run::launch(self.confinement, self.command));
        match send(&self.sandbox.control, &ToInner::Launch(launch)) {
            // It ended before it listened: what it said, says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Attends it to its end.
    pub(crate) fn attend(mut self) -> Result<Ran, Error> {
        while self.turn()? {}
        // Everything inside is dead: what is in the pipes is all there will be.
        while (0..2).any(|which| self.read(which)) {}
        self.hear()?;
        let first = self.sandbox.first.as_ref();
        if first.is_some_and(|first| !wait_for(first.as_fd(), GOING)) {
            return Err(Error::NotGone);
        }
        self.conclude()
    }

    /// Waits for the next thing to happen, and acts on it; returns whether it goes on.
    fn turn(&mut self) -> Result<bool, Error> {
        let mut gone = false;
        for source in self.wait()? {
            match source {
                Source::Output(which) => drop(self.read(which)),
                Source::Control => self.hear()?,
                Source::Stop if self.is_going_on() => self.end(Ended::Cancelled),
                Source::Stop => {}
                Source::Gone => gone = true,
            }
        }
        if !gone && Instant::now() >= self.phase.until() {
            self.overdue()?;
        }
        Ok(!gone)
    }

    fn wait(&self) -> Result<Vec<Source>, Error> {
        let mut sources = vec![(Source::Gone, self.sandbox.outside_fd.as_fd())];
        if self.listening {
            sources.push((Source::Control, self.sandbox.control.as_fd()));
        }
        for (which, output) in self.outputs.iter().enumerate() {
            sources.extend(output.pipe.as_ref().map(|pipe| (Source::Output(which), pipe.as_fd())));
        }
        // A stop stays given: once it is acted on, it is not waited for.
        let stop = self.stop.event().filter(|_| self.is_going_on());
        sources.extend(stop.map(|event| (Source::Stop, event)));
        let fds = sources.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
        let mut fds = fds.collect::<Vec<_>>();
        until(self.phase.until(), &mut fds)?;
        let ready = sources.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((source, _), _)| *source).collect())
    }

    /// Whether the command has neither ended nor been told to.
    fn is_going_on(&self) -> bool {
        self.why.is_none() && self.how.is_none()
    }

    /// Takes a piece of an output; returns whether there may be more.
    fn read(&mut self, which: usize) -> bool {
        let output = &mut self.outputs[which];
        let Some(pipe) = &output.pipe else {
            return false;
        };
        let mut piece = vec![0; PIECE];
        let bytes = match rustix::io::read(pipe, &mut piece) {
            Ok(0) => {
                output.pipe = None;
                return false;
            }
            Ok(count) => &piece[..count],
            Err(Errno::INTR) => return true,
            Err(Errno::AGAIN) => return false,
            Err(_) => {
                output.pipe = None;
                return false;
            }
        };
        if self.started.is_some() {
            output.capture.take(bytes);
            (self.on_output)(output.stream, bytes);
        } else {
            let room = MOST_WORDS.saturating_sub(self.said.len());
            self.said.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        true
    }

    /// Takes what the first process inside said, as far as it has come.
    fn hear(&mut self) -> Result<(), Error> {
        while self.listening {
            let mut bytes = [0; 4096];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let count = match recvmsg(&self.sandbox.control, &mut slices, &mut ancillary, flags) {
                Ok(received) => received.bytes,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                // It ended with something unread.
                Err(Errno::CONNRESET) => 0,
                Err(error) => return Err(io::Error::from(error).into()),
            };
            self.listening = count > 0;
            let sender = ancillary.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
                _ => None,
            });
            self.inbox.take(&bytes[..count]);
            while let Some(message) = self.inbox.next()? {
                self.handle(message, sender)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: FromInner, sender: Option<Pid>) -> Result<(), Error> {
        match message {
            FromInner::Facts(facts) if self.level.is_none() => {
                self.level = Some(run::judge(self.confinement, &facts, &self.host)?);
                self.admit(sender)?;
                self.started = Some(Instant::now());
                self.phase = Phase::Running(deadline(self.command.limits.time));
                Ok(send(&self.sandbox.control, &ToInner::Go)?)
            }
            FromInner::Started { landlock } => {
                if let Some(level) = &mut self.level {
                    level.landlock = landlock;
                }
                Ok(())
            }
            FromInner::NotStarted { step, errno } => {
                Err(Error::NotStarted { step, error: io::Error::from_raw_os_error(errno) })
            }
            FromInner::Ended { how, peak_memory } if self.how.is_none() => {
                (self.how, self.peak_memory) = (Some(how), peak_memory);
                self.finished = Some(Instant::now());
                self.phase = Phase::Ending(deadline(GOING));
                Ok(())
            }
            // Said again, or at another time: by something that is not the first process any more.
            FromInner::Facts(_) | FromInner::Ended { .. } => Ok(()),
        }
    }

    /// Takes hold of the first process inside. It waits to be told to go, so it is still there.
    fn admit(&mut self, sender: Option<Pid>) -> Result<(), Error> {
        let pid = sender.ok_or_else(|| io::Error::other("the first process has no number here"))?;
        self.sandbox.first = Some(pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from)?);
        if let Some(cgroup) = &self.sandbox.cgroup {
            cgroup.add(pid.as_raw_nonzero().get())?;
        }
        if self.confinement.bounds().0 == Held::Sampled {
            // Who counts a bomb's processes has to have its turn before them. Root may say so; and
            // for root it is that the kernel does not count. The command itself gets it lower.
            let _ = setpriority_process(Some(pid), FIRST);
        }
        // Whatever else there is on the machine is worth more, if the kernel has to choose.
        let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000");
        Ok(())
    }

    /// Tells everything inside to end.
    fn end(&mut self, why: Ended) {
        self.why = Some(why);
        if matches!(self.phase, Phase::Setup(_)) {
            self.sandbox.kill();
            self.phase = Phase::Killed(deadline(GOING));
            return;
        }
        // If nobody listens it has ended, and that is seen next.
        let _ = send(&self.sandbox.control, &ToInner::Terminate);
        self.phase = Phase::Ending(deadline(self.command.limits.grace));
    }

    /// It is time for the next phase.
    fn overdue(&mut self) -> Result<(), Error> {
        match self.phase {
            Phase::Setup(_) => {
                let said = String::from_utf8_lossy(&self.said).into_owned();
                Err(Lacking::Sandbox { said: format!("it took too long. {said}") }.into())
            }
            Phase::Running(_) => {
                self.end(Ended::TimedOut);
                Ok(())
            }
            Phase::Ending(_) => {
                self.sandbox.kill();
                self.phase = Phase::Killed(deadline(GOING));
                Ok(())
            }
            Phase::Killed(_) => Err(Error::NotGone),
        }
    }

    fn conclude(self) -> Result<Ran, Error> {
        let now = Instant::now();
        let exceeded = || self.sandbox.cgroup.as_ref().and_then(Cgroup::exceeded);
        let ended = match (self.why, self.how) {
            (Some(why), _) => why,
            (None, Some(How::Exceeded(cap))) => Ended::Exceeded(cap),
            // The kernel kills one process of a group or all: either way it was the cap.
            (None, how) => match (exceeded(), how) {
                (Some(cap), Some(How::Signalled(9)) | None) => Ended::Exceeded(cap),
                (_, Some(How::Exited(status))) => Ended::Exited(status),
                (_, Some(How::Signalled(signal))) => Ended::Signalled(signal),
                (_, _) => Ended::Killed,
            },
        };
        let Some(level) = self.level.or_else(|| self.why.map(|_| self.confinement.level().clone()))
        else {
            let said = String::from_utf8_lossy(&self.said);
            return Err(diagnose(&said, self.confinement.inner()).into());
        };
        let started = self.started.unwrap_or(now);
        let counted = self.sandbox.cgroup.as_ref().and_then(Cgroup::peak_memory);
        let [stdout, stderr] = self.outputs.map(|output| output.capture.finish());
        Ok(Ran {
            ended,
            stdout,
            stderr,
            time: self.finished.unwrap_or(now).saturating_duration_since(started),
            setup: started.saturating_duration_since(self.begun),
            peak_memory: counted.or(self.peak_memory),
            level,
        })
    }
}

/// When so much time will have passed; as good as never, if the clock does not go so far.
fn deadline(after: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(1 << 30))
}
