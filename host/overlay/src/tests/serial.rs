//! Batches are serialisable: tasks that ran side by side leave what they would have left one at
//! a time, in the order in which they were integrated, and a verdict holds for what is integrated.
//!
//! Invariant: a task is integrated, and a verdict counts, by the rule of the run: nothing in its
//! read set was changed since by another task ([`AccessRecord::stale_read`]); else it is done
//! again. Everything follows from the seed: `IDUMB_SERIAL_SEED=n` runs one batch,
//! `IDUMB_SERIAL_BATCHES=n` says how many to run.

mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use idumb_core::{AccessRecord, Blobs, Grants, Seen as Saw};

use super::chance::{Chance, bytes_of, number};
use super::{Project, grants};
use crate::{Base, Quota, ReadView, Sealed, WorkView, integrate};
use task::{Seen, Step, leave_word, path};

/// About ten seconds' worth for one processor.
const BATCHES: u64 = 3000;
const BYTES: usize = 700;

type Tally = BTreeMap<&'static str, u64>;

struct Task {
    steps: Vec<Step>,
    /// What its judge looks at.
    judge: Vec<Step>,
    grants: Grants,
}

/// How far a task is.
enum State {
    Working { view: WorkView, seen: Seen, built_after: usize },
    Sealed { sealed: Sealed, built_after: usize },
    Judging { sealed: Sealed, built_after: usize, view: ReadView, seen: Seen, judged_after: usize },
    Done,
}

struct Batch<'a> {
    project: Project,
    base: Base,
    tasks: &'a [Task],
    states: Vec<State>,
    uppers: usize,
    /// The tasks in the order of their integration, the paths they changed, and their verdicts.
    integrated: Vec<(usize, Vec<String>)>,
    /// Leaves this out of every read set: then the rule must fail.
    blind_for: Option<Saw>,
    tally: &'a mut Tally,
}

fn tree(chance: &mut Chance<'_>) -> Vec<(String, String)> {
    let mut files = vec![("out/".to_owned(), String::new())];
    let mut taken = BTreeSet::new();
    for number in 0..3 + chance.below(8) {
        let at = path(chance);
        // Nothing is below what is no directory.
        let ends = at.match_indices('/').map(|(end, _)| end).chain([at.len()]);
        if ends.into_iter().any(|end| taken.contains(&at[..end])) {
            continue;
        }
        let is_dir_of_others = files.iter().any(|(other, _)| other.starts_with(&format!("{at}/")));
        match chance.below(6) {
            0 => files.push((format!("{at}/"), String::new())),
            1 if !is_dir_of_others => {
                if let Some((above, _)) = at.rsplit_once('/') {
                    files.push((format!("{above}/"), String::new()));
                }
                files.push((format!("{at} -> {}", path(chance)), String::new()));
                taken.insert(at);
            }
            _ if !is_dir_of_others => {
                files.push((at.clone(), format!("file {number}")));
                taken.insert(at);
            }
            _ => {}
        }
    }
    files
}

fn project(files: &[(String, String)], openat2: bool) -> Project {
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
    let mut project = Project::in_memory(&files);
    project.openat2 = openat2;
    project
}

fn tasks(chance: &mut Chance<'_>) -> Vec<Task> {
    let task = |chance: &mut Chance<'_>| Task {
        steps: (0..1 + chance.below(9)).map(|_| Step::any(chance)).collect(),
        judge: (0..chance.below(4)).map(|_| Step::look(chance)).collect(),
        grants: match chance.below(6) {
            0 => grants(&["**"], &["a/**", "out/**"]),
            1 => grants(&["a/**"], &["b/**", "c", "out/**"]),
            2 => grants(&[], &["a/b", "a/c", "b/*", "out/**"]),
            _ => grants(&[], &["**"]),
        },
    };
    (0..2 + chance.below(3)).map(|_| task(chance)).collect()
}

impl Batch<'_> {
    fn begin(&mut self, task: usize) -> State {
        self.uppers += 1;
        let upper = self.project.dir.path().join(format!("upper{}", self.uppers));
        let grants = self.tasks[task].grants.clone();
        let view = WorkView::new(&self.base, &upper, grants, Quota::default()).unwrap();
        State::Working { view, seen: Seen::default(), built_after: self.integrated.len() }
    }

    fn again(&mut self, task: usize, why: &'static str) -> State {
        *self.tally.entry(why).or_default() += 1;
        self.begin(task)
    }

    /// The rule of the run.
    fn is_stale(&self, record: &AccessRecord, since: usize) -> bool {
        let changed = self.integrated[since..].iter().flat_map(|(_, paths)| paths);
        let changed: BTreeSet<&str> = changed.map(String::as_str).collect();
        let mut record = record.clone();
        record.reads.retain(|read| Some(read.seen) != self.blind_for);
        record.stale_read(&changed).is_some()
    }

    /// Does the next thing that a task waits for.
    fn go_on(
        &mut self,
        task: usize,
        state: State,
        chance: &mut Chance<'_>,
    ) -> Result<State, String> {
        let now = self.integrated.len();
        Ok(match state {
            State::Working { view, mut seen, built_after } => {
                match self.tasks[task].steps.get(seen.steps) {
                    Some(step) => {
                        seen.act(&view, step, task);
                        State::Working { view, seen, built_after }
                    }
                    None => {
                        leave_word(&view, task, seen);
                        match view.seal(&*self.project.store) {
                            Ok(sealed) => State::Sealed { sealed, built_after },
                            Err(_) if now > built_after => self.again(task, "not sealed"),
                            Err(error) => return Err(format!("not sealed: {error}")),
                        }
                    }
                }
            }
            State::Sealed { sealed, built_after } => {
                let blobs: Arc<dyn Blobs> = Arc::clone(&self.project.store) as Arc<dyn Blobs>;
                let mut grants = self.tasks[task].grants.clone();
                grants.reads.append(&mut grants.writes);
                match ReadView::of_candidate(&self.base, &sealed.change_set, blobs, grants) {
                    Ok(view) => {
                        let seen = Seen::default();
                        State::Judging { sealed, built_after, view, seen, judged_after: now }
                    }
                    Err(_) if now > built_after => self.again(task, "does not fit"),
                    Err(error) => return Err(format!("no candidate: {error}")),
                }
            }
            State::Judging { sealed, built_after, view, mut seen, judged_after } => {
                match self.tasks[task].judge.get(seen.steps) {
                    Some(step) => {
                        seen.look(&view, step);
                        State::Judging { sealed, built_after, view, seen, judged_after }
                    }
                    // Others may come first.
                    None if chance.percent(60) => {
                        State::Judging { sealed, built_after, view, seen, judged_after }
                    }
                    None if self.is_stale(&sealed.record, built_after) => self.again(task, "stale"),
                    None if self.is_stale(&view.record(), judged_after) => {
                        *self.tally.entry("judged again").or_default() += 1;
                        State::Sealed { sealed, built_after }
                    }
                    None => self.integrate(task, sealed, seen)?,
                }
            }
            State::Done => State::Done,
        })
    }

    fn integrate(&mut self, task: usize, sealed: Sealed, judged: Seen) -> Result<State, String> {
        let staging = self.project.dir.path().join("staging");
        // What is not stale fits: nobody but tasks is at this project.
        integrate(&self.base, &sealed.change_set, &*self.project.store, &staging)
            .map_err(|error| format!("task {task} is not stale, and {error}"))?;
        self.integrated.push((task, sealed.record.writes));
        let mut grants = self.tasks[task].grants.clone();
        grants.reads.append(&mut grants.writes);
        let (view, mut seen) = (ReadView::of_base(&self.base, grants), Seen::default());
        self.tasks[task].judge.iter().for_each(|step| seen.look(&view, step));
        if seen.sum != judged.sum {
            return Err(format!("the judge of task {task} saw something else than is there now"));
        }
        Ok(State::Done)
    }

    /// Runs all tasks, in any order, side by side.
    fn run(&mut self, chance: &mut Chance<'_>) -> Result<(), String> {
        for task in 0..self.tasks.len() {
            let state = self.begin(task);
            self.states.push(state);
        }
        let is_done = |state: &State| matches!(state, State::Done);
        while !self.states.iter().all(is_done) {
            let open: Vec<usize> =
                (0..self.states.len()).filter(|at| !is_done(&self.states[*at])).collect();
            let task = open[chance.below(open.len())];
            let state = std::mem::replace(&mut self.states[task], State::Done);
            self.states[task] = self.go_on(task, state, chance)?;
        }
        Ok(())
    }
}

/// What the tasks leave, one at a time in this order.
fn one_at_a_time(project: Project, tasks: &[Task], order: &[usize]) -> BTreeMap<String, String> {
    let base = project.base();
    for task in order {
        let upper = project.dir.path().join(format!("upper{task}"));
        let grants = tasks[*task].grants.clone();
        let view = WorkView::new(&base, &upper, grants, Quota::default()).unwrap();
        let mut seen = Seen::default();
        tasks[*task].steps.iter().for_each(|step| seen.act(&view, step, *task));
        leave_word(&view, *task, seen);
        project.integrate(&project.seal(view).change_set).unwrap();
    }
    project.tree()
}

fn run(seed: u64, blind_for: Option<Saw>, tally: &mut Tally) -> Result<(), String> {
    let bytes = bytes_of(seed, BYTES);
    let mut chance = Chance::new(&bytes);
    let files = tree(&mut chance);
    let tasks = tasks(&mut chance);
    let openat2 = seed.is_multiple_of(2);
    let project = self::project(&files, openat2);
    let base = project.base();
    let (states, integrated) = (Vec::new(), Vec::new());
    let mut batch =
        Batch { project, base, tasks: &tasks, states, uppers: 0, integrated, blind_for, tally };
    batch.run(&mut chance)?;
    let order: Vec<usize> = batch.integrated.iter().map(|(task, _)| *task).collect();
    let (left, uppers) = (batch.project.tree(), batch.uppers);
    *tally.entry("batches").or_default() += 1;
    *tally.entry("tasks").or_default() += tasks.len() as u64;
    *tally.entry("attempts").or_default() += uppers as u64;
    let expected = one_at_a_time(self::project(&files, openat2), &tasks, &order);
    if left == expected {
        return Ok(());
    }
    let steps: Vec<_> = tasks.iter().map(|task| (&task.steps, &task.grants)).collect();
    Err(format!("order {order:?} of {steps:#?}\non {files:?}\nleft {left:#?}\nnot {expected:#?}"))
}

#[test]
#[expect(clippy::print_stdout, reason = "what came about is worth reading")]
fn a_batch_leaves_what_some_serial_order_leaves() {
    let mut tally = Tally::new();
    let batches = number("IDUMB_SERIAL_BATCHES").unwrap_or(BATCHES);
    let seeds = number("IDUMB_SERIAL_SEED").map_or(0..batches, |seed| seed..seed + 1);
    for seed in seeds.clone() {
        if let Err(why) = run(seed, None, &mut tally) {
            panic!("IDUMB_SERIAL_SEED={seed} runs the batch that failed: {why}");
        }
    }
    println!("{tally:#?}");
    if seeds.end - seeds.start >= 1000 {
        for (what, of) in [("stale", 10), ("judged again", 100)] {
            let count = tally.get(what).copied().unwrap_or(0);
            assert!(count * of > batches, "too seldom: {what}: {count}");
        }
    }
}

/// The test above can fail: it does if a read set has no listings, absences or metadata.
#[test]
fn a_read_set_with_something_left_out_is_noticed() {
    for blind in [Saw::Listing, Saw::Absent, Saw::Metadata, Saw::Content] {
        let noticed = (0..2000).any(|seed| run(seed, Some(blind), &mut Tally::new()).is_err());
        assert!(noticed, "without {blind:?}");
    }
}
