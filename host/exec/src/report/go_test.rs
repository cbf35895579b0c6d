//! The events of `go test -json`.
//!
//! Invariant: every line is an event; each package ends, and in it each test that began; what a
//! package says of itself agrees with its tests. Otherwise there are no counts.
//!
//! Source: <https://pkg.go.dev/cmd/test2json>; seen with Go 1.27.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;

use super::text::{contradiction, lines};
use super::{Counts, NotAReport};

/// How many slashes of a name are looked at to find what a test is part of. A test whose own name
/// has more is counted, and what it is part of besides.
const DEPTH_CAP: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow, default)]
    package: Cow<'a, str>,
    #[serde(borrow, default)]
    test: Cow<'a, str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pass,
    Fail,
    Skip,
}

#[derive(Default)]
struct Package {
    ended: Option<Outcome>,
    tests: HashMap<String, Test>,
}

/// A test: with `-count` it runs several times.
#[derive(Default)]
struct Test {
    running: bool,
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Whether it is made of others, which are counted.
    parent: bool,
    /// Whether one of those failed.
    below_failed: bool,
}

pub(super) fn counts(text: &[u8]) -> Result<Counts, NotAReport> {
    let mut packages: HashMap<String, Package> = HashMap::new();
    let mut build_failed = false;
    for line in lines(text)? {
        let line = line?;
        let event: Event<'_> = serde_json::from_str(&line).map_err(|error| {
            let at = error.column();
            NotAReport::Malformed(format!("a line is no event of a test (column {at})"))
        })?;
        let outcome = match &*event.action {
            "build-fail" => {
                build_failed = true;
                continue;
            }
            "build-output" => continue,
            "pass" => Some(Outcome::Pass),
            "fail" => Some(Outcome::Fail),
            "skip" => Some(Outcome::Skip),
            _ => None,
        };
        if !packages.contains_key(&*event.package) {
            packages.insert(event.package.clone().into_owned(), Package::default());
        }
        let Some(package) = packages.get_mut(&*event.package) else { continue };
        if package.ended.is_some() {
            return Err(contradiction("a package has an event after its end"));
        }
        match outcome {
            Some(outcome) if event.test.is_empty() => package.ended = Some(outcome),
            Some(outcome) => package.test_ended(&event.test, outcome)?,
            None if event.action == "run" => package.test_began(&event.test)?,
            None => {}
        }
    }
    if packages.is_empty() && !build_failed {
        return Err(NotAReport::Absent("event of a test".into()));
    }
    let mut counts = Counts::default();
    let mut packages: Vec<_> = packages.into_iter().collect();
    packages.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (name, package) in packages {
        package.count(&name, &mut counts)?;
    }
    if build_failed && counts.failed == 0 {
        counts.failed(1)?;
        counts.name("the build");
    }
    Ok(counts)
}

impl Package {
    fn test_began(&mut self, name: &str) -> Result<(), NotAReport> {
        if let Some(parent) = self.parent_of(name) {
            parent.parent = true;
        }
        let test = self.tests.entry(name.to_owned()).or_default();
        if test.running {
            return Err(contradiction("a test begins twice"));
        }
        test.running = true;
        Ok(())
    }

    fn test_ended(&mut self, name: &str, outcome: Outcome) -> Result<(), NotAReport> {
        let test = self.tests.entry(name.to_owned()).or_default();
        // A benchmark may fail or be skipped without an event of its beginning.
        if !test.running && outcome == Outcome::Pass {
            return Err(contradiction("a test passed that did not begin"));
        }
        test.running = false;
        match outcome {
            Outcome::Pass => test.passed += 1,
            Outcome::Skip => test.skipped += 1,
            Outcome::Fail => {
                test.failed += 1;
                if let Some(parent) = self.parent_of(name) {
                    parent.below_failed = true;
                }
            }
        }
        Ok(())
    }

    /// The test that this one is part of. A name may have slashes of its own, so it is the
    /// nearest that began.
    fn parent_of(&mut self, name: &str) -> Option<&mut Test> {
        let mut ends = name.rmatch_indices('/').map(|(at, _)| at).take(DEPTH_CAP);
        let end = ends.find(|end| self.tests.contains_key(&name[..*end]))?;
        self.tests.get_mut(&name[..end])
    }

    fn count(self, name: &str, counts: &mut Counts) -> Result<(), NotAReport> {
        let Some(ended) = self.ended else {
            return Err(NotAReport::Unfinished("a package has no end".into()));
        };
        let before = counts.failed;
        let mut tests: Vec<_> = self.tests.into_iter().collect();
        tests.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (test_name, test) in tests {
            if test.running && ended != Outcome::Fail {
                return Err(contradiction("a package passed, and a test in it has no end"));
            }
            let mut failed = if test.below_failed { 0 } else { test.failed };
            if !test.parent {
                counts.passed(test.passed)?;
                counts.skipped(test.skipped)?;
                failed += u64::from(test.running);
            }
            if failed > 0 {
                counts.failed(failed)?;
                counts.name(&format!("{name} {test_name}"));
            }
        }
        if ended != Outcome::Fail && counts.failed > before {
            return Err(contradiction("a package passed, and a test in it failed"));
        }
        if ended == Outcome::Fail && counts.failed == before {
            counts.failed(1)?;
            counts.name(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events as words: `run A`, `pass A`; without a test, those of the package.
    fn read(events: &[&str]) -> Result<(u64, u64, u64), NotAReport> {
        let line = |event: &&str| {
            let (action, test) = event.split_once(' ').unwrap_or((event, ""));
            let event = serde_json::json!({"Action": action, "Package": "p", "Test": test});
            format!("{event}\n")
        };
        let counts = counts(events.iter().map(line).collect::<String>().as_bytes())?;
        Ok((counts.passed, counts.failed, counts.skipped))
    }

    #[test]
    fn tests_are_counted_once_and_parents_not_besides_their_parts() {
        for (events, counted) in [
            (&["start", "run A", "pass A", "run B", "skip B", "pass"][..], (1, 0, 1)),
            (
                &["run A", "run A/x", "pass A/x", "run A/y/z", "pass A/y/z", "pass A", "pass"],
                (2, 0, 0),
            ),
            (&["run A", "run A/x", "fail A/x", "fail A", "fail"], (0, 1, 0)),
            (&["run A", "run A/x", "pass A/x", "fail A", "fail"], (1, 1, 0)),
            (&["run A", "pass A", "run A", "pass A", "pass"], (2, 0, 0)),
            (&["run A", "pass A", "run B", "fail"], (1, 1, 0)),
            (&["run A", "run A/x", "fail"], (0, 1, 0)),
            (&["start", "fail"], (0, 1, 0)),
            (&["start", "skip"], (0, 0, 0)),
            (&["start", "pass"], (0, 0, 0)),
            (&["build-fail"], (0, 1, 0)),
            (&["fail BenchmarkA", "fail"], (0, 1, 0)),
        ] {
            assert_eq!(read(events), Ok(counted), "{events:?}");
        }
    }

    #[test]
    fn events_that_do_not_fit_are_refused() {
        for events in [
            &["pass A", "pass"][..],
            &["run A", "pass A", "pass A", "pass"],
            &["run A", "run A", "pass A", "pass"],
            &["run A", "pass"],
            &["run A", "run A/x", "pass A/x", "pass"],
            &["run A", "fail A", "pass"],
            &["run A", "pass A", "pass", "run B", "pass B", "pass"],
            &["run A", "pass A", "pass", "pass"],
        ] {
            let refused = read(events).expect_err("it does not fit");
            assert!(matches!(refused, NotAReport::Contradiction(_)), "{events:?}: {refused:?}");
        }
        assert!(matches!(read(&["run A", "pass A"]), Err(NotAReport::Unfinished(_))));
        assert!(matches!(read(&[]), Err(NotAReport::Absent(_))));
        for text in [
            "FAIL\n",
            "{}\n",
            "{\"Action\":1}\n",
            "[]\n",
            "\n",
            "{\"Action\":\"run\",\"Action\":\"pass\"}\n",
        ] {
            assert!(matches!(counts(text.as_bytes()), Err(NotAReport::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_name_of_slashes_takes_no_time() {
        let name = "/".repeat(100_000);
        let events: Vec<_> = (0..50).map(|n| format!("fail {n}{name}")).collect();
        let mut events: Vec<_> = events.iter().map(String::as_str).collect();
        events.push("fail");
        assert_eq!(read(&events), Ok((0, 50, 0)));
    }
}
