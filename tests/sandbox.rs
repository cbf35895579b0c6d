//! `idumb sandbox run`: what a command gets, what becomes of what it does, and how it ends.
//!
//! Invariant: the folder is as it was unless the command exited with 0 and `--apply` was said.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::{Entry, Tree, idumb, told, tree};

/// A folder with a command beside it.
struct Bench {
    temporary: tempfile::TempDir,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Self { temporary: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.folder()).unwrap();
        for (path, content) in files {
            let path = bench.folder().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        bench.put("commander.wasm", idumb_test_guests::COMMANDER);
        bench
    }

    fn folder(&self) -> PathBuf {
        self.temporary.path().join("folder")
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.temporary.path().join(name), bytes).unwrap();
    }

    /// `idumb sandbox run FLAGS ../commander.wasm WORDS`, in the folder.
    fn command(&self, flags: &[&str], words: &[&str]) -> Command {
        let mut command = idumb(&self.folder(), self.temporary.path());
        command.args(["sandbox", "run"]).args(flags).arg("../commander.wasm").args(words);
        command
    }

    fn run(&self, flags: &[&str], words: &[&str]) -> Output {
        self.command(flags, words).output().unwrap()
    }

    fn tree(&self) -> Tree {
        tree(&self.folder())
    }

    fn text(&self, path: &str) -> String {
        self.tree().get(path).map_or_else(String::new, Entry::text)
    }
}

#[track_caller]
fn assert_said(output: &Output, status: i32, stdout: &str) {
    assert_eq!(output.status.code(), Some(status), "{}", told(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{}", told(output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn arguments_environment_and_exit_status_pass_through() {
    let bench = Bench::new(&[]);
    assert_said(&bench.run(&[], &["args", "a b", "--flag", "-x"]), 0, "a b\n--flag\n-x\n");
    assert_said(&bench.run(&[], &["env"]), 0, "");
    let given = ["--env", "NAME=a=b", "--env", "EMPTY="];
    assert_said(&bench.run(&given, &["env"]), 0, "NAME=a=b\nEMPTY=\n");
    assert_said(&bench.run(&[], &["exit", "7"]), 7, "");
    assert_said(&bench.run(&[], &["nonsense"]), 1, "error: what is [\"nonsense\"]?\n");
}

#[test]
fn standard_input_is_its_own() {
    let bench = Bench::new(&[]);
    let mut command = bench.command(&[], &["cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let bytes = vec![b'z'; 300_000];
    let written = bytes.clone();
    let mut to = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || to.write_all(&written));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
}

#[test]
fn nothing_is_there_without_a_grant() {
    let bench = Bench::new(&[("a.txt", "a")]);
    let output = bench.run(&[], &["read", "a.txt"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let output = bench.run(&["--read", "b.txt"], &["read", "a.txt"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let expected = "denied: read `a.txt`: no grant of this task covers it; to allow it: --read";
    assert!(stderr(&output).contains(expected), "{}", told(&output));
    assert_said(&bench.run(&["--read", "*.txt"], &["read", "a.txt"]), 0, "a");
}

#[test]
fn protected_names_need_to_be_named() {
    let bench = Bench::new(&[(".env", "secret"), ("a.txt", "a")]);
    let output = bench.run(&["--read", "**"], &["read", ".env"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(stderr(&output).contains("denied: read `.env`"), "{}", told(&output));
    assert_said(&bench.run(&["--read", ".env"], &["read", ".env"]), 0, "secret");
    // A folder given as a whole is given as a whole.
    assert_said(&bench.run(&["--dir", "."], &["read", ".env"]), 0, "secret");
}

#[test]
fn folders_are_given_under_names_and_read_only() {
    let bench = Bench::new(&[("in/a.txt", "a"), ("out/b.txt", "b")]);
    let flags = ["--dir", "in::/in:ro", "--dir", "out::/out", "--apply"];
    assert_said(&bench.run(&flags, &["list", "/in"]), 0, "a.txt\n");
    let output = bench.run(&flags, &["write", "/in/a.txt", "other"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let output = bench.run(&flags, &["write", "/out/c.txt", "c"]);
    assert_said(&output, 0, "");
    assert_eq!((bench.text("in/a.txt"), bench.text("out/c.txt")), ("a".into(), "c".into()));
    // From one to the other is as from one disk to another.
    let output =
        bench.run(&["--dir", "in::/in", "--dir", "out::/out"], &["move", "/in/a.txt", "/out/a"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("ross-device"), "{}", told(&output));
}

#[test]
fn links_lead_nowhere_outside() {
    let bench = Bench::new(&[("in/a.txt", "a"), ("secret.txt", "secret")]);
    symlink("../secret.txt", bench.folder().join("in/link")).unwrap();
    symlink(bench.folder().join("secret.txt"), bench.folder().join("in/far")).unwrap();
    for name in ["/link", "/far", "/../secret.txt", "/a.txt/../../secret.txt"] {
        let output = bench.run(&["--dir", "in::/"], &["read", name]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", told(&output));
        assert!(!told(&output).contains("--- standard output\nsecret"), "{name}");
    }
}

#[test]
fn what_it_changed_is_shown_applied_or_dropped() {
    let files = [("a.txt", "one\n"), ("gone.txt", "gone\n")];
    let words = [
        "then", "write", "a.txt", "two\n", "then", "write", "b.txt", "b\n", "then", "remove",
        "gone.txt",
    ];
    for flags in [&["--write", "*.txt"][..], &["--write", "*.txt", "--diff"]] {
        let bench = Bench::new(&files);
        let before = bench.tree();
        let output = bench.run(flags, &words);
        assert_said(&output, 0, "");
        for line in ["-one", "+two", "+b", "-gone", "idumb: nothing was applied"] {
            assert!(
                stderr(&output).lines().any(|said| said.starts_with(line)),
                "{}",
                told(&output)
            );
        }
        assert_eq!(bench.tree(), before);
    }
    let bench = Bench::new(&files);
    let before = bench.tree();
    let output = bench.run(&["--write", "*.txt", "--discard"], &words);
    assert_said(&output, 0, "");
    assert_eq!((stderr(&output), bench.tree()), (String::new(), before));

    let output = bench.run(&["--write", "*.txt", "--apply"], &words);
    assert_said(&output, 0, "");
    assert!(stderr(&output).contains("idumb: applied; paths changed: 3"), "{}", told(&output));
    let texts: Vec<String> = bench.tree().values().map(Entry::text).collect();
    assert_eq!(texts, ["two\n", "b\n"]);
}

#[test]
fn a_failed_command_applies_nothing() {
    for (end, status) in [(&["exit", "1"][..], 1), (&["abort"], 134)] {
        let bench = Bench::new(&[("a.txt", "one\n")]);
        let words = [&["then", "write", "a.txt", "two\n", "then"][..], end].concat();
        let output = bench.run(&["--dir", ".", "--apply"], &words);
        assert_said(&output, status, "");
        assert!(stderr(&output).contains("nothing was applied"), "{}", told(&output));
        assert_eq!(bench.text("a.txt"), "one\n");
    }
}

#[test]
fn an_edit_of_yours_meanwhile_is_never_overwritten() {
    let bench = Bench::new(&[("a.txt", "one\n")]);
    let mut command = bench.command(
        &["--dir", ".", "--apply"],
        &["then", "write", "a.txt", "two\n", "then", "args", "wrote", "then", "wait"],
    );
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    fs::write(bench.folder().join("a.txt"), "mine\n").unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(stderr(&output).contains("a.txt: expected a file"), "{}", told(&output));
    assert_eq!(bench.text("a.txt"), "mine\n");
}

#[test]
fn time_and_memory_have_bounds() {
    let bench = Bench::new(&[]);
    let output = bench.run(&["--timeout", "100ms"], &["spin"]);
    assert_said(&output, 124, "");
    assert!(stderr(&output).contains("ran out of time"), "{}", told(&output));
    // It waits for input that never comes.
    let mut command = bench.command(&["--timeout", "100ms"], &["wait"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let never = child.stdin.take();
    let status = child.wait().unwrap();
    drop(never);
    assert_eq!(status.code(), Some(124), "{status}");
    assert_said(&bench.run(&["--memory", "64MiB"], &["grow", "32"]), 0, "32\n");
    let output = bench.run(&["--memory", "64MiB"], &["grow", "128"]);
    assert_eq!(output.status.code(), Some(134), "{}", told(&output));
}

#[test]
fn interrupted_it_is_gone_and_nothing_is_applied() {
    let bench = Bench::new(&[("a.txt", "one\n")]);
    let mut command = bench.command(
        &["--dir", ".", "--apply"],
        &["then", "write", "a.txt", "two\n", "then", "args", "wrote", "then", "spin"],
    );
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
    assert_eq!(bench.text("a.txt"), "one\n");
}

/// What is left in the folder of the rooms.
fn left(bench: &Bench) -> Vec<PathBuf> {
    let is_rooms = |path: &Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("idumb-sandbox-"))
    };
    let entries = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let rooms = entries(bench.temporary.path()).into_iter().filter(|path| is_rooms(path));
    rooms.flat_map(|rooms| entries(&rooms)).collect()
}

#[test]
fn a_death_while_it_is_applied_is_made_good_by_the_next_run() {
    let files = [("a.txt", "one\n"), ("b.txt", "one\n"), ("gone.txt", "gone\n")];
    let words = [
        "then", "write", "a.txt", "two\n", "then", "write", "b.txt", "two\n", "then", "remove",
        "gone.txt", "then", "write", "c.txt", "c\n",
    ];
    let mut deaths = 0;
    for step in 1.. {
        let bench = Bench::new(&files);
        let mut command = bench.command(&["--dir", ".", "--apply"], &words);
        let output =
            command.env("IDUMB_FAIL_POINT", format!("integrate.step@{step}")).output().unwrap();
        let died = output.status.code().is_none();
        if died {
            deaths += 1;
            assert_eq!(left(&bench).len(), 1, "step {step}: the record is gone");
            let output = bench.run(&[], &["args"]);
            assert_said(&output, 0, "");
            let completed = stderr(&output).contains("idumb: completed what was being applied");
            assert!(completed, "step {step}: {}", told(&output));
        }
        let texts: Vec<String> = bench.tree().values().map(Entry::text).collect();
        assert_eq!(texts, ["two\n", "two\n", "c\n"], "step {step}: {}", told(&output));
        assert_eq!(left(&bench), Vec::<PathBuf>::new(), "step {step}");
        if !died {
            break;
        }
    }
    assert!(deaths > 5, "there were only {deaths} steps");
}

#[test]
fn what_stands_in_the_way_of_completing_is_said_and_nothing_is_lost() {
    let bench = Bench::new(&[("a.txt", "one\n"), ("b.txt", "one\n")]);
    let words = ["then", "write", "a.txt", "two\n", "then", "write", "b.txt", "two\n"];
    let mut command = bench.command(&["--dir", ".", "--apply"], &words);
    let output = command.env("IDUMB_FAIL_POINT", "integrate.step@1").output().unwrap();
    assert_eq!(output.status.code(), None, "{}", told(&output));
    fs::write(bench.folder().join("b.txt"), "mine\n").unwrap();
    for _ in 0..2 {
        let output = bench.run(&[], &["args"]);
        assert_said(&output, 0, "");
        let said = stderr(&output);
        assert!(said.contains("cannot be completed") && said.contains("b.txt"), "{said}");
    }
    assert_eq!(bench.text("b.txt"), "mine\n");
    assert_eq!(left(&bench).len(), 1);
}

#[test]
fn nothing_is_left_behind() {
    let bench = Bench::new(&[]);
    for words in [&["write", "a.txt", "a"][..], &["exit", "1"], &["abort"]] {
        bench.run(&["--dir", ".", "--apply"], words);
        assert_eq!(left(&bench), Vec::<PathBuf>::new(), "{words:?}");
    }
}

#[test]
fn what_is_no_command_is_refused_with_what_to_do() {
    let bench = Bench::new(&[]);
    bench.put("module.wasm", &wat::parse_str("(module)").unwrap());
    bench.put("agent.wasm", idumb_test_guests::MISBEHAVING_BUILDER);
    bench.put("text.wasm", b"not a component");
    let network = r#"(component (import "wasi:http/types@0.2.0" (instance)))"#;
    bench.put("network.wasm", &wat::parse_str(network).unwrap());
    for (file, words) in [
        ("missing.wasm", "missing.wasm: No such file"),
        ("module.wasm", "build for wasm32-wasip2"),
        ("agent.wasm", "does not export wasi:cli/run 0.2"),
        ("text.wasm", "not a WebAssembly component that runs here"),
        ("network.wasm", "does not export wasi:cli/run 0.2"),
        (".", "is not a file"),
    ] {
        let mut command = idumb(&bench.folder(), bench.temporary.path());
        let output = command.args(["sandbox", "run"]).arg(format!("../{file}")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{file}: {}", told(&output));
        assert!(stderr(&output).contains(words), "{file}: {}", told(&output));
    }
    let output = bench.run(&["--dir", "nowhere"], &["args"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(stderr(&output).contains("nowhere"), "{}", told(&output));
}

/// A command that imports WASI of several versions at once, and succeeds.
fn of_versions(versions: &[&str]) -> Vec<u8> {
    let interfaces = ["io/error", "cli/stdin", "clocks/wall-clock", "random/insecure-seed"];
    let mut text = "(component\n".to_owned();
    for (number, version) in versions.iter().enumerate() {
        let interface = interfaces[number % interfaces.len()];
        let content = match interface {
            "io/error" => r#"(export "error" (type (sub resource)))"#,
            "clocks/wall-clock" => {
                r#"(type $d (record (field "seconds" u64) (field "nanoseconds" u32)))
                (export "datetime" (type $e (eq $d))) (export "now" (func (result $e)))"#
            }
            _ => "",
        };
        text.push_str(&format!("(import \"wasi:{interface}@{version}\" (instance {content}))\n"));
    }
    text.push_str(
        r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $cli (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $cli)))"#,
    );
    wat::parse_str(&text).unwrap()
}

#[test]
fn versions_of_wasi_0_2_mix() {
    let bench = Bench::new(&[]);
    let versions: Vec<String> = (0..=12).map(|minor| format!("0.2.{minor}")).collect();
    for start in 0..4 {
        let turned: Vec<&str> =
            versions.iter().cycle().skip(start).take(13).map(String::as_str).collect();
        bench.put("commander.wasm", &of_versions(&turned));
        assert_said(&bench.run(&[], &[]), 0, "");
    }
    bench.put("commander.wasm", &of_versions(&["0.3.0"]));
    let output = bench.run(&[], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(stderr(&output).contains("wasi:io/error@0.3.0"), "{}", told(&output));
}
