//! The live display, and the plain one.
//!
//! Invariant: what is on the screen is true, and the terminal is in order afterwards.

use crate::plans::{TWO, WAITS, one, with};
use crate::project::Project;
use crate::pty::CTRL_C;
use std::fs;

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
    project.defaults("batch_size = 9");
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
