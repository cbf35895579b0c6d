//! Walking the base, a directory at a time, on several threads.
//!
//! Invariant: every directory is opened from the pinned root and no link is followed; what grows
//! with the tree is bounded, and an error says which bound it was.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use idumb_core::Digest;
use rustix::fs::{self as rfs, AtFlags, FileType, Stat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::plan::{Plan, Verdict};
use super::tally::{Tally, note};
use super::{ScratchOptions, Why, at};
use crate::Base;
use crate::base::{is_absent, join};

/// What is done with what the walk finds.
pub(super) trait Visit: Sync {
    /// What is held while a directory is gone through.
    type Dir;

    /// A directory begins. It was announced by `subdir` before, unless it is the root.
    fn enter(&self, path: &str) -> io::Result<Self::Dir>;

    /// There is a directory in it, which will be entered later.
    fn subdir(&self, dir: &mut Self::Dir, name: &CStr, stat: &Stat) -> io::Result<()>;

    /// There is a link in it.
    fn link(&self, dir: &mut Self::Dir, name: &CStr, target: &CStr) -> io::Result<()>;

    /// There is a file in it; what it was found to be.
    fn file(&self, dir: &mut Self::Dir, from: &Name<'_>, tally: &mut Tally) -> io::Result<File>;

    /// All of it was gone through; `stat` is the base's directory.
    fn leave(&self, dir: Self::Dir, stat: &Stat) -> io::Result<()>;
}

/// A name in an open directory of the base.
pub(super) struct Name<'a> {
    pub(super) dir: BorrowedFd<'a>,
    pub(super) name: &'a CStr,
    pub(super) path: &'a str,
    pub(super) spent: &'a Spent<'a>,
}

/// What a file of the base turned out to be.
pub(super) enum File {
    Is(Stat),
    /// It went, or is no file any more.
    Vanished,
    /// The host may not open it.
    Unreadable,
}

/// Looks at every inode, and makes nothing.
pub(super) struct Look;

impl Visit for Look {
    type Dir = ();

    fn enter(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn subdir(&self, (): &mut (), _: &CStr, _: &Stat) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, (): &mut (), _: &CStr, _: &CStr) -> io::Result<()> {
        Ok(())
    }

    fn file(&self, (): &mut (), from: &Name<'_>, tally: &mut Tally) -> io::Result<File> {
        let Some(stat) = look(from.dir, from.name).map_err(at(from.path))? else {
            return Ok(File::Vanished);
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(File::Vanished);
        }
        tally.counts.shown += 1;
        tally.counts.bytes += stat.st_size.unsigned_abs();
        Ok(File::Is(stat))
    }

    fn leave(&self, (): (), _: &Stat) -> io::Result<()> {
        Ok(())
    }
}

/// What stands under a name; `None`: nothing.
fn look(dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<Stat>, Errno> {
    match rfs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(errno) if is_absent(errno) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// What of the limits is used, by all threads together.
pub(super) struct Spent<'a> {
    options: &'a ScratchOptions,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Spent<'_> {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts bytes that are about to be written, and asks whether to go on.
    pub(super) fn spend(&self, bytes: u64) -> io::Result<()> {
        self.go_on()?;
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let most = self.options.most_bytes;
        if before.saturating_add(bytes) > most {
            return Err(limit(format!("the tree has more than {most} bytes")));
        }
        Ok(())
    }

    fn entry(&self) -> io::Result<()> {
        let most = self.options.most_entries;
        if self.entries.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(limit(format!("the tree has more than {most} names")));
        }
        Ok(())
    }

    pub(super) fn go_on(&self) -> io::Result<()> {
        let over = |_| io::Error::new(io::ErrorKind::Interrupted, "making the tree was ended");
        self.options.until.0.check().map_err(over)
    }
}

fn limit(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::QuotaExceeded, why)
}

pub(super) struct Walk<'a> {
    base: &'a Base,
    plan: &'a Plan<'a>,
    options: &'a ScratchOptions,
    spent: Spent<'a>,
    /// The device and inode of the place itself, which is not in itself.
    place: Option<(u64, u64)>,
    device: u64,
    /// Who the host is: its user and group.
    own: (u32, u32),
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// Directories that are still to be gone through; the newest first, which keeps it short.
#[derive(Default)]
struct Queue {
    waiting: Vec<String>,
    busy: usize,
    trouble: Option<io::Error>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        base: &'a Base,
        plan: &'a Plan<'a>,
        options: &'a ScratchOptions,
        place: Option<&OwnedFd>,
    ) -> io::Result<Self> {
        let place = match place {
            Some(fd) => Some(rfs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino))?),
            None => None,
        };
        let device = rfs::fstat(base.open_dir("")?)?.st_dev;
        let spent = Spent { options, entries: AtomicU64::new(0), bytes: AtomicU64::new(0) };
        let queue = Queue { waiting: vec![String::new()], ..Queue::default() };
        let (queue, wake) = (Mutex::new(queue), Condvar::new());
        let own = (geteuid().as_raw(), getegid().as_raw());
        Ok(Self { base, plan, options, spent, place, device, own, queue, wake })
    }

    pub(super) fn spent(&self) -> &Spent<'a> {
        &self.spent
    }

    /// Goes through everything; once.
    pub(super) fn run(&self, visit: &impl Visit) -> io::Result<Tally> {
        let tallies: Vec<Tally> = std::thread::scope(|scope| {
            let more: Vec<_> =
                (1..self.options.threads).map(|_| scope.spawn(|| self.work(visit))).collect();
            let own = self.work(visit);
            let others = more.into_iter().filter_map(|thread| thread.join().ok());
            std::iter::once(own).chain(others).collect()
        });
        if let Some(trouble) = self.queue().trouble.take() {
            return Err(trouble);
        }
        let mut all = Tally::default();
        tallies.into_iter().for_each(|tally| all.add(tally));
        Ok(all.settle())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, visit: &impl Visit) -> Tally {
        let mut tally = Tally::default();
        while let Some(path) = self.next() {
            let mut subdirs = Vec::new();
            let went = self.directory(visit, &path, &mut subdirs, &mut tally);
            let mut queue = self.queue();
            queue.busy -= 1;
            match went {
                Ok(()) => queue.waiting.append(&mut subdirs),
                Err(error) => {
                    queue.waiting.clear();
                    queue.trouble.get_or_insert(error);
                }
            }
            self.wake.notify_all();
        }
        tally
    }

    /// The next directory; `None`: there will be none.
    fn next(&self) -> Option<String> {
        let mut queue = self.queue();
        loop {
            if queue.trouble.is_some() {
                return None;
            }
            if let Some(path) = queue.waiting.pop() {
                queue.busy += 1;
                return Some(path);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn directory(
        &self,
        visit: &impl Visit,
        path: &str,
        subdirs: &mut Vec<String>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let fd = match self.base.open_dir(path) {
            Ok(fd) => fd,
            Err(errno) if is_absent(errno) && !path.is_empty() => {
                tally.counts.vanished += 1;
                return Ok(());
            }
            Err(Errno::ACCESS | Errno::PERM) if !path.is_empty() => {
                tally.leave_out(path, Why::Unreadable);
                return Ok(());
            }
            Err(errno) => return Err(at(path)(errno)),
        };
        // Before anything in it is looked at: what changes later makes these times old.
        let stat = rfs::fstat(&fd).map_err(at(path))?;
        self.look_for_reasons(path, &stat, tally);
        // It can be listed and not searched.
        match look(fd.as_fd(), c".") {
            Err(Errno::ACCESS | Errno::PERM) if !path.is_empty() => {
                tally.leave_out(path, Why::Unreadable);
                return Ok(());
            }
            found => found.map_err(at(path))?,
        };
        let mut dir = visit.enter(path)?;
        let mut record = Vec::new();
        note(&mut record, b'.', c"", &stat);
        for (name, kind) in self.list(&fd).map_err(at(path))? {
            let Ok(text) = name.to_str() else {
                let shown = join(path, &name.to_string_lossy());
                tally.leave_out(shown, Why::NotText);
                tally.hide(path, &name);
                continue;
            };
            let inner = join(path, text);
            let from = Name { dir: fd.as_fd(), name: &name, path: &inner, spent: &self.spent };
            self.name(visit, &mut dir, &from, kind, (subdirs, tally, &mut record))?;
        }
        visit.leave(dir, &stat).map_err(at(path))?;
        tally.dirs.push((path.to_owned(), Digest::of(&record)));
        Ok(())
    }

    /// The names of a directory, in order.
    fn list(&self, fd: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
        self.spent.go_on()?;
        let mut names = Vec::new();
        for entry in rfs::Dir::read_from(fd)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.spent.entry()?;
                names.push((entry.file_name().to_owned(), entry.file_type()));
            }
        }
        names.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(names)
    }

    fn name<V: Visit>(
        &self,
        visit: &V,
        dir: &mut V::Dir,
        from: &Name<'_>,
        kind: FileType,
        (subdirs, tally, record): (&mut Vec<String>, &mut Tally, &mut Vec<u8>),
    ) -> io::Result<()> {
        match self.plan.verdict(from.path) {
            Verdict::Shows => {}
            Verdict::Changed => return Ok(()),
            Verdict::Excluded => {
                tally.counts.excluded += 1;
                // Its name alone: one that comes to be later was not kept out of sight.
                record.push(b'x');
                record.extend_from_slice(from.name.to_bytes_with_nul());
                tally.hidden.extend(CString::new(from.path).ok());
                return Ok(());
            }
        }
        // Some file systems do not say the kind in the listing.
        let kind = match kind {
            FileType::Unknown => look(from.dir, from.name)
                .map_err(at(from.path))?
                .map(|stat| FileType::from_raw_mode(stat.st_mode)),
            known => Some(known),
        };
        match kind {
            Some(FileType::Directory) => self.subdir(visit, dir, from, (subdirs, tally, record)),
            Some(FileType::RegularFile) => match visit.file(dir, from, tally)? {
                File::Is(stat) => {
                    self.look_for_reasons(from.path, &stat, tally);
                    note(record, b'f', from.name, &stat);
                    Ok(())
                }
                File::Unreadable => {
                    tally.leave_out(from.path, Why::Unreadable);
                    let stat = look(from.dir, from.name).map_err(at(from.path))?;
                    stat.iter().for_each(|stat| note(record, b'f', from.name, stat));
                    Ok(())
                }
                File::Vanished => {
                    tally.counts.vanished += 1;
                    Ok(())
                }
            },
            Some(FileType::Symlink) => self.link(visit, dir, from, (tally, record)),
            Some(_) => {
                tally.leave_out(from.path, Why::Special);
                tally.hidden.extend(CString::new(from.path).ok());
                Ok(())
            }
            None => {
                tally.counts.vanished += 1;
                Ok(())
            }
        }
    }

    fn link<V: Visit>(
        &self,
        visit: &V,
        dir: &mut V::Dir,
        from: &Name<'_>,
        (tally, record): (&mut Tally, &mut Vec<u8>),
    ) -> io::Result<()> {
        match rfs::readlinkat(from.dir, from.name, Vec::new()) {
            Ok(target) => {
                tally.counts.links += 1;
                if let Some(stat) = look(from.dir, from.name).map_err(at(from.path))? {
                    self.look_for_reasons(from.path, &stat, tally);
                    note(record, b'l', from.name, &stat);
                }
                record.extend_from_slice(target.to_bytes_with_nul());
                visit.link(dir, from.name, &target).map_err(at(from.path))
            }
            // It is gone, or no link any more.
            Err(errno) if is_absent(errno) || errno == Errno::INVAL => {
                tally.counts.vanished += 1;
                Ok(())
            }
            Err(errno) => Err(at(from.path)(errno)),
        }
    }

    fn subdir<V: Visit>(
        &self,
        visit: &V,
        dir: &mut V::Dir,
        from: &Name<'_>,
        (subdirs, tally, record): (&mut Vec<String>, &mut Tally, &mut Vec<u8>),
    ) -> io::Result<()> {
        let stat = look(from.dir, from.name).map_err(at(from.path))?;
        let Some(stat) = stat else {
            tally.counts.vanished += 1;
            return Ok(());
        };
        if self.place == Some((stat.st_dev, stat.st_ino)) {
            tally.hidden.extend(CString::new(from.path).ok());
            return Ok(());
        }
        self.look_for_reasons(from.path, &stat, tally);
        let most = self.options.most_depth;
        if from.path.split('/').count() > most {
            let why = format!("{}: more than {most} directories inside each other", from.path);
            return Err(limit(why));
        }
        tally.counts.dirs += 1;
        record.push(b'd');
        record.extend_from_slice(from.name.to_bytes_with_nul());
        record.extend_from_slice(&stat.st_mode.to_le_bytes());
        visit.subdir(dir, from.name, &stat).map_err(at(from.path))?;
        subdirs.push(from.path.to_owned());
        Ok(())
    }
}

impl Walk<'_> {
    /// A layer shows one file system. Who mounts it maps the host's user and group alone, and the
    /// kernel copies nothing up whose owner it cannot name there.
    fn look_for_reasons(&self, path: &str, stat: &Stat, tally: &mut Tally) {
        if tally.no_layer.is_some() {
            return;
        }
        if stat.st_dev != self.device {
            tally.no_layer = Some(format!("{path} is on another file system"));
        } else if (stat.st_uid, stat.st_gid) != self.own {
            tally.no_layer = Some(format!("{path} belongs to another user or group"));
        } else if self.own.0 != 0 && !may_read(stat) {
            // Who mounts may read everything, and a command that owns it can change its mode.
            tally.no_layer = Some(format!("{path} may not be read"));
        }
    }
}

/// Whether its owner may read it, and search it if it is a directory.
fn may_read(stat: &Stat) -> bool {
    let wanted = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 0o500,
        FileType::RegularFile => 0o400,
        _ => 0,
    };
    stat.st_mode & wanted == wanted
}
