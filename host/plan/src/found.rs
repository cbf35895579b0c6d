//! Which plans a project has, in the places of every dialect, and which one a person means.
//!
//! Invariant: only names are looked at. A plan is chosen only if no other fits as well, and
//! the name of its place always chooses it.

use std::collections::BTreeMap;

use idumb_core::PhaseId;

use crate::dialect::{Dialect, slug};
use crate::phases::{ChooseError, phase_of};
use crate::suggest::{listed, nearest};

/// The folders of a project in which plans are. Their files, and those of the folders in them,
/// are what [`find_plans`] wants to know.
pub const PLACES: [&str; 3] = [NATIVE, SEED, PLANNING];

const NATIVE: &str = ".idumb/phases";
const SEED: &str = ".idumb/governance/plans";
const PLANNING: &str = ".planning/phases";

/// A plan that is there, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundPlan {
    /// The phase that its place names.
    pub phase: PhaseId,
    /// Its folder, or its file where the dialect has no folder for a phase; from the root.
    pub place: String,
    /// What is written in such a place. The file itself decides: [`Dialect::detect`].
    pub dialect: Dialect,
    /// Its files, from the root, in order.
    pub files: Vec<String>,
}

/// What a path is, by its name.
enum Named {
    /// No plan.
    Nothing,
    /// A file of the plan of that phase.
    Plan { phase: PhaseId, place: String, dialect: Dialect },
    /// A plan whose name says too little, and what to do.
    Unclear(String),
}

/// Finds the plans among `paths`: the files in [`PLACES`], from the project's root, with `/`
/// between names.
///
/// Gives the plans by phase and place, and one sentence for each name that is none and for
/// each number that several plans of one place have.
///
/// ```
/// let paths = [".planning/phases/01-store/01-02-PLAN.md", ".planning/phases/01-store/01-01-PLAN.md"];
/// let (plans, problems) = idumb_plan::find_plans(paths);
/// assert_eq!(plans[0].phase.to_string(), "1-store");
/// assert_eq!(plans[0].files.len(), 2);
/// assert!(problems.is_empty());
/// ```
pub fn find_plans<'a>(paths: impl IntoIterator<Item = &'a str>) -> (Vec<FoundPlan>, Vec<String>) {
    let mut plans: BTreeMap<String, FoundPlan> = BTreeMap::new();
    let mut problems = Vec::new();
    for path in paths {
        match named(path) {
            Named::Nothing => {}
            Named::Unclear(help) => problems.push(format!("`{}`: {help}", path.escape_debug())),
            Named::Plan { phase, place, dialect } => {
                let new = FoundPlan { phase, place: place.clone(), dialect, files: Vec::new() };
                plans.entry(place).or_insert(new).files.push(path.to_owned());
            }
        }
    }
    let mut plans: Vec<FoundPlan> = plans.into_values().collect();
    for plan in &mut plans {
        plan.files.sort();
        plan.files.dedup();
    }
    plans.sort();
    problems.extend(twice(&plans));
    problems.sort();
    problems.dedup();
    (plans, problems)
}

/// A sentence for each number that several plans below one folder have.
fn twice(plans: &[FoundPlan]) -> Vec<String> {
    let root = |plan: &FoundPlan| PLACES.into_iter().find(|place| plan.place.starts_with(place));
    let mut met: BTreeMap<(Option<&str>, u32), Vec<&str>> = BTreeMap::new();
    for plan in plans {
        met.entry((root(plan), plan.phase.number)).or_default().push(&plan.place);
    }
    let several = met.into_iter().filter(|(_, places)| places.len() > 1);
    several
        .map(|((_, number), places)| {
            let places = listed(places);
            format!("phase {number} is there more than once: {places}; renumber all but one")
        })
        .collect()
}

fn named(path: &str) -> Named {
    let below = |place: &str| path.strip_prefix(place)?.strip_prefix('/');
    if let Some((folder, "plan.toml")) = below(NATIVE).and_then(|rest| rest.split_once('/')) {
        if folder.starts_with('.') {
            return Named::Nothing;
        }
        let place = format!("{NATIVE}/{folder}");
        return match phase_of(folder) {
            Ok(phase) => Named::Plan { phase, place, dialect: Dialect::Native },
            Err(help) => Named::Unclear(help),
        };
    }
    if let Some(stem) = below(SEED).and_then(|name| name.strip_suffix("-plan.md")) {
        return match stem.contains('/') {
            true => Named::Nothing,
            false => seed_plan(path, stem),
        };
    }
    match below(PLANNING).and_then(|rest| rest.split_once('/')) {
        Some((folder, file)) if !file.contains('/') && file.ends_with("-PLAN.md") => {
            planned(folder, file.trim_end_matches("-PLAN.md"), path)
        }
        _ => Named::Nothing,
    }
}

/// `1`, `phase-1` or `1-foundation`, of the seed's first form.
fn seed_plan(path: &str, stem: &str) -> Named {
    let rest = stem.strip_prefix("phase-").unwrap_or(stem);
    let (number, name) = rest.split_once('-').unwrap_or((rest, ""));
    match phase(number, name) {
        Ok(phase) => Named::Plan { phase, place: path.to_owned(), dialect: Dialect::SeedPlan },
        Err(_) => Named::Unclear("name it `<number>-<name>-plan.md`".to_owned()),
    }
}

/// A file of `.planning/phases`: of the seed's second form if the folder is a number alone, and
/// else of GSD.
fn planned(folder: &str, stem: &str, path: &str) -> Named {
    let numbered = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let of_gsd = {
        let mut parts = stem.splitn(3, '-');
        parts.next().is_some_and(numbered) && parts.next().is_some_and(numbered)
    };
    let (number, name) = folder.split_once('-').unwrap_or((folder, ""));
    let place = format!("{PLANNING}/{folder}");
    if number.contains('.') && number.split('.').all(numbered) {
        return Named::Unclear(
            "phases have whole numbers: renumber it, and the ones behind it".to_owned(),
        );
    }
    let found = if name.is_empty() && !of_gsd {
        phase(number, stem).map(|phase| (phase, path.to_owned(), Dialect::SeedPhase))
    } else {
        phase(number, name).map(|phase| (phase, place, Dialect::Gsd))
    };
    match found {
        Ok((phase, place, dialect)) => Named::Plan { phase, place, dialect },
        Err(()) => Named::Unclear("name its folder `<number>-<name>`".to_owned()),
    }
}

/// The phase of that number and name; one without a name is called by its number.
fn phase(number: &str, name: &str) -> Result<PhaseId, ()> {
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(());
    }
    let number: u32 = number.parse().map_err(|_| ())?;
    let name = match slug(name) {
        name if name.is_empty() => format!("phase-{number}"),
        name => name,
    };
    PhaseId::new(number, name).map_err(|_| ())
}

/// The plan that a person who types `text` means: its phase's number, name or key, or the path
/// of its place.
///
/// # Errors
/// If no plan fits, or several do, such as one phase in the places of two dialects.
pub fn choose_plan<'p>(plans: &'p [FoundPlan], text: &str) -> Result<&'p FoundPlan, ChooseError> {
    let place = text.trim_end_matches('/');
    let of_place =
        |plan: &&FoundPlan| plan.place == place || plan.files.iter().any(|file| file == text);
    if let Some(exact) = plans.iter().find(of_place) {
        return Ok(exact);
    }
    let whole = |plan: &&FoundPlan| plan.phase.to_string() == text;
    let mut fitting: Vec<&FoundPlan> = plans.iter().filter(whole).collect();
    if fitting.is_empty() {
        fitting = plans.iter().filter(|plan| plan.phase.is_meant_by(text)).collect();
    }
    let text = text.escape_debug().to_string();
    match fitting.as_slice() {
        [one] => Ok(*one),
        [] if plans.is_empty() => Err(ChooseError::None { text }),
        [] => Err(ChooseError::Unknown { help: unknown(plans, &text), text }),
        several => {
            let candidates = several.iter().map(|plan| plan.place.clone()).collect();
            Err(ChooseError::Ambiguous { text, candidates })
        }
    }
}

fn unknown(plans: &[FoundPlan], text: &str) -> String {
    let mut phases: Vec<String> = plans.iter().map(|plan| plan.phase.to_string()).collect();
    phases.dedup();
    let names = plans.iter().map(|plan| plan.phase.name.as_str());
    match nearest(text, names.chain(phases.iter().map(String::as_str))) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("the phases are {}", listed(phases.iter().map(String::as_str))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miette::Diagnostic;

    const PATHS: &[&str] = &[
        ".planning/phases/02-search/02-02-PLAN.md",
        ".planning/phases/02-search/02-01-more-PLAN.md",
        ".planning/phases/02-search/02-CONTEXT.md",
        ".planning/phases/02-search/02-01-SUMMARY.md",
        ".planning/phases/02-search/old/02-01-PLAN.md",
        ".planning/phases/7/API Design-PLAN.md",
        ".planning/phases/08/08-01-PLAN.md",
        ".idumb/governance/plans/1-foundation-plan.md",
        ".idumb/governance/plans/phase-4-plan.md",
        ".idumb/governance/plans/notes.md",
        ".idumb/phases/2-search/plan.toml",
        ".idumb/phases/2-search/notes.toml",
        ".idumb/phases/.cache/plan.toml",
        "src/plan.toml",
    ];

    fn shown(plans: &[FoundPlan]) -> String {
        let line = |plan: &FoundPlan| {
            let files = plan.files.len();
            format!("{} {:?} {} {files}", plan.phase, plan.dialect, plan.place)
        };
        plans.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn plans_are_found_in_all_places() {
        let (plans, problems) = find_plans(PATHS.iter().copied());
        assert!(problems.is_empty(), "{problems:?}");
        insta::assert_snapshot!(shown(&plans), @r"
        1-foundation SeedPlan .idumb/governance/plans/1-foundation-plan.md 1
        2-search Native .idumb/phases/2-search 1
        2-search Gsd .planning/phases/02-search 2
        4-phase-4 SeedPlan .idumb/governance/plans/phase-4-plan.md 1
        7-api-design SeedPhase .planning/phases/7/API Design-PLAN.md 1
        8-phase-8 Gsd .planning/phases/08 1
        ");
        assert_eq!(plans[2].files[0], ".planning/phases/02-search/02-01-more-PLAN.md");
    }

    #[test]
    fn names_that_say_too_little_are_told() {
        let paths = [
            ".planning/phases/02.1-more/02.1-01-PLAN.md",
            ".planning/phases/search/01-01-PLAN.md",
            ".planning/phases/3-ä-/03-01-PLAN.md",
            ".planning/phases/3-other/03-01-PLAN.md",
            ".planning/phases/99999999999-x/01-01-PLAN.md",
            ".idumb/governance/plans/foundation-plan.md",
            ".idumb/phases/01-x/plan.toml",
        ];
        let (_, problems) = find_plans(paths);
        insta::assert_snapshot!(problems.join("\n"), @r"
        `.idumb/governance/plans/foundation-plan.md`: name it `<number>-<name>-plan.md`
        `.idumb/phases/01-x/plan.toml`: name it `1-x`
        `.planning/phases/02.1-more/02.1-01-PLAN.md`: phases have whole numbers: renumber it, and the ones behind it
        `.planning/phases/99999999999-x/01-01-PLAN.md`: name its folder `<number>-<name>`
        `.planning/phases/search/01-01-PLAN.md`: name its folder `<number>-<name>`
        phase 3 is there more than once: `.planning/phases/3-other` and `.planning/phases/3-ä-`; renumber all but one
        ");
    }

    #[test]
    fn chooses_a_table() {
        let (plans, _) = find_plans(PATHS.iter().copied());
        let table = [
            ("1", ".idumb/governance/plans/1-foundation-plan.md"),
            ("foundation", ".idumb/governance/plans/1-foundation-plan.md"),
            ("phase-4", ".idumb/governance/plans/phase-4-plan.md"),
            ("api-design", ".planning/phases/7/API Design-PLAN.md"),
            (".planning/phases/02-search/", ".planning/phases/02-search"),
            (".idumb/phases/2-search/plan.toml", ".idumb/phases/2-search"),
            (".idumb/phases/2-search", ".idumb/phases/2-search"),
        ];
        for (text, place) in table {
            assert_eq!(choose_plan(&plans, text).unwrap().place, place, "{text}");
        }
    }

    #[test]
    fn what_is_not_chosen_says_why() {
        let told = |plans: &[FoundPlan], text: &str| {
            let error = choose_plan(plans, text).unwrap_err();
            format!("{error}; {}", error.help().map(|help| help.to_string()).unwrap_or_default())
        };
        let (all, _) = find_plans(PATHS.iter().copied());
        let lines = [
            told(&all, "2"),
            told(&all, "2-search"),
            told(&all, "serch"),
            told(&all, "9"),
            told(&[], "1"),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        `2` could be any of `.idumb/phases/2-search` and `.planning/phases/02-search`; name its folder, such as `.idumb/phases/2-search`
        `2-search` could be any of `.idumb/phases/2-search` and `.planning/phases/02-search`; name its folder, such as `.idumb/phases/2-search`
        there is no phase `serch`; did you mean `search`?
        there is no phase `9`; the phases are `1-foundation`, `2-search`, `4-phase-4`, `7-api-design` and `8-phase-8`
        there is no phase `1`, nor any other; make one: idumb plan-phase --goal TEXT; or write `.idumb/phases/<number>-<name>/plan.toml`
        ");
    }
}
