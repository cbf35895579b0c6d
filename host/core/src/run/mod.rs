//! The machine of a run: inputs in, events and effects out.
//!
//! Invariant: [`Run::poll_effect`] yields nothing while an event is undrained, so whoever
//! journals events before polling effects never acts on what could be forgotten.

mod advance;
mod answer;
mod begin;
mod clock;
mod config;
mod decide;
mod fold;
mod graph;
mod progress;
mod prompt;
mod replan;
mod resume;
mod snapshot;
mod state;

use std::collections::{BTreeMap, VecDeque};

pub use config::{RunConfig, Timeouts};
pub use progress::{Progress, StateDocument, duration_text};
pub use snapshot::{SNAPSHOT_FORMAT, SnapshotError};
pub use state::{Control, Integration, Latest, RunState, TaskRecord, TaskState};

use self::clock::Flight;
use crate::{
    Effect, Event, Input, Millis, Moment, PauseCause, Plan, Role, Stamped, TaskId, WorkflowStep,
};

/// One execution of a plan, without any I/O.
///
/// The contract: call [`Run::handle`]; drain [`Run::poll_event`], and make what it yields
/// durable, then visible; drain [`Run::poll_effect`], and start what it yields; hand
/// [`Input::Tick`] in when [`Run::poll_timeout`] is due. The answer to an effect is an
/// [`Input`]. The state is the fold of the events: [`Run::recover`] folds recorded ones, and
/// [`Run::resume`] goes on from there. There is no other way in.
///
/// ```
/// use idumb_core::{Effect, Input, Mode, Run, RunConfig, RunId};
/// # let task = serde_json::json!({
/// #     "id": "T1", "title": "t", "description": "d", "agent": "builder", "depends_on": [],
/// #     "reads": [], "writes": ["a"], "artifacts": [], "timeout": null, "retries": 0,
/// #     "steps": [], "options": {}, "accept": [],
/// # });
/// # let plan: idumb_core::Plan = serde_json::from_value(serde_json::json!({
/// #     "phase": {"number": 1, "name": "one"}, "goal": "g", "depends_on": [], "supersedes": [],
/// #     "tasks": [task], "links": [], "digest": idumb_core::Digest::of(b"").to_string(),
/// # })).unwrap();
/// let config = RunConfig::new(RunId::new("phase-1-r1").unwrap());
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
    in_flight: BTreeMap<Job, Flight>,
    /// When each delay before another attempt is over, by the process's clock.
    back_offs: BTreeMap<TaskId, Millis>,
    /// When what is under way is stopped, if the run is to rest.
    grace_ends: Option<Millis>,
    /// Nobody is there to answer prompts.
    unattended: bool,
    /// It was begun or taken up here: one that was only recovered starts nothing by itself.
    awake: bool,
    /// A change-set could not be applied in whole, for this cause: not tried again in this life.
    stuck: Option<(PauseCause, String)>,
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
        Self::with_state(plan, config, state)
    }

    fn with_state(plan: Plan, config: RunConfig, state: RunState) -> Self {
        Self {
            plan,
            config,
            state,
            events: VecDeque::new(),
            effects: VecDeque::new(),
            in_flight: BTreeMap::new(),
            back_offs: BTreeMap::new(),
            grace_ends: None,
            unattended: false,
            awake: false,
            stuck: None,
        }
    }

    /// A run as its recorded events left it; [`Self::resume`] makes it go on.
    ///
    /// `plan` is the latest plan of the run, `config` how it is to go from now on. Until it is
    /// resumed, it takes answers and a cancellation in, and starts nothing by itself.
    pub fn recover<'a>(
        plan: Plan,
        config: RunConfig,
        events: impl IntoIterator<Item = &'a Stamped>,
    ) -> Self {
        let mut run = Self::new(plan, config);
        for stamped in events {
            run.state.apply(stamped);
        }
        run
    }

    /// The same run, to go on as `config` says once it is resumed.
    #[must_use]
    pub fn with_config(self, config: RunConfig) -> Self {
        Self { config, ..self }
    }

    /// Folds one more recorded event in, for whoever only looks.
    pub fn fold(&mut self, stamped: &Stamped) {
        self.state.apply(stamped);
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
    pub fn progress(&self, now: impl Into<Moment>) -> Progress {
        Progress::of(&self.config, &self.state, now.into())
    }

    /// Whether nothing is under way, and nothing will be without [`Self::resume`] or, as long
    /// as the plan's prerequisites were not looked up, [`Input::Begin`].
    pub fn is_at_rest(&self) -> bool {
        let rests = matches!(self.state.control, Control::Paused(..) | Control::Finished(_));
        let waits = self.state.step <= Some(WorkflowStep::ValidatePlan);
        self.events.is_empty() && self.effects.is_empty() && (rests || waits)
    }

    /// Takes an input in at the time `now`.
    pub fn handle(&mut self, now: impl Into<Moment>, input: Input) {
        let now = now.into();
        self.fire(now);
        match input {
            Input::Begin { prerequisites } => self.begin(now, prerequisites),
            Input::Pause { cause, reason } => self.request_pause(now, cause, reason),
            Input::Stop { reason } => self.stop(now, reason),
            Input::Cancel { reason } => self.request_cancel(now, reason),
            Input::Unattended => {
                self.unattended = true;
                self.decline_questions(now);
            }
            Input::Tick => {}
            answer => self.answered(now, answer),
        }
        self.advance(now);
    }

    /// The next event that must be journaled, then shown.
    pub fn poll_event(&mut self) -> Option<Stamped> {
        self.events.pop_front()
    }

    /// The next effect to start; none while an event is undrained.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.events.is_empty() { self.effects.pop_front() } else { None }
    }

    fn emit(&mut self, now: Moment, event: Event) {
        let stamped = Stamped { at: now.at, up: now.up, event };
        self.state.apply(&stamped);
        self.events.push_back(stamped);
    }

    fn request_pause(&mut self, now: Moment, cause: PauseCause, reason: String) {
        if self.awake && self.state.begun && self.state.control == Control::Active {
            self.emit(now, Event::PauseRequested { cause, reason });
            self.grace_ends = Some(now.up.saturating_add(self.config.timeouts.grace_ms));
            self.decline_questions(now);
        }
    }

    /// What is under way is stopped now, and the run rests.
    fn stop(&mut self, now: Moment, reason: String) {
        self.request_pause(now, PauseCause::User, reason);
        if self.grace_ends.is_some() {
            self.grace_ends = Some(now.up);
            self.fire(now);
        }
    }

    fn request_cancel(&mut self, now: Moment, reason: String) {
        let at_work = matches!(self.state.control, Control::Active | Control::PauseRequested(..));
        let rests = match &self.state.control {
            Control::Paused(..) => true,
            Control::Finished(outcome) => matches!(
                outcome,
                crate::RunOutcome::Failed { .. } | crate::RunOutcome::Refused { .. }
            ),
            _ => false,
        };
        // Completion that is recorded cannot be called back.
        let done = self.state.step == Some(WorkflowStep::Report);
        if !self.state.begun || done || !(at_work || rests) {
            return;
        }
        self.emit(now, Event::CancelRequested { reason });
        self.decline_questions(now);
        self.withdraw_prompts(now);
        self.stop_all(now);
    }
}
