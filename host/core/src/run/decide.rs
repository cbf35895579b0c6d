//! What follows when an attempt came to nothing: another one, a rule's decision, a person's.
//!
//! Invariant: what cannot go better is not tried again by itself, and no decision is made
//! that neither the plan, nor a rule, nor a person made.

use super::{Control, Run, TaskRecord, TaskState};
use crate::{
    AccessRecord, Aftermath, Blocker, ErrorCode, Event, LogLine, Mode, Moment, Parking, PauseCause,
    Resort, Rule, RuleDecision, TaskId, Trouble,
};

/// How often an attempt is run again because others changed what it read, before that
/// counts as a failure.
const MAX_CONFLICTS: u32 = 16;

impl Run {
    pub(super) fn attempt_failed(
        &mut self,
        now: Moment,
        task: &TaskId,
        trouble: Trouble,
        record: AccessRecord,
        log: Vec<LogLine>,
    ) {
        let Some(before) = self.state.task(task) else {
            return;
        };
        let (attempt, epoch) = (before.attempt, before.epoch);
        let then = self.aftermath(task, &trouble);
        let pauses = (then == Aftermath::Ready).then(|| trouble.pauses()).flatten();
        let reason = format!("task {task}: {trouble}");
        let task = task.clone();
        if let Aftermath::BackOff { delay_ms } = then {
            self.back_offs.insert(task.clone(), now.up.saturating_add(delay_ms));
        }
        let event = Event::AttemptFailed { task, attempt, epoch, trouble, record, log, then };
        self.emit(now, event);
        if let Some(cause) = pauses {
            self.request_pause(now, cause, reason);
        }
    }

    /// What follows if the latest attempt fails with `trouble`.
    fn aftermath(&self, task: &TaskId, trouble: &Trouble) -> Aftermath {
        let Some(record) = self.state.task(task) else {
            return Aftermath::Ready;
        };
        let failures = record.failures + 1;
        if matches!(trouble, Trouble::Conflict { .. }) {
            let again = record.conflicts < MAX_CONFLICTS;
            return if again { Aftermath::Rerun } else { Aftermath::Park(Parking::Exhausted) };
        }
        let ruled = self.config.mode == Mode::Auto && self.rule(Blocker::Error, task).is_some();
        if trouble.pauses().is_some() && !ruled {
            return Aftermath::Ready;
        }
        if !trouble.is_retryable() && trouble.pauses().is_none() {
            return Aftermath::Park(Parking::NotRetryable);
        }
        let retries = self.plan_task(task).map_or(0, |definition| definition.retries);
        if trouble.is_retryable() && failures <= retries {
            let run = &self.config.run;
            let delay_ms = self.config.backoff.delay_ms(run, task, failures);
            return Aftermath::BackOff { delay_ms };
        }
        Aftermath::Park(Parking::Exhausted)
    }

    /// The rule that decides about this blocker of this task.
    fn rule(&self, blocker: Blocker, task: &TaskId) -> Option<&Rule> {
        self.config.rules.iter().find(|rule| rule.decides(blocker, task))
    }

    /// Has somebody decide about a parked task; whether anything changed.
    pub(super) fn decide(&mut self, now: Moment, number: usize) -> bool {
        let task = self.state.graph.id(number).clone();
        if self.config.mode == Mode::Interactive {
            self.open_blocker(now, &task);
            return true;
        }
        let record = &self.state.tasks[number];
        let parking = record.parking;
        let blocker = match (parking, record.trouble()) {
            (Some(Parking::HostDied { .. }), _) | (_, None) => Blocker::Trap,
            (_, Some(trouble)) => trouble.blocker(),
        };
        let Some(rule) = self.rule(blocker, &task) else {
            if parking != Some(Parking::NotRetryable) {
                return false;
            }
            // Another attempt could not go better, and no rule says otherwise.
            self.give_up_with_trouble(now, &task);
            return true;
        };
        let again = record.granted < rule.retry && parking != Some(Parking::NotRetryable);
        let (rule, then) = (rule.clone(), rule.then);
        if again {
            self.retry_by(now, &task, &rule, blocker);
            return true;
        }
        let decision = RuleDecision::Resort { then };
        let applied = Event::RuleApplied { task: task.clone(), rule: rule.name, blocker, decision };
        self.emit(now, applied);
        self.resort(now, &task, then, blocker);
        true
    }

    /// Another attempt, by a rule's decision, after a delay of the rule's own.
    fn retry_by(&mut self, now: Moment, task: &TaskId, rule: &Rule, blocker: Blocker) {
        let granted = self.state.task(task).map_or(0, |record| record.granted);
        let mut backoff = self.config.backoff;
        if let Some(initial_ms) = rule.backoff_ms {
            backoff.initial_ms = initial_ms;
            backoff.cap_ms = backoff.cap_ms.max(initial_ms);
        }
        let delay_ms = backoff.delay_ms(&self.config.run, task, granted + 1);
        self.back_offs.insert(task.clone(), now.up.saturating_add(delay_ms));
        let decision = RuleDecision::Retry { delay_ms };
        let rule = rule.name.clone();
        self.emit(now, Event::RuleApplied { task: task.clone(), rule, blocker, decision });
    }

    /// Does what a rule says in the end.
    pub(super) fn resort(&mut self, now: Moment, task: &TaskId, then: Resort, blocker: Blocker) {
        match then {
            Resort::Skip => self.skip(now, task),
            Resort::Fail => self.give_up_with_trouble(now, task),
            Resort::Pause => {
                let cause = match blocker {
                    Blocker::Timeout => PauseCause::Timeout,
                    Blocker::Judged => PauseCause::User,
                    _ => PauseCause::Error,
                };
                let trouble = self.state.task(task).and_then(|record| record.trouble());
                let why = trouble.map_or_else(|| blocker.to_string(), ToString::to_string);
                self.request_pause(now, cause, format!("task {task}: {why}"));
            }
        }
    }

    /// What a rule says about criteria that only a person can judge; whether one does.
    pub(super) fn judged_by_rule(&mut self, now: Moment, task: &TaskId) -> bool {
        let Some(rule) = self.rule(Blocker::Judged, task) else {
            return false;
        };
        let (rule, then, blocker) = (rule.name.clone(), rule.then, Blocker::Judged);
        if then == Resort::Pause {
            // That is what happens without a rule too: a prompt, and a rest.
            return false;
        }
        let decision = RuleDecision::Resort { then };
        self.emit(now, Event::RuleApplied { task: task.clone(), rule, blocker, decision });
        self.resort(now, task, then, blocker);
        true
    }

    fn give_up_with_trouble(&mut self, now: Moment, task: &TaskId) {
        if let Some(record) = self.state.task(task) {
            let (code, reason) = last_word(record);
            self.give_up(now, task, code, reason);
        }
    }

    /// The task failed for good; what depends on it stays blocked.
    pub(super) fn give_up(&mut self, now: Moment, task: &TaskId, code: ErrorCode, reason: String) {
        self.emit(now, Event::TaskFailed { task: task.clone(), code, reason });
    }

    /// The task is left out by choice, and so is what depends on it.
    pub(super) fn skip(&mut self, now: Moment, task: &TaskId) {
        self.emit(now, Event::TaskSkipped { task: task.clone(), because: None });
        for dependent in self.dependents(task) {
            let blocked = self
                .state
                .task(&dependent)
                .is_some_and(|record| record.state == TaskState::Blocked);
            if blocked {
                let because = Some(task.clone());
                self.emit(now, Event::TaskSkipped { task: dependent, because });
            }
        }
    }

    /// What a person decided about a task that cannot go on.
    pub(super) fn decided(&mut self, now: Moment, task: &TaskId, choice: &str) {
        match choice {
            "fail" => self.give_up_with_trouble(now, task),
            "skip" => self.skip(now, task),
            _ => {}
        }
    }

    /// Every task that depends on `task`, directly or not, in the order of the plan.
    pub(super) fn dependents(&self, task: &TaskId) -> Vec<TaskId> {
        let reached = self.state.graph.reached_from(self.state.graph.number(task));
        reached.into_iter().map(|number| self.state.graph.id(number).clone()).collect()
    }

    /// Whether the run goes.
    pub(super) fn goes(&self) -> bool {
        self.state.control == Control::Active
    }
}

/// The code and the reason with which a task is given up. What only a person can judge, and the
/// death of the host, are not the trouble of an attempt: what trouble there was before is over.
pub(super) fn last_word(record: &TaskRecord) -> (ErrorCode, String) {
    match (&record.state, record.parking, record.trouble()) {
        (TaskState::Judging | TaskState::Failed(Blocker::Judged), ..) => {
            (ErrorCode::E005, "only a person can judge it".to_owned())
        }
        (
            TaskState::Parked(_) | TaskState::Failed(Blocker::Trap),
            Some(Parking::HostDied { times }),
            _,
        ) => (ErrorCode::E002, format!("idumb died {times} times while it ran")),
        (_, _, Some(trouble)) => (trouble.code(), trouble.to_string()),
        (_, _, None) => (ErrorCode::E002, String::new()),
    }
}
