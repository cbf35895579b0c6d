//! The names of a view: directories in memory, over those of the base.
//!
//! Invariant: a name's entry exists only once it was looked up, made or taken away, so the tree
//! grows with what was touched; nothing here asks the gate.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use idumb_core::Entry;

use crate::FsError;
use crate::base::join;
use crate::file::FileNode;
use crate::node::{Child, DirNode, Name, NodeId, Times};
use crate::upper::Counted;

/// How many removed directories stay answerable for the handles that guests may hold on them.
const REMOVED_KEPT: usize = 1024;

/// What the base had at a path before the attempt took it away from there.
#[derive(Debug, Clone)]
pub(crate) enum Before {
    Known(Entry),
    /// Known once the file was copied, taken away for good, or sealed.
    File(Arc<FileNode>),
}

#[derive(Debug)]
pub(crate) struct Tree {
    slots: Vec<Slot>,
    free: Vec<u32>,
    removed: VecDeque<NodeId>,
    /// By path in the base.
    pub(crate) before: BTreeMap<Arc<str>, Before>,
    next_id: u64,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    dir: Option<DirNode>,
}

/// The root of every view.
pub(crate) const ROOT: NodeId = NodeId { index: 0, generation: 0 };

impl Tree {
    pub(crate) fn new() -> Self {
        let root = DirNode {
            id: 1,
            parent: ROOT,
            name: "".into(),
            live: true,
            base: Some("".into()),
            names: BTreeMap::new(),
            times: Times::default(),
            _counted: None,
        };
        Self {
            slots: vec![Slot { generation: 0, dir: Some(root) }],
            free: Vec::new(),
            removed: VecDeque::new(),
            before: BTreeMap::new(),
            next_id: 2,
        }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// The directory, with or without a name; `NoEntry` once it is forgotten.
    pub(crate) fn dir(&self, id: NodeId) -> Result<&DirNode, FsError> {
        let slot =
            self.slots.get(id.index as usize).filter(|slot| slot.generation == id.generation);
        slot.and_then(|slot| slot.dir.as_ref()).ok_or(FsError::NoEntry)
    }

    pub(crate) fn dir_mut(&mut self, id: NodeId) -> Result<&mut DirNode, FsError> {
        let slot =
            self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation);
        slot.and_then(|slot| slot.dir.as_mut()).ok_or(FsError::NoEntry)
    }

    /// A directory that has a name.
    pub(crate) fn live(&self, id: NodeId) -> Result<&DirNode, FsError> {
        self.dir(id).and_then(|dir| if dir.live { Ok(dir) } else { Err(FsError::NoEntry) })
    }

    /// Adds a directory that has no entry yet in its parent.
    pub(crate) fn add_dir(
        &mut self,
        parent: NodeId,
        name: Arc<str>,
        base: Option<Arc<str>>,
        counted: Option<Counted>,
    ) -> NodeId {
        let id = self.next_id();
        let times = if base.is_some() { Times::default() } else { Times::now() };
        let names = BTreeMap::new();
        let dir = DirNode { id, parent, name, live: true, base, names, times, _counted: counted };
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.dir = Some(dir);
            return NodeId { index, generation: slot.generation };
        }
        // Bounded by the quota of files and by the directories of the base.
        let index = self.slots.len() as u32;
        self.slots.push(Slot { generation: 0, dir: Some(dir) });
        NodeId { index, generation: 0 }
    }

    /// Takes a directory without entries out of the tree; handles on it find nothing from here on.
    pub(crate) fn retire(&mut self, id: NodeId) {
        let Ok(dir) = self.dir_mut(id) else { return };
        dir.live = false;
        dir.names.clear();
        dir._counted = None;
        self.removed.push_back(id);
        if self.removed.len() > REMOVED_KEPT
            && let Some(oldest) = self.removed.pop_front()
        {
            let slot = &mut self.slots[oldest.index as usize];
            slot.dir = None;
            slot.generation += 1;
            self.free.push(oldest.index);
        }
    }

    /// Where the directory stands in the view; the root is the empty text.
    pub(crate) fn path_of(&self, id: NodeId) -> Result<String, FsError> {
        let mut names: Vec<&str> = Vec::new();
        let mut at = id;
        while at != ROOT {
            let dir = self.live(at)?;
            names.push(&dir.name);
            at = dir.parent;
        }
        names.reverse();
        Ok(names.join("/"))
    }

    /// How many names lead to the directory.
    pub(crate) fn depth_of(&self, id: NodeId) -> Result<usize, FsError> {
        let mut depth = 0;
        let mut at = id;
        while at != ROOT {
            at = self.live(at)?.parent;
            depth += 1;
        }
        Ok(depth)
    }

    /// Whether `inner` is `outer` or stands somewhere below it.
    pub(crate) fn is_within(&self, inner: NodeId, outer: NodeId) -> Result<bool, FsError> {
        let mut at = inner;
        while at != outer {
            if at == ROOT {
                return Ok(false);
            }
            at = self.live(at)?.parent;
        }
        Ok(true)
    }

    /// The base's path of a name, if the base shows through there.
    pub(crate) fn base_path(&self, dir: NodeId, name: &str) -> Result<Option<String>, FsError> {
        Ok(self.dir(dir)?.base.as_deref().map(|base| join(base, name)))
    }

    /// Gives `child` a name that was free. A directory is told where it is.
    pub(crate) fn attach(&mut self, dir: NodeId, name: &str, child: Child) -> Result<(), FsError> {
        let name: Arc<str> = name.into();
        if let Child::Dir(id) = child {
            let moved = self.dir_mut(id)?;
            (moved.parent, moved.name) = (dir, Arc::clone(&name));
        }
        let into = self.dir_mut(dir)?;
        into.times.modified = Times::now().modified;
        into.names.entry(name).or_insert(Name { child: None, in_base: false }).child = Some(child);
        Ok(())
    }

    /// Takes a name away, and remembers what the base had there. Nothing is said about what the
    /// name stood for: it may have other names.
    pub(crate) fn detach(&mut self, dir: NodeId, name: &str) -> Result<(), FsError> {
        let from = self.dir_mut(dir)?;
        let Some(entry) = from.names.get_mut(name) else {
            return Err(FsError::NoEntry);
        };
        let child = entry.child.take().ok_or(FsError::NoEntry)?;
        if !entry.in_base {
            from.names.remove(name);
        }
        from.times.modified = Times::now().modified;
        self.note_before(&child)
    }

    fn note_before(&mut self, child: &Child) -> Result<(), FsError> {
        let (origin, before) = match child {
            Child::Dir(id) => (self.dir(*id)?.base.clone(), Before::Known(Entry::Dir)),
            Child::File(file) => (file.origin.clone(), Before::File(Arc::clone(file))),
            Child::Link(link) => {
                let target = link.target.to_string();
                (link.origin.clone(), Before::Known(Entry::Symlink { target }))
            }
            Child::Other(_) => (None, Before::Known(Entry::Dir)),
        };
        if let Some(origin) = origin {
            self.before.entry(origin).or_insert(before);
        }
        Ok(())
    }
}
