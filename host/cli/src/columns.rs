//! How wide a terminal is, and text that fits it.
//!
//! Invariant: in a pipe no line is broken; on a terminal a line that is too long goes on further in
//! than it began, so that what follows cannot be taken for another line.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use textwrap::{Options, WordSplitter, WrapAlgorithm};

/// What is wanted where nobody says how wide it is.
const USUAL: usize = 100;

/// In a window of less nothing is wrapped: there would be more breaks than words.
const LEAST: usize = 40;

/// The columns of a terminal; `None`: it is none, or too narrow to say anything in.
pub(crate) fn of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let size = stream.is_terminal().then(|| terminal_size::terminal_size_of(stream)).flatten();
    size.map(|(width, _)| usize::from(width.0)).filter(|width| *width >= LEAST)
}

/// The columns of a terminal; else what the shell says, for what is drawn in any case.
pub(crate) fn drawn(stream: &(impl IsTerminal + AsFd)) -> usize {
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    of(stream).or_else(columns).unwrap_or(USUAL)
}

/// A result for people, as standard output can show it.
pub(crate) fn fit(text: &str) -> String {
    wrapped(text, of(&std::io::stdout()))
}

/// `text` with lines of at most `columns`, if there are so many.
pub(crate) fn wrapped(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        if textwrap::core::display_width(line) <= columns {
            out.push_str(line);
        } else {
            let indent = line.len() - line.trim_start_matches(' ').len();
            let further = " ".repeat((indent + 4).min(columns / 2));
            let first = " ".repeat(indent.min(columns / 2));
            let options = Options::new(columns)
                .initial_indent(&first)
                .subsequent_indent(&further)
                .word_splitter(WordSplitter::NoHyphenation)
                .wrap_algorithm(WrapAlgorithm::FirstFit);
            out.push_str(&textwrap::wrap(line.trim_start_matches(' '), options).join("\n"));
        }
        out.push_str(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_lines_as_they_are() {
        let long = format!("{}\n", "word ".repeat(100));
        assert_eq!(wrapped(&long, None), long);
    }

    #[test]
    fn a_terminal_gets_whole_words_further_in() {
        let text = "short\n  a line that is too long for that\n\nlast: ";
        let expected = "short\n  a line that is too\n      long for that\n\nlast: ";
        assert_eq!(wrapped(text, Some(20)), expected);
    }

    #[test]
    fn colours_take_no_room_and_what_has_no_spaces_is_broken() {
        let colour = "\u{1b}[31mten letters\u{1b}[0m";
        assert_eq!(wrapped(colour, Some(11)), colour);
        let path = format!("  {}\n", "x".repeat(50));
        let lines = wrapped(&path, Some(30));
        let letters = lines.matches('x').count();
        assert!(lines.lines().all(|line| line.len() <= 30) && letters == 50, "{lines}");
    }
}
