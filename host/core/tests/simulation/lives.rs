//! From one life of the run to the next: rests, deaths, answers while nobody runs it, other
//! plans and other configurations.
//!
//! Invariant: a new life knows the journal, perhaps a snapshot, and nothing else.

use idumb_core::{Effect, Event, Input, Run, SnapshotError, Stamped};

use crate::case::config;
use crate::simulation::Simulation;

impl Simulation {
    /// The run rests. It is taken up where it is, or by another process.
    pub(crate) fn leave_rest(&mut self) {
        if self.rng.chance(30) && !self.run.state().prompts.is_empty() {
            return self.answer();
        }
        if self.case.cancels && self.faults && self.rng.chance(10) {
            return self.tell(Input::Cancel { reason: String::new() });
        }
        if self.rng.chance(50) {
            self.down = true;
            return;
        }
        self.go_on();
    }

    /// Takes the run up again.
    fn go_on(&mut self) {
        self.run.resume(self.now());
        self.drain();
        if !self.down {
            self.begin();
        }
    }

    pub(crate) fn come_back(&mut self) {
        self.down = false;
        self.checker.crash();
        self.world.crash(&mut self.rng);
        self.up = 1 + self.rng.below(50) as u64;
        if self.faults {
            if self.rng.chance(30) {
                self.answer_meanwhile();
            }
            if self.rng.chance(10) {
                self.replan();
            }
            if self.rng.chance(20) {
                self.case.config = config(&mut self.rng);
                self.seen.insert("another configuration");
            }
        } else {
            self.case.calm_down();
        }
        self.checker.configure(&self.case.config);
        self.checker.crash();
        self.down = false;
        self.recover();
        if self.journal.is_empty() {
            return self.begin();
        }
        if self.rng.chance(20) || (self.run.is_unsettled() && self.rng.chance(50)) {
            return self.settle();
        }
        if !self.run.is_over() {
            self.go_on();
        }
    }

    fn settle(&mut self) {
        self.seen.insert("a settled run");
        self.checker.settling = true;
        self.run.settle(self.now());
        self.drain();
        for _ in 0..100 {
            if self.down || self.run.is_at_rest() || !self.run.is_unsettled() {
                break;
            }
            if self.world.has_work() {
                let verdicts = &self.checker.verdicts;
                self.world.work(&self.case.plan, &mut self.rng, self.case.bad, verdicts);
            }
            if self.world.has_mail() {
                let input = self.world.deliver(&mut self.rng, self.faults);
                self.tell(input);
            }
        }
        self.checker.settling = false;
    }

    /// The run, from what is durable.
    fn recover(&mut self) {
        let (plan, config) = (self.case.plan.clone(), self.case.config.clone());
        self.slim = false;
        if let Some((bytes, length)) = &self.snapshot
            && self.rng.chance(30)
        {
            let tail = &self.journal[*length..];
            self.run = Run::recover_from(plan, config, bytes, tail).expect("a snapshot");
            self.slim = true;
            self.seen.insert("a snapshot that was gone on from");
            return;
        }
        let journal =
            if self.thorough { through_json(&self.journal) } else { self.journal.clone() };
        self.run = Run::recover(plan, config, &journal);
    }

    /// Another process takes an answer, or gives the run up, while nobody runs it.
    fn answer_meanwhile(&mut self) {
        self.recover();
        let input = match self.choice() {
            Some(input) => input,
            None if self.case.cancels && self.rng.chance(5) => {
                Input::Cancel { reason: String::new() }
            }
            None => return,
        };
        self.run.handle(self.now(), input);
        while let Some(stamped) = self.run.poll_event() {
            if self.rng.chance(self.case.crash) {
                return;
            }
            self.checker.event(&stamped, &self.world);
            self.journal.push(stamped);
        }
        while let Some(effect) = self.run.poll_effect() {
            let harmless = matches!(effect, Effect::Reply { .. } | Effect::Integrate { .. });
            assert!(harmless, "nobody runs it, and it starts {effect:?}");
        }
        self.checker.decided();
    }

    /// Somebody changes the plan.
    fn replan(&mut self) {
        let (plan, config) = (self.case.plan.clone(), self.case.config.clone());
        let run = Run::recover(plan, config.clone(), &self.journal);
        if !run.can_go_on() || run.is_unsettled() {
            return;
        }
        let other = self.case.other_plan(&mut self.rng);
        let event = run.replan(&other);
        self.seen.insert("another plan");
        self.checker.replanned(&other, &event, &self.world);
        self.append(event);
        if let Some((bytes, length)) = self.snapshot.take() {
            let tail = &self.journal[length..];
            let refused = Run::recover_from(other.clone(), config, &bytes, tail);
            assert!(matches!(refused, Err(SnapshotError::OtherPlan { .. })), "of another plan");
        }
        self.case.plan = other;
        // The time of tasks that the plan no longer has is no longer known.
        let run = Run::recover(self.case.plan.clone(), run.config().clone(), &self.journal);
        self.checker.worked(run.state().active_ms, run.state().budget_ms);
    }

    fn append(&mut self, event: Event) {
        let stamped = Stamped { at: self.at, up: self.up, event };
        self.checker.note_time(&stamped);
        self.journal.push(stamped);
    }

    pub(crate) fn check_fold(&self) {
        let (plan, config) = (self.case.plan.clone(), self.case.config.clone());
        let folded = Run::recover(plan.clone(), config.clone(), &self.journal);
        if !self.slim {
            assert_eq!(folded.state(), self.run.state(), "the state is not the fold");
        }
        assert_eq!(text(&folded), text(&self.run), "the snapshot is not of the fold");
        if let Some((bytes, length)) = &self.snapshot {
            let tail = &self.journal[*length..];
            let run = Run::recover_from(plan, config, bytes, tail).expect("a snapshot");
            assert_eq!(text(&run), text(&folded), "a snapshot of {length} events, and the rest");
        }
    }
}

fn text(run: &Run) -> String {
    String::from_utf8(run.snapshot()).expect("a text")
}

/// What a journal that is written and read gives back.
fn through_json(journal: &[Stamped]) -> Vec<Stamped> {
    let text = serde_json::to_string(journal).expect("events can be written");
    serde_json::from_str(&text).expect("events can be read")
}
