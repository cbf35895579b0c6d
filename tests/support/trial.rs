//! A project in which a run is cut short, and what must be the same as if it had not been.
//!
//! Invariant: whatever happened on the way, a run that ends by itself leaves the tree, the
//! verdicts and the exit status of an undisturbed one, and did nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{idumb, told};

/// How often a run is taken up again before a trial counts as one that never ends.
const PATIENCE: u32 = 24;

/// A project in a folder of its own.
pub(crate) struct Trial {
    temporary: tempfile::TempDir,
    folder: PathBuf,
}

/// What must be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) exit: Option<i32>,
    /// Everything in the project but the host's own state, with content and executable bit.
    pub(crate) tree: BTreeMap<String, String>,
    /// The last word of the journal on each task.
    pub(crate) verdicts: BTreeMap<String, String>,
    /// The state document's status.
    pub(crate) status: String,
    /// The state document's completed tasks.
    pub(crate) completed: BTreeSet<String>,
}

impl Trial {
    /// A new project with what `plant` puts into its folder.
    pub(crate) fn new(plant: impl FnOnce(&Path)) -> Self {
        let temporary = temporary();
        let folder = temporary.path().join("project");
        Self::plant(temporary, folder, plant)
    }

    /// The same in a folder below this one.
    pub(crate) fn within(at: &Path, plant: impl FnOnce(&Path)) -> Self {
        Self::plant(temporary(), at.join("project"), plant)
    }

    fn plant(temporary: tempfile::TempDir, folder: PathBuf, plant: impl FnOnce(&Path)) -> Self {
        fs::create_dir_all(temporary.path().join("tmp")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        plant(&folder);
        Self { temporary, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file beside the project, for the test itself.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    pub(crate) fn idumb(&self, args: &[&str]) -> Command {
        let mut command = idumb(&self.folder, &self.beside("tmp"));
        command.args(args);
        command
    }

    /// The command that begins the run.
    pub(crate) fn begin(&self) -> Command {
        self.idumb(&["execute-phase", "1", "--mode=auto"])
    }

    /// The command that goes on with it.
    pub(crate) fn resume(&self) -> Command {
        self.idumb(&["execute-phase", "1", "--mode=auto", "--resume"])
    }

    /// Goes on, with whatever `command` says more, until the run ends by itself: begins it if
    /// it had not begun; takes it up again if it died, or parked what the host kept dying at.
    pub(crate) fn to_the_end(&self, mut amend: impl FnMut(&mut Command)) -> Output {
        let mut again = self.resume();
        for _ in 0..PATIENCE {
            amend(&mut again);
            let output = again.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("panicked at"), "{}", told(&output));
            match output.status.code() {
                None => again = self.resume(),
                Some(2) if stderr.contains("has no run to resume") => again = self.begin(),
                Some(_) if self.is_parked_for_deaths() => again = self.resume(),
                Some(_) => return output,
            }
        }
        panic!("the run does not come to its end: {}", told(&again.output().unwrap()));
    }

    /// Whether the run rests because the host died too often while a task ran.
    fn is_parked_for_deaths(&self) -> bool {
        let verdicts = verdicts(&self.events());
        verdicts.values().any(|verdict| verdict.contains("host_died"))
    }

    /// The events of the latest run; none if there is none yet.
    pub(crate) fn events(&self) -> Vec<Value> {
        let output = self.idumb(&["log", "--format=jsonl"]).output().unwrap();
        if output.status.code() == Some(2) {
            return Vec::new();
        }
        assert!(output.status.success(), "{}", told(&output));
        parsed(&String::from_utf8(output.stdout).unwrap())
    }

    /// What the run came to, which did nothing twice.
    pub(crate) fn ending(&self, output: &Output) -> Ending {
        let events = self.events();
        assert_nothing_twice(&events);
        let document = fs::read(self.folder.join(".idumb/state/state.json"));
        let document: Value = document.map_or(Value::Null, |bytes| {
            serde_json::from_slice(&bytes).expect("the state document is whole")
        });
        let names = document["completed_tasks"].as_array().cloned().unwrap_or_default();
        let ending = Ending {
            exit: output.status.code(),
            tree: standing(&self.folder),
            verdicts: verdicts(&events),
            status: document["status"].as_str().unwrap_or_default().to_owned(),
            completed: names.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        };
        self.assert_nothing_is_left();
        ending
    }

    /// Nothing waits to be put where it belongs, in the project or beside the journal.
    fn assert_nothing_is_left(&self) {
        let staging = fs::read_dir(self.folder.join(".idumb/state/staging"));
        let names = |entries: fs::ReadDir| -> Vec<_> {
            entries.map(|entry| entry.unwrap().file_name()).collect()
        };
        let left = staging.map(names).unwrap_or_default();
        assert!(left.is_empty(), "staging still holds {left:?}");
        let mut names = names(fs::read_dir(&self.folder).unwrap()).into_iter();
        let staged = names.find(|name| name.to_string_lossy().starts_with(".idumb-staged-"));
        assert_eq!(staged, None, "the project still holds a staged file");
    }

    /// Fails unless the run, however it got there, ended as the undisturbed one.
    pub(crate) fn assert_ends_as(&self, undisturbed: &Ending, output: &Output, what: &str) {
        let ending = self.ending(output);
        if ending == *undisturbed {
            return;
        }
        let (old, new) = (format!("{undisturbed:#?}"), format!("{ending:#?}"));
        panic!(
            "{what}: it ended otherwise than the undisturbed run\n{}\n{}\n{}",
            diffy::create_patch(&old, &new),
            self.events().iter().map(brief).collect::<Vec<_>>().join("\n"),
            told(output)
        );
    }
}

/// A folder in memory, where there is one: what a process wrote before it died outlives it on
/// any file system, and a disk would only be waited for.
pub(crate) fn temporary() -> tempfile::TempDir {
    let in_memory = tempfile::Builder::new().prefix("idumb-").tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).unwrap()
}

/// The objects of JSON lines.
pub(crate) fn parsed(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An event without what makes it long.
fn brief(event: &Value) -> String {
    let mut short = event.clone();
    if let Some(fields) = short.as_object_mut() {
        for long in ["config", "record", "grants", "examination", "delegation", "sealed", "log"] {
            fields.remove(long);
        }
    }
    short.to_string()
}

/// The last word of the journal on each task.
pub(crate) fn verdicts(events: &[Value]) -> BTreeMap<String, String> {
    let mut verdicts = BTreeMap::new();
    for event in events {
        let Some(task) = event["task"].as_str() else { continue };
        let verdict = match event["kind"].as_str().unwrap() {
            "task_parked" => format!("parked {}", event["parking"]),
            kind @ ("task_succeeded" | "task_failed" | "task_skipped" | "task_reopened") => {
                kind.to_owned()
            }
            _ => continue,
        };
        verdicts.insert(task.to_owned(), verdict);
    }
    verdicts
}

/// A task that succeeded is never touched again, unless another plan asks for that; and of the
/// attempts at a task, one change-set is integrated to its end.
fn assert_nothing_twice(events: &[Value]) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut integrating: BTreeMap<&str, &Value> = BTreeMap::new();
    for event in events {
        let kind = event["kind"].as_str().unwrap();
        if kind == "replanned" {
            for changed in event["changed"].as_array().unwrap() {
                done.remove(changed[0].as_str().unwrap());
            }
        }
        let Some(task) = event["task"].as_str() else { continue };
        let harmless = kind == "stale_answer" || kind == "checkpoint_passed";
        assert!(harmless || !done.contains(task), "{task} had succeeded: {}", brief(event));
        match kind {
            "attempt_failed" => {
                integrating.remove(task);
            }
            "integration_started" => {
                let digest = &event["change_set"];
                let before = integrating.insert(task, digest);
                let same = before.is_none_or(|before| before == digest);
                assert!(same, "another change-set of {task} was being integrated: {event}");
            }
            "task_succeeded" => {
                assert!(integrating.remove(task).is_some(), "{task} was not integrated: {event}");
                done.insert(task);
            }
            _ => {}
        }
    }
}

/// Everything below `folder` but the host's state.
fn standing(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![String::new()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(folder.join(&dir)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if path == ".idumb/state" || path.ends_with(".wasm") {
                continue;
            }
            let kind = entry.metadata().unwrap();
            let what = if kind.is_dir() {
                left.push(path.clone());
                "a directory".to_owned()
            } else if kind.is_symlink() {
                format!("a link to {}", fs::read_link(entry.path()).unwrap().display())
            } else {
                let bit = if kind.permissions().mode() & 0o100 != 0 { "executable: " } else { "" };
                let bytes = fs::read(entry.path()).unwrap();
                format!("{bit}{}", String::from_utf8_lossy(&bytes))
            };
            found.insert(path, what);
        }
    }
    found
}

/// Numbers that look random and come again with the same seed (SplitMix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

/// A whole number from the environment of the tests.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// A word to whoever runs the tests.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
