//! What a project's folder looks like: its language, and where sources, tests and docs are.
//!
//! Invariant: only names are looked at, and every pattern stays within a folder that was found, or
//! within the one that is assumed where none was.

use std::collections::BTreeSet;

use idumb_core::PathGlob;

/// Folders whose contents say nothing about a project: others made them, or tools did.
const PASSED_OVER: [&str; 7] =
    [".git", ".idumb", "build", "dist", "node_modules", "target", "vendor"];

/// How many levels of folders are looked at: `packages/web/src` is one of the third.
pub const LEVELS: usize = 3;

/// The most folders of one sort that are named in a plan.
const MOST: usize = 8;

const MANIFESTS: [(&str, Language); 5] = [
    ("Cargo.toml", Language::Rust),
    ("package.json", Language::JavaScript),
    ("pyproject.toml", Language::Python),
    ("setup.py", Language::Python),
    ("go.mod", Language::Go),
];

const SOURCES: [&str; 3] = ["app", "lib", "src"];
const GO_SOURCES: [&str; 3] = ["cmd", "internal", "pkg"];
const TESTS: [&str; 2] = ["test", "tests"];
const DOCS: &str = "docs";
const README: &str = "README.md";

/// What a project is written in, as its manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// `Cargo.toml`
    Rust,
    /// `package.json`
    JavaScript,
    /// `pyproject.toml` or `setup.py`
    Python,
    /// `go.mod`
    Go,
}

impl Language {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::Go => "Go",
        }
    }

    /// The endings of its files.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["rs"],
            Self::JavaScript => &["js", "ts"],
            Self::Python => &["py"],
            Self::Go => &["go"],
        }
    }
}

/// Where things are in a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// What it is written in; more than one in a project of several parts.
    pub(super) languages: BTreeSet<Language>,
    /// The files that say so.
    pub(super) manifests: Vec<String>,
    /// Patterns of sources, one for each folder.
    pub(super) sources: Vec<String>,
    pub(super) tests: Vec<String>,
    pub(super) docs: Vec<String>,
    /// Whether there is a `README.md`.
    pub(super) readme: bool,
    /// Source folders that are too many to be named.
    pub(super) left_out: usize,
    /// Whether there was more than was looked at.
    pub(super) cut_short: bool,
}

/// The folders that were met, by what is in them.
#[derive(Default)]
struct Met<'a> {
    sources: BTreeSet<&'a str>,
    go_sources: BTreeSet<&'a str>,
    packages: BTreeSet<&'a str>,
    tests: BTreeSet<&'a str>,
    docs: BTreeSet<&'a str>,
    /// Endings of the files at the root.
    endings: BTreeSet<&'a str>,
}

impl Layout {
    /// Tells it from the entries of a project's folder: paths from the root with `/` between
    /// names, and whether each is a folder. `cut_short` says that there were more.
    ///
    /// What is hidden, deeper than [`LEVELS`], or [passed over](is_passed_over) counts for nothing.
    ///
    /// ```
    /// use idumb_plan::Layout;
    /// let layout = Layout::of([("Cargo.toml", false), ("src", true)], false);
    /// assert_eq!(layout.summary(), "the Rust project that is here");
    /// ```
    pub fn of<'a>(entries: impl IntoIterator<Item = (&'a str, bool)>, cut_short: bool) -> Self {
        let mut layout = Self { cut_short, ..Self::default() };
        let mut met = Met::default();
        for (path, is_folder) in entries {
            let literal = path.parse::<PathGlob>().is_ok_and(|glob| glob.as_literal().is_some());
            let names: Vec<&str> = path.split('/').collect();
            // The files of the deepest folders count, too.
            let deepest = if is_folder { LEVELS } else { LEVELS + 1 };
            if !literal || names.len() > deepest || names.iter().any(|name| is_passed_over(name)) {
                continue;
            }
            match is_folder {
                true => met.folder(path, &names),
                false => layout.file(&mut met, path, &names),
            }
        }
        layout.manifests.sort_by_key(|path| by_depth(path));
        layout.manifests.dedup();
        layout.manifests.truncate(MOST);
        layout.place(&met);
        layout
    }

    fn file<'a>(&mut self, met: &mut Met<'a>, path: &'a str, names: &[&'a str]) {
        let name = names[names.len() - 1];
        let manifest = MANIFESTS.iter().find(|(manifest, _)| *manifest == name);
        if let Some((_, language)) = manifest {
            self.languages.insert(*language);
            self.manifests.push(path.to_owned());
        }
        if let (Some(folder), "__init__.py") = (path.strip_suffix("/__init__.py"), name) {
            met.packages.insert(folder);
        }
        if names.len() == 1 {
            self.readme |= name == README;
            if let (None, Some((_, ending))) = (manifest, name.rsplit_once('.')) {
                met.endings.insert(ending);
            }
        }
    }

    fn place(&mut self, met: &Met<'_>) {
        let mut sources = met.sources.clone();
        if self.languages.contains(&Language::Go) {
            sources.extend(&met.go_sources);
        }
        if self.languages.contains(&Language::Python) {
            sources.extend(&met.packages);
        }
        // `test` may be a package of Python's too.
        sources.retain(|folder| !met.tests.contains(folder) && !met.docs.contains(folder));
        let all: BTreeSet<&str> =
            sources.iter().chain(&met.tests).chain(&met.docs).copied().collect();
        // What is within a folder that has a sort is of that sort.
        let outermost = |folders: &BTreeSet<&str>| -> Vec<String> {
            let within = |folder: &str| {
                let above = folder.match_indices('/').map(|(at, _)| &folder[..at]);
                above.into_iter().any(|above| all.contains(above))
            };
            let mut found: Vec<&str> = folders.iter().copied().filter(|f| !within(f)).collect();
            found.sort_by_key(|folder| by_depth(folder));
            found.into_iter().map(|folder| format!("{folder}/**")).collect()
        };
        self.sources = outermost(&sources);
        self.tests = outermost(&met.tests);
        self.docs = outermost(&met.docs);
        if self.sources.is_empty() {
            let endings = self.languages.iter().flat_map(|language| language.endings());
            let there = endings.filter(|ending| met.endings.contains(*ending));
            self.sources = there.map(|ending| format!("*.{ending}")).collect();
        }
        self.left_out = self.sources.len().saturating_sub(MOST);
        self.sources.truncate(MOST);
        self.tests.truncate(MOST);
        self.docs.truncate(MOST);
    }

    /// Whether nothing was found that says where anything is.
    pub(super) fn is_unknown(&self) -> bool {
        self.languages.is_empty() && self.sources.is_empty() && self.tests.is_empty()
    }

    /// Whether there was more than was looked at.
    pub fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// What the plan is made for, in a few words.
    pub fn summary(&self) -> String {
        let languages: Vec<&str> = self.languages.iter().map(|language| language.name()).collect();
        match languages.as_slice() {
            [] if self.is_unknown() => "a project in which no sources were found".to_owned(),
            [] => "the folders that are here".to_owned(),
            languages => format!("the {} project that is here", languages.join(" and ")),
        }
    }

    /// Where the sources are, or are to be.
    pub(super) fn sources_or_assumed(&self) -> Vec<String> {
        or_assumed(&self.sources, "src/**")
    }

    /// Where the tests are, or are to be: Go has them beside its sources.
    pub(super) fn tests_or_assumed(&self) -> Vec<String> {
        if self.tests.is_empty() && self.languages.iter().eq([&Language::Go]) {
            let beside = |pattern: &String| match pattern.strip_suffix("**") {
                Some(folder) => format!("{folder}**/*_test.go"),
                None => "*_test.go".to_owned(),
            };
            return self.sources_or_assumed().iter().map(beside).collect();
        }
        or_assumed(&self.tests, "tests/**")
    }

    /// Where the docs are, or are to be.
    pub(super) fn docs_or_assumed(&self) -> Vec<String> {
        match (self.docs.is_empty(), self.readme) {
            (true, true) => vec![README.to_owned()],
            _ => or_assumed(&self.docs, "docs/**"),
        }
    }

    /// Whether that file was found, of those that are looked for by name.
    pub(super) fn has_file(&self, path: &str) -> bool {
        (self.readme && path == README) || self.manifests.iter().any(|found| found == path)
    }

    /// Where readers begin.
    pub(super) fn readme(&self) -> Vec<String> {
        vec![README.to_owned()]
    }

    /// What was found, in one sentence for each sort.
    pub(super) fn told(&self) -> Vec<String> {
        if self.is_unknown() {
            let assumed = "Nothing was found here that says where sources and tests are: `src` and \
                           `tests` are assumed.";
            return vec![assumed.to_owned()];
        }
        let listed = |patterns: &[String], none: &str| match patterns {
            [] => none.to_owned(),
            patterns => {
                let folders = patterns.iter().map(|text| text.strip_suffix("/**").unwrap_or(text));
                folders.collect::<Vec<_>>().join(", ")
            }
        };
        let mut told = vec![format!(
            "Found here: {}; sources in {}; tests in {}; docs in {}.",
            listed(&self.manifests, "no manifest"),
            listed(&self.sources, "no folder that is known (`src` is assumed)"),
            listed(&self.tests, "no folder of their own"),
            listed(&self.docs, if self.readme { README } else { "no folder" }),
        )];
        if !self.manifests.is_empty() {
            let manifests = listed(&self.manifests, "");
            told.push(format!(
                "{manifests} can only be read: add it to `writes` where it changes."
            ));
        }
        if self.left_out > 0 {
            told.push(format!("{} more folders of sources are not named.", self.left_out));
        }
        if self.cut_short {
            told.push("There was more than was looked at.".to_owned());
        }
        told
    }
}

impl<'a> Met<'a> {
    fn folder(&mut self, path: &'a str, names: &[&'a str]) {
        let name = names[names.len() - 1];
        if SOURCES.contains(&name) {
            self.sources.insert(path);
        } else if GO_SOURCES.contains(&name) {
            self.go_sources.insert(path);
        } else if TESTS.contains(&name) {
            self.tests.insert(path);
        } else if name == DOCS {
            self.docs.insert(path);
        }
    }
}

/// Whether an entry of that name counts for nothing, and a folder with all that is in it.
pub fn is_passed_over(name: &str) -> bool {
    name.starts_with('.') || PASSED_OVER.contains(&name)
}

fn by_depth(path: &str) -> (usize, String) {
    (path.matches('/').count(), path.to_owned())
}

fn or_assumed(found: &[String], assumed: &str) -> Vec<String> {
    match found {
        [] => vec![assumed.to_owned()],
        found => found.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders end with `/`.
    fn layout(paths: &[&str]) -> Layout {
        let entry = |path: &&'static str| match path.strip_suffix('/') {
            Some(folder) => (folder, true),
            None => (*path, false),
        };
        let paths: Vec<&'static str> = paths.iter().map(|path| &*path.to_string().leak()).collect();
        Layout::of(paths.iter().map(entry).collect::<Vec<_>>(), false)
    }

    type Paths = &'static [&'static str];

    #[test]
    fn what_is_where_a_table() {
        let table: [(Paths, &str, Paths, Paths, Paths); 10] = [
            (
                &["go.mod"],
                "the Go project that is here",
                &["src/**"],
                &["src/**/*_test.go"],
                &["docs/**"],
            ),
            (
                &[],
                "a project in which no sources were found",
                &["src/**"],
                &["tests/**"],
                &["docs/**"],
            ),
            (
                &["Cargo.toml", "src/", "tests/", "README.md"],
                "the Rust project that is here",
                &["src/**"],
                &["tests/**"],
                &["README.md"],
            ),
            (
                &[
                    "crates/b/src/",
                    "crates/a/src/",
                    "crates/a/tests/",
                    "crates/a/Cargo.toml",
                    "docs/",
                    "docs/src/",
                ],
                "the Rust project that is here",
                &["crates/a/src/**", "crates/b/src/**"],
                &["crates/a/tests/**"],
                &["docs/**"],
            ),
            // What others made, what is hidden, and what is too deep.
            (
                &["node_modules/x/src/", "target/src/", ".cache/src/", "a/b/c/src/", "vendor/lib/"],
                "a project in which no sources were found",
                &["src/**"],
                &["tests/**"],
                &["docs/**"],
            ),
            (
                &["package.json", "app/", "lib/", "lib/src/", "test/"],
                "the JavaScript project that is here",
                &["app/**", "lib/**"],
                &["test/**"],
                &["docs/**"],
            ),
            (
                &[
                    "pyproject.toml",
                    "notes/",
                    "notes/__init__.py",
                    "notes/api/__init__.py",
                    "tests/",
                    "tests/__init__.py",
                ],
                "the Python project that is here",
                &["notes/**"],
                &["tests/**"],
                &["docs/**"],
            ),
            (
                &["setup.py", "notes.py"],
                "the Python project that is here",
                &["*.py"],
                &["tests/**"],
                &["docs/**"],
            ),
            (
                &["go.mod", "main.go", "internal/", "cmd/"],
                "the Go project that is here",
                &["cmd/**", "internal/**"],
                &["cmd/**/*_test.go", "internal/**/*_test.go"],
                &["docs/**"],
            ),
            (
                &["src/", "sr[c]/lib/", "Cargo.toml/"],
                "the folders that are here",
                &["src/**"],
                &["tests/**"],
                &["docs/**"],
            ),
        ];
        for (paths, summary, sources, tests, docs) in table {
            let layout = layout(paths);
            assert_eq!(layout.summary(), summary, "{paths:?}");
            assert_eq!(layout.sources_or_assumed(), sources, "{paths:?}");
            assert_eq!(layout.tests_or_assumed(), tests, "{paths:?}");
            assert_eq!(layout.docs_or_assumed(), docs, "{paths:?}");
        }
    }

    #[test]
    fn a_large_project_is_told_in_part() {
        let paths: Vec<String> = (0..12).map(|n| format!("crates/c{n:02}/src/")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let layout = layout(&paths);
        assert_eq!(layout.sources.len(), MOST);
        assert!(layout.told().contains(&"4 more folders of sources are not named.".to_owned()));
    }
}
