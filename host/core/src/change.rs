//! Change-sets: what an attempt would change, by content digest.
//!
//! Invariant: a change-set names each path at most once, and both sides of every change.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Entry {
    /// A regular file.
    File {
        /// Of its content.
        digest: Digest,
        /// In bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink {
        /// As written in the link.
        target: String,
    },
}

/// One path's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Relative to the project's root.
    pub path: String,
    /// What stood there in the base that the attempt saw; `None`: nothing.
    pub before: Option<Entry>,
    /// What is to stand there; `None`: nothing.
    pub after: Option<Entry>,
    /// Where the content came from, if the path was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
}

/// Everything that an attempt would change, in the order of paths.
///
/// The content of files is not in here: it is in the blob store, by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// Sorted by path.
    pub changes: Vec<Change>,
}

impl ChangeSet {
    /// The digest that verdicts are bound to.
    pub fn digest(&self) -> Digest {
        // serde_json writes struct fields in the order of declaration: the bytes are canonical.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.path.as_str())
    }
}

/// Where the bytes of a digest can be had: the blob store.
pub trait Blobs: Send + Sync {
    /// Opens the content of `digest` for reading.
    ///
    /// # Errors
    /// `NotFound` if it is not there; any other error of the store.
    fn open(&self, digest: Digest) -> std::io::Result<std::fs::File>;

    /// Keeps everything `content` yields, durably, and returns its digest and size.
    ///
    /// # Errors
    /// Any error of reading or of the store; then nothing was kept.
    fn keep(&self, content: &mut dyn std::io::Read) -> std::io::Result<(Digest, u64)>;
}
