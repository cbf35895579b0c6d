//! Capabilities, grants and denials: who may touch which path.
//!
//! Invariant: deny by default; `Grants::allows` is pure, and is asked about resolved
//! paths only.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Bounds, Declared, PathGlob};

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
    "**/cachedir.tag",
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
    /// What the agent declares that it may ever want: it gets nothing beyond, whatever the
    /// others say. `None`: it declares nothing, and the others alone decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Bounds>,
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
    /// The agent does not declare that it may want it.
    BeyondCeiling,
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
        // Before the grants: where both lack the path, a line in the plan would not help.
        if self.ceiling.as_ref().is_some_and(|most| !most.covers(capability, path)) {
            return Decision::BeyondCeiling;
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

    /// Whether something below the directory `dir` that `glob`, one of these grants, matches is
    /// within the agent's ceiling. Never wrongly says no.
    pub fn is_declared_below(&self, capability: Capability, glob: &PathGlob, dir: &str) -> bool {
        self.ceiling.as_ref().is_none_or(|most| most.leads_on(capability, glob, dir))
    }

    /// Whether these grants give nothing that `above` does not. Never wrongly says yes.
    pub fn within(&self, above: &Self) -> bool {
        let covered =
            |capability, glob: &PathGlob| above.of(capability).any(|wide| wide.covers(glob));
        let kept = |glob| self.never.iter().any(|mine| mine.covers(glob));
        above.never.iter().all(kept)
            && self.writes.iter().all(|glob| covered(Capability::Write, glob))
            && self.reads.iter().all(|glob| covered(Capability::Read, glob))
            && above.ceiling.as_ref().is_none_or(|most| self.is_under(most))
    }

    /// Whether the ceiling of these grants, or each grant by itself, is within `most`.
    fn is_under(&self, most: &Bounds) -> bool {
        let under = |capability| {
            let mut mine = self.of(capability);
            mine.all(|glob| most.declares(capability, glob) == Declared::Whole)
        };
        self.ceiling.as_ref().is_some_and(|mine| mine.within(most))
            || (under(Capability::Read) && under(Capability::Write))
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
    // Most paths need no pattern: every one of them has a name that begins with a dot, but for two.
    let dotted = path.starts_with('.') || path.contains("/.");
    let name = path.rsplit('/').next().unwrap_or(path);
    let undotted = ["idumb.toml", "cachedir.tag"];
    if !dotted && !undotted.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return false;
    }
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
    /// The agent does not declare, in its ceiling, that it may want it.
    BeyondCeiling,
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
            Self::BeyondCeiling => {
                "its agent does not declare that it may want it; no line of the plan can allow \
                 it: take another agent, or a version of this one that declares it"
            }
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
            | DenialReason::Never
            | DenialReason::BeyondCeiling => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(reads: &[&str], writes: &[&str]) -> Grants {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Grants { reads: globs(reads), writes: globs(writes), ..Grants::default() }
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
    fn the_link_above_narrows() {
        let above = grants(&["**"], &["src/**"]);
        assert!(grants(&["docs/*"], &["src/a.rs"]).within(&above));
        assert!(!grants(&[], &["docs/a.md"]).within(&above));
        assert!(!grants(&[], &["**"]).within(&above));
    }

    #[test]
    fn never_wins_and_is_handed_on() {
        let never = vec!["src/secret/**".parse().unwrap()];
        let mine = Grants { never: never.clone(), ..grants(&[], &["src/**", "src/secret/key"]) };
        assert_eq!(mine.allows(Capability::Read, "src/secret/key"), Decision::Never);
        assert_eq!(mine.allows(Capability::Write, "src/lib.rs"), Decision::Allow);
        let dir = Grants { never: vec!["src".parse().unwrap()], ..mine.clone() };
        assert_eq!(dir.allows(Capability::Read, "src/lib.rs"), Decision::Never);
        let above = Grants { never, ..grants(&["**"], &["**"]) };
        assert!(mine.within(&above));
        assert!(!grants(&[], &["src/**"]).within(&above), "what nobody gets was left out");
    }

    fn under(ceiling: Grants, mine: Grants) -> Grants {
        let Grants { reads, writes, .. } = ceiling;
        Grants { ceiling: Some(Bounds { reads, writes }), ..mine }
    }

    #[test]
    fn a_ceiling_takes_away_by_a_table() {
        use Capability::{Read, Write};
        use Decision::{Allow, BeyondCeiling, Never, NotGranted, Protected};
        let most = grants(&["src/**", ".env*"], &["docs/**", ".git/HEAD"]);
        let mine = grants(&["src/a/**", ".env", "**"], &["**"]);
        let never = vec!["src/secret".parse().unwrap(), "out".parse().unwrap()];
        let wide = Grants { never, ..under(most.clone(), mine) };
        let narrow = under(most, grants(&["src/a.rs"], &[]));
        let table = [
            (&wide, Read, "src/a.rs", Allow),
            (&wide, Write, "src/a.rs", BeyondCeiling),
            (&wide, Write, "docs/a.md", Allow),
            (&wide, Read, "docs/a.md", Allow),
            (&wide, Read, "README.md", BeyondCeiling),
            (&wide, Read, "src/secret", Never),
            (&wide, Read, "out/x", Never),
            // The exact name is for the grant to say, not for the ceiling.
            (&wide, Read, ".env", Allow),
            (&wide, Read, ".env.local", Protected),
            (&wide, Write, ".git/HEAD", Protected),
            // Where both lack it, no line of the plan would help.
            (&narrow, Read, "src/b.rs", NotGranted),
            (&narrow, Read, "tests/b.rs", BeyondCeiling),
            (&narrow, Read, "src/a.rs", Allow),
        ];
        for (grants, capability, path, expected) in table {
            assert_eq!(grants.allows(capability, path), expected, "{capability} {path}");
        }
    }

    #[test]
    fn a_link_keeps_the_ceiling_above_or_is_within_it() {
        let above = under(grants(&["src/**"], &["docs/**"]), grants(&["**"], &["**"]));
        let table = [
            (under(grants(&["src/a/**"], &["docs/*"]), grants(&["**"], &["**"])), true),
            (grants(&["src/a.rs"], &["docs/a.md"]), true),
            (under(grants(&["**"], &[]), grants(&["src/a.rs"], &[])), true),
            (grants(&["**"], &[]), false),
            (grants(&[], &["src/a.rs"]), false),
            (under(grants(&["**"], &[]), grants(&["**"], &[])), false),
        ];
        for (mine, expected) in table {
            assert_eq!(mine.within(&above), expected, "{mine:?}");
        }
        let without = grants(&["**"], &["**"]);
        assert!(above.within(&without), "a ceiling only narrows");
    }

    #[test]
    fn grants_of_before_read_as_without_a_ceiling() {
        let old = r#"{"reads":["src/**"],"writes":[]}"#;
        let read: Grants = serde_json::from_str(old).unwrap();
        assert_eq!(read, grants(&["src/**"], &[]));
        assert_eq!(serde_json::to_string(&read).unwrap(), old, "and are written as before");
    }

    proptest::proptest! {
        /// What is within gives nothing more.
        #[test]
        fn within_gives_nothing_more(mine in any_grants(), above in any_grants()) {
            let paths = ["a", "b", "a/a", "a/b", "b/a", "b/b", "a/a/a", "a/b/a"];
            if mine.within(&above) {
                for (path, capability) in paths.iter().flat_map(|path| {
                    [(path, Capability::Read), (path, Capability::Write)]
                }) {
                    let (given, had) = (mine.allows(capability, path), above.allows(capability, path));
                    let narrower = given != Decision::Allow || had == Decision::Allow;
                    proptest::prop_assert!(narrower, "{capability} {path}: {mine:?} in {above:?}");
                }
            }
        }
    }

    fn any_grants() -> impl proptest::strategy::Strategy<Value = Grants> {
        use proptest::collection::vec;
        use proptest::prelude::*;
        let glob = || {
            let texts = ["a", "b", "a/*", "a/b", "a/**", "b/**", "**", "**/a"];
            prop::sample::select(texts.to_vec()).prop_map(|text| text.parse::<PathGlob>().unwrap())
        };
        let globs = move |most| vec(glob(), 0..most);
        let bounds = (globs(3), globs(3)).prop_map(|(reads, writes)| Bounds { reads, writes });
        (globs(3), globs(3), globs(2), prop::option::of(bounds))
            .prop_map(|(reads, writes, never, ceiling)| Grants { reads, writes, never, ceiling })
    }

    #[test]
    fn every_protected_pattern_is_found_by_its_name() {
        for text in PROTECTED {
            let path = text.replace("**/", "a/").replace("/**", "/b");
            assert!(is_protected(&path), "{text}");
        }
    }

    #[test]
    fn every_protected_pattern_parses() {
        for text in PROTECTED {
            assert!(text.parse::<PathGlob>().is_ok(), "{text}");
        }
    }
}
