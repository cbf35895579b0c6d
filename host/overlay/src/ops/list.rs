//! Listing a directory: the base's names, under what the attempt made and took away.
//!
//! Invariant: a listing has exactly the names that a look-up of each would find.

use std::collections::BTreeMap;

use idumb_core::Seen;

use crate::base::{Kind, join};
use crate::gate::Sight;
use crate::node::{Child, NodeId};
use crate::view::{Call, DirEntry};
use crate::{FsError, ReadView};

impl ReadView {
    /// The entries of a directory that may be seen, sorted by name, without `.` and `..`.
    ///
    /// # Errors
    /// `Quota` if there are more than the view hands out at once; any error of reading the base.
    pub fn read_dir(&self, node: NodeId) -> Result<Vec<DirEntry>, FsError> {
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
