//! Edits of texts: exact replacement, and templates.
//!
//! Invariant: nothing is guessed. A text occurs as often as it is said to, and every name
//! in a template has a value, or the edit fails.

use idumb_agent::Failure;

/// How many characters of a text a message quotes.
const WIDTH: usize = 80;

/// `text` between backticks: on one line, shortened.
pub(crate) fn quote(text: &str) -> String {
    let mut escaped = text.chars().flat_map(|c| {
        let plain = (!c.is_control()).then_some(c);
        plain.into_iter().chain(c.is_control().then(|| c.escape_default()).into_iter().flatten())
    });
    let head: String = escaped.by_ref().take(WIDTH).collect();
    let more = if escaped.next().is_some() { "…" } else { "" };
    format!("`{head}{more}`")
}

/// `text` with exactly `count` occurrences of `find` replaced by `with`.
///
/// # Errors
/// What stands in the way: `find` occurs another number of times.
pub(crate) fn replace(text: &str, find: &str, with: &str, count: usize) -> Result<String, String> {
    let at: Vec<usize> = text.match_indices(find).map(|(at, _)| at).collect();
    if at.len() == count {
        return Ok(text.replace(find, with));
    }
    let times = |n: usize| {
        if n == 1 { "once".to_owned() } else { format!("{n} times") }
    };
    let found = match at.len() {
        0 => "does not occur".to_owned(),
        n => format!("occurs {} ({})", times(n), lines_of(text, &at)),
    };
    Err(format!("{} {found}, expected {}", quote(find), times(count)))
}

/// `line 3`, or `lines 3, 7, …`.
fn lines_of(text: &str, at: &[usize]) -> String {
    const SHOWN: usize = 5;
    let line = |at: &usize| (text[..*at].matches('\n').count() + 1).to_string();
    let lines: Vec<String> = at.iter().take(SHOWN).map(line).collect();
    let noun = if at.len() == 1 { "line" } else { "lines" };
    let more = if at.len() > SHOWN { ", …" } else { "" };
    format!("{noun} {}{more}", lines.join(", "))
}

/// `template` with each `{{name}}` replaced by what `value` has under that name.
///
/// A name is letters, digits, `-`, `_` and `.`; other text between braces is left alone, so
/// that a template may contain another tool's `${{ expressions }}`.
///
/// # Errors
/// Names without a value, all of them.
pub(crate) fn fill<'v>(
    template: &str,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<String, Failure> {
    let is_name = |text: &str| {
        let of_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        !text.is_empty() && text.chars().all(of_name)
    };
    let mut out = String::new();
    let mut unknown: Vec<String> = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        let (before, after) = rest.split_at(open);
        let named = after[2..].find("}}").map(|close| &after[2..2 + close]);
        let Some(name) = named.filter(|name| is_name(name)) else {
            // One brace on, so that `{{{name}}` is a brace and a name.
            out.push_str(before);
            out.push('{');
            rest = &after[1..];
            continue;
        };
        out.push_str(before);
        match value(name) {
            Some(value) => out.push_str(value),
            None if unknown.iter().any(|known| known == name) => {}
            None => unknown.push(name.to_owned()),
        }
        rest = &after[name.len() + 4..];
    }
    if !unknown.is_empty() {
        let names = unknown.join("`, `");
        return Err(Failure::invalid(format!(
            "the template needs `{names}`: add to the task's `options`"
        )));
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replaces_exactly_as_often_as_said() {
        assert_eq!(replace("a b a", "a", "x", 2).unwrap(), "x b x");
        assert_eq!(replace("a b a", "b", "", 1).unwrap(), "a  a");
        assert_eq!(replace("a b", "c", "x", 1).unwrap_err(), "`c` does not occur, expected once");
        let error = replace("a\nb\na\n", "a", "x", 1).unwrap_err();
        assert_eq!(error, "`a` occurs 2 times (lines 1, 3), expected once");
        let error = replace("b\na\n", "a", "x", 3).unwrap_err();
        assert_eq!(error, "`a` occurs once (line 2), expected 3 times");
    }

    #[test]
    fn fills_names_and_leaves_the_rest() {
        let value = |name: &str| match name {
            "crate" => Some("notes"),
            "x.y-z_1" => Some("{{crate}}"),
            _ => None,
        };
        let table = [
            ("{{crate}}!", "notes!"),
            ("{{x.y-z_1}}", "{{crate}}"),
            ("{{{crate}}}", "{notes}"),
            ("${{ secrets.TOKEN }} {{}} {{ {{crate}}", "${{ secrets.TOKEN }} {{}} {{ notes"),
            ("{{crate", "{{crate"),
            ("é{{crate}}é", "énotesé"),
        ];
        for (template, expected) in table {
            assert_eq!(fill(template, value).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn every_missing_name_is_told_once() {
        let failure = fill("{{a}} {{b}} {{a}}", |_| None).unwrap_err();
        assert!(failure.message.contains("needs `a`, `b`:"), "{}", failure.message);
    }

    #[test]
    fn a_quote_is_one_short_line() {
        assert_eq!(quote("a\nb"), "`a\\nb`");
        assert_eq!(quote(&"é".repeat(100)), format!("`{}…`", "é".repeat(80)));
    }

    proptest! {
        #[test]
        fn a_template_without_names_is_itself(text in "[^{]{0,40}\\{?[^{]{0,40}") {
            prop_assert_eq!(fill(&text, |_| None).unwrap(), text);
        }

        #[test]
        fn fill_never_panics(text in "[{}a ]{0,30}") {
            let _ = fill(&text, |_| Some("v"));
        }
    }
}
