//! What a run makes of the world's answers.
//!
//! Invariant: an answer whose epoch is not the task's latest, or that the task's state
//! does not wait for, becomes a recorded event and nothing else.

use std::collections::BTreeSet;

use crate::run::{Job, Run, TaskState};
use crate::{
    AccessRecord, Artifact, BrokenAttempt, CriterionId, Digest, Epoch, ErrorCode, Event,
    Examination, Input, Judgement, Millis, Mode, Other, Role, RunOutcome, SealedAttempt, TaskId,
    Trouble, Verdict, WorkflowStep,
};

/// How often an attempt is run again because others changed what it read, before that
/// counts as a failure.
const MAX_CONFLICTS: u32 = 16;

impl Run {
    pub(super) fn answered(&mut self, now: Millis, input: Input) {
        match input {
            Input::Built { task, epoch, result } => self.built(now, &task, epoch, result),
            Input::Validated { task, epoch, change_set, result } => {
                self.validated(now, &task, epoch, change_set, result);
            }
            Input::Integrated { task, epoch, result } => {
                self.integrated(now, &task, epoch, result);
            }
            Input::PhaseChecked { role, result } => self.phase_checked(now, role, result),
            Input::StateWritten => {
                let awaited = self.in_flight.remove(&Job::State);
                if awaited && self.state.step == Some(WorkflowStep::UpdateState) {
                    self.enter(now, WorkflowStep::Report);
                }
            }
            Input::Answer { prompt, choice } => self.chosen(now, prompt, &choice),
            Input::Ask { task, epoch, token, question, options } => {
                self.asked(now, task, epoch, token, question, options);
            }
            Input::Begin { .. } | Input::Pause { .. } => {}
        }
    }

    /// Whether the answer is for the lease that the task holds, in the state that waits for it.
    fn is_current(
        &mut self,
        now: Millis,
        task: &TaskId,
        epoch: Epoch,
        expected: &TaskState,
        answer: &str,
    ) -> bool {
        let current = self
            .state
            .task(task)
            .is_some_and(|record| record.epoch == epoch && &record.state == expected);
        if current {
            self.in_flight.remove(&Job::Task(task.clone()));
        } else {
            let (task, answer) = (task.clone(), answer.to_owned());
            self.emit(now, Event::StaleAnswer { task, epoch, answer });
        }
        current
    }

    fn built(
        &mut self,
        now: Millis,
        task: &TaskId,
        epoch: Epoch,
        result: Result<Box<SealedAttempt>, Box<BrokenAttempt>>,
    ) {
        if !self.is_current(now, task, epoch, &TaskState::Building, "built") {
            return;
        }
        self.withdraw_questions(now, task);
        let attempt = self.state.task(task).map_or(0, |record| record.attempt);
        match result {
            Ok(sealed) => {
                let sealed = *sealed;
                self.emit(now, Event::AttemptSealed { task: task.clone(), attempt, epoch, sealed });
            }
            Err(broken) => {
                let BrokenAttempt { trouble, record, log } = *broken;
                self.attempt_failed(now, task, trouble, record, log);
            }
        }
    }

    fn validated(
        &mut self,
        now: Millis,
        task: &TaskId,
        epoch: Epoch,
        change_set: Digest,
        result: Result<(Examination, AccessRecord), Trouble>,
    ) {
        let candidate = self.state.task(task).and_then(|record| record.change_set);
        if candidate != Some(change_set) {
            let answer = format!("validated {}", change_set.short());
            self.emit(now, Event::StaleAnswer { task: task.clone(), epoch, answer });
            return;
        }
        if !self.is_current(now, task, epoch, &TaskState::Sealed, "validated") {
            return;
        }
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
        if self.outdate(now, task, &record) {
            return;
        }
        let Some(definition) = self.plan.task(task) else {
            return;
        };
        let judgement = examination.judge_criteria(&definition.accept);
        let attempt = self.state.task(task).map_or(0, |record| record.attempt);
        let rejected = (judgement.verdict != Verdict::Pass).then(|| judgement.unmet.clone());
        let event = Event::CandidateJudged {
            task: task.clone(),
            attempt,
            epoch,
            change_set,
            examination,
            judgement,
            record,
        };
        self.emit(now, event);
        if let Some(unmet) = rejected {
            let trouble = Trouble::Rejected { unmet };
            self.attempt_failed(now, task, trouble, AccessRecord::default(), Vec::new());
        }
    }

    fn integrated(
        &mut self,
        now: Millis,
        task: &TaskId,
        epoch: Epoch,
        result: Result<Vec<Artifact>, Trouble>,
    ) {
        if !self.is_current(now, task, epoch, &TaskState::Integrating, "integrated") {
            return;
        }
        match result {
            Ok(artifacts) => {
                let attempt = self.state.task(task).map_or(0, |record| record.attempt);
                let task = task.clone();
                self.emit(now, Event::TaskSucceeded { task, attempt, epoch, artifacts });
            }
            Err(trouble) => {
                self.attempt_failed(now, task, trouble, AccessRecord::default(), Vec::new());
            }
        }
    }

    /// As [`Self::outdate`], for the verdict on a candidate that waited for its turn.
    pub(super) fn outdate_if_stale(&mut self, now: Millis, task: &TaskId) -> bool {
        let Some(record) = self.state.task(task) else {
            return false;
        };
        let judged = record.judged.clone();
        self.outdate(now, task, &judged)
    }

    /// Has the candidate judged again if its validator read what another task changed since.
    /// The new epoch keeps a second copy of the outdated answer from being taken for the
    /// new one.
    fn outdate(&mut self, now: Millis, task: &TaskId, read: &AccessRecord) -> bool {
        let Some((sealed_after, epoch)) =
            self.state.task(task).map(|record| (record.sealed_after, record.epoch + 1))
        else {
            return false;
        };
        let Some((path, by)) = self.state.stale(read, sealed_after) else {
            return false;
        };
        let task = task.clone();
        let outdated = Event::JudgementOutdated { task: task.clone(), path, by };
        self.emit(now, outdated);
        self.emit(now, Event::LeaseRenewed { task, epoch });
        true
    }

    /// Gives an attempt up whose builder read what another task changed since. It is run
    /// again on the new base, and that does not count against its retries.
    pub(super) fn withdraw_if_stale(&mut self, now: Millis, task: &TaskId) -> bool {
        let Some(record) = self.state.task(task) else {
            return false;
        };
        let Some((path, by)) = self.state.stale(&record.record, record.built_after) else {
            return false;
        };
        let trouble = Trouble::Conflict { path, with: Other::Task { task: by } };
        self.attempt_failed(now, task, trouble, AccessRecord::default(), Vec::new());
        true
    }

    fn attempt_failed(
        &mut self,
        now: Millis,
        task: &TaskId,
        trouble: Trouble,
        record: AccessRecord,
        log: Vec<crate::LogLine>,
    ) {
        let Some(before) = self.state.task(task) else {
            return;
        };
        let (attempt, epoch) = (before.attempt, before.epoch);
        let retries = self.plan.task(task).map_or(0, |definition| definition.retries);
        let event = Event::AttemptFailed {
            task: task.clone(),
            attempt,
            epoch,
            trouble: trouble.clone(),
            record,
            log,
        };
        self.emit(now, event);
        let Some(after) = self.state.task(task) else {
            return;
        };
        let again = match &trouble {
            Trouble::Conflict { .. } => after.conflicts <= MAX_CONFLICTS,
            other => other.is_retryable() && after.failures <= retries,
        };
        if again {
            return;
        }
        match self.config.mode {
            Mode::Interactive => self.open_blocker(now, task, &trouble),
            Mode::Auto => self.give_up(now, task, trouble.code(), trouble.to_string()),
        }
    }

    /// The task failed for good; what depends on it cannot run.
    pub(super) fn give_up(&mut self, now: Millis, task: &TaskId, code: ErrorCode, reason: String) {
        self.emit(now, Event::TaskFailed { task: task.clone(), code, reason });
        for dependent in self.dependents(task) {
            let waiting = self
                .state
                .task(&dependent)
                .is_some_and(|record| record.state == TaskState::Waiting);
            if waiting {
                let because = task.clone();
                self.emit(now, Event::TaskSkipped { task: dependent, because });
            }
        }
    }

    /// Every task that depends on `task`, directly or not, in the order of the plan.
    pub(super) fn dependents(&self, task: &TaskId) -> Vec<TaskId> {
        let mut reached = BTreeSet::from([task]);
        loop {
            let before = reached.len();
            for other in &self.plan.tasks {
                if other.depends_on.iter().any(|id| reached.contains(id)) {
                    reached.insert(&other.id);
                }
            }
            if reached.len() == before {
                break;
            }
        }
        let all = self.plan.tasks.iter().map(|task| &task.id);
        all.filter(|id| *id != task && reached.contains(id)).cloned().collect()
    }

    fn phase_checked(
        &mut self,
        now: Millis,
        role: Role,
        result: Result<(Vec<CriterionId>, Examination), Trouble>,
    ) {
        if !self.in_flight.remove(&Job::Phase(role)) {
            return;
        }
        let (asked, examination) = match result {
            Ok(answer) => answer,
            Err(trouble) => {
                let (code, reason) = (trouble.code(), format!("the {role}: {trouble}"));
                self.emit(now, Event::PhaseCheckFailed { role, trouble });
                self.finish(now, RunOutcome::Failed { code, reason });
                return;
            }
        };
        // The integration-checker may have nothing to check: a first phase without links.
        let judgement = if asked.is_empty() && role == Role::IntegrationChecker {
            Judgement { verdict: Verdict::Pass, unmet: Vec::new() }
        } else {
            examination.judge(&asked)
        };
        let verdict = judgement.verdict;
        let event = match role {
            Role::Verifier => Event::PhaseJudged { examination, judgement },
            _ => Event::IntegrationJudged { examination, judgement },
        };
        self.emit(now, event);
        self.phase_judged(now, role, verdict);
    }
}
