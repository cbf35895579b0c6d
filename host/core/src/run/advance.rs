//! What a run does next, by itself.
//!
//! Invariant: each rule looks at the state and at what is in flight, and nothing else, so
//! a recovered run goes on exactly where a running one would.

use super::{Control, Job, Run, TaskState};
use crate::{
    AgentBinding, CheckpointAt, Effect, ErrorCode, Event, Grants, Mode, Moment, PauseCause,
    Refusal, Refused, Role, RunOutcome, Scope, TaskId, Verdict, WorkflowStep, next_batch,
};

impl Run {
    pub(super) fn enter(&mut self, now: Moment, step: WorkflowStep) {
        self.emit(now, Event::StepEntered { step });
    }

    /// Goes on as far as possible without the world.
    pub(super) fn advance(&mut self, now: Moment) {
        while self.advance_once(now) {}
    }

    /// Applies one rule; whether one applied.
    fn advance_once(&mut self, now: Moment) -> bool {
        match &self.state.control {
            Control::Paused(..) | Control::Finished(_) => return false,
            Control::Active | Control::PauseRequested(..) if !self.awake => return false,
            Control::PauseRequested(cause, reason) => {
                let (cause, reason) = (*cause, reason.clone());
                return self.come_to_rest(now, cause, reason);
            }
            Control::Cancelling(reason) => {
                let reason = reason.clone();
                return self.come_to_end(now, reason);
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
            Some(WorkflowStep::ExecutionLoop) => self.advance_tasks(now),
            Some(WorkflowStep::CrossPhaseValidation) => {
                self.check_phase(now, Role::IntegrationChecker)
            }
            Some(WorkflowStep::FinalValidation) => self.check_phase(now, Role::Verifier),
            Some(WorkflowStep::UpdateState) => self.record_completion(now),
            Some(WorkflowStep::Report) => {
                self.finish(now, RunOutcome::Completed);
                true
            }
            _ => false,
        }
    }

    fn record_completion(&mut self, now: Moment) -> bool {
        if !self.in_flight.contains_key(&Job::State) {
            let document = self.document(now, "completed");
            self.start(Job::State, 0, Effect::WriteState { document });
        }
        false
    }

    fn check_phase(&mut self, now: Moment, role: Role) -> bool {
        let job = Job::Phase(role);
        if self.in_flight.contains_key(&job) {
            return false;
        }
        let epoch = self.next_phase_epoch();
        let checker = self.config.checker(role);
        let agent = checker.map_or(role.as_str(), |agent| &agent.name).to_owned();
        let ceiling = checker.and_then(AgentBinding::bounds);
        let (plan, never) = (self.plan.digest, self.config.governance().never());
        let scope = Scope::Checks { plan, never: never.clone(), ceiling: ceiling.clone() };
        self.emit(now, Event::PhaseCheckStarted { role, epoch, agent, scope });
        self.start(job.clone(), epoch, Effect::CheckPhase { role, epoch, never, ceiling });
        self.start_clock(now, &job);
        true
    }

    /// Lets what is under way end, then rests.
    fn come_to_rest(&mut self, now: Moment, cause: PauseCause, reason: String) -> bool {
        if self.finish_what_cannot_wait(now) {
            return true;
        }
        if self.in_flight.is_empty() {
            self.grace_ends = None;
            self.emit(now, Event::RunPaused { cause, reason });
        }
        false
    }

    /// Lets what was told to stop end, then ends.
    fn come_to_end(&mut self, now: Moment, reason: String) -> bool {
        if self.finish_what_cannot_wait(now) {
            return true;
        }
        if self.in_flight.is_empty() {
            match self.stuck.clone() {
                // Only the next start can bring the base into one state.
                Some((cause, reason)) => self.emit(now, Event::RunPaused { cause, reason }),
                None => {
                    // The host may have died before it withdrew them.
                    self.withdraw_prompts(now);
                    self.finish(now, RunOutcome::Cancelled { reason });
                }
            }
        }
        false
    }

    /// Completion that is recorded, and a base between two states, are no places to rest at.
    /// Whether something was done about it.
    fn finish_what_cannot_wait(&mut self, now: Moment) -> bool {
        if self.state.step == Some(WorkflowStep::Report) {
            self.finish(now, RunOutcome::Completed);
            return true;
        }
        self.stuck.is_none() && self.integrating().is_some_and(|number| self.integrate(number))
    }

    /// The task whose change-set is being applied to the base: one at a time.
    pub(super) fn integrating(&self) -> Option<usize> {
        let mut under_way = self.state.sets.under_way.iter().copied();
        under_way.find(|&number| self.state.tasks[number].state == TaskState::Integrating)
    }

    fn advance_tasks(&mut self, now: Moment) -> bool {
        let parked: Vec<usize> = self.state.sets.parked.iter().copied().collect();
        if parked.into_iter().any(|number| self.decide(now, number)) {
            return true;
        }
        if self.state.control != Control::Active {
            return true;
        }
        // Behind a checkpoint that was not passed nothing starts, not even another attempt.
        let open = self.state.sets.unpassed.is_empty();
        let batch = if open { self.state.batch.clone() } else { Vec::new() };
        if batch.iter().any(|task| self.advance_ready(now, task)) {
            return true;
        }
        let under_way: Vec<usize> = self.state.sets.under_way.iter().copied().collect();
        if under_way.iter().any(|&number| self.advance_task(now, number)) {
            return true;
        }
        if self.state.sets.under_way.is_empty() { self.after_batch(now) } else { false }
    }

    /// Goes on with a task of the batch that waits for its attempt.
    fn advance_ready(&mut self, now: Moment, task: &TaskId) -> bool {
        let Some(record) = self.state.task(task) else {
            return false;
        };
        if !matches!(record.state, TaskState::Ready | TaskState::Conflicted) {
            return false;
        }
        let checkpoint = self.plan_task(task).and_then(|definition| definition.checkpoint);
        match checkpoint {
            Some(checkpoint) if checkpoint.at == CheckpointAt::Before && !record.passed => {
                self.at_checkpoint(now, task, checkpoint)
            }
            _ => self.lease(now, task),
        }
    }

    /// Goes on with a task that is under way.
    fn advance_task(&mut self, now: Moment, number: usize) -> bool {
        let task = self.state.graph.id(number).clone();
        match self.state.tasks[number].state {
            TaskState::Sealed => self.validate(now, &task),
            TaskState::Judging => self.reject(now, &task) || self.ask_judgement(now, &task),
            TaskState::Accepted => self.settle_accepted(now, number),
            TaskState::Integrating => self.integrate(number),
            _ => false,
        }
    }

    fn lease(&mut self, now: Moment, task: &TaskId) -> bool {
        let (Some(record), Some(definition)) = (self.state.task(task), self.plan_task(task)) else {
            return false;
        };
        let (attempt, epoch) = (record.attempt + 1, record.epoch + 1);
        let feedback = record.latest.as_ref().map(|latest| latest.feedback.clone());
        let feedback = feedback.unwrap_or_default();
        let agent = definition.agent.clone();
        let ceiling = self.config.agent(&agent).and_then(AgentBinding::bounds);
        let grants = self.config.governance().narrowed(definition.grants());
        let grants = Grants { ceiling, ..grants };
        let refusal = self.is_within(definition, &grants).err();
        let task = task.clone();
        if let Some(why) = refusal {
            self.refuse(now, task, crate::Actor::Builder, why);
            return true;
        }
        self.emit(
            now,
            Event::LeaseGranted {
                task: task.clone(),
                attempt,
                epoch,
                agent: agent.clone(),
                grants: grants.clone(),
            },
        );
        let build = Effect::Build { task: task.clone(), attempt, epoch, feedback, agent, grants };
        self.start(Job::Task(task), epoch, build);
        true
    }

    fn refuse(&mut self, now: Moment, task: TaskId, to: crate::Actor, why: Refusal) {
        let reason = why.to_string();
        let refused = Refused { to, task: Some(task.clone()), why };
        self.emit(now, Event::DelegationRefused { refused });
        self.give_up(now, &task, ErrorCode::E002, reason);
    }

    fn validate(&mut self, now: Moment, task: &TaskId) -> bool {
        let job = Job::Task(task.clone());
        if self.in_flight.contains_key(&job) {
            return false;
        }
        let (Some(record), Some(definition)) = (self.state.task(task), self.plan_task(task)) else {
            return false;
        };
        let Some(change_set) = record.change_set() else {
            return false;
        };
        let (attempt, epoch) = (record.attempt, record.epoch + 1);
        let task = task.clone();
        let all_judged = definition.accept.iter().all(|criterion| criterion.is_judged());
        let may_break = || record.latest.as_ref().is_some_and(|latest| self.may_break(latest));
        if !definition.accept.is_empty() && all_judged && !may_break() {
            let (examination, record) = Default::default();
            let epoch = epoch - 1;
            let event = Event::CandidateExamined { task, epoch, change_set, examination, record };
            self.emit(now, event);
            return true;
        }
        let checker = self.config.checker(Role::Validator);
        let ceiling = checker.and_then(AgentBinding::bounds);
        let grants = self.config.governance().narrowed(definition.validation_grants());
        let grants = Grants { ceiling, ..grants };
        if let Err(why) = self.is_within(definition, &grants) {
            self.refuse(now, task, crate::Actor::LowValidator, why);
            return true;
        }
        let agent = checker.map_or(Role::Validator.as_str(), |agent| &agent.name).to_owned();
        self.emit(
            now,
            Event::ValidationStarted {
                task: task.clone(),
                epoch,
                change_set,
                agent,
                grants: grants.clone(),
            },
        );
        self.start(
            job.clone(),
            epoch,
            Effect::Validate { task, attempt, epoch, change_set, grants },
        );
        self.start_clock(now, &job);
        true
    }

    /// Asks for an integration that is recorded as begun, if that is not asked already.
    fn integrate(&mut self, number: usize) -> bool {
        let task = self.state.graph.id(number).clone();
        let record = &self.state.tasks[number];
        let job = Job::Task(task.clone());
        let (Some(change_set), epoch) = (record.change_set(), record.epoch) else {
            return false;
        };
        if self.in_flight.contains_key(&job) {
            return false;
        }
        self.start(job, epoch, Effect::Integrate { task, epoch, change_set });
        true
    }

    /// Integrates an accepted candidate if it is its turn and it is still current.
    fn settle_accepted(&mut self, now: Moment, number: usize) -> bool {
        if self.integrating().is_some() {
            return false;
        }
        let task = self.state.graph.id(number).clone();
        if self.withdraw_if_stale(now, &task) || self.outdate_if_stale(now, &task) {
            return true;
        }
        let record = &self.state.tasks[number];
        let (Some(change_set), epoch) = (record.change_set(), record.epoch) else {
            return false;
        };
        self.emit(now, Event::IntegrationStarted { task, epoch, change_set });
        self.integrate(number);
        true
    }

    /// The batch is over: checkpoints, then the next one.
    fn after_batch(&mut self, now: Moment) -> bool {
        if let Some(&number) = self.state.sets.unpassed.first() {
            let task = self.state.graph.id(number).clone();
            if let Some(checkpoint) = self.plan.tasks[number].checkpoint {
                return self.at_checkpoint(now, &task, checkpoint) || self.rest_if_unattended(now);
            }
        }
        self.next_batch(now)
    }

    fn next_batch(&mut self, now: Moment) -> bool {
        let ready = self.state.sets.ready.iter().map(|&number| &self.plan.tasks[number]);
        let tasks = next_batch(ready, self.config.batch_size as usize);
        if tasks.is_empty() {
            if !self.state.sets.backing_off.is_empty() {
                return false;
            }
            if !self.state.prompts.is_empty() {
                return self.rest_if_unattended(now);
            }
            self.leave_execution(now);
            return true;
        }
        if self.config.mode == Mode::Interactive && !self.state.batch_passed {
            return self.open_batch_prompt(now, &tasks) || self.rest_if_unattended(now);
        }
        let batch = self.state.batches + 1;
        self.emit(now, Event::BatchStarted { batch, tasks });
        true
    }

    /// Nothing is left to do but what a person decides, and nobody is there.
    fn rest_if_unattended(&mut self, now: Moment) -> bool {
        let nobody = self.unattended || self.config.mode == Mode::Auto;
        let works = !self.in_flight.is_empty() || !self.state.sets.backing_off.is_empty();
        let Some(prompt) = self.state.prompts.front() else {
            return false;
        };
        if !nobody || works {
            return false;
        }
        let reason = format!("prompt {} waits for an answer", prompt.id);
        self.request_pause(now, PauseCause::User, reason);
        true
    }

    fn leave_execution(&mut self, now: Moment) {
        if self.state.completed.len() == self.plan.tasks.len() {
            self.enter(now, WorkflowStep::CrossPhaseValidation);
            return;
        }
        let failed = self.state.failed.first().and_then(|id| self.state.graph.number(id));
        let first = failed.or_else(|| self.state.sets.troubled.first().copied());
        let Some(record) = first.map(|number| &self.state.tasks[number]) else {
            let reason = "the tasks that are left wait for what is not in the plan, or for \
                          each other"
                .to_owned();
            self.finish(now, RunOutcome::Failed { code: ErrorCode::E003, reason });
            return;
        };
        let id = first.map_or("", |number| self.state.graph.id(number).as_str());
        let (code, why) = super::decide::last_word(record);
        let reason = match &record.state {
            TaskState::Skipped(_) => format!("task {id} was skipped"),
            _ => format!("task {id}: {why}"),
        };
        self.finish(now, RunOutcome::Failed { code, reason });
    }

    pub(super) fn phase_judged(&mut self, now: Moment, role: Role, verdict: Verdict) {
        match (role, verdict) {
            (Role::IntegrationChecker, Verdict::Pass) => {
                self.enter(now, WorkflowStep::FinalValidation);
            }
            (_, Verdict::Pass) => self.enter(now, WorkflowStep::UpdateState),
            (role, _) => {
                let reason = format!("the {role} found what does not hold");
                self.finish(now, RunOutcome::Failed { code: ErrorCode::E005, reason });
            }
        }
    }

    pub(super) fn finish(&mut self, now: Moment, outcome: RunOutcome) {
        self.grace_ends = None;
        self.emit(now, Event::RunFinished { outcome });
    }
}
