//! How results reach a program: as JSON, with a version.
//!
//! Invariant: with `json` standard output is one JSON value, with `jsonl` one object a line, of
//! which the first says the format and its version; a result of one object says it in itself.

use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Format;
use crate::fault::DONE;

/// The version of every format that is printed.
const VERSION: u32 = 1;

/// Several objects, one by one.
pub(crate) struct Objects {
    format: Format,
    name: &'static str,
    begun: bool,
    /// Whether an object was printed.
    printed: bool,
}

impl Objects {
    /// Of the format `idumb-<name>`. Nothing is printed before the first object, or the end.
    pub(crate) fn new(format: Format, name: &'static str) -> Self {
        Self { format, name, begun: false, printed: false }
    }

    /// Prints one more.
    pub(crate) fn print(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.begin()?;
        let mut out = io::stdout().lock();
        let follows = std::mem::replace(&mut self.printed, true);
        if self.format == Format::Json && follows {
            out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut out, object)?;
        if self.format == Format::Jsonl {
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Says what follows.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let head = json!({ "kind": "format", "format": self.format(), "version": VERSION });
        let mut out = io::stdout().lock();
        match self.format {
            Format::Jsonl => writeln!(out, "{head}"),
            Format::Json => {
                let (name, version) = (self.format(), VERSION);
                writeln!(out, "{{\"format\":\"{name}\",\"version\":{version},\"items\":[")
            }
            Format::Text => Ok(()),
        }
    }

    /// There are no more.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.begin()?;
        if self.format == Format::Json {
            io::stdout().lock().write_all(b"\n]}\n")?;
        }
        Ok(())
    }

    fn format(&self) -> String {
        format!("idumb-{}", self.name)
    }
}

/// The object of a command that has one, as a line.
pub(crate) fn object(kind: &str, object: Value) -> String {
    let mut line = json!({ "kind": kind, "version": VERSION });
    if let (Some(line), Value::Object(object)) = (line.as_object_mut(), object) {
        line.extend(object);
    }
    format!("{line}\n")
}

/// Prints that something was done: a sentence for people, an object for programs.
pub(crate) fn done(format: Format, kind: &str, text: &str, about: Value) -> io::Result<u8> {
    let out = match format {
        Format::Text => format!("{text}\n"),
        Format::Json | Format::Jsonl => object(kind, about),
    };
    io::stdout().lock().write_all(out.as_bytes())?;
    Ok(DONE)
}
