//! A project in a temporary folder, and calls of agents on it.
//!
//! Invariant: each call checks that the project's tree is as it was before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::future::Future;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use idumb_core::{
    AccessRecord, Blobs, ChangeSet, Criterion, CriterionId, Denial, Digest, Feedback, Finding,
    Grants, Link, LogLine, PhaseId, ResourceLimits, Role, RunId, Step, Task, TaskId, Trouble,
};
use idumb_overlay::{Base, Quota, ReadView, WorkView};
use idumb_sandbox::{
    Agent, Broken, CallOptions, Candidate, Commands, Context, Desk, Ended, Limits, NoCommands,
    Outcome, Question, Sandbox, Stop, Stopper,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Long enough for whatever ends by itself.
const PATIENCE: Duration = Duration::from_secs(300);

/// Long enough to get going, for what never ends by itself.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

pub(crate) const ROLES: [Role; 4] =
    [Role::Builder, Role::Validator, Role::Verifier, Role::IntegrationChecker];

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new(Limits::default()).unwrap());

macro_rules! agents {
    ($($name:ident: $role:ident = $component:expr;)*) => {
        $(pub(crate) fn $name() -> &'static Agent {
            static AGENT: LazyLock<Agent> =
                LazyLock::new(|| SANDBOX.prepare(Role::$role, $component).unwrap());
            &AGENT
        })*
    };
}

agents! {
    builder: Builder = idumb_builtin::BUILDER;
    validator: Validator = idumb_builtin::VALIDATOR;
    verifier: Verifier = idumb_builtin::VERIFIER;
    integration_checker: IntegrationChecker = idumb_builtin::INTEGRATION_CHECKER;
    misbehaving_builder: Builder = idumb_test_guests::MISBEHAVING_BUILDER;
    misbehaving_validator: Validator = idumb_test_guests::MISBEHAVING_VALIDATOR;
}

/// The sandbox that all tests share.
pub(crate) fn sandbox() -> &'static Sandbox {
    &SANDBOX
}

/// A project, and room beside it.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) desk: Arc<TestDesk>,
    pub(crate) commands: Arc<dyn Commands>,
    pub(crate) quota: Quota,
    pub(crate) limits: ResourceLimits,
    stop: (Stopper, Stop),
    stops_after: Duration,
    pub(crate) context: Context,
    uppers: AtomicU64,
}

/// How a builder's attempt went.
pub(crate) struct Attempt {
    pub(crate) ended: Ended<Outcome>,
    pub(crate) record: AccessRecord,
    view: WorkView,
}

impl World {
    /// A project with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("project")).unwrap();
        fs::create_dir(folder.path().join("blobs")).unwrap();
        let world = Self {
            folder,
            desk: Arc::default(),
            commands: Arc::new(NoCommands),
            quota: Quota::default(),
            limits: ResourceLimits::default(),
            stop: Stop::new(),
            stops_after: PATIENCE,
            context: context(),
            uppers: AtomicU64::new(0),
        };
        for (path, text) in files {
            world.put(path, text);
        }
        world
    }

    /// The same, where calls are stopped some time after they began.
    pub(crate) fn stopped_after(self, stops_after: Duration) -> Self {
        Self { stops_after, ..self }
    }

    /// The same, where calls are stopped before they begin.
    pub(crate) fn stopped(self) -> Self {
        self.stop.0.stop();
        self
    }

    /// The same, where a call is stopped at the first word of its agent.
    pub(crate) fn stopped_at_a_word(self) -> Self {
        *self.desk.stopper.lock().unwrap() = Some(self.stop.0.clone());
        self
    }

    /// What stops its calls.
    pub(crate) fn stopper(&self) -> Stopper {
        self.stop.0.clone()
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Puts a file into the project.
    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn base(&self) -> Base {
        Base::open(self.project()).unwrap()
    }

    pub(crate) fn options(&self) -> CallOptions {
        let desk: Arc<dyn Desk> = self.desk.clone();
        CallOptions {
            stop: self.stop.1.clone(),
            desk,
            commands: self.commands.clone(),
            limits: self.limits,
        }
    }

    fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (stopper, after) = (self.stop.0.clone(), self.stops_after);
        runtime.spawn(async move {
            tokio::time::sleep(after).await;
            stopper.stop();
        });
        runtime.block_on(call)
    }

    /// Has `agent` carry out `task`.
    pub(crate) fn build(&self, agent: &Agent, task: &Task) -> Attempt {
        let number = self.uppers.fetch_add(1, Ordering::Relaxed);
        let upper = self.folder.path().join(format!("upper-{number}"));
        let (base, quota) = (self.base(), self.quota.clone());
        let view = WorkView::new(&base, &upper, task.grants(), quota).unwrap();
        let before = tree(&self.project());
        let ended = self.run(agent.build(view.clone(), task, &self.context, self.options()));
        assert_eq!(tree(&self.project()), before, "the project was changed");
        assert_eq!(beside(self.folder.path()), beside_at_first(), "something was left beside it");
        Attempt { ended, record: view.record(), view }
    }

    /// Has the misbehaving builder do what `task` says, and answers its summary.
    pub(crate) fn misbehave(&self, task: &Task) -> Attempt {
        self.build(misbehaving_builder(), task)
    }

    /// Has `agent` check `task`'s criteria on the project as it is.
    pub(crate) fn validate(
        &self,
        agent: &Agent,
        task: &Task,
    ) -> (Ended<Vec<Finding>>, AccessRecord) {
        self.validate_candidate(agent, task, &ChangeSet::default())
    }

    /// Has `agent` check `task`'s criteria on the project with these changes.
    pub(crate) fn validate_candidate(
        &self,
        agent: &Agent,
        task: &Task,
        changes: &ChangeSet,
    ) -> (Ended<Vec<Finding>>, AccessRecord) {
        let (base, blobs): (Base, Arc<dyn Blobs>) = (self.base(), Arc::new(self.blobs()));
        let grants = task.validation_grants();
        let view = ReadView::of_candidate(&base, changes, blobs.clone(), grants).unwrap();
        let candidate = Candidate { change_set: changes.clone(), content: Some((base, blobs)) };
        let before = tree(&self.project());
        let ended =
            self.run(agent.validate(view.clone(), candidate, task, &self.context, self.options()));
        assert_eq!(tree(&self.project()), before, "the project was changed");
        (ended, view.record())
    }

    /// Has the built-in verifier check `tasks` on the project.
    pub(crate) fn verify(&self, tasks: &[Task]) -> Ended<Vec<Finding>> {
        let view = ReadView::of_base(&self.base(), everything());
        self.run(verifier().verify(view, tasks, &self.context, self.options()))
    }

    /// Has the built-in integration-checker check the project.
    pub(crate) fn check(&self, established: &[Criterion], links: &[Link]) -> Ended<Vec<Finding>> {
        let view = ReadView::of_base(&self.base(), everything());
        let options = self.options();
        self.run(integration_checker().check_integration(
            view,
            established,
            links,
            &self.context,
            options,
        ))
    }

    /// Has `agent` do what its role does, with `task` if that is about one.
    pub(crate) fn call(&self, agent: &Agent, task: &Task) -> Result<(), Broken> {
        let view = ReadView::of_base(&self.base(), everything());
        let (context, options) = (&self.context, self.options());
        let before = tree(&self.project());
        let result = match agent.role() {
            Role::Builder => self.build(agent, task).ended.result.map(drop),
            Role::Validator => self.validate(agent, task).0.result.map(drop),
            Role::Verifier => {
                let tasks = std::slice::from_ref(task);
                self.run(agent.verify(view, tasks, context, options)).result.map(drop)
            }
            Role::IntegrationChecker => {
                let call = agent.check_integration(view, &task.accept, &[], context, options);
                self.run(call).result.map(drop)
            }
        };
        assert_eq!(tree(&self.project()), before, "the project was changed");
        result
    }

    pub(crate) fn blobs(&self) -> Folder {
        Folder(self.folder.path().join("blobs"))
    }
}

/// Asserts that the host is none the worse for what it has been through.
pub(crate) fn assert_a_good_agent_works() {
    let world = World::new(&[]);
    let mut task = task(&[], &["good.txt"], &[]);
    task.steps = vec![step("write", json!({"path": "good.txt", "content": "good\n"}))];
    let changes = world.build(builder(), &task).changes(&world);
    assert_eq!(changes.paths().collect::<Vec<_>>(), ["good.txt"]);
}

impl Attempt {
    /// Asserts that it crashed or was ended, for a reason with these words in it.
    pub(crate) fn assert_trap(&self, because: &str) {
        match &self.ended.result {
            Err(Broken::Trouble(Trouble::Trap { message })) => {
                assert!(message.contains(because), "{message}")
            }
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that it went on until its stop was given.
    pub(crate) fn assert_stopped(&self) {
        assert_eq!(self.ended.result.as_ref().unwrap_err(), &Broken::Stopped);
    }

    /// What the agent says that it did.
    pub(crate) fn summary(&self) -> &str {
        &self.ended.result.as_ref().expect("an outcome").summary
    }

    /// Asserts that nothing would be changed in the project.
    pub(crate) fn assert_harmless(self, world: &World) {
        let sealed = self.view.seal(&world.blobs()).unwrap();
        assert_eq!(sealed.change_set, ChangeSet::default());
    }

    /// What would be changed.
    pub(crate) fn changes(self, world: &World) -> ChangeSet {
        assert!(self.ended.result.is_ok(), "{:?}", self.ended.result);
        self.view.seal(&world.blobs()).unwrap().change_set
    }

    /// The denial for `path`.
    pub(crate) fn denial(&self, path: &str) -> &Denial {
        let found = self.record.denials.iter().find(|denial| denial.path == path);
        found.unwrap_or_else(|| panic!("no denial of {path:?} in {:?}", self.record.denials))
    }
}

fn context() -> Context {
    Context {
        run: "phase-1-r1".parse::<RunId>().unwrap(),
        phase: PhaseId { number: 1, name: "test".to_owned() },
        goal: "See what it does.".to_owned(),
        attempt: 1,
        artifacts: Vec::new(),
        feedback: Feedback::default(),
    }
}

pub(crate) fn everything() -> Grants {
    Grants { reads: vec!["**".parse().unwrap()], ..Grants::default() }
}

/// A task that may read and write what these patterns match, with these options.
pub(crate) fn task(reads: &[&str], writes: &[&str], options: &[(&str, &str)]) -> Task {
    let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Task {
        id: TaskId::new("P1-T1").unwrap(),
        title: "A task".to_owned(),
        description: String::new(),
        agent: "builder".to_owned(),
        depends_on: Vec::new(),
        reads: globs(reads),
        writes: globs(writes),
        artifacts: Vec::new(),
        commands: Vec::new(),
        timeout: None,
        limits: Default::default(),
        retries: 0,
        checkpoint: None,
        steps: Vec::new(),
        options: options.iter().map(owned).collect::<BTreeMap<_, _>>(),
        accept: Vec::new(),
    }
}

pub(crate) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub(crate) fn step(kind: &str, args: Value) -> Step {
    Step { kind: kind.to_owned(), args: map(args) }
}

pub(crate) fn criterion(id: &str, kind: &str, args: Value) -> Criterion {
    Criterion {
        id: CriterionId::new(id).unwrap(),
        text: String::new(),
        kind: kind.to_owned(),
        args: map(args),
        looks_at: vec!["**".parse().unwrap()],
    }
}

/// Every path below a folder, with what stands there.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let what = if kind.is_dir() {
                left.push(path.clone());
                "a folder".to_owned()
            } else if kind.is_symlink() {
                format!("a link to {}", fs::read_link(&path).unwrap().display())
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            found.insert(path, what);
        }
    }
    found
}

/// What lies beside the project, without the uppers.
fn beside(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with("upper-")).collect()
}

fn beside_at_first() -> BTreeSet<String> {
    BTreeSet::from(["blobs".to_owned(), "project".to_owned()])
}

/// Blobs as files of a folder.
pub(crate) struct Folder(PathBuf);

impl Blobs for Folder {
    fn open(&self, digest: Digest) -> std::io::Result<File> {
        File::open(self.0.join(digest.to_hex()))
    }

    fn keep(&self, content: &mut dyn Read) -> std::io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let digest = Digest::of(&bytes);
        fs::write(self.0.join(digest.to_hex()), &bytes)?;
        Ok((digest, bytes.len() as u64))
    }
}

/// Notes what an agent says, and answers its questions with what a test put there.
#[derive(Default)]
pub(crate) struct TestDesk {
    pub(crate) progress: AtomicU64,
    pub(crate) longest: AtomicU64,
    pub(crate) lines: Mutex<Vec<LogLine>>,
    pub(crate) questions: Mutex<Vec<Question>>,
    pub(crate) answer: Mutex<Option<String>>,
    /// Given at the first word; a question is not answered then.
    stopper: Mutex<Option<Stopper>>,
}

impl TestDesk {
    /// Stops the call if it is to be stopped at a word.
    fn stops(&self) -> bool {
        let stopper = self.stopper.lock().unwrap();
        stopper.as_ref().inspect(|stopper| stopper.stop()).is_some()
    }
}

impl Desk for TestDesk {
    fn progress(&self, _: u32, _: u32, message: &str) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(message.len() as u64, Ordering::Relaxed);
        self.stops();
    }

    fn log(&self, line: &LogLine) {
        self.lines.lock().unwrap().push(line.clone());
        self.stops();
    }

    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
        self.questions.lock().unwrap().push(question);
        if self.stops() {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(self.answer.lock().unwrap().clone()))
    }
}
