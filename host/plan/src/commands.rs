//! The commands of `idumb.toml`: native programs that criteria have the host run, confined.
//!
//! Invariant: a command is its words, never a shell's line; a host path is absolute, and told from
//! one of the project; a plan names commands and defines none.

use std::collections::BTreeMap;
use std::time::Duration;

use idumb_core::{Digest, TaskId};
use regex::Regex;
use serde::Serialize;

use crate::limits::size;
use crate::problem::{Code, Told};
use crate::reading::{Item, Reading, Table, every};
use crate::suggest::meant;

/// The keys of `[commands.NAME]`.
pub(crate) const KEYS: &[&str] = &[
    "run",
    "arguments",
    "dir",
    "env",
    "network",
    "time",
    "memory",
    "processes",
    "file_size",
    "output",
    "read_only",
    "caches",
    "bins",
    "report",
    "report_file",
];

/// The words of `network`.
pub(crate) const NETWORKS: [&str; 2] = ["none", "loopback"];

/// The words of `report`.
pub(crate) const REPORTS: [&str; 6] = ["junit", "cargo", "nextest", "pytest", "tap", "go-test"];

/// `[commands.NAME]`: a native program, and what it may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CommandSource {
    /// The program and its arguments.
    pub run: Vec<String>,
    /// What further arguments may be: regular expressions, each for a whole argument; none: there
    /// may be none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Where it starts, from the project's root; `None`: there.
    pub dir: Option<String>,
    /// Its environment, beside what every command has.
    pub env: BTreeMap<String, String>,
    /// Whether its processes may talk to each other over a loopback interface of their own.
    pub loopback: bool,
    /// How long it may run.
    pub time: Option<Duration>,
    /// Memory of all its processes, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads at one time.
    pub processes: Option<u64>,
    /// Bytes of any one file.
    pub file_size: Option<u64>,
    /// Bytes that are kept of each output.
    pub output: Option<u64>,
    /// Host paths that it may read, beside the system's: absolute, or from the user's home (`~/`).
    pub read_only: Vec<String>,
    /// Host folders that it may write.
    pub caches: Vec<String>,
    /// Host folders with programs.
    pub bins: Vec<String>,
    /// How it reports what its tests did.
    pub report: Option<String>,
    /// The file that it leaves its report in, from the project's root; `None`: its output.
    pub report_file: Option<String>,
}

impl CommandSource {
    /// Of everything that the definition says: what a person's consent is bound to.
    pub fn digest(&self) -> Digest {
        // serde_json writes struct fields in the order of declaration: the bytes are canonical.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The first of `arguments` that no pattern of the definition allows.
    pub fn refuses<'a>(&self, arguments: &'a [String]) -> Option<&'a str> {
        let whole = |pattern: &String| Regex::new(&format!("^(?:{pattern})$")).ok();
        let patterns: Vec<Regex> = self.arguments.iter().filter_map(whole).collect();
        let allowed = |argument: &&String| patterns.iter().any(|one| one.is_match(argument));
        arguments.iter().find(|argument| !allowed(argument)).map(String::as_str)
    }
}

/// `[commands]`
pub(crate) fn commands(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
) -> Result<BTreeMap<String, CommandSource>, Told> {
    let entries = every(table.keys(), |(name, span)| {
        // A command's name has the same letters as a task's id.
        if TaskId::new(name).is_err() {
            return Err(reading.bad_id(span, name));
        }
        let item = reading.required(table, name, "run = [\"…\"]")?;
        Ok((name.to_owned(), command(reading, &item)?))
    })?;
    Ok(entries.into_iter().collect())
}

fn command(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<CommandSource, Told> {
    let table = reading.table(item, "a command")?;
    let stray = reading.only(&table, KEYS);
    let run = reading
        .required(&table, "run", "run = [\"cargo\", \"test\"]")
        .and_then(|item| run(reading, &item));
    let arguments = match table.get("arguments") {
        Some(item) => patterns(reading, &item),
        None => Ok(Vec::new()),
    };
    let path = |reading: &mut Reading<'_>, key: &str| -> Result<Option<String>, Told> {
        let item = table.get(key);
        // No pattern: it is looked for by its name.
        let path = item.map(|item| reading.literal(&item).map(|path| path.as_str().to_owned()));
        path.transpose()
    };
    let dir = path(reading, "dir");
    let report_file = path(reading, "report_file");
    let env = table.get("env").map(|item| env(reading, &item)).transpose();
    let network = word(reading, &table, "network", &NETWORKS);
    let report = word(reading, &table, "report", &REPORTS);
    let time = table.get("time").map(|item| reading.duration(&item)).transpose();
    let bytes = |reading: &mut Reading<'_>, key: &str| {
        table.get(key).map(|item| size(reading, &item)).transpose()
    };
    let memory = bytes(reading, "memory");
    let file_size = bytes(reading, "file_size");
    let output = bytes(reading, "output");
    let processes = table.get("processes").map(|item| reading.number(&item, 1..=100_000));
    let hosts = |reading: &mut Reading<'_>, key: &str| match table.get(key) {
        Some(item) => host_paths(reading, &item),
        None => Ok(Vec::new()),
    };
    let read_only = hosts(reading, "read_only");
    let caches = hosts(reading, "caches");
    let bins = hosts(reading, "bins");
    stray?;
    Ok(CommandSource {
        run: run?,
        arguments: arguments?,
        dir: dir?,
        env: env?.unwrap_or_default(),
        loopback: network?.as_deref() == Some("loopback"),
        time: time?,
        memory: memory?,
        processes: processes.transpose()?,
        file_size: file_size?,
        output: output?,
        read_only: read_only?,
        caches: caches?,
        bins: bins?,
        report: report?,
        report_file: report_file?,
    })
}

/// A program and its arguments.
fn run(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Vec<String>, Told> {
    if item.as_text().is_some() {
        let example = "its words: `[\"cargo\", \"test\"]`; no shell reads it";
        return Err(reading.wrong_type(item, "a list of words", example));
    }
    let items = reading.list(item)?;
    let mut words = items.iter().enumerate();
    let read = every(&mut words, |(index, item)| match index {
        0 => reading.words(item).map(str::to_owned),
        _ => reading.text(item).map(str::to_owned),
    })?;
    match read.is_empty() {
        true => {
            let help = "name a program: `[\"cargo\", \"test\"]`";
            let message = "the command has no words";
            Err(reading.refuse_value(Code::EmptyText, item, message, "nothing to run", help))
        }
        false => Ok(read),
    }
}

/// Regular expressions for arguments.
fn patterns(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Vec<String>, Told> {
    let items = reading.list(item)?;
    every(&items, |item| Ok(reading.regex(item)?.to_owned()))
}

fn env(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<BTreeMap<String, String>, Told> {
    let table = reading.table(item, "an environment")?;
    let pairs = every(table.keys(), |(name, _)| {
        let item = reading.required(&table, name, "NAME = \"value\"")?;
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{}` is no name of a variable", name.escape_debug());
            let help = "a name is not empty and has no `=` in it";
            return Err(reading.refuse_value(Code::BadId, &item, message, "its name", help));
        }
        Ok((name.to_owned(), reading.text(&item)?.to_owned()))
    })?;
    Ok(pairs.into_iter().collect())
}

fn word(
    reading: &mut Reading<'_>,
    table: &Table<'_>,
    key: &str,
    words: &[&'static str],
) -> Result<Option<String>, Told> {
    let Some(item) = table.get(key) else { return Ok(None) };
    let text = reading.text(&item)?;
    if words.contains(&text) {
        return Ok(Some(text.to_owned()));
    }
    let help = meant(text, words.iter().copied(), "there are");
    let message = format!("no `{key}` is called `{text}`");
    Err(reading.refuse_value(Code::UnknownFormat, &item, message, "unknown", help))
}

/// Whether a host path lies where a sandbox has its own things, or above.
fn is_taken(text: &str) -> bool {
    let names = |path: &str| -> Vec<String> {
        path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let path = names(text);
    text.starts_with('/')
        && ["tree", "proc", "dev", "sys", "run"].iter().any(|own| {
            let own = names(own);
            path.starts_with(&own) || own.starts_with(&path)
        })
}

fn host_paths(reading: &mut Reading<'_>, item: &Item<'_>) -> Result<Vec<String>, Told> {
    let items = reading.list(item)?;
    every(&items, |item| {
        let text = reading.words(item)?;
        let rest = text.strip_prefix("~/").or_else(|| text.strip_prefix('/'));
        let plain = |rest: &str| rest.split('/').all(|name| !matches!(name, "." | ".."));
        if is_taken(text) {
            let message = format!("`{}` cannot be given to a command", text.escape_debug());
            let help = "the sandbox has its own things there: name what the command needs";
            return Err(reading.refuse_value(Code::BadPath, item, message, "taken", help));
        }
        if rest.is_some_and(plain) {
            return Ok(text.to_owned());
        }
        let message = format!("`{}` is no path of the host's", text.escape_debug());
        let help = "write it whole, `/opt/tool`, or from your home folder, `~/.cargo`";
        Err(reading.refuse_value(Code::BadPath, item, message, "not a host path", help))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sandbox_has_itself_is_taken() {
        for path in ["/", "//", "/proc", "/dev/shm", "/tree/x", "/run/docker.sock", "/sys/"] {
            assert!(is_taken(path), "{path}");
        }
        for path in ["/opt/tool", "~/.cargo", "/trees", "/home/me/run", "/running"] {
            assert!(!is_taken(path), "{path}");
        }
    }

    #[test]
    fn an_argument_is_allowed_as_a_whole_or_not() {
        let allows = |patterns: &[&str], arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            let patterns = patterns.iter().map(ToString::to_string).collect();
            let source = CommandSource { arguments: patterns, ..CommandSource::default() };
            source.refuses(&arguments).map(str::to_owned)
        };
        assert_eq!(allows(&[], &[]), None);
        assert_eq!(allows(&[], &["x"]).as_deref(), Some("x"));
        assert_eq!(allows(&["--test=[a-z]+", "-v|-q"], &["-q", "--test=smoke"]), None);
        for argument in ["--test=a b", "x--test=a", "--test=", "-vq", "--test=a\nb", "-q\n", ""] {
            assert_eq!(allows(&["--test=[a-z]+", "-v|-q"], &[argument]).as_deref(), Some(argument));
        }
    }

    #[test]
    fn a_definition_without_what_came_later_keeps_its_digest() {
        let source = CommandSource { run: vec!["true".to_owned()], ..CommandSource::default() };
        assert!(!serde_json::to_string(&source).unwrap().contains("arguments"));
    }
}
