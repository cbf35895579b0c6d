//! A scripted world around a run: plans in a few words, and answers one at a time.
//!
//! Invariant: after every input, all events went through the journal's JSON before the
//! first effect was polled, the live state equals the fold of what was journaled, and a snapshot
//! of it can be read back.

use idumb_core::{
    AccessRecord, Artifact, Backoff, BrokenAttempt, CriterionId, Digest, Effect, Examination,
    Input, Mode, Moment, PauseCause, Plan, Prerequisite, Role, Run, RunConfig, RunId, Stamped,
    Task, TaskState, Trouble,
};

use crate::answers::{passing, reading, sealed};
use crate::draft::{id, plan};

/// A run, its journal, and what it asked of the world.
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) journal: Vec<Stamped>,
    /// Effects that wait for their answers, at most one for each task.
    pub(crate) waiting: Vec<Effect>,
    /// Every effect ever started.
    pub(crate) started: Vec<Effect>,
    pub(crate) now: Moment,
    prerequisites: Vec<Prerequisite>,
}

/// 2026-01-01T00:00:00Z.
pub(crate) const NEW_YEAR: u64 = 1_767_225_600_000;

impl World {
    /// Not begun; another attempt follows without a delay.
    pub(crate) fn new(plan: Plan, mode: Mode, batch_size: u32) -> Self {
        let config = RunConfig {
            mode,
            batch_size,
            backoff: Backoff { initial_ms: 0, cap_ms: 0 },
            ..RunConfig::new(RunId::new("phase-1-r1").unwrap())
        };
        Self {
            run: Run::new(plan, config),
            journal: Vec::new(),
            waiting: Vec::new(),
            started: Vec::new(),
            now: Moment { at: NEW_YEAR, up: 0 },
            prerequisites: Vec::new(),
        }
    }

    pub(crate) fn auto(tasks: impl IntoIterator<Item = Task>) -> Self {
        Self::with(Mode::Auto, tasks, |_| {})
    }

    pub(crate) fn interactive(tasks: impl IntoIterator<Item = Task>) -> Self {
        Self::with(Mode::Interactive, tasks, |_| {})
    }

    /// Begun, so configured.
    pub(crate) fn with(
        mode: Mode,
        tasks: impl IntoIterator<Item = Task>,
        configure: impl FnOnce(&mut RunConfig),
    ) -> Self {
        let mut world = Self::new(plan(tasks), mode, 5);
        world.restart_with(configure);
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
        self.pass(1000);
        self.tell_at_once(input);
    }

    /// Gives the run an input at the moment of the one before.
    pub(crate) fn tell_at_once(&mut self, input: Input) {
        self.run.handle(self.now, input);
        self.drain();
    }

    fn pass(&mut self, ms: u64) {
        self.now = Moment { at: self.now.at + ms, up: self.now.up + ms };
    }

    /// Nothing happens for so long but what is due.
    pub(crate) fn waits(&mut self, ms: u64) {
        let end = self.now.up + ms;
        for ticks in 0.. {
            let Some(due) = self.run.poll_timeout().filter(|due| *due <= end) else { break };
            assert!(ticks < 100, "what is due is not done");
            self.pass(due.saturating_sub(self.now.up));
            self.tell_at_once(Input::Tick);
        }
        self.pass(end - self.now.up);
    }

    /// As a host does it: first what must be durable, then what must be done, then what is due.
    fn drain(&mut self) {
        for ticks in 0.. {
            assert!(ticks < 100, "what is due is not done");
            self.drain_once();
            if self.run.poll_timeout().is_none_or(|due| due > self.now.up) {
                break;
            }
            self.run.handle(self.now, Input::Tick);
        }
        assert_eq!(self.run.state(), self.folded(self.journal.len()).state());
        let (plan, config) = (self.run.plan().clone(), self.run.config().clone());
        let (snapshot, none): (_, [&Stamped; 0]) = (self.run.snapshot(), []);
        let restored = Run::recover_from(plan, config, &snapshot, none).expect("its own snapshot");
        assert_eq!(restored.snapshot(), snapshot, "a snapshot loses nothing that it has");
        for ((task, was), (_, is)) in self.run.state().tasks().zip(restored.state().tasks()) {
            let mut was = was.clone();
            if was.state == TaskState::Succeeded {
                was.latest = None;
            }
            assert_eq!(is, &was, "{task}: a snapshot loses nothing but how it succeeded");
        }
    }

    fn drain_once(&mut self) {
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
    }

    fn take(&mut self, effect: Option<Effect>) {
        let Some(effect) = effect else { return };
        if let Some(about) = about(&effect) {
            self.waiting.retain(|other| self::about(other) != Some(about));
            self.waiting.push(effect.clone());
        }
        self.started.push(effect);
    }

    /// The run that the first `length` journaled events leave.
    pub(crate) fn folded(&self, length: usize) -> Run {
        let (plan, config) = (self.run.plan().clone(), self.run.config().clone());
        Run::recover(plan, config, &self.journal[..length])
    }

    /// The world in which the host died with only the first `length` events durable.
    pub(crate) fn dead_at(&self, length: usize) -> Self {
        Self {
            run: self.folded(length),
            journal: self.journal[..length].to_vec(),
            waiting: Vec::new(),
            started: Vec::new(),
            now: Moment { at: self.now.at, up: 0 },
            prerequisites: self.prerequisites.clone(),
        }
    }

    /// The host dies; what is left is read from the journal, by a process whose clock is new.
    pub(crate) fn die(&mut self) {
        self.restart_with(|_| {});
    }

    /// As `die`, and the configuration is changed.
    pub(crate) fn restart_with(&mut self, configure: impl FnOnce(&mut RunConfig)) {
        let (plan, mut config) = (self.run.plan().clone(), self.run.config().clone());
        configure(&mut config);
        self.run = Run::recover(plan, config, &self.journal);
        self.waiting.clear();
        self.started.clear();
        self.now.up = 0;
    }

    pub(crate) fn settle(&mut self) {
        self.pass(1000);
        self.run.settle(self.now);
        self.drain();
    }

    pub(crate) fn crash(&mut self) {
        self.die();
        self.resume();
    }

    /// As `--resume` does it: the prerequisites are looked up again, in case they matter.
    pub(crate) fn resume(&mut self) {
        self.resume_without_begin();
        self.begin();
    }

    pub(crate) fn resume_without_begin(&mut self) {
        self.pass(1000);
        self.run.resume(self.now);
        self.drain();
    }

    pub(crate) fn pause(&mut self) {
        let reason = "Ctrl-C".to_owned();
        let cause = PauseCause::User;
        self.tell(Input::Pause { cause, reason });
    }

    pub(crate) fn stop(&mut self) {
        self.tell(Input::Stop { reason: "Ctrl-C twice".to_owned() });
    }

    pub(crate) fn cancel(&mut self) {
        self.tell(Input::Cancel { reason: "not wanted".to_owned() });
    }
}

/// What an effect is about, if it is one that is answered.
fn about(effect: &Effect) -> Option<&str> {
    match effect {
        Effect::Build { task, .. }
        | Effect::Validate { task, .. }
        | Effect::Integrate { task, .. } => Some(task.as_str()),
        Effect::CheckPhase { role, .. } => Some(role.as_str()),
        Effect::WriteState { .. } => Some("state"),
        Effect::Stop { .. } | Effect::Ask { .. } | Effect::Reply { .. } => None,
    }
}

/// Answers to what waits.
impl World {
    /// Takes the effect about `name` off those that wait.
    #[track_caller]
    fn effect_about(&mut self, name: &str) -> Effect {
        match self.waiting.iter().position(|effect| about(effect) == Some(name)) {
            Some(index) => self.waiting.remove(index),
            None => panic!("nothing about {name} waits, only {:?}", self.waiting),
        }
    }

    /// The builder of `name` begins, if it has not.
    #[track_caller]
    pub(crate) fn starts(&mut self, name: &str) {
        if self.state_of(name) == TaskState::Leased {
            let (task, epoch) = (id(name), self.task(name).epoch);
            self.tell_at_once(Input::Started { task, epoch });
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
        self.starts(name);
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
        self.starts(name);
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

    /// The validator of `name` passes what can be checked; the rest is for a person.
    #[track_caller]
    pub(crate) fn passes_checks(&mut self, name: &str) {
        let examination = self.checked(name);
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
        let effect = self.effect_about(role.as_str());
        let Effect::CheckPhase { epoch, .. } = effect else {
            panic!("the {role} does not check: {effect:?}");
        };
        self.tell(Input::PhaseChecked { role, epoch, result });
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
                Some(Effect::Validate { task, .. }) => self.passes_checks(task.as_str()),
                Some(Effect::Integrate { task, .. }) => self.applies(task.as_str()),
                Some(Effect::CheckPhase { role, .. }) => self.check_passes(role),
                Some(Effect::WriteState { .. }) => self.state_is_written(),
                other => panic!("the run hangs: {other:?} in {:#?}", self.run.state()),
            }
        }
        panic!("the run does not end: {:#?}", self.story());
    }

    /// The oldest open prompt is answered so.
    #[track_caller]
    pub(crate) fn answers(&mut self, choice: &str) {
        self.answers_with(choice, None);
    }

    /// As `answers`, with a word to the agent.
    #[track_caller]
    pub(crate) fn answers_with(&mut self, choice: &str, note: Option<&str>) {
        let prompt = self.prompt().expect("a prompt is open").id;
        let (choice, note) = (choice.to_owned(), note.map(str::to_owned));
        self.tell(Input::Answer { prompt, choice, note });
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
