//! Change-sets as `git apply` and people read them.
//!
//! Invariant: every line of a file has a sign before it, and a name that could be mistaken for
//! anything else is quoted; so nothing that an agent wrote looks like a header.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use idumb_core::{Blobs, Change, ChangeSet, Entry};
use idumb_overlay::{Base, DiffError};

use crate::report::Paint;
use crate::text::printable;

const NOT_TEXT: &str = "not text";

/// Where contents are.
pub(super) struct Look<'a> {
    pub(super) base: &'a Base,
    pub(super) blobs: &'a dyn Blobs,
}

/// One thing that a diff shows: most often a change, or one half of one.
pub(super) struct Piece<'a> {
    change: Change,
    /// The change of the path that it comes from, if it was renamed or copied.
    from: Option<&'a Change>,
    /// What it comes from stays, or went elsewhere.
    copied: bool,
}

/// The lines of a piece.
pub(super) enum Lines {
    /// There are none: the content is the same, or there is none.
    Same,
    Shown(String),
    /// They are not shown, and why.
    Not(String),
    /// They cannot be had any more, though they were kept.
    Gone(String),
}

/// A change-set in pieces: a rename is one, and what becomes another kind of thing is two.
pub(super) fn pieces(change_set: &ChangeSet) -> Vec<Piece<'_>> {
    let mut sources = BTreeSet::new();
    let mut pieces = Vec::new();
    for change in &change_set.changes {
        let mut piece = Piece::whole(change_set, change);
        if let Some(from) = piece.from {
            piece.copied = from.after.is_some() || !sources.insert(&from.path);
        }
        pieces.push(piece);
    }
    let mut parts = Vec::new();
    for piece in pieces {
        let change = &piece.change;
        match (&change.before, &change.after) {
            (Some(_), None) if sources.contains(&change.path) => {}
            (Some(before), Some(after)) if kind(before) != kind(after) => {
                let half = |before: Option<&Entry>, after: Option<&Entry>| Piece {
                    change: Change {
                        path: change.path.clone(),
                        before: before.cloned(),
                        after: after.cloned(),
                        renamed_from: None,
                    },
                    from: None,
                    copied: false,
                };
                parts.extend([half(Some(before), None), half(None, Some(after))]);
            }
            _ => parts.push(piece),
        }
    }
    parts
}

fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::File { .. } => "file",
        Entry::Dir => "directory",
        Entry::Symlink { .. } => "link",
    }
}

impl<'a> Piece<'a> {
    /// A change as it is.
    pub(super) fn whole(change_set: &'a ChangeSet, change: &Change) -> Self {
        let same_kind = |from: &&Change| match (&from.before, &change.after) {
            (Some(Entry::Dir), _) | (None, _) | (_, None) => false,
            (Some(before), Some(after)) => kind(before) == kind(after),
        };
        let from = change.renamed_from.as_ref().filter(|_| change.before.is_none());
        let from = from.and_then(|from| change_set.changes.iter().find(|it| it.path == *from));
        Self { change: change.clone(), from: from.filter(same_kind), copied: false }
    }

    /// What happened to the path, in one word.
    pub(super) fn word(&self) -> &'static str {
        match (&self.change.before, &self.change.after) {
            _ if self.from.is_some() => "renamed",
            (None, _) => "added",
            (_, None) => "deleted",
            _ => "modified",
        }
    }

    /// One line about the path.
    pub(super) fn stat(&self) -> String {
        let path = printable(&self.change.path);
        let mut text = format!("  {:<8}  {path}", self.word());
        if let Some(from) = &self.change.renamed_from {
            let _ = write!(text, " from {}", printable(from));
        }
        let size = |entry: &Entry| match entry {
            Entry::File { size, .. } => format!("{size} bytes"),
            Entry::Dir => "directory".to_owned(),
            Entry::Symlink { target } => format!("link to {}", printable(target)),
        };
        let before = self.from.map_or(&self.change.before, |from| &from.before);
        let sides: Vec<String> =
            [before, &self.change.after].into_iter().flatten().map(size).collect();
        let _ = write!(text, " ({})", sides.join(", now "));
        text
    }

    fn before(&self) -> (&str, Option<&Entry>) {
        let change = self.from.unwrap_or(&self.change);
        (&change.path, change.before.as_ref())
    }

    /// The lines that changed.
    pub(super) fn lines(&self, look: &Look<'_>) -> Lines {
        let (_, before) = self.before();
        let after = self.change.after.as_ref();
        if let (Some(Entry::File { digest: old, .. }), Some(Entry::File { digest: new, .. })) =
            (before, after)
            && old == new
        {
            return Lines::Same;
        }
        match idumb_overlay::hunks(&self.change, self.from, look.base, look.blobs) {
            Ok(lines) if lines.is_empty() => Lines::Same,
            Ok(lines) => Lines::Shown(lines),
            Err(DiffError::NotText(_)) => Lines::Not(NOT_TEXT.to_owned()),
            Err(DiffError::TooLong { .. }) => Lines::Not("too long to be shown".to_owned()),
            Err(DiffError::Unavailable { digest, .. }) if matches!(before, Some(Entry::File { digest: old, .. }) if *old == digest) => {
                Lines::Not(
                    "what stood there before is not kept (only text is, and not without end)"
                        .to_owned(),
                )
            }
            Err(error) => Lines::Gone(error.to_string()),
        }
    }

    /// The piece as text, and whether a content of it is gone.
    pub(super) fn text(&self, look: &Look<'_>) -> (String, bool) {
        let (Change { path, after, .. }, (old_path, before)) = (&self.change, self.before());
        match (before, after) {
            (None, Some(Entry::Dir)) => {
                return (format!("new directory {}\n", name("b", path)), false);
            }
            (Some(Entry::Dir), None) => {
                return (format!("deleted directory {}\n", name("a", path)), false);
            }
            _ => {}
        }
        let (old, new) = (name("a", old_path), name("b", path));
        let mut out = format!("diff --git {old} {new}\n");
        match (before.map(mode), after.as_ref().map(mode)) {
            (None, Some(mode)) => out.push_str(&format!("new file mode {mode}\n")),
            (Some(mode), None) => out.push_str(&format!("deleted file mode {mode}\n")),
            (Some(old), Some(new)) if old != new => {
                out.push_str(&format!("old mode {old}\nnew mode {new}\n"));
            }
            _ => {}
        }
        if self.from.is_some() {
            let verb = if self.copied { "copy" } else { "rename" };
            let (from, to) = (quoted(old_path.to_owned()), quoted(path.clone()));
            out.push_str(&format!("{verb} from {from}\n{verb} to {to}\n"));
        }
        let side = |entry: Option<&Entry>, name: &str| match entry {
            Some(_) => name.to_owned(),
            None => "/dev/null".to_owned(),
        };
        let (old, new) = (side(before, &old), side(after.as_ref(), &new));
        let sized = |entry: Option<&Entry>, name: &str| match entry {
            Some(Entry::File { size, .. }) => format!("{name} ({size} bytes)"),
            _ => name.to_owned(),
        };
        let shown = self.lines(look);
        match &shown {
            Lines::Same => {}
            Lines::Shown(lines) => {
                // As git: a tab ends a name that has a space in it.
                let end = |name: &str| if name.contains(' ') { "\t" } else { "" };
                out.push_str(&format!("--- {old}{}\n+++ {new}{}\n{lines}", end(&old), end(&new)));
            }
            Lines::Not(why) | Lines::Gone(why) => {
                let (old, new) = (sized(before, &old), sized(after.as_ref(), &new));
                out.push_str(&match why.as_str() {
                    NOT_TEXT => format!("Binary files {old} and {new} differ\n"),
                    why => format!("Files {old} and {new} differ: {}\n", printable(why)),
                });
            }
        }
        (out, matches!(shown, Lines::Gone(_)))
    }
}

fn mode(entry: &Entry) -> &'static str {
    match entry {
        Entry::File { executable: false, .. } => "100644",
        Entry::File { executable: true, .. } => "100755",
        Entry::Symlink { .. } => "120000",
        Entry::Dir => "040000",
    }
}

fn name(side: &str, path: &str) -> String {
    quoted(format!("{side}/{path}"))
}

/// A name as git writes it: in quotes, with escapes, if it has any character that needs them.
fn quoted(name: String) -> String {
    if !name.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        return name;
    }
    let mut out = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text as standard output gets it: for a terminal each line is made safe, and coloured; else
/// it stays as it is, byte for byte, so that it can be applied.
pub(super) fn shown(text: String, paint: Paint, on_terminal: bool) -> String {
    if !on_terminal {
        return text;
    }
    let mut out = String::new();
    for line in text.split_terminator('\n') {
        let safe = printable(line);
        let line = match line.as_bytes().first() {
            Some(b'+') => paint.good(&safe),
            Some(b'-') => paint.bad(&safe),
            Some(b'@') => paint.dim(&safe),
            Some(b' ' | b'\\') => safe,
            _ => paint.strong(&safe),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_no_header_of_its_own() {
        assert_eq!(name("a", "src/naïve café.rs"), "a/src/naïve café.rs");
        assert_eq!(name("b", "x\n+++ b/y"), "\"b/x\\012+++ b/y\"");
        assert_eq!(name("b", "q\"\\\u{9b}"), "\"b/q\\\"\\\\\\302\\233\"");
    }

    #[test]
    fn only_a_terminal_gets_escapes() {
        let hostile = "+\u{1b}[2J\r\u{202e}\n".to_owned();
        assert_eq!(shown(hostile.clone(), Paint::off(), false), hostile);
        assert_eq!(shown(hostile, Paint::off(), true), "+\\u{1b}[2J\\r\\u{202e}\n");
    }

    fn file(size: u64) -> Option<Entry> {
        let digest = idumb_core::Digest::of(&size.to_be_bytes());
        Some(Entry::File { digest, size, executable: false })
    }

    fn change(path: &str, before: Option<Entry>, after: Option<Entry>) -> Change {
        Change { path: path.to_owned(), before, after, renamed_from: None }
    }

    fn told(changes: Vec<Change>) -> Vec<String> {
        let change_set = ChangeSet { changes };
        let told = |piece: &Piece<'_>| {
            let from = piece.from.map_or("", |from| from.path.as_str());
            let copied = if piece.copied { " copied" } else { "" };
            format!("{} {} {from}{copied}", piece.word(), piece.change.path)
        };
        pieces(&change_set).iter().map(told).collect()
    }

    #[test]
    fn a_rename_is_one_piece_and_another_kind_of_thing_is_two() {
        let renamed = |path: &str| Change {
            renamed_from: Some("old".to_owned()),
            ..change(path, None, file(1))
        };
        let link = Some(Entry::Symlink { target: "x".to_owned() });
        let changes = vec![
            renamed("first"),
            change("kind", file(2), link),
            change("old", file(1), None),
            renamed("second"),
        ];
        let expected =
            ["renamed first old", "deleted kind ", "added kind ", "renamed second old copied"];
        assert_eq!(told(changes), expected);
        let stays = vec![renamed("new"), change("old", file(1), file(3))];
        assert_eq!(told(stays), ["renamed new old copied", "modified old "]);
    }
}
