//! The journal as its users see it: what goes in comes out, in order, and beside a reader.
//!
//! Invariant: each test has a project of its own.

use std::ops::ControlFlow;

use idumb_core::{Digest, PhaseId, RunId, TaskId};
use idumb_journal::{Error, Journal, LockError, NewEvent, NewRun, Outcome, StateDir};
use tempfile::TempDir;

struct Project {
    _folder: TempDir,
    state: StateDir,
}

fn project() -> Project {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(folder.path()).unwrap();
    Project { _folder: folder, state }
}

fn open(project: &Project) -> Journal {
    Journal::open(&project.state.lock().unwrap()).unwrap()
}

fn phase(number: u32) -> PhaseId {
    PhaseId::new(number, "some-phase").unwrap()
}

fn begin(journal: &mut Journal, phase: &PhaseId) -> RunId {
    let run = journal.next_run_id(phase).unwrap();
    let plan = format!(r#"{{"of":"{phase}"}}"#);
    let plan_digest = Digest::of(plan.as_bytes());
    let new = NewRun { run: &run, phase, plan_digest, plan: &plan, started_at: 5 };
    assert_eq!(journal.begin_run(&new, &[]).unwrap(), 0..0);
    run
}

fn note(number: u64) -> NewEvent<'static> {
    NewEvent { at: number, kind: "noted", task: None, body: format!(r#"{{"n":{number}}}"#) }
}

fn end(journal: &mut Journal, run: &RunId, name: &str) {
    let outcome = Outcome { name: name.to_owned(), at: 9 };
    journal.append_with_outcome(run, &[note(0)], Some(outcome)).unwrap();
}

#[test]
fn what_is_appended_is_read_in_order_also_by_the_next_process() {
    let project = project();
    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let task = TaskId::new("P1-T1").unwrap();
    let about = NewEvent { task: Some(&task), ..note(1) };
    assert_eq!(journal.append(&run, &[note(0), about]).unwrap(), 0..2);
    assert_eq!(journal.append(&run, &[]).unwrap(), 2..2);
    assert_eq!(journal.append(&run, &[note(2)]).unwrap(), 2..3);
    let written = journal.events(&run).unwrap();
    drop(journal);

    let journal = open(&project);
    let read = journal.events(&run).unwrap();
    assert_eq!(read, written);
    let tasks: Vec<_> = read.iter().map(|event| event.task.clone()).collect();
    assert_eq!(tasks, [None, Some(task), None]);
    for (number, event) in (0..).zip(&read) {
        assert_eq!((event.seq, event.at), (number, number));
        assert_eq!((event.kind.as_str(), &event.body), ("noted", &note(number).body));
    }
    assert_eq!(journal.run(&run).unwrap().unwrap().events, 3);
    assert_eq!(journal.plan(&run).unwrap(), r#"{"of":"1-some-phase"}"#);
}

#[test]
fn runs_do_not_mix() {
    let project = project();
    let mut journal = open(&project);
    let (one, two) = (begin(&mut journal, &phase(1)), begin(&mut journal, &phase(1)));
    for number in 0..4 {
        journal.append(&one, &[note(number)]).unwrap();
        journal.append(&two, &[note(number + 100)]).unwrap();
    }
    let times = |run| journal.events(run).unwrap().iter().map(|e| e.at).collect::<Vec<_>>();
    assert_eq!(times(&one), [0, 1, 2, 3]);
    assert_eq!(times(&two), [100, 101, 102, 103]);
}

#[test]
fn reading_goes_on_from_any_event() {
    let project = project();
    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let notes: Vec<_> = (0..20).map(note).collect();
    journal.append(&run, &notes).unwrap();
    let all = journal.events(&run).unwrap();
    for from in 0..=20 {
        assert_eq!(journal.events_from(&run, from).unwrap(), all[usize::try_from(from).unwrap()..]);
    }
    assert_eq!(journal.events_from(&run, 21).unwrap(), []);
    assert_eq!(journal.events_from(&run, u64::MAX).unwrap(), []);

    let mut seen = 0;
    let until_third = |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    journal.visit(&run, 0, until_third).unwrap();
    assert_eq!(seen, 3);
}

#[test]
fn an_append_is_all_or_nothing() {
    let project = project();
    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let nameless = NewEvent { kind: "", ..note(1) };
    let refused = journal.append(&run, &[note(0), nameless]).unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    let outcome = Some(Outcome { name: "completed".to_owned(), at: 1 });
    let broken = NewEvent { body: "{".to_owned(), ..note(1) };
    journal.append_with_outcome(&run, &[note(0), broken], outcome).unwrap_err();
    assert_eq!(journal.events(&run).unwrap(), []);
    assert_eq!(journal.run(&run).unwrap().unwrap().outcome, None);

    let new = journal.next_run_id(&phase(1)).unwrap();
    let begun = NewRun {
        run: &new,
        phase: &phase(1),
        plan_digest: Digest::of(b""),
        plan: "{}",
        started_at: 0,
    };
    journal.begin_run(&begun, &[NewEvent { kind: "", ..note(1) }]).unwrap_err();
    assert_eq!(journal.run(&new).unwrap(), None, "a run does not begin without its events");
}

#[test]
fn a_run_is_begun_once_and_before_its_events() {
    let project = project();
    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let again = NewRun {
        run: &run,
        phase: &phase(1),
        plan_digest: Digest::of(b""),
        plan: "{}",
        started_at: 0,
    };
    let error = journal.begin_run(&again, &[]).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }), "{error:?}");

    let unknown = RunId::new("phase-9-r9").unwrap();
    let errors = [
        journal.append(&unknown, &[note(0)]).unwrap_err(),
        journal.append(&unknown, &[]).unwrap_err(),
        journal.append_with_outcome(&unknown, &[], None).unwrap_err(),
        journal.events(&unknown).unwrap_err(),
        journal.plan(&unknown).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::NoSuchRun { .. }), "{error:?}");
    }
    journal.append(&run, &[note(0)]).expect("a wrong name does no harm");
}

#[test]
fn runs_are_numbered_for_each_phase() {
    let project = project();
    let mut journal = open(&project);
    let names: Vec<_> = [1, 1, 10, 1].map(|number| begin(&mut journal, &phase(number))).into();
    let names: Vec<_> = names.iter().map(RunId::as_str).collect();
    assert_eq!(names, ["phase-1-r1", "phase-1-r2", "phase-10-r1", "phase-1-r3"]);
    let listed: Vec<_> =
        journal.runs().unwrap().into_iter().map(|row| row.run.to_string()).collect();
    assert_eq!(listed, names);
    for _ in 0..8 {
        begin(&mut journal, &phase(1));
    }
    let next = journal.next_run_id(&phase(1)).unwrap();
    assert_eq!(next.as_str(), "phase-1-r12", "by number, not by letters");
}

#[test]
fn outcomes_say_what_is_unfinished_and_what_is_completed() {
    let project = project();
    let mut journal = open(&project);
    let latest = |journal: &Journal, phase| {
        journal.latest_unfinished(phase).unwrap().map(|row| row.run.to_string())
    };
    let completed = |journal: &Journal| {
        let rows = journal.completed_phases().unwrap();
        rows.into_iter().map(|row| row.run.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(journal.latest_run(None).unwrap(), None);

    let first = begin(&mut journal, &phase(2));
    assert_eq!(latest(&journal, Some(2)).as_deref(), Some("phase-2-r1"));
    assert_eq!(latest(&journal, Some(1)), None);
    end(&mut journal, &first, "failed");
    assert_eq!(latest(&journal, Some(2)), None);
    journal.append_with_outcome(&first, &[note(1)], None).unwrap();
    assert_eq!(latest(&journal, None).as_deref(), Some("phase-2-r1"), "a run can go on");

    let second = begin(&mut journal, &phase(2));
    end(&mut journal, &second, Outcome::COMPLETED);
    assert_eq!(latest(&journal, Some(2)), None, "replaced by a later run");
    let third = begin(&mut journal, &phase(1));
    end(&mut journal, &third, Outcome::COMPLETED);
    let fourth = begin(&mut journal, &phase(2));
    end(&mut journal, &fourth, "failed");
    assert_eq!(completed(&journal), ["phase-1-r1", "phase-2-r2"]);

    let row = journal.latest_run(Some(1)).unwrap().unwrap();
    assert_eq!((row.run, row.phase), (third, phase(1)));
    assert_eq!(row.outcome, Some(Outcome { name: "completed".to_owned(), at: 9 }));
    assert_eq!(journal.latest_run(None).unwrap().unwrap().run, fourth);
}

#[test]
fn a_reader_needs_no_lock_and_follows_a_writer() {
    let project = project();
    assert!(Journal::open_read_only(&project.state).unwrap().is_none());
    assert!(!project.state.journal().exists(), "looking makes nothing");

    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let reader = Journal::open_read_only(&project.state).unwrap().unwrap();
    let mut next = 0;
    for number in 0..10 {
        let range = journal.append(&run, &[note(number), note(number)]).unwrap();
        let seen = reader.events_from(&run, next).unwrap();
        assert_eq!(
            seen.iter().map(|event| event.seq).collect::<Vec<_>>(),
            range.clone().collect::<Vec<_>>()
        );
        next = range.end;
    }
    // A reader in the midst of reading keeps nobody from writing.
    let mut seen = 0;
    let append_meanwhile = |_| {
        seen += 1;
        journal.append(&run, &[note(0)]).unwrap();
        ControlFlow::Continue(())
    };
    reader.visit(&run, 0, append_meanwhile).unwrap();
    assert_eq!(seen, 20, "it sees what was there when it began");
    drop(journal);
    assert_eq!(reader.run(&run).unwrap().unwrap().events, 40, "it outlives the writer");
    assert_eq!(
        open(&project).run(&run).unwrap().unwrap().events,
        40,
        "and a writer opens beside it"
    );
}

#[test]
fn a_journal_keeps_its_lock() {
    let project = project();
    let journal = open(&project);
    let error = project.state.lock().unwrap_err();
    assert!(matches!(error, LockError::Held { .. }), "{error:?}");
    drop(journal);
    project.state.lock().unwrap();
}

#[test]
fn a_run_is_bound_to_another_plan_with_the_events_that_say_so() {
    let project = project();
    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let other = begin(&mut journal, &phase(2));
    let (before, new) = (journal.plan(&run).unwrap(), r#"{"of":"something else"}"#);
    let digest = Digest::of(b"the new file");
    journal.append(&run, &[note(0)]).unwrap();
    assert_eq!(journal.append_with_plan(&run, &[note(1)], digest, new).unwrap(), 1..2);
    assert_eq!(journal.append(&run, &[note(2)]).unwrap(), 2..3, "it goes on from there");
    for again in [false, true] {
        if again {
            drop(journal);
            journal = open(&project);
        }
        assert_eq!(journal.plan(&run).unwrap(), new);
        assert_eq!(journal.run(&run).unwrap().unwrap().plan_digest, digest);
        assert_eq!(journal.events(&run).unwrap().len(), 3);
        assert_ne!(journal.plan(&other).unwrap(), new, "the other run's stays");
    }
    drop(journal);
    let kept: i64 = rusqlite::Connection::open(project.state.journal())
        .unwrap()
        .query_row("SELECT count(*) FROM plans WHERE plan = ?1", [before], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1, "the old plan stays recorded");

    let mut journal = open(&project);
    let plan = journal.plan(&other).unwrap();
    journal.append_with_plan(&run, &[], digest, &plan).unwrap();
    assert_eq!(journal.plan(&run).unwrap(), plan, "a plan that is there already");
}

#[test]
fn a_refused_event_leaves_the_plan_as_it_was() {
    let project = project();
    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let (row, plan) = (journal.run(&run).unwrap(), journal.plan(&run).unwrap());
    let digest = Digest::of(b"new");
    let not_json = NewEvent { body: "not JSON".to_owned(), ..note(0) };
    for (event, new) in [(not_json, "{}"), (note(0), "not JSON")] {
        let error = journal.append_with_plan(&run, &[event], digest, new).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert_eq!(
            (journal.run(&run).unwrap(), journal.plan(&run).unwrap()),
            (row.clone(), plan.clone())
        );
    }
    assert_eq!(journal.append(&run, &[note(0)]).unwrap(), 0..1, "what it knew is not kept");
    assert_eq!(journal.plan(&run).unwrap(), plan);
    let nobody = RunId::new("phase-9-r1").unwrap();
    let error = journal.append_with_plan(&nobody, &[], digest, "{}").unwrap_err();
    assert!(matches!(error, Error::NoSuchRun { .. }), "{error:?}");
}

#[test]
fn appends_to_several_runs_take_turns() {
    let project = project();
    let mut journal = open(&project);
    let runs = [1, 2, 3].map(|number| begin(&mut journal, &phase(number)));
    for number in 0..6 {
        for run in &runs {
            assert_eq!(journal.append(run, &[note(number)]).unwrap(), number..number + 1);
        }
    }
    for run in &runs {
        assert_eq!(journal.events(run).unwrap().len(), 6);
    }
}

#[test]
fn a_snapshot_is_of_the_events_before_it_and_replaces_the_one_before() {
    let project = project();
    let mut journal = open(&project);
    let run = begin(&mut journal, &phase(1));
    let other = begin(&mut journal, &phase(2));
    let saved = |journal: &Journal, run| {
        journal.snapshot(run).unwrap().map(|found| (found.seq, found.format, found.body))
    };
    assert_eq!(saved(&journal, &run), None);
    journal.save_snapshot(&run, 0, 7, b"").unwrap();
    assert_eq!(saved(&journal, &run), Some((0, 7, vec![])), "of nothing");
    journal.append(&run, &[note(0), note(1), note(2)]).unwrap();
    let error = journal.save_snapshot(&run, 4, 7, b"too far").unwrap_err();
    assert!(
        matches!(&error, Error::Refused { what, .. } if what.contains("4 events")),
        "{error:?}"
    );
    assert_eq!(saved(&journal, &run), Some((0, 7, vec![])), "a refused one changes nothing");

    let bodies = [vec![1; 100_000], vec![2; 3], vec![3; 2_000_000]];
    for (body, seq) in bodies.into_iter().zip([1, 2, 3]) {
        journal.save_snapshot(&run, seq, 8, &body).unwrap();
        assert_eq!(saved(&journal, &run), Some((seq, 8, body)));
    }
    journal.append(&run, &[note(3)]).unwrap();
    assert_eq!(saved(&journal, &other), None);
    journal.save_snapshot(&other, 0, 1, b"the other's").unwrap();
    drop(journal);

    let reader = Journal::open_read_only(&project.state).unwrap().unwrap();
    let found = reader.snapshot(&run).unwrap().unwrap();
    assert_eq!((found.seq, found.format, found.body), (3, 8, vec![3; 2_000_000]));
    let tail = reader.events_from(&run, found.seq).unwrap();
    assert_eq!(tail.iter().map(|event| event.seq).collect::<Vec<_>>(), [3]);

    let nobody = RunId::new("phase-9-r1").unwrap();
    let errors = [
        reader.snapshot(&nobody).unwrap_err(),
        open(&project).save_snapshot(&nobody, 0, 1, b"").unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::NoSuchRun { .. }), "{error:?}");
    }
}
