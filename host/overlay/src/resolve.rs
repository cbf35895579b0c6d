//! From a guest's path to a name in a directory, one component at a time, as Linux does it.
//!
//! Invariant: each component is looked up by the gate's leave for its resolved path; links are
//! followed here and nowhere else, and neither they nor `..` lead above the root, nor above the
//! directory that a path starts from: who was handed a directory was handed no more.

use std::sync::{Arc, Mutex};

use idumb_core::{Capability, DenialReason, Seen};

use crate::FsError;
use crate::base::{Kind, join};
use crate::file::FileNode;
use crate::gate::{Leave, Sight};
use crate::node::{Child, LinkNode, LinkState, Name, NodeId, OtherNode, Times};
use crate::view::Call;

/// How many links one resolution follows, as Linux.
const LINKS: u32 = 40;

/// Where a path leads, as far as its last component.
#[derive(Debug)]
pub(crate) enum Last {
    /// A name, and whether a slash follows it.
    Name(String, bool),
    /// The directory itself, by `.` or because nothing is left of the path.
    Dot,
    /// The directory itself, by `..`.
    DotDot,
}

/// Where a path leads.
#[derive(Debug)]
pub(crate) struct Found {
    /// The directory that has the name, or that is meant itself.
    pub(crate) dir: NodeId,
    /// `None`: the directory itself is meant.
    pub(crate) name: Option<String>,
    pub(crate) child: Option<Child>,
}

/// What the gate lets a guest see under a name.
#[derive(Debug)]
pub(crate) enum Look {
    Hidden(DenialReason),
    Absent,
    There(Child),
}

/// How the last component is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct How {
    /// Follow it if it is a link.
    pub(crate) follow: bool,
    /// It is to be made if it is not there.
    pub(crate) create: bool,
}

struct Part {
    name: String,
    slash: bool,
}

/// A resolution in progress.
struct Walk {
    at: NodeId,
    /// Where it started: it does not go above.
    floor: NodeId,
    /// What is left, the next part last.
    left: Vec<Part>,
    end: Last,
    links: u32,
}

impl Walk {
    fn push(&mut self, path: &str) {
        let mut parts = Vec::new();
        let mut rest = path.trim_start_matches('/');
        while !rest.is_empty() {
            let (name, after) = rest.split_once('/').map_or((rest, None), |(n, a)| (n, Some(a)));
            parts.push(Part { name: name.to_owned(), slash: after.is_some() });
            rest = after.unwrap_or("").trim_start_matches('/');
        }
        parts.reverse();
        self.left.append(&mut parts);
    }
}

impl Call<'_> {
    /// Resolves all but the last component.
    pub(crate) fn resolve_parent(
        &mut self,
        dir: NodeId,
        path: &str,
    ) -> Result<(NodeId, Last), FsError> {
        let mut walk = self.start(dir, path)?;
        let last = self.advance(&mut walk, path)?;
        Ok((walk.at, last))
    }

    /// Resolves a path to what stands there, if anything does.
    pub(crate) fn find(&mut self, dir: NodeId, path: &str, how: How) -> Result<Found, FsError> {
        let mut walk = self.start(dir, path)?;
        loop {
            let Last::Name(name, slash) = self.advance(&mut walk, path)? else {
                let child = Some(Child::Dir(walk.at));
                return Ok(Found { dir: walk.at, name: None, child });
            };
            if how.create && slash {
                return Err(FsError::IsDirectory);
            }
            let child = match self.look(walk.at, &name)? {
                Look::Absent => None,
                Look::Hidden(reason) if how.create => {
                    return Err(self.deny_at(Capability::Write, walk.at, &name, reason));
                }
                Look::Hidden(reason) => return Err(self.hide(walk.at, &name, reason)),
                Look::There(Child::Link(link)) if how.follow || slash => {
                    self.expand(&mut walk, &link, slash, path)?;
                    continue;
                }
                Look::There(child) if slash && child.kind() != Kind::Dir => {
                    return Err(FsError::NotDirectory);
                }
                Look::There(child) => Some(child),
            };
            return Ok(Found { dir: walk.at, name: Some(name), child });
        }
    }

    fn start(&self, dir: NodeId, path: &str) -> Result<Walk, FsError> {
        if path.contains('\0') {
            return Err(FsError::Invalid);
        }
        self.shared.meter.check_path(path.len())?;
        if path.is_empty() {
            return Err(FsError::NoEntry);
        }
        if path.starts_with('/') {
            return Err(self.escapes(path));
        }
        let mut walk = Walk { at: dir, floor: dir, left: Vec::new(), end: Last::Dot, links: 0 };
        walk.push(path);
        Ok(walk)
    }

    /// Goes on until only a name is left, or nothing.
    fn advance(&mut self, walk: &mut Walk, spelled: &str) -> Result<Last, FsError> {
        while let Some(part) = walk.left.pop() {
            match part.name.as_str() {
                "." => walk.end = Last::Dot,
                ".." => {
                    if walk.at == walk.floor || walk.at == crate::tree::ROOT {
                        return Err(self.escapes(spelled));
                    }
                    walk.at = self.tree.live(walk.at)?.parent;
                    walk.end = Last::DotDot;
                }
                _ if walk.left.is_empty() => return Ok(Last::Name(part.name, part.slash)),
                _ => self.enter(walk, part, spelled)?,
            }
        }
        Ok(std::mem::replace(&mut walk.end, Last::Dot))
    }

    fn enter(&mut self, walk: &mut Walk, part: Part, spelled: &str) -> Result<(), FsError> {
        match self.look(walk.at, &part.name)? {
            Look::There(Child::Dir(dir)) => {
                walk.at = dir;
                Ok(())
            }
            Look::There(Child::Link(link)) => self.expand(walk, &link, part.slash, spelled),
            Look::There(Child::File(_) | Child::Other(_)) => Err(FsError::NotDirectory),
            Look::Absent => {
                self.missing = self.whole(walk, &part.name)?;
                Err(FsError::NoEntry)
            }
            Look::Hidden(reason) => {
                // A grant of the directory alone would not do: name what was wanted in it.
                match self.whole(walk, &part.name)? {
                    Some(path) => self.deny(Capability::Read, &path, reason),
                    None => self.deny_at(Capability::Read, walk.at, &part.name, reason),
                };
                Err(FsError::NoEntry)
            }
        }
    }

    /// The path that is walked, where it does not go on from here; `None` if `..` is in what is
    /// left, which leads nobody knows where.
    fn whole(&self, walk: &Walk, name: &str) -> Result<Option<String>, FsError> {
        let from = join(&self.tree.path_of(walk.at)?, name);
        let rest = walk.left.iter().rev().map(|part| part.name.as_str());
        let rest: Vec<&str> = rest.filter(|name| *name != ".").collect();
        let known = !rest.contains(&"..");
        Ok(known.then(|| rest.iter().fold(from, |path, name| join(&path, name))))
    }

    /// Puts a link's target before what is left of the path.
    fn expand(
        &self,
        walk: &mut Walk,
        link: &LinkNode,
        slash: bool,
        spelled: &str,
    ) -> Result<(), FsError> {
        if let Some(origin) = &link.origin {
            self.shared.recorder.saw(origin, Seen::Content);
        }
        walk.links += 1;
        if walk.links > LINKS {
            return Err(FsError::Loop);
        }
        if link.target.starts_with('/') {
            return Err(self.escapes(spelled));
        }
        if link.target.is_empty() {
            return Err(FsError::NoEntry);
        }
        let below = walk.left.len();
        walk.end = Last::Dot;
        walk.push(&link.target);
        if slash && let Some(last) = walk.left.get_mut(below) {
            last.slash = true;
        }
        Ok(())
    }

    /// What a guest finds under a name of a directory; what it may not see is not there for it.
    pub(crate) fn see(&mut self, dir: NodeId, name: &str) -> Result<Option<Child>, FsError> {
        match self.look(dir, name)? {
            Look::There(child) => Ok(Some(child)),
            Look::Absent => Ok(None),
            Look::Hidden(reason) => Err(self.hide(dir, name, reason)),
        }
    }

    /// As [`Self::see`], for callers that answer something else to what is hidden.
    pub(crate) fn look(&mut self, dir: NodeId, name: &str) -> Result<Look, FsError> {
        self.shared.meter.check_name(name.len())?;
        let path = join(&self.tree.path_of(dir)?, name);
        let Leave { sight, no_read, .. } = self.shared.gate.leave(&path);
        if let Sight::Hidden(reason) = sight {
            return Ok(Look::Hidden(reason));
        }
        match self.child(dir, name)? {
            None => Ok(Look::Absent),
            Some(child) if sight == Sight::Readable || child.kind() == Kind::Dir => {
                Ok(Look::There(child))
            }
            // What is on the way to something granted can only be a directory.
            Some(_) => Ok(Look::Hidden(no_read.unwrap_or(DenialReason::NotGranted))),
        }
    }

    /// What stands under a name, whoever may see it.
    pub(crate) fn child(&mut self, dir: NodeId, name: &str) -> Result<Option<Child>, FsError> {
        let node = self.tree.live(dir)?;
        if let Some(known) = node.names.get(name) {
            return Ok(known.child.clone());
        }
        let Some(path) = self.tree.base_path(dir, name)? else {
            return Ok(None);
        };
        let there = join(&self.tree.path_of(dir)?, name);
        if self.is_newcomer(&path, &there, Kind::Dir) {
            return Ok(None);
        }
        let Some(probe) = self.shared.base.probe(&path)? else {
            self.shared.recorder.saw(&path, Seen::Absent);
            return Ok(None);
        };
        // Whatever becomes of the request, its answer rests on what stands here.
        self.shared.recorder.saw(&path, Seen::Metadata);
        if self.is_newcomer(&path, &there, probe.kind) {
            return Ok(None);
        }
        let name: Arc<str> = name.into();
        let origin: Arc<str> = path.into();
        let child = match probe.kind {
            Kind::Dir => Child::Dir(self.tree.add_dir(dir, Arc::clone(&name), Some(origin), None)),
            Kind::File => Child::File(Arc::new(FileNode::from_base(self.tree.next_id(), origin))),
            Kind::Symlink => self.base_link(origin)?,
            Kind::Other => Child::Other(Arc::new(OtherNode { id: self.tree.next_id(), origin })),
        };
        let entry = Name { child: Some(child.clone()), in_base: true };
        self.tree.dir_mut(dir)?.names.insert(name, entry);
        Ok(Some(child))
    }

    /// Whether what stands at `base` in the base, and would be at `path` of the view since a
    /// directory was renamed, may not be seen where it stands: everything there was granted when
    /// the directory was renamed, so it came later.
    pub(crate) fn is_newcomer(&self, base: &str, path: &str, kind: Kind) -> bool {
        base != path
            && match self.shared.gate.leave(base).sight {
                Sight::Readable => false,
                Sight::OnTheWay => kind != Kind::Dir,
                Sight::Hidden(_) => true,
            }
    }

    fn base_link(&mut self, origin: Arc<str>) -> Result<Child, FsError> {
        let id = self.tree.next_id();
        Ok(match self.shared.base.read_link(&origin)? {
            Some(target) => Child::Link(Arc::new(LinkNode {
                id,
                origin: Some(origin),
                target: target.into(),
                changing: Mutex::new(LinkState { times: Times::default(), names: 1 }),
                _counted: None,
            })),
            // A target that is no text leads nowhere a guest could go.
            None => Child::Other(Arc::new(OtherNode { id, origin })),
        })
    }

    /// Records a refusal, and returns what says to the guest that it was one.
    pub(crate) fn deny(
        &mut self,
        capability: Capability,
        path: &str,
        reason: DenialReason,
    ) -> FsError {
        self.denied = true;
        self.shared.recorder.denied(capability, path, self.operation, reason);
        FsError::NotPermitted
    }

    pub(crate) fn deny_at(
        &mut self,
        capability: Capability,
        dir: NodeId,
        name: &str,
        reason: DenialReason,
    ) -> FsError {
        match self.tree.path_of(dir) {
            Ok(dir) => self.deny(capability, &join(&dir, name), reason),
            Err(error) => error,
        }
    }

    /// Records a refusal, and returns what the guest is told: that there is nothing.
    pub(crate) fn hide(&mut self, dir: NodeId, name: &str, reason: DenialReason) -> FsError {
        self.deny_at(Capability::Read, dir, name, reason);
        FsError::NoEntry
    }

    /// Refuses a path that leads out, as the guest spelled it.
    pub(crate) fn escapes(&self, spelled: &str) -> FsError {
        let (operation, reason) = (self.operation, DenialReason::Escapes);
        self.shared.recorder.denied(Capability::Read, spelled, operation, reason);
        FsError::NotPermitted
    }

    /// Asks for leave to change what stands, or is to stand, under a visible name.
    pub(crate) fn require_write(&mut self, dir: NodeId, name: &str) -> Result<String, FsError> {
        let path = join(&self.tree.path_of(dir)?, name);
        match self.shared.gate.leave(&path).no_write {
            None => Ok(path),
            Some(reason) => Err(self.deny(Capability::Write, &path, reason)),
        }
    }

    /// As [`Self::require_write`], for a directory.
    pub(crate) fn require_dir(&mut self, dir: NodeId, name: &str) -> Result<String, FsError> {
        let path = join(&self.tree.path_of(dir)?, name);
        match self.shared.gate.leave(&path).no_dir {
            None => Ok(path),
            Some(reason) => Err(self.deny(Capability::Write, &path, reason)),
        }
    }

    /// Checks that a name can be made in `dir`: not too deep, not too long.
    pub(crate) fn require_room(&self, dir: NodeId, name: &str) -> Result<(), FsError> {
        self.shared.meter.check_path(self.tree.path_of(dir)?.len() + 1 + name.len())?;
        self.shared.meter.check_depth(self.tree.depth_of(dir)? + 1)
    }

    /// Records what was seen of something from the base.
    pub(crate) fn saw(&self, child: &Child, seen: Seen) {
        let recorder = &self.shared.recorder;
        match child {
            Child::Dir(id) => {
                if let Some(base) = self.tree.dir(*id).ok().and_then(|dir| dir.base.as_deref()) {
                    recorder.saw(base, seen);
                }
            }
            Child::File(file) => {
                if let Some(origin) = file.unchanged_from() {
                    recorder.saw(origin, seen);
                }
            }
            Child::Link(link) => {
                if let Some(origin) = &link.origin {
                    recorder.saw(origin, seen);
                }
            }
            Child::Other(other) => recorder.saw(&other.origin, seen),
        }
    }
}
