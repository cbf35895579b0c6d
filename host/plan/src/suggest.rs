//! "Did you mean …?"
//!
//! Invariant: only something that exists is suggested.

/// The one of `known` that a person who typed `text` most likely meant.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    // One slip in three letters is a slip; more is another word.
    let allowed = (text.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&text, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= allowed && *distance < word.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// What to do about `text`, which is none of `known`: the word it was meant to be, or, after `all`,
/// every one of them.
pub fn meant<'a>(
    text: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    all: &str,
) -> String {
    match nearest(text, known.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("{all} {}", listed(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_a_slip_and_nothing_else() {
        let known = ["depends_on", "writes", "reads"];
        assert_eq!(nearest("dependson", known), Some("depends_on"));
        assert_eq!(nearest("Wirtes", known), Some("writes"));
        assert_eq!(nearest("budget", known), None);
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
