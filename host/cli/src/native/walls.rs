//! What stands around a project's commands, tried before any of them runs.
//!
//! Invariant: where not every wall can be had, no command runs, unless a person said for this run
//! with what less they are content, and then only if more cannot be had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use idumb_exec::{
    Command, Confinement, Inner, Lacking, Level, Limits, Network, Setup, Tree, Weaker,
};
use idumb_plan::CommandSource;

use super::Invocation;
use super::trees::Room;
use crate::fault::Fault;
use crate::text::printable;

/// The argument with which this program is the first process inside; not for people.
pub(crate) const INNER: &str = "exec-inner";

/// The walls that were seen to stand, and how trees can be made.
#[derive(Debug)]
pub(crate) struct Walls {
    pub(crate) confinement: Confinement,
    /// Where layers over the project are made; or why trees are copied instead.
    pub(crate) layers: Result<Room, String>,
}

/// Tries the walls, with the trees of commands on the project at `root`, and looks for what the
/// commands in `used` are given of the machine; nothing is tried where no command is used.
///
/// # Errors
/// What lacks, and what to do about it.
pub(crate) fn tried(
    used: &[(&str, &CommandSource)],
    root: &Path,
    copies: &Path,
    weaker: &[Weaker],
) -> Result<Option<Walls>, Fault> {
    if used.is_empty() {
        return Ok(None);
    }
    for (name, source) in used {
        command(source, &Invocation::of_name(name)).map_err(|why| {
            Fault::usage(format!("command `{name}`: {why}"))
                .hint(format!("put it there, or take it out of [commands.{name}]"))
        })?;
    }
    let trial = copies.join("trial");
    std::fs::create_dir_all(&trial).map_err(|why| {
        Fault::paused(format!("making room for commands in {}: {why}", trial.display()))
    })?;
    let walls = walls(used.iter().map(|(_, source)| *source), root, &trial, weaker);
    let walls = walls.map_err(|why| {
        Fault::paused(format!("native commands cannot be confined here: {why}"))
            .hint("nothing was run; see what this machine can do: idumb doctor")
    })?;
    Ok(Some(walls))
}

/// The walls with everything that `sources` are given, tried on layers if these can be had, else on
/// the empty folder `trial`.
pub(crate) fn walls<'a>(
    sources: impl Iterator<Item = &'a CommandSource> + Clone,
    root: &Path,
    trial: &Path,
    weaker: &[Weaker],
) -> Result<Walls, String> {
    let on = |tree: Tree| confinement(sources.clone(), tree, weaker);
    let layers = Room::new(root).and_then(|room| {
        let (tree, layers) = room.trial()?;
        let tried = on(tree);
        layers.remove().map_err(|why| why.to_string())?;
        Ok((room, tried?))
    });
    match layers {
        Ok((room, confinement)) => Ok(Walls { confinement, layers: Ok(room) }),
        Err(why) => Ok(Walls { confinement: on(trial.into())?, layers: Err(why) }),
    }
}

fn confinement<'a>(
    sources: impl Iterator<Item = &'a CommandSource> + Clone,
    tree: Tree,
    weaker: &[Weaker],
) -> Result<Confinement, String> {
    let program = std::env::current_exe().map_err(|why| why.to_string())?;
    let of = |list: fn(&CommandSource) -> &Vec<String>| -> Vec<PathBuf> {
        let paths = sources.clone().flat_map(list).filter_map(|path| expanded(path).ok());
        let all: BTreeSet<PathBuf> = paths.collect();
        all.into_iter().filter(|path| path.exists()).collect()
    };
    let full = Setup {
        inner: Inner { program, args: vec![INNER.into()] },
        bubblewrap: None,
        cgroup: None,
        tree,
        read_only: of(|source| &source.read_only),
        caches: of(|source| &source.caches),
        weaker: Vec::new(),
    };
    let tried = Confinement::probe(&full).or_else(|lacking| match lacking {
        // A person is content with less, and there is no more.
        Lacking::OldBubblewrap { .. } if !weaker.is_empty() => {
            Confinement::probe(&Setup { weaker: weaker.to_vec(), ..full })
        }
        lacking => Err(lacking),
    });
    tried.map_err(|lacking: Lacking| {
        let advice = lacking.advice().map_or(String::new(), |advice| format!("; {advice}"));
        let less = match lacking {
            Lacking::OldBubblewrap { .. } => "; or do without that wall: --weaker-confinement",
            _ => "",
        };
        format!("{lacking}{advice}{less}")
    })
}

/// The walls in words.
pub(crate) fn words(level: &Level) -> String {
    let landlock = level.landlock.map_or("no Landlock".to_owned(), |abi| format!("Landlock {abi}"));
    let (processes, memory) = (level.processes, level.memory);
    let users = match level.user_namespaces_disabled {
        true => "no further user namespaces",
        false => "WEAKER: only the filter keeps user namespaces away",
    };
    format!(
        "{} namespaces, {users}, {} seccomp filters, {landlock}, processes by {processes:?}, \
         memory by {memory:?}",
        level.namespaces.len(),
        level.seccomp_filters
    )
}

/// The command that a definition means on this machine, with an invocation's arguments.
pub(super) fn command(source: &CommandSource, invocation: &Invocation) -> Result<Command, String> {
    if let Some(refused) = source.refuses(&invocation.arguments) {
        let shown = printable(refused);
        return Err(format!("its `arguments` do not allow `{shown}`"));
    }
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
        env: source.env.iter().map(env).collect::<Result<BTreeMap<_, _>, _>>()?,
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
        ..Command::new(source.run.iter().chain(&invocation.arguments))
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
