//! Which grants an attempt made use of.
//!
//! Invariant: where the record cannot tell, a grant counts as used.

use crate::{AccessRecord, Capability, PathGlob};

/// What was made of one grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A path of it was written, or, if it gives reading, was looked at.
    Used,
    /// It gives writing, and its paths were only looked at.
    OnlyRead,
    /// No path of it was looked at or written.
    Unused,
}

impl AccessRecord {
    /// What was made of the grant of `capability` over `glob`. That nothing stood at a path is a
    /// look at it too.
    ///
    /// ```
    /// use idumb_core::{AccessRecord, Capability, Use};
    /// let record = AccessRecord { writes: vec!["src/lib.rs".into()], ..Default::default() };
    /// let made_of = |glob: &str| record.use_of(Capability::Write, &glob.parse().unwrap());
    /// assert_eq!(made_of("src/**"), Use::Used);
    /// assert_eq!(made_of("docs/**"), Use::Unused);
    /// ```
    pub fn use_of(&self, capability: Capability, glob: &PathGlob) -> Use {
        let written = self.writes.iter().any(|path| glob.matches(path));
        let read = self.reads.iter().any(|read| glob.matches(&read.path));
        match (written || self.writes_dropped > 0, read, capability) {
            (true, _, _) | (_, true, Capability::Read) => Use::Used,
            (false, true, Capability::Write) => Use::OnlyRead,
            (false, false, _) => Use::Unused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Read, Seen};

    #[test]
    fn a_grant_is_used_by_what_it_is_for() {
        use Capability::{Read as Reading, Write as Writing};
        let read = |path: &str| Read { path: path.into(), seen: Seen::Content };
        let mut record = AccessRecord {
            reads: vec![read("docs/a.md"), read("src/lib.rs")],
            writes: vec!["new.txt".into()],
            ..AccessRecord::default()
        };
        let table = [
            (Reading, "docs/**", Use::Used),
            (Writing, "docs/**", Use::OnlyRead),
            (Writing, "*.txt", Use::Used),
            (Reading, "new.txt", Use::Used),
            (Reading, "tests/**", Use::Unused),
            (Writing, "tests/**", Use::Unused),
        ];
        for (capability, glob, expected) in table {
            let found = record.use_of(capability, &glob.parse().unwrap());
            assert_eq!(found, expected, "{capability} {glob}");
        }
        record.writes_dropped = 1;
        assert_eq!(record.use_of(Writing, &"tests/**".parse().unwrap()), Use::Used);
    }
}
