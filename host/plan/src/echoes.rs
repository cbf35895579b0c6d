//! What the TOML parser says of lines only because of a mistake further up.
//!
//! Invariant: the first thing that it says is always kept.

use crate::problem::Span;

/// What the parser says on every line after a list that is not closed.
pub(crate) const MISSING_COMMA: &str = "missing comma between array elements";

/// Leaves out what the parser says of lines that it takes for the rest of an open list.
pub(crate) fn without_echoes(mut told: Vec<(Span, &str)>) -> Vec<(Span, &str)> {
    let first = told.first().cloned();
    if told.iter().any(|(_, message)| message.contains("unclosed")) {
        told.retain(|place| place.1.contains("unclosed") || Some(place) == first.as_ref());
    }
    let commas = |told: &[(Span, &str)]| {
        let at = |place: &(Span, &str)| place.1.contains(MISSING_COMMA);
        (told.iter().filter(|place| at(place)).count(), told.iter().position(at))
    };
    if let (3.., Some(first)) = commas(&told) {
        told.truncate(first + 1);
    }
    told
}
