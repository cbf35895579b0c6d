//! Markdown plans of every dialect: what is read from those that are taken, what a person
//! reads of those that are refused, each as a snapshot.
//!
//! Invariant: line ends and a byte order mark change nothing but digests, and no text makes a
//! reader panic.

mod approved;
mod bundle;

use std::collections::BTreeSet;

use approved::{assert_all_known, is_approved};
use bundle::{Bundle, cases};
use idumb_core::{Digest, Plan, Task};
use idumb_plan::{Code, Look, Read, RefusedPlan, read_plan, render_plan, render_warned, to_native};
use miette::Diagnostic;
use proptest::prelude::*;

/// Of a plan with more tasks, only these are shown whole.
const LONG: usize = 12;

const FOLDERS: [&str; 2] = ["taken", "refused"];

/// What a person sees of a long plan: its tasks in short.
fn in_short(plan: &Plan) -> String {
    let line = |task: &Task| {
        let ids: Vec<&str> = task.depends_on.iter().map(|id| id.as_str()).collect();
        let globs: Vec<&str> = task.writes.iter().map(|glob| glob.as_str()).collect();
        let kinds: Vec<&str> =
            task.accept.iter().map(|criterion| criterion.kind.as_str()).collect();
        let (ids, globs, kinds) = (ids.join(" "), globs.join(" "), kinds.join(" "));
        format!("{} <- [{ids}] writes [{globs}] accepts [{kinds}]: {}", task.id, task.title)
    };
    plan.tasks.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What a person sees: warnings and the plan, or the refusal.
fn shown(read: &Result<Read, RefusedPlan>) -> String {
    match read {
        Ok(read) => {
            let mut plan = serde_json::to_string_pretty(&read.plan).expect("a plan is JSON");
            if read.plan.tasks.len() > LONG {
                let first = &read.plan.tasks[..LONG];
                let first = serde_json::to_string_pretty(first).expect("tasks are JSON");
                plan = format!("{}\n\n{}\n\n{first}", read.plan.goal, in_short(&read.plan));
            }
            let digest = read.plan.digest.to_string();
            let warnings = read.warnings.iter().map(|warned| render_warned(warned, Look::PLAIN));
            let parts = warnings.chain([plan.replace(&digest, "…")]).collect::<Vec<_>>();
            parts.join("\n")
        }
        Err(refused) => render_plan(refused, Look::PLAIN),
    }
}

#[test]
fn every_case_reads_as_it_was_approved() {
    let mut failed = Vec::new();
    for folder in FOLDERS {
        for (name, bundle) in cases(folder) {
            let read = bundle.read();
            let shown = shown(&read);
            if read.is_ok() != (folder == "taken") {
                failed.push(format!("{folder}/{name}: {shown}"));
                continue;
            }
            if !is_approved(&format!("markdown-{folder}"), &name, &shown) {
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?} are not in their folder, or their snapshots differ");
}

#[test]
fn every_snapshot_has_its_case() {
    for folder in FOLDERS {
        let known: BTreeSet<String> = cases(folder).into_iter().map(|(name, _)| name).collect();
        assert_all_known(&format!("markdown-{folder}"), &known);
    }
}

/// The codes and lines of all problems, file by file.
fn told(bundle: &Bundle) -> Vec<(String, Vec<(Code, usize)>)> {
    let refused = bundle.read().expect_err("a case that is refused");
    let file = |refused: &idumb_plan::Refused| {
        let path = refused.file_name().to_owned();
        let text = bundle.files.iter().find(|(name, _)| *name == path).map(|(_, text)| text);
        let line = |at: usize| text.map_or(0, |text| text[..at].matches('\n').count());
        let problems = refused.problems().iter().map(|p| (p.code(), line(p.span().start)));
        (path, problems.collect())
    };
    refused.files().iter().map(file).collect()
}

#[test]
fn line_ends_and_a_byte_order_mark_change_no_problem() {
    for (name, bundle) in cases("refused") {
        let plain = told(&bundle);
        let windows = bundle.with_texts(|text| text.replace('\n', "\r\n"));
        assert_eq!(plain, told(&windows), "{name} with CRLF");
        assert!(!shown(&windows.read()).contains('\r'), "{name}: a carriage return is shown");
        let marked = bundle.with_texts(|text| format!("\u{feff}{text}"));
        assert_eq!(plain, told(&marked), "{name} with a byte order mark");
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_change_the_digest_and_nothing_else() {
    for (name, bundle) in cases("taken") {
        let plain = bundle.read().expect("a plan").plan;
        let windows = bundle.with_texts(|text| text.replace('\n', "\r\n"));
        let both = windows.with_texts(|text| format!("\u{feff}{text}"));
        for other in [windows, both] {
            let mut other = other.read().expect("a plan").plan;
            assert_ne!(other.digest, plain.digest, "{name}");
            other.digest = plain.digest;
            assert_eq!(other, plain, "{name}");
        }
    }
}

#[test]
fn every_plan_that_is_taken_can_be_written_in_the_native_format() {
    for (name, bundle) in cases("taken") {
        let plan = bundle.read().expect("a plan").plan;
        let text = to_native(&plan).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut again = read_plan(&text, "plan.toml", Some(&plan.phase)).expect(&name);
        assert_eq!(again.digest, Digest::of(text.as_bytes()), "{name}");
        again.digest = plan.digest;
        assert_eq!(again, plan, "{name}");
    }
}

#[test]
fn every_problem_says_where_and_what_to_do() {
    for (name, bundle) in FOLDERS.into_iter().flat_map(cases) {
        let (problems, files): (Vec<_>, Vec<_>) = match bundle.read() {
            Ok(read) => {
                let problems = read.warnings.iter().map(|warned| warned.warnings().to_vec());
                let files = read.warnings.iter().map(|warned| warned.file_name().to_owned());
                (problems.collect(), files.collect())
            }
            Err(refused) => {
                let problems = refused.files().iter().map(|file| file.problems().to_vec());
                let files = refused.files().iter().map(|file| file.file_name().to_owned());
                (problems.collect(), files.collect())
            }
        };
        for (file, problems) in files.iter().zip(problems) {
            let mut last = 0;
            for problem in problems {
                let told = format!("{name}: {file}: {problem}");
                let help = problem.help().map(|help| help.to_string()).unwrap_or_default();
                assert!(!help.is_empty(), "no help: {told}");
                let labels: Vec<_> = problem.labels().into_iter().flatten().collect();
                assert!(labels.iter().any(|label| label.label().is_some()), "no label: {told}");
                assert!(problem.span().start >= last, "out of order: {told}");
                last = problem.span().start;
            }
        }
    }
}

/// Reads a bundle: what comes of it can be shown, and steers no terminal.
fn reads(bundle: &Bundle) {
    let read = bundle.read();
    match &read {
        Ok(read) => {
            // What is taken can be said in the native format, whatever it is.
            if let Err(error) = to_native(&read.plan) {
                panic!("{error}: {:?}", read.plan);
            }
        }
        Err(_) => {
            let shown = shown(&read);
            assert!(!shown.is_empty() && !shown.contains(['\u{0}', '\u{1b}', '\r']), "{shown:?}");
        }
    }
}

#[test]
fn a_cut_file_never_makes_a_reader_panic() {
    for (_, bundle) in FOLDERS.into_iter().flat_map(cases) {
        for (index, (_, text)) in bundle.files.iter().enumerate() {
            // Long files are cut at fewer places.
            let step = text.len() / 60 + 1;
            for (at, _) in text.char_indices().step_by(step) {
                for part in [&text[..at], &text[at..]] {
                    let mut cut = bundle.clone();
                    cut.files[index].1 = part.to_owned();
                    reads(&cut);
                }
            }
        }
    }
}

/// Pieces of the dialects, each where it belongs or not.
const PIECES: &[&str] = &[
    "---\n",
    "phase: 1\n",
    "phase: 01-a\n",
    "plan: 01\n",
    "wave: 2\n",
    "depends_on: [01, x]\n",
    "must_haves:\n",
    "  truths: [\"a\"]\n",
    "  artifacts:\n    - path: a.rs\n",
    "autonomous: false\n",
    "files_modified:\n  - a.rs\n",
    "phase_name: x\n",
    "task_count: 1\n",
    "&a [*a]\n",
    "? - [\n",
    "# T\n",
    "### Task 1: a\n",
    "### Task T1-001: b\n",
    "#### Task\n",
    "**ID:** P1-T1\n",
    "**ID:**",
    "**Description:** words enough\n",
    "- **Depends On:** none\n",
    "**Dependencies:** a, `b`\n",
    "**Acceptance Criteria:**\n",
    "- [x] a\n",
    "  - [ ] `a` exists\n",
    "**Files:** `../x`, [b]\n",
    "\n",
    "\r\n",
    "\u{feff}",
    "\t",
    "    ",
    "```\n",
    "~~~",
    "`",
    "<",
    ">",
    "> ",
    "&amp;",
    "é",
    "🦀",
    "<tasks>\n",
    "</tasks>",
    "<task type=\"auto\">\n",
    "<task type='checkpoint:decision'>",
    "</task>\n",
    "<name>a</name>\n",
    "<files>a.rs</files>\n",
    "<action>",
    "</action>\n",
    "<done>a</done>\n",
    "<verify><automated>true</automated></verify>\n",
    "<!--",
    "-->",
    "<objective>o</objective>\n",
];

/// Paths of every dialect.
const PATHS: &[&str] = &[
    "plan.toml",
    ".idumb/governance/plans/1-a-plan.md",
    ".planning/phases/1/a-PLAN.md",
    ".planning/phases/01-a/01-01-PLAN.md",
    ".planning/phases/01-a/01-02-PLAN.md",
    "x.md",
    "",
];

proptest! {
    #[test]
    fn no_mixture_of_the_dialects_makes_a_reader_panic(
        files in prop::collection::vec(
            (
                prop::sample::select(PATHS),
                prop::collection::vec(prop::sample::select(PIECES), 0..40),
            ),
            0..3,
        )
    ) {
        let files = files.into_iter().map(|(path, pieces)| (path.to_owned(), pieces.concat()));
        reads(&Bundle { expected: None, agents: vec!["writer".into()], files: files.collect() });
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}", path in prop::sample::select(PATHS)) {
        let files = vec![(path.to_owned(), text)];
        reads(&Bundle { expected: None, agents: Vec::new(), files });
    }
}
