//! YAML front matter, read into the tree that the typed reader of TOML knows.
//!
//! Invariant: a value has the place of its own text in the file, and no key is lost. A
//! number that is spelled as a name, such as `01`, stays the text that it is.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use toml::de::{DeTable, DeValue};

use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Item, Reading, Table};

/// The front matter of a file.
pub(super) struct Front<'a> {
    entries: DeTable<'a>,
    span: Span,
}

impl Front<'_> {
    /// The table of all keys.
    pub(super) fn table(&self) -> Table<'_> {
        Table::new(&self.entries, self.span.clone(), "the front matter")
    }

    /// Whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }
}

/// Reads the YAML at `yaml` of the file.
pub(super) fn front<'a>(reading: &mut Reading<'a>, yaml: Span) -> Result<Front<'a>, Told> {
    parse(reading.source(), yaml).map_err(|problem| reading.refuse(problem))
}

/// Reads the YAML at `yaml` of a file, or says why it is none.
pub(super) fn parse(source: &str, yaml: Span) -> Result<Front<'_>, Problem> {
    let text = source.get(yaml.clone()).unwrap_or_default();
    // The line of the first `---`: what is missing is missing there.
    let opening = source.get(..yaml.start).and_then(|before| before.rfind("---"));
    let span = opening.map_or(yaml.start..yaml.start, |at| at..at + 3);
    let options = serde_saphyr::options! { strict_booleans: true };
    let root: Result<Spanned<Node>, _> = serde_saphyr::from_str_with_options(text, options);
    let base = yaml.start;
    match root {
        Ok(Spanned { value: Node::Map(entries), .. }) => {
            Ok(Front { entries: table(entries, text, base), span })
        }
        Ok(Spanned { value: Node::Null, .. }) => Ok(Front { entries: DeTable::new(), span }),
        Ok(_) => {
            let message = "the front matter is no list of keys and values";
            let problem = Problem::new(Code::Syntax, span, message).label("begins here");
            Err(problem.help("write a line such as `phase: 1` for each key"))
        }
        Err(error) => {
            let error = error.without_snippet();
            let place = error.location().and_then(|at| place(at, text, base));
            let message = error.to_string();
            let why = message.split_once(" at line ").map_or(message.as_str(), |(why, _)| why);
            // What the parser's own options could do is nothing for authors.
            let why = why.split(", set ").next().and_then(|why| why.lines().next());
            let why = why.unwrap_or_default();
            let problem = Problem::new(
                Code::Syntax,
                place.unwrap_or(span),
                format!("the front matter is not YAML: {why}"),
            );
            let help = "correct this; a text with `: `, `#` or `[` in it needs quotes. \
                        The rest is checked after that";
            Err(problem.label("here").help(help))
        }
    }
}

/// Where something is in the file; the end of its first line at most.
fn place(at: Location, text: &str, base: usize) -> Option<Span> {
    let offset = |number: u64| usize::try_from(number).ok();
    let start = match at.span().byte_offset() {
        Some(start) => offset(start)?,
        // Errors know the line and the character alone.
        None => {
            let (line, column) = (offset(at.line())?, offset(at.column())?);
            let mut lines = text.split_inclusive('\n');
            let above: usize = lines.by_ref().take(line.checked_sub(1)?).map(str::len).sum();
            let before = lines.next()?.chars().take(column.saturating_sub(1));
            above + before.map(char::len_utf8).sum::<usize>()
        }
    };
    let start = start.min(text.len());
    let length = at.span().byte_len().and_then(offset).unwrap_or_default();
    let rest = text.get(start..)?;
    let line = rest.find(['\r', '\n']).unwrap_or(rest.len());
    let length = if length == 0 { 1 } else { length };
    let mut length = length.min(line);
    while !rest.is_char_boundary(length) {
        length += 1;
    }
    Some(base + start..base + start + length)
}

/// A value of YAML.
enum Node {
    Null,
    Bool(bool),
    /// Known by its place: its spelling counts.
    Number,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn table(entries: Vec<(Spanned<String>, Spanned<Node>)>, text: &str, base: usize) -> DeTable<'_> {
    let mut table = DeTable::new();
    for (key, value) in entries {
        let at = place(key.referenced, text, base).unwrap_or(base..base);
        table.insert(toml::Spanned::new(at, key.value.into()), self::value(value, text, base));
    }
    table
}

fn value(node: Spanned<Node>, text: &str, base: usize) -> toml::Spanned<DeValue<'_>> {
    let at = place(node.referenced, text, base).unwrap_or(base..base);
    let value = match node.value {
        // A list of nothing, or no text: who reads it says which.
        Node::Null => DeValue::String("".into()),
        Node::Bool(flag) => DeValue::Boolean(flag),
        Node::Number => {
            let spelled = place(node.defined, text, 0).and_then(|span| text.get(span));
            number(spelled.unwrap_or_default().trim())
        }
        Node::Text(text) => DeValue::String(text.into()),
        Node::List(items) => {
            DeValue::Array(items.into_iter().map(|item| self::value(item, text, base)).collect())
        }
        Node::Map(entries) => DeValue::Table(table(entries, text, base)),
    };
    toml::Spanned::new(at, value)
}

/// A whole number, if it is spelled as one; else the text.
fn number(spelled: &str) -> DeValue<'_> {
    let plain = spelled == "0" || !spelled.starts_with('0');
    let digits = spelled.bytes().all(|byte| byte.is_ascii_digit());
    match DeValue::parse(spelled).map(toml::Spanned::into_inner) {
        Ok(DeValue::Integer(number)) if plain && digits => DeValue::Integer(number),
        _ => DeValue::String(spelled.into()),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
                Node::deserialize(inner)
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
                Ok(Node::Bool(flag))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Number)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Number)
            }
            fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
                Ok(Node::Number)
            }
            fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
                Ok(Node::Number)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Number)
            }
            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Node::Map(map))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Reading<'_> {
    /// The entries of a list of YAML, where nothing is a list of nothing.
    pub(super) fn yaml_list<'t>(&mut self, item: &Item<'t>) -> Result<Vec<Item<'t>>, Told> {
        if item.as_text() == Some("") {
            return Ok(Vec::new());
        }
        if !item.is_list() {
            return Err(self.wrong_type(item, "a list", "a list: `[a, b]`, or `- a` lines below"));
        }
        self.list(item)
    }

    /// The tables of a list of YAML, where nothing is a list of nothing; those that are none
    /// are told.
    pub(super) fn yaml_tables<'t>(
        &mut self,
        item: &Item<'t>,
        what: &'static str,
        example: &str,
    ) -> Result<Vec<Result<Table<'t>, Told>>, Told> {
        let items = self.yaml_list(item)?;
        let table = |item: &Item<'t>| match item.is_table() {
            true => self.table(item, what),
            false => Err(self.wrong_type(item, what, example)),
        };
        Ok(items.iter().map(table).collect())
    }

    /// A text, or a number as it is spelled.
    pub(super) fn yaml_text(&mut self, item: &Item<'_>) -> Result<String, Told> {
        match item.as_digits() {
            Some(digits) => Ok(digits.to_owned()),
            None => self.words(item).map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_places_of_their_texts() {
        let source =
            "\u{feff}---\r\nä: 01\r\nb: [x, \"y z\"]\r\nc:\r\n  - d: 2.10\r\ne:\r\n---\r\n";
        let at = source.find("ä").unwrap();
        let end = source.rfind("---").unwrap();
        let front = parse(source, at..end).unwrap_or_else(|problem| panic!("{problem}"));
        let table = front.table();
        let a = table.get("ä").unwrap();
        assert_eq!((a.as_text(), &source[a.span.clone()]), (Some("01"), "01"));
        assert_eq!(&source[a.key_span.clone()], "ä");
        let mut reading = Reading::of_plan(source);
        let b = reading.yaml_list(&table.get("b").unwrap()).unwrap_or_default();
        assert_eq!(b[1].as_text(), Some("y z"));
        assert_eq!(&source[b[1].span.clone()], "\"y z\"");
        let c = reading.yaml_tables(&table.get("c").unwrap(), "c", "c").unwrap_or_default();
        let Ok(first) = &c[0] else { panic!() };
        assert_eq!(first.get("d").unwrap().as_text(), Some("2.10"));
        assert_eq!(
            reading.yaml_list(&table.get("e").unwrap()).map(|list| list.len()).ok(),
            Some(0)
        );
        assert_eq!(&source[table.span.clone()], "---");
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        for (yaml, at) in [("a: [1\nb: 2\n", ": 2"), ("a: 1\na: 2\n", "a: 2"), ("a: b: c\n", ": c")]
        {
            let source = format!("---\n{yaml}---\n");
            let Err(problem) = parse(&source, 4..4 + yaml.len()) else { panic!("{yaml}") };
            let start = problem.span().start;
            assert!(source[start..].starts_with(at), "{yaml:?}: {:?}", &source[start..]);
        }
    }
}
