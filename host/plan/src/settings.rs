//! A person's own settings: what holds in every project that says nothing else.
//!
//! Invariant: it has the words of `idumb.toml`, with the same meaning; what is about one project,
//! agents and phases, is not in it.

use idumb_core::{Policy, Rule};

use crate::config::{Defaults, defaults};
use crate::limits::{Limits, limits};
use crate::problem::{Document, Refused};
use crate::reading::read_document;
use crate::rules::{Origin, policy, rules};

/// The keys of the file.
pub(crate) const KEYS: &[&str] = &["defaults", "limits", "rules", "policy"];

/// What a person's own settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What a project's `[defaults]` and the command line override.
    pub defaults: Defaults,
    /// What a project's `[limits]` override.
    pub limits: Limits,
    /// What auto mode does about blockers that no rule of the project decides.
    pub rules: Vec<Rule>,
    /// What the person sets beside every plan; it has the file's name.
    pub policy: Policy,
}

/// Reads a person's own settings, as `docs/plan-format.md` describes them.
///
/// `file_name` is for messages, and for the names of the rules and the policy.
///
/// # Errors
/// Everything that is wrong with the file, in order of position.
///
/// ```
/// let source = "[defaults]\nbatch_size = 2\n[policy]\nnever = [\"secrets/**\"]\n";
/// let settings = idumb_plan::read_settings(source, "config.toml").unwrap();
/// assert_eq!(settings.defaults.batch_size, Some(2));
/// ```
pub fn read_settings(source: &str, file_name: &str) -> Result<Settings, Refused> {
    read_document(Document::Settings, source, file_name, |reading, root| {
        let stray = reading.only(root, KEYS);
        let defaults = reading.section(root, "defaults", "`[defaults]`", defaults);
        let limits = reading.section(root, "limits", "`[limits]`", limits);
        let rules = rules(reading, root, file_name);
        let policy = policy(reading, root, file_name, Origin::Person);
        stray?;
        Ok(Settings { defaults: defaults?, limits: limits?, rules: rules?, policy: policy? })
    })
}
