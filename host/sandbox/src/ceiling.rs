//! Reading the ceiling that an agent declares in a section of its component.
//!
//! Invariant: nothing of the component runs, and whatever its bytes are, the answer is a
//! ceiling, none, or an error, in time that is bounded by their number.

use idumb_core::{Ceiling, GlobError, PathGlob, Want};
use serde::Deserialize;
use wasmparser::{Parser, Payload};

/// The custom section that holds a ceiling, in the component or in a module within it.
pub const CEILING_SECTION: &str = "idumb:agent/ceiling";

/// The largest section, in bytes.
const LARGEST: usize = 64 << 10;

/// The most patterns: more is nothing that a person reads.
const MOST_PATTERNS: usize = 256;

/// Why what a component declares cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCeiling {
    /// The component's sections cannot be walked through.
    #[error("not WebAssembly that can be read: {0}")]
    Unreadable(String),
    /// More than one section.
    #[error("it has more than one section `{CEILING_SECTION}`: put all that it may want into one")]
    Several,
    /// The section is too large.
    #[error("its section `{CEILING_SECTION}` has {size} bytes; the limit is {LARGEST}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The section is not text.
    #[error("its section `{CEILING_SECTION}` is not UTF-8 at byte {at}")]
    NotText {
        /// Where.
        at: usize,
    },
    /// The section is not TOML, or has keys or values that do not belong there.
    #[error(
        "its section `{CEILING_SECTION}`, line {line}: {why} (it holds [[reads]] and [[writes]], \
         each with `paths`, a list of patterns, and `why`, a text)"
    )]
    Toml {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// Something is wanted without a path.
    #[error("its section `{CEILING_SECTION}`: [[{key}]] number {number} names no path")]
    NoPath {
        /// `reads` or `writes`.
        key: &'static str,
        /// Which, from 1.
        number: usize,
    },
    /// Something is wanted without a reason.
    #[error("its section `{CEILING_SECTION}`: [[{key}]] number {number} does not say why")]
    NoReason {
        /// `reads` or `writes`.
        key: &'static str,
        /// Which, from 1.
        number: usize,
    },
    /// A pattern that is none.
    #[error("its section `{CEILING_SECTION}`: [[{key}]] number {number}: {why}")]
    Pattern {
        /// `reads` or `writes`.
        key: &'static str,
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: GlobError,
    },
    /// Too many patterns.
    #[error("its section `{CEILING_SECTION}` has {count} patterns; the limit is {MOST_PATTERNS}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// The section's text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    reads: Vec<Entry>,
    #[serde(default)]
    writes: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    paths: Vec<String>,
    why: String,
}

/// What the agent in `component` (its bytes) declares that it may ever want; `None` if it
/// declares nothing.
///
/// # Errors
/// [`BadCeiling`], if there is a declaration that cannot be taken: such an agent is not to run.
pub fn declared_ceiling(component: &[u8]) -> Result<Option<Ceiling>, BadCeiling> {
    let Some(bytes) = section(component)? else {
        return Ok(None);
    };
    let size = bytes.len();
    if size > LARGEST {
        return Err(BadCeiling::TooLarge { size });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| BadCeiling::NotText { at: error.valid_up_to() })?;
    parsed(text).map(Some)
}

/// The bytes of the one section, wherever it is nested.
fn section(component: &[u8]) -> Result<Option<&[u8]>, BadCeiling> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| BadCeiling::Unreadable(error.to_string()))?;
        if let Payload::CustomSection(section) = payload
            && section.name() == CEILING_SECTION
            && found.replace(section.data()).is_some()
        {
            return Err(BadCeiling::Several);
        }
    }
    Ok(found)
}

fn parsed(text: &str) -> Result<Ceiling, BadCeiling> {
    let Text { reads, writes } = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        BadCeiling::Toml { line, why: error.message().to_owned() }
    })?;
    let count = reads.iter().chain(&writes).map(|entry| entry.paths.len()).sum();
    if count > MOST_PATTERNS {
        return Err(BadCeiling::TooMany { count });
    }
    Ok(Ceiling { reads: wants("reads", reads)?, writes: wants("writes", writes)? })
}

fn wants(key: &'static str, entries: Vec<Entry>) -> Result<Vec<Want>, BadCeiling> {
    let want = |(index, Entry { paths, why }): (usize, Entry)| {
        let number = index + 1;
        if paths.is_empty() {
            return Err(BadCeiling::NoPath { key, number });
        }
        if why.trim().is_empty() {
            return Err(BadCeiling::NoReason { key, number });
        }
        let parse = |text: String| {
            PathGlob::try_from(text).map_err(|why| BadCeiling::Pattern { key, number, why })
        };
        Ok(Want { paths: paths.into_iter().map(parse).collect::<Result<_, _>>()?, why })
    };
    entries.into_iter().enumerate().map(want).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"
[[reads]]
paths = ["src/**"]
why = "to find what is public"

[[writes]]
paths = ["docs/**", "README.md"]
why = "to write the reference"
"#;

    /// A custom section, as it stands in a module or component.
    fn custom(name: &str, data: &[u8]) -> Vec<u8> {
        let mut body = leb(name.len());
        body.extend(name.as_bytes());
        body.extend(data);
        [vec![0], leb(body.len()), body].concat()
    }

    fn leb(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = (number & 0x7f) as u8;
            number >>= 7;
            if number == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    }

    /// A component with these sections of its own, and these in a module within it.
    fn component(outside: &[&[u8]], inside: &[&[u8]]) -> Vec<u8> {
        let name = CEILING_SECTION;
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        inside.iter().for_each(|data| module.extend(custom(name, data)));
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend([vec![1], leb(module.len()), module].concat());
        outside.iter().for_each(|data| component.extend(custom(name, data)));
        component
    }

    fn of(text: &str) -> Result<Option<Ceiling>, BadCeiling> {
        declared_ceiling(&component(&[text.as_bytes()], &[]))
    }

    #[test]
    fn it_is_found_in_the_component_and_in_a_module_within() {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let want = |paths: &[&str], why: &str| Want { paths: globs(paths), why: why.to_owned() };
        let expected = Ceiling {
            reads: vec![want(&["src/**"], "to find what is public")],
            writes: vec![want(&["docs/**", "README.md"], "to write the reference")],
        };
        let text = TEXT.as_bytes();
        for bytes in [component(&[text], &[]), component(&[], &[text])] {
            assert_eq!(declared_ceiling(&bytes).unwrap(), Some(expected.clone()));
        }
        assert_eq!(declared_ceiling(&component(&[], &[])).unwrap(), None);
        assert_eq!(
            of("\n").unwrap(),
            Some(Ceiling::default()),
            "it declares that it wants nothing"
        );
    }

    /// It came through the compiler, the linker and the making of a component, stripped.
    #[test]
    fn what_the_macro_for_rust_declares_is_found_in_a_built_agent() {
        let ceiling = declared_ceiling(idumb_test_guests::NARROW_BUILDER).unwrap().unwrap();
        let told: Vec<String> = ceiling
            .wants()
            .map(|(capability, want)| format!("{capability} {:?} {}", want.paths, want.why))
            .collect();
        let expected = [
            r#"write [PathGlob("docs/**")] to write the reference"#,
            r#"read [PathGlob("src/**"), PathGlob("names.txt")] to find what is public"#,
        ];
        assert_eq!(told, expected);
        assert_eq!(declared_ceiling(idumb_test_guests::MISBEHAVING_BUILDER).unwrap(), None);
    }

    #[test]
    fn a_component_cut_short_declares_what_it_did_or_is_an_error() {
        let whole = component(&[], &[TEXT.as_bytes()]);
        let declared = declared_ceiling(&whole).unwrap();
        for end in 0..whole.len() {
            let cut = declared_ceiling(&whole[..end]);
            // Between two sections there is nothing to notice; the engine refuses it later.
            let nothing = matches!(cut, Err(BadCeiling::Unreadable(_)) | Ok(None));
            assert!(nothing || cut == Ok(declared.clone()), "{end}: {cut:?}");
        }
    }

    #[test]
    fn more_than_one_is_refused_wherever_they_are() {
        let text = TEXT.as_bytes();
        for (outside, inside) in [(2, 0), (1, 1), (0, 2)] {
            let bytes = component(&vec![text; outside], &vec![text; inside]);
            assert_eq!(declared_ceiling(&bytes), Err(BadCeiling::Several), "{outside} {inside}");
        }
    }

    #[test]
    fn what_cannot_be_taken_by_a_table() {
        let many = format!("[[reads]]\nwhy = \"w\"\npaths = [{}]", "\"a\",".repeat(257));
        let long = "#".repeat(LARGEST + 1);
        let table = [
            ("[[reads]]\npaths = [\"a\"]", "line 1: missing field `why`"),
            ("\n[[reads]]\npaths = [\"a\"]\nwhy = \"w\"\nhow = 1", "line 5: unknown field `how`"),
            ("[[executes]]\npaths = []", "unknown field `executes`"),
            ("[[reads]]\npaths = [\"../up\"]\nwhy = \"w\"", "[[reads]] number 1: `../up` has"),
            ("[[writes]]\npaths = [\"/etc\"]\nwhy = \"w\"", "[[writes]] number 1: `/etc` is abs"),
            ("[[writes]]\npaths = []\nwhy = \"w\"", "[[writes]] number 1 names no path"),
            ("[[reads]]\npaths = [\"a\"]\nwhy = \" \\n\"", "[[reads]] number 1 does not say why"),
            ("[[reads]\n", "line 1: "),
            ("reads = 1\n", "line 1: invalid type"),
            (&many, "has 257 patterns; the limit is 256"),
            (&long, "has 65537 bytes; the limit is 65536"),
        ];
        for (text, expected) in table {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected:?} is not in {error:?}");
            assert!(error.contains(CEILING_SECTION), "{error:?} does not say where");
            assert!(!error.contains('\n'), "{error:?}");
        }
        let bytes = component(&[b"[[reads]]\xff"], &[]);
        assert_eq!(declared_ceiling(&bytes), Err(BadCeiling::NotText { at: 9 }));
        let cut = declared_ceiling(&bytes[..bytes.len() - 1]);
        assert!(matches!(cut, Err(BadCeiling::Unreadable(_))), "{cut:?}");
    }

    proptest! {
        /// Whatever the bytes are, there is an answer.
        #[test]
        fn any_bytes_have_an_answer(
            at in 0..1_000_000_usize,
            flip in any::<u8>(),
            cut in 0..1_000_000_usize,
            text in ".{0,200}",
            guest in any::<bool>(),
        ) {
            let small = component(&[text.as_bytes()], &[TEXT.as_bytes()]);
            let mut bytes = if guest { idumb_test_guests::NARROW_BUILDER.to_vec() } else { small };
            let at = at % bytes.len();
            bytes[at] ^= flip;
            bytes.truncate(cut % (bytes.len() + 1));
            let _ = declared_ceiling(&bytes);
            let _ = declared_ceiling(text.as_bytes());
            let _ = of(&text);
        }
    }
}
