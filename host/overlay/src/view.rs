//! The two views of a project: one that reads, and one that reads and writes.
//!
//! Invariant: every operation of a guest starts with [`Shared::call`] and asks the gate through
//! it; a [`ReadView`] holds nothing with which a byte could be written.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use idumb_core::{AccessRecord, Blobs, Capability, ChangeSet, DenialReason, Grants, Seen};

use crate::base::{Base, Kind, Probe};
use crate::gate::Gate;
use crate::node::{NodeId, Times};
use crate::quota::{Meter, Quota, Usage};
use crate::record::Recorder;
use crate::tree::{ROOT, Tree};
use crate::upper::Upper;
use crate::{FileHandle, FsError, candidate};

/// The metadata of something in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Of a file: its length in bytes; of a link: of its target. Else 0.
    pub size: u64,
    /// How many names it has in this view; 1 for a directory.
    pub nlink: u64,
    /// When it was read last, if known.
    pub accessed: Option<SystemTime>,
    /// When it was written last, if known.
    pub modified: Option<SystemTime>,
    /// When its metadata changed last, if known.
    pub changed: Option<SystemTime>,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// The same for two names exactly if they are one thing; only meaningful within one view.
    pub id: u64,
}

impl Stat {
    pub(crate) fn new(kind: Kind, id: u64) -> Self {
        Self {
            kind,
            size: 0,
            nlink: 1,
            accessed: None,
            modified: None,
            changed: None,
            executable: false,
            id,
        }
    }

    /// Takes over what the base says.
    pub(crate) fn take(&mut self, probe: &Probe) {
        (self.accessed, self.modified, self.changed) =
            (probe.accessed, probe.modified, probe.changed);
        if self.kind == Kind::File {
            (self.size, self.executable) = (probe.size, probe.executable);
        }
    }

    /// As [`Self::take`], unless something else came to stand there: that may not be for the guest.
    pub(crate) fn take_if_same_kind(&mut self, probe: Option<&Probe>) {
        if let Some(probe) = probe.filter(|probe| probe.kind == self.kind) {
            self.take(probe);
        }
    }

    /// Takes over what the attempt changed.
    pub(crate) fn take_times(&mut self, times: &Times) {
        self.accessed = times.accessed.or(self.accessed);
        self.modified = times.modified.or(self.modified);
        self.changed = times.modified.or(self.changed);
    }
}

/// How to open: the flags of `open-at` in `wasi:filesystem`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenFlags {
    /// The handle reads.
    pub read: bool,
    /// The handle writes.
    pub write: bool,
    /// Makes the file if there is none.
    pub create: bool,
    /// With `create`: fails if something is there.
    pub exclusive: bool,
    /// Empties the file.
    pub truncate: bool,
    /// Fails unless it is a directory.
    pub directory: bool,
}

impl OpenFlags {
    /// Opens for reading.
    pub const READ: Self = Self {
        read: true,
        write: false,
        create: false,
        exclusive: false,
        truncate: false,
        directory: false,
    };

    /// Whether opening so can change anything.
    pub fn writes(self) -> bool {
        self.write || self.create || self.truncate
    }
}

/// What opening gave.
#[derive(Debug, Clone)]
pub enum Opened {
    /// A directory.
    Dir(NodeId),
    /// A regular file.
    File(FileHandle),
}

/// A name in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Without a path.
    pub name: String,
    /// What it is, the link itself if it is one.
    pub kind: Kind,
}

/// A view of a project that can only be read. Cheap to clone: clones are the same view.
#[derive(Clone)]
pub struct ReadView(pub(crate) Arc<Shared>);

/// A copy-on-write view of a project: what is written stays in the attempt's upper until it is
/// sealed and integrated. Cheap to clone: clones are the same view.
///
/// It reads with the methods of [`ReadView`].
#[derive(Clone)]
pub struct WorkView {
    pub(crate) view: ReadView,
    pub(crate) upper: Arc<Upper>,
}

impl ReadView {
    /// The base as it is, through `grants`; their write patterns give no more than reading.
    pub fn of_base(base: &Base, grants: Grants) -> Self {
        Self(Arc::new(Shared::new(base, Gate::new(grants), Tree::new(), Quota::default())))
    }

    /// The base as it is, all of it, as a plain preopened directory shows it: protected names too.
    pub fn plain(base: &Base) -> Self {
        Self(Arc::new(Shared::new(base, Gate::plain(), Tree::new(), Quota::default())))
    }

    /// The base with the after sides of `change_set` in it, through `grants`.
    ///
    /// # Errors
    /// `InvalidData` if the change-set is malformed or does not fit on the base; any error of
    /// looking at the base.
    pub fn of_candidate(
        base: &Base,
        change_set: &ChangeSet,
        blobs: Arc<dyn Blobs>,
        grants: Grants,
    ) -> io::Result<Self> {
        let tree = candidate::tree(base, change_set, &blobs)?;
        Ok(Self(Arc::new(Shared::new(base, Gate::new(grants), tree, Quota::default()))))
    }

    /// The project's root.
    pub fn root(&self) -> NodeId {
        ROOT
    }

    /// The path of a directory, from the root; the root itself is the empty text.
    ///
    /// # Errors
    /// `NoEntry` if it was removed.
    pub fn path_of(&self, node: NodeId) -> Result<String, FsError> {
        self.0.lock().path_of(node)
    }

    /// What was read and refused so far, sorted; what was written is not in it.
    pub fn record(&self) -> AccessRecord {
        self.0.record()
    }

    /// Records that everything may have been read: a native command ran on a copy of the tree, and
    /// nobody sees what such a command opens.
    pub fn note_all_read(&self) {
        self.0.recorder.saw("", Seen::Tree);
    }

    /// Has operations that go on for long (copying and digesting large files, long listings) end
    /// with [`FsError::Stopped`] as soon as `over` says so. Only the first one counts.
    pub fn stops_when(&self, over: impl Fn() -> bool + Send + Sync + 'static) {
        self.0.base.1.when(over);
    }

    /// What is in use, and which limits refused something.
    pub fn usage(&self) -> Usage {
        self.0.meter.usage()
    }

    /// Records that a guest wanted to change something through a view that only reads, and
    /// returns what to answer.
    pub fn refuse_write(&self, operation: &'static str, dir: NodeId, path: &str) -> FsError {
        let call = self.0.call(operation);
        let path = match call.tree.path_of(dir) {
            Ok(dir) => crate::base::join(&dir, path),
            Err(_) => path.to_owned(),
        };
        self.0.recorder.denied(Capability::Write, &path, operation, DenialReason::ReadOnlyView);
        FsError::ReadOnly
    }
}

impl WorkView {
    /// A fresh view of `base` through `grants`. What is written goes to files in `upper_dir`,
    /// which is made if it is not there, and which nobody else may use.
    ///
    /// # Errors
    /// Whatever opening or making `upper_dir` gives.
    pub fn new(base: &Base, upper_dir: &Path, grants: Grants, quota: Quota) -> io::Result<Self> {
        Self::behind(Gate::new(grants), base, upper_dir, quota)
    }

    /// A fresh view of all of `base`, which behaves as a plain preopened directory does: no name
    /// is protected, and any link may be made (it leads nowhere if it leads out).
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn plain(base: &Base, upper_dir: &Path, quota: Quota) -> io::Result<Self> {
        Self::behind(Gate::plain(), base, upper_dir, quota)
    }

    fn behind(gate: Gate, base: &Base, upper_dir: &Path, quota: Quota) -> io::Result<Self> {
        let shared = Shared::new(base, gate, Tree::new(), quota);
        let upper = Upper::create_in(upper_dir, Arc::clone(&shared.meter))?;
        Ok(Self { view: ReadView(Arc::new(shared)), upper: Arc::new(upper) })
    }
}

impl Deref for WorkView {
    type Target = ReadView;
    fn deref(&self) -> &ReadView {
        &self.view
    }
}

impl fmt::Debug for ReadView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadView").field("base", &self.0.base.path()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkView").field("base", &self.0.base.path()).finish_non_exhaustive()
    }
}

/// What all handles of one view share.
pub(crate) struct Shared {
    pub(crate) base: Base,
    pub(crate) gate: Gate,
    pub(crate) recorder: Recorder,
    pub(crate) meter: Arc<Meter>,
    tree: Mutex<Tree>,
}

impl Shared {
    fn new(base: &Base, gate: Gate, tree: Tree, quota: Quota) -> Self {
        Self {
            base: base.for_a_view(),
            gate,
            recorder: Recorder::default(),
            meter: Arc::new(Meter::new(quota)),
            tree: Mutex::new(tree),
        }
    }

    /// What was looked at and refused so far, by grants and by limits.
    pub(crate) fn record(&self) -> AccessRecord {
        AccessRecord { limits: self.meter.refused(), ..self.recorder.to_record() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation; it has the tree to itself until it ends.
    pub(crate) fn call(&self, operation: &'static str) -> Call<'_> {
        Call { shared: self, tree: self.lock(), operation, denied: false, missing: None }
    }
}

/// One operation of a guest at work: the only way to the names of a view.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) tree: MutexGuard<'a, Tree>,
    pub(crate) operation: &'static str,
    /// Whether it was refused something, though the guest was told less.
    pub(crate) denied: bool,
    /// The path that resolution could not reach, since a directory on the way to it is missing.
    pub(crate) missing: Option<String>,
}
