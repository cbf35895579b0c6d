//! Decision rules: what auto mode does about a blocker, and how long it waits before it tries
//! again.
//!
//! Invariant: a decision follows from a rule that names the kind of blocker, never from the
//! order in which options are listed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, RunId, TaskId};

/// The kinds of blockers that rules know.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Blocker {
    /// The agent said that it could not.
    Failure,
    /// The agent crashed, broke a limit, or took the host with it.
    Trap,
    /// An attempt or its validation outlived its timeout.
    Timeout,
    /// The agent could not without a path that it is not granted.
    Denied,
    /// The candidate did not pass validation.
    Rejected,
    /// Only a person can judge a criterion.
    Judged,
    /// Others kept changing what the attempts read.
    Conflict,
    /// The host's own trouble: the disk, an agent's file.
    Error,
}

impl Blocker {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Failure,
        Self::Trap,
        Self::Timeout,
        Self::Denied,
        Self::Rejected,
        Self::Judged,
        Self::Conflict,
        Self::Error,
    ];

    /// The word for it in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Judged => "judged",
            Self::Conflict => "conflict",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A declared decision: on these blockers, of these tasks, try again so often, then do that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What the journal calls it, such as `idumb.toml rule 2`.
    pub name: String,
    /// The kinds of blockers that it decides; never empty.
    pub on: Vec<Blocker>,
    /// The tasks that it is about; empty: all.
    #[serde(default)]
    pub tasks: Vec<TaskId>,
    /// How many further attempts it gives a task, after those that the plan gives.
    #[serde(default)]
    pub retry: u32,
    /// The first delay before such an attempt, in milliseconds; `None`: the run's.
    #[serde(default)]
    pub backoff_ms: Option<u64>,
    /// What happens once there are no further attempts.
    pub then: Resort,
}

/// What a rule does in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resort {
    /// Leave the task and what depends on it out; go on with the others.
    Skip,
    /// Bring the run to rest, so that a person decides.
    Pause,
    /// Give the task up; what depends on it stays blocked; go on with the others.
    Fail,
}

impl fmt::Display for Resort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Skip => "skip",
            Self::Pause => "pause",
            Self::Fail => "fail",
        })
    }
}

impl Rule {
    /// Whether it decides this blocker of this task.
    pub fn decides(&self, blocker: Blocker, task: &TaskId) -> bool {
        self.on.contains(&blocker) && (self.tasks.is_empty() || self.tasks.contains(task))
    }
}

/// Delays before further attempts: exponential, capped, spread by a seeded jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the second attempt, in milliseconds; 0: none.
    pub initial_ms: u64,
    /// The longest, in milliseconds.
    pub cap_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_ms: 1000, cap_ms: 60_000 }
    }
}

impl Backoff {
    /// The delay after the `failures`-th failed attempt (from 1) of `task`, in milliseconds:
    /// doubled with each failure, at most the cap, less up to a quarter that depends on the
    /// run, the task and the count alone.
    pub fn delay_ms(&self, run: &RunId, task: &TaskId, failures: u32) -> u64 {
        let doubled = self.initial_ms.saturating_mul(1 << failures.saturating_sub(1).min(30));
        let whole = doubled.min(self.cap_ms);
        let seed = Digest::of(format!("{run}/{task}/{failures}").as_bytes());
        let spread = u64::from(seed.as_bytes()[0]);
        whole - whole / 4 * spread / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_are_spread() {
        let backoff = Backoff { initial_ms: 1000, cap_ms: 60_000 };
        let (run, task) = (RunId::new("r").unwrap(), TaskId::new("T").unwrap());
        for (failures, whole) in [(1, 1000), (2, 2000), (5, 16_000), (7, 60_000), (99, 60_000)] {
            let delay = backoff.delay_ms(&run, &task, failures);
            assert!((whole * 3 / 4..=whole).contains(&delay), "{failures}: {delay}");
        }
        let other = TaskId::new("U").unwrap();
        let delays = |task| (1..8).map(|n| backoff.delay_ms(&run, task, n)).collect::<Vec<_>>();
        assert_eq!(delays(&task), delays(&task));
        assert_ne!(delays(&task), delays(&other), "two tasks do not come back at once");
        let last = |n| backoff.delay_ms(&run, &TaskId::new(format!("T{n}")).unwrap(), 7);
        assert!((0..100).map(last).min() < Some(50_000), "they are spread over the whole quarter");
        assert_eq!(Backoff { initial_ms: 0, cap_ms: 9 }.delay_ms(&run, &task, 3), 0);
    }

    #[test]
    fn a_rule_names_kinds_and_tasks() {
        let t = |text| TaskId::new(text).unwrap();
        let rule = Rule {
            name: "r".into(),
            on: vec![Blocker::Timeout, Blocker::Trap],
            tasks: vec![t("A")],
            retry: 0,
            backoff_ms: None,
            then: Resort::Skip,
        };
        assert!(rule.decides(Blocker::Trap, &t("A")));
        assert!(!rule.decides(Blocker::Trap, &t("B")));
        assert!(!rule.decides(Blocker::Failure, &t("A")));
        assert!(Rule { tasks: vec![], ..rule }.decides(Blocker::Timeout, &t("B")));
    }
}
