//! `must_haves`: what must be true, which files must be there, what must refer to what.
//!
//! Invariant: each becomes a check, or something that a person judges; what a check cannot
//! say is warned of.

use idumb_core::PathGlob;
use serde_json::Value;

use super::file::must_table;
use crate::dialect::front::Front;
use crate::native::says::sentence;
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Item, MOST, Reading, Table, every};

/// All that a plan must have.
#[derive(Debug, Default)]
pub(super) struct Must {
    pub(super) truths: Vec<(Span, String)>,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) links: Vec<KeyLink>,
}

/// A file, and what is checked in it.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) span: Span,
    pub(super) path: String,
    /// Kinds of criteria, their arguments beside the path, and what they say.
    pub(super) checks: Vec<Check>,
}

/// A criterion without its id.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) kind: &'static str,
    pub(super) args: Vec<(&'static str, Value)>,
    pub(super) text: String,
}

/// A connection between files.
#[derive(Debug)]
pub(super) struct KeyLink {
    pub(super) span: Span,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) via: Option<String>,
    pub(super) pattern: Option<String>,
}

/// Reads `must_haves`.
pub(super) fn must_haves(reading: &mut Reading<'_>, front: &Front<'_>) -> Result<Must, Told> {
    let Some(table) = must_table(reading, front)? else {
        return Ok(Must::default());
    };
    let stray = reading.only(&table, &["truths", "artifacts", "key_links"]);
    let truths = table.get("truths").map_or(Ok(Vec::new()), |item| {
        let items = reading.yaml_list(&item)?;
        every(&items, |item| Ok((reading.first_line(item), reading.yaml_text(item)?)))
    });
    let example = "`- path: src/a.ts` for each file";
    let artifacts = list(reading, &table, "artifacts", "an artifact", example, artifact);
    let example = "`- from: a.ts`, with `to`, `via` and `pattern` below it, for each link";
    let links = list(reading, &table, "key_links", "a link", example, key_link);
    stray?;
    Ok(Must { truths: truths?, artifacts: artifacts?, links: links? })
}

fn list<T>(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    key: &str,
    what: &'static str,
    example: &str,
    read: impl Fn(&mut Reading<'_>, &Table<'_>) -> Result<T, Told>,
) -> Result<Vec<T>, Told> {
    let Some(item) = table.get(key) else {
        return Ok(Vec::new());
    };
    let tables = reading.yaml_tables(&item, what, example)?;
    every(tables, |table| read(reading, &table?))
}

fn artifact(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Artifact, Told> {
    let stray = reading.only(table, &["path", "provides", "min_lines", "exports", "contains"]);
    let path = reading
        .required(table, "path", "path: src/a.ts")
        .and_then(|item| Ok((reading.path(&item)?.to_owned(), reading.first_line(&item))));
    let provides = table.get("provides").map(|item| reading.yaml_text(&item)).transpose();
    let lines = table.get("min_lines").map(|item| reading.number(&item, 0..=MOST)).transpose();
    let exports = table.get("exports").map_or(Ok(Vec::new()), |item| {
        let items = reading.yaml_list(&item)?;
        every(&items, |item| reading.yaml_text(item))
    });
    let contains = table.get("contains").map(|item| reading.yaml_text(&item)).transpose();
    stray?;
    let ((path, span), provides) = (path?, provides?);
    let mut checks: Vec<(&'static str, Vec<(&'static str, Value)>)> = Vec::new();
    if let Some(lines) = lines? {
        checks.push(("lines", vec![("min", Value::from(lines))]));
    }
    for text in exports?.into_iter().chain(contains?) {
        checks.push(("contains", vec![("text", Value::from(text))]));
    }
    if checks.is_empty() {
        checks.push(("exists", Vec::new()));
    }
    let plain = path.parse::<PathGlob>().is_ok_and(|glob| glob.as_literal().is_some());
    if !plain {
        let message = format!("`{path}` cannot be checked: a person is asked");
        let problem = Problem::new(Code::NotCarried, span.clone(), message).label("a pattern");
        let help = "a name with `[`, `]`, `{` or `}` in it is a pattern to checks";
        reading.warn(problem.help(help));
    }
    let check = |(kind, mut args): (&'static str, Vec<(&'static str, Value)>)| {
        args.insert(0, ("path", Value::from(path.as_str())));
        let all = args.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let said = sentence(kind, &all);
        let text = provides.as_ref().map_or(said.clone(), |what| format!("{what}: {said}"));
        match plain {
            true => Check { kind, args, text },
            false => Check { kind: "judged", args: vec![("text", text.clone().into())], text },
        }
    };
    Ok(Artifact { span, checks: checks.into_iter().map(check).collect(), path })
}

fn key_link(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<KeyLink, Told> {
    let stray = reading.only(table, &["from", "to", "via", "pattern"]);
    let from = reading
        .required(table, "from", "from: src/a.ts")
        .and_then(|item| Ok((reading.path(&item)?.to_owned(), reading.first_line(&item))));
    let to =
        reading.required(table, "to", "to: src/b.ts").and_then(|item| reading.yaml_text(&item));
    let via = table.get("via").map(|item| reading.yaml_text(&item)).transpose();
    let pattern = table.get("pattern").map(|item| pattern(reading, &item)).transpose();
    stray?;
    let (from, span) = from?;
    Ok(KeyLink { span, from, to: to?, via: via?, pattern: pattern? })
}

fn pattern(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<String, Told> {
    match item.as_digits() {
        Some(digits) => Ok(digits.to_owned()),
        None => reading.regex(item).map(str::to_owned),
    }
}
