//! Questions, and what a person answers at the terminal.
//!
//! Invariant: only an offered answer decides; the end of input decides nothing.

use crate::CHOOSE;
use crate::plans::{AFTER, JUDGED, LEARNS, TWO, WAITS, asks, one, with};
use crate::project::Project;
use crate::pty::CTRL_D;
use std::fs;

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
    assert_eq!(project.events(&["prompt_answered"])[0]["note"], "use tabs");
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
    assert_eq!(project.events(&["attempt_started"]).len(), 2);
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
    assert_eq!(project.events(&["attempt_started"]).len(), 2, "it was tried again");
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
    let judged = project.events(&["candidate_judged"]);
    let unmet = &judged[0]["judgement"]["unmet"][0];
    assert_eq!(unmet["note"], "shorter ones", "{unmet}");
}

#[test]
fn an_agents_own_question_is_answered_here() {
    let project = Project::new(&asks("Tabs or spaces?"));
    let mut terminal = project.run(&[]);
    terminal.shows(&["? The agent of P1-T1 asks: Tabs or spaces?", "2) b: The second", CHOOSE]);
    terminal.line("b");
    terminal.ends(0);
    let sealed = project.events(&["attempt_sealed"]);
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
