//! JUnit XML, in the dialects of pytest, Jest, Surefire, gotestsum, Node.js and nextest.
//!
//! Invariant: tests are counted by their elements, and the totals that stand in attributes agree
//! with them. There is no document type, so there are no entities to expand or to fetch; depth
//! and the number of attributes are bounded; nothing of the document is kept but some names.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::text::{contradiction, malformed, number, unfinished};
use super::{Counts, NAME_CAP, NotAReport};

/// How deep elements may be.
const DEPTH_CAP: usize = 64;
/// How many attributes an element may have.
const ATTRIBUTES_CAP: usize = 64;

/// An element that is open.
enum Open {
    Suite(Box<Suite>),
    Case(Case),
    Other,
}

/// A `testsuite`, or the `testsuites` around them.
#[derive(Default)]
struct Suite {
    name: String,
    stated: Stated,
    /// Its own test cases.
    own: Tally,
    /// Those, and all further down.
    all: Tally,
    /// Elements directly below it that are a case or a suite.
    children: u64,
    /// Names of failed cases, its own and further down.
    counts: Counts,
}

/// What a suite says of itself in attributes.
#[derive(Default)]
struct Stated {
    tests: Option<u64>,
    failures: Option<u64>,
    errors: Option<u64>,
    skipped: Option<u64>,
}

#[derive(Default, Clone, Copy)]
struct Tally {
    cases: u64,
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Of the skipped, those that are marked as not to work, and did not.
    known: u64,
}

#[derive(Default)]
struct Case {
    name: String,
    failed: bool,
    skipped: bool,
    todo: bool,
}

pub(super) fn counts(text: &[u8]) -> Result<Counts, NotAReport> {
    let mut reader = Reader::from_reader(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Counts> = None;
    loop {
        let event = reader.read_event().map_err(|error| match error {
            quick_xml::Error::Syntax(_) => unfinished("markup has no end"),
            _ => malformed("it is not well-formed"),
        })?;
        match event {
            Event::Start(element) => {
                begin(&element, &mut open, root.is_some())?;
            }
            Event::Empty(element) => {
                begin(&element, &mut open, root.is_some())?;
                end(&mut open, &mut root)?;
            }
            Event::End(_) => end(&mut open, &mut root)?,
            Event::DocType(_) => return Err(malformed("it has a document type")),
            Event::Text(text) if open.is_empty() && !text.trim_ascii().is_empty() => {
                return Err(malformed("there is text outside of its elements"));
            }
            Event::CData(_) | Event::GeneralRef(_) if open.is_empty() => {
                return Err(malformed("there is text outside of its elements"));
            }
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {}
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match root {
        Some(counts) if open.is_empty() => Ok(counts),
        _ if !open.is_empty() => Err(unfinished("elements have no end")),
        _ => Err(NotAReport::Absent("`testsuites` or `testsuite`".into())),
    }
}

/// What an element is, by its name and where it stands.
fn begin(element: &BytesStart<'_>, open: &mut Vec<Open>, ended: bool) -> Result<(), NotAReport> {
    if open.len() >= DEPTH_CAP {
        return Err(malformed("its elements are too deep"));
    }
    let attributes = Attributes::of(element)?;
    let name = element.local_name();
    let next = match (name.as_ref(), open.last_mut()) {
        (b"testsuites" | b"testsuite", None) if !ended => {
            Open::Suite(Box::new(attributes.suite()?))
        }
        (_, None) => {
            return Err(malformed("its root is no `testsuites` or `testsuite`, or it has two"));
        }
        (b"testsuite", Some(Open::Suite(_))) => Open::Suite(Box::new(attributes.suite()?)),
        (b"testcase", Some(Open::Suite(_))) => Open::Case(attributes.case()),
        (b"failure" | b"error", Some(Open::Suite(suite))) => {
            // Of the suite as a whole: what it sets up.
            suite.all.failed += 1;
            suite.counts.name(&suite.name);
            Open::Other
        }
        (b"failure" | b"error", Some(Open::Case(case))) => {
            case.failed = true;
            Open::Other
        }
        (b"skipped", Some(Open::Case(case))) => {
            case.skipped = true;
            case.todo |= attributes.kind.as_deref() == Some("todo");
            Open::Other
        }
        (b"testsuites" | b"testsuite" | b"testcase" | b"failure" | b"error", Some(_)) => {
            return Err(malformed("an element stands where it does not belong"));
        }
        (_, Some(_)) => Open::Other,
    };
    open.push(next);
    Ok(())
}

/// Takes what an element was into what it stands in.
fn end(open: &mut Vec<Open>, root: &mut Option<Counts>) -> Result<(), NotAReport> {
    match (open.pop(), open.last_mut()) {
        (Some(Open::Case(case)), Some(Open::Suite(suite))) => suite.take_case(&case),
        (Some(Open::Suite(suite)), Some(Open::Suite(outer))) => {
            suite.check()?;
            outer.children += 1;
            outer.all.add(suite.all);
            suite.counts.failures.iter().for_each(|name| outer.counts.name(name));
        }
        (Some(Open::Suite(suite)), None) => {
            suite.check()?;
            let Suite { all, counts, .. } = *suite;
            let Tally { passed, failed, skipped, .. } = all;
            *root = Some(Counts { passed, failed, skipped, ..counts });
        }
        _ => {}
    }
    Ok(())
}

impl Suite {
    fn take_case(&mut self, case: &Case) {
        // Node.js: `todo` with what it came to besides.
        let failed = case.failed && !case.todo;
        let skipped = case.skipped && !failed;
        let tally = Tally {
            cases: 1,
            passed: u64::from(!failed && !skipped),
            failed: u64::from(failed),
            skipped: u64::from(skipped),
            known: u64::from(case.failed && case.todo),
        };
        if failed {
            self.counts.name(&case.name);
        }
        self.children += 1;
        self.own.add(tally);
        self.all.add(tally);
    }

    /// Whether its attributes agree with its elements. Dialects differ in whether a total is of
    /// the suite's own cases, of all below it, or (Node.js) of the elements directly in it.
    fn check(&self) -> Result<(), NotAReport> {
        let Self { stated, own, all, children, .. } = self;
        let differs = |stated: Option<u64>, counted: &[u64]| {
            stated.is_some_and(|stated| !counted.contains(&stated))
        };
        if differs(stated.tests, &[all.cases, own.cases, *children]) {
            return Err(contradiction("`tests` is not the number of its test cases"));
        }
        if differs(stated.skipped, &[all.skipped, own.skipped]) {
            return Err(contradiction("`skipped` is not the number of its skipped test cases"));
        }
        // A case may have several failures, and a failure be an error elsewhere: only whether
        // there are any is the same everywhere.
        let bad = [stated.failures, stated.errors];
        let some = bad.iter().any(|number| number.is_some_and(|number| number > 0));
        if some && all.failed + all.known == 0 {
            return Err(contradiction("it states failures that none of its test cases has"));
        }
        if !some && bad.iter().all(Option::is_some) && own.failed > 0 {
            return Err(contradiction("it states no failure, and a test case of it has one"));
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        // Each stands for an element in a document of bounded size.
        self.cases += other.cases;
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.known += other.known;
    }
}

/// The attributes that mean something here.
#[derive(Default)]
struct Attributes {
    name: String,
    class: String,
    /// `type`
    kind: Option<String>,
    /// `status` or `result`, of GoogleTest and CTest.
    not_run: bool,
    stated: Stated,
}

impl Attributes {
    fn of(element: &BytesStart<'_>) -> Result<Self, NotAReport> {
        let mut found = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        // Its own search for duplicates is quadratic, and theirs is unbounded.
        for attribute in element.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| malformed("an attribute is not well-formed"))?;
            let key = attribute.key.into_inner();
            if seen.len() == ATTRIBUTES_CAP || seen.contains(&key) {
                return Err(malformed("an element has too many attributes, or one twice"));
            }
            seen.push(key);
            let value = &*attribute.value;
            match key {
                b"name" => found.name = plain(value),
                b"classname" => found.class = plain(value),
                b"type" => found.kind = Some(plain(value)),
                b"status" | b"result" => {
                    let words: [&[u8]; 5] =
                        [b"notrun", b"skipped", b"disabled", b"suppressed", b"ignored"];
                    found.not_run |= words.contains(&value);
                }
                b"tests" => found.stated.tests = Some(total(value)?),
                b"failures" => found.stated.failures = Some(total(value)?),
                b"errors" => found.stated.errors = Some(total(value)?),
                b"skipped" => found.stated.skipped = Some(total(value)?),
                _ => {}
            }
        }
        Ok(found)
    }

    fn suite(self) -> Result<Suite, NotAReport> {
        Ok(Suite { name: self.name, stated: self.stated, ..Suite::default() })
    }

    fn case(self) -> Case {
        let name = match self.class.as_str() {
            "" => self.name,
            class => format!("{class} {}", self.name),
        };
        Case { name, skipped: self.not_run, ..Case::default() }
    }
}

fn total(value: &[u8]) -> Result<u64, NotAReport> {
    let digits = str::from_utf8(value).ok().and_then(|value| number(value.trim()));
    digits.unwrap_or_else(|| Err(malformed("a total is no number")))
}

/// The beginning of a value, with its references resolved as far as it can be done.
fn plain(value: &[u8]) -> String {
    // A reference takes up to ten bytes for one character.
    let value = String::from_utf8_lossy(&value[..value.len().min(NAME_CAP * 10)]);
    match quick_xml::escape::unescape(&value) {
        Ok(plain) => plain.into_owned(),
        Err(_) => value.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn read(text: &str) -> Result<(u64, u64, u64), NotAReport> {
        let counts = counts(text.as_bytes())?;
        Ok((counts.passed, counts.failed, counts.skipped))
    }

    #[test]
    fn cases_are_counted_by_what_stands_in_them() {
        for (cases, counted) in [
            ("<testcase name='a'/><testcase name='b'></testcase>", (2, 0, 0)),
            ("<testcase><failure>a</failure><failure/></testcase>", (0, 1, 0)),
            ("<testcase><error/><system-out>x</system-out></testcase>", (0, 1, 0)),
            ("<testcase><skipped/></testcase><testcase status='notrun'/>", (0, 0, 2)),
            ("<testcase><skipped/><failure/></testcase>", (0, 1, 0)),
            ("<testcase><skipped type='todo'/><failure/></testcase>", (0, 0, 1)),
            ("<testcase><flakyFailure/></testcase>", (1, 0, 0)),
            ("<testcase><system-out><![CDATA[<failure>]]></system-out></testcase>", (1, 0, 0)),
            ("<testsuite><testcase/><testsuite><testcase/></testsuite></testsuite>", (2, 0, 0)),
            ("<properties><property/></properties><testcase/>", (1, 0, 0)),
            ("<testcase/><error/>", (1, 1, 0)),
            ("", (0, 0, 0)),
        ] {
            assert_eq!(read(&format!("<testsuite>{cases}</testsuite>")), Ok(counted), "{cases}");
        }
    }

    #[test]
    fn attributes_agree_with_elements() {
        let nested = "<testsuite tests='2'><testcase/><testcase/></testsuite><testcase/>";
        let failed = "<testcase><failure/></testcase>";
        let skipped = "<testcase><skipped/></testcase><testcase/>";
        for (attributes, cases, good) in [
            ("tests='3'", nested, true),
            ("tests='1'", nested, true),
            ("tests='2'", nested, true),
            ("tests='4'", nested, false),
            ("tests='0'", nested, false),
            ("tests='1' failures='1' errors='0'", failed, true),
            ("tests='1' failures='0' errors='0'", failed, false),
            ("failures='2'", failed, true),
            ("failures='1'", nested, false),
            ("errors='1'", nested, false),
            ("skipped='1'", skipped, true),
            ("skipped='0'", skipped, false),
            ("skipped='2'", skipped, false),
            ("tests='1.5'", failed, false),
            ("tests='-1'", failed, false),
            ("tests='99999999999999999999'", failed, false),
            ("tests='1' tests='1'", failed, false),
        ] {
            for root in ["testsuite", "testsuites"] {
                let text = format!("<{root} {attributes}>{cases}</{root}>");
                assert_eq!(read(&text).is_ok(), good, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in [
            "",
            "hello",
            "<html/>",
            "<testsuite>",
            "<testsuite></testsuites>",
            "<testsuite/><testsuite/>",
            "<testsuite/>hello",
            "<testsuite/><![CDATA[a]]>",
            "<testsuite><testcase><testcase/></testcase></testsuite>",
            "<testsuite><a><testcase/></a></testsuite>",
            "<testsuite><testcase><a><failure/></a></testcase></testsuite>",
            "<testsuite><testcase name=a/></testsuite>",
            "<testsuite><testcase></testsuite>",
            "<testsuite><!-- </testsuite>",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn attacks_are_refused_in_no_time() {
        let began = Instant::now();
        let laughs = "<!DOCTYPE a [<!ENTITY b 'ha'><!ENTITY c '&b;&b;'>]>                      <testsuite><testcase name='&c;'/></testsuite>";
        let external = "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>                        <testsuite><testcase name='&b;'/></testsuite>";
        let remote = "<!DOCTYPE a SYSTEM 'http://example.com/a.dtd'><testsuite/>";
        for text in [laughs, external, remote] {
            assert_eq!(read(text), Err(malformed("it has a document type")), "{text}");
        }
        // A reference to nothing is left as it stands.
        let text = "<testsuite><testcase name='&c;'><failure/></testcase></testsuite>";
        assert_eq!(counts(text.as_bytes()).map(|counts| counts.failures), Ok(vec!["&c;".into()]));

        let deep = "<testsuite>".repeat(1_000_000);
        assert_eq!(read(&deep), Err(malformed("its elements are too deep")));
        let many: String = (0..500_000).map(|n| format!(" a{n}=''")).collect();
        assert!(matches!(read(&format!("<testsuite{many}/>")), Err(NotAReport::Malformed(_))));
        let huge = format!(
            "<testsuite><testcase name='{}'><failure/></testcase></testsuite>",
            "a".repeat(20 << 20)
        );
        assert_eq!(plain(&[b'a'; 1 << 20]).len(), NAME_CAP * 10);
        let counted = counts(huge.as_bytes()).expect("only large");
        assert!(counted.failures[0].len() <= NAME_CAP + '…'.len_utf8());
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
