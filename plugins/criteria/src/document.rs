//! JSON, TOML and YAML as one tree of values, and places in it.
//!
//! Invariant: the three formats agree: what reads the same in them compares equal.

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::show;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Json,
    Toml,
    Yaml,
}

/// Why there is no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is not of its format, and on which line.
    Broken(String),
    /// It goes beyond what the parser takes on: so deep, so many values, aliases of aliases.
    TooMuch(String),
}

impl Format {
    /// By the ending of the file's name.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
        }
    }

    /// Reads a whole document.
    ///
    /// # Errors
    /// Why the bytes are no document of that format, or were not read to the end.
    pub(crate) fn parse(self, bytes: &[u8]) -> Result<Value, Unread> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = show::line_at(bytes, error.valid_up_to());
            self.broken(Some(line), "a byte that is not UTF-8")
        })?;
        match self {
            Self::Json => serde_json::from_str(text)
                .map_err(|error| self.broken(Some(error.line()), &error.to_string())),
            Self::Toml => match toml::from_str(text) {
                Ok(table) => Ok(from_toml(toml::Value::Table(table))),
                Err(error) => {
                    let line = error.span().map(|span| show::line_at(bytes, span.start));
                    Err(self.broken(line, error.message()))
                }
            },
            Self::Yaml => serde_saphyr::from_str_with_options(text, yaml_options())
                .map_err(|error| self.of_yaml(error.without_snippet())),
        }
    }

    fn of_yaml(self, error: &serde_saphyr::Error) -> Unread {
        use serde_saphyr::Error::{
            AliasError, AliasExpansionLimitExceeded, AliasReplayCounterOverflow,
            AliasReplayLimitExceeded, AliasReplayStackDepthExceeded, Budget,
        };
        let line = error.location().and_then(|at| usize::try_from(at.line()).ok());
        match error {
            AliasError { error, .. } => self.of_yaml(error.without_snippet()),
            Budget { .. }
            | AliasExpansionLimitExceeded { .. }
            | AliasReplayCounterOverflow { .. }
            | AliasReplayLimitExceeded { .. }
            | AliasReplayStackDepthExceeded { .. } => self.too_much(&error.to_string()),
            _ => self.broken(line, &error.to_string()),
        }
    }

    /// What a parser says, without where: that comes first, and in our own way.
    fn broken(self, line: Option<usize>, message: &str) -> Unread {
        // The parsers tell nesting that is too deep for them from other errors by words alone.
        if ["recursion limit", "recursion depth"].iter().any(|words| message.contains(words)) {
            return self.too_much("it is nested too deep");
        }
        let why = message.split_once(" at line ").map_or(message, |(why, _)| why);
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Unread::Broken(format!("{place}not {}: {}", self.name(), show::clean(why)))
    }

    fn too_much(self, why: &str) -> Unread {
        Unread::TooMuch(format!("more than is read of {}: {}", self.name(), show::clean(why)))
    }
}

/// YAML 1.2: `no` is a text, not a truth value.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! { strict_booleans: true }
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::Number(number.into()),
        // JSON has no word for `inf` and `nan`; as text they can still be compared.
        toml::Value::Float(number) => Number::from_f64(number)
            .map_or_else(|| Value::String(number.to_string()), Value::Number),
        toml::Value::Boolean(yes) => Value::Bool(yes),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => values.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| (key, from_toml(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// Whether `at` is a JSON pointer (RFC 6901).
pub(crate) fn is_pointer(at: &str) -> bool {
    let escapes = at.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    (at.is_empty() || at.starts_with('/')) && escapes
}

/// The value at the JSON pointer `at`.
///
/// # Errors
/// How far the pointer leads, and what is missing there.
pub(crate) fn find<'a>(document: &'a Value, at: &str) -> Result<&'a Value, String> {
    if let Some(value) = document.pointer(at) {
        return Ok(value);
    }
    // Something is missing: walk up until something is there.
    let mut there = at;
    loop {
        let missing = &at[there.rfind('/').unwrap_or(0)..];
        there = &there[..there.rfind('/').unwrap_or(0)];
        if let Some(value) = document.pointer(there) {
            let whole = if there.is_empty() { "the document" } else { there };
            return Err(format!("{whole} is {}, without {missing}", kind_of(value)));
        }
    }
}

fn kind_of(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            format!("a table of {}", show::counted(entries.len(), "value"))
        }
        Value::Array(values) => format!("a list of {}", show::counted(values.len(), "value")),
        other => brief(other),
    }
}

/// The value in JSON, shortened.
pub(crate) fn brief(value: &Value) -> String {
    show::quote(value.to_string().as_bytes())
}

/// Whether both mean the same: numbers by value, tables without regard to order.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |(key, value): (&String, &Value)| b.get(key).is_some_and(|b| same(value, b));
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    // Whole numbers are compared exactly; only a fraction goes through floating point.
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_formats_agree() {
        let json = r#"{"name": "notes", "deps": [{"n": 1}, {"n": 2.5}], "on": true, "7": "x"}"#;
        let toml = "name = 'notes'\non = true\n7 = 'x'\n[[deps]]\nn = 1\n[[deps]]\nn = 2.5\n";
        let yaml = "name: notes\non: true\n7: x\ndeps:\n- n: 1\n- n: 2.5\n";
        let json = Format::Json.parse(json.as_bytes()).unwrap();
        assert!(same(&json, &Format::Toml.parse(toml.as_bytes()).unwrap()));
        assert!(same(&json, &Format::Yaml.parse(yaml.as_bytes()).unwrap()));
    }

    #[test]
    fn what_json_has_no_word_for_is_text() {
        let value = Format::Toml.parse(b"at = 2024-05-01T10:00:00Z\nx = inf\n").unwrap();
        assert_eq!(value, json!({"at": "2024-05-01T10:00:00Z", "x": "inf"}));
    }

    #[test]
    fn yaml_means_what_1_2_says() {
        let value =
            Format::Yaml.parse(b"a: no\nb: 0o14\nc: ~\nd: '1'\ne: &x [1]\nf: *x\n").unwrap();
        assert_eq!(value, json!({"a": "no", "b": 12, "c": null, "d": "1", "e": [1], "f": [1]}));
    }

    #[test]
    fn a_broken_document_says_on_which_line() {
        let table: [(Format, &[u8], &str); 6] = [
            (Format::Json, b"{\n  \"a\": 1,\n}", "line 3: not JSON: "),
            (Format::Json, b"", "line 1: not JSON: "),
            (Format::Toml, b"a = 1\nb = = 2\n", "line 2: not TOML: "),
            (Format::Yaml, b"a: 1\nb: [1, 2\n", "not YAML: "),
            (Format::Yaml, b"a: 1\na: 2\n", "line 2: not YAML: "),
            (Format::Toml, b"a = 1\n# \xff\n", "line 2: not TOML: a byte that is not UTF-8"),
        ];
        for (format, bytes, expected) in table {
            let Err(Unread::Broken(error)) = format.parse(bytes) else {
                panic!("{format:?}: not found broken");
            };
            assert!(error.contains(expected), "{format:?}: {error}");
            assert!(!error.contains('\n'), "{format:?}: {error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        assert_eq!(Format::Json.parse(b"\xef\xbb\xbf1").unwrap(), json!(1));
    }

    #[test]
    fn what_would_never_end_is_not_read() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let list = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        let deep_toml = format!("a = {deep}");
        let table = [
            (Format::Yaml, bomb),
            (Format::Yaml, deep.clone()),
            (Format::Json, deep),
            (Format::Toml, deep_toml),
        ];
        for (format, text) in table {
            let read = format.parse(text.as_bytes());
            assert!(matches!(read, Err(Unread::TooMuch(_))), "{format:?}: {read:?}");
        }
    }

    #[test]
    fn pointers_follow_the_rfc() {
        let document = json!({"a/b": {"m~n": [10, 20]}, "": 0});
        let table = [("/a~1b/m~0n/1", json!(20)), ("/", json!(0))];
        for (at, expected) in table {
            assert!(is_pointer(at));
            assert_eq!(find(&document, at).unwrap(), &expected, "{at}");
        }
        assert_eq!(find(&document, "").unwrap(), &document);
        for text in ["a", "a/b", "/a~", "/a~2"] {
            assert!(!is_pointer(text), "{text}");
        }
    }

    #[test]
    fn a_missing_place_says_how_far_it_leads() {
        let document = json!({"a": {"b": [1]}, "s": "text"});
        let missing = |at: &str| find(&document, at).unwrap_err();
        assert_eq!(missing("/x"), "the document is a table of 2 values, without /x");
        assert_eq!(missing("/a/c/d"), "/a is a table of 1 value, without /c/d");
        assert_eq!(missing("/a/b/1"), "/a/b is a list of 1 value, without /1");
        assert_eq!(missing("/s/x"), "/s is `\"text\"`, without /x");
    }

    #[test]
    fn numbers_are_compared_by_value() {
        assert!(same(&json!(1), &json!(1.0)));
        assert!(same(&json!(u64::MAX), &json!(u64::MAX)));
        assert!(!same(&json!(u64::MAX), &json!(u64::MAX - 1)));
        assert!(!same(&json!(i64::MAX), &json!(i64::MAX - 1)));
        assert!(!same(&json!("1"), &json!(1)));
        assert!(same(&json!({"a": [1], "b": 2}), &json!({"b": 2.0, "a": [1.0]})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
    }
}
