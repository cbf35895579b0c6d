//! What a test sees of a run and its world.
//!
//! Invariant: looking changes nothing.

use idumb_core::{
    CriterionId, Digest, Effect, Examination, Lease, Prompt, StateDocument, TaskRecord, TaskState,
};

use crate::answers::passing;
use crate::draft::id;
use crate::words::{control_text, effect_text, event_text};
use crate::world::World;

/// Questions about where things stand.
impl World {
    #[track_caller]
    pub(crate) fn task(&self, name: &str) -> &TaskRecord {
        self.run.state().task(&id(name)).expect("a task of the plan")
    }

    #[track_caller]
    pub(crate) fn state_of(&self, name: &str) -> TaskState {
        self.task(name).state.clone()
    }

    pub(crate) fn prompt(&self) -> Option<&Prompt> {
        self.run.state().prompts.front()
    }

    /// The passing examination of every criterion of `name`.
    #[track_caller]
    pub(crate) fn passing(&self, name: &str) -> Examination {
        let definition = self.run.plan().task(&id(name)).expect("a task of the plan");
        let criteria: Vec<CriterionId> = definition.accept.iter().map(|c| c.id.clone()).collect();
        passing(&criteria)
    }

    /// The passing examination of every criterion of `name` that can be checked.
    #[track_caller]
    pub(crate) fn checked(&self, name: &str) -> Examination {
        let definition = self.run.plan().task(&id(name)).expect("a task of the plan");
        let checked = definition.accept.iter().filter(|criterion| !criterion.is_judged());
        let criteria: Vec<CriterionId> = checked.map(|criterion| criterion.id.clone()).collect();
        passing(&criteria)
    }

    /// What waits, in a few words: `build A`, `validate A`, `check verifier`, …
    pub(crate) fn waits_for(&self) -> Vec<String> {
        self.waiting.iter().map(effect_text).collect()
    }

    /// Whether an effect of those words was ever started.
    pub(crate) fn has_started(&self, text: &str) -> bool {
        self.started.iter().any(|effect| effect_text(effect) == text)
    }

    /// The journal, in a few words a line.
    pub(crate) fn story(&self) -> Vec<String> {
        self.story_from(0)
    }

    pub(crate) fn story_from(&self, position: usize) -> Vec<String> {
        let events = self.journal[position..].iter();
        events.map(|stamped| event_text(&stamped.event)).collect()
    }

    /// The state document, as it is now.
    pub(crate) fn document(&self) -> StateDocument {
        self.run.state_document(self.now)
    }

    /// The candidate of `name`.
    #[track_caller]
    pub(crate) fn candidate(&self, name: &str) -> Option<Digest> {
        self.task(name).change_set()
    }

    /// The leases that were told to stop: `A e1`, `verifier e2`.
    pub(crate) fn stops(&self) -> Vec<String> {
        let mut stops = Vec::new();
        for effect in &self.started {
            match effect {
                Effect::Stop { lease: Lease::Task { task, epoch } } => {
                    stops.push(format!("{task} e{epoch}"));
                }
                Effect::Stop { lease: Lease::Phase { role, epoch } } => {
                    stops.push(format!("{role} e{epoch}"));
                }
                _ => {}
            }
        }
        stops
    }

    /// The run's control, as text: `Paused(User)`, `failed E002`, `Active`, …
    pub(crate) fn control(&self) -> String {
        control_text(&self.run.state().control)
    }

    /// The answers that agents got.
    pub(crate) fn replies(&self) -> Vec<(u64, Option<&str>)> {
        let mut replies = Vec::new();
        for effect in &self.started {
            if let Effect::Reply { token, choice } = effect {
                replies.push((*token, choice.as_deref()));
            }
        }
        replies
    }
}
