//! Which phase a new plan is for.
//!
//! Invariant: a new phase has a number that no other has, or a folder that has no plan yet.

use idumb_core::PhaseId;

use crate::dialect::slug;
use crate::found::FoundPlan;
use crate::phases::phase_of;

/// The most words of a goal, and characters, that a phase is named by.
const MOST_WORDS: usize = 4;
const LONGEST: usize = 40;

/// Why a plan cannot be begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPhase {
    /// What was typed is no phase.
    #[error("`{text}` is no phase")]
    Unclear {
        /// What was typed.
        text: String,
        /// What to do.
        help: String,
    },
    /// There is a plan already.
    #[error("there is a plan for phase {} already: {}", .0.phase.number, .0.files.first().unwrap_or(&.0.place))]
    Taken(FoundPlan),
    /// No number is left.
    #[error("no number is left for another phase")]
    Full,
}

/// The phase that a new plan is for.
///
/// `text` is what a person typed: a number, `number-name`, or a name; without it, it is the next
/// phase, named by its goal. `plans` are those that the project's names speak of, and `is_written`
/// says which of them are really there.
///
/// # Errors
/// If what was typed is no phase, or that phase has a plan.
///
/// ```
/// let phase = idumb_plan::new_phase(&[], |_| true, None, "Add search to the notes").unwrap();
/// assert_eq!(phase.to_string(), "1-add-search-to-the");
/// ```
pub fn new_phase(
    plans: &[FoundPlan],
    is_written: impl Fn(&FoundPlan) -> bool,
    text: Option<&str>,
    goal: &str,
) -> Result<PhaseId, NoPhase> {
    let highest = plans.iter().map(|plan| plan.phase.number).max();
    let next = || highest.map_or(Some(1), |highest| highest.checked_add(1)).ok_or(NoPhase::Full);
    let Some(text) = text else {
        let number = next()?;
        return Ok(PhaseId { number, name: name(plans, number, goal) });
    };
    if let Some(meant) = plans.iter().find(|plan| plan.phase.is_meant_by(text)) {
        let free = plans.iter().filter(|plan| plan.phase.number == meant.phase.number);
        return match free.into_iter().find(|plan| is_written(plan)) {
            Some(written) => Err(NoPhase::Taken(written.clone())),
            None => Ok(meant.phase.clone()),
        };
    }
    let unclear = |help: String| NoPhase::Unclear { text: text.escape_debug().to_string(), help };
    let key = text.strip_prefix("phase-").filter(|rest| is_number(rest));
    let phase = match key.unwrap_or(text) {
        digits if is_number(digits) => {
            let number = digits.parse().map_err(|_| unclear("its number is too large".into()))?;
            PhaseId { number, name: name(plans, number, goal) }
        }
        folder if folder.starts_with(|c: char| c.is_ascii_digit()) => {
            phase_of(folder).map_err(unclear)?
        }
        word => PhaseId::new(next()?, word).map_err(|error| unclear(error.to_string()))?,
    };
    match plans.iter().find(|plan| plan.phase.number == phase.number) {
        Some(taken) => Err(NoPhase::Taken(taken.clone())),
        None => Ok(phase),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name for the phase of that goal, other than those of `plans`: the goal's first words, or, if
/// it has none that a folder can be named by, the phase's number.
fn name(plans: &[FoundPlan], number: u32, goal: &str) -> String {
    // One that begins with a digit would look like a phase's number.
    let slug = slug(goal);
    let slug = slug.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let mut name = String::new();
    for word in slug.split('-').filter(|word| !word.is_empty()).take(MOST_WORDS) {
        if !name.is_empty() && name.len() + word.len() >= LONGEST {
            break;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.extend(word.chars().take(LONGEST));
    }
    let name = name.trim_end_matches(['.', '_']);
    let taken = plans.iter().any(|plan| plan.phase.name == name);
    match (name, taken) {
        // The seed's name for it.
        ("" | "phase", _) => format!("phase-{number}"),
        (name, true) => format!("{name}-{number}"),
        (name, false) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::found::find_plans;

    const PLANS: [&str; 4] = [
        ".idumb/phases/1-store/plan.toml",
        ".idumb/phases/2-search/plan.toml",
        ".idumb/phases/4-empty/plan.toml",
        ".planning/phases/06-old/06-01-PLAN.md",
    ];

    fn begun(text: Option<&str>, goal: &str) -> String {
        let (plans, _) = find_plans(PLANS);
        let written = |plan: &FoundPlan| plan.phase.name != "empty";
        match new_phase(&plans, written, text, goal) {
            Ok(phase) => phase.to_string(),
            Err(NoPhase::Unclear { text, help }) => format!("`{text}` is no phase: {help}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn which_phase_a_table() {
        let goal = "Add search";
        let taken =
            |number: u32, file: &str| format!("there is a plan for phase {number} already: {file}");
        let table = [
            (None, "7-add-search".to_owned()),
            (Some("3"), "3-add-search".to_owned()),
            (Some("phase-3"), "3-add-search".to_owned()),
            (Some("3-find"), "3-find".to_owned()),
            (Some("find"), "7-find".to_owned()),
            // A folder without a plan is waiting for one.
            (Some("4"), "4-empty".to_owned()),
            (Some("empty"), "4-empty".to_owned()),
            (Some("4-other"), taken(4, ".idumb/phases/4-empty/plan.toml")),
            (Some("1"), taken(1, ".idumb/phases/1-store/plan.toml")),
            (Some("search"), taken(2, ".idumb/phases/2-search/plan.toml")),
            (Some("2-other"), taken(2, ".idumb/phases/2-search/plan.toml")),
            (Some("6"), taken(6, ".planning/phases/06-old/06-01-PLAN.md")),
        ];
        for (text, expected) in table {
            assert_eq!(begun(text, goal), expected, "{text:?}");
        }
        let unclear = ["", "a b", "03-find", "3-", "99999999999", "../x"];
        let told: Vec<String> = unclear.iter().map(|text| begun(Some(text), goal)).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn names_are_made_of_goals() {
        let table = [
            ("Add search", "7-add-search"),
            ("Search", "7-search-7"),
            ("  Make\nthe *notes* (all of them) faster", "7-make-the-notes-all"),
            ("2 things at once", "7-things-at-once"),
            ("42", "7-phase-7"),
            ("Suche für alle…", "7-suche-f-r-alle"),
            ("検索", "7-phase-7"),
            ("Phase", "7-phase-7"),
            (
                "Donaudampfschifffahrtsgesellschaftskapitaenswitwe",
                "7-donaudampfschifffahrtsgesellschaftskapit",
            ),
        ];
        for (goal, expected) in table {
            assert_eq!(begun(None, goal), expected, "{goal:?}");
        }
        let last = PhaseId::new(u32::MAX, "last").unwrap();
        let (mut plans, _) = find_plans(PLANS);
        plans[0].phase = last;
        assert_eq!(new_phase(&plans, |_| true, None, "x"), Err(NoPhase::Full));
    }
}
