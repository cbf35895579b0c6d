//! Native commands through the real binary: criteria that have the host run something.
//!
//! Invariant: a command runs confined, on a copy of the candidate that goes afterwards; it decides
//! by what the host saw of it. What a hostile command can do is tested a level below, in
//! `host/exec/tests`; whole projects of three languages are in `tests/native`.

#[path = "support/project.rs"]
mod project;
mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use project::Project;
use support::{difference, told, tree};

/// What tells in TAP whether `out.txt` says hello.
const TEST: &str = "echo 1..2\ngrep -q hello out.txt && echo 'ok 1 - hello' || echo 'not ok 1 - hello'\n\
                    echo 'ok 2 - there'\necho made > made-by-the-test\n";

/// The command that runs it.
const TAP: &str = "[commands.tap]\nrun = [\"sh\", \"test.sh\"]\nreport = \"tap\"\n";

/// A task that writes this, with these criteria.
fn task(id: &str, file: &str, text: &str, accept: &str) -> String {
    format!(
        "[[tasks]]\nid = \"{id}\"\ntitle = \"Write\"\nwrites = [\"{file}\"]\n\
         steps = [{{ write = \"{file}\", content = \"{text}\\n\", overwrite = true }}]\n\
         accept = [{accept}]\n"
    )
}

fn with(tasks: &str, config: &str) -> Project {
    let project = Project::with(&format!("phase = 1\ngoal = \"Tests pass.\"\n{tasks}"), config);
    project.put("test.sh", TEST);
    project
}

impl Project {
    fn idumb(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn runs(&self, args: &[&str], exit: i32) -> Output {
        let output = self.idumb(&[&["execute-phase", "1", "--mode=auto"], args].concat());
        assert_eq!(output.status.code(), Some(exit), "{}", told(&output));
        output
    }

    /// What the host saw of commands, in order.
    fn commands(&self) -> Vec<Value> {
        let judged = self.events(&["candidate_judged"]);
        let evidence = |event: &Value| event["examination"]["evidence"].as_array().cloned();
        let all = judged.iter().filter_map(evidence).flatten().map(|one| one["observed"].clone());
        all.filter(|observed| observed["kind"] == "command").collect()
    }
}

#[test]
fn tests_pass_means_that_tests_passed() {
    let tasks = [
        task("P1-T1", "out.txt", "hello", "{ tests_pass = \"tap\", at_least = 2 }"),
        task("P1-T2", "out.txt", "bye", "{ tests_pass = \"tap\" }")
            .replace("title", "depends_on = [\"P1-T1\"]\ntitle"),
    ];
    let project = with(&tasks.concat(), TAP);
    let before = tree(&project.folder());
    let output = project.runs(&["--grant=tap"], 14);
    let text = told(&output);
    assert!(text.contains("E005") && text.contains("1 test failed: hello"), "{text}");
    let commands = project.commands();
    let tests = |index: usize| &commands[index]["tests"];
    assert_eq!((&tests(0)["passed"], &tests(0)["failed"]), (&2.into(), &0.into()));
    assert_eq!((&tests(1)["passed"], &tests(1)["failed"]), (&1.into(), &1.into()));
    assert_ne!(commands[0]["tree"], commands[1]["tree"], "each ran on its candidate");
    let walls = commands[0]["walls"].as_str().unwrap();
    assert!(walls.contains("7 namespaces") && walls.contains("seccomp"), "{walls}");
    // What the command made is nowhere, and the tree that it ran on is gone.
    let mut after = tree(&project.folder());
    assert!(!after.keys().any(|path| path.contains("upper/")), "{:?}", after.keys());
    after.retain(|path, _| !path.starts_with(".idumb/state/"));
    assert_eq!(after.remove("out.txt").unwrap().text(), "hello\n");
    assert_eq!(difference(&before, &after), "");
}

#[test]
fn a_command_that_ran_no_test_or_too_few_fails() {
    for (accept, why) in [
        ("{ tests_pass = \"none\" }", "it ran no test (1 were skipped)"),
        ("{ tests_pass = \"tap\", at_least = 3 }", "it ran 2 tests; at least 3 are expected"),
        ("{ tests_pass = \"says\" }", "its tests cannot be counted"),
        ("{ command = \"says\", exit = 3 }", "it exited with 0"),
        ("{ tests_pass = \"stale\" }", "its tests cannot be counted"),
    ] {
        let config = format!(
            "{TAP}[commands.none]\nrun = [\"echo\", \"1..1\\nok 1 # SKIP no\"]\nreport = \"tap\"\n\
             [commands.says]\nrun = [\"echo\", \"all 12 tests passed\"]\nreport = \"tap\"\n\
             [commands.stale]\nrun = [\"true\"]\nreport = \"junit\"\nreport_file = \"report.xml\"\n"
        );
        let project = with(&task("P1-T1", "out.txt", "hello", accept), &config);
        // The report of an earlier run is not this one's.
        project.put("report.xml", "<testsuite tests=\"1\"><testcase name=\"a\"/></testsuite>");
        let grants = ["--grant=tap", "--grant=none", "--grant=says", "--grant=stale"];
        let used: Vec<&str> =
            grants.into_iter().filter(|flag| accept.contains(&flag[8..])).collect();
        let text = told(&project.runs(&used, 14));
        assert!(text.contains(why), "{accept}: {text}");
        assert!(!project.folder().join("out.txt").exists());
    }
}

#[test]
fn a_command_needs_consent_to_what_it_is() {
    let project = with(&task("P1-T1", "out.txt", "hello", "{ tests_pass = \"tap\" }"), TAP);
    let text = told(&project.runs(&[], 21));
    assert!(text.contains("command `tap`") && text.contains("is to run sh test.sh"), "{text}");
    assert!(text.contains("--grant tap=blake3:"), "{text}");
    assert!(project.events(&[]).is_empty(), "no run was begun");
    let shown = told(&project.idumb(&["execute-phase", "--dry-run"]));
    let says = ["Native commands, confined", "not allowed yet", "runs sh test.sh", "network: none"];
    assert!(says.iter().all(|text| shown.contains(text)), "{shown}");
    let digest = text.split("--grant tap=").nth(1).unwrap().split_whitespace().next().unwrap();
    let flag = format!("--grant=tap={digest}");
    project.configure(&TAP.replace("test.sh", "other.sh"));
    let text = told(&project.runs(&[&flag], 21));
    assert!(text.contains("as it is now has the digest"), "another definition: {text}");
    project.configure(TAP);
    project.runs(&[&flag], 0);
}

#[test]
fn what_is_not_defined_is_told_before_anything_runs() {
    let project = with(&task("P1-T1", "out.txt", "x", "{ command = \"tpa\" }"), TAP);
    let text = told(&project.runs(&[], 2));
    assert!(text.contains("task P1-T1") && text.contains("did you mean `tap`?"), "{text}");
    let checked = project.idumb(&["check"]);
    assert_eq!(checked.status.code(), Some(2), "{}", told(&checked));
    let no_report = "[commands.tpa]\nrun = [\"true\"]\n";
    project.put(
        ".idumb/phases/1-test/plan.toml",
        format!("phase = 1\ngoal = \"g\"\n{}", task("T", "a", "x", "{ tests_pass = \"tpa\" }")),
    );
    project.configure(no_report);
    let text = told(&project.runs(&[], 2));
    assert!(text.contains("which says no `report`") && text.contains("junit"), "{text}");
}

#[test]
fn what_a_command_lacks_on_this_machine_is_told_before_anything_runs() {
    let config = format!("{TAP}read_only = [\"/no/such/toolchain\"]\n");
    let project = with(&task("P1-T1", "out.txt", "hello", "{ tests_pass = \"tap\" }"), &config);
    let text = told(&project.runs(&["--grant=tap"], 2));
    assert!(text.contains("there is no /no/such/toolchain on this machine"), "{text}");
    assert!(project.events(&[]).is_empty(), "no run was begun");
}

#[test]
fn a_run_is_not_replanned_to_a_command_that_cannot_run_here() {
    let accept = "{ command = \"no\" }";
    let defined = format!("{TAP}[commands.no]\nrun = [\"false\"]\n");
    let project = with(&task("P1-T1", "out.txt", "hello", accept), &defined);
    project.runs(&["--grant=no"], 14);
    let before = project.events(&[]).len();
    let tasks = task("P1-T1", "out.txt", "hello", "{ tests_pass = \"tap\" }");
    let plan = format!("phase = 1\ngoal = \"Tests pass.\"\n{tasks}");
    project.put(".idumb/phases/1-test/plan.toml", plan);
    project.configure(&format!("{TAP}read_only = [\"/no/such/toolchain\"]\n"));
    let on = ["--resume", "--replan", "--grant=tap"];
    let text = told(&project.runs(&on, 2));
    assert!(text.contains("there is no /no/such/toolchain on this machine"), "{text}");
    assert_eq!(project.events(&[]).len(), before, "the run is bound to its plan as before");
    project.configure(TAP);
    project.runs(&on, 0);
}

#[test]
fn a_command_gets_nothing_of_the_hosts_and_not_the_projects_secrets() {
    let command =
        "[commands.look]\nrun = [\"sh\", \"-c\", \"env; ls -a . deep; ls /root /home; exit 1\"]\n";
    let project = with(&task("P1-T1", "out.txt", "x", "{ command = \"look\" }"), command);
    for secret in [".git/config", ".env", "deep/.env.local", ".npmrc", "deep/.idumb/state"] {
        project.put(secret, "");
    }
    project.put("built/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    project.put("kept/CACHEDIR.TAG", "not so");
    let mut run = project.command(&["execute-phase", "1", "--mode=auto", "--grant=look"]);
    let output = run.env("API_KEY", "sesame").env("GIT_DIR", "/elsewhere").output().unwrap();
    assert_eq!(output.status.code(), Some(14), "{}", told(&output));
    let text = told(&output);
    let there = ["test.sh", "out.txt", "kept"];
    assert!(there.iter().all(|name| text.contains(name)), "the candidate: {text}");
    for secret in ["sesame", "/elsewhere", ".git", ".idumb", ".env", ".npmrc", "built"] {
        let note = project.events(&["candidate_judged"])[0]["examination"]["findings"].to_string();
        assert!(!note.contains(secret), "{secret}: {note}");
    }
}

#[test]
fn a_verdict_is_outdated_by_whatever_was_integrated_since() {
    let tasks = [
        task("P1-T1", "a.txt", "a", "{ command = \"both\" }"),
        task("P1-T2", "b.txt", "b", "{ command = \"both\" }"),
    ];
    // Each by itself passes; together they do not.
    let command =
        "[commands.both]\nrun = [\"sh\", \"-c\", \"! { test -f a.txt && test -f b.txt; }\"]\n";
    let project = with(&tasks.concat(), command);
    project.runs(&["--grant=both"], 14);
    let there = |name: &str| project.folder().join(name).exists();
    assert!(there("a.txt") != there("b.txt"), "one is in, and the other does not go with it");
    assert!(!project.events(&["judgement_outdated"]).is_empty(), "{:#?}", project.events(&[]));
}

#[test]
fn work_is_verified_by_its_commands_on_the_tree_as_it_is() {
    let project = with(&task("P1-T1", "out.txt", "hello", "{ tests_pass = \"tap\" }"), TAP);
    project.runs(&["--grant=tap"], 0);
    let verified = project.idumb(&["verify-work", "--grant=tap"]);
    assert_eq!(verified.status.code(), Some(0), "{}", told(&verified));
    project.put("out.txt", "bye\n");
    let verified = project.idumb(&["verify-work", "--grant=tap"]);
    assert_eq!(verified.status.code(), Some(14), "{}", told(&verified));
    assert!(told(&verified).contains("[V003]"), "{}", told(&verified));
    assert!(!project.folder().join("made-by-the-test").exists());
}

#[test]
fn what_cannot_be_started_is_the_candidates_to_answer_for() {
    let run = "[commands.run]\nrun = [\"./run.sh\"]\n";
    let wrong = task("P1-T1", "run.sh", "exit 0", "{ command = \"run\" }");
    let project = with(&wrong, run);
    let text = told(&project.runs(&["--grant=run"], 14));
    assert!(text.contains("it could not be started: `./run.sh`"), "no execute bit: {text}");
    assert!(project.commands()[0]["ended"].as_str().unwrap().contains("could not be started"));
    assert_eq!(project.commands()[0]["exit"], Value::Null);
    // Taking it away is breaking what was promised by it.
    let tasks = [
        task("P1-T1", "a.txt", "a", "{ command = \"run\" }"),
        "[[tasks]]\nid = \"P1-T2\"\ntitle = \"Delete\"\nwrites = [\"run.sh\"]\n\
         depends_on = [\"P1-T1\"]\nsteps = [{ delete = \"run.sh\" }]\n\
         accept = [{ absent = \"run.sh\" }]\n"
            .to_owned(),
    ];
    let project = with(&tasks.concat(), run);
    project.put("run.sh", "#!/bin/sh\nexit 0\n");
    let script = project.folder().join("run.sh");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = told(&project.runs(&["--grant=run"], 14));
    assert!(text.contains("regression: it breaks P1-T1: it could not be started"), "{text}");
    assert!(script.exists());
}

#[test]
fn an_interrupted_verification_leaves_nothing() {
    let mark = format!("verified-by-{}", std::process::id());
    let config = format!(
        "[commands.wait]\nrun = [\"sh\", \"-c\", \"grep -q go go.txt || sleep 100000\", \"{mark}\"]\n"
    );
    let project = with(&task("P1-T1", "out.txt", "x", "{ command = \"wait\" }"), &config);
    project.put("go.txt", "go");
    project.runs(&["--grant=wait"], 0);
    project.put("go.txt", "wait");
    let mut verify = project.command(&["verify-work", "--grant=wait"]);
    let mut verify = verify.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !runs(&mark) {
        assert!(verify.try_wait().unwrap().is_none(), "it ended before the command ran");
    }
    let pid = rustix::process::Pid::from_child(&verify);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(verify.wait().unwrap().code(), Some(130));
    assert!(!runs(&mark), "the command goes first");
    let left = std::fs::read_dir(project.temporary.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["project"], "nothing but the project");
}

#[test]
fn what_a_command_prints_does_not_continue_what_the_host_says() {
    let long = "[commands.long]\nrun = [\"sh\", \"-c\", \"head -c 9000 /dev/zero | tr '\\\\0' x; \
                echo; echo aside >&2; exit 1\"]\n";
    let project = with(&task("P1-T1", "a.txt", "x", "{ command = \"long\" }"), long);
    let text = told(&project.runs(&["--grant=long"], 14));
    assert!(text.contains("it exited with 1\n") && text.contains("| aside"), "{text}");
    assert!(!text.contains("it exited with 1x"), "{text}");
}

#[test]
fn a_pause_ends_a_command_that_goes_on() {
    let command = "[commands.long]\nrun = [\"sleep\", \"100000\"]\n";
    let project = with(&task("P1-T1", "out.txt", "x", "{ command = \"long\" }"), command);
    let mut run = project.command(&["execute-phase", "1", "--mode=auto", "--grant=long"]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // It begins to be followed once it is there.
    while project.events(&["validation_started"]).is_empty() {
        assert!(run.try_wait().unwrap().is_none(), "it ended before it validated anything");
    }
    let paused = project.idumb(&["pause", "--now"]);
    assert!(paused.status.success(), "{}", told(&paused));
    assert_eq!(run.wait().unwrap().code(), Some(20));
    assert!(!project.folder().join("out.txt").exists());
}

#[test]
fn a_command_gets_arguments_that_its_definition_allows_and_no_others() {
    let count = "[commands.count]\nrun = [\"sh\", \"-c\", \"test $# = $1\", \"sh\"]\n\
                 arguments = [\"[0-9]\", \"--[a-z]+=[a-z ]*\"]\n";
    let accept = |arguments: &str| format!("{{ command = \"count\", arguments = [{arguments}] }}");
    let right = accept("\"2\", \"--word=a b\"");
    let project = with(&task("P1-T1", "out.txt", "x", &right), count);
    project.runs(&["--grant=count"], 0);
    assert_eq!(project.commands()[0]["arguments"], serde_json::json!(["2", "--word=a b"]));
    for wrong in ["\"2\", \"--Word=x\"", "\"22\"", "\"\"", "\"--upload=/etc/passwd\""] {
        let project = with(&task("P1-T1", "out.txt", "x", &accept(wrong)), count);
        let text = told(&project.runs(&["--grant=count"], 2));
        assert!(text.contains("which it does not take"), "{wrong}: {text}");
        assert!(text.contains("its `arguments` allow [0-9], --[a-z]+=[a-z ]*"), "{text}");
        assert!(project.events(&[]).is_empty(), "no run was begun");
    }
}

#[test]
fn outputs_are_kept_as_evidence_and_only_if_this_run_made_them() {
    let writes = "[commands.writes]\nrun = [\"sh\", \"-c\", \"cat out.txt > report.json; \
                  echo said; ln -s /etc/passwd link; mkdir folder\"]\n";
    let accept = |outputs: &str| format!("{{ command = \"writes\", outputs = [{outputs}] }}");
    let project = with(&task("P1-T1", "out.txt", "hello", &accept("\"report.json\"")), writes);
    project.runs(&["--grant=writes"], 0);
    let command = &project.commands()[0];
    let output = &command["outputs"][0];
    assert_eq!((&output["path"], &output["size"]), (&"report.json".into(), &6.into()));
    assert!(!project.folder().join("report.json").exists(), "the real tree has none");
    for (digest, content) in [(&output["digest"], "hello\n"), (&command["stdout"], "said\n")] {
        let name = digest.as_str().unwrap().trim_start_matches("blake3:").to_owned();
        let blobs = tree(&project.folder().join(".idumb/state/blobs"));
        let blob = blobs.iter().find(|(path, _)| path.replace('/', "").ends_with(&name));
        assert_eq!(blob.unwrap().1.text(), content);
    }
    let shown = told(&project.idumb(&["log", "--commands"]));
    for text in
        ["P1-T1, for its candidate: command `writes`", "| said", "left report.json, 6 bytes"]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    for (file, why) in [
        ("out.txt", "it left no out.txt"),
        ("stale.json", "it left no stale.json"),
        ("link", "it left no link that can be read"),
        ("folder", "it left no folder that can be read"),
    ] {
        // What is there before is not this run's, however the tree is made.
        for trees in [concat!(env!("CARGO_TARGET_TMPDIR"), "/trees"), ""] {
            let task = task("P1-T1", "other.txt", "x", &accept(&format!("\"{file}\"")));
            let project = with(&task, writes);
            project.put("stale.json", "{}");
            project.put("out.txt", "old");
            let mut run = project.command(&["execute-phase", "1", "--mode=auto", "--grant=writes"]);
            let output = run.env("IDUMB_TREES_DIR", trees).output().unwrap();
            assert_eq!(output.status.code(), Some(14), "{}", told(&output));
            assert!(told(&output).contains(why), "{file}: {}", told(&output));
        }
    }
}

/// Whether a process that is no bubblewrap has this word among its own.
fn runs(word: &str) -> bool {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).split('\0').any(|found| found == word))
}

#[test]
fn what_a_person_edits_while_a_command_runs_is_not_taken_for_what_it_ran_on() {
    // It fails if it saw the file change; on a tree of one state, it does not.
    let mark = format!("watched-by-{}", std::process::id());
    let watch = format!(
        "[commands.watch]\nrun = [\"sh\", \"-c\", \"grep -q new watched.txt && exit 0; \
         until grep -q new watched.txt; do sleep 0.05; done; exit 1\", \"{mark}\"]\n"
    );
    let project = with(&task("P1-T1", "out.txt", "x", "{ command = \"watch\" }"), &watch);
    project.put("watched.txt", "old");
    let mut run = project.command(&["execute-phase", "1", "--mode=auto", "--grant=watch"]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !runs(&mark) {
        assert!(run.try_wait().unwrap().is_none(), "it ended before the command ran");
    }
    project.put("watched.txt", "new");
    assert_eq!(run.wait().unwrap().code(), Some(0), "{:#?}", project.commands());
    assert_eq!(project.commands()[0]["exit"], 0);
}

#[test]
fn agents_ask_for_the_commands_that_their_task_names() {
    let plan = |commands: &str| {
        format!(
            "phase = 1\ngoal = \"g\"\n[[tasks]]\nid = \"P1-T1\"\ntitle = \"Ask\"\n\
             agent = \"evil\"\nwrites = [\"out.txt\"]\ncommands = [{commands}]\n\
             accept = [{{ exists = \"out.txt\" }}]\n[tasks.options]\ndo = \"ask_for_commands\"\n\
             path = \"out.txt\"\nask = \"see\\nsee\\nsee -x\\nother\"\n"
        )
    };
    // What the agent has written so far is in the tree: two lines, then more.
    let see = "[commands.see]\nrun = [\"sh\", \"-c\", \"cat out.txt; test -f test.sh\"]\n\
               [commands.other]\nrun = [\"true\"]\n";
    let project = Project::with(&plan("\"see\""), see);
    project.put("test.sh", TEST);
    let text = told(&project.runs(&[], 21));
    assert!(text.contains("command `see`"), "it needs consent as any other: {text}");
    let shown = told(&project.idumb(&["execute-phase", "--dry-run"]));
    assert!(shown.contains("see"), "{shown}");
    assert!(!text.contains("command `other`"), "nobody may use that: {text}");
    project.runs(&["--grant=see,evil"], 0);
    let sealed = &project.events(&["attempt_sealed"])[0]["sealed"];
    let summary = sealed["summary"].as_str().unwrap();
    let lines: Vec<&str> = summary.lines().collect();
    assert_eq!(lines[0], "allowed: see");
    assert!(lines[1].contains("exited with 0 Some(0)"), "{summary}");
    assert!(lines[1].contains("before see\\n\", 0"), "what it wrote so far: {summary}");
    assert!(lines[2].contains("before see\\nbefore see\\n"), "{summary}");
    assert!(lines[3].contains("`see` does not take `-x`: it takes none"), "{summary}");
    assert!(lines[4].contains("may not ask for the command `other`"), "{summary}");
    let evidence = sealed["evidence"].as_array().unwrap();
    let ran = evidence.iter().filter(|one| one["observed"]["kind"] == "command");
    assert_eq!(ran.count(), 2);
    let reads = sealed["record"]["reads"].to_string();
    assert!(reads.contains("\"tree\""), "it may have read everything: {reads}");
    // A name that is not defined is told before anything runs.
    let project = Project::with(&plan("\"sea\""), see);
    let text = told(&project.runs(&[], 2));
    assert!(text.contains("did you mean `see`?"), "{text}");
}
