//! Numbers that are too large for what they number.
//!
//! Invariant: where the host answers, the answer is in the summary; where it ends the guest, the
//! option `how` has said which request it was.

use idumb_agent::{Context, Failure, Outcome, Task};
use wasip2::cli::{stderr, stdout};
use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::types::{DescriptorFlags, NewTimestamp, OpenFlags, PathFlags};
use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::random::{insecure, random};

use crate::wasi::{code, open, root, stream_code};
use crate::{Answer, option};

fn unknown(how: &str) -> Failure {
    Failure::invalid(format!("there is no way `{how}`"))
}

fn refused(error: &wasip2::filesystem::types::ErrorCode) -> Failure {
    Failure::invalid(code(error))
}

/// Asks for more random bytes than there is memory.
pub(crate) fn random_without_end(task: &Task, _: &Context) -> Answer {
    let got = match option(task, "how")? {
        "secure" => random::get_random_bytes(u64::MAX),
        "insecure" => insecure::get_insecure_random_bytes(u64::MAX),
        "secure-1-gib" => random::get_random_bytes(1 << 30),
        "insecure-1-gib" => insecure::get_insecure_random_bytes(1 << 30),
        other => return Err(unknown(other)),
    };
    Ok(Outcome::done(format!("{} bytes", got.len())))
}

/// Sets times that no clock shows, of `path` and of its descriptor.
pub(crate) fn times_without_end(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ | DescriptorFlags::WRITE)?;
    let mut said = Vec::new();
    for (seconds, nanoseconds) in [
        (u64::MAX, 0),
        (u64::MAX, u32::MAX),
        (u64::MAX - 1, 1_999_999_999),
        (i64::MAX as u64, 999_999_999),
        (i64::MAX as u64 + 1, 0),
        (1 << 40, u32::MAX),
    ] {
        let time = || NewTimestamp::Timestamp(Datetime { seconds, nanoseconds });
        let mut tell = |result: Result<(), _>| {
            said.push(result.map_or_else(|error| code(&error), |()| "set".to_owned()));
        };
        tell(file.set_times(time(), time()));
        tell(root()?.set_times_at(PathFlags::empty(), path, time(), time()));
        // Whatever became of it, it can be looked at.
        file.stat().map_err(|error| refused(&error))?;
        file.metadata_hash().map_err(|error| refused(&error))?;
        root()?.stat().map_err(|error| refused(&error))?;
    }
    Ok(Outcome::done(said.join(" ")))
}

/// Writes zeroes without end to where the option `how` says.
pub(crate) fn zeroes_without_end(task: &Task, _: &Context) -> Answer {
    let file = open(option(task, "path")?, OpenFlags::CREATE, DescriptorFlags::WRITE)?;
    let how = option(task, "how")?;
    let stream = match how {
        "file" | "file-and-flush" | "file-1-gib" => file.write_via_stream(0),
        "append" => file.append_via_stream(),
        "stdout" => Ok(stdout::get_stdout()),
        "stderr" => Ok(stderr::get_stderr()),
        other => return Err(unknown(other)),
    };
    let stream = stream.map_err(|error| refused(&error))?;
    let written = match how {
        "file-and-flush" => stream.blocking_write_zeroes_and_flush(u64::MAX),
        "file-1-gib" => stream.write_zeroes(1 << 30),
        _ => stream.write_zeroes(u64::MAX),
    };
    Ok(Outcome::done(written.map_or_else(|error| stream_code(&error), |()| "done".to_owned())))
}

fn told(result: Result<u64, wasip2::io::streams::StreamError>) -> String {
    result.map_or_else(|error| stream_code(&error), |bytes| bytes.to_string())
}

/// Skips and splices without end: first from `from` to `path`, then `path` onto its own end.
pub(crate) fn skip_and_splice(task: &Task, _: &Context) -> Answer {
    let from = open(option(task, "from")?, OpenFlags::empty(), DescriptorFlags::READ)?;
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = open(option(task, "path")?, OpenFlags::CREATE, flags)?;
    let source = || from.read_via_stream(0).map_err(|error| refused(&error));
    let mut said = vec![
        told(source()?.skip(u64::MAX)),
        told(source()?.blocking_skip(u64::MAX)),
        told(source()?.read(u64::MAX).map(|bytes| bytes.len() as u64)),
        told(source()?.blocking_read(u64::MAX).map(|bytes| bytes.len() as u64)),
    ];
    let end = || file.append_via_stream().map_err(|error| refused(&error));
    said.push(told(end()?.splice(&source()?, u64::MAX)));
    said.push(told(end()?.blocking_splice(&source()?, u64::MAX)));
    said.push(onto_itself(&end()?, &file.read_via_stream(0).map_err(|error| refused(&error))?));
    Ok(Outcome::done(said.join(" ")))
}

/// Reads what it writes, so that it never comes to an end.
fn onto_itself(to: &OutputStream, from: &InputStream) -> String {
    for _ in 0..1_000_000 {
        if let Err(error) = to.splice(from, u64::MAX) {
            return stream_code(&error);
        }
    }
    "no end".to_owned()
}

/// Reads and writes `path` at the ends of what numbers can say, by descriptor and by stream.
pub(crate) fn far_offsets(task: &Task, _: &Context) -> Answer {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = open(option(task, "path")?, OpenFlags::empty(), flags)?;
    let mut said = Vec::new();
    for at in [u64::MAX, u64::MAX - 1, 1 << 63, i64::MAX as u64, 1 << 62] {
        let mut tell = |what: &str, result: Result<u64, String>| {
            let result = result.map_or_else(|why| why, |number| number.to_string());
            said.push(format!("{what}: {result}"));
        };
        let short = |error| code(&error);
        tell("read", file.read(u64::MAX, at).map(|(bytes, _)| bytes.len() as u64).map_err(short));
        tell("write", file.write(b"!", at).map_err(short));
        tell("nothing", file.write(b"", at).map_err(short));
        let input = file.read_via_stream(at).map_err(|error| refused(&error))?;
        let read = input.read(u64::MAX).map(|bytes| bytes.len() as u64);
        tell("stream-read", read.map_err(|error| stream_code(&error)));
        let output = file.write_via_stream(at).map_err(|error| refused(&error))?;
        let written = output.write(b"").and_then(|()| output.write(b"!")).map(|()| 1);
        tell("stream-write", written.map_err(|error| stream_code(&error)));
        let advised = file.advise(at, u64::MAX, wasip2::filesystem::types::Advice::WillNeed);
        advised.map_err(|error| refused(&error))?;
    }
    Ok(Outcome::done(said.join("; ")))
}
