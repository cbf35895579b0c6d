//! The machine of a run: inputs in, events and effects out.
//!
//! Invariant: [`Run::poll_effect`] yields nothing while an event is undrained, so whoever
//! journals events before polling effects never acts on what could be forgotten.

mod advance;
mod answer;
mod progress;
mod prompt;
mod state;

use std::collections::{BTreeSet, VecDeque};

pub use progress::{Progress, StateDocument, duration_text};
pub use state::{Control, Integration, RunState, TaskRecord, TaskState};

use crate::{
    AgentBinding, Effect, Event, Input, Millis, Mode, PauseCause, Plan, Role, RunId, RunOutcome,
    Stamped, TaskId, WorkflowStep,
};

/// How a run is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunConfig {
    /// Its name.
    pub run: RunId,
    /// Who decides.
    pub mode: Mode,
    /// The most tasks in a batch.
    pub batch_size: u32,
    /// How long an attempt may take where the task does not say, in milliseconds.
    pub timeout_ms: u64,
    /// The agents, bound by digest.
    pub agents: Vec<AgentBinding>,
}

/// One execution of a plan, without any I/O.
///
/// The contract: call [`Run::handle`]; drain [`Run::poll_event`], and make what it yields
/// durable, then visible; drain [`Run::poll_effect`], and start what it yields. The answer
/// to an effect is an [`Input`]. The state is the fold of the events: [`Run::recover`]
/// folds recorded ones, and [`Run::resume`] goes on from there. There is no other way in.
///
/// ```
/// use idumb_core::{Effect, Event, Input, Mode, Run, RunConfig, RunId};
/// # let task = serde_json::json!({
/// #     "id": "T1", "title": "t", "description": "d", "agent": "builder", "depends_on": [],
/// #     "reads": [], "writes": ["a"], "artifacts": [], "timeout": null, "retries": 0,
/// #     "steps": [], "options": {}, "accept": [],
/// # });
/// # let plan: idumb_core::Plan = serde_json::from_value(serde_json::json!({
/// #     "phase": {"number": 1, "name": "one"}, "goal": "g", "depends_on": [], "supersedes": [],
/// #     "tasks": [task], "links": [], "digest": idumb_core::Digest::of(b"").to_string(),
/// # })).unwrap();
/// let config = RunConfig {
///     run: RunId::new("phase-1-r1").unwrap(),
///     mode: Mode::Auto,
///     batch_size: 5,
///     timeout_ms: 600_000,
///     agents: vec![],
/// };
/// let mut run = Run::new(plan, config);
/// run.handle(0, Input::Begin { prerequisites: vec![] });
/// assert!(run.poll_effect().is_none(), "nothing is acted on before it is durable");
/// let mut journal = Vec::new();
/// while let Some(event) = run.poll_event() {
///     journal.push(event); // durable, then visible …
/// }
/// let mut effects = std::iter::from_fn(|| run.poll_effect()); // … then acted on
/// assert!(effects.any(|effect| matches!(effect, Effect::Build { .. })));
/// ```
#[derive(Debug)]
pub struct Run {
    plan: Plan,
    config: RunConfig,
    state: RunState,
    events: VecDeque<Stamped>,
    effects: VecDeque<Effect>,
    /// What was asked of the world and is not answered yet. Not part of the state: after a
    /// restart nothing is in flight.
    in_flight: BTreeSet<Job>,
    last_document: Option<StateDocument>,
}

/// An unanswered effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Task(TaskId),
    Phase(Role),
    State,
}

impl Run {
    /// A run that has not begun.
    pub fn new(plan: Plan, config: RunConfig) -> Self {
        let state = RunState::new(&plan);
        Self {
            plan,
            config,
            state,
            events: VecDeque::new(),
            effects: VecDeque::new(),
            in_flight: BTreeSet::new(),
            last_document: None,
        }
    }

    /// A run as its recorded events left it; [`Self::resume`] makes it go on.
    pub fn recover<'a>(
        plan: Plan,
        config: RunConfig,
        events: impl IntoIterator<Item = &'a Stamped>,
    ) -> Self {
        let mut run = Self::new(plan, config);
        for stamped in events {
            run.state.apply(stamped.at, &stamped.event);
        }
        run
    }

    /// The plan it executes.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How it goes.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Where it stands.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Where it stands, for people.
    pub fn progress(&self, now: Millis) -> Progress {
        Progress::of(&self.plan, &self.config, &self.state, now)
    }

    /// Whether nothing is under way, and nothing will be without [`Self::resume`] or, as long
    /// as the plan's prerequisites were not looked up, [`Input::Begin`].
    pub fn is_at_rest(&self) -> bool {
        let rests = matches!(self.state.control, Control::Paused(..) | Control::Finished(_));
        let waits = self.state.step <= Some(WorkflowStep::ValidatePlan);
        self.events.is_empty() && self.effects.is_empty() && (rests || waits)
    }

    /// Takes an input in at the time `now`.
    pub fn handle(&mut self, now: Millis, input: Input) {
        match input {
            Input::Begin { prerequisites } => self.begin(now, prerequisites),
            Input::Pause { cause, reason } => self.request_pause(now, cause, reason),
            answer => self.answered(now, answer),
        }
        self.advance(now);
    }

    /// Makes a recovered run go on: what was done stays done, what was under way runs again
    /// under a new epoch, what failed gets another try.
    ///
    /// Nothing happens to a run that completed or never began. [`Input::Begin`] should follow,
    /// with the prerequisites looked up anew: it matters only if they were not met so far.
    pub fn resume(&mut self, now: Millis) {
        if !self.can_go_on() {
            return;
        }
        self.take_up(now);
        self.advance(now);
    }

    /// Finishes what a run that went away was about to change, starts nothing, and rests.
    ///
    /// The base may be between two states while a change-set is being applied: this must
    /// be done before anything else works on it.
    pub fn settle(&mut self, now: Millis) {
        if !self.can_go_on() {
            return;
        }
        self.take_up(now);
        let reason = "what was interrupted is being finished".to_owned();
        self.emit(now, Event::PauseRequested { cause: PauseCause::Error, reason });
        self.advance(now);
    }

    /// Whether a change-set may be applied in part: [`Self::settle`] is needed.
    pub fn is_unsettled(&self) -> bool {
        self.state.tasks.values().any(|record| record.state == TaskState::Integrating)
    }

    fn can_go_on(&self) -> bool {
        self.state.begun && self.state.control != Control::Finished(RunOutcome::Completed)
    }

    fn take_up(&mut self, now: Millis) {
        // What an earlier life asked for is disowned: its answers will be stale.
        self.in_flight.clear();
        self.effects.clear();
        self.last_document = None;
        let tasks: Vec<TaskId> = self.plan.tasks.iter().map(|task| task.id.clone()).collect();
        self.emit(now, Event::RunResumed);
        let open: Vec<u32> = self.state.prompts.iter().map(|prompt| prompt.id).collect();
        for prompt in open {
            self.emit(now, Event::PromptWithdrawn { prompt });
        }
        for task in tasks {
            let Some(record) = self.state.task(&task) else {
                continue;
            };
            let (attempt, epoch) = (record.attempt, record.epoch);
            match record.state {
                TaskState::Building => {
                    self.emit(now, Event::AttemptInterrupted { task, attempt, epoch });
                }
                TaskState::Sealed | TaskState::Accepted | TaskState::Integrating => {
                    self.emit(now, Event::LeaseRenewed { task, epoch: epoch + 1 });
                }
                _ => {}
            }
        }
        if self.state.step.is_some_and(|step| step > WorkflowStep::ExecutionLoop)
            && self.state.completed.len() < self.plan.tasks.len()
        {
            self.enter(now, WorkflowStep::ExecutionLoop);
        } else if self.state.step > Some(WorkflowStep::CrossPhaseValidation) {
            // The checks are done again: the tree may have changed while the run rested.
            self.enter(now, WorkflowStep::CrossPhaseValidation);
        }
    }

    /// The next event that must be journaled, then shown.
    pub fn poll_event(&mut self) -> Option<Stamped> {
        self.events.pop_front()
    }

    /// The next effect to start; none while an event is undrained.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.events.is_empty() { self.effects.pop_front() } else { None }
    }

    fn emit(&mut self, now: Millis, event: Event) {
        self.state.apply(now, &event);
        self.events.push_back(Stamped { at: now, event });
    }

    fn start(&mut self, job: Job, effect: Effect) {
        self.in_flight.insert(job);
        self.effects.push_back(effect);
    }

    fn request_pause(&mut self, now: Millis, cause: PauseCause, reason: String) {
        if self.state.begun && self.state.control == Control::Active {
            self.emit(now, Event::PauseRequested { cause, reason });
            self.decline_questions(now);
        }
    }
}
