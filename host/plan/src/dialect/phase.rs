//! Which phase a Markdown plan is for.
//!
//! Invariant: what the file says and what its place says are the same phase, or the file is
//! refused.

use idumb_core::PhaseId;

use super::Known;
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::Reading;

/// The name of a phase as an identifier: `API Foundation` is `api-foundation`.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.trim().to_lowercase().chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' || c == '.' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_end_matches(['-', '.', '_']).trim_start_matches(['.', '_']).to_owned()
}

/// The phase of that number: the expected one, or a new one of that name.
pub(super) fn agreed(
    reading: &mut Reading<'_>,
    text: &str,
    span: Span,
    name: Option<String>,
    known: &Known<'_>,
) -> Result<PhaseId, Told> {
    let digits = text.to_lowercase();
    let digits = digits.trim_start_matches("phase").trim_matches([' ', '-', '_']);
    let Ok(number) = digits.parse::<u32>() else {
        let message = format!("`{text}` is not the number of a phase");
        let problem = Problem::new(Code::BadId, span, message).label("not a number");
        let help = "number the phases with whole numbers, from 0";
        return Err(reading.refuse(problem.help(help)));
    };
    match known.phase {
        Some(expected) if expected.number == number => Ok(expected.clone()),
        Some(expected) => {
            let message =
                format!("the plan is in the place of phase `{expected}`, and says otherwise");
            let problem = Problem::new(Code::OtherPhase, span, message).label("another phase");
            let help = format!("write `{}`, or move the plan to its own place", expected.number);
            Err(reading.refuse(problem.help(help)))
        }
        None => {
            let name = name.unwrap_or_else(|| format!("phase-{number}"));
            PhaseId::new(number, name.clone()).map_err(|_| reading.bad_id(span, &name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        let table = [
            ("API Foundation", "api-foundation"),
            ("  Store & Search!  ", "store-search"),
            ("v1.0_x", "v1.0_x"),
            ("Größe", "gr-e"),
            ("…", ""),
            ("..", ""),
        ];
        for (name, expected) in table {
            assert_eq!(slug(name), expected);
        }
    }
}
