//! A run in bad weather: random plans, a world that delays, reorders, doubles, drops and
//! invents answers, a host that dies at any event, and people who answer anything.
//!
//! Invariant: everything follows from the seed. `IDUMB_SIM_SEED=n` replays one seed, with
//! its story if it fails; `IDUMB_SIM_SEEDS=n` says how many to try.

mod answers;
mod case;
mod checker;
mod rng;
mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use idumb_core::{
    Control, Digest, Effect, Input, PauseCause, Prerequisite, Role, Run, RunId, RunOutcome, Stamped,
};

use crate::case::Case;
use crate::checker::Checker;
use crate::rng::Rng;
use crate::world::World;

/// About twenty seconds' worth for one processor, without optimisation.
const SEEDS: u64 = 10_000;

#[test]
fn a_run_never_loses_its_place() {
    if let Some(seed) = number("IDUMB_SIM_SEED") {
        try_seed(seed, true);
        return;
    }
    let seeds = number("IDUMB_SIM_SEEDS").unwrap_or(SEEDS);
    let seen = try_seeds(seeds);
    if seeds >= 1000 {
        // A simulation that never gets somewhere proves nothing about that place.
        assert_eq!(seen.len(), 27, "some kinds of events never happened: {seen:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test chooses the seeds")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Simulates that many seeds, on all processors; the kinds of events that came about.
fn try_seeds(seeds: u64) -> BTreeSet<&'static str> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let share = |first: u64| {
        let mut seen = BTreeSet::new();
        for seed in (first..seeds).step_by(threads as usize) {
            let journal = try_seed(seed, seed % 16 == 0);
            seen.extend(journal.iter().map(|stamped| stamped.event.kind()));
        }
        seen
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        let mut seen = BTreeSet::new();
        for worker in workers {
            match worker.join() {
                Ok(kinds) => seen.extend(kinds),
                Err(panic) => resume_unwind(panic),
            }
        }
        seen
    })
}

/// Simulates one seed; the journal that it leaves.
fn try_seed(seed: u64, thorough: bool) -> Vec<Stamped> {
    let mut sim = Simulation::new(seed, thorough);
    let ended = catch_unwind(AssertUnwindSafe(|| sim.simulate()));
    if let Err(panic) = ended {
        let why = panic.downcast_ref::<String>().map_or_else(
            || panic.downcast_ref::<&str>().copied().unwrap_or_default(),
            String::as_str,
        );
        let newest = sim.journal.len().saturating_sub(30);
        let story: Vec<String> =
            sim.journal[newest..].iter().map(|stamped| format!("{:?}", stamped.event)).collect();
        panic!(
            "{why}\n  after:\n{}\n  seed {seed}: replay with IDUMB_SIM_SEED={seed}",
            story.join("\n")
        );
    }
    sim.journal
}

struct Simulation {
    rng: Rng,
    case: Case,
    run: Run,
    journal: Vec<Stamped>,
    world: World,
    checker: Checker,
    now: u64,
    /// Whether the weather is bad.
    faults: bool,
    /// The host died.
    down: bool,
    /// It only finishes what an earlier life was about to change.
    settling: bool,
    /// Whether to compare with the fold of the journal at every step.
    thorough: bool,
}

impl Simulation {
    fn new(seed: u64, thorough: bool) -> Self {
        let mut rng = Rng::new(seed);
        let case = Case::new(&mut rng);
        Self {
            run: Run::new(case.plan.clone(), case.config.clone()),
            checker: Checker::new(&case.plan, &case.config),
            rng,
            case,
            journal: Vec::new(),
            world: World::default(),
            now: 1,
            faults: true,
            down: false,
            settling: false,
            thorough,
        }
    }

    fn simulate(&mut self) {
        self.begin();
        for _ in 0..self.case.steps {
            if self.is_completed() {
                break;
            }
            self.step();
        }
        self.faults = false;
        self.case.bad = 0;
        self.case.prerequisites = 0;
        if self.world.is_waiting_in_vain() && !self.down {
            self.crash();
        }
        let mut steps = 0;
        while !self.is_completed() {
            steps += 1;
            assert!(steps < 5000, "it does not end: {:#?}", self.run.state());
            self.step();
        }
        self.check_end();
    }

    fn is_completed(&self) -> bool {
        let completed = Control::Finished(RunOutcome::Completed);
        !self.down && self.run.state().control == completed
    }

    fn check_end(&mut self) {
        self.check_fold();
        assert!(self.run.is_at_rest());
        assert_eq!(self.checker.completed().len(), self.case.plan.tasks.len());
        assert_eq!(self.run.state().completed, self.checker.completed());
        self.world.check_base(self.checker.completed());
        while self.world.has_mail() {
            let input = self.world.deliver(&mut self.rng, false);
            self.must_change_nothing(input);
        }
        self.run.resume(self.now);
        assert_eq!(self.run.poll_event(), None, "a completed run is completed");
    }

    fn check_fold(&self) {
        let folded = Run::recover(self.case.plan.clone(), self.case.config.clone(), &self.journal);
        assert_eq!(folded.state(), self.run.state(), "the state is not the fold of the events");
    }
}

/// What may happen next.
impl Simulation {
    fn step(&mut self) {
        self.now += self.rng.next() % 3000;
        if self.down {
            return self.come_back();
        }
        if self.run.is_at_rest() {
            return self.go_on();
        }
        let can_work = self.world.has_work();
        let can_read = self.world.has_mail();
        let prompts = self.run.state().prompts.len();
        if !can_work && !can_read && !self.can_be_answered() {
            assert!(self.world.is_waiting_in_vain(), "it hangs: {:#?}", self.run.state());
            return self.crash();
        }
        match self.rng.below(if self.faults { 100 } else { 80 }) {
            0..40 if can_work => self.work(),
            0..72 if can_read => self.read_mail(),
            72..80 if prompts > 0 => self.answer(),
            80..84 => self.pause(),
            84..94 => self.invent(),
            94 if self.world.is_fenced() => self.go_on(),
            _ if can_work => self.work(),
            _ if can_read => self.read_mail(),
            _ if prompts > 0 => self.answer(),
            _ => {}
        }
    }

    /// Whether a person can get things going. A run that is to rest waits for nobody.
    fn can_be_answered(&self) -> bool {
        let resting = matches!(self.run.state().control, Control::PauseRequested(..));
        !resting && !self.run.state().prompts.is_empty()
    }

    fn begin(&mut self) {
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

    fn answer(&mut self) {
        let prompts: Vec<_> = self.run.state().prompts.iter().cloned().collect();
        let prompt = self.rng.pick(&prompts);
        let option = if self.faults { self.rng.below(prompt.options.len()) } else { 0 };
        let choice = prompt.options[option].0.clone();
        let prompt = prompt.id;
        self.tell(Input::Answer { prompt, choice });
    }

    fn pause(&mut self) {
        let causes =
            [PauseCause::User, PauseCause::Resource, PauseCause::Error, PauseCause::Timeout];
        let cause = *self.rng.pick(&causes);
        let reason = String::new();
        self.tell(Input::Pause { cause, reason });
    }

    /// Takes the run up again: one that rests or goes, or one that was read from the journal.
    fn go_on(&mut self) {
        self.checker.crash();
        let asked_before = self.checker.last_prompt();
        self.run.resume(self.now);
        self.drain();
        if self.down {
            return;
        }
        let mut prompts = self.run.state().prompts.iter();
        let old = prompts.find(|prompt| prompt.id <= asked_before);
        assert_eq!(old, None, "a prompt of an earlier life is open");
        self.begin();
    }

    fn crash(&mut self) {
        self.down = true;
    }

    fn come_back(&mut self) {
        self.down = false;
        self.checker.crash();
        self.world.crash(&mut self.rng);
        let journal =
            if self.thorough { through_json(&self.journal) } else { self.journal.clone() };
        self.run = Run::recover(self.case.plan.clone(), self.case.config.clone(), &journal);
        if !self.journal.is_empty() && self.rng.chance(20) {
            self.settling = true;
            self.run.settle(self.now);
            self.drain();
            self.settling = false;
            return;
        }
        if self.is_completed() {
            return;
        }
        self.go_on();
    }

    /// Somebody sends what nobody asked for.
    fn invent(&mut self) {
        let tasks = &self.case.plan.tasks;
        let task = tasks[self.rng.below(tasks.len())].id.clone();
        let epoch = self.run.state().task(&task).map_or(0, |record| record.epoch);
        let other = if self.rng.chance(50) { epoch + 1 } else { epoch.wrapping_sub(1) };
        let change_set = Digest::of(b"invented");
        let input = match self.rng.below(6) {
            0 => Input::Validated { task, epoch, change_set, result: Ok(Default::default()) },
            1 => Input::Integrated { task, epoch: other, result: Ok(Vec::new()) },
            2 => Input::Answer { prompt: 0, choice: "retry".to_owned() },
            3 => Input::Answer {
                prompt: self.run.state().prompts.front().map_or(7, |prompt| prompt.id),
                choice: "invented".to_owned(),
            },
            4 if !self.world.is_phase_work_open() => {
                let role = *self.rng.pick(&Role::ALL);
                Input::PhaseChecked { role, result: Ok(Default::default()) }
            }
            _ if !self.world.is_phase_work_open() => Input::StateWritten,
            _ => Input::Begin { prerequisites: Vec::new() },
        };
        self.must_change_nothing(input);
    }
}

/// Between the run and the rest.
impl Simulation {
    fn tell(&mut self, input: Input) {
        self.run.handle(self.now, input);
        self.drain();
    }

    fn must_change_nothing(&mut self, input: Input) {
        let before = self.run.state().clone();
        self.run.handle(self.now, input.clone());
        assert_eq!(self.run.state(), &before, "{input:?} changed something");
        self.drain();
    }

    /// Events to the journal, then effects to the world; the host may die at each.
    fn drain(&mut self) {
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
            self.checker.event(&stamped.event, &self.world);
            self.journal.push(stamped);
        }
        while let Some(effect) = early.take().or_else(|| self.run.poll_effect()) {
            if self.dies() {
                return;
            }
            if self.settling {
                let settles =
                    matches!(effect, Effect::Integrate { .. } | Effect::WriteState { .. });
                assert!(settles, "it only finishes what was begun, not {effect:?}");
            }
            self.checker.effect(&effect);
            self.world.start(effect, &mut self.rng, self.faults);
        }
        if self.thorough {
            self.check_fold();
        }
    }

    fn dies(&mut self) -> bool {
        let dies = self.faults && self.rng.chance(self.case.crash);
        self.down |= dies;
        dies
    }
}

/// What a journal that is written and read gives back.
fn through_json(journal: &[Stamped]) -> Vec<Stamped> {
    let text = serde_json::to_string(journal).expect("events can be written");
    serde_json::from_str(&text).expect("events can be read")
}
