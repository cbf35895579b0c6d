//! What a run does next, by itself.
//!
//! Invariant: each rule looks at the state and at what is in flight, and nothing else, so
//! a recovered run goes on exactly where a running one would.

use crate::run::{Control, Job, Run, TaskState};
use crate::{
    Effect, ErrorCode, Event, Millis, Mode, PauseCause, Prerequisite, Role, RunOutcome, TaskId,
    Verdict, WorkflowStep, next_batch,
};

impl Run {
    pub(super) fn begin(&mut self, now: Millis, prerequisites: Vec<Prerequisite>) {
        let validated = self.state.step > Some(WorkflowStep::ValidatePlan);
        if validated || self.state.control != Control::Active {
            return;
        }
        if !self.state.begun {
            self.start_run(now);
        }
        if self.state.step.is_none() {
            self.enter(now, WorkflowStep::ValidatePlan);
        }
        let unmet: Vec<String> = prerequisites
            .iter()
            .filter(|prerequisite| prerequisite.completed_by.is_none())
            .map(|prerequisite| prerequisite.phase.clone())
            .collect();
        self.emit(now, Event::PlanValidated { prerequisites });
        if unmet.is_empty() {
            self.enter(now, WorkflowStep::LoadExecutionState);
            return;
        }
        let reason = format!("phase {} is not completed", unmet.join(", phase "));
        let code = ErrorCode::E003;
        self.finish(now, RunOutcome::Failed { code, reason });
    }

    fn start_run(&mut self, now: Millis) {
        self.emit(
            now,
            Event::RunStarted {
                run: self.config.run.clone(),
                phase: self.plan.phase.to_string(),
                goal: self.plan.goal.clone(),
                plan: self.plan.digest,
                tasks: u32::try_from(self.plan.tasks.len()).unwrap_or(u32::MAX),
                mode: self.config.mode,
                batch_size: self.config.batch_size,
                timeout_ms: self.config.timeout_ms,
                agents: self.config.agents.clone(),
            },
        );
    }

    pub(super) fn enter(&mut self, now: Millis, step: WorkflowStep) {
        self.emit(now, Event::StepEntered { step });
    }

    /// Goes on as far as possible without the world.
    pub(super) fn advance(&mut self, now: Millis) {
        while self.advance_once(now) {}
        self.publish_state(now);
    }

    /// Applies one rule; whether one applied.
    fn advance_once(&mut self, now: Millis) -> bool {
        match &self.state.control {
            Control::Paused(..) | Control::Finished(_) => return false,
            Control::PauseRequested(cause, reason) => {
                let (cause, reason) = (*cause, reason.clone());
                return self.come_to_rest(now, cause, reason);
            }
            Control::Active => {}
        }
        match self.state.step {
            Some(WorkflowStep::LoadExecutionState) => {
                self.enter(now, WorkflowStep::PrepareBatches);
                true
            }
            Some(WorkflowStep::PrepareBatches) => {
                self.enter(now, WorkflowStep::ExecutionLoop);
                true
            }
            Some(WorkflowStep::ExecutionLoop) => self.advance_batch(now),
            Some(WorkflowStep::CrossPhaseValidation) => self.check_phase(Role::IntegrationChecker),
            Some(WorkflowStep::FinalValidation) => self.check_phase(Role::Verifier),
            Some(WorkflowStep::UpdateState) => self.record_completion(now),
            Some(WorkflowStep::Report) => {
                self.finish(now, RunOutcome::Completed);
                true
            }
            _ => false,
        }
    }

    fn record_completion(&mut self, now: Millis) -> bool {
        if !self.in_flight.contains(&Job::State) {
            let document = self.document(now, "completed");
            self.last_document = Some(document.clone());
            let wanted = true;
            self.start(Job::State, Effect::WriteState { document, wanted });
        }
        false
    }

    fn check_phase(&mut self, role: Role) -> bool {
        if !self.in_flight.contains(&Job::Phase(role)) {
            self.start(Job::Phase(role), Effect::CheckPhase { role });
        }
        false
    }

    /// Lets what is under way end, then rests.
    fn come_to_rest(&mut self, now: Millis, cause: PauseCause, reason: String) -> bool {
        if self.state.step == Some(WorkflowStep::Report) {
            // Completion is recorded: the end is the next safe point.
            self.finish(now, RunOutcome::Completed);
            return true;
        }
        // A candidate or an accepted one can wait as it is; a base between two states cannot.
        let integrating =
            |id: &&TaskId| self.state.task(id).is_some_and(|r| r.state == TaskState::Integrating);
        let unsettled: Vec<TaskId> = self.state.batch.iter().filter(integrating).cloned().collect();
        if unsettled.iter().any(|task| self.drive(task)) {
            return true;
        }
        if self.in_flight.is_empty() {
            self.emit(now, Event::RunPaused { cause, reason });
        }
        false
    }

    fn advance_batch(&mut self, now: Millis) -> bool {
        let batch = self.state.batch.clone();
        let mut busy = false;
        for task in &batch {
            let Some(record) = self.state.task(task) else {
                continue;
            };
            busy |= !record.state.is_terminal();
            match record.state {
                TaskState::Waiting => {
                    if !self.in_flight.contains(&Job::Task(task.clone())) {
                        self.lease(now, task);
                        return true;
                    }
                }
                TaskState::Accepted => {
                    if self.settle_accepted(now, task) {
                        return true;
                    }
                }
                _ => {
                    self.drive(task);
                }
            }
        }
        if busy { false } else { self.next_batch(now) }
    }

    /// Asks the world for what the task's state needs, if that is not asked already.
    /// Starts nothing new.
    fn drive(&mut self, task: &TaskId) -> bool {
        let job = Job::Task(task.clone());
        let Some(record) = self.state.task(task) else {
            return false;
        };
        let (Some(change_set), epoch, attempt) = (record.change_set, record.epoch, record.attempt)
        else {
            return false;
        };
        if self.in_flight.contains(&job) {
            return false;
        }
        let task = task.clone();
        match record.state {
            TaskState::Sealed => {
                self.start(job, Effect::Validate { task, attempt, epoch, change_set });
                true
            }
            TaskState::Integrating => {
                self.start(job, Effect::Integrate { task, epoch, change_set });
                true
            }
            _ => false,
        }
    }

    fn lease(&mut self, now: Millis, task: &TaskId) {
        let Some(record) = self.state.task(task) else {
            return;
        };
        let (attempt, epoch) = (record.attempt + 1, record.epoch + 1);
        let feedback = record.feedback.clone();
        self.emit(now, Event::AttemptStarted { task: task.clone(), attempt, epoch });
        let effect = Effect::Build { task: task.clone(), attempt, epoch, feedback };
        self.start(Job::Task(task.clone()), effect);
    }

    /// Integrates an accepted candidate if it is its turn and it is still current.
    fn settle_accepted(&mut self, now: Millis, task: &TaskId) -> bool {
        let integrating =
            |record: &crate::TaskRecord| matches!(record.state, TaskState::Integrating);
        if self.state.batch.iter().filter_map(|id| self.state.task(id)).any(integrating) {
            return false;
        }
        if self.withdraw_if_stale(now, task) || self.outdate_if_stale(now, task) {
            return true;
        }
        let Some(record) = self.state.task(task) else {
            return false;
        };
        let (Some(change_set), epoch) = (record.change_set, record.epoch) else {
            return false;
        };
        self.emit(now, Event::IntegrationStarted { task: task.clone(), epoch, change_set });
        let effect = Effect::Integrate { task: task.clone(), epoch, change_set };
        self.start(Job::Task(task.clone()), effect);
        true
    }

    fn next_batch(&mut self, now: Millis) -> bool {
        let done = |id: &TaskId| {
            self.state.task(id).is_some_and(|record| record.state == TaskState::Succeeded)
        };
        let ready = self.plan.tasks.iter().filter(|task| {
            let waiting =
                self.state.task(&task.id).is_some_and(|record| record.state == TaskState::Waiting);
            waiting && task.depends_on.iter().all(done)
        });
        let tasks = next_batch(ready, self.config.batch_size as usize);
        if tasks.is_empty() {
            self.leave_execution(now);
            return true;
        }
        if self.config.mode == Mode::Interactive && !self.state.checkpoint_passed {
            return self.open_checkpoint(now, &tasks);
        }
        let batch = self.state.batches + 1;
        self.emit(now, Event::BatchStarted { batch, tasks });
        true
    }

    fn leave_execution(&mut self, now: Millis) {
        let given_up = self.state.failed.first().and_then(|id| Some((id, self.state.task(id)?)));
        match given_up {
            None if self.state.completed.len() < self.plan.tasks.len() => {
                let reason = "the tasks that are left wait for what is not in the plan, or for \
                              each other"
                    .to_owned();
                let code = ErrorCode::E003;
                self.finish(now, RunOutcome::Failed { code, reason });
            }
            None => self.enter(now, WorkflowStep::CrossPhaseValidation),
            Some((id, record)) => {
                let code = match record.state {
                    TaskState::Failed(code) => code,
                    _ => ErrorCode::E002,
                };
                let why = record.trouble.as_ref().map_or_else(String::new, |t| format!(": {t}"));
                let reason = format!("task {id}{why}");
                self.finish(now, RunOutcome::Failed { code, reason });
            }
        }
    }

    pub(super) fn phase_judged(&mut self, now: Millis, role: Role, verdict: Verdict) {
        match (role, verdict) {
            (Role::IntegrationChecker, Verdict::Pass) => {
                self.enter(now, WorkflowStep::FinalValidation);
            }
            (_, Verdict::Pass) => {
                self.enter(now, WorkflowStep::UpdateState);
            }
            (role, _) => {
                let reason = format!("the {role} found what does not hold");
                self.finish(now, RunOutcome::Failed { code: ErrorCode::E005, reason });
            }
        }
    }

    pub(super) fn finish(&mut self, now: Millis, outcome: RunOutcome) {
        self.emit(now, Event::RunFinished { outcome });
    }

    /// Has the state document written whenever it says something new.
    fn publish_state(&mut self, now: Millis) {
        if self.state.step.is_none() || self.in_flight.contains(&Job::State) {
            return;
        }
        let status = match &self.state.control {
            Control::Finished(RunOutcome::Completed) => "completed",
            Control::Finished(RunOutcome::Failed { .. }) => "failed",
            Control::Paused(..) => "paused",
            Control::Active | Control::PauseRequested(..) => "in_progress",
        };
        let document = self.document(now, status);
        let same = self.last_document.as_ref().is_some_and(|last| last.says_the_same(&document));
        if !same {
            self.last_document = Some(document.clone());
            self.effects.push_back(Effect::WriteState { document, wanted: false });
        }
    }
}
