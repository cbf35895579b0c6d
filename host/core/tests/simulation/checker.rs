//! What must hold, told by somebody who only reads the journal and the effects.
//!
//! Invariant: the checker knows nothing of the run's own state; it keeps its own book.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{
    Digest, Effect, Epoch, Event, EvidenceId, Mode, PauseCause, Plan, Role, RunConfig, RunOutcome,
    StateDocument, Subject, TaskId, Trouble, Verdict, WorkflowStep,
};

use crate::world::World;

/// Where a task stands, by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Idle,
    Building,
    Sealed,
    Accepted,
    Integrating,
    Asking,
    Succeeded,
    Failed,
    Skipped,
}

#[derive(Debug)]
struct Account {
    at: At,
    epoch: Epoch,
    attempt: u32,
    change_set: Option<Digest>,
    /// Failures that count, since the last time it got a fresh start.
    failures: u32,
    conflicts: u32,
    last: Option<Trouble>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Active,
    Pausing,
    Paused(PauseCause),
    Failed,
    Completed,
}

pub(crate) struct Checker {
    plan: Plan,
    config: RunConfig,
    accounts: BTreeMap<TaskId, Account>,
    control: Control,
    step: Option<WorkflowStep>,
    batch: Vec<TaskId>,
    batches: u32,
    completed: Vec<TaskId>,
    /// Whether a person let the next batch go.
    go_ahead: bool,
    /// The open prompts.
    prompts: BTreeMap<u32, Subject>,
    last_prompt: u32,
    /// Which phase-wide checks passed since the run was last taken up.
    judged: BTreeSet<Role>,
    /// The trial on whose strength a candidate was accepted.
    pub(crate) verdicts: BTreeMap<Digest, EvidenceId>,
    /// Under which epoch each task is being worked on, in this life of the host.
    live: BTreeMap<TaskId, Epoch>,
    live_checks: BTreeSet<Role>,
    started: bool,
    /// Whether the plan's prerequisites were met when they were last looked up.
    met: bool,
}

impl Checker {
    pub(crate) fn new(plan: &Plan, config: &RunConfig) -> Self {
        let account = || Account {
            at: At::Idle,
            epoch: 0,
            attempt: 0,
            change_set: None,
            failures: 0,
            conflicts: 0,
            last: None,
        };
        Self {
            accounts: plan.tasks.iter().map(|task| (task.id.clone(), account())).collect(),
            plan: plan.clone(),
            config: config.clone(),
            control: Control::Active,
            step: None,
            batch: Vec::new(),
            batches: 0,
            completed: Vec::new(),
            go_ahead: true,
            prompts: BTreeMap::new(),
            last_prompt: 0,
            judged: BTreeSet::new(),
            verdicts: BTreeMap::new(),
            live: BTreeMap::new(),
            live_checks: BTreeSet::new(),
            started: false,
            met: false,
        }
    }

    /// The host died, or disowned what it had asked for.
    pub(crate) fn crash(&mut self) {
        self.live.clear();
        self.live_checks.clear();
    }

    /// The newest prompt there was.
    pub(crate) fn last_prompt(&self) -> u32 {
        self.last_prompt
    }

    pub(crate) fn completed(&self) -> &[TaskId] {
        &self.completed
    }

    fn at(&self, task: &TaskId) -> At {
        self.accounts[task].at
    }

    /// The account of a task that must stand there, under that epoch.
    #[track_caller]
    fn account(&mut self, task: &TaskId, expected: &[At], epoch: Option<Epoch>) -> &mut Account {
        let account = self.accounts.get_mut(task).expect("a task of the plan");
        assert!(expected.contains(&account.at), "{task} is {:?}, not {expected:?}", account.at);
        if let Some(epoch) = epoch {
            assert_eq!(account.epoch, epoch, "{task}: something of a stale epoch was accepted");
        }
        account
    }

    /// Takes note of a durable event.
    pub(crate) fn event(&mut self, event: &Event, world: &World) {
        assert_eq!(self.started, !matches!(event, Event::RunStarted { .. }), "{event:?}");
        match event {
            Event::RunStarted { .. } => self.started = true,
            Event::StepEntered { step } => self.step_entered(*step),
            Event::PlanValidated { prerequisites } => {
                assert_eq!(self.step, Some(WorkflowStep::ValidatePlan));
                self.met = prerequisites.iter().all(|phase| phase.completed_by.is_some());
            }
            Event::BatchStarted { batch, tasks } => self.batch_started(*batch, tasks),
            Event::IntegrationJudged { judgement, .. } => {
                assert_eq!(self.step, Some(WorkflowStep::CrossPhaseValidation));
                self.phase_judged(Role::IntegrationChecker, judgement.verdict);
            }
            Event::PhaseJudged { judgement, .. } => {
                assert_eq!(self.step, Some(WorkflowStep::FinalValidation));
                self.phase_judged(Role::Verifier, judgement.verdict);
            }
            Event::PhaseCheckFailed { role, .. } => {
                self.live_checks.remove(role);
            }
            Event::PauseRequested { .. } => {
                assert_eq!(self.control, Control::Active);
                self.control = Control::Pausing;
            }
            Event::RunPaused { cause, .. } => {
                assert_eq!(self.control, Control::Pausing);
                assert_eq!(self.live, BTreeMap::new(), "it rests while somebody works");
                assert!(self.live_checks.is_empty(), "it rests while somebody checks");
                let half = self.accounts.values().find(|account| account.at == At::Integrating);
                assert!(half.is_none(), "it rests while the base is between two states");
                self.control = Control::Paused(*cause);
            }
            Event::RunResumed => self.resumed(),
            Event::RunFinished { outcome } => self.finished(outcome),
            Event::PromptOpened { prompt } => {
                assert_eq!(self.config.mode, Mode::Interactive, "auto mode asks nothing");
                assert!(prompt.id > self.last_prompt && !prompt.options.is_empty());
                self.last_prompt = prompt.id;
                self.prompts.insert(prompt.id, prompt.subject.clone());
                if let Subject::Blocker { task } = &prompt.subject {
                    self.account(task, &[At::Idle], None).at = At::Asking;
                }
            }
            Event::PromptAnswered { prompt, choice } => self.prompt_closed(*prompt, Some(choice)),
            Event::PromptWithdrawn { prompt } => self.prompt_closed(*prompt, None),
            Event::QuestionDeclined { .. } | Event::StaleAnswer { .. } => {}
            _ => self.task_event(event, world),
        }
    }

    fn task_event(&mut self, event: &Event, world: &World) {
        match event {
            Event::AttemptStarted { task, attempt, epoch } => {
                assert_eq!(self.control, Control::Active, "it rests, or is about to");
                assert!(self.batch.contains(task), "{task} is not in the batch");
                self.check_ready(task);
                let account = self.account(task, &[At::Idle], None);
                assert!(*epoch > account.epoch && *attempt > account.attempt);
                (account.epoch, account.attempt, account.at) = (*epoch, *attempt, At::Building);
            }
            Event::AttemptSealed { task, epoch, sealed, .. } => {
                let candidate = &world.candidates[&sealed.change_set];
                assert_eq!(
                    (&candidate.task, candidate.epoch),
                    (task, *epoch),
                    "another's candidate"
                );
                let account = self.account(task, &[At::Building], Some(*epoch));
                account.at = At::Sealed;
                account.change_set = Some(sealed.change_set);
                self.live.remove(task);
            }
            Event::CandidateJudged { task, epoch, change_set, examination, judgement, .. } => {
                let id = &examination.evidence[0].id;
                let trial = &world.trials[id];
                assert_eq!(
                    (trial.epoch, trial.change_set),
                    (*epoch, *change_set),
                    "a stale verdict"
                );
                let passed = judgement.verdict == Verdict::Pass;
                assert_eq!(passed, trial.good, "{task}: {examination:?}");
                let account = self.account(task, &[At::Sealed], Some(*epoch));
                assert_eq!(account.change_set, Some(*change_set));
                if passed {
                    account.at = At::Accepted;
                    self.verdicts.insert(*change_set, id.clone());
                }
                self.live.remove(task);
            }
            Event::JudgementOutdated { task, by, .. } => {
                assert_eq!(self.at(by), At::Succeeded);
                self.account(task, &[At::Sealed, At::Accepted], None).at = At::Sealed;
                self.live.remove(task);
            }
            Event::LeaseRenewed { task, epoch } => {
                let account =
                    self.account(task, &[At::Sealed, At::Accepted, At::Integrating], None);
                assert!(*epoch > account.epoch);
                account.epoch = *epoch;
            }
            Event::IntegrationStarted { task, epoch, change_set } => {
                assert_eq!(self.control, Control::Active, "it rests, or is about to");
                let integrating =
                    self.accounts.values().filter(|other| other.at == At::Integrating);
                assert_eq!(integrating.count(), 0, "one at a time");
                let account = self.account(task, &[At::Accepted], Some(*epoch));
                assert_eq!(account.change_set, Some(*change_set));
                account.at = At::Integrating;
            }
            Event::TaskSucceeded { task, epoch, .. } => self.task_succeeded(task, *epoch, world),
            _ => self.task_trouble(event, world),
        }
    }

    fn task_succeeded(&mut self, task: &TaskId, epoch: Epoch, world: &World) {
        let account = self.account(task, &[At::Integrating], Some(epoch));
        account.at = At::Succeeded;
        let change_set = account.change_set.expect("a candidate");
        assert!(world.applied.contains(&change_set), "{task} is called done and is not");
        assert!(!self.completed.contains(task), "{task} is done twice");
        self.completed.push(task.clone());
        self.live.remove(task);
    }

    fn task_trouble(&mut self, event: &Event, world: &World) {
        match event {
            Event::AttemptFailed { task, epoch, trouble, .. } => {
                let under_way = [At::Building, At::Sealed, At::Accepted, At::Integrating];
                let account = self.account(task, &under_way, Some(*epoch));
                account.at = At::Idle;
                if let Some(change_set) = account.change_set.take() {
                    assert!(
                        !world.begun.contains(&change_set),
                        "{task}: half of it is in the base"
                    );
                }
                match trouble {
                    Trouble::Conflict { .. } => account.conflicts += 1,
                    _ => account.failures += 1,
                }
                account.last = Some(trouble.clone());
                self.live.remove(task);
            }
            Event::AttemptInterrupted { task, epoch, .. } => {
                self.account(task, &[At::Building], Some(*epoch)).at = At::Idle;
            }
            Event::TaskFailed { task, .. } => {
                let retries = self.plan.task(task).expect("a task of the plan").retries;
                let account = self.account(task, &[At::Idle], None);
                let last = account.last.as_ref().expect("a trouble");
                let exhausted = match last {
                    Trouble::Conflict { .. } => account.conflicts > 16,
                    _ => account.failures > retries || !last.is_retryable(),
                };
                assert!(exhausted, "{task} is given up too early");
                account.at = At::Failed;
            }
            Event::TaskSkipped { task, because } => {
                assert_eq!(self.at(because), At::Failed);
                self.account(task, &[At::Idle], None).at = At::Skipped;
            }
            other => panic!("an event that the checker does not know: {other:?}"),
        }
    }

    fn check_ready(&self, task: &TaskId) {
        let definition = self.plan.task(task).expect("a task of the plan");
        for other in &definition.depends_on {
            assert_eq!(self.at(other), At::Succeeded, "{task} needs {other}");
        }
    }

    fn step_entered(&mut self, step: WorkflowStep) {
        use WorkflowStep as W;
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
            assert_eq!(self.completed.len(), self.plan.tasks.len(), "{step:?} is too early");
        }
        self.step = Some(step);
    }

    fn batch_started(&mut self, batch: u32, tasks: &[TaskId]) {
        assert_eq!(self.control, Control::Active, "it rests, or is about to");
        assert_eq!(batch, self.batches + 1);
        assert!(self.between_batches(), "the batch before is not done");
        let size = self.config.batch_size.max(1) as usize;
        assert!((1..=size).contains(&tasks.len()), "{tasks:?}");
        if self.config.mode == Mode::Interactive {
            assert!(self.go_ahead, "nobody said that the next batch may start");
        }
        for (index, task) in tasks.iter().enumerate() {
            assert_eq!(self.at(task), At::Idle, "{task}");
            self.check_ready(task);
            let mine = &self.plan.task(task).expect("a task of the plan").writes;
            for other in &tasks[..index] {
                let theirs = &self.plan.task(other).expect("a task of the plan").writes;
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

    fn between_batches(&self) -> bool {
        let ended =
            |task: &TaskId| matches!(self.at(task), At::Succeeded | At::Failed | At::Skipped);
        self.batch.iter().all(ended)
    }

    fn phase_judged(&mut self, role: Role, verdict: Verdict) {
        self.live_checks.remove(&role);
        if verdict == Verdict::Pass {
            self.judged.insert(role);
        }
    }

    fn resumed(&mut self) {
        assert_ne!(self.control, Control::Completed, "what is completed stays completed");
        let rested = matches!(self.control, Control::Paused(PauseCause::User) | Control::Failed);
        self.control = Control::Active;
        self.judged.clear();
        for account in self.accounts.values_mut() {
            if matches!(account.at, At::Failed | At::Skipped) {
                account.at = At::Idle;
                account.failures = 0;
                account.conflicts = 0;
            }
        }
        self.go_ahead |= rested && self.between_batches();
    }

    fn finished(&mut self, outcome: &RunOutcome) {
        assert!(matches!(self.control, Control::Active | Control::Pausing));
        assert_eq!(self.live, BTreeMap::new(), "it ends while somebody works");
        assert_eq!(self.prompts, BTreeMap::new(), "it ends while somebody is asked");
        self.control = match outcome {
            RunOutcome::Completed => {
                assert_eq!(self.step, Some(WorkflowStep::Report));
                Control::Completed
            }
            RunOutcome::Failed { .. } => Control::Failed,
        };
    }

    fn prompt_closed(&mut self, prompt: u32, choice: Option<&String>) {
        match self.prompts.remove(&prompt).expect("an open prompt") {
            Subject::Checkpoint => self.go_ahead |= choice.is_some_and(|c| c == "continue"),
            Subject::Blocker { task } => self.account(&task, &[At::Asking], None).at = At::Idle,
            Subject::Agent { .. } => {}
        }
    }

    /// Takes note of an effect that is about to be started: all events are drained.
    pub(crate) fn effect(&mut self, effect: &Effect) {
        for subject in self.prompts.values() {
            if let Subject::Agent { task, epoch, .. } = subject {
                let account = &self.accounts[task];
                let at_work = matches!(account.at, At::Building | At::Sealed);
                assert!(at_work && account.epoch == *epoch, "{task}: nobody waits for the answer");
            }
        }
        match effect {
            Effect::Build { task, epoch, attempt, .. } => {
                let account = self.account(task, &[At::Building], Some(*epoch));
                assert_eq!(account.attempt, *attempt);
                self.lives(task, *epoch);
            }
            Effect::Validate { task, epoch, change_set, .. } => {
                let account = self.account(task, &[At::Sealed], Some(*epoch));
                assert_eq!(account.change_set, Some(*change_set));
                self.lives(task, *epoch);
            }
            Effect::Integrate { task, epoch, change_set } => {
                let account = self.account(task, &[At::Integrating], Some(*epoch));
                assert_eq!(account.change_set, Some(*change_set));
                self.lives(task, *epoch);
            }
            Effect::CheckPhase { role } => {
                assert_eq!(self.completed.len(), self.plan.tasks.len());
                assert!(self.live_checks.insert(*role), "{role} twice at once");
            }
            Effect::WriteState { document, .. } => self.document(document),
            Effect::Ask { .. } | Effect::Reply { .. } => {}
        }
    }

    fn lives(&mut self, task: &TaskId, epoch: Epoch) {
        let other = self.live.insert(task.clone(), epoch);
        assert_eq!(other, None, "{task} lives twice");
    }

    fn document(&self, document: &StateDocument) {
        let completed: Vec<&str> = self.completed.iter().map(TaskId::as_str).collect();
        assert_eq!(document.completed_tasks, completed, "each once, in order");
        let recorded = document.phase == "phase-1_completed";
        assert_eq!(recorded, document.status == "completed", "{document:?}");
        if recorded {
            assert!(self.step >= Some(WorkflowStep::UpdateState));
            assert!(self.judged.contains(&Role::Verifier), "nobody verified it");
        }
        let both = |task: &&String| document.blocked_tasks.contains(task);
        let twice = document.completed_tasks.iter().find(both);
        assert_eq!(twice, None, "completed, and blocked");
    }
}
