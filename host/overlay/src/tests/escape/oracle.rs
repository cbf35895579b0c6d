//! What may be known, read and written, decided from the grants' texts alone.
//!
//! Invariant: nothing here is shared with what is tested: the patterns are matched by another
//! matcher, and which names are protected is said again, for the names that are used here.

use idumb_core::Grants;

use super::overlay::Kind;

/// Protected wherever they stand.
const ANYWHERE: &[&str] = &[
    ".git",
    ".GIT",
    ".g\u{200c}it",
    ".env",
    ".Env.local",
    ".vscode",
    ".ssh",
    ".\u{17f}sh",
    ".idumb",
];
/// Protected in the root.
const IN_ROOT: &[&str] = &["idumb.toml", "IDUMB.toml"];

/// The grants of one sequence.
pub(super) struct Oracle {
    pub(super) reads: Vec<String>,
    pub(super) writes: Vec<String>,
    pub(super) never: Vec<String>,
}

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']'])
}

/// Whether one name matches one part of a pattern.
fn name_matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => {
            name_matches(&pattern[1..], name)
                || (!name.is_empty() && name_matches(pattern, &name[1..]))
        }
        (Some('['), Some(first)) => {
            let Some(end) = pattern[2..].iter().position(|c| *c == ']').map(|at| at + 2) else {
                return false;
            };
            pattern[1..end].contains(first) && name_matches(&pattern[end + 1..], &name[1..])
        }
        (Some('?'), Some(_)) => name_matches(&pattern[1..], &name[1..]),
        (Some(one), Some(first)) => one == first && name_matches(&pattern[1..], &name[1..]),
        _ => false,
    }
}

fn part_matches(part: &str, name: &str) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    name_matches(&chars(part), &chars(name))
}

/// Whether `names` match `parts`; with `beyond`: whether they and at least one more could.
fn matches(parts: &[&str], names: &[&str], beyond: bool) -> bool {
    match (parts, names) {
        ([], []) => !beyond,
        (_, []) if beyond => true,
        (["**", rest @ ..], _) => {
            matches(rest, names, beyond)
                || (!names.is_empty() && matches(parts, &names[1..], beyond))
        }
        ([part, rest @ ..], [name, more @ ..]) => {
            part_matches(part, name) && matches(rest, more, beyond)
        }
        _ => false,
    }
}

fn pattern_matches(pattern: &str, path: &str, beyond: bool) -> bool {
    let parts: Vec<&str> = pattern.split('/').collect();
    let names: Vec<&str> = path.split('/').collect();
    matches(&parts, &names, beyond)
}

fn is_protected(path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    names.iter().any(|name| ANYWHERE.contains(name))
        || IN_ROOT.contains(&names[0])
        || names.starts_with(&[".github", "workflows"])
}

impl Oracle {
    pub(super) fn grants(&self) -> Grants {
        let globs = |texts: &[String]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Grants {
            reads: globs(&self.reads),
            writes: globs(&self.writes),
            never: globs(&self.never),
            ..Grants::default()
        }
    }

    /// Whether nobody gets it, whatever is granted.
    fn is_taboo(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let mut above = ends.map(|end| &path[..end]);
        path.starts_with(".idumb-staged-")
            || above.any(|dir| self.never.iter().any(|glob| pattern_matches(glob, dir, false)))
    }

    fn given<'a>(&self, mut patterns: impl Iterator<Item = &'a String>, path: &str) -> bool {
        let protected = is_protected(path);
        !self.is_taboo(path)
            && patterns.any(|pattern| {
                if is_literal(pattern) {
                    pattern == path
                } else {
                    !protected && pattern_matches(pattern, path, false)
                }
            })
    }

    /// Whether something below the directory `path` is given.
    fn leads_on<'a>(&self, mut patterns: impl Iterator<Item = &'a String>, path: &str) -> bool {
        let protected = is_protected(path);
        !self.is_taboo(path)
            && patterns.any(|pattern| {
                if is_literal(pattern) {
                    pattern.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
                } else {
                    !protected && pattern_matches(pattern, path, true)
                }
            })
    }

    /// What stands at `path` may be read.
    pub(super) fn may_read(&self, path: &str) -> bool {
        self.given(self.reads.iter().chain(&self.writes), path)
    }

    pub(super) fn may_write(&self, path: &str) -> bool {
        self.given(self.writes.iter(), path)
    }

    /// A directory may be made, moved or removed at `path`.
    pub(super) fn may_change_dir(&self, path: &str) -> bool {
        self.may_write(path) || self.leads_on(self.writes.iter(), path)
    }

    /// That something of this kind stands at `path` may be known.
    pub(super) fn may_know(&self, path: &str, kind: Kind) -> bool {
        path.is_empty()
            || self.may_read(path)
            || (kind == Kind::Dir && self.leads_on(self.reads.iter().chain(&self.writes), path))
    }
}
