//! One seed: what may happen next, and what passes between the run and the rest.
//!
//! Invariant: a host's rules are kept: events are durable before effects are polled, and
//! time is told when it is due.

use std::collections::BTreeSet;

use idumb_core::{
    Control, Digest, Effect, Event, Input, Moment, PauseCause, Prerequisite, Role, Run, RunId,
    RunOutcome, Stamped, Subject,
};

use crate::case::Case;
use crate::checker::Checker;
use crate::rng::Rng;
use crate::world::World;

pub(crate) struct Simulation {
    pub(crate) rng: Rng,
    pub(crate) case: Case,
    pub(crate) run: Run,
    pub(crate) journal: Vec<Stamped>,
    pub(crate) world: World,
    pub(crate) checker: Checker,
    pub(crate) at: u64,
    pub(crate) up: u64,
    /// Whether the weather is bad.
    pub(crate) faults: bool,
    /// The host died.
    pub(crate) down: bool,
    /// Whether to compare with the fold of the journal at every step.
    pub(crate) thorough: bool,
    /// A snapshot, and how many events it holds.
    pub(crate) snapshot: Option<(Vec<u8>, usize)>,
    /// The run went on from a snapshot: details of what succeeded are gone.
    pub(crate) slim: bool,
    /// What came about.
    pub(crate) seen: BTreeSet<&'static str>,
}

impl Simulation {
    pub(crate) fn new(seed: u64, thorough: bool) -> Self {
        let mut rng = Rng::new(seed);
        let case = Case::new(&mut rng);
        Self {
            run: Run::new(case.plan.clone(), case.config.clone()),
            checker: Checker::new(&case.plan, &case.config),
            rng,
            case,
            journal: Vec::new(),
            world: World::default(),
            at: 1,
            up: 1,
            faults: true,
            down: false,
            thorough,
            snapshot: None,
            slim: false,
            seen: BTreeSet::new(),
        }
    }

    pub(crate) fn simulate(&mut self) {
        self.begin();
        for _ in 0..self.case.steps {
            if self.is_over() {
                break;
            }
            self.step();
        }
        self.faults = false;
        if !self.is_over() {
            // Whoever takes it up now means well.
            self.down = true;
        }
        let mut steps = 0;
        while !self.is_over() {
            steps += 1;
            assert!(steps < 5000, "it does not end: {:#?}", self.run.state());
            self.step();
        }
        self.check_end();
    }

    /// The names of what came about.
    pub(crate) fn seen(mut self) -> Vec<&'static str> {
        self.seen.extend(self.journal.iter().map(|stamped| stamped.event.kind()));
        self.seen.extend(&self.checker.seen);
        self.seen.into_iter().collect()
    }

    fn is_over(&self) -> bool {
        !self.down && self.run.is_over() && self.run.is_at_rest()
    }

    fn check_end(&mut self) {
        self.check_fold();
        assert!(self.run.is_at_rest());
        assert_eq!(self.run.poll_timeout(), None);
        self.world.check_base(self.checker.history());
        match &self.run.state().control {
            Control::Finished(RunOutcome::Completed) => {
                assert_eq!(self.checker.completed().len(), self.case.plan.tasks.len());
            }
            _ => {
                self.seen.insert("a run that was given up");
            }
        }
        while self.world.has_mail() {
            let input = self.world.deliver(&mut self.rng, false);
            self.must_change_nothing(input);
        }
        self.run.resume(self.now());
        self.run.settle(self.now());
        assert_eq!(self.run.poll_event(), None, "what is over stays over");
    }

    pub(crate) fn now(&self) -> Moment {
        Moment { at: self.at, up: self.up }
    }
}

/// What may happen next.
impl Simulation {
    fn step(&mut self) {
        self.time_passes();
        if self.down {
            return self.come_back();
        }
        if self.run.is_at_rest() {
            return self.leave_rest();
        }
        if self.run.poll_timeout().is_some_and(|due| due <= self.up) && self.rng.chance(70) {
            return self.tell(Input::Tick);
        }
        let can_work = self.world.has_work();
        let can_read = self.world.has_mail();
        let prompts = self.run.state().prompts.len();
        if !can_work && !can_read && prompts == 0 {
            return self.wait();
        }
        match self.rng.below(if self.faults { 100 } else { 80 }) {
            0..38 if can_work => self.work(),
            0..70 if can_read => self.read_mail(),
            70..78 if prompts > 0 => self.answer(),
            78..80 if self.faults => self.wait(),
            80..84 => self.pause(),
            84..92 => self.invent(),
            92..94 => self.tell(Input::Tick),
            94 if self.rng.chance(50) => {
                self.checker.unattended();
                self.tell(Input::Unattended);
            }
            95 if self.rng.chance(20) => self.down = true,
            96 if self.case.cancels => self.tell(Input::Cancel { reason: String::new() }),
            _ if can_read => self.read_mail(),
            _ if can_work => self.work(),
            _ if prompts > 0 && self.can_be_answered() => self.answer(),
            _ => self.wait(),
        }
    }

    fn time_passes(&mut self) {
        let passed = self.rng.below(self.case.pace) as u64;
        self.up += passed;
        self.at = self.at.saturating_add(passed);
        if self.faults && self.rng.chance(2) {
            self.at = self.rng.next();
            self.seen.insert("a jump of the clock");
        }
    }

    /// Nothing happens until something is due.
    fn wait(&mut self) {
        let Some(due) = self.run.poll_timeout() else {
            if !self.can_be_answered() && !self.world.has_work() && !self.world.has_mail() {
                // A builder that never began has no deadline: only a person notices.
                let vain = self.world.is_waiting_in_vain();
                assert!(vain, "it hangs: {:#?}", self.run.state());
                self.tell(Input::Stop { reason: String::new() });
            }
            return;
        };
        let late = if self.rng.chance(50) { 0 } else { self.rng.below(500) as u64 };
        self.up = self.up.max(due) + late;
        self.tell(Input::Tick);
    }

    /// Whether a person can get things going. A run that is to rest waits for nobody.
    fn can_be_answered(&self) -> bool {
        let resting = matches!(self.run.state().control, Control::PauseRequested(..));
        !resting && !self.run.state().prompts.is_empty()
    }

    pub(crate) fn begin(&mut self) {
        let met = self.rng.chance(70) || !self.faults;
        let prerequisites = (0..self.case.prerequisites)
            .map(|number| Prerequisite {
                phase: number.to_string(),
                completed_by: met.then(|| RunId::new("r").expect("an identifier")),
            })
            .collect();
        self.tell(Input::Begin { prerequisites });
    }

    fn work(&mut self) {
        let verdicts = &self.checker.verdicts;
        self.world.work(&self.case.plan, &mut self.rng, self.case.bad, verdicts);
    }

    fn read_mail(&mut self) {
        let input = self.world.deliver(&mut self.rng, self.faults);
        self.tell(input);
    }

    pub(crate) fn answer(&mut self) {
        if let Some(input) = self.choice() {
            self.tell(input);
        }
    }

    /// What a person says to one of the open prompts: anything, or what gets things going.
    pub(crate) fn choice(&mut self) -> Option<Input> {
        let prompts: Vec<_> = self.run.state().prompts.iter().cloned().collect();
        if prompts.is_empty() {
            return None;
        }
        let prompt = self.rng.pick(&prompts);
        let option = if self.faults { self.rng.below(prompt.options.len()) } else { 0 };
        let choice = prompt.options[option].0.clone();
        let note = self.rng.chance(30).then(|| "a word".to_owned());
        Some(Input::Answer { prompt: prompt.id, choice, note })
    }

    fn pause(&mut self) {
        let causes =
            [PauseCause::User, PauseCause::Resource, PauseCause::Error, PauseCause::Timeout];
        let cause = *self.rng.pick(&causes);
        let reason = String::new();
        if self.rng.chance(30) {
            self.tell(Input::Stop { reason });
        } else {
            self.tell(Input::Pause { cause, reason });
        }
    }

    /// Somebody sends what nobody asked for.
    fn invent(&mut self) {
        // What is due is done first: it is not what the invention changed.
        self.tell(Input::Tick);
        while !self.down && self.run.poll_timeout().is_some_and(|due| due <= self.up) {
            self.tell(Input::Tick);
        }
        if self.down {
            return;
        }
        let tasks = &self.case.plan.tasks;
        let task = tasks[self.rng.below(tasks.len())].id.clone();
        let epoch = self.run.state().task(&task).map_or(0, |record| record.epoch);
        let other = if self.rng.chance(50) { epoch + 1 } else { epoch.wrapping_sub(1) };
        let change_set = Digest::of(b"invented");
        let result = Ok(Default::default());
        let input = match self.rng.below(8) {
            0 => Input::Validated { task, epoch, change_set, result },
            1 => Input::Integrated { task, epoch: other, result: Ok(Vec::new()) },
            2 => Input::Started { task, epoch: other },
            3 => Input::Answer {
                prompt: self.run.state().prompts.front().map_or(7, |prompt| prompt.id),
                choice: "invented".to_owned(),
                note: None,
            },
            4 => {
                let epoch = self.run.state().phase_epoch + 1;
                let role = *self.rng.pick(&Role::ALL);
                Input::PhaseChecked { role, epoch, result: Ok(Default::default()) }
            }
            5 if !self.world.is_phase_work_open() => Input::StateWritten,
            6 => Input::Ask {
                task,
                epoch: other,
                token: 0,
                question: String::new(),
                options: vec![("yes".to_owned(), "yes".to_owned())],
            },
            _ => Input::Begin { prerequisites: Vec::new() },
        };
        self.must_change_nothing(input);
    }
}

/// Between the run and the rest.
impl Simulation {
    pub(crate) fn tell(&mut self, input: Input) {
        self.checker.told(&input);
        self.run.handle(self.now(), input);
        self.drain();
    }

    /// It may be noted, and that is all.
    fn must_change_nothing(&mut self, input: Input) {
        let length = self.journal.len();
        self.tell(input.clone());
        for stamped in &self.journal[length..] {
            let noted =
                matches!(stamped.event, Event::StaleAnswer { .. } | Event::QuestionDeclined { .. });
            assert!(noted, "{input:?} changed something: {:?}", stamped.event);
        }
    }

    /// Events to the journal, then effects to the world; the host may die at each.
    pub(crate) fn drain(&mut self) {
        let mut early = None;
        while early.is_none() {
            early = self.run.poll_effect();
            let Some(stamped) = self.run.poll_event() else {
                break;
            };
            assert_eq!(early, None, "an effect came before its events were drained");
            if self.dies() {
                return;
            }
            self.checker.event(&stamped, &self.world);
            self.journal.push(stamped);
        }
        while let Some(effect) = early.take().or_else(|| self.run.poll_effect()) {
            if self.dies() {
                return;
            }
            self.start(effect);
        }
        self.check();
    }

    fn start(&mut self, effect: Effect) {
        if self.checker.settling {
            let settles = matches!(effect, Effect::Integrate { .. } | Effect::Reply { .. });
            assert!(settles, "it only finishes what was begun, not {effect:?}");
        }
        self.checker.effect(&effect, self.up);
        self.world.start(effect, &mut self.rng, self.faults);
    }

    fn check(&mut self) {
        self.checker.settled(self.up, &self.run, &self.world, self.thorough);
        for prompt in &self.run.state().prompts {
            let agents = matches!(prompt.subject, Subject::Agent { .. });
            assert!(!agents || !self.run.is_at_rest(), "a rest waits for a person");
        }
        if self.thorough {
            self.check_fold();
        }
        if self.rng.chance(2) && !self.down {
            self.snapshot = Some((self.run.snapshot(), self.journal.len()));
        }
    }

    fn dies(&mut self) -> bool {
        let dies = self.faults && self.rng.chance(self.case.crash);
        self.down |= dies;
        dies
    }
}
