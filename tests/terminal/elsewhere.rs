//! Answers from another process, and lines that were typed too early.
//!
//! Invariant: a line answers the question that was shown before it was typed.

use crate::plans::{TWO, WAITS, one, with};
use crate::project::Project;
use crate::support::told;

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
