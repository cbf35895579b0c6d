//! A Markdown file as front matter and a tree of blocks, each with its place.
//!
//! Invariant: where a heading, a list or code begins and ends is what the CommonMark parser
//! says, never what a line looks like. All places are bytes of the whole file.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use crate::problem::Span;

/// How deep blocks are looked into; what is nested deeper is one block without parts.
const DEEPEST: usize = 32;

/// A Markdown file.
#[derive(Debug)]
pub(super) struct Outline {
    /// The YAML between the `---` lines, if the file begins with such lines.
    pub(super) front: Option<Span>,
    /// Where the body begins.
    pub(super) body: usize,
    /// The body's blocks.
    pub(super) blocks: Vec<Block>,
}

/// A block, and all of it.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) span: Span,
    pub(super) kind: BlockKind,
}

/// What a block is.
#[derive(Debug, Clone)]
pub(super) enum BlockKind {
    /// A heading of a level from 1 to 6.
    Heading(usize, Vec<Piece>),
    /// Text, or the text of a list's entry.
    Paragraph(Vec<Piece>),
    /// A list, ordered or not.
    List(Vec<Entry>),
    /// A line across the page.
    Rule,
    /// HTML.
    Html,
    /// Code, a quotation, a table.
    Other,
}

/// An entry of a list.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// All of it, from its marker on.
    pub(super) span: Span,
    /// Whether its box is ticked, if it has one.
    pub(super) ticked: Option<bool>,
    /// What it says, behind the marker and the box.
    pub(super) text: Span,
    /// Its blocks.
    pub(super) blocks: Vec<Block>,
}

/// A piece of a text that stands on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: PieceKind,
    /// What a reader sees.
    pub(super) text: String,
    pub(super) span: Span,
}

/// How a piece is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// As it is, or in italics, or in a link.
    Text,
    /// As code.
    Code,
    /// In bold.
    Strong,
    /// Not at all: here a new line begins.
    Break,
}

/// Reads the structure of a file.
pub(super) fn outline(source: &str) -> Outline {
    let start = source.len() - source.trim_start_matches('\u{feff}').len();
    let front = front_matter(source, start);
    let body = front.as_ref().map_or(start, |(_, end)| *end);
    let text = source.get(body..).unwrap_or_default();
    // The rest of the file is read without metadata: there, `---` is a line.
    let blocks = read(text, Places { lines: vec![(0, body)] });
    Outline { front: front.map(|(yaml, _)| yaml), body, blocks }
}

/// The blocks of a part of a file, without the indentation that its lines have in common.
pub(super) fn part(source: &str, span: Span) -> Vec<Block> {
    let text = source.get(span.clone()).unwrap_or_default();
    let indented = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let lines = text.split_inclusive('\n').enumerate();
    // The first line begins behind a tag, wherever that is.
    let common = lines.clone().filter(|(at, line)| *at > 0 && !line.trim().is_empty());
    let common = common.map(|(_, line)| indented(line)).min().unwrap_or_default();
    let (text, places) = without_indentation(text, span.start, |index, line| match index {
        0 => indented(line),
        _ => indented(line).min(common),
    });
    read(&text, places)
}

/// Where code is set in a part of a file whose indentation means nothing, and which may have
/// elements in it: what looks like an element is no HTML here, so that it hides no code.
pub(super) fn code(source: &str, span: Span) -> Vec<Span> {
    let text = source.get(span.clone()).unwrap_or_default();
    let indented = |_, line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let (text, places) = without_indentation(text, span.start, indented);
    let text = text.replace('<', "x");
    let mut spans = Vec::new();
    for (event, span) in Parser::new_ext(&text, extensions()).into_offset_iter() {
        let inline = |span: &Span| !text.get(span.clone()).unwrap_or_default().contains('\n');
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => spans.push(places.span(span)),
            // What goes on over a line's end is more often two quotes than code.
            Event::Code(_) if inline(&span) => spans.push(places.span(span)),
            _ => {}
        }
    }
    spans
}

/// A text without the first so many bytes of each line, and where its lines were.
fn without_indentation(
    text: &str,
    base: usize,
    cut: impl Fn(usize, &str) -> usize,
) -> (String, Places) {
    let mut copy = String::with_capacity(text.len());
    let (mut lines, mut at) = (Vec::new(), base);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let cut = cut(index, line);
        lines.push((copy.len(), at + cut));
        copy.push_str(line.get(cut..).unwrap_or_default());
        at += line.len();
    }
    if lines.is_empty() {
        lines.push((0, base));
    }
    (copy, Places { lines })
}

/// Where the lines of a text are in the file: the text's bytes, and the file's.
struct Places {
    lines: Vec<(usize, usize)>,
}

impl Places {
    fn at(&self, offset: usize) -> usize {
        let line = self.lines.partition_point(|(start, _)| *start <= offset);
        let (start, place) = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        place + offset - start
    }

    fn span(&self, span: Span) -> Span {
        let start = self.at(span.start);
        // The end belongs to the line of the last byte, not to the next one.
        let end = if span.end > span.start { self.at(span.end - 1) + 1 } else { start };
        start..end
    }
}

fn read(text: &str, places: Places) -> Vec<Block> {
    let inner = Parser::new_ext(text, extensions()).into_offset_iter();
    blocks(&mut Events { inner, places, peeked: None }, 0)
}

fn extensions() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH
}

/// The place of the YAML that the file begins with, and of the end of its last line.
fn front_matter(source: &str, start: usize) -> Option<(Span, usize)> {
    let text = source.get(start..)?;
    let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut events = Parser::new_ext(text, options).into_offset_iter();
    let (first, all) = events.next()?;
    let yaml = Tag::MetadataBlock(MetadataBlockKind::YamlStyle);
    if all.start != 0 || first != Event::Start(yaml) {
        return None;
    }
    let mut inner: Option<Range<usize>> = None;
    for (event, span) in events {
        match event {
            Event::Text(_) => inner = Some(inner.map_or(span.start, |range| range.start)..span.end),
            _ => break,
        }
    }
    let inner = inner.unwrap_or(all.end..all.end);
    Some((inner.start + start..inner.end + start, all.end + start))
}

/// The parser's events, with places in the whole file.
struct Events<'a> {
    inner: pulldown_cmark::OffsetIter<'a>,
    places: Places,
    peeked: Option<(Event<'a>, Span)>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        self.peeked.take().or_else(|| {
            let (event, span) = self.inner.next()?;
            Some((event, self.places.span(span)))
        })
    }

    fn peek(&mut self) -> Option<&(Event<'a>, Span)> {
        if self.peeked.is_none() {
            self.peeked = self.next();
        }
        self.peeked.as_ref()
    }

    /// Leaves out everything up to the end of what was begun.
    fn skip(&mut self) {
        let mut open = 1_usize;
        while open > 0 {
            match self.next() {
                Some((Event::Start(_), _)) => open += 1,
                Some((Event::End(_), _)) => open -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }
}

/// The blocks up to the end of the block that holds them, which is taken.
fn blocks(events: &mut Events<'_>, depth: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    while let Some((event, span)) = events.next() {
        let kind = match event {
            Event::End(_) => break,
            Event::Start(Tag::Heading { level, .. }) => {
                BlockKind::Heading(level as usize, pieces(events, true))
            }
            Event::Start(Tag::Paragraph) => BlockKind::Paragraph(pieces(events, true)),
            Event::Start(Tag::List(_)) if depth < DEEPEST => {
                BlockKind::List(entries(events, depth + 1))
            }
            Event::Start(tag) if is_block(&tag) => {
                events.skip();
                if tag == Tag::HtmlBlock { BlockKind::Html } else { BlockKind::Other }
            }
            Event::Rule => BlockKind::Rule,
            Event::Html(_) => BlockKind::Html,
            // The text of an entry of a tight list is in no paragraph.
            event => {
                let start = span.start;
                events.peeked = Some((event, span));
                let pieces = pieces(events, false);
                let end = pieces.last().map_or(start, |piece| piece.span.end);
                blocks.push(Block { span: start..end, kind: BlockKind::Paragraph(pieces) });
                continue;
            }
        };
        blocks.push(Block { span, kind });
    }
    blocks
}

/// Whether the element is no part of a line of text.
fn is_block(tag: &Tag<'_>) -> bool {
    !matches!(
        tag,
        Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. }
    )
}

fn entries(events: &mut Events<'_>, depth: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((event, span)) = events.next() {
        match event {
            Event::Start(Tag::Item) => {
                let mut ticked = None;
                let mut start = None;
                if let Some((Event::TaskListMarker(done), marker)) = events.peek() {
                    (ticked, start) = (Some(*done), Some(marker.end));
                    events.next();
                }
                let mut blocks = blocks(events, depth);
                ticked = ticked.or_else(|| box_of(&mut blocks, &mut start));
                let first = blocks.first().map(|block| block.span.start);
                let start = start.or(first).unwrap_or(span.end);
                entries.push(Entry { text: start..span.end.max(start), span, ticked, blocks });
            }
            Event::End(_) => break,
            _ => {}
        }
    }
    entries
}

/// Takes the box off the paragraph of a loose list's entry.
fn box_of(blocks: &mut [Block], start: &mut Option<usize>) -> Option<bool> {
    let BlockKind::Paragraph(pieces) = &mut blocks.first_mut()?.kind else {
        return None;
    };
    let first = pieces.first()?;
    let ticked = match (first.kind, first.text.as_str()) {
        (PieceKind::Break, "[x]") => true,
        (PieceKind::Break, "[ ]") => false,
        _ => return None,
    };
    *start = Some(first.span.end);
    pieces.remove(0);
    Some(ticked)
}

/// The pieces of a text: of a `whole` block up to its end, which is taken; else up to the
/// next block or the end of the entry, which are left.
fn pieces(events: &mut Events<'_>, whole: bool) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut strong, mut open) = (0_usize, 0_usize);
    loop {
        match events.peek() {
            None => break,
            Some((Event::Start(tag), _)) if is_block(tag) && !whole => break,
            Some((Event::Rule | Event::Html(_), _)) if !whole => break,
            Some((Event::End(tag), _)) if open == 0 => {
                debug_assert!(!matches!(tag, TagEnd::Strong), "an end without a start");
                if whole {
                    events.next();
                }
                break;
            }
            Some(_) => {}
        }
        let Some((event, span)) = events.next() else { break };
        match event {
            Event::Start(tag) => {
                open += 1;
                if tag == Tag::Strong {
                    strong += 1;
                    // A bold text is one piece, and begins with its stars.
                    let (kind, text) = (PieceKind::Strong, String::new());
                    pieces.push(Piece { kind, text, span });
                }
            }
            Event::End(tag) => {
                open = open.saturating_sub(1);
                if tag == TagEnd::Strong {
                    strong = strong.saturating_sub(1);
                }
            }
            Event::Code(text) => add(&mut pieces, PieceKind::Code, &text, span, strong > 0),
            Event::Text(text) | Event::InlineHtml(text) | Event::Html(text) => {
                add(&mut pieces, PieceKind::Text, &text, span, strong > 0);
            }
            Event::SoftBreak | Event::HardBreak => {
                let (kind, text) = (PieceKind::Break, String::new());
                pieces.push(Piece { kind, text, span });
            }
            Event::TaskListMarker(done) => {
                let text = if done { "[x]" } else { "[ ]" };
                pieces.push(Piece { kind: PieceKind::Break, text: text.to_owned(), span });
            }
            _ => {}
        }
    }
    pieces
}

/// Adds a text: to the bold piece that it is in, to the text before, or as a piece.
fn add(pieces: &mut Vec<Piece>, kind: PieceKind, text: &str, span: Span, strong: bool) {
    match pieces.last_mut() {
        Some(last) if strong && last.kind == PieceKind::Strong => last.text.push_str(text),
        // The parser cuts a text at every character that might mean something.
        Some(last)
            if kind == PieceKind::Text
                && last.kind == kind
                && last.span.end == span.start
                && last.text.len() == last.span.len()
                && text.len() == span.len() =>
        {
            last.text.push_str(text);
            last.span.end = span.end;
        }
        _ => pieces.push(Piece { kind, text: text.to_owned(), span }),
    }
}

/// What a reader sees of the pieces, on one line.
pub(super) fn plain(pieces: &[Piece]) -> String {
    let mut line = String::new();
    for piece in pieces {
        match piece.kind {
            PieceKind::Break => line.push(' '),
            _ => line.push_str(&piece.text),
        }
    }
    line.trim().to_owned()
}

/// The place of the pieces together.
pub(super) fn span_of(pieces: &[Piece]) -> Option<Span> {
    let (first, last) = (pieces.first()?, pieces.last()?);
    Some(first.span.start..last.span.end)
}

/// A part of the file as a text of its own: without the space around it, lines ended by
/// `\n`, and without the indentation that all lines but the first have in common.
pub(super) fn dedented(source: &str, span: Span) -> String {
    let text = source.get(span).unwrap_or_default();
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = lines.collect();
    let indentation = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let common = rest.iter().filter(|line| !line.trim().is_empty()).map(indentation).min();
    let common = common.unwrap_or_default();
    rest.into_iter().fold(first, |mut text, line| {
        text.push('\n');
        text.push_str(line.get(common..).unwrap_or_default());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(source: &str) -> Vec<String> {
        let blocks = outline(source).blocks;
        let heading = |block: Block| match block.kind {
            BlockKind::Heading(level, pieces) => Some(format!("{level} {}", plain(&pieces))),
            _ => None,
        };
        blocks.into_iter().filter_map(heading).collect()
    }

    #[test]
    fn only_headings_are_headings() {
        let source = "# One\n\n```md\n## not this\n```\n\n~~~\n# nor this\n~~~\n\n    # nor this\n\n\
                      - a\n  # in a list\n\n> # in a quotation\n\nTwo\n===\n\n### `Three` **x**\n";
        assert_eq!(headings(source), ["1 One", "1 Two", "3 Three x"]);
        assert_eq!(headings(&source.replace('\n', "\r\n")), headings(source));
        assert_eq!(headings(&format!("\u{feff}{source}")), headings(source));
    }

    #[test]
    fn front_matter_is_only_at_the_start() {
        let source = "---\na: 1\n---\n# One\n\n---\nb: 2\n---\n";
        for source in [source.to_owned(), source.replace('\n', "\r\n"), format!("\u{feff}{source}")]
        {
            let outline = outline(&source);
            assert_eq!(source[outline.front.clone().unwrap()].trim(), "a: 1", "{source:?}");
            assert!(source[outline.body..].trim_start().starts_with("# One"), "{source:?}");
        }
        assert_eq!(outline("# One\n\n---\nb: 2\n---\n").front, None);
        assert_eq!(outline("---\nnever closed\n").front, None);
        assert_eq!(outline("---\n---\n").front, None);
    }

    #[test]
    fn entries_have_their_boxes_and_their_own_entries() {
        for gap in ["\n", "\n\n"] {
            let source = format!("- [x] done{gap}- [ ] **A:** `b`\n  - c{gap}- d\n");
            let blocks = outline(&source).blocks;
            let BlockKind::List(entries) = &blocks[0].kind else { panic!("{blocks:?}") };
            let ticked: Vec<_> = entries.iter().map(|entry| entry.ticked).collect();
            assert_eq!(ticked, [Some(true), Some(false), None], "{source:?}");
            let texts: Vec<_> = entries.iter().map(|e| dedented(&source, e.text.clone())).collect();
            assert_eq!(texts, ["done", "**A:** `b`\n- c", "d"], "{source:?}");
            let BlockKind::Paragraph(pieces) = &entries[1].blocks[0].kind else { panic!() };
            assert_eq!(pieces[0].kind, PieceKind::Strong);
            assert_eq!(pieces[0].text, "A:");
            assert_eq!(&source[pieces[0].span.clone()], "**A:**");
        }
    }

    #[test]
    fn a_part_has_the_places_of_the_file() {
        let source = "é <a>\r\n    - x\r\n      - y\r\n\r\n    é `z`\r\n  </a>";
        let blocks = part(source, 6..source.len() - 6);
        let texts: Vec<&str> =
            blocks.iter().map(|block| source[block.span.clone()].trim()).collect();
        assert_eq!(texts, ["- x\r\n      - y", "é `z`"]);
    }

    #[test]
    fn code_is_found_at_any_indentation_and_around_elements() {
        let source = "é<a>\n      ```x\n  <b>\n      ```\n</a> `<c>` it's `a\nb` <d>\n~~~\n<e>";
        let spans = code(source, 2..source.len());
        let found: Vec<&str> = spans.into_iter().map(|span| &source[span]).collect();
        assert_eq!(found, ["```x\n  <b>\n      ```", "`<c>`", "~~~\n<e>"]);
    }

    #[test]
    fn nesting_without_end_ends() {
        for text in [">".repeat(50_000), "- ".repeat(20_000), "*a ".repeat(20_000)] {
            let _ = outline(&text);
        }
    }
}
