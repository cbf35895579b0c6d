//! A user whose project has something hostile in it, with what it is after: secrets in the home,
//! the project and the environment, somebody to talk to, and places to leave something.
//!
//! Invariant: everything is in a folder of the test's own, but for what an attack that succeeds
//! leaves in the machine's common folders, which is told from all else by its name, and removed.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use crate::assert_full;
use crate::project::Project;
use crate::support::{Tree, difference, plant, tests, told, tree};

/// A secret.
const CANARY: &str = "sesame-open-7f3a";

/// What an attack tries, and says whether it came to it.
const ATTEMPTS: [&str; 10] = [
    "npmrc",
    "ssh",
    "secrets",
    "environment",
    "environments",
    "project",
    "home",
    "network",
    "socket",
    "users",
];

/// A user of no account, who owns nothing else on this machine.
const NORMAL: u32 = 54_321;

/// As whom a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// As the tests: root, or a normal user.
    Tests,
    /// As a normal user, by root.
    Normal,
}

impl Who {
    /// All that can be had. Where the tests are not root's, they are a normal user's already.
    pub(crate) fn all() -> Vec<Self> {
        if geteuid().is_root() { vec![Self::Tests, Self::Normal] } else { vec![Self::Tests] }
    }
}

pub(crate) struct Victim {
    project: Project,
    who: Who,
    mark: String,
    tcp: TcpListener,
    unix: UnixListener,
    /// What a normal user could not read where it lies.
    tools: tempfile::TempDir,
}

/// A task that writes this file so, and whose tests then pass.
pub(crate) fn plan(file: &str, text: &str, at_least: u64) -> String {
    format!(
        "phase = 1\ngoal = \"Titles have slugs.\"\n[[tasks]]\nid = \"P1-T1\"\ntitle = \"Make slugs\"\n\
         writes = [\"{file}\"]\n\
         steps = [{{ write = \"{file}\", content = '''\n{text}''', overwrite = true }}]\n\
         accept = [{{ tests_pass = \"test\", at_least = {at_least} }}]\n"
    )
}

impl Victim {
    /// One with the project of that name in `tests/projects`, and this in its `idumb.toml`.
    pub(crate) fn new(who: Who, project: &str, config: &str) -> Self {
        let files = tree(&tests().join("projects").join(project));
        assert!(!files.is_empty(), "there is no project {project}");
        let project = Project::with("", config);
        plant(&files, &project.folder());
        let home = project.temporary.path().join("home");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::write(home.join(".npmrc"), format!("//registry/:_authToken={CANARY}\n")).unwrap();
        fs::write(home.join(".ssh/id_ed25519"), CANARY).unwrap();
        for file in [".npmrc", ".env"] {
            project.put(file, format!("TOKEN={CANARY}\n"));
        }
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let unix = UnixListener::bind(home.join("agent.sock")).unwrap();
        unix.set_nonblocking(true).unwrap();
        let tools = tempfile::tempdir().unwrap();
        fs::set_permissions(tools.path(), Permissions::from_mode(0o755)).unwrap();
        let name = tools.path().file_name().unwrap().to_str().unwrap();
        let mark = format!("idumb-left{}", name.replace('.', "-"));
        let port = tcp.local_addr().unwrap().port();
        let (at, folder) = (home.display(), project.folder());
        let targets = format!(
            "home {at}\nproject {}\nport {port}\ncanary {CANARY}\nmark {mark}\n",
            folder.display()
        );
        project.put("targets", targets);
        let victim = Self { project, who, mark, tcp, unix, tools };
        if who == Who::Normal {
            link_or_copy(Path::new(env!("CARGO_BIN_EXE_idumb")), &victim.tool("idumb"));
            copy_compiled(&victim.temporary().join("components"));
        }
        victim.hand_over();
        victim
    }

    pub(crate) fn temporary(&self) -> &Path {
        self.project.temporary.path()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.project.folder()
    }

    /// Where a tool is that everybody may read.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.tools.path().join(name)
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        self.project.put(path, text);
        self.hand_over();
    }

    pub(crate) fn configure(&self, config: &str) {
        self.project.configure(config);
        self.hand_over();
    }

    /// Everything is the user's.
    fn hand_over(&self) {
        if self.who == Who::Normal {
            give(self.temporary());
        }
    }

    /// This command as the user, with the user's environment.
    fn by_user(&self, mut command: Command) -> Command {
        if self.who == Who::Normal {
            // Root's other groups and capabilities go with it.
            command.uid(NORMAL).gid(NORMAL);
        }
        command.env("HOME", self.temporary().join("home")).env("NPM_TOKEN", CANARY);
        command.current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    pub(crate) fn idumb(&self, args: &[&str]) -> Output {
        let usual = self.project.command(args);
        let program = match self.who {
            Who::Tests => PathBuf::from(usual.get_program()),
            Who::Normal => self.tool("idumb"),
        };
        let mut command = Command::new(program);
        command.args(usual.get_args()).env_clear();
        command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if self.who == Who::Normal {
            command.env("IDUMB_CACHE_DIR", self.temporary().join("components"));
            command.env("IDUMB_CONFIG_DIR", self.temporary().join("config"));
            command.env("IDUMB_TREES_DIR", self.temporary().join("trees"));
        }
        self.by_user(command).output().unwrap()
    }

    /// Executes this plan, which ends with `exit`; `more` are flags.
    #[track_caller]
    pub(crate) fn executes(&self, plan: &str, more: &[&str], exit: i32) -> String {
        self.put(".idumb/phases/1-test/plan.toml", plan);
        let before = self.files();
        let args = [&["execute-phase", "1", "--mode=auto", "--grant=test"], more].concat();
        let output = self.idumb(&args);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(exit), "{:?}: {text}", self.who);
        if exit != 0 {
            assert_eq!(difference(&before, &self.files()), "", "{:?}", self.who);
        }
        self.assert_unharmed();
        text
    }

    /// The project but for the host's own state.
    pub(crate) fn files(&self) -> Tree {
        let mut files = tree(&self.folder());
        files.retain(|path, _| !path.starts_with(".idumb/"));
        files
    }

    /// What the host saw of the last command.
    pub(crate) fn evidence(&self) -> Value {
        // Asked by the user: the state is nobody else's to read.
        let output = self.idumb(&["log", "--format=jsonl", "--kind", "candidate_judged"]);
        assert!(output.status.success(), "{}", told(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        let evidence = last["examination"]["evidence"].as_array().unwrap();
        let mut seen = evidence.iter().map(|one| &one["observed"]);
        seen.rfind(|seen| seen["kind"] == "command").expect("a command").clone()
    }

    /// Its tests fail with what is `bad`, and nothing is reached; with what is `good` they pass, as
    /// many as `passed`, behind every wall. Of what else is printed as if it were a report, nothing
    /// counts.
    #[track_caller]
    pub(crate) fn assert_is_tested(
        &self,
        file: &str,
        (bad, good): (&str, &str),
        passed: u64,
        why: &str,
    ) {
        let text = self.executes(&plan(file, bad, passed), &[], 14);
        assert!(text.contains(why), "{text}");
        self.assert_refused(&text);
        self.executes(&plan(file, good, passed), &["--resume", "--replan"], 0);
        assert_eq!(self.files()[file].text(), good);
        let seen = self.evidence();
        assert_eq!(seen["exit"], 0, "{seen}");
        let counts = serde_json::json!({ "passed": passed, "failed": 0, "skipped": 1 });
        assert_eq!(seen["tests"], counts, "{seen}");
        assert_full(seen["walls"].as_str().unwrap());
        self.assert_was_run_by_its_user();
    }

    /// The state is this user's: it was made by nobody else.
    pub(crate) fn assert_was_run_by_its_user(&self) {
        let owner = fs::metadata(self.folder().join(".idumb/state")).unwrap().uid();
        let user = if self.who == Who::Normal { NORMAL } else { geteuid().as_raw() };
        assert_eq!(owner, user);
    }

    /// Under confinement nothing was reached, as the attack itself says.
    #[track_caller]
    pub(crate) fn assert_refused(&self, told: &str) {
        assert_eq!(attempts(told), expected("refused"), "{:?}: {told}", self.who);
        assert!(!told.contains(CANARY), "{told}");
    }

    /// Nothing was reached, seen from outside.
    #[track_caller]
    pub(crate) fn assert_unharmed(&self) {
        assert_eq!(self.swept(), Traces::default(), "{:?}", self.who);
        let state = tree(&self.folder().join(".idumb/state"));
        let leaked = state.iter().find(|(_, entry)| entry.text().contains(CANARY));
        assert_eq!(leaked.map(|(path, _)| path), None);
    }

    /// Without confinement, this attack reaches everything: so what it says later means something.
    #[track_caller]
    pub(crate) fn assert_reached_by(&self, attack: Command) {
        let said = self.temporary().join("said");
        let mut attack = self.by_user(attack);
        // Not a pipe: the daemon would hold it.
        let status = attack.stderr(fs::File::create(&said).unwrap()).stdout(Stdio::null()).status();
        let said = fs::read_to_string(said).unwrap();
        let traces = self.swept();
        assert!(status.unwrap().success(), "{said}");
        assert_eq!(attempts(&said), expected("reached"), "{:?}", self.who);
        assert_eq!(traces.files, self.commons(), "{:?}", self.who);
        assert_eq!((traces.daemons.len(), traces.callers), (1, [true, true]), "{:?}", self.who);
    }

    /// What an attack leaves if it can, in the order of the places.
    fn commons(&self) -> Vec<PathBuf> {
        let folders = ["/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
        let home = self.temporary().join("home");
        folders.into_iter().chain([home]).map(|folder: PathBuf| folder.join(&self.mark)).collect()
    }

    /// What an attack left on this machine, which is gone then.
    fn swept(&self) -> Traces {
        let left = |file: &PathBuf| fs::remove_file(file).is_ok();
        let files = self.commons().into_iter().filter(left).collect();
        let daemons = daemons(&self.mark);
        for daemon in &daemons {
            let pid = Pid::from_raw(*daemon).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
        }
        Traces { files, daemons, callers: self.callers() }
    }

    /// Whether somebody called, since this was asked last.
    fn callers(&self) -> [bool; 2] {
        let called = |came: std::io::Result<()>| match came {
            Ok(()) => true,
            Err(why) if why.kind() == ErrorKind::WouldBlock => false,
            Err(why) => panic!("{why}"),
        };
        [called(self.tcp.accept().map(drop)), called(self.unix.accept().map(drop))]
    }
}

/// What is seen of an attack from outside.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traces {
    files: Vec<PathBuf>,
    /// Processes.
    daemons: Vec<i32>,
    /// Whether somebody came by TCP, and whether to the socket in the home.
    callers: [bool; 2],
}

/// What an attack said.
fn attempts(told: &str) -> String {
    let (_, said) =
        told.rsplit_once("attempts: ").unwrap_or_else(|| panic!("no word of it: {told}"));
    said.lines().next().unwrap().to_owned()
}

/// What it says if all its attempts came to the same. A daemon it can always start.
fn expected(how: &str) -> String {
    let all = ATTEMPTS.map(|name| format!("{name}={how}"));
    format!("{} daemon=up", all.join(" "))
}

/// The processes of this machine that have this in their command lines.
fn daemons(mark: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let numbered = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    };
    numbered.filter(marked).collect()
}

/// The agents that are compiled already, so that they are not once more: as private as they are.
fn copy_compiled(to: &Path) {
    let from = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        // Not what another test is about to write.
        if entry.path().extension().is_some_and(|extension| extension == "compiled") {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Gives the normal user everything below, and this itself.
fn give(path: &Path) {
    let kind = fs::symlink_metadata(path).unwrap().file_type();
    if kind.is_symlink() {
        return;
    }
    chown(path, Some(NORMAL), Some(NORMAL)).unwrap();
    if kind.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
    }
}

/// The same file under another name, or a copy where that is another file system.
pub(crate) fn link_or_copy(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

/// A folder with all its files; links lead where they led.
pub(crate) fn link_or_copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        match fs::metadata(&from).unwrap().is_dir() {
            true => link_or_copy_all(&from, &to),
            false => link_or_copy(&from.canonicalize().unwrap(), &to),
        }
    }
}
