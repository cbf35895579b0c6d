//! What a check came to, before it has the name of its criterion.
//!
//! Invariant: a ruling carries every observation that was made on the way to it, and its
//! note becomes one line without control characters.

use idumb_agent::{EvidenceRef, Finding, Verdict};

use crate::show;

/// A finding without its criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) verdict: Verdict,
    pub(crate) evidence: Vec<EvidenceRef>,
    pub(crate) note: String,
}

/// How a check goes: the error is a ruling that ends it early, never a pass.
pub(crate) type Checked<T = Ruling> = Result<T, Ruling>;

impl Ruling {
    pub(crate) fn pass(evidence: &EvidenceRef, note: impl Into<String>) -> Self {
        Self { verdict: Verdict::Pass, evidence: vec![evidence.clone()], note: note.into() }
    }

    pub(crate) fn fail(evidence: &EvidenceRef, note: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, evidence: vec![evidence.clone()], note: note.into() }
    }

    /// Could not be checked, after something was observed.
    pub(crate) fn unclear(evidence: &EvidenceRef, note: impl Into<String>) -> Self {
        Self { evidence: vec![evidence.clone()], ..Self::unchecked(note) }
    }

    /// Could not be checked, and nothing was observed.
    pub(crate) fn unchecked(note: impl Into<String>) -> Self {
        Self { verdict: Verdict::Inconclusive, evidence: Vec::new(), note: note.into() }
    }

    pub(crate) fn into_finding(self, criterion: &str) -> Finding {
        Finding {
            criterion: criterion.to_owned(),
            verdict: self.verdict,
            evidence: self.evidence,
            note: show::printable(&self.note),
        }
    }
}
