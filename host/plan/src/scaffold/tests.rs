//! Scaffolds as texts, and what holds for all of them.

use std::collections::BTreeMap;

use idumb_core::{PhaseId, Plan};
use proptest::prelude::*;

use super::*;
use crate::read_plan;

const RUST: &[(&str, bool)] =
    &[("Cargo.toml", false), ("README.md", false), ("src", true), ("tests", true)];

fn phase() -> PhaseId {
    PhaseId::new(3, "add-search").unwrap()
}

fn built_in(name: &str, detail: Detail, parallel: bool) -> Pattern<'static> {
    Pattern::BuiltIn { template: Template::named(name).unwrap(), detail, parallel }
}

fn wanted<'a>(
    goal: &'a str,
    phase: &'a PhaseId,
    layout: &'a Layout,
    pattern: Pattern<'a>,
) -> Wanted<'a> {
    Wanted { phase, goal, pattern, layout, agent: None, estimate: None }
}

fn made(entries: &[(&'static str, bool)], pattern: Pattern<'_>) -> Scaffold {
    let (phase, layout) = (phase(), Layout::of(entries.iter().copied(), false));
    scaffold(&wanted("Add search", &phase, &layout, pattern)).unwrap()
}

fn batches(plan: &Plan) -> Vec<String> {
    let texts =
        |ids: Vec<TaskId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    plan.batches(5).into_iter().map(texts).collect()
}

#[test]
fn a_feature_of_a_rust_project() {
    insta::assert_snapshot!(made(RUST, built_in("feature", Detail::Medium, false)).text);
}

#[test]
fn docs_in_an_empty_folder_with_all_detail_at_once() {
    let (phase, layout) = (phase(), Layout::default());
    let wanted = Wanted {
        agent: Some("writer"),
        estimate: Some(Recorded::of(vec![90_000, 60_000, 70_000])),
        ..wanted("Say \"how\"\nand why", &phase, &layout, built_in("docs", Detail::High, true))
    };
    let made = scaffold(&wanted).unwrap();
    assert!(!made.is_idle());
    insta::assert_snapshot!(made.text);
}

#[test]
fn what_runs_at_once() {
    let folders = [("app", true), ("lib", true), ("package.json", false)];
    let of =
        |detail, parallel| batches(&made(&folders, built_in("feature", detail, parallel)).plan);
    assert_eq!(of(Detail::Low, false), ["P3-T1", "P3-T2"]);
    assert_eq!(of(Detail::Low, true), ["P3-T1 P3-T2"]);
    assert_eq!(of(Detail::Medium, false), ["P3-T1", "P3-T2", "P3-T3"]);
    assert_eq!(of(Detail::Medium, true), ["P3-T1 P3-T2 P3-T3"]);
    // A person looks at all of it in the end.
    assert_eq!(of(Detail::High, true), ["P3-T1 P3-T2 P3-T3", "P3-T4"]);
    // Go has its tests beside the sources, so they cannot be written at once.
    let go = [("go.mod", false), ("internal", true)];
    let go = made(&go, built_in("feature", Detail::Medium, true));
    assert_eq!(batches(&go.plan), ["P3-T1", "P3-T2"]);
}

#[test]
fn nothing_is_estimated_where_nothing_was_recorded() {
    let (phase, layout) = (phase(), Layout::default());
    let of = |recorded| {
        let pattern = built_in("feature", Detail::Medium, false);
        let wanted = Wanted { estimate: Some(recorded), ..wanted("g", &phase, &layout, pattern) };
        let made = scaffold(&wanted).unwrap();
        let told = made.estimate.unwrap();
        // It is in the plan, too, over several lines.
        let words = made.text.replace("\n#", "");
        assert!(words.contains(&told), "{told:?} is not in {words}");
        told
    };
    let nothing = of(None);
    assert!(nothing.starts_with("there is nothing to estimate from"), "{nothing}");
    assert!(!nothing.contains(|c: char| c.is_ascii_digit()), "{nothing}");
    let some = of(Recorded::of(vec![40_000, 60_000, 90_000_000]));
    assert_eq!(
        some,
        "about 2m: the longest chain is 2 tasks, and the median of 3 attempts that succeeded here \
         is 1m, what people took to decide included"
    );
}

#[test]
fn an_existing_plan_is_followed_as_it_is() {
    let source = r#"
phase = 2
name = "search"
goal = "Find notes"
depends_on = [1]
supersedes = ["P1-T1.1"]

[[tasks]]
id = "index"
title = "Index"
writes = ["src/index.rs"]
limits = { memory = "64MiB" }
timeout = "2m"
options = { assignee = "me" }
steps = [{ write = "src/index.rs", content = "pub struct Index;\n" }]
accept = [
    { contains = "src/index.rs", text = "Index" },
    { exists = "src/index.rs", id = "index.there", says = "It is there" },
    { exists = "src/index.rs", id = "mine" },
    { lines = "src/index.rs", min = 1, id = "P3-T1.4" },
]

[[tasks]]
id = "find"
title = "Find"
depends_on = ["index"]
checkpoint = "before"
writes = ["src/find.rs"]
accept = [{ judged = "It finds" }]

[[links]]
from = "src/find.rs"
pattern = "Index"
to = "src/index.rs"
"#;
    let plan = read_plan(source, "plan.toml", None).unwrap();
    let path = "old\n/plan.toml";
    let made = made(RUST, Pattern::Existing { plan: &plan, path });
    let head: String = made.text.lines().take(9).map(|line| format!("{line}\n")).collect();
    insta::assert_snapshot!(head);
    let again = &made.plan;
    assert_eq!((&again.phase, again.goal.as_str()), (&phase(), "Add search"));
    assert!(again.depends_on.is_empty() && again.supersedes.is_empty());
    assert_eq!(again.links, plan.links);
    let ids: Vec<&str> =
        again.tasks.iter().flat_map(|task| &task.accept).map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["P3-T1.1", "P3-T1.there", "mine", "P3-T1.4", "P3-T2.1"]);
    assert_eq!(again.tasks[1].depends_on, [again.tasks[0].id.clone()]);
    // All else is as it was.
    let names: BTreeMap<TaskId, TaskId> = plan
        .tasks
        .iter()
        .zip(&again.tasks)
        .map(|(old, new)| (new.id.clone(), old.id.clone()))
        .collect();
    for (old, new) in plan.tasks.iter().zip(&again.tasks) {
        let mut new = new.clone();
        new.id = old.id.clone();
        new.depends_on = new.depends_on.iter().map(|id| names[id].clone()).collect();
        for (criterion, old) in new.accept.iter_mut().zip(&old.accept) {
            criterion.id = old.id.clone();
        }
        assert_eq!(new, *old);
    }
}

#[test]
fn criteria_of_one_name_get_others() {
    let source = "phase = 1\nname = \"a\"\ngoal = \"g\"\n\
        [[tasks]]\nid = \"x\"\ntitle = \"X\"\n\
        accept = [{ judged = \"a\", id = \"P3-T1.1\" }, { judged = \"b\", id = \"x.1\" }]\n";
    let plan = read_plan(source, "plan.toml", None).unwrap();
    let made = made(RUST, Pattern::Existing { plan: &plan, path: "p" });
    let ids: Vec<&str> = made.plan.tasks[0].accept.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["P3-T1.1", "P3-T1.2"]);
}

/// Paths as projects have them, and as nobody has.
fn paths() -> impl Strategy<Value = Vec<(String, bool)>> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "src",
            "lib",
            "app",
            "tests",
            "test",
            "docs",
            "cmd",
            "internal",
            "Cargo.toml",
            "package.json",
            "go.mod",
            "setup.py",
            "README.md",
            "__init__.py",
            "main.go",
            "a.py",
            "node_modules",
            "crates",
            "[x]",
            "a b",
            "é",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    let path = prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    prop::collection::vec((path, any::<bool>()), 0..24)
}

/// Texts that are easily broken when they are quoted, and any other.
fn goals() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\"",
        "'''",
        "\"\"\"",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "\u{0}",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{202e}",
        "#",
        "[[tasks]]\n",
        "{goal}",
        "{task}",
        "Add search",
        " ",
        "é",
        "\u{feff}",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_goal_is_refused_or_reads_back(
        goal in goals(),
        entries in paths(),
        name in prop::sample::select(Template::names().collect::<Vec<_>>()),
        detail in prop::sample::select(vec![Detail::Low, Detail::Medium, Detail::High]),
        parallel in any::<bool>(),
        agent in prop::sample::select(vec![None, Some("writer")]),
        number in any::<u32>(),
    ) {
        let layout = Layout::of(entries.iter().map(|(path, dir)| (path.as_str(), *dir)), false);
        let begun = new_phase(&[], |_| true, Some(&number.to_string()), &goal).unwrap();
        let wanted = Wanted {
            phase: &begun,
            goal: &goal,
            pattern: built_in(name, detail, parallel),
            layout: &layout,
            agent,
            estimate: Some(None),
        };
        let made = match scaffold(&wanted) {
            Ok(made) => made,
            Err(error) => {
                prop_assert_eq!(error, Unmade::EmptyGoal);
                prop_assert!(goal.trim().is_empty());
                return Ok(());
            }
        };
        let plan = read_plan(&made.text, "plan.toml", Some(&begun)).unwrap();
        prop_assert_eq!(&plan.goal, &goal);
        for (index, task) in plan.tasks.iter().enumerate() {
            prop_assert!(!task.writes.is_empty());
            // Nothing is wider than a folder.
            for glob in task.writes.iter().chain(&task.reads) {
                prop_assert!(!glob.as_str().starts_with("**") && glob.as_str() != "*", "{}", glob);
            }
            for criterion in &task.accept {
                prop_assert_eq!(crate::says_nothing(task, criterion), None);
            }
            let before = plan.tasks.get(index.wrapping_sub(1));
            if !parallel {
                let chain: Vec<TaskId> = before.map(|task| task.id.clone()).into_iter().collect();
                prop_assert_eq!(&task.depends_on, &chain);
            }
        }
        // Followed as an existing plan, it is the same but for its phase.
        let next = PhaseId::new(number.wrapping_add(1), "next").unwrap();
        let pattern = Pattern::Existing { plan: &plan, path: &goal };
        let followed = scaffold(&Wanted { phase: &next, pattern, ..wanted }).unwrap();
        prop_assert_eq!(followed.plan.tasks.len(), plan.tasks.len());
        prop_assert_eq!(batches(&followed.plan).len(), batches(&plan).len());
    }
}
