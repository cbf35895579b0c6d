//! Native commands: what criteria have the host run, confined, on a copy of the candidate.
//!
//! Invariant: a command runs behind walls that were seen to stand, on a tree of its own that goes
//! afterwards, and never on the user's; what came of it is the host's observation, and the host
//! judges it. No agent is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use idumb_core::{
    Blobs, ChangeSet, Criterion, Digest, Evidence, EvidenceId, Examination, Finding, Observed,
    PathGlob, Plan, TaskId, TestCounts, Trouble, Verdict,
};
use idumb_exec::report::{Counts, Expectation, Format, NotAReport, Source, Unmet};
use idumb_exec::{
    Command, Confinement, Ended, Inner, Lacking, Level, Limits, Network, Outputs, Ran, Setup,
    Stream, report,
};
use idumb_overlay::Base;
use idumb_overlay::scratch::{ScratchOptions, Until, materialise};
use idumb_plan::{CommandSource, Config};
use idumb_sandbox::Stop;

use crate::fault::Fault;
use crate::text::printable;
use crate::workshop::{host_trouble, stopped};

/// The argument with which this program is the first process inside; not for people.
pub(crate) const INNER: &str = "exec-inner";

/// What holds secrets, and is in no command's tree beside `.git` and `.idumb`.
const SECRETS: &[&str] = &["**/.git", "**/.env*", "**/.npmrc", "**/.ssh"];

/// What says of a folder that it can be made again, as cargo does of `target`:
/// <https://bford.info/cachedir/>.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// How many lines of a command's output go into a finding, and how many letters.
const MOST_LINES: usize = 20;
const MOST_LETTERS: usize = 4000;

/// The commands of a project, and where they run.
pub(crate) struct Natives {
    sources: BTreeMap<String, CommandSource>,
    base: Base,
    blobs: Arc<dyn Blobs>,
    /// A private folder of the host, for the trees.
    room: PathBuf,
    confinement: OnceLock<Result<Confinement, String>>,
}

/// The commands that a plan's criteria use, by name.
pub(crate) fn used<'a>(plan: &'a Plan, config: &'a Config) -> Vec<(&'a str, &'a CommandSource)> {
    let criteria = plan.tasks.iter().flat_map(|task| &task.accept);
    let names: BTreeSet<&str> = criteria.filter_map(Criterion::command).collect();
    names.into_iter().filter_map(|name| Some((name, config.commands.get(name)?))).collect()
}

/// What is wrong with the plan's use of commands: each that is not defined, or says too little.
pub(crate) fn undefined(plan: &Plan, config: &Config) -> Vec<(TaskId, Fault)> {
    let mut faults = Vec::new();
    for task in &plan.tasks {
        for criterion in &task.accept {
            let Some(name) = criterion.command() else { continue };
            let fault = match config.commands.get(name) {
                None => {
                    let known = config.commands.keys().map(String::as_str);
                    let message = format!("criterion {} names the command `{name}`", criterion.id);
                    let help = match config.commands.is_empty() {
                        true => format!("define it in idumb.toml: [commands.{name}] run = [\"…\"]"),
                        false => idumb_plan::meant(name, known, "the commands are"),
                    };
                    Fault::usage(format!("{message}, which idumb.toml does not define")).hint(help)
                }
                Some(source)
                    if criterion.kind == Criterion::TESTS_PASS && source.report.is_none() =>
                {
                    let message = format!("criterion {} wants the tests of `{name}`", criterion.id);
                    let all = Format::ALL.map(Format::as_str).join(", ");
                    Fault::usage(format!("{message}, which says no `report`"))
                        .hint(format!("say how it reports them, `report = \"…\"`: {all}"))
                }
                Some(_) => continue,
            };
            faults.push((task.id.clone(), fault));
        }
    }
    faults
}

/// Tries the walls in `room`, and looks for what the commands in `used` are given of the machine;
/// nothing is tried where no command is used.
///
/// # Errors
/// What lacks, and what to do about it.
pub(crate) fn tried(
    config: &Config,
    used: &[(&str, &CommandSource)],
    room: &Path,
) -> Result<Option<Confinement>, Fault> {
    if used.is_empty() {
        return Ok(None);
    }
    for (name, source) in used {
        command(source).map_err(|why| {
            Fault::usage(format!("command `{name}`: {why}"))
                .hint(format!("put it there, or take it out of [commands.{name}]"))
        })?;
    }
    let tree = room.join("trial");
    std::fs::create_dir_all(&tree).map_err(|why| {
        Fault::paused(format!("making room for commands in {}: {why}", tree.display()))
    })?;
    let tried = confinement(&tree, &config.commands).map_err(|why| {
        Fault::paused(format!("native commands cannot be confined here: {why}"))
            .hint("nothing was run; see what this machine can do: idumb doctor")
    })?;
    Ok(Some(tried))
}

impl Natives {
    /// The commands of `config`, with trees in `room`. Walls that were not tried already are when
    /// the first command runs.
    pub(crate) fn new(
        config: &Config,
        base: Base,
        blobs: Arc<dyn Blobs>,
        room: PathBuf,
        tried: Option<Confinement>,
    ) -> Self {
        let sources = config.commands.clone();
        let confinement = tried.map_or_else(OnceLock::new, |walls| OnceLock::from(Ok(walls)));
        Self { sources, base, blobs, room, confinement }
    }

    /// Runs the commands of `criteria` on the base with `change_set` in it, each on a tree of its
    /// own, called `name`; until the stop is given.
    ///
    /// # Errors
    /// The host could not run one, or was told to stop.
    pub(crate) async fn examine(
        self: &Arc<Self>,
        criteria: Vec<Criterion>,
        change_set: ChangeSet,
        name: String,
        stop: Stop,
    ) -> Result<Examination, Trouble> {
        let (stopper, ends) =
            idumb_exec::Stop::new().map_err(|why| host_trouble("a command", &why))?;
        let (natives, over) = (Arc::clone(self), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&over);
        let mut running = tokio::task::spawn_blocking(move || {
            natives.all(&criteria, &change_set, &name, &ends, &until)
        });
        let ran = tokio::select! {
            ran = &mut running => ran,
            () = stop.given() => {
                over.store(true, Ordering::Relaxed);
                stopper.stop();
                let _ = running.await;
                return Err(stopped());
            }
        };
        ran.unwrap_or_else(|_| Err(Trouble::Error { message: "a command: idumb failed".into() }))
    }

    fn all(
        &self,
        criteria: &[Criterion],
        change_set: &ChangeSet,
        name: &str,
        ends: &idumb_exec::Stop,
        over: &Arc<AtomicBool>,
    ) -> Result<Examination, Trouble> {
        let mut examination = Examination::default();
        let mut came: BTreeMap<&str, Came> = BTreeMap::new();
        for criterion in criteria {
            let Some(command) = criterion.command() else { continue };
            if !came.contains_key(command) {
                let tree = self.room.join(format!("{name}-{}", came.len()));
                let id = EvidenceId::new(format!("c{}", came.len() + 1));
                let id = id.map_err(|why| Trouble::Error { message: why.to_string() })?;
                let one = self.one(id, command, change_set, &tree, (ends, over))?;
                examination.evidence.push(one.evidence(command));
                came.insert(command, one);
            }
            examination.findings.push(came[command].judged(criterion));
        }
        Ok(examination)
    }

    /// Runs one command on a new tree; what came of it is evidence `id`.
    fn one(
        &self,
        id: EvidenceId,
        name: &str,
        change_set: &ChangeSet,
        tree: &Path,
        (ends, over): (&idumb_exec::Stop, &Arc<AtomicBool>),
    ) -> Result<Came, Trouble> {
        let Some(source) = self.sources.get(name) else {
            return Err(Trouble::Error { message: format!("there is no command `{name}`") });
        };
        let until = Arc::clone(over);
        let mut options = ScratchOptions {
            until: Until::over(move || until.load(Ordering::Relaxed)),
            ..ScratchOptions::default()
        };
        options.exclude.extend(SECRETS.iter().filter_map(|text| text.parse().ok()));
        options.exclude.extend(caches_at(self.base.path()));
        // A report that is there before the command runs is not this run's.
        options.exclude.extend(source.report_file.iter().filter_map(|file| file.parse().ok()));
        std::fs::create_dir_all(&self.room)
            .map_err(|why| host_trouble("a command's room", &why))?;
        let made = materialise(&self.base, change_set, &self.blobs, tree, &options);
        let scratch = made.map_err(|why| host_trouble("the tree of a command", &why))?;
        let digest = scratch.digest;
        let ran = self.ran(name, source, tree, ends);
        let report = source.report.as_deref().and_then(|format| format.parse().ok());
        let counts = ran.as_ref().ok().and_then(|ran| Some(counted(report?, source, ran, tree)));
        // The tree goes before anything is said of the command.
        scratch.remove().map_err(|why| host_trouble("removing the tree of a command", &why))?;
        Ok(Came { id, definition: source.digest(), tree: digest, ran: ran?, counts })
    }

    fn ran(
        &self,
        name: &str,
        source: &CommandSource,
        tree: &Path,
        ends: &idumb_exec::Stop,
    ) -> Result<Ran, Trouble> {
        let command = command(source).map_err(|message| Trouble::Unavailable {
            message: format!("command `{name}`: {message}"),
        })?;
        let confinement = self.confinement.get_or_init(|| confinement(tree, &self.sources));
        let confinement = confinement.as_ref().map_err(|message| {
            let message = format!("native commands cannot be confined here: {message}");
            Trouble::Unavailable { message }
        })?;
        let ran = idumb_exec::run(confinement, &command, tree, ends, &mut |_, _| ());
        match ran {
            Ok(ran) if ran.ended == Ended::Cancelled => Err(stopped()),
            Ok(ran) => Ok(ran),
            Err(error) => Err(Trouble::Unavailable {
                message: format!(
                    "command `{name}` could not be run: {}",
                    printable(&error.to_string())
                ),
            }),
        }
    }
}

/// The folders at the root that say of themselves that they can be made again: they are large, and
/// what an earlier build left in them is not the candidate's.
fn caches_at(root: &Path) -> Vec<PathGlob> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let tagged = entries.filter(|entry| entry.path().join(CACHE_TAG).is_file());
    tagged.filter_map(|entry| entry.file_name().into_string().ok()?.parse().ok()).collect()
}

/// What came of a command.
struct Came {
    id: EvidenceId,
    definition: Digest,
    tree: Digest,
    ran: Ran,
    counts: Option<Result<Counts, NotAReport>>,
}

impl Came {
    fn evidence(&self, name: &str) -> Evidence {
        let counted = self.counts.as_ref().and_then(|counts| counts.as_ref().ok());
        let tests = counted.map(|counts| TestCounts {
            passed: counts.passed,
            failed: counts.failed,
            skipped: counts.skipped,
        });
        let exit = match self.ran.ended {
            Ended::Exited(status) => Some(status),
            _ => None,
        };
        let observed = Observed::Command {
            name: name.to_owned(),
            arguments: Vec::new(),
            definition: self.definition,
            tree: self.tree,
            ended: how(self.ran.ended),
            exit,
            tests,
            walls: walls(&self.ran.level),
            reused: false,
        };
        Evidence { id: self.id.clone(), observed }
    }

    fn judged(&self, criterion: &Criterion) -> Finding {
        let number = |name: &str| criterion.args.get(name).and_then(serde_json::Value::as_u64);
        let unmet = if criterion.kind == Criterion::TESTS_PASS {
            let at_least = number("at_least").and_then(NonZeroU64::new);
            let expectation = Expectation {
                at_least: at_least.unwrap_or(NonZeroU64::MIN),
                skipped_at_most: number("skipped_at_most"),
            };
            let none = || Err(NotAReport::Absent("report".to_owned()));
            let counts = self.counts.clone().unwrap_or_else(none);
            expectation.judge(self.ran.ended, &counts).err().map(|why: Unmet| why.to_string())
        } else {
            let wanted = number("exit").unwrap_or(0);
            let met = matches!(self.ran.ended, Ended::Exited(status) if u64::try_from(status) == Ok(wanted));
            (!met).then(|| format!("it {}", how(self.ran.ended)))
        };
        let (verdict, note) = match unmet {
            None => (Verdict::Pass, self.success()),
            Some(why) => (Verdict::Fail, format!("{why}{}", self.last_words())),
        };
        let evidence = vec![self.id.clone()];
        Finding { criterion: criterion.id.clone(), verdict, evidence, note }
    }

    fn success(&self) -> String {
        let took = format!("{:.1?}", self.ran.time);
        match &self.counts {
            Some(Ok(counts)) => {
                let Counts { passed, skipped, .. } = counts;
                format!("{passed} tests passed, {skipped} were skipped, in {took}")
            }
            _ => format!("it {} in {took}", how(self.ran.ended)),
        }
    }

    /// The end of what it printed, as lines of their own.
    fn last_words(&self) -> String {
        let printed = [self.ran.stdout.text(), self.ran.stderr.text()].join("\n");
        let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
        let from = lines.len().saturating_sub(MOST_LINES);
        let words: String = lines[from..].iter().map(|line| format!("\n{line}")).collect();
        let over = words.chars().count().saturating_sub(MOST_LETTERS);
        words.chars().skip(over).collect()
    }
}

/// What the tests of a command did, as it reports it.
fn counted(
    format: Format,
    source: &CommandSource,
    ran: &Ran,
    tree: &Path,
) -> Result<Counts, NotAReport> {
    if let Some(file) = &source.report_file {
        let absent = |why: String| NotAReport::Absent(format!("{file} ({why})"));
        let outputs = Outputs::open(tree).map_err(|why| absent(why.to_string()))?;
        let cap = report::SIZE_CAP as u64;
        let text = outputs.read(Path::new(file), cap).map_err(|why| absent(why.to_string()))?;
        return report::counts(format, &text);
    }
    match format.source() {
        Source::Output(Stream::Stderr) => report::counts_captured(format, &ran.stderr),
        _ => report::counts_captured(format, &ran.stdout),
    }
}

fn how(ended: Ended) -> String {
    match ended {
        Ended::Exited(status) => format!("exited with {status}"),
        Ended::Signalled(signal) => format!("was ended by signal {signal}"),
        Ended::TimedOut => "took too long".to_owned(),
        Ended::Cancelled => "was stopped".to_owned(),
        Ended::Exceeded(cap) => format!("went over its cap of {cap:?}").to_lowercase(),
        Ended::Killed => "was killed".to_owned(),
    }
}

/// The walls in words.
pub(crate) fn walls(level: &Level) -> String {
    let landlock = level.landlock.map_or("no Landlock".to_owned(), |abi| format!("Landlock {abi}"));
    let (processes, memory) = (level.processes, level.memory);
    format!(
        "{} namespaces, {} seccomp filters, {landlock}, processes by {processes:?}, memory by \
         {memory:?}",
        level.namespaces.len(),
        level.seccomp_filters
    )
}

/// The walls, tried with everything that the commands of the project are given.
pub(crate) fn confinement(
    tree: &Path,
    sources: &BTreeMap<String, CommandSource>,
) -> Result<Confinement, String> {
    let program = std::env::current_exe().map_err(|why| why.to_string())?;
    let of = |list: fn(&CommandSource) -> &Vec<String>| -> Vec<PathBuf> {
        let all: BTreeSet<PathBuf> =
            sources.values().flat_map(list).filter_map(|path| expanded(path).ok()).collect();
        all.into_iter().filter(|path| path.exists()).collect()
    };
    let setup = Setup {
        inner: Inner { program, args: vec![INNER.into()] },
        bubblewrap: None,
        cgroup: None,
        tree: tree.to_owned(),
        read_only: of(|source| &source.read_only),
        caches: of(|source| &source.caches),
        weaker: Vec::new(),
    };
    Confinement::probe(&setup).map_err(|lacking: Lacking| {
        let advice = lacking.advice().map_or(String::new(), |advice| format!("; {advice}"));
        format!("{lacking}{advice}")
    })
}

/// The command that a definition means on this machine.
fn command(source: &CommandSource) -> Result<Command, String> {
    let usual = Limits::default();
    let paths = |list: &[String]| -> Result<Vec<PathBuf>, String> {
        let there = |text: &String| {
            let path = expanded(text)?;
            match path.exists() {
                true => Ok(path),
                false => Err(format!("there is no {text} on this machine")),
            }
        };
        list.iter().map(there).collect()
    };
    let env = |(name, value): (&String, &String)| {
        let value = match value.starts_with("~/") {
            true => expanded(value)?.into_os_string(),
            false => value.into(),
        };
        Ok::<_, String>((name.into(), value))
    };
    let processes = source.processes.and_then(|most| u32::try_from(most).ok());
    let output = source.output.and_then(|most| usize::try_from(most).ok());
    Ok(Command {
        dir: source.dir.clone().unwrap_or_default().into(),
        env: source.env.iter().map(env).collect::<Result<_, _>>()?,
        limits: Limits {
            time: source.time.unwrap_or(usual.time),
            grace: usual.grace.min(Duration::from_secs(5)),
            memory: source.memory.unwrap_or(usual.memory),
            processes: processes.unwrap_or(usual.processes),
            file_size: source.file_size.unwrap_or(usual.file_size),
            output: output.unwrap_or(usual.output),
            ..usual
        },
        network: if source.loopback { Network::Loopback } else { Network::None },
        read_only: paths(&source.read_only)?,
        caches: paths(&source.caches)?,
        bins: paths(&source.bins)?,
        ..Command::new(&source.run)
    })
}

/// A host path, with the user's home where it says `~`.
fn expanded(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("~/") {
        None => Ok(PathBuf::from(text)),
        Some(rest) => match std::env::var_os("HOME").map(PathBuf::from) {
            Some(home) if home.is_absolute() => Ok(home.join(rest)),
            _ => Err(format!("{text}: nobody says where your home is (HOME)")),
        },
    }
}
