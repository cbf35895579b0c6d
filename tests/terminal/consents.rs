//! What a person is asked before agents of others run, and what is asked again.
//!
//! Invariant: nothing runs that was not allowed; what was allowed is not asked again.

use crate::project::Project;
use crate::pty::{CTRL_D, Terminal};

/// A task of an agent of others.
const WRITES: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Write"
agent = "evil"
reads = ["there.txt"]
writes = ["out/**"]
options = { do = "write_path", path = "out/new.txt" }
checkpoint = "after"
accept = [{ exists = "out/new.txt" }]
"#;

/// What is asked.
const MAY: &str = "Before phase 1-test runs: may this be done?";

/// How a person who has not allowed anything before runs the phase.
fn run(project: &Project, args: &[&str]) -> Terminal {
    let settings = project.temporary.path().join("settings");
    project.run_in(args, 100, &[("IDUMB_CONFIG_DIR", settings.to_str().unwrap())])
}

/// The same agent in another file.
fn update(project: &Project) {
    // A custom section without a name and without content.
    let section: &[u8] = &[0, 1, 0];
    project.put("agents/evil.wasm", [idumb_test_guests::MISBEHAVING_BUILDER, section].concat());
}

/// Goes through the run to its checkpoint, and pauses there.
fn pauses(mut terminal: Terminal) {
    terminal.shows(&["Task P1-T1 (Write) is done. Go on?"]);
    terminal.line("pause");
    terminal.ends(20);
}

#[test]
fn one_screen_says_who_asks_what_and_why_and_a_denial_runs_nothing() {
    let project = Project::new(WRITES);
    let mut terminal = run(&project, &[]);
    terminal.shows(&[
        MAY,
        "evil, a builder of others (agents/evil.wasm, ",
        "to write out/**",
        "P1-T1: a criterion looks at it",
        "to read  there.txt",
        "its author says nothing about what it wants, and why",
        "1) once: now; ask again when the run is taken up again",
        "2) run: in this run",
        "3) always: in this project",
        "4) deny: run nothing",
    ]);
    terminal.line("perhaps");
    terminal.shows(&["that is none of them"]);
    terminal.line("deny");
    terminal.shows(&["error: you did not allow it, so nothing was run"]);
    terminal.ends(21);
    assert!(!project.has("out/new.txt") && project.events(&[]).is_empty());
    let mut terminal = run(&project, &[]);
    terminal.shows(&[MAY]);
    terminal.press(CTRL_D);
    terminal.shows(&["so nothing was run"]);
    terminal.ends(21);
}

#[test]
fn once_is_asked_again_when_the_run_is_taken_up() {
    let project = Project::new(WRITES);
    let mut terminal = run(&project, &[]);
    terminal.shows(&[MAY]);
    terminal.line("once");
    pauses(terminal);
    let mut terminal = run(&project, &["--resume"]);
    terminal.shows(&[MAY]);
    terminal.line("deny");
    terminal.ends(21);
    assert_eq!(project.status(), "paused", "it can still be taken up");
}

#[test]
fn what_is_allowed_in_a_run_is_not_asked_again_in_it_but_in_the_next() {
    let project = Project::new(WRITES);
    let mut terminal = run(&project, &[]);
    terminal.shows(&[MAY]);
    terminal.line("run");
    pauses(terminal);
    let mut terminal = run(&project, &["--resume"]);
    terminal.shows(&["Task P1-T1 (Write) is done. Go on?"]);
    terminal.line("continue");
    terminal.shows(&["Phase 1-test is completed"]);
    terminal.ends(0);
    assert!(!terminal.screen().contains(MAY));
    let mut terminal = run(&project, &["--restart"]);
    terminal.shows(&[MAY]);
    terminal.line("deny");
    terminal.ends(21);
}

#[test]
fn always_is_asked_again_only_for_more_and_the_difference_is_shown() {
    let project = Project::new(WRITES);
    let mut terminal = run(&project, &[]);
    terminal.shows(&[MAY]);
    terminal.line("always");
    pauses(terminal);
    // Another file that asks for no more.
    update(&project);
    let mut terminal = run(&project, &["--restart"]);
    terminal.shows(&["agent evil is another file than the one you allowed", "for no more"]);
    assert!(!terminal.screen().contains(MAY));
    pauses(terminal);
    // The same file asks for more, and what it asked before is not marked.
    let more = WRITES.replace("\"there.txt\"]", "\"there.txt\", \"src/**\", \".env\"]");
    project.put(".idumb/phases/1-test/plan.toml", format!("phase = 1\ngoal = \"g\"\n{more}"));
    let mut terminal = run(&project, &["--restart"]);
    terminal.shows(&[MAY, "+ to read  src/**", "+ to read  .env", "protected"]);
    terminal.shows(&["you allowed another file, ", "what is new has a +"]);
    let screen = terminal.screen();
    assert!(screen.contains("  to write out/**") && !screen.contains("+ to write"), "{screen}");
    let first = screen.lines().find(|line| line.contains("  to ") || line.contains("+ to "));
    assert!(first.unwrap().contains(".env"), "what must be seen stands first: {screen}");
    terminal.line("always");
    pauses(terminal);
    // From then on that is what was allowed.
    pauses(run(&project, &["--restart"]));
}

#[test]
fn a_protected_name_is_asked_for_whoever_asks() {
    let plan = r#"
[[tasks]]
id = "P1-T1"
title = "Hook"
writes = [".git/hooks/post-checkout"]
steps = [{ write = ".git/hooks/post-checkout", content = "x" }]
accept = [{ exists = ".git/hooks/post-checkout" }]
"#;
    let project = Project::new(plan);
    let mut terminal = run(&project, &[]);
    terminal.shows(&[
        MAY,
        "builder, which came with idumb, is told to use protected names",
        "to write .git/hooks/post-checkout",
        "protected",
        "P1-T1: step 1 (write), a criterion looks at it",
    ]);
    terminal.line("deny");
    terminal.ends(21);
    assert!(!project.has(".git/hooks/post-checkout"));
}

#[test]
fn the_words_of_others_are_shown_harmless() {
    let project = Project::new(WRITES);
    let want = "[[writes]]\npaths = [\"out/**\"]\nwhy = \"\\u001b[2Jfine\\u202e\"\n";
    project.put("agents/evil.wasm", crate::support::declaring(want));
    let mut terminal = run(&project, &[]);
    terminal.shows(&["its author says, to write out/**: \\u{1b}[2Jfine\\u{202e}"]);
    terminal.line("deny");
    terminal.ends(21);
}

#[test]
fn a_command_is_shown_word_by_word_and_another_definition_is_asked_for() {
    let task = r#"
[[tasks]]
id = "P1-T1"
title = "Write"
writes = ["one.txt"]
steps = [{ write = "one.txt", content = "1\n" }]
accept = [{ command = "lint" }]
"#;
    let command = "[commands.lint]\nrun = [\"sh\", \"-c\", \"test -f one.txt # two words\"]\n";
    let project = Project::new(task);
    project.configure(command);
    let mut terminal = run(&project, &[]);
    terminal.shows(&[
        MAY,
        "lint, a native command (idumb.toml, ",
        "is to check P1-T1",
        "runs sh -c \"test -f one.txt # two words\"",
        "network: none",
        "confined, on a copy of the project that goes afterwards",
    ]);
    terminal.line("always");
    terminal.shows(&["Phase 1-test is completed"]);
    terminal.ends(0);
    let mut terminal = run(&project, &["--restart"]);
    terminal.ends(0);
    assert!(!terminal.screen().contains(MAY));
    project.configure(&command.replace("two words", "three"));
    let mut terminal = run(&project, &["--restart"]);
    terminal.shows(&[MAY, "you allowed another definition of it, "]);
    terminal.line("deny");
    terminal.ends(21);
}
