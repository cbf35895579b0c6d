//! Renaming. A directory takes everything in it along, and nothing is copied.
//!
//! Invariant: every name that changes, below a directory too, may be written where it was and
//! where it comes to be.

use idumb_core::{Capability, DenialReason, Seen};

use crate::base::{Kind, join};
use crate::node::{Child, NodeId};
use crate::resolve::{Last, Look};
use crate::view::Call;
use crate::{FsError, WorkView};

/// One end of a renaming.
struct End {
    dir: NodeId,
    name: String,
    slash: bool,
}

impl WorkView {
    /// Renames `old`, from `old_dir`, to `new`, from `new_dir`; what is there is replaced, as
    /// Linux replaces it.
    ///
    /// # Errors
    /// `NotPermitted` if a name that changes may not be written; `Invalid` into itself;
    /// `NotEmpty`, `IsDirectory` and `NotDirectory` for what cannot be replaced; as Linux
    /// otherwise.
    pub fn rename(
        &self,
        old_dir: NodeId,
        old: &str,
        new_dir: NodeId,
        new: &str,
    ) -> Result<(), FsError> {
        let mut call = self.view.0.call("rename");
        let (old, new) = call.ends((old_dir, old), (new_dir, new))?;
        let child = call.see(old.dir, &old.name)?.ok_or(FsError::NoEntry)?;
        let target = match call.look(new.dir, &new.name)? {
            Look::Hidden(reason) => {
                return Err(call.deny_at(Capability::Write, new.dir, &new.name, reason));
            }
            Look::Absent => None,
            Look::There(target) => Some(target),
        };
        call.check_kinds(&child, &old, &new, target.as_ref())?;
        call.require_leave_to_move(&child, &old, &new)?;
        if target.as_ref().is_some_and(|target| target.is_same(&child)) {
            return Ok(());
        }
        self.upper.require_open()?;
        call.saw(&child, Seen::Content);
        match target {
            None => {}
            Some(Child::Dir(id)) => call.drop_dir(new.dir, &new.name, id)?,
            Some(target) => call.drop_name(new.dir, &new.name, &target)?,
        }
        call.tree.detach(old.dir, &old.name)?;
        call.tree.attach(new.dir, &new.name, child)
    }
}

impl Call<'_> {
    /// Both ends; what is wrong on the way to either comes before what is wrong with an end.
    fn ends(
        &mut self,
        (old_dir, old): (NodeId, &str),
        (new_dir, new): (NodeId, &str),
    ) -> Result<(End, End), FsError> {
        let (old_dir, old) = self.resolve_parent(old_dir, old)?;
        let (new_dir, new) = self.resolve_parent(new_dir, new)?;
        let end = |dir, last| match last {
            Last::Name(name, slash) => Ok(End { dir, name, slash }),
            Last::Dot | Last::DotDot => Err(FsError::Busy),
        };
        Ok((end(old_dir, old)?, end(new_dir, new)?))
    }

    /// What Linux checks, in its order.
    fn check_kinds(
        &self,
        child: &Child,
        old: &End,
        new: &End,
        target: Option<&Child>,
    ) -> Result<(), FsError> {
        match child {
            Child::Dir(id) if self.tree.is_within(new.dir, *id)? => return Err(FsError::Invalid),
            Child::Dir(_) => {}
            _ if old.slash || new.slash => return Err(FsError::NotDirectory),
            _ => {}
        }
        if let Some(Child::Dir(id)) = target
            && self.tree.is_within(old.dir, *id)?
        {
            return Err(FsError::NotEmpty);
        }
        match (child, target) {
            (Child::Dir(_), Some(target)) if !matches!(target, Child::Dir(_)) => {
                Err(FsError::NotDirectory)
            }
            (child, Some(Child::Dir(_))) if !matches!(child, Child::Dir(_)) => {
                Err(FsError::IsDirectory)
            }
            _ => Ok(()),
        }
    }

    fn require_leave_to_move(
        &mut self,
        child: &Child,
        old: &End,
        new: &End,
    ) -> Result<(), FsError> {
        match child {
            Child::Other(_) => {
                let reason = DenialReason::SpecialFile;
                return Err(self.deny_at(Capability::Write, old.dir, &old.name, reason));
            }
            Child::File(_) => {
                self.require_write(old.dir, &old.name)?;
                self.require_write(new.dir, &new.name)?;
            }
            Child::Link(link) => {
                self.require_write(old.dir, &old.name)?;
                let path = self.require_write(new.dir, &new.name)?;
                self.require_inside(&path, &link.target)?;
            }
            Child::Dir(id) => {
                let from = self.require_dir(old.dir, &old.name)?;
                let to = self.require_dir(new.dir, &new.name)?;
                let depth = self.tree.depth_of(new.dir)? + 1;
                self.require_leave_below(*id, &from, &to, depth)?;
            }
        }
        self.require_room(new.dir, &new.name)
    }

    /// Walks everything below a directory that is to be moved.
    fn require_leave_below(
        &mut self,
        top: NodeId,
        from: &str,
        to: &str,
        depth: usize,
    ) -> Result<(), FsError> {
        let mut left = vec![(Below::Known(top), from.to_owned(), to.to_owned(), depth)];
        let mut count = 0;
        while let Some((at, from, to, depth)) = left.pop() {
            for (name, below) in self.entries_of(&at)? {
                count += 1;
                self.shared.meter.check_listing(count)?;
                let Some(name) = name else {
                    return Err(self.deny(Capability::Write, &from, DenialReason::SpecialFile));
                };
                let (from, to) = (join(&from, &name), join(&to, &name));
                self.shared.meter.check_path(to.len())?;
                self.shared.meter.check_depth(depth + 1)?;
                self.require_leave_for(&from, &to, below.kind())?;
                if below.kind() == Kind::Dir {
                    left.push((below, from, to, depth + 1));
                }
            }
        }
        Ok(())
    }

    fn require_leave_for(&mut self, from: &str, to: &str, kind: Kind) -> Result<(), FsError> {
        if kind == Kind::Other {
            return Err(self.deny(Capability::Write, from, DenialReason::SpecialFile));
        }
        for path in [from, to] {
            let leave = self.shared.gate.leave(path);
            let refused = if kind == Kind::Dir { leave.no_dir } else { leave.no_write };
            if let Some(reason) = refused {
                return Err(self.deny(Capability::Write, path, reason));
            }
        }
        Ok(())
    }

    /// Everything in a directory, without looking anything up. A name that is not UTF-8: `None`.
    fn entries_of(&mut self, at: &Below) -> Result<Vec<(Option<String>, Below)>, FsError> {
        let mut entries = Vec::new();
        let (base, names) = match at {
            Below::Base(path, _) => (Some(path.clone()), None),
            Below::Known(id) => {
                let dir = self.tree.dir(*id)?;
                (dir.base.as_deref().map(str::to_owned), Some(&dir.names))
            }
            Below::Leaf(_) => (None, None),
        };
        if let Some(base) = base {
            self.shared.recorder.saw(&base, Seen::Listing);
            for listed in self.shared.base.list(&base, self.shared.meter.most_listed())? {
                let known = |name: &String| names.is_some_and(|names| names.contains_key(&**name));
                if listed.name.as_ref().is_some_and(known) {
                    continue;
                }
                let path = join(&base, listed.name.as_deref().unwrap_or_default());
                entries.push((listed.name, Below::Base(path, listed.kind)));
            }
        }
        for (name, known) in names.into_iter().flatten() {
            let below = match &known.child {
                None => continue,
                Some(Child::Dir(id)) => Below::Known(*id),
                Some(child) => Below::Leaf(child.kind()),
            };
            entries.push((Some(name.to_string()), below));
        }
        Ok(entries)
    }
}

/// Something below a directory that is to be moved.
enum Below {
    /// A directory of the view.
    Known(NodeId),
    /// Not looked up: as it stands in the base.
    Base(String, Kind),
    Leaf(Kind),
}

impl Below {
    fn kind(&self) -> Kind {
        match self {
            Self::Known(_) => Kind::Dir,
            Self::Base(_, kind) | Self::Leaf(kind) => *kind,
        }
    }
}
