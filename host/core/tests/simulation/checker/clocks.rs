//! What must hold of time: deadlines, delays, patience, and that nothing hangs.
//!
//! Invariant: as the checker's.

use idumb_core::{Epoch, Event, Input, Lease, Role, Run, Stamped, TaskId, TaskState, WorkflowStep};

use super::{At, Checker, Control};
use crate::world::World;

/// What may be under way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    Task(TaskId),
    Phase(Role),
    State,
}

/// Somebody works.
#[derive(Debug)]
pub(super) struct Live {
    epoch: Epoch,
    /// How long it may take; `None`: it did not begin, or takes as long as it takes.
    limit: Option<u64>,
    spent: u64,
    since: Option<u64>,
    /// When it was told to stop, and whether its time was up.
    pub(super) stopped: Option<(u64, bool)>,
}

impl Live {
    fn spent(&self, up: u64) -> u64 {
        self.spent + self.since.map_or(0, |since| up - since)
    }

    pub(super) fn due(&self, up: u64) -> bool {
        self.since.is_some() && self.limit.is_some_and(|limit| self.spent(up) >= limit)
    }

    pub(super) fn begin(&mut self, limit: u64, up: u64, asks: bool) {
        self.limit = Some(limit);
        self.since = (!asks).then_some(up);
    }

    pub(super) fn hold(&mut self, up: u64) {
        (self.spent, self.since) = (self.spent(up), None);
    }

    pub(super) fn go_on(&mut self, up: u64) {
        if self.limit.is_some() {
            self.since = self.since.or(Some(up));
        }
    }
}

impl Checker {
    pub(super) fn lives(&mut self, job: Job, epoch: Epoch, began: Option<u64>) {
        let limit = began.map(|_| self.config.timeouts.validation_ms);
        let live = Live { epoch, limit, spent: 0, since: began, stopped: None };
        let other = self.live.insert(job.clone(), live);
        assert!(other.is_none(), "{job:?} lives twice");
    }

    pub(super) fn limit(&self, task: &TaskId) -> u64 {
        let own = self.task(task).timeout.map(|own| own.as_millis() as u64);
        own.unwrap_or(self.config.timeouts.attempt_ms)
    }

    /// Whether what is under way may be told to stop so that the run can rest.
    fn patience_is_over(&self, up: u64) -> bool {
        let grace = self.config.timeouts.grace_ms;
        let waited = self.pause_since.is_some_and(|since| up >= since + grace);
        self.control == Control::Cancelling
            || (self.control == Control::Pausing && (waited || self.stop_asked || self.stuck))
    }

    pub(super) fn told_to_stop(&mut self, lease: &Lease, up: u64) {
        let over = self.patience_is_over(up);
        let (job, epoch) = match lease {
            Lease::Task { task, epoch } => (Job::Task(task.clone()), *epoch),
            Lease::Phase { role, epoch } => (Job::Phase(*role), *epoch),
        };
        if let Job::Task(task) = &job {
            assert_ne!(self.at(task), At::Integrating, "what changes the base is not stopped");
        }
        // It may have ended at the same moment.
        let Some(live) = self.live.get_mut(&job).filter(|live| live.epoch == epoch) else {
            return;
        };
        assert!(live.stopped.is_none(), "told to stop twice");
        let due = live.due(up);
        assert!(due || over, "{job:?} is stopped for nothing");
        live.stopped = Some((up, due && !over));
    }

    /// An attempt ends because the run is to rest, or is given up.
    pub(super) fn check_cut_short(&mut self, task: &TaskId, up: u64) {
        assert!(self.patience_is_over(up), "{task} is cut short for nothing");
        self.check_ends_stopped(&Job::Task(task.clone()), up);
    }

    fn check_ends_stopped(&mut self, job: &Job, up: u64) {
        let live = self.live.get(job).expect("nobody works");
        let stop_ms = self.config.timeouts.stop_ms;
        let waited = live.stopped.is_some_and(|(since, _)| up >= since + stop_ms);
        let heard = self.ended.as_ref() == Some(job);
        assert!(waited || heard || stop_ms == 0, "{job:?} is given up too early");
        if waited && !heard {
            self.seen.insert("work that was given up");
        }
    }

    /// What comes after its time was up does not count.
    pub(super) fn check_in_time(&self, task: &TaskId, up: u64) {
        let live = self.live.get(&Job::Task(task.clone())).expect("nobody works");
        let of_now = || live.due(up) && !self.patience_is_over(up);
        let late = live.stopped.map_or_else(of_now, |(_, timed_out)| timed_out);
        assert!(!late, "{task}: its time was up");
    }

    pub(super) fn check_timed_out(&mut self, job: &Job, up: u64) {
        let live = self.live.get(job).expect("nobody works");
        let due = live.stopped.map_or_else(|| live.due(up), |(_, due)| due || live.due(up));
        assert!(due, "{job:?} had time left");
        self.check_ends_stopped(job, up);
    }

    /// Takes note of an answer that the run is about to be told.
    pub(crate) fn told(&mut self, input: &Input) {
        self.current_answer = false;
        self.ended = None;
        let (task, epoch, expected): (_, _, &[At]) = match input {
            Input::Started { task, epoch } => (task, *epoch, &[At::Leased]),
            Input::Built { task, epoch, .. } => (task, *epoch, &[At::Leased, At::Running]),
            Input::Validated { task, epoch, change_set, .. } => {
                let account = self.accounts.get(task);
                let of_it = account.is_some_and(|account| account.change_set == Some(*change_set));
                (task, *epoch, if of_it { &[At::Validating] } else { &[] })
            }
            Input::Integrated { task, epoch, .. } => (task, *epoch, &[At::Integrating]),
            Input::PhaseChecked { role, epoch, .. } => {
                let job = Job::Phase(*role);
                let current = self.live.get(&job).is_some_and(|live| live.epoch == *epoch);
                self.ended = current.then_some(job);
                return;
            }
            Input::Stop { .. } => {
                let goes = matches!(self.control, Control::Active | Control::Pausing);
                self.stop_asked = goes && self.started && self.awake;
                return;
            }
            Input::StateWritten => {
                self.live.remove(&Job::State);
                return;
            }
            _ => return,
        };
        let job = Job::Task(task.clone());
        let stands = self.accounts.get(task).is_some_and(|account| expected.contains(&account.at));
        let lives = self.live.get(&job).is_some_and(|live| live.epoch == epoch);
        if !(stands && lives) {
            return;
        }
        self.current_answer = true;
        if let Input::Integrated { result: Err(trouble), .. } = input
            && !matches!(trouble, idumb_core::Trouble::Conflict { .. })
        {
            self.live.remove(&job);
            self.stuck = true;
            self.must_rest = true;
        }
        if !matches!(input, Input::Started { .. }) {
            self.ended = Some(job);
        }
    }

    /// The phase's clock runs while somebody works.
    fn clock_runs(&self) -> bool {
        let goes = matches!(self.control, Control::Active | Control::Pausing | Control::Cancelling);
        let checks = self.step > Some(WorkflowStep::ExecutionLoop);
        let works = self.accounts.iter().any(|(id, account)| {
            let waits = account.at == At::Judging || self.asks(id);
            (account.at.is_under_way() && !waits) || account.at == At::BackOff
        });
        goes && (checks || works)
    }

    pub(super) fn count_time(&mut self, stamped: &Stamped) {
        let resumes = matches!(stamped.event, Event::RunResumed { .. });
        if resumes {
            self.budget_ms = 0;
        } else if self.started && self.clock_runs() {
            let passed = stamped.up.saturating_sub(self.last_up);
            self.active_ms += passed;
            self.budget_ms += passed;
        }
        self.last_up = stamped.up;
    }

    pub(super) fn budget_now(&self, up: u64) -> u64 {
        self.budget_ms + up.saturating_sub(self.last_up)
    }

    /// What must hold once everything that follows from an input was done, at that time.
    pub(crate) fn settled(&mut self, up: u64, run: &Run, world: &World, deep: bool) {
        self.taking_up = false;
        self.check_prompts(run, world);
        assert_eq!((self.may_skip.take(), self.may_fail.take()), (None, None), "not done");
        assert_eq!(self.answered.take(), None, "nobody heard the answer");
        if self.awake {
            self.check_deadlines(up);
            assert!(!self.must_rest || self.control != Control::Active, "it must rest");
            if self.control == Control::Pausing {
                assert!(!self.live.is_empty(), "a pause hangs");
            }
        }
        if self.control == Control::Cancelling {
            assert!(!self.live.is_empty(), "it does not end");
            let asks = self.before != Control::Cancelling && !self.prompts.is_empty();
            assert!(!asks, "nothing is to be decided any more");
        }
        assert_eq!(run.state().active_ms, self.active_ms);
        assert_eq!(run.state().budget_ms, self.budget_ms);
        assert_eq!(run.state().completed, self.completed);
        if deep {
            self.check_states(run);
        }
    }

    fn check_deadlines(&mut self, up: u64) {
        // What is due at once is done with the next input.
        let at_once = self.control == Control::Cancelling || self.stop_asked || self.stuck;
        let patience_is_over = self.patience_is_over(up.saturating_sub(1)) || at_once;
        for (job, live) in &self.live {
            let changes = match job {
                Job::Task(task) => self.at(task) == At::Integrating,
                job => *job == Job::State,
            };
            if changes {
                continue;
            }
            let must = patience_is_over || live.due(up);
            assert!(!must || live.stopped.is_some(), "{job:?} goes on and on: {live:?}");
            let (since, _) = live.stopped.unwrap_or((up, false));
            let stop_ms = self.config.timeouts.stop_ms;
            let given_up = live.stopped.is_some() && up > since + stop_ms;
            assert!(!given_up, "{job:?} was told to stop, and is waited for");
        }
        if self.control != Control::Active {
            return;
        }
        let delayed =
            |account: &super::Account| account.at == At::BackOff && account.delayed_until < up;
        assert!(!self.accounts.values().any(delayed), "a delay does not end");
        if let Some(limit) = self.config.timeouts.phase_ms {
            let over = self.clock_runs() && self.budget_now(up) > limit;
            assert!(!over, "the phase goes on and on");
        }
    }

    /// The run's states are those of the book.
    fn check_states(&self, run: &Run) {
        assert_eq!(run.state().failed, self.failed);
        for (id, record) in run.state().tasks() {
            let account = &self.accounts[id];
            let expected = match &record.state {
                TaskState::Blocked | TaskState::Ready | TaskState::Conflicted => At::Idle,
                TaskState::Leased => At::Leased,
                TaskState::Running => At::Running,
                TaskState::Sealed => At::Sealed,
                TaskState::Validating => At::Validating,
                TaskState::Judging => At::Judging,
                TaskState::Accepted => At::Accepted,
                TaskState::Integrating => At::Integrating,
                TaskState::BackOff { .. } => At::BackOff,
                TaskState::Parked(parking) => At::Parked(*parking),
                TaskState::AwaitingDecision(prompt) => At::Asking(*prompt),
                TaskState::Succeeded => At::Succeeded,
                TaskState::Failed(_) | TaskState::TimedOut(_) => At::Failed,
                TaskState::Skipped(_) => At::Skipped,
                TaskState::Cancelled => At::Cancelled,
            };
            assert_eq!(account.at, expected, "{id}");
            let ready = self.task(id).depends_on.iter().all(|on| self.at(on) == At::Succeeded);
            if record.state == TaskState::Blocked || record.state == TaskState::Ready {
                assert_eq!(record.state == TaskState::Ready, ready, "{id}");
            }
            let counts = (account.failures, account.conflicts, account.granted, account.deaths);
            assert_eq!(counts, (record.failures, record.conflicts, record.granted, record.deaths));
            assert_eq!((account.passed, account.epoch), (record.passed, record.epoch), "{id}");
            assert_eq!(account.attempt, record.attempt, "{id}");
        }
    }
}
