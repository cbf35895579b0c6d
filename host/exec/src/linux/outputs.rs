//! Reading what a command left in its tree.
//!
//! Invariant: nothing outside the tree is read, no link is followed, nothing but a regular file is
//! opened, and nothing here waits for anybody.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use crate::OutputError;

/// A tree in which a command ran, pinned by an open handle.
#[derive(Debug)]
pub struct Outputs {
    root: OwnedFd,
    /// Whether the kernel has `openat2` (Linux 5.6).
    openat2: bool,
}

impl Outputs {
    /// Pins the tree.
    ///
    /// # Errors
    /// Whatever opening it gives.
    pub fn open(tree: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(tree, flags, Mode::empty())?;
        let mut outputs = Self { root, openat2: true };
        outputs.openat2 = outputs.resolve(Path::new("."), OFlags::PATH).is_ok();
        Ok(outputs)
    }

    /// Reads the file at `path`, relative to the tree, of at most `cap` bytes.
    ///
    /// The command is to have ended: what still writes may make the content a mixture.
    ///
    /// # Errors
    /// See [`OutputError`]: a link, a FIFO, a device, a folder, too much, nothing.
    pub fn read(&self, path: &Path, cap: u64) -> Result<Vec<u8>, OutputError> {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || path.as_os_str().is_empty() {
            return Err(OutputError::Path(path.to_owned()));
        }
        let failed = |errno| refusal(path, errno);
        // Opening a device can have effects of its own: look first, then open, and look again.
        require_file(path, &self.resolve(path, OFlags::PATH).map_err(failed)?)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.resolve(path, flags).map_err(failed)?;
        require_file(path, &fd)?;
        let too_large = || OutputError::TooLarge { path: path.to_owned(), cap };
        let size = fstat(&fd).map_err(failed)?.st_size;
        if u64::try_from(size).is_ok_and(|size| size > cap) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let read = File::from(fd).take(cap.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| OutputError::Io { path: path.to_owned(), error })?;
        if bytes.len() as u64 > cap { Err(too_large()) } else { Ok(bytes) }
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.openat2 {
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            return openat2(&self.root, path, flags, Mode::empty(), resolve);
        }
        // Name by name, for kernels without it. A link on the way is no directory: NOTDIR.
        let mut at: Option<OwnedFd> = None;
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            let from = at.as_ref().map_or(self.root.as_fd(), |fd| fd.as_fd());
            let on_the_way = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let flags = if names.peek().is_some() { on_the_way } else { flags };
            let fd = openat(from, name, flags, Mode::empty())?;
            let kind = FileType::from_raw_mode(fstat(&fd)?.st_mode);
            if names.peek().is_some() && kind == FileType::Symlink {
                return Err(Errno::LOOP);
            }
            at = Some(fd);
        }
        at.ok_or(Errno::INVAL)
    }
}

fn refusal(path: &Path, errno: Errno) -> OutputError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT | Errno::NOTDIR => OutputError::Missing(path),
        Errno::LOOP => OutputError::Link(path),
        // A socket, or a FIFO or device that vanished in between.
        Errno::NXIO => OutputError::NotAFile(path),
        errno => OutputError::Io { path, error: errno.into() },
    }
}

fn require_file(path: &Path, fd: &OwnedFd) -> Result<(), OutputError> {
    let stat = fstat(fd).map_err(|errno| refusal(path, errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Symlink => Err(OutputError::Link(path.to_owned())),
        _ => Err(OutputError::NotAFile(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// With `openat2`, and without.
    fn both(tree: &Path) -> [Outputs; 2] {
        let new = Outputs::open(tree).expect("a tree");
        let old = Outputs { openat2: false, ..Outputs::open(tree).expect("a tree") };
        [new, old]
    }

    #[test]
    fn regular_files_inside_are_read_and_nothing_else_is() {
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("secret"), "secret").expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        let tree = folder.path();
        std::fs::create_dir(tree.join("dir")).expect("a folder");
        std::fs::write(tree.join("dir/file"), "12345").expect("a file");
        symlink(outside.path().join("secret"), tree.join("link")).expect("a link");
        symlink("dir/file", tree.join("near")).expect("a link");
        symlink(outside.path(), tree.join("away")).expect("a link");
        symlink("dir", tree.join("other")).expect("a link");
        symlink("/proc/self/fd/0", tree.join("magic")).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, tree.join("fifo"), Mode::RWXU).expect("a FIFO");
        let _socket = std::os::unix::net::UnixListener::bind(tree.join("sock")).expect("a socket");
        let hole = File::create(tree.join("hole")).expect("a file");
        hole.set_len(1 << 40).expect("a hole");
        for outputs in both(tree) {
            let read = |path: &str| outputs.read(Path::new(path), 5);
            assert_eq!(read("dir/file").expect("a file"), b"12345");
            for link in ["link", "near", "away/secret", "other/file", "magic"] {
                assert!(matches!(read(link), Err(OutputError::Link(_))), "{link} {:?}", read(link));
            }
            for other in ["fifo", "sock", "dir"] {
                assert!(matches!(read(other), Err(OutputError::NotAFile(_))), "{other}");
            }
            for path in ["", "/etc/passwd", "../x", "dir/../dir/file", "."] {
                assert!(matches!(read(path), Err(OutputError::Path(_))), "{path}");
            }
            for none in ["none", "dir/none", "dir/file/none", "none/file"] {
                assert!(matches!(read(none), Err(OutputError::Missing(_))), "{none}");
            }
            assert!(matches!(read("hole"), Err(OutputError::TooLarge { .. })));
            assert!(matches!(
                outputs.read(Path::new("dir/file"), 4),
                Err(OutputError::TooLarge { cap: 4, .. })
            ));
        }
    }
}
