//! The kinds of criteria of `wit/README.md`, one function for each.
//!
//! Invariant: malformed arguments and unknown kinds are inconclusive, never a pass and
//! never a fail: they say nothing about the files.

use idumb_agent::change_set::{Change, ChangeKind};
use idumb_agent::evidence::Kind;
use idumb_agent::{Criterion, Finding, Verdict};
use idumb_core::PathGlob;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::document::{self, Format, Unread};
use crate::ruling::{Checked, Ruling};
use crate::show;
use crate::source::{self, MAX_DOCUMENT, MAX_READ, Source};

/// Checks `criterion` on what `source` shows.
///
/// The finding is inconclusive if the kind is unknown, its arguments are malformed, or the
/// path cannot be looked at; it fails if the path could be looked at and does not hold.
pub fn evaluate(criterion: &Criterion, source: &mut dyn Source) -> Finding {
    let checked = match criterion.kind.as_str() {
        "exists" => exists(criterion, source),
        "absent" => absent(criterion, source),
        "contains" => contains(criterion, source),
        "matches" => matches(criterion, source),
        "equals" => equals(criterion, source),
        "digest" => digest(criterion, source),
        "unchanged" => unchanged(criterion, source),
        "lines" => lines(criterion, source),
        kind => {
            Err(Ruling::unchecked(format!("no check of kind `{}` is known", kind.escape_debug())))
        }
    };
    checked.unwrap_or_else(|early| early).into_finding(&criterion.id)
}

fn arguments<T: DeserializeOwned>(criterion: &Criterion) -> Checked<T> {
    criterion.arguments().map_err(|failure| Ruling::unchecked(show::clean(&failure.message)))
}

/// The criterion itself is wrong, for the reason given.
fn malformed(criterion: &Criterion, why: impl std::fmt::Display) -> Ruling {
    let note = format!("the arguments of `{}` are wrong: {why}", criterion.kind);
    Ruling::unchecked(note)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnPath {
    path: String,
}

fn exists(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let OnPath { path } = arguments(criterion)?;
    let seen = source::observe(source, &path)?;
    Ok(match seen.kind {
        Kind::File => Ruling::pass(&seen.id, format!("{path} is a file of {} bytes", seen.size)),
        Kind::Dir => Ruling::pass(&seen.id, format!("{path} is a directory")),
        Kind::Symlink => Ruling::fail(&seen.id, format!("{path} is a link to nowhere")),
        Kind::Absent => Ruling::fail(&seen.id, format!("there is no {path}")),
    })
}

fn absent(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let OnPath { path } = arguments(criterion)?;
    let seen = source::observe(source, &path)?;
    let what = match seen.kind {
        Kind::Absent => return Ok(Ruling::pass(&seen.id, format!("there is no {path}"))),
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Symlink => "link",
    };
    Ok(Ruling::fail(&seen.id, format!("{path} is there: a {what}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contains {
    path: String,
    text: String,
}

fn contains(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let Contains { path, text } = arguments(criterion)?;
    if text.is_empty() {
        return Err(malformed(criterion, "`text` is empty, so every file contains it"));
    }
    // As a pattern of its own escaped text: a search on bytes, also where they are no text.
    let pattern = compile(&regex::escape(&text)).map_err(|why| malformed(criterion, why))?;
    search(source, &path, &pattern, "does not contain", text.as_bytes())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matches {
    path: String,
    regex: String,
}

fn matches(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let Matches { path, regex } = arguments(criterion)?;
    let pattern = compile(&regex).map_err(|why| malformed(criterion, why))?;
    search(source, &path, &pattern, "has no match of", regex.as_bytes())
}

/// Compiles a pattern as criteria and links mean it.
///
/// # Errors
/// What is wrong with it, on one line.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).multi_line(true).build().map_err(|error| {
        // The parser draws the pattern and points into it; the last line says what is wrong.
        let message = error.to_string();
        let why = message.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        format!(
            "{} is no regular expression: {}",
            show::quote(pattern.as_bytes()),
            show::clean(why)
        )
    })
}

/// Looks for `pattern` in the file at `path`; `says` and `quoted` word the failure.
pub(crate) fn search(
    source: &mut dyn Source,
    path: &str,
    pattern: &Regex,
    says: &str,
    quoted: &[u8],
) -> Checked {
    let (bytes, id) = source::content(source, path, MAX_READ)?;
    Ok(match pattern.find(&bytes) {
        Some(found) => {
            let line = show::line_at(&bytes, found.start());
            Ruling::pass(&id, format!("{path}, line {line}: {}", show::quote(found.as_bytes())))
        }
        None => {
            let lines = show::counted(show::count_lines(&bytes), "line");
            Ruling::fail(&id, format!("{path} ({lines}) {says} {}", show::quote(quoted)))
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Equals {
    path: String,
    at: String,
    value: Value,
    format: Option<Format>,
}

fn equals(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let Equals { path, at, value, format } = arguments(criterion)?;
    if !document::is_pointer(&at) {
        let why = format!("{} is no JSON pointer: write `/a/b`", show::quote(at.as_bytes()));
        return Err(malformed(criterion, why));
    }
    let Some(format) = format.or_else(|| Format::of_path(&path)) else {
        let why = format!("{path} does not end in .json, .toml or .yaml: give `format`");
        return Err(malformed(criterion, why));
    };
    let (bytes, id) = source::content(source, &path, MAX_DOCUMENT)?;
    let document = format.parse(&bytes).map_err(|why| match why {
        Unread::Broken(why) => Ruling::fail(&id, format!("{path}, {why}")),
        Unread::TooMuch(why) => Ruling::unclear(&id, format!("{path} has {why}")),
    })?;
    let found = document::find(&document, &at)
        .map_err(|why| Ruling::fail(&id, format!("{path} has nothing at `{at}`: {why}")))?;
    let brief = document::brief(found);
    Ok(if document::same(found, &value) {
        Ruling::pass(&id, format!("{path} has {brief} at `{at}`"))
    } else {
        let expected = document::brief(&value);
        Ruling::fail(&id, format!("{path} has {brief} at `{at}`, expected {expected}"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfDigest {
    path: String,
    digest: String,
}

fn digest(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let OfDigest { path, digest } = arguments(criterion)?;
    let expected = digest.to_ascii_lowercase();
    let (algorithm, hex) = expected.split_once(':').unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let why = format!(
            "expected `blake3:` or `sha256:` and 64 hex digits, found {}",
            show::quote(digest.as_bytes())
        );
        return Err(malformed(criterion, why));
    }
    let (found, id) = match algorithm {
        // What the host computed is the observation itself, at any size.
        "blake3" => {
            let seen = source::file(source, &path)?;
            (seen.digest, seen.id)
        }
        "sha256" => {
            let (bytes, id) = source::content(source, &path, MAX_READ)?;
            (format!("sha256:{:x}", Sha256::digest(&bytes)), id)
        }
        other => {
            let why = format!("no digest {} is known", show::quote(other.as_bytes()));
            return Err(malformed(criterion, why));
        }
    };
    Ok(if found == expected {
        Ruling::pass(&id, format!("{path} has the digest {found}"))
    } else {
        Ruling::fail(&id, format!("{path} has the digest {found}, expected {expected}"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchanged {
    paths: Vec<String>,
}

fn unchanged(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let Unchanged { paths } = arguments(criterion)?;
    let globs = paths.iter().map(|text| text.parse()).collect::<Result<Vec<PathGlob>, _>>();
    let globs = globs.map_err(|error| malformed(criterion, error))?;
    if globs.is_empty() {
        return Err(malformed(criterion, "`paths` is empty"));
    }
    let listing = source.changes();
    let touched: Vec<String> =
        listing.changes.iter().filter_map(|change| touches(change, &globs)).collect();
    let all = show::counted(listing.changes.len(), "path");
    Ok(if touched.is_empty() {
        let patterns = paths.join(", ");
        Ruling::pass(&listing.id, format!("{all} changed, none in {patterns}"))
    } else {
        Ruling::fail(&listing.id, format!("changed all the same: {}", some_of(&touched)))
    })
}

/// How `change` touches a path in one of `globs`, if it does.
fn touches(change: &Change, globs: &[PathGlob]) -> Option<String> {
    let within = |path: &str| globs.iter().any(|glob| glob.matches(path));
    let verb = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Modified => "modified",
        ChangeKind::Deleted => "deleted",
    };
    let path = &change.path;
    match &change.renamed_from {
        _ if within(path) => Some(format!("{path} ({verb})")),
        Some(from) if within(from) => Some(format!("{from} (renamed to {path})")),
        _ => None,
    }
}

/// The first few of `items`, and how many more there are.
fn some_of(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = items[..items.len().min(SHOWN)].join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lines {
    path: String,
    min: Option<u64>,
    max: Option<u64>,
}

fn lines(criterion: &Criterion, source: &mut dyn Source) -> Checked {
    let Lines { path, min, max } = arguments(criterion)?;
    let expected = match (min, max) {
        (None, None) => return Err(malformed(criterion, "give `min`, `max` or both")),
        (Some(min), Some(max)) if min > max => {
            return Err(malformed(criterion, format!("`min` {min} is above `max` {max}")));
        }
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (Some(min), Some(max)) if min == max => format!("{min}"),
        (Some(min), Some(max)) => format!("{min} to {max}"),
    };
    let (bytes, id) = source::content(source, &path, MAX_READ)?;
    let count = show::count_lines(&bytes);
    let within =
        min.is_none_or(|min| count as u64 >= min) && max.is_none_or(|max| count as u64 <= max);
    let note = format!("{path} has {}, expected {expected}", show::counted(count, "line"));
    let verdict = if within { Verdict::Pass } else { Verdict::Fail };
    Ok(Ruling { verdict, evidence: vec![id], note })
}

#[cfg(test)]
mod tests;
