//! What must hold of the run as a whole: its steps, its rests, its plan, its rights.
//!
//! Invariant: as the checker's.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{
    Actor, AgentBinding, Effect, Event, PauseCause, Plan, Role, RunOutcome, Stamped, StateDocument,
    Task, TaskId, Verdict, WorkflowStep,
};

use super::clocks::Job;
use super::{Account, At, Checker, Control};
use crate::answers::phase_evidence;
use crate::world::World;

impl Checker {
    /// Whether it is one of these events.
    pub(super) fn run_event(&mut self, stamped: &Stamped) -> bool {
        match &stamped.event {
            Event::RunStarted { config, .. } => {
                assert_eq!(config, &self.config, "it says how it goes");
                (self.started, self.awake) = (true, true);
            }
            Event::StepEntered { step } => self.step_entered(*step),
            Event::PlanValidated { prerequisites, met, .. } => {
                assert_eq!(self.step, Some(WorkflowStep::ValidatePlan));
                self.awake = true;
                self.met = prerequisites.iter().all(|phase| phase.completed_by.is_some());
                assert_eq!(*met, self.met);
            }
            Event::Delegated { from, to, .. } => {
                if self.links == 3 {
                    self.links = 0;
                }
                assert_ne!(self.control, Control::Cancelling, "it is given up");
                assert_eq!(Actor::CHAIN[self.links], (*from, *to));
                self.links += 1;
            }
            Event::DelegationRefused { .. } => self.refusals += 1,
            Event::BatchStarted { batch, tasks } => self.batch_started(*batch, tasks),
            Event::PauseRequested { cause, reason } => {
                assert_eq!(self.control, Control::Active);
                assert!(self.awake, "nobody took it up");
                self.control = Control::Pausing;
                self.pause_since = Some(stamped.up);
                if *cause == PauseCause::Timeout
                    && reason.starts_with("the phase")
                    && !self.settling
                {
                    self.seen.insert("a phase that took too long");
                    let limit = self.config.timeouts.phase_ms.expect("a limit");
                    assert!(self.budget_now(stamped.up) >= limit, "the phase had time left");
                }
            }
            Event::RunPaused { cause, .. } => self.paused(*cause),
            Event::RunResumed { config } => {
                assert_eq!(config, &self.config, "it says how it goes from now on");
                self.resumed();
            }
            Event::CancelRequested { .. } => {
                let ended = [Control::Completed, Control::Cancelled, Control::Cancelling];
                assert!(!ended.contains(&self.control), "it ended");
                self.control = Control::Cancelling;
            }
            Event::RunFinished { outcome } => self.finished(outcome),
            event => return self.check_event(event),
        }
        true
    }

    fn check_event(&mut self, event: &Event) -> bool {
        match event {
            Event::PhaseCheckStarted { role, epoch, .. } => {
                self.goes();
                assert_eq!(self.links, 3, "{role}: nobody delegated that");
                assert!(*epoch > self.phase_epoch, "an epoch is used twice");
                assert_eq!(self.completed.len(), self.plan.tasks.len());
                self.phase_epoch = *epoch;
            }
            Event::PhaseCheckVoid { role, .. } => {
                assert_eq!(*role, Role::IntegrationChecker);
                self.phase_judged(*role, Verdict::Pass);
            }
            Event::IntegrationJudged { examination, judgement } => {
                assert_eq!(self.step, Some(WorkflowStep::CrossPhaseValidation));
                self.check_is_of_now(examination);
                self.phase_judged(Role::IntegrationChecker, judgement.verdict);
            }
            Event::PhaseJudged { examination, judgement } => {
                assert_eq!(self.step, Some(WorkflowStep::FinalValidation));
                self.check_is_of_now(examination);
                self.phase_judged(Role::Verifier, judgement.verdict);
            }
            Event::PhaseCheckFailed { role, trouble } => {
                let job = Job::Phase(*role);
                if matches!(trouble, idumb_core::Trouble::Timeout { .. }) {
                    self.check_timed_out(&job, self.last_up);
                }
                self.must_rest |= trouble.pauses().is_some();
                assert!(self.live.remove(&job).is_some(), "nobody checks");
            }
            _ => return false,
        }
        true
    }

    fn check_is_of_now(&self, examination: &idumb_core::Examination) {
        let id = &examination.evidence[0].id;
        assert_eq!(*id, phase_evidence(self.phase_epoch), "a check of a stale epoch counts");
        assert_ne!(self.control, Control::Cancelling, "it is given up");
    }

    fn phase_judged(&mut self, role: Role, verdict: Verdict) {
        assert!(self.live.remove(&Job::Phase(role)).is_some(), "nobody was asked to check");
        if verdict == Verdict::Pass {
            self.judged.insert(role);
        }
    }

    fn step_entered(&mut self, step: WorkflowStep) {
        use WorkflowStep as W;
        assert!(self.awake && !self.settling, "{step:?}: nobody took it up");
        let goes = [Control::Active, Control::Pausing, Control::Cancelling];
        assert!(goes.contains(&self.control), "{step:?}: it rests");
        let complete = self.completed.len() == self.plan.tasks.len();
        let legal = match step {
            W::ValidatePlan => self.step.is_none(),
            W::LoadExecutionState => self.step == Some(W::ValidatePlan) && self.met,
            W::PrepareBatches => self.step == Some(W::LoadExecutionState),
            W::ExecutionLoop => self.step == Some(W::PrepareBatches),
            W::CrossPhaseValidation => self.step >= Some(W::ExecutionLoop),
            W::FinalValidation => {
                self.step == Some(W::CrossPhaseValidation)
                    && self.judged.contains(&Role::IntegrationChecker)
            }
            W::UpdateState => {
                self.step == Some(W::FinalValidation) && self.judged.contains(&Role::Verifier)
            }
            W::Report => self.step == Some(W::UpdateState),
        };
        assert!(legal, "{step:?} after {:?}", self.step);
        if step > W::ExecutionLoop {
            assert!(complete, "{step:?} is too early");
            let unpassed = self.plan.tasks.iter().find(|task| self.stops_after(task));
            assert_eq!(unpassed.map(|task| &task.id), None, "a checkpoint was not passed");
        }
        if self.control == Control::Cancelling {
            assert_eq!(step, W::Report, "it is given up");
        }
        self.step = Some(step);
    }

    /// Whether nothing may start before somebody passes the checkpoint after this task.
    pub(super) fn stops_after(&self, task: &Task) -> bool {
        let account = &self.accounts[&task.id];
        let after = |stop: idumb_core::Checkpoint| stop.at == idumb_core::CheckpointAt::After;
        account.at == At::Succeeded && task.checkpoint.is_some_and(after) && !account.passed
    }

    fn batch_started(&mut self, batch: u32, tasks: &[TaskId]) {
        self.goes();
        assert_eq!(batch, self.batches + 1);
        assert!(!self.accounts.values().any(|account| account.at.is_under_way()), "too early");
        let size = self.config.batch_size.max(1) as usize;
        assert!((1..=size).contains(&tasks.len()), "{tasks:?}");
        if self.config.mode == idumb_core::Mode::Interactive {
            assert!(self.go_ahead, "nobody said that the next batch may start");
        }
        for (index, task) in tasks.iter().enumerate() {
            assert_eq!(self.at(task), At::Idle, "{task}");
            self.check_ready(task);
            let mine = &self.task(task).writes;
            for other in &tasks[..index] {
                let theirs = &self.task(other).writes;
                let both = |path: &&&str| {
                    let in_mine = mine.iter().any(|glob| glob.matches(path));
                    in_mine && theirs.iter().any(|glob| glob.matches(path))
                };
                assert_eq!(crate::case::PATHS.iter().find(both), None, "{task} and {other}");
            }
        }
        self.go_ahead = false;
        self.batches = batch;
        self.batch = tasks.to_vec();
    }

    fn paused(&mut self, cause: PauseCause) {
        let broke_off = self.control == Control::Cancelling && self.stuck;
        assert!(self.control == Control::Pausing || broke_off, "{:?}", self.control);
        self.checks_end();
        assert!(self.live.is_empty(), "it rests while somebody works: {:?}", self.live);
        let half = self.accounts.values().any(|account| account.at == At::Integrating);
        assert!(!half || self.stuck, "it rests while the base is between two states");
        if half {
            self.seen.insert("a rest with a broken integration");
        }
        self.control = Control::Paused(cause);
        self.pause_since = None;
        self.must_rest = false;
    }

    /// A check that was told to stop ends without a word.
    fn checks_end(&mut self) {
        let (heard, at_once) = (self.ended.clone(), self.config.timeouts.stop_ms == 0);
        self.live.retain(|job, live| {
            let stopped = live.stopped.is_some() || heard.as_ref() == Some(job) || at_once;
            !(matches!(job, Job::Phase(_)) && stopped)
        });
    }

    fn resumed(&mut self) {
        let over = [Control::Completed, Control::Cancelled];
        assert!(!over.contains(&self.control), "what is over stays over");
        let rested = match self.control {
            Control::Paused(cause) => cause == PauseCause::User,
            Control::Failed | Control::Refused => true,
            _ => false,
        };
        let over = |at| {
            matches!(at, At::Succeeded | At::Failed | At::Skipped | At::Cancelled | At::Parked(_))
        };
        let between = self.batch.iter().all(|task| over(self.accounts[task].at));
        let ended = matches!(self.control, Control::Failed | Control::Refused);
        let half = self.accounts.values().any(|account| account.at == At::Integrating);
        assert!(!(self.settling && ended) || half, "there was nothing to finish");
        self.go_ahead |= rested && between;
        self.disowned();
        (self.taking_up, self.awake) = (true, true);
        self.before = self.control;
        if self.control != Control::Cancelling {
            self.control = Control::Active;
        }
        self.judged.clear();
        self.refusals = 0;
    }

    fn finished(&mut self, outcome: &RunOutcome) {
        self.checks_end();
        assert!(self.live.is_empty(), "it ends while somebody works: {:?}", self.live);
        let going = matches!(self.control, Control::Active | Control::Pausing);
        self.control = match outcome {
            RunOutcome::Completed => {
                assert_eq!(self.step, Some(WorkflowStep::Report));
                assert_eq!(self.completed.len(), self.plan.tasks.len());
                Control::Completed
            }
            RunOutcome::Failed { .. } => {
                assert!(going, "it was given up, or is at rest");
                assert!(self.prompts.is_empty(), "it ends while somebody is asked");
                let open = self
                    .accounts
                    .values()
                    .any(|account| account.at.is_under_way() || account.at == At::BackOff);
                assert!(!open, "it fails while something can be done");
                Control::Failed
            }
            RunOutcome::Refused { .. } => {
                assert!(self.refusals > 0 && going, "nothing was refused");
                assert_eq!(self.links, 2, "what is refused is not handed on");
                Control::Refused
            }
            RunOutcome::Cancelled { .. } => {
                assert_eq!(self.control, Control::Cancelling);
                let half = self.accounts.values().any(|account| account.at == At::Integrating);
                assert!(!half, "given up while the base is between two states");
                assert!(self.prompts.is_empty(), "it ends while somebody is asked");
                for account in self.accounts.values_mut() {
                    if !matches!(account.at, At::Succeeded | At::Failed | At::Skipped) {
                        account.at = At::Cancelled;
                    }
                }
                Control::Cancelled
            }
        };
        self.pause_since = None;
        self.must_rest = false;
    }

    /// The run goes on with another plan. What stays must be all that can, and no more.
    pub(crate) fn replanned(&mut self, new: &Plan, event: &Event, world: &World) {
        let Event::Replanned { plan, kept, changed, .. } = event else {
            unreachable!("another plan is an event of its own");
        };
        assert_eq!(*plan, new.digest);
        let mut stays: BTreeSet<&TaskId> = BTreeSet::new();
        let mut gone: Vec<&str> = Vec::new();
        for id in &self.completed {
            let candidate = &world.candidates[&self.accounts[id].change_set.expect("a candidate")];
            let same = new.task(id).is_some_and(|task| same(task, self.task(id)));
            let needs = new
                .task(id)
                .is_some_and(|task| task.depends_on.iter().all(|other| stays.contains(other)));
            let read =
                candidate.looks.iter().any(|look| gone.iter().any(|path| look.is_changed_by(path)));
            if same && needs && !read {
                stays.insert(id);
            } else {
                gone.extend(candidate.writes.iter().map(|(path, _)| *path));
            }
        }
        assert_eq!(kept.iter().collect::<BTreeSet<_>>(), stays, "what is kept");
        assert_eq!(kept.len() + changed.len(), self.completed.len());
        for (what, seen) in [(kept.len(), "kept tasks"), (changed.len(), "dropped tasks")] {
            if what > 0 {
                self.seen.insert(seen);
            }
        }
        let mut accounts: BTreeMap<TaskId, Account> =
            self.accounts.iter().map(|(id, account)| (id.clone(), account.anew())).collect();
        for task in &new.tasks {
            accounts.entry(task.id.clone()).or_insert_with(Account::new);
        }
        accounts.extend(kept.iter().map(|id| (id.clone(), self.accounts[id].clone())));
        self.accounts = accounts;
        self.completed.retain(|id| kept.contains(id));
        self.step = self.step.min(Some(WorkflowStep::ExecutionLoop));
        self.failed.clear();
        self.batch.clear();
        self.prompts.clear();
        self.go_ahead = true;
        self.plan = new.clone();
    }

    /// Takes note of an effect that is about to be started: all events are drained.
    pub(crate) fn effect(&mut self, effect: &Effect, up: u64) {
        match effect {
            Effect::Build { task, epoch, attempt, grants, .. } => {
                let account = self.account(task, &[At::Leased], Some(*epoch));
                assert_eq!(account.attempt, *attempt);
                assert_eq!(grants.never, self.config.governance().never());
                self.lives(Job::Task(task.clone()), *epoch, None);
            }
            Effect::Validate { task, epoch, change_set, grants, .. } => {
                let account = self.account(task, &[At::Validating], Some(*epoch));
                assert_eq!(account.change_set, Some(*change_set));
                assert_eq!(grants.never, self.config.governance().never());
                self.lives(Job::Task(task.clone()), *epoch, Some(up));
            }
            Effect::Integrate { task, epoch, change_set } => {
                let account = self.account(task, &[At::Integrating], Some(*epoch));
                assert_eq!(account.change_set, Some(*change_set));
                self.lives(Job::Task(task.clone()), *epoch, None);
            }
            Effect::CheckPhase { role, epoch, never, ceiling } => {
                let checker = self.config.checker(*role);
                assert_eq!(*ceiling, checker.and_then(AgentBinding::bounds));
                assert_eq!(*epoch, self.phase_epoch);
                assert_eq!(*never, self.config.governance().never());
                self.lives(Job::Phase(*role), *epoch, Some(up));
            }
            Effect::WriteState { document } => {
                self.document(document);
                self.lives(Job::State, 0, None);
            }
            Effect::Stop { lease } => self.told_to_stop(lease, up),
            Effect::Ask { prompt } => {
                assert_eq!(self.prompts.get(&prompt.id), Some(prompt), "nobody asks that");
                self.asked.insert(prompt.id);
            }
            Effect::Reply { .. } => {}
        }
    }

    fn document(&self, document: &StateDocument) {
        let completed: Vec<&str> = self.completed.iter().map(TaskId::as_str).collect();
        assert_eq!(document.completed_tasks, completed, "each once, in order");
        assert_eq!(document.status, "completed");
        assert_eq!(document.phase, "phase-1_completed");
        assert_eq!(self.step, Some(WorkflowStep::UpdateState));
        assert!(self.judged.contains(&Role::Verifier), "nobody verified it");
        assert!(document.blocked_tasks.is_empty());
    }
}

/// Whether the two tell an agent, and who judges it, the same.
fn same(new: &Task, old: &Task) -> bool {
    (&new.description, &new.writes, &new.depends_on, &new.agent, new.accept.len())
        == (&old.description, &old.writes, &old.depends_on, &old.agent, old.accept.len())
        && new.accept.iter().zip(&old.accept).all(|(new, old)| new.kind == old.kind)
}
