//! Everybody who is not the run: builders, validators, the base, and a slow post.
//!
//! Invariant: the base is changed by integrations alone, and survives every crash, as do
//! candidates; what a worker saw of the base is remembered, so that it can be compared.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{
    AccessRecord, BrokenAttempt, CriterionId, Digest, Effect, Epoch, EvidenceId, Examination,
    Input, Plan, Read, SealedAttempt, Seen, TaskId, Trouble,
};

use crate::answers::{integrated, passing, phase_checked, question, refused, spoil, trouble};
use crate::case::{DIRS, PATHS};
use crate::rng::Rng;

/// Something that somebody looked at, and what they saw there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    path: &'static str,
    seen: Seen,
    /// A file's content; for a directory, the content of every file in it.
    saw: Vec<Option<u64>>,
}

/// A sealed attempt, as the world knows it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) task: TaskId,
    pub(crate) epoch: Epoch,
    pub(crate) looks: Vec<Look>,
    writes: Vec<(&'static str, Option<u64>)>,
}

/// A validation, as the world knows it.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) change_set: Digest,
    pub(crate) epoch: Epoch,
    pub(crate) looks: Vec<Look>,
    /// Whether it is fit to be a pass.
    pub(crate) good: bool,
}

/// An effect that is being carried out.
#[derive(Debug)]
struct Work {
    serial: u64,
    effect: Effect,
    looks: Vec<Look>,
    looks_left: usize,
    /// The token of the question that it waits for.
    asking: Option<u64>,
    /// It will never answer.
    lost: bool,
    /// It is half applied.
    half: bool,
}

#[derive(Default)]
pub(crate) struct World {
    base: BTreeMap<&'static str, u64>,
    pub(crate) candidates: BTreeMap<Digest, Candidate>,
    pub(crate) trials: BTreeMap<EvidenceId, Trial>,
    /// Change-sets of which a part is in the base.
    pub(crate) begun: BTreeSet<Digest>,
    /// Change-sets that are in the base, in that order.
    pub(crate) applied: Vec<Digest>,
    work: Vec<Work>,
    mail: Vec<Input>,
    serial: u64,
}

impl World {
    /// Takes an effect on.
    pub(crate) fn start(&mut self, effect: Effect, rng: &mut Rng, faults: bool) {
        if let Effect::Reply { token, .. } = effect {
            for work in &mut self.work {
                if work.asking == Some(token) {
                    work.asking = None;
                }
            }
            return;
        }
        if matches!(effect, Effect::Ask { .. } | Effect::WriteState { wanted: false, .. }) {
            return;
        }
        self.serial += 1;
        self.work.push(Work {
            serial: self.serial,
            effect,
            looks: Vec::new(),
            looks_left: rng.below(4),
            asking: None,
            lost: faults && rng.chance(1),
            half: false,
        });
    }

    /// Whether somebody will never answer.
    pub(crate) fn is_waiting_in_vain(&self) -> bool {
        self.work.iter().any(|work| work.lost)
    }

    /// Whether somebody works on what has no epoch to tell its answers apart.
    pub(crate) fn is_phase_work_open(&self) -> bool {
        self.work.iter().any(|work| is_phase_work(&work.effect))
            || self.mail.iter().any(is_phase_mail)
    }

    /// Whether all that is under way can be disowned: an integration cannot, and a check of
    /// the phase has no epoch to tell its answer from the next one's.
    pub(crate) fn is_fenced(&self) -> bool {
        let integrates = |work: &Work| matches!(work.effect, Effect::Integrate { .. });
        !self.is_phase_work_open() && !self.work.iter().any(integrates)
    }

    /// The host is gone. Builders and validators may not know it yet, and what they send
    /// may still come.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        self.work.retain(|work| {
            let remote = matches!(work.effect, Effect::Build { .. } | Effect::Validate { .. });
            remote && !work.lost && work.asking.is_none() && rng.chance(50)
        });
        self.mail.retain(|mail| !is_phase_mail(mail) && rng.chance(50));
    }

    /// What can be worked on.
    fn busy(&self) -> Vec<usize> {
        let goes_on = |work: &Work| !work.lost && work.asking.is_none();
        let busy = self.work.iter().enumerate();
        busy.filter(|(_, work)| goes_on(work)).map(|(index, _)| index).collect()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.busy().is_empty()
    }

    pub(crate) fn has_mail(&self) -> bool {
        !self.mail.is_empty()
    }

    /// Takes a letter out: any, so that they are reordered; and perhaps leaves a copy.
    pub(crate) fn deliver(&mut self, rng: &mut Rng, faults: bool) -> Input {
        let index = rng.below(self.mail.len());
        let letter = self.mail.swap_remove(index);
        if faults
            && !is_phase_mail(&letter)
            && !matches!(letter, Input::Ask { .. })
            && rng.chance(10)
        {
            self.mail.push(letter.clone());
        }
        letter
    }

    /// Somebody gets a bit further. Complains if an integration is not serialisable.
    pub(crate) fn work(
        &mut self,
        plan: &Plan,
        rng: &mut Rng,
        bad: u32,
        verdicts: &BTreeMap<Digest, EvidenceId>,
    ) {
        let index = *rng.pick(&self.busy());
        let mut work = self.work.swap_remove(index);
        if let Effect::Integrate { change_set, .. } = work.effect {
            if !work.half && !self.applied.contains(&change_set) {
                if !self.begun.contains(&change_set) {
                    if rng.chance(bad / 4) {
                        self.mail.push(refused(&work.effect, rng));
                        return;
                    }
                    self.check_serialisable(change_set, verdicts);
                }
                self.apply(change_set, true);
                work.half = true;
                self.work.push(work);
                return;
            }
            self.apply(change_set, false);
            self.mail.push(integrated(&work.effect));
            return;
        }
        if work.looks_left > 0 {
            work.looks_left -= 1;
            let look = self.look(rng, &work.effect);
            work.looks.extend(look);
            self.work.push(work);
            return;
        }
        if rng.chance(bad / 8)
            && let Some(question) = question(&work.effect, work.serial)
        {
            self.mail.push(question);
            work.asking = Some(work.serial);
            work.serial = self.next_serial();
            self.work.push(work);
            return;
        }
        let answer = self.answer(plan, rng, bad, work);
        self.mail.push(answer);
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn see(&self, path: &str) -> Vec<Option<u64>> {
        if DIRS.contains(&path) {
            let inside = |file: &&&str| file.starts_with(path);
            return PATHS.iter().filter(inside).map(|file| self.base.get(*file).copied()).collect();
        }
        vec![self.base.get(path).copied()]
    }

    /// Looks at something of the base: not at what the candidate hides.
    fn look(&self, rng: &mut Rng, effect: &Effect) -> Option<Look> {
        let path = if rng.chance(20) { *rng.pick(&DIRS) } else { *rng.pick(&PATHS) };
        if let Effect::Validate { change_set, .. } = effect {
            let candidate = &self.candidates[change_set];
            let hidden = |(file, _): &(&str, Option<u64>)| {
                *file == path || file.starts_with(&format!("{path}/"))
            };
            if candidate.writes.iter().any(hidden) {
                return None;
            }
        }
        let saw = self.see(path);
        let seen = match saw.as_slice() {
            [None] => Seen::Absent,
            [Some(_)] => Seen::Content,
            _ => Seen::Listing,
        };
        Some(Look { path, seen, saw })
    }

    /// What the builder and the validator saw must be what stands there now: then it is as
    /// if they had worked just now, alone.
    fn check_serialisable(&self, change_set: Digest, verdicts: &BTreeMap<Digest, EvidenceId>) {
        let candidate = &self.candidates[&change_set];
        let trial = &self.trials[&verdicts[&change_set]];
        let agents = [("builder", &candidate.looks), ("validator", &trial.looks)];
        for (who, looks) in agents {
            for look in looks {
                let now = self.see(look.path);
                assert_eq!(
                    look.saw, now,
                    "{}: its {who} saw another {}",
                    candidate.task, look.path
                );
            }
        }
    }

    fn apply(&mut self, change_set: Digest, half: bool) {
        if self.applied.contains(&change_set) {
            return;
        }
        let writes = &self.candidates[&change_set].writes;
        let count = if half { writes.len() / 2 } else { writes.len() };
        put(&mut self.base, &writes[..count]);
        self.begun.insert(change_set);
        if !half {
            self.applied.push(change_set);
        }
    }

    /// The base must be what the change-sets make of it one after the other.
    pub(crate) fn check_base(&self, completed: &[TaskId]) {
        let mut base = BTreeMap::new();
        let mut tasks = Vec::new();
        for change_set in &self.applied {
            let candidate = &self.candidates[change_set];
            put(&mut base, &candidate.writes);
            tasks.push(candidate.task.clone());
        }
        assert_eq!(tasks, completed, "integrated, and completed");
        assert_eq!(base, self.base);
    }
}

/// Answers.
impl World {
    fn answer(&mut self, plan: &Plan, rng: &mut Rng, bad: u32, work: Work) -> Input {
        match work.effect {
            Effect::Build { ref task, epoch, .. } => {
                let task = task.clone();
                let result = self.built(plan, rng, bad, work);
                Input::Built { task, epoch, result }
            }
            Effect::Validate { ref task, epoch, change_set, .. } => {
                let task = task.clone();
                let result = self.validated(plan, rng, bad, work);
                Input::Validated { task, epoch, change_set, result }
            }
            Effect::CheckPhase { role } => {
                let result = phase_checked(plan, rng, bad, role);
                Input::PhaseChecked { role, result }
            }
            _ => Input::StateWritten,
        }
    }

    fn built(
        &mut self,
        plan: &Plan,
        rng: &mut Rng,
        bad: u32,
        work: Work,
    ) -> Result<Box<SealedAttempt>, Box<BrokenAttempt>> {
        let Effect::Build { task, epoch, .. } = work.effect else {
            unreachable!("only builders build");
        };
        if rng.chance(bad) {
            return Err(Box::new(BrokenAttempt {
                trouble: trouble(rng),
                record: record(&work.looks, &[]),
                log: Vec::new(),
            }));
        }
        let definition = plan.task(&task).expect("a task of the plan");
        let allowed = |path: &&str| definition.writes.iter().any(|glob| glob.matches(path));
        let mut writes = Vec::new();
        for path in PATHS.iter().copied().filter(allowed) {
            match rng.below(8) {
                0 => {}
                1 => writes.push((path, None)),
                _ => writes.push((path, Some(work.serial))),
            }
        }
        let change_set = Digest::of(format!("{task} {epoch} {}", work.serial).as_bytes());
        let paths: Vec<&str> = writes.iter().map(|(path, _)| *path).collect();
        let sealed = SealedAttempt {
            change_set,
            paths: paths.iter().map(ToString::to_string).collect(),
            summary: String::new(),
            artifacts: Vec::new(),
            record: record(&work.looks, &paths),
            evidence: Vec::new(),
            log: Vec::new(),
        };
        let looks = work.looks;
        self.candidates.insert(change_set, Candidate { task, epoch, looks, writes });
        Ok(Box::new(sealed))
    }

    fn validated(
        &mut self,
        plan: &Plan,
        rng: &mut Rng,
        bad: u32,
        work: Work,
    ) -> Result<(Examination, AccessRecord), Trouble> {
        let Effect::Validate { task, epoch, change_set, .. } = work.effect else {
            unreachable!("only validators validate");
        };
        if rng.chance(bad / 4) {
            return Err(trouble(rng));
        }
        let definition = plan.task(&task).expect("a task of the plan");
        let asked: Vec<CriterionId> = definition.accept.iter().map(|c| c.id.clone()).collect();
        let id = EvidenceId::new(format!("e{}", work.serial)).expect("an identifier");
        let mut examination = passing(&asked, &id);
        let good = !rng.chance(bad);
        if !good {
            spoil(&mut examination, rng);
        }
        let record = record(&work.looks, &[]);
        let looks = work.looks;
        self.trials.insert(id, Trial { change_set, epoch, looks, good });
        Ok((examination, record))
    }
}

fn is_phase_work(effect: &Effect) -> bool {
    matches!(effect, Effect::CheckPhase { .. } | Effect::WriteState { .. })
}

fn is_phase_mail(input: &Input) -> bool {
    matches!(input, Input::PhaseChecked { .. } | Input::StateWritten)
}

fn put(base: &mut BTreeMap<&'static str, u64>, writes: &[(&'static str, Option<u64>)]) {
    for (path, content) in writes {
        match content {
            Some(content) => base.insert(path, *content),
            None => base.remove(path),
        };
    }
}

fn record(looks: &[Look], writes: &[&str]) -> AccessRecord {
    let read = |look: &Look| Read { path: look.path.to_owned(), seen: look.seen };
    AccessRecord {
        reads: looks.iter().map(read).collect(),
        writes: writes.iter().map(ToString::to_string).collect(),
        ..AccessRecord::default()
    }
}
