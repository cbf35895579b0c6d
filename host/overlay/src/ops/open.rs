//! Opening, with the meaning of `open-at` in `wasi:filesystem` and `open` on Linux.
//!
//! Invariant: whatever can change a file or make one is asked for as a write, whether or not the
//! handle is to write.

use std::sync::Arc;

use idumb_core::{Capability, DenialReason, Seen};

use crate::file::FileNode;
use crate::node::{Child, NodeId};
use crate::resolve::{Found, How};
use crate::upper::Upper;
use crate::view::Call;
use crate::{FileHandle, FsError, OpenFlags, Opened, ReadView, WorkView};

impl ReadView {
    /// Opens `path`, from the directory `dir`; `follow`: also if it is a link.
    ///
    /// # Errors
    /// `ReadOnly` if the flags could change anything, else as [`WorkView::open`].
    pub fn open(
        &self,
        dir: NodeId,
        path: &str,
        follow: bool,
        flags: OpenFlags,
    ) -> Result<Opened, FsError> {
        if flags.writes() {
            return Err(self.refuse_write("open", dir, path));
        }
        self.0.call("open").open(dir, path, follow, flags, None)
    }
}

impl WorkView {
    /// Opens `path`, from the directory `dir`; `follow`: also if it is a link.
    ///
    /// A new file is not executable. A handle without `read` and `write` only answers for the
    /// metadata.
    ///
    /// # Errors
    /// As Linux gives for the same flags; `NoEntry` also for what may not be seen, and
    /// `NotPermitted` for what may not be written; `Quota`; `Loop` for a link that is not to be
    /// followed; `NotPermitted` for what is no file, directory or link.
    pub fn open(
        &self,
        dir: NodeId,
        path: &str,
        follow: bool,
        flags: OpenFlags,
    ) -> Result<Opened, FsError> {
        self.view.0.call("open").open(dir, path, follow, flags, Some(&self.upper))
    }
}

impl Call<'_> {
    fn open(
        &mut self,
        dir: NodeId,
        path: &str,
        follow: bool,
        flags: OpenFlags,
        upper: Option<&Arc<Upper>>,
    ) -> Result<Opened, FsError> {
        if flags.directory && (flags.create || flags.truncate) {
            return Err(FsError::Invalid);
        }
        let exclusive = flags.create && flags.exclusive;
        let how = How { follow: follow && !exclusive, create: flags.create };
        let found = self.find(dir, path, how)?;
        let Some(child) = &found.child else {
            let upper = upper.filter(|_| flags.create).ok_or(FsError::NoEntry)?;
            return self.create(&found, flags, upper);
        };
        if exclusive {
            self.saw(child, Seen::Metadata);
            return Err(FsError::Exist);
        }
        match child {
            Child::Dir(_) if flags.writes() => Err(FsError::IsDirectory),
            Child::Dir(id) => {
                self.saw(child, Seen::Metadata);
                Ok(Opened::Dir(*id))
            }
            _ if flags.directory => Err(FsError::NotDirectory),
            Child::Link(_) => Err(FsError::Loop),
            Child::Other(_) => {
                let name = found.name.as_deref().unwrap_or_default();
                let reason = DenialReason::SpecialFile;
                Err(self.deny_at(Capability::Read, found.dir, name, reason))
            }
            Child::File(file) => self.open_file(&found, file, flags, upper),
        }
    }

    fn open_file(
        &mut self,
        found: &Found,
        file: &Arc<FileNode>,
        flags: OpenFlags,
        upper: Option<&Arc<Upper>>,
    ) -> Result<Opened, FsError> {
        if flags.write || flags.truncate {
            self.require_write(found.dir, found.name.as_deref().unwrap_or_default())?;
        }
        let content = flags.read || flags.write || flags.truncate;
        let seen = if content { Seen::Content } else { Seen::Metadata };
        self.saw(&Child::File(Arc::clone(file)), seen);
        let writer = upper.filter(|_| flags.write).cloned();
        let handle = FileHandle::open(file, self.shared, flags.read, writer)?;
        if let Some(upper) = upper.filter(|_| flags.truncate) {
            file.set_len(0, &self.shared.base, upper)?;
        }
        Ok(Opened::File(handle))
    }

    fn create(
        &mut self,
        found: &Found,
        flags: OpenFlags,
        upper: &Arc<Upper>,
    ) -> Result<Opened, FsError> {
        let name = found.name.as_deref().ok_or(FsError::NoEntry)?;
        self.require_write(found.dir, name)?;
        self.require_room(found.dir, name)?;
        upper.require_open()?;
        let file = Arc::new(FileNode::create(self.tree.next_id(), upper)?);
        let writer = flags.write.then(|| Arc::clone(upper));
        let handle = FileHandle::open(&file, self.shared, flags.read, writer)?;
        self.tree.attach(found.dir, name, Child::File(file))?;
        Ok(Opened::File(handle))
    }
}
