//! Schemas of single values: names, paths, patterns, times, amounts.
//!
//! Invariant: a pattern takes every text that the reader takes. It has no look-around and
//! names its characters itself, since engines differ in both.

use serde_json::{Value, json};

/// Letters that Unicode calls white space, for a class: what `str::trim` takes away.
const SPACES: &str =
    r"\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// Control characters, for a class: what `char::is_control` says.
const CONTROLS: &str = r"\u0000-\u001f\u007f-\u009f";

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// Any text.
pub(super) fn any_text() -> Value {
    json!({ "type": "string" })
}

/// A text that is not empty, though perhaps only spaces.
pub(super) fn sought() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// A text that says something.
pub(super) fn words() -> Value {
    text(&format!("[^{SPACES}]"))
}

/// One line that says something.
pub(super) fn line() -> Value {
    text(&format!(r"^[^\n\r]*[^{SPACES}][^\n\r]*$"))
}

/// The letters of an identifier.
pub(super) const ID: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// An identifier: of a task, a criterion, an agent, a phase.
pub(super) fn id() -> Value {
    text(ID)
}

/// Names with `/` between them, each of these characters and more of `first` than a dot or
/// two: `not` and `first_not` are classes.
fn names(not: &str) -> String {
    let any = format!("[^/{not}]");
    let no_dot = format!("[^./{not}]");
    let name = format!(r"(?:{no_dot}{any}*|\.{no_dot}{any}*|\.\.{any}+)");
    format!("^{name}(?:/{name})*$")
}

/// One path, relative to the project's root.
pub(super) fn path() -> Value {
    text(&names(&format!(r"\\:*?{CONTROLS}")))
}

/// One path that is also a pattern for just that path.
pub(super) fn literal() -> Value {
    text(&names(&format!(r"\\:*?\[\]{{}}{CONTROLS}")))
}

/// A pattern of paths. Whether its brackets close is not looked at.
pub(super) fn pattern() -> Value {
    // A name's letters, and stars of which no two stand together, unless they are all of it.
    let any = r"[^/\\:{}*]";
    let no_dot = r"[^./\\:{}*]";
    let name = format!(r"(?:\*\*|(?:\.{{0,2}}\*|\.?{no_dot}\*?|\.\.{any}\*?)(?:{any}\*?)*)");
    text(&format!("^{name}(?:/{name})*$"))
}

/// A list of patterns of paths.
pub(super) fn patterns() -> Value {
    super::list(pattern())
}

/// A time, or none: `500ms`, `1h 30m`, `0s`. That the units come from the largest to the
/// smallest, and how long it is at most, is not looked at.
pub(super) fn delay() -> Value {
    let space = r"[\t\n\f\r ]*";
    let fraction = "(?:[.,][0-9]{1,9})?";
    let unit = "(?:h(?:(?:ou)?rs?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?|milli(?:second)?s?\
                |micro(?:second)?s?|nano(?:second)?s?|[mun\\u00b5\\u03bc]s(?:ecs?)?)";
    text(&format!(
        "^\\+?(?:[0-9]+:[0-9]+:[0-9]+{fraction}\
         |(?:[0-9]+{space}{unit},?{space})*[0-9]+{fraction}{space}{unit}){space}$"
    ))
}

/// A time that is one.
pub(super) fn time() -> Value {
    let mut time = delay();
    time["allOf"] = json!([{ "pattern": "[1-9]" }]);
    time
}

/// An amount of memory: `256MiB`, or a number of bytes.
pub(super) fn size() -> Value {
    let written = text(&format!("^0*[1-9][0-9]*[{SPACES}]*(?:[KMG]iB)?$"));
    json!({ "anyOf": [super::number(1, None), written] })
}

/// A JSON pointer (RFC 6901).
pub(super) fn pointer() -> Value {
    text("^(?:/(?:[^~]|~[01])*)?$")
}

/// The digest of a file's content, in one of two algorithms.
pub(super) fn file_digest() -> Value {
    text("^(?:blake3|sha256):[0-9A-Fa-f]{64}$")
}

/// The digest of a component.
pub(super) fn digest() -> Value {
    text("^blake3:[0-9A-Fa-f]{64}$")
}
