//! Text that came from elsewhere, made safe for a terminal.
//!
//! Invariant: what an agent, a plan or a file name says can neither move the cursor, nor
//! change colours, nor turn the direction of reading, nor start a line of its own.

use std::fmt::Write as _;

/// `text` with every control character and every bidirectional or invisible formatting
/// character written as an escape.
///
/// Line breaks are escaped too: use [`lines`] where several lines are wanted.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' {
            safe.push_str("    ");
        } else if c.is_control() || is_formatting(c) {
            let _ = write!(safe, "{}", c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The lines of `text`, each made safe.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(printable)
}

/// At most `max` characters of `text`, made safe, on one line.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    let safe = printable(first);
    if safe.chars().count() <= max && first.len() == text.len() {
        return safe;
    }
    let cut: String = safe.chars().take(max.saturating_sub(1)).collect();
    format!("{cut}…")
}

/// A number of things: what one is called, or several.
pub(crate) fn counted(number: usize, (one, more): (&str, &str)) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}

/// What criteria are called.
pub(crate) const CRITERIA: (&str, &str) = ("criterion", "criteria");

/// What tasks are called.
pub(crate) const TASKS: (&str, &str) = ("task", "tasks");

fn is_formatting(c: char) -> bool {
    matches!(
        c,
        '\u{00ad}'
            | '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        let hostile = "\u{1b}[2Jdone\r\u{202e}txt.exe\nidumb: all good\u{9b}31m\u{200b}";
        let safe = printable(hostile);
        assert!(!safe.chars().any(|c| c.is_control() || is_formatting(c)), "{safe:?}");
        assert!(safe.contains("\\u{1b}[2J") && safe.contains("\\u{202e}"), "{safe}");
        assert!(!safe.contains('\n'));
    }

    #[test]
    fn ordinary_text_stays() {
        assert_eq!(printable("naïve café — 日本語 ✓"), "naïve café — 日本語 ✓");
        assert_eq!(one_line("first\nsecond", 40), "first…");
        assert_eq!(one_line("abcdef", 4), "abc…");
    }
}
