//! Listing a directory: the base's names, under what the attempt made and took away.
//!
//! Invariant: a listing has exactly the names that a look-up of each would find; it is charged to
//! the view for as long as it is held.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use idumb_core::Seen;

use crate::base::{Kind, join};
use crate::gate::Sight;
use crate::node::{Child, NodeId};
use crate::quota::Meter;
use crate::view::{Call, DirEntry};
use crate::{FsError, ReadView};

/// The entries of a directory, as they were when they were asked for. Iterating takes them out.
pub struct Listing {
    entries: std::vec::IntoIter<DirEntry>,
    charged: usize,
    meter: Arc<Meter>,
}

impl Iterator for Listing {
    type Item = DirEntry;

    fn next(&mut self) -> Option<DirEntry> {
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

/// What is left of it.
impl Deref for Listing {
    type Target = [DirEntry];

    fn deref(&self) -> &[DirEntry] {
        self.entries.as_slice()
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.meter.drop_listing(self.charged);
    }
}

impl ReadView {
    /// The entries of a directory that may be seen, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    /// `Quota` if there are more than the view hands out, with what is held of other listings; any
    /// error of reading the base.
    pub fn read_dir(&self, node: NodeId) -> Result<Listing, FsError> {
        let entries = self.entries(node)?;
        let (charged, meter) = (entries.len(), Arc::clone(&self.0.meter));
        meter.hold_listing(charged)?;
        Ok(Listing { entries: entries.into_iter(), charged, meter })
    }

    fn entries(&self, node: NodeId) -> Result<Vec<DirEntry>, FsError> {
        let mut call = self.0.call("read-dir");
        if !call.tree.dir(node)?.live {
            return Ok(Vec::new());
        }
        call.saw(&Child::Dir(node), Seen::Listing);
        let dir = call.tree.path_of(node)?;
        let entries = call.merged(node, &dir)?.into_iter().filter_map(|(name, kind)| {
            let visible = match call.shared.gate.leave(&join(&dir, &name)).sight {
                Sight::Readable => true,
                Sight::OnTheWay => kind == Kind::Dir,
                Sight::Hidden(_) => false,
            };
            visible.then_some(DirEntry { name, kind })
        });
        Ok(entries.collect())
    }
}

impl Call<'_> {
    /// Every name of the directory at `path` that is UTF-8, whoever may see it.
    fn merged(&mut self, node: NodeId, path: &str) -> Result<BTreeMap<String, Kind>, FsError> {
        let mut entries = BTreeMap::new();
        let dir = self.tree.dir(node)?;
        if let Some(base) = dir.base.as_deref() {
            for listed in self.shared.base.list(base, self.shared.meter.most_listed())? {
                let Some(name) = listed.name.filter(|name| !dir.names.contains_key(&**name)) else {
                    continue;
                };
                if !self.is_newcomer(&join(base, &name), &join(path, &name), listed.kind) {
                    entries.insert(name, listed.kind);
                }
            }
        }
        for (name, known) in &dir.names {
            if let Some(child) = &known.child {
                entries.insert(name.to_string(), child.kind());
            }
        }
        self.shared.meter.check_listing(entries.len())?;
        Ok(entries)
    }

    /// Whether a directory has no entry at all, hidden ones and names that are not UTF-8 included.
    pub(crate) fn is_empty_dir(&mut self, node: NodeId) -> Result<bool, FsError> {
        self.saw(&Child::Dir(node), Seen::Listing);
        let dir = self.tree.dir(node)?;
        if dir.names.values().any(|known| known.child.is_some()) {
            return Ok(false);
        }
        let Some(base) = dir.base.as_deref() else {
            return Ok(true);
        };
        let listed = self.shared.base.list(base, dir.names.len())?;
        let taken = |name: &str| dir.names.contains_key(name);
        Ok(listed.iter().all(|entry| entry.name.as_deref().is_some_and(taken)))
    }
}
