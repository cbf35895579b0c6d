//! Tasks written as a heading and fields: `### Task …`, then `**Name:** value`.
//!
//! Invariant: every block below a task's heading belongs to one field, or to what is said
//! before the first one, or is refused. Headings in code are no headings.

use super::outline::{Block, BlockKind, Entry, Outline, Piece, PieceKind, plain, span_of};
use super::words::part_of;
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::Reading;
use crate::suggest::{listed, nearest};

/// What a field of a task says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Id,
    Description,
    Estimate,
    Dependencies,
    Assignee,
    Type,
    Files,
    Accept,
    Priority,
    Status,
    Notes,
}

impl Field {
    /// The fields and how they are spelled, the usual spelling of each dialect first.
    const ALL: &[(Self, &[&str])] = &[
        (Self::Id, &["ID"]),
        (Self::Description, &["Description"]),
        (Self::Estimate, &["Estimate", "Estimated Hours"]),
        (Self::Dependencies, &["Dependencies", "Depends On"]),
        (Self::Assignee, &["Assignee", "Assigned To"]),
        (Self::Type, &["Type", "Task Type"]),
        (Self::Files, &["Files Involved", "Files"]),
        (Self::Accept, &["Acceptance Criteria"]),
        (Self::Priority, &["Priority"]),
        (Self::Status, &["Status"]),
        (Self::Notes, &["Notes"]),
    ];

    fn named(name: &str) -> Option<Self> {
        let named =
            |spellings: &[&str]| spellings.iter().any(|known| known.eq_ignore_ascii_case(name));
        let found = Self::ALL.iter().find(|(_, spellings)| named(spellings));
        found.map(|(field, _)| *field)
    }

    fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().flat_map(|(_, spellings)| spellings.iter().copied())
    }

    /// Whether the field's value may go on in blocks of any sort.
    fn is_prose(self) -> bool {
        matches!(self, Self::Description | Self::Notes)
    }

    /// Whether the field's value may be a list.
    fn is_list(self) -> bool {
        matches!(self, Self::Accept | Self::Dependencies | Self::Files)
    }
}

/// A field and its value.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) field: Field,
    /// As the author spelled it.
    pub(super) name: String,
    /// The bold name.
    pub(super) label: Span,
    /// What stands behind the name, and on the lines below it.
    pub(super) line: Vec<Piece>,
    /// The entries of the list below it.
    pub(super) entries: Vec<Entry>,
    /// All of the value.
    pub(super) value: Span,
}

/// A task as it is written.
#[derive(Debug)]
pub(super) struct Written {
    /// The heading's text, with its place.
    pub(super) heading: Vec<Piece>,
    pub(super) span: Span,
    /// What is said before the first field.
    pub(super) lead: Option<Span>,
    pub(super) fields: Vec<Given>,
    /// Whether something of it was refused, which may be what seems to be missing.
    pub(super) refused: Result<(), Told>,
}

impl Written {
    /// The field, if it is given.
    pub(super) fn get(&self, field: Field) -> Option<&Given> {
        self.fields.iter().find(|given| given.field == field)
    }
}

/// What stands in a file outside of its tasks.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// The first heading.
    pub(super) title: Option<String>,
    /// `**Name:** value` lines above the first task: name, place of the name, value.
    pub(super) lines: Vec<(String, Span, Vec<Piece>)>,
    /// Sections: the heading's text, its place, and what stands below it.
    pub(super) sections: Vec<(String, Span, Option<Span>)>,
}

/// The tasks of a file, and what stands around them.
pub(super) fn tasks(
    reading: &mut Reading<'_>,
    outline: &Outline,
) -> (Around, Vec<Result<Written, Told>>) {
    let mut around = Around::default();
    let mut tasks: Vec<Result<Written, Told>> = Vec::new();
    let mut open: Option<Collector> = None;
    for block in &outline.blocks {
        if let BlockKind::Heading(level, pieces) = &block.kind {
            let text = plain(pieces);
            let is_task = begins_task(&text);
            if is_task && *level == 3 {
                tasks.extend(open.take().map(Collector::finish));
                open = Some(Collector::new(pieces.clone(), block.span.clone()));
                continue;
            }
            if is_task {
                let told = other_level(reading, block, &text);
                tasks.extend(open.take().map(Collector::finish));
                tasks.push(Err(told));
                continue;
            }
            if *level <= 3 {
                tasks.extend(open.take().map(Collector::finish));
                if around.title.is_none() && tasks.is_empty() && *level == 1 {
                    around.title = Some(text);
                } else {
                    around.sections.push((text, block.span.clone(), None));
                }
                continue;
            }
        }
        match &mut open {
            Some(open) => open.block(reading, block),
            None => tasks.extend(around.block(reading, block).map(Err)),
        }
    }
    tasks.extend(open.map(Collector::finish));
    (around, tasks)
}

/// Whether a heading of this text begins a task: `Task 1: Name`, or nearly.
pub(super) fn begins_task(text: &str) -> bool {
    let rest = match text.get(..4) {
        Some(word) if word.eq_ignore_ascii_case("task") => text.get(4..).unwrap_or_default(),
        _ => return false,
    };
    rest.starts_with([' ', ':']) && rest.contains(':')
}

fn other_level(reading: &mut Reading<'_>, block: &Block, text: &str) -> Told {
    let span = reading.line_of(block.span.clone());
    let message = format!("`{text}` looks like a task, and its heading is none of a task");
    let problem = Problem::new(Code::StrayText, span, message).label("of another level");
    let help = "a task's heading has three `#`; tasks do not stand within each other";
    reading.refuse(problem.help(help))
}

impl Around {
    /// Takes a block that is in no task.
    fn block(&mut self, reading: &mut Reading<'_>, block: &Block) -> Option<Told> {
        if let Some((_, _, below)) = self.sections.last_mut() {
            let start = below.as_ref().map_or(block.span.start, |below: &Span| below.start);
            *below = Some(start..block.span.end);
        }
        let lines = labelled(block);
        let of_a_task = |name: &str| {
            use Field::{Accept, Assignee, Dependencies, Id};
            Field::named(name).filter(|f| matches!(f, Accept | Assignee | Dependencies | Id))
        };
        // A task whose heading is not seen as one would be lost.
        let lost = lines.iter().find(|(name, ..)| of_a_task(name).is_some());
        if let Some((name, span, _)) = lost {
            let message = format!("`{name}` is a field of a task, and stands in none");
            let problem = Problem::new(Code::StrayText, span.clone(), message);
            let help = "begin the task with a heading: `### Task …: Its name`";
            return Some(reading.refuse(problem.label("in no task").help(help)));
        }
        if self.sections.is_empty() {
            self.lines.extend(lines);
        }
        None
    }
}

/// The `**Name:** value` lines of a block.
fn labelled(block: &Block) -> Vec<(String, Span, Vec<Piece>)> {
    let paragraphs: Vec<&[Piece]> = match &block.kind {
        BlockKind::Paragraph(pieces) => vec![pieces],
        BlockKind::List(entries) => entries.iter().filter_map(first_paragraph).collect(),
        _ => Vec::new(),
    };
    let lines = paragraphs.into_iter().flat_map(|pieces| pieces.split(is_break));
    lines.filter_map(label).collect()
}

fn first_paragraph(entry: &Entry) -> Option<&[Piece]> {
    match &entry.blocks.first()?.kind {
        BlockKind::Paragraph(pieces) => Some(pieces),
        _ => None,
    }
}

fn is_break(piece: &Piece) -> bool {
    piece.kind == PieceKind::Break
}

/// The name, its place and the value of a line that begins with a bold name and a colon.
fn label(line: &[Piece]) -> Option<(String, Span, Vec<Piece>)> {
    let (first, rest) = line.split_first()?;
    if first.kind != PieceKind::Strong {
        return None;
    }
    let mut value = rest.to_vec();
    let name = match first.text.trim().strip_suffix(':') {
        Some(name) => name,
        None => {
            let next = value.first_mut().filter(|next| next.text.starts_with(':'))?;
            *next = part_of(next, 1, next.text.len() - 1);
            first.text.trim()
        }
    };
    if let Some(first) = value.first_mut() {
        let space = first.text.len() - first.text.trim_start().len();
        *first = part_of(first, space, first.text.len() - space);
    }
    value.retain(|piece| !piece.text.is_empty());
    let is_name = !name.is_empty() && name.chars().count() <= 40;
    is_name.then(|| (name.to_owned(), first.span.clone(), value))
}

/// One task while its blocks come.
struct Collector {
    written: Written,
}

impl Collector {
    fn new(heading: Vec<Piece>, span: Span) -> Self {
        let fields = Vec::new();
        Self { written: Written { heading, span, lead: None, fields, refused: Ok(()) } }
    }

    fn finish(self) -> Result<Written, Told> {
        Ok(self.written)
    }

    /// Takes a block of the task.
    fn block(&mut self, reading: &mut Reading<'_>, block: &Block) {
        match &block.kind {
            BlockKind::Rule => {}
            BlockKind::Html if is_comment(reading, &block.span) => {}
            BlockKind::Paragraph(pieces) => {
                for line in pieces.split(is_break) {
                    self.line(reading, line);
                }
            }
            BlockKind::List(entries) => self.list(reading, block, entries),
            BlockKind::Heading(..) | BlockKind::Html | BlockKind::Other => {
                self.other(reading, &block.span);
            }
        }
    }

    fn line(&mut self, reading: &mut Reading<'_>, line: &[Piece]) {
        if let Some((name, span, value)) = label(line) {
            self.begin(reading, &name, span, value);
            return;
        }
        let Some(span) = span_of(line) else { return };
        match self.written.fields.last_mut() {
            Some(given) if given.entries.is_empty() => {
                // The line's end keeps entries apart.
                let at = span.start..span.start;
                given.line.push(Piece { kind: PieceKind::Break, text: String::new(), span: at });
                given.line.extend_from_slice(line);
                given.value.end = span.end;
            }
            _ => self.other(reading, &span),
        }
    }

    /// Takes a list: of fields, or of what the field above it says.
    fn list(&mut self, reading: &mut Reading<'_>, block: &Block, entries: &[Entry]) {
        // A name with nothing behind it waits for its list, whatever the entries look like.
        let waits = self.written.fields.last().is_some_and(|given| {
            given.field.is_list() && given.line.is_empty() && given.entries.is_empty()
        });
        let of_fields = !waits && self.has_fields(entries);
        if of_fields {
            for entry in entries {
                self.field_entry(reading, entry);
            }
            return;
        }
        for entry in entries {
            self.swallowed(reading, entry);
        }
        match self.written.fields.last_mut() {
            Some(given) if given.field.is_list() => {
                given.entries.extend_from_slice(entries);
                given.value.end = block.span.end;
            }
            _ => self.other(reading, &block.span),
        }
    }

    /// Refuses a field that went into an entry, since no empty line is between them.
    fn swallowed(&mut self, reading: &mut Reading<'_>, entry: &Entry) {
        for block in &entry.blocks {
            match &block.kind {
                BlockKind::Paragraph(pieces) => {
                    let below = pieces.split(is_break).skip(1).filter_map(label);
                    for (name, span, _) in below.filter(|(name, ..)| Field::named(name).is_some()) {
                        let message = format!("`{name}` is a part of the list's entry above it");
                        let problem = Problem::new(Code::StrayText, span, message);
                        let problem = problem.label("no field here");
                        let help = "put an empty line between the list and the field";
                        self.written.refused = Err(reading.refuse(problem.help(help)));
                    }
                }
                BlockKind::List(entries) => {
                    entries.iter().for_each(|entry| self.swallowed(reading, entry));
                }
                _ => {}
            }
        }
    }

    /// Whether the entries are fields: one has a field's name, or, where there is no field yet
    /// that they could belong to, looks like one.
    fn has_fields(&self, entries: &[Entry]) -> bool {
        let names = |entry: &Entry| {
            let line = first_paragraph(entry)?.split(is_break).next()?;
            label(line).map(|(name, ..)| Field::named(&name).is_some())
        };
        let first = self.written.fields.is_empty();
        entries.iter().filter_map(names).any(|known| known || first)
    }

    /// Takes an entry of a list of fields.
    fn field_entry(&mut self, reading: &mut Reading<'_>, entry: &Entry) {
        let is_field = first_paragraph(entry)
            .and_then(|pieces| pieces.split(is_break).next())
            .is_some_and(|line| label(line).is_some());
        if !is_field {
            self.written.refused = Err(stray(reading, &entry.span));
            return;
        }
        for block in &entry.blocks {
            self.block(reading, block);
        }
    }

    /// Takes a block that only prose can have.
    fn other(&mut self, reading: &mut Reading<'_>, span: &Span) {
        match self.written.fields.last_mut() {
            Some(given) if given.field.is_prose() => given.value.end = span.end,
            Some(_) => self.written.refused = Err(stray(reading, span)),
            None => {
                let start = self.written.lead.as_ref().map_or(span.start, |lead| lead.start);
                self.written.lead = Some(start..span.end);
            }
        }
    }

    fn begin(&mut self, reading: &mut Reading<'_>, name: &str, label: Span, line: Vec<Piece>) {
        let Some(field) = Field::named(name) else {
            let help = match nearest(name, Field::names()) {
                Some(known) => format!("did you mean `**{known}:**`?"),
                None => format!(
                    "the fields of a task are {}; what else there is to say goes into its \
                     description, not in bold",
                    listed(Field::ALL.iter().filter_map(|(_, names)| names.first().copied()))
                ),
            };
            let message = format!("a task has no field `{name}`");
            let problem = Problem::new(Code::UnknownField, label, message).label("unknown");
            self.written.refused = Err(reading.refuse(problem.help(help)));
            return;
        };
        if let Some(first) = self.written.get(field) {
            let message = format!("`{name}` is given twice");
            let problem = Problem::new(Code::GivenTwice, label, message).label("again here");
            let problem = problem.also(first.label.clone(), "first here");
            self.written.refused = Err(reading.refuse(problem.help("keep one of the two")));
            return;
        }
        let value = span_of(&line).unwrap_or(label.end..label.end);
        let (name, entries) = (name.to_owned(), Vec::new());
        self.written.fields.push(Given { field, name, label, line, entries, value });
    }
}

fn stray(reading: &mut Reading<'_>, span: &Span) -> Told {
    let span = reading.line_of(span.clone());
    let problem = Problem::new(Code::StrayText, span, "this belongs to no field of the task");
    let help = "put it into the description, or a bold name with a colon before it";
    reading.refuse(problem.label("would be lost").help(help))
}

fn is_comment(reading: &Reading<'_>, span: &Span) -> bool {
    let text = reading.source().get(span.clone()).unwrap_or_default().trim();
    let ends = text.find("-->").map(|at| at + 3);
    text.starts_with("<!--") && ends == Some(text.len())
}
