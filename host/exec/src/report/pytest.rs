//! The text of pytest.
//!
//! Invariant: its last line is the sum, it agrees with what stands above, and where there is a
//! second one, none says that all is well.
//!
//! Source: `src/_pytest/terminal.py` of pytest; seen with 9.2.

use super::text::{leading_number, lines, number, sum};
use super::{Counts, NotAReport};

pub(super) fn counts(text: &[u8]) -> Result<Counts, NotAReport> {
    let mut last: Option<Counts> = None;
    let mut sums = 0u64;
    let mut collected: Vec<u64> = Vec::new();
    let (mut failures, mut in_names) = (false, false);
    let (mut names, mut named) = (Counts::default(), 0u64);
    for line in lines(text)? {
        let line = line?;
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        last = closing(line)?;
        sums += u64::from(last.is_some());
        let heading = line.starts_with('=') && line.ends_with('=');
        match line.trim_matches('=').trim() {
            "FAILURES" | "ERRORS" if heading => failures = true,
            "short test summary info" if heading => {
                (in_names, names, named) = (true, Counts::default(), 0);
            }
            _ if in_names => {
                if let Some(name) = name(line) {
                    names.name(name);
                    named += 1;
                }
            }
            // Two say no less than many.
            _ if collected.len() < 2 => collected.extend(items(line).transpose()?),
            _ => {}
        }
    }
    let Some(mut counts) = last else {
        return match sums {
            0 if collected.is_empty() => Err(NotAReport::Absent("line with a sum".into())),
            0 => Err(NotAReport::Unfinished("there is no line with a sum".into())),
            _ => Err(NotAReport::Contradiction("the line with the sum is not the last".into())),
        };
    };
    if named > counts.failed {
        return Err(NotAReport::Contradiction("it names more failures than are in its sum".into()));
    }
    if counts.failed == 0 {
        if sums > 1 || collected.len() > 1 {
            return Err(NotAReport::Contradiction("there is more than one run in it".into()));
        }
        if failures {
            return Err(NotAReport::Contradiction(
                "it shows failures, and none is in its sum".into(),
            ));
        }
        if collected.first().is_some_and(|items| counts.passed > *items) {
            return Err(NotAReport::Contradiction("more passed than were collected".into()));
        }
    }
    counts.failures = names.failures;
    Ok(counts)
}

/// `==== 2 failed, 3 passed in 0.12s ====`, or without the rules (`-q`); `None`: another line.
fn closing(line: &str) -> Result<Option<Counts>, NotAReport> {
    let inner = match line.strip_prefix('=') {
        Some(rest) if rest.ends_with('=') => line.trim_matches('=').trim(),
        Some(_) => return Ok(None),
        None => line,
    };
    let Some((parts, time)) = inner.rsplit_once(" in ") else { return Ok(None) };
    let Some(time) = time.split(' ').next().and_then(|time| time.strip_suffix('s')) else {
        return Ok(None);
    };
    if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Ok(None);
    }
    let mut counts = Counts::default();
    if parts == "no tests ran" {
        return Ok(Some(counts));
    }
    for part in parts.split(", ") {
        let Some((count, word)) = part.split_once(' ') else { return Ok(None) };
        let Some(count) = number(count) else { return Ok(None) };
        let count = count?;
        match word {
            "passed" | "xpassed" => counts.passed(count)?,
            "failed" | "error" | "errors" | "subtests failed" | "subtest failed" => {
                counts.failed(count)?;
            }
            "skipped" | "xfailed" | "subtests skipped" | "subtest skipped" | "subtests xfailed"
            | "subtest xfailed" => counts.skipped(count)?,
            "deselected" | "warning" | "warnings" | "rerun" | "subtests passed"
            | "subtest passed" => {}
            _ => return Ok(None),
        }
    }
    sum([counts.passed, counts.failed, counts.skipped])?;
    Ok(Some(counts))
}

/// `collected 8 items / 1 deselected / 7 selected`, after `collecting ... ` or not.
fn items(line: &str) -> Option<Result<u64, NotAReport>> {
    let line = line.strip_prefix("collecting ... ").unwrap_or(line);
    let (items, rest) = leading_number(line.strip_prefix("collected ")?)?;
    (rest.starts_with(" item")).then_some(items)
}

/// `FAILED test_demo.py::test_prints - assert not True`
fn name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR "))?;
    Some(rest.split_once(" - ").map_or(rest, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(u64, u64, u64), NotAReport> {
        let counts = counts(text.as_bytes())?;
        Ok((counts.passed, counts.failed, counts.skipped))
    }

    #[test]
    fn a_sum_is_understood_or_is_none() {
        for (line, counted) in [
            ("=== 3 passed, 1 skipped in 0.12s ===", Some((3, 0, 1))),
            ("3 passed in 65.00s (0:01:05)", Some((3, 0, 0))),
            ("= 1 failed, 2 passed, 1 warning, 2 errors in 1.00s =", Some((2, 3, 0))),
            ("= 1 xfailed, 2 xpassed, 3 deselected, 4 subtests passed in 1s =", Some((2, 0, 1))),
            ("=== no tests ran in 0.00s ===", Some((0, 0, 0))),
            ("=== 3 passed, 1 mystery in 0.12s ===", None),
            ("=== 3 passed in 0.12s", None),
            ("=== 3 passed in a while ===", None),
            ("=== 3 passed ===", None),
            ("=== 99999999999999999999 passed in 0.12s ===", None),
        ] {
            assert_eq!(read(&format!("{line}\n")).ok(), counted, "{line}");
        }
    }

    #[test]
    fn what_stands_above_the_sum_agrees_with_it() {
        let good = "= 2 passed in 0.1s =\n";
        let bad = "= 1 failed, 1 passed in 0.1s =\n";
        assert_eq!(read(&format!("collected 2 items\n{good}")), Ok((2, 0, 0)));
        assert_eq!(read(&format!("collected 2 items\n{good}FAILURES\n{bad}")), Ok((1, 1, 0)));
        for text in [
            format!("collected 1 item\n{good}"),
            format!("collected 9 items\ncollected 2 items\n{good}"),
            format!("collected 2 items\n{good}{good}"),
            format!("collected 2 items\n{bad}{good}"),
            format!("collected 2 items\n=== FAILURES ===\n{good}"),
            format!("collected 2 items\n=== ERRORS ===\n{good}"),
            format!("=== short test summary info ===\nFAILED a\nFAILED b\n{bad}"),
            format!("collected 2 items\n{good}and then it printed something\n"),
        ] {
            assert!(matches!(read(&text), Err(NotAReport::Contradiction(_))), "{text}");
        }
        assert!(matches!(read("collected 2 items\n"), Err(NotAReport::Unfinished(_))));
        assert!(matches!(read("pytest: command not found\n"), Err(NotAReport::Absent(_))));
    }
}
