//! Path globs, and the questions that grants ask of them.
//!
//! Invariant: a glob is relative, has no `.` or `..` component, and is compared
//! component by component, so that metacharacters never match a `/`.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

/// A pattern over project-relative paths: `src/**`, `docs/*.md`, `Cargo.toml`.
///
/// `**` stands for any number of whole components, none included at its end too, so
/// `src/**` matches `src` itself and everything below it. `*`, `?` and `[…]` match
/// within one component.
///
/// ```
/// use idumb_core::PathGlob;
/// let glob: PathGlob = "src/**".parse().unwrap();
/// assert!(glob.matches("src/api/notes.rs"));
/// assert!(!glob.matches("tests/notes.rs"));
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathGlob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    /// `**`
    Any,
    /// No metacharacters.
    Literal(String),
    Pattern(String, Box<GlobMatcher>),
}

/// Why a text is not a glob for paths of a project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing written.
    #[error("a path pattern is empty")]
    Empty,
    /// Starts with `/`, or has a drive or backslash.
    #[error("`{0}` is absolute: paths are relative to the project's root, with `/` between names")]
    Absolute(String),
    /// Has a component `..` or `.`, or an empty one.
    #[error("`{0}` has an empty, `.` or `..` component: name the path from the project's root")]
    Dots(String),
    /// Not a pattern, for the reason given.
    #[error("`{0}` is not a path pattern: {1}")]
    Syntax(String, String),
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(text) => text == name,
            Self::Pattern(_, matcher) => matcher.is_match(name),
        }
    }

    /// Whether some name matches both; answers yes when it cannot tell.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(a), b) => b.matches(a),
            (a, Self::Literal(b)) => a.matches(b),
            _ => true,
        }
    }

    /// Whether every name that matches `other` matches this; answers no when it cannot tell.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (a, Self::Literal(b)) => a.matches(b),
            (Self::Pattern(a, _), Self::Pattern(b, _)) => a == b || a == "*",
            (Self::Literal(_), Self::Pattern(..)) => false,
        }
    }
}

impl PathGlob {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path itself, if the pattern has no metacharacters and so means one path.
    pub fn as_literal(&self) -> Option<&str> {
        let literal = self.parts.iter().all(|part| matches!(part, Part::Literal(_)));
        literal.then_some(self.text.as_str())
    }

    /// Whether `path` (relative, `/` between names, no dots) is in the pattern.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        walk(&self.parts, &names, &|part, name| part.matches(name))
    }

    /// Whether a path below the directory `dir` could match: `dir` must be visible on
    /// the way to it. The root is the empty text.
    pub fn may_match_below(&self, dir: &str) -> bool {
        if dir.is_empty() {
            return true;
        }
        let mut parts = self.parts.iter();
        for name in dir.split('/') {
            match parts.next() {
                Some(Part::Any) => return true,
                Some(part) if part.matches(name) => {}
                _ => return false,
            }
        }
        parts.next().is_some()
    }

    /// Whether a path may exist that both match. Never wrongly says no.
    pub fn overlaps(&self, other: &Self) -> bool {
        fn go(a: &[Part], b: &[Part]) -> bool {
            match (a, b) {
                ([], []) => true,
                ([Part::Any, rest @ ..], b) => go(rest, b) || (!b.is_empty() && go(a, &b[1..])),
                (a, [Part::Any, rest @ ..]) => go(a, rest) || (!a.is_empty() && go(&a[1..], b)),
                ([x, xs @ ..], [y, ys @ ..]) => x.overlaps(y) && go(xs, ys),
                _ => false,
            }
        }
        go(&self.parts, &other.parts)
    }

    /// Whether every path of `other` is a path of this one. Never wrongly says yes.
    pub fn covers(&self, other: &Self) -> bool {
        let others: Vec<&Part> = other.parts.iter().collect();
        walk(&self.parts, &others, &|part, other| match (part, other) {
            (part, Part::Any) => matches!(part, Part::Any),
            (part, other) => part.covers(other),
        })
    }
}

/// Matches `parts` against `names`, where `**` takes any number of names.
fn walk<N: Copy>(parts: &[Part], names: &[N], fits: &dyn Fn(&Part, N) -> bool) -> bool {
    match (parts, names) {
        ([], []) => true,
        ([Part::Any, rest @ ..], _) => {
            walk(rest, names, fits)
                || (!names.is_empty()
                    && fits(&Part::Any, names[0])
                    && walk(parts, &names[1..], fits))
        }
        ([part, rest @ ..], [name, more @ ..]) => fits(part, *name) && walk(rest, more, fits),
        _ => false,
    }
}

impl FromStr for PathGlob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.starts_with('/') || text.contains('\\') || text.contains(':') {
            return Err(GlobError::Absolute(text.to_owned()));
        }
        let syntax = |why: String| GlobError::Syntax(text.to_owned(), why);
        let mut parts: Vec<Part> = Vec::new();
        for name in text.split('/') {
            let part = match name {
                "" | "." | ".." => return Err(GlobError::Dots(text.to_owned())),
                "**" if matches!(parts.last(), Some(Part::Any)) => continue,
                "**" => Part::Any,
                _ if name.contains("**") => {
                    return Err(syntax("`**` must be a whole component".into()));
                }
                _ if name.contains(['{', '}']) => {
                    return Err(syntax(
                        "alternatives `{…}` are not supported: write two patterns".into(),
                    ));
                }
                _ if name.contains(['*', '?', '[', ']']) => {
                    let matcher = GlobBuilder::new(name)
                        .literal_separator(true)
                        .build()
                        .map_err(|error| syntax(error.kind().to_string()))?
                        .compile_matcher();
                    Part::Pattern(name.to_owned(), Box::new(matcher))
                }
                _ => Part::Literal(name.to_owned()),
            };
            parts.push(part);
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl TryFrom<String> for PathGlob {
    type Error = GlobError;
    fn try_from(text: String) -> Result<Self, GlobError> {
        text.parse()
    }
}

impl From<PathGlob> for String {
    fn from(glob: PathGlob) -> Self {
        glob.text
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathGlob {}

impl fmt::Debug for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathGlob({:?})", self.text)
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> PathGlob {
        text.parse().expect(text)
    }

    #[test]
    fn matches_a_table() {
        let table = [
            ("src/**", "src", true),
            ("src/**", "src/a/b.rs", true),
            ("src/**", "srcs/a", false),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/a/b.rs", false),
            ("**/*.rs", "a.rs", true),
            ("**/*.rs", "x/y/a.rs", true),
            ("**", "anything/at/all", true),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "a/b/c/y", false),
            ("[ab].txt", "a.txt", true),
            ("[ab].txt", "c.txt", false),
            ("*", ".env", true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(glob(pattern).matches(path), expected, "{pattern} against {path}");
        }
    }

    #[test]
    fn a_directory_is_visible_only_on_the_way() {
        assert!(glob("src/api/*.rs").may_match_below(""));
        assert!(glob("src/api/*.rs").may_match_below("src"));
        assert!(glob("src/api/*.rs").may_match_below("src/api"));
        assert!(!glob("src/api/*.rs").may_match_below("src/api/deep"));
        assert!(!glob("src/api/*.rs").may_match_below("tests"));
        assert!(glob("**/*.rs").may_match_below("any/where"));
    }

    #[test]
    fn overlap_and_cover() {
        assert!(glob("src/**").overlaps(&glob("**/*.rs")));
        assert!(!glob("src/**").overlaps(&glob("docs/*.md")));
        assert!(!glob("src/a.rs").overlaps(&glob("src/b.rs")));
        assert!(glob("**").covers(&glob("src/**")));
        assert!(glob("src/**").covers(&glob("src/a/*.rs")));
        assert!(glob("src/*").covers(&glob("src/*.rs")));
        assert!(!glob("src/*").covers(&glob("src/**")));
        assert!(!glob("src/*.rs").covers(&glob("src/*")));
    }

    #[test]
    fn refuses_what_leaves_the_project() {
        for text in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "./a",
            "a//b",
            "a/",
            "C:/x",
            "a\\b",
            "a**/b",
            "{a,b}",
        ] {
            assert!(text.parse::<PathGlob>().is_err(), "{text:?} was taken");
        }
    }
}
