//! Taking names away: files, links and directories.
//!
//! Invariant: a base file is hashed before its last name goes, so that what integration deletes
//! is what the attempt saw.

use idumb_core::{Capability, DenialReason, Seen};

use crate::node::{Child, NodeId};
use crate::resolve::Last;
use crate::view::Call;
use crate::{FsError, WorkView};

impl WorkView {
    /// Removes the file or link `path`, from the directory `dir`. Open handles keep the file.
    ///
    /// # Errors
    /// `IsDirectory`; `NotPermitted` if it may not be written; as Linux otherwise.
    pub fn unlink(&self, dir: NodeId, path: &str) -> Result<(), FsError> {
        let mut call = self.view.0.call("unlink");
        let (parent, last) = call.resolve_parent(dir, path)?;
        let Last::Name(name, slash) = last else {
            return Err(FsError::IsDirectory);
        };
        let child = call.see(parent, &name)?.ok_or(FsError::NoEntry)?;
        if matches!(child, Child::Dir(_)) {
            return Err(FsError::IsDirectory);
        }
        if slash {
            return Err(FsError::NotDirectory);
        }
        call.require_write(parent, &name)?;
        self.upper.require_open()?;
        call.drop_name(parent, &name, &child)
    }

    /// Removes the empty directory `path`, from the directory `dir`.
    ///
    /// # Errors
    /// `NotEmpty` if anything is in it, hidden entries included; `NotDirectory`; `NotPermitted`
    /// if neither it nor anything below it may be written; as Linux otherwise.
    pub fn rmdir(&self, dir: NodeId, path: &str) -> Result<(), FsError> {
        let mut call = self.view.0.call("rmdir");
        let (parent, last) = call.resolve_parent(dir, path)?;
        let name = match last {
            Last::Name(name, _) => name,
            Last::Dot => return Err(FsError::Invalid),
            Last::DotDot => return Err(FsError::NotEmpty),
        };
        let child = call.see(parent, &name)?.ok_or(FsError::NoEntry)?;
        let Child::Dir(id) = child else {
            return Err(FsError::NotDirectory);
        };
        call.require_dir(parent, &name)?;
        self.upper.require_open()?;
        call.drop_dir(parent, &name, id)
    }
}

impl Call<'_> {
    /// Takes away the name of a file or link, which may be written.
    pub(crate) fn drop_name(
        &mut self,
        dir: NodeId,
        name: &str,
        child: &Child,
    ) -> Result<(), FsError> {
        match child {
            Child::File(file) => {
                self.saw(child, Seen::Content);
                if file.names() <= 1 {
                    file.remember_before(&self.shared.base)?;
                }
                self.tree.detach(dir, name)?;
                self.give_back_name(file.remove_name());
            }
            Child::Link(link) => {
                self.saw(child, Seen::Content);
                self.tree.detach(dir, name)?;
                self.give_back_name(link.change(|state| {
                    state.names = state.names.saturating_sub(1);
                    state.names
                }));
            }
            // A change-set could not say what was deleted, nor put it back.
            Child::Other(_) => {
                let reason = DenialReason::SpecialFile;
                return Err(self.deny_at(Capability::Write, dir, name, reason));
            }
            Child::Dir(_) => return Err(FsError::IsDirectory),
        }
        Ok(())
    }

    /// A further name was charged when it was made; the first one is part of what it names.
    fn give_back_name(&self, left: u64) {
        if left > 0 {
            self.shared.meter.remove_file();
        }
    }

    /// Takes away a directory that must be empty.
    pub(crate) fn drop_dir(&mut self, dir: NodeId, name: &str, id: NodeId) -> Result<(), FsError> {
        if !self.is_empty_dir(id)? {
            return Err(FsError::NotEmpty);
        }
        self.tree.detach(dir, name)?;
        self.tree.retire(id);
        Ok(())
    }
}
