//! The kinds of steps and criteria, as data: `wit/README.md` lists the same for authors.
//!
//! Invariant: an argument that a kind takes is checked by its [`Shape`] before an agent
//! sees it; a test compares these tables with the ones of `wit/README.md`.

use idumb_core::Criterion;

/// What an argument's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A path that the step writes.
    Written,
    /// A path that the step only reads.
    Read,
    /// A path that a criterion looks at.
    Looked,
    /// Any text.
    Text,
    /// A text that is not empty: the empty one is everywhere.
    Words,
    /// What must hold, in words.
    Claim,
    /// True or false.
    Flag,
    /// A whole number, this or more.
    Count(u64),
    /// A list of patterns, not empty.
    Patterns,
    /// A regular expression.
    Regex,
    /// A JSON pointer.
    Pointer,
    /// Any value.
    Json,
    /// The name of a file format.
    Format,
    /// `blake3:…` or `sha256:…`.
    Digest,
    /// The name of a command of `idumb.toml`.
    Command,
    /// A list of texts, not empty: what is put behind the words of a command.
    Arguments,
    /// A list of paths, not empty: files that a command leaves behind.
    Outputs,
}

/// An argument of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arg {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

/// A kind and its arguments; the kind's key holds the first one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) args: &'static [Arg],
}

impl Kind {
    /// The argument that the key named like the kind holds.
    pub(crate) fn first(&self) -> &'static str {
        self.args.first().map_or("path", |arg| arg.name)
    }

    /// Whether the kind has an argument of its own name, as `digest` has.
    pub(crate) fn has_own(&self) -> bool {
        self.args.iter().any(|arg| arg.name == self.name)
    }

    /// The names of its arguments.
    pub(crate) fn arg_names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.args.iter().map(|arg| arg.name)
    }
}

const fn must(name: &'static str, shape: Shape) -> Arg {
    Arg { name, shape, required: true }
}

const fn may(name: &'static str, shape: Shape) -> Arg {
    Arg { name, shape, required: false }
}

use Shape::{
    Claim, Count, Flag, Format, Json, Looked, Patterns, Pointer, Read, Regex, Text, Words, Written,
};

/// What the built-in builder can do.
pub(crate) const STEPS: &[Kind] = &[
    Kind {
        name: "write",
        args: &[must("path", Written), must("content", Text), may("overwrite", Flag)],
    },
    Kind { name: "append", args: &[must("path", Written), must("content", Text)] },
    Kind {
        name: "replace",
        args: &[
            must("path", Written),
            must("find", Words),
            must("with", Text),
            may("count", Count(1)),
        ],
    },
    Kind { name: "patch", args: &[must("path", Written), must("diff", Words)] },
    Kind { name: "copy", args: &[must("from", Read), must("to", Written)] },
    Kind { name: "move", args: &[must("from", Written), must("to", Written)] },
    Kind { name: "delete", args: &[must("path", Written)] },
    Kind { name: "mkdir", args: &[must("path", Written)] },
    Kind {
        name: "template",
        args: &[must("path", Written), may("template", Text), may("from", Read)],
    },
];

/// What the built-in validator can check, what only a person can judge, and what the host has
/// commands run for.
pub(crate) const CRITERIA: &[Kind] = &[
    Kind { name: "exists", args: &[must("path", Looked)] },
    Kind { name: "absent", args: &[must("path", Looked)] },
    Kind { name: "contains", args: &[must("path", Looked), must("text", Words)] },
    Kind { name: "matches", args: &[must("path", Looked), must("regex", Regex)] },
    Kind {
        name: "equals",
        args: &[
            must("path", Looked),
            must("at", Pointer),
            must("value", Json),
            may("format", Format),
        ],
    },
    Kind { name: "digest", args: &[must("path", Looked), must("digest", Shape::Digest)] },
    Kind { name: "unchanged", args: &[must("paths", Patterns)] },
    Kind {
        name: "lines",
        args: &[must("path", Looked), may("min", Count(0)), may("max", Count(0))],
    },
    Kind { name: Criterion::JUDGED, args: &[must("text", Claim)] },
    Kind {
        name: Criterion::COMMAND,
        args: &[
            must("name", Shape::Command),
            may("exit", Count(0)),
            may("arguments", Shape::Arguments),
            may("outputs", Shape::Outputs),
        ],
    },
    Kind {
        name: Criterion::TESTS_PASS,
        args: &[
            must("name", Shape::Command),
            may("at_least", Count(1)),
            may("skipped_at_most", Count(0)),
            may("arguments", Shape::Arguments),
            may("outputs", Shape::Outputs),
        ],
    },
];

/// The formats of `equals`.
pub(crate) const FORMATS: &[&str] = &["json", "toml", "yaml"];

/// The format that a file's name tells.
pub(crate) fn format_of(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "json" => Some("json"),
        "toml" => Some("toml"),
        "yaml" | "yml" => Some("yaml"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table below `heading`: the kind, and the names of its arguments.
    fn documented(heading: &str) -> Vec<(String, Vec<String>)> {
        let readme = include_str!("../../../../wit/README.md");
        let section = readme.split_once(heading).expect("the heading").1;
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let mut args = Vec::new();
            let mut depth = 0;
            for (index, part) in cells[2].split('`').enumerate() {
                // Odd parts stand between backticks; what is in brackets explains.
                if index % 2 == 1 && depth == 0 {
                    args.push(part.to_owned());
                } else if index % 2 == 0 {
                    depth += part.matches('(').count();
                    depth -= part.matches(')').count();
                }
            }
            (cells[1].trim_matches('`').to_owned(), args)
        })
        .collect()
    }

    fn known(kinds: &[Kind]) -> Vec<(String, Vec<String>)> {
        let args = |kind: &Kind| kind.arg_names().map(str::to_owned).collect();
        kinds.iter().map(|kind| (kind.name.to_owned(), args(kind))).collect()
    }

    #[test]
    fn the_contract_lists_the_same() {
        assert_eq!(documented("## Kinds of steps"), known(STEPS));
        assert_eq!(documented("## Kinds of criteria"), known(CRITERIA));
    }

    #[test]
    fn no_argument_is_named_like_another_kind() {
        for kinds in [STEPS, CRITERIA] {
            for kind in kinds {
                let clash =
                    |name| kinds.iter().any(|other| other.name == name && name != kind.name);
                assert!(!kind.arg_names().any(clash), "{}", kind.name);
            }
        }
    }
}
