//! The blob store: each content once, whole, and found again.
//!
//! Invariant: each test has a project of its own.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use idumb_core::{Blobs, Digest};
use idumb_journal::{BlobStore, Error, Lock, StateDir};
use tempfile::TempDir;

fn store() -> (TempDir, Lock, BlobStore) {
    let folder = tempfile::tempdir().unwrap();
    let lock = StateDir::prepare(folder.path()).unwrap().lock().unwrap();
    let store = BlobStore::new(lock.state()).unwrap();
    (folder, lock, store)
}

fn path(lock: &Lock, digest: Digest) -> PathBuf {
    let hex = digest.to_hex();
    lock.state().blobs().join(&hex[..2]).join(hex)
}

fn content(store: &BlobStore, digest: Digest) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.open(digest).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn files(folder: &Path) -> usize {
    let count = |entry: io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path) } else { 1 }
    };
    fs::read_dir(folder).unwrap().map(count).sum()
}

/// Yields some bytes, then fails.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("torn off"));
        }
        let read = buffer.len().min(self.0);
        self.0 -= read;
        Ok(read)
    }
}

#[test]
fn what_is_kept_is_found_by_its_digest() {
    let (_folder, lock, store) = store();
    for size in [0, 1, 65_536, 1_000_001] {
        let bytes: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[1]).collect();
        let (digest, kept) = store.keep(&mut bytes.as_slice()).unwrap();
        assert_eq!((digest, kept), (Digest::of(&bytes), u64::from(size)));
        assert_eq!(content(&store, digest), bytes);
        assert_eq!(store.verify(digest).unwrap(), u64::from(size));
        let mode = fs::metadata(path(&lock, digest)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }
    let absent = store.open(Digest::of(b"never kept")).unwrap_err();
    assert_eq!(absent.kind(), io::ErrorKind::NotFound);
}

#[test]
fn the_same_content_is_stored_once() {
    let (_folder, lock, store) = store();
    let once = store.keep(&mut &b"same"[..]).unwrap();
    assert_eq!(store.keep(&mut &b"same"[..]).unwrap(), once);
    let both = [store.write(&mut &b"same"[..]).unwrap(), store.write(&mut &b"same"[..]).unwrap()];
    store.publish(&both).unwrap();
    assert_eq!(both.each_ref().map(|blob| (blob.digest(), blob.size())), [once, once]);
    drop(both);
    assert_eq!(files(&lock.state().blobs()), 1);
}

#[test]
fn many_are_published_at_once_and_none_before() {
    let (_folder, lock, store) = store();
    let write = |n: u32| store.write(&mut n.to_string().as_bytes()).unwrap();
    let written: Vec<_> = (0..50).map(write).collect();
    for blob in &written {
        assert!(!path(&lock, blob.digest()).exists());
    }
    store.publish(&written).unwrap();
    for (number, blob) in (0..50_u32).zip(&written) {
        assert_eq!(content(&store, blob.digest()), number.to_string().as_bytes());
    }
}

#[test]
fn what_fails_or_is_not_published_leaves_nothing() {
    let (_folder, lock, store) = store();
    let error = store.keep(&mut Broken(100_000)).unwrap_err();
    assert!(error.to_string().contains("torn off"), "{error}");
    drop(store.write(&mut &b"thought better of"[..]).unwrap());
    assert_eq!(files(&lock.state().blobs()), 0);
}

#[test]
fn threads_keep_the_same_and_different_content_at_once() {
    let (_folder, lock, store) = store();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..25_u32 {
                    let (digest, _) = store.keep(&mut n.to_string().as_bytes()).unwrap();
                    assert_eq!(content(&store, digest), n.to_string().as_bytes());
                }
            });
        }
    });
    assert_eq!(files(&lock.state().blobs()), 25);
}

#[test]
fn damage_is_found_and_the_right_bytes_heal_it() {
    let (_folder, lock, store) = store();
    let (digest, _) = store.keep(&mut &b"right"[..]).unwrap();
    let path = path(&lock, digest);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "wrong").unwrap();
    let error = store.verify(digest).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    fs::write(&path, "cut").unwrap();
    assert_eq!(store.keep(&mut &b"right"[..]).unwrap().0, digest);
    assert_eq!(store.verify(digest).unwrap(), 5);
}

#[test]
fn a_sweep_removes_what_nobody_wants_and_nothing_else() {
    let (_folder, lock, mut store) = store();
    let (wanted, _) = store.keep(&mut &b"wanted"[..]).unwrap();
    let (unwanted, _) = store.keep(&mut &b"unwanted"[..]).unwrap();
    let blobs = lock.state().blobs();
    fs::write(blobs.join("new-1-0"), "half").unwrap();
    fs::write(blobs.join("README"), "not ours").unwrap();
    let swept = store.sweep(&lock, |digest| digest == wanted).unwrap();
    assert_eq!((swept.files, swept.bytes), (2, 12));
    assert!(path(&lock, wanted).exists() && !path(&lock, unwanted).exists());
    assert!(blobs.join("README").exists() && !blobs.join("new-1-0").exists());
}

#[test]
fn a_link_in_place_of_a_blob_is_not_followed() {
    let (folder, lock, store) = store();
    let (digest, _) = store.keep(&mut &b"content"[..]).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(path(&lock, digest), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, path(&lock, digest)).unwrap();
    store.open(digest).unwrap_err();
}
