//! Native commands, asked for in every way that the contract has.
//!
//! Invariant: what is refused does not stop it; the summary says what came of each.

use std::fs::File;
use std::io::Write;

use idumb_agent::commands::{self, Output, Ran, Refusal};
use idumb_agent::{Context, Failure, Outcome, Task, log};

use crate::{Answer, option};

fn said(answer: Result<Ran, Refusal>) -> String {
    let output =
        |output: &Output| format!("{:?}", (&output.beginning, output.left_out, &output.end));
    match answer {
        Ok(ran) => format!(
            "{}: {} {:?} {:?} {} {} on {}{}",
            ran.id,
            ran.ended,
            ran.exit,
            ran.tests.map(|tests| (tests.passed, tests.failed, tests.skipped)),
            output(&ran.stdout),
            output(&ran.stderr),
            ran.tree,
            if ran.reused { ", again" } else { "" },
        ),
        Err(refusal) => format!("{:?}: {}", refusal.kind, refusal.message),
    }
}

/// Writes to `path`, line by line of `ask`, and asks for what the line says: a name, and
/// arguments. The file stays open.
pub(crate) fn ask_for_commands(task: &Task, _: &Context) -> Answer {
    let mut file = match task.option("path") {
        Some(path) => Some(File::create(path).map_err(Failure::from)?),
        None => None,
    };
    let mut told = vec![format!("allowed: {}", commands::allowed().join(" "))];
    for line in option(task, "ask")?.lines() {
        if let Some(file) = &mut file {
            writeln!(file, "before {line}").map_err(Failure::from)?;
        }
        let words: Vec<&str> = line.split(' ').collect();
        log::info(format!("asks for {line}"));
        told.push(said(commands::run(words[0], &words[1..])));
    }
    Ok(Outcome::done(told.join("\n")))
}

/// Asks without end.
pub(crate) fn many_commands(task: &Task, _: &Context) -> Answer {
    let name = option(task, "ask")?;
    loop {
        // An answer of any kind is as good as another.
        let _ = commands::run(name, &[]);
    }
}

/// Asks with more than any command takes: in the name, in one argument, and in their number.
pub(crate) fn huge_arguments(task: &Task, _: &Context) -> Answer {
    let name = option(task, "ask")?;
    let long = "x".repeat(1 << 20);
    let told = [
        said(commands::run(&long, &[])),
        said(commands::run(name, &[&long])),
        said(commands::run(name, &["x"; 10_000])),
        said(commands::run(name, &["a\0b"])),
    ];
    Ok(Outcome::done(told.join("\n")))
}
