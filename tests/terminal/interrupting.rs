//! Ctrl-C, and a terminal that goes away.
//!
//! Invariant: the run rests, and can be taken up.

use crate::plans::{TWO, WAITS, one, with};
use crate::project::Project;
use crate::pty::CTRL_C;

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
    assert_eq!(project.events(&["attempt_interrupted"]).len(), 0);
    let mut terminal = project.run(&["--resume"]);
    terminal.shows(&["(prompt 1):"]);
    terminal.line("continue");
    terminal.ends(0);
    assert_eq!(project.events(&["attempt_started"]).len(), 2, "one for each task");
}

#[test]
fn ctrl_c_once_gives_what_is_under_way_its_grace_and_then_stops_it() {
    let project = Project::new(WAITS);
    project.defaults("grace = \"50ms\"");
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
    project.defaults("grace = \"1h\"");
    let mut terminal = project.run(&[]);
    terminal.shows(&["Current: Wait (P1-T1)"]);
    terminal.press(CTRL_C);
    terminal.shows(&["pausing: what is under way gets 1h to end"]);
    // Answered by the run after it took the interruption in; to pause twice is to pause.
    project.elsewhere(&["pause"]);
    project.put("go.txt", "");
    terminal.ends(130);
    assert_eq!(project.events(&["attempt_sealed"]).len(), 1);
    project.run(&["--resume"]).ends(0);
    assert_eq!(project.events(&["attempt_started"]).len(), 1, "nothing was done twice");
}

#[test]
fn ctrl_c_is_not_for_the_command_that_runs_it_has_its_grace_too() {
    let task = "[[tasks]]\nid = \"P1-T1\"\ntitle = \"Wait\"\nwrites = [\"out/new.txt\"]\n\
                steps = [{ write = \"out/new.txt\", content = \"x\" }]\n\
                accept = [{ command = \"wait\" }]\n";
    let project = Project::new(task);
    project.configure(
        "[defaults]\ngrace = \"1h\"\n[commands.wait]\nrun = [\"sh\", \"-c\", \"echo begun; \
         until grep -q go go.txt; do sleep 0.05; done\"]\n",
    );
    project.put("go.txt", "wait");
    let mut terminal = project.run(&["--grant=wait"]);
    terminal.shows(&["P1-T1 runs wait: begun"]);
    terminal.press(CTRL_C);
    terminal.shows(&["pausing: what is under way gets 1h to end"]);
    project.elsewhere(&["pause"]);
    project.put("go.txt", "go");
    terminal.ends(130);
    assert!(project.events(&["attempt_failed"]).is_empty(), "{:#?}", project.events(&[]));
    project.run(&["--resume", "--grant=wait"]).ends(0);
    assert!(project.has("out/new.txt"));
}

#[test]
fn ctrl_c_twice_stops_at_once_and_the_run_can_be_taken_up() {
    let project = Project::new(&WAITS.replace("wait_for_other", "loop_forever"));
    project.defaults("grace = \"1h\"");
    let mut terminal = project.run(&[]);
    terminal.shows(&["Current: Wait (P1-T1)"]);
    terminal.press(CTRL_C);
    terminal.shows(&["press Ctrl-C again to stop it now"]);
    terminal.press(CTRL_C);
    terminal.shows(&["press Ctrl-C again to leave at once"]);
    terminal.ends(130);
    assert_eq!(project.status(), "paused");
    assert_eq!(project.events(&["attempt_interrupted"]).len(), 1);
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
    project.defaults("grace = \"1h\"");
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
        project.defaults("grace = \"1h\"");
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
