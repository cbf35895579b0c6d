//! What a run makes of the world's answers.
//!
//! Invariant: an answer whose epoch is not the task's latest, or that the task's state
//! does not wait for, becomes a recorded event and nothing else.

use std::collections::BTreeSet;

use super::state::Latest;
use super::{Control, Job, Run, TaskState};
use crate::{
    AccessRecord, Artifact, BrokenAttempt, CriterionId, Digest, Epoch, Event, Examination, Input,
    Moment, Other, PauseCause, Role, RunOutcome, SealedAttempt, TaskId, Trouble, Verdict,
    WorkflowStep,
};

impl Run {
    pub(super) fn answered(&mut self, now: Moment, input: Input) {
        match input {
            Input::Started { task, epoch } => self.started(now, &task, epoch),
            Input::Built { task, epoch, result } => self.built(now, &task, epoch, result),
            Input::Validated { task, epoch, change_set, result } => {
                self.validated(now, &task, epoch, change_set, result);
            }
            Input::Integrated { task, epoch, result } => {
                self.integrated(now, &task, epoch, result);
            }
            Input::PhaseChecked { role, epoch, result } => {
                self.phase_checked(now, role, epoch, result);
            }
            Input::StateWritten => {
                let awaited = self.in_flight.remove(&Job::State).is_some();
                if awaited && self.state.step == Some(WorkflowStep::UpdateState) {
                    self.enter(now, WorkflowStep::Report);
                }
            }
            Input::Answer { prompt, choice, note } => self.chosen(now, prompt, &choice, note),
            Input::Ask { task, epoch, token, question, options } => {
                self.asked(now, task, epoch, token, question, options);
            }
            Input::Begin { .. }
            | Input::Pause { .. }
            | Input::Stop { .. }
            | Input::Cancel { .. }
            | Input::Unattended
            | Input::Tick => {}
        }
    }

    /// Whether the answer is for the lease that the task holds, in the state that waits for it.
    fn is_current(
        &mut self,
        now: Moment,
        task: &TaskId,
        epoch: Epoch,
        expected: &[TaskState],
        answer: &str,
    ) -> bool {
        let asked = self.in_flight.contains_key(&Job::Task(task.clone()));
        let current = self
            .state
            .task(task)
            .is_some_and(|record| record.epoch == epoch && expected.contains(&record.state));
        if !(current && asked) {
            let (task, answer) = (task.clone(), answer.to_owned());
            self.emit(now, Event::StaleAnswer { task, epoch, answer });
            return false;
        }
        true
    }

    /// Whether the work was told to stop: then its end is that of the order, not its own.
    fn was_stopped(&self, task: &TaskId) -> bool {
        let flight = self.in_flight.get(&Job::Task(task.clone()));
        flight.is_some_and(|flight| flight.stopped.is_some())
    }

    fn land(&mut self, task: &TaskId) {
        self.in_flight.remove(&Job::Task(task.clone()));
    }

    fn started(&mut self, now: Moment, task: &TaskId, epoch: Epoch) {
        if self.is_current(now, task, epoch, &[TaskState::Leased], "started") {
            self.emit(now, Event::AttemptStarted { task: task.clone(), epoch });
            self.start_clock(now, &Job::Task(task.clone()));
        }
    }

    fn built(
        &mut self,
        now: Moment,
        task: &TaskId,
        epoch: Epoch,
        result: Result<Box<SealedAttempt>, Box<BrokenAttempt>>,
    ) {
        let expected = [TaskState::Leased, TaskState::Running];
        if !self.is_current(now, task, epoch, &expected, "built") {
            return;
        }
        let attempt = self.state.task(task).map_or(0, |record| record.attempt);
        match result {
            Ok(_) if self.timed_out(task) => {
                let job = Job::Task(task.clone());
                self.ended_early(now, &job, AccessRecord::default(), Vec::new());
            }
            Ok(sealed) => {
                self.land(task);
                self.withdraw_questions(now, task);
                let sealed = *sealed;
                self.emit(now, Event::AttemptSealed { task: task.clone(), attempt, epoch, sealed });
            }
            Err(broken) => {
                let BrokenAttempt { trouble, record, log } = *broken;
                if self.was_stopped(task) {
                    self.ended_early(now, &Job::Task(task.clone()), record, log);
                } else {
                    self.land(task);
                    self.withdraw_questions(now, task);
                    self.attempt_failed(now, task, trouble, record, log);
                }
            }
        }
    }

    fn timed_out(&self, task: &TaskId) -> bool {
        let flight = self.in_flight.get(&Job::Task(task.clone()));
        flight.is_some_and(|flight| matches!(flight.stopped, Some(super::clock::Why::Timeout(_))))
    }

    fn validated(
        &mut self,
        now: Moment,
        task: &TaskId,
        epoch: Epoch,
        change_set: Digest,
        result: Result<(Examination, AccessRecord), Trouble>,
    ) {
        let candidate = self.state.task(task).and_then(crate::TaskRecord::change_set);
        if candidate != Some(change_set) {
            let answer = format!("validated {}", change_set.short());
            self.emit(now, Event::StaleAnswer { task: task.clone(), epoch, answer });
            return;
        }
        if !self.is_current(now, task, epoch, &[TaskState::Validating], "validated") {
            return;
        }
        if self.timed_out(task) || (self.was_stopped(task) && result.is_err()) {
            let job = Job::Task(task.clone());
            self.ended_early(now, &job, AccessRecord::default(), Vec::new());
            return;
        }
        self.land(task);
        self.withdraw_questions(now, task);
        if self.withdraw_if_stale(now, task) {
            return;
        }
        let (examination, record) = match result {
            Ok(answer) => answer,
            Err(trouble) => {
                self.attempt_failed(now, task, trouble, AccessRecord::default(), Vec::new());
                return;
            }
        };
        if !self.outdate(now, task, &record) {
            self.examined(now, task, epoch, change_set, examination, record);
        }
    }

    /// What can be checked was checked: a person judges the rest, if there is any.
    fn examined(
        &mut self,
        now: Moment,
        task: &TaskId,
        epoch: Epoch,
        change_set: Digest,
        examination: Examination,
        record: AccessRecord,
    ) {
        let Some(definition) = self.plan_task(task) else {
            return;
        };
        let (left, checked): (Vec<_>, Vec<_>) =
            definition.accept.iter().partition(|criterion| criterion.is_judged());
        let checked: Vec<CriterionId> =
            checked.iter().map(|criterion| criterion.id.clone()).collect();
        // Where nothing is to be checked, nothing is claimed to be: a person judges all of it.
        if examination.judge(&checked).unmet.is_empty() && !left.is_empty() {
            let task = task.clone();
            let event = Event::CandidateExamined { task, epoch, change_set, examination, record };
            self.emit(now, event);
            return;
        }
        self.judged(now, task, examination, &checked, record);
    }

    /// Every criterion of `asked` was answered: the host judges.
    pub(super) fn judged(
        &mut self,
        now: Moment,
        task: &TaskId,
        examination: Examination,
        asked: &[CriterionId],
        record: AccessRecord,
    ) {
        let Some(before) = self.state.task(task) else {
            return;
        };
        let (attempt, epoch) = (before.attempt, before.epoch);
        let Some(change_set) = before.change_set() else {
            return;
        };
        let judgement = examination.judge(asked);
        let rejected = (judgement.verdict != Verdict::Pass).then(|| judgement.unmet.clone());
        let task = task.clone();
        self.emit(
            now,
            Event::CandidateJudged {
                task: task.clone(),
                attempt,
                epoch,
                change_set,
                examination,
                judgement,
                record,
            },
        );
        if let Some(unmet) = rejected {
            let trouble = Trouble::Rejected { unmet };
            self.attempt_failed(now, &task, trouble, AccessRecord::default(), Vec::new());
        }
    }

    fn integrated(
        &mut self,
        now: Moment,
        task: &TaskId,
        epoch: Epoch,
        result: Result<Vec<Artifact>, Trouble>,
    ) {
        if !self.is_current(now, task, epoch, &[TaskState::Integrating], "integrated") {
            return;
        }
        self.land(task);
        match result {
            Ok(artifacts) => {
                let attempt = self.state.task(task).map_or(0, |record| record.attempt);
                let task = task.clone();
                self.emit(now, Event::TaskSucceeded { task, attempt, epoch, artifacts });
            }
            Err(trouble) => self.integration_failed(now, task, trouble),
        }
    }

    /// A conflict left the base as it was. After any other trouble it may be between two
    /// states: the candidate stays as it is, and the run rests until it can be completed.
    fn integration_failed(&mut self, now: Moment, task: &TaskId, trouble: Trouble) {
        if matches!(trouble, Trouble::Conflict { .. }) {
            self.attempt_failed(now, task, trouble, AccessRecord::default(), Vec::new());
            return;
        }
        let cause = trouble.pauses().unwrap_or(PauseCause::Error);
        let reason = format!("task {task}: {trouble}");
        self.request_pause(now, cause, reason.clone());
        self.stop_all(now);
        self.stuck = Some((cause, reason));
    }

    /// As [`Self::outdate`], for the verdict on a candidate that waited for its turn.
    pub(super) fn outdate_if_stale(&mut self, now: Moment, task: &TaskId) -> bool {
        let latest = self.state.task(task).and_then(|record| record.latest.as_ref());
        let Some(judged) = latest.map(|latest| latest.judged.clone()) else {
            return false;
        };
        self.outdate(now, task, &judged)
    }

    /// Has the candidate judged again if its validator read what another task changed since, or
    /// if another task is done since whose criteria it may break.
    fn outdate(&mut self, now: Moment, task: &TaskId, read: &AccessRecord) -> bool {
        let Some(latest) = self.state.task(task).and_then(|record| record.latest.as_ref()) else {
            return false;
        };
        let stale = self.state.stale(read, latest.sealed_after);
        let Some((path, by)) = stale.or_else(|| self.unchecked(latest)) else {
            return false;
        };
        self.emit(now, Event::JudgementOutdated { task: task.clone(), path, by });
        true
    }

    /// A task that was done after the candidate's validation began and whose criteria the candidate
    /// may break, and a path by which it may: nobody checked these on it.
    fn unchecked(&self, candidate: &Latest) -> Option<(String, TaskId)> {
        let since = self.state.integrated_since(candidate.sealed_after);
        let by = self.at_stake(candidate, since)?.clone();
        Some((candidate.paths.first()?.clone(), by))
    }

    /// Whether completed tasks, or earlier phases, have criteria that the candidate may break.
    pub(super) fn may_break(&self, candidate: &Latest) -> bool {
        self.config.promised || self.at_stake(candidate, self.state.completed.iter()).is_some()
    }

    /// The first of `completed` that has criteria which the candidate may break.
    fn at_stake<'a>(
        &self,
        candidate: &Latest,
        mut completed: impl Iterator<Item = &'a TaskId>,
    ) -> Option<&'a TaskId> {
        let changed: BTreeSet<&str> = candidate.paths.iter().map(String::as_str).collect();
        let nothing = AccessRecord::default();
        completed.find(|id| {
            let latest = self.state.task(id).and_then(|record| record.latest.as_ref());
            let judged = latest.map_or(&nothing, |latest| &latest.judged);
            let task = self.plan_task(id);
            task.is_some_and(|task| !task.at_stake(judged, &changed).is_empty())
        })
    }

    /// Gives an attempt up whose builder read what another task changed since. It is run
    /// again on the new base, and that does not count against its retries.
    pub(super) fn withdraw_if_stale(&mut self, now: Moment, task: &TaskId) -> bool {
        let latest = self.state.task(task).and_then(|record| record.latest.as_ref());
        let stale = latest.and_then(|latest| self.state.stale(&latest.record, latest.built_after));
        let Some((path, by)) = stale else {
            return false;
        };
        let trouble = Trouble::Conflict { path, with: Other::Task { task: by } };
        self.attempt_failed(now, task, trouble, AccessRecord::default(), Vec::new());
        true
    }

    fn phase_checked(
        &mut self,
        now: Moment,
        role: Role,
        epoch: Epoch,
        result: Result<(Vec<CriterionId>, Examination), Trouble>,
    ) {
        let job = Job::Phase(role);
        if self.state.phase_epoch != epoch || !self.in_flight.contains_key(&job) {
            return;
        }
        let stopped = self.in_flight.get(&job).and_then(|flight| flight.stopped);
        let given_up = matches!(self.state.control, Control::Cancelling(_));
        let late = matches!(stopped, Some(super::clock::Why::Timeout(_)));
        if stopped.is_some() && (late || given_up || result.is_err()) {
            self.ended_early(now, &job, AccessRecord::default(), Vec::new());
            return;
        }
        self.in_flight.remove(&job);
        let (asked, examination) = match result {
            Ok(answer) => answer,
            Err(trouble) => return self.check_failed(now, role, trouble),
        };
        if asked.is_empty() && role == Role::IntegrationChecker {
            // Nothing was checked, and nothing is claimed to be.
            let reason = "no earlier phase and no link: there is nothing to integrate with";
            self.emit(now, Event::PhaseCheckVoid { role, reason: reason.to_owned() });
            self.enter(now, WorkflowStep::FinalValidation);
            return;
        }
        let judgement = examination.judge(&asked);
        let verdict = judgement.verdict;
        let event = match role {
            Role::Verifier => Event::PhaseJudged { examination, judgement },
            _ => Event::IntegrationJudged { examination, judgement },
        };
        self.emit(now, event);
        self.phase_judged(now, role, verdict);
    }

    /// A phase-wide check could not be carried out: the run rests if that is the host's
    /// trouble, and fails if not.
    pub(super) fn check_failed(&mut self, now: Moment, role: Role, trouble: Trouble) {
        let (code, reason) = (trouble.code(), format!("the {role}: {trouble}"));
        let pauses = trouble.pauses();
        self.emit(now, Event::PhaseCheckFailed { role, trouble });
        match pauses {
            // A person gave the run up: that is how it ends.
            _ if matches!(self.state.control, Control::Cancelling(_)) => {}
            Some(cause) => self.request_pause(now, cause, reason),
            None => self.finish(now, RunOutcome::Failed { code, reason }),
        }
    }
}
