//! One path of a change-set at a time: recovering, staging, changing, undoing, clearing up.
//!
//! Invariant: what is moved out of the tree stays in a slot until every step succeeded, or until
//! it is back.

use idumb_core::{Blobs, Change, Entry};
use rustix::io::Errno;

use super::check::conflict;
use super::slot::{ALL, Look, Side, Slot, Slots, Use};
use super::{IntegrateError, call};
use crate::Base;
use crate::base::{Found, is_absent};

pub(super) struct Stepper<'a> {
    pub(super) base: &'a Base,
    pub(super) blobs: &'a dyn Blobs,
    pub(super) slots: &'a Slots<'a>,
}

/// A step that was taken.
#[derive(Debug)]
pub(super) struct Done<'a> {
    change: &'a Change,
    what: Did,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    MadeDir,
    RemovedDir,
    /// Something new is in place, where nothing was.
    Placed(Side),
    /// Something new is in place; what was there is in the slot.
    Exchanged(Side),
    /// What was there is in the slot for it.
    TakenOut(Side),
}

fn same(found: &Option<Found>, entry: &Option<Entry>) -> bool {
    match (found, entry) {
        (None, None) => true,
        (Some(Found::Entry(found)), Some(entry)) => found == entry,
        _ => false,
    }
}

impl<'a> Stepper<'a> {
    fn slot(&self, path: &str, side: Side, what: Use) -> Result<Slot, IntegrateError> {
        self.slots.slot(path, side, what).map_err(IntegrateError::io(path))
    }

    fn found(&self, path: &str) -> Result<Option<Found>, IntegrateError> {
        self.base.found(path).map_err(IntegrateError::fs(path))
    }

    fn conflict(&self, change: &Change) -> Result<IntegrateError, IntegrateError> {
        let found = self.found(&change.path)?;
        let conflict = conflict(&change.path, change.before.clone(), found);
        Ok(IntegrateError::Conflict(vec![conflict]))
    }

    /// Puts back what a run that was cut short had moved out before it could verify it, and what
    /// it had moved out to make room for something that did not come.
    pub(super) fn recover(&self, change: &Change) -> Result<(), IntegrateError> {
        let path = change.path.as_str();
        let (os, fs) = (IntegrateError::os(path), IntegrateError::fs(path));
        for (side, what) in ALL {
            let slot = self.slot(path, side, what)?;
            let held = slot.found().map_err(&fs)?;
            if held.is_none() {
                continue;
            }
            let known = self.is_known(change, &slot, &held)?;
            let now = self.found(path)?;
            let gap = now.is_none() && change.after.is_some() && same(&held, &change.before);
            if known && !(gap && what == Use::Out) {
                continue;
            }
            let Ok(place) = Slot::at(self.base, path) else {
                return Err(self.conflict(change)?);
            };
            if now.is_none() {
                slot.move_to(&place).map_err(&os)?;
            } else if same(&now, &change.after) && what == Use::New {
                slot.exchange(&place).map_err(&os)?;
            } else if same(&now, &change.after) {
                // Its own slot for new content is free, or was found to hold nothing else.
                let aside = self.slot(path, side, Use::New)?;
                aside.remove().map_err(&os)?;
                place.move_to(&aside).map_err(&os)?;
                slot.move_to(&place).map_err(&os)?;
            } else {
                // The path changed yet again. Neither version is thrown away.
                return Err(self.conflict(change)?);
            }
        }
        Ok(())
    }

    /// Empties the slots of a path of what is known by digest. Anything else is somebody's, who
    /// wrote to it while it was being moved: it stays, and the next call puts it back.
    pub(super) fn clear(&self, change: &Change) -> Result<(), IntegrateError> {
        let (os, fs) = (IntegrateError::os(&change.path), IntegrateError::fs(&change.path));
        for (side, what) in ALL {
            let slot = self.slot(&change.path, side, what)?;
            slot.remove_part().map_err(IntegrateError::io(&change.path))?;
            let held = slot.found().map_err(&fs)?;
            if held.is_some() && self.is_known(change, &slot, &held)? {
                slot.remove().map_err(&os)?;
            }
        }
        Ok(())
    }

    /// Readies what is to be put in place, in the staging directory.
    pub(super) fn stage(&self, change: &Change) -> Result<(), IntegrateError> {
        let slot = self.slot(&change.path, Side::Staging, Use::New)?;
        self.fill(change, &slot)
    }

    fn fill(&self, change: &Change, slot: &Slot) -> Result<(), IntegrateError> {
        let path = change.path.as_str();
        let os = IntegrateError::os(path);
        match &change.after {
            Some(Entry::File { digest, executable, .. }) => {
                let old = self.base.probe(path).map_err(IntegrateError::fs(path))?;
                let like = old.filter(|old| old.kind == crate::Kind::File);
                let like = like.map(|old| (old.mode, old.owner));
                let look = Look { executable: *executable, like };
                let filled = slot.fill(self.blobs, *digest, &look);
                if !filled.map_err(IntegrateError::io(path))? {
                    let (path, digest) = (path.to_owned(), *digest);
                    return Err(IntegrateError::Corrupt { path, digest });
                }
                Ok(())
            }
            Some(Entry::Symlink { target }) => call::make_symlink(target, slot).map_err(os),
            // A new directory is made in place; one that replaces a file is exchanged for it.
            Some(Entry::Dir) if change.before.is_some() => call::make_dir(slot).map_err(os),
            Some(Entry::Dir) | None => Ok(()),
        }
    }

    /// Changes one path, from exactly its before side.
    pub(super) fn step(
        &self,
        change: &'a Change,
        done: &mut Vec<Done<'a>>,
    ) -> Result<(), IntegrateError> {
        let path = change.path.as_str();
        let place = match Slot::at(self.base, path) {
            Ok(place) => place,
            Err(errno) if is_absent(errno) => return Err(self.conflict(change)?),
            Err(errno) => return Err(IntegrateError::os(path)(errno)),
        };
        let what = match (&change.before, &change.after) {
            (None, Some(Entry::Dir)) => self.make_dir(change, &place)?,
            (Some(Entry::Dir), None) => self.remove_dir(change, &place)?,
            (Some(_), None) => self.take_out(change, &place)?,
            (None, _) => self.put_in(change, &place)?,
            (Some(_), Some(_)) => match self.replace(change, &place)? {
                Some(did) => did,
                None => {
                    // No exchange on this file system: out with the old, in with the new.
                    let what = self.take_out(change, &place)?;
                    done.push(Done { change, what });
                    self.put_in(change, &place)?
                }
            },
        };
        done.push(Done { change, what });
        Ok(())
    }

    fn make_dir(&self, change: &Change, place: &Slot) -> Result<Did, IntegrateError> {
        match call::make_dir(place) {
            Ok(()) => Ok(Did::MadeDir),
            Err(Errno::EXIST) => Err(self.conflict(change)?),
            Err(errno) => Err(IntegrateError::os(&change.path)(errno)),
        }
    }

    fn remove_dir(&self, change: &Change, place: &Slot) -> Result<Did, IntegrateError> {
        match call::remove_dir(place) {
            Ok(()) => Ok(Did::RemovedDir),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::NOENT) => {
                Err(self.conflict(change)?)
            }
            Err(errno) => Err(IntegrateError::os(&change.path)(errno)),
        }
    }

    /// Does `go` from the staging directory, or from the project's root if that is elsewhere.
    fn on_either_side<T>(
        &self,
        change: &Change,
        what: Use,
        go: impl Fn(&Slot) -> Result<T, Errno>,
    ) -> Result<Result<(T, Side), Errno>, IntegrateError> {
        let slot = self.slot(&change.path, Side::Staging, what)?;
        match go(&slot) {
            Err(Errno::XDEV) => {}
            other => return Ok(other.map(|value| (value, Side::Staging))),
        }
        let slot = self.slot(&change.path, Side::Root, what)?;
        if what == Use::New {
            self.fill(change, &slot)?;
        }
        Ok(go(&slot).map(|value| (value, Side::Root)))
    }

    fn put_in(&self, change: &Change, place: &Slot) -> Result<Did, IntegrateError> {
        match self.on_either_side(change, Use::New, |slot| slot.move_to(place))? {
            Ok(((), side)) => Ok(Did::Placed(side)),
            Err(Errno::EXIST) => Err(self.conflict(change)?),
            Err(errno) => Err(IntegrateError::os(&change.path)(errno)),
        }
    }

    fn take_out(&self, change: &Change, place: &Slot) -> Result<Did, IntegrateError> {
        let path = change.path.as_str();
        let os = IntegrateError::os(path);
        let side = match self.on_either_side(change, Use::Out, |slot| place.move_to(slot))? {
            Ok(((), side)) => side,
            Err(Errno::NOENT) => return Err(self.conflict(change)?),
            Err(errno) => return Err(os(errno)),
        };
        let slot = self.slot(path, side, Use::Out)?;
        if self.is_before(change, &slot)? {
            return Ok(Did::TakenOut(side));
        }
        slot.move_to(place).map_err(os)?;
        Err(self.conflict(change)?)
    }

    /// Exchanges old for new; `None`: this file system cannot.
    fn replace(&self, change: &Change, place: &Slot) -> Result<Option<Did>, IntegrateError> {
        let path = change.path.as_str();
        let os = IntegrateError::os(path);
        if !self.slots.exchange.get() {
            return Ok(None);
        }
        let side = match self.on_either_side(change, Use::New, |slot| slot.exchange(place))? {
            Ok(((), side)) => side,
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                self.slots.exchange.set(false);
                return Ok(None);
            }
            Err(Errno::NOENT) => return Err(self.conflict(change)?),
            Err(errno) => return Err(os(errno)),
        };
        let slot = self.slot(path, side, Use::New)?;
        if self.is_before(change, &slot)? {
            return Ok(Some(Did::Exchanged(side)));
        }
        slot.exchange(place).map_err(os)?;
        Err(self.conflict(change)?)
    }

    /// Whether what was moved out is what it should be; a directory must be empty too.
    fn is_before(&self, change: &Change, slot: &Slot) -> Result<bool, IntegrateError> {
        let held = slot.found().map_err(IntegrateError::fs(&change.path))?;
        Ok(same(&held, &change.before) && self.is_known(change, slot, &held)?)
    }

    /// Refuses a step whose old version has changed since it was moved out.
    pub(super) fn recheck(&self, done: &Done<'_>) -> Result<(), IntegrateError> {
        let (side, what) = match done.what {
            Did::Exchanged(side) => (side, Use::New),
            Did::TakenOut(side) => (side, Use::Out),
            Did::MadeDir | Did::RemovedDir | Did::Placed(_) => return Ok(()),
        };
        let (change, path) = (done.change, &done.change.path);
        let slot = self.slot(path, side, what)?;
        if self.is_before(change, &slot)? {
            return Ok(());
        }
        let found = slot.found().map_err(IntegrateError::fs(path))?;
        let conflict = conflict(path, change.before.clone(), found);
        Err(IntegrateError::Conflict(vec![conflict]))
    }

    /// Whether a slot holds nothing but one of the change's sides: nothing that would be missed.
    fn is_known(
        &self,
        change: &Change,
        slot: &Slot,
        held: &Option<Found>,
    ) -> Result<bool, IntegrateError> {
        if !same(held, &change.before) && !same(held, &change.after) {
            return Ok(false);
        }
        if *held != Some(Found::Entry(Entry::Dir)) {
            return Ok(true);
        }
        slot.is_empty_dir().map_err(IntegrateError::os(&change.path))
    }

    /// Undoes a step, unless somebody changed its path again since.
    pub(super) fn undo(&self, done: &Done<'_>) -> Result<(), IntegrateError> {
        let change = done.change;
        let path = change.path.as_str();
        let os = IntegrateError::os(path);
        let Ok(place) = Slot::at(self.base, path) else {
            return Ok(());
        };
        let is_after = |slot: &Slot| -> Result<bool, IntegrateError> {
            Ok(same(&slot.found().map_err(IntegrateError::fs(path))?, &change.after))
        };
        match done.what {
            Did::MadeDir => match call::remove_dir(&place) {
                // Somebody uses it: it is theirs now.
                Ok(()) | Err(Errno::NOTEMPTY | Errno::NOENT | Errno::NOTDIR) => Ok(()),
                Err(errno) => Err(os(errno)),
            },
            Did::RemovedDir => match call::make_dir(&place) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(os(errno)),
            },
            Did::Placed(side) => {
                let slot = self.slot(path, side, Use::New)?;
                match place.move_to(&slot) {
                    Ok(()) if is_after(&slot)? => Ok(()),
                    Ok(()) => slot.move_to(&place).map_err(os),
                    Err(Errno::NOENT) => Ok(()),
                    Err(errno) => Err(os(errno)),
                }
            }
            Did::Exchanged(side) => {
                let slot = self.slot(path, side, Use::New)?;
                match slot.exchange(&place) {
                    Ok(()) if is_after(&slot)? => Ok(()),
                    Ok(()) => slot.exchange(&place).map_err(os),
                    Err(Errno::NOENT) => slot.move_to(&place).map_err(os),
                    Err(errno) => Err(os(errno)),
                }
            }
            Did::TakenOut(side) => match self.slot(path, side, Use::Out)?.move_to(&place) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(os(errno)),
            },
        }
    }
}
