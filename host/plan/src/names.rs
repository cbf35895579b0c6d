//! Names that must differ.
//!
//! Invariant: a name that was taken is found again, with the place of its first use.

use std::collections::BTreeMap;

use crate::problem::{Code, Problem, Span, Told};
use crate::reading::Reading;

/// The names of one sort that were met so far.
pub(crate) struct Names {
    noun: &'static str,
    met: BTreeMap<String, Span>,
}

impl Names {
    /// No names yet; `noun` is what they name.
    pub(crate) fn new(noun: &'static str) -> Self {
        Self { noun, met: BTreeMap::new() }
    }

    /// Takes a name, unless it was met before.
    pub(crate) fn once(
        &mut self,
        reading: &mut Reading<'_>,
        code: Code,
        name: &str,
        span: &Span,
    ) -> Result<(), Told> {
        let Some(first) = self.met.get(name) else {
            self.met.insert(name.to_owned(), span.clone());
            return Ok(());
        };
        let (message, help) = match code {
            Code::DuplicateId => {
                (format!("there is another {} `{name}`", self.noun), "give one of them another id")
            }
            _ => (format!("the {} `{name}` is named twice", self.noun), "leave one of them out"),
        };
        let problem = Problem::new(code, span.clone(), message).label("again here");
        Err(reading.refuse(problem.also(first.clone(), "first here").help(help)))
    }
}
