//! Unified diffs, applied to one file.
//!
//! Invariant: every line of the diff is either applied or refused. A hunk may stand at
//! another line than its header says, but its old lines must be there, byte for byte.

use diffy::{HunkRange, Line, Patch};
use idumb_agent::Failure;

use crate::text::quote;

/// What a diff makes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Patched {
    /// The file has that content now.
    Content(Vec<u8>),
    /// The file is gone: `/dev/null` was the new side.
    Gone,
}

/// Applies `diff` to the file at `path`, whose content is `old`; `None`: there is no file.
///
/// The file names in the diff are not looked at, but for `/dev/null`.
///
/// # Errors
/// `invalid` if `diff` is no unified diff of one file, `precondition` if it does not fit.
pub(crate) fn apply(path: &str, diff: &str, old: Option<&[u8]>) -> Result<Patched, Failure> {
    let mut diff = diff.to_owned();
    if !diff.ends_with('\n') {
        diff.push('\n');
    }
    let invalid = |why: String| Failure::invalid(format!("the diff for {path} is wrong: {why}"));
    let patch = Patch::from_bytes(diff.as_bytes()).map_err(|error| invalid(error.to_string()))?;
    check_whole(&diff, &patch).map_err(invalid)?;

    let is_null = |name: Option<&[u8]>| name == Some(b"/dev/null");
    let misfit =
        |why: String| Failure::precondition(format!("the diff does not fit {path}: {why}"));
    let old = match old {
        Some(_) if is_null(patch.original()) => {
            return Err(misfit("it creates the file, and the file is there".to_owned()));
        }
        Some(old) => old,
        None if is_null(patch.original()) => b"",
        None => {
            return Err(misfit("there is no such file, or the task does not grant it".to_owned()));
        }
    };
    let new = diffy::apply_bytes(old, &patch).map_err(|_| misfit(explain(old, &patch)))?;
    match is_null(patch.modified()) {
        false => Ok(Patched::Content(new)),
        true if new.is_empty() => Ok(Patched::Gone),
        true => Err(misfit("it deletes the file, and the file has further content".to_owned())),
    }
}

/// Refuses what the parser passes over: a diff without hunks, and changed lines behind the
/// counts of a hunk's header.
fn check_whole(diff: &str, patch: &Patch<'_, [u8]>) -> Result<(), String> {
    if patch.hunks().is_empty() {
        return Err("it has no hunk: no line starts with `@@ `".to_owned());
    }
    let changes = |line: &&Line<'_, [u8]>| !matches!(line, Line::Context(_));
    let understood: usize =
        patch.hunks().iter().map(|hunk| hunk.lines().iter().filter(changes).count()).sum();
    let body = diff.lines().skip_while(|line| !line.starts_with("@@ "));
    // `-- ` alone starts the signature that `git format-patch` adds.
    let written = body.filter(|line| line.starts_with(['+', '-']) && *line != "-- ").count();
    if written != understood {
        return Err(format!(
            "it has {written} changed lines, and its `@@` headers count {understood}; it may also be of several files, which are several steps"
        ));
    }
    Ok(())
}

/// Which hunk does not fit, and the first line in which it differs.
fn explain(old: &[u8], patch: &Patch<'_, [u8]>) -> String {
    let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    for (number, hunk) in (1..).zip(patch.hunks()) {
        let before: Vec<&[u8]> = hunk.lines().iter().filter_map(old_line).collect();
        let fits = before.is_empty() || lines.windows(before.len()).any(|there| there == before);
        if !fits {
            let why = first_difference(&lines, &before, hunk.old_range());
            return format!("hunk {number}: {why}");
        }
    }
    "its hunks overlap, or are out of order".to_owned()
}

fn old_line<'a>(line: &Line<'a, [u8]>) -> Option<&'a [u8]> {
    match line {
        Line::Context(text) | Line::Delete(text) => Some(text),
        Line::Insert(_) => None,
    }
}

fn first_difference(lines: &[&[u8]], before: &[&[u8]], range: HunkRange) -> String {
    let start = range.start().max(1);
    let differs = |(number, expected): &(usize, &&[u8])| lines.get(number - 1) != Some(*expected);
    let Some((number, expected)) = (start..).zip(before).find(differs) else {
        return "its old lines are not there".to_owned();
    };
    let expected_text = shown(expected);
    match lines.get(number - 1) {
        None => format!(
            "line {number} should be {expected_text}, and the file has {} lines",
            lines.len()
        ),
        Some(found) if found.trim_ascii_end() == expected.trim_ascii_end() => format!(
            "line {number} should be {expected_text}, and differs in white space at its end; \
             a last line without a newline needs `\\ No newline at end of file` after it"
        ),
        Some(found) => format!("line {number} should be {expected_text}, and is {}", shown(found)),
    }
}

fn shown(line: &[u8]) -> String {
    quote(String::from_utf8_lossy(line).trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use idumb_agent::FailureKind::{self, Invalid, Precondition};
    use proptest::prelude::*;

    const OLD: &[u8] = b"one\ntwo\nthree\nfour\n";

    fn patched(diff: &str, old: Option<&[u8]>) -> Result<Patched, (FailureKind, String)> {
        apply("f", diff, old).map_err(|failure| (failure.kind, failure.message))
    }

    fn content(text: &str) -> Patched {
        Patched::Content(text.as_bytes().to_vec())
    }

    #[test]
    fn applies_with_and_without_names() {
        let hunk = "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
        let named = format!("diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n{hunk}");
        for diff in [hunk.to_owned(), named, hunk.trim_end().to_owned()] {
            assert_eq!(
                patched(&diff, Some(OLD)).unwrap(),
                content("one\n2\nthree\nfour\n"),
                "{diff}"
            );
        }
    }

    #[test]
    fn finds_a_hunk_at_another_line() {
        let diff = "@@ -9,2 +9,2 @@\n three\n-four\n+4\n";
        assert_eq!(patched(diff, Some(OLD)).unwrap(), content("one\ntwo\nthree\n4\n"));
    }

    #[test]
    fn keeps_bytes_that_are_no_text() {
        let diff = "@@ -2 +2 @@\n-b\n+c\n";
        let new = patched(diff, Some(b"\xff\nb\n")).unwrap();
        assert_eq!(new, Patched::Content(b"\xff\nc\n".to_vec()));
    }

    #[test]
    fn creates_and_deletes() {
        let creates = "--- /dev/null\n+++ b/f\n@@ -0,0 +1,2 @@\n+a\n+b\n";
        assert_eq!(patched(creates, None).unwrap(), content("a\nb\n"));
        let (kind, message) = patched(creates, Some(OLD)).unwrap_err();
        assert_eq!(
            (kind, message.contains("the file is there")),
            (Precondition, true),
            "{message}"
        );
        let deletes = "--- a/f\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n";
        assert_eq!(patched(deletes, Some(b"a\nb\n")).unwrap(), Patched::Gone);
        let (kind, message) = patched(deletes, Some(b"a\nb\nc\n")).unwrap_err();
        assert_eq!((kind, message.contains("further content")), (Precondition, true), "{message}");
    }

    #[test]
    fn says_which_line_does_not_fit() {
        let table = [
            (
                "@@ -2,2 +2,2 @@\n two\n-tree\n+3\n",
                "hunk 1: line 3 should be `tree`, and is `three`",
            ),
            (
                "@@ -1 +1 @@\n-one\n+1\n@@ -4,2 +4,2 @@\n four\n-five\n+5\n",
                "hunk 2: line 5 should be `five`, and the file has 4 lines",
            ),
            (
                "@@ -1 +1 @@\n-one \n+1\n",
                "hunk 1: line 1 should be `one `, and differs in white space",
            ),
        ];
        for (diff, expected) in table {
            let (kind, message) = patched(diff, Some(OLD)).unwrap_err();
            assert_eq!(kind, Precondition);
            assert!(message.starts_with("the diff does not fit f: "), "{message}");
            assert!(message.contains(expected), "{message}");
        }
        let (kind, message) = patched("@@ -1 +1 @@\n-a\n+b\n", None).unwrap_err();
        assert_eq!((kind, message.contains("there is no such file")), (Precondition, true));
    }

    #[test]
    fn a_missing_newline_must_be_said() {
        let said =
            "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n";
        assert_eq!(patched(said, Some(b"a")).unwrap(), content("b"));
        let (_, message) = patched("@@ -1 +1 @@\n-a\n+b\n", Some(b"a")).unwrap_err();
        assert!(message.contains("No newline at end of file"), "{message}");
    }

    #[test]
    fn refuses_what_is_no_diff_of_one_file() {
        let one = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+1\n";
        let table = [
            (String::new(), "no hunk"),
            ("just words\n".to_owned(), "no hunk"),
            ("@@ -1,2 +1 @@\n-one\n+1\n".to_owned(), "hunk header does not match hunk"),
            (
                "@@ -1 +1 @@\n-one\n+1\n+more\n".to_owned(),
                "3 changed lines, and its `@@` headers count 2",
            ),
            (format!("{one}{one}"), ""),
        ];
        for (diff, expected) in table {
            let (kind, message) = patched(&diff, Some(OLD)).unwrap_err();
            assert_eq!(kind, Invalid, "{diff}: {message}");
            assert!(message.contains(expected), "{diff}: {message}");
        }
    }

    #[test]
    fn takes_what_git_format_patch_writes() {
        let diff = "---\n f | 2 +-\n\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+1\n-- \n2.40.1\n";
        assert_eq!(patched(diff, Some(OLD)).unwrap(), content("1\ntwo\nthree\nfour\n"));
    }

    proptest! {
        /// Any change, written as a diff, does to the old content what was done.
        #[test]
        fn a_diff_of_two_contents_makes_one_of_the_other(
            old in prop::collection::vec("[a-c]{0,2}\n", 0..12),
            new in prop::collection::vec("[a-c]{0,2}\n", 0..12),
        ) {
            let (old, new) = (old.concat(), new.concat());
            prop_assume!(old != new);
            let diff = diffy::create_patch(&old, &new).to_string();
            prop_assert_eq!(patched(&diff, Some(old.as_bytes())).unwrap(), content(&new), "{}", diff);
        }

        #[test]
        fn whatever_is_given_is_answered(diff in "([ +@\\\\-][a 1,@+-]{0,8}\n){0,8}", old in "[a\n]{0,8}") {
            let _ = patched(&diff, Some(old.as_bytes()));
            let _ = patched(&diff, None);
        }
    }
}
