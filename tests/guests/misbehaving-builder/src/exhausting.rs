//! Attempts to use up what the host has.
//!
//! Invariant: each goes on until it is refused or stopped, and says how far it came if it can.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use idumb_agent::{Context, Failure, Outcome, Task, log, progress};

use crate::{Answer, option, told, why};

/// Makes `path` as large as numbers go, without and with bytes at its end.
pub(crate) fn huge_file(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let mut file = File::create(path).map_err(Failure::from)?;
    let huge = told("set 2^62", file.set_len(1 << 62));
    let large = told("set 2^40", file.set_len(1 << 40));
    let far = file.seek(SeekFrom::Start(1 << 40)).and_then(|_| file.write_all(b"!"));
    Ok(Outcome::done(format!("{huge}; {large}; {}", told("write at 2^40", far))))
}

/// Opens `path` again and again.
pub(crate) fn many_descriptors(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let mut held = Vec::new();
    while held.len() < 100_000 {
        match File::open(path) {
            Ok(file) => held.push(file),
            Err(error) => return Ok(Outcome::done(format!("{}; {}", held.len(), why(&error)))),
        }
    }
    Ok(Outcome::done(format!("{}; no end", held.len())))
}

/// Makes empty files in `path`.
pub(crate) fn many_files(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    for number in 0..1_000_000 {
        if let Err(error) = File::create(format!("{path}/{number}")) {
            return Ok(Outcome::done(format!("{number}; {}", why(&error))));
        }
    }
    Ok(Outcome::done("1000000; no end"))
}

/// Gives one file in `path` further names, each as long as a name can be.
pub(crate) fn many_names(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let first = format!("{path}/first");
    File::create(&first).map_err(Failure::from)?;
    for number in 0..60_000 {
        // A name that is moved is still a name.
        let (made, kept) = (format!("{path}/made"), format!("{path}/{number:0>255}"));
        let named = fs::hard_link(&first, &made).and_then(|()| fs::rename(&made, kept));
        if let Err(error) = named {
            return Ok(Outcome::done(format!("{number}; {}", why(&error))));
        }
    }
    Ok(Outcome::done("60000; no end"))
}

/// Makes a directory in a directory in `path`, and so on.
pub(crate) fn deep_directories(task: &Task, _: &Context) -> Answer {
    let mut path = option(task, "path")?.to_owned();
    for depth in 0..10_000 {
        path.push_str("/d");
        if let Err(error) = fs::create_dir(&path) {
            return Ok(Outcome::done(format!("{depth}; {}", why(&error))));
        }
    }
    Ok(Outcome::done("10000; no end"))
}

/// Computes for ever.
pub(crate) fn loop_forever(_: &Task, _: &Context) -> Answer {
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

/// Asks the host for ever.
pub(crate) fn loop_in_host_calls(_: &Task, _: &Context) -> Answer {
    loop {
        std::hint::black_box(fs::metadata(".").is_ok());
    }
}

/// Waits for a time that does not come.
#[expect(clippy::disallowed_methods, reason = "that it sleeps is the misbehaviour")]
pub(crate) fn sleep_forever(_: &Task, _: &Context) -> Answer {
    loop {
        std::thread::sleep(Duration::MAX);
    }
}

/// Takes memory until there is none.
pub(crate) fn grow_memory(_: &Task, _: &Context) -> Answer {
    const PIECE: usize = 1 << 20;
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(8192);
    while held.len() < 4096 {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() {
            return Ok(Outcome::done(format!("{} MiB; refused", held.len())));
        }
        piece.resize(PIECE, 1);
        held.push(piece);
    }
    Ok(Outcome::done(format!("{} MiB; no end", held.len())))
}

/// Calls itself for ever.
pub(crate) fn recurse_forever(_: &Task, _: &Context) -> Answer {
    #[expect(unconditional_recursion, reason = "that is the misbehaviour")]
    fn deeper(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        deeper(depth + 1).wrapping_add(frame[(depth % 64) as usize])
    }
    Ok(Outcome::done(deeper(0).to_string()))
}

/// Ends with a panic.
#[expect(clippy::panic, reason = "it is to crash")]
pub(crate) fn panic_aloud(_: &Task, _: &Context) -> Answer {
    panic!("it was too much");
}

/// Ends the process that it takes itself to be.
#[expect(clippy::disallowed_methods, reason = "that it exits is the misbehaviour")]
pub(crate) fn exit_early(_: &Task, _: &Context) -> Answer {
    std::process::exit(3);
}

/// Prints 100 MB without a line break, then says a million short lines.
pub(crate) fn flood_log(_: &Task, _: &Context) -> Answer {
    let piece = vec![b'x'; 64 << 10];
    let mut out = std::io::stderr();
    for _ in 0..1600 {
        out.write_all(&piece).map_err(Failure::from)?;
    }
    for _ in 0..1_000_000 {
        log::info("again");
    }
    Ok(Outcome::done("said it all"))
}

/// Prints a line without end on standard output, and another on standard error.
pub(crate) fn lines_without_end(_: &Task, _: &Context) -> Answer {
    let piece = vec![b'x'; 64 << 10];
    let (out, error) = (wasip2::cli::stdout::get_stdout(), wasip2::cli::stderr::get_stderr());
    for _ in 0..8_000 {
        for stream in [&out, &error] {
            stream.write(&piece).map_err(|_| Failure::invalid("it is refused"))?;
        }
    }
    Ok(Outcome::done("printed it all"))
}

/// Tells of its progress a million times.
pub(crate) fn flood_progress(_: &Task, _: &Context) -> Answer {
    let message = "on it".repeat(10_000);
    for done in 0..1_000 {
        progress(done, u32::MAX, &message);
    }
    for done in 0..1_000_000 {
        progress(done, 0, "");
    }
    Ok(Outcome::done("told it all"))
}

/// Answers with a summary of 50 MiB and two million artifacts.
pub(crate) fn huge_outcome(_: &Task, _: &Context) -> Answer {
    let mut outcome = Outcome::done("s".repeat(50 << 20));
    outcome.artifacts = vec![String::new(); 2_000_000];
    Ok(outcome)
}

/// Answers with 16 GiB of text, all of it the same 16 MiB of memory.
#[expect(unsafe_code, reason = "a guest may say the same address twice; Rust alone would not")]
pub(crate) fn aliased_outcome(_: &Task, _: &Context) -> Answer {
    let text: &'static str = "a".repeat(16 << 20).leak();
    // SAFETY: unsound if it were ever dropped; the host stops the guest while it reads it.
    let alias =
        || unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), text.len(), text.len()) };
    let mut outcome = Outcome::done("");
    outcome.artifacts = std::iter::repeat_with(alias).take(1000).collect();
    Ok(outcome)
}
