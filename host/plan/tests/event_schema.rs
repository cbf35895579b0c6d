//! The schema of events against the events: one of each kind, as it is written.
//!
//! Invariant: the schema has every kind that there is, each with exactly its fields.

use std::collections::BTreeSet;

use idumb_core::{
    AccessRecord, Actor, Aftermath, Artifact, Blocker, CheckpointAt, CriterionId, Digest,
    ErrorCode, Event, Evidence, EvidenceId, Examination, Failure, FailureKind, Finding, Grants,
    Interruption, Judgement, LogLevel, LogLine, Observed, Parking, PauseCause, Prerequisite,
    Prompt, Refusal, Refused, Resort, Role, RuleDecision, RunConfig, RunId, RunOutcome, Scope,
    SealedAttempt, Stamped, Subject, TaskId, Trouble, Unkept, Verdict, WorkflowStep,
};
use idumb_plan::{Schema, schema};
use serde_json::{Value, json};

fn task() -> TaskId {
    TaskId::new("P1-T1").expect("an id")
}

fn digest() -> Digest {
    Digest::of(b"")
}

fn config() -> RunConfig {
    RunConfig::new(RunId::new("phase-1-r1").expect("an id"))
}

fn examination() -> Examination {
    let id = EvidenceId::new("e1").expect("an id");
    let finding = Finding {
        criterion: CriterionId::new("P1-T1.1").expect("an id"),
        verdict: Verdict::Pass,
        evidence: vec![id.clone()],
        note: String::new(),
    };
    let observed = Observed::Absent { path: "a".into() };
    Examination {
        findings: vec![finding],
        evidence: vec![Evidence { id, observed }],
        ..Examination::default()
    }
}

fn judgement() -> Judgement {
    Judgement { verdict: Verdict::Pass, unmet: Vec::new() }
}

fn scope() -> Scope {
    Scope::Exactly { grants: Grants::default() }
}

fn record() -> AccessRecord {
    AccessRecord::default()
}

/// What happens to a task.
fn of_a_task() -> Vec<Event> {
    let (attempt, epoch, change_set) = (1, 2, digest());
    let (agent, grants) = ("builder".to_owned(), Grants::default());
    let log = vec![LogLine { level: LogLevel::Info, message: "m".into() }];
    let artifacts = vec![Artifact { path: "a".into(), digest: None }];
    let failure =
        Failure { kind: FailureKind::Other, message: "m".into(), step: None, retryable: true };
    let sealed = SealedAttempt {
        change_set,
        paths: vec!["a".into()],
        summary: "s".into(),
        artifacts: artifacts.clone(),
        record: record(),
        evidence: examination().evidence,
        log: log.clone(),
    };
    vec![
        Event::LeaseGranted {
            task: task(),
            attempt,
            epoch,
            agent: agent.clone(),
            grants: grants.clone(),
        },
        Event::AttemptStarted { task: task(), epoch },
        Event::AttemptSealed { task: task(), attempt, epoch, sealed },
        Event::ValidationStarted { task: task(), epoch, change_set, agent, grants },
        Event::ValidationInterrupted { task: task(), epoch },
        Event::CandidateExamined {
            task: task(),
            epoch,
            change_set,
            examination: examination(),
            record: record(),
        },
        Event::CandidateJudged {
            task: task(),
            attempt,
            epoch,
            change_set,
            examination: examination(),
            judgement: judgement(),
            record: record(),
        },
        Event::JudgementOutdated { task: task(), path: "a".into(), by: task() },
        Event::IntegrationStarted { task: task(), epoch, change_set },
        Event::TaskSucceeded { task: task(), attempt, epoch, artifacts },
        Event::AttemptFailed {
            task: task(),
            attempt,
            epoch,
            trouble: Trouble::Failure(failure),
            record: record(),
            log,
            then: Aftermath::Park(Parking::Exhausted),
        },
        Event::AttemptInterrupted { task: task(), attempt, epoch, cause: Interruption::HostDied },
        Event::BackOffEnded { task: task() },
        Event::TaskParked { task: task(), parking: Parking::HostDied { times: 3 } },
        Event::LeaseRenewed { task: task(), epoch },
        Event::RuleApplied {
            task: task(),
            rule: "r".into(),
            blocker: Blocker::Trap,
            decision: RuleDecision::Resort { then: Resort::Skip },
        },
        Event::TaskFailed { task: task(), code: ErrorCode::E002, reason: "r".into() },
        Event::TaskSkipped { task: task(), because: None },
        Event::TaskSkipped { task: task(), because: Some(task()) },
        Event::TaskReopened { task: task() },
        Event::CheckpointPassed { task: task(), at: CheckpointAt::Before },
        Event::QuestionDeclined { task: task(), epoch, question: "q".into() },
        Event::StaleAnswer { task: task(), epoch, answer: "a".into() },
    ]
}

/// What happens to a run.
fn of_a_run() -> Vec<Event> {
    let (plan, reason) = (digest(), "r".to_owned());
    let why = Refusal::Never { path: "a".parse().expect("a pattern"), policy: "p".into() };
    let prompt = Prompt {
        id: 1,
        subject: Subject::Batch,
        question: "q".into(),
        options: vec![("yes".into(), "Yes".into())],
    };
    vec![
        Event::RunStarted {
            phase: "1-a".into(),
            goal: "g".into(),
            plan,
            tasks: 1,
            config: config(),
        },
        Event::StepEntered { step: WorkflowStep::ValidatePlan },
        Event::PlanValidated {
            prerequisites: vec![Prerequisite { phase: "0".into(), completed_by: None }],
            examination: examination(),
            met: false,
        },
        Event::Delegated { from: Actor::User, to: Actor::SupremeCoordinator, scope: scope() },
        Event::DelegationRefused { refused: Refused { to: Actor::Builder, task: None, why } },
        Event::BatchStarted { batch: 1, tasks: vec![task()] },
        Event::PhaseCheckStarted {
            role: Role::Verifier,
            epoch: 1,
            agent: "verifier".into(),
            scope: scope(),
        },
        Event::PhaseCheckVoid { role: Role::IntegrationChecker, reason: reason.clone() },
        Event::IntegrationJudged { examination: examination(), judgement: judgement() },
        Event::PhaseJudged { examination: examination(), judgement: judgement() },
        Event::PhaseCheckFailed {
            role: Role::Verifier,
            trouble: Trouble::Trap { message: "m".into() },
        },
        Event::PauseRequested { cause: PauseCause::User, reason: reason.clone() },
        Event::RunPaused { cause: PauseCause::Resource, reason: reason.clone() },
        Event::RunResumed { config: config() },
        Event::CancelRequested { reason },
        Event::Replanned {
            plan,
            tasks: 1,
            kept: vec![task()],
            changed: vec![(task(), Unkept::Definition)],
        },
        Event::PromptOpened { prompt },
        Event::PromptAnswered { prompt: 1, choice: "yes".into(), note: None },
        Event::PromptAnswered { prompt: 1, choice: "yes".into(), note: Some("n".into()) },
        Event::PromptWithdrawn { prompt: 1 },
        Event::RunFinished { outcome: RunOutcome::Completed },
        Event::RunFinished {
            outcome: RunOutcome::Failed { code: ErrorCode::E005, reason: "r".into() },
        },
    ]
}

fn written() -> Vec<Value> {
    let events = of_a_task().into_iter().chain(of_a_run());
    events
        .map(|event| serde_json::to_value(Stamped { at: 1, up: 2, event }).expect("JSON"))
        .collect()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn every_kind_is_there_and_no_other() {
    let schema = schema(Schema::Events);
    let lines = schema["oneOf"].as_array().expect("the kinds");
    let known: Vec<&str> = lines.iter().filter_map(|line| line["title"].as_str()).collect();
    let expected: Vec<&str> = Event::KINDS.iter().copied().chain(["format", "error"]).collect();
    assert_eq!(known, expected);
    let written = written();
    let met: BTreeSet<&str> = written.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(met, Event::KINDS.iter().copied().collect(), "a kind without its example");
}

#[test]
fn every_event_is_valid_with_exactly_its_fields() {
    let schema = schema(Schema::Events);
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    for event in written() {
        assert!(validator.is_valid(&event), "{event}");
        let mut lines = schema["oneOf"].as_array().expect("the kinds").iter();
        let line = lines.find(|line| line["title"] == event["kind"]).expect("its kind");
        assert_eq!(keys(&line["properties"]), keys(&event), "{}", event["kind"]);
        for key in keys(&event) {
            let mut less = event.clone();
            less.as_object_mut().expect("an object").remove(key);
            assert!(!validator.is_valid(&less), "without {key}: {event}");
            // No field may hold a number below 0.
            let mut other = event.clone();
            other[key] = json!(-1);
            assert!(!validator.is_valid(&other), "with another {key}: {event}");
        }
    }
}

#[test]
fn the_lines_beside_events_are_valid() {
    let validator = jsonschema::draft202012::new(&schema(Schema::Events)).expect("a schema");
    let error = |code: Value| json!({ "kind": "error", "version": 1, "code": code, "message": "m", "hints": ["h"] });
    for (line, valid) in [
        (json!({ "kind": "format", "format": "idumb-events", "version": 1 }), true),
        (json!({ "kind": "format", "format": "idumb-events", "version": 2 }), false),
        (error(json!(null)), true),
        (error(json!("E001")), true),
        (error(json!(1)), false),
        (json!({ "kind": "error", "code": null, "message": "m" }), false),
        (json!({ "kind": "dry_run" }), false),
        (json!([]), false),
    ] {
        assert_eq!(validator.is_valid(&line), valid, "{line}");
    }
}
