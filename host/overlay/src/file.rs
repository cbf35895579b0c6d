//! The content of files: from the base or the blob store until the first write, private after it.
//!
//! Invariant: a file is one [`FileNode`] whatever names it has, so every handle sees every write;
//! its content leaves the base only as a copy whose digest is remembered as what was seen.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use idumb_core::{Blobs, Digest, Entry};

use crate::FsError;
use crate::base::{Base, Fingerprint, Kind, Probe};
use crate::node::Times;
use crate::upper::{Upper, UpperFile};
use crate::view::Stat;

/// A regular file of a view.
pub(crate) struct FileNode {
    pub(crate) id: u64,
    /// Where it stands in the base; `None`: it is not from there.
    pub(crate) origin: Option<Arc<str>>,
    state: RwLock<FileState>,
}

pub(crate) struct FileState {
    pub(crate) body: Body,
    times: Times,
    pub(crate) names: u64,
    /// Handles that are open. While there is one, so is the body's file.
    open: u64,
    /// What stood at the origin when its content was copied or taken away.
    pub(crate) before: Option<Entry>,
    first_seen: Option<Fingerprint>,
    /// Somebody changed the base's file between two looks at it.
    pub(crate) base_changed: bool,
}

/// Where the bytes are.
pub(crate) enum Body {
    /// In the base, at the origin.
    Base { file: Option<Arc<File>> },
    /// In the blob store.
    Kept {
        blobs: Arc<dyn Blobs>,
        digest: Digest,
        size: u64,
        executable: bool,
        file: Option<Arc<File>>,
    },
    /// In the upper.
    Upper { upper: UpperFile, executable: bool, file: Option<Arc<File>> },
}

impl Body {
    fn file(&mut self) -> &mut Option<Arc<File>> {
        match self {
            Self::Base { file } | Self::Kept { file, .. } | Self::Upper { file, .. } => file,
        }
    }

    fn opened(&self) -> Option<&Arc<File>> {
        match self {
            Self::Base { file } | Self::Kept { file, .. } | Self::Upper { file, .. } => {
                file.as_ref()
            }
        }
    }
}

impl std::fmt::Debug for FileNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileNode").field("id", &self.id).field("origin", &self.origin).finish()
    }
}

/// Reads a file from its start, whatever position others have it at.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Writes everything it reads to a second place, so that copying and hashing is one pass.
struct Tee<'a> {
    from: FromStart<'a>,
    to: &'a File,
}

impl Read for Tee<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        self.to.write_all(&buf[..n])?;
        Ok(n)
    }
}

impl FileNode {
    pub(crate) fn from_base(id: u64, origin: Arc<str>) -> Self {
        Self::new(id, Some(origin), Body::Base { file: None }, Times::default())
    }

    pub(crate) fn from_blob(
        id: u64,
        blobs: Arc<dyn Blobs>,
        (digest, size, executable): (Digest, u64, bool),
    ) -> Self {
        let body = Body::Kept { blobs, digest, size, executable, file: None };
        Self::new(id, None, body, Times::default())
    }

    /// An empty new file.
    pub(crate) fn create(id: u64, upper: &Arc<Upper>) -> Result<Self, FsError> {
        let (upper, file) = upper.new_file()?;
        let body = Body::Upper { upper, executable: false, file: Some(Arc::new(file)) };
        Ok(Self::new(id, None, body, Times::now()))
    }

    fn new(id: u64, origin: Option<Arc<str>>, body: Body, times: Times) -> Self {
        let state = FileState {
            body,
            times,
            names: 1,
            open: 0,
            before: None,
            first_seen: None,
            base_changed: false,
        };
        Self { id, origin, state: RwLock::new(state) }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, FileState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, FileState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path in the base whose content this still is.
    pub(crate) fn unchanged_from(&self) -> Option<&Arc<str>> {
        let in_base = matches!(self.read().body, Body::Base { .. });
        self.origin.as_ref().filter(|_| in_base)
    }

    /// Counts one more handle.
    pub(crate) fn open(&self, base: &Base) -> Result<(), FsError> {
        let mut state = self.write();
        self.ensure_open(&mut state, base)?;
        state.open += 1;
        Ok(())
    }

    /// Counts one handle less.
    pub(crate) fn close(&self) {
        let mut state = self.write();
        state.open = state.open.saturating_sub(1);
        if state.open == 0 {
            *state.body.file() = None;
        }
    }

    fn ensure_open(&self, state: &mut FileState, base: &Base) -> Result<Arc<File>, FsError> {
        if let Some(file) = state.body.opened() {
            return Ok(Arc::clone(file));
        }
        let file = match &state.body {
            Body::Base { .. } => {
                let (file, probe) = base.open_file(self.origin.as_deref().unwrap_or_default())?;
                state.note_version(&probe);
                file
            }
            Body::Kept { blobs, digest, .. } => blobs.open(*digest).map_err(FsError::Io)?,
            Body::Upper { upper, .. } => upper.open()?,
        };
        let file = Arc::new(file);
        *state.body.file() = Some(Arc::clone(&file));
        Ok(file)
    }

    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, FsError> {
        i64::try_from(offset).map_err(|_| FsError::Invalid)?;
        let state = self.read();
        let file = state.body.opened().ok_or(FsError::BadDescriptor)?;
        Ok(file.read_at(buf, offset)?)
    }

    /// Writes all of `buf` at `offset`, or at the end.
    pub(crate) fn write_at(
        &self,
        buf: &[u8],
        offset: Option<u64>,
        base: &Base,
        upper: &Arc<Upper>,
    ) -> Result<u64, FsError> {
        let mut state = self.write();
        upper.require_open()?;
        if buf.is_empty() {
            return Ok(offset.unwrap_or(0));
        }
        let file = self.make_private(&mut state, base, upper, true)?;
        let Body::Upper { upper: held, .. } = &mut state.body else {
            return Err(FsError::Invalid);
        };
        let old = held.size();
        let offset = offset.unwrap_or(old);
        let end = offset.checked_add(buf.len() as u64).ok_or(FsError::FileTooLarge)?;
        i64::try_from(end).map_err(|_| FsError::FileTooLarge)?;
        held.resize(old.max(end))?;
        if let Err(error) = file.write_all_at(buf, offset) {
            // Some of it may have arrived: the charge follows what the file is now.
            let now = file.metadata().map_or(old.max(end), |meta| meta.len());
            held.resize(now)?;
            return Err(error.into());
        }
        state.times.modified = Some(SystemTime::now());
        Ok(end)
    }

    pub(crate) fn set_len(&self, len: u64, base: &Base, upper: &Arc<Upper>) -> Result<(), FsError> {
        let mut state = self.write();
        upper.require_open()?;
        let file = self.make_private(&mut state, base, upper, len > 0)?;
        let Body::Upper { upper: held, .. } = &mut state.body else {
            return Err(FsError::Invalid);
        };
        let old = held.size();
        held.resize(len)?;
        if let Err(error) = file.set_len(len) {
            held.resize(old)?;
            return Err(error.into());
        }
        state.times.modified = Some(SystemTime::now());
        Ok(())
    }

    pub(crate) fn set_executable(
        &self,
        executable: bool,
        base: &Base,
        upper: &Arc<Upper>,
    ) -> Result<(), FsError> {
        if self.stat(base)?.executable == executable {
            return Ok(());
        }
        let mut state = self.write();
        upper.require_open()?;
        self.make_private(&mut state, base, upper, true)?;
        if let Body::Upper { executable: held, .. } = &mut state.body {
            *held = executable;
        }
        if state.open == 0 {
            *state.body.file() = None;
        }
        Ok(())
    }

    pub(crate) fn set_times(&self, accessed: Option<SystemTime>, modified: Option<SystemTime>) {
        self.write().times.set(accessed, modified);
    }

    /// Moves the content to the upper, or drops it if it is not wanted. The file is open after it.
    fn make_private(
        &self,
        state: &mut FileState,
        base: &Base,
        upper: &Arc<Upper>,
        keep_content: bool,
    ) -> Result<Arc<File>, FsError> {
        let old = self.ensure_open(state, base)?;
        let (size, executable) = match &state.body {
            Body::Upper { .. } => return Ok(old),
            Body::Kept { size, executable, .. } => (*size, *executable),
            Body::Base { .. } => {
                // The open file, not the path: what is copied is what handles have been reading.
                let probe = Probe::of(&*old)?;
                state.note_version(&probe);
                (probe.size, probe.executable)
            }
        };
        let from = FromStart { file: &old, at: 0 };
        let (mut held, file) = upper.new_file()?;
        let (digest, size) = if keep_content {
            held.resize(size)?;
            let copied = Digest::of_reader(base.1.reader(Tee { from, to: &file }))?;
            held.resize(copied.1)?;
            copied
        } else {
            Digest::of_reader(base.1.reader(from))?
        };
        if self.origin.is_some() && state.before.is_none() {
            state.before = Some(Entry::File { digest, size, executable });
        }
        let file = Arc::new(file);
        state.body = Body::Upper { upper: held, executable, file: Some(Arc::clone(&file)) };
        Ok(file)
    }

    /// Remembers what stands in the base, before the last name for it goes.
    pub(crate) fn remember_before(&self, base: &Base) -> Result<(), FsError> {
        let mut state = self.write();
        let (Body::Base { .. }, None, Some(origin)) = (&state.body, &state.before, &self.origin)
        else {
            return Ok(());
        };
        let (file, probe) = base.open_file(origin)?;
        let (digest, size) = Digest::of_reader(base.1.reader(file))?;
        state.note_version(&probe);
        state.before = Some(Entry::File { digest, size, executable: probe.executable });
        Ok(())
    }

    pub(crate) fn add_name(&self) {
        self.write().names += 1;
    }

    /// Counts one name less; returns how many are left.
    pub(crate) fn remove_name(&self) -> u64 {
        let mut state = self.write();
        state.names = state.names.saturating_sub(1);
        state.names
    }

    pub(crate) fn names(&self) -> u64 {
        self.read().names
    }

    pub(crate) fn stat(&self, base: &Base) -> Result<Stat, FsError> {
        let state = self.read();
        let mut stat = Stat { nlink: state.names, ..Stat::new(Kind::File, self.id) };
        match &state.body {
            Body::Base { file } => {
                let probe = match file {
                    Some(file) => Some(Probe::of(&**file)?),
                    None => base.probe(self.origin.as_deref().unwrap_or_default())?,
                };
                let probe = probe.filter(|probe| probe.kind == Kind::File);
                stat.take(&probe.ok_or(FsError::NoEntry)?);
            }
            Body::Kept { size, executable, .. } => {
                (stat.size, stat.executable) = (*size, *executable);
            }
            Body::Upper { upper, executable, .. } => {
                (stat.size, stat.executable) = (upper.size(), *executable);
            }
        }
        stat.take_times(&state.times);
        Ok(stat)
    }

    /// A file over the content as it is now, with a position of its own.
    pub(crate) fn reader(&self, base: &Base) -> Result<(File, bool), FsError> {
        let mut state = self.write();
        match &state.body {
            Body::Base { .. } => {
                let (file, probe) = base.open_file(self.origin.as_deref().unwrap_or_default())?;
                state.note_version(&probe);
                Ok((file, probe.executable))
            }
            Body::Kept { blobs, digest, executable, .. } => Ok((blobs.open(*digest)?, *executable)),
            Body::Upper { upper, executable, .. } => Ok((upper.open()?, *executable)),
        }
    }
}

impl FileState {
    /// Compares the version in the base with the one that was seen first.
    fn note_version(&mut self, probe: &Probe) {
        let first = *self.first_seen.get_or_insert(probe.fingerprint);
        self.base_changed |= first != probe.fingerprint;
    }
}
