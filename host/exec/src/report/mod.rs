//! What a test command says of its tests: how many passed, failed and were skipped.
//!
//! Invariant: a text that was cut, that contradicts itself or that is not understood gives no
//! counts at all; and reading it takes memory and time in proportion to it, up to a cap.
//!
//! [`counts`] reads a file, [`counts_captured`] an output. An [`Expectation`] judges what they
//! gave, together with how the command ended.
//!
//! # Where each format comes from
//!
//! | [`Format`] | How the tool is told | Read from |
//! |---|---|---|
//! | `junit` | `pytest --junitxml=FILE` | the file |
//! | | nextest: `path = "junit.xml"` under `[profile.ci.junit]` in `.config/nextest.toml`, then `cargo nextest run --profile ci` | `target/nextest/ci/junit.xml` |
//! | | `node --test --test-reporter=junit --test-reporter-destination=FILE` | the file |
//! | | `JEST_JUNIT_OUTPUT_FILE=FILE jest --reporters=jest-junit` | the file |
//! | | `mvn test` (Surefire) | each `target/surefire-reports/TEST-*.xml`, added up ([`Counts::and`]) |
//! | | `gotestsum --junitfile FILE` | the file |
//! | `cargo` | `cargo test --no-fail-fast` | stdout |
//! | `nextest` | `cargo nextest run --no-fail-fast` | stderr |
//! | `pytest` | `pytest` (`--junitxml` says more) | stdout |
//! | `tap` | `node --test --test-reporter=tap`, a Perl test, anything that speaks TAP 12 to 14 | stdout |
//! | `go-test` | `go test -json -count=1 ./...` | stdout |
//!
//! jest-junit writes a `test.todo` like a test that passed and leaves it out of its totals: such a
//! file is refused. Text is read of one run: not of several `pytest` or `nextest` after another.
//!
//! A file has to be gone before the command runs: the report of an earlier run reads as well as
//! that of this one.
//!
//! # What is counted
//! - *Passed*: it ran and its own result is good. A flaky test that passed in the end is one, a
//!   test of pytest that passed though it was marked `xfail` too, and a benchmark that cargo
//!   measured.
//! - *Failed*: failed, timed out, or an error: of a test, of its fixture, of a file that could
//!   not be collected, of a package that could not be built.
//! - *Skipped*: skipped, ignored, or marked as not expected to work (`xfail`, `TODO`), whatever
//!   came of it.
//! - A test that is made of others (a subtest of TAP, `t.Run` of Go) is not counted besides them.
//!   Of pytest's `subtests passed` none is counted.
//!   In JUnit XML each `testcase` is one, so gotestsum's parents are counted; and in the TAP of
//!   Node.js a suite without tests is one that passed: nothing tells it from a test.
//! - What a filter left out is nothing at all, but where the tool does not tell it from the
//!   skipped: nextest's own text. Nextest's JUnit file does not have the skipped: there
//!   [`Expectation::skipped_at_most`] bounds nothing.
//!
//! # What it proves
//! The text was made by processes that ran an agent's code, and the test runner is one of them
//! or their child. **Whoever may run code in a test can say whatever they want here**: a test can
//! print the closing line and end its process with status 0, rewrite the JUnit file from a
//! process that stays behind, or replace the runner by means of a file of the project. A file
//! that the runner writes after the tests is no stronger than a text: the tests ran in the same
//! tree, under the same user. So counts that satisfy an [`Expectation`] prove just this: *that
//! command, on that tree, confined, reported so and exited with 0*. They catch what is wrong by
//! accident or laziness: no test ran, a filter that fits nothing, a run that broke off, tests
//! that were switched off, a runner whose status says nothing. Against malice there is only a
//! command whose tests and runner the agent could not write.
//!
//! What the parsers do against lines that a test prints by accident or by simple intent: a
//! closing line has to agree with the opening one, with the single results as far as they are
//! there, and there has to be no second one. What disagrees is refused, not corrected.
//!
//! What no text can show: `cargo test` and `go test` say nothing that closes the whole, so a
//! report that ends after one of several binaries or packages looks complete. That is what
//! [`Captured::left_out`] and the exit status are for.

mod cargo;
mod expectation;
mod go_test;
mod junit;
mod nextest;
mod pytest;
mod tap;
mod text;

pub use expectation::{Expectation, Unmet};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Captured, Stream};

/// The largest report that is read, in bytes.
pub const SIZE_CAP: usize = 64 << 20;
/// How many names of failed tests are kept.
pub const NAMES_CAP: usize = 20;
/// How many characters of a name are kept.
pub const NAME_CAP: usize = 200;

/// A way to say what became of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// JUnit XML, as pytest, Jest, Surefire, gotestsum, Node.js and nextest write it.
    #[serde(rename = "junit")]
    JUnit,
    /// The text of `cargo test`: libtest's, of each binary.
    Cargo,
    /// The text of `cargo nextest run`.
    Nextest,
    /// The text of pytest.
    Pytest,
    /// The Test Anything Protocol, versions 12 to 14.
    Tap,
    /// The events of `go test -json`.
    GoTest,
}

/// Where a report is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// In an output of the command.
    Output(Stream),
    /// In a file that the command was told to write.
    File,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::JUnit, Self::Cargo, Self::Nextest, Self::Pytest, Self::Tap, Self::GoTest];

    /// Its name, as in a plan.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JUnit => "junit",
            Self::Cargo => "cargo",
            Self::Nextest => "nextest",
            Self::Pytest => "pytest",
            Self::Tap => "tap",
            Self::GoTest => "go-test",
        }
    }

    /// Where its tool puts it.
    pub fn source(self) -> Source {
        match self {
            Self::JUnit => Source::File,
            Self::Nextest => Source::Output(Stream::Stderr),
            Self::Cargo | Self::Pytest | Self::Tap | Self::GoTest => Source::Output(Stream::Stdout),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == name);
        found.ok_or_else(|| UnknownFormat(text::clipped(name)))
    }
}

/// A name that no format has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no format of a test report: there are {all}", all = Format::ALL.map(Format::as_str).join(", "))]
pub struct UnknownFormat(String);

/// How many tests there were, by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Those that passed.
    pub passed: u64,
    /// Those that failed, errors among them.
    pub failed: u64,
    /// Those that did not run, and those of which nothing was expected.
    pub skipped: u64,
    /// The names of failed tests: at most [`NAMES_CAP`] of [`NAME_CAP`] characters, without
    /// control characters. Some formats do not give every name.
    pub failures: Vec<String>,
}

impl Counts {
    /// How many ran.
    pub fn executed(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }

    /// Both together: for a runner that writes several files.
    ///
    /// # Errors
    /// The numbers are too large to be added.
    pub fn and(mut self, other: Self) -> Result<Self, NotAReport> {
        self.passed(other.passed)?;
        self.failed(other.failed)?;
        self.skipped(other.skipped)?;
        other.failures.iter().for_each(|name| self.name(name));
        Ok(self)
    }

    fn passed(&mut self, more: u64) -> Result<(), NotAReport> {
        self.passed = text::sum([self.passed, more])?;
        Ok(())
    }

    fn failed(&mut self, more: u64) -> Result<(), NotAReport> {
        self.failed = text::sum([self.failed, more])?;
        Ok(())
    }

    fn skipped(&mut self, more: u64) -> Result<(), NotAReport> {
        self.skipped = text::sum([self.skipped, more])?;
        Ok(())
    }

    /// Keeps the name of a failed test, if there is room.
    fn name(&mut self, name: &str) {
        if self.failures.len() < NAMES_CAP {
            self.failures.push(text::clipped(name));
        }
    }
}

/// Why a text gives no counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotAReport {
    /// It is larger than [`SIZE_CAP`].
    #[error("the report has {bytes} bytes; at most {SIZE_CAP} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Not all of it was kept.
    #[error("{bytes} bytes in the middle of the output were not kept: its tests cannot be counted")]
    LeftOut {
        /// How many bytes lack.
        bytes: u64,
    },
    /// Nothing in it looks like a report.
    #[error("there is no {0} in it")]
    Absent(String),
    /// It begins, and does not end.
    #[error("the report breaks off: {0}")]
    Unfinished(String),
    /// One thing in it does not agree with another.
    #[error("the report contradicts itself: {0}")]
    Contradiction(String),
    /// It is not of the format.
    #[error("this is not of the format: {0}")]
    Malformed(String),
    /// The tests gave up (`Bail out!`), for this reason.
    #[error("the tests gave up: {0}")]
    BailedOut(String),
    /// Numbers that no count of tests has.
    #[error("a number in it is too large")]
    TooMany,
}

/// What a file says of the tests, in that format.
///
/// ```
/// use idumb_exec::report::{Format, counts};
/// let tap = b"1..3\nok 1 - adds\nnot ok 2 - divides\nok 3 - slow # SKIP not today\n";
/// let counts = counts(Format::Tap, tap).expect("it is complete");
/// assert_eq!((counts.passed, counts.failed, counts.skipped), (1, 1, 1));
/// assert_eq!(counts.failures, ["divides"]);
/// ```
///
/// # Errors
/// Why it is not a report.
pub fn counts(format: Format, text: &[u8]) -> Result<Counts, NotAReport> {
    if text.len() > SIZE_CAP {
        return Err(NotAReport::TooLarge { bytes: text.len() as u64 });
    }
    match format {
        Format::JUnit => junit::counts(text),
        Format::Cargo => cargo::counts(text),
        Format::Nextest => nextest::counts(text),
        Format::Pytest => pytest::counts(text),
        Format::Tap => tap::counts(text),
        Format::GoTest => go_test::counts(text),
    }
}

/// What an output says of the tests, in that format. One that was not kept whole says nothing.
///
/// # Errors
/// Why it is not a report.
pub fn counts_captured(format: Format, output: &Captured) -> Result<Counts, NotAReport> {
    if output.left_out > 0 {
        return Err(NotAReport::LeftOut { bytes: output.left_out });
    }
    counts(format, &[&output.head[..], &output.tail[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_one_name_everywhere() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            let json = serde_json::to_string(&format).expect("a name");
            assert_eq!(json, format!("{:?}", format.as_str()));
        }
        let error = "xunit".parse::<Format>().expect_err("there is none");
        assert_eq!(
            error.to_string(),
            "\"xunit\" is no format of a test report: there are junit, cargo, nextest, pytest, \
             tap, go-test"
        );
    }

    #[test]
    fn what_was_not_kept_whole_is_not_counted() {
        let whole = b"1..2\nok 1\nok 2\n";
        let (head, tail) = whole.split_at(7);
        let mut output = Captured { head: head.into(), left_out: 0, tail: tail.into() };
        assert_eq!(counts_captured(Format::Tap, &output).map(|counts| counts.passed), Ok(2));
        output.left_out = 1;
        let refused = counts_captured(Format::Tap, &output);
        assert_eq!(refused, Err(NotAReport::LeftOut { bytes: 1 }));
    }

    #[test]
    fn sizes_numbers_and_names_are_bounded() {
        for format in Format::ALL {
            let large = vec![b'\n'; SIZE_CAP + 1];
            let refused = counts(format, &large);
            assert_eq!(refused, Err(NotAReport::TooLarge { bytes: large.len() as u64 }));
        }
        let most = Counts { passed: u64::MAX, ..Counts::default() };
        assert_eq!(most.clone().and(Counts::default()), Ok(most.clone()));
        let one = Counts { passed: 1, ..Counts::default() };
        assert_eq!(most.and(one), Err(NotAReport::TooMany));
        let mut counts = Counts::default();
        (0..100).for_each(|_| counts.name(&"\u{1b}é".repeat(500)));
        assert_eq!(counts.failures.len(), NAMES_CAP);
        assert!(counts.failures.iter().all(|name| name.chars().count() == NAME_CAP + 1));
        assert!(counts.failures.iter().all(|name| !name.contains('\u{1b}')));
    }
}
