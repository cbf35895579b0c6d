//! `idumb sandbox run`: any WASI 0.2 command, under the very view that agents work in.
//!
//! Invariant: what it changes stays in the view until it has ended well and somebody asked for
//! it to be applied; its standard output is its own, so idumb's words go to standard error.

mod room;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use idumb_core::{Capability, Denial, Grants, PathGlob};
use idumb_overlay::{Base, Quota, ReadView, SealError, WorkView};
use idumb_plan::Limits;
use idumb_sandbox::{
    CommandOptions, Exit, Files, Mount, Ran, Refused, Sandbox, Stdio, Stop, Stopper,
};

use crate::args::{Afterwards, DirArg, SandboxRun};
use crate::diff::show_change_set;
use crate::fault::{Fault, INTERNAL, INTERRUPTED, USAGE, told};
use crate::report::denial_texts;
use crate::tell;
use crate::text::printable;
use room::{Applied, Room};

/// Exit status: it ran out of time, as `timeout` has it.
const TIMED_OUT: u8 = 124;
/// Exit status: it crashed, as a shell has it for an abort.
const TRAPPED: u8 = 134;

/// The largest component that is read, in bytes.
const MAX_COMPONENT: u64 = 64 << 20;

/// A directory that is given to the command.
struct Given {
    base: Base,
    mount: Mount,
}

/// Who ended it, if it did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    ByItself,
    TimedOut,
    Interrupted,
}

/// Runs a command; answers its exit status.
pub(crate) fn run(project: Option<&Path>, args: &SandboxRun) -> Result<u8> {
    let component = read(&args.file)?;
    let dirs = directories(project, args).into_iter().map(opened).collect::<Result<Vec<_>>>()?;
    let roots: Vec<&Path> = dirs.iter().map(|(base, _)| base.path()).collect();
    let room = Room::enter(&roots)?;
    let mut limits = Limits::default();
    limits.agent.memory = args.memory;
    let options = crate::compiled::options(&limits, 1, &roots);
    let given = mounted(&room, &dirs, args)?;
    let command = Sandbox::with(options).and_then(|sandbox| sandbox.prepare_command(&component));
    let command = command.map_err(|refused| no_command(&args.file, &refused))?;
    let (stopper, stop) = Stop::new();
    let options = CommandOptions {
        args: [args.file.to_string_lossy().into_owned()]
            .into_iter()
            .chain(args.args.iter().cloned())
            .collect(),
        env: args.env.clone(),
        mounts: given.iter().map(|given| given.mount.clone()).collect(),
        stdio: Stdio::Inherit,
        stop,
    };
    // The guest has this thread: no hop between threads for any of its calls.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ran, ended) =
        runtime.block_on(async { attend(command.run(options), stopper, args.timeout).await });
    // A reader of standard input may still wait for a line that nobody needs any more.
    runtime.shutdown_background();
    denials(&given);
    if let Some(error) = ran.host_error {
        return Err(anyhow::Error::from(error).context("the files of the command"));
    }
    let status = status(&ran.exit, ended, args);
    afterwards(&room, &given, args.afterwards(), status)?;
    Ok(status)
}

/// Lets it run until it ends, its time is over, or somebody interrupts.
async fn attend(
    running: impl Future<Output = Ran>,
    stopper: Stopper,
    timeout: Option<Duration>,
) -> (Ran, Ended) {
    let mut running = std::pin::pin!(running);
    let over = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ran = &mut running => return (ran, Ended::ByItself),
        () = over => Ended::TimedOut,
        _ = tokio::signal::ctrl_c() => Ended::Interrupted,
    };
    stopper.stop();
    (running.await, ended)
}

fn status(exit: &Exit, ended: Ended, args: &SandboxRun) -> u8 {
    match (exit, ended) {
        (Exit::Status(status), _) => *status,
        (Exit::Trap(why), _) => {
            tell(&format!("idumb: {} crashed: {}", args.file.display(), printable(why)));
            TRAPPED
        }
        (Exit::Stopped, Ended::Interrupted) => INTERRUPTED,
        (Exit::Stopped, _) => {
            tell(&format!("idumb: {} ran out of time", args.file.display()));
            TIMED_OUT
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let shown = file.display();
    let meta =
        std::fs::metadata(file).map_err(|error| Fault::usage(format!("{shown}: {error}")))?;
    if !meta.is_file() || meta.len() > MAX_COMPONENT {
        return Err(Fault::usage(format!("{shown} is not a file of at most 64 MiB")).into());
    }
    std::fs::read(file).with_context(|| format!("reading {shown}"))
}

fn no_command(file: &Path, refused: &Refused) -> Fault {
    let fault = Fault::usage(format!("{}: {}", file.display(), printable(&refused.to_string())));
    match refused {
        Refused::Invalid(_) => fault.hint(
            "it takes a component: in Rust, build for wasm32-wasip2; a core module becomes one by \
             `wasm-tools component new` with WASI's adapter",
        ),
        Refused::NoCommand { .. } => {
            fault.hint("a program with a `main` has one; an agent runs in a phase")
        }
        _ => fault,
    }
}

/// What is given: the directories that were named, or the current one through the patterns.
fn directories(project: Option<&Path>, args: &SandboxRun) -> Vec<DirArg> {
    if !args.dir.is_empty() {
        return args.dir.clone();
    }
    if args.read.is_empty() && args.write.is_empty() {
        return Vec::new();
    }
    let host = project.map_or_else(|| PathBuf::from("."), Path::to_owned);
    vec![DirArg { host, guest: ".".to_owned(), read_only: false }]
}

fn opened(dir: DirArg) -> Result<(Base, DirArg)> {
    let base = Base::open(&dir.host).map_err(|error| {
        Fault::usage(format!("{}: {error}", dir.host.display()))
            .hint("name a folder that is there: --dir HOST::GUEST, or -C DIR")
    })?;
    Ok((base, dir))
}

fn mounted(room: &Room, dirs: &[(Base, DirArg)], args: &SandboxRun) -> Result<Vec<Given>> {
    let mut given = Vec::new();
    for (number, (base, dir)) in dirs.iter().enumerate() {
        let plain = args.read.is_empty() && args.write.is_empty();
        let writes: &[PathGlob] = if dir.read_only { &[] } else { &args.write };
        let grants =
            Grants { reads: args.read.clone(), writes: writes.to_vec(), ..Grants::default() };
        let upper = room.upper(number);
        let work = |view: std::io::Result<WorkView>| view.map(Files::Work);
        let files = match (plain, dir.read_only) {
            (true, true) => Ok(Files::Read(ReadView::plain(base))),
            (true, false) => work(WorkView::plain(base, &upper, Quota::default())),
            (false, true) => Ok(Files::Read(ReadView::of_base(base, grants))),
            (false, false) => work(WorkView::new(base, &upper, grants, Quota::default())),
        };
        let files = files.with_context(|| format!("opening {}", dir.host.display()))?;
        given.push(Given { base: base.clone(), mount: Mount { name: dir.guest.clone(), files } });
    }
    Ok(given)
}

/// Says what it was refused, and what would allow it.
fn denials(given: &[Given]) {
    let flag = |denial: &Denial| {
        let flag = match denial.capability {
            Capability::Read => "--read",
            Capability::Write => "--write",
        };
        denial.grant_line().map(|_| format!("{flag} '{}'", denial.path))
    };
    for Given { mount, .. } in given {
        let record = match &mount.files {
            Files::Read(view) => view.record(),
            Files::Work(view) => view.record(),
        };
        for text in denial_texts(&record.denials, flag) {
            tell(&format!("idumb: {text}"));
        }
        if record.denials_dropped > 0 {
            tell(&format!("idumb: refusals beyond these: {}", record.denials_dropped));
        }
    }
}

fn afterwards(room: &Room, given: &[Given], what: Afterwards, status: u8) -> Result<()> {
    if what == Afterwards::Discard {
        return Ok(());
    }
    let mut changes = Vec::new();
    for Given { base, mount } in given {
        let Files::Work(view) = &mount.files else { continue };
        let sealed = view.clone().seal(&room.blobs).map_err(|error| {
            // The disk's own trouble is told as such: nobody else's change is behind it.
            let (exit, hint) = match &error {
                SealError::Unreadable { .. } | SealError::NotKept { .. } => {
                    (INTERNAL, "see to the disk, then run it again; nothing was applied")
                }
                _ => (USAGE, "run it again when nobody else changes the folder"),
            };
            let why = printable(&told(&error.into()));
            let fault = Fault::usage(format!("what it changed cannot be kept: {why}")).hint(hint);
            Fault { exit, ..fault }
        })?;
        if !sealed.change_set.changes.is_empty() {
            changes.push((base, sealed.change_set));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let count: usize = changes.iter().map(|(_, change_set)| change_set.changes.len()).sum();
    match what {
        Afterwards::Apply if status == 0 => {
            let applied = changes
                .into_iter()
                .map(|(base, change_set)| Applied { root: base.path().to_owned(), change_set });
            room.apply(applied.collect())?;
            tell(&format!("idumb: applied; paths changed: {count}"));
        }
        Afterwards::Apply => tell(&format!(
            "idumb: it exited with {status}, so nothing was applied; paths it had changed: {count}"
        )),
        Afterwards::Diff | Afterwards::Discard => {
            for (base, change_set) in &changes {
                show_change_set(change_set, base, &room.blobs)?;
            }
            tell(&format!("idumb: nothing was applied (--apply does it); paths changed: {count}"));
        }
    }
    Ok(())
}
