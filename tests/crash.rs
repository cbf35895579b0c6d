//! A run never loses its place: whatever cuts it short, taking it up again ends as if nothing
//! had been.
//!
//! Invariant: every trial is compared with an undisturbed run: the same tree byte for byte, the
//! same verdicts, the same exit status, and no task run again that had succeeded. The moment of
//! a death is counted (the n-th time that a place in the program, an event or a system call is
//! reached), never timed.
//!
//! `IDUMB_CRASH_RUNS` is the number of runs that are killed at random (default 24), and
//! `IDUMB_CRASH_SEED` their seed; `IDUMB_CRASH_STRIDE` has every k-th system call fail (default
//! as [`faults`] says; 1: each).

#[path = "support/faults.rs"]
mod faults;
mod support;
#[path = "support/trial.rs"]
mod trial;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use support::told;
use trial::{Ending, Seeded, Trial, number, say};

/// Where a process is when it aborts.
const ABORTED: Option<i32> = Some(6);
const KILLED: Option<i32> = Some(9);

fn put(folder: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

const CONFIG: &str = r#"
[defaults]
backoff = "0s"
grace = "10ms"

[agents.evil]
path = "agents/evil.wasm"
role = "builder"
"#;

/// A task that makes the line `line` the last of `path`: run twice, it shows.
fn append(id: &str, depends_on: &str, path: &str, line: &str) -> String {
    format!(
        "[[tasks]]\nid = \"{id}\"\ntitle = \"Append\"\ndepends_on = [{depends_on}]\n\
         writes = [\"{path}\"]\n[[tasks.steps]]\nappend = \"{path}\"\ncontent = \"{line}\\n\"\n\
         [[tasks.accept]]\ncontains = \"{path}\"\ntext = \"{line}\"\n"
    )
}

/// A few tasks with every kind of change, one that is rejected at first, and two in conflict.
fn every_change(folder: &Path) {
    let steps = r#"
phase = 1
goal = "Change everything that can be changed."

[[tasks]]
id = "P1-create"
title = "Create files and directories"
writes = ["made/**"]
steps = [
    { write = "made/deep/a.txt", content = "a\n" },
    { write = "made/b.txt", content = "b\n" },
    { mkdir = "made/empty" },
]
accept = [{ exists = "made/empty" }]

[[tasks]]
id = "P1-replace"
title = "Replace"
writes = ["src/a.txt", "log.txt"]
steps = [
    { replace = "src/a.txt", find = "old", with = "new" },
    { append = "log.txt", content = "first\n" },
]
accept = [{ contains = "src/a.txt", text = "new" }]

[[tasks]]
id = "P1-delete"
title = "Delete a file, and a directory with what is in it"
writes = ["old.txt", "gone", "gone/**"]
steps = [{ delete = "old.txt" }, { delete = "gone" }]
accept = [{ absent = "gone" }]

[[tasks]]
id = "P1-move"
title = "Move an executable file and a directory"
writes = ["script.sh", "bin/**", "here", "here/**", "there", "there/**"]
steps = [{ move = "script.sh", to = "bin/script.sh" }, { move = "here", to = "there" }]
accept = [{ exists = "bin/script.sh" }]

[[tasks]]
id = "P1-retry"
title = "Learn"
agent = "evil"
writes = ["learned.txt"]
retries = 1
options = { do = "learn", path = "learned.txt" }
accept = [{ contains = "learned.txt", text = "P1-retry.learned", id = "P1-retry.learned" }]

[[tasks]]
id = "P1-source"
title = "Write the source"
writes = ["source.txt", "flag.txt"]
steps = [{ write = "source.txt", content = "new\n" }, { write = "flag.txt", content = "" }]
accept = [{ contains = "source.txt", text = "new" }]

[[tasks]]
id = "P1-copy"
title = "Read the source before the other is done, and write its copy after"
agent = "evil"
# The other may be parked, if the host died too often while it ran.
timeout = "30s"
reads = ["source.txt", "flag.txt"]
writes = ["copy.txt"]
options = { do = "wait_for_other", from = "source.txt", until = "flag.txt", path = "copy.txt" }
accept = [{ exists = "copy.txt" }]

"#;
    let again = append("P1-again", "\"P1-replace\", \"P1-create\"", "log.txt", "second");
    put(folder, ".idumb/phases/1-work/plan.toml", format!("{steps}{again}"));
    put(folder, "idumb.toml", CONFIG.replace("backoff", "batch_size = 8\nbackoff"));
    put(folder, "agents/evil.wasm", idumb_test_guests::MISBEHAVING_BUILDER);
    for (path, content) in [
        ("src/a.txt", "this is old\n"),
        ("log.txt", "begun\n"),
        ("old.txt", "old\n"),
        ("gone/deep/x.txt", "x\n"),
        ("gone/y.txt", "y\n"),
        ("script.sh", "#!/bin/sh\n"),
        ("here/in/z.txt", "z\n"),
        ("source.txt", "stale\n"),
    ] {
        put(folder, path, content);
    }
    fs::set_permissions(folder.join("script.sh"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Fifty tasks in chains; of every seven, one is rejected at first.
fn fifty(folder: &Path) {
    let mut last: [Option<String>; 5] = Default::default();
    let mut plan = "phase = 1\ngoal = \"Many tasks.\"\n".to_owned();
    for number in 0..50 {
        let id = format!("P1-{number:02}");
        if number % 7 == 3 {
            plan.push_str(&format!(
                "[[tasks]]\nid = \"{id}\"\ntitle = \"Learn\"\nagent = \"evil\"\nretries = 1\n\
                 writes = [\"learned/{id}\"]\n\
                 options = {{ do = \"learn\", path = \"learned/{id}\" }}\n\
                 [[tasks.accept]]\ncontains = \"learned/{id}\"\ntext = \"{id}.learned\"\n\
                 id = \"{id}.learned\"\n"
            ));
            continue;
        }
        let chain = number % 5;
        let above = last[chain].take().unwrap_or_default();
        plan.push_str(&append(&id, &above, &format!("chain-{chain}.txt"), &id));
        last[chain] = Some(format!("\"{id}\""));
    }
    put(folder, ".idumb/phases/1-work/plan.toml", plan);
    put(folder, "idumb.toml", CONFIG);
    put(folder, "agents/evil.wasm", idumb_test_guests::MISBEHAVING_BUILDER);
    put(folder, "learned/keep", "");
    for chain in 0..5 {
        put(folder, &format!("chain-{chain}.txt"), "begun\n");
    }
}

/// How a run of the project ends that nothing disturbs.
fn undisturbed(plant: fn(&Path)) -> Ending {
    let trial = Trial::new(plant);
    let output = trial.begin().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let ending = trial.ending(&output);
    assert!(ending.verdicts.values().all(|verdict| verdict == "task_succeeded"), "{ending:#?}");
    ending
}

static EVERY_CHANGE: LazyLock<Ending> = LazyLock::new(|| undisturbed(every_change));

fn die_at(command: &mut Command, place: &str, time: u64) -> Output {
    command.env("IDUMB_FAIL_POINT", format!("{place}@{time}")).output().unwrap()
}

/// Whether it died where it was to; if not, it ended by itself.
fn died(output: &Output) -> bool {
    let signal = output.status.signal();
    assert!(signal.is_none() || signal == ABORTED, "{}", told(output));
    signal.is_some()
}

/// The project's files change only after the journal says that they will.
fn assert_is_announced(trial: &Trial, what: &str) {
    let mut under_way = BTreeSet::new();
    for event in trial.events() {
        let Some(task) = event["task"].as_str() else { continue };
        match event["kind"].as_str().unwrap() {
            "integration_started" => under_way.insert(task.to_owned()),
            "task_succeeded" | "attempt_failed" => under_way.remove(task),
            _ => continue,
        };
    }
    assert!(!under_way.is_empty(), "{what}: it changed files before it was recorded");
}

/// Dies each time that `place` is reached; returns how often that was.
fn dies_at_every(place: &str, plant: fn(&Path), undisturbed: &Ending) -> u64 {
    for time in 1.. {
        let trial = Trial::new(plant);
        let output = die_at(&mut trial.begin(), place, time);
        if !died(&output) {
            trial.assert_ends_as(undisturbed, &output, place);
            assert!(time > 1, "{place} is not reached");
            return time - 1;
        }
        let what = format!("{place}@{time}");
        if place.starts_with("integrate.") {
            assert_is_announced(&trial, &what);
        }
        let output = trial.to_the_end(|_| {});
        trial.assert_ends_as(undisturbed, &output, &what);
    }
    unreachable!("times do not end");
}

#[test]
fn a_death_before_any_commit_loses_nothing() {
    let times = dies_at_every("journal.commit.before", every_change, &EVERY_CHANGE);
    assert!(times > 10, "there were only {times} commits");
}

#[test]
fn a_death_after_any_commit_loses_nothing() {
    let times = dies_at_every("journal.commit.after", every_change, &EVERY_CHANGE);
    assert!(times > 10, "there were only {times} commits");
}

#[test]
fn a_death_at_any_step_of_an_integration_loses_nothing() {
    let times = dies_at_every("integrate.step", every_change, &EVERY_CHANGE);
    assert!(times > 20, "there were only {times} steps");
}

#[test]
fn a_death_between_an_integration_and_its_record_loses_nothing() {
    let times = dies_at_every("integrate.answered", every_change, &EVERY_CHANGE);
    assert_eq!(times, 8, "one for each task");
}

#[test]
fn a_death_between_a_commit_and_what_it_asks_for_loses_nothing() {
    let times = dies_at_every("effect.start", every_change, &EVERY_CHANGE);
    // A build, a validation and an integration for each.
    assert!(times >= 3 * 8, "there were only {times} effects");
}

#[test]
fn a_death_around_the_state_document_or_at_the_start_loses_nothing() {
    for place in ["document.before", "document.after", "lock.taken", "journal.opened"] {
        dies_at_every(place, every_change, &EVERY_CHANGE);
    }
}

#[test]
fn a_death_around_a_snapshot_loses_nothing() {
    let undisturbed = undisturbed(fifty);
    for place in ["snapshot.before", "snapshot.after"] {
        dies_at_every(place, fifty, &undisturbed);
    }
}

const PLACES: [&str; 8] = [
    "journal.commit.before",
    "journal.commit.after",
    "integrate.step",
    "integrate.answered",
    "effect.start",
    "document.before",
    "document.after",
    "journal.opened",
];

#[test]
fn a_death_during_recovery_loses_nothing() {
    let mut seeded = Seeded(7);
    let mut place = || PLACES[usize::try_from(seeded.below(8)).unwrap()];
    let (mut times, mut twice) = (Seeded(8), 0);
    for _ in 0..40 {
        let trial = Trial::new(every_change);
        let mut said = Vec::new();
        for life in 0..3 {
            let (place, time) = (place(), 1 + times.below(if life == 0 { 24 } else { 6 }));
            said.push(format!("{place}@{time}"));
            let mut command = if life == 0 { trial.begin() } else { trial.resume() };
            let died = died(&die_at(&mut command, place, time));
            twice += u32::from(died && life > 0);
        }
        let output = trial.to_the_end(|_| {});
        trial.assert_ends_as(&EVERY_CHANGE, &output, &said.join(", "));
    }
    assert!(twice > 20, "only {twice} deaths were during recovery");
}

/// The project after a run of a plan whose last task cannot be done, and the mended plan.
fn with_another_plan() -> Trial {
    let trial = Trial::new(every_change);
    let plan = trial.folder().join(".idumb/phases/1-work/plan.toml");
    let mended = fs::read_to_string(&plan).unwrap();
    let broken = mended.replace("text = \"second\"", "text = \"third\"");
    assert_ne!(broken, mended);
    fs::write(&plan, broken).unwrap();
    let output = trial.begin().output().unwrap();
    assert_eq!(output.status.code(), Some(14), "{}", told(&output));
    fs::write(&plan, mended).unwrap();
    trial
}

#[test]
fn a_death_around_the_change_of_the_plan_loses_nothing() {
    let replan = |command: &mut Command| {
        command.arg("--replan");
    };
    for place in ["replan.before", "replan.after", "journal.commit.before", "effect.start"] {
        let trial = with_another_plan();
        let mut command = trial.resume();
        replan(&mut command);
        assert!(died(&die_at(&mut command, place, 1)), "{place} is not reached");
        let output = trial.to_the_end(replan);
        trial.assert_ends_as(&EVERY_CHANGE, &output, place);
    }
}

#[test]
fn a_death_while_a_resting_run_is_given_up_is_made_good_by_giving_it_up_again() {
    let places =
        ["journal.commit.before", "journal.commit.after", "document.before", "document.after"];
    for place in places {
        let trial = with_another_plan();
        // It failed; taken up again, it dies at once, and so it could go on.
        assert!(died(&die_at(trial.resume().arg("--replan"), "effect.start", 1)));
        assert!(died(&die_at(&mut trial.idumb(&["cancel"]), place, 1)), "{place} is not reached");
        let again = trial.idumb(&["cancel"]).output().unwrap();
        let recorded = place != "journal.commit.before";
        assert_eq!(again.status.code(), Some(if recorded { 2 } else { 0 }), "{}", told(&again));
        let last = trial.events().pop().unwrap();
        assert_eq!(last["outcome"]["outcome"], "cancelled", "{place}: {last}");
        let status = trial.idumb(&["status"]).output().unwrap();
        assert!(told(&status).contains("cancelled"), "{place}: {}", told(&status));
    }
}

/// Runs `command` until it has said `lines` lines, and then for as long as it takes to count
/// to `spin`; kills it then. None: it ended before.
fn kill_after(command: &mut Command, lines: u64, spin: u64) -> Option<Output> {
    let mut child = command
        .arg("--format=jsonl")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        if said.read_line(&mut line).unwrap() == 0 {
            break;
        }
    }
    for number in 0..spin {
        std::hint::black_box(number);
    }
    // It may be gone already.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    (output.status.signal() == KILLED).then_some(output)
}

#[test]
fn runs_killed_at_random_lose_nothing() {
    let undisturbed = undisturbed(fifty);
    let events = u64::try_from(undisturbed.verdicts.len()).unwrap() * 9;
    let seed = number("IDUMB_CRASH_SEED").unwrap_or(1);
    let (mut seeded, mut kills) = (Seeded(seed), 0);
    for trial_number in 0..number("IDUMB_CRASH_RUNS").unwrap_or(24) {
        let trial = Trial::new(fifty);
        let mut said = Vec::new();
        for life in 0..=seeded.below(3) {
            let (lines, spin) = (seeded.below(events >> life), seeded.below(2_000_000));
            said.push(format!("after {lines} lines and {spin}"));
            let mut command = if life == 0 { trial.begin() } else { trial.resume() };
            kills += u32::from(kill_after(&mut command, lines, spin).is_some());
        }
        let output = trial.to_the_end(|_| {});
        let what = format!("seed {seed}, trial {trial_number}: killed {}", said.join(", "));
        trial.assert_ends_as(&undisturbed, &output, &what);
    }
    say(&format!("{kills} processes were killed"));
    assert!(kills > 0, "nothing was killed");
}

/// A project whose one task waits until `flag.txt` is there.
fn waiting(folder: &Path) {
    let plan = r#"
phase = 1
goal = "Wait."

[[tasks]]
id = "P1-wait"
title = "Wait"
agent = "evil"
reads = ["source.txt", "flag.txt"]
writes = ["copy.txt"]
options = { do = "wait_for_other", from = "source.txt", until = "flag.txt", path = "copy.txt" }
accept = [{ contains = "copy.txt", text = "source" }]
"#;
    put(folder, ".idumb/phases/1-work/plan.toml", plan);
    put(folder, "idumb.toml", CONFIG);
    put(folder, "agents/evil.wasm", idumb_test_guests::MISBEHAVING_BUILDER);
    put(folder, "source.txt", "source\n");
}

#[test]
fn told_to_end_it_saves_the_state_and_goes_on_later() {
    for signal in ["-TERM", "-HUP"] {
        let trial = Trial::new(waiting);
        let mut child = trial
            .begin()
            .arg("--format=jsonl")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().contains("attempt_started")), "it never began");
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let rest: Vec<String> = said.map(Result::unwrap).collect();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}: {}\n{rest:#?}", told(&output));
        let status = fs::read_to_string(trial.folder().join(".idumb/state/state.json")).unwrap();
        assert!(status.contains("\"paused\""), "{signal}: {status}");

        put(trial.folder(), "flag.txt", "");
        let output = trial.to_the_end(|_| {});
        let ending = trial.ending(&output);
        assert_eq!(ending.exit, Some(0), "{signal}: {}", told(&output));
        assert_eq!(ending.tree["copy.txt"], "source\n", "{signal}");
    }
}
