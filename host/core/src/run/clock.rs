//! Deadlines: of attempts and checks, of delays, of the phase, and of patience.
//!
//! Invariant: only the process's own clock decides, and an attempt's clock stands still while
//! its agent waits for a person.

use super::{Control, Job, Run, TaskState};
use crate::{
    AccessRecord, Effect, Epoch, Event, Interruption, Lease, Millis, Moment, PauseCause, Prompt,
    Role, Subject, TaskId, Trouble,
};

/// Something that was asked of the world.
#[derive(Debug)]
pub(super) struct Flight {
    epoch: Epoch,
    /// What is left of its time, and since when that runs; `None`: it has no deadline.
    left: Option<(Millis, Running)>,
    /// It was told to stop, and why.
    pub(super) stopped: Option<Why>,
    /// When it is given up.
    given_up_at: Option<Millis>,
}

/// Since when a clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    Since(Millis),
    Stands,
}

/// Why something was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its time was up: after so many milliseconds.
    Timeout(Millis),
    Pause,
    Cancel,
}

impl Flight {
    fn deadline(&self) -> Option<Millis> {
        match (self.stopped, self.left) {
            (None, Some((left, Running::Since(since)))) => Some(since.saturating_add(left)),
            _ => None,
        }
    }
}

impl Run {
    /// When [`Input::Tick`](crate::Input::Tick) is due, by the process's clock in milliseconds;
    /// `None`: not before something else happens.
    pub fn poll_timeout(&self) -> Option<Millis> {
        if matches!(self.state.control, Control::Paused(..) | Control::Finished(_)) {
            return None;
        }
        let flights = self.in_flight.values();
        let deadlines = flights.flat_map(|flight| [flight.deadline(), flight.given_up_at]);
        let delays = self.back_offs.values().copied();
        let active = self.state.control == Control::Active;
        let delays = delays.filter(|_| active).min();
        deadlines.flatten().chain(delays).chain(self.grace_ends).chain(self.phase_deadline()).min()
    }

    /// When the phase's time is up, if it has a timeout and its clock runs.
    fn phase_deadline(&self) -> Option<Millis> {
        let limit = self.config.timeouts.phase_ms?;
        let goes = self.awake && self.state.control == Control::Active;
        let runs = goes && self.state.clock_runs();
        let left = limit.saturating_sub(self.state.budget_ms);
        runs.then(|| self.state.last_up.saturating_add(left))
    }

    /// Does what is due.
    pub(super) fn fire(&mut self, now: Moment) {
        if self.phase_deadline().is_some_and(|deadline| deadline <= now.up) {
            let limit = self.config.timeouts.phase_ms.unwrap_or_default();
            let reason = format!("the phase took longer than {}", crate::duration_text(limit));
            self.request_pause(now, PauseCause::Timeout, reason);
        }
        if self.state.control == Control::Active {
            let over = |(_, end): &(&TaskId, &Millis)| **end <= now.up;
            let over: Vec<TaskId> =
                self.back_offs.iter().filter(over).map(|(task, _)| task.clone()).collect();
            for task in over {
                self.back_offs.remove(&task);
                self.emit(now, Event::BackOffEnded { task });
            }
        }
        if self.grace_ends.is_some_and(|end| end <= now.up) {
            self.grace_ends = None;
            self.stop_all(now);
        }
        self.fire_flights(now);
    }

    fn fire_flights(&mut self, now: Moment) {
        let due = |at: Option<Millis>| at.is_some_and(|at| at <= now.up);
        let late = |(_, flight): &(&Job, &Flight)| due(flight.deadline());
        let late: Vec<Job> =
            self.in_flight.iter().filter(late).map(|(job, _)| job.clone()).collect();
        for job in late {
            let after = self.time_of(&job);
            self.stop_job(now, &job, Why::Timeout(after));
        }
        let gone = |(_, flight): &(&Job, &Flight)| due(flight.given_up_at);
        let gone: Vec<Job> =
            self.in_flight.iter().filter(gone).map(|(job, _)| job.clone()).collect();
        for job in gone {
            // It does not stop: its lease is fenced, and whatever it says is stale.
            self.ended_early(now, &job, AccessRecord::default(), Vec::new());
        }
    }

    /// How long the work may take.
    fn time_of(&self, job: &Job) -> Millis {
        let timeouts = self.config.timeouts;
        match job {
            Job::Task(task) => match self.state.task(task).map(|record| &record.state) {
                Some(TaskState::Validating) => timeouts.validation_ms,
                _ => {
                    let own = self.plan_task(task).and_then(|definition| definition.timeout);
                    own.map_or(timeouts.attempt_ms, |own| {
                        u64::try_from(own.as_millis()).unwrap_or(u64::MAX)
                    })
                }
            },
            Job::Phase(_) | Job::State => timeouts.validation_ms,
        }
    }

    /// Asks the world for something.
    pub(super) fn start(&mut self, job: Job, epoch: Epoch, effect: Effect) {
        let flight = Flight { epoch, left: None, stopped: None, given_up_at: None };
        self.in_flight.insert(job, flight);
        self.effects.push_back(effect);
    }

    /// The work begins, and so does its time.
    pub(super) fn start_clock(&mut self, now: Moment, job: &Job) {
        let time = self.time_of(job);
        let asks = matches!(job, Job::Task(task) if self.waits_for_person(task));
        if let Some(flight) = self.in_flight.get_mut(job) {
            let running = if asks { Running::Stands } else { Running::Since(now.up) };
            flight.left = Some((time, running));
        }
    }

    /// A task's agent waits for a person, or no longer does.
    pub(super) fn hold_clock(&mut self, now: Moment, task: &TaskId, hold: bool) {
        if !hold && self.waits_for_person(task) {
            return;
        }
        let Some(flight) = self.in_flight.get_mut(&Job::Task(task.clone())) else {
            return;
        };
        flight.left = flight.left.map(|(left, running)| match (running, hold) {
            (Running::Since(since), true) => {
                (left.saturating_sub(now.up.saturating_sub(since)), Running::Stands)
            }
            (Running::Stands, false) => (left, Running::Since(now.up)),
            (running, _) => (left, running),
        });
    }

    fn waits_for_person(&self, task: &TaskId) -> bool {
        let about = |prompt: &Prompt| matches!(&prompt.subject, Subject::Agent { task: asks, .. } if asks == task);
        self.state.prompts.iter().any(about)
    }

    /// Tells everything that is under way to stop, but what changes the base.
    pub(super) fn stop_all(&mut self, now: Moment) {
        let why = match self.state.control {
            Control::Cancelling(_) => Why::Cancel,
            _ => Why::Pause,
        };
        let jobs: Vec<Job> = self.in_flight.keys().cloned().collect();
        for job in jobs {
            self.stop_job(now, &job, why);
        }
    }

    fn stop_job(&mut self, now: Moment, job: &Job, why: Why) {
        let lease_of = |epoch| match job {
            Job::Task(task) => match self.state.task(task)?.state {
                TaskState::Integrating => None,
                _ => Some(Lease::Task { task: task.clone(), epoch }),
            },
            Job::Phase(role) => Some(Lease::Phase { role: *role, epoch }),
            Job::State => None,
        };
        let Some(lease) = self.in_flight.get(job).and_then(|flight| lease_of(flight.epoch)) else {
            return;
        };
        let Some(flight) = self.in_flight.get_mut(job) else {
            return;
        };
        if flight.stopped.is_none() {
            flight.stopped = Some(why);
            flight.given_up_at = Some(now.up.saturating_add(self.config.timeouts.stop_ms));
            self.effects.push_back(Effect::Stop { lease });
        }
    }

    /// Work that was told to stop has ended, or is given up.
    pub(super) fn ended_early(
        &mut self,
        now: Moment,
        job: &Job,
        record: AccessRecord,
        log: Vec<crate::LogLine>,
    ) {
        let Some(why) = self.in_flight.remove(job).and_then(|flight| flight.stopped) else {
            return;
        };
        match job {
            Job::Task(task) => self.task_ended_early(now, task, why, record, log),
            Job::Phase(role) => {
                if let Why::Timeout(after_ms) = why {
                    self.check_failed(now, *role, Trouble::Timeout { after_ms, of: *role });
                }
            }
            Job::State => {}
        }
    }

    fn task_ended_early(
        &mut self,
        now: Moment,
        task: &TaskId,
        why: Why,
        record: AccessRecord,
        log: Vec<crate::LogLine>,
    ) {
        self.withdraw_questions(now, task);
        let Some(before) = self.state.task(task) else {
            return;
        };
        let (attempt, epoch) = (before.attempt, before.epoch);
        let validates = before.state == TaskState::Validating;
        let task = task.clone();
        match why {
            Why::Timeout(after_ms) => {
                let of = if validates { Role::Validator } else { Role::Builder };
                self.attempt_failed(now, &task, Trouble::Timeout { after_ms, of }, record, log);
            }
            Why::Pause | Why::Cancel if validates => {
                self.emit(now, Event::ValidationInterrupted { task, epoch });
            }
            Why::Pause | Why::Cancel => {
                let cause =
                    if why == Why::Pause { Interruption::Pause } else { Interruption::Cancel };
                self.emit(now, Event::AttemptInterrupted { task, attempt, epoch, cause });
            }
        }
    }
}
