//! The elements of a GSD plan, found by an HTML tokenizer.
//!
//! Invariant: only names of the format's own vocabulary are elements; every other `<` is
//! text, as are all of them in code and in comments. An element that was begun is closed, or
//! the file is refused.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Error, Token, Tokenizer};

use super::outline::code;
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::Reading;

/// What stands around tasks. Their content is text.
const SECTIONS: &[&str] = &[
    "objective",
    "execution_context",
    "context",
    "interfaces",
    "threat_model",
    "verification",
    "success_criteria",
    "output",
];

/// What holds other elements.
const HOLDERS: &[&str] = &["tasks", "task", "feature"];

/// What stands in a task. The content is text.
pub(super) const PARTS: &[&str] = &[
    "name",
    "files",
    "read_first",
    "behavior",
    "action",
    "implementation",
    "verify",
    "acceptance_criteria",
    "done",
    "what-built",
    "how-to-verify",
    "resume-signal",
    "decision",
    "context",
    "options",
    "instructions",
    "verification",
];

/// What stands in `<verify>`.
const AUTOMATED: &str = "automated";

/// A tag.
#[derive(Debug, Clone)]
struct Mark {
    name: String,
    opens: bool,
    empty: bool,
    attributes: Vec<(String, String, Span)>,
    span: Span,
}

/// An element and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String, Span)>,
    /// Its opening tag.
    pub(super) tag: Span,
    /// Between its tags.
    pub(super) inner: Span,
    /// The elements in it, for those that hold some.
    pub(super) parts: Vec<Self>,
    /// Text that is in none of them.
    pub(super) loose: Vec<Span>,
}

/// Whether a text has an element of a GSD plan that no other Markdown has.
pub(super) fn has_tasks(source: &str, body: usize) -> bool {
    let (marks, _) = marks(source, body..source.len());
    marks.iter().any(|mark| mark.opens && mark.name == "task")
}

/// The elements of a body, and the text around them.
pub(super) fn elements(
    reading: &mut Reading<'_>,
    body: usize,
) -> (Vec<Element>, Vec<Span>, Result<(), Told>) {
    let source = reading.source();
    let (marks, broken) = marks(source, body..source.len());
    let mut refused = Ok(());
    for span in broken {
        let span = reading.line_of(span);
        let message = "a tag or a comment has no end";
        let problem = Problem::new(Code::Unclosed, span, message).label("begins here");
        let help = "close a tag with `>`, and a comment with `-->`";
        refused = Err(reading.refuse(problem.help(help)));
    }
    let mut walk = Walk { reading, marks, at: 0, refused };
    let root = walk.holder("", body, None);
    (root.parts, root.loose, walk.refused)
}

/// The tags of the vocabulary, and where one begins that does not end.
fn marks(source: &str, span: Span) -> (Vec<Mark>, Vec<Span>) {
    let masked = masked(source, span.clone());
    let emitter = DefaultEmitter::<usize>::new_with_span();
    let (mut marks, mut broken) = (Vec::new(), Vec::new());
    let place = |at: html5gum::Span<usize>| {
        let end = source.len();
        (at.start + span.start).min(end)..(at.end + span.start).min(end)
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for token in Tokenizer::new_with_emitter(masked.as_str(), emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let at = place(tag.span);
                // A tag that goes on into the next one has lost its end.
                let inside = source.get(at.clone()).unwrap_or_default();
                if inside.get(1..).is_some_and(|rest| rest.contains('<')) {
                    broken.push(at.clone());
                }
                let attributes = tag
                    .attributes
                    .iter()
                    .map(|(name, value)| (text(name), text(&value.value), place(value.span)));
                marks.push(Mark {
                    name: text(&tag.name),
                    opens: true,
                    empty: tag.self_closing,
                    attributes: attributes.collect(),
                    span: at,
                });
            }
            Token::EndTag(tag) => marks.push(Mark {
                name: text(&tag.name),
                opens: false,
                empty: false,
                attributes: Vec::new(),
                span: place(tag.span),
            }),
            Token::Error(error) if matches!(error.value, Error::EofInTag | Error::EofInComment) => {
                // The tokenizer tells the end; what has no end begins at the last `<`.
                let begun = masked.rfind('<').unwrap_or_default() + span.start;
                broken.push(begun..begun + 1);
            }
            _ => {}
        }
    }
    (marks, broken)
}

/// The text with as many bytes, in which every `<` begins a tag of the vocabulary or a
/// comment. Code has none.
fn masked(source: &str, span: Span) -> String {
    let mut masked = String::with_capacity(span.len());
    let mut codes = code(source, span.clone()).into_iter().peekable();
    let text = source.get(span.clone()).unwrap_or_default();
    for (at, c) in text.char_indices() {
        let place = at + span.start;
        while codes.next_if(|code| code.end <= place).is_some() {}
        let in_code = codes.peek().is_some_and(|code| code.contains(&place));
        let rest = text.get(at + 1..).unwrap_or_default();
        let plain = in_code || (c == '<' && !rest.starts_with("!--") && !is_tag(rest));
        match c {
            // Nothing of code may end a comment or a tag either.
            '<' | '>' | '-' | '"' | '\'' if plain => masked.push(' '),
            c => masked.push(c),
        }
    }
    masked
}

/// Whether a tag of the vocabulary goes on like this behind its `<`.
fn is_tag(rest: &str) -> bool {
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or_default().to_ascii_lowercase();
    let ends = rest.get(end..).unwrap_or_default();
    let ends = ends.is_empty() || ends.starts_with(['>', '/', ' ', '\t', '\r', '\n']);
    let all = SECTIONS.iter().chain(HOLDERS).chain(PARTS).chain([&AUTOMATED]);
    ends && all.into_iter().any(|known| *known == name)
}

/// The tags while they become elements.
struct Walk<'r, 'a> {
    reading: &'r mut Reading<'a>,
    marks: Vec<Mark>,
    at: usize,
    refused: Result<(), Told>,
}

impl Walk<'_, '_> {
    /// What is in a holder of that name, up to its closing tag; the root has no name.
    fn holder(&mut self, name: &str, start: usize, opened: Option<&Mark>) -> Element {
        let known: &[&str] = match name {
            "" => SECTIONS,
            "tasks" => &[],
            _ => PARTS,
        };
        let mut element = Element {
            name: name.to_owned(),
            attributes: opened.map(|mark| mark.attributes.clone()).unwrap_or_default(),
            tag: opened.map_or(start..start, |mark| mark.span.clone()),
            inner: start..start,
            parts: Vec::new(),
            loose: Vec::new(),
        };
        let mut from = start;
        while let Some(mark) = self.marks.get(self.at).cloned() {
            let holds = match name {
                "" => mark.name != AUTOMATED && HOLDERS.contains(&mark.name.as_str()),
                "tasks" => mark.name == "task" || mark.name == "feature",
                _ => false,
            };
            if !mark.opens && mark.name == name {
                self.at += 1;
                element.loose.push(from..mark.span.start);
                element.inner.end = mark.span.start;
                return element;
            }
            let is_leaf = known.contains(&mark.name.as_str());
            if mark.opens && (holds || is_leaf) {
                self.at += 1;
                element.loose.push(from..mark.span.start);
                let part = match (mark.empty, holds) {
                    (true, _) => leaf(&mark, mark.span.end),
                    (false, true) => self.holder(&mark.name, mark.span.end, Some(&mark)),
                    (false, false) => self.leaf(&mark),
                };
                from = self.marks.get(self.at.wrapping_sub(1)).map_or(from, |last| last.span.end);
                element.parts.push(part);
                continue;
            }
            // A holder that ends, or begins, ends what was left open in it.
            let outer = matches!(mark.name.as_str(), "task" | "tasks" | "feature");
            if outer && !name.is_empty() {
                break;
            }
            self.at += 1;
            self.misplaced(&mark, name);
        }
        let end = self.marks.get(self.at).map_or(self.reading.source().len(), |m| m.span.start);
        element.loose.push(from..end);
        element.inner.end = end;
        if let Some(mark) = opened {
            self.unclosed(mark);
        }
        element
    }

    /// A part whose content is text.
    fn leaf(&mut self, opened: &Mark) -> Element {
        let mut parts = Vec::new();
        let mut automated: Option<Mark> = None;
        while let Some(mark) = self.marks.get(self.at).cloned() {
            if !mark.opens && mark.name == opened.name {
                self.at += 1;
                if let Some(open) = automated {
                    self.unclosed(&open);
                }
                let mut element = leaf(opened, mark.span.start);
                element.parts = parts;
                return element;
            }
            if HOLDERS.contains(&mark.name.as_str()) {
                break;
            }
            self.at += 1;
            if opened.name == "verify" && mark.name == AUTOMATED {
                match automated.take() {
                    None if mark.opens => automated = Some(mark),
                    Some(open) if !mark.opens => parts.push(leaf(&open, mark.span.start)),
                    _ => self.misplaced(&mark, "verify"),
                }
            }
        }
        self.unclosed(opened);
        leaf(opened, opened.span.end)
    }

    fn unclosed(&mut self, mark: &Mark) {
        let name = &mark.name;
        let span = self.reading.line_of(mark.span.clone());
        let message = format!("`<{name}>` is not closed");
        let problem = Problem::new(Code::Unclosed, span, message).label("begins here");
        let help = format!(
            "write `</{name}>` where it ends; tags that are only spoken of belong in backticks, and \
             a fence of code ends on a line of its own"
        );
        self.refused = Err(self.reading.refuse(problem.help(help)));
    }

    fn misplaced(&mut self, mark: &Mark, within: &str) {
        let span = self.reading.line_of(mark.span.clone());
        let name = &mark.name;
        let place = if within.is_empty() { "here".to_owned() } else { format!("in `<{within}>`") };
        let problem = if mark.opens {
            let message = format!("`<{name}>` means nothing {place}");
            Problem::new(Code::UnknownElement, span, message).label("not here")
        } else {
            let message = format!("`</{name}>` closes nothing {place}");
            Problem::new(Code::Unclosed, span, message).label("nothing to close")
        };
        let help = "tasks are `<task>` in `<tasks>`, and their parts stand in them; \
                    tags that are only spoken of belong in backticks";
        self.refused = Err(self.reading.refuse(problem.help(help)));
    }
}

fn leaf(opened: &Mark, end: usize) -> Element {
    Element {
        name: opened.name.clone(),
        attributes: opened.attributes.clone(),
        tag: opened.span.clone(),
        inner: opened.span.end..end.max(opened.span.end),
        parts: Vec::new(),
        loose: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements in short, and the codes of what was refused.
    fn read(source: &str) -> (String, Vec<Code>) {
        fn short(element: &Element, source: &str) -> String {
            let inner = match element.name.as_str() {
                "tasks" | "task" => {
                    let parts = element.parts.iter().map(|part| short(part, source));
                    parts.collect::<Vec<_>>().join(" ")
                }
                _ => source[element.inner.clone()].trim().to_owned(),
            };
            format!("{}({inner})", element.name)
        }
        let mut reading = Reading::of_plan(source);
        let (elements, _, refused) = elements(&mut reading, 0);
        let shown = elements.iter().map(|element| short(element, source)).collect::<Vec<_>>();
        let codes = match reading.finish(refused, "plan.md") {
            Ok(_) => Vec::new(),
            Err(refused) => refused.problems().iter().map(|problem| problem.code()).collect(),
        };
        (shown.join(" "), codes)
    }

    #[test]
    fn only_the_vocabulary_is_elements() {
        let table = [
            (
                "<objective>a < b && c<d, it's Map<string, User></objective>",
                "objective(a < b && c<d, it's Map<string, User>)",
            ),
            (
                "<tasks><task type=\"auto\"><name>é</name><action>if x<y then </action></task></tasks>",
                "tasks(task(name(é) action(if x<y then)))",
            ),
            (
                "<task>\n<action>\n```html\n<task>\n</action>\n```\n</action>\n</task>",
                "task(action(```html\n<task>\n</action>\n```))",
            ),
            (
                "<task><action>the `</action>` tag</action></task>",
                "task(action(the `</action>` tag))",
            ),
            ("<!-- <task> --><task><done>x</done></task>", "task(done(x))"),
            ("<TASK><Done>x</dONE></TASK>", "task(done(x))"),
            (
                "<task><verify>a <automated>b</automated></verify></task>",
                "task(verify(a <automated>b</automated>))",
            ),
            (
                "    <tasks>\n\n        <task>\n\n            <done>x</done>\n\n    </task></tasks>",
                "tasks(task(done(x)))",
            ),
            ("<task><action>a <name> b</action></task>", "task(action(a <name> b))"),
        ];
        for (source, expected) in table {
            assert_eq!(read(source), (expected.to_owned(), Vec::new()), "{source}");
        }
    }

    #[test]
    fn what_is_not_closed_or_misplaced_is_refused() {
        use Code::{Unclosed, UnknownElement};
        let table: [(&str, &[Code]); 9] = [
            ("<task><action>a</task>", &[Unclosed]),
            ("<tasks><task><done>a</done><task><done>b</done></task></tasks>", &[Unclosed]),
            ("<tasks><task><done>a</done></task>", &[Unclosed]),
            ("<task type=\"auto><done>a</done></task>", &[Unclosed]),
            ("<task <done>a</done></task>", &[Unclosed, Unclosed]),
            ("<!-- <task></task>", &[Unclosed]),
            ("</task>", &[Unclosed]),
            ("<name>a</name>", &[UnknownElement, Unclosed]),
            ("<context>\n<tasks></tasks></context>", &[Unclosed, Unclosed]),
        ];
        for (source, codes) in table {
            assert_eq!(read(source).1, codes, "{source}");
        }
    }
}
