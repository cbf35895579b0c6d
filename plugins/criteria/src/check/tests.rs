//! Each kind of criterion: what passes, what fails, and what cannot be checked.

use idumb_agent::Verdict::{self, Fail, Inconclusive, Pass};
use idumb_agent::change_set::ChangeKind;
use proptest::prelude::*;

use crate::memory::{Memory, Node};
use crate::{MAX_DOCUMENT, MAX_READ};

/// A project with one of everything.
fn project() -> Memory {
    Memory::default()
        .file("a.txt", "one\ntwo\nthree\n")
        .file("bytes", b"\xff\xfe two \xff")
        .file("Cargo.toml", "[package]\nname = \"notes\"\nversion = \"0.1.0\"\n")
        .file("conf.yml", "port: 8080\nhosts: [a, b]\n")
        .file("data", r#"{"n": 1.0}"#)
        .file("broken.json", "{\n\"a\": }")
        .with("src", Node::Dir)
        .with("dangling", Node::Dangling)
        .with("secret", Node::Denied)
        .with("shifting", Node::Shifting)
        .with("unreadable", Node::Unreadable)
        .with("huge", Node::Sized(MAX_READ + 1))
        .with("huge.json", Node::Sized(MAX_DOCUMENT + 1))
        .changed("src/b.rs", ChangeKind::Modified, None)
        .changed("docs/new.md", ChangeKind::Added, Some("docs/old.md"))
}

/// Each row: kind, arguments, verdict, and a part of the note.
fn hold(table: &[(&str, &str, Verdict, &str)]) {
    for (kind, args, verdict, note) in table {
        let finding = project().check(kind, args);
        assert_eq!(finding.verdict, *verdict, "{kind} {args}: {}", finding.note);
        assert!(finding.note.contains(note), "{kind} {args}: {}", finding.note);
    }
}

#[test]
fn exists_and_absent() {
    hold(&[
        ("exists", r#"{"path":"a.txt"}"#, Pass, "a file of 14 bytes"),
        ("exists", r#"{"path":"src"}"#, Pass, "a directory"),
        ("exists", r#"{"path":"dangling"}"#, Fail, "a link to nowhere"),
        ("exists", r#"{"path":"gone"}"#, Fail, "there is no gone"),
        ("exists", r#"{"path":"secret"}"#, Inconclusive, "no grant of this task covers it"),
        ("absent", r#"{"path":"gone"}"#, Pass, "there is no gone"),
        ("absent", r#"{"path":"a.txt"}"#, Fail, "a.txt is there: a file"),
        ("absent", r#"{"path":"src"}"#, Fail, "a directory"),
        ("absent", r#"{"path":"dangling"}"#, Fail, "a link"),
        ("absent", r#"{"path":"secret"}"#, Inconclusive, "cannot be looked at"),
    ]);
}

#[test]
fn contains_searches_bytes() {
    hold(&[
        ("contains", r#"{"path":"a.txt","text":"two"}"#, Pass, "a.txt, line 2: `two`"),
        ("contains", r#"{"path":"a.txt","text":"two\nthree"}"#, Pass, "line 2: `two\\nthree`"),
        (
            "contains",
            r#"{"path":"a.txt","text":"t.o"}"#,
            Fail,
            "a.txt (3 lines) does not contain `t.o`",
        ),
        ("contains", r#"{"path":"bytes","text":" two "}"#, Pass, "line 1"),
        ("contains", r#"{"path":"bytes","text":"four"}"#, Fail, "does not contain"),
        ("contains", r#"{"path":"a.txt","text":""}"#, Inconclusive, "`text` is empty"),
        ("contains", r#"{"path":"gone","text":"x"}"#, Fail, "there is no gone"),
        ("contains", r#"{"path":"src","text":"x"}"#, Fail, "src is a directory"),
        ("contains", r#"{"path":"dangling","text":"x"}"#, Fail, "a link to nowhere"),
    ]);
}

#[test]
fn matches_is_multi_line() {
    hold(&[
        ("matches", r#"{"path":"a.txt","regex":"^t.o$"}"#, Pass, "a.txt, line 2: `two`"),
        ("matches", r#"{"path":"a.txt","regex":"^wo"}"#, Fail, "has no match of `^wo`"),
        ("matches", r#"{"path":"bytes","regex":"t\\wo"}"#, Pass, "`two`"),
        (
            "matches",
            r#"{"path":"a.txt","regex":"(two"}"#,
            Inconclusive,
            "`(two` is no regular expression: unclosed group",
        ),
        (
            "matches",
            r#"{"path":"a.txt","regex":"\\w{1000}{1000}"}"#,
            Inconclusive,
            "is no regular expression",
        ),
    ]);
}

#[test]
fn equals_reads_three_formats() {
    hold(&[
        (
            "equals",
            r#"{"path":"Cargo.toml","at":"/package/name","value":"notes"}"#,
            Pass,
            "`\"notes\"` at `/package/name`",
        ),
        (
            "equals",
            r#"{"path":"Cargo.toml","at":"/package/version","value":"0.2.0"}"#,
            Fail,
            "Cargo.toml has `\"0.1.0\"` at `/package/version`, expected `\"0.2.0\"`",
        ),
        ("equals", r#"{"path":"conf.yml","at":"/port","value":8080}"#, Pass, "`8080`"),
        ("equals", r#"{"path":"conf.yml","at":"/hosts/1","value":"b"}"#, Pass, "`\"b\"`"),
        ("equals", r#"{"path":"conf.yml","at":"/hosts","value":["b","a"]}"#, Fail, "expected"),
        (
            "equals",
            r#"{"path":"conf.yml","at":"/hosts/2","value":"c"}"#,
            Fail,
            "/hosts is a list of 2 values, without /2",
        ),
        ("equals", r#"{"path":"data","format":"json","at":"/n","value":1}"#, Pass, "at `/n`"),
        ("equals", r#"{"path":"data","format":"json","at":"","value":{"n":1}}"#, Pass, "at ``"),
        ("equals", r#"{"path":"data","at":"/n","value":1}"#, Inconclusive, "give `format`"),
        (
            "equals",
            r#"{"path":"data","format":"ini","at":"/n","value":1}"#,
            Inconclusive,
            "unknown variant `ini`",
        ),
        (
            "equals",
            r#"{"path":"data","format":"json","at":"n","value":1}"#,
            Inconclusive,
            "no JSON pointer",
        ),
        (
            "equals",
            r#"{"path":"data","format":"json","at":"/n"}"#,
            Inconclusive,
            "missing field `value`",
        ),
        (
            "equals",
            r#"{"path":"broken.json","at":"/a","value":1}"#,
            Fail,
            "broken.json, line 2: not JSON",
        ),
        ("equals", r#"{"path":"bytes","format":"yaml","at":"/a","value":1}"#, Fail, "not UTF-8"),
        ("equals", r#"{"path":"huge.json","at":"/a","value":1}"#, Inconclusive, "at most"),
    ]);
}

#[test]
fn digest_of_both_algorithms() {
    // Of `printf 'one\ntwo\nthree\n' | sha256sum`.
    let sha = "b6285c57e8797db5d4c51c80d6f11938afda9b11c6a003549709189e9b4b92a2";
    let blake = blake3::hash(b"one\ntwo\nthree\n").to_hex();
    let zeros = "0".repeat(64);
    let check = |digest: &str| {
        project().check("digest", &format!(r#"{{"path":"a.txt","digest":"{digest}"}}"#))
    };
    for right in [
        format!("sha256:{sha}"),
        format!("blake3:{blake}"),
        format!("BLAKE3:{}", blake.to_uppercase()),
    ] {
        assert_eq!(check(&right).verdict, Pass, "{right}");
    }
    for wrong in [format!("sha256:{zeros}"), format!("blake3:{zeros}")] {
        let finding = check(&wrong);
        assert_eq!(finding.verdict, Fail, "{wrong}");
        assert!(finding.note.ends_with(&format!("expected {wrong}")), "{}", finding.note);
    }
    for malformed in [
        sha.to_owned(),
        "sha256:00".into(),
        format!("md5:{zeros}"),
        format!("blake3:{}", "g".repeat(64)),
    ] {
        let finding = check(&malformed);
        assert_eq!(finding.verdict, Inconclusive, "{malformed}: {}", finding.note);
    }
    // A BLAKE3 digest is the observation itself, so size is no matter; SHA-256 needs the bytes.
    let of_empty = blake3::hash(b"").to_hex();
    let huge =
        project().check("digest", &format!(r#"{{"path":"huge","digest":"blake3:{of_empty}"}}"#));
    assert_eq!(huge.verdict, Pass, "{}", huge.note);
    let huge =
        project().check("digest", &format!(r#"{{"path":"huge","digest":"sha256:{zeros}"}}"#));
    assert_eq!(huge.verdict, Inconclusive, "{}", huge.note);
}

#[test]
fn unchanged_reads_the_change_set() {
    hold(&[
        (
            "unchanged",
            r#"{"paths":["Cargo.toml","tests/**"]}"#,
            Pass,
            "2 paths changed, none in Cargo.toml, tests/**",
        ),
        ("unchanged", r#"{"paths":["src/*.toml"]}"#, Pass, "none in"),
        (
            "unchanged",
            r#"{"paths":["Cargo.toml","src/**"]}"#,
            Fail,
            "changed all the same: src/b.rs (modified)",
        ),
        ("unchanged", r#"{"paths":["**"]}"#, Fail, "src/b.rs (modified), docs/new.md (added)"),
        ("unchanged", r#"{"paths":["docs/old.md"]}"#, Fail, "docs/old.md (renamed to docs/new.md)"),
        ("unchanged", r#"{"paths":[]}"#, Inconclusive, "`paths` is empty"),
        ("unchanged", r#"{"paths":["../x"]}"#, Inconclusive, "`..` component"),
        ("unchanged", r#"{"paths":["a**"]}"#, Inconclusive, "`**` must be a whole component"),
    ]);
    let finding = project().check("unchanged", r#"{"paths":["x"]}"#);
    assert_eq!(finding.evidence, ["e1"], "the listing is the evidence");
}

#[test]
fn unchanged_names_the_first_few() {
    let mut source = Memory::default();
    for n in 0..8 {
        source = source.changed(&format!("src/{n}.rs"), ChangeKind::Deleted, None);
    }
    let note = source.check("unchanged", r#"{"paths":["src/**"]}"#).note;
    assert!(note.ends_with("src/4.rs (deleted), and 3 more"), "{note}");
}

#[test]
fn lines_counts() {
    hold(&[
        ("lines", r#"{"path":"a.txt","min":3}"#, Pass, "a.txt has 3 lines, expected at least 3"),
        ("lines", r#"{"path":"a.txt","min":4}"#, Fail, "at least 4"),
        ("lines", r#"{"path":"a.txt","max":2}"#, Fail, "at most 2"),
        ("lines", r#"{"path":"a.txt","min":1,"max":3}"#, Pass, "1 to 3"),
        ("lines", r#"{"path":"a.txt","min":3,"max":3}"#, Pass, "expected 3"),
        ("lines", r#"{"path":"a.txt"}"#, Inconclusive, "give `min`, `max` or both"),
        ("lines", r#"{"path":"a.txt","min":4,"max":3}"#, Inconclusive, "above `max`"),
        ("lines", r#"{"path":"a.txt","min":-1}"#, Inconclusive, "are wrong"),
    ]);
}

#[test]
fn what_is_not_understood_is_inconclusive() {
    hold(&[
        ("smells", r#"{"path":"a.txt"}"#, Inconclusive, "no check of kind `smells` is known"),
        ("exists", r#"{"path":"a.txt","paht":"x"}"#, Inconclusive, "unknown field `paht`"),
        ("exists", r#"{}"#, Inconclusive, "missing field `path`"),
        ("exists", r#"["a.txt", "b"]"#, Inconclusive, "are wrong"),
        ("exists", "not json", Inconclusive, "are wrong"),
        ("contains", r#"{"path":"a.txt","text":7}"#, Inconclusive, "invalid type"),
    ]);
}

#[test]
fn what_cannot_be_read_is_inconclusive_and_names_what_was_seen() {
    for path in ["shifting", "unreadable", "huge"] {
        let args = format!(r#"{{"path":"{path}","text":"x"}}"#);
        let finding = project().check("contains", &args);
        assert_eq!(finding.verdict, Inconclusive, "{path}: {}", finding.note);
        assert_eq!(finding.evidence, ["e1"], "{path}");
    }
    let finding = project().check("contains", r#"{"path":"shifting","text":"after"}"#);
    assert!(finding.note.contains("changed while it was checked"), "{}", finding.note);
}

#[test]
fn the_host_reads_up_to_the_limit_and_a_little_more() {
    use crate::{Host, Source};
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"0123456789").unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(Host.read(path, 10).unwrap(), b"0123456789");
    assert_eq!(Host.read(path, 4).unwrap(), b"01234", "one more, so that it shows");
    assert!(Host.read("surely/not/there", 10).is_err());
}

proptest! {
    /// Whatever arguments and content come, there is an answer, on one line, and a pass
    /// rests on evidence (which `Memory::check` asserts).
    #[test]
    fn nothing_breaks_a_check(
        kind in prop::sample::select(vec!["exists", "absent", "contains", "matches", "equals", "digest", "unchanged", "lines", "other"]),
        path in prop::sample::select(vec!["a.txt", "b.json", "c.yaml", "d.toml", "src", "gone", "", "\x1b[2J\n"]),
        content in prop::collection::vec(any::<u8>(), 0..200),
        text in "(?s).{0,20}",
    ) {
        let mut source = Memory::default().with("src", Node::Dir);
        for name in ["a.txt", "b.json", "c.yaml", "d.toml"] {
            source = source.file(name, &content);
        }
        let mut args = serde_json::json!({ "path": path });
        for (of, key) in [("contains", "text"), ("matches", "regex"), ("equals", "at"), ("digest", "digest")] {
            if kind == of {
                args[key] = text.clone().into();
            }
        }
        if kind == "equals" {
            args["value"] = text.clone().into();
        }
        if kind == "unchanged" {
            args = serde_json::json!({ "paths": [text] });
        }
        if kind == "lines" {
            args["min"] = content.len().into();
        }
        let finding = source.check(kind, &args.to_string());
        prop_assert!(!finding.note.chars().any(char::is_control), "{:?}", finding.note);
    }

    /// What a file contains is found, wherever it stands.
    #[test]
    fn contains_finds_what_was_put_in(
        before in prop::collection::vec(any::<u8>(), 0..100),
        text in "\\PC{1,20}",
        after in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let content = [&before[..], text.as_bytes(), &after[..]].concat();
        let mut source = Memory::default().file("f", content);
        let args = serde_json::json!({ "path": "f", "text": text });
        prop_assert_eq!(source.check("contains", &args.to_string()).verdict, Pass);
    }
}
