//! A scripted world around a run: plans in a few words, and answers one at a time.
//!
//! Invariant: after every input, all events went through the journal's JSON before the
//! first effect was polled, and the live state equals the fold of what was journaled.

use std::collections::BTreeMap;

use idumb_core::{
    AccessRecord, Artifact, BrokenAttempt, Criterion, CriterionId, Digest, Effect, Event, Evidence,
    EvidenceId, Examination, Failure, FailureKind, Finding, Input, Mode, Observed, Other,
    PauseCause, PhaseId, Plan, Prerequisite, Prompt, Read, Role, Run, RunConfig, RunId,
    SealedAttempt, Seen, Stamped, StateDocument, Subject, Task, TaskId, TaskRecord, TaskState,
    Trouble, Verdict,
};

/// The task of that name, which writes a file of its own and has one criterion.
pub(crate) fn task(name: &str) -> Task {
    Task {
        id: id(name),
        title: format!("Task {name}"),
        description: String::new(),
        agent: "builder".to_owned(),
        depends_on: Vec::new(),
        reads: Vec::new(),
        writes: vec![format!("{name}.txt").parse().unwrap()],
        artifacts: Vec::new(),
        timeout: None,
        retries: 0,
        steps: Vec::new(),
        options: BTreeMap::new(),
        accept: vec![criterion(&format!("{name}.1"))],
    }
}

fn criterion(name: &str) -> Criterion {
    Criterion {
        id: CriterionId::new(name).unwrap(),
        text: String::new(),
        kind: "exists".to_owned(),
        args: serde_json::Map::new(),
        looks_at: Vec::new(),
    }
}

/// What a test says about a task beyond its name.
pub(crate) trait Draft {
    fn after(self, names: &[&str]) -> Self;
    fn writing(self, patterns: &[&str]) -> Self;
    fn retries(self, retries: u32) -> Self;
    fn criteria(self, count: usize) -> Self;
}

impl Draft for Task {
    fn after(mut self, names: &[&str]) -> Self {
        self.depends_on = names.iter().map(|name| id(name)).collect();
        self
    }

    fn writing(mut self, patterns: &[&str]) -> Self {
        self.writes = patterns.iter().map(|text| text.parse().unwrap()).collect();
        self
    }

    fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    fn criteria(mut self, count: usize) -> Self {
        self.accept = (1..=count)
            .map(|n| criterion(&format!("{}.{n}", self.id)))
            .collect();
        self
    }
}

pub(crate) fn id(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

pub(crate) fn plan(tasks: impl IntoIterator<Item = Task>) -> Plan {
    Plan {
        phase: PhaseId::new(1, "foundation").unwrap(),
        goal: "something that holds".to_owned(),
        depends_on: Vec::new(),
        supersedes: Vec::new(),
        tasks: tasks.into_iter().collect(),
        links: Vec::new(),
        digest: Digest::of(b"plan"),
    }
}

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
            assert_eq!(
                before, None,
                "an effect came before its events were drained"
            );
            let line = serde_json::to_string(&event).expect("an event can be journaled");
            let read: Stamped = serde_json::from_str(&line).expect(&line);
            assert_eq!(
                read, event,
                "the journal gives back what was put in: {line}"
            );
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
        self.now += 1000;
        self.run.resume(self.now);
        self.drain();
        self.begin();
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
        self.tell(Input::Built {
            task,
            epoch,
            result,
        });
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
        self.tell(Input::Built {
            task,
            epoch,
            result,
        });
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
        let Effect::Validate {
            task,
            epoch,
            change_set,
            ..
        } = effect
        else {
            panic!("{name} is not being validated: {effect:?}");
        };
        self.tell(Input::Validated {
            task,
            epoch,
            change_set,
            result,
        });
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
        self.tell(Input::Integrated {
            task,
            epoch,
            result,
        });
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
        self.run
            .state()
            .task(&id(name))
            .expect("a task of the plan")
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
        self.started
            .iter()
            .any(|effect| effect_text(effect) == text)
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

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Build { task, .. } => format!("build {task}"),
        Effect::Validate { task, .. } => format!("validate {task}"),
        Effect::Integrate { task, .. } => format!("integrate {task}"),
        Effect::CheckPhase { role } => format!("check {role}"),
        Effect::WriteState { .. } => "write state".to_owned(),
        Effect::Ask { prompt } => format!("ask {}", prompt.id),
        Effect::Reply { token, .. } => format!("reply {token}"),
    }
}

fn event_text(event: &Event) -> String {
    let detail = match event {
        Event::StepEntered { step } => format!("{step:?}"),
        Event::BatchStarted { batch, tasks } => {
            let names: Vec<&str> = tasks.iter().map(TaskId::as_str).collect();
            format!("{batch} {}", names.join(","))
        }
        Event::AttemptStarted {
            task,
            attempt,
            epoch,
        } => format!("{task} #{attempt} e{epoch}"),
        Event::LeaseRenewed { task, epoch } => format!("{task} e{epoch}"),
        Event::AttemptFailed { task, trouble, .. } => format!("{task} {}", trouble.code()),
        Event::TaskFailed { task, code, .. } => format!("{task} {code}"),
        Event::TaskSkipped { task, because } => format!("{task} because {because}"),
        Event::StaleAnswer { task, epoch, .. } => format!("{task} e{epoch}"),
        Event::PhaseCheckFailed { role, .. } => role.to_string(),
        Event::PromptOpened { prompt } => match &prompt.subject {
            Subject::Checkpoint => "checkpoint".to_owned(),
            Subject::Blocker { task } => format!("blocker {task}"),
            Subject::Agent { task, .. } => format!("agent {task}"),
        },
        Event::PromptAnswered { choice, .. } => choice.clone(),
        Event::RunPaused { cause, .. } => format!("{cause:?}"),
        Event::RunFinished { outcome } => match outcome {
            idumb_core::RunOutcome::Completed => "completed".to_owned(),
            idumb_core::RunOutcome::Failed { code, .. } => code.to_string(),
        },
        other => other.task().map_or_else(String::new, ToString::to_string),
    };
    format!("{} {detail}", event.kind()).trim_end().to_owned()
}

/// What a builder that read `reads` leaves; other epochs leave other candidates.
pub(crate) fn sealed(name: &str, epoch: u32, reads: &[&str]) -> SealedAttempt {
    SealedAttempt {
        change_set: candidate(name, epoch),
        paths: vec![format!("{name}.txt")],
        summary: format!("wrote {name}.txt"),
        artifacts: Vec::new(),
        record: reading(reads),
        evidence: Vec::new(),
        log: Vec::new(),
    }
}

/// The digest of the change-set that the builder of `name` seals in that epoch.
pub(crate) fn candidate(name: &str, epoch: u32) -> Digest {
    Digest::of(format!("{name} {epoch}").as_bytes())
}

pub(crate) fn reading(paths: &[&str]) -> AccessRecord {
    let read = |path: &&str| Read {
        path: (*path).to_owned(),
        seen: Seen::Content,
    };
    AccessRecord {
        reads: paths.iter().map(read).collect(),
        ..AccessRecord::default()
    }
}

/// Each criterion passes on one observation.
pub(crate) fn passing(criteria: &[CriterionId]) -> Examination {
    let evidence = EvidenceId::new("e1").unwrap();
    let finding = |criterion: &CriterionId| Finding {
        criterion: criterion.clone(),
        verdict: Verdict::Pass,
        evidence: vec![evidence.clone()],
        note: "seen".to_owned(),
    };
    Examination {
        findings: criteria.iter().map(finding).collect(),
        evidence: vec![Evidence {
            id: evidence.clone(),
            observed: Observed::Dir {
                path: "src".to_owned(),
            },
        }],
    }
}

/// As `passing`, but the last criterion got another verdict.
pub(crate) fn failing(mut examination: Examination, note: &str) -> Examination {
    if let Some(finding) = examination.findings.last_mut() {
        finding.verdict = Verdict::Fail;
        finding.note = note.to_owned();
    }
    examination
}

pub(crate) fn failure(message: &str) -> Trouble {
    Trouble::Failure(Failure {
        kind: FailureKind::Other,
        message: message.to_owned(),
        step: None,
        retryable: true,
    })
}

pub(crate) fn hopeless(message: &str) -> Trouble {
    Trouble::Failure(Failure {
        kind: FailureKind::Denied,
        message: message.to_owned(),
        step: Some(0),
        retryable: false,
    })
}

/// Somebody outside of idumb changed `path`.
pub(crate) fn outside(path: &str) -> Trouble {
    Trouble::Conflict {
        path: path.to_owned(),
        with: Other::Outside {
            expected: None,
            found: None,
        },
    }
}
