//! Asking the person at the terminal.
//!
//! Invariant: only the offered answers can come back, and leaving a question means *pause*.

use std::io::IsTerminal;

use idumb_core::{Prompt, Subject};
use inquire::{InquireError, Select};

use crate::text::{lines, one_line};

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// One of the options, by id.
    Chosen(String),
    /// The person left the question.
    Left,
    /// There is nobody to ask.
    NoTerminal,
}

/// Asks; blocks until there is an answer.
pub(crate) fn ask(prompt: &Prompt) -> Answer {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Answer::NoTerminal;
    }
    let whose = match &prompt.subject {
        Subject::Agent { task, .. } => format!("The agent of {task} asks: "),
        Subject::Blocker { .. } | Subject::Checkpoint => String::new(),
    };
    let question: Vec<String> = lines(&prompt.question).collect();
    let question = format!("{whose}{}", question.join("\n  "));
    let shown: Vec<String> = prompt
        .options
        .iter()
        .map(|(id, text)| format!("{}: {}", one_line(id, 40), one_line(text, 120)))
        .collect();
    match Select::new(&question, shown).raw_prompt() {
        Ok(chosen) => match prompt.options.get(chosen.index) {
            Some((id, _)) => Answer::Chosen(id.clone()),
            None => Answer::Left,
        },
        Err(InquireError::NotTTY) => Answer::NoTerminal,
        Err(_) => Answer::Left,
    }
}
