//! The ceiling: what an agent declares, inside its component, that it may ever want.
//!
//! Invariant: a ceiling is an upper bound. It takes away, and gives nothing by itself.

use serde::{Deserialize, Serialize};

use crate::{Capability, PathGlob};

/// What an agent may ever want, and why: its author's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceiling {
    /// What it may want to read.
    #[serde(default)]
    pub reads: Vec<Want>,
    /// What it may want to write, and so to read.
    #[serde(default)]
    pub writes: Vec<Want>,
}

/// Some paths that an agent may want, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Patterns of paths.
    pub paths: Vec<PathGlob>,
    /// What for. Untrusted words, for people.
    pub why: String,
}

/// A ceiling without its reasons: what a grant carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Patterns of what may be read at most.
    pub reads: Vec<PathGlob>,
    /// Patterns of what may be written at most, and so read.
    pub writes: Vec<PathGlob>,
}

/// How much of a pattern a ceiling declares.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// All of it; never said wrongly.
    Whole,
    /// Perhaps a part.
    Part,
    /// No path; never said wrongly.
    Nothing,
}

impl Ceiling {
    /// The patterns alone.
    ///
    /// ```
    /// use idumb_core::{Capability, Ceiling, Want};
    /// let paths = vec!["docs/**".parse().unwrap()];
    /// let writes = vec![Want { paths, why: "to write the reference".into() }];
    /// let bounds = Ceiling { reads: Vec::new(), writes }.bounds();
    /// assert!(bounds.covers(Capability::Read, "docs/api.md"));
    /// assert!(!bounds.covers(Capability::Write, "src/lib.rs"));
    /// ```
    pub fn bounds(&self) -> Bounds {
        let patterns = |wants: &[Want]| wants.iter().flat_map(|want| want.paths.clone()).collect();
        Bounds { reads: patterns(&self.reads), writes: patterns(&self.writes) }
    }

    /// Each want with its capability: what may be written first, as grants are shown.
    pub fn wants(&self) -> impl Iterator<Item = (Capability, &Want)> {
        let writes = self.writes.iter().map(|want| (Capability::Write, want));
        writes.chain(self.reads.iter().map(|want| (Capability::Read, want)))
    }
}

impl Bounds {
    /// The patterns that may give `capability`.
    pub fn of(&self, capability: Capability) -> impl Iterator<Item = &PathGlob> {
        let reads: &[PathGlob] = match capability {
            Capability::Read => &self.reads,
            Capability::Write => &[],
        };
        reads.iter().chain(&self.writes)
    }

    /// Whether `path` (resolved, relative, no dots) may be used so at most.
    pub fn covers(&self, capability: Capability, path: &str) -> bool {
        self.of(capability).any(|glob| glob.matches(path))
    }

    /// How much of what `glob` matches may be used so at most.
    pub fn declares(&self, capability: Capability, glob: &PathGlob) -> Declared {
        if self.of(capability).any(|mine| mine.covers(glob)) {
            Declared::Whole
        } else if self.of(capability).any(|mine| mine.overlaps(glob)) {
            Declared::Part
        } else {
            Declared::Nothing
        }
    }

    /// Whether something below the directory `dir` that `glob` matches may be used so at most.
    /// Never wrongly says no.
    pub fn leads_on(&self, capability: Capability, glob: &PathGlob, dir: &str) -> bool {
        self.of(capability).any(|mine| mine.overlaps_below(glob, dir))
    }

    /// Whether every path of this is one of `above`. Never wrongly says yes.
    pub fn within(&self, above: &Self) -> bool {
        let kept = |capability| {
            let mut mine = self.of(capability);
            mine.all(|glob| above.declares(capability, glob) == Declared::Whole)
        };
        kept(Capability::Read) && kept(Capability::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(reads: &[&str], writes: &[&str]) -> Bounds {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Bounds { reads: globs(reads), writes: globs(writes) }
    }

    #[test]
    fn how_much_is_declared_by_a_table() {
        use Capability::{Read, Write};
        use Declared::{Nothing, Part, Whole};
        let bounds = bounds(&["src/**"], &["docs/*.md"]);
        let table = [
            (Read, "src/a/*.rs", Whole),
            (Read, "docs/a.md", Whole),
            (Read, "**", Part),
            (Read, "docs/*", Part),
            (Read, "tests/**", Nothing),
            (Write, "docs/a.md", Whole),
            (Write, "docs/**", Part),
            (Write, "src/a.rs", Nothing),
        ];
        for (capability, text, expected) in table {
            let glob = text.parse().unwrap();
            assert_eq!(bounds.declares(capability, &glob), expected, "{capability} {text}");
        }
    }

    #[test]
    fn within_is_asked_of_both_capabilities() {
        let above = bounds(&["**"], &["docs/**"]);
        assert!(bounds(&["src/**"], &["docs/a.md"]).within(&above));
        assert!(bounds(&[], &[]).within(&above));
        assert!(!bounds(&[], &["src/a.rs"]).within(&above));
        assert!(!bounds(&["**"], &[]).within(&bounds(&["src/**"], &["docs/**"])));
    }
}
