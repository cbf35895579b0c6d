//! What is expected of a test command, and whether it is so.
//!
//! Invariant: met only if the command ended by itself with status 0 *and* a whole report says
//! that tests ran and none failed. Neither makes up for the other.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::{Counts, NotAReport};
use crate::{Cap, Ended};

/// What is expected of the tests that a command runs. That none fails goes without saying.
///
/// ```
/// use idumb_exec::Ended;
/// use idumb_exec::report::{Expectation, Format, Unmet, counts};
/// let expectation = Expectation { skipped_at_most: Some(0), ..Expectation::default() };
/// let report = counts(Format::Tap, b"1..1\nok 1 # SKIP no network\n");
/// let judged = expectation.judge(Ended::Exited(0), &report);
/// assert_eq!(judged, Err(Unmet::RanNone { skipped: 1 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Expectation {
    /// How many tests run, at least.
    pub at_least: NonZeroU64,
    /// How many are skipped, at most; `None`: any number.
    pub skipped_at_most: Option<u64>,
}

impl Default for Expectation {
    /// One test runs, at least.
    fn default() -> Self {
        Self { at_least: NonZeroU64::MIN, skipped_at_most: None }
    }
}

/// Why an expectation is not met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmet {
    /// The command did not exit with 0, whatever it reported.
    #[error("the command {}", how(*.0))]
    Ended(Ended),
    /// It gave no report that could be counted.
    #[error("its tests cannot be counted: {0}")]
    NotAReport(NotAReport),
    /// It ran no test.
    #[error("it ran no test ({skipped} were skipped)")]
    RanNone {
        /// How many it skipped.
        skipped: u64,
    },
    /// Tests failed, whatever the exit status.
    #[error("{failed} test{} failed{}{}", if *.failed == 1 { "" } else { "s" }, if .names.is_empty() { "" } else { ": " }, .names.join(", "))]
    Failed {
        /// How many.
        failed: u64,
        /// The names of some.
        names: Vec<String>,
    },
    /// Not as many ran as were expected.
    #[error("it ran {executed} tests; at least {at_least} are expected")]
    TooFew {
        /// How many ran.
        executed: u64,
        /// How many are expected.
        at_least: NonZeroU64,
    },
    /// More were skipped than may be.
    #[error("it skipped {skipped} tests; at most {at_most} may be")]
    TooManySkipped {
        /// How many were skipped.
        skipped: u64,
        /// How many may be.
        at_most: u64,
    },
}

impl Expectation {
    /// Whether it is met, by how the command ended and by what it reported.
    ///
    /// # Errors
    /// The reason that says most, if there are several.
    pub fn judge(&self, ended: Ended, report: &Result<Counts, NotAReport>) -> Result<(), Unmet> {
        let exited = matches!(ended, Ended::Exited(_));
        if let (true, Ok(counts)) = (exited, report) {
            if counts.failed > 0 {
                let names = counts.failures.clone();
                return Err(Unmet::Failed { failed: counts.failed, names });
            }
            if counts.executed() == 0 {
                return Err(Unmet::RanNone { skipped: counts.skipped });
            }
        }
        if ended != Ended::Exited(0) {
            return Err(Unmet::Ended(ended));
        }
        let counts = report.as_ref().map_err(|why| Unmet::NotAReport(why.clone()))?;
        if counts.executed() < self.at_least.get() {
            let (executed, at_least) = (counts.executed(), self.at_least);
            return Err(Unmet::TooFew { executed, at_least });
        }
        match self.skipped_at_most {
            Some(at_most) if counts.skipped > at_most => {
                Err(Unmet::TooManySkipped { skipped: counts.skipped, at_most })
            }
            _ => Ok(()),
        }
    }
}

fn how(ended: Ended) -> String {
    match ended {
        Ended::Exited(status) => format!("exited with status {status}"),
        Ended::Signalled(signal) => format!("was ended by signal {signal}"),
        Ended::TimedOut => "ran out of time".into(),
        Ended::Cancelled => "was stopped".into(),
        Ended::Exceeded(Cap::Memory) => "used too much memory".into(),
        Ended::Exceeded(Cap::Processes) => "started too many processes".into(),
        Ended::Killed => "was killed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(passed: u64, failed: u64, skipped: u64) -> Result<Counts, NotAReport> {
        let failures = vec!["it".into(); usize::from(failed > 0)];
        Ok(Counts { passed, failed, skipped, failures })
    }

    fn expectation(at_least: u64, skipped_at_most: Option<u64>) -> Expectation {
        let at_least = NonZeroU64::new(at_least).expect("not 0");
        Expectation { at_least, skipped_at_most }
    }

    #[test]
    fn met_by_a_good_status_and_a_good_report_only() {
        let any = expectation(1, None);
        let three = expectation(3, Some(1));
        let cut = || Err(NotAReport::Absent("sum".into()));
        let failed = |failed| Err(Unmet::Failed { failed, names: vec!["it".into()] });
        let too_few = |executed, expectation: Expectation| {
            Err(Unmet::TooFew { executed, at_least: expectation.at_least })
        };
        let bad = |ended| Err(Unmet::Ended(ended));
        let zero = Ended::Exited(0);
        for (expectation, ended, report, judged) in [
            (any, zero, report(1, 0, 0), Ok(())),
            (any, zero, report(1, 0, u64::MAX), Ok(())),
            (any, zero, report(0, 0, 0), Err(Unmet::RanNone { skipped: 0 })),
            (any, zero, report(0, 0, 5), Err(Unmet::RanNone { skipped: 5 })),
            (any, Ended::Exited(5), report(0, 0, 0), Err(Unmet::RanNone { skipped: 0 })),
            (any, zero, report(9, 1, 0), failed(1)),
            (any, Ended::Exited(1), report(9, 2, 0), failed(2)),
            (any, Ended::Exited(1), report(9, 0, 0), bad(Ended::Exited(1))),
            (any, Ended::Signalled(9), report(9, 0, 0), bad(Ended::Signalled(9))),
            (any, Ended::TimedOut, report(9, 1, 0), bad(Ended::TimedOut)),
            (any, Ended::Cancelled, report(9, 0, 0), bad(Ended::Cancelled)),
            (any, Ended::Killed, report(9, 0, 0), bad(Ended::Killed)),
            (any, zero, cut(), Err(Unmet::NotAReport(NotAReport::Absent("sum".into())))),
            (any, Ended::Exited(1), cut(), bad(Ended::Exited(1))),
            (three, zero, report(3, 0, 1), Ok(())),
            (three, zero, report(2, 0, 1), too_few(2, three)),
            (three, zero, report(2, 1, 0), failed(1)),
            (three, zero, report(3, 0, 2), Err(Unmet::TooManySkipped { skipped: 2, at_most: 1 })),
        ] {
            assert_eq!(expectation.judge(ended, &report), judged, "{ended:?} {report:?}");
        }
    }

    #[test]
    fn it_is_read_from_data_and_never_content_with_no_test() {
        let read = |json| serde_json::from_str::<Expectation>(json);
        assert_eq!(read("{}").expect("defaults"), expectation(1, None));
        let both = r#"{"at-least": 4, "skipped-at-most": 0}"#;
        assert_eq!(read(both).expect("both"), expectation(4, Some(0)));
        assert!(read(r#"{"at-least": 0}"#).is_err());
        assert!(read(r#"{"at_least": 4}"#).is_err());
    }

    #[test]
    fn reasons_are_said_in_words() {
        let names = vec!["a".into(), "b".into()];
        for (unmet, words) in [
            (Unmet::Failed { failed: 3, names }, "3 tests failed: a, b"),
            (Unmet::Failed { failed: 3, names: Vec::new() }, "3 tests failed"),
            (Unmet::Failed { failed: 1, names: Vec::new() }, "1 test failed"),
            (Unmet::Ended(Ended::Exited(101)), "the command exited with status 101"),
            (Unmet::RanNone { skipped: 2 }, "it ran no test (2 were skipped)"),
        ] {
            assert_eq!(unmet.to_string(), words);
        }
    }
}
