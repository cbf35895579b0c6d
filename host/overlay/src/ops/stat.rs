//! Metadata: reading it, and setting times and the executable bit.
//!
//! Invariant: metadata is set where content could be written, and nowhere else.

use std::time::SystemTime;

use idumb_core::{Capability, DenialReason, Seen};

use crate::base::Kind;
use crate::node::{Child, NodeId};
use crate::resolve::{Found, How};
use crate::view::Call;
use crate::{FsError, ReadView, Stat, WorkView};

impl ReadView {
    /// The metadata of `path`, from the directory `dir`; `follow`: of what it leads to, if it is
    /// a link.
    ///
    /// # Errors
    /// `NoEntry` if nothing is there or it may not be seen; as Linux otherwise.
    pub fn stat(&self, dir: NodeId, path: &str, follow: bool) -> Result<Stat, FsError> {
        let mut call = self.0.call("stat");
        let found = call.find(dir, path, How { follow, create: false })?;
        let child = found.child.ok_or(FsError::NoEntry)?;
        call.stat(&child)
    }

    /// The metadata of a directory that is held.
    ///
    /// # Errors
    /// `NoEntry` if it was removed long ago.
    pub fn stat_node(&self, node: NodeId) -> Result<Stat, FsError> {
        self.0.call("stat").stat(&Child::Dir(node))
    }

    /// The target of the link at `path`, from the directory `dir`, as written in it.
    ///
    /// # Errors
    /// `Invalid` if it is no link; `NoEntry` if nothing is there or it may not be seen;
    /// `NotPermitted` if the target is absolute: where things are on the host is nobody's business.
    pub fn read_link(&self, dir: NodeId, path: &str) -> Result<String, FsError> {
        let mut call = self.0.call("readlink");
        let found = call.find(dir, path, How { follow: false, create: false })?;
        match found.child.ok_or(FsError::NoEntry)? {
            Child::Link(link) => {
                call.saw(&Child::Link(link.clone()), Seen::Content);
                if link.target.starts_with('/') {
                    return Err(call.escapes(path));
                }
                Ok(link.target.to_string())
            }
            _ => Err(FsError::Invalid),
        }
    }
}

impl WorkView {
    /// Sets the times of `path`, from the directory `dir`, that are given. They are seen in this
    /// view; they are not part of the change-set.
    ///
    /// # Errors
    /// `NotPermitted` if it may not be written; as [`ReadView::stat`] otherwise.
    pub fn set_times(
        &self,
        dir: NodeId,
        path: &str,
        follow: bool,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<(), FsError> {
        let mut call = self.view.0.call("set-times");
        let found = call.find(dir, path, How { follow, create: false })?;
        let child = call.require_leave_to_set(&found)?;
        self.upper.require_open()?;
        match child {
            Child::Dir(id) => call.tree.dir_mut(id)?.times.set(accessed, modified),
            Child::File(file) => file.set_times(accessed, modified),
            Child::Link(link) => link.change(|state| state.times.set(accessed, modified)),
            Child::Other(_) => return Err(FsError::Unsupported),
        }
        Ok(())
    }

    /// Sets the times of a directory that is held, as [`Self::set_times`] does.
    ///
    /// # Errors
    /// As [`Self::set_times`].
    pub fn set_times_node(
        &self,
        node: NodeId,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<(), FsError> {
        self.set_times(node, ".", false, accessed, modified)
    }

    /// Makes the file at `path`, from the directory `dir`, executable or not. Links are followed.
    ///
    /// # Errors
    /// `NotPermitted` if it may not be written; `Unsupported` if it is no file; as
    /// [`ReadView::stat`] otherwise.
    pub fn set_executable(&self, dir: NodeId, path: &str, executable: bool) -> Result<(), FsError> {
        let mut call = self.view.0.call("set-executable");
        let found = call.find(dir, path, How { follow: true, create: false })?;
        let child = call.require_leave_to_set(&found)?;
        let Child::File(file) = &child else {
            return Err(FsError::Unsupported);
        };
        call.saw(&child, Seen::Content);
        file.set_executable(executable, &call.shared.base, &self.upper)
    }
}

impl Call<'_> {
    fn stat(&mut self, child: &Child) -> Result<Stat, FsError> {
        self.saw(child, Seen::Metadata);
        let base = &self.shared.base;
        match child {
            Child::Dir(id) => {
                let dir = self.tree.dir(*id)?;
                let mut stat = Stat::new(Kind::Dir, dir.id);
                if let Some(probe) = dir.base.as_deref().map(|path| base.probe(path)).transpose()? {
                    stat.take_if_same_kind(probe.as_ref());
                }
                stat.take_times(&dir.times);
                Ok(stat)
            }
            Child::File(file) => file.stat(base),
            Child::Link(link) => {
                let mut stat = Stat::new(Kind::Symlink, link.id);
                if let Some(probe) = link.origin.as_deref().map(|at| base.probe(at)).transpose()? {
                    stat.take_if_same_kind(probe.as_ref());
                }
                stat.size = link.target.len() as u64;
                link.change(|state| {
                    stat.nlink = state.names;
                    stat.take_times(&state.times);
                });
                Ok(stat)
            }
            Child::Other(other) => {
                let mut stat = Stat::new(Kind::Other, other.id);
                stat.take_if_same_kind(base.probe(&other.origin)?.as_ref());
                Ok(stat)
            }
        }
    }

    fn require_leave_to_set(&mut self, found: &Found) -> Result<Child, FsError> {
        let child = found.child.clone().ok_or(FsError::NoEntry)?;
        match (&child, &found.name) {
            (Child::Dir(id), _) => {
                let path = self.tree.path_of(*id)?;
                if let Some(reason) = self.shared.gate.leave(&path).no_dir {
                    return Err(self.deny(Capability::Write, &path, reason));
                }
            }
            (Child::Other(_), Some(name)) => {
                let reason = DenialReason::SpecialFile;
                return Err(self.deny_at(Capability::Write, found.dir, name, reason));
            }
            (_, Some(name)) => {
                self.require_write(found.dir, name)?;
            }
            (_, None) => return Err(FsError::Invalid),
        }
        Ok(child)
    }
}
