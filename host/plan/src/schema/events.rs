//! The schema of a line of `--format=jsonl`.
//!
//! Invariant: every kind of event is here, with the fields that it always has. It is written
//! by hand, since `idumb-core` knows no schemas; a test serialises every kind, and compares.

use idumb_core::{Blocker, Role};
use serde_json::{Map, Value, json};

use super::{about, leaf, list, number, word};

/// A field's value.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// Any text.
    Text,
    /// A text, or null.
    MaybeText,
    /// True or false.
    Flag,
    /// A whole number from 0.
    Count,
    /// A task's id.
    Task,
    /// A task's id, or null.
    MaybeTask,
    /// A list of tasks' ids.
    Tasks,
    /// A digest of BLAKE3.
    Digest,
    /// The role of an agent.
    Role,
    /// A kind of blocker, as rules know it.
    Blocker,
    /// `E001` and so on.
    Code,
    /// A record whose fields are not looked at.
    Record,
    /// A record that says by this key which it is.
    Tagged(&'static str),
    /// A list of records, or of lists.
    List,
}

use Field::{
    Blocker as Blocked, Code, Count, Digest, Flag, List, MaybeTask, MaybeText, Record, Role as Who,
    Tagged, Task, Tasks, Text,
};

/// A kind of event: its name, what happened, and its fields.
type Kind = (&'static str, &'static str, &'static [(&'static str, Field)]);

const EVENTS: &[Kind] = &[
    (
        "run_started",
        "The run began.",
        &[("phase", Text), ("goal", Text), ("plan", Digest), ("tasks", Count), ("config", Record)],
    ),
    ("step_entered", "The phase entered a step of the workflow.", &[("step", Text)]),
    (
        "plan_validated",
        "The plan is there and valid; its prerequisites were looked up.",
        &[("prerequisites", List), ("examination", Record), ("met", Flag)],
    ),
    (
        "delegated",
        "A link of the chain handed authority on.",
        &[("from", Text), ("to", Text), ("scope", Tagged("scope"))],
    ),
    (
        "delegation_refused",
        "High-governance did not hand on what was asked for.",
        &[("refused", Record)],
    ),
    ("batch_started", "A batch was formed.", &[("batch", Count), ("tasks", Tasks)]),
    (
        "lease_granted",
        "The executor delegated a task to a builder: this agent, with these grants.",
        &[
            ("task", Task),
            ("attempt", Count),
            ("epoch", Count),
            ("agent", Text),
            ("grants", Record),
        ],
    ),
    ("attempt_started", "The builder began.", &[("task", Task), ("epoch", Count)]),
    (
        "attempt_sealed",
        "The builder was done; its upper layer was frozen into a change-set.",
        &[("task", Task), ("attempt", Count), ("epoch", Count), ("sealed", Record)],
    ),
    (
        "validation_started",
        "The executor delegated the validation of a candidate.",
        &[
            ("task", Task),
            ("epoch", Count),
            ("change_set", Digest),
            ("agent", Text),
            ("grants", Record),
        ],
    ),
    (
        "validation_interrupted",
        "The validation was stopped because the run is to rest; the candidate is kept.",
        &[("task", Task), ("epoch", Count)],
    ),
    (
        "candidate_examined",
        "What can be checked was checked and holds; the rest is for a person to judge.",
        &[
            ("task", Task),
            ("epoch", Count),
            ("change_set", Digest),
            ("examination", Record),
            ("record", Record),
        ],
    ),
    (
        "candidate_judged",
        "Every criterion was answered, and the host judged.",
        &[
            ("task", Task),
            ("attempt", Count),
            ("epoch", Count),
            ("change_set", Digest),
            ("examination", Record),
            ("judgement", Record),
            ("record", Record),
        ],
    ),
    (
        "judgement_outdated",
        "What the validator read was changed by another task; the candidate is judged again.",
        &[("task", Task), ("path", Text), ("by", Task)],
    ),
    (
        "integration_started",
        "The change-set is about to be applied to the base.",
        &[("task", Task), ("epoch", Count), ("change_set", Digest)],
    ),
    (
        "task_succeeded",
        "The change-set was applied, whole.",
        &[("task", Task), ("attempt", Count), ("epoch", Count), ("artifacts", List)],
    ),
    (
        "attempt_failed",
        "The attempt came to nothing; nothing of it was kept.",
        &[
            ("task", Task),
            ("attempt", Count),
            ("epoch", Count),
            ("trouble", Tagged("trouble")),
            ("record", Record),
            ("log", List),
            ("then", Tagged("then")),
        ],
    ),
    (
        "attempt_interrupted",
        "The attempt was cut short, and does not count; nothing of it was kept.",
        &[("task", Task), ("attempt", Count), ("epoch", Count), ("cause", Text)],
    ),
    ("back_off_ended", "A delay before another attempt is over.", &[("task", Task)]),
    (
        "task_parked",
        "The host died while the task ran, too often to try again without a decision.",
        &[("task", Task), ("parking", Tagged("parked"))],
    ),
    (
        "lease_renewed",
        "What an earlier life had under way goes on under a new epoch.",
        &[("task", Task), ("epoch", Count)],
    ),
    (
        "rule_applied",
        "A rule decided about a parked task.",
        &[("task", Task), ("rule", Text), ("blocker", Blocked), ("decision", Tagged("decision"))],
    ),
    ("task_failed", "The task is given up.", &[("task", Task), ("code", Code), ("reason", Text)]),
    (
        "task_skipped",
        "The task is left out: by choice, or because it depends on one that is.",
        &[("task", Task), ("because", MaybeTask)],
    ),
    (
        "task_reopened",
        "The run is taken up again, and the task gets another try.",
        &[("task", Task)],
    ),
    (
        "phase_check_started",
        "A phase-wide check was delegated to this agent.",
        &[("role", Who), ("epoch", Count), ("agent", Text), ("scope", Tagged("scope"))],
    ),
    (
        "phase_check_void",
        "There is nothing for the check to look at, so nothing is claimed.",
        &[("role", Who), ("reason", Text)],
    ),
    (
        "integration_judged",
        "The integration-checker answered, and the host judged.",
        &[("examination", Record), ("judgement", Record)],
    ),
    (
        "phase_judged",
        "The verifier answered, and the host judged.",
        &[("examination", Record), ("judgement", Record)],
    ),
    (
        "phase_check_failed",
        "A phase-wide check could not be carried out.",
        &[("role", Who), ("trouble", Tagged("trouble"))],
    ),
    (
        "pause_requested",
        "The run is to come to rest at a safe point.",
        &[("cause", Text), ("reason", Text)],
    ),
    (
        "run_paused",
        "The run came to rest; it can be resumed.",
        &[("cause", Text), ("reason", Text)],
    ),
    ("run_resumed", "The run goes on, from now on so configured.", &[("config", Record)]),
    (
        "cancel_requested",
        "A person gives the run up; what is under way is stopped.",
        &[("reason", Text)],
    ),
    (
        "replanned",
        "The run goes on with another plan: these tasks stay done.",
        &[("plan", Digest), ("tasks", Count), ("kept", Tasks), ("changed", List)],
    ),
    ("prompt_opened", "A decision is wanted.", &[("prompt", Record)]),
    (
        "prompt_answered",
        "A decision was made by a person.",
        &[("prompt", Count), ("choice", Text), ("note", MaybeText)],
    ),
    ("prompt_withdrawn", "Nobody needs the decision any more.", &[("prompt", Count)]),
    (
        "checkpoint_passed",
        "Auto mode went past a checkpoint that is not marked `human`.",
        &[("task", Task), ("checkpoint", Text)],
    ),
    (
        "question_declined",
        "An agent asked, and was told that nobody is there to answer.",
        &[("task", Task), ("epoch", Count), ("question", Text)],
    ),
    (
        "stale_answer",
        "An answer came from an attempt that no longer holds the lease; nothing was done.",
        &[("task", Task), ("epoch", Count), ("answer", Text)],
    ),
    ("run_finished", "The run ended.", &[("outcome", Tagged("outcome"))]),
];

pub(super) fn document() -> Value {
    let mut lines: Vec<Value> = EVENTS.iter().map(event).collect();
    lines.push(format_line());
    lines.push(error_line());
    json!({ "type": "object", "oneOf": lines })
}

fn event((kind, words, fields): &Kind) -> Value {
    let mut properties: Map<String, Value> =
        fields.iter().map(|(name, field)| ((*name).to_owned(), value(*field))).collect();
    let wall = "Wall-clock milliseconds since 1970: for display only.";
    properties.insert("at".to_owned(), about(number(0, None), wall));
    let up = "Milliseconds since the process began that recorded it: for durations.";
    properties.insert("up".to_owned(), about(number(0, None), up));
    about(line(kind, properties), words)
}

/// A line of a kind. It is open: a reader of events goes past what it does not know.
fn line(kind: &str, mut properties: Map<String, Value>) -> Value {
    properties.insert("kind".to_owned(), json!({ "const": kind }));
    let required: Vec<&String> = properties.keys().collect();
    json!({ "title": kind, "required": required, "properties": properties })
}

/// What a run prints before its events.
fn format_line() -> Value {
    let fields = [
        ("format".to_owned(), json!({ "const": "idumb-events" })),
        ("version".to_owned(), json!({ "const": 1 })),
    ];
    about(line("format", fields.into_iter().collect()), "The first line of a run's.")
}

/// What is printed where there is no run to tell of it.
fn error_line() -> Value {
    let hints = json!({ "type": "array", "items": leaf::any_text() });
    let fields = [
        ("version".to_owned(), json!({ "const": 1 })),
        ("code".to_owned(), maybe(value(Code))),
        ("message".to_owned(), leaf::any_text()),
        ("hints".to_owned(), about(hints, "What to do.")),
    ];
    about(line("error", fields.into_iter().collect()), "An error before or outside of a run.")
}

/// The same, or null.
fn maybe(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn value(field: Field) -> Value {
    match field {
        Text => leaf::any_text(),
        MaybeText => maybe(leaf::any_text()),
        Flag => super::flag(),
        Count => number(0, None),
        Task => leaf::id(),
        MaybeTask => maybe(leaf::id()),
        Tasks => list(leaf::id()),
        Digest => leaf::digest(),
        Who => word(Role::ALL.map(Role::as_str)),
        Blocked => word(Blocker::ALL.map(Blocker::as_str)),
        Code => json!({ "type": "string", "pattern": "^E[0-9]{3}$" }),
        Record => json!({ "type": "object" }),
        Tagged(tag) => json!({
            "type": "object",
            "required": [tag],
            "properties": { tag: { "type": "string" } },
        }),
        List => json!({ "type": "array" }),
    }
}
