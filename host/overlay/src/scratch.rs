//! Trees that native commands run on: a candidate as real files, which are thrown away after.
//!
//! Invariant: the user's tree is only read, and shares no writable file with what is made here;
//! what a command leaves behind is removed through handles, and nothing it points at is.
//!
//! There are two ways, and one walk for both. [`materialise`] makes every file anew: a reflink
//! of large ones where the file system can, a copy else; it works everywhere. [`layer`] makes only what
//! differs, for the kernel's overlayfs to lay over the user's tree; [`layers_work`] says whether
//! that can be had. `docs/decisions/0016-the-tree-that-commands-run-on.md` has the figures.

mod clear;
mod copy;
mod layers;
mod place;
mod plan;
mod tally;
mod walk;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use idumb_core::{Blobs, ChangeSet, Digest, PathGlob};
use rustix::fs::{self as rfs, Mode, OFlags};
use rustix::io::Errno;

use crate::Base;
use crate::halt::Halt;

pub use clear::clear;
pub use layers::{Layers, layer, layers_work};
use plan::Plan;
use walk::{Look, Walk};

/// What is left out of a tree, and how large one may be.
#[derive(Debug, Clone)]
pub struct ScratchOptions {
    /// What is left out, with everything below it, whether it is the base's or the change-set's.
    /// By default `.git` and `.idumb`: without these patterns, they are there like all else.
    pub exclude: Vec<PathGlob>,
    /// How many names the base may have, those left out included but nothing below them.
    pub most_entries: u64,
    /// How many bytes may be made: those of all files, or for layers, of the change-set's.
    pub most_bytes: u64,
    /// How many directories may be inside each other.
    pub most_depth: usize,
    /// How many threads read and write; at least one does.
    pub threads: usize,
    /// When it is given up.
    pub until: Until,
}

impl Default for ScratchOptions {
    fn default() -> Self {
        let exclude = [".git", ".idumb"].iter().filter_map(|text| text.parse().ok()).collect();
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
        Self {
            exclude,
            most_entries: 2_000_000,
            most_bytes: 16 << 30,
            most_depth: 256,
            threads,
            until: Until::default(),
        }
    }
}

/// A question that is asked while a tree is made: is it to be given up? By default it is not.
#[derive(Debug, Clone, Default)]
pub struct Until(Halt);

impl Until {
    /// Gives up soon after `over` says so.
    pub fn over(over: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let halt = Halt::default();
        halt.when(over);
        Self(halt)
    }
}

/// How a tree came about, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Directories of the base, without the root.
    pub dirs: u64,
    /// Symbolic links of the base, which say what they said.
    pub links: u64,
    /// Files of the base that share their bytes until one side changes.
    pub reflinked: u64,
    /// Files of the base whose bytes were copied.
    pub copied: u64,
    /// Files of the base that show through a layer.
    pub shown: u64,
    /// Directories, links and files of the change-set.
    pub placed: u64,
    /// The sizes of all these files.
    pub bytes: u64,
    /// Names that a pattern left out.
    pub excluded: u64,
    /// Names of the base that went, or became something else, while it was read.
    pub vanished: u64,
}

/// Why something of the base is not in the tree, or not surely as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A FIFO, socket or device: left out.
    Special,
    /// Its name is not UTF-8: left out, as no agent sees it either.
    NotText,
    /// The host may not read it: left out; a directory is there without what is in it.
    Unreadable,
    /// It was written to again and again: what is there can be parts of several versions.
    Unsettled,
}

/// Something that is not in the tree as it is in the base.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Relative to the root, for display: what is not UTF-8 is replaced in it.
    pub path: String,
    /// Why.
    pub why: Why,
}

/// A candidate's tree, made of files that are nobody else's.
#[must_use = "somebody has to remove it"]
#[derive(Debug)]
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
    /// Which tree it is: see [`fingerprint`].
    pub digest: Digest,
    /// How it came about.
    pub counts: Counts,
    /// What is not in it as it is in the base, in the order of paths.
    pub left_out: Vec<LeftOut>,
}

impl Scratch {
    /// Removes it, whatever became of it: see [`clear()`].
    ///
    /// # Errors
    /// As [`clear()`].
    pub fn remove(self) -> io::Result<()> {
        clear(&self.path)
    }
}

/// Makes `into` the tree of `base` with the after sides of `change_set` in it.
///
/// `into` must not exist, or be an empty directory and no link; its parent must exist. No process
/// but the caller's may be able to write there meanwhile. It may be inside of the base, and is
/// then not in itself. Files of the base keep their times, so that build tools take them for what
/// they were; what the change-set says is as new as the call. Permission bits are kept, without
/// set-user-id and the like; owners, extended attributes and hard links are not.
///
/// # Errors
/// `InvalidData`: the change-set is malformed, or the store has other bytes than a digest says.
/// `QuotaExceeded`: a limit of `options`. `Interrupted`: it was given up,
/// see [`Until`]. `DirectoryNotEmpty`, `NotADirectory`: `into` is no place for it.
/// Else what the operating system says, with the path. What was made is removed again.
pub fn materialise(
    base: &Base,
    change_set: &ChangeSet,
    blobs: &Arc<dyn Blobs>,
    into: &Path,
    options: &ScratchOptions,
) -> io::Result<Scratch> {
    let plan = Plan::new(change_set, options)?;
    let root = make_root(into)?;
    let made = (|| {
        let to = Base::open(into)?;
        let walk = Walk::new(base, &plan, options, Some(&root))?;
        let mut seen = walk.run(&copy::Copying::new(&to))?;
        let place = place::Placing { blobs: &**blobs, spent: walk.spent() };
        for (path, after) in plan.placed() {
            let at = place::open_parent(&to, path)?;
            place.put(&at, path, after)?;
            seen.counts.placed += 1;
        }
        seen.counts.bytes = place.spent.bytes();
        Ok(Scratch {
            path: into.to_owned(),
            digest: seen.digest(&plan),
            counts: seen.counts,
            left_out: seen.left_out,
        })
    })();
    // The first trouble is the one to tell; a full disk can also make clearing up fail.
    made.inspect_err(|_| drop(clear(into)))
}

/// Which tree a candidate is, without reading what is in its files: a digest over the path, kind,
/// permission bits, size, inode, and times of content and of inode of every file in the base, its
/// directories and links with their modes and targets, and the after sides of `change_set`; all
/// of it without what `options` leaves out.
///
/// On one machine, equal digests mean that no file was written to between the two calls. What the
/// kernel does not stamp escapes it: a clock that was set back; before Linux 6.13, a write within
/// some milliseconds of the one before the first call; and the end of a single long write, or of
/// writing through a mapping, that began before the first call. Different digests do not mean
/// different contents. It costs one look at each inode.
///
/// # Errors
/// As [`materialise`], but for what comes from writing.
pub fn fingerprint(
    base: &Base,
    change_set: &ChangeSet,
    options: &ScratchOptions,
) -> io::Result<Digest> {
    let plan = Plan::new(change_set, options)?;
    let seen = Walk::new(base, &plan, options, None)?.run(&Look)?;
    Ok(seen.digest(&plan))
}

/// Makes the directory at `path`, or opens it if it is there and empty; private to its owner.
fn make_root(path: &Path) -> io::Result<OwnedFd> {
    let made = match rfs::mkdir(path, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rfs::open(path, flags, Mode::empty())?;
    for entry in rfs::Dir::read_from(&root)?.filter(|_| !made) {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Err(Errno::NOTEMPTY.into());
        }
    }
    Ok(root)
}

/// The same error with the path in front; its kind stays.
fn at<E: Into<io::Error>>(path: &str) -> impl Fn(E) -> io::Error + '_ {
    move |error| {
        let error = error.into();
        io::Error::new(error.kind(), format!("{path}: {error}"))
    }
}

#[cfg(test)]
mod tests;
