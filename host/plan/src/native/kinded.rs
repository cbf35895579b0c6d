//! Reading a table that names a kind: a step or a criterion.
//!
//! Invariant: the arguments that are given are exactly those of the kind, each of its
//! [`Shape`](super::kinds::Shape).

use idumb_core::{Capability, Grants, TaskId};
use serde_json::{Map, Value};

use super::kinds::{Arg, FORMATS, Kind, Shape, format_of};
use crate::problem::{Code, Problem, Told};
use crate::reading::{Item, MOST, Reading, Table, every};
use crate::suggest::{listed, meant, nearest};

/// A family of kinds, and what its tables are called.
pub(crate) struct Family {
    pub(crate) noun: &'static str,
    pub(crate) kinds: &'static [Kind],
    /// Keys beside the arguments.
    pub(crate) beside: &'static [&'static str],
    /// The kinds of the other family, and what to do about one that stands here.
    pub(crate) elsewhere: (&'static [Kind], &'static str),
}

impl Family {
    fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.kinds.iter().map(|kind| kind.name)
    }

    fn kind(&self, name: &str) -> Option<&'static Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}

/// How a table spells its kind.
struct Spelling {
    kind: &'static Kind,
    /// The key that holds the first argument, where that is not the argument's name.
    first_key: Option<&'static str>,
}

/// Reads the kind and the arguments of `table`.
pub(super) fn read_kinded(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    family: &Family,
    grants: Option<&Grants>,
) -> Result<(&'static Kind, Map<String, Value>), Told> {
    let spelling = spelling(reading, table, family)?;
    let kind = spelling.kind;
    let stray = only_arguments(reading, table, family, &spelling);
    let args = every(kind.args, |arg| {
        let key = match spelling.first_key {
            Some(key) if arg.name == kind.first() => key,
            // The kind's key is taken by the first argument.
            Some(key) if arg.name == key => {
                return missing(reading, table, kind, arg).map(|()| None);
            }
            _ => arg.name,
        };
        match table.get(key) {
            Some(item) => {
                argument(reading, arg.shape, &item, grants).map(|value| Some((arg.name, value)))
            }
            None => missing(reading, table, kind, arg).map(|()| None),
        }
    });
    let together = together(reading, table, &spelling);
    stray?;
    together?;
    let args = args?.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
    Ok((kind, args.collect()))
}

/// Which kind the table names, and how.
fn spelling(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    family: &Family,
) -> Result<Spelling, Told> {
    if let Some(item) = table.get("kind") {
        let name = reading.text(&item)?;
        return match family.kind(name) {
            Some(kind) => Ok(Spelling { kind, first_key: None }),
            None => Err(unknown_kind(reading, family, Some(name), item.span)),
        };
    }
    let named: Vec<&'static Kind> =
        family.kinds.iter().filter(|kind| table.has(kind.name)).collect();
    match named.as_slice() {
        [kind] if kind.has_own() && table.has(kind.first()) => {
            Ok(Spelling { kind, first_key: None })
        }
        [kind] => Ok(Spelling { kind, first_key: Some(kind.name) }),
        [] => {
            let known = |key: &str| {
                family.beside.contains(&key)
                    || family.kinds.iter().any(|kind| kind.arg_names().any(|arg| arg == key))
            };
            let mut strange = table.keys().filter(|(key, _)| !known(key));
            let first = strange.next();
            let elsewhere = |key: &str| family.elsewhere.0.iter().any(|kind| kind.name == key);
            let other = table.keys().find(|(key, _)| elsewhere(key));
            let close =
                table.keys().find(|(key, _)| !known(key) && nearest(key, family.names()).is_some());
            match other.or(close).or(first) {
                Some((key, span)) => Err(unknown_kind(reading, family, Some(key), span)),
                None => Err(unknown_kind(reading, family, None, table.span.clone())),
            }
        }
        several => {
            let names = listed(several.iter().map(|kind| kind.name));
            let message = format!("{} has one kind, and this one has {names}", family.noun);
            let mut problem = Problem::new(Code::SeveralKinds, table.span.clone(), message);
            for item in several.iter().filter_map(|kind| table.get(kind.name)) {
                problem = problem.also(item.key_span, "a kind");
            }
            Err(reading.refuse(problem.help("give each its own table")))
        }
    }
}

fn unknown_kind(
    reading: &mut Reading<'_>,
    family: &Family,
    name: Option<&str>,
    span: crate::problem::Span,
) -> Told {
    let noun = family.noun;
    let (message, help) = match name {
        Some(name) => (
            format!("no kind of {} is called `{name}`", noun.trim_start_matches("a ")),
            match family.elsewhere {
                (kinds, what) if kinds.iter().any(|kind| kind.name == name) => {
                    format!("`{name}` {what}")
                }
                _ => meant(name, family.names(), "the kinds are"),
            },
        ),
        None => (
            format!("{noun} names its kind, and this one has none"),
            format!("the kinds are {}", listed(family.names())),
        ),
    };
    reading
        .refuse(Problem::new(Code::UnknownKind, span, message).label("of no known kind").help(help))
}

/// Refuses keys that are no argument of the kind.
fn only_arguments(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    family: &Family,
    spelling: &Spelling,
) -> Result<(), Told> {
    let kind = spelling.kind;
    every(table.keys(), |(key, span)| {
        let beside = family.beside.contains(&key) || key == "kind";
        match spelling.first_key {
            Some(first_key) if key == first_key => return Ok(()),
            Some(first_key) if key == kind.first() => {
                let message = format!("`{first_key}` holds the `{key}` already");
                let problem = Problem::new(Code::GivenTwice, span, message).label("given again");
                return Err(reading.refuse(problem.help(format!("leave `{key}` out"))));
            }
            _ if beside || kind.arg_names().any(|name| name == key) => return Ok(()),
            _ => {}
        }
        let takes =
            format!("besides {}, `{}` takes", listed(family.beside.iter().copied()), kind.name);
        let message = format!("`{}` has no argument `{key}`", kind.name);
        let help = meant(key, kind.arg_names(), &takes);
        Err(reading
            .refuse(Problem::new(Code::UnknownKey, span, message).label("unknown").help(help)))
    })
    .map(|_: Vec<()>| ())
}

/// Refuses the absence of an argument that must be there.
fn missing(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    kind: &Kind,
    arg: &Arg,
) -> Result<(), Told> {
    if !arg.required {
        return Ok(());
    }
    let name = arg.name;
    let help = if kind.has_own() {
        format!("write `path = \"…\"` and `{} = \"…\"` beside each other", kind.name)
    } else {
        let example = match arg.shape {
            Shape::Json => "…",
            Shape::Patterns => "[\"…\"]",
            _ => "\"…\"",
        };
        format!("add `{name} = {example}`: `{}` takes {}", kind.name, listed(kind.arg_names()))
    };
    let message = format!("`{}` needs `{name}`", kind.name);
    let problem = Problem::new(Code::MissingKey, table.span.clone(), message);
    Err(reading.refuse(problem.label(format!("`{name}` is missing")).help(help)))
}

/// The rules that bind several arguments of a kind.
fn together(reading: &mut Reading<'_>, table: &Table<'_>, spelling: &Spelling) -> Result<(), Told> {
    let missing = |reading: &mut Reading<'_>, message: &str, help: &str| {
        let problem = Problem::new(Code::MissingKey, table.span.clone(), message);
        Err(reading.refuse(problem.label("too little").help(help)))
    };
    match spelling.kind.name {
        "template" => {
            let text = spelling.first_key.is_none() && table.has("template");
            match (text, table.get("from")) {
                (true, Some(from)) => {
                    let message = "a template is a text or a file, not both";
                    let problem = Problem::new(Code::GivenTwice, from.key_span, message);
                    Err(reading
                        .refuse(problem.label("also given").help("leave `template` or `from` out")))
                }
                (false, None) => missing(
                    reading,
                    "`template` needs the template",
                    "name the file it is in: `template = \"PATH\"`, `from = \"FILE\"`; \
                     or give it as text: `path = \"PATH\"`, `template = \"TEXT\"`",
                ),
                _ => Ok(()),
            }
        }
        "lines" => match (table.get("min"), table.get("max")) {
            (None, None) => missing(
                reading,
                "`lines` needs `min`, `max` or both",
                "say how many lines there must be: `min = 1`",
            ),
            (Some(min), Some(max)) => ordered(reading, &min, &max),
            _ => Ok(()),
        },
        "equals" if !table.has("format") => {
            let Some(path) = table.get(spelling.first_key.unwrap_or("path")) else {
                return Ok(());
            };
            let text = path.as_text().unwrap_or_default();
            if text.is_empty() || format_of(text).is_some() {
                return Ok(());
            }
            let message = format!("the name `{text}` does not tell the file's format");
            let help = "add `format = \"json\"`, `\"toml\"` or `\"yaml\"`";
            Err(reading.refuse_value(Code::UnknownFormat, &path, message, "unknown format", help))
        }
        _ => Ok(()),
    }
}

/// Refuses a least number above the largest; numbers that are none were told before.
fn ordered(reading: &mut Reading<'_>, min: &Item<'_>, max: &Item<'_>) -> Result<(), Told> {
    let (Some(least), Some(most)) = (min.as_count(), max.as_count()) else {
        return Ok(());
    };
    if least <= most {
        return Ok(());
    }
    let message = format!("no file has at least {least} and at most {most} lines");
    let problem =
        Problem::new(Code::EmptyRange, min.span.clone(), message).label("more than `max`");
    let problem = problem.also(max.span.clone(), "`max`");
    Err(reading.refuse(problem.help("`min` is at most `max`")))
}

/// Reads one argument by its shape.
fn argument(
    reading: &mut Reading<'_>,
    shape: Shape,
    item: &Item<'_>,
    grants: Option<&Grants>,
) -> Result<Value, Told> {
    match shape {
        Shape::Written | Shape::Read => {
            let path = reading.path(item)?;
            let capability = match shape {
                Shape::Written => Capability::Write,
                _ => Capability::Read,
            };
            reading.within(item, path, capability, grants)?;
            Ok(Value::from(path))
        }
        Shape::Looked => Ok(Value::from(reading.literal(item)?.as_str())),
        Shape::Text => Ok(Value::from(reading.text(item)?)),
        Shape::Claim => Ok(Value::from(reading.words(item)?)),
        Shape::Words => Ok(Value::from(reading.sought(item)?)),
        Shape::Flag => Ok(Value::from(reading.flag(item)?)),
        Shape::Count(least) => Ok(Value::from(reading.number(item, least..=MOST)?)),
        Shape::Patterns => {
            let patterns = reading.patterns(item)?;
            if patterns.is_empty() {
                let message = format!("{} is empty", item.name);
                let help = "name what must stay as it is: `[\"tests/**\"]`";
                return Err(reading.refuse_value(
                    Code::EmptyText,
                    item,
                    message,
                    "nothing here",
                    help,
                ));
            }
            Ok(patterns.iter().map(|glob| Value::from(glob.as_str())).collect())
        }
        Shape::Regex => Ok(Value::from(reading.regex(item)?)),
        Shape::Pointer => pointer(reading, item),
        Shape::Json => reading.json(item),
        Shape::Format => {
            let text = reading.text(item)?;
            if FORMATS.contains(&text) {
                return Ok(Value::from(text));
            }
            let help = meant(text, FORMATS.iter().copied(), "the formats are");
            let message = format!("no format is called `{text}`");
            Err(reading.refuse_value(Code::UnknownFormat, item, message, "unknown", help))
        }
        Shape::Digest => file_digest(reading, item),
        Shape::Command => Ok(Value::from(reading.id::<TaskId>(item)?.as_str())),
        Shape::Arguments => several(reading, item, "[\"--release\"]", |reading, item| {
            Ok(Value::from(reading.text(item)?))
        }),
        Shape::Outputs => several(reading, item, "[\"report.json\"]", |reading, item| {
            Ok(Value::from(reading.literal(item)?.as_str()))
        }),
    }
}

/// A list that is not empty.
fn several(
    reading: &mut Reading<'_>,
    item: &Item<'_>,
    example: &str,
    one: impl Fn(&mut Reading<'_>, &Item<'_>) -> Result<Value, Told>,
) -> Result<Value, Told> {
    let items = reading.list(item)?;
    if items.is_empty() {
        let message = format!("{} is empty", item.name);
        let help = format!("leave it out, or name something: `{example}`");
        return Err(reading.refuse_value(Code::EmptyText, item, message, "nothing here", help));
    }
    Ok(every(&items, |item| one(reading, item))?.into_iter().collect())
}

/// A JSON pointer (RFC 6901).
fn pointer(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Value, Told> {
    let text = reading.text(item)?;
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if escapes && (text.is_empty() || text.starts_with('/')) {
        return Ok(Value::from(text));
    }
    let help = if escapes {
        let path: Vec<&str> = text.split(['.', '/']).filter(|name| !name.is_empty()).collect();
        format!(
            "write `/{}`: a `/` before each name, or nothing for the whole file",
            path.join("/")
        )
    } else {
        "write `~0` for a `~` in a name, and `~1` for a `/` in it".to_owned()
    };
    let message = format!("`{text}` is not a JSON pointer");
    Err(reading.refuse_value(Code::BadPointer, item, message, "not a JSON pointer", help))
}

/// The digest of a file's content, in one of two algorithms.
fn file_digest(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Value, Told> {
    let text = reading.text(item)?;
    let hex = text.strip_prefix("blake3:").or_else(|| text.strip_prefix("sha256:"));
    let is_hex = |hex: &str| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    if hex.is_some_and(is_hex) {
        return Ok(Value::from(text));
    }
    let message = format!("{} is not a digest", item.name);
    let help = "write `blake3:` or `sha256:` and 64 hex digits, \
                as `b3sum` and `sha256sum` print them";
    Err(reading.refuse_value(Code::BadDigest, item, message, "not a digest", help))
}
