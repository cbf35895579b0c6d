//! Runs every folder of `tests/scenarios/` through the real binary.
//!
//! Invariant: a folder is a test; what cannot be read as a scenario fails. After every
//! command `state.json`, if there is one, has exactly the seven keys that the seed names.
//!
//! A folder holds `scenario.toml`, `base/`, the project, and `expected/`, its tree
//! afterwards but for `.idumb` and `idumb.toml`, which must stay as they were. Without
//! `expected/` the whole tree must. `IDUMB_UPDATE=1` writes `expected/` anew.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;
use serde_json::Value;

use support::{Entry, Tree, difference, idumb, plant, told, tree};

/// What the seed's `state.json` holds.
const STATE_KEYS: [&str; 7] = [
    "blocked_tasks",
    "completed_tasks",
    "current_batch",
    "estimated_completion",
    "phase",
    "start_time",
    "status",
];

/// `scenario.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows, in one sentence.
    about: String,
    /// Test agents to put into the project: where, and which.
    #[serde(default)]
    agents: BTreeMap<String, String>,
    /// The commands, in order.
    run: Vec<Step>,
    /// What the journal of the latest run holds afterwards.
    #[serde(default)]
    journal: Recorded,
}

/// One command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    args: Vec<String>,
    exit: i32,
    /// Texts that must be printed.
    #[serde(default)]
    stdout: Vec<String>,
    #[serde(default)]
    stderr: Vec<String>,
    /// Texts that must be printed nowhere.
    #[serde(default)]
    never: Vec<String>,
    /// Standard output is that of the command of this number, from 1.
    same_as: Option<usize>,
    /// Standard output is one JSON object, with these values at these pointers (RFC 6901).
    #[serde(default)]
    json: BTreeMap<String, Value>,
    /// The `status` of `state.json` afterwards.
    status: Option<String>,
    /// Nothing may be written: what the host had noted for itself it may note anew, but it
    /// may not begin to.
    #[serde(default)]
    untouched: bool,
    /// Standard output holds JSON objects, one a line, and nothing else.
    #[serde(default)]
    jsonl: bool,
    /// What a person does to the files before.
    #[serde(default)]
    edit: Vec<Edit>,
}

/// Gives a file a text, or replaces one in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    path: String,
    text: Option<String>,
    find: Option<String>,
    with: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    /// How many attempts each task had.
    #[serde(default)]
    attempts: BTreeMap<String, usize>,
    /// Events of these kinds are there.
    #[serde(default)]
    events: Vec<String>,
    /// And none of these.
    #[serde(default)]
    no_events: Vec<String>,
    /// So many events of these kinds are there.
    #[serde(default)]
    counts: BTreeMap<String, usize>,
}

fn main() {
    let arguments = Arguments::from_args();
    let folders = fs::read_dir(support::tests().join("scenarios")).expect("tests/scenarios");
    let mut trials: Vec<Trial> = folders
        .map(|entry| {
            let entry = entry.expect("an entry of tests/scenarios");
            let (name, folder) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            Trial::test(name, move || play(&folder).map_err(Failed::from))
        })
        .collect();
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    libtest_mimic::run(&arguments, trials).exit();
}

/// A scenario that is being played.
struct Stage {
    folder: PathBuf,
    project: PathBuf,
    temporary: tempfile::TempDir,
    /// The project as a person left it.
    left: Tree,
    /// What each command printed on standard output.
    printed: Vec<String>,
}

fn play(folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("scenario.toml"))
        .map_err(|error| format!("{}: scenario.toml: {error}", folder.display()))?;
    let scenario: Scenario =
        toml::from_str(&text).map_err(|error| format!("scenario.toml: {error}"))?;
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    let project = temporary.path().join("project");
    let mut left = tree(&folder.join("base"));
    for (path, name) in &scenario.agents {
        left.insert(path.clone(), Entry::File(agent(name)?.to_vec()));
    }
    fs::create_dir(&project).map_err(|error| error.to_string())?;
    plant(&left, &project);
    let mut stage =
        Stage { folder: folder.to_owned(), project, temporary, left, printed: Vec::new() };
    let about = |error: String| format!("{}\n{error}", scenario.about);
    for (index, step) in scenario.run.iter().enumerate() {
        let command = format!("command {} (idumb {})", index + 1, step.args.join(" "));
        stage.step(step).map_err(|error| about(format!("{command}: {error}")))?;
    }
    stage.check_journal(&scenario.journal).map_err(about)?;
    stage.check_tree().map_err(about)
}

fn agent(name: &str) -> Result<&'static [u8], String> {
    match name {
        "misbehaving-builder" => Ok(idumb_test_guests::MISBEHAVING_BUILDER),
        "misbehaving-validator" => Ok(idumb_test_guests::MISBEHAVING_VALIDATOR),
        "narrow-builder" => Ok(idumb_test_guests::NARROW_BUILDER),
        "not-an-agent" => Ok(support::NOT_AN_AGENT),
        other => Err(format!("there is no test agent `{other}`")),
    }
}

impl Stage {
    fn idumb(&self, args: &[String]) -> Result<Output, String> {
        let mut command = idumb(&self.project, self.temporary.path());
        command.args(args).output().map_err(|error| error.to_string())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        for edit in &step.edit {
            self.edit(edit)?;
        }
        let before = tree(&self.project);
        let output = self.idumb(&step.args)?;
        if output.status.code() != Some(step.exit) {
            return Err(format!("expected exit status {}, got {}", step.exit, told(&output)));
        }
        self.check_output(step, &output)?;
        let status = self.state()?;
        if step.status.is_some() && step.status != status {
            return Err(format!("expected status {:?}, found {status:?}", step.status));
        }
        let mut after = tree(&self.project);
        let mut before = before;
        if before.keys().any(|path| is_state(path)) {
            before.retain(|path, _| !is_state(path));
            after.retain(|path, _| !is_state(path));
        }
        let touched = difference(&before, &after);
        if step.untouched && !touched.is_empty() {
            return Err(format!("something was written: {touched}"));
        }
        Ok(())
    }

    fn check_output(&mut self, step: &Step, output: &Output) -> Result<(), String> {
        for (stream, needles) in [(&output.stdout, &step.stdout), (&output.stderr, &step.stderr)] {
            let text = String::from_utf8_lossy(stream);
            if let Some(needle) = needles.iter().find(|needle| !text.contains(*needle)) {
                return Err(format!("{needle:?} was not printed there: {}", told(output)));
            }
            if let Some(text) = step.never.iter().find(|never| text.contains(*never)) {
                return Err(format!("{text:?} was printed: {}", told(output)));
            }
        }
        if step.jsonl {
            json_lines(output)?;
        }
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !step.json.is_empty() {
            check_json(&stdout, &step.json)?;
        }
        if let Some(number) = step.same_as {
            let before = number.checked_sub(1).and_then(|index| self.printed.get(index));
            let before = before.ok_or_else(|| format!("there is no command {number} before"))?;
            if *before != stdout {
                let patch = diffy::create_patch(before, &stdout);
                return Err(format!("it is not what command {number} printed:\n{patch}"));
            }
        }
        self.printed.push(stdout);
        Ok(())
    }

    fn edit(&mut self, edit: &Edit) -> Result<(), String> {
        let text = match (&edit.text, &edit.find, &edit.with) {
            (Some(text), None, None) => text.clone(),
            (None, Some(find), Some(with)) => {
                let old = fs::read_to_string(self.project.join(&edit.path))
                    .map_err(|error| format!("{}: {error}", edit.path))?;
                if !old.contains(find) {
                    return Err(format!("{}: there is no {find:?} to replace", edit.path));
                }
                old.replace(find, with)
            }
            _ => return Err(format!("{}: give `text`, or `find` and `with`", edit.path)),
        };
        let entry = Entry::File(text.into_bytes());
        plant(&Tree::from([(edit.path.clone(), entry.clone())]), &self.project);
        self.left.insert(edit.path.clone(), entry);
        Ok(())
    }

    /// The status in `state.json`, if there is one, after a look at its keys.
    fn state(&self) -> Result<Option<String>, String> {
        let Ok(text) = fs::read_to_string(self.project.join(".idumb/state/state.json")) else {
            return Ok(None);
        };
        let state: BTreeMap<String, Value> =
            serde_json::from_str(&text).map_err(|error| format!("state.json: {error}: {text}"))?;
        let keys: BTreeSet<&str> = state.keys().map(String::as_str).collect();
        if keys != BTreeSet::from(STATE_KEYS) {
            return Err(format!("state.json has other keys than the seed's: {text}"));
        }
        Ok(state["status"].as_str().map(str::to_owned))
    }

    fn check_journal(&self, expected: &Recorded) -> Result<(), String> {
        let Recorded { attempts, events, no_events, counts } = expected;
        if attempts.is_empty() && events.is_empty() && no_events.is_empty() && counts.is_empty() {
            return Ok(());
        }
        let output = self.idumb(&["log".to_owned(), "--format=jsonl".to_owned()])?;
        if !output.status.success() {
            return Err(format!("the journal cannot be looked at: {}", told(&output)));
        }
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        let mut begun = BTreeMap::new();
        for line in json_lines(&output)? {
            let kind = line["kind"].as_str().unwrap_or_default().to_owned();
            if kind == "attempt_started" {
                let task = line["task"].as_str().unwrap_or_default().to_owned();
                *begun.entry(task).or_insert(0) += 1;
            }
            *kinds.entry(kind).or_insert(0) += 1;
        }
        if !attempts.is_empty() && begun != *attempts {
            return Err(format!("expected attempts {attempts:?}, found {begun:?}"));
        }
        if let Some(kind) = events.iter().find(|kind| !kinds.contains_key(*kind)) {
            return Err(format!("there is no event {kind} in {kinds:?}"));
        }
        if let Some(kind) = no_events.iter().find(|kind| kinds.contains_key(*kind)) {
            return Err(format!("there is an event {kind}"));
        }
        let found = |kind: &String| kinds.get(kind).copied().unwrap_or(0);
        if let Some((kind, count)) = counts.iter().find(|(kind, count)| found(kind) != **count) {
            return Err(format!("expected {count} events {kind}, found {}", found(kind)));
        }
        Ok(())
    }

    fn check_tree(&self) -> Result<(), String> {
        let is_ours = |path: &String| path.starts_with(".idumb/") || path == "idumb.toml";
        let is_agent = |path: &String| path.starts_with("agents/");
        let mut found = tree(&self.project);
        found.retain(|path, _| !is_state(path));
        let folder = self.folder.join("expected");
        if std::env::var_os("IDUMB_UPDATE").is_some() {
            let mut kept = found.clone();
            kept.retain(|path, _| !is_ours(path) && !is_agent(path));
            let _ = fs::remove_dir_all(&folder);
            if found != self.left {
                plant(&kept, &folder);
            }
        }
        let mut expected = self.left.clone();
        if folder.is_dir() {
            expected.retain(|path, _| is_ours(path) || is_agent(path));
            expected.extend(tree(&folder));
        }
        let difference = difference(&expected, &found);
        if difference.is_empty() {
            return Ok(());
        }
        Err(format!("the tree afterwards:\n{difference}"))
    }
}

/// What the host keeps for itself.
fn is_state(path: &str) -> bool {
    path.starts_with(".idumb/state/")
}

/// Checks what stands in the one JSON object of `text`.
fn check_json(text: &str, expected: &BTreeMap<String, Value>) -> Result<(), String> {
    let object: Value = serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?;
    match expected.iter().find(|(pointer, value)| object.pointer(pointer) != Some(value)) {
        None => Ok(()),
        Some((pointer, value)) => {
            Err(format!("expected {value} at {pointer}, found {:?}", object.pointer(pointer)))
        }
    }
}

/// The objects of standard output, one a line.
fn json_lines(output: &Output) -> Result<Vec<BTreeMap<String, Value>>, String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let parse = |line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"));
    let lines: Vec<_> = text.lines().map(parse).collect::<Result<_, _>>()?;
    if lines.is_empty() { Err(format!("nothing was printed: {}", told(output))) } else { Ok(lines) }
}
