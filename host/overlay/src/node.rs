//! What the names of a view stand for: directories, files, links, and special files.
//!
//! Invariant: a node knows where in the base it came from for as long as it lives, however often
//! it is renamed; directories are named by [`NodeId`], which goes stale and is never reused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::base::Kind;
use crate::file::FileNode;
use crate::upper::Counted;

/// A directory of a view: what a guest's directory descriptor stands for.
///
/// It stays on the same directory when that is renamed. Once the directory is removed, there is
/// nothing in it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Times that were set or moved by the attempt; `None`: as in the base.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) accessed: Option<SystemTime>,
    pub(crate) modified: Option<SystemTime>,
}

impl Times {
    pub(crate) fn now() -> Self {
        let now = Some(SystemTime::now());
        Self { accessed: now, modified: now }
    }

    /// Takes over what is given.
    pub(crate) fn set(&mut self, accessed: Option<SystemTime>, modified: Option<SystemTime>) {
        self.accessed = accessed.or(self.accessed);
        self.modified = modified.or(self.modified);
    }
}

/// A directory.
#[derive(Debug)]
pub(crate) struct DirNode {
    pub(crate) id: u64,
    pub(crate) parent: NodeId,
    pub(crate) name: Arc<str>,
    /// Whether it still has a name.
    pub(crate) live: bool,
    /// The directory of the base whose entries show through; `None`: made by the attempt.
    pub(crate) base: Option<Arc<str>>,
    /// Names that were looked up, made or taken away. Where there is none, the base decides.
    pub(crate) names: BTreeMap<Arc<str>, Name>,
    pub(crate) times: Times,
    pub(crate) _counted: Option<Counted>,
}

/// What a directory knows of one name.
#[derive(Debug)]
pub(crate) struct Name {
    /// `None`: a whiteout.
    pub(crate) child: Option<Child>,
    /// Whether the base directory has this name too, so that a whiteout must stay behind.
    pub(crate) in_base: bool,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) enum Child {
    Dir(NodeId),
    File(Arc<FileNode>),
    Link(Arc<LinkNode>),
    Other(Arc<OtherNode>),
}

impl Child {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Dir(_) => Kind::Dir,
            Self::File(_) => Kind::File,
            Self::Link(_) => Kind::Symlink,
            Self::Other(_) => Kind::Other,
        }
    }

    /// Whether both are the very same thing, under whatever names.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dir(a), Self::Dir(b)) => a == b,
            (Self::File(a), Self::File(b)) => Arc::ptr_eq(a, b),
            (Self::Link(a), Self::Link(b)) => Arc::ptr_eq(a, b),
            (Self::Other(a), Self::Other(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// A symbolic link.
#[derive(Debug)]
pub(crate) struct LinkNode {
    pub(crate) id: u64,
    /// Where it stands in the base; `None`: made by the attempt.
    pub(crate) origin: Option<Arc<str>>,
    pub(crate) target: Box<str>,
    pub(crate) changing: Mutex<LinkState>,
    pub(crate) _counted: Option<Counted>,
}

/// What can change about a link.
#[derive(Debug)]
pub(crate) struct LinkState {
    pub(crate) times: Times,
    pub(crate) names: u64,
}

impl LinkNode {
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut LinkState) -> T) -> T {
        change(&mut self.changing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A FIFO, socket or device of the base.
#[derive(Debug)]
pub(crate) struct OtherNode {
    pub(crate) id: u64,
    pub(crate) origin: Arc<str>,
}
