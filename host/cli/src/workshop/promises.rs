//! What completed tasks promised, found by the paths that may break it.
//!
//! Invariant: what is not found cannot be broken; what is found is looked at more closely. Finding
//! takes as long as there are changed paths and what they touch: criteria of commands, which all do,
//! and patterns are gone through, and paths are looked up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use idumb_core::{AccessRecord, Criterion, PathGlob, Plan, RunState};

use crate::established::Established;

/// Whose a promise is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// A task of the plan, by its place there.
    Task(usize),
    /// A criterion of earlier phases, by its place among them.
    Earlier(usize),
}

/// All promises so far. It grows as tasks are completed.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    /// By each path that is looked at, or was read.
    by_path: BTreeMap<String, Vec<Whose>>,
    /// By patterns that mean more than one path.
    by_pattern: Vec<(PathGlob, Whose)>,
    /// Those that commands show, which any change may break.
    of_commands: Vec<Whose>,
    /// How many completed tasks are in it, and how many criteria.
    tasks: usize,
    criteria: usize,
    /// Where each task is in the plan; made when the first one is completed.
    places: HashMap<String, usize>,
    /// Whether those of earlier phases are in it.
    earlier: bool,
}

/// What may be broken.
#[derive(Debug, Default)]
pub(super) struct AtStake {
    /// Tasks of this run, by their place in the plan, with the criteria that may be broken.
    pub(super) tasks: Vec<(usize, Vec<Criterion>)>,
    /// Such criteria of earlier phases.
    pub(super) earlier: Vec<Criterion>,
    /// How many criteria cannot be broken.
    pub(super) untouched: u64,
}

impl Promises {
    /// What a change of the paths in `changed` may break, as the run stands.
    pub(super) fn at_stake(
        &mut self,
        changed: &BTreeSet<&str>,
        plan: &Plan,
        state: &RunState,
        established: &Established,
    ) -> AtStake {
        self.take_in(plan, state, established);
        let (nothing, mut all) = (AccessRecord::default(), AtStake::default());
        let earlier: Vec<&Criterion> = established.all().collect();
        let mut touched = 0;
        for whose in self.found(changed) {
            match whose {
                Whose::Task(place) => {
                    let task = &plan.tasks[place];
                    let latest = state.task(&task.id).and_then(|record| record.latest.as_ref());
                    let judged = latest.map_or(&nothing, |latest| &latest.judged);
                    let accept: Vec<Criterion> =
                        task.at_stake(judged, changed).into_iter().cloned().collect();
                    touched += accept.len();
                    if !accept.is_empty() {
                        all.tasks.push((place, accept));
                    }
                }
                Whose::Earlier(place) => {
                    let touches = |criterion: &&&Criterion| criterion.is_touched_by(changed);
                    all.earlier.extend(earlier.get(place).filter(touches).copied().cloned());
                }
            }
        }
        all.untouched = (self.criteria - touched - all.earlier.len()) as u64;
        all
    }

    /// Adds what was completed since.
    fn take_in(&mut self, plan: &Plan, state: &RunState, established: &Established) {
        if !self.earlier {
            self.earlier = true;
            for (place, criterion) in established.all().enumerate() {
                self.add(criterion, Whose::Earlier(place));
            }
        }
        if self.tasks == state.completed.len() {
            return;
        }
        if self.places.is_empty() {
            let ids = plan.tasks.iter().enumerate();
            self.places = ids.map(|(place, task)| (task.id.to_string(), place)).collect();
        }
        for id in &state.completed[self.tasks..] {
            let Some(&place) = self.places.get(id.as_str()) else { continue };
            for criterion in plan.tasks[place].recheckable() {
                self.add(criterion, Whose::Task(place));
            }
            let latest = state.task(id).and_then(|record| record.latest.as_ref());
            for read in latest.iter().flat_map(|latest| &latest.judged.reads) {
                self.by_path.entry(read.path.clone()).or_default().push(Whose::Task(place));
            }
        }
        self.tasks = state.completed.len();
    }

    fn add(&mut self, criterion: &Criterion, whose: Whose) {
        self.criteria += 1;
        if criterion.command().is_some() {
            self.of_commands.push(whose);
        }
        for glob in &criterion.looks_at {
            match glob.as_literal() {
                Some(path) => self.by_path.entry(path.to_owned()).or_default().push(whose),
                None => self.by_pattern.push((glob.clone(), whose)),
            }
        }
    }

    /// Everything that has to do with one of the paths, or with what is above or below it.
    fn found(&self, changed: &BTreeSet<&str>) -> BTreeSet<Whose> {
        let mut found = BTreeSet::new();
        if !changed.is_empty() {
            found.extend(&self.of_commands);
        }
        for path in changed {
            let above = path.match_indices('/').map(|(end, _)| &path[..end]);
            for name in above.chain([*path, ""]) {
                found.extend(self.by_path.get(name).into_iter().flatten());
            }
            // What stands there decides what is below.
            let below = format!("{path}/");
            let rest = self.by_path.range(below.clone()..);
            let rest = rest.take_while(|(name, _)| name.starts_with(&below));
            found.extend(rest.flat_map(|(_, whose)| whose));
            let touches = |glob: &PathGlob| glob.matches(path) || glob.lies_below(path);
            let patterns = self.by_pattern.iter().filter(|(glob, _)| touches(glob));
            found.extend(patterns.map(|(_, whose)| whose));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use idumb_core::{CriterionId, Read, Seen};
    use serde_json::Map;

    use super::*;

    const PATHS: [&str; 6] = ["a", "a/b", "a/b/c.rs", "ab", "d/e.txt", ".env"];

    #[test]
    fn nothing_that_may_be_broken_is_overlooked() {
        let mut touched = 0;
        for glob in
            ["a", "a/b/c.rs", "**", "a/**", "*.txt", "**/*.rs", "d/*", ".env", "a/b/*", "ab/c"]
        {
            let criterion = Criterion {
                id: CriterionId::new("c").unwrap(),
                text: String::new(),
                kind: "exists".to_owned(),
                args: Map::new(),
                looks_at: vec![glob.parse().unwrap()],
            };
            let mut promises = Promises::default();
            promises.add(&criterion, Whose::Task(3));
            for path in PATHS {
                let changed = BTreeSet::from([path]);
                let found = promises.found(&changed).contains(&Whose::Task(3));
                assert!(found || !criterion.is_touched_by(&changed), "{glob} {path}");
                touched += usize::from(criterion.is_touched_by(&changed));
            }
        }
        assert!(touched > 10, "{touched}");
    }

    #[test]
    fn nothing_that_was_read_is_overlooked() {
        let mut stale = 0;
        for read in PATHS.into_iter().chain([""]) {
            for seen in [Seen::Absent, Seen::Metadata, Seen::Content, Seen::Listing, Seen::Tree] {
                let mut promises = Promises::default();
                promises.by_path.entry(read.to_owned()).or_default().push(Whose::Task(3));
                let reads = vec![Read { path: read.to_owned(), seen }];
                let record = AccessRecord { reads, ..AccessRecord::default() };
                for path in PATHS {
                    let changed = BTreeSet::from([path]);
                    let is_stale = record.stale_read(&changed).is_some();
                    assert!(!is_stale || !promises.found(&changed).is_empty(), "{record:?} {path}");
                    stale += usize::from(is_stale);
                }
            }
        }
        assert!(stale > 20, "{stale}");
    }
}
