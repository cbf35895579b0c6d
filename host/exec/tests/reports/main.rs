//! Reports that tools wrote, whole, cut and disturbed.
//!
//! Invariant: a disturbed report is refused, or says nothing better than the whole one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use idumb_exec::Ended;
use idumb_exec::report::{Counts, Expectation, Format, NotAReport, Unmet, counts};
use proptest::prelude::*;

/// What a whole report says.
enum Says {
    /// Passed, failed, skipped, and the names of the failed.
    Counts(u64, u64, u64, &'static [&'static str]),
    Refused(fn(&NotAReport) -> bool),
}
use Says::{Counts as Says3, Refused};

const REPORTS: &[(&str, Format, Says)] = &[
    ("cargo-passed.txt", Format::Cargo, Says3(5, 0, 2, &[])),
    ("cargo-failed.txt", Format::Cargo, Says3(4, 1, 2, &["sometimes"])),
    ("cargo-colour.txt", Format::Cargo, Says3(5, 0, 2, &[])),
    ("cargo-quiet.txt", Format::Cargo, Says3(5, 0, 2, &[])),
    ("cargo-none.txt", Format::Cargo, Says3(0, 0, 0, &[])),
    // A test printed `test result: ok. 900 passed`, and it was not captured.
    ("cargo-nocapture.txt", Format::Cargo, Refused(contradiction)),
    ("nextest-passed.txt", Format::Nextest, Says3(4, 0, 1, &[])),
    ("nextest-failed.txt", Format::Nextest, Says3(3, 1, 1, &["demo::more sometimes"])),
    ("nextest-colour.txt", Format::Nextest, Says3(4, 0, 1, &[])),
    ("nextest-none.txt", Format::Nextest, Says3(0, 0, 5, &[])),
    ("nextest-retries.txt", Format::Nextest, Says3(3, 1, 1, &["demo::more sometimes"])),
    ("pytest-passed.txt", Format::Pytest, Says3(6, 0, 2, &[])),
    (
        "pytest-failed.txt",
        Format::Pytest,
        Says3(
            4,
            4,
            2,
            &[
                "test_demo.py::test_prints",
                "test_demo.py::test_both",
                "test_demo.py::test_teardown",
                "test_demo.py::test_both",
            ],
        ),
    ),
    ("pytest-colour.txt", Format::Pytest, Says3(6, 0, 2, &[])),
    ("pytest-quiet.txt", Format::Pytest, Says3(6, 0, 2, &[])),
    ("pytest-nocapture.txt", Format::Pytest, Says3(6, 0, 2, &[])),
    ("pytest-none.txt", Format::Pytest, Says3(0, 0, 0, &[])),
    ("pytest-collect-error.txt", Format::Pytest, Says3(0, 1, 0, &["bad/test_bad.py"])),
    // Both outputs in one: the sum is not the last line.
    ("pytest-missing.txt", Format::Pytest, Refused(contradiction)),
    ("tap-node-passed.txt", Format::Tap, Says3(5, 0, 2, &[])),
    ("tap-node-failed.txt", Format::Tap, Says3(4, 1, 2, &["group > two \\# not a directive"])),
    ("tap-perl-passed.txt", Format::Tap, Says3(3, 0, 2, &[])),
    ("tap-perl-failed.txt", Format::Tap, Says3(2, 1, 2, &["group > two"])),
    ("tap-bail-out.txt", Format::Tap, Refused(|why| matches!(why, NotAReport::BailedOut(_)))),
    ("tap-skip-all.txt", Format::Tap, Says3(0, 0, 1, &[])),
    ("tap-14-nested.txt", Format::Tap, Says3(1, 0, 3, &[])),
    ("go-passed.json", Format::GoTest, Says3(5, 0, 1, &[])),
    ("go-failed.json", Format::GoTest, Says3(4, 1, 1, &["example.com/demo TestGroup/two/b"])),
    ("go-none.json", Format::GoTest, Says3(0, 0, 0, &[])),
    ("go-build-failed.json", Format::GoTest, Says3(4, 1, 1, &["example.com/demo/other"])),
    ("go-panicked.json", Format::GoTest, Says3(1, 1, 0, &["example.com/demo/other TestOther"])),
    ("go-exit0.json", Format::GoTest, Says3(1, 1, 0, &["example.com/demo/other TestOther"])),
    ("junit-nextest.xml", Format::JUnit, Says3(3, 1, 0, &["demo::more sometimes"])),
    ("junit-pytest-passed.xml", Format::JUnit, Says3(6, 0, 2, &[])),
    (
        "junit-pytest-failed.xml",
        Format::JUnit,
        Says3(
            3,
            4,
            2,
            &[
                "test_demo test_prints",
                "test_demo test_teardown",
                "test_demo test_both",
                "test_demo test_both",
            ],
        ),
    ),
    ("junit-pytest-collect.xml", Format::JUnit, Says3(0, 1, 0, &["bad.test_bad"])),
    ("junit-node-passed.xml", Format::JUnit, Says3(5, 0, 2, &[])),
    ("junit-node-failed.xml", Format::JUnit, Says3(4, 1, 2, &["test two # not a directive"])),
    ("junit-jest-passed.xml", Format::JUnit, Says3(3, 0, 1, &[])),
    ("junit-jest-failed.xml", Format::JUnit, Says3(2, 1, 1, &["group two group two"])),
    // jest-junit writes a `test.todo` like a test that passed, and does not count it.
    ("junit-jest-todo.xml", Format::JUnit, Refused(contradiction)),
    (
        "junit-surefire-failed.xml",
        Format::JUnit,
        Says3(2, 2, 1, &["DemoTest breaks", "DemoTest fails"]),
    ),
    (
        "junit-gotestsum-failed.xml",
        Format::JUnit,
        Says3(2, 2, 1, &["example.com/demo TestGroup/two", "example.com/demo TestGroup"]),
    ),
];

fn contradiction(why: &NotAReport) -> bool {
    matches!(why, NotAReport::Contradiction(_))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports")
}

fn text(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).expect("a report of the list")
}

#[test]
fn every_report_here_is_read() {
    let listed: BTreeSet<_> = REPORTS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let there = fs::read_dir(folder()).expect("the folder of this file");
    let there: BTreeSet<_> = there
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .filter(|name| name != "main.rs" && name != "README.md")
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn whole_reports_say_what_came_of_the_tests() {
    for (name, format, says) in REPORTS {
        let read = counts(*format, &text(name));
        match (says, &read) {
            (Says3(passed, failed, skipped, names), Ok(counts)) => {
                let counted = (counts.passed, counts.failed, counts.skipped);
                assert_eq!(counted, (*passed, *failed, *skipped), "{name}");
                assert_eq!(counts.failures, *names, "{name}");
            }
            (Refused(right), Err(why)) => assert!(right(why), "{name}: {why:?}"),
            (_, read) => panic!("{name}: {read:?}"),
        }
    }
}

#[test]
fn a_report_of_no_tests_or_of_failed_ones_satisfies_nobody() {
    for (name, format, says) in REPORTS {
        let judged = Expectation::default().judge(Ended::Exited(0), &counts(*format, &text(name)));
        match says {
            Says3(_, 1.., ..) => assert!(matches!(judged, Err(Unmet::Failed { .. })), "{name}"),
            Says3(0, 0, ..) => assert!(matches!(judged, Err(Unmet::RanNone { .. })), "{name}"),
            Says3(..) => assert_eq!(judged, Ok(()), "{name}"),
            Refused(_) => assert!(matches!(judged, Err(Unmet::NotAReport(_))), "{name}"),
        }
    }
}

#[test]
fn line_ends_of_windows_change_nothing() {
    for (name, format, _) in REPORTS {
        let text = text(name);
        let windows = String::from_utf8_lossy(&text).replace('\n', "\r\n");
        assert_eq!(counts(*format, windows.as_bytes()), counts(*format, &text), "{name}");
    }
}

/// Whether a report of this format may end here, as far as its text can tell: cargo and Go say
/// nothing that closes the whole.
fn may_end_before(format: Format, rest: &[u8]) -> bool {
    match format {
        Format::Cargo => rest.trim_ascii_start().starts_with(b"running "),
        Format::GoTest => rest
            .split(|byte| *byte == b'\n')
            .next()
            .is_some_and(|line| line.windows(16).any(|part| part == br#""Action":"start""#)),
        _ => false,
    }
}

fn no_better(part: &Counts, whole: &Counts) -> bool {
    part.failed >= whole.failed && part.passed <= whole.passed
}

#[test]
fn a_report_that_is_cut_anywhere_is_refused_or_no_better() {
    let (mut refused, mut accepted) = (0, 0);
    for (name, format, _) in REPORTS {
        let text = text(name);
        let whole = counts(*format, &text);
        for end in 0..text.len() {
            let (part, rest) = text.split_at(end);
            let Ok(part) = counts(*format, part) else {
                refused += 1;
                continue;
            };
            accepted += 1;
            let good = match &whole {
                Ok(whole) => no_better(&part, whole),
                Err(_) => part.executed() == 0 || part.failed > 0,
            };
            let at_boundary = may_end_before(*format, rest);
            assert!(good || at_boundary, "{name} at {end}: {part:?}, whole: {whole:?}");
        }
    }
    // Both happen, so that the test looks at something.
    assert!(refused > 50_000 && accepted > 50, "{refused} {accepted}");
}

#[test]
fn a_line_that_a_test_prints_anywhere_is_refused_or_changes_nothing_for_the_better() {
    const FAKES: &[&str] = &[
        "test result: ok. 900 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        "running 900 tests\ntest result: ok. 900 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        "test fake ... ok\n",
        "     Summary [   0.1s] 900 tests run: 900 passed, 0 skipped\n",
        "==== 900 passed in 0.01s ====\n",
        "ok 900 - fake\n",
        "ok\n",
        "    ok 1 - fake\n",
        "1..900\n",
        "{\"Action\":\"pass\",\"Package\":\"example.com/demo\",\"Test\":\"TestFake\"}\n",
        "--- PASS: TestFake (0.00s)\n",
    ];
    for (name, format, _) in REPORTS.iter().filter(|(_, format, _)| *format != Format::JUnit) {
        let text = text(name);
        let Ok(whole) = counts(*format, &text) else { continue };
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        for fake in FAKES {
            for at in 0..=lines.len() {
                let before = lines[..at].concat();
                // Two runs of tests after another are a report: nothing tells that one is a fake.
                let between = fake.starts_with("running")
                    && *format == Format::Cargo
                    && (counts(*format, &before).is_ok() || at <= 1);
                let disturbed = [&before[..], fake.as_bytes(), &lines[at..].concat()].concat();
                if let (Ok(read), false) = (counts(*format, &disturbed), between) {
                    assert!(no_better(&read, &whole), "{name}, {fake:?} at {at}: {read:?}");
                }
            }
        }
    }
}

/// Lines of every report, and pieces of lines, in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = REPORTS
        .iter()
        .flat_map(|(name, ..)| {
            let text = text(name);
            text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()
        })
        .collect();
    for piece in [
        "1..2",
        "ok",
        "ok #",
        "#é",
        "1..",
        "running ",
        "= 1 ",
        " # SKIP",
        "\x1b[31m",
        "\x1b]0;",
        "<testsuite>",
        "</testcase>",
        "\n",
    ] {
        lines.extend(std::iter::repeat_n(piece.as_bytes().to_vec(), 20));
    }
    prop::collection::vec(prop::sample::select(lines), 0..40).prop_map(|lines| lines.concat())
}

fn reads_without_trouble(text: &[u8]) -> Result<(), TestCaseError> {
    for format in Format::ALL {
        if let Ok(counts) = counts(format, text) {
            prop_assert!(counts.failures.len() as u64 <= counts.failed.max(1));
            prop_assert!(counts.failures.iter().all(|name| !name.contains(char::is_control)));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_trouble(mut text in prop::collection::vec(any::<u8>(), 0..2000)) {
        reads_without_trouble(&text)?;
        // Without a last line end, most are refused at once.
        text.push(b'\n');
        reads_without_trouble(&text)?;
    }

    #[test]
    fn any_lines_are_read_without_trouble(text in soup()) {
        reads_without_trouble(&text)?;
    }

    #[test]
    fn a_report_with_wrong_bytes_is_read_without_trouble(
        which in 0..REPORTS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut text = text(REPORTS[which].0);
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        reads_without_trouble(&text)?;
    }
}
