//! The built-in templates: what a phase of some sort consists of, in words.
//!
//! Invariant: the words are data, in `templates/`, and a test reads all of them; a goal is put in
//! as it is, and nothing in it is looked for.

use serde::Deserialize;

use super::stages::Stage;
use crate::suggest::meant;

/// The templates by name; the first is the default.
const TEMPLATES: &[(&str, &str)] = &[
    ("feature", include_str!("templates/feature.toml")),
    ("fix", include_str!("templates/fix.toml")),
    ("refactor", include_str!("templates/refactor.toml")),
    ("docs", include_str!("templates/docs.toml")),
];

/// A built-in template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    name: &'static str,
    source: &'static str,
}

impl Template {
    /// The names of all of them; the first is the default.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        TEMPLATES.iter().map(|(name, _)| *name)
    }

    /// The template of that name.
    ///
    /// # Errors
    /// What to do, if there is none: the name that was most likely meant, or all of them.
    ///
    /// ```
    /// use idumb_plan::Template;
    /// assert_eq!(Template::named("fix").unwrap().name(), "fix");
    /// assert_eq!(Template::named("refactr").unwrap_err(), "did you mean `refactor`?");
    /// ```
    pub fn named(name: &str) -> Result<Self, String> {
        let found = TEMPLATES.iter().find(|(known, _)| *known == name);
        match found {
            Some((name, source)) => Ok(Self { name, source }),
            None => Err(meant(name, Self::names(), "the templates are")),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What it says.
    pub(super) fn read(self) -> Result<Sort, toml::de::Error> {
        toml::from_str(self.source)
    }
}

impl Default for Template {
    /// `feature`.
    fn default() -> Self {
        let (name, source) = TEMPLATES[0];
        Self { name, source }
    }
}

/// A sort of phase.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sort {
    /// What such a phase is about.
    pub(super) about: String,
    build: Words,
    tests: Words,
    docs: Words,
}

impl Sort {
    /// The words for the tasks of a stage.
    pub(super) fn words(&self, stage: Stage) -> &Words {
        match stage {
            Stage::Build => &self.build,
            Stage::Tests => &self.tests,
            Stage::Docs => &self.docs,
        }
    }
}

/// What a task says, with `{goal}` and `{task}` where they belong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    /// Which files it writes.
    pub(super) files: Files,
    pub(super) title: String,
    pub(super) description: String,
    /// What a person is to judge.
    pub(super) judged: String,
}

/// Sorts of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Files {
    Sources,
    Tests,
    Docs,
    Readme,
}

/// `words` with the goal and the task's id in their places.
pub(super) fn filled(words: &str, goal: &str, task: &str) -> String {
    let mut out = String::with_capacity(words.len() + goal.len());
    let mut rest = words;
    // One pass over the words alone: what a goal has in braces stays.
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (value, length) = if rest.starts_with("{goal}") {
            (goal, "{goal}".len())
        } else if rest.starts_with("{task}") {
            (task, "{task}".len())
        } else {
            ("{", 1)
        };
        out.push_str(value);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read_and_names_the_goal() {
        for name in Template::names() {
            let sort = Template::named(name).unwrap().read().unwrap_or_else(|error| {
                panic!("{name}: {error}");
            });
            assert!(!sort.about.is_empty(), "{name}");
            for stage in [Stage::Build, Stage::Tests, Stage::Docs] {
                let words = sort.words(stage);
                assert!(words.description.contains("{goal}"), "{name}: {words:?}");
                assert!(words.judged.contains("{goal}"), "{name}: {words:?}");
                assert!(!words.title.contains(['\n', '{']), "{name}: {words:?}");
            }
        }
    }

    #[test]
    fn what_a_goal_has_in_braces_stays() {
        assert_eq!(filled("{task}: {goal} {x}", "{task} {goal}", "T1"), "T1: {task} {goal} {x}");
    }
}
