//! Compiled components, kept between processes. Why and how: `docs/decisions/0005`.
//!
//! Invariant: the file that is mapped is the file that was checked: a private one of this user,
//! in a private folder of this user, which nothing of ours writes to once it has its name.
//! Whatever is wrong here costs time (the component is compiled again) and is no error.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use idumb_core::Digest;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use wasmtime::Engine;
use wasmtime::component::Component;

/// How what stands behind the code begins: what it is, and the version of its format.
const MAGIC: &[u8; 16] = b"idumb-compiled-2";

/// The hex digits of a digest.
const HEX: usize = 64;

/// What stands behind the code, which is mapped from the beginning of the file: magic, key,
/// length of the code, digest of the code.
const FOOTER: usize = MAGIC.len() + HEX + size_of::<u64>() + HEX;

/// How the names of entries end, and of those that are being written.
const ENTRY: &str = ".compiled";
const ASIDE: &str = ".aside";

/// What all entries together may take, in bytes, unless told otherwise.
const MAX_BYTES: u64 = 512 << 20;

/// A folder with compiled components.
///
/// What lies in it runs as the host: it must be where no agent can write, so the caller
/// must not place it inside a project.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Arc<OwnedFd>,
    max_bytes: u64,
}

/// Why a folder cannot hold compiled components.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is a symbolic link: another place than the one that was named.
    #[error("{} is a symbolic link", path.display())]
    Symlink {
        /// The folder.
        path: PathBuf,
    },
    /// Something else stands there.
    #[error("{} is no folder", path.display())]
    NotAFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Somebody else could have put code there.
    #[error("{} belongs to user {owner}, not to user {user}", path.display())]
    NotOwned {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// Somebody else may look at it or write there.
    #[error("{} is open to others (mode {mode:03o}, not 700)", path.display())]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Machine code whose origin is known.
pub(crate) enum Code {
    /// What the compiler answered.
    Compiled(Vec<u8>),
    /// The file that passed every check of [`Cache::load`].
    Checked(File),
}

impl Code {
    /// What the compiler answered, just now.
    pub(crate) fn of_the_compiler(code: Vec<u8>) -> Self {
        Self::Compiled(code)
    }

    /// The component.
    ///
    /// # Errors
    /// If another version or another configuration compiled it, or it wants more of the engine
    /// than there is.
    pub(crate) fn into_component(self, engine: &Engine) -> wasmtime::Result<Component> {
        #[expect(unsafe_code, reason = "nothing but its origin can vouch for machine code")]
        // SAFETY: `deserialize` wants the unmodified output of `Component::serialize`. The
        // compiler is this program. `keep` is given nothing else, and the digest says that a
        // file's bytes are what it was given. Who could forge an entry that passes, or write to
        // one after it was checked, acts as this user, and could as well replace this program:
        // the folder is this user's alone, and no agent's files reach it.
        unsafe {
            match self {
                Self::Compiled(code) => Component::deserialize(engine, &code),
                Self::Checked(file) => {
                    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                    Component::deserialize_file(engine, path)
                }
            }
        }
    }
}

impl Cache {
    /// Opens the folder; makes it and the folders above it, for this user alone, if there is
    /// none.
    ///
    /// # Errors
    /// If it is not a folder of this user (links are not followed) that nobody else can
    /// reach into.
    pub fn open(folder: &Path) -> Result<Self, Unusable> {
        // Without a slash at the end, which would have a link followed.
        let path: PathBuf = folder.components().collect();
        let told = |source| Unusable::Io { path: path.clone(), source };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
                return Err(match link {
                    true => Unusable::Symlink { path },
                    false => Unusable::NotAFolder { path },
                });
            }
            // What kept it from being made says more than that it is not there.
            Err(error) => return Err(told(made.err().unwrap_or_else(|| error.into()))),
        };
        let found = rustix::fs::fstat(&folder).map_err(|error| told(error.into()))?;
        let user = rustix::process::geteuid().as_raw();
        if found.st_uid != user {
            return Err(Unusable::NotOwned { path, owner: found.st_uid, user });
        }
        if found.st_mode & 0o077 != 0 {
            return Err(Unusable::NotPrivate { path, mode: found.st_mode & 0o777 });
        }
        Ok(Self { folder: Arc::new(folder), max_bytes: MAX_BYTES })
    }

    /// The same, where all entries together take at most `max_bytes`: those that were not
    /// used for longest go first.
    #[must_use]
    pub fn bounded(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// What was kept for `key`, if there is an entry that nothing is wrong with.
    pub(crate) fn load(&self, key: Digest) -> Option<Code> {
        // Opening must not wait for a pipe's other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, entry(key), flags, Mode::empty()).ok()?;
        let found = rustix::fs::fstat(&file).ok()?;
        if !is_private_file(&found) {
            return None;
        }
        let size = u64::try_from(found.st_size).ok()?;
        let length = size.checked_sub(FOOTER as u64).filter(|_| size <= self.max_bytes)?;
        let mut file = File::from(file);
        let (digest, read) = Digest::of_reader(Read::by_ref(&mut file).take(length)).ok()?;
        // One byte more than there should be, to notice it.
        let mut behind = Vec::with_capacity(FOOTER + 1);
        Read::by_ref(&mut file).take(FOOTER as u64 + 1).read_to_end(&mut behind).ok()?;
        if read != length || behind != footer(key, length, digest) {
            return None;
        }
        // Only the order of eviction depends on it.
        let _ = rustix::fs::futimens(&file, &now());
        Some(Code::Checked(file))
    }

    /// Keeps what was compiled for `key`, instead of what was kept before.
    ///
    /// `body` must come from [`Component::serialize`]: it will be run.
    pub(crate) fn keep(&self, key: Digest, body: &[u8]) {
        // A full disk, or one that cannot be written: the next process compiles again.
        let _ = self.write(key, body).and_then(|()| self.evict());
    }

    fn write(&self, key: Digest, body: &[u8]) -> io::Result<()> {
        if (FOOTER + body.len()) as u64 > self.max_bytes {
            return Ok(());
        }
        let aside = format!("{}.{:016x}{ASIDE}", key.to_hex(), random());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(&self.folder, &aside, flags, mode)?);
        // Not synced: what a crash leaves of it does not have its digest.
        let footer = footer(key, body.len() as u64, Digest::of(body));
        let written = file.write_all(body).and_then(|()| file.write_all(&footer));
        let placed = written.and_then(|()| {
            Ok(rustix::fs::renameat(&self.folder, &aside, &self.folder, entry(key))?)
        });
        if placed.is_err() {
            let _ = rustix::fs::unlinkat(&self.folder, &aside, AtFlags::empty());
        }
        placed
    }

    /// Removes what was not used for longest, until the rest fits.
    ///
    /// Others may do the same at the same time, or use what is removed here: they have it
    /// open, or compile.
    fn evict(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for item in Dir::read_from(&self.folder)? {
            let item = item?;
            let name = item.file_name();
            // Whatever else somebody keeps in this folder is not ours to remove.
            if !is_name(name.to_bytes()) {
                continue;
            }
            let Ok(seen) = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let size = u64::try_from(seen.st_size).unwrap_or(0);
            found.push(((seen.st_mtime, seen.st_mtime_nsec), size, name.to_owned()));
        }
        found.sort();
        let mut total: u64 = found.iter().map(|(_, size, _)| size).sum();
        for (_, size, name) in found {
            if total <= self.max_bytes {
                break;
            }
            let _ = rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty());
            total -= size;
        }
        Ok(())
    }
}

fn entry(key: Digest) -> String {
    format!("{}{ENTRY}", key.to_hex())
}

/// Whether a file in the folder was named by us.
fn is_name(name: &[u8]) -> bool {
    let Some((key, rest)) = name.split_at_checked(HEX) else { return false };
    key.iter().all(u8::is_ascii_hexdigit)
        && (rest == ENTRY.as_bytes() || rest.ends_with(ASIDE.as_bytes()))
}

/// A regular file of this user that nobody else may touch.
fn is_private_file(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
        && found.st_uid == rustix::process::geteuid().as_raw()
        && found.st_mode & 0o077 == 0
}

/// What stands behind the code in the entry of `key`.
fn footer(key: Digest, length: u64, digest: Digest) -> Vec<u8> {
    [MAGIC.as_slice(), key.to_hex().as_bytes(), &length.to_le_bytes(), digest.to_hex().as_bytes()]
        .concat()
}

fn now() -> Timestamps {
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    Timestamps { last_access: now, last_modification: now }
}

/// A number that no other process is likely to have; if one does, nothing is kept.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::*;

    const BODY: &[u8] = b"not really machine code";

    fn cache() -> (TempDir, PathBuf, Cache) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("above/cache");
        let cache = Cache::open(&path).unwrap();
        (folder, path, cache)
    }

    fn key(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn loaded(cache: &Cache, name: &str) -> Option<Vec<u8>> {
        match cache.load(key(name))? {
            Code::Compiled(code) => Some(code),
            Code::Checked(mut file) => {
                use std::io::Seek as _;
                let mut code = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut code).unwrap();
                code.truncate(code.len() - FOOTER);
                Some(code)
            }
        }
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_kept_is_loaded_and_private() {
        let (_folder, path, cache) = cache();
        assert_eq!(loaded(&cache, "one"), None);
        cache.keep(key("one"), BODY);
        cache.keep(key("two"), b"");
        cache.keep(key("one"), b"newer");
        assert_eq!(loaded(&cache, "one").unwrap(), b"newer");
        assert_eq!(loaded(&Cache::open(&path).unwrap(), "two").unwrap(), b"");
        assert_eq!(names(&path).len(), 2, "something was left: {:?}", names(&path));
        assert_eq!(mode(&path.join(entry(key("one")))), 0o600);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
    }

    #[test]
    fn an_altered_byte_anywhere() {
        let (_folder, path, cache) = cache();
        cache.keep(key("one"), BODY);
        let file = path.join(entry(key("one")));
        let whole = fs::read(&file).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&file, bytes).unwrap();
            assert_eq!(loaded(&cache, "one"), None, "byte {place}");
        }
    }

    #[test]
    fn an_entry_cut_short_anywhere_or_with_more_at_its_end() {
        let (_folder, path, cache) = cache();
        cache.keep(key("one"), BODY);
        let file = path.join(entry(key("one")));
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(loaded(&cache, "one"), None, "{length} bytes");
        }
        fs::write(&file, [whole.as_slice(), b"!"].concat()).unwrap();
        assert_eq!(loaded(&cache, "one"), None);
        cache.keep(key("one"), BODY);
        assert_eq!(loaded(&cache, "one").unwrap(), BODY);
    }

    /// A file larger than all entries together may be is not even read.
    #[test]
    fn a_length_beyond_reason() {
        let (_folder, path, cache) = cache();
        let file = path.join(entry(key("one")));
        File::create(&file).unwrap().set_len(1 << 40).unwrap();
        set_mode(&file, 0o600);
        assert_eq!(loaded(&cache, "one"), None);
    }

    #[test]
    fn an_entry_under_the_name_of_another() {
        let (_folder, path, cache) = cache();
        cache.keep(key("one"), BODY);
        fs::rename(path.join(entry(key("one"))), path.join(entry(key("two")))).unwrap();
        assert_eq!(loaded(&cache, "two"), None);
    }

    #[test]
    fn a_link_is_not_followed_and_is_replaced_itself() {
        let (folder, path, cache) = cache();
        cache.keep(key("one"), BODY);
        let (file, elsewhere) = (path.join(entry(key("one"))), folder.path().join("elsewhere"));
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert_eq!(loaded(&cache, "one"), None);
        cache.keep(key("one"), b"newer");
        assert_eq!(loaded(&cache, "one").unwrap(), b"newer");
        assert!(fs::read(&elsewhere).unwrap().starts_with(BODY), "it was written through the link");
    }

    #[test]
    fn an_entry_that_others_may_touch() {
        let (_folder, path, cache) = cache();
        cache.keep(key("one"), BODY);
        for mode in [0o640, 0o620, 0o604, 0o602, 0o601] {
            set_mode(&path.join(entry(key("one"))), mode);
            assert_eq!(loaded(&cache, "one"), None, "{mode:o}");
        }
        cache.keep(key("one"), BODY);
        assert_eq!(loaded(&cache, "one").unwrap(), BODY);
    }

    #[test]
    fn an_entry_of_somebody_else() {
        let (_folder, path, cache) = cache();
        cache.keep(key("one"), BODY);
        // Only root can give a file away; for others there is nothing to try.
        if chown(path.join(entry(key("one"))), Some(12345), None).is_ok() {
            assert_eq!(loaded(&cache, "one"), None);
        }
    }

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_in_the_way() {
        let (_folder, path, cache) = cache();
        let pipe = path.join(entry(key("pipe")));
        let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
        rustix::fs::mknodat(CWD, &pipe, kind, mode, 0).unwrap();
        assert_eq!(loaded(&cache, "pipe"), None);
        fs::create_dir(path.join(entry(key("folder")))).unwrap();
        assert_eq!(loaded(&cache, "folder"), None);
        // A folder cannot be replaced: nothing is kept, and nothing is left behind.
        cache.keep(key("folder"), BODY);
        assert_eq!(loaded(&cache, "folder"), None);
        assert_eq!(names(&path).len(), 2, "{:?}", names(&path));
    }

    #[test]
    fn a_folder_that_is_gone_keeps_nothing() {
        let (_folder, path, cache) = cache();
        fs::remove_dir(&path).unwrap();
        cache.keep(key("one"), BODY);
        assert_eq!(loaded(&cache, "one"), None);
        assert!(!path.exists());
    }

    /// The folder that was checked is the one that is used, whatever has its name later.
    #[test]
    fn a_folder_that_is_exchanged_is_not_followed() {
        let (folder, path, cache) = cache();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        fs::create_dir(&path).unwrap();
        cache.keep(key("one"), BODY);
        assert_eq!(loaded(&cache, "one").unwrap(), BODY);
        assert!(names(&path).is_empty());
    }

    fn refused(path: &Path) -> Unusable {
        Cache::open(path).expect_err("it was opened")
    }

    #[test]
    fn a_link_to_a_folder_is_refused() {
        let (folder, path, _) = cache();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [link.clone(), link.join(""), link.join(".")] {
            assert!(matches!(refused(&path), Unusable::Symlink { .. }), "{path:?}");
        }
        fs::remove_dir(&path).unwrap();
        assert!(matches!(refused(&link), Unusable::Symlink { .. }));
        assert!(!path.exists(), "it was made where the link leads");
    }

    #[test]
    fn a_folder_that_others_may_reach_into_is_refused() {
        let (_folder, path, _) = cache();
        for mode in [0o777, 0o770, 0o707, 0o750, 0o710, 0o701] {
            set_mode(&path, mode);
            let refused = refused(&path);
            assert!(refused.to_string().contains(&format!("mode {mode:o}, not 700")), "{refused}");
        }
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        let (_folder, path, _) = cache();
        // Only root can give a folder away; for others the root's is somebody else's.
        let given = chown(&path, Some(12345), None).is_ok();
        let path = if given { path } else { PathBuf::from("/") };
        let refused = refused(&path);
        assert!(matches!(refused, Unusable::NotOwned { .. }), "{refused}");
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let (folder, ..) = cache();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(refused(&file), Unusable::NotAFolder { .. }));
        assert!(matches!(refused(&file.join("below")), Unusable::NotAFolder { .. }));
        let refused = refused(Path::new("/proc/self/cache"));
        assert!(matches!(refused, Unusable::Io { .. }), "{refused}");
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_nothing_of_others() {
        let (_folder, path, cache) = cache();
        let size = (FOOTER + BODY.len()) as u64;
        let cache = cache.bounded(3 * size);
        let old = |name: &str, age: u64| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 - age);
            let file = File::options().write(true).open(path.join(name)).unwrap();
            file.set_modified(time).unwrap();
        };
        let others = ["precious.txt", "0123.compiled", &"0".repeat(HEX)];
        for name in others {
            fs::write(path.join(name), [0; 4096]).unwrap();
            old(name, 9_000);
        }
        let aside = format!("{}.0123{ASIDE}", key("crashed").to_hex());
        fs::write(path.join(&aside), BODY).unwrap();
        old(&aside, 5_000);
        for (name, age) in [("first", 3_000), ("second", 2_000), ("third", 1_000)] {
            cache.keep(key(name), BODY);
            old(&entry(key(name)), age);
        }
        assert!(loaded(&cache, "first").is_some(), "which makes it the latest");
        cache.keep(key("fourth"), BODY);
        let there = |name: &str| path.join(entry(key(name))).exists();
        assert!(there("first") && there("third") && there("fourth") && !there("second"));
        assert!(!path.join(&aside).exists(), "a leftover of a crash stays for ever");
        assert!(others.iter().all(|name| path.join(name).exists()));
    }

    #[test]
    fn what_is_larger_than_everything_may_be_is_not_kept() {
        let (_folder, path, cache) = cache();
        let cache = cache.bounded((FOOTER + BODY.len()) as u64);
        cache.keep(key("one"), BODY);
        cache.keep(key("large"), &[BODY, b"!"].concat());
        assert_eq!(names(&path), [entry(key("one"))]);
    }
}
