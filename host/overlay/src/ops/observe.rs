//! Looking at a path for evidence.
//!
//! Invariant: "nothing stands there" is only ever said of a path that may be seen.

use idumb_core::{Capability, DenialReason, Digest, Observed, Seen};

use crate::base::join;
use crate::gate::Sight;
use crate::node::{Child, NodeId};
use crate::resolve::{How, Last};
use crate::view::Call;
use crate::{FsError, ReadView};

impl ReadView {
    /// What stands at `path`, from the root, links followed: the host's own observation.
    ///
    /// The observation names the path as asked for, with the links in directories on the way
    /// resolved. A link that leads to nothing that may be seen is observed as a link.
    ///
    /// # Errors
    /// `NotPermitted` for a path that may not be seen, with the denial recorded; else as
    /// [`ReadView::stat`].
    pub fn observe(&self, path: &str) -> Result<Observed, FsError> {
        let mut call = self.0.call("observe");
        let root = self.root();
        let result = call.observe(root, path);
        match result {
            Err(FsError::NoEntry) if call.denied => Err(FsError::NotPermitted),
            other => other,
        }
    }
}

impl Call<'_> {
    /// A directory on the way is missing, so the path is too, if that much may be known.
    fn observe_missing(&mut self) -> Result<Observed, FsError> {
        let path = self.missing.take().ok_or(FsError::NoEntry)?;
        match self.shared.gate.leave(&path).sight {
            Sight::Hidden(reason) => Err(self.deny(Capability::Read, &path, reason)),
            Sight::OnTheWay | Sight::Readable => Ok(Observed::Absent { path }),
        }
    }

    fn observe(&mut self, root: NodeId, path: &str) -> Result<Observed, FsError> {
        let (dir, name, slash) = match self.resolve_parent(root, path) {
            Ok((dir, Last::Name(name, slash))) => (dir, name, slash),
            Ok((dir, Last::Dot | Last::DotDot)) => {
                self.saw(&Child::Dir(dir), Seen::Metadata);
                return Ok(Observed::Dir { path: self.tree.path_of(dir)? });
            }
            Err(FsError::NoEntry) => return self.observe_missing(),
            Err(error) => return Err(error),
        };
        let at = join(&self.tree.path_of(dir)?, &name);
        let Some(child) = self.see(dir, &name)? else {
            return Ok(Observed::Absent { path: at });
        };
        let child = match child {
            Child::Link(_) => {
                match self.find(root, path, How { follow: true, create: false }) {
                    Ok(found) => found.child,
                    // Refused or missing, the link leads nowhere, and that can be said.
                    Err(FsError::NoEntry | FsError::NotPermitted | FsError::Loop) => None,
                    Err(error) => return Err(error),
                }
            }
            child if slash && !matches!(child, Child::Dir(_)) => return Err(FsError::NotDirectory),
            child => Some(child),
        };
        match child {
            None => Ok(Observed::Symlink { path: at }),
            Some(Child::Dir(id)) => {
                self.saw(&Child::Dir(id), Seen::Metadata);
                Ok(Observed::Dir { path: at })
            }
            Some(Child::File(file)) => {
                self.saw(&Child::File(file.clone()), Seen::Content);
                let (reader, _) = file.reader(&self.shared.base)?;
                let (digest, size) = Digest::of_reader(self.shared.base.1.reader(reader))?;
                Ok(Observed::File { path: at, digest, size })
            }
            Some(Child::Link(_)) => Ok(Observed::Symlink { path: at }),
            Some(Child::Other(_)) => {
                Err(self.deny(Capability::Read, &at, DenialReason::SpecialFile))
            }
        }
    }
}
