//! What it takes to go on with a long run: prints times from one run.
//!
//! `cargo bench -p idumb --bench resume [-- TASKS]` has a run of a plan of TASKS tasks (100,000 by
//! default) get more than half way in memory, records all of its events and a snapshot, and then
//! takes it up again and again: from opening the journal to the batch that is formed of the ready
//! tasks.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use idumb_core::{
    AccessRecord, Digest, Effect, Event, Evidence, EvidenceId, Examination, Finding, Input, Mode,
    Observed, Plan, Run, RunConfig, RunId, SNAPSHOT_FORMAT, SealedAttempt, Stamped, Task, Verdict,
};
use idumb_journal::{Journal, NewEvent, NewRun, StateDir};

const TIMES: usize = 11;
/// How many events came after the snapshot.
const TAIL: usize = 1500;

fn main() {
    let tasks: usize =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir_in(".").expect("a new folder");
    let plan = plan(tasks);
    let config = RunConfig {
        mode: Mode::Auto,
        batch_size: 1000,
        ..RunConfig::new(RunId::new("phase-1-r1").expect("an identifier"))
    };
    let (events, snapshot) = work(&plan, &config, tasks * 6 / 10);
    record(folder.path(), &plan, &config, &events, &snapshot);
    let covered = events.len() - TAIL;

    let mut out = String::new();
    let _ = writeln!(
        out,
        "a run of {tasks} tasks, {} events, a snapshot of {} KiB and {TAIL} events after it",
        events.len(),
        snapshot.len() / 1024
    );
    let taken: Vec<[Duration; 5]> =
        (0..TIMES).map(|_| taken_up(folder.path(), &plan, &config)).collect();
    let median = |part: usize| {
        let mut times: Vec<Duration> = taken.iter().map(|times| times[part]).collect();
        times.sort();
        times[TIMES / 2]
    };
    let whole = median(4);
    let parts = ["open the journal", "read snapshot and tail", "recover", "form a batch", "in all"];
    for (part, what) in parts.into_iter().enumerate() {
        let _ = writeln!(out, "{what:<28}{:>10.2?}", median(part));
    }
    let start = Instant::now();
    let folded = Run::recover(plan.clone(), config.clone(), &events);
    let fold = start.elapsed();
    assert_eq!(folded.state().completed.len(), tasks * 6 / 10);
    let _ = writeln!(
        out,
        "fold all events instead     {fold:>10.2?}  {:.0} x all of the above, without reading them",
        fold.as_secs_f64() / whole.as_secs_f64()
    );
    let text = serde_json::to_string(&plan).expect("a plan is JSON");
    let start = Instant::now();
    let parsed: Plan = serde_json::from_str(&text).expect("it is");
    let _ = writeln!(
        out,
        "parse the plan ({} MiB), beside {:>8.2?}  not part of the above",
        text.len() >> 20,
        start.elapsed()
    );
    assert_eq!(parsed.tasks.len(), tasks);
    let _ = writeln!(out, "{covered} events were not read");
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
}

/// Layers of a hundred, each task depending on two of the layer above.
fn plan(tasks: usize) -> Plan {
    let task = |index: usize| -> Task {
        let above = |shift: usize| {
            let layer = (index / 100).checked_sub(1)?;
            Some(format!("T{}", layer * 100 + (index + shift) % 100))
        };
        let after: Vec<String> = [above(0), above(7)].into_iter().flatten().collect();
        serde_json::from_value(serde_json::json!({
            "id": format!("T{index}"), "title": format!("Task {index}"), "description": "",
            "agent": "builder", "depends_on": after, "reads": [],
            "writes": [format!("out/{index}.txt")], "artifacts": [], "timeout": null, "retries": 0,
            "steps": [], "options": {},
            "accept": [{
                "id": format!("T{index}.1"), "text": "it is there", "kind": "exists",
                "args": {"path": format!("out/{index}.txt")}, "looks_at": [],
            }],
        }))
        .expect("a task")
    };
    let mut plan: Plan = serde_json::from_value(serde_json::json!({
        "phase": {"number": 1, "name": "long"}, "goal": "Measure.", "depends_on": [],
        "supersedes": [], "tasks": [], "links": [], "digest": Digest::of(b"").to_string(),
    }))
    .expect("a plan");
    plan.tasks = (0..tasks).map(task).collect();
    plan
}

/// Runs the plan with a world that does everything at once, until so many tasks are done; the
/// events, and the state some events before their end.
fn work(plan: &Plan, config: &RunConfig, until: usize) -> (Vec<Stamped>, Vec<u8>) {
    let mut run = Run::new(plan.clone(), config.clone());
    let (mut events, mut now) = (Vec::new(), 0);
    run.handle(now, Input::Begin { prerequisites: Vec::new() });
    let mut todo = Vec::new();
    loop {
        while let Some(event) = run.poll_event() {
            events.push(event);
        }
        todo.extend(std::iter::from_fn(|| run.poll_effect()));
        if run.state().completed.len() >= until {
            break;
        }
        now += 1;
        let effect = todo.pop().expect("there is always something to do");
        if let Some(answer) = answer(&effect) {
            run.handle(now, answer);
        }
    }
    let covered = events.len() - TAIL;
    let before = Run::recover(plan.clone(), config.clone(), &events[..covered]);
    (events, before.snapshot())
}

fn answer(effect: &Effect) -> Option<Input> {
    match effect {
        Effect::Build { task, epoch, .. } => {
            let sealed = SealedAttempt {
                change_set: Digest::of(task.as_str().as_bytes()),
                paths: vec![format!("out/{task}.txt")],
                summary: "done".to_owned(),
                artifacts: Vec::new(),
                record: AccessRecord::default(),
                evidence: Vec::new(),
                log: Vec::new(),
            };
            let result = Ok(Box::new(sealed));
            Some(Input::Built { task: task.clone(), epoch: *epoch, result })
        }
        Effect::Validate { task, epoch, change_set, .. } => {
            let id = EvidenceId::new("e1").expect("an identifier");
            let observed = Observed::Absent { path: "x".to_owned() };
            let finding = Finding {
                criterion: format!("{task}.1").parse().expect("an identifier"),
                verdict: Verdict::Pass,
                evidence: vec![id.clone()],
                note: String::new(),
            };
            let examination = Examination {
                findings: vec![finding],
                evidence: vec![Evidence { id, observed }],
                ..Examination::default()
            };
            let result = Ok((examination, AccessRecord::default()));
            let (task, epoch, change_set) = (task.clone(), *epoch, *change_set);
            Some(Input::Validated { task, epoch, change_set, result })
        }
        Effect::Integrate { task, epoch, .. } => {
            Some(Input::Integrated { task: task.clone(), epoch: *epoch, result: Ok(Vec::new()) })
        }
        _ => None,
    }
}

fn record(folder: &Path, plan: &Plan, config: &RunConfig, events: &[Stamped], snapshot: &[u8]) {
    let state = StateDir::prepare(folder).expect("a state folder");
    let mut journal = Journal::open(&state.lock().expect("the lock")).expect("a journal");
    let new = NewRun {
        run: &config.run,
        phase: &plan.phase,
        plan_digest: plan.digest,
        plan: "{}",
        started_at: 0,
    };
    journal.begin_run(&new, &[]).expect("a run");
    for some in events.chunks(10_000) {
        let rows: Vec<NewEvent<'_>> = some.iter().map(row).collect();
        journal.append(&config.run, &rows).expect("an append");
    }
    let covered = (events.len() - TAIL) as u64;
    journal.save_snapshot(&config.run, covered, SNAPSHOT_FORMAT, snapshot).expect("a snapshot");
}

fn row(stamped: &Stamped) -> NewEvent<'_> {
    NewEvent {
        at: stamped.at,
        kind: stamped.event.kind(),
        task: stamped.event.task(),
        body: serde_json::to_string(stamped).expect("events are JSON"),
    }
}

/// Opening, reading, recovering, going on, and all of it.
fn taken_up(folder: &Path, plan: &Plan, config: &RunConfig) -> [Duration; 5] {
    let plan = plan.clone();
    let state = StateDir::find(folder).expect("a folder").expect("a state folder");
    let lock = state.lock().expect("the lock");
    let start = Instant::now();
    let journal = Journal::open(&lock).expect("a journal");
    let opened = start.elapsed();
    let saved = journal.snapshot(&config.run).expect("sound").expect("a snapshot");
    let tail: Vec<Stamped> = journal
        .events_from(&config.run, saved.seq)
        .expect("events")
        .iter()
        .map(|event| serde_json::from_str(&event.body).expect("an event"))
        .collect();
    let read = start.elapsed();
    let mut run =
        Run::recover_from(plan, config.clone(), &saved.body, &tail).expect("a sound snapshot");
    let recovered = start.elapsed();
    run.resume(1);
    let mut ready = 0;
    while let Some(stamped) = run.poll_event() {
        if let Event::BatchStarted { tasks, .. } = &stamped.event {
            ready = tasks.len();
        }
        if let Event::LeaseGranted { .. } = &stamped.event {
            ready += 1;
        }
    }
    let whole = start.elapsed();
    assert!(ready > 0, "nothing is ready");
    [opened, read - opened, recovered - read, whole - recovered, whole]
}
