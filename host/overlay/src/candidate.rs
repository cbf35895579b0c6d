//! The tree of a candidate: the base with the after sides of a change-set in it.
//!
//! Invariant: where the change-set names a path, the base does not show through.

use std::io;
use std::sync::{Arc, Mutex};

use idumb_core::{Blobs, ChangeSet, Entry};

use crate::base::{Base, Kind, is_plain, join, last_name, parent};
use crate::file::FileNode;
use crate::node::{Child, LinkNode, LinkState, Name, NodeId, Times};
use crate::tree::{ROOT, Tree};

/// Checks what every user of a change-set relies on: paths are plain, sorted, and named once.
pub(crate) fn check_paths(change_set: &ChangeSet) -> Result<(), String> {
    let mut last: Option<&str> = None;
    for path in change_set.paths() {
        if !is_plain(path) {
            return Err(format!("{path:?} is not a path in the project"));
        }
        if last.is_some_and(|last| last >= path) {
            return Err(format!("{path:?} is out of order, or named twice"));
        }
        last = Some(path);
    }
    Ok(())
}

pub(crate) fn tree(
    base: &Base,
    change_set: &ChangeSet,
    blobs: &Arc<dyn Blobs>,
) -> io::Result<Tree> {
    let malformed = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    check_paths(change_set).map_err(malformed)?;
    let mut tree = Tree::new();
    // Sorted, a directory comes before what is in it.
    for change in &change_set.changes {
        let path = change.path.as_str();
        let Some(dir) = dir_at(&mut tree, base, parent(path))? else {
            if change.after.is_none() {
                continue;
            }
            return Err(malformed(format!("{path:?} is in no directory of the candidate")));
        };
        let child = change.after.as_ref().map(|after| child(&mut tree, dir, path, after, blobs));
        let name = Name { child, in_base: true };
        tree.dir_mut(dir)?.names.insert(last_name(path).into(), name);
    }
    Ok(tree)
}

fn child(tree: &mut Tree, dir: NodeId, path: &str, after: &Entry, blobs: &Arc<dyn Blobs>) -> Child {
    match after {
        Entry::Dir => Child::Dir(tree.add_dir(dir, last_name(path).into(), None, None)),
        Entry::File { digest, size, executable } => {
            let known = (*digest, *size, *executable);
            Child::File(Arc::new(FileNode::from_blob(tree.next_id(), Arc::clone(blobs), known)))
        }
        Entry::Symlink { target } => Child::Link(Arc::new(LinkNode {
            id: tree.next_id(),
            origin: None,
            target: target.as_str().into(),
            changing: Mutex::new(LinkState { times: Times::default(), names: 1 }),
            _counted: None,
        })),
    }
}

/// The directory at `path` of the candidate so far; `None`: there is none.
fn dir_at(tree: &mut Tree, base: &Base, path: &str) -> io::Result<Option<NodeId>> {
    let mut at = ROOT;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let dir = tree.dir(at)?;
        at = match (dir.names.get(name), dir.base.as_deref()) {
            (Some(Name { child: Some(Child::Dir(id)), .. }), _) => *id,
            (Some(_), _) | (None, None) => return Ok(None),
            (None, Some(above)) => {
                let path = join(above, name);
                if base.probe(&path)?.is_none_or(|probe| probe.kind != Kind::Dir) {
                    return Ok(None);
                }
                let id = tree.add_dir(at, name.into(), Some(path.into()), None);
                let known = Name { child: Some(Child::Dir(id)), in_base: true };
                tree.dir_mut(at)?.names.insert(name.into(), known);
                id
            }
        };
    }
    Ok(Some(at))
}
