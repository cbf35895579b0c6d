//! `--save-plan` and `--approved`: what somebody saw before a run is what runs.
//!
//! Invariant: a saved plan gives no right that the plan itself does not give; it only refuses a run
//! that is another one than was seen.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use idumb_core::{AgentBinding, Digest, PathGlob, Plan, Policy, Rule};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, REFUSED};
use crate::text::printable;

/// What the file says that it is.
const FORMAT: &str = "idumb-approved-1";

/// The largest such file that is read, in bytes.
const MOST: u64 = 64 << 20;

/// How many changed files are named.
const MOST_NAMED: usize = 5;

/// Folders that no task's files are looked for in: other tools' own, and what builds leave.
const LEFT_OUT: &[&str] = &[".git", ".idumb/state", "target", "node_modules"];

/// Everything that a run is bound to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approved {
    format: String,
    phase: String,
    /// The plan's bytes, with all its grants.
    plan: Digest,
    /// The agents' bytes, by name.
    agents: BTreeMap<String, Digest>,
    /// The rules and policies that apply, and which agent does which task.
    rules: Digest,
    /// The files that the plan's tasks may read or write, as they are.
    base: BTreeMap<String, Digest>,
}

impl Approved {
    /// What a run would be bound to now.
    pub(crate) fn of(
        root: &Path,
        plan: &Plan,
        agents: &[AgentBinding],
        (rules, policies): (&[Rule], &[Policy]),
    ) -> Result<Self> {
        let globs: Vec<&PathGlob> =
            plan.tasks.iter().flat_map(|task| task.reads.iter().chain(&task.writes)).collect();
        let mut base = BTreeMap::new();
        walk(root, "", &globs, &mut base)?;
        let tasks: Vec<_> = plan.tasks.iter().map(|task| (&task.id, &task.agent)).collect();
        Ok(Self {
            format: FORMAT.to_owned(),
            phase: plan.phase.to_string(),
            plan: plan.digest,
            agents: agents.iter().map(|agent| (agent.name.clone(), agent.digest)).collect(),
            rules: Digest::of(&serde_json::to_vec(&(rules, policies, tasks))?),
            base,
        })
    }

    /// Writes it to a file that is not there yet.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
        let written = made.and_then(|mut file| std::io::Write::write_all(&mut file, &text));
        match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let message = format!("{} is there already", path.display());
                Err(Fault::usage(message).hint("name another file, or remove it").into())
            }
            written => written.with_context(|| format!("writing {}", path.display())),
        }
    }

    fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let unread = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Fault::usage(format!("there is no {shown}")).into(),
            _ => anyhow::Error::from(error).context(format!("reading {shown}")),
        };
        let size = fs::metadata(path).map_err(unread)?.len();
        let text = if size > MOST { Vec::new() } else { fs::read(path).map_err(unread)? };
        let read: Result<Self, _> = serde_json::from_slice(&text);
        match read {
            Ok(approved) if approved.format == FORMAT => Ok(approved),
            _ => Err(Fault::usage(format!("{shown} is no plan that was saved with --save-plan"))
                .hint("save one: idumb execute-phase PHASE --dry-run --save-plan FILE")
                .into()),
        }
    }

    /// Refuses a run that is not the one in the file at `path`, naming what is different.
    pub(crate) fn expect(&self, path: &Path) -> Result<()> {
        let seen = Self::read(path)?;
        let drift = seen.drift(self);
        if drift.is_empty() {
            return Ok(());
        }
        let message =
            format!("this is not the run of {}, since {}", path.display(), drift.join("; "));
        Err(Fault { exit: REFUSED, ..Fault::usage(message) }
            .hint("look at what would run now, and save that: --dry-run --save-plan FILE")
            .into())
    }

    fn drift(&self, now: &Self) -> Vec<String> {
        let mut drift = Vec::new();
        if self.phase != now.phase {
            drift.push(format!("it was for phase {}, not {}", printable(&self.phase), now.phase));
        }
        if self.plan != now.plan {
            let (was, is) = (self.plan.short(), now.plan.short());
            drift.push(format!("the plan changed (was {was}, is {is})"));
        }
        for (name, what) in changed(&self.agents, &now.agents) {
            drift.push(format!("agent `{}` {what}", printable(&name)));
        }
        if self.rules != now.rules {
            drift.push("the rules, the policies or who does which task changed".to_owned());
        }
        let files = changed(&self.base, &now.base);
        let named: Vec<String> = files
            .iter()
            .take(MOST_NAMED)
            .map(|(path, what)| format!("`{}` {what}", printable(path)))
            .collect();
        drift.extend(named);
        if files.len() > MOST_NAMED {
            drift.push(format!("and {} more files are different", files.len() - MOST_NAMED));
        }
        drift
    }
}

/// What is other than it was, and how.
fn changed(
    was: &BTreeMap<String, Digest>,
    now: &BTreeMap<String, Digest>,
) -> Vec<(String, &'static str)> {
    let gone_or_other = was.iter().filter_map(|(name, digest)| match now.get(name) {
        Some(other) if other == digest => None,
        Some(_) => Some((name.clone(), "changed")),
        None => Some((name.clone(), "is gone")),
    });
    let new = now.keys().filter(|name| !was.contains_key(*name));
    gone_or_other.chain(new.map(|name| (name.clone(), "is new"))).collect()
}

/// The files below `dir` that a pattern names; links are not followed, and count as what they say.
fn walk(
    root: &Path,
    dir: &str,
    globs: &[&PathGlob],
    found: &mut BTreeMap<String, Digest>,
) -> Result<()> {
    let folder = root.join(dir);
    let wrap = || format!("looking at {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(wrap)? {
        let entry = entry.with_context(wrap)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        let kind = entry.file_type().with_context(wrap)?;
        if kind.is_dir() {
            if !LEFT_OUT.contains(&path.as_str()) {
                walk(root, &path, globs, found)?;
            }
        } else if globs.iter().any(|glob| glob.matches(&path)) {
            let file = entry.path();
            let reading = || format!("reading {}", file.display());
            let digest = if kind.is_symlink() {
                let target = fs::read_link(&file).with_context(reading)?;
                Digest::of(target.as_os_str().as_encoded_bytes())
            } else if kind.is_file() {
                let opened = fs::File::open(&file).with_context(reading)?;
                Digest::of_reader(opened).with_context(reading)?.0
            } else {
                continue;
            };
            found.insert(path, digest);
        }
    }
    Ok(())
}
