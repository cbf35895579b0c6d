//! Everybody who is not the run: builders, validators, the base, and a slow post.
//!
//! Invariant: the base is changed by integrations alone, and survives every crash, as do
//! candidates; what a worker saw of the base is remembered, so that it can be compared.

use std::collections::{BTreeMap, BTreeSet};

use idumb_core::{
    AccessRecord, BrokenAttempt, CriterionId, Digest, Effect, Epoch, EvidenceId, Examination,
    Input, Lease, Plan, Read, SealedAttempt, Seen, TaskId, Trouble,
};

use crate::answers::{
    broken_off, integrated, passing, phase_checked, question, refused, spoil, trouble,
};
use crate::case::{DIRS, PATHS};
use crate::rng::Rng;

/// Something that somebody looked at, and what they saw there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) path: &'static str,
    pub(crate) seen: Seen,
    /// A file's content; for a directory, the content of every file in it.
    saw: Vec<Option<u64>>,
}

impl Look {
    /// Whether what was seen is another thing once `path` is changed.
    pub(crate) fn is_changed_by(&self, path: &str) -> bool {
        match self.seen {
            Seen::Listing => path.starts_with(&format!("{}/", self.path)),
            _ => path == self.path,
        }
    }
}

/// A sealed attempt, as the world knows it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) task: TaskId,
    pub(crate) epoch: Epoch,
    pub(crate) looks: Vec<Look>,
    pub(crate) writes: Vec<(&'static str, Option<u64>)>,
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
    /// Whether the run was told that it began.
    started: bool,
    /// The token of the question that it waits for.
    asking: Option<u64>,
    /// It was told to stop.
    stopped: bool,
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
        match effect {
            Effect::Reply { token, .. } => {
                for work in &mut self.work {
                    if work.asking == Some(token) {
                        work.asking = None;
                    }
                }
            }
            Effect::Stop { lease } => self.stop(&lease, rng, faults),
            Effect::Ask { .. } => {}
            effect => {
                self.serial += 1;
                let lossy = !matches!(effect, Effect::Integrate { .. } | Effect::WriteState { .. });
                self.work.push(Work {
                    serial: self.serial,
                    effect,
                    looks: Vec::new(),
                    looks_left: rng.below(4),
                    started: false,
                    asking: None,
                    stopped: false,
                    lost: lossy && faults && rng.chance(2),
                    half: false,
                });
            }
        }
    }

    /// Whoever is told to stop does so at once, later, or never.
    fn stop(&mut self, told: &Lease, rng: &mut Rng, faults: bool) {
        for work in &mut self.work {
            if lease_of(&work.effect).as_ref() == Some(told) {
                work.stopped = true;
                work.asking = None;
                work.looks_left = if rng.chance(50) { 0 } else { work.looks_left };
                work.lost |= faults && rng.chance(20);
            }
        }
    }

    /// Whether somebody will never answer.
    pub(crate) fn is_waiting_in_vain(&self) -> bool {
        self.work.iter().any(|work| work.lost)
    }

    /// Whether somebody waits for an answer who asked under `token`.
    pub(crate) fn waits(&self, token: u64) -> bool {
        self.work.iter().any(|work| work.asking == Some(token))
    }

    /// Whether a change-set is half in the base.
    pub(crate) fn is_half(&self) -> bool {
        self.begun.len() > self.applied.len()
    }

    /// Whether the document is being written: the answer to that has no epoch.
    pub(crate) fn is_phase_work_open(&self) -> bool {
        self.work.iter().any(|work| is_phase_work(&work.effect))
            || self.mail.iter().any(is_phase_mail)
    }

    /// The host is gone. Builders and validators may not know it yet, and what they send
    /// may still come.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        self.work.retain(|work| {
            let local = matches!(work.effect, Effect::Integrate { .. } | Effect::WriteState { .. });
            !local && !work.lost && work.asking.is_none() && rng.chance(50)
        });
        self.mail.retain(|mail| {
            !is_phase_mail(mail) && !matches!(mail, Input::Ask { .. }) && rng.chance(50)
        });
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
            if !self.applied.contains(&change_set) && rng.chance(bad / 4) {
                let trouble = broken_off(rng);
                self.mail.push(integrated(&work.effect, Some(trouble)));
                return;
            }
            self.apply(change_set, false);
            self.mail.push(integrated(&work.effect, None));
            return;
        }
        if let Effect::Build { task, epoch, .. } = &work.effect
            && !work.started
        {
            work.started = true;
            if bad == 0 || rng.chance(95) {
                self.mail.push(Input::Started { task: task.clone(), epoch: *epoch });
            }
            self.work.push(work);
            return;
        }
        if work.looks_left > 0 {
            work.looks_left -= 1;
            let look = self.look(rng, &work.effect);
            work.looks.extend(look);
            self.work.push(work);
            return;
        }
        if !work.stopped
            && rng.chance(bad / 3)
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
        // What only a person judged has no trial.
        let trial = self.trials.get(&verdicts[&change_set]);
        let none = Vec::new();
        let trial = trial.map_or(&none, |trial| &trial.looks);
        let agents = [("builder", &candidate.looks), ("validator", trial)];
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
            Effect::CheckPhase { role, epoch, .. } => {
                let result = match work.stopped && rng.chance(50) {
                    true => Err(trouble(rng)),
                    false => phase_checked(plan, rng, bad, role, epoch),
                };
                Input::PhaseChecked { role, epoch, result }
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
        let definition = plan.task(&task);
        let stops = work.stopped && rng.chance(50);
        let Some(definition) = definition.filter(|_| !stops && !rng.chance(bad)) else {
            return Err(Box::new(BrokenAttempt {
                trouble: trouble(rng),
                record: record(&work.looks, &[]),
                log: Vec::new(),
            }));
        };
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
        let stops = work.stopped && rng.chance(50);
        let definition = plan.task(&task);
        let Some(definition) = definition.filter(|_| !stops && !rng.chance(bad / 4)) else {
            return Err(trouble(rng));
        };
        let checked = definition.accept.iter().filter(|criterion| !criterion.is_judged());
        let asked: Vec<CriterionId> = checked.map(|criterion| criterion.id.clone()).collect();
        let id = EvidenceId::new(format!("e{}", work.serial)).expect("an identifier");
        let mut examination = passing(&asked, &id);
        let good = asked.is_empty() || !rng.chance(bad);
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
    matches!(effect, Effect::WriteState { .. })
}

fn is_phase_mail(input: &Input) -> bool {
    matches!(input, Input::StateWritten)
}

fn lease_of(effect: &Effect) -> Option<Lease> {
    match effect {
        Effect::Build { task, epoch, .. } | Effect::Validate { task, epoch, .. } => {
            Some(Lease::Task { task: task.clone(), epoch: *epoch })
        }
        Effect::CheckPhase { role, epoch, .. } => Some(Lease::Phase { role: *role, epoch: *epoch }),
        _ => None,
    }
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
