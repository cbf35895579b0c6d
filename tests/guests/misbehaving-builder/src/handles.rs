//! Handles without end, and waiting without end.
//!
//! Invariant: each goes on until it is refused, stopped or ended, and says how far it came if it
//! can.

use idumb_agent::{Context, Failure, Outcome, Task, log};
use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use wasip2::io::poll::{Pollable, poll};

use crate::wasi::{code, open, root, write_all};
use crate::{Answer, number, option};

/// What a guest that nobody stops would hold.
const MANY: usize = 1_000_000;

/// Takes things until there are no more, and holds them. Since what ends it may end the guest, it
/// says on the way how far it came.
fn hold<T>(mut take: impl FnMut() -> Result<T, String>) -> Answer {
    let mut held = Vec::new();
    while held.len() < MANY {
        if held.len() % 500 == 0 {
            log::info(held.len().to_string());
        }
        match take() {
            Ok(thing) => held.push(thing),
            Err(why) => return Ok(Outcome::done(format!("{}; {why}", held.len()))),
        }
    }
    Ok(Outcome::done(format!("{}; no end", held.len())))
}

/// Gets ready to wait, again and again.
pub(crate) fn many_pollables(_: &Task, _: &Context) -> Answer {
    hold(|| Ok(subscribe_duration(u64::MAX)))
}

/// Opens streams of one file, again and again.
pub(crate) fn many_streams(task: &Task, _: &Context) -> Answer {
    let file = open(option(task, "path")?, OpenFlags::empty(), DescriptorFlags::READ)?;
    hold(|| file.read_via_stream(0).map_err(|error| code(&error)))
}

/// Opens the folder `path`, again and again.
pub(crate) fn many_folders(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let (root, follow) = (root()?, PathFlags::empty());
    hold(|| {
        root.open_at(follow, path, OpenFlags::DIRECTORY, DescriptorFlags::READ)
            .map_err(|error| code(&error))
    })
}

/// Begins to list the folder `path`, again and again, and reads none of it.
pub(crate) fn many_listings(task: &Task, _: &Context) -> Answer {
    let folder = open(option(task, "path")?, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
    hold(|| folder.read_directory().map_err(|error| code(&error)))
}

/// Waits in the way that the option `how` names, for a time that does not come.
pub(crate) fn wait_for_ever(task: &Task, _: &Context) -> Answer {
    let never = || subscribe_duration(u64::MAX);
    match option(task, "how")? {
        "duration" => never().block(),
        "instant" => subscribe_instant(u64::MAX).block(),
        "poll" => drop(poll(&[&never(), &subscribe_instant(u64::MAX)])),
        "poll-many" => {
            // Half of the handles that wasmtime lets a list lend.
            let waits: Vec<Pollable> = (0..1000).map(|_| never()).collect();
            let list: Vec<&Pollable> = waits.iter().cycle().take(50_000).collect();
            drop(poll(&list));
        }
        other => return Err(Failure::invalid(format!("there is no way `{other}` to wait"))),
    }
    Ok(Outcome::done("it came"))
}

/// Polls a list that names one pollable `times` times.
pub(crate) fn poll_again_and_again(task: &Task, _: &Context) -> Answer {
    let times: usize = option(task, "times")?.parse().map_err(number)?;
    let soon = subscribe_duration(0);
    let list: Vec<&Pollable> = std::iter::repeat_n(&soon, times).collect();
    Ok(Outcome::done(format!("{} are ready", poll(&list).len())))
}

/// Opens a thousand streams of what it wrote to `path`, and never reads from one.
pub(crate) fn stream_never_read(task: &Task, _: &Context) -> Answer {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = open(option(task, "path")?, OpenFlags::CREATE, flags)?;
    let written = write_all(&file, &vec![1; 32 << 20]);
    let streams: Result<Vec<_>, _> = (0..1000).map(|_| file.read_via_stream(0)).collect();
    let streams = streams.map_err(|error| Failure::invalid(code(&error)))?;
    let said = format!("{written}; {} not read", streams.len());
    std::mem::forget((streams, file));
    Ok(Outcome::done(said))
}

/// Writes to `path` by a stream until it is refused, and never flushes.
pub(crate) fn stream_never_flushed(task: &Task, _: &Context) -> Answer {
    let file = open(option(task, "path")?, OpenFlags::CREATE, DescriptorFlags::WRITE)?;
    let said = write_all(&file, &vec![1; 32 << 20]);
    std::mem::forget(file);
    Ok(Outcome::done(said))
}
