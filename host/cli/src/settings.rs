//! How a run is to go: from flags and their environment, from `idumb.toml`, from the person's own
//! settings, from defaults.
//!
//! Invariant: this order, for each setting by itself; of policies all apply.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use idumb_core::{AgentBinding, Backoff, Mode, Policy, Rule, RunConfig, RunId, Timeouts};
use idumb_plan::Defaults;

use crate::args::ExecutePhase;
use crate::clock::millis;
use crate::project::{self, Project};

/// Where the flags are silent and `idumb.toml` too.
const BATCH_SIZE: u32 = 5;

/// How a run is to go.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) batch_size: u32,
    pub(crate) timeouts: Timeouts,
    pub(crate) backoff: Backoff,
    pub(crate) rules: Vec<Rule>,
    pub(crate) policies: Vec<Policy>,
    /// Each setting, and where it came from.
    pub(crate) said: Vec<Said>,
}

/// One setting, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) from: Origin,
}

/// Where a setting came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag, or its environment variable.
    Given,
    /// `idumb.toml`.
    Project,
    /// The person's own settings.
    Own,
    /// What idumb does by itself.
    Default,
}

/// What each place says of one setting, in the order in which they count.
struct Layers<'a> {
    project: &'a Defaults,
    own: Option<&'a Defaults>,
    said: Vec<Said>,
}

impl Layers<'_> {
    fn pick<T: Copy>(
        &mut self,
        name: &'static str,
        given: Option<T>,
        of: impl Fn(&Defaults) -> Option<T>,
        usual: T,
        shown: impl Fn(T) -> String,
    ) -> T {
        let layers = [
            (Origin::Given, given),
            (Origin::Project, of(self.project)),
            (Origin::Own, self.own.and_then(of)),
        ];
        let first = layers.into_iter().find_map(|(from, value)| Some((from, value?)));
        let (from, value) = first.unwrap_or((Origin::Default, usual));
        self.said.push(Said { name, value: shown(value), from });
        value
    }

    /// A time, in milliseconds.
    fn time(
        &mut self,
        name: &'static str,
        given: Option<Duration>,
        of: impl Fn(&Defaults) -> Option<Duration>,
        usual: u64,
    ) -> u64 {
        let usual = Duration::from_millis(usual);
        millis(self.pick(name, given, of, usual, |time| format!("{time:?}")))
    }
}

impl Settings {
    pub(crate) fn of(args: &ExecutePhase, project: &Project) -> Result<Self> {
        let (rules, policies) = rules(project, args.rules.as_deref())?;
        let own = project.own.settings.as_ref().map(|own| &own.defaults);
        let mut layers = Layers { project: &project.config.defaults, own, said: Vec::new() };
        let (usual, delays) = (Timeouts::default(), Backoff::default());
        let given = args.mode.map(Mode::from);
        let mode =
            layers.pick("mode", given, |d| d.mode, Mode::Interactive, |mode| mode.to_string());
        let size = |defaults: &Defaults| u32::try_from(defaults.batch_size?).ok();
        let text = |size: u32| size.to_string();
        let batch_size = layers.pick("batch_size", args.batch_size, size, BATCH_SIZE, text);
        let attempt_ms = layers.time("timeout", args.timeout, |d| d.timeout, usual.attempt_ms);
        let validation_ms =
            layers.time("validation_timeout", None, |d| d.validation_timeout, usual.validation_ms);
        let given = args.phase_timeout.map(Some);
        let forever =
            |time: Option<Duration>| time.map_or("none".into(), |time| format!("{time:?}"));
        let phase =
            layers.pick("phase_timeout", given, |d| d.phase_timeout.map(Some), None, forever);
        let grace_ms = layers.time("grace", None, |d| d.grace, usual.grace_ms);
        let initial_ms = layers.time("backoff", None, |d| d.backoff, delays.initial_ms);
        let cap_ms = layers.time("backoff_cap", None, |d| d.backoff_cap, delays.cap_ms);
        let phase_ms = phase.map(millis);
        let stop_ms = usual.stop_ms;
        Ok(Self {
            mode,
            batch_size,
            timeouts: Timeouts { attempt_ms, validation_ms, phase_ms, grace_ms, stop_ms },
            backoff: Backoff { initial_ms, cap_ms },
            rules,
            policies,
            said: layers.said,
        })
    }

    pub(crate) fn config(&self, run: RunId, agents: Vec<AgentBinding>) -> RunConfig {
        RunConfig {
            mode: self.mode,
            batch_size: self.batch_size,
            timeouts: self.timeouts,
            backoff: self.backoff,
            agents,
            rules: self.rules.clone(),
            policies: self.policies.clone(),
            ..RunConfig::new(run)
        }
    }
}

/// The rules and policies of the file that the command names, then those of the project, then those
/// of the person's own settings.
pub(crate) fn rules(project: &Project, own: Option<&Path>) -> Result<(Vec<Rule>, Vec<Policy>)> {
    let own = own.map(project::rules).transpose()?;
    let (mut rules, mut policies) = (Vec::new(), Vec::new());
    if let Some(own) = own {
        rules.extend(own.rules);
        policies.push(own.policy);
    }
    rules.extend(project.config.rules.iter().cloned());
    policies.push(project.config.policy.clone());
    if let Some(own) = &project.own.settings {
        rules.extend(own.rules.iter().cloned());
        policies.push(own.policy.clone());
    }
    // A policy that says nothing is not worth a word in the journal.
    let says =
        |policy: &Policy| *policy != Policy { name: policy.name.clone(), ..Policy::default() };
    policies.retain(says);
    Ok((rules, policies))
}
