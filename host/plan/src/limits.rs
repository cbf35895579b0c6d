//! Reading how much of the machine agents may use: `[limits]` of a project and of a task.
//!
//! Invariant: the keys of a task's `limits` are those of a project's, with the same meaning.

use std::time::Duration;

use idumb_core::ResourceLimits;

use crate::problem::{Code, Told};
use crate::reading::{Item, MOST, Reading, Table, every};

/// The keys that a project's `[limits]` has, and a task's `limits` has not.
pub(crate) const OF_THE_HOST: &[&str] = &["host_memory", "compile_memory", "compile_time"];

/// `[limits]` of `idumb.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bounds on one call into any agent.
    pub agent: ResourceLimits,
    /// Memory of idumb itself, agents included, in bytes: a run that would begin an attempt
    /// beyond it pauses.
    pub host_memory: Option<u64>,
    /// Memory that compiling one agent may take, in bytes.
    pub compile_memory: Option<u64>,
    /// How long compiling one agent may take.
    pub compile_time: Option<Duration>,
}

impl Limits {
    /// These limits, and those of `other` where these say nothing.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut agent = self.agent;
        let mut others = other.agent;
        for (_, _, field) in FIELDS {
            let own = field(&mut agent);
            *own = own.or(*field(&mut others));
        }
        Self {
            agent,
            host_memory: self.host_memory.or(other.host_memory),
            compile_memory: self.compile_memory.or(other.compile_memory),
            compile_time: self.compile_time.or(other.compile_time),
        }
    }

    /// Every key, and what is said of it, for people; `None`: nothing.
    pub fn said(&self) -> Vec<(&'static str, Option<String>)> {
        let mut agent = self.agent;
        let mut all: Vec<(&str, Option<String>)> = Vec::new();
        for (key, unit, field) in FIELDS {
            let value = *field(&mut agent);
            all.push((*key, value.map(|value| shown(*unit, value))));
        }
        let size = |value: Option<u64>| value.map(|value| shown(Unit::Bytes, value));
        let time = self.compile_time.map(|time| format!("{time:?}"));
        all.push(("host_memory", size(self.host_memory)));
        all.push(("compile_memory", size(self.compile_memory)));
        all.push(("compile_time", time));
        all
    }
}

fn shown(unit: Unit, value: u64) -> String {
    let sizes = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = |(_, bits): &(&str, u32)| value != 0 && value.trailing_zeros() >= *bits;
    match unit {
        Unit::Count => value.to_string(),
        Unit::Time => format!("{:?}", Duration::from_millis(value)),
        Unit::Bytes => match sizes.into_iter().find(whole) {
            Some((name, bits)) => format!("{}{name}", value >> bits),
            None => format!("{value} bytes"),
        },
    }
}

/// How a bound is written.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// `"256MiB"`, or a number of bytes.
    Bytes,
    /// A number.
    Count,
    /// `"30s"`.
    Time,
}

pub(crate) type Field = fn(&mut ResourceLimits) -> &mut Option<u64>;

pub(crate) const FIELDS: &[(&str, Unit, Field)] = &[
    ("memory", Unit::Bytes, |limits| &mut limits.memory),
    ("table_elements", Unit::Count, |limits| &mut limits.table_elements),
    ("instances", Unit::Count, |limits| &mut limits.instances),
    ("handles", Unit::Count, |limits| &mut limits.handles),
    ("cpu", Unit::Time, |limits| &mut limits.cpu_ms),
    ("host_call", Unit::Bytes, |limits| &mut limits.host_call),
    ("random", Unit::Bytes, |limits| &mut limits.random),
    ("log_lines", Unit::Count, |limits| &mut limits.log_lines),
    ("log_line", Unit::Bytes, |limits| &mut limits.log_line),
    ("questions", Unit::Count, |limits| &mut limits.questions),
    ("commands", Unit::Count, |limits| &mut limits.commands),
    ("open_files", Unit::Count, |limits| &mut limits.open_files),
    ("files", Unit::Count, |limits| &mut limits.files),
    ("written", Unit::Bytes, |limits| &mut limits.written),
];

/// What a task says, as `limits` of a plan takes it: each key with a number, or a time.
pub(crate) fn as_written(limits: &ResourceLimits) -> toml::Table {
    let mut limits = *limits;
    let mut table = toml::Table::new();
    for (key, unit, field) in FIELDS {
        let Some(value) = *field(&mut limits) else { continue };
        let value = match (unit, i64::try_from(value)) {
            (Unit::Time, _) => toml::Value::String(format!("{value}ms")),
            (_, Ok(value)) => toml::Value::Integer(value),
            // More than the format has numbers for.
            (_, Err(_)) => toml::Value::String(value.to_string()),
        };
        table.insert((*key).to_owned(), value);
    }
    table
}

/// Reads a project's `[limits]`.
pub(crate) fn limits(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<Limits, Told> {
    let keys: Vec<&str> = FIELDS.iter().map(|(key, ..)| *key).chain(OF_THE_HOST.to_vec()).collect();
    let stray = reading.only(table, &keys);
    let agent = bounds(reading, table);
    let host_memory = table.get("host_memory").map(|item| size(reading, &item)).transpose();
    let compile_memory = table.get("compile_memory").map(|item| size(reading, &item)).transpose();
    let time = table.get("compile_time").map(|item| reading.duration(&item)).transpose();
    stray?;
    Ok(Limits {
        agent: agent?,
        host_memory: host_memory?,
        compile_memory: compile_memory?,
        compile_time: time?,
    })
}

/// Reads a task's `limits`.
pub(crate) fn task_limits(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
) -> Result<ResourceLimits, Told> {
    let keys: Vec<&str> = FIELDS.iter().map(|(key, ..)| *key).collect();
    let stray = reading.only(table, &keys);
    let bounds = bounds(reading, table);
    stray?;
    bounds
}

fn bounds(reading: &mut Reading<'_>, table: &Table<'_>) -> Result<ResourceLimits, Told> {
    let read = every(FIELDS, |(key, unit, field)| {
        let bound = table.get(key).map(|item| bound(reading, &item, *unit)).transpose()?;
        Ok((*field, bound))
    })?;
    let mut limits = ResourceLimits::default();
    for (field, bound) in read {
        *field(&mut limits) = bound;
    }
    Ok(limits)
}

fn bound(reading: &mut Reading<'_>, item: &Item<'_>, unit: Unit) -> Result<u64, Told> {
    match unit {
        Unit::Bytes => size(reading, item),
        Unit::Count => reading.number(item, 1..=MOST),
        Unit::Time => {
            let time = reading.longest_delay(item)?;
            Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        }
    }
}

/// An amount of memory, in bytes: a number, or a text such as `256MiB`.
pub(crate) fn size(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<u64, Told> {
    if item.as_count().is_some() {
        return reading.number(item, 1..=MOST);
    }
    let Some(text) = item.as_text() else {
        return Err(reading.wrong_type(item, "an amount of memory", "it in quotes: `\"256MiB\"`"));
    };
    bytes(text).ok_or_else(|| {
        let message = format!("`{text}` is not an amount of memory");
        let help = "write `256MiB`, `1GiB` (units: KiB, MiB, GiB), or a number of bytes";
        reading.refuse_value(Code::BadSize, item, message, "not an amount of memory", help)
    })
}

/// An amount of memory, in bytes, as people write it: `256MiB`, or a number of bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| (1..=MOST).contains(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_a_table() {
        let table = [
            ("256MiB", Some(256 << 20)),
            ("1GiB", Some(1 << 30)),
            ("64 KiB", Some(64 << 10)),
            ("1048576", Some(1 << 20)),
            ("0", None),
            ("0MiB", None),
            ("", None),
            ("MiB", None),
            ("256MB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("99999999999GiB", None),
            ("18446744073709551616", None),
        ];
        for (text, expected) in table {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
