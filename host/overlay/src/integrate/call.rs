//! Every system call by which integration changes or syncs anything, one function each.
//!
//! Invariant: integration changes nothing but through here (a test reads the other files for it),
//! and before each call, and between two pieces of a content, a test can have the process die.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self as rfs, AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::slot::Slot;

/// How much of a content is written at once; in tests little, so that they can die in between.
const PIECE: u64 = if cfg!(test) { 2 } else { 1 << 26 };

#[cfg(debug_assertions)]
static HOOK: std::sync::OnceLock<fn()> = std::sync::OnceLock::new();

/// Has `hook` called before each system call by which an integration changes a name, so that
/// a test of the whole host can die there. Not in release builds; the first hook stays.
#[cfg(debug_assertions)]
pub fn on_integration_step(hook: fn()) {
    let _ = HOOK.set(hook);
}

/// Comes before whatever changes a name.
fn before_name(call: &'static str) {
    before_content(call);
    #[cfg(debug_assertions)]
    if let Some(hook) = HOOK.get() {
        hook();
    }
}

/// Comes before whatever changes or syncs what is under a name.
fn before_content(call: &'static str) {
    #[cfg(test)]
    super::tests::tick(call);
    #[cfg(not(test))]
    let _ = call;
}

/// Makes the host's own directory at `path`.
pub(super) fn make_private_dir(path: &Path) -> Result<(), Errno> {
    before_name("make_private_dir");
    rfs::mkdir(path, Mode::RWXU)
}

/// Makes a directory of the user's; their umask applies.
pub(super) fn make_dir(at: &Slot) -> Result<(), Errno> {
    before_name("make_dir");
    rfs::mkdirat(&at.dir, &at.name, Mode::from_raw_mode(0o777))
}

pub(super) fn make_symlink(target: &str, at: &Slot) -> Result<(), Errno> {
    before_name("make_symlink");
    rfs::symlinkat(target, &at.dir, &at.name)
}

/// Makes an empty file, which must not be there.
pub(super) fn make_file(at: &Slot, mode: Mode) -> Result<File, Errno> {
    before_name("make_file");
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rfs::openat(&at.dir, &at.name, flags, mode)?))
}

pub(super) fn link(from: &Slot, to: &Slot) -> Result<(), Errno> {
    before_name("link");
    rfs::linkat(&from.dir, &from.name, &to.dir, &to.name, AtFlags::empty())
}

/// Removes a file or link.
pub(super) fn unlink(at: &Slot) -> Result<(), Errno> {
    before_name("unlink");
    rfs::unlinkat(&at.dir, &at.name, AtFlags::empty())
}

/// Removes an empty directory.
pub(super) fn remove_dir(at: &Slot) -> Result<(), Errno> {
    before_name("remove_dir");
    rfs::unlinkat(&at.dir, &at.name, AtFlags::REMOVEDIR)
}

/// Renames, over whatever is at `to`.
pub(super) fn rename(from: &Slot, to: &Slot) -> Result<(), Errno> {
    before_name("rename");
    rfs::renameat(&from.dir, &from.name, &to.dir, &to.name)
}

/// Renames to a name that must be free, or exchanges two, as `flags` say.
pub(super) fn rename_with(from: &Slot, to: &Slot, flags: RenameFlags) -> Result<(), Errno> {
    before_name("rename_with");
    #[cfg(test)]
    super::tests::refuse(flags)?;
    rfs::renameat_with(&from.dir, &from.name, &to.dir, &to.name, flags)
}

/// Writes all of `from` to `to`.
pub(super) fn write(from: &mut File, to: &mut File) -> io::Result<()> {
    loop {
        before_content("write");
        if io::copy(&mut from.by_ref().take(PIECE), to)? == 0 {
            return Ok(());
        }
    }
}

pub(super) fn set_owner(file: impl AsFd, (uid, gid): (u32, u32)) -> Result<(), Errno> {
    before_content("set_owner");
    rfs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

pub(super) fn set_mode(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    before_content("set_mode");
    rfs::fchmod(file, Mode::from_raw_mode(mode))
}

/// Makes a file's content, or a directory's names, durable.
pub(super) fn sync(fd: impl AsFd) -> Result<(), Errno> {
    before_content("sync");
    rfs::fsync(fd)
}
