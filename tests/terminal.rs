//! Interactive mode as a person has it: the real binary in a pseudo-terminal.
//!
//! Invariant: only what a person answers to a question that was shown decides anything; a
//! person can always make the run rest, and finds the terminal in order afterwards.

#[path = "support/pty.rs"]
mod pty;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::Value;

use pty::{CTRL_C, CTRL_D, Terminal};
use support::{idumb, told};

/// Two tasks that the built-in builder does, one after the other.
const TWO: &str = r#"
[[tasks]]
id = "P1-T1"
title = "First"
writes = ["one.txt"]
steps = [{ write = "one.txt", content = "1\n" }]
accept = [{ exists = "one.txt" }]

[[tasks]]
id = "P1-T2"
title = "Second"
depends_on = ["P1-T1"]
writes = ["two.txt"]
steps = [{ write = "two.txt", content = "2\n" }]
accept = [{ exists = "two.txt" }]
"#;

/// The first task of [`TWO`] alone.
fn one() -> &'static str {
    &TWO[..TWO.rfind("[[tasks]]").unwrap()]
}

/// A task that goes on until somebody makes `go.txt`.
const WAITS: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Wait"
agent = "evil"
reads = ["there.txt", "go.txt"]
writes = ["out/**"]
options = { do = "wait_for_other", from = "there.txt", until = "go.txt", path = "out/copy.txt" }
accept = [{ exists = "out/copy.txt" }]
"#;

/// A task whose agent is rejected until somebody tells it to use tabs.
const LEARNS: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Learn"
agent = "evil"
writes = ["learned.txt"]
options = { do = "learn", path = "learned.txt" }
accept = [{ matches = "learned.txt", regex = "^a person: use tabs$" }]
"#;

/// A task after [`WAITS`] or [`LEARNS`].
const AFTER: &str = r#"
[[tasks]]
id = "P1-T2"
title = "After"
depends_on = ["P1-T1"]
writes = ["two.txt"]
steps = [{ write = "two.txt", content = "2\n" }]
accept = [{ exists = "two.txt" }]
"#;

/// A task that only a person can judge.
const JUDGED: &str = r#"
[[tasks]]
id = "P1-T1"
title = "Name things"
writes = ["one.txt"]
steps = [{ write = "one.txt", content = "1\n" }]
accept = [{ judged = "The names are good" }, { exists = "one.txt" }]
"#;

const CHOOSE: &str = "or a name (prompt";

struct Project {
    temporary: tempfile::TempDir,
}

impl Project {
    fn new(tasks: &str) -> Self {
        let project = Self { temporary: tempfile::tempdir().unwrap() };
        let plan = format!("phase = 1\ngoal = \"Ask me.\"\n{tasks}");
        project.put(".idumb/phases/1-test/plan.toml", &plan);
        project.configure("");
        let agent = project.folder().join("agents/evil.wasm");
        fs::create_dir_all(agent.parent().unwrap()).unwrap();
        fs::write(agent, idumb_test_guests::MISBEHAVING_BUILDER).unwrap();
        project.put("there.txt", "");
        project.put("out/keep.txt", "");
        project
    }

    /// Says how its runs go, in `[defaults]`.
    fn configure(&self, defaults: &str) {
        let agent = "[agents.evil]\npath = \"agents/evil.wasm\"\nrole = \"builder\"\n";
        self.put("idumb.toml", &format!("{agent}[defaults]\n{defaults}\n"));
    }

    fn folder(&self) -> PathBuf {
        self.temporary.path().join("project")
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn has(&self, path: &str) -> bool {
        self.folder().join(path).exists()
    }

    /// Executes the phase, at a terminal of 100 columns.
    fn run(&self, args: &[&str]) -> Terminal {
        self.run_in(args, 100, &[])
    }

    fn run_in(&self, args: &[&str], columns: u16, variables: &[(&str, &str)]) -> Terminal {
        let mut command = idumb(&self.folder(), self.temporary.path());
        command.env_remove("COLUMNS").env("TERM", "xterm-256color");
        command.envs(variables.iter().copied());
        command.args(["execute-phase", "1"]).args(args);
        Terminal::start(command, columns)
    }

    /// A command from elsewhere, which must succeed.
    fn elsewhere(&self, args: &[&str]) -> Output {
        let output = idumb(&self.folder(), self.temporary.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        output
    }

    fn status(&self) -> String {
        let text = fs::read_to_string(self.folder().join(".idumb/state/state.json")).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    /// The events of that kind of the latest run.
    fn events(&self, kind: &str) -> Vec<Value> {
        let output = self.elsewhere(&["log", "--format=jsonl"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["kind"] == kind).collect()
    }

    /// Waits until an event of that kind is recorded.
    fn waits_for(&self, kind: &str) {
        let mut command = idumb(&self.folder(), self.temporary.path());
        command.args(["log", "--follow", "--kind", kind, "--format=jsonl"]);
        let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        let found = lines.map(Result::unwrap).any(|line| line.contains(kind));
        let _ = follower.kill();
        follower.wait().unwrap();
        assert!(found, "there is no {kind}");
    }

    /// What was chosen, in order.
    fn chosen(&self) -> Vec<String> {
        let answers = self.events("prompt_answered");
        answers.iter().map(|event| event["choice"].as_str().unwrap().to_owned()).collect()
    }
}

/// The plan `tasks` with a line more in its first task.
fn with(tasks: &str, line: &str) -> String {
    tasks.replacen("title =", &format!("{line}\ntitle ="), 1)
}

// Answers.

#[test]
fn a_number_a_name_and_its_beginning_answer_and_what_is_none_is_asked_again() {
    let four: String = (1..=4)
        .map(|n| {
            let before = n - 1;
            let after = if n > 1 { format!("depends_on = [\"T{before}\"]") } else { String::new() };
            format!(
                "[[tasks]]\nid = \"T{n}\"\ntitle = \"Number {n}\"\n{after}\nwrites = [\"{n}.txt\"]\n\
                 steps = [{{ write = \"{n}.txt\", content = \"x\" }}]\n\
                 accept = [{{ exists = \"{n}.txt\" }}]\n\n"
            )
        })
        .collect();
    let project = Project::new(&four);
    let mut terminal = project.run(&[]);
    terminal.shows(&["? Batch 1 is done. Go on with batch 2 (T2)?", "1) continue", "2) pause"]);
    terminal.shows(&["choose 1-2 or a name (prompt 1):"]);
    terminal.line("1");
    terminal.shows(&["(prompt 2):"]);
    terminal.line("continue");
    terminal.shows(&["(prompt 3):"]);
    terminal.line("perhaps");
    terminal.shows_that("the question once more", |screen| {
        screen.contains("that is none of them") && screen.matches("(prompt 3):").count() == 2
    });
    terminal.line("");
    terminal.shows_that("it a third time", |screen| screen.matches("(prompt 3):").count() == 3);
    terminal.line("3");
    terminal.shows_that("it a fourth time", |screen| screen.matches("(prompt 3):").count() == 4);
    terminal.line("c");
    terminal.ends(0);
    assert_eq!(project.chosen(), ["continue", "continue", "continue"]);
    assert_eq!(project.status(), "completed");
}

#[test]
fn the_end_of_input_pauses_and_leaves_the_decision_open() {
    let project = Project::new(&with(one(), "checkpoint = \"before\""));
    let mut terminal = project.run(&[]);
    terminal.shows(&["Task P1-T1 (First) is next. Go on with it?", CHOOSE]);
    terminal.press(CTRL_D);
    terminal.shows(&["Phase 1-test is paused", "a decision was left open"]);
    terminal.shows(&["answer it: idumb answer phase-1-r1 1 --choose continue|skip|pause"]);
    terminal.ends(20);
    assert_eq!(project.status(), "paused");
    assert!(project.chosen().is_empty());
    let mut terminal = project.run(&["--resume"]);
    terminal.shows(&["Task P1-T1 (First) is next. Go on with it?", "(prompt 1)"]);
    terminal.line("continue");
    terminal.ends(0);
}

#[test]
fn a_checkpoint_before_a_task_can_leave_it_out_and_says_what_that_means() {
    let project = Project::new(&with(TWO, "checkpoint = \"before\""));
    let mut terminal = project.run(&[]);
    terminal.shows(&["2) skip: leave it out; 1 not run then: P1-T2", CHOOSE]);
    terminal.line("skip");
    terminal.shows(&["P1-T1: skipped", "P1-T2: skipped, since P1-T1 was"]);
    // Nothing failed, but the phase is not done.
    terminal.ends(11);
    assert!(!project.has("one.txt") && !project.has("two.txt"));
}

#[test]
fn a_checkpoint_after_a_task_waits_with_it_done() {
    let project = Project::new(&with(TWO, "checkpoint = \"after\""));
    let mut terminal = project.run(&[]);
    terminal.shows(&["Task P1-T1 (First) is done. Go on?", CHOOSE]);
    assert!(project.has("one.txt") && !project.has("two.txt"));
    terminal.line("pause");
    terminal.shows(&["chosen at prompt 1"]);
    terminal.ends(20);
    let mut terminal = project.run(&["--resume"]);
    terminal.shows(&["Task P1-T1 (First) is done. Go on?", CHOOSE]);
    terminal.line("continue");
    terminal.ends(0);
    assert!(project.has("two.txt"));
}

#[test]
fn a_blocked_task_is_retried_with_a_note_to_its_agent() {
    let project = Project::new(LEARNS);
    let mut terminal = project.run(&[]);
    terminal.shows(&["Task P1-T1 cannot go on: E005", "1) retry", "3) fail", CHOOSE]);
    terminal.line("retry");
    terminal.shows(&["a note to the agent (Enter for none):"]);
    terminal.line("use tabs");
    terminal.ends(0);
    let learned = fs::read_to_string(project.folder().join("learned.txt")).unwrap();
    assert!(learned.contains("a person: use tabs"), "{learned}");
    assert!(learned.contains("P1-T1.1: "), "the findings too: {learned}");
    assert_eq!(project.events("prompt_answered")[0]["note"], "use tabs");
}

#[test]
fn a_retry_without_a_note_fails_again_and_is_asked_about_again() {
    let project = Project::new(&format!("{LEARNS}{AFTER}"));
    let mut terminal = project.run(&[]);
    terminal.shows(&["(prompt 1)"]);
    terminal.line("1");
    terminal.shows(&["a note to the agent (Enter for none):"]);
    terminal.line("");
    terminal.shows(&["(prompt 2)"]);
    terminal.line("skip");
    terminal.shows(&["P1-T1: skipped", "P1-T2: skipped, since P1-T1 was"]);
    terminal.ends(14);
    assert_eq!(project.events("attempt_started").len(), 2);
    assert!(!project.has("learned.txt"));
}

#[test]
fn a_blocked_task_can_be_given_up_or_left_for_later() {
    let project = Project::new(LEARNS);
    let mut terminal = project.run(&[]);
    terminal.shows(&["4) pause: stop here; --resume tries it again", CHOOSE]);
    terminal.line("pause");
    terminal.ends(20);
    assert_eq!(project.status(), "paused");
    let mut terminal = project.run(&["--resume"]);
    terminal.shows(&["(prompt 2)"]);
    assert_eq!(project.events("attempt_started").len(), 2, "it was tried again");
    terminal.line("fail");
    terminal.shows(&["Phase 1-test failed: E005"]);
    terminal.ends(14);
    assert_eq!(project.status(), "failed");
}

#[test]
fn a_person_judges_what_no_check_can() {
    let project = Project::new(JUDGED);
    let mut terminal = project.run(&[]);
    terminal.shows(&["Only a person can judge:", "- The names are good", "1) holds", CHOOSE]);
    assert!(!project.has("one.txt"), "not judged yet");
    terminal.line("holds");
    terminal.ends(0);
    assert!(project.has("one.txt"));
}

#[test]
fn what_a_person_finds_missing_rejects_the_attempt() {
    let project = Project::new(JUDGED);
    let mut terminal = project.run(&[]);
    terminal.shows(&["2) fails", "(prompt 1)"]);
    terminal.line("fails");
    terminal.shows(&["a note to the agent (Enter for none):"]);
    terminal.line("shorter ones");
    terminal.shows(&["Task P1-T1 cannot go on: E005", "shorter ones", "(prompt 2)"]);
    terminal.line("fail");
    terminal.ends(14);
    assert!(!project.has("one.txt"));
    let judged = project.events("candidate_judged");
    let unmet = &judged[0]["judgement"]["unmet"][0];
    assert_eq!(unmet["note"], "shorter ones", "{unmet}");
}

/// A task whose agent asks.
fn asks(question: &str) -> String {
    WAITS
        .replace("wait_for_other", "ask")
        .replace("until = \"go.txt\"", &format!("question = \"{question}\""))
        .replace("exists = \"out/copy.txt\"", "exists = \"there.txt\"")
}

#[test]
fn an_agents_own_question_is_answered_here() {
    let project = Project::new(&asks("Tabs or spaces?"));
    let mut terminal = project.run(&[]);
    terminal.shows(&["? The agent of P1-T1 asks: Tabs or spaces?", "2) b: The second", CHOOSE]);
    terminal.line("b");
    terminal.ends(0);
    let sealed = project.events("attempt_sealed");
    assert_eq!(sealed[0]["sealed"]["summary"], "b invalid invalid");
}

#[test]
fn an_agents_words_cannot_draw_on_the_screen() {
    let question = r"\u001b[2J\u001b]0;owned\u0007\rReally?\nidumb: phase completed\u202e";
    let project = Project::new(&asks(question));
    let mut terminal = project.run(&[]);
    terminal.shows(&["The agent of P1-T1 asks: ", "Really?", CHOOSE]);
    terminal.line("a");
    terminal.ends(0);
    let project = Project::new(
        &WAITS
            .replace("wait_for_other", "disguised_words")
            .replace("path = \"out/copy.txt\"", "path = \"out\"")
            .replace("exists = \"out/copy.txt\"", "exists = \"there.txt\""),
    );
    let mut logged = project.run(&[]);
    logged.ends(0);
    for terminal in [&terminal, &logged] {
        let (printed, screen) = (terminal.printed(), terminal.screen());
        for raw in ["\u{1b}[2J", "\u{1b}]0;", "\u{7}", "\u{202e}", "\u{9b}"] {
            assert!(!printed.contains(raw), "{raw:?} was printed:\n{screen}");
        }
        assert!(screen.contains("\\u{1b}[2J"), "{screen}");
        let forged = screen.lines().any(|line| line.starts_with("idumb: phase completed"));
        assert!(!forged, "an agent's words stand where the host's do:\n{screen}");
    }
}

// Answers from elsewhere, and too early.

#[test]
fn a_question_that_is_answered_elsewhere_closes_and_the_next_reads_its_own_line() {
    let project = Project::new(&with(TWO, "checkpoint = \"after\"").replacen(
        "title = \"Second\"",
        "title = \"Second\"\ncheckpoint = \"before\"",
        1,
    ));
    let mut terminal = project.run(&[]);
    terminal.shows(&["is done. Go on?", "(prompt 1):"]);
    // Half an answer, to a question that is about to close.
    terminal.press("pau");
    terminal.shows(&["(prompt 1): pau"]);
    let answered = project.elsewhere(&["answer", "phase-1-r1", "1", "--choose", "continue"]);
    assert!(told(&answered).contains("prompt 1 of phase-1-r1: continue"), "{}", told(&answered));
    terminal.shows(&["\nidumb: the question was answered, or fell away", "(prompt 2):"]);
    terminal.line("continue");
    terminal.shows(&["(prompt 3):"]);
    terminal.line("continue");
    terminal.ends(0);
    assert_eq!(project.chosen(), ["continue", "continue", "continue"]);
}

#[test]
fn what_is_typed_before_a_question_is_shown_is_no_answer_to_it() {
    let project = Project::new(&with(WAITS, "checkpoint = \"after\""));
    let mut terminal = project.run(&[]);
    terminal.shows(&["Current: Wait (P1-T1)"]);
    terminal.line("continue");
    terminal.prints("continue");
    project.put("go.txt", "");
    terminal.shows(&["(prompt 1):"]);
    terminal.line("pause");
    terminal.ends(20);
    assert!(project.chosen().is_empty());
}

#[test]
fn what_is_typed_between_two_questions_answers_neither() {
    let waits =
        WAITS.replace("P1-T1", "P1-T2").replacen("title", "depends_on = [\"P1-T1\"]\ntitle", 1);
    let first = one();
    let project = Project::new(&format!("{first}{}", with(&waits, "checkpoint = \"after\"")));
    let mut terminal = project.run(&[]);
    terminal.shows(&["(prompt 1):"]);
    // From now on a line is being read that no question waits for.
    project.elsewhere(&["answer", "phase-1-r1", "1", "--choose", "continue"]);
    terminal.shows(&["Current: Wait (P1-T2)"]);
    terminal.line("continue");
    terminal.prints("continue");
    project.put("go.txt", "");
    terminal.shows(&["(prompt 2):"]);
    terminal.line("pause");
    terminal.ends(20);
    assert_eq!(project.chosen(), ["continue"]);
}

// Interrupting.

#[test]
fn ctrl_c_at_a_question_pauses_and_it_is_asked_again() {
    let project = Project::new(&with(one(), "checkpoint = \"before\""));
    let mut terminal = project.run(&[]);
    terminal.shows(&["(prompt 1):"]);
    terminal.press(CTRL_C);
    terminal.shows(&["Phase 1-test is paused", "interrupted with Ctrl-C"]);
    terminal.ends(130);
    assert_eq!(project.status(), "paused");
    let mut terminal = project.run(&["--resume"]);
    terminal.shows(&["Task P1-T1 (First) is next", "(prompt 1):"]);
    terminal.line("continue");
    terminal.ends(0);
}

#[test]
fn to_take_up_what_was_interrupted_between_two_batches_is_the_go_ahead() {
    let project = Project::new(TWO);
    let mut terminal = project.run(&[]);
    terminal.shows(&["(prompt 1):"]);
    terminal.press(CTRL_C);
    terminal.ends(130);
    project.run(&["--resume"]).ends(0);
    assert!(project.chosen().is_empty());
}

#[test]
fn ctrl_c_while_others_work_says_so_though_a_question_is_open() {
    let asked = with(one(), "checkpoint = \"before\"");
    let waits = WAITS.replace("P1-T1", "P1-T2");
    let project = Project::new(&format!("{asked}{waits}"));
    let mut terminal = project.run(&[]);
    terminal.shows(&["(prompt 1):"]);
    terminal.press(CTRL_C);
    terminal.shows(&["pausing: what is under way gets 30s to end", "Current: Wait (P1-T2)"]);
    project.put("go.txt", "");
    terminal.ends(130);
    assert_eq!(project.events("attempt_interrupted").len(), 0);
    let mut terminal = project.run(&["--resume"]);
    terminal.shows(&["(prompt 1):"]);
    terminal.line("continue");
    terminal.ends(0);
    assert_eq!(project.events("attempt_started").len(), 2, "one for each task");
}

#[test]
fn ctrl_c_once_gives_what_is_under_way_its_grace_and_then_stops_it() {
    let project = Project::new(WAITS);
    project.configure("grace = \"50ms\"");
    let mut terminal = project.run(&[]);
    terminal.shows(&["Current: Wait (P1-T1)"]);
    terminal.press(CTRL_C);
    terminal.shows(&["pausing: what is under way gets 50ms to end"]);
    terminal.shows(&["P1-T1: attempt 1 was interrupted; nothing of it was kept"]);
    terminal.ends(130);
    assert_eq!(project.status(), "paused");
    assert!(!project.has("out/copy.txt"));
    project.put("go.txt", "");
    project.run(&["--resume"]).ends(0);
    assert!(project.has("out/copy.txt"));
}

#[test]
fn ctrl_c_once_lets_a_builder_end_within_its_grace() {
    let project = Project::new(WAITS);
    project.configure("grace = \"1h\"");
    let mut terminal = project.run(&[]);
    terminal.shows(&["Current: Wait (P1-T1)"]);
    terminal.press(CTRL_C);
    terminal.shows(&["pausing: what is under way gets 1h to end"]);
    // Answered by the run after it took the interruption in; to pause twice is to pause.
    project.elsewhere(&["pause"]);
    project.put("go.txt", "");
    terminal.ends(130);
    assert_eq!(project.events("attempt_sealed").len(), 1);
    project.run(&["--resume"]).ends(0);
    assert_eq!(project.events("attempt_started").len(), 1, "nothing was done twice");
}

#[test]
fn ctrl_c_twice_stops_at_once_and_the_run_can_be_taken_up() {
    let project = Project::new(&WAITS.replace("wait_for_other", "loop_forever"));
    project.configure("grace = \"1h\"");
    let mut terminal = project.run(&[]);
    terminal.shows(&["Current: Wait (P1-T1)"]);
    terminal.press(CTRL_C);
    terminal.shows(&["press Ctrl-C again to stop it now"]);
    terminal.press(CTRL_C);
    terminal.shows(&["press Ctrl-C again to leave at once"]);
    terminal.ends(130);
    assert_eq!(project.status(), "paused");
    assert_eq!(project.events("attempt_interrupted").len(), 1);
    // It would never end: only another plan helps.
    let plan = format!("phase = 1\ngoal = \"Ask me.\"\n{WAITS}");
    project.put(".idumb/phases/1-test/plan.toml", &plan);
    project.put("go.txt", "");
    project.run(&["--resume", "--replan"]).ends(0);
    assert!(project.has("out/copy.txt"));
}

#[test]
fn ctrl_c_again_and_again_leaves_a_run_that_can_be_taken_up() {
    let project = Project::new(WAITS);
    project.configure("grace = \"1h\"");
    let mut terminal = project.run(&[]);
    terminal.shows(&["Current: Wait (P1-T1)"]);
    terminal.press(CTRL_C);
    terminal.shows(&["pausing:"]);
    // The third may find the process gone, or what the second stopped still stopping.
    terminal.press(CTRL_C);
    terminal.press(CTRL_C);
    terminal.ends(130);
    project.put("go.txt", "");
    project.run(&["--resume"]).ends(0);
}

#[test]
fn a_terminal_that_hangs_up_leaves_a_run_that_can_be_taken_up() {
    for (tasks, shown) in [(WAITS, "Current: Wait"), (TWO, "(prompt 1):")] {
        let project = Project::new(tasks);
        project.configure("grace = \"1h\"");
        let mut terminal = project.run(&[]);
        terminal.shows(&[shown]);
        terminal.hang_up();
        // Told by its end of input or by the signal, whichever comes first.
        terminal.left_with(&[20, 130]);
        assert_eq!(project.status(), "paused");
        project.put("go.txt", "");
        project.run(&["--resume"]).ends(0);
    }
}

// The display.

/// A first task that is done at once, and a second that waits for `go.txt`.
fn done_and_waiting() -> String {
    let first = one();
    let second = WAITS.replace("P1-T1", "P1-T2");
    let second = second.replacen("title", "depends_on = [\"P1-T1\"]\ntitle", 1);
    format!("{first}{second}")
}

const LAYOUT: &str = "\
Phase 1 Execution Progress
==========================
[====================>                   ] 1/2
Tasks: 1/2 completed (50%)
Current: Wait (P1-T2)
ETA: ";

const LISTS: &str = "

Recent completions:
✓ P1-T1: First

Current batch:
→ P1-T2: Wait";

#[test]
fn the_display_is_laid_out_as_specified() {
    for columns in [80, 100] {
        let project = Project::new(&done_and_waiting());
        let mut terminal = project.run_in(&[], columns, &[]);
        terminal.shows(&["(prompt 1):"]);
        terminal.line("continue");
        terminal.shows_that("the layout, what happened above it, and nothing below", |screen| {
            let parts = ["Batch 2: P1-T2", LAYOUT, LISTS];
            parts.iter().all(|part| screen.contains(part)) && screen.ends_with(LISTS)
        });
        let screen = terminal.screen();
        assert_eq!(screen.matches("Execution Progress").count(), 1, "drawn in place:\n{screen}");
        project.put("go.txt", "");
        terminal.ends(0);
        let screen = terminal.screen();
        assert!(screen.contains("Tasks: 2/2 completed (100%)"), "{screen}");
        assert!(screen.contains("Phase 1-test is completed"), "{screen}");
        assert_eq!(
            screen.matches("Execution Progress").count(),
            1,
            "the live one is gone:\n{screen}"
        );
    }
}

#[test]
fn what_happens_while_a_question_is_open_is_told_afterwards() {
    let asked = with(TWO, "checkpoint = \"before\"").replace("depends_on = [\"P1-T1\"]\n", "");
    for term in ["xterm-256color", "dumb"] {
        let project = Project::new(&asked);
        let mut terminal = project.run_in(&[], 100, &[("TERM", term)]);
        terminal.shows(&["(prompt 1):"]);
        project.waits_for("task_succeeded");
        terminal.press("con");
        terminal.shows(&["(prompt 1): con"]);
        let screen = terminal.screen();
        assert!(screen.ends_with("(prompt 1): con"), "the question is left alone:\n{screen}");
        terminal.press(CTRL_C);
        // As it is told when it happens: the summary has it without the indent.
        terminal.shows(&["\n  ✓ P1-T2: Second"]);
        terminal.ends(130);
    }
}

#[test]
fn the_display_catches_up_with_what_happened_at_once() {
    let quick =
        |n| one().replace("P1-T1", &format!("Q{n}")).replace("one.txt", &format!("{n}.txt"));
    let quick: String = (1..=8).map(quick).collect();
    let project = Project::new(&format!("{quick}{WAITS}"));
    project.configure("batch_size = 9");
    let mut terminal = project.run(&[]);
    terminal.shows(&["Tasks: 8/9 completed (88%)\nCurrent: Wait (P1-T1)"]);
    project.put("go.txt", "");
    terminal.ends(0);
}

#[test]
fn a_very_narrow_window_is_no_trouble() {
    let project = Project::new(&done_and_waiting());
    for columns in [20, 2] {
        let restart = if columns == 20 { [].as_slice() } else { &["--restart"] };
        let mut terminal = project.run_in(restart, columns, &[]);
        terminal.prints("(prompt 1):");
        terminal.line("continue");
        terminal.prints("Current batch");
        project.put("go.txt", "");
        terminal.ends(0);
        let screen = terminal.screen().replace('\n', "");
        assert!(!screen.contains("Current batch"), "the live display stays:\n{screen}");
        fs::remove_file(project.folder().join("go.txt")).unwrap();
    }
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let project = Project::new(TWO);
    let mut terminal = project.run_in(&[], 80, &[("TERM", "dumb")]);
    terminal.shows(&["Batch 1: P1-T1\n  ✓ P1-T1: First", "Go on with batch 2", "(prompt 1):"]);
    terminal.line("continue");
    terminal.shows(&["Phase 1 Execution Progress", "Batch 2: P1-T2\n  ✓ P1-T2: Second"]);
    terminal.ends(0);
    assert!(!terminal.printed().contains('\u{1b}'), "{:?}", terminal.printed());
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    for (variables, coloured) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let project = Project::new(TWO);
        let mut terminal = project.run_in(&[], 80, variables);
        terminal.shows(&["(prompt 1):"]);
        terminal.line("continue");
        terminal.ends(0);
        let printed = terminal.printed();
        let colours = printed.split("\u{1b}[").skip(1);
        let sets = |code: &str| {
            code.split_once('m').is_some_and(|(code, _)| code.chars().all(|c| c.is_ascii_digit()))
        };
        assert_eq!(colours.into_iter().any(sets), coloured, "{printed:?}");
    }
}
