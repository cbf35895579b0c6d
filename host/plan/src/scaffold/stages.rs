//! What a scaffold consists of at each level of detail, and which task waits for which.
//!
//! Invariant: no two tasks that do not wait for each other may write the same, nor does one read
//! what the other writes.

use std::collections::BTreeSet;

use idumb_core::PathGlob;

/// How much a scaffold goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Only what is to be built.
    Low,
    /// That, and tests for it.
    #[default]
    Medium,
    /// Tests first, then what is built, then its docs; and in the end a person decides.
    High,
}

/// A part of the way to a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Build,
    Tests,
    Docs,
}

/// The stages of a phase, first to last, and whether a person decides in the end.
pub(super) fn stages(detail: Detail) -> (&'static [Stage], bool) {
    match detail {
        Detail::Low => (&[Stage::Build], false),
        Detail::Medium => (&[Stage::Build, Stage::Tests], false),
        Detail::High => (&[Stage::Tests, Stage::Build, Stage::Docs], true),
    }
}

/// What a task touches.
#[derive(Debug, Clone)]
pub(super) struct Touched {
    pub(super) writes: Vec<PathGlob>,
    /// What it would read, if nobody were at work on it.
    pub(super) reads: Vec<PathGlob>,
}

/// Where a task stands among the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The tasks that it waits for, by their places.
    pub(super) waits_for: Vec<usize>,
    /// The tasks whose files it cannot read, since it does not wait for them.
    pub(super) unseen: Vec<usize>,
}

/// Puts tasks in order, and leaves them what they can read in it.
///
/// In `parallel`, only what may write the same waits; else each waits for the one before. Where
/// `last_is_end`, the last one waits for all others.
pub(super) fn arrange(tasks: &mut [Touched], parallel: bool, last_is_end: bool) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    // All that must be done before a task begins.
    let mut before: Vec<BTreeSet<usize>> = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let waits_for: Vec<usize> = if !parallel {
            index.checked_sub(1).into_iter().collect()
        } else if last_is_end && index + 1 == tasks.len() {
            (0..index).collect()
        } else {
            (0..index).filter(|&other| overlap(&task.writes, &tasks[other].writes)).collect()
        };
        let all = waits_for.iter().flat_map(|&other| before[other].iter().copied().chain([other]));
        before.push(all.collect());
        places.push(Place { waits_for, unseen: Vec::new() });
    }
    for index in 0..tasks.len() {
        let unordered: Vec<usize> = (0..tasks.len())
            .filter(|&other| other != index)
            .filter(|&other| !before[index].contains(&other) && !before[other].contains(&index))
            .collect();
        let mut reads = std::mem::take(&mut tasks[index].reads);
        // What it may write, it may read.
        reads.retain(|read| !tasks[index].writes.iter().any(|own| own.covers(read)));
        let hidden = |read: &PathGlob, other: usize| {
            tasks[other].writes.iter().any(|theirs| theirs.overlaps(read))
        };
        places[index].unseen = unordered
            .iter()
            .copied()
            .filter(|&other| reads.iter().any(|read| hidden(read, other)))
            .collect();
        reads.retain(|read| !unordered.iter().any(|&other| hidden(read, other)));
        tasks[index].reads = reads;
    }
    places
}

fn overlap(some: &[PathGlob], others: &[PathGlob]) -> bool {
    some.iter().any(|one| others.iter().any(|other| one.overlaps(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_detail_consists_of() {
        use Stage::{Build, Docs, Tests};
        let table: [(Detail, &[Stage], bool); 3] = [
            (Detail::Low, &[Build], false),
            (Detail::Medium, &[Build, Tests], false),
            (Detail::High, &[Tests, Build, Docs], true),
        ];
        for (detail, expected, asks) in table {
            assert_eq!(stages(detail), (expected, asks), "{detail:?}");
        }
    }

    fn globs(texts: &[&str]) -> Vec<PathGlob> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn touched(writes: &[&str], reads: &[&str]) -> Touched {
        Touched { writes: globs(writes), reads: globs(reads) }
    }

    /// Each task as `writes < reads (waits for; does not see)`.
    fn arranged(mut tasks: Vec<Touched>, parallel: bool, last_is_end: bool) -> Vec<String> {
        let places = arrange(&mut tasks, parallel, last_is_end);
        let line = |(task, place): (&Touched, &Place)| {
            let text = |globs: &[PathGlob]| {
                globs.iter().map(PathGlob::as_str).collect::<Vec<_>>().join(" ")
            };
            let (writes, reads) = (text(&task.writes), text(&task.reads));
            format!("{writes} < {reads} ({:?}; {:?})", place.waits_for, place.unseen)
        };
        tasks.iter().zip(&places).map(line).collect()
    }

    #[test]
    fn who_waits_for_whom_and_what_each_then_reads() {
        let tasks = || {
            vec![
                touched(&["src/**"], &["Cargo.toml", "tests/**", "src/a.rs"]),
                touched(&["tests/**"], &["Cargo.toml", "src/**"]),
                touched(&["src/api/**"], &["tests/**"]),
            ]
        };
        assert_eq!(
            arranged(tasks(), false, true),
            [
                "src/** < Cargo.toml tests/** ([]; [])",
                "tests/** < Cargo.toml src/** ([0]; [])",
                "src/api/** < tests/** ([1]; [])",
            ]
        );
        assert_eq!(
            arranged(tasks(), true, false),
            [
                "src/** < Cargo.toml ([]; [1])",
                "tests/** < Cargo.toml ([]; [0, 2])",
                "src/api/** <  ([0]; [1])",
            ]
        );
        assert_eq!(
            arranged(tasks(), true, true),
            [
                "src/** < Cargo.toml ([]; [1])",
                "tests/** < Cargo.toml ([]; [0])",
                "src/api/** < tests/** ([0, 1]; [])",
            ]
        );
    }
}
