//! What builders, validators and integrations come to.
//!
//! Invariant: everything follows from the arguments.

use idumb_core::{
    AccessRecord, CriterionId, Digest, Evidence, EvidenceId, Examination, Failure, FailureKind,
    Finding, Observed, Other, Read, SealedAttempt, Seen, Trouble, Verdict,
};

/// What a builder that read `reads` leaves; other epochs leave other candidates.
pub(crate) fn sealed(name: &str, epoch: u32, reads: &[&str]) -> SealedAttempt {
    SealedAttempt {
        change_set: candidate(name, epoch),
        paths: vec![format!("{name}.txt")],
        summary: format!("wrote {name}.txt"),
        artifacts: Vec::new(),
        record: reading(reads),
        evidence: Vec::new(),
        log: Vec::new(),
    }
}

/// The digest of the change-set that the builder of `name` seals in that epoch.
pub(crate) fn candidate(name: &str, epoch: u32) -> Digest {
    Digest::of(format!("{name} {epoch}").as_bytes())
}

pub(crate) fn reading(paths: &[&str]) -> AccessRecord {
    let read = |path: &&str| Read { path: (*path).to_owned(), seen: Seen::Content };
    AccessRecord { reads: paths.iter().map(read).collect(), ..AccessRecord::default() }
}

/// Each criterion passes on one observation.
pub(crate) fn passing(criteria: &[CriterionId]) -> Examination {
    let evidence = EvidenceId::new("e1").unwrap();
    let finding = |criterion: &CriterionId| Finding {
        criterion: criterion.clone(),
        verdict: Verdict::Pass,
        evidence: vec![evidence.clone()],
        note: "seen".to_owned(),
    };
    Examination {
        findings: criteria.iter().map(finding).collect(),
        evidence: vec![Evidence {
            id: evidence.clone(),
            observed: Observed::Dir { path: "src".to_owned() },
        }],
        ..Examination::default()
    }
}

/// As `passing`, but the last criterion got another verdict.
pub(crate) fn failing(mut examination: Examination, note: &str) -> Examination {
    if let Some(finding) = examination.findings.last_mut() {
        finding.verdict = Verdict::Fail;
        finding.note = note.to_owned();
    }
    examination
}

pub(crate) fn failure(message: &str) -> Trouble {
    Trouble::Failure(Failure {
        kind: FailureKind::Other,
        message: message.to_owned(),
        step: None,
        retryable: true,
    })
}

pub(crate) fn hopeless(message: &str) -> Trouble {
    Trouble::Failure(Failure {
        kind: FailureKind::Denied,
        message: message.to_owned(),
        step: Some(0),
        retryable: false,
    })
}

/// The host's own trouble.
pub(crate) fn error(message: &str) -> Trouble {
    Trouble::Error { message: message.to_owned() }
}

/// Something is not there that the work needs.
pub(crate) fn unavailable(message: &str) -> Trouble {
    Trouble::Unavailable { message: message.to_owned() }
}

/// Somebody outside of idumb changed `path`.
pub(crate) fn outside(path: &str) -> Trouble {
    Trouble::Conflict {
        path: path.to_owned(),
        with: Other::Outside { expected: None, found: None },
    }
}
