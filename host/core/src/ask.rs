//! Decisions that people are asked for.
//!
//! Invariant: a prompt is durable, has a number that is never used twice in a run, and no
//! answers but its options.

use serde::{Deserialize, Serialize};

use crate::{CheckpointAt, CriterionId, Digest, Epoch, TaskId};

/// A decision that a person is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Unique in the run, from 1.
    pub id: u32,
    /// What it is about.
    pub subject: Subject,
    /// For people.
    pub question: String,
    /// The only answers there are, by id and text.
    pub options: Vec<(String, String)>,
}

/// What a prompt is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Subject {
    /// Whether to go on to the next batch.
    Batch,
    /// Whether to go on at a task's checkpoint.
    Checkpoint {
        /// Whose.
        task: TaskId,
        /// Before it begins, or once it is done.
        at: CheckpointAt,
        /// Whether it waits for a person in auto mode too.
        human: bool,
    },
    /// What to do about a task that cannot go on.
    Blocker {
        /// Which.
        task: TaskId,
    },
    /// Whether a candidate meets what only a person can judge.
    Judged {
        /// Whose.
        task: TaskId,
        /// Which candidate.
        change_set: Digest,
        /// What is to be judged.
        criteria: Vec<CriterionId>,
    },
    /// An agent asked; its attempt waits.
    Agent {
        /// Whose agent.
        task: TaskId,
        /// The lease under which it asked.
        epoch: Epoch,
        /// Tells the waiting host call from others.
        token: u64,
    },
}

impl Subject {
    /// The task it is about, if it is about one.
    pub fn task(&self) -> Option<&TaskId> {
        match self {
            Self::Batch => None,
            Self::Checkpoint { task, .. }
            | Self::Blocker { task }
            | Self::Judged { task, .. }
            | Self::Agent { task, .. } => Some(task),
        }
    }
}

impl Prompt {
    /// Whether `choice` is one of its options.
    pub fn offers(&self, choice: &str) -> bool {
        self.options.iter().any(|(option, _)| option == choice)
    }
}
