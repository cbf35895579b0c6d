//! The leaves that the parsers of text share: lines, numbers, names.
//!
//! Invariant: a line is whole, without colours and bounded in length, or the text is refused.

use std::borrow::Cow;

use super::{NAME_CAP, NotAReport};

/// The longest line that is read.
const LINE_CAP: usize = 1 << 20;

/// The lines of a text, without their ends and without escape sequences. One that is not UTF-8
/// has replacement characters.
pub(super) fn lines(
    text: &[u8],
) -> Result<impl Iterator<Item = Result<Cow<'_, str>, NotAReport>>, NotAReport> {
    if !text.is_empty() && !text.ends_with(b"\n") {
        return Err(NotAReport::Unfinished("its last line has no end".into()));
    }
    Ok(text.split_inclusive(|byte| *byte == b'\n').map(line))
}

fn line(line: &[u8]) -> Result<Cow<'_, str>, NotAReport> {
    if line.len() > LINE_CAP {
        return Err(NotAReport::Malformed(format!("a line has more than {LINE_CAP} bytes")));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    if line.contains('\u{1b}') {
        return Ok(Cow::Owned(anstream::adapter::strip_str(&line).to_string()));
    }
    Ok(line)
}

/// Digits, and nothing else; `None`: it is not that.
pub(super) fn number(digits: &str) -> Option<Result<u64, NotAReport>> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().map_err(|_| NotAReport::TooMany))
}

/// The number that a text begins with, and what follows.
pub(super) fn leading_number(text: &str) -> Option<(Result<u64, NotAReport>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((number(&text[..end])?, &text[end..]))
}

/// A sum that is a number.
pub(super) fn sum<const N: usize>(numbers: [u64; N]) -> Result<u64, NotAReport> {
    let add = |sum: u64, more| sum.checked_add(more);
    numbers.into_iter().try_fold(0, add).ok_or(NotAReport::TooMany)
}

/// Why it is not a report, in a parser's words.
pub(super) fn malformed(what: &str) -> NotAReport {
    NotAReport::Malformed(what.into())
}

/// As [`malformed`].
pub(super) fn unfinished(what: &str) -> NotAReport {
    NotAReport::Unfinished(what.into())
}

/// As [`malformed`].
pub(super) fn contradiction(what: &str) -> NotAReport {
    NotAReport::Contradiction(what.into())
}

/// What can be shown of a text from outside: bounded, without control characters.
pub(super) fn clipped(text: &str) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut clipped: String = text.chars().take(NAME_CAP).map(plain).collect();
    if text.chars().nth(NAME_CAP).is_some() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_colours() {
        let text = b"a\r\n\x1b[32;1mb\x1b[0m\x1b(B \x1b]0;title\x07c\n\xff\n\n";
        let lines: Vec<_> = lines(text).expect("whole").map(|line| line.expect("short")).collect();
        assert_eq!(lines, ["a", "b c", "\u{fffd}", ""]);
    }

    #[test]
    fn an_escape_ends_with_its_line() {
        let text = b"\x1b]0;\nnot ok 1\n";
        let lines: Vec<_> = lines(text).expect("whole").map(|line| line.expect("short")).collect();
        assert_eq!(lines[1], "not ok 1");
    }

    #[test]
    fn half_a_line_and_an_endless_one_are_refused() {
        assert!(lines(b"a\nb").is_err());
        let long = [&vec![b'a'; LINE_CAP][..], b"\n"].concat();
        assert!(lines(&long).expect("whole").any(|line| line.is_err()));
    }

    #[test]
    fn a_number_is_digits() {
        assert_eq!(number("18446744073709551615"), Some(Ok(u64::MAX)));
        assert_eq!(number("18446744073709551616"), Some(Err(NotAReport::TooMany)));
        for other in ["", "+1", "-1", "1.0", " 1", "1_0"] {
            assert_eq!(number(other), None, "{other:?}");
        }
        assert_eq!(leading_number("12 tests"), Some((Ok(12), " tests")));
        assert_eq!(leading_number("tests"), None);
    }
}
