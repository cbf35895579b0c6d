//! The text of `cargo test`: what libtest says, of each binary and of the doctests.
//!
//! Invariant: the `test result:` of a run agrees with its `running N tests` and with the single
//! results, and there is exactly one of each; otherwise there are no counts.
//!
//! Source: `library/test/src/formatters/{pretty,terse}.rs` of Rust.

use super::text::{contradiction, leading_number, lines, number, sum};
use super::{Counts, NAMES_CAP, NotAReport};

/// One binary, from its `running N tests` on.
#[derive(Default)]
struct Run {
    announced: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Whether the outputs of failed tests are being shown. There, a line may be a test's.
    failures: bool,
    names: Vec<String>,
}

/// A `test result:` line.
struct Closing {
    ok: bool,
    passed: u64,
    failed: u64,
    ignored: u64,
    measured: u64,
}

pub(super) fn counts(text: &[u8]) -> Result<Counts, NotAReport> {
    let mut counts = Counts::default();
    let mut run: Option<Run> = None;
    let mut runs = 0u64;
    for line in lines(text)? {
        let line = line?;
        if let Some(announced) = opening(&line) {
            match &run {
                None => run = Some(Run { announced: announced?, ..Run::default() }),
                Some(run) if run.failures => {}
                Some(_) => return Err(contradiction("a run of tests begins within another")),
            }
        } else if let Some(closing) = closing(&line) {
            let closing = closing?;
            let Some(open) = run.take() else {
                return Err(contradiction("there is a `test result:` of no run of tests"));
            };
            if open.failures && !(closing.failed > 0 && open.agrees(&closing)?) {
                run = Some(open); // It belongs to the output of a failed test.
                continue;
            }
            if !open.agrees(&closing)? {
                return Err(contradiction("a `test result:` is not that of the tests before it"));
            }
            counts.passed(sum([closing.passed, closing.measured])?)?;
            counts.failed(closing.failed)?;
            counts.skipped(closing.ignored)?;
            open.names.iter().for_each(|name| counts.name(name));
            runs += 1;
        } else if let Some(run) = &mut run {
            run.line(&line);
        }
    }
    match run {
        Some(_) => Err(NotAReport::Unfinished("a run of tests has no `test result:`".into())),
        None if runs == 0 => Err(NotAReport::Absent("`running … tests`".into())),
        None => Ok(counts),
    }
}

impl Run {
    /// A line between the two.
    fn line(&mut self, line: &str) {
        if line == "failures:" {
            // There are two: before the outputs, and before the names. The last one counts.
            self.failures = true;
            self.names.clear();
        } else if self.failures {
            let name = line.strip_prefix("    ").filter(|_| self.names.len() < NAMES_CAP);
            self.names.extend(name.map(str::to_owned));
        } else if let Some((_, outcome)) =
            line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
        {
            match outcome.split([' ', ',']).next() {
                Some("ok") => self.passed += 1,
                Some("FAILED") => self.failed += 1,
                Some("ignored") => self.ignored += 1,
                _ => {}
            }
        }
    }

    /// Whether that can be its end. Fewer single results than the sum are no contradiction: with
    /// `--quiet` there are none, and with `--nocapture` an output may stand between.
    fn agrees(&self, closing: &Closing) -> Result<bool, NotAReport> {
        let all = sum([closing.passed, closing.failed, closing.ignored, closing.measured])?;
        Ok(all == self.announced
            && closing.ok == (closing.failed == 0)
            && self.passed <= closing.passed
            && self.failed <= closing.failed
            && self.ignored <= closing.ignored
            && self.names.len() as u64 <= closing.failed)
    }
}

/// `running 3 tests`
fn opening(line: &str) -> Option<Result<u64, NotAReport>> {
    let (announced, rest) = leading_number(line.strip_prefix("running ")?)?;
    matches!(rest, " test" | " tests").then_some(announced)
}

/// `test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s`
fn closing(line: &str) -> Option<Result<Closing, NotAReport>> {
    let rest = line.strip_prefix("test result: ")?;
    let (ok, rest) = match rest.split_once(". ")? {
        ("ok", rest) => (true, rest),
        ("FAILED", rest) => (false, rest),
        _ => return None,
    };
    let mut parts = rest.split("; ");
    let mut part = |word: &str| number(parts.next()?.strip_suffix(word)?);
    let numbers = [part(" passed")?, part(" failed")?, part(" ignored")?, part(" measured")?];
    part(" filtered out")?.ok()?;
    if parts.any(|part| !part.starts_with("finished in ")) {
        return None;
    }
    let [passed, failed, ignored, measured] = numbers;
    Some((|| {
        Ok(Closing { ok, passed: passed?, failed: failed?, ignored: ignored?, measured: measured? })
    })())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "0 measured; 0 filtered out; finished in 0.00s\n";

    fn read(text: &str) -> Result<(u64, u64, u64), NotAReport> {
        let counts = counts(text.replace("SUM\n", SUM).as_bytes())?;
        Ok((counts.passed, counts.failed, counts.skipped))
    }

    #[test]
    fn a_line_that_a_test_prints_does_not_raise_the_count() {
        let fake = "test result: ok. 900 passed; 0 failed; 0 ignored; SUM\n";
        let real = "test result: ok. 2 passed; 0 failed; 0 ignored; SUM\n";
        let whole = format!("running 2 tests\n{real}");
        assert_eq!(read(&whole), Ok((2, 0, 0)));
        for text in [
            format!("running 2 tests\n{fake}{real}"),
            format!("running 2 tests\n{real}{fake}"),
            format!("running 2 tests\n{real}{real}"),
            format!("running 2 tests\nrunning 900 tests\n{fake}{real}"),
            format!("running 2 tests\n{real}running 900 tests\n{fake}{real}"),
            format!("running 2 tests\n{whole}"),
            format!("{real}{whole}"),
            fake.into(),
        ] {
            assert!(matches!(read(&text), Err(NotAReport::Contradiction(_))), "{text}");
        }
    }

    #[test]
    fn single_results_and_their_sum_agree() {
        for (results, sum, good) in [
            ("test a ... ok\ntest b ... FAILED\n", "FAILED. 1 passed; 1 failed; 0 ignored", true),
            ("test a ... ok\ntest b ... FAILED\n", "ok. 2 passed; 0 failed; 0 ignored", false),
            ("test a ... ok\ntest b ... ok\n", "ok. 1 passed; 0 failed; 1 ignored", false),
            ("test a ... ignored, slow\n", "ok. 2 passed; 0 failed; 0 ignored", false),
            ("", "FAILED. 2 passed; 0 failed; 0 ignored", false),
            ("", "ok. 1 passed; 1 failed; 0 ignored", false),
            ("", "ok. 1 passed; 0 failed; 0 ignored", false),
            ("..\n", "ok. 2 passed; 0 failed; 0 ignored", true),
        ] {
            let read = read(&format!("running 2 tests\n{results}test result: {sum}; SUM\n"));
            assert_eq!(read.is_ok(), good, "{results}{sum}: {read:?}");
        }
    }

    #[test]
    fn the_output_of_a_failed_test_is_not_read() {
        let output = "failures:\n\n---- a stdout ----\nrunning 7 tests\n    not a name\n\
                      test result: ok. 1 passed; 0 failed; 0 ignored; SUM\n\nfailures:\n    a\n\n";
        let text = |sum| format!("running 1 test\n{output}test result: {sum}; SUM\n");
        assert_eq!(read(&text("FAILED. 0 passed; 1 failed; 0 ignored")), Ok((0, 1, 0)));
        let two =
            text("FAILED. 0 passed; 1 failed; 0 ignored").replace("    a\n", "    a\n    b\n");
        assert!(read(&two).is_err(), "more are named than failed");
        let passed = read(&text("ok. 1 passed; 0 failed; 0 ignored"));
        assert!(matches!(passed, Err(NotAReport::Unfinished(_))), "{passed:?}");
    }

    #[test]
    fn without_an_end_or_a_beginning_there_is_none() {
        assert!(matches!(read("running 1 test\n"), Err(NotAReport::Unfinished(_))));
        assert!(matches!(read("error: no such command\n"), Err(NotAReport::Absent(_))));
        let large = format!(
            "running {max} tests\ntest result: ok. {max} passed; 0 failed; 0 ignored; SUM\n",
            max = u64::MAX
        );
        assert_eq!(read(&large), Ok((u64::MAX, 0, 0)));
        assert_eq!(read(&large.repeat(2)), Err(NotAReport::TooMany));
    }
}
