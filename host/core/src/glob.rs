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

    /// Whether `path` is where everything that matches lies, or above that: a link or a file there
    /// decides what is there at all.
    pub fn lies_below(&self, path: &str) -> bool {
        let mut parts = self.parts.iter();
        let names = |name| matches!(parts.next(), Some(Part::Literal(part)) if part == name);
        path.split('/').all(names) && parts.next().is_some()
    }

    /// Whether a path below the directory `dir` could match: `dir` must be visible on
    /// the way to it. The root is the empty text.
    pub fn may_match_below(&self, dir: &str) -> bool {
        !self.after(dir).is_empty()
    }

    /// Where in the pattern one may be behind the names of `dir`, with more of it to come.
    fn after(&self, dir: &str) -> Vec<usize> {
        let mut at = vec![0];
        for name in dir.split('/').filter(|_| !dir.is_empty()) {
            let mut next: Vec<usize> = Vec::new();
            let mut step = |to: usize| {
                if next.last().is_none_or(|&last| last < to) {
                    next.push(to);
                }
            };
            for from in self.with_skipped(&at) {
                match self.parts.get(from) {
                    Some(Part::Any) => step(from),
                    Some(part) if part.matches(name) => step(from + 1),
                    _ => {}
                }
            }
            at = next;
        }
        at = self.with_skipped(&at);
        at.retain(|&at| at < self.parts.len());
        at
    }

    /// These places, which are in order, and those behind each `**` that takes no name.
    fn with_skipped(&self, places: &[usize]) -> Vec<usize> {
        let mut all: Vec<usize> = Vec::new();
        for &place in places {
            let mut place = place;
            loop {
                if all.last().is_none_or(|&last| last < place) {
                    all.push(place);
                }
                if !matches!(self.parts.get(place), Some(Part::Any)) {
                    break;
                }
                place += 1;
            }
        }
        all
    }

    /// Whether a path may exist that both match. Never wrongly says no.
    pub fn overlaps(&self, other: &Self) -> bool {
        meets(&self.parts, &other.parts)[0][0]
    }

    /// Whether a path below the directory `dir` may exist that both match. The root is the empty
    /// text. Never wrongly says no.
    pub fn overlaps_below(&self, other: &Self, dir: &str) -> bool {
        let (mine, theirs) = (self.after(dir), other.after(dir));
        if mine.is_empty() || theirs.is_empty() {
            return false;
        }
        // Both have something to come, so what meets has a name at least.
        let meets = meets(&self.parts, &other.parts);
        mine.iter().any(|&i| theirs.iter().any(|&j| meets[i][j]))
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

/// Matches `parts` against `names`, where `**` takes any number of names, whatever they are.
///
/// Patterns come from agents too: the time is bounded by the product of both lengths. What the
/// last `**` takes is all that ever has to be tried again.
fn walk<N: Copy>(parts: &[Part], names: &[N], fits: &dyn Fn(&Part, N) -> bool) -> bool {
    let (mut part, mut name) = (0, 0);
    // Behind the last `**`, and the first name that it does not take.
    let mut again: Option<(usize, usize)> = None;
    while name < names.len() {
        match parts.get(part) {
            Some(Part::Any) => {
                part += 1;
                again = Some((part, name));
            }
            Some(wanted) if fits(wanted, names[name]) => (part, name) = (part + 1, name + 1),
            _ => match &mut again {
                Some((behind, taken)) => {
                    *taken += 1;
                    (part, name) = (*behind, *taken);
                }
                None => return false,
            },
        }
    }
    parts[part..].iter().all(|part| matches!(part, Part::Any))
}

/// Whether a path may exist that both `a[i..]` and `b[j..]` match, for each `i` and `j`, the ends
/// included. Patterns come from agents too: the time is the product of both lengths.
fn meets(a: &[Part], b: &[Part]) -> Vec<Vec<bool>> {
    let mut meets = vec![vec![false; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            meets[i][j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some(Part::Any), theirs) => {
                    meets[i + 1][j] || (theirs.is_some() && meets[i][j + 1])
                }
                (mine, Some(Part::Any)) => meets[i][j + 1] || (mine.is_some() && meets[i + 1][j]),
                (Some(mine), Some(theirs)) => mine.overlaps(theirs) && meets[i + 1][j + 1],
                _ => false,
            };
        }
    }
    meets
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
    fn what_lies_below_a_path() {
        let below = |glob: &str, path: &str| glob.parse::<PathGlob>().unwrap().lies_below(path);
        for (glob, path) in [("a/b", "a"), ("a/b/*.rs", "a/b"), ("a/**", "a"), ("a/b/c", "a")] {
            assert!(below(glob, path), "{glob} {path}");
        }
        for (glob, path) in [("a", "a"), ("ab/c", "a"), ("**/x", "a"), ("*/x", "a"), ("a/b", "a/c")]
        {
            assert!(!below(glob, path), "{glob} {path}");
        }
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

    /// Every path of at most `most` names, the root first.
    fn paths(most: usize) -> Vec<String> {
        let mut paths = vec![String::new()];
        let mut from = 0;
        for _ in 0..most {
            let end = paths.len();
            for at in from..end {
                for name in ["a", "b", "c"] {
                    let path = if at == 0 { name.into() } else { format!("{}/{name}", paths[at]) };
                    paths.push(path);
                }
            }
            from = end;
        }
        paths
    }

    /// Without an alternative to try, and so plainly right; it never ends on long patterns.
    fn matches_plainly(parts: &[Part], names: &[&str]) -> bool {
        match (parts, names) {
            ([], []) => true,
            ([Part::Any, rest @ ..], _) => {
                matches_plainly(rest, names)
                    || (!names.is_empty() && matches_plainly(parts, &names[1..]))
            }
            ([part, rest @ ..], [name, more @ ..]) => {
                part.matches(name) && matches_plainly(rest, more)
            }
            _ => false,
        }
    }

    /// Every answer about small patterns is that of looking at each path.
    #[test]
    fn answers_are_those_of_looking_at_each_path() {
        let texts = ["a", "b", "*", "**"];
        let mut patterns: Vec<String> = texts.map(str::to_owned).to_vec();
        for length in 1..3 {
            let shorter: Vec<String> = patterns.clone();
            let of_length = |text: &&String| text.split('/').count() == length;
            for text in shorter.iter().filter(of_length) {
                patterns.extend(texts.iter().map(|part| format!("{text}/{part}")));
            }
        }
        let globs: Vec<PathGlob> = patterns.iter().map(|text| glob(text)).collect();
        let paths = paths(6);
        let of = |glob: &PathGlob| -> Vec<bool> {
            paths.iter().skip(1).map(|path| glob.matches(path)).collect()
        };
        let taken: Vec<Vec<bool>> = globs.iter().map(of).collect();
        for (mine, taken) in globs.iter().zip(&taken) {
            for (path, &is) in paths.iter().skip(1).zip(taken) {
                let names: Vec<&str> = path.split('/').collect();
                assert_eq!(is, matches_plainly(&mine.parts, &names), "{mine} against {path}");
            }
        }
        let dirs: Vec<&String> = paths.iter().take_while(|path| path.len() <= 3).collect();
        for (mine, my) in globs.iter().zip(&taken) {
            for (other, their) in globs.iter().zip(&taken) {
                let both: Vec<&String> = paths[1..]
                    .iter()
                    .zip(my.iter().zip(their))
                    .filter_map(|(path, (my, their))| (*my && *their).then_some(path))
                    .collect();
                assert_eq!(mine.overlaps(other), !both.is_empty(), "{mine} and {other}");
                for dir in &dirs {
                    let below = |path: &&&String| match dir.as_str() {
                        "" => true,
                        dir => path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')),
                    };
                    let expected = both.iter().any(|path| below(&path));
                    let found = mine.overlaps_below(other, dir);
                    assert_eq!(found, expected, "{mine} and {other} below {dir:?}");
                }
            }
        }
    }

    /// An agent's ceiling must not make the host compute without end.
    #[test]
    fn long_patterns_cost_little() {
        let (hard, other) = ("**/a/".repeat(60) + "b", "**/*/".repeat(60) + "c");
        let path = "a/".repeat(200) + "c";
        assert!(!glob(&hard).matches(&path));
        assert!(!glob(&hard).overlaps(&glob(&other)));
        assert!(!glob(&hard).overlaps_below(&glob(&other), &path));
        assert!(!glob(&hard).covers(&glob(&other)));
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
