//! How a refusal looks to a person.
//!
//! Invariant: the same refusal and look give the same text; no terminal is asked.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, ThemeCharacters, ThemeStyles};

use crate::problem::Problem;
use crate::{Refused, RefusedPlan, Warned};

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether to write colours, as ANSI escape sequences.
    pub colour: bool,
    /// Whether lines may be drawn with characters beyond ASCII.
    pub unicode: bool,
    /// Columns, from 40.
    pub width: usize,
}

impl Look {
    /// For files, pipes and tests: no colour, 100 columns.
    pub const PLAIN: Self = Self { colour: false, unicode: true, width: 100 };
}

/// The refusal as plain text: every problem with its code, place, source excerpt and fix.
pub fn render(refused: &Refused) -> String {
    render_as(refused, Look::PLAIN)
}

/// The refusal as text for a terminal.
pub fn render_as(refused: &Refused, look: Look) -> String {
    drawn(refused, refused.problems(), look)
}

/// The refusal of a plan of several files as text for a terminal, file by file.
pub fn render_plan(refused: &RefusedPlan, look: Look) -> String {
    let files: Vec<String> = refused.files().iter().map(|file| render_as(file, look)).collect();
    files.join("\n")
}

/// The warnings of a file as text for a terminal.
pub fn render_warned(warned: &Warned, look: Look) -> String {
    drawn(warned, warned.warnings(), look)
}

fn drawn(report: &dyn Diagnostic, problems: &[Problem], look: Look) -> String {
    let characters =
        if look.unicode { ThemeCharacters::unicode() } else { ThemeCharacters::ascii() };
    let styles = if look.colour { ThemeStyles::ansi() } else { ThemeStyles::none() };
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
        .with_width(look.width.max(40))
        .with_links(false)
        .without_syntax_highlighting();
    let mut text = String::new();
    match handler.render_report(&mut text, report) {
        Ok(()) => text,
        // The excerpt could not be drawn; the words are what matters.
        Err(_) => words(report, problems),
    }
}

/// What is reported, without excerpts.
fn words(report: &dyn Diagnostic, problems: &[Problem]) -> String {
    let mut text = format!("{report}\n");
    for problem in problems {
        text.push_str(&format!("{}: {problem}\n", problem.code().slug()));
    }
    text
}
