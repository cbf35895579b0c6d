//! The Test Anything Protocol, versions 12, 13 and 14, with subtests.
//!
//! Invariant: each level has one plan, and its test points are those of the plan, in order; a
//! point that is made of subtests agrees with them. Otherwise there are no counts.
//!
//! Source: <https://testanything.org/tap-version-14-specification.html>. Stricter than it: points
//! that are numbered out of order are refused, and `not ok … # SKIP` is a failure.

use super::text::{clipped, contradiction, leading_number, lines, number, unfinished};
use super::{Counts, NotAReport};

/// How deep subtests may be.
const DEPTH_CAP: usize = 32;
/// How far a subtest is indented from its parent.
const INDENT: usize = 4;

/// A stream of test points: the whole, or a subtest.
#[derive(Default)]
struct Level {
    points: u64,
    plan: Option<Plan>,
    counts: Counts,
}

struct Plan {
    tests: u64,
    /// Whether it came after test points, so that none may follow.
    trailing: bool,
    skip: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    None,
    Skip,
    Todo,
}

/// `not ok 3 - divides # TODO later`
struct Point<'a> {
    ok: bool,
    number: Option<u64>,
    name: &'a str,
    directive: Directive,
}

/// A line that says something.
enum Said<'a> {
    Version,
    Plan { tests: u64, skip: bool },
    Point(Point<'a>),
    BailOut(&'a str),
}

pub(super) fn counts(text: &[u8]) -> Result<Counts, NotAReport> {
    let mut levels = vec![Level::default()];
    let mut version = false;
    // The indentation of a block of diagnostics, and whether one may begin.
    let (mut yaml, mut after_point): (Option<usize>, bool) = (None, false);
    for line in lines(text)? {
        let line = line?;
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        if let Some(block) = yaml {
            yaml = (indent != block || content.trim_end() != "...").then_some(block);
            continue;
        }
        let here = (levels.len() - 1) * INDENT;
        if after_point && indent > here && indent < here + INDENT && content.trim_end() == "---" {
            yaml = Some(indent);
            continue;
        }
        after_point = false;
        let Some(said) = said(content)? else { continue };
        if matches!(said, Said::Version) && indent == 0 {
            if version || levels.len() > 1 || levels[0].points > 0 || levels[0].plan.is_some() {
                return Err(contradiction("a second stream begins"));
            }
            version = true;
        } else if let Said::BailOut(reason) = said {
            return Err(NotAReport::BailedOut(clipped(reason)));
        } else if indent % INDENT == 0 {
            after_point = matches!(said, Said::Point(_));
            take(&mut levels, indent / INDENT, said)?;
        }
    }
    if yaml.is_some() || levels.len() > 1 {
        return Err(unfinished("a subtest or its diagnostics have no end"));
    }
    finish(levels.remove(0))
}

/// Takes what was said at a depth. A subtest may begin with one of its own.
fn take(levels: &mut Vec<Level>, depth: usize, said: Said<'_>) -> Result<(), NotAReport> {
    if matches!(said, Said::Version | Said::BailOut(_)) {
        return Ok(());
    }
    if depth > DEPTH_CAP {
        return Err(NotAReport::Malformed(format!("subtests are deeper than {DEPTH_CAP}")));
    }
    levels.resize_with(levels.len().max(depth + 1), Level::default);
    let below = levels.split_off(depth + 1);
    let [.., level] = &mut levels[..] else { return Ok(()) };
    match said {
        Said::Plan { tests, skip } if below.is_empty() => level.plan(tests, skip),
        Said::Point(point) if below.len() <= 1 => level.point(&point, below.into_iter().next()),
        _ => Err(unfinished("a subtest has no test point of its own")),
    }
}

impl Level {
    fn plan(&mut self, tests: u64, skip: bool) -> Result<(), NotAReport> {
        if self.plan.is_some() {
            return Err(contradiction("there is more than one plan"));
        }
        self.plan = Some(Plan { tests, skip, trailing: self.points > 0 });
        Ok(())
    }

    fn point(&mut self, point: &Point<'_>, below: Option<Self>) -> Result<(), NotAReport> {
        self.points += 1;
        if point.number.is_some_and(|number| number != self.points) {
            return Err(contradiction("test points are not numbered in order"));
        }
        if self.plan.as_ref().is_some_and(|plan| plan.trailing || self.points > plan.tests) {
            return Err(contradiction("there are more test points than its plan has"));
        }
        let below = below.map(finish).transpose()?.unwrap_or_default();
        let made_of_others = below.executed() > 0 || below.skipped > 0;
        match (point.directive, point.ok) {
            (Directive::Todo, _) => self.counts.skipped(if made_of_others {
                super::text::sum([below.passed, below.failed, below.skipped])?
            } else {
                1
            }),
            (_, true) if below.failed > 0 => {
                Err(contradiction("a test point is ok, and its subtests are not"))
            }
            _ if made_of_others => {
                let failed_itself = !point.ok && below.failed == 0;
                self.counts.passed(below.passed)?;
                self.counts.skipped(below.skipped)?;
                self.counts.failed(below.failed)?;
                let names = below.failures.iter();
                names.for_each(|name| self.counts.name(&format!("{} > {name}", point.name)));
                if failed_itself { self.fail(point.name) } else { Ok(()) }
            }
            (Directive::Skip, true) => self.counts.skipped(1),
            (_, true) => self.counts.passed(1),
            (_, false) => self.fail(point.name),
        }
    }

    fn fail(&mut self, name: &str) -> Result<(), NotAReport> {
        self.counts.name(name);
        self.counts.failed(1)
    }
}

/// What a level comes to, at its end.
fn finish(mut level: Level) -> Result<Counts, NotAReport> {
    let Some(plan) = level.plan else {
        return Err(match level.points {
            0 => NotAReport::Absent("plan (`1..N`)".into()),
            _ => unfinished("a plan (`1..N`) is missing"),
        });
    };
    if plan.tests != level.points {
        return Err(unfinished("there are fewer test points than its plan has"));
    }
    if plan.tests == 0 && plan.skip {
        level.counts.skipped(1)?;
    }
    Ok(level.counts)
}

/// What a line says, without its indentation; `None`: it is a comment or no TAP.
fn said(line: &str) -> Result<Option<Said<'_>>, NotAReport> {
    if let Some(version) = line.strip_prefix("TAP version ") {
        return match version.trim_end() {
            "13" | "14" => Ok(Some(Said::Version)),
            _ => Err(NotAReport::Malformed("it is of an unknown version of TAP".into())),
        };
    }
    if let Some(reason) = line.strip_prefix("Bail out!") {
        return Ok(Some(Said::BailOut(reason.trim())));
    }
    if let Some((tests, rest)) = line.strip_prefix("1..").and_then(leading_number) {
        let (name, directive) = directive(rest);
        // What else stands there is a comment, or it is no plan.
        let plan = name.trim().is_empty() || name.trim_start().starts_with('#');
        let skip = directive == Directive::Skip;
        return Ok(if plan { Some(Said::Plan { tests: tests?, skip }) } else { None });
    }
    let (ok, rest) = match line.strip_prefix("not ") {
        Some(rest) => (false, rest.trim_start()),
        None => (true, line),
    };
    let Some(rest) = rest.strip_prefix("ok").filter(|rest| boundary(rest)) else {
        return Ok(None);
    };
    let (mut name, directive) = directive(rest);
    let (digits, after) = name.trim_start().split_once(' ').unwrap_or((name.trim(), ""));
    let number = number(digits).transpose()?;
    if number.is_some() {
        name = after;
    }
    let name = name.trim();
    let name = name.strip_prefix('-').unwrap_or(name).trim();
    Ok(Some(Said::Point(Point { ok, number, name, directive })))
}

/// What stands before a directive, and the directive.
fn directive(text: &str) -> (&str, Directive) {
    for (at, _) in text.match_indices('#') {
        let before = &text[..at];
        if !before.is_empty() && !before.ends_with([' ', '\t']) {
            continue;
        }
        let word = text[at + 1..].trim_start();
        let is = |directive: &str| {
            word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(directive))
        };
        if is("skip") {
            return (before, Directive::Skip);
        }
        if is("todo") && boundary(&word[4..]) {
            return (before, Directive::Todo);
        }
    }
    (text, Directive::None)
}

fn boundary(rest: &str) -> bool {
    rest.chars().next().is_none_or(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(u64, u64, u64), NotAReport> {
        let counts = counts(text.as_bytes())?;
        Ok((counts.passed, counts.failed, counts.skipped))
    }

    #[test]
    fn points_and_directives_are_counted() {
        for (text, counted) in [
            ("1..2\nok\nnot ok\n", (1, 1, 0)),
            ("ok 1 - a\nok 2 b\n1..2\n", (2, 0, 0)),
            ("TAP version 14\n1..1 # all of them\nok 1\n", (1, 0, 0)),
            ("1..3\nok 1 # SKIP\nok 2 a # skipped: b\nok 3 a \\# SKIP\n", (1, 0, 2)),
            ("1..2\nnot ok 1 # TODO\nok 2 a # todo later\n", (0, 0, 2)),
            ("1..2\nnot ok 1 # SKIP\nnot ok 2 # TODOX\n", (0, 2, 0)),
            ("1..2\nok 1 - a #SKIP\nok 2 - a#SKIP\n", (1, 0, 1)),
            ("1..0 # SKIP not here\n", (0, 0, 1)),
            ("1..0\n", (0, 0, 0)),
            ("1..2 things\n1..1\nok 1\n", (1, 0, 0)),
            ("1..1\nokay\nnot okay\n 1..5\n  ok 2\nok 1\n", (1, 0, 0)),
        ] {
            assert_eq!(read(text), Ok(counted), "{text}");
        }
    }

    #[test]
    fn a_test_that_is_made_of_others_is_not_counted_besides_them() {
        let sub = "# Subtest: a\n    ok 1\n    SECOND\n    1..2\n";
        for (second, parent, counted) in [
            ("ok 2", "ok 1 - a", Some((2, 0, 0))),
            ("not ok 2", "not ok 1 - a", Some((1, 1, 0))),
            ("ok 2", "not ok 1 - a", Some((2, 1, 0))),
            ("not ok 2", "not ok 1 - a # TODO", Some((0, 0, 2))),
            ("not ok 2", "ok 1 - a", None),
            ("not ok 2", "ok 1 - a # SKIP", None),
        ] {
            let text = format!("{}{parent}\n1..1\n", sub.replace("SECOND", second));
            assert_eq!(read(&text).ok(), counted, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_its_plan_is_refused() {
        use NotAReport::{Absent, BailedOut, Contradiction, Malformed, Unfinished};
        type Is = fn(&NotAReport) -> bool;
        let contradiction: Is = |why| matches!(why, Contradiction(_));
        let unfinished: Is = |why| matches!(why, Unfinished(_));
        for (text, is) in [
            ("1..2\nok 1\n", unfinished),
            ("ok 1\nok 2\n", unfinished),
            ("1..1\n    ok 1\n    1..1\n", unfinished),
            ("    ok 1\nok 1\n1..1\n", unfinished),
            ("    ok 1\n    1..2\nok 1\n1..1\n", unfinished),
            ("        ok 1\n", unfinished),
            ("        ok 1\n        1..1\nok 1\n1..1\n", unfinished),
            ("1..1\nok 1\n  ---\n", unfinished),
            ("1..1\nok 1\nok 2\n", contradiction),
            ("ok 1\n1..1\nok 2\n", contradiction),
            ("1..1\n1..2\nok 1\nok 2\n", contradiction),
            ("1..2\nok 1\nok 1\n", contradiction),
            ("1..2\nok 1\nok 3\n", contradiction),
            ("1..1\nok 1\nTAP version 13\n1..1\nok 1\n", contradiction),
            ("TAP version 15\n1..1\nok 1\n", |why| matches!(why, Malformed(_))),
            ("1..2\nok 1\nBail out! no disk\n", |why| *why == BailedOut("no disk".into())),
            ("hello\n", |why| matches!(why, Absent(_))),
            ("", |why| matches!(why, Absent(_))),
        ] {
            let refused = read(text).expect_err(text);
            assert!(is(&refused), "{text}: {refused:?}");
        }
        let deep: String = (0..100).map(|n| format!("{}ok 1\n", " ".repeat(n * INDENT))).collect();
        assert!(matches!(read(&deep), Err(Malformed(_))));
    }

    #[test]
    fn a_subtest_may_begin_with_one_of_its_own() {
        let text =
            "        not ok 1 - c\n        1..1\n    not ok 1 - b\n    1..1\nnot ok 1 - a\n1..1\n";
        assert_eq!(read(text), Ok((0, 1, 0)));
        let counts = counts(text.as_bytes()).expect("as before");
        assert_eq!(counts.failures, ["a > b > c"]);
    }

    #[test]
    fn diagnostics_are_not_read() {
        let text = "1..2\nok 1\n  ---\n  not ok 2\nok 2\n  ...\nok 2\n";
        assert_eq!(read(text), Ok((2, 0, 0)));
    }
}
