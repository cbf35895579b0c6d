//! Lists, texts and questions without end.
//!
//! Invariant: nothing is made large that can be said to be large.

use std::hint::black_box;
use std::mem::ManuallyDrop;

use idumb_agent::{Context, Failure, Outcome, Task, decisions, evidence, log, progress};
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

use crate::wasi::{open, root};
use crate::{Answer, number, option};

/// A text that says of itself to be as long as a list can be.
#[expect(unsafe_code, reason = "a guest may say any length; Rust alone would not")]
fn endless() -> &'static str {
    let length = black_box(u32::MAX as usize - 15);
    // SAFETY: none. Nothing in here reads it; the host is to notice before it does.
    unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(8 as *const u8, length)) }
}

/// Hands the host a list of 4 GiB, where the option `how` says.
pub(crate) fn list_of_4_gib(task: &Task, _: &Context) -> Answer {
    match option(task, "how")? {
        "log" => log::info(endless()),
        "progress" => progress(1, 2, endless()),
        "path" => drop(root()?.readlink_at(endless())),
        "other-path" => drop(root()?.open_at(
            PathFlags::empty(),
            endless(),
            OpenFlags::CREATE,
            DescriptorFlags::WRITE,
        )),
        "observe" => drop(evidence::observe(endless())),
        "question" => drop(raw_ask(8, u32::MAX as usize - 15, 8, 1)),
        "choices" => drop(raw_ask(8, 0, 8, u32::MAX as usize)),
        // So that their number times their size is 16 again, in 32 bits.
        "choices-that-wrap" => drop(raw_ask(8, 0, 8, (1 << 28) + 1)),
        "bytes" => {
            let file = open(option(task, "path")?, OpenFlags::CREATE, DescriptorFlags::WRITE)?;
            black_box(file.write(endless().as_bytes(), 0).is_ok());
        }
        "stream" => {
            let file = open(option(task, "path")?, OpenFlags::CREATE, DescriptorFlags::WRITE)?;
            let stream =
                file.write_via_stream(0).map_err(|error| Failure::invalid(error.name()))?;
            drop(stream.write(endless().as_bytes()));
        }
        other => return Err(Failure::invalid(format!("there is no list `{other}`"))),
    }
    Ok(Outcome::done("it was taken"))
}

/// Asks with lists that are wherever the numbers say.
#[expect(unsafe_code, reason = "a guest may say any length; the bindings would not")]
fn raw_ask(text: usize, text_bytes: usize, choices: usize, count: usize) -> Vec<u8> {
    #[link(wasm_import_module = "idumb:agent/decisions@0.1.0")]
    unsafe extern "C" {
        #[link_name = "ask"]
        fn ask(text: usize, text_bytes: usize, choices: usize, count: usize, to: *mut u8);
    }
    let mut answer = vec![0_u8; 12];
    // SAFETY: it writes three words to `answer`; what it reads is not ours to say.
    unsafe { ask(text, text_bytes, choices, count, answer.as_mut_ptr()) };
    answer
}

/// Asks with a thousand choices whose texts, of 16 MiB, are one and the same.
#[expect(unsafe_code, reason = "a guest may say the same address twice; Rust alone would not")]
pub(crate) fn aliased_choices(_: &Task, _: &Context) -> Answer {
    let text: &'static str = "a".repeat(16 << 20).leak();
    // SAFETY: unsound if it were ever dropped, which `ManuallyDrop` sees to.
    let alias =
        || unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), text.len(), text.len()) };
    let choices = (0..1000).map(|number: u32| (number.to_string(), alias()));
    let answer = ManuallyDrop::new(decisions::ask("Which?", choices));
    Ok(Outcome::done(format!("{answer:?}")))
}

/// Says one thing of 24 MiB, or 10 MiB of it, wherever something can be said.
pub(crate) fn huge_words(_: &Task, _: &Context) -> Answer {
    let text = "é".repeat(12 << 20);
    for _ in 0..8 {
        log::error(&text);
        progress(1, 2, &text);
    }
    let long = decisions::ask(&text[..10 << 20], [("a", &text[..10 << 20]), ("b", "short")]);
    let observed = evidence::observe(&text[..10 << 20]);
    let asked = long.unwrap_or_else(|refusal| refusal.name().to_owned());
    Ok(Outcome::done(format!("{asked}; observed: {}", observed.is_ok())))
}

/// Offers choices whose ids have as many bytes as the option `bytes` says.
pub(crate) fn long_choice(task: &Task, _: &Context) -> Answer {
    let bytes: usize = option(task, "bytes")?.parse().map_err(number)?;
    let answer = decisions::ask("Which?", [("i".repeat(bytes), "The first")]);
    Ok(Outcome::done(match answer {
        Ok(choice) => format!("{} bytes", choice.len()),
        Err(refusal) => refusal.name().to_owned(),
    }))
}

/// Offers a million choices.
pub(crate) fn many_choices(_: &Task, _: &Context) -> Answer {
    let choices = (0..200_000).map(|number: u32| (number.to_string(), ""));
    let answer = decisions::ask("Which?", choices);
    Ok(Outcome::done(answer.unwrap_or_else(|refusal| refusal.name().to_owned())))
}

/// Asks thousands of questions, one after the other.
pub(crate) fn many_questions(_: &Task, _: &Context) -> Answer {
    let mut answered = 0;
    for number in 0..10_000 {
        let question = format!("Question {number}: {}", "why? ".repeat(3000));
        answered += u32::from(decisions::ask(question, [("a", "The first")]).is_ok());
    }
    Ok(Outcome::done(format!("{answered} answered")))
}

/// Names a path of 10 MiB as its work, and twenty thousand that are as long as paths can be.
pub(crate) fn long_artifacts(task: &Task, _: &Context) -> Answer {
    let path = option(task, "path")?;
    let mut outcome = Outcome::done("").artifact("a".repeat(10 << 20)).artifact("a".repeat(4096));
    outcome.artifacts.push(path.to_owned());
    outcome.artifacts.extend((0..5_000).map(|_| "b".repeat(4095)));
    Ok(outcome)
}
