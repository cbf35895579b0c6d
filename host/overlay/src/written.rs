//! What an attempt has written so far, for those that are never sealed.
//!
//! Invariant: no content is looked at and the base is not asked; only names that were touched are
//! walked, and what is told is bounded whatever a guest makes.

use std::collections::BTreeSet;

use idumb_core::AccessRecord;

use crate::base::join;
use crate::node::{Child, Name};
use crate::tree::{ROOT, Tree};
use crate::{FsError, WorkView};

/// How many paths are told; the first, in their order.
const MOST: usize = 1000;

impl WorkView {
    /// What was read, written and refused so far, sorted.
    ///
    /// Written is what was made, written to, moved or deleted: also what was written back as it
    /// was, which sealing leaves out. Of a directory of the base that was moved, what the attempt
    /// never looked up is not named. At most 1000 paths are, and the rest is counted.
    pub fn record(&self) -> AccessRecord {
        let mut record = self.view.record();
        // A tree that cannot be walked has been told of by the operation that broke it.
        let mut paths = written(&self.view.0.lock()).unwrap_or_default();
        record.writes_dropped = paths.len().saturating_sub(MOST) as u64;
        paths.truncate(MOST);
        record.writes = paths;
        record
    }
}

fn written(tree: &Tree) -> Result<Vec<String>, FsError> {
    let mut written = BTreeSet::new();
    let mut gone: BTreeSet<&str> = tree.before.keys().map(|path| &**path).collect();
    let mut left = vec![(ROOT, String::new())];
    while let Some((id, at)) = left.pop() {
        for (name, Name { child, .. }) in &tree.dir(id)?.names {
            let path = join(&at, name);
            let origin = match child {
                None | Some(Child::Other(_)) => continue,
                Some(Child::Dir(id)) => {
                    left.push((*id, path.clone()));
                    tree.dir(*id)?.base.as_deref()
                }
                Some(Child::File(file)) => file.unchanged_from().map(|origin| &**origin),
                Some(Child::Link(link)) => link.origin.as_deref(),
            };
            if origin == Some(path.as_str()) {
                gone.remove(path.as_str());
            } else {
                written.insert(path);
            }
        }
    }
    written.extend(gone.into_iter().map(str::to_owned));
    Ok(written.into_iter().collect())
}
