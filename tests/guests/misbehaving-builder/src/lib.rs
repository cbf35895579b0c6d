//! A builder that misbehaves: the task's option `do` names how, other options say where.
//!
//! Invariant: it reports what it could do, and what it could not, in its summary; so a
//! test sees what a guest sees.

#[macro_use]
mod list;
mod commands;
mod exhausting;
mod files;
mod handles;
mod numbers;
mod people;
mod wasi;
mod words;

use std::io;

use idumb_agent::{Builder, Context, Failure, Outcome, Task};

struct Misbehaving;

/// What every behaviour answers.
type Answer = Result<Outcome, Failure>;

impl Builder for Misbehaving {
    fn build(task: Task, context: Context) -> Answer {
        behave(&task, &context)
    }
}

idumb_agent::builder!(Misbehaving);

macro_rules! dispatch {
    ($($name:ident)*) => {
        fn behave(task: &Task, context: &Context) -> Answer {
            use {commands::*, exhausting::*, files::*, handles::*, numbers::*, people::*, words::*};
            match option(task, "do")? {
                $(stringify!($name) => $name(task, context),)*
                other => Err(Failure::unsupported(format!("there is no behaviour `{other}`"))),
            }
        }
    };
}

for_each_builder_behaviour!(dispatch);

fn option<'a>(task: &'a Task, name: &str) -> Result<&'a str, Failure> {
    let missing = || Failure::invalid(format!("the option `{name}` is missing"));
    task.option(name).ok_or_else(missing)
}

/// For an option that is no number.
fn number(error: std::num::ParseIntError) -> Failure {
    Failure::invalid(error.to_string())
}

/// How something ended that the sandbox may refuse.
fn told<T>(what: &str, result: io::Result<T>) -> String {
    match result {
        Ok(_) => format!("{what}: done"),
        Err(error) => format!("{what}: {}", why(&error)),
    }
}

/// The kind of an error, or its number where Rust has no kind for it.
fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) if format!("{:?}", error.kind()) == "Uncategorized" => format!("errno {code}"),
        _ => format!("{:?}", error.kind()),
    }
}
