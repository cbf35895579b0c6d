//! Between core's types and the contract's records.
//!
//! Invariant: an agent's numbers, words and lists are bounded before they become ours.

use std::collections::HashSet;

use idumb_core::{
    Criterion, CriterionId, EvidenceId, Failure, FailureKind, Finding, Link, Step, Task,
    TestCounts, Unmet, Verdict,
};

use crate::contract::{commands, types};
use crate::log::shorten;
use crate::{CommandOutput, CommandRan, Completed, Context, Outcome};

const NOTE_BYTES: usize = 4096;
const MAX_ITEMS: usize = 10_000;
/// Bytes of the longest path that a view makes: a longer one names nothing.
const PATH_BYTES: usize = 4095;

fn json(args: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::Value::Object(args.clone()).to_string()
}

pub(crate) fn task(task: &Task) -> types::Task {
    let texts = |globs: &[idumb_core::PathGlob]| globs.iter().map(ToString::to_string).collect();
    let options = task.options.iter();
    types::Task {
        id: task.id.to_string(),
        title: task.title.clone(),
        description: task.description.clone(),
        reads: texts(&task.reads),
        writes: texts(&task.writes),
        artifacts: task.artifacts.clone(),
        steps: task.steps.iter().map(step).collect(),
        options: options
            .map(|(name, value)| types::Param { name: name.clone(), value: value.clone() })
            .collect(),
        accept: criteria(&task.accept),
    }
}

fn step(step: &Step) -> types::Step {
    types::Step { kind: step.kind.clone(), args: json(&step.args) }
}

pub(crate) fn criteria(criteria: &[Criterion]) -> Vec<types::Criterion> {
    let one = |criterion: &Criterion| types::Criterion {
        id: criterion.id.to_string(),
        text: criterion.text.clone(),
        kind: criterion.kind.clone(),
        args: json(&criterion.args),
    };
    criteria.iter().map(one).collect()
}

pub(crate) fn link(link: &Link) -> types::Link {
    types::Link {
        id: link.id.to_string(),
        from: link.from.clone(),
        pattern: link.pattern.clone(),
        to: link.to.clone(),
        provides: link.provides.clone(),
    }
}

pub(crate) fn context(context: &Context) -> types::Context {
    let feedback = |unmet: &Unmet| types::Finding {
        criterion: unmet.criterion.to_string(),
        verdict: match unmet.verdict {
            Verdict::Pass => types::Verdict::Pass,
            Verdict::Fail => types::Verdict::Fail,
            Verdict::Inconclusive => types::Verdict::Inconclusive,
        },
        evidence: Vec::new(),
        note: unmet.note.clone(),
    };
    let note = context.feedback.note.iter();
    types::Context {
        run: context.run.to_string(),
        phase: context.phase.to_string(),
        goal: context.goal.clone(),
        attempt: context.attempt,
        artifacts: context
            .artifacts
            .iter()
            .map(|(task, artifact)| types::Artifact {
                task: task.to_string(),
                path: artifact.path.clone(),
                digest: artifact.digest.map_or_else(String::new, |digest| digest.to_string()),
            })
            .collect(),
        feedback: context.feedback.unmet.iter().map(feedback).collect(),
        extra: note
            .map(|note| types::Param { name: "feedback".into(), value: note.clone() })
            .collect(),
    }
}

pub(crate) fn outcome(outcome: types::Outcome) -> Outcome {
    Outcome {
        completed: match outcome.status {
            types::Completion::Done => Completed::Done,
            types::Completion::AlreadyDone => Completed::AlreadyDone,
        },
        summary: shorten(&outcome.summary, NOTE_BYTES),
        artifacts: paths(outcome.artifacts),
    }
}

/// The different ones that can be paths; a cut one would be another path.
fn paths(mut paths: Vec<String>) -> Vec<String> {
    paths.truncate(MAX_ITEMS);
    let mut known = HashSet::new();
    paths.retain(|path| path.len() <= PATH_BYTES && known.insert(path.clone()));
    paths
}

pub(crate) fn failure(failure: types::Failure) -> Failure {
    Failure {
        kind: match failure.kind {
            types::FailureKind::Precondition => FailureKind::Precondition,
            types::FailureKind::Denied => FailureKind::Denied,
            types::FailureKind::Unsupported => FailureKind::Unsupported,
            types::FailureKind::Invalid => FailureKind::Invalid,
            types::FailureKind::Undecided => FailureKind::Undecided,
            types::FailureKind::Other => FailureKind::Other,
        },
        message: shorten(&failure.message, NOTE_BYTES),
        step: failure.step,
        retryable: failure.retryable,
    }
}

/// The findings; one for what cannot be a criterion is dropped, since it answers nothing.
pub(crate) fn findings(findings: Vec<types::Finding>) -> Vec<Finding> {
    let one = |finding: types::Finding| -> Option<Finding> {
        let evidence = finding.evidence.into_iter().take(MAX_ITEMS);
        // An id that cannot be one of ours is replaced by one that never is: the verdict
        // is rejected for it, as for any other evidence that was not recorded.
        let known = |id: String| EvidenceId::new(id).or_else(|_| EvidenceId::new("invalid"));
        Some(Finding {
            criterion: CriterionId::new(finding.criterion).ok()?,
            verdict: match finding.verdict {
                types::Verdict::Pass => Verdict::Pass,
                types::Verdict::Fail => Verdict::Fail,
                types::Verdict::Inconclusive => Verdict::Inconclusive,
            },
            evidence: evidence.filter_map(|id| known(id).ok()).collect(),
            note: shorten(&finding.note, NOTE_BYTES),
        })
    };
    findings.into_iter().take(MAX_ITEMS).filter_map(one).collect()
}

/// What an agent is told of a command that was run, as evidence `id`.
pub(crate) fn ran(id: String, ran: CommandRan) -> commands::Ran {
    let output = |output: CommandOutput| {
        let (beginning, left_out, end) = output.told();
        commands::Output { beginning, left_out, end }
    };
    commands::Ran {
        id,
        exit: ran.exit,
        ended: ran.ended,
        tests: ran.tests.map(|TestCounts { passed, failed, skipped }| commands::TestCounts {
            passed,
            failed,
            skipped,
        }),
        stdout: output(ran.stdout),
        stderr: output(ran.stderr),
        tree: ran.tree.to_string(),
        reused: ran.reused,
    }
}
