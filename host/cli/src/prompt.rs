//! Asking the person at the terminal, line by line.
//!
//! Invariant: only an offered answer comes back, nothing that was typed before the question
//! was shown is taken for one, and the end of input decides nothing.

use std::io::{BufRead as _, IsTerminal, Write as _};
use std::time::Instant;

use idumb_core::{Prompt, Subject};
use rustix::termios::{QueueSelector, tcflush};
use tokio::sync::mpsc;

use crate::columns;
use crate::driver::Message;
use crate::report::Paint;
use crate::text::{lines, printable};

/// What is being asked.
pub(crate) struct Asking {
    pub(crate) prompt: Prompt,
    /// The choice that a note may go with, once it is made.
    chosen: Option<String>,
}

/// What a line comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// One of the options, by id, and perhaps a word to the agent.
    Chosen(String, Option<String>),
    /// It was not understood, or a note is asked for: this is to be shown, and another line read.
    More(String),
}

/// The terminal that questions are asked at.
pub(crate) struct Desk {
    messages: mpsc::UnboundedSender<Message>,
    /// A line is being read: reading cannot be called off.
    reading: bool,
    /// When the latest question was shown.
    shown: Option<Instant>,
}

/// Whether there is somebody to ask.
pub(crate) fn is_attended() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Desk {
    pub(crate) fn new(messages: mpsc::UnboundedSender<Message>) -> Self {
        Self { messages, reading: false, shown: None }
    }

    /// Shows a question, and has a line read.
    pub(crate) fn ask(&mut self, prompt: Prompt) -> Asking {
        forget_typed();
        self.shown = Some(Instant::now());
        let asked = question(&prompt, Paint::for_stream(&std::io::stderr()));
        show(&columns::wrapped(&asked, columns::of(&std::io::stderr())));
        self.read();
        Asking { prompt, chosen: None }
    }

    /// Shows what is wrong with an answer, or what else is wanted, and has a line read.
    pub(crate) fn go_on(&mut self, text: &str) {
        show(text);
        self.read();
    }

    /// The question falls away without a line: what is printed next begins one of its own.
    pub(crate) fn withdraw(&mut self) {
        forget_typed();
        show("\n");
    }

    /// The line that was being read has arrived, at that time; whether the latest question was
    /// shown before.
    pub(crate) fn has_read(&mut self, at: Instant) -> bool {
        self.reading = false;
        self.shown.is_some_and(|shown| shown <= at)
    }

    /// Has another line read: what arrived was not meant for the question.
    pub(crate) fn read_again(&mut self) {
        self.read();
    }

    fn read(&mut self) {
        if self.reading {
            return;
        }
        self.reading = true;
        let messages = self.messages.clone();
        // Not a blocking task of the runtime: one that still waits would keep the process.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let line = match read {
                Ok(1..) => Some(line),
                Ok(0) | Err(_) => None,
            };
            let _ = messages.send(Message::Line(line, Instant::now()));
        });
    }
}

/// What was typed so far was not meant for a question that nobody had seen, nor for the shell.
fn forget_typed() {
    let _ = tcflush(std::io::stdin(), QueueSelector::IFlush);
}

fn show(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn question(prompt: &Prompt, paint: Paint) -> String {
    let whose = match &prompt.subject {
        Subject::Agent { task, .. } => format!("The agent of {task} asks: "),
        _ => String::new(),
    };
    let question: Vec<String> = lines(&prompt.question).collect();
    let mut text = format!("\n{} {whose}{}\n", paint.odd("?"), question.join("\n  "));
    text.push_str(&listed(&prompt.options, paint));
    text.push_str(&wanted(prompt));
    text
}

fn listed(options: &[(String, String)], paint: Paint) -> String {
    let one = |(number, (id, says)): (usize, &(String, String))| {
        let says: Vec<String> = lines(says).collect();
        let (id, says) = (paint.strong(&printable(id)), says.join(" "));
        format!("  {}) {id}: {says}\n", number + 1)
    };
    options.iter().enumerate().map(one).collect()
}

/// The option that a line means, by number, by name or by how its name begins.
fn chosen<'a>(options: &'a [(String, String)], line: &str) -> Option<&'a String> {
    let by_number = line.parse::<usize>().ok().and_then(|n| options.get(n.checked_sub(1)?));
    let by_name = || {
        let mut fits = options.iter().filter(|(id, _)| !line.is_empty() && id.starts_with(line));
        let exact = options.iter().find(|(id, _)| id == line);
        exact.or_else(|| fits.next().filter(|_| fits.next().is_none()))
    };
    by_number.or_else(by_name).map(|(id, _)| id)
}

fn none_of(line: &str) -> &'static str {
    if line.is_empty() { "" } else { "  that is none of them\n" }
}

/// Shows a question before a run, and waits for one of its options, by id; `None`: the input ended.
pub(crate) fn ask_now(question: &str, options: &[(String, String)]) -> Option<String> {
    let paint = Paint::for_stream(&std::io::stderr());
    let wanted = format!("  choose 1-{} or a name: ", options.len());
    forget_typed();
    let asked = format!("{question}{}{wanted}", listed(options, paint));
    show(&columns::wrapped(&asked, columns::of(&std::io::stderr())));
    loop {
        let mut line = String::new();
        if !matches!(std::io::stdin().lock().read_line(&mut line), Ok(1..)) {
            show("\n");
            return None;
        }
        let line = line.trim();
        if let Some(choice) = chosen(options, line) {
            return Some(choice.clone());
        }
        show(&format!("{}{wanted}", none_of(line)));
    }
}

fn wanted(prompt: &Prompt) -> String {
    format!("  choose 1-{} or a name (prompt {}): ", prompt.options.len(), prompt.id)
}

impl Asking {
    /// What the person's line means.
    pub(crate) fn hear(&mut self, line: &str) -> Said {
        let line = line.trim();
        if let Some(choice) = self.chosen.take() {
            let note = (!line.is_empty()).then(|| line.to_owned());
            return Said::Chosen(choice, note);
        }
        let Some(choice) = chosen(&self.prompt.options, line) else {
            return Said::More(format!("{}{}", none_of(line), wanted(&self.prompt)));
        };
        if self.takes_note(choice) {
            self.chosen = Some(choice.clone());
            return Said::More("  a note to the agent (Enter for none): ".to_owned());
        }
        Said::Chosen(choice.clone(), None)
    }

    fn takes_note(&self, choice: &str) -> bool {
        matches!(
            (&self.prompt.subject, choice),
            (Subject::Blocker { .. }, "retry") | (Subject::Judged { .. }, "fails")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idumb_core::TaskId;
    use std::time::Duration;

    fn asking() -> Asking {
        let option = |id: &str| (id.to_owned(), format!("to {id}"));
        let subject = Subject::Blocker { task: TaskId::new("T1").unwrap() };
        let options = ["retry", "skip", "fail", "pause"].map(option).to_vec();
        let prompt = Prompt { id: 3, subject, question: "What now?".into(), options };
        Asking { prompt, chosen: None }
    }

    #[test]
    fn a_number_a_name_or_its_beginning_chooses() {
        let skip = || Said::Chosen("skip".into(), None);
        for line in ["2\n", " skip ", "s"] {
            assert_eq!(asking().hear(line), skip(), "{line:?}");
        }
    }

    #[test]
    fn nothing_else_is_a_choice() {
        for line in ["", "\n", "0", "5", "yes", "-1", "ski p"] {
            assert!(matches!(asking().hear(line), Said::More(_)), "{line:?}");
        }
    }

    #[test]
    fn a_retry_may_come_with_a_note() {
        let mut with = asking();
        assert!(matches!(with.hear("retry"), Said::More(text) if text.contains("note")));
        assert_eq!(with.hear("use tabs\n"), Said::Chosen("retry".into(), Some("use tabs".into())));
        let mut without = asking();
        without.hear("1");
        assert_eq!(without.hear("\n"), Said::Chosen("retry".into(), None));
    }

    #[test]
    fn a_line_from_before_the_question_is_not_for_it() {
        let (sender, _receiver) = mpsc::unbounded_channel();
        let (early, shown) = (Instant::now(), Instant::now());
        let mut desk = Desk { messages: sender, reading: true, shown: None };
        assert!(!desk.has_read(early), "nothing was asked yet");
        desk.shown = Some(shown + Duration::from_millis(1));
        assert!(!desk.has_read(early));
        assert!(desk.has_read(shown + Duration::from_millis(2)));
    }

    #[test]
    fn a_question_cannot_draw_on_the_terminal() {
        let mut asking = asking();
        asking.prompt.question = "\u{1b}[2Jreally?\nidumb: all good".into();
        asking.prompt.options[0].0 = "ret\rry".into();
        let text = question(&asking.prompt, Paint::off());
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
        assert!(text.contains("\n  idumb: all good"), "indented, so not the host's: {text:?}");
    }
}
