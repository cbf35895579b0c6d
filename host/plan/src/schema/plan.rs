//! The schema of `plan.toml`.
//!
//! Invariant: every spelling of every kind is here, made from the reader's own tables.

use serde_json::{Map, Value, json};

use super::{about, closed, closed_map, distinct, flag, leaf, list, number, some, word};
use crate::limits::{FIELDS, Unit};
use crate::native::kinded::Family;
use crate::native::kinds::{Arg, FORMATS, Kind, Shape};
use crate::native::task::{BUILDER, CHECKPOINTS, CRITERION, MOST_RETRIES, STEP};
use crate::native::{self, task};

pub(super) fn document() -> Value {
    let mut plan = closed(native::KEYS, &["phase", "goal", "tasks"], |key| match key {
        "phase" => about(number(0, u64::from(u32::MAX)), "Must agree with the folder's number."),
        "name" => about(leaf::id(), "Must agree with the folder's name, and may be left out."),
        "goal" => about(leaf::words(), "What the phase is to achieve."),
        "depends_on" => about(
            distinct(json!({ "anyOf": [number(0, u64::from(u32::MAX)), leaf::id()] })),
            "Phases that must be completed before: numbers or names.",
        ),
        "supersedes" => {
            about(list(leaf::id()), "Criteria of earlier phases that this phase deliberately ends.")
        }
        "tasks" => about(some(list(json!({ "$ref": "#/$defs/task" }))), "What is to be done."),
        "links" => about(
            list(json!({ "$ref": "#/$defs/link" })),
            "References between files, checked when the phase is done.",
        ),
        _ => Value::Null,
    });
    plan["$defs"] = json!({
        "task": task(),
        "link": link(),
        "step": kinded(&STEP, "What the built-in builder does."),
        "open-step": open_step(),
        "criterion": kinded(&CRITERION, "What must hold; checked on the candidate."),
    });
    plan
}

fn task() -> Value {
    let steps = |def: &str| json!({ "properties": { "steps": list(reference(def)) } });
    let mut table = closed(task::KEYS, &["id", "title", "accept"], task_property);
    // The kinds are known for the built-in builder alone.
    let other = json!({
        "if": {
            "required": ["agent"],
            "properties": { "agent": { "not": { "const": BUILDER } } },
        },
        "then": steps("open-step"),
        "else": steps("step"),
    });
    // A person is to decide: then a checkpoint says when.
    let when: Vec<&str> = CHECKPOINTS.into_iter().filter(|word| *word != "none").collect();
    let human = json!({
        "if": { "required": ["human"], "properties": { "human": { "const": true } } },
        "then": {
            "required": ["checkpoint"],
            "properties": { "checkpoint": { "enum": when } },
        },
    });
    table["allOf"] = json!([other, human]);
    about(table, "The smallest thing scheduled.")
}

fn reference(def: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{def}") })
}

fn task_property(key: &str) -> Value {
    match key {
        "id" => about(
            leaf::id(),
            "1 to 64 letters, digits, `-`, `_` or `.`, starting with a letter or digit; unique.",
        ),
        "title" => about(leaf::line(), "What it is about, in one line."),
        "description" => about(leaf::any_text(), "What to do."),
        "agent" => about(
            with_default(leaf::id(), BUILDER),
            "Who does it: the built-in builder, or an agent named in idumb.toml.",
        ),
        "depends_on" => about(distinct(leaf::id()), "Ids of tasks of this plan."),
        "reads" => about(leaf::patterns(), "Patterns: what the agent may read."),
        "writes" => about(leaf::patterns(), "Patterns: what it may write (and read)."),
        "artifacts" => {
            about(list(leaf::path()), "Promised files: one more criterion each, that it exists.")
        }
        "commands" => about(
            distinct(leaf::id()),
            "Commands of idumb.toml that its builder and its validator may ask for.",
        ),
        "timeout" => about(leaf::time(), "Of one attempt, such as `2m`; default: --timeout, 10m."),
        "limits" => about(
            closed_map(limits(), &[]),
            "Less than `[limits]` of idumb.toml allows; the same keys.",
        ),
        "retries" => about(
            with_default(number(0, u64::from(MOST_RETRIES)), 0),
            "Further attempts after the first.",
        ),
        "checkpoint" => about(
            with_default(word(CHECKPOINTS), "none"),
            "Where a person decides whether to go on.",
        ),
        "human" => about(
            with_default(flag(), false),
            "A person has to decide at the checkpoint, in auto mode too.",
        ),
        "options" => about(
            json!({ "type": "object", "additionalProperties": leaf::any_text() }),
            "For templates, and for agents that take options.",
        ),
        "steps" => about(
            // Which of the two it is, the task's `agent` says: see `task`.
            list(json!({ "anyOf": [reference("step"), reference("open-step")] })),
            "What the built-in builder does, in order. For other agents: `kind`, and its \
             arguments beside it.",
        ),
        "accept" => about(
            some(list(reference("criterion"))),
            "How it is seen that the task is done; each is checked on the candidate.",
        ),
        _ => Value::Null,
    }
}

fn with_default(mut schema: Value, default: impl Into<Value>) -> Value {
    schema["default"] = default.into();
    schema
}

/// The bounds that a task's `limits` may set, and a project's `[limits]` too.
pub(super) fn limits() -> Map<String, Value> {
    let limit = |(key, unit, _): &(&str, Unit, _)| {
        let bound = match unit {
            Unit::Bytes => leaf::size(),
            Unit::Count => number(1, None),
            Unit::Time => leaf::time(),
        };
        ((*key).to_owned(), about(bound, limit_words(key)))
    };
    FIELDS.iter().map(limit).collect()
}

/// What a bound is of; a test finds one without words.
fn limit_words(key: &str) -> &'static str {
    match key {
        "memory" => "Memory of one call into an agent, such as `256MiB`.",
        "cpu" => "How long a call may compute, waiting not counted; default: no limit.",
        "written" => "Bytes of all files that an attempt changes together.",
        "files" => "Files, directories and links that an attempt changes.",
        "open_files" => "Files open at once.",
        "handles" => "Open files, directories, streams and pollables at once.",
        "questions" => "Questions that a call may ask.",
        "commands" => "Native commands that a call may ask for.",
        "log_lines" => "Lines of an attempt's log; what comes after is dropped, and said so.",
        "log_line" => "Of one line of the log; the rest is cut off, and said so.",
        "host_call" => "What an agent may hand over in one call of the host, or in its answer.",
        "random" => "Of one request for random bytes.",
        "table_elements" => "Elements of all tables of a component.",
        "instances" => "Core modules that a component may consist of.",
        _ => "",
    }
}

fn link() -> Value {
    let required = ["from", "pattern", "to"];
    let link = closed(native::LINK_KEYS, &required, |key| match key {
        "from" => about(leaf::literal(), "The file that refers."),
        "pattern" => about(leaf::sought(), "A regular expression: it must match in `from`."),
        "to" => about(leaf::literal(), "The file that is referred to: it must exist."),
        "provides" => about(leaf::sought(), "A regular expression: it must match in `to`."),
        "id" => about(leaf::id(), "Default: `link.<n>`."),
        _ => Value::Null,
    });
    about(link, "A reference between files that must hold when the phase is done.")
}

/// A step for an agent whose kinds are not known: its arguments are its own.
fn open_step() -> Value {
    let kind = about(leaf::words(), "The kind of step, as the agent calls it.");
    about(
        json!({ "type": "object", "properties": { "kind": kind }, "required": ["kind"] }),
        "A step for an agent other than the built-in builder.",
    )
}

/// Every kind of a family, in each of its spellings.
fn kinded(family: &Family, words: &str) -> Value {
    let spellings: Vec<Value> =
        family.kinds.iter().flat_map(|kind| spellings(kind, family.beside)).collect();
    about(json!({ "anyOf": spellings }), words)
}

/// How a table may spell its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// The key named like the kind holds the first argument.
    Short,
    /// The key named like the kind holds the argument of that name.
    Own,
    /// `kind = "…"`, with every argument by its name.
    Long,
}

fn spellings(kind: &Kind, beside: &[&str]) -> Vec<Value> {
    let own = kind.args.iter().find(|arg| arg.name == kind.name);
    let mut all = vec![spelling(kind, beside, Spelling::Long)];
    if own.is_some() {
        all.insert(0, spelling(kind, beside, Spelling::Own));
    }
    // The short form has no place for an argument of the kind's own name.
    if !own.is_some_and(|own| own.required) {
        all.insert(0, spelling(kind, beside, Spelling::Short));
    }
    all
}

fn spelling(kind: &Kind, beside: &[&str], spelling: Spelling) -> Value {
    let mut properties: Map<String, Value> = beside
        .iter()
        .filter(|key| **key != "kind")
        .map(|key| ((*key).to_owned(), beside_property(key)))
        .collect();
    let mut required = Vec::new();
    if spelling == Spelling::Long {
        properties.insert("kind".to_owned(), json!({ "const": kind.name }));
        required.push("kind");
    }
    for (index, arg) in kind.args.iter().enumerate() {
        let key = match (spelling, index) {
            (Spelling::Short, 0) => kind.name,
            (Spelling::Short, _) if arg.name == kind.name => continue,
            _ => arg.name,
        };
        properties.insert(key.to_owned(), about(shape(arg.shape), arg_words(kind, arg)));
        // The key named like the kind is how a short form is told.
        if arg.required || (spelling != Spelling::Long && key == kind.name) {
            required.push(key);
        }
    }
    let rules = together(kind, spelling, &mut properties, &mut required);
    let mut table = closed_map(properties, &required);
    if let Some((key, rule)) = rules {
        table[key] = rule;
    }
    about(table, kind_words(kind))
}

/// The rules that bind several arguments of a kind.
fn together(
    kind: &Kind,
    spelling: Spelling,
    properties: &mut Map<String, Value>,
    required: &mut Vec<&'static str>,
) -> Option<(&'static str, Value)> {
    let needs = |keys: [&str; 2]| json!([{ "required": [keys[0]] }, { "required": [keys[1]] }]);
    match (kind.name, spelling) {
        ("template", Spelling::Short) => required.push("from"),
        ("template", Spelling::Own) => {
            properties.remove("from");
        }
        ("template", Spelling::Long) => return Some(("oneOf", needs(["template", "from"]))),
        ("lines", _) => return Some(("anyOf", needs(["min", "max"]))),
        ("equals", spelling) => {
            let key = if spelling == Spelling::Short { kind.name } else { kind.first() };
            // The name's ending tells the format, in any case of letters.
            let tells = r"\.(?:[Jj][Ss][Oo][Nn]|[Tt][Oo][Mm][Ll]|[Yy][Aa]?[Mm][Ll])$";
            let told = json!({ "properties": { key: { "pattern": tells } } });
            return Some(("anyOf", json!([{ "required": ["format"] }, told])));
        }
        _ => {}
    }
    None
}

fn beside_property(key: &str) -> Value {
    match key {
        "id" => about(leaf::id(), "Default: `<task>.<n>`."),
        "says" => about(leaf::words(), "For people; default: made from the check."),
        _ => Value::Null,
    }
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Written | Shape::Read => leaf::path(),
        Shape::Looked => leaf::literal(),
        Shape::Text => leaf::any_text(),
        // An expression is Rust's, which no `format` of JSON Schema names.
        Shape::Words | Shape::Regex => leaf::sought(),
        Shape::Claim => leaf::words(),
        Shape::Flag => flag(),
        Shape::Count(least) => number(least, None),
        Shape::Patterns => some(leaf::patterns()),
        Shape::Pointer => leaf::pointer(),
        Shape::Json => json!({}),
        Shape::Format => word(FORMATS.iter().copied()),
        Shape::Digest => leaf::file_digest(),
        Shape::Command => leaf::id(),
        Shape::Arguments => some(list(leaf::any_text())),
        Shape::Outputs => some(list(leaf::literal())),
    }
}

/// What a kind does, or when it holds; a test finds one without words.
fn kind_words(kind: &Kind) -> &'static str {
    match kind.name {
        "write" => "Creates or replaces a file.",
        "append" => "Adds at the end of a file.",
        "replace" => "Replaces exactly `count` occurrences of a text.",
        "patch" => "Applies a unified diff to one file.",
        "copy" => "Copies a file's content.",
        "move" => "Moves a file or directory.",
        "delete" => "Deletes a file, link, or directory with its content.",
        "mkdir" => "Makes a directory, and missing ones above it.",
        "template" => {
            "Writes a text with each `{{name}}` replaced by the task's option of that name."
        }
        "exists" => "A file or directory is there.",
        "absent" => "Nothing is there.",
        "contains" => "The file contains the text.",
        "matches" => "The regular expression matches somewhere in the file.",
        "equals" => "The file, read in its format, has that value at that place.",
        "digest" => "The file's content has that digest.",
        "unchanged" => "The task changes no path that matches, nor renames one.",
        "lines" => "The file has that many lines.",
        "judged" => "Only a person can judge it; no validator is asked.",
        "command" => "A command of idumb.toml exits so; the host runs it, confined.",
        "tests_pass" => "A command of idumb.toml runs tests, and none fails; the host runs it.",
        _ => "",
    }
}

/// What an argument is; a test finds one without words.
fn arg_words(kind: &Kind, arg: &Arg) -> &'static str {
    match (kind.name, arg.name) {
        ("write", "overwrite") => "Whether a file that is there may be replaced; default: true.",
        ("write" | "append", "content") => "What the file is to hold.",
        ("replace", "find") => "The text that is to be found.",
        ("replace", "with") => "What stands there instead.",
        ("replace", "count") => "How often it must occur; default: 1.",
        ("patch", "diff") => {
            "A unified diff: `/dev/null` as the old side creates the file, as the new side \
             deletes it."
        }
        ("template", "template") => "The template's text.",
        ("template", "from") => "The file that the template is in.",
        ("contains", "text") => "The text that it must contain.",
        ("matches", "regex") => "The syntax is that of Rust's `regex`; `^` and `$` are of a line.",
        ("equals", "at") => "A JSON pointer, such as `/package/name`; empty: the whole file.",
        ("equals", "value") => "The value that must stand there.",
        ("equals", "format") => "Default: by the name's ending.",
        ("digest", "digest") => "`blake3:` or `sha256:`, and 64 hex digits.",
        ("command", "exit") => "The exit status that it must end with; default: 0.",
        ("tests_pass", "at_least") => "How many tests must have been executed; default: 1.",
        ("tests_pass", "skipped_at_most") => "Default: any number.",
        ("lines", "min") => "The least number of lines.",
        ("lines", "max") => "The largest number of lines.",
        (_, "from") => "What is there, and is to be elsewhere.",
        (_, "to") => "Where it is to be.",
        _ => match arg.shape {
            Shape::Written => "The path, from the project's root; within `writes`.",
            Shape::Read => "The path, from the project's root; within `reads` or `writes`.",
            Shape::Looked => "The path, from the project's root.",
            Shape::Claim => "What must hold, in words.",
            Shape::Command => "A command of idumb.toml.",
            Shape::Arguments => {
                "What is put behind the command's words; its definition says what may be."
            }
            Shape::Outputs => "Files that it must leave; they are kept as evidence.",
            Shape::Patterns => "Patterns of paths, such as `tests/**`.",
            _ => "",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_words() {
        for (key, ..) in FIELDS {
            assert!(!limit_words(key).is_empty(), "the limit `{key}`");
        }
        for kind in STEP.kinds.iter().chain(CRITERION.kinds) {
            assert!(!kind_words(kind).is_empty(), "{}", kind.name);
            for arg in kind.args {
                assert!(!arg_words(kind, arg).is_empty(), "{} of {}", arg.name, kind.name);
            }
        }
    }
}
