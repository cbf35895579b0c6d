//! The text of `cargo nextest run`.
//!
//! Invariant: the `Summary` agrees with the `Starting` line and with itself, and where there are
//! several of either, none says that all is well.
//!
//! Source: `nextest-runner/src/reporter/displayer/` of nextest; seen with 0.9.143.

use super::text::{contradiction, leading_number, lines, number, sum};
use super::{Counts, NotAReport};

/// A `Summary` line.
struct Summary {
    run: u64,
    planned: u64,
    passed: u64,
    failed: u64,
    skipped: u64,
}

pub(super) fn counts(text: &[u8]) -> Result<Counts, NotAReport> {
    let (mut started, mut starts) = (None, 0u64);
    let (mut last, mut summaries) = (None, 0u64);
    let mut counts = Counts::default();
    for line in lines(text)? {
        let line = line?;
        let line = line.trim_start();
        if let Some(tests) = starting(line) {
            started = started.or(Some(tests?));
            starts += 1;
        } else if let Some(rest) = line.strip_prefix("Summary [") {
            last = Some(summary(rest)?);
            summaries += 1;
            counts.failures.clear();
        } else if let Some(name) = last.is_some().then(|| failure(line)).flatten() {
            counts.name(name);
        }
    }
    let started = started.ok_or_else(|| NotAReport::Absent("`Starting … tests`".into()))?;
    let last = last.ok_or_else(|| NotAReport::Unfinished("there is no `Summary`".into()))?;
    if sum([last.passed, last.failed])? != last.run || last.run > last.planned {
        return Err(contradiction("the numbers of its `Summary` do not add up"));
    }
    if last.planned != started && (starts == 1 || last.failed == 0) {
        return Err(contradiction("its `Summary` is not of the tests that it started with"));
    }
    if last.failed == 0 && (starts > 1 || summaries > 1) {
        return Err(contradiction("there is more than one `Starting` or `Summary`"));
    }
    if last.failed == 0 && last.run < last.planned {
        return Err(NotAReport::Unfinished("not all tests were run, though none failed".into()));
    }
    // An output that is shown once more, at the end, may have such lines too.
    counts.failures.truncate(usize::try_from(last.failed).unwrap_or(usize::MAX));
    counts.passed(last.passed)?;
    counts.failed(last.failed)?;
    counts.skipped(last.skipped)?;
    Ok(counts)
}

/// `Starting 4 tests across 2 binaries (1 test skipped)`
fn starting(line: &str) -> Option<Result<u64, NotAReport>> {
    let (tests, rest) = leading_number(line.strip_prefix("Starting ")?)?;
    (rest.starts_with(" test across ") || rest.starts_with(" tests across ")).then_some(tests)
}

/// `   0.1s] 3/4 tests run: 1 passed (1 slow, 1 leaky), 1 failed, 1 timed out, 1 skipped`
fn summary(rest: &str) -> Result<Summary, NotAReport> {
    let unknown = || NotAReport::Malformed("its `Summary` is of an unknown form".into());
    let (_, rest) = rest.split_once("] ").ok_or_else(unknown)?;
    let (run, rest) = leading_number(rest.trim_start()).ok_or_else(unknown)?;
    let run = run?;
    let (planned, rest) = match rest.strip_prefix('/') {
        Some(rest) => leading_number(rest).ok_or_else(unknown)?,
        None => (Ok(run), rest),
    };
    let mut summary = Summary { run, planned: planned?, passed: 0, failed: 0, skipped: 0 };
    let rest = rest.strip_prefix(" test run: ").or_else(|| rest.strip_prefix(" tests run: "));
    for part in without_notes(rest.ok_or_else(unknown)?).split(", ") {
        let (count, what) = part.trim_end().split_once(' ').ok_or_else(unknown)?;
        let count = number(count).ok_or_else(unknown)??;
        let field = match what {
            "passed" => &mut summary.passed,
            "failed" | "exec failed" | "timed out" => &mut summary.failed,
            "skipped" => &mut summary.skipped,
            _ => return Err(unknown()),
        };
        *field = sum([*field, count])?;
    }
    Ok(summary)
}

/// The line without what stands in parentheses.
fn without_notes(line: &str) -> String {
    let mut within = false;
    let mut plain = String::new();
    for c in line.chars() {
        match c {
            '(' => within = true,
            ')' => within = false,
            _ if !within => plain.push(c),
            _ => {}
        }
    }
    plain.replace(" ,", ",")
}

/// `FAIL [   0.090s] (4/4) demo::more sometimes`, of those after the `Summary`.
fn failure(line: &str) -> Option<&str> {
    let (status, rest) = line.split_once(" [")?;
    let word = status.strip_prefix("TRY ").and_then(|rest| rest.split_once(' '));
    let word = word.map_or(status, |(_, word)| word);
    let failed = ["FAIL", "XFAIL", "TIMEOUT", "TMT", "ABORT", "LEAK-FAIL"].contains(&word)
        || word.starts_with("SIG")
        || word.starts_with("FAIL + ");
    let (_, name) = rest.split_once("] ").filter(|_| failed)?;
    match name.strip_prefix('(') {
        Some(numbered) => numbered.split_once(") ").map(|(_, name)| name),
        None => Some(name.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(starting: u64, summary: &str) -> Result<(u64, u64, u64), NotAReport> {
        let text = format!(
            "    Starting {starting} tests across 2 binaries\n     Summary [   0.1s] {summary}\n"
        );
        let counts = counts(text.as_bytes())?;
        Ok((counts.passed, counts.failed, counts.skipped))
    }

    #[test]
    fn a_summary_is_understood_or_refused() {
        for (starting, summary, counted) in [
            (3, "3 tests run: 3 passed, 1 skipped", Some((3, 0, 1))),
            (1, "1 test run: 1 passed (1 slow, 1 flaky), 0 skipped", Some((1, 0, 0))),
            (4, "4 tests run: 1 passed, 1 failed, 1 exec failed, 1 timed out", Some((1, 3, 0))),
            (
                9,
                "2/9 tests run: 1 passed, 1 failed (1 due to being leaky), 7 skipped",
                Some((1, 1, 7)),
            ),
            (0, "0 tests run: 0 passed, 5 skipped", Some((0, 0, 5))),
            (9, "2/9 tests run: 2 passed, 7 skipped", None),
            (3, "3 tests run: 2 passed", None),
            (3, "900 tests run: 900 passed", None),
            (3, "3/900 tests run: 2 passed, 1 failed", None),
            (3, "3 tests run: 3 passed, 1 mystery", None),
            (3, "3 tests run: 3 passed(", Some((3, 0, 0))),
            (3, "1 setup script run", None),
            (3, "99999999999999999999 tests run: 1 passed", None),
        ] {
            assert_eq!(read(starting, summary).ok(), counted, "{summary}");
        }
    }

    #[test]
    fn names_are_those_after_the_summary_and_no_more_than_failed() {
        let line = "        FAIL [   0.1s] (1/1) demo a";
        let text = format!(
            "    Starting 1 test across 1 binary\n{line}0\n     Summary [   0.1s] 1 test run: \
             0 passed, 1 failed, 0 skipped\n{line}1\n{line}2\n"
        );
        assert_eq!(
            counts(text.as_bytes()).map(|counts| counts.failures),
            Ok(vec!["demo a1".into()])
        );
        let again = format!("{text}{}", text.replace("demo a", "demo b"));
        let counts = counts(again.as_bytes()).expect("the last one is bad");
        assert_eq!(counts.failures, ["demo b1"]);
        for (line, name) in [
            ("TRY 2 FAIL [   0.077s] (4/4) demo::more a", Some("demo::more a")),
            ("TIMEOUT [  60.0s] demo a", Some("demo a")),
            ("SIGSEGV [   0.1s] (1/1) demo a", Some("demo a")),
            ("FLAKY 2/3 [   0.1s] (1/1) demo a", None),
            ("PASS [   0.1s] (1/1) demo a", None),
            ("error: test run failed", None),
        ] {
            assert_eq!(failure(line), name, "{line}");
        }
    }

    #[test]
    fn a_second_summary_is_believed_only_if_it_is_bad() {
        let good = "1 test run: 1 passed, 0 skipped";
        let bad = "1 test run: 0 passed, 1 failed, 0 skipped";
        let both = |first, last| read(1, &format!("{first}\n     Summary [   0.1s] {last}"));
        assert!(both(good, good).is_err());
        assert!(both(bad, good).is_err());
        assert_eq!(both(good, bad), Ok((0, 1, 0)));
    }
}
