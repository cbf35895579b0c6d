//! How a run is to go.
//!
//! Invariant: all of it is recorded when a run begins and whenever it is resumed, so that
//! the journal says by which rules each decision was made.

use serde::{Deserialize, Serialize};

use crate::{AgentBinding, Backoff, Consent, Governance, Mode, Policy, Role, Rule, RunId};

/// How a run is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Its name.
    pub run: RunId,
    /// Who decides.
    pub mode: Mode,
    /// The most tasks in a batch.
    pub batch_size: u32,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How long to wait before another attempt.
    pub backoff: Backoff,
    /// The agents, bound by digest.
    pub agents: Vec<AgentBinding>,
    /// What a person lets agents do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consents: Vec<Consent>,
    /// What auto mode does about blockers; the first that fits decides.
    pub rules: Vec<Rule>,
    /// What high-governance applies; all of them.
    pub policies: Vec<Policy>,
    /// How often the host may die while a task runs before the task is parked.
    pub max_deaths: u32,
    /// Whether earlier phases have criteria that can be checked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub promised: bool,
}

impl RunConfig {
    /// A configuration with the defaults, for a run of that name.
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            mode: Mode::Interactive,
            batch_size: 5,
            timeouts: Timeouts::default(),
            backoff: Backoff::default(),
            agents: Vec::new(),
            consents: Vec::new(),
            rules: Vec::new(),
            policies: Vec::new(),
            max_deaths: 3,
            promised: false,
        }
    }

    /// Its policies, applied.
    pub fn governance(&self) -> Governance<'_> {
        Governance { policies: &self.policies }
    }

    /// The agent of that name.
    pub fn agent(&self, name: &str) -> Option<&AgentBinding> {
        self.agents.iter().find(|agent| agent.name == name)
    }

    /// The agent that has a checking role.
    pub fn checker(&self, role: Role) -> Option<&AgentBinding> {
        self.agents.iter().find(|agent| agent.role == role)
    }
}

/// How long things may take, in milliseconds. The clocks stand still while the run rests, and
/// an attempt's also while its agent waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// One attempt of a task, where the task does not say; from the moment it begins.
    pub attempt_ms: u64,
    /// One validation, or one check of the phase.
    pub validation_ms: u64,
    /// The whole phase, until it rests; `None`: as long as it takes.
    pub phase_ms: Option<u64>,
    /// What is under way when the run is to pause, before it is stopped.
    pub grace_ms: u64,
    /// What was told to stop, before it is given up.
    pub stop_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            attempt_ms: 600_000,
            validation_ms: 600_000,
            phase_ms: None,
            grace_ms: 30_000,
            stop_ms: 5_000,
        }
    }
}
