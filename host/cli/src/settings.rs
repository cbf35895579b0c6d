//! How a run is to go: from flags and their environment, from `idumb.toml`, from defaults.
//!
//! Invariant: this order, for each setting by itself; a person's own rules come before the
//! project's.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use idumb_core::{AgentBinding, Backoff, Mode, Policy, Rule, RunConfig, RunId, Timeouts};

use crate::args::ExecutePhase;
use crate::clock::millis;
use crate::project::{self, Project};

/// Where the flags are silent and `idumb.toml` too.
const BATCH_SIZE: u32 = 5;

/// How a run is to go, from flags, `idumb.toml` and defaults, in this order.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) batch_size: u32,
    pub(crate) timeouts: Timeouts,
    pub(crate) backoff: Backoff,
    pub(crate) rules: Vec<Rule>,
    pub(crate) policies: Vec<Policy>,
}

impl Settings {
    pub(crate) fn of(args: &ExecutePhase, project: &Project) -> Result<Self> {
        let (rules, policies) = rules(project, args.rules.as_deref())?;
        let defaults = &project.config.defaults;
        let batch_size = defaults.batch_size.and_then(|size| u32::try_from(size).ok());
        let (usual, delays) = (Timeouts::default(), Backoff::default());
        let or = |given: Option<Duration>, usual| given.map_or(usual, millis);
        Ok(Self {
            mode: args.mode.map(Mode::from).or(defaults.mode).unwrap_or(Mode::Interactive),
            batch_size: args.batch_size.or(batch_size).unwrap_or(BATCH_SIZE),
            timeouts: Timeouts {
                attempt_ms: or(args.timeout.or(defaults.timeout), usual.attempt_ms),
                validation_ms: or(defaults.validation_timeout, usual.validation_ms),
                phase_ms: args.phase_timeout.or(defaults.phase_timeout).map(millis),
                grace_ms: or(defaults.grace, usual.grace_ms),
                stop_ms: usual.stop_ms,
            },
            backoff: Backoff {
                initial_ms: or(defaults.backoff, delays.initial_ms),
                cap_ms: or(defaults.backoff_cap, delays.cap_ms),
            },
            rules,
            policies,
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

/// The rules and policies of the user's own file, then those of the project.
pub(crate) fn rules(project: &Project, own: Option<&Path>) -> Result<(Vec<Rule>, Vec<Policy>)> {
    let own = own.map(project::rules).transpose()?;
    let (mut rules, mut policies) = (Vec::new(), Vec::new());
    if let Some(own) = own {
        rules.extend(own.rules);
        policies.push(own.policy);
    }
    rules.extend(project.config.rules.iter().cloned());
    policies.push(project.config.policy.clone());
    // A policy that says nothing is not worth a word in the journal.
    let says =
        |policy: &Policy| *policy != Policy { name: policy.name.clone(), ..Policy::default() };
    policies.retain(says);
    Ok((rules, policies))
}
