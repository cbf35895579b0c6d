//! Typed reads of a TOML document that keep its spans and go on after a problem.
//!
//! Invariant: a read that gives no value has told why ([`Told`]); nothing is read that
//! the caller did not ask for by name, and what was not asked for is an unknown key.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::echoes::{MISSING_COMMA, without_echoes};
use crate::problem::{Code, Document, Problem, Problems, Refused, Span, Told, Warned};
use crate::suggest::{listed, nearest};

/// A table, and where it stands.
#[derive(Clone)]
pub(crate) struct Table<'a> {
    entries: &'a DeTable<'a>,
    /// The header, the inline table, or the start of the file.
    pub(crate) span: Span,
    /// For messages, such as `a task`.
    pub(crate) what: &'static str,
}

/// A value, and where it stands.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    value: &'a DeValue<'a>,
    /// Of the value's first line.
    pub(crate) span: Span,
    /// Of the key, or of the value where it stands in a list.
    pub(crate) key_span: Span,
    /// For messages, such as `` `retries` ``.
    pub(crate) name: String,
}

impl<'a> Table<'a> {
    /// A table that was not read from TOML.
    pub(crate) fn new(entries: &'a DeTable<'a>, span: Span, what: &'static str) -> Self {
        Self { entries, span, what }
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<Item<'a>> {
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Item {
            value: value.get_ref(),
            span: value.span(),
            key_span: name.span(),
            name: format!("`{key}`"),
        })
    }

    /// The keys and where they stand.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'a str, Span)> + use<'a> {
        self.entries.keys().map(|key| (key.get_ref().as_ref(), key.span()))
    }

    /// Whether `key` is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }
}

impl<'a> Item<'a> {
    /// A value that was not read from TOML; `name` is for messages.
    pub(crate) fn new(value: &'a DeValue<'a>, span: Span, name: impl Into<String>) -> Self {
        Self { value, span: span.clone(), key_span: span, name: name.into() }
    }

    /// The text, if it is one; tells nothing.
    pub(crate) fn as_text(&self) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// Whether it is a table.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// The digits of a whole number, if it is one; tells nothing.
    pub(crate) fn as_digits(&self) -> Option<&'a str> {
        match self.value {
            DeValue::Integer(digits) => Some(digits.as_str()),
            _ => None,
        }
    }

    /// The whole number from 0, if it is one; tells nothing.
    pub(crate) fn as_count(&self) -> Option<u64> {
        match self.value {
            DeValue::Integer(digits) => {
                u64::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|n| *n <= MOST)
            }
            _ => None,
        }
    }
}

/// One file while it is read.
pub(crate) struct Reading<'a> {
    source: &'a str,
    problems: Problems,
}

/// Reads a whole TOML document with `read`, or gives everything that is wrong with it.
pub(crate) fn read_document<T>(
    document: Document,
    source: &str,
    file_name: &str,
    read: impl FnOnce(&mut Reading<'_>, &Table<'_>) -> Result<T, Told>,
) -> Result<T, Refused> {
    let (root, errors) = DeTable::parse_recoverable(source);
    let mut reading = Reading { source, problems: Problems::new(document) };
    let result = match reading.syntax(&errors) {
        Some(told) => Err(told),
        None => {
            let start = source.len() - source.trim_start_matches('\u{feff}').len();
            let table = Table { entries: root.get_ref(), span: start..start, what: "the file" };
            read(&mut reading, &table)
        }
    };
    reading.problems.finish(result, source, file_name)
}

/// Reads every item, also after one was refused.
pub(crate) fn every<I, T>(
    items: impl IntoIterator<Item = I>,
    read: impl FnMut(I) -> Result<T, Told>,
) -> Result<Vec<T>, Told> {
    let results: Vec<_> = items.into_iter().map(read).collect();
    results.into_iter().collect()
}

impl<'a> Reading<'a> {
    /// A plan that is about to be read, whatever it is written in.
    pub(crate) fn of_plan(source: &'a str) -> Self {
        Self { source, problems: Problems::new(Document::Plan) }
    }

    /// The whole file.
    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    /// Takes note of what stands in nobody's way.
    pub(crate) fn warn(&mut self, problem: Problem) {
        self.problems.warn(problem);
    }

    /// What was read with its warnings, or everything that was told.
    pub(crate) fn finish<T>(
        mut self,
        read: Result<T, Told>,
        file_name: &str,
    ) -> Result<(T, Option<Warned>), Refused> {
        let warned = self.problems.warned(self.source, file_name);
        self.problems.finish(read, self.source, file_name).map(|value| (value, warned))
    }

    /// The refusal of a file of which something was told.
    pub(crate) fn refused(self, told: Told, file_name: &str) -> Refused {
        self.problems.refused(told, self.source, file_name)
    }

    /// Takes note of a problem.
    pub(crate) fn refuse(&mut self, problem: Problem) -> Told {
        self.problems.refuse(problem)
    }

    /// Tells what the TOML parser found, if anything: one problem a line, because the
    /// parser stumbles on over the rest of a line, and over all lines after a list that is
    /// not closed.
    fn syntax(&mut self, errors: &[toml::de::Error]) -> Option<Told> {
        let end = self.source.len();
        let mut lines = BTreeMap::new();
        for error in errors {
            let span = error.span().unwrap_or(end..end);
            let span = span.start.min(end)..span.end.min(end);
            let before = self.source.as_bytes().get(..span.start).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count();
            let earlier = lines.get(&line).is_some_and(|(first, _): &(Span, &str)| {
                first.start <= span.start && !error.message().contains("unclosed")
            });
            if !earlier {
                lines.insert(line, (span, error.message()));
            }
        }
        let told = without_echoes(lines.into_values().collect());
        let more = told.len().saturating_sub(MOST_SYNTAX);
        let shown = told.into_iter().take(MOST_SYNTAX).enumerate();
        shown
            .map(|(index, (span, message))| {
                let more = if index + 1 == MOST_SYNTAX { more } else { 0 };
                self.not_toml(span, message, more)
            })
            .last()
    }

    fn not_toml(&mut self, span: Span, message: &str, more: usize) -> Told {
        let help = match message {
            _ if message.contains("duplicate key") => {
                "a key, or a `[table]`, stands once: keep one of the two"
            }
            _ if message.contains("must be quoted") => "put the text in quotes: `\"…\"`",
            _ if message.contains("unclosed") => "close it where it ends, above",
            _ if message.contains(MISSING_COMMA) => {
                "put a comma before it, or close the list above with `]`"
            }
            _ => "correct this, or close what is open above it; the rest is checked after that",
        };
        let help = match more {
            0 => help.to_owned(),
            more => format!("{help} ({more} more lines are not TOML)"),
        };
        let problem = Problem::new(Code::Syntax, span, format!("not TOML: {message}"));
        self.refuse(problem.label("here").help(help))
    }

    /// Refuses every key of `table` that is not in `known`.
    pub(crate) fn only(&mut self, table: &Table<'_>, known: &[&str]) -> Result<(), Told> {
        self.only_beside(table, known, &[])
    }

    /// Refuses every key of `table` that is not in `known`, but for those in `beside`, which
    /// are looked at elsewhere and not to be suggested.
    pub(crate) fn only_beside(
        &mut self,
        table: &Table<'_>,
        known: &[&str],
        beside: &[&str],
    ) -> Result<(), Told> {
        let what = table.what;
        let strange = |key: &str| !known.contains(&key) && !beside.contains(&key);
        every(table.keys().filter(|(key, _)| strange(key)), |(key, span)| {
            let help = match nearest(key, known.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("{what} takes {}", listed(known.iter().copied())),
            };
            let message = format!("{what} has no `{key}`");
            Err(self
                .refuse(Problem::new(Code::UnknownKey, span, message).label("unknown").help(help)))
        })
        .map(|_: Vec<()>| ())
    }

    /// The value of a key that must be there.
    pub(crate) fn required<'t>(
        &mut self,
        table: &Table<'t>,
        key: &str,
        example: &str,
    ) -> Result<Item<'t>, Told> {
        table.get(key).ok_or_else(|| {
            let message = format!("{} needs `{key}`", table.what);
            let problem = Problem::new(Code::MissingKey, table.span.clone(), message);
            self.refuse(
                problem.label(format!("`{key}` is missing")).help(format!("add `{example}`")),
            )
        })
    }

    /// Refuses a value for its type.
    pub(crate) fn wrong_type(&mut self, item: &Item<'_>, wanted: &str, example: &str) -> Told {
        let found = match item.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("{} must be {wanted}, and is {found}", item.name);
        self.refuse(
            Problem::new(Code::WrongType, self.first_line(item), message)
                .label(found)
                .help(format!("write {example}")),
        )
    }

    /// Where a value begins; a span over many lines would show all of them.
    pub(crate) fn first_line(&self, item: &Item<'_>) -> Span {
        self.line_of(item.span.clone())
    }

    /// The first line of a span.
    pub(crate) fn line_of(&self, span: Span) -> Span {
        let text = self.source.get(span.clone()).unwrap_or_default();
        let length = text.find(['\r', '\n']).unwrap_or(text.len());
        span.start..span.start + length
    }

    /// A text, possibly empty.
    pub(crate) fn text<'t>(&mut self, item: &Item<'t>) -> Result<&'t str, Told> {
        match item.value {
            DeValue::String(text) => Ok(text),
            DeValue::Array(_) | DeValue::Table(_) => {
                Err(self.wrong_type(item, "a text", "one text in quotes: `\"…\"`"))
            }
            _ => Err(self.wrong_type(item, "a text", "it in quotes: `\"…\"`")),
        }
    }

    /// A text that says something.
    pub(crate) fn words<'t>(&mut self, item: &Item<'t>) -> Result<&'t str, Told> {
        let text = self.text(item)?;
        if !text.trim().is_empty() {
            return Ok(text);
        }
        let problem =
            Problem::new(Code::EmptyText, self.first_line(item), format!("{} is empty", item.name));
        Err(self.refuse(problem.label("nothing here").help("say it in a few words")))
    }

    /// A text that is not empty, though perhaps only spaces: one that is to be found.
    pub(crate) fn sought<'t>(&mut self, item: &Item<'t>) -> Result<&'t str, Told> {
        let text = self.text(item)?;
        if !text.is_empty() {
            return Ok(text);
        }
        let problem =
            Problem::new(Code::EmptyText, item.span.clone(), format!("{} is empty", item.name));
        let help = "the empty text is everywhere: write the one that is meant";
        Err(self.refuse(problem.label("nothing here").help(help)))
    }

    /// True or false.
    pub(crate) fn flag(&mut self, item: &Item<'_>) -> Result<bool, Told> {
        match item.value {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong_type(item, "true or false", "`true` or `false`, without quotes")),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn number(
        &mut self,
        item: &Item<'_>,
        range: RangeInclusive<u64>,
    ) -> Result<u64, Told> {
        if !matches!(item.value, DeValue::Integer(_)) {
            return Err(self.wrong_type(
                item,
                "a whole number",
                "a number without quotes, such as `2`",
            ));
        }
        match item.as_count() {
            Some(number) if range.contains(&number) => Ok(number),
            _ => {
                let (least, most) = range.into_inner();
                let bounds = match most {
                    most if most >= MOST => format!("{least} or more"),
                    most => format!("{least} to {most}"),
                };
                let message = format!("{} is out of range", item.name);
                let problem = Problem::new(Code::OutOfRange, item.span.clone(), message);
                Err(self.refuse(
                    problem.label("out of range").help(format!("write a number: {bounds}")),
                ))
            }
        }
    }

    /// A whole number within `range`.
    pub(crate) fn small_number(
        &mut self,
        item: &Item<'_>,
        range: RangeInclusive<u32>,
    ) -> Result<u32, Told> {
        let (least, most) = range.into_inner();
        let number = self.number(item, u64::from(least)..=u64::from(most))?;
        Ok(u32::try_from(number).unwrap_or(most))
    }

    /// The entries of a list.
    pub(crate) fn list<'t>(&mut self, item: &Item<'t>) -> Result<Vec<Item<'t>>, Told> {
        let DeValue::Array(values) = item.value else {
            return Err(self.wrong_type(item, "a list", "a list: `[\"…\"]`"));
        };
        let entry = |value: &'t toml::Spanned<DeValue<'t>>| Item {
            value: value.get_ref(),
            span: value.span(),
            key_span: value.span(),
            name: format!("an entry of {}", item.name),
        };
        Ok(values.iter().map(entry).collect())
    }

    /// A table.
    pub(crate) fn table<'t>(
        &mut self,
        item: &Item<'t>,
        what: &'static str,
    ) -> Result<Table<'t>, Told> {
        match item.value {
            DeValue::Table(entries) => Ok(Table { entries, span: self.first_line(item), what }),
            _ => Err(self.wrong_type(item, "a table", "a table: `{ key = value }`")),
        }
    }

    /// What `read` makes of the table of `key`, if it is there.
    pub(crate) fn section<T: Default>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        what: &'static str,
        read: impl FnOnce(&mut Self, &Table<'_>) -> Result<T, Told>,
    ) -> Result<T, Told> {
        let Some(item) = table.get(key) else {
            return Ok(T::default());
        };
        let table = self.table(&item, what)?;
        read(self, &table)
    }

    /// A list of tables; the ones that are none are told and left out.
    pub(crate) fn tables<'t>(
        &mut self,
        item: &Item<'t>,
        what: &'static str,
    ) -> Result<Vec<Result<Table<'t>, Told>>, Told> {
        match item.value {
            DeValue::Array(_) => {}
            _ => {
                let example = format!("`[[{}]]` above each one", item.name.trim_matches('`'));
                return Err(self.wrong_type(item, "a list of tables", &example));
            }
        }
        let items = self.list(item)?;
        Ok(items.iter().map(|item| self.table(item, what)).collect())
    }

    /// Any value, as JSON.
    pub(crate) fn json(&mut self, item: &Item<'_>) -> Result<Value, Told> {
        match item.value {
            DeValue::String(text) => Ok(Value::from(text.as_ref())),
            DeValue::Boolean(flag) => Ok(Value::from(*flag)),
            DeValue::Integer(digits) => {
                let number = i64::from_str_radix(digits.as_str(), digits.radix());
                number.map(Value::from).map_err(|_| self.not_json(item, "a number this large"))
            }
            DeValue::Float(digits) => {
                let number = digits.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                number.map(Value::Number).ok_or_else(|| self.not_json(item, "such a number"))
            }
            DeValue::Datetime(_) => Err(self.not_json(item, "dates and times")),
            DeValue::Array(_) => {
                let items = self.list(item)?;
                every(&items, |item| self.json(item)).map(Value::Array)
            }
            DeValue::Table(_) => {
                let table = self.table(item, "a value")?;
                let entries = every(table.keys(), |(key, _)| match table.get(key) {
                    Some(item) => self.json(&item).map(|value| (key.to_owned(), value)),
                    None => Ok((key.to_owned(), Value::Null)),
                })?;
                Ok(Value::Object(entries.into_iter().collect()))
            }
        }
    }

    fn not_json(&mut self, item: &Item<'_>, what: &str) -> Told {
        let message =
            format!("{} reaches the agent as JSON, which does not have {what}", item.name);
        let problem = Problem::new(Code::NotJson, self.first_line(item), message);
        self.refuse(problem.label("not in JSON").help("write it as a text, in quotes"))
    }
}

/// The most lines that are told not to be TOML.
const MOST_SYNTAX: usize = 10;

/// The largest number that TOML promises; a bound that means "none".
pub(crate) const MOST: u64 = i64::MAX as u64;
