//! Going on after a rest or a death.
//!
//! Invariant: what was done stays done; what was under way goes on under a new epoch; what
//! was decided stays decided.

use super::{Control, Run, TaskState};
use crate::{
    Effect, Event, Interruption, Mode, Moment, Parking, PauseCause, Prompt, RunOutcome, Subject,
    WorkflowStep,
};

impl Run {
    /// Makes a recovered run go on, as its configuration now says: what was done stays done,
    /// what was under way runs again under a new epoch. If the run had come to rest, tasks
    /// that are parked get another try; if it had failed, so does all that failed.
    ///
    /// Nothing happens to a run that completed, was cancelled or never began.
    /// [`Input::Begin`](crate::Input::Begin) should follow, with the prerequisites looked up
    /// anew: it matters only if they were not met so far.
    pub fn resume(&mut self, now: impl Into<Moment>) {
        let now = now.into();
        if !self.can_go_on() {
            return;
        }
        self.take_up(now);
        self.advance(now);
    }

    /// Finishes what a run that went away was about to change, starts nothing, and rests; a run
    /// that was being given up ends.
    ///
    /// The base may be between two states while a change-set is being applied: this must
    /// be done before anything else works on it.
    pub fn settle(&mut self, now: impl Into<Moment>) {
        let now = now.into();
        let ended = matches!(self.state.control, Control::Finished(_));
        if !self.can_go_on() || (ended && !self.is_unsettled()) {
            return;
        }
        let rested = self.state.control.clone();
        self.disown(now);
        let (cause, reason) = match rested {
            Control::Cancelling(_) => return self.advance(now),
            Control::Paused(cause, reason) => (cause, reason),
            _ => (PauseCause::Error, "what was interrupted was finished".to_owned()),
        };
        self.emit(now, Event::PauseRequested { cause, reason });
        self.advance(now);
    }

    /// Whether a change-set may be applied in part: [`Self::settle`] is needed.
    pub fn is_unsettled(&self) -> bool {
        self.integrating().is_some()
    }

    /// Whether [`Self::resume`] would do anything.
    pub fn can_go_on(&self) -> bool {
        let failed = |outcome: &RunOutcome| {
            matches!(outcome, RunOutcome::Failed { .. } | RunOutcome::Refused { .. })
        };
        self.state.begun
            && match &self.state.control {
                Control::Finished(outcome) => failed(outcome),
                _ => true,
            }
    }

    fn take_up(&mut self, now: Moment) {
        let before = self.state.control.clone();
        self.disown(now);
        if matches!(before, Control::Cancelling(_)) {
            // The host died while it gave the run up: nothing else was decided since.
            return;
        }
        let rested = matches!(before, Control::Paused(..) | Control::Finished(_));
        let failed = matches!(before, Control::Finished(_));
        self.park_deadly(now);
        self.reopen(now, rested, failed);
        self.renew_delegation(now);
        if self.goes() {
            self.ask_again(now, rested);
            self.enter_again(now);
        }
    }

    /// What an earlier life asked for is disowned: its answers will be stale.
    fn disown(&mut self, now: Moment) {
        self.awake = true;
        self.in_flight.clear();
        self.effects.clear();
        self.back_offs.clear();
        self.grace_ends = None;
        self.stuck = None;
        self.emit(now, Event::RunResumed { config: self.config.clone() });
        let agents = |prompt: &Prompt| matches!(prompt.subject, Subject::Agent { .. });
        let gone: Vec<u32> =
            self.state.prompts.iter().filter(|p| agents(p)).map(|prompt| prompt.id).collect();
        for prompt in gone {
            self.emit(now, Event::PromptWithdrawn { prompt });
        }
        let open: Vec<usize> = self.state.sets.under_way.iter().copied().collect();
        for number in open {
            let task = self.state.graph.id(number).clone();
            let record = &self.state.tasks[number];
            let (attempt, epoch) = (record.attempt, record.epoch);
            match record.state {
                TaskState::Leased | TaskState::Running => {
                    let cause = Interruption::HostDied;
                    self.emit(now, Event::AttemptInterrupted { task, attempt, epoch, cause });
                }
                TaskState::Validating | TaskState::Integrating => {
                    self.emit(now, Event::LeaseRenewed { task, epoch: epoch + 1 });
                }
                _ => {}
            }
        }
        let delayed: Vec<usize> = self.state.sets.backing_off.iter().copied().collect();
        for number in delayed {
            // Going on took its time: that was delay enough.
            let task = self.state.graph.id(number).clone();
            self.emit(now, Event::BackOffEnded { task });
        }
    }

    /// A task while which the host keeps dying is not tried again by itself.
    fn park_deadly(&mut self, now: Moment) {
        let max = self.config.max_deaths.max(1);
        let ready: Vec<usize> = self.state.sets.ready.iter().copied().collect();
        for number in ready {
            let times = self.state.tasks[number].deaths;
            if times >= max {
                let task = self.state.graph.id(number).clone();
                let parking = Parking::HostDied { times };
                self.emit(now, Event::TaskParked { task, parking });
            }
        }
    }

    /// To take up a run that had come to rest is a decision to try again what was parked;
    /// one that had failed, all that failed. A crash decides nothing.
    fn reopen(&mut self, now: Moment, rested: bool, failed: bool) {
        if !rested {
            return;
        }
        let troubled: Vec<usize> = self.state.sets.troubled.iter().copied().collect();
        for number in troubled {
            let again = match self.state.tasks[number].state {
                TaskState::Parked(_) => true,
                TaskState::Failed(_) | TaskState::TimedOut(_) | TaskState::Skipped(_) => failed,
                _ => false,
            };
            if again {
                let task = self.state.graph.id(number).clone();
                self.emit(now, Event::TaskReopened { task });
            }
        }
    }

    /// Open prompts are asked again; those that the mode at hand would not ask are left to
    /// what it does instead.
    fn ask_again(&mut self, now: Moment, rested: bool) {
        let prompts: Vec<Prompt> = self.state.prompts.iter().cloned().collect();
        for prompt in prompts {
            let auto = self.config.mode == Mode::Auto;
            let moot = match &prompt.subject {
                Subject::Batch => auto || rested,
                Subject::Checkpoint { human, .. } => auto && !human,
                // A person who takes up what rested tries it again.
                Subject::Blocker { .. } => auto || rested,
                Subject::Judged { .. } => false,
                Subject::Agent { .. } => true,
            };
            if moot {
                self.emit(now, Event::PromptWithdrawn { prompt: prompt.id });
                if let (Subject::Blocker { task }, true) = (&prompt.subject, rested) {
                    self.emit(now, Event::TaskReopened { task: task.clone() });
                }
            } else {
                self.effects.push_back(Effect::Ask { prompt });
            }
        }
    }

    /// The rights are handed down anew: policies may have changed.
    fn renew_delegation(&mut self, now: Moment) {
        if self.state.step > Some(WorkflowStep::ValidatePlan) {
            self.delegate(now);
        }
    }

    fn enter_again(&mut self, now: Moment) {
        if self.state.step > Some(WorkflowStep::CrossPhaseValidation) {
            // The checks are done again: the tree may have changed while the run rested.
            self.enter(now, WorkflowStep::CrossPhaseValidation);
        }
    }
}
