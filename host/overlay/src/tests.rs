//! Tests of the crate as a whole, and what they share.
//!
//! Invariant: a test's project and upper are its own, so tests do not see each other.

mod chance;
mod differential;
mod escape;
mod grants;
mod guards;
mod halt;
mod hostile;
mod paths;
mod races;
mod records;
mod sealing;
mod serial;
mod work;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use idumb_core::{Blobs, ChangeSet, Denial, DenialReason, Digest, Grants};
use tempfile::TempDir;

use crate::{
    Base, FileHandle, FsError, Integrated, OpenFlags, Opened, Quota, ReadView, Sealed, WorkView,
    integrate,
};

/// A blob store for tests: a file for each digest.
pub(crate) struct Store(TempDir);

impl Store {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Puts bytes under a digest, right or wrong.
    pub(crate) fn put(&self, digest: Digest, bytes: &[u8]) {
        fs::write(self.0.path().join(digest.to_hex()), bytes).unwrap();
    }

    /// Forgets a content.
    pub(crate) fn remove(&self, digest: Digest) {
        fs::remove_file(self.0.path().join(digest.to_hex())).unwrap();
    }
}

impl Blobs for Store {
    fn open(&self, digest: Digest) -> io::Result<fs::File> {
        fs::File::open(self.0.path().join(digest.to_hex()))
    }

    fn keep(&self, content: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let digest = Digest::of(&bytes);
        self.put(digest, &bytes);
        Ok((digest, bytes.len() as u64))
    }
}

pub(crate) fn grants(reads: &[&str], writes: &[&str]) -> Grants {
    let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Grants { reads: globs(reads), writes: globs(writes), ..Grants::default() }
}

/// A project on disk, and where the host keeps its things for it.
pub(crate) struct Project {
    pub(crate) dir: TempDir,
    pub(crate) store: Arc<Store>,
    pub(crate) openat2: bool,
}

impl Project {
    /// Makes the files: `a/b` with a content, `a/` a directory, `a -> b` a link.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self::within(TempDir::new().unwrap(), files)
    }

    /// As [`Self::new`], on a disk without delays if there is one.
    pub(crate) fn in_memory(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        Self::within(dir.unwrap(), files)
    }

    fn within(dir: TempDir, files: &[(&str, &str)]) -> Self {
        let project = Self { dir, store: Arc::new(Store::new()), openat2: true };
        fs::create_dir(project.root()).unwrap();
        project.add(files);
        project
    }

    pub(crate) fn add(&self, files: &[(&str, &str)]) {
        for (path, content) in files {
            if let Some((path, target)) = path.split_once(" -> ") {
                symlink(target, self.at(path)).unwrap();
            } else if let Some(path) = path.strip_suffix('/') {
                fs::create_dir_all(self.at(path)).unwrap();
            } else {
                fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
                fs::write(self.at(path), content).unwrap();
            }
        }
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("project")
    }

    pub(crate) fn at(&self, path: &str) -> std::path::PathBuf {
        self.root().join(path)
    }

    pub(crate) fn base(&self) -> Base {
        if self.openat2 {
            Base::open(self.root()).unwrap()
        } else {
            Base::open_without_openat2(self.root()).unwrap()
        }
    }

    pub(crate) fn work(&self, reads: &[&str], writes: &[&str]) -> WorkView {
        self.work_within(reads, writes, Quota::default())
    }

    pub(crate) fn work_within(&self, reads: &[&str], writes: &[&str], quota: Quota) -> WorkView {
        let upper = self.dir.path().join("upper");
        WorkView::new(&self.base(), &upper, grants(reads, writes), quota).unwrap()
    }

    pub(crate) fn reading(&self, reads: &[&str]) -> ReadView {
        ReadView::of_base(&self.base(), grants(reads, &[]))
    }

    pub(crate) fn seal(&self, view: WorkView) -> Sealed {
        view.seal(&*self.store).unwrap()
    }

    pub(crate) fn integrate(
        &self,
        changes: &ChangeSet,
    ) -> Result<Integrated, crate::IntegrateError> {
        integrate(&self.base(), changes, &*self.store, &self.dir.path().join("staging"))
    }

    pub(crate) fn tree(&self) -> BTreeMap<String, String> {
        tree_of(&self.root())
    }
}

/// Runs a case on kernels with and without `openat2`.
pub(crate) fn both(files: &[(&str, &str)], case: impl Fn(&Project)) {
    for openat2 in [true, false] {
        let mut project = Project::new(files);
        project.openat2 = openat2;
        case(&project);
    }
}

/// Everything below `root`, by path: what it is, and its content.
pub(crate) fn tree_of(root: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_dir() {
                left.push(path);
                "dir".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_file() {
                let bit = if meta.permissions().mode() & 0o100 != 0 { "x" } else { "-" };
                format!("{bit} {}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
            } else {
                "special".to_owned()
            };
            tree.insert(name, what);
        }
    }
    tree
}

pub(crate) const WRITE: OpenFlags = OpenFlags { write: true, ..OpenFlags::READ };
pub(crate) const CREATE: OpenFlags = OpenFlags { create: true, truncate: true, ..WRITE };

pub(crate) fn file(opened: Opened) -> FileHandle {
    match opened {
        Opened::File(file) => file,
        Opened::Dir(_) => panic!("a directory"),
    }
}

pub(crate) fn content(file: &FileHandle) -> String {
    let mut bytes = vec![0; 1 << 16];
    let n = file.read_at(&mut bytes, 0).unwrap();
    String::from_utf8(bytes[..n].to_vec()).unwrap()
}

pub(crate) fn read(view: &ReadView, path: &str) -> Result<String, FsError> {
    match view.open(view.root(), path, true, OpenFlags::READ)? {
        Opened::File(file) => Ok(content(&file)),
        Opened::Dir(_) => Err(FsError::IsDirectory),
    }
}

pub(crate) fn write(view: &WorkView, path: &str, content: &str) -> Result<(), FsError> {
    let opened = view.open(view.root(), path, true, CREATE)?;
    file(opened).write_at(content.as_bytes(), 0).map(drop)
}

pub(crate) fn names(view: &ReadView, path: &str) -> Vec<String> {
    let flags = OpenFlags { directory: true, ..OpenFlags::READ };
    let Opened::Dir(node) = view.open(view.root(), path, true, flags).unwrap() else {
        panic!("{path} is no directory");
    };
    view.read_dir(node).unwrap().map(|entry| entry.name).collect()
}

/// The names and kinds in a directory, as text.
pub(crate) fn names_in(view: &ReadView, path: &str) -> Result<String, FsError> {
    let flags = OpenFlags { directory: true, ..OpenFlags::READ };
    match view.open(view.root(), path, true, flags)? {
        Opened::Dir(node) => view.read_dir(node).map(|entries| format!("{entries:?}")),
        Opened::File(_) => Err(FsError::NotDirectory),
    }
}

pub(crate) fn denials(view: &ReadView) -> Vec<Denial> {
    view.record().denials
}

/// The reasons and paths of the denials so far.
pub(crate) fn reasons(view: &ReadView) -> Vec<(String, DenialReason)> {
    denials(view).into_iter().map(|denial| (denial.path, denial.reason)).collect()
}

#[track_caller]
pub(crate) fn fails<T: std::fmt::Debug>(result: Result<T, FsError>, expected: &str) {
    match result {
        Ok(value) => panic!("succeeded with {value:?}, expected {expected}"),
        Err(error) => assert_eq!(name_of(&error), expected, "{error}"),
    }
}

/// The variant's name.
pub(crate) fn name_of(error: &FsError) -> String {
    format!("{error:?}").split('(').next().unwrap_or_default().to_owned()
}
