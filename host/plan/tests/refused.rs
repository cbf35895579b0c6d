//! What a person reads when a file is refused: every case in `refused/` (plans),
//! `refused-config/` (`idumb.toml`) and `refused-rules/` (rules files), as snapshots.
//!
//! Invariant: a case without a snapshot, a snapshot without a case, and an error code
//! without a case each fail.

mod approved;
mod bundle;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use approved::{assert_all_known, is_approved};
use idumb_core::PhaseId;
use idumb_plan::{Code, Look, Refused, read_config, read_plan, read_rules, render, render_as};
use miette::Diagnostic;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The names and contents of the files in a folder, in order; the checkout's line ends undone.
fn cases(name: &str) -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder(name)).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(path.extension().is_some_and(|ending| ending == "toml"), "{path:?} is no case");
        cases.push((stem, std::fs::read_to_string(&path).expect("a text").replace("\r\n", "\n")));
    }
    cases.sort();
    cases
}

/// Reads a plan; a first line `# expected: 2-search` names the phase of its folder.
fn refused_plan(name: &str, source: &str) -> Refused {
    let expected = source.strip_prefix("# expected: ").and_then(|rest| rest.lines().next());
    let expected = expected.map(|folder| {
        let (number, phase) = folder.split_once('-').expect("a folder's name");
        PhaseId::new(number.parse().expect("a number"), phase).expect("a phase")
    });
    match read_plan(source, &format!("{name}.toml"), expected.as_ref()) {
        Ok(plan) => panic!("{name} was taken: {plan:?}"),
        Err(refused) => refused,
    }
}

fn refused_config(name: &str, source: &str) -> Refused {
    match read_config(source, &format!("{name}.toml")) {
        Ok(config) => panic!("{name} was taken: {config:?}"),
        Err(refused) => refused,
    }
}

fn refused_rules(name: &str, source: &str) -> Refused {
    match read_rules(source, &format!("{name}.toml")) {
        Ok(file) => panic!("{name} was taken: {file:?}"),
        Err(refused) => refused,
    }
}

/// The folders of cases, and how theirs are read.
type Refuse = fn(&str, &str) -> Refused;
const FOLDERS: [(&str, Refuse); 3] = [
    ("refused", refused_plan),
    ("refused-config", refused_config),
    ("refused-rules", refused_rules),
];

fn all() -> Vec<(&'static str, String, Refused)> {
    let read = |(folder, refuse): (&'static str, Refuse)| {
        cases(folder).into_iter().map(move |(name, source)| {
            let refused = refuse(&name, &source);
            (folder, name, refused)
        })
    };
    FOLDERS.into_iter().flat_map(read).collect()
}

#[test]
fn refusals_read_as_they_were_approved() {
    let mut failed = Vec::new();
    for (folder, name, refused) in all() {
        let shown = render(&refused);
        if !is_approved(folder, &name, &shown) {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "the snapshots of {failed:?} are missing or differ");
}

#[test]
fn every_snapshot_has_its_case() {
    for (name, _) in FOLDERS {
        let known: BTreeSet<String> = cases(name).into_iter().map(|(name, _)| name).collect();
        assert_all_known(name, &known);
    }
}

#[test]
fn every_code_has_a_case() {
    let mut met: BTreeSet<Code> =
        all().iter().flat_map(|(_, _, refused)| refused.problems()).map(|p| p.code()).collect();
    for (_, bundle) in ["taken", "refused"].into_iter().flat_map(bundle::cases) {
        match bundle.read() {
            Ok(read) => {
                met.extend(read.warnings.iter().flat_map(|file| file.warnings()).map(|p| p.code()));
            }
            Err(refused) => {
                met.extend(
                    refused.files().iter().flat_map(|file| file.problems()).map(|p| p.code()),
                );
            }
        }
    }
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !met.contains(code)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn every_problem_says_where_and_what_to_do() {
    for (folder, name, refused) in all() {
        let mut last = 0;
        for problem in refused.problems() {
            let told = format!("{folder}/{name}: {problem}");
            let help = problem.help().map(|help| help.to_string()).unwrap_or_default();
            assert!(!help.is_empty(), "no help: {told}");
            let labels: Vec<_> = problem.labels().into_iter().flatten().collect();
            assert!(labels.iter().any(|label| label.label().is_some()), "no label: {told}");
            assert!(problem.span().start >= last, "out of order: {told}");
            last = problem.span().start;
        }
        assert!(!refused.problems().is_empty(), "{folder}/{name}");
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_change_no_problem() {
    for (name, source) in cases("refused") {
        if source.starts_with("# expected") {
            continue;
        }
        let told = |source: &str| {
            let refused = refused_plan(&name, source);
            let line = |at: usize| source[..at].matches('\n').count();
            let lines = refused.problems().iter().map(|p| (p.code(), line(p.span().start)));
            (lines.collect::<Vec<_>>(), render(&refused))
        };
        let (plain, _) = told(&source);
        let (windows, shown) = told(&source.replace('\n', "\r\n"));
        assert_eq!(plain, windows, "{name} with CRLF");
        assert!(!shown.contains('\r'), "{name}: a carriage return is shown");
        let (marked, _) = told(&format!("\u{feff}{source}"));
        assert_eq!(plain, marked, "{name} with a byte order mark");
    }
}

#[test]
fn looks_differ_only_as_asked() {
    let (_, source) = cases("refused").into_iter().find(|(name, _)| name == "cycle").expect("it");
    let refused = refused_plan("cycle", &source);
    let ascii = render_as(&refused, Look { colour: false, unicode: false, width: 60 });
    // The arrow is the message's own.
    assert!(ascii.chars().all(|c| c.is_ascii() || c == '→'), "{ascii}");
    let colour = render_as(&refused, Look { colour: true, unicode: true, width: 100 });
    assert!(colour.contains("\u{1b}["));
    assert!(!render(&refused).contains('\u{1b}'));
    let narrow = render_as(&refused, Look { colour: false, unicode: true, width: 0 });
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    assert!(narrow.lines().count() > render(&refused).lines().count(), "{narrow}");
}

#[test]
fn what_steers_a_terminal_is_never_shown() {
    let raw = "phase = 1\nname = \"\u{1b}]0;owned\u{7}\"\n\u{202e}\u{9b}31m = \r1\n";
    let (_, escaped) =
        cases("refused").into_iter().find(|(name, _)| name == "steering").expect("it");
    for source in [raw, &escaped] {
        let shown = render(&refused_plan("a\u{1b}[2Jb", source));
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(steers), "{shown:?}");
    }
}
