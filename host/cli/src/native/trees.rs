//! The trees that commands run on, and where they are made.
//!
//! Invariant: a tree is the project with a change-set in it, without what holds secrets; what came
//! of a command is taken for evidence only if the project was the same before and after it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use idumb_core::{Blobs, ChangeSet, Digest, PathGlob};
use idumb_exec::Tree;
use idumb_overlay::Base;
use idumb_overlay::scratch::{
    Layers, Scratch, ScratchOptions, Until, clear, fingerprint, layer, layers_work, materialise,
};
use rustix::fs::OFlags;

use crate::apart::apart;
use crate::home::{Place, TREES};

/// What holds secrets, and is in no command's tree, nor is the repository's history.
const SECRETS: &[&str] = &[
    "**/.git",
    "**/.idumb",
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

/// What says of a folder that it can be made again, as cargo does of `target`, and how it begins:
/// <https://bford.info/cachedir/>.
const CACHE_TAG: (&str, &[u8]) = ("CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55");

/// How the names of rooms begin, and their locks end: nothing else in their place is touched.
const ROOM: (&str, &str) = ("idumb-room-", ".lock");

/// How often a copy is made anew since somebody wrote to the project meanwhile.
const COPIES: u32 = 5;

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
        let place = apart(place, &[root])?;
        own_folder(&place).map_err(|why| format!("{}: {why}", place.display()))?;
        sweep(&place);
        let (folder, lock, held) =
            taken(&place).map_err(|why| format!("{}: {why}", place.display()))?;
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

/// A room that nobody has: where it is, its lock, and the lock held.
fn taken(place: &Path) -> io::Result<(PathBuf, PathBuf, File)> {
    loop {
        // The name is nobody's, whatever other processes there are that have the same number.
        let file = tempfile::Builder::new().prefix(ROOM.0).suffix(ROOM.1).tempfile_in(place)?;
        let (file, lock) = file.keep().map_err(|error| error.error)?;
        // Somebody who sweeps may have it for a moment, and removes it then.
        match file.try_lock() {
            Ok(()) if is_still(&file, &lock)? => {
                let folder = lock.with_extension("");
                return Ok((folder, lock, file));
            }
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(why)) => return Err(why),
        }
    }
}

/// Whether the file stands under that name.
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(found.ino() == file.metadata()?.ino()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

/// The room of which `name` is the lock, by its name.
fn room_of(name: &str) -> Option<&str> {
    let room = name.strip_suffix(ROOM.1)?;
    let rest = room.strip_prefix(ROOM.0)?;
    let plain = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then_some(room)
}

/// Removes the rooms that nobody holds any more.
fn sweep(place: &Path) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let Some(room) = room_of(&name) else { continue };
        let lock = place.join(&name);
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let opened = OpenOptions::new().write(true).custom_flags(flags).open(&lock);
        let Ok(file) = opened else { continue };
        let free = file.try_lock().is_ok() && matches!(is_still(&file, &lock), Ok(true));
        if free && clear(&place.join(room)).is_ok() {
            let _ = std::fs::remove_file(&lock);
        }
    }
}

/// Makes the trees of one project.
pub(super) struct Trees {
    base: Base,
    blobs: Arc<dyn Blobs>,
    /// Where copies are made.
    copies: PathBuf,
    /// What can be made again, and is left out: decided once, before any agent runs.
    caches: Vec<String>,
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
        let caches = caches_at(base.path());
        Self { base, blobs, copies, caches, copies_only, count }
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
        // What the candidate changes is there, whatever says of itself that it can be made again.
        let changed = |cache: &&String| {
            let mut paths = change_set.paths();
            paths.any(|path| path.strip_prefix(cache.as_str()).is_some_and(is_below))
        };
        let caches = self.caches.iter().filter(|cache| !changed(cache));
        for path in caches.chain(without) {
            let glob = path.parse().map_err(|_| io::Error::other(format!("{path} is no path")))?;
            options.exclude.push(glob);
        }
        let name = format!("tree-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let room = room.filter(|_| !self.copies_only.load(Ordering::Relaxed));
        if let Some(room) = room {
            let place = room.folder.join(&name);
            match layer(&self.base, change_set, &self.blobs, &place, &options) {
                Ok(layers) => return Ok(Made::Layers(layers, options)),
                Err(why) if why.kind() == io::ErrorKind::Unsupported => {
                    self.copies_only.store(true, Ordering::Relaxed);
                }
                // There may be room where copies are made.
                Err(why) if why.kind() == io::ErrorKind::StorageFull => {}
                Err(why) => return Err(why),
            }
        }
        self.copied(change_set, &self.copies.join(&name), &options)
    }

    /// A copy of which every file is as it was at one moment.
    fn copied(
        &self,
        change_set: &ChangeSet,
        place: &Path,
        options: &ScratchOptions,
    ) -> io::Result<Made> {
        std::fs::create_dir_all(&self.copies)?;
        for _ in 0..COPIES {
            let made = materialise(&self.base, change_set, &self.blobs, place, options)?;
            if fingerprint(&self.base, change_set, options)? == made.digest {
                return Ok(Made::Copy(made));
            }
            made.remove()?;
        }
        Err(io::Error::other("the project is written to all the time: let it rest"))
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

/// Whether what is left of a path says that it is the folder itself or in it.
fn is_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// The folders at the root that say of themselves that they can be made again: they are large, and
/// what an earlier build left in them is not the candidate's.
fn caches_at(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let tagged = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let tagged = tagged.filter(|entry| is_tag(&entry.path().join(CACHE_TAG.0)).unwrap_or(false));
    let names = tagged.filter_map(|entry| entry.file_name().into_string().ok());
    // One that has a pattern in its name is there like all else.
    let literal = |name: &String| {
        name.parse::<PathGlob>().is_ok_and(|glob| glob.as_literal() == Some(name.as_str()))
    };
    names.filter(literal).collect()
}

fn is_tag(path: &Path) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut begins = Vec::new();
    file.take(CACHE_TAG.1.len() as u64).read_to_end(&mut begins)?;
    Ok(begins == CACHE_TAG.1)
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
        let dead = place.join("idumb-room-Dead01");
        fs::create_dir_all(dead.join("tree-0/upper/locked")).unwrap();
        fs::write(place.join("idumb-room-Dead01.lock"), "").unwrap();
        // What is no room is nobody's business, whatever it is called.
        for other in ["Cargo.lock", "work.lock", "work", "...lock", "idumb-room-.lock"] {
            fs::write(place.join(other), "x").unwrap();
        }
        fs::write(root.join("mine"), "x").unwrap();
        symlink(&root, dead.join("tree-0/upper/link")).unwrap();
        fs::set_permissions(dead.join("tree-0/upper/locked"), fs::Permissions::from_mode(0o0))
            .unwrap();
        let another = Room::within(&place, &root).unwrap();
        assert!(!dead.exists() && root.join("mine").exists());
        assert_eq!(names(&place).len(), 4 + 5, "two rooms, their locks: {:?}", names(&place));
        drop((living, another));
        assert_eq!(names(&place).len(), 5, "{:?}", names(&place));
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
