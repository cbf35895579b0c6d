//! Good answers, and bad ones of every kind.
//!
//! Invariant: none of them depends on anything but its arguments and chance.

use idumb_core::{
    Artifact, CriterionId, Effect, Evidence, EvidenceId, Examination, Failure, FailureKind,
    Finding, Input, Observed, Other, Plan, Role, Trouble, Verdict,
};

use crate::rng::Rng;

pub(crate) fn question(effect: &Effect, token: u64) -> Option<Input> {
    let (Effect::Build { task, epoch, .. } | Effect::Validate { task, epoch, .. }) = effect else {
        return None;
    };
    let option = |text: &str| (text.to_owned(), text.to_owned());
    Some(Input::Ask {
        task: task.clone(),
        epoch: *epoch,
        token,
        question: String::new(),
        options: vec![option("yes"), option("pause")],
    })
}

/// An integration that was refused before anything was changed.
pub(crate) fn refused(effect: &Effect, rng: &mut Rng) -> Input {
    let outside = Trouble::Conflict {
        path: "a/1".to_owned(),
        with: Other::Outside { expected: None, found: None },
    };
    let trouble = if rng.chance(70) { outside } else { broken_off(rng) };
    integrated(effect, Some(trouble))
}

/// What an integration may break off with, anywhere.
pub(crate) fn broken_off(rng: &mut Rng) -> Trouble {
    let message = "no space".to_owned();
    match rng.below(3) {
        0 => Trouble::Unavailable { message },
        1 => Trouble::Error { message },
        _ => Trouble::Trap { message },
    }
}

pub(crate) fn integrated(effect: &Effect, trouble: Option<Trouble>) -> Input {
    let Effect::Integrate { task, epoch, .. } = effect else {
        unreachable!("only integrations integrate");
    };
    // Some leave something behind, some nothing.
    let left = Artifact { path: "a/1".to_owned(), digest: None };
    let artifacts = if task.as_str() == "T1" { vec![left] } else { Vec::new() };
    let result = trouble.map_or(Ok(artifacts), Err);
    Input::Integrated { task: task.clone(), epoch: *epoch, result }
}

/// What an agent's work may come to nothing by. Only the run's own clock says `timeout`.
pub(crate) fn trouble(rng: &mut Rng) -> Trouble {
    let message = String::new();
    match rng.below(12) {
        0 => Trouble::Error { message },
        1 => Trouble::Unavailable { message },
        2 | 3 => Trouble::Trap { message },
        4 => Trouble::Conflict { path: "a/1".to_owned(), with: Other::Unknown },
        n => Trouble::Failure(Failure {
            kind: if n == 5 { FailureKind::Denied } else { FailureKind::Other },
            message,
            step: None,
            retryable: n > 6,
        }),
    }
}

pub(crate) fn passing(asked: &[CriterionId], id: &EvidenceId) -> Examination {
    let finding = |criterion: &CriterionId| Finding {
        criterion: criterion.clone(),
        verdict: Verdict::Pass,
        evidence: vec![id.clone()],
        note: String::new(),
    };
    Examination {
        findings: asked.iter().map(finding).collect(),
        evidence: vec![Evidence {
            id: id.clone(),
            observed: Observed::Dir { path: String::new() },
        }],
        ..Examination::default()
    }
}

/// Makes an examination unfit to pass, in one of the ways there are.
pub(crate) fn spoil(examination: &mut Examination, rng: &mut Rng) {
    let index = rng.below(examination.findings.len());
    let finding = &mut examination.findings[index];
    match rng.below(6) {
        0 => finding.verdict = Verdict::Fail,
        1 => finding.verdict = Verdict::Inconclusive,
        2 => finding.evidence.clear(),
        3 => finding.evidence.push(EvidenceId::new("invented").expect("an identifier")),
        4 => {
            let twice = finding.clone();
            examination.findings.push(twice);
        }
        _ => {
            examination.findings.remove(index);
        }
    }
}

/// The evidence of a phase-wide check says under which epoch it was made.
pub(crate) fn phase_evidence(epoch: u32) -> EvidenceId {
    EvidenceId::new(format!("check-{epoch}")).expect("an identifier")
}

pub(crate) fn phase_checked(
    plan: &Plan,
    rng: &mut Rng,
    bad: u32,
    role: Role,
    epoch: u32,
) -> Result<(Vec<CriterionId>, Examination), Trouble> {
    if rng.chance(bad / 4) {
        return Err(trouble(rng));
    }
    if role == Role::IntegrationChecker && rng.chance(50) {
        return Ok((Vec::new(), Examination::default()));
    }
    let criteria = plan.tasks.iter().flat_map(|task| &task.accept);
    let asked: Vec<CriterionId> = criteria.map(|criterion| criterion.id.clone()).collect();
    let mut examination = passing(&asked, &phase_evidence(epoch));
    if rng.chance(bad) {
        spoil(&mut examination, rng);
    }
    Ok((asked, examination))
}
