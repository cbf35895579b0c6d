//! Sealing: what an attempt did as a change-set, at its end or on the way.
//!
//! Invariant: only what was touched is walked; both sides of a change are digests of bytes that
//! were read, the before side as the attempt saw them; no path is in it that may not be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;

use idumb_core::{AccessRecord, Blobs, Change, ChangeSet, Digest, Entry, Seen};

use crate::base::{Kind, join};
use crate::before::keep_before;
use crate::file::{Body, FileNode};
use crate::halt::Halt;
use crate::node::{Child, Name, NodeId};
use crate::ops::leads_inside;
use crate::tree::{Before, ROOT, Tree};
use crate::view::Shared;
use crate::{FsError, WorkView};

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it would change. The content of its after sides is in the blob store; that of its
    /// before sides too, as far as it is text that a diff shows: at most 4 MiB a file, 64 MiB and
    /// 1000 files together.
    pub change_set: ChangeSet,
    /// What it looked at, changed, and was refused.
    pub record: AccessRecord,
}

/// Why an attempt could not be sealed. Nothing of it can be integrated then.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// These files of the base were changed by somebody between the attempt's looking at them
    /// and its changing them: what it wrote may rest on what they no longer say.
    #[error("changed by somebody else while the attempt worked on it: {}", .0.join(", "))]
    BaseChanged(Vec<String>),
    /// A path was changed that may not be: the gate should have refused it before.
    #[error("{0}: changed without a grant")]
    NotGranted(String),
    /// A symbolic link came to stand where its target leads out of the project.
    #[error("{0}: the link would lead out of the project")]
    Escapes(String),
    /// Something that a change-set cannot describe appeared in a directory that was renamed.
    #[error("{0}: a name or kind of file that cannot be moved")]
    Foreign(String),
    /// The base or the upper could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Where in the view, or in the base.
        path: String,
        /// Why.
        source: FsError,
    },
    /// The blob store did not take the content of a file.
    #[error("{path}: not kept: {source}")]
    NotKept {
        /// Where in the view.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl WorkView {
    /// Freezes the view, and says what integrating it would change. Writes fail from here on,
    /// also through clones and open handles.
    ///
    /// # Errors
    /// As [`SealError`] says; the view stays frozen.
    pub fn seal(self, blobs: &dyn Blobs) -> Result<Sealed, SealError> {
        self.upper.freeze();
        let shared = &self.view.0;
        let tree = shared.lock();
        let change_set = Sealing::new(shared, &tree, blobs, Halt::default()).change_set()?;
        keep_before(&change_set, &shared.base, blobs)?;
        let mut record = shared.record();
        record.writes = change_set.paths().map(str::to_owned).collect();
        Ok(Sealed { change_set, record })
    }

    /// What integrating the view as it is now would change: what sealing it now would give. The
    /// view goes on. The content of the after sides is in `blobs` then; of the before sides,
    /// nothing is kept.
    ///
    /// It takes as long as sealing does, and names in the view wait for it. Of a file that is
    /// written meanwhile it has some state in between, whole in itself. It ends early as soon as
    /// `over` says so, which is asked between pieces of what is read.
    ///
    /// # Errors
    /// As [`SealError`] says, with [`FsError::Stopped`] as the source if it ended early.
    pub fn changes_so_far(
        &self,
        blobs: &dyn Blobs,
        over: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<ChangeSet, SealError> {
        let halt = Halt::default();
        halt.when(over);
        let shared = &self.view.0;
        Sealing::new(shared, &shared.lock(), blobs, halt).change_set()
    }
}

/// What stands at a path of the view.
struct After {
    /// `None`: exactly what the base has there.
    entry: Option<Entry>,
    /// Where in the base it came from.
    origin: Option<String>,
}

struct Sealing<'a> {
    shared: &'a Shared,
    tree: &'a Tree,
    blobs: &'a dyn Blobs,
    /// By path in the base: what stood there.
    before: BTreeMap<String, Entry>,
    /// By path in the view.
    after: BTreeMap<String, After>,
    /// By node: a file with two names is read once.
    files: HashMap<u64, Entry>,
    base_changed: BTreeSet<String>,
    /// Ends it early.
    halt: Halt,
}

fn unreadable(path: &str) -> impl Fn(FsError) -> SealError {
    move |source| SealError::Unreadable { path: path.to_owned(), source }
}

impl<'a> Sealing<'a> {
    fn new(shared: &'a Shared, tree: &'a Tree, blobs: &'a dyn Blobs, halt: Halt) -> Self {
        Self {
            shared,
            tree,
            blobs,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            files: HashMap::new(),
            base_changed: BTreeSet::new(),
            halt,
        }
    }

    fn change_set(mut self) -> Result<ChangeSet, SealError> {
        self.walk()?;
        self.take_before()?;
        self.into_change_set()
    }

    fn walk(&mut self) -> Result<(), SealError> {
        let mut left = vec![(ROOT, String::new())];
        while let Some((id, path)) = left.pop() {
            self.halt.check().map_err(unreadable(&path))?;
            let dir = self.tree.dir(id).map_err(unreadable(&path))?;
            for (name, Name { child, .. }) in &dir.names {
                let path = join(&path, name);
                match child {
                    None | Some(Child::Other(_)) => {}
                    Some(Child::Dir(id)) => {
                        self.dir(*id, &path)?;
                        left.push((*id, path));
                    }
                    Some(Child::File(file)) => self.file(file, &path)?,
                    Some(Child::Link(link)) => {
                        let entry = Entry::Symlink { target: link.target.to_string() };
                        self.place(path, link.origin.as_deref(), entry);
                    }
                }
            }
            if let Some(base) = dir.base.as_deref().filter(|base| *base != path) {
                self.moved(base, &path, &|name| dir.names.contains_key(name))?;
            }
        }
        Ok(())
    }

    /// Notes what stands at `path`, which may be what the base has there.
    fn place(&mut self, path: String, origin: Option<&str>, entry: Entry) {
        if origin == Some(path.as_str()) {
            self.after.insert(path, After { entry: None, origin: None });
            return;
        }
        if let Some(origin) = origin {
            self.before.insert(origin.to_owned(), entry.clone());
        }
        let origin = origin.map(str::to_owned);
        self.after.insert(path, After { entry: Some(entry), origin });
    }

    fn dir(&mut self, id: NodeId, path: &str) -> Result<(), SealError> {
        let dir = self.tree.dir(id).map_err(unreadable(path))?;
        self.place(path.to_owned(), dir.base.as_deref(), Entry::Dir);
        Ok(())
    }

    fn file(&mut self, file: &FileNode, path: &str) -> Result<(), SealError> {
        if file.unchanged_from().is_some_and(|origin| **origin == *path) {
            self.after.insert(path.to_owned(), After { entry: None, origin: None });
            return Ok(());
        }
        let entry = match self.files.get(&file.id) {
            Some(entry) => entry.clone(),
            None => self.read_file(file, path)?,
        };
        self.files.insert(file.id, entry.clone());
        if let Some(origin) = file.origin.as_deref() {
            let state = file.read();
            let before = state.before.clone().unwrap_or_else(|| entry.clone());
            self.before.insert(origin.to_owned(), before);
            if state.base_changed {
                self.base_changed.insert(origin.to_owned());
            }
        }
        let origin = file.origin.as_deref().map(str::to_owned);
        self.after.insert(path.to_owned(), After { entry: Some(entry), origin });
        Ok(())
    }

    fn read_file(&self, file: &FileNode, path: &str) -> Result<Entry, SealError> {
        if let Some(before) = may_be_unchanged(file, path) {
            let entry = self.hash_file(file, path)?;
            if entry == before {
                return Ok(entry);
            }
        }
        let base = &self.shared.base;
        let (reader, executable) = file.reader(base).map_err(unreadable(path))?;
        self.keep(reader, executable, path)
    }

    fn hash_file(&self, file: &FileNode, path: &str) -> Result<Entry, SealError> {
        let (reader, executable) = file.reader(&self.shared.base).map_err(unreadable(path))?;
        let digested = Digest::of_reader(self.halt.reader(reader));
        let (digest, size) = digested.map_err(FsError::from).map_err(unreadable(path))?;
        Ok(Entry::File { digest, size, executable })
    }

    fn keep(&self, file: File, executable: bool, path: &str) -> Result<Entry, SealError> {
        let kept = self.blobs.keep(&mut self.halt.reader(file));
        let (digest, size) = kept.map_err(|source| match self.halt.check() {
            // The store tells of it in words of its own.
            Err(over) => unreadable(path)(over),
            Ok(()) => SealError::NotKept { path: path.to_owned(), source },
        })?;
        Ok(Entry::File { digest, size, executable })
    }

    /// Takes along what stands in a base directory that was renamed and was never looked up.
    fn moved(
        &mut self,
        base: &str,
        path: &str,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<(), SealError> {
        let mut left = vec![(base.to_owned(), path.to_owned())];
        while let Some((from, to)) = left.pop() {
            self.shared.recorder.saw(&from, Seen::Listing);
            let most = self.shared.meter.most_listed();
            for listed in self.shared.base.list(&from, most).map_err(unreadable(&from))? {
                let name = listed.name.ok_or_else(|| SealError::Foreign(from.clone()))?;
                if from == base && is_known(&name) {
                    continue;
                }
                let (from, to) = (join(&from, &name), join(&to, &name));
                let entry = self.moved_entry(&from, listed.kind)?;
                if entry == Entry::Dir {
                    left.push((from.clone(), to.clone()));
                } else {
                    self.shared.recorder.saw(&from, Seen::Content);
                }
                self.place(to, Some(&from), entry);
            }
        }
        Ok(())
    }

    fn moved_entry(&self, from: &str, kind: Kind) -> Result<Entry, SealError> {
        let base = &self.shared.base;
        match kind {
            Kind::Dir => Ok(Entry::Dir),
            Kind::File => {
                let (file, probe) = base.open_file(from).map_err(unreadable(from))?;
                self.keep(file, probe.executable, from)
            }
            Kind::Symlink => match base.read_link(from).map_err(unreadable(from))? {
                Some(target) => Ok(Entry::Symlink { target }),
                None => Err(SealError::Foreign(from.to_owned())),
            },
            Kind::Other => Err(SealError::Foreign(from.to_owned())),
        }
    }

    /// Adds what was taken away and stands nowhere any more.
    fn take_before(&mut self) -> Result<(), SealError> {
        for (origin, before) in &self.tree.before {
            self.halt.check().map_err(unreadable(origin))?;
            let stands = self.after.get(&**origin).is_some_and(|after| after.entry.is_none());
            if stands || self.before.contains_key(&**origin) {
                continue;
            }
            let entry = match before {
                Before::Known(entry) => entry.clone(),
                Before::File(file) => {
                    file.remember_before(&self.shared.base).map_err(unreadable(origin))?;
                    let state = file.read();
                    if state.base_changed {
                        self.base_changed.insert(origin.to_string());
                    }
                    let Some(entry) = state.before.clone() else {
                        continue;
                    };
                    entry
                }
            };
            self.before.insert(origin.to_string(), entry);
        }
        Ok(())
    }

    fn into_change_set(self) -> Result<ChangeSet, SealError> {
        let paths: BTreeSet<&String> = self.before.keys().chain(self.after.keys()).collect();
        let mut changes = Vec::new();
        for path in paths {
            let before = self.before.get(path);
            let (after, origin) = match self.after.get(path) {
                Some(After { entry: None, .. }) => continue,
                Some(After { entry, origin }) => (entry.as_ref(), origin.as_ref()),
                None => (None, None),
            };
            if before == after {
                continue;
            }
            changes.push(Change {
                path: path.clone(),
                before: before.cloned(),
                after: after.cloned(),
                renamed_from: origin.filter(|origin| self.is_gone(origin, path)).cloned(),
            });
        }
        let of_others = |path: &&String| changes.iter().any(|change| change.path == **path);
        let moved: Vec<String> = self.base_changed.iter().filter(of_others).cloned().collect();
        if !moved.is_empty() {
            return Err(SealError::BaseChanged(moved));
        }
        changes.iter().try_for_each(|change| self.require_leave(change))?;
        find_renames(&mut changes);
        Ok(ChangeSet { changes })
    }

    /// Whether what stood at `origin` is no longer there, now that it is at `path`.
    fn is_gone(&self, origin: &str, path: &str) -> bool {
        origin != path
            && match self.after.get(origin) {
                None => true,
                Some(After { entry: None, .. }) => false,
                Some(After { origin: theirs, .. }) => theirs.as_deref() != Some(origin),
            }
    }

    /// The second wall: whatever the operations let through, this is what would be integrated.
    fn require_leave(&self, change: &Change) -> Result<(), SealError> {
        let leave = self.shared.gate.leave(&change.path);
        let only_dirs = [&change.before, &change.after]
            .into_iter()
            .all(|side| matches!(side, None | Some(Entry::Dir)));
        let refused = if only_dirs { leave.no_dir } else { leave.no_write };
        if refused.is_some() {
            return Err(SealError::NotGranted(change.path.clone()));
        }
        match &change.after {
            Some(Entry::Symlink { target })
                if !self.shared.gate.is_plain() && !leads_inside(&change.path, target) =>
            {
                Err(SealError::Escapes(change.path.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// What stood at `path`, if the file may have been written back as it was, so that nothing need be
/// kept. A file that stands anywhere else too is a change there, whatever its content.
fn may_be_unchanged(file: &FileNode, path: &str) -> Option<Entry> {
    let state = file.read();
    let only_here = state.names == 1 && file.origin.as_deref() == Some(path);
    match (&state.body, &state.before) {
        (Body::Upper { upper, .. }, Some(before @ Entry::File { size, .. }))
            if only_here && *size == upper.size() =>
        {
            Some(before.clone())
        }
        _ => None,
    }
}

/// Recognises files that were renamed by writing them anew and deleting the old ones.
fn find_renames(changes: &mut [Change]) {
    let mut gone: HashMap<Digest, Vec<String>> = HashMap::new();
    let taken: BTreeSet<String> =
        changes.iter().filter_map(|change| change.renamed_from.clone()).collect();
    for change in changes.iter().rev() {
        if let (Some(Entry::File { digest, size: 1.., .. }), None) = (&change.before, &change.after)
            && !taken.contains(&change.path)
        {
            gone.entry(*digest).or_default().push(change.path.clone());
        }
    }
    for change in changes.iter_mut() {
        if let (None, Some(Entry::File { digest, .. }), None) =
            (&change.before, &change.after, &change.renamed_from)
        {
            change.renamed_from = gone.get_mut(digest).and_then(Vec::pop);
        }
    }
}
