//! Making a directory.
//!
//! Invariant: a directory may be made where something in it may be written, so that what is
//! granted can be reached, and nowhere else.

use crate::node::{Child, NodeId};
use crate::resolve::{Last, Look};
use crate::upper::Counted;
use crate::{FsError, WorkView};
use idumb_core::{Capability, Seen};

impl WorkView {
    /// Makes the directory `path`, from the directory `dir`.
    ///
    /// # Errors
    /// `Exist` if something visible is there; `NotPermitted` if neither it nor anything below it
    /// may be written; `Quota`; as Linux otherwise.
    pub fn mkdir(&self, dir: NodeId, path: &str) -> Result<(), FsError> {
        let mut call = self.view.0.call("mkdir");
        let (parent, last) = call.resolve_parent(dir, path)?;
        let Last::Name(name, _) = last else {
            return Err(FsError::Exist);
        };
        match call.look(parent, &name)? {
            Look::Hidden(reason) => {
                return Err(call.deny_at(Capability::Write, parent, &name, reason));
            }
            Look::There(child) => {
                call.saw(&child, Seen::Metadata);
                return Err(FsError::Exist);
            }
            Look::Absent => {}
        }
        call.require_dir(parent, &name)?;
        call.require_room(parent, &name)?;
        self.upper.require_open()?;
        let counted = Counted::new(&self.upper.meter)?;
        let made = call.tree.add_dir(parent, name.as_str().into(), None, Some(counted));
        call.tree.attach(parent, &name, Child::Dir(made))
    }
}
