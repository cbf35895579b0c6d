//! Where a check looks: the host, or a stand-in for it in tests.
//!
//! Invariant: content reaches a check only through [`content`], which compares the bytes
//! with what the host observed.

use std::io::{self, Read};

use idumb_agent::EvidenceRef;
use idumb_agent::change_set::{self, Listing};
use idumb_agent::evidence::{self, Kind, Observation};

use crate::ruling::{Checked, Ruling};

/// The largest file whose content is read, in bytes. A larger one is answered inconclusive.
pub const MAX_READ: u64 = 64 << 20;

/// The largest file that is read as JSON, TOML or YAML, whose values take a multiple of it.
pub const MAX_DOCUMENT: u64 = 16 << 20;

/// Where a check looks.
pub trait Source {
    /// Has the host look at `path` and record what is there.
    ///
    /// # Errors
    /// Why the path cannot be looked at.
    fn observe(&mut self, path: &str) -> Result<Observation, String>;

    /// The file's content; of a larger file than `limit` bytes, more than `limit` bytes of it.
    ///
    /// # Errors
    /// Any error of opening or reading the file.
    fn read(&mut self, path: &str, limit: u64) -> io::Result<Vec<u8>>;

    /// Lists the candidate's change-set.
    fn changes(&mut self) -> Listing;
}

/// The host that runs this component, and the files it gives a view of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Source for Host {
    fn observe(&mut self, path: &str) -> Result<Observation, String> {
        evidence::observe(path)
    }

    fn read(&mut self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn changes(&mut self) -> Listing {
        change_set::changes()
    }
}

/// What the host sees at `path`.
pub(crate) fn observe(source: &mut dyn Source, path: &str) -> Checked<Observation> {
    source
        .observe(path)
        .map_err(|why| Ruling::unchecked(format!("{path} cannot be looked at: {why}")))
}

/// What the host sees at `path`, if it is a file; anything else fails the check.
pub(crate) fn file(source: &mut dyn Source, path: &str) -> Checked<Observation> {
    let seen = observe(source, path)?;
    match seen.kind {
        Kind::File => Ok(seen),
        Kind::Dir => Err(Ruling::fail(&seen.id, format!("{path} is a directory"))),
        Kind::Symlink => Err(Ruling::fail(&seen.id, format!("{path} is a link to nowhere"))),
        Kind::Absent => Err(Ruling::fail(&seen.id, format!("there is no {path}"))),
    }
}

/// The bytes that the host observed at `path`, and the observation's id.
pub(crate) fn content(
    source: &mut dyn Source,
    path: &str,
    limit: u64,
) -> Checked<(Vec<u8>, EvidenceRef)> {
    let seen = file(source, path)?;
    if seen.size > limit {
        let note = format!("{path} has {} bytes; at most {limit} are read", seen.size);
        return Err(Ruling::unclear(&seen.id, note));
    }
    let bytes = source
        .read(path, limit)
        .map_err(|error| Ruling::unclear(&seen.id, format!("{path} cannot be read: {error}")))?;
    let read = blake3_of(&bytes);
    if read != seen.digest {
        let note =
            format!("{path} changed while it was checked: observed {}, read {read}", seen.digest);
        return Err(Ruling::unclear(&seen.id, note));
    }
    Ok((bytes, seen.id))
}

pub(crate) fn blake3_of(bytes: &[u8]) -> String {
    idumb_core::Digest::of(bytes).to_string()
}
