//! Misbehaving agents through the real binary: what the user sees, and what is recorded.
//!
//! Invariant: whatever an agent does, the process ends with its own exit status, tells it
//! in its own words, and leaves the project as it was. What a guest can do to files and to
//! the sandbox is tested a level below, in `host/sandbox/tests`.

#[path = "support/project.rs"]
mod project;
mod support;

use std::fs;
use std::process::Output;

use serde_json::Value;

use project::Project;
use support::{declaring, difference, told, tree};

impl Project {
    /// A project whose one task has the misbehaving builder do something.
    fn new(options: &str) -> Self {
        let plan = format!(
            r#"
phase = 1
goal = "See what it does."

[[tasks]]
id = "P1-T1"
title = "Misbehave"
agent = "evil"
writes = ["out/**"]
options = {{ {options} }}

[[tasks.accept]]
exists = "there.txt"
"#
        );
        let project = Self::with(&plan, "");
        project.put("there.txt", b"");
        project.put("out/keep.txt", b"keep\n");
        project
    }

    fn idumb(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the phase, which must fail with `exit` and leave everything as it was.
    fn fails(&self, exit: i32) -> Output {
        let before = tree(&self.folder());
        let output = self.idumb(&["execute-phase", "1", "--mode=auto"]);
        assert_eq!(output.status.code(), Some(exit), "{}", told(&output));
        let mut after = tree(&self.folder());
        after.retain(|path, _| !path.starts_with(".idumb/state/"));
        assert_eq!(difference(&before, &after), "");
        output
    }

    fn event(&self, kind: &str) -> Value {
        let events = self.events(&[]);
        let found = events.iter().find(|event| event["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {events:#?}")).clone()
    }
}

/// Nothing that moves a cursor, changes a colour or turns the direction of reading.
fn assert_printable(output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(stream).unwrap();
        let raw =
            |c: &char| (c.is_control() && *c != '\n') || "\u{202e}\u{2066}\u{200b}".contains(*c);
        if let Some(c) = text.chars().find(|c| raw(c)) {
            panic!("{c:?} was printed: {text:?}");
        }
        let forged = text.lines().any(|line| line.starts_with("idumb: phase completed"));
        assert!(!forged, "an agent's words stand where the host's do: {text}");
    }
}

#[test]
fn a_crash_is_told_and_recorded() {
    let project = Project::new(r#"do = "trap_in_mid_write", path = "out/half.txt""#);
    let output = project.fails(11);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("E002") && stderr.contains("the agent crashed"), "{stderr}");
    let failed = project.event("attempt_failed");
    assert_eq!(failed["trouble"]["trouble"], "trap", "{failed}");
    let log = failed["log"].to_string();
    assert!(log.contains("half of out/half.txt is written"), "{log}");
}

#[test]
fn an_exit_of_the_guest_is_not_one_of_the_host() {
    let project = Project::new(r#"do = "exit_early""#);
    project.fails(11);
    let failed = project.event("attempt_failed");
    assert!(failed["trouble"]["message"].to_string().contains("exit("), "{failed}");
}

#[test]
fn disguised_words_of_a_failure_are_escaped_for_people_and_raw_for_programs() {
    let project = Project::new(r#"do = "disguised_words", path = "out", fail = "yes""#);
    let output = project.fails(11);
    assert_printable(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("\\u{1b}[2J"), "{stderr}");
    for args in [["log", "1"].as_slice(), &["log", "--files"], &["status"]] {
        assert_printable(&project.idumb(args));
    }
    let failed = project.event("attempt_failed");
    let message = failed["trouble"]["message"].as_str().unwrap();
    assert!(message.starts_with("\u{1b}[2J"), "{message:?}");
    let denied = failed["record"]["denials"].to_string();
    assert!(denied.contains("elsewhere-"), "{denied}");
}

#[test]
fn disguised_words_of_a_success_are_escaped_too() {
    let project = Project::new(r#"do = "disguised_words", path = "out""#);
    let output = project.idumb(&["execute-phase", "1", "--mode=auto"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_printable(&output);
    for args in [["log", "1"].as_slice(), &["log", "--files"], &["status"]] {
        assert_printable(&project.idumb(args));
    }
    let sealed = project.event("attempt_sealed");
    assert!(sealed["sealed"]["summary"].as_str().unwrap().starts_with("\u{1b}[2J"), "{sealed}");
}

#[test]
fn a_flood_of_words_is_cut_off() {
    let project = Project::new(r#"do = "flood_log""#);
    let output = project.idumb(&["execute-phase", "1", "--mode=auto"]);
    assert_eq!(output.status.code(), Some(0), "{}", output.status);
    let printed = output.stdout.len() + output.stderr.len();
    assert!(printed < 2 << 20, "{printed} bytes were printed");
    let journal = fs::metadata(project.folder().join(".idumb/state/journal.db")).unwrap();
    assert!(journal.len() < 16 << 20, "the journal has {} bytes", journal.len());
}

#[test]
fn a_question_in_auto_mode_is_declined_and_recorded() {
    let project = Project::new(r#"do = "ask""#);
    let output = project.idumb(&["execute-phase", "1", "--mode=auto"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let sealed = project.event("attempt_sealed");
    assert_eq!(sealed["sealed"]["summary"], "unattended invalid invalid", "{sealed}");
    assert_eq!(project.event("question_declined")["question"], "Which?");
}

#[test]
fn what_is_no_agent_is_refused_with_what_to_do() {
    let project = Project::new(r#"do = "ask""#);
    project.put("agents/evil.wasm", b"\0asm\x01\0\0\0");
    // Nobody's attempt: the run rests until the file is one.
    let output = project.fails(20);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("agent `evil` cannot run: not a WebAssembly component"), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("idumb execute-phase 1 --resume"), "{stdout}");
    assert_eq!(project.event("attempt_failed")["trouble"]["trouble"], "unavailable");
}

/// Compiling goes on in a process of its own; what happens to that one happens to no other.
#[test]
fn an_agent_that_cannot_be_compiled_within_the_limits_does_not_run() {
    let table = [
        ("compile_time = \"1ms\"", "compiling it takes longer than"),
        ("compile_memory = \"16MiB\"", "compiling it takes more than 16 MiB of memory"),
    ];
    for (limit, expected) in table {
        let project = Project::new(r#"do = "write_path", path = "out/new.txt""#);
        project.configure(&format!("[limits]\n{limit}"));
        // Kept from before, it would not be compiled at all.
        let run = |how: &str| {
            let mut command = project.command(&["execute-phase", "1", "--mode=auto", how]);
            command.env("IDUMB_CACHE_DIR", "").output().unwrap()
        };
        let output = run("--restart");
        assert_eq!(output.status.code(), Some(20), "{}", told(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(expected), "{stderr}");
        assert!(stderr.contains("[limits] of idumb.toml"), "{stderr}");
        assert!(!project.folder().join("out/new.txt").exists());
        project.configure("");
        let output = run("--resume");
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
}

/// Memory that the machine does not have is not the agent's fault.
#[test]
fn a_machine_without_memory_pauses_the_run() {
    let project = Project::new(r#"do = "write_path", path = "out/new.txt""#);
    // Compiled before, since compiling wants more.
    assert_eq!(project.idumb(&["execute-phase", "1", "--mode=auto"]).status.code(), Some(0));
    let idumb = project.command(&[]);
    let mut bounded = std::process::Command::new("sh");
    // Enough for idumb, and not for the addresses of one memory.
    bounded.arg("-c").arg("ulimit -v 900000; exec \"$0\" \"$@\"").arg(idumb.get_program());
    bounded.args(["execute-phase", "1", "--mode=auto", "--restart"]);
    bounded.current_dir(project.folder()).stdin(std::process::Stdio::null());
    for (name, value) in idumb.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    let output = bounded.output().unwrap();
    assert_eq!(output.status.code(), Some(20), "{}", told(&output));
    assert!(told(&output).contains("Cannot allocate memory"), "{}", told(&output));
    assert_eq!(project.event("attempt_failed")["trouble"]["trouble"], "unavailable");
}

#[test]
fn a_task_narrows_what_its_agent_may_use() {
    let table = [
        ("memory = \"20MiB\"", "grow_memory", "MiB; refused"),
        ("open_files = 7", "many_descriptors", "7; "),
        ("files = 3", "many_files", "3; "),
        ("cpu = \"20ms\"", "loop_forever", "it computed for more than 20ms"),
        ("questions = 2", "ask", "it asked more than 2 questions"),
        ("host_call = \"1MiB\"", "huge_outcome", "more at once than its limit `host_call` allows"),
    ];
    for (limit, behaviour, expected) in table {
        let path = if behaviour == "many_files" { "out" } else { "there.txt" };
        let project = Project::new(&format!(r#"do = "{behaviour}", path = "{path}""#));
        let plan = fs::read_to_string(project.folder().join(".idumb/phases/1-test/plan.toml"));
        let plan = plan.unwrap().replace("agent =", &format!("limits = {{ {limit} }}\nagent ="));
        let plan = plan.replace("writes =", "reads = [\"there.txt\"]\nwrites =");
        project.put(".idumb/phases/1-test/plan.toml", plan);
        // What a project allows, a task cannot widen.
        project.configure("[limits]\nlog_lines = 10\nmemory = \"200MiB\"");
        let output = project.idumb(&["execute-phase", "1", "--mode=auto"]);
        let events = project.events(&["attempt_sealed", "attempt_failed"]);
        let said = format!("{}{}", events[0]["sealed"]["summary"], events[0]["trouble"]["message"]);
        assert!(said.contains(expected), "{limit}: {said}; {}", told(&output));
        if behaviour == "grow_memory" {
            let held = said.trim_matches('"').split(' ').next().unwrap().parse::<u32>();
            assert!(held.unwrap() < 20, "{said}");
        }
    }
}

#[test]
fn an_agent_that_differs_from_its_pinned_digest_does_not_run() {
    let project = Project::new(r#"do = "ask""#);
    let digest = "0".repeat(64);
    let config = format!(
        "[agents.evil]\npath = \"agents/evil.wasm\"\nrole = \"builder\"\ndigest = \"blake3:{digest}\"\n"
    );
    project.put("idumb.toml", config.as_bytes());
    let output = project.fails(2);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("idumb.toml pins blake3:0000"), "{stderr}");
    let state = project.folder().join(".idumb/state").try_exists();
    assert!(!state.unwrap(), "it began to keep state");
}

#[test]
fn a_section_behind_a_component_bounds_it() {
    let project = Project::new(r#"do = "write_path", path = "out/new.txt""#);
    let narrow = "[[writes]]\npaths = [\"out/keep.txt\"]\nwhy = \"to keep\"\n";
    project.put("agents/evil.wasm", declaring(narrow));
    let output = project.idumb(&["execute-phase", "1", "--mode=auto", "--grant=evil"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("denied: write `out/new.txt`: its agent does not declare"));
    let denials = project.event("attempt_sealed")["sealed"]["record"]["denials"].clone();
    assert_eq!(denials[0]["reason"], "beyond-ceiling", "{denials}");
    assert!(!project.folder().join("out/new.txt").exists());
    let lease = project.event("lease_granted");
    assert_eq!(lease["grants"]["ceiling"]["writes"][0], "out/keep.txt", "{lease}");
    let config = project.event("run_started")["config"].to_string();
    assert!(config.contains("to keep"), "the reasons are in the journal too: {config}");
}

#[test]
fn an_agent_that_declares_what_cannot_be_understood_does_not_run() {
    let want = "[[writes]]\npaths = [\"out/**\"]\nwhy = \"w\"\n";
    let disguised = "[[writes]]\n\"\\u001b[2Jhow\\u202e\" = 1\n";
    let bare = idumb_test_guests::MISBEHAVING_BUILDER.len();
    let twice = [declaring(want), declaring(want)[bare..].to_vec()].concat();
    let table = [
        (declaring(&format!("{want}how = 1\n")), "line 4: unknown field `how`"),
        (declaring("[[writes]]\npaths = [\"../up\"]\nwhy = \"w\"\n"), "`../up` has an empty"),
        (declaring(&want.replace("\"w\"", "\" \"")), "[[writes]] number 1 does not say why"),
        (declaring(disguised), "unknown field `\\u{1b}[2Jhow\\u{202e}`"),
        (twice, "more than one section"),
    ];
    for (component, expected) in table {
        let project = Project::new(r#"do = "ask""#);
        project.put("agents/evil.wasm", component);
        for how in ["--mode=auto", "--dry-run"] {
            let output = project.idumb(&["execute-phase", "1", how]);
            assert_eq!(output.status.code(), Some(2), "{}", told(&output));
            assert_printable(&output);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(stderr.contains("agent `evil`: agents/evil.wasm: it"), "{stderr}");
            assert!(stderr.contains("idumb:agent/ceiling"), "{stderr}");
            assert!(stderr.contains(expected), "{expected:?} is not in {stderr}");
        }
        let state = project.folder().join(".idumb/state").try_exists();
        assert!(!state.unwrap(), "it began to keep state");
    }
}

#[test]
fn what_an_interrupted_integration_moved_aside_is_never_cleaned_away() {
    let project = Project::new(r#"do = "exit_early""#);
    project.fails(11);
    // A file of the user's may wait here to be put back where it belongs.
    let aside = project.folder().join(".idumb/state/staging/moved-aside");
    fs::write(&aside, "the user's only copy\n").unwrap();
    for how in ["--resume", "--restart"] {
        let output = project.idumb(&["execute-phase", "1", "--mode=auto", how]);
        assert_eq!(output.status.code(), Some(11), "{}", told(&output));
        assert_eq!(fs::read_to_string(&aside).unwrap(), "the user's only copy\n", "{how}");
    }
}

#[test]
fn a_diff_of_disguised_files_is_escaped_in_names_and_says_what_is_lost() {
    let project = Project::new(r#"do = "disguised_words", path = "out""#);
    project.idumb(&["execute-phase", "1", "--mode=auto"]);
    let output = project.idumb(&["diff"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("diff --git \"a/out/\\033[2J"), "{stdout}");
    let blobs = project.folder().join(".idumb/state/blobs");
    let sealed = project.event("attempt_sealed");
    let digest = sealed["sealed"]["change_set"].as_str().unwrap();
    let digest = digest.rsplit(':').next().unwrap();
    fs::remove_file(blobs.join(&digest[..2]).join(digest)).unwrap();
    let output = project.idumb(&["diff"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("of P1-T1 attempt 1 cannot be read"), "{}", told(&output));
    fs::remove_dir_all(&blobs).unwrap();
    let output = project.idumb(&["diff"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("blobs is gone"), "{}", told(&output));
    assert!(!blobs.exists(), "looking makes nothing");
}
