//! Which phases there are, and which one a person means.
//!
//! Invariant: a phase is chosen only if no other fits as well; its folder's name always
//! chooses it.

use std::collections::BTreeMap;

use idumb_core::PhaseId;
use miette::Diagnostic;

use crate::suggest::{listed, nearest};

/// Reads the names of the folders in `.idumb/phases`.
///
/// Gives the phases by number and name, and one sentence for each folder that is none and
/// for each number that several have. Hidden folders are left out.
pub fn find_phases(folders: impl Iterator<Item = String>) -> (Vec<PhaseId>, Vec<String>) {
    let mut phases = Vec::new();
    let mut problems = Vec::new();
    for folder in folders.filter(|folder| !folder.starts_with('.')) {
        match phase_of(&folder) {
            Ok(phase) => phases.push(phase),
            Err(help) => {
                problems.push(format!("the folder `{}` is no phase: {help}", folder.escape_debug()))
            }
        }
    }
    phases.sort();
    problems.sort();
    let mut by_number: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for phase in &phases {
        by_number.entry(phase.number).or_default().push(phase.to_string());
    }
    for (number, folders) in by_number.iter().filter(|(_, folders)| folders.len() > 1) {
        let folders = listed(folders.iter().map(String::as_str));
        problems.push(format!(
            "phase {number} is there more than once: {folders}; renumber all but one"
        ));
    }
    (phases, problems)
}

/// The phase of a folder, or what to do about its name.
pub(crate) fn phase_of(folder: &str) -> Result<PhaseId, String> {
    const FORM: &str = "name it `<number>-<name>`, such as `1-foundation`";
    let (number, name) = folder.split_once('-').ok_or(FORM)?;
    if number.is_empty() || name.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(FORM.to_owned());
    }
    let number: u32 = number.parse().map_err(|_| "its number is too large".to_owned())?;
    let phase = PhaseId::new(number, name).map_err(|error| error.to_string())?;
    if phase.to_string() == folder { Ok(phase) } else { Err(format!("name it `{phase}`")) }
}

/// Why no phase was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Diagnostic)]
pub enum ChooseError {
    /// There is none to choose from.
    #[error("there is no phase `{text}`, nor any other")]
    #[diagnostic(
        code(phase::none),
        help(
            "make one: idumb plan-phase --goal TEXT; or write `.idumb/phases/<number>-<name>/plan.toml`"
        )
    )]
    None {
        /// What was asked for.
        text: String,
    },
    /// No phase fits.
    #[error("there is no phase `{text}`")]
    #[diagnostic(code(phase::unknown), help("{help}"))]
    Unknown {
        /// What was asked for.
        text: String,
        /// The phase that was most likely meant, or all that there are.
        help: String,
    },
    /// Several phases fit.
    #[error("`{text}` could be any of {}", listed(candidates.iter().map(String::as_str)))]
    #[diagnostic(code(phase::ambiguous), help("name its folder, such as `{}`", candidates[0]))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The folders of the phases that fit; at least two.
        candidates: Vec<String>,
    },
}

/// The phase that a person who types `text` means: its number, name, folder or key.
///
/// # Errors
/// If no phase fits, or several do.
///
/// ```
/// use idumb_core::PhaseId;
/// let phases = [PhaseId::new(1, "store").unwrap(), PhaseId::new(2, "search").unwrap()];
/// for text in ["2", "search", "2-search", "phase-2"] {
///     assert_eq!(idumb_plan::choose_phase(&phases, text).unwrap(), phases[1]);
/// }
/// ```
pub fn choose_phase(phases: &[PhaseId], text: &str) -> Result<PhaseId, ChooseError> {
    if let Some(exact) = phases.iter().find(|phase| phase.to_string() == text) {
        return Ok(exact.clone());
    }
    let fitting: Vec<&PhaseId> = phases.iter().filter(|phase| phase.is_meant_by(text)).collect();
    let shown = text.escape_debug().to_string();
    match fitting.as_slice() {
        [one] => Ok((*one).clone()),
        [] if phases.is_empty() => Err(ChooseError::None { text: shown }),
        [] => Err(ChooseError::Unknown { help: unknown(phases, text), text: shown }),
        several => {
            let candidates = several.iter().map(ToString::to_string).collect();
            Err(ChooseError::Ambiguous { text: shown, candidates })
        }
    }
}

fn unknown(phases: &[PhaseId], text: &str) -> String {
    let folders: Vec<String> = phases.iter().map(ToString::to_string).collect();
    let words =
        phases.iter().map(|phase| phase.name.as_str()).chain(folders.iter().map(String::as_str));
    match nearest(text, words) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("the phases are {}", listed(folders.iter().map(String::as_str))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folders: &[&str]) -> (Vec<String>, Vec<String>) {
        let (phases, problems) = find_phases(folders.iter().map(ToString::to_string));
        (phases.iter().map(ToString::to_string).collect(), problems)
    }

    fn phases() -> Vec<PhaseId> {
        let all =
            [(1, "store"), (2, "search"), (3, "search"), (4, "2"), (5, "2-search"), (6, "phase-1")];
        all.into_iter().map(|(number, name)| PhaseId::new(number, name).unwrap()).collect()
    }

    #[test]
    fn folders_become_phases_by_number() {
        let (phases, problems) = found(&["10-last", "2-search", ".cache", "0-seed", "1-a-b.c"]);
        assert_eq!(phases, ["0-seed", "1-a-b.c", "2-search", "10-last"]);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn folders_that_are_no_phase_are_told() {
        let (phases, problems) =
            found(&["notes", "01-x", "-x", "2-", "3-ä", "99999999999-x", "+1-x"]);
        assert!(phases.is_empty(), "{phases:?}");
        insta::assert_snapshot!(problems.join("\n"), @r"
        the folder `+1-x` is no phase: name it `<number>-<name>`, such as `1-foundation`
        the folder `-x` is no phase: name it `<number>-<name>`, such as `1-foundation`
        the folder `01-x` is no phase: name it `1-x`
        the folder `2-` is no phase: name it `<number>-<name>`, such as `1-foundation`
        the folder `3-ä` is no phase: `ä` is not an identifier: use 1 to 64 letters, digits, `-`, `_` or `.`, starting with a letter or digit
        the folder `99999999999-x` is no phase: its number is too large
        the folder `notes` is no phase: name it `<number>-<name>`, such as `1-foundation`
        ");
    }

    #[test]
    fn a_number_that_several_have_is_told() {
        let (phases, problems) = found(&["1-b", "2-c", "1-a"]);
        assert_eq!(phases, ["1-a", "1-b", "2-c"]);
        assert_eq!(
            problems,
            ["phase 1 is there more than once: `1-a` and `1-b`; renumber all but one"]
        );
    }

    #[test]
    fn chooses_a_table() {
        let table = [
            ("1", "1-store"),
            ("01", "1-store"),
            ("store", "1-store"),
            ("3-search", "3-search"),
            ("phase-3", "3-search"),
            // The folder goes before the name of another phase.
            ("2-search", "2-search"),
            ("5-2-search", "5-2-search"),
        ];
        for (text, expected) in table {
            assert_eq!(choose_phase(&phases(), text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_chosen_says_why() {
        let told = |phases: &[PhaseId], text: &str| {
            let error = choose_phase(phases, text).unwrap_err();
            format!("{error}; {}", error.help().map(|help| help.to_string()).unwrap_or_default())
        };
        let all = phases();
        let lines = [
            told(&all, "search"),
            told(&all, "2"),
            told(&all, "phase-1"),
            told(&all, "sotre"),
            told(&all, "4-3"),
            told(&all, "deployment"),
            told(&[], "1"),
            told(&all, "\u{1b}[2J"),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        `search` could be any of `2-search` and `3-search`; name its folder, such as `2-search`
        `2` could be any of `2-search` and `4-2`; name its folder, such as `2-search`
        `phase-1` could be any of `1-store` and `6-phase-1`; name its folder, such as `1-store`
        there is no phase `sotre`; did you mean `store`?
        there is no phase `4-3`; did you mean `4-2`?
        there is no phase `deployment`; the phases are `1-store`, `2-search`, `3-search`, `4-2`, `5-2-search` and `6-phase-1`
        there is no phase `1`, nor any other; make one: idumb plan-phase --goal TEXT; or write `.idumb/phases/<number>-<name>/plan.toml`
        there is no phase `\u{1b}[2J`; the phases are `1-store`, `2-search`, `3-search`, `4-2`, `5-2-search` and `6-phase-1`
        ");
    }
}
