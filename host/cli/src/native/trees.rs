//! The trees that commands run on, and where they are made.
//!
//! Invariant: a tree is the project with a change-set in it, without what holds secrets; what came
//! of a command is taken for evidence only if the project was the same before and after it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use idumb_core::{Blobs, ChangeSet, Digest, PathGlob};
use idumb_exec::Tree;
use idumb_overlay::Base;
use idumb_overlay::scratch::{
    Layers, Scratch, ScratchOptions, Until, clear, fingerprint, layer, layers_work, materialise,
};

use crate::apart::apart;
use crate::home::{Place, TREES};

/// What holds secrets, and is in no command's tree, nor is the repository's history.
const SECRETS: &[&str] = &[
    "**/.git",
    "**/.env*",
    "**/.npmrc",
    "**/.netrc",
    "**/.pypirc",
    "**/.git-credentials",
    "**/.cargo/credentials*",
    "**/.docker",
    "**/.aws",
    "**/.gnupg",
    "**/.ssh",
];

/// What says of a folder that it can be made again, as cargo does of `target`:
/// <https://bford.info/cachedir/>.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// A private folder of this process, apart from the project, in which layers over it are made:
/// overlayfs takes no layer that is in another. What dead processes left beside it goes.
#[derive(Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    /// Held as long as the room is used.
    lock: PathBuf,
    _held: File,
}

impl Room {
    /// A room for layers over the project at `root`.
    ///
    /// # Errors
    /// Why there are none here, for people.
    pub(super) fn new(root: &Path) -> Result<Self, String> {
        let place =
            Place::here(TREES).ok_or_else(|| format!("no {} and no HOME", TREES.variable))?;
        Self::within(&place.folder, root)
    }

    fn within(place: &Path, root: &Path) -> Result<Self, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let place = apart(place, &[root])?;
        own_folder(&place).map_err(|why| format!("{}: {why}", place.display()))?;
        sweep(&place);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{count}", std::process::id());
        let (folder, lock) = (place.join(&name), place.join(format!("{name}.lock")));
        let told = |why: io::Error| format!("{}: {why}", folder.display());
        let held = locked(&lock).map_err(told)?;
        let room = Self { folder, lock, _held: held };
        let made = clear(&room.folder).and_then(|()| private().create(&room.folder));
        made.and_then(|()| layers_work(&room.folder))
            .map_err(|why| format!("{}: {why}", room.folder.display()))?;
        Ok(room)
    }

    /// Layers over nothing, and the tree that they are, to try walls on.
    pub(super) fn trial(&self) -> Result<(Tree, Layers), String> {
        let base = self.folder.join("nothing");
        let made = private().create(&base).and_then(|()| Base::open(&base)).and_then(|base| {
            let (none, options) = (ChangeSet::default(), ScratchOptions::default());
            let blobs: Arc<dyn Blobs> = Arc::new(Nothing);
            layer(&base, &none, &blobs, &self.folder.join("trial"), &options)
        });
        let layers = made.map_err(|why| why.to_string())?;
        Ok((tree_of(&layers), layers))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Whoever sweeps next does it, if this cannot.
        if clear(&self.folder).is_ok() {
            let _ = std::fs::remove_file(&self.lock);
        }
    }
}

fn private() -> std::fs::DirBuilder {
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Sees to it that a folder is there, that it is the user's own, and nobody else may write there.
fn own_folder(folder: &Path) -> io::Result<()> {
    private().recursive(true).create(folder)?;
    let meta = std::fs::symlink_metadata(folder)?;
    let own = meta.uid() == rustix::process::geteuid().as_raw();
    match meta.is_dir() && own && meta.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(io::Error::other("it is not yours alone")),
    }
}

/// A new lock file, held.
fn locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        // Somebody who swept may have removed it before it was held.
        let same = |found: std::fs::Metadata| Ok(found.ino() == file.metadata()?.ino());
        match std::fs::metadata(path).and_then(same) {
            Ok(true) => return Ok(file),
            Ok(false) => {}
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
}

/// Removes the rooms that nobody holds any more.
fn sweep(place: &Path) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    for lock in entries.flatten().map(|entry| entry.path()) {
        if lock.extension().is_none_or(|ending| ending != "lock") {
            continue;
        }
        let Ok(file) = OpenOptions::new().write(true).open(&lock) else { continue };
        match file.try_lock() {
            Ok(()) if clear(&lock.with_extension("")).is_ok() => {
                let _ = std::fs::remove_file(&lock);
            }
            Ok(()) | Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

/// Makes the trees of one project.
pub(super) struct Trees {
    base: Base,
    blobs: Arc<dyn Blobs>,
    /// Where copies are made.
    copies: PathBuf,
    /// Whether something in the project cannot be layered over.
    copies_only: AtomicBool,
    count: AtomicU64,
}

/// A tree that was made.
pub(super) enum Made {
    Layers(Layers, ScratchOptions),
    Copy(Scratch),
}

impl Trees {
    pub(super) fn new(base: Base, blobs: Arc<dyn Blobs>, copies: PathBuf) -> Self {
        let (copies_only, count) = Default::default();
        Self { base, blobs, copies, copies_only, count }
    }

    /// A new tree: the base with `change_set` in it, without what `without` says, by layers in
    /// `room` if that is given and they can be had.
    pub(super) fn make(
        &self,
        change_set: &ChangeSet,
        without: &[String],
        room: Option<&Room>,
        over: &Arc<AtomicBool>,
    ) -> io::Result<Made> {
        let until = Arc::clone(over);
        let mut options = ScratchOptions {
            until: Until::over(move || until.load(Ordering::Relaxed)),
            ..ScratchOptions::default()
        };
        options.exclude.extend(SECRETS.iter().filter_map(|text| text.parse().ok()));
        options.exclude.extend(caches_at(self.base.path()));
        options.exclude.extend(without.iter().filter_map(|path| path.parse().ok()));
        let name = format!("tree-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let room = room.filter(|_| !self.copies_only.load(Ordering::Relaxed));
        if let Some(room) = room {
            let place = room.folder.join(&name);
            match layer(&self.base, change_set, &self.blobs, &place, &options) {
                Ok(layers) => return Ok(Made::Layers(layers, options)),
                Err(why) if why.kind() == io::ErrorKind::Unsupported => {
                    self.copies_only.store(true, Ordering::Relaxed);
                }
                Err(why) => return Err(why),
            }
        }
        std::fs::create_dir_all(&self.copies)?;
        let place = self.copies.join(&name);
        materialise(&self.base, change_set, &self.blobs, &place, &options).map(Made::Copy)
    }

    /// Whether what a command saw of the project is what `made` says: nobody wrote to it meanwhile.
    pub(super) fn is_steady(&self, made: &Made, change_set: &ChangeSet) -> io::Result<bool> {
        match made {
            // Its own since before the command began.
            Made::Copy(_) => Ok(true),
            Made::Layers(layers, options) => {
                Ok(fingerprint(&self.base, change_set, options)? == layers.digest)
            }
        }
    }
}

impl Made {
    pub(super) fn digest(&self) -> Digest {
        match self {
            Self::Layers(layers, _) => layers.digest,
            Self::Copy(scratch) => scratch.digest,
        }
    }

    pub(super) fn tree(&self) -> Tree {
        match self {
            Self::Layers(layers, _) => tree_of(layers),
            Self::Copy(scratch) => scratch.path.as_path().into(),
        }
    }

    /// Where the files are that a command wrote.
    pub(super) fn written(&self) -> PathBuf {
        match self {
            Self::Layers(layers, _) => layers.written(),
            Self::Copy(scratch) => scratch.path.clone(),
        }
    }

    pub(super) fn remove(self) -> io::Result<()> {
        match self {
            Self::Layers(layers, _) => layers.remove(),
            Self::Copy(scratch) => scratch.remove(),
        }
    }
}

fn tree_of(layers: &Layers) -> Tree {
    Tree { path: layers.merged(), enter: layers.enter(std::iter::empty::<&str>()) }
}

/// The folders at the root that say of themselves that they can be made again: they are large, and
/// what an earlier build left in them is not the candidate's.
fn caches_at(root: &Path) -> Vec<PathGlob> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let tagged = entries.filter(|entry| entry.path().join(CACHE_TAG).is_file());
    tagged.filter_map(|entry| entry.file_name().into_string().ok()?.parse().ok()).collect()
}

/// The blobs of a change-set that has no files.
struct Nothing;

impl Blobs for Nothing {
    fn open(&self, _: Digest) -> io::Result<File> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn keep(&self, _: &mut dyn io::Read) -> io::Result<(Digest, u64)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn rooms_of_the_dead_go_and_those_of_the_living_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (place, root) = (dir.path().join("trees"), dir.path().join("project"));
        fs::create_dir(&root).unwrap();
        let living = Room::within(&place, &root).unwrap();
        // What a process left that was killed, with what a command may have left in it.
        let dead = place.join("1-0");
        fs::create_dir_all(dead.join("tree-0/upper/locked")).unwrap();
        fs::write(place.join("1-0.lock"), "").unwrap();
        fs::write(root.join("mine"), "x").unwrap();
        symlink(&root, dead.join("tree-0/upper/link")).unwrap();
        fs::set_permissions(dead.join("tree-0/upper/locked"), fs::Permissions::from_mode(0o0))
            .unwrap();
        let another = Room::within(&place, &root).unwrap();
        assert!(!dead.exists() && root.join("mine").exists());
        assert_eq!(names(&place).len(), 4, "two rooms and their locks: {:?}", names(&place));
        drop((living, another));
        assert!(names(&place).is_empty(), "{:?}", names(&place));
    }

    #[test]
    fn a_place_that_is_not_the_users_alone_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("project");
        fs::create_dir(&root).unwrap();
        let refused = |place: &Path| Room::within(place, &root).map(drop).unwrap_err();
        assert!(refused(&root.join("trees")).contains("is not apart from"));
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(refused(&open).contains("not yours alone"));
        let link = dir.path().join("link");
        symlink(dir.path(), &link).unwrap();
        assert!(refused(&link).contains("not yours alone"));
        assert!(names(&open).is_empty());
    }
}
