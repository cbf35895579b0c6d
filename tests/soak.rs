//! Many hostile tasks among honest ones, in one run of the real binary.
//!
//! Invariant: every honest task succeeds, and the process holds no more in the end than it did in
//! the middle: nothing that a hostile agent had is left behind.
//!
//! `IDUMB_SOAK=10000 cargo test -p idumb --test soak` has as many hostile tasks as that.

#[path = "support/project.rs"]
mod project;
mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::Value;

use project::Project;

/// Hostile tasks in a run of every day.
const EVERY_DAY: usize = 600;

/// One honest task for so many hostile ones.
const ONE_IN: usize = 4;

/// What they do, with the options and limits that make it short.
const BEHAVIOURS: &[(&str, &str)] = &[
    ("trap_in_mid_write", ""),
    ("panic_aloud", ""),
    ("exit_early", ""),
    ("recurse_forever", ""),
    ("loop_forever", "cpu = \"5ms\""),
    ("loop_in_host_calls", "cpu = \"5ms\""),
    ("sleep_forever", "timeout"),
    ("grow_memory", "memory = \"8MiB\""),
    ("many_descriptors", "open_files = 50"),
    ("many_files", "files = 20"),
    ("deep_directories", ""),
    ("huge_file", ""),
    ("huge_outcome", "memory = \"8MiB\""),
    ("aliased_outcome", "host_call = \"1MiB\""),
    ("ask", "questions = 1"),
    ("look_around", ""),
];

fn plan(hostile: usize) -> (String, usize) {
    let mut plan = String::from("phase = 1\ngoal = \"Hold out.\"\n");
    let mut honest = 0;
    for number in 0..hostile {
        let (behaviour, limit) = BEHAVIOURS[number % BEHAVIOURS.len()];
        let bound = match limit {
            "timeout" => "timeout = \"30ms\"".to_owned(),
            limit => format!("limits = {{ {limit} }}"),
        };
        let path = match behaviour {
            "many_descriptors" => "there.txt".to_owned(),
            "many_files" | "deep_directories" => format!("evil/{number}"),
            _ => format!("evil/{number}/file"),
        };
        let _ = write!(
            plan,
            "\n[[tasks]]\nid = \"E{number}\"\ntitle = \"Misbehave\"\nagent = \"evil\"\n{bound}\n\
             reads = [\"there.txt\"]\nwrites = [\"evil/{number}/**\"]\n\
             options = {{ do = \"{behaviour}\", path = \"{path}\" }}\n\
             accept = [{{ exists = \"evil/{number}/never-made\" }}]\n"
        );
        if number % ONE_IN == 0 {
            honest += 1;
            let _ = write!(
                plan,
                "\n[[tasks]]\nid = \"H{number}\"\ntitle = \"Work\"\nwrites = [\"good/{number}\"]\n\
                 steps = [{{ write = \"good/{number}\", content = \"done {number}\\n\" }}]\n\
                 accept = [{{ contains = \"good/{number}\", text = \"done {number}\" }}]\n"
            );
        }
    }
    (plan, honest)
}

/// What a process holds: open descriptors, and KiB of memory of its own.
#[derive(Debug)]
struct Holding {
    descriptors: usize,
    memory_kib: u64,
}

impl Holding {
    fn of(process: u32) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = text.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        let memory_kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { descriptors, memory_kib }
    }

    fn least(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            descriptors: self.descriptors.min(other.descriptors),
            memory_kib: self.memory_kib.min(other.memory_kib),
        }
    }
}

#[test]
fn honest_tasks_succeed_among_hostile_ones_and_nothing_is_left_behind() {
    let hostile = std::env::var("IDUMB_SOAK").map_or(EVERY_DAY, |most| most.parse().unwrap());
    let (plan, honest) = plan(hostile);
    let rule = "[[rules]]\non = [\"failure\", \"trap\", \"timeout\", \"denied\", \"rejected\", \
                \"conflict\"]\nthen = \"skip\"\n";
    let project = Project::with(&plan, rule);
    project.put("there.txt", "there\n");
    let before = support::tree(&project.folder());
    let mut command = project.command(&["execute-phase", "1", "--mode=auto", "--format=jsonl"]);
    let mut child = command
        .arg("--batch-size=20")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = child.id();
    let (mut succeeded, mut ended) = (0, 0);
    let mut middle = None;
    let mut last = None;
    let all = hostile + honest;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match event["kind"].as_str().unwrap_or_default() {
            "task_succeeded" => {
                assert!(event["task"].as_str().unwrap().starts_with('H'), "{event}");
                succeeded += 1;
                ended += 1;
            }
            "task_skipped" => ended += 1,
            _ => continue,
        }
        // Of several moments the least: what is under way at one may be holding much.
        let window = |from: usize| (from..from + 15).contains(&ended);
        if window(all / 2) {
            middle = Some(Holding::of(process).least(middle));
        } else if window(all - 35) {
            last = Some(Holding::of(process).least(last));
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(succeeded, honest, "of {ended} that ended; {status}");
    // What was shown is what is recorded.
    assert_eq!(project.events(&["task_skipped"]).len(), hostile);
    let (middle, last) = (middle.unwrap(), last.unwrap());
    let said =
        format!("{hostile} hostile, {honest} honest: {middle:?} half-way, {last:?} at the end\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    assert!(last.descriptors <= middle.descriptors + 25, "{middle:?}, {last:?}");
    // What the run remembers of each task is some hundred bytes.
    let room = 16 << 10 | (all as u64);
    assert!(last.memory_kib <= middle.memory_kib + room, "{middle:?}, {last:?}");
    let mut after = support::tree(&project.folder());
    after.retain(|path, _| !path.starts_with(".idumb/state/") && !path.starts_with("good"));
    assert_eq!(support::difference(&before, &after), "");
}
