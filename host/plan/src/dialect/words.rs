//! What a line of Markdown lists: ids, paths, nothing.
//!
//! Invariant: an entry has the place of its own text; nothing between two entries but
//! commas, line ends and spaces is left out.

use idumb_core::PathGlob;
use toml::de::DeValue;

use super::outline::{Piece, PieceKind, span_of};
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Item, Reading};

/// An entry of a list in a line: `src/a.rs`, or `P1-T1`.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
    /// Whether it is set as code, and so is one name, spaces and all.
    pub(super) code: bool,
    /// What stands behind the code, such as ` (new)`.
    pub(super) remark: Option<Span>,
}

/// The entries of a line, between commas and line ends.
pub(super) fn words(pieces: &[Piece]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut open: Vec<Piece> = Vec::new();
    for piece in pieces {
        match piece.kind {
            PieceKind::Break => words.extend(word(&std::mem::take(&mut open))),
            PieceKind::Text => {
                let mut start = 0;
                for part in piece.text.split_inclusive(',') {
                    let text = part.strip_suffix(',').unwrap_or(part);
                    open.push(part_of(piece, start, text.len()));
                    if text.len() < part.len() {
                        words.extend(word(&std::mem::take(&mut open)));
                    }
                    start += part.len();
                }
            }
            PieceKind::Code | PieceKind::Strong => open.push(piece.clone()),
        }
    }
    words.extend(word(&open));
    words
}

/// A part of a text; all of its place, where the file spells it otherwise.
pub(super) fn part_of(piece: &Piece, start: usize, length: usize) -> Piece {
    let text = piece.text.get(start..start + length).unwrap_or_default().to_owned();
    let span = if piece.text.len() == piece.span.len() {
        piece.span.start + start..piece.span.start + start + length
    } else {
        piece.span.clone()
    };
    Piece { kind: piece.kind, text, span }
}

fn word(pieces: &[Piece]) -> Option<Word> {
    let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    let pieces: Vec<Piece> = pieces.iter().map(trimmed).filter(|p| !p.text.is_empty()).collect();
    let first = pieces.first()?;
    if first.kind == PieceKind::Code {
        let remark = span_of(&pieces[1..]);
        return Some(Word {
            text: first.text.clone(),
            span: first.span.clone(),
            code: true,
            remark,
        });
    }
    let span = span_of(&pieces)?;
    Some(Word { text: whole.trim().to_owned(), span, code: false, remark: None })
}

fn trimmed(piece: &Piece) -> Piece {
    let start = piece.text.len() - piece.text.trim_start().len();
    part_of(piece, start, piece.text.trim().len())
}

/// Whether the words say that there is nothing to list.
pub(super) fn is_none(words: &[Word]) -> bool {
    let none = |word: &Word| {
        let text = word.text.to_lowercase();
        ["none", "nothing", "n/a", "-", "–", "—"].contains(&text.trim_end_matches('.'))
    };
    words.is_empty() || (words.len() == 1 && words.iter().all(none))
}

/// The entries of an element's text: between commas and line ends, without bullets and
/// backticks.
pub(super) fn lines(source: &str, span: Span) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = span.start;
    for part in source.get(span).unwrap_or_default().split_inclusive(['\n', ',']) {
        let start = at + part.len() - part.trim_start().len();
        at += part.len();
        let text = part.trim().trim_end_matches(',').trim_end();
        let plain = text.strip_prefix("- ").or(text.strip_prefix("* ")).unwrap_or(text);
        let start = start + text.len() - plain.trim_start().len();
        let plain = plain.trim_start();
        let quoted = plain.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        let word = |text: &str, start: usize, code, remark| {
            let span = start..start + text.len();
            Word { text: text.to_owned(), span, code, remark }
        };
        match quoted {
            Some((inner, rest)) if !inner.is_empty() => {
                let end = start + plain.len();
                let remark = (!rest.trim().is_empty()).then(|| end - rest.trim_start().len()..end);
                words.push(word(inner, start + 1, true, remark));
            }
            _ if plain.is_empty() => {}
            _ => words.push(word(plain, start, false, None)),
        }
    }
    words
}

/// The text with spaces for its comments.
pub(super) fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("<!--") {
        let Some((inner, after)) = comment.split_once("-->") else { break };
        out.push_str(before);
        out.extend(std::iter::repeat_n(' ', inner.len() + 7));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether a text is a path of the project, or a pattern of such.
pub(super) fn is_path(text: &str) -> bool {
    text.parse::<PathGlob>().is_ok()
}

/// The files that the words name, as patterns of what a task may write.
pub(super) fn files(
    reading: &mut Reading<'_>,
    words: &[Word],
    name: &str,
) -> Result<Vec<PathGlob>, Told> {
    let mut globs: Vec<PathGlob> = Vec::new();
    let mut refused = Ok(());
    for word in words {
        match file(reading, word, name) {
            Ok(glob) if globs.contains(&glob) => {}
            Ok(glob) => globs.push(glob),
            Err(told) => refused = Err(told),
        }
    }
    refused.map(|()| globs)
}

fn file(reading: &mut Reading<'_>, word: &Word, name: &str) -> Result<PathGlob, Told> {
    if !word.code && word.text.contains(char::is_whitespace) {
        let message = format!("`{}` is not plainly a path", word.text);
        let problem = Problem::new(Code::BadPath, reading.line_of(word.span.clone()), message);
        let help = "put the path in backticks, and a comma between two";
        return Err(reading.refuse(problem.label("a path?").help(help)));
    }
    if let Some(remark) = &word.remark {
        let problem = Problem::new(
            Code::NotCarried,
            reading.line_of(remark.clone()),
            format!("what is said beside `{}` is not carried on", word.text),
        );
        let help = "say it in the description, if the agent is to know it";
        reading.warn(problem.label("only a remark").help(help));
    }
    pattern(reading, &word.text, word.span.clone(), name)
}

/// A path, or a pattern with `*` and `?`, as what a task may touch. Brackets stand for
/// themselves here: frameworks have them in names.
pub(super) fn pattern(
    reading: &mut Reading<'_>,
    text: &str,
    span: Span,
    name: &str,
) -> Result<PathGlob, Told> {
    let text = text.strip_prefix("./").unwrap_or(text);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '[' => escaped.push_str("[[]"),
            ']' => escaped.push_str("[]]"),
            c => escaped.push(c),
        }
    }
    // A path that is refused is shown as it was written.
    let shown = if escaped.parse::<PathGlob>().is_ok() { escaped } else { text.to_owned() };
    let value = DeValue::String(shown.into());
    reading.pattern(&Item::new(&value, span, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::outline::{BlockKind, outline};

    fn read(source: &str) -> Vec<Word> {
        let blocks = outline(source).blocks;
        let BlockKind::Paragraph(pieces) = &blocks[0].kind else { panic!("{blocks:?}") };
        words(pieces)
    }

    #[test]
    fn entries_have_their_own_places() {
        let source = "P1-T1, [P1-T2],`src/a b.rs` (new),\n x_y_z.rs , ä&amp;b";
        let words = read(source);
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, ["P1-T1", "[P1-T2]", "src/a b.rs", "x_y_z.rs", "ä&b"]);
        let places: Vec<&str> = words.iter().map(|word| &source[word.span.clone()]).collect();
        assert_eq!(places, ["P1-T1", "[P1-T2]", "`src/a b.rs`", "x_y_z.rs", "ä&amp;b"]);
        assert!(words[2].code && words[2].remark.is_some());
    }

    #[test]
    fn nothing_is_said_in_many_ways() {
        for text in ["None", "none.", "N/A", "—", "\\-"] {
            assert!(is_none(&read(text)), "{text}");
        }
        for text in ["none, P1-T1", "P1-T1", "None of the others"] {
            assert!(!is_none(&read(text)), "{text}");
        }
    }
}
