//! Content of files, as it may stand in a note.
//!
//! Invariant: what comes out is one short line without control characters, whatever went in.

/// How many characters of a file's content a note quotes.
const WIDTH: usize = 80;

/// Quotes `bytes` between backticks: escaped, shortened, on one line.
pub(crate) fn quote(bytes: &[u8]) -> String {
    // Four bytes a character at most; the rest is not looked at.
    let end = bytes.len().min(WIDTH * 4 + 4);
    format!("`{}`", shorten(&String::from_utf8_lossy(&bytes[..end]), WIDTH))
}

/// Somebody else's message, which may quote content: escaped, shortened, on one line.
pub(crate) fn clean(message: &str) -> String {
    shorten(message.lines().next().unwrap_or_default().trim_end(), 3 * WIDTH)
}

/// `text` with control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    shorten(text, usize::MAX)
}

fn shorten(text: &str, width: usize) -> String {
    let mut out = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == width {
            out.push('…');
            break;
        }
        match character {
            // Direction overrides would let content rewrite the line that quotes it.
            '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(character.escape_unicode());
            }
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

/// The number of the line, from 1, on which the byte at `offset` stands.
pub(crate) fn line_at(bytes: &[u8], offset: usize) -> usize {
    count_newlines(&bytes[..offset.min(bytes.len())]) + 1
}

/// How many lines there are: an unterminated last one counts.
pub(crate) fn count_lines(bytes: &[u8]) -> usize {
    let unterminated = bytes.last().is_some_and(|last| *last != b'\n');
    count_newlines(bytes) + usize::from(unterminated)
}

fn count_newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// `1 line`, `2 lines`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_line_without_control_characters() {
        assert_eq!(quote(b"plain"), "`plain`");
        assert_eq!(quote(b"a\nb\x1b[31m"), "`a\\nb\\u{1b}[31m`");
        assert_eq!(quote("\u{202e}txt".as_bytes()), "`\\u{202e}txt`");
        assert_eq!(quote(b"\xff"), "`\u{fffd}`");
    }

    #[test]
    fn a_quote_is_short_and_cuts_between_characters() {
        let long = "ü".repeat(1000);
        assert_eq!(quote(long.as_bytes()), format!("`{}…`", "ü".repeat(80)));
        assert_eq!(quote("𝄞".repeat(81).as_bytes()), format!("`{}…`", "𝄞".repeat(80)));
    }

    #[test]
    fn lines_are_counted_as_people_do() {
        let table = [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("\n", 1), ("\n\n", 2)];
        for (text, lines) in table {
            assert_eq!(count_lines(text.as_bytes()), lines, "{text:?}");
        }
        assert_eq!(line_at(b"a\nb\nc", 4), 3);
        assert_eq!(line_at(b"a", 0), 1);
    }
}
