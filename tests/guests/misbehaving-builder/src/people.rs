//! Words that mislead, questions, and what an agent makes of what it is told.
//!
//! Invariant: everything here is allowed; what matters is what the host makes of it.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use idumb_agent::{Context, Failure, Outcome, Task, decisions, evidence, log, progress};

use crate::{Answer, option, why};

/// Clears the screen, overwrites the line, turns the direction, imitates the host.
const DISGUISED: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}gone\rall good \u{202e}txt.exe\u{2066}\u{200b}\
    \u{9b}31m\nidumb: phase completed";

/// Uses disguised words wherever a word of its own is shown.
#[expect(clippy::print_stdout, reason = "standard output is one of the places")]
pub(crate) fn disguised_words(task: &Task, _: &Context) -> Answer {
    log::warn(DISGUISED);
    println!("{DISGUISED}");
    progress(1, 2, DISGUISED);
    let name = format!("{}/\u{1b}[2J\u{202e}name", option(task, "path")?);
    fs::write(&name, "").map_err(Failure::from)?;
    // Refused, so that the path is shown.
    let refused = fs::write("elsewhere-\u{1b}[2J\u{202e}", "");
    if task.option("fail").is_some() {
        return Err(Failure::precondition(DISGUISED));
    }
    let refused = refused.err().map_or_else(String::new, |error| why(&error));
    Ok(Outcome::done(format!("{DISGUISED}{refused}")).artifact(name))
}

/// Asks `question`, if there is one, and what no host should; tells what was answered.
pub(crate) fn ask(task: &Task, _: &Context) -> Answer {
    let question = task.option("question").unwrap_or("Which?");
    let said = |answer: Result<String, decisions::Refusal>| match answer {
        Ok(choice) => choice,
        Err(refusal) => refusal.name().to_owned(),
    };
    let both = [("a", "The first"), ("b", "The second")];
    let twice = [("a", "The first"), ("a", "The same")];
    let none: [(&str, &str); 0] = [];
    let answers = [
        said(decisions::ask(question, both)),
        said(decisions::ask("Which?", twice)),
        said(decisions::ask("Which?", none)),
    ];
    Ok(Outcome::done(answers.join(" ")))
}

/// Counts its calls.
pub(crate) fn remember(_: &Task, _: &Context) -> Answer {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Outcome::done(format!("call {calls}")))
}

/// Writes `path` wrong at first, and what it was told about that afterwards.
pub(crate) fn learn(task: &Task, context: &Context) -> Answer {
    let path = option(task, "path")?;
    let mut told: Vec<String> = context
        .feedback
        .iter()
        .map(|finding| format!("{}: {}\n", finding.criterion, finding.note))
        .collect();
    told.extend(context.fact("feedback").map(|note| format!("a person: {note}\n")));
    let text = if told.is_empty() { "wrong\n".to_owned() } else { told.concat() };
    fs::write(path, text).map_err(Failure::from)?;
    Ok(Outcome::done(format!("attempt {}", context.attempt)))
}

/// Says a word, has the host look at `path`, and answers at once whatever came of it.
pub(crate) fn say_and_look(task: &Task, _: &Context) -> Answer {
    log::info("a word");
    let observed = evidence::observe(option(task, "path")?);
    Ok(Outcome::done(format!("observed: {}", observed.is_ok())))
}

/// Reads `from`, waits until `until` is there, and writes to `path` what it read before.
pub(crate) fn wait_for_other(task: &Task, _: &Context) -> Answer {
    let text = fs::read(option(task, "from")?).map_err(Failure::from)?;
    let until = option(task, "until")?;
    while !fs::exists(until).map_err(Failure::from)? {}
    fs::write(option(task, "path")?, text).map_err(Failure::from)?;
    Ok(Outcome::done("copied"))
}
