//! Events and effects in a few words.
//!
//! Invariant: an event's words begin with its kind in the journal.

use idumb_core::{Effect, Event, RunOutcome, Subject, TaskId};

pub(crate) fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::Build { task, .. } => format!("build {task}"),
        Effect::Validate { task, .. } => format!("validate {task}"),
        Effect::Integrate { task, .. } => format!("integrate {task}"),
        Effect::CheckPhase { role } => format!("check {role}"),
        Effect::WriteState { .. } => "write state".to_owned(),
        Effect::Ask { prompt } => format!("ask {}", prompt.id),
        Effect::Reply { token, .. } => format!("reply {token}"),
    }
}

pub(crate) fn event_text(event: &Event) -> String {
    let detail = match event {
        Event::StepEntered { step } => format!("{step:?}"),
        Event::BatchStarted { batch, tasks } => {
            let names: Vec<&str> = tasks.iter().map(TaskId::as_str).collect();
            format!("{batch} {}", names.join(","))
        }
        Event::AttemptStarted { task, attempt, epoch } => format!("{task} #{attempt} e{epoch}"),
        Event::LeaseRenewed { task, epoch } => format!("{task} e{epoch}"),
        Event::AttemptFailed { task, trouble, .. } => format!("{task} {}", trouble.code()),
        Event::TaskFailed { task, code, .. } => format!("{task} {code}"),
        Event::TaskSkipped { task, because } => format!("{task} because {because}"),
        Event::StaleAnswer { task, epoch, .. } => format!("{task} e{epoch}"),
        Event::PhaseCheckFailed { role, .. } => role.to_string(),
        Event::PromptOpened { prompt } => match &prompt.subject {
            Subject::Checkpoint => "checkpoint".to_owned(),
            Subject::Blocker { task } => format!("blocker {task}"),
            Subject::Agent { task, .. } => format!("agent {task}"),
        },
        Event::PromptAnswered { choice, .. } => choice.clone(),
        Event::RunPaused { cause, .. } => format!("{cause:?}"),
        Event::RunFinished { outcome } => match outcome {
            RunOutcome::Completed => "completed".to_owned(),
            RunOutcome::Failed { code, .. } => code.to_string(),
        },
        other => other.task().map_or_else(String::new, ToString::to_string),
    };
    format!("{} {detail}", event.kind()).trim_end().to_owned()
}
