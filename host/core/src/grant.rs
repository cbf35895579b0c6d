//! Capabilities, grants and denials: who may touch which path.
//!
//! Invariant: deny by default; `Grants::allows` is pure, and is asked about resolved
//! paths only.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::PathGlob;

/// A kind of right over files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// See that a path exists, its metadata and its content.
    Read,
    /// Create, change, move or delete a path.
    Write,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// The names nobody gets through a wildcard: they steer the host, the user's tools, or hold secrets.
///
/// A path below one of these needs a grant that names it exactly.
pub const PROTECTED: &[&str] = &[
    "**/.git/**",
    "**/.git",
    "**/.idumb/**",
    "**/.idumb",
    "idumb.toml",
    ".github/workflows/**",
    ".gitlab-ci.yml",
    "**/.vscode/**",
    "**/.idea/**",
    "**/.envrc",
    "**/.env*",
    "**/.env*/**",
    "**/.npmrc",
    "**/.ssh/**",
];

/// What one task's agent may read and write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Patterns of paths that may be read.
    pub reads: Vec<PathGlob>,
    /// Patterns of paths that may be written; these may be read too.
    pub writes: Vec<PathGlob>,
    /// Patterns of paths that are not given, whatever the others say: a policy's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<PathGlob>,
}

/// What [`Grants::allows`] answers.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// No grant covers the path.
    NotGranted,
    /// A pattern covers it, but the name is protected and is not granted by name.
    Protected,
    /// A policy gives it to nobody.
    Never,
}

impl Grants {
    /// Whether `path` (resolved, relative, no dots) may be used so.
    ///
    /// ```
    /// use idumb_core::{Capability, Decision, Grants};
    /// let reads = vec!["**".parse().unwrap()];
    /// let grants = Grants { reads, ..Grants::default() };
    /// assert_eq!(grants.allows(Capability::Read, "src/lib.rs"), Decision::Allow);
    /// assert_eq!(grants.allows(Capability::Read, ".env"), Decision::Protected);
    /// assert_eq!(grants.allows(Capability::Write, "src/lib.rs"), Decision::NotGranted);
    /// ```
    pub fn allows(&self, capability: Capability, path: &str) -> Decision {
        if self.is_never(path) {
            return Decision::Never;
        }
        let mut covered = false;
        for glob in self.of(capability) {
            if glob.as_literal().is_some_and(|literal| literal == path) {
                return Decision::Allow;
            }
            covered |= glob.matches(path);
        }
        match (covered, is_protected(path)) {
            (false, _) => Decision::NotGranted,
            (true, true) => Decision::Protected,
            (true, false) => Decision::Allow,
        }
    }

    /// Whether a policy gives `path`, or a directory above it, to nobody.
    fn is_never(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let mut above = ends.map(|end| &path[..end]);
        !self.never.is_empty() && above.any(|dir| self.never.iter().any(|glob| glob.matches(dir)))
    }

    /// Whether the directory `dir` must be visible because something below it is granted.
    pub fn may_allow_below(&self, dir: &str) -> bool {
        self.of(Capability::Read).any(|glob| glob.may_match_below(dir))
    }

    /// Whether these grants are within `ceiling`.
    pub fn within(&self, ceiling: &Self) -> bool {
        let covered =
            |capability, glob: &PathGlob| ceiling.of(capability).any(|wide| wide.covers(glob));
        let kept = |glob| self.never.iter().any(|mine| mine.covers(glob));
        ceiling.never.iter().all(kept)
            && self.writes.iter().all(|glob| covered(Capability::Write, glob))
            && self.reads.iter().all(|glob| covered(Capability::Read, glob))
    }

    /// The patterns that give `capability`.
    pub fn of(&self, capability: Capability) -> impl Iterator<Item = &PathGlob> {
        let reads: &[PathGlob] = match capability {
            Capability::Read => &self.reads,
            Capability::Write => &[],
        };
        reads.iter().chain(&self.writes)
    }
}

/// Whether `path` is one of [`PROTECTED`], in any letter case.
pub fn is_protected(path: &str) -> bool {
    use std::sync::LazyLock;
    static GLOBS: LazyLock<Vec<PathGlob>> =
        LazyLock::new(|| PROTECTED.iter().filter_map(|text| text.parse().ok()).collect());
    let lower = path.to_lowercase();
    GLOBS.iter().any(|glob| glob.matches(&lower))
}

/// A refused request of a guest, with its reason and the line that would allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What was asked for.
    pub capability: Capability,
    /// The resolved path; where resolving itself was refused, the path as the guest spelled it.
    pub path: String,
    /// Which operation it was, such as `open`.
    pub operation: String,
    /// Why it was refused.
    pub reason: DenialReason,
    /// How often this same request came.
    pub count: u32,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenialReason {
    /// No grant of the task covers the path.
    NotGranted,
    /// The name is protected, and is not granted by name.
    Protected,
    /// The path leaves the project: `..` above the root, an absolute path or link.
    Escapes,
    /// The view has no write path at all.
    ReadOnlyView,
    /// Not a regular file, directory or link: a FIFO, socket or device.
    SpecialFile,
    /// A policy gives it to nobody.
    Never,
}

impl fmt::Display for DenialReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotGranted => "no grant of this task covers it",
            Self::Protected => "a protected name must be granted exactly",
            Self::Escapes => "it leads out of the project",
            Self::ReadOnlyView => "this role only reads",
            Self::SpecialFile => "not a regular file, directory or link",
            Self::Never => "the policy gives it to nobody",
        })
    }
}

impl Denial {
    /// The plan line that would allow it, where any could.
    ///
    /// ```
    /// use idumb_core::{Capability, Denial, DenialReason};
    /// let denial = Denial {
    ///     capability: Capability::Write,
    ///     path: "src/main.rs".into(),
    ///     operation: "open".into(),
    ///     reason: DenialReason::NotGranted,
    ///     count: 1,
    /// };
    /// assert_eq!(denial.grant_line().unwrap(), r#"writes = ["src/main.rs"]"#);
    /// ```
    pub fn grant_line(&self) -> Option<String> {
        let key = match self.capability {
            Capability::Read => "reads",
            Capability::Write => "writes",
        };
        match self.reason {
            DenialReason::NotGranted | DenialReason::Protected => {
                Some(format!("{key} = [{}]", serde_json::Value::from(self.path.as_str())))
            }
            DenialReason::Escapes
            | DenialReason::ReadOnlyView
            | DenialReason::SpecialFile
            | DenialReason::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(reads: &[&str], writes: &[&str]) -> Grants {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Grants { reads: globs(reads), writes: globs(writes), never: Vec::new() }
    }

    #[test]
    fn allows_a_table() {
        use Capability::{Read, Write};
        use Decision::{Allow, NotGranted, Protected};
        let grants = grants(&["**", ".github/workflows/ci.yml"], &["src/**", ".env"]);
        let table = [
            (Read, "README.md", Allow),
            (Write, "README.md", NotGranted),
            (Write, "src/lib.rs", Allow),
            (Read, ".git/config", Protected),
            (Read, "sub/.git/config", Protected),
            (Read, ".GIT/config", Protected),
            (Read, ".idumb/state/journal.db", Protected),
            (Read, ".github/workflows/ci.yml", Allow),
            (Read, ".github/workflows/other.yml", Protected),
            (Write, ".env", Allow),
            (Read, ".env", Allow),
            (Read, ".env.local", Protected),
            (Write, "src/.env", Protected),
            (Read, "conf/.env.d/token", Protected),
            (Read, "idumb.toml", Protected),
        ];
        for (capability, path, expected) in table {
            assert_eq!(grants.allows(capability, path), expected, "{capability} {path}");
        }
    }

    #[test]
    fn a_ceiling_narrows() {
        let ceiling = grants(&["**"], &["src/**"]);
        assert!(grants(&["docs/*"], &["src/a.rs"]).within(&ceiling));
        assert!(!grants(&[], &["docs/a.md"]).within(&ceiling));
        assert!(!grants(&[], &["**"]).within(&ceiling));
    }

    #[test]
    fn never_wins_and_is_handed_on() {
        let never = vec!["src/secret/**".parse().unwrap()];
        let mine = Grants { never: never.clone(), ..grants(&[], &["src/**", "src/secret/key"]) };
        assert_eq!(mine.allows(Capability::Read, "src/secret/key"), Decision::Never);
        assert_eq!(mine.allows(Capability::Write, "src/lib.rs"), Decision::Allow);
        let dir = Grants { never: vec!["src".parse().unwrap()], ..mine.clone() };
        assert_eq!(dir.allows(Capability::Read, "src/lib.rs"), Decision::Never);
        let ceiling = Grants { never, ..grants(&["**"], &["**"]) };
        assert!(mine.within(&ceiling));
        assert!(!grants(&[], &["src/**"]).within(&ceiling), "what nobody gets was left out");
    }

    #[test]
    fn every_protected_pattern_parses() {
        for text in PROTECTED {
            assert!(text.parse::<PathGlob>().is_ok(), "{text}");
        }
    }
}
