//! Compiled agents that are kept between processes, through the real binary.
//!
//! Invariant: a run goes the same way with such a folder, without one, and with one that
//! somebody spoiled. What an entry must be is tested in `host/sandbox/src/cache.rs`.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Tree, difference, idumb, told, tree};

const PLAN: &str = r#"
phase = 1
goal = "Write a file."

[[tasks]]
id = "P1-T1"
title = "Write it"
writes = ["made.txt"]
steps = [{ write = "made.txt", content = "made\n" }]
accept = [{ contains = "made.txt", text = "made" }]
"#;

struct Place {
    temporary: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { temporary: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// A command that executes the phase of a new project of that name.
    fn command(&self, project: &str) -> Command {
        let phase = self.path(project).join(".idumb/phases/1-test");
        fs::create_dir_all(&phase).unwrap();
        fs::write(phase.join("plan.toml"), PLAN).unwrap();
        let mut command = idumb(&self.path(project), self.temporary.path());
        command.args(["execute-phase", "1", "--mode=auto"]).env_remove("IDUMB_CACHE_DIR");
        command
    }

    /// Executes the phase of a new project, with compiled agents in `cache`.
    fn run(&self, project: &str, cache: &Path) -> Output {
        let output = self.command(project).env("IDUMB_CACHE_DIR", cache).output().unwrap();
        self.assert_done(project, &output);
        output
    }

    fn assert_done(&self, project: &str, output: &Output) {
        assert_eq!(output.status.code(), Some(0), "{}", told(output));
        let made = fs::read_to_string(self.path(project).join("made.txt")).unwrap();
        assert_eq!(made, "made\n");
        let mut files = tree(&self.path(project));
        files.retain(|path, _| !path.starts_with(".idumb/"));
        assert_eq!(files.keys().collect::<Vec<_>>(), ["made.txt"]);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Files keep their number until they are replaced.
fn inodes(folder: &Path) -> BTreeSet<u64> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().ino()).collect()
}

#[test]
fn without_a_folder_agents_run_all_the_same() {
    let place = Place::new();
    let output = place.run("project", Path::new(""));
    assert!(!stderr(&output).contains("not kept"), "{}", told(&output));
    // No variable at all, as some services start.
    let output = place.command("other").output().unwrap();
    place.assert_done("other", &output);
    assert!(!stderr(&output).contains("not kept"), "{}", told(&output));
    assert_eq!(fs::read_dir(place.temporary.path()).unwrap().count(), 2, "something was kept");
}

#[test]
fn the_second_process_uses_what_the_first_compiled() {
    let place = Place::new();
    let home = place.path("home");
    fs::create_dir(&home).unwrap();
    for (project, variable, caches) in [
        ("one", "HOME", home.join(".cache")),
        ("two", "HOME", home.join(".cache")),
        ("three", "XDG_CACHE_HOME", home.clone()),
    ] {
        let folder = caches.join("idumb/components");
        let before = if folder.exists() { inodes(&folder) } else { BTreeSet::new() };
        let output = place.command(project).env(variable, &home).output().unwrap();
        place.assert_done(project, &output);
        let after = inodes(&folder);
        assert!(after.len() >= 2, "{after:?}");
        if !before.is_empty() {
            assert_eq!(before, after, "they were compiled again");
        }
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn spoiled_entries_are_compiled_again() {
    let place = Place::new();
    let cache = place.path("cache");
    place.run("first", &cache);
    let good = tree(&cache);
    let ways = [flip as fn(&Path, &Path), cut, link];
    assert!(good.len() >= ways.len(), "{:?}", good.keys());
    for (name, way) in good.keys().zip(ways) {
        way(&cache.join(name), &place.path(name));
    }
    assert_ne!(difference(&good, &tree(&cache)), "");
    place.run("second", &cache);
    assert_eq!(good, tree(&cache), "they are not what they were");
}

/// Alters the code.
fn flip(file: &Path, _: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Leaves the half that a crash would.
fn cut(file: &Path, _: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

/// Puts the good entry elsewhere.
fn link(file: &Path, elsewhere: &Path) {
    fs::rename(file, elsewhere).unwrap();
    symlink(elsewhere, file).unwrap();
}

#[test]
fn a_folder_that_agents_could_write_to_is_not_used() {
    let place = Place::new();
    let project = place.path("project");
    let output = place.run("project", &project.join("cache"));
    let text = stderr(&output);
    assert!(text.contains("compiled agents are not kept, see IDUMB_CACHE_DIR"), "{text}");
    assert!(text.contains("not apart from"), "{text}");
    // The usual folder, where it is the project's: the same without a word.
    let home = place.path("home");
    let output = place.command("home").env("HOME", &home).output().unwrap();
    place.assert_done("home", &output);
    assert!(!stderr(&output).contains("not kept"), "{}", told(&output));
}

#[test]
fn a_folder_that_others_could_write_to_is_not_used() {
    let place = Place::new();
    let cache = place.path("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let output = place.run("project", &cache);
    assert!(stderr(&output).contains("is open to others (mode 777, not 700)"), "{}", told(&output));
    assert_eq!(tree(&cache), Tree::new());
}

#[test]
fn two_processes_at_once_leave_one_good_entry_for_each_agent() {
    let place = Place::new();
    let cache = place.path("cache");
    let names = ["one", "two"];
    let running = names.map(|name| {
        let mut command = place.command(name);
        command.env("IDUMB_CACHE_DIR", &cache).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    });
    for (name, process) in names.into_iter().zip(running) {
        place.assert_done(name, &process.wait_with_output().unwrap());
    }
    let found = tree(&cache);
    assert!(found.keys().all(|name| name.ends_with(".compiled")), "{:?}", found.keys());
    let before = inodes(&cache);
    place.run("three", &cache);
    assert_eq!(inodes(&cache), before, "an entry was no good");
}
