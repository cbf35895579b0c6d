//! JSON Schemas (draft 2020-12) of the formats, so that editors complete and check them.
//!
//! Invariant: whatever a reader takes is valid under its schema, and a schema's keys, kinds
//! and words are those of the tables that the reader has. A schema says less than a reader:
//! only the reader decides.

mod events;
mod leaf;
mod plan;
mod project;

use serde_json::{Map, Value, json};

/// Which format a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// `plan.toml`.
    Plan,
    /// `idumb.toml`.
    Config,
    /// A person's own rules file, `--rules FILE`.
    Rules,
    /// A person's own `config.toml`.
    Settings,
    /// One line of `--format=jsonl`, of a run or of `idumb log`.
    Events,
}

impl Schema {
    /// Every schema there is.
    pub const ALL: [Self; 5] =
        [Self::Plan, Self::Config, Self::Rules, Self::Settings, Self::Events];

    /// The word for it, such as `plan`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Config => "config",
            Self::Rules => "rules",
            Self::Settings => "settings",
            Self::Events => "events",
        }
    }
}

/// The JSON Schema of a format, as a document of its own: it refers to no other.
///
/// It is for editors, and for programs that read events. What it takes may still be refused
/// by the reader, which sees more: grants, cycles, names that must differ.
///
/// ```
/// use idumb_plan::{Schema, schema};
/// let plan = schema(Schema::Plan);
/// assert_eq!(plan["$id"], "urn:idumb:schema:plan:0.1");
/// assert_eq!(plan["required"], serde_json::json!(["goal", "phase", "tasks"]));
/// ```
pub fn schema(of: Schema) -> Value {
    let (title, mut document) = match of {
        Schema::Plan => ("The plan of a phase: plan.toml", plan::document()),
        Schema::Config => ("A project's settings: idumb.toml", project::config()),
        Schema::Rules => ("A person's own rules and policy: --rules FILE", project::rules_file()),
        Schema::Settings => ("A person's own settings: config.toml", project::settings()),
        Schema::Events => ("One line of --format=jsonl", events::document()),
    };
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    // A name, not a place: nothing is to be fetched.
    document["$id"] = format!("urn:idumb:schema:{}:{VERSION}", of.as_str()).into();
    document["title"] = title.into();
    document
}

/// The version of the schemas: that of the formats.
const VERSION: &str = "0.1";

/// A table of these keys and no others, as [`Reading::only`](crate::reading::Reading::only)
/// has it. A key that `property` has no schema for becomes `null`, which no schema may have:
/// a test finds it.
fn closed(keys: &[&str], required: &[&str], property: impl Fn(&str) -> Value) -> Value {
    let properties = keys.iter().map(|key| ((*key).to_owned(), property(key))).collect();
    closed_map(properties, required)
}

/// A table of these properties and no others.
fn closed_map(properties: Map<String, Value>, required: &[&str]) -> Value {
    let mut table = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        let mut required = required.to_vec();
        required.sort_unstable();
        table["required"] = required.into();
    }
    table
}

/// The schema, with words for whoever writes the value.
fn about(mut schema: Value, words: &str) -> Value {
    schema["description"] = words.into();
    schema
}

/// A list of such values.
fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A list of such values that differ: the readers refuse one that is named twice.
fn distinct(items: Value) -> Value {
    json!({ "type": "array", "items": items, "uniqueItems": true })
}

/// The same list, with at least one entry.
fn some(mut list: Value) -> Value {
    list["minItems"] = 1.into();
    list
}

/// One of these words.
fn word(words: impl IntoIterator<Item = &'static str>) -> Value {
    let words: Vec<&str> = words.into_iter().collect();
    json!({ "type": "string", "enum": words })
}

/// A whole number within bounds.
fn number(least: u64, most: impl Into<Option<u64>>) -> Value {
    let mut number = json!({ "type": "integer", "minimum": least });
    if let Some(most) = most.into() {
        number["maximum"] = most.into();
    }
    number
}

/// True or false.
fn flag() -> Value {
    json!({ "type": "boolean" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::native::kinded::Family;
    use crate::native::task::{self, CRITERION, STEP};
    use crate::{agents, config, limits, native, rules, settings};

    fn keys(of: Schema, pointer: &str) -> BTreeSet<String> {
        let schema = schema(of);
        let table = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        assert_eq!(table["additionalProperties"], false, "{pointer} is open");
        table["properties"].as_object().expect("properties").keys().cloned().collect()
    }

    #[test]
    fn the_keys_are_those_of_the_readers() {
        let bounds: Vec<&str> = limits::FIELDS.iter().map(|(key, ..)| *key).collect();
        let all_bounds = [&bounds[..], limits::OF_THE_HOST].concat();
        let persons = [rules::POLICY_KEYS, rules::PERSONS_KEYS].concat();
        let roles = idumb_core::Role::ALL.map(idumb_core::Role::as_str);
        let open_roles = config::OPEN_ROLES.map(idumb_core::Role::as_str);
        let table: [(Schema, &str, &[&str]); 18] = [
            (Schema::Plan, "", native::KEYS),
            (Schema::Plan, "/$defs/task", task::KEYS),
            (Schema::Plan, "/$defs/task/properties/limits", &bounds),
            (Schema::Plan, "/$defs/link", native::LINK_KEYS),
            (Schema::Config, "", config::KEYS),
            (Schema::Config, "/properties/project", config::PROJECT),
            (Schema::Config, "/properties/defaults", config::DEFAULTS),
            (Schema::Config, "/properties/agents/additionalProperties", agents::KEYS),
            (Schema::Config, "/properties/roles", &open_roles),
            (Schema::Config, "/properties/limits", &all_bounds),
            (Schema::Config, "/properties/rules/items", rules::RULE_KEYS),
            (Schema::Config, "/properties/policy", rules::POLICY_KEYS),
            (Schema::Config, "/properties/policy/properties/roles", &roles),
            (Schema::Settings, "", settings::KEYS),
            (Schema::Rules, "", rules::KEYS),
            (Schema::Rules, "/properties/rules/items", rules::RULE_KEYS),
            (Schema::Rules, "/properties/policy", &persons),
            (Schema::Rules, "/properties/policy/properties/roles", &roles),
        ];
        for (of, pointer, known) in table {
            let known = known.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(keys(of, pointer), known, "{of:?} {pointer}");
        }
    }

    /// Each kind is spelled by its key and at length, unless an argument takes the key; each
    /// spelling has every argument that it may have, and nothing else.
    #[test]
    fn the_kinds_are_those_of_the_readers() {
        for (def, family) in [("step", &STEP), ("criterion", &CRITERION)] {
            let family: &Family = family;
            let document = schema(Schema::Plan);
            let spellings = document["$defs"][def]["anyOf"].as_array().expect("spellings");
            let spelled: Vec<BTreeSet<String>> = (0..spellings.len())
                .map(|index| keys(Schema::Plan, &format!("/$defs/{def}/anyOf/{index}")))
                .collect();
            let mut expected = Vec::new();
            for kind in family.kinds {
                let set = |keys: Vec<&str>| {
                    let beside = family.beside.iter().filter(|key| **key != "kind");
                    keys.iter().chain(beside).map(|key| (*key).to_owned()).collect()
                };
                let args: Vec<&str> = kind.arg_names().collect();
                let rest = args[1..].iter().copied().filter(|arg| *arg != kind.name);
                let short = set(rest.chain([kind.name]).collect());
                let long = set([&args[..], &["kind"]].concat());
                expected.extend(match kind.name {
                    "template" => vec![short, set(vec!["path", "template"]), long],
                    "digest" => vec![set(args), long],
                    _ => vec![short, long],
                });
            }
            assert_eq!(spelled, expected, "{def}");
        }
    }
}
