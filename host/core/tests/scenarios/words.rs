//! Events and effects in a few words.
//!
//! Invariant: an event's words begin with its kind in the journal.

use idumb_core::{
    Aftermath, Control, Effect, Event, Lease, Parking, RuleDecision, RunOutcome, Subject, TaskId,
};

pub(crate) fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Build { task, .. } => format!("build {task}"),
        Effect::Validate { task, .. } => format!("validate {task}"),
        Effect::Integrate { task, .. } => format!("integrate {task}"),
        Effect::CheckPhase { role, .. } => format!("check {role}"),
        Effect::Stop { lease: Lease::Task { task, .. } } => format!("stop {task}"),
        Effect::Stop { lease: Lease::Phase { role, .. } } => format!("stop {role}"),
        Effect::WriteState { .. } => "write state".to_owned(),
        Effect::Ask { prompt } => format!("ask {}", prompt.id),
        Effect::Reply { token, .. } => format!("reply {token}"),
    }
}

pub(crate) fn control_text(control: &Control) -> String {
    match control {
        Control::Active => "active".to_owned(),
        Control::PauseRequested(cause, _) => format!("pausing {cause:?}"),
        Control::Paused(cause, _) => format!("paused {cause:?}"),
        Control::Cancelling(_) => "cancelling".to_owned(),
        Control::Finished(outcome) => outcome_text(outcome),
    }
}

fn outcome_text(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Completed => "completed".to_owned(),
        RunOutcome::Failed { code, .. } => code.to_string(),
        RunOutcome::Refused { .. } => "refused".to_owned(),
        RunOutcome::Cancelled { .. } => "cancelled".to_owned(),
    }
}

fn aftermath_text(then: Aftermath) -> String {
    match then {
        Aftermath::Rerun => "rerun".to_owned(),
        Aftermath::BackOff { delay_ms } => format!("after {delay_ms}"),
        Aftermath::Park(Parking::Exhausted) => "exhausted".to_owned(),
        Aftermath::Park(Parking::NotRetryable) => "hopeless".to_owned(),
        Aftermath::Park(Parking::HostDied { times }) => format!("deadly {times}"),
        Aftermath::Ready => "ready".to_owned(),
    }
}

pub(crate) fn event_text(event: &Event) -> String {
    let detail = match event {
        Event::StepEntered { step } => format!("{step:?}"),
        Event::Delegated { from, to, .. } => format!("{from} {to}"),
        Event::BatchStarted { batch, tasks } => {
            let names: Vec<&str> = tasks.iter().map(TaskId::as_str).collect();
            format!("{batch} {}", names.join(","))
        }
        Event::LeaseGranted { task, attempt, epoch, .. } => format!("{task} #{attempt} e{epoch}"),
        Event::LeaseRenewed { task, epoch } => format!("{task} e{epoch}"),
        Event::AttemptFailed { task, trouble, then, .. } => {
            format!("{task} {} {}", trouble.code(), aftermath_text(*then))
        }
        Event::AttemptInterrupted { task, cause, .. } => format!("{task} {cause:?}"),
        Event::TaskParked { task, parking: Parking::HostDied { times } } => {
            format!("{task} deadly {times}")
        }
        Event::RuleApplied { task, rule, blocker, decision } => match decision {
            RuleDecision::Retry { delay_ms } => {
                format!("{task} {rule} {blocker} retry after {delay_ms}")
            }
            RuleDecision::Resort { then } => format!("{task} {rule} {blocker} {then}"),
        },
        Event::TaskFailed { task, code, .. } => format!("{task} {code}"),
        Event::TaskSkipped { task, because: Some(other) } => format!("{task} because {other}"),
        Event::StaleAnswer { task, epoch, .. } => format!("{task} e{epoch}"),
        Event::PhaseCheckStarted { role, epoch, .. } => format!("{role} e{epoch}"),
        Event::PhaseCheckVoid { role, .. } | Event::PhaseCheckFailed { role, .. } => {
            role.to_string()
        }
        Event::PromptOpened { prompt } => match &prompt.subject {
            Subject::Batch => "batch".to_owned(),
            Subject::Checkpoint { task, .. } => format!("checkpoint {task}"),
            Subject::Blocker { task } => format!("blocker {task}"),
            Subject::Judged { task, .. } => format!("judged {task}"),
            Subject::Agent { task, .. } => format!("agent {task}"),
        },
        Event::PromptAnswered { prompt, choice, .. } => format!("{prompt} {choice}"),
        Event::PromptWithdrawn { prompt } => prompt.to_string(),
        Event::PauseRequested { cause, .. } | Event::RunPaused { cause, .. } => {
            format!("{cause:?}")
        }
        Event::RunFinished { outcome } => outcome_text(outcome),
        other => other.task().map_or_else(String::new, ToString::to_string),
    };
    format!("{} {detail}", event.kind()).trim_end().to_owned()
}
