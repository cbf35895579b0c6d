//! How each event changes the state.
//!
//! Invariant: everything here follows from the event and the state before it; nothing is
//! decided, and nothing else changes the state.

use super::state::{Control, Integration, Latest, RunState, TaskRecord, TaskState};
use crate::{
    Aftermath, Blocker, CheckpointAt, Event, Feedback, Interruption, LogLine, Parking, Prompt,
    RunOutcome, Stamped, Subject, TaskId, Trouble, Verdict, WorkflowStep,
};

/// How many lines of a log are remembered as an attempt's last words.
const LAST_WORDS: usize = 5;

impl RunState {
    /// Folds one event in.
    pub(crate) fn apply(&mut self, stamped: &Stamped) {
        self.count_time(stamped);
        let event = &stamped.event;
        if let Some(number) = event.task().and_then(|id| self.graph.number(id)) {
            self.apply_to_task(number, stamped);
        }
        match event {
            Event::RunStarted { .. } => {
                self.begun = true;
                self.started_at = stamped.at;
            }
            Event::StepEntered { step } => self.step = Some(*step),
            Event::BatchStarted { batch, tasks } => {
                self.batches = *batch;
                self.batch.clone_from(tasks);
                self.batch_passed = false;
            }
            Event::TaskFailed { task, .. } => self.failed.push(task.clone()),
            Event::PhaseCheckStarted { epoch, .. } => self.phase_epoch = *epoch,
            Event::PauseRequested { cause, reason } => {
                self.control = Control::PauseRequested(*cause, reason.clone());
            }
            Event::RunPaused { cause, reason } => {
                self.control = Control::Paused(*cause, reason.clone());
            }
            Event::RunResumed { .. } => self.resumed(),
            Event::CancelRequested { reason } => self.control = Control::Cancelling(reason.clone()),
            Event::Replanned { kept, .. } => self.replanned(kept),
            Event::PromptOpened { prompt } => {
                self.prompts_opened = self.prompts_opened.max(prompt.id);
                self.prompts.push_back(prompt.clone());
            }
            Event::PromptAnswered { prompt, choice, note } => {
                self.prompt_closed(*prompt, Some((choice, note.as_deref())));
            }
            Event::PromptWithdrawn { prompt } => self.prompt_closed(*prompt, None),
            Event::RunFinished { outcome } => self.finished(outcome),
            _ => {}
        }
    }

    /// To take up a run that rested between two batches is the go-ahead for the next; a crash
    /// decides nothing.
    fn resumed(&mut self) {
        let rested = matches!(
            self.control,
            Control::Paused(crate::PauseCause::User, _) | Control::Finished(_)
        );
        let over = |id: &TaskId| {
            let state = self.task(id).map(|record| &record.state);
            state.is_none_or(|state| state.is_terminal() || matches!(state, TaskState::Parked(_)))
        };
        self.batch_passed |= rested && self.batch.iter().all(over);
        self.life += 1;
        self.budget_ms = 0;
        // What a person gave up stays given up, wherever the host died.
        if !matches!(self.control, Control::Cancelling(_)) {
            self.control = Control::Active;
        }
    }

    /// The time since the event before counts if somebody worked meanwhile.
    fn count_time(&mut self, stamped: &Stamped) {
        let begins = matches!(stamped.event, Event::RunStarted { .. } | Event::RunResumed { .. });
        if !begins && self.clock_runs() {
            let passed = stamped.up.saturating_sub(self.last_up);
            self.active_ms += passed;
            self.budget_ms += passed;
        }
        self.last_up = stamped.up;
    }

    pub(super) fn set(&mut self, number: usize, state: TaskState) {
        self.sets.changed(number, &state);
        self.tasks[number].state = state;
    }

    fn apply_to_task(&mut self, number: usize, stamped: &Stamped) {
        let integrated = self.integrated();
        let life = self.life;
        let record = &mut self.tasks[number];
        if let Some(state) = next_state(record, life, integrated, stamped) {
            self.set(number, state);
        }
        match &stamped.event {
            Event::TaskSucceeded { .. } => self.succeeded(number),
            Event::CheckpointPassed { .. } => self.pass(number),
            Event::TaskReopened { task } => {
                self.failed.retain(|failed| failed != task);
                let ready = self.tasks[number].needs == 0;
                self.set(number, if ready { TaskState::Ready } else { TaskState::Blocked });
            }
            _ => {}
        }
    }

    fn succeeded(&mut self, number: usize) {
        let task = self.graph.id(number).clone();
        self.completed.push(task.clone());
        let mut paths = Vec::new();
        if let Some(latest) = &mut self.tasks[number].latest {
            paths.clone_from(&latest.paths);
            if let Some(took) = latest.took_ms {
                self.worked_ms += took;
                self.measured += 1;
            }
        }
        self.integrations.push(Integration { task, paths });
        if self.graph.stops_after(number) && !self.tasks[number].passed {
            self.sets.unpassed.insert(number);
        }
        self.free_dependents(number);
    }

    fn free_dependents(&mut self, number: usize) {
        for at in 0..self.graph.dependents(number).len() {
            let dependent = self.graph.dependents(number)[at];
            let needs = &mut self.tasks[dependent].needs;
            *needs = needs.saturating_sub(1);
            if self.tasks[dependent].needs == 0 && self.tasks[dependent].state == TaskState::Blocked
            {
                self.set(dependent, TaskState::Ready);
            }
        }
    }

    fn prompt_closed(&mut self, id: u32, answer: Option<(&String, Option<&str>)>) {
        let Some(at) = self.prompts.iter().position(|open| open.id == id) else {
            return;
        };
        let Some(Prompt { subject, .. }) = self.prompts.remove(at) else {
            return;
        };
        let choice = answer.map(|(choice, _)| choice.as_str());
        match subject {
            Subject::Batch => self.batch_passed |= choice == Some("continue"),
            Subject::Checkpoint { task, at, .. } => {
                let Some(number) = self.graph.number(&task) else { return };
                if choice == Some("continue") {
                    self.pass(number);
                }
                if at == CheckpointAt::Before {
                    self.set(number, TaskState::Ready);
                }
            }
            Subject::Blocker { task } => {
                let Some(number) = self.graph.number(&task) else { return };
                let record = &mut self.tasks[number];
                let parked = record.parking.map_or(TaskState::Ready, TaskState::Parked);
                if choice == Some("retry") {
                    record.deaths = 0;
                    if let Some((_, Some(note))) = answer {
                        record.latest_mut().feedback.note = Some(note.to_owned());
                    }
                }
                self.set(number, if choice == Some("retry") { TaskState::Ready } else { parked });
            }
            Subject::Judged { task, .. } => {
                if let Some(number) = self.graph.number(&task) {
                    self.set(number, TaskState::Judging);
                }
            }
            Subject::Agent { .. } => {}
        }
    }

    fn pass(&mut self, number: usize) {
        self.tasks[number].passed = true;
        self.sets.unpassed.remove(&number);
    }

    fn finished(&mut self, outcome: &RunOutcome) {
        self.control = Control::Finished(outcome.clone());
        if matches!(outcome, RunOutcome::Cancelled { .. }) {
            for number in 0..self.tasks.len() {
                if !self.tasks[number].state.is_terminal() {
                    self.set(number, TaskState::Cancelled);
                }
            }
        }
    }

    /// Only what is kept stays; everything else is as before its first attempt.
    fn replanned(&mut self, kept: &[TaskId]) {
        let mut keep = vec![false; self.tasks.len()];
        for number in kept.iter().filter_map(|id| self.graph.number(id)) {
            keep[number] = true;
        }
        let graph = std::sync::Arc::clone(&self.graph);
        for (number, record) in self.tasks.iter_mut().enumerate() {
            if !keep[number] {
                // Epochs and attempts are never used twice.
                let (attempt, epoch) = (record.attempt, record.epoch);
                *record = TaskRecord { attempt, epoch, ..TaskRecord::new(graph.needs(number)) };
            }
        }
        let still = |id: &TaskId| graph.number(id).is_some_and(|number| keep[number]);
        self.completed.retain(still);
        self.failed.clear();
        // What was checked and recorded was so of another plan.
        self.step = self.step.min(Some(WorkflowStep::ExecutionLoop));
        self.batch.clear();
        self.batch_passed = true;
        self.prompts.clear();
        self.count_anew();
        for number in 0..self.tasks.len() {
            if self.tasks[number].state == TaskState::Blocked && self.tasks[number].needs == 0 {
                self.set(number, TaskState::Ready);
            }
        }
    }
}

/// What the event makes of the task's record; its new state, if that changes.
fn next_state(
    record: &mut TaskRecord,
    life: u32,
    integrated: usize,
    stamped: &Stamped,
) -> Option<TaskState> {
    Some(match &stamped.event {
        Event::LeaseGranted { attempt, epoch, .. } => {
            record.attempt = *attempt;
            record.epoch = *epoch;
            let latest = record.latest_mut();
            latest.built_after = integrated;
            begin(latest, life, stamped);
            TaskState::Leased
        }
        Event::AttemptStarted { .. } => {
            begin(record.latest_mut(), life, stamped);
            TaskState::Running
        }
        Event::AttemptSealed { sealed, .. } => {
            record.deaths = 0;
            record.artifacts.clone_from(&sealed.artifacts);
            let latest = record.latest_mut();
            latest.sealed_after = integrated;
            latest.change_set = Some(sealed.change_set);
            latest.paths.clone_from(&sealed.paths);
            latest.record = sealed.record.clone();
            latest.summary.clone_from(&sealed.summary);
            latest.last_words = last_words(&sealed.log);
            TaskState::Sealed
        }
        Event::ValidationStarted { epoch, .. } => {
            record.epoch = *epoch;
            record.latest_mut().sealed_after = integrated;
            TaskState::Validating
        }
        Event::ValidationInterrupted { .. } => TaskState::Sealed,
        Event::CandidateExamined { examination, record: judged, .. } => {
            let latest = record.latest_mut();
            latest.examination = Some(examination.clone());
            latest.judged = judged.clone();
            TaskState::Judging
        }
        Event::CandidateJudged { examination, judgement, record: judged, .. } => {
            let latest = record.latest_mut();
            latest.examination = Some(examination.clone());
            latest.judged = judged.clone();
            if judgement.verdict != Verdict::Pass {
                return None;
            }
            TaskState::Accepted
        }
        Event::JudgementOutdated { .. } => TaskState::Sealed,
        Event::IntegrationStarted { .. } => TaskState::Integrating,
        Event::TaskSucceeded { artifacts, .. } => {
            record.artifacts.clone_from(artifacts);
            end(record, life, stamped);
            TaskState::Succeeded
        }
        Event::BackOffEnded { .. } => TaskState::Ready,
        Event::TaskParked { parking, .. } => {
            record.parking = Some(*parking);
            TaskState::Parked(*parking)
        }
        Event::LeaseRenewed { epoch, .. } => {
            record.epoch = *epoch;
            return (record.state == TaskState::Validating).then_some(TaskState::Sealed);
        }
        Event::TaskFailed { .. } => match (&record.state, record.trouble()) {
            (TaskState::Judging, _) => TaskState::Failed(Blocker::Judged),
            (TaskState::Parked(Parking::HostDied { .. }), _) | (_, None) => {
                TaskState::Failed(Blocker::Trap)
            }
            (_, Some(Trouble::Timeout { of, .. })) => TaskState::TimedOut(*of),
            (_, Some(trouble)) => TaskState::Failed(trouble.blocker()),
        },
        Event::TaskSkipped { because, .. } => TaskState::Skipped(because.clone()),
        Event::PromptOpened { prompt } => match prompt.subject {
            Subject::Blocker { .. }
            | Subject::Judged { .. }
            | Subject::Checkpoint { at: CheckpointAt::Before, .. } => {
                TaskState::AwaitingDecision(prompt.id)
            }
            _ => return None,
        },
        event => return next_state_after_trouble(record, event),
    })
}

/// As [`next_state`], for attempts that came to nothing.
fn next_state_after_trouble(record: &mut TaskRecord, event: &Event) -> Option<TaskState> {
    Some(match event {
        Event::AttemptFailed { trouble, record: seen, log, then, .. } => {
            record.deaths = 0;
            let latest = record.latest_mut();
            if !seen.is_empty() {
                latest.record = seen.clone();
            }
            if !log.is_empty() {
                latest.last_words = last_words(log);
            }
            latest.change_set = None;
            if trouble.pauses().is_none() {
                // The host's own trouble says nothing about the work: what was said stands.
                latest.feedback = Feedback::of(trouble);
            }
            latest.trouble = Some(trouble.clone());
            match (trouble, then) {
                (_, Aftermath::Ready) => {}
                (Trouble::Conflict { .. }, _) => record.conflicts += 1,
                _ => record.failures += 1,
            }
            match then {
                Aftermath::Rerun => TaskState::Conflicted,
                Aftermath::BackOff { delay_ms } => TaskState::BackOff { delay_ms: *delay_ms },
                Aftermath::Park(parking) => {
                    record.parking = Some(*parking);
                    TaskState::Parked(*parking)
                }
                Aftermath::Ready => TaskState::Ready,
            }
        }
        Event::AttemptInterrupted { cause, .. } => {
            record.latest_mut().change_set = None;
            if *cause == Interruption::HostDied && record.state == TaskState::Running {
                record.deaths += 1;
            }
            TaskState::Ready
        }
        Event::RuleApplied { decision: crate::RuleDecision::Retry { delay_ms }, .. } => {
            record.granted += 1;
            record.deaths = 0;
            TaskState::BackOff { delay_ms: *delay_ms }
        }
        Event::TaskReopened { .. } => {
            record.failures = 0;
            record.conflicts = 0;
            record.granted = 0;
            record.deaths = 0;
            record.parking = None;
            if let Some(latest) = &mut record.latest {
                latest.change_set = None;
            }
            return None;
        }
        _ => return None,
    })
}

fn begin(latest: &mut Latest, life: u32, stamped: &Stamped) {
    latest.started_at = stamped.at;
    latest.started_up = (life, stamped.up);
    latest.took_ms = None;
}

fn end(record: &mut TaskRecord, life: u32, stamped: &Stamped) {
    let latest = record.latest_mut();
    let (started_in, started_up) = latest.started_up;
    latest.took_ms = (started_in == life).then(|| stamped.up.saturating_sub(started_up));
}

fn last_words(log: &[LogLine]) -> Vec<LogLine> {
    log[log.len().saturating_sub(LAST_WORDS)..].to_vec()
}
