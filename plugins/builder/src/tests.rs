//! Each kind of step in a directory of its own: what it does, and how it fails.

use std::fs;

use idumb_agent::FailureKind::{Denied, Invalid, Precondition, Unsupported};
use idumb_agent::{Completion, Failure, FailureKind, Outcome, Param, Step, Task};
use serde_json::{Value, json};

use crate::carry_out;
use crate::dir::Dir;

/// A project of its own, which goes when the test does.
struct Project {
    dir: Dir,
    _keep: tempfile::TempDir,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let project = Self { dir: Dir::new(keep.path()), _keep: keep };
        for (path, content) in files {
            let at = project.dir.root().join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, content).unwrap();
        }
        project
    }

    fn run(&self, steps: &[(&str, Value)]) -> Result<Outcome, Failure> {
        carry_out(&self.dir, &task(steps), &mut |_, _, _: &str| ())
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir.root().join(path)).ok()
    }

    fn is_there(&self, path: &str) -> bool {
        fs::symlink_metadata(self.dir.root().join(path)).is_ok()
    }

    /// Runs one step that must fail, and returns the message.
    fn refuses(&self, kind: &str, args: Value, expected: FailureKind) -> String {
        let failure = self.run(&[(kind, args.clone())]).expect_err(&args.to_string());
        assert_eq!(failure.kind, expected, "{kind} {args}: {}", failure.message);
        assert_eq!(failure.step, Some(0));
        assert!(!failure.retryable, "the same steps fail the same way");
        let prefix = format!("{kind}: ");
        failure.message.strip_prefix(&prefix).expect(&failure.message).to_owned()
    }
}

fn task(steps: &[(&str, Value)]) -> Task {
    let step = |(kind, args): &(&str, Value)| Step { kind: (*kind).into(), args: args.to_string() };
    let options = vec![Param { name: "crate".into(), value: "notes".into() }];
    Task { steps: steps.iter().map(step).collect(), options, ..Task::default() }
}

#[test]
fn write_creates_and_replaces() {
    let project = Project::new(&[("old.txt", "old")]);
    let outcome = project
        .run(&[
            ("write", json!({"path": "a/b/new.txt", "content": "new"})),
            ("write", json!({"path": "old.txt", "content": "newer"})),
        ])
        .unwrap();
    assert_eq!(project.text("a/b/new.txt").as_deref(), Some("new"));
    assert_eq!(project.text("old.txt").as_deref(), Some("newer"));
    assert_eq!(outcome.status, Completion::Done);
    assert_eq!(outcome.artifacts, ["a/b/new.txt", "old.txt"]);
    assert_eq!(outcome.summary, "wrote a/b/new.txt; rewrote old.txt");
}

#[test]
fn write_refuses() {
    let project = Project::new(&[("f", "old"), ("d/x", "")]);
    let kept = json!({"path": "f", "content": "new", "overwrite": false});
    assert_eq!(
        project.refuses("write", kept, Precondition),
        "a file is at f already, and `overwrite` is false"
    );
    assert_eq!(project.text("f").as_deref(), Some("old"));
    let on_dir = json!({"path": "d", "content": ""});
    assert_eq!(project.refuses("write", on_dir, Precondition), "d is a directory, not a file");
    let below_file = json!({"path": "f/x", "content": ""});
    assert!(project.refuses("write", below_file, Precondition).contains("f"));
}

#[test]
fn append_adds_at_the_end() {
    let project = Project::new(&[("log", "a\n"), ("d/x", "")]);
    project.run(&[("append", json!({"path": "log", "content": "b\n"}))]).unwrap();
    assert_eq!(project.text("log").as_deref(), Some("a\nb\n"));
    let gone = json!({"path": "gone", "content": "x"});
    assert_eq!(
        project.refuses("append", gone, Precondition),
        "there is no gone, or the task does not grant it"
    );
    assert!(!project.is_there("gone"));
    project.refuses("append", json!({"path": "d", "content": "x"}), Precondition);
}

#[test]
fn replace_is_exact() {
    let project = Project::new(&[("f", "a b a\n"), ("g", "x")]);
    project
        .run(&[("replace", json!({"path": "f", "find": "a", "with": "c", "count": 2}))])
        .unwrap();
    assert_eq!(project.text("f").as_deref(), Some("c b c\n"));
    let message =
        project.refuses("replace", json!({"path": "f", "find": "c", "with": "d"}), Precondition);
    assert_eq!(message, "in f, `c` occurs 2 times (lines 1, 1), expected once");
    assert_eq!(project.text("f").as_deref(), Some("c b c\n"), "nothing was replaced");
    project.refuses("replace", json!({"path": "f", "find": "", "with": "d"}), Invalid);
    project.refuses("replace", json!({"path": "f", "find": "b", "with": "d", "count": 0}), Invalid);
    project.refuses("replace", json!({"path": "gone", "find": "b", "with": "d"}), Precondition);
    fs::write(project.dir.root().join("g"), b"a\xff").unwrap();
    let message =
        project.refuses("replace", json!({"path": "g", "find": "a", "with": "d"}), Precondition);
    assert_eq!(message, "g is not UTF-8 text: byte 1 is none");
}

#[test]
fn patch_changes_creates_and_deletes() {
    let project = Project::new(&[("f", "a\nb\n"), ("gone", "x\n")]);
    let outcome = project
        .run(&[
            ("patch", json!({"path": "f", "diff": "@@ -2 +2 @@\n-b\n+c\n"})),
            (
                "patch",
                json!({"path": "n/new", "diff": "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+hi\n"}),
            ),
            (
                "patch",
                json!({"path": "gone", "diff": "--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"}),
            ),
        ])
        .unwrap();
    assert_eq!(project.text("f").as_deref(), Some("a\nc\n"));
    assert_eq!(project.text("n/new").as_deref(), Some("hi\n"));
    assert!(!project.is_there("gone"));
    assert_eq!(outcome.artifacts, ["f", "n/new"]);
    let message = project.refuses(
        "patch",
        json!({"path": "f", "diff": "@@ -2 +2 @@\n-b\n+c\n"}),
        Precondition,
    );
    assert_eq!(message, "the diff does not fit f: hunk 1: line 2 should be `b`, and is `c`");
}

#[test]
fn copy_and_move() {
    let project = Project::new(&[("f", "content"), ("d/x", "1"), ("d/y/z", "2")]);
    let outcome = project
        .run(&[
            ("copy", json!({"from": "f", "to": "new/g"})),
            ("write", json!({"path": "d/x", "content": "3"})),
            ("move", json!({"from": "d", "to": "moved/e"})),
        ])
        .unwrap();
    assert_eq!(project.text("f").as_deref(), Some("content"));
    assert_eq!(project.text("new/g").as_deref(), Some("content"));
    assert_eq!(project.text("moved/e/x").as_deref(), Some("3"));
    assert_eq!(project.text("moved/e/y/z").as_deref(), Some("2"));
    assert!(!project.is_there("d"));
    assert_eq!(outcome.artifacts, ["moved/e", "moved/e/x", "new/g"]);
    for kind in ["copy", "move"] {
        let onto = json!({"from": "f", "to": "new/g"});
        assert_eq!(project.refuses(kind, onto, Precondition), "a file is at new/g already");
        let gone = json!({"from": "gone", "to": "h"});
        assert!(project.refuses(kind, gone, Precondition).starts_with("there is no gone"));
    }
    let dir = json!({"from": "moved", "to": "h"});
    assert!(project.refuses("copy", dir, Precondition).contains("is a directory"));
    project.refuses("move", json!({"from": "moved", "to": "moved/in"}), Invalid);
}

#[test]
fn delete_takes_everything_below_and_no_more() {
    let project = Project::new(&[("d/x", ""), ("d/y/z", ""), ("kept/f", "here"), ("one", "")]);
    #[cfg(unix)]
    std::os::unix::fs::symlink("../kept", project.dir.root().join("d/link")).unwrap();
    let outcome = project
        .run(&[
            ("write", json!({"path": "d/new", "content": "x"})),
            ("delete", json!({"path": "d"})),
            ("delete", json!({"path": "one"})),
        ])
        .unwrap();
    assert!(!project.is_there("d") && !project.is_there("one"));
    assert_eq!(project.text("kept/f").as_deref(), Some("here"), "a link was followed");
    assert_eq!(outcome.artifacts, [""; 0]);
    assert!(
        project.refuses("delete", json!({"path": "d"}), Precondition).starts_with("there is no d")
    );
}

#[test]
fn mkdir_makes_the_way() {
    let project = Project::new(&[("f", "")]);
    let outcome = project.run(&[("mkdir", json!({"path": "a/b/c"}))]).unwrap();
    assert!(project.dir.root().join("a/b/c").is_dir());
    assert_eq!(outcome.artifacts, ["a/b/c"]);
    let again = project.run(&[("mkdir", json!({"path": "a/b/c"}))]).unwrap();
    assert_eq!(again.status, Completion::AlreadyDone);
    for path in ["f", "f/x"] {
        let message = project.refuses("mkdir", json!({"path": path}), Precondition);
        assert!(message.contains("a file stands"), "{message}");
    }
}

#[test]
fn template_fills_in() {
    let project = Project::new(&[("t.tmpl", "name = \"{{crate}}\"\n"), ("taken", "other")]);
    let steps = [
        ("template", json!({"path": "src/a.toml", "from": "t.tmpl"})),
        ("template", json!({"path": "b", "template": "{{crate}} ${{ x }}"})),
    ];
    let outcome = project.run(&steps).unwrap();
    assert_eq!(project.text("src/a.toml").as_deref(), Some("name = \"notes\"\n"));
    assert_eq!(project.text("b").as_deref(), Some("notes ${{ x }}"));
    assert_eq!(outcome.status, Completion::Done);
    assert_eq!(project.run(&steps).unwrap().status, Completion::AlreadyDone);
    let message = project.refuses("template", json!({"path": "c", "template": "{{no}}"}), Invalid);
    assert_eq!(message, "the template needs `no`: add to the task's `options`");
    let taken = json!({"path": "taken", "template": "x"});
    assert!(project.refuses("template", taken, Precondition).contains("with other content"));
    project.refuses("template", json!({"path": "c"}), Invalid);
    project.refuses("template", json!({"path": "c", "template": "x", "from": "t.tmpl"}), Invalid);
    project.refuses("template", json!({"path": "c", "from": "gone"}), Precondition);
}

#[test]
fn a_second_time_there_is_nothing_to_do() {
    let project = Project::new(&[]);
    let steps = [("write", json!({"path": "a", "content": "x"})), ("mkdir", json!({"path": "d"}))];
    assert_eq!(project.run(&steps).unwrap().status, Completion::Done);
    let again = project.run(&steps).unwrap();
    assert_eq!(again.status, Completion::AlreadyDone);
    assert!(again.artifacts.is_empty(), "{again:?}");
}

#[test]
fn nothing_is_done_before_all_is_understood() {
    let project = Project::new(&[]);
    let first = ("write", json!({"path": "a", "content": "x"}));
    let table = [
        ("fly", json!({}), Unsupported, "knows no such step"),
        ("write", json!({"path": "b"}), Invalid, "missing field `content`"),
        ("write", json!({"path": "b", "content": "", "mode": 7}), Invalid, "unknown field `mode`"),
        (
            "write",
            json!({"path": "/etc/passwd", "content": ""}),
            Invalid,
            "is no path of the project",
        ),
        ("copy", json!({"from": "a", "to": "../b"}), Invalid, "`../b` is no path"),
        ("template", json!({"path": "b", "from": "./a"}), Invalid, "`./a` is no path"),
        ("delete", json!({"path": ""}), Invalid, "`` is no path"),
    ];
    for (kind, args, expected, part) in table {
        let failure = project.run(&[first.clone(), (kind, args.clone())]).unwrap_err();
        assert_eq!(failure.kind, expected, "{kind} {args}: {}", failure.message);
        assert_eq!(failure.step, Some(1));
        assert!(failure.message.starts_with(&format!("{kind}: ")), "{}", failure.message);
        assert!(failure.message.contains(part), "{}", failure.message);
        assert!(!project.is_there("a"), "the first step was carried out");
    }
}

#[test]
fn without_steps_it_says_whose_task_this_is() {
    let failure = Project::new(&[]).run(&[]).unwrap_err();
    assert_eq!(failure.kind, Invalid);
    assert_eq!(failure.step, None);
    assert!(
        failure.message.starts_with("no steps: the built-in builder carries out declared steps;")
    );
}

#[test]
fn the_first_failure_ends_it_and_progress_says_how_far_it_came() {
    let project = Project::new(&[]);
    let task = task(&[
        ("write", json!({"path": "a", "content": "x"})),
        ("append", json!({"path": "gone", "content": "x"})),
        ("write", json!({"path": "b", "content": "x"})),
    ]);
    let mut said = Vec::new();
    let failure = carry_out(&project.dir, &task, &mut |done, total, text: &str| {
        said.push(format!("{done}/{total} {text}"));
    });
    assert_eq!(failure.unwrap_err().step, Some(1));
    assert_eq!(said, ["0/3 write a", "1/3 append to gone"]);
    assert!(!project.is_there("b"));
}

#[cfg(unix)]
#[test]
fn a_refused_write_is_denied_and_named() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new(&[("locked/f", "x")]);
    let locked = project.dir.root().join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // Who may write all the same, such as root, cannot be refused by the file system.
    let refused = fs::write(locked.join("probe"), "").is_err();
    if refused {
        let write = json!({"path": "locked/new", "content": ""});
        let message = project.refuses("write", write, Denied);
        assert!(message.starts_with("locked/new cannot be written"), "{message}");
        assert!(message.contains("`writes` must grant it"), "{message}");
        let deep = json!({"path": "locked/a/b/new", "content": ""});
        let message = project.refuses("write", deep, Denied);
        assert!(
            message.starts_with("locked/a/b/new cannot be written (its directory"),
            "{message}"
        );
        let message = project.refuses("delete", json!({"path": "locked"}), Denied);
        assert!(message.starts_with("locked/f cannot be deleted"), "{message}");
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}
