//! What native commands printed, for people: `idumb log --commands`.
//!
//! Invariant: a command's words stand behind bars and are made safe: they are nobody else's.

use std::fmt::Write as _;
use std::io::Read as _;

use idumb_core::{Blobs as _, Digest, Event, Evidence, Examination, Observed};
use idumb_journal::BlobStore;

use crate::report::observed_text;
use crate::text::{lines, printable};

/// The commands that ran for what the event tells, and all that was kept of what each printed.
pub(crate) fn printed(event: &Event, blobs: Option<&BlobStore>) -> String {
    let (whose, evidence) = match event {
        Event::AttemptSealed { sealed, .. } => ("asked by its builder", &sealed.evidence),
        Event::CandidateExamined { examination: Examination { evidence, .. }, .. }
        | Event::CandidateJudged { examination: Examination { evidence, .. }, .. } => {
            ("for its candidate", evidence)
        }
        Event::PhaseJudged { examination, .. } | Event::IntegrationJudged { examination, .. } => {
            ("on the real tree", &examination.evidence)
        }
        _ => return String::new(),
    };
    let what = event.task().map_or_else(|| "the phase".to_owned(), ToString::to_string);
    let commands = evidence.iter().map(|one| command(one, blobs)).filter(|text| !text.is_empty());
    commands.map(|text| format!("{what}, {whose}: {text}")).collect()
}

fn command(evidence: &Evidence, blobs: Option<&BlobStore>) -> String {
    let Observed::Command(seen) = &evidence.observed else { return String::new() };
    let mut out = format!("{}\n", observed_text(&evidence.observed));
    for (name, digest) in [("stdout", seen.stdout), ("stderr", seen.stderr)] {
        let Some(digest) = digest else { continue };
        let _ = writeln!(out, "  {name}:");
        match blobs.ok_or_else(|| "the store is gone".to_owned()).and_then(|b| text(b, digest)) {
            Ok(text) => lines(&text).for_each(|line| {
                let _ = writeln!(out, "  | {line}");
            }),
            Err(why) => {
                let _ = writeln!(out, "  (it cannot be read: {})", printable(&why));
            }
        }
    }
    for file in &seen.outputs {
        let (path, size) = (printable(&file.path), file.size);
        let _ = writeln!(out, "  left {path}, {size} bytes, {}", file.digest);
    }
    out
}

fn text(blobs: &BlobStore, digest: Digest) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = blobs.open(digest).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|why| why.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
