//! A scripted world around a run: plans in a few words, and answers one at a time.
//!
//! Invariant: after every input, all events went through the journal's JSON before the
//! first effect was polled, and the live state equals the fold of what was journaled.

use idumb_core::{
    AccessRecord, Artifact, BrokenAttempt, CriterionId, Digest, Effect, Examination, Input, Mode,
    PauseCause, Plan, Prerequisite, Prompt, Role, Run, RunConfig, RunId, Stamped, StateDocument,
    Task, TaskRecord, TaskState, Trouble,
};

use crate::answers::{passing, reading, sealed};
use crate::draft::{id, plan};
use crate::words::{effect_text, event_text};

/// A run, its journal, and what it asked of the world.
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) journal: Vec<Stamped>,
    /// Effects that wait for their answers.
    pub(crate) waiting: Vec<Effect>,
    /// Every effect ever started.
    pub(crate) started: Vec<Effect>,
    pub(crate) now: u64,
    prerequisites: Vec<Prerequisite>,
}

/// 2026-01-01T00:00:00Z.
pub(crate) const NEW_YEAR: u64 = 1_767_225_600_000;

impl World {
    pub(crate) fn new(plan: Plan, mode: Mode, batch_size: u32) -> Self {
        let config = RunConfig {
            run: RunId::new("phase-1-r1").unwrap(),
            mode,
            batch_size,
            timeout_ms: 600_000,
            agents: Vec::new(),
        };
        Self {
            run: Run::new(plan, config),
            journal: Vec::new(),
            waiting: Vec::new(),
            started: Vec::new(),
            now: NEW_YEAR,
            prerequisites: Vec::new(),
        }
    }

    pub(crate) fn auto(tasks: impl IntoIterator<Item = Task>) -> Self {
        let mut world = Self::new(plan(tasks), Mode::Auto, 5);
        world.begin();
        world
    }

    pub(crate) fn interactive(tasks: impl IntoIterator<Item = Task>) -> Self {
        let mut world = Self::new(plan(tasks), Mode::Interactive, 5);
        world.begin();
        world
    }

    pub(crate) fn begin(&mut self) {
        let prerequisites = self.prerequisites.clone();
        self.tell(Input::Begin { prerequisites });
    }

    /// Begins with the phase `name`, which was completed or not.
    pub(crate) fn begin_after(&mut self, name: &str, completed: bool) {
        self.prerequisites = vec![Prerequisite {
            phase: name.to_owned(),
            completed_by: completed.then(|| RunId::new("phase-0-r1").unwrap()),
        }];
        self.begin();
    }

    /// Gives the run an input, a second after the one before.
    pub(crate) fn tell(&mut self, input: Input) {
        self.now += 1000;
        self.run.handle(self.now, input);
        self.drain();
    }

    /// As a host does it: first what must be durable, then what must be done.
    fn drain(&mut self) {
        loop {
            let before = self.run.poll_effect();
            let Some(event) = self.run.poll_event() else {
                self.take(before);
                break;
            };
            assert_eq!(before, None, "an effect came before its events were drained");
            let line = serde_json::to_string(&event).expect("an event can be journaled");
            let read: Stamped = serde_json::from_str(&line).expect(&line);
            assert_eq!(read, event, "the journal gives back what was put in: {line}");
            self.journal.push(read);
        }
        while let Some(effect) = self.run.poll_effect() {
            self.take(Some(effect));
        }
        assert_eq!(self.run.state(), self.folded(self.journal.len()).state());
    }

    fn take(&mut self, effect: Option<Effect>) {
        let Some(effect) = effect else { return };
        let answered = match &effect {
            Effect::WriteState { wanted, .. } => *wanted,
            Effect::Ask { .. } | Effect::Reply { .. } => false,
            _ => true,
        };
        if answered {
            self.waiting.push(effect.clone());
        }
        self.started.push(effect);
    }

    /// The run that the first `length` journaled events leave.
    pub(crate) fn folded(&self, length: usize) -> Run {
        let (plan, config) = (self.run.plan().clone(), self.run.config().clone());
        Run::recover(plan, config, &self.journal[..length])
    }

    /// The host dies with only the first `length` events durable, and starts again.
    pub(crate) fn crash_at(&mut self, length: usize) {
        self.journal.truncate(length);
        self.die();
        self.resume();
    }

    /// The host dies; what is left is read from the journal.
    pub(crate) fn die(&mut self) {
        self.run = self.folded(self.journal.len());
        self.waiting.clear();
        self.started.clear();
    }

    pub(crate) fn settle(&mut self) {
        self.now += 1000;
        self.run.settle(self.now);
        self.drain();
    }

    pub(crate) fn crash(&mut self) {
        self.crash_at(self.journal.len());
    }

    /// As `--resume` does it: the prerequisites are looked up again, in case they matter.
    pub(crate) fn resume(&mut self) {
        self.resume_without_begin();
        self.begin();
    }

    pub(crate) fn resume_without_begin(&mut self) {
        self.now += 1000;
        self.run.resume(self.now);
        self.drain();
    }

    pub(crate) fn pause(&mut self) {
        let reason = "Ctrl-C".to_owned();
        let cause = PauseCause::User;
        self.tell(Input::Pause { cause, reason });
    }
}

/// Answers to what waits.
impl World {
    /// Takes the effect about `name` off those that wait.
    #[track_caller]
    fn effect_about(&mut self, name: &str) -> Effect {
        let about = |effect: &Effect| match effect {
            Effect::Build { task, .. }
            | Effect::Validate { task, .. }
            | Effect::Integrate { task, .. } => task.as_str() == name,
            Effect::CheckPhase { role } => role.as_str() == name,
            Effect::WriteState { .. } => name == "state",
            Effect::Ask { .. } | Effect::Reply { .. } => false,
        };
        match self.waiting.iter().position(about) {
            Some(index) => self.waiting.remove(index),
            None => panic!("nothing about {name} waits, only {:?}", self.waiting),
        }
    }

    /// The builder of `name` seals a candidate that writes `<name>.txt` and read nothing.
    #[track_caller]
    pub(crate) fn builds(&mut self, name: &str) {
        self.builds_reading(name, &[]);
    }

    /// As `builds`, but it looked at those paths.
    #[track_caller]
    pub(crate) fn builds_reading(&mut self, name: &str, reads: &[&str]) {
        let effect = self.effect_about(name);
        let Effect::Build { task, epoch, .. } = effect else {
            panic!("{name} is not building: {effect:?}");
        };
        let sealed = sealed(name, epoch, reads);
        let result = Ok(Box::new(sealed));
        self.tell(Input::Built { task, epoch, result });
    }

    /// The builder of `name` comes to nothing.
    #[track_caller]
    pub(crate) fn breaks(&mut self, name: &str, trouble: Trouble) {
        let effect = self.effect_about(name);
        let Effect::Build { task, epoch, .. } = effect else {
            panic!("{name} is not building: {effect:?}");
        };
        let result = Err(Box::new(BrokenAttempt {
            trouble,
            record: AccessRecord::default(),
            log: Vec::new(),
        }));
        self.tell(Input::Built { task, epoch, result });
    }

    /// The validator of `name` passes every criterion.
    #[track_caller]
    pub(crate) fn passes(&mut self, name: &str) {
        let examination = self.passing(name);
        self.examines(name, Ok((examination, AccessRecord::default())));
    }

    /// As `passes`, but it looked at those paths.
    #[track_caller]
    pub(crate) fn passes_reading(&mut self, name: &str, paths: &[&str]) {
        let examination = self.passing(name);
        self.examines(name, Ok((examination, reading(paths))));
    }

    /// The validator of `name` ends so.
    #[track_caller]
    pub(crate) fn examines(
        &mut self,
        name: &str,
        result: Result<(Examination, AccessRecord), Trouble>,
    ) {
        let effect = self.effect_about(name);
        let Effect::Validate { task, epoch, change_set, .. } = effect else {
            panic!("{name} is not being validated: {effect:?}");
        };
        self.tell(Input::Validated { task, epoch, change_set, result });
    }

    /// The candidate of `name` is applied.
    #[track_caller]
    pub(crate) fn applies(&mut self, name: &str) {
        let path = format!("{name}.txt");
        let digest = Some(Digest::of(name.as_bytes()));
        self.integrates(name, Ok(vec![Artifact { path, digest }]));
    }

    /// The integration of `name` ends so.
    #[track_caller]
    pub(crate) fn integrates(&mut self, name: &str, result: Result<Vec<Artifact>, Trouble>) {
        let effect = self.effect_about(name);
        let Effect::Integrate { task, epoch, .. } = effect else {
            panic!("{name} is not being integrated: {effect:?}");
        };
        self.tell(Input::Integrated { task, epoch, result });
    }

    /// Builds, validates and integrates `name` without trouble.
    #[track_caller]
    pub(crate) fn succeeds(&mut self, name: &str) {
        self.builds(name);
        self.passes(name);
        self.applies(name);
    }

    /// The phase-wide check passes all criteria of the plan.
    #[track_caller]
    pub(crate) fn check_passes(&mut self, role: Role) {
        let tasks = &self.run.plan().tasks;
        let criteria: Vec<CriterionId> = tasks
            .iter()
            .flat_map(|task| &task.accept)
            .map(|criterion| criterion.id.clone())
            .collect();
        let examination = passing(&criteria);
        self.check_ends(role, Ok((criteria, examination)));
    }

    /// The phase-wide check ends so.
    #[track_caller]
    pub(crate) fn check_ends(
        &mut self,
        role: Role,
        result: Result<(Vec<CriterionId>, Examination), Trouble>,
    ) {
        self.effect_about(role.as_str());
        self.tell(Input::PhaseChecked { role, result });
    }

    #[track_caller]
    pub(crate) fn state_is_written(&mut self) {
        self.effect_about("state");
        self.tell(Input::StateWritten);
    }

    /// Everything goes well, and every prompt is answered with its first option, until the
    /// run rests.
    #[track_caller]
    pub(crate) fn goes_well(&mut self) {
        for _ in 0..1000 {
            if self.run.is_at_rest() {
                return;
            }
            if let Some(prompt) = self.prompt() {
                let choice = prompt.options[0].0.clone();
                self.answers(&choice);
                continue;
            }
            match self.waiting.first().cloned() {
                Some(Effect::Build { task, .. }) => self.builds(task.as_str()),
                Some(Effect::Validate { task, .. }) => self.passes(task.as_str()),
                Some(Effect::Integrate { task, .. }) => self.applies(task.as_str()),
                Some(Effect::CheckPhase { role }) => self.check_passes(role),
                Some(Effect::WriteState { .. }) => self.state_is_written(),
                other => panic!("the run hangs: {other:?} in {:#?}", self.run.state()),
            }
        }
        panic!("the run does not end: {:#?}", self.story());
    }

    /// The oldest open prompt is answered so.
    #[track_caller]
    pub(crate) fn answers(&mut self, choice: &str) {
        let prompt = self.prompt().expect("a prompt is open").id;
        let choice = choice.to_owned();
        self.tell(Input::Answer { prompt, choice });
    }

    /// The agent of `name` asks `question`, with the options `red` and `blue`.
    pub(crate) fn asks(&mut self, name: &str, token: u64) {
        let epoch = self.task(name).epoch;
        self.asks_under(name, epoch, token);
    }

    pub(crate) fn asks_under(&mut self, name: &str, epoch: u32, token: u64) {
        let option = |text: &str| (text.to_owned(), format!("make it {text}"));
        self.tell(Input::Ask {
            task: id(name),
            epoch,
            token,
            question: "Which colour?".to_owned(),
            options: vec![option("red"), option("blue")],
        });
    }
}

/// Questions about where things stand.
impl World {
    #[track_caller]
    pub(crate) fn task(&self, name: &str) -> &TaskRecord {
        self.run.state().task(&id(name)).expect("a task of the plan")
    }

    #[track_caller]
    pub(crate) fn state_of(&self, name: &str) -> TaskState {
        self.task(name).state.clone()
    }

    pub(crate) fn prompt(&self) -> Option<&Prompt> {
        self.run.state().prompts.front()
    }

    /// The passing examination of every criterion of `name`.
    #[track_caller]
    pub(crate) fn passing(&self, name: &str) -> Examination {
        let definition = self.run.plan().task(&id(name)).expect("a task of the plan");
        let criteria: Vec<CriterionId> = definition.accept.iter().map(|c| c.id.clone()).collect();
        passing(&criteria)
    }

    /// What waits, in a few words: `build A`, `validate A`, `check verifier`, …
    pub(crate) fn waits_for(&self) -> Vec<String> {
        self.waiting.iter().map(effect_text).collect()
    }

    /// Whether an effect of those words was ever started.
    pub(crate) fn has_started(&self, text: &str) -> bool {
        self.started.iter().any(|effect| effect_text(effect) == text)
    }

    /// The journal, in a few words a line.
    pub(crate) fn story(&self) -> Vec<String> {
        self.story_from(0)
    }

    pub(crate) fn story_from(&self, position: usize) -> Vec<String> {
        let events = self.journal[position..].iter();
        events.map(|stamped| event_text(&stamped.event)).collect()
    }

    /// The state documents, in the order in which they were written.
    pub(crate) fn documents(&self) -> Vec<&StateDocument> {
        let mut documents = Vec::new();
        for effect in &self.started {
            if let Effect::WriteState { document, .. } = effect {
                documents.push(document);
            }
        }
        documents
    }

    /// The answers that agents got.
    pub(crate) fn replies(&self) -> Vec<(u64, Option<&str>)> {
        let mut replies = Vec::new();
        for effect in &self.started {
            if let Effect::Reply { token, choice } = effect {
                replies.push((*token, choice.as_deref()));
            }
        }
        replies
    }
}
