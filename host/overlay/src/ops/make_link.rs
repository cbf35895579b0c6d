//! Making links, hard and symbolic.
//!
//! Invariant: a hard link gives a second name only to what may be written under its first; a
//! symbolic link that is made leads, by its text alone, to a path inside the project.

use std::sync::{Arc, Mutex};

use idumb_core::{Capability, DenialReason, Seen};

use crate::node::{Child, LinkNode, LinkState, NodeId, Times};
use crate::resolve::{How, Last, Look};
use crate::upper::Counted;
use crate::view::Call;
use crate::{FsError, WorkView};

/// As ext4.
const NAMES: u64 = 65_000;

impl WorkView {
    /// Gives the file (or link) at `old`, from `old_dir`, the further name `new`, from `new_dir`;
    /// `follow`: if `old` is a link, to what it leads to.
    ///
    /// # Errors
    /// `NotPermitted` if either name may not be written, or `old` is a directory; `Exist` if
    /// something visible is at `new`; as Linux otherwise.
    pub fn link(
        &self,
        old_dir: NodeId,
        old: &str,
        follow: bool,
        new_dir: NodeId,
        new: &str,
    ) -> Result<(), FsError> {
        let mut call = self.view.0.call("link");
        let found = call.find(old_dir, old, How { follow, create: false })?;
        let child = found.child.ok_or(FsError::NoEntry)?;
        let (dir, name) = call.new_name(new_dir, new)?;
        let Some(old_name) = found.name.filter(|_| !matches!(child, Child::Dir(_))) else {
            return Err(FsError::NotPermitted);
        };
        if matches!(child, Child::Other(_)) {
            let reason = DenialReason::SpecialFile;
            return Err(call.deny_at(Capability::Write, found.dir, &old_name, reason));
        }
        call.require_write(found.dir, &old_name)?;
        let path = call.require_write(dir, &name)?;
        call.require_room(dir, &name)?;
        self.upper.require_open()?;
        call.saw(&child, Seen::Content);
        // A name is kept in memory as a file is, so it is charged as one.
        let meter = &self.upper.meter;
        match &child {
            Child::File(file) if file.names() >= NAMES => return Err(FsError::TooManyLinks),
            Child::File(file) => {
                meter.add_file()?;
                file.add_name();
            }
            Child::Link(link) => {
                call.require_inside(&path, &link.target)?;
                link.change(|state| {
                    if state.names >= NAMES {
                        return Err(FsError::TooManyLinks);
                    }
                    meter.add_file()?;
                    state.names += 1;
                    Ok(())
                })?;
            }
            Child::Dir(_) | Child::Other(_) => return Err(FsError::NotPermitted),
        }
        call.tree.attach(dir, &name, child)
    }

    /// Makes a symbolic link to `target` at `path`, from the directory `dir`.
    ///
    /// # Errors
    /// `NotPermitted` if it may not be written, or if the target is absolute, leads above the
    /// root, or has `..` anywhere but at its start (a link in it could then lead anywhere), but
    /// for a plain view;
    /// `Exist` if something visible is there; as Linux otherwise.
    pub fn symlink(&self, target: &str, dir: NodeId, path: &str) -> Result<(), FsError> {
        if target.contains('\0') {
            return Err(FsError::Invalid);
        }
        if target.is_empty() {
            return Err(FsError::NoEntry);
        }
        self.upper.meter.check_path(target.len())?;
        let mut call = self.view.0.call("symlink");
        let (dir, name) = call.new_name(dir, path)?;
        let path = call.require_write(dir, &name)?;
        call.require_inside(&path, target)?;
        if target.starts_with('/') {
            // In a plain view too, as `symlink-at` of `wasi:filesystem` has it.
            return Err(call.deny(Capability::Write, &path, DenialReason::Escapes));
        }
        call.require_room(dir, &name)?;
        self.upper.require_open()?;
        let link = LinkNode {
            id: call.tree.next_id(),
            origin: None,
            target: target.into(),
            changing: Mutex::new(LinkState { times: Times::now(), names: 1 }),
            _counted: Some(Counted::new(&self.upper.meter)?),
        };
        call.tree.attach(dir, &name, Child::Link(Arc::new(link)))
    }
}

impl Call<'_> {
    /// Resolves a path to a name that is free.
    fn new_name(&mut self, dir: NodeId, path: &str) -> Result<(NodeId, String), FsError> {
        let (dir, last) = self.resolve_parent(dir, path)?;
        let Last::Name(name, slash) = last else {
            return Err(FsError::Exist);
        };
        match self.look(dir, &name)? {
            Look::Hidden(reason) => Err(self.deny_at(Capability::Write, dir, &name, reason)),
            Look::There(child) => {
                self.saw(&child, Seen::Metadata);
                Err(FsError::Exist)
            }
            Look::Absent if slash => Err(FsError::NoEntry),
            Look::Absent => Ok((dir, name)),
        }
    }

    /// Refuses a link at `path` whose target leads out of the project.
    pub(crate) fn require_inside(&mut self, path: &str, target: &str) -> Result<(), FsError> {
        if self.shared.gate.is_plain() || leads_inside(path, target) {
            return Ok(());
        }
        Err(self.deny(Capability::Write, path, DenialReason::Escapes))
    }
}

/// Whether a link at `path` with this target leads to a path inside, by its text alone: some
/// `..`, no more than there are directories above, and then names.
pub(crate) fn leads_inside(path: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return false;
    }
    let mut room = path.matches('/').count();
    let mut named = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if named || room == 0 => return false,
            ".." => room -= 1,
            _ => named = true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::leads_inside;

    #[test]
    fn targets_by_table() {
        let table = [
            ("a", "b", true),
            ("a", "b/c", true),
            ("a", "./b", true),
            ("a", "..", false),
            ("a", "../b", false),
            ("d/a", "../b", true),
            ("d/a", "..", true),
            ("d/a", "../..", false),
            ("d/e/a", ".././../b", true),
            ("a", "/etc/passwd", false),
            ("a", "//x", false),
            ("a", "b/../c", false),
            ("d/a", "b/../../c", false),
            // Inside by its text, but `up` may be a link to the root.
            ("d/e/a", "up/../x", false),
        ];
        for (path, target, inside) in table {
            assert_eq!(leads_inside(path, target), inside, "{path} -> {target}");
        }
    }
}
