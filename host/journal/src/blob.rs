//! Blobs: the bytes of files, each stored once, under the name of its digest.
//!
//! Invariant: under a final name stands a blob that is whole and on the disk, or damage
//! that [`BlobStore::verify`] finds.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use idumb_core::{Blobs, Digest};

use crate::durable::{create_new, remove_if_there, sync_folder, sync_together};
use crate::state::entry;
use crate::{Error, Lock, Result, StateDir};

/// What the name of a blob that is being written starts with.
const UNPUBLISHED: &str = "new-";

/// Tells the files that this process is writing from each other.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The blobs of a project, in `.idumb/state/blobs/<2 hex digits>/<64 hex digits>`.
///
/// Any number of threads may keep and open at once.
#[derive(Debug)]
pub struct BlobStore {
    folder: PathBuf,
    /// The folders whose names are on the disk.
    durable: Mutex<BTreeSet<PathBuf>>,
}

/// A blob that is written but not published: dropped, it leaves nothing behind.
#[must_use = "a blob is kept only once it is published"]
#[derive(Debug)]
pub struct Written<'a> {
    store: &'a BlobStore,
    file: File,
    path: PathBuf,
    digest: Digest,
    size: u64,
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files.
    pub files: u64,
    /// Their sizes, together.
    pub bytes: u64,
}

impl BlobStore {
    /// The blobs of that folder; makes the place for them.
    ///
    /// # Errors
    /// [`Error::Symlink`], [`Error::StorageFull`], or what the operating system says.
    pub fn new(state: &StateDir) -> Result<Self> {
        let folder = state.blobs();
        if entry(&folder)?.is_none() {
            make_folder(&folder).map_err(Error::io("make the folder", &folder))?;
        }
        // In this order: what is listed is what the sync covered, or less.
        let there = entries(&folder)?.iter().map(DirEntry::path).collect();
        sync_folder(&folder).map_err(Error::io("sync", &folder))?;
        Ok(Self { folder, durable: Mutex::new(there) })
    }

    /// The blobs of that folder, if there is a place for them; makes nothing.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn find(state: &StateDir) -> Result<Option<Self>> {
        let folder = state.blobs();
        let found = Self { folder, durable: Mutex::default() };
        Ok(entry(&found.folder)?.is_some().then_some(found))
    }

    /// Writes everything `content` yields aside, to be published, with others, at once.
    ///
    /// # Errors
    /// Any error of reading or of the store.
    pub fn write(&self, content: &mut dyn Read) -> io::Result<Written<'_>> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{UNPUBLISHED}{}-{count}", std::process::id());
        let path = self.folder.join(name);
        // An earlier process of this number left it when it was killed.
        remove_if_there(&path)?;
        let file = create_new(&path, 0o400).map_err(at(&path))?;
        // From here on dropping it removes the file; the digest is filled in below.
        let mut written = Written { store: self, file, path, digest: Digest::of(b""), size: 0 };
        let copy = Copy { from: content, to: &written.file };
        (written.digest, written.size) = Digest::of_reader(copy)?;
        Ok(written)
    }

    /// Publishes blobs: they are on the disk, under their final names, when this returns.
    /// The more at once, the less each one costs.
    ///
    /// # Errors
    /// Any error of the store; then some may have been published.
    pub fn publish(&self, blobs: &[Written<'_>]) -> io::Result<()> {
        for blob in blobs {
            assert!(std::ptr::eq(blob.store, self), "a blob is published where it was written");
        }
        let mut new = Vec::new();
        let mut shards = BTreeSet::new();
        for blob in blobs {
            let path = self.path(blob.digest);
            // Also for one that is there: whoever renamed it may have died before its sync.
            shards.insert(path.parent().unwrap_or(&self.folder).to_owned());
            if !self.holds(blob)? {
                new.push((blob, path));
            }
        }
        let files: Vec<&File> = new.iter().map(|(blob, _)| &blob.file).collect();
        sync_together(&files).map_err(at(&self.folder))?;
        let made = self.make_shards(&shards)?;
        for (blob, path) in &new {
            fs::rename(&blob.path, path).map_err(at(path))?;
        }
        let folders = shards.iter().chain(made.then_some(&self.folder));
        let folders: Vec<File> = folders.map(File::open).collect::<io::Result<_>>()?;
        sync_together(&folders.iter().collect::<Vec<_>>()).map_err(at(&self.folder))?;
        self.durable().extend(shards);
        Ok(())
    }

    /// Reads the blob again and compares its digest; returns its size.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not what was kept; what the operating system says, such
    /// as `NotFound`.
    pub fn verify(&self, digest: Digest) -> Result<u64> {
        let path = self.path(digest);
        let (found, size) =
            self.open(digest).and_then(Digest::of_reader).map_err(Error::io("read", &path))?;
        if found == digest {
            Ok(size)
        } else {
            let what = format!("its content has the digest {found}");
            Err(Error::Damaged { path, what })
        }
    }

    /// Removes the blobs that `keep` does not want, and what killed processes left half
    /// written. `&mut`: nobody may be keeping anything meanwhile.
    ///
    /// # Errors
    /// What the operating system says; then some may have been removed.
    ///
    /// # Panics
    /// If `lock` is another folder's.
    pub fn sweep(&mut self, lock: &Lock, keep: impl Fn(Digest) -> bool) -> Result<Swept> {
        assert_eq!(lock.state().blobs(), self.folder, "the lock of these blobs");
        let mut swept = Swept::default();
        for shard in entries(&self.folder)? {
            let name = shard.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNPUBLISHED) {
                swept.remove(&shard)?;
            } else if name.len() == 2 && shard.file_type().is_ok_and(|kind| kind.is_dir()) {
                for blob in entries(&shard.path())? {
                    // What has another name is not ours to remove.
                    let digest = blob.file_name().to_str().and_then(|name| name.parse().ok());
                    if digest.is_some_and(|digest| !keep(digest)) {
                        swept.remove(&blob)?;
                    }
                }
            }
        }
        Ok(swept)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_hex();
        self.folder.join(&hex[..2]).join(hex)
    }

    /// Makes the folders that are missing; whether the names of any are still to be synced.
    fn make_shards(&self, shards: &BTreeSet<PathBuf>) -> io::Result<bool> {
        let durable = self.durable().clone();
        let missing: Vec<&PathBuf> = shards.difference(&durable).collect();
        missing.iter().try_for_each(|shard| make_folder(shard))?;
        Ok(!missing.is_empty())
    }

    fn durable(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the blob is there already. One of another size is damaged, and the bytes
    /// at hand take its place.
    fn holds(&self, blob: &Written<'_>) -> io::Result<bool> {
        match fs::symlink_metadata(self.path(blob.digest)) {
            Ok(found) => Ok(found.is_file() && found.len() == blob.size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Blobs for BlobStore {
    fn open(&self, digest: Digest) -> io::Result<File> {
        let path = self.path(digest);
        OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(at(&path))
    }

    fn keep(&self, content: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let blob = self.write(content)?;
        self.publish(std::slice::from_ref(&blob))?;
        Ok((blob.digest, blob.size))
    }
}

impl Written<'_> {
    /// Of the content.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        // Gone already if it was published; else the next sweep removes what this cannot.
        let _ = fs::remove_file(&self.path);
    }
}

impl Swept {
    fn remove(&mut self, file: &DirEntry) -> Result<()> {
        let path = file.path();
        let size = file.metadata().map_err(Error::io("look at", &path))?.len();
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        self.files += 1;
        self.bytes += size;
        Ok(())
    }
}

/// Yields what it reads from one side after writing it to the other.
struct Copy<'a> {
    from: &'a mut dyn Read,
    to: &'a File,
}

impl Read for Copy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.to.write_all(&buffer[..read])?;
        Ok(read)
    }
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    fs::read_dir(folder).and_then(|entries| entries.collect()).map_err(Error::io("list", folder))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(at(path)),
    }
}

/// Adds the place to an error and keeps its kind.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
