//! A source in memory, for tests.
//!
//! Invariant: it hands out ids in the order of observations, so a test can name them.

use std::collections::BTreeMap;
use std::io;

use idumb_agent::change_set::{Change, ChangeKind, Listing};
use idumb_agent::evidence::{Kind, Observation};
use idumb_agent::{Criterion, Finding, Verdict};

use crate::Source;
use crate::source::blake3_of;

/// What stands at a path.
pub enum Node {
    /// A file of that content.
    File(Vec<u8>),
    /// A file whose observed size is a lie, so that no test has to hold a large one.
    Sized(u64),
    /// A directory.
    Dir,
    /// A link that leads nowhere.
    Dangling,
    /// What the view does not show.
    Denied,
    /// Other bytes are read than were observed.
    Shifting,
    /// Observed, but reading it fails.
    Unreadable,
}

/// Files and a change-set that a test made up.
#[derive(Default)]
pub struct Memory {
    nodes: BTreeMap<String, Node>,
    changes: Vec<Change>,
    /// Every path that was observed, in order: `e1` is the first.
    pub observed: Vec<String>,
}

impl Memory {
    /// Puts something at a path.
    #[must_use]
    pub fn with(mut self, path: &str, node: Node) -> Self {
        self.nodes.insert(path.into(), node);
        self
    }

    /// Puts a file at a path.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.with(path, Node::File(content.as_ref().to_vec()))
    }

    /// Adds to the change-set.
    #[must_use]
    pub fn changed(mut self, path: &str, kind: ChangeKind, from: Option<&str>) -> Self {
        self.changes.push(Change {
            path: path.into(),
            kind,
            before: String::new(),
            after: String::new(),
            renamed_from: from.map(str::to_owned),
        });
        self
    }

    /// The finding for a criterion of that kind and those arguments.
    ///
    /// # Panics
    /// If the finding breaks the rules of evidence: a pass without any, or an id that was
    /// never handed out.
    pub fn check(&mut self, kind: &str, args: &str) -> Finding {
        let criterion = Criterion {
            id: "c".into(),
            text: "it holds".into(),
            kind: kind.into(),
            args: args.into(),
        };
        let finding = crate::evaluate(&criterion, self);
        assert_eq!(finding.criterion, "c");
        if finding.verdict == Verdict::Pass {
            assert!(!finding.evidence.is_empty(), "a pass without evidence: {finding:?}");
        }
        for id in &finding.evidence {
            let number: usize = id[1..].parse().unwrap();
            assert!(number <= self.observed.len(), "{id} was never handed out");
        }
        finding
    }

    fn hand_out(&mut self, what: &str) -> String {
        self.observed.push(what.to_owned());
        format!("e{}", self.observed.len())
    }
}

impl Source for Memory {
    fn observe(&mut self, path: &str) -> Result<Observation, String> {
        let seen = match self.nodes.get(path) {
            Some(Node::Denied) => return Err("no grant of this task covers it".into()),
            Some(Node::File(bytes)) => (Kind::File, blake3_of(bytes), bytes.len() as u64),
            Some(Node::Sized(size)) => (Kind::File, blake3_of(b""), *size),
            Some(Node::Shifting) => (Kind::File, blake3_of(b"before"), 6),
            Some(Node::Unreadable) => (Kind::File, blake3_of(b""), 0),
            Some(Node::Dir) => (Kind::Dir, String::new(), 0),
            Some(Node::Dangling) => (Kind::Symlink, String::new(), 0),
            None => (Kind::Absent, String::new(), 0),
        };
        let id = self.hand_out(path);
        Ok(Observation { id, kind: seen.0, digest: seen.1, size: seen.2 })
    }

    fn read(&mut self, path: &str, _: u64) -> io::Result<Vec<u8>> {
        assert!(self.observed.iter().any(|seen| seen == path), "{path} read before observed");
        match self.nodes.get(path) {
            Some(Node::File(bytes)) => Ok(bytes.clone()),
            Some(Node::Shifting) => Ok(b"after!".to_vec()),
            Some(Node::Unreadable) => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn changes(&mut self) -> Listing {
        let id = self.hand_out("changes");
        Listing { id, digest: blake3_of(b"listing"), changes: self.changes.clone() }
    }
}
