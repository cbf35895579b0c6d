//! Native commands: what criteria, and agents, have the host run, confined, on a candidate.
//!
//! Invariant: a command runs behind walls that were seen to stand, on a tree of its own that goes
//! afterwards, and never on the user's; what came of it is the host's observation, and the host
//! judges it. No agent is asked.

mod asked;
mod came;
mod trees;
mod used;
mod walls;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use idumb_core::{Blobs, ChangeSet, Criterion, Digest, Trouble};
use idumb_exec::{Captured, Ended, Ran, Stream, Tree};
use idumb_overlay::Base;
use idumb_plan::{CommandSource, Config};
use idumb_sandbox::Stop;

use crate::text::printable;
use crate::workshop::{host_trouble, stopped};

pub(crate) use asked::TaskCommands;
pub(crate) use came::Came;
use trees::{Made, Trees};
pub(crate) use used::{still_defined, time_of_all, undefined, used};
pub(crate) use walls::{INNER, Walls, tried, walls, words};

/// How many results are remembered, so that the same command on the same tree is answered by them.
const REMEMBERED: usize = 32;

/// Bytes of the longest line of output that is shown as it comes.
const LINE_BYTES: usize = 400;

/// One use of a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Invocation {
    /// What the project calls it.
    pub(crate) name: String,
    /// What is put behind the words of its definition.
    pub(crate) arguments: Vec<String>,
    /// Files that it is to leave, and that are kept.
    pub(crate) outputs: Vec<String>,
}

impl Invocation {
    pub(crate) fn of_name(name: &str) -> Self {
        Self { name: name.to_owned(), arguments: Vec::new(), outputs: Vec::new() }
    }

    /// What `criterion` asks for, if it is one of a command.
    pub(crate) fn of(criterion: &Criterion) -> Option<Self> {
        let texts = |key: &str| -> Vec<String> {
            let list = criterion.args.get(key).and_then(serde_json::Value::as_array);
            let texts = list.into_iter().flatten().filter_map(serde_json::Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let (arguments, outputs) = (texts("arguments"), texts("outputs"));
        Some(Self { arguments, outputs, ..Self::of_name(criterion.command()?) })
    }
}

/// Hears each line of a command's output as it comes, with the command's name: the command's words,
/// which nobody has looked through.
pub(crate) type Listener = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// The commands of a project, and where they run.
pub(crate) struct Natives {
    sources: BTreeMap<String, CommandSource>,
    trees: Trees,
    blobs: Arc<dyn Blobs>,
    /// `None`: no command is used.
    walls: Option<Walls>,
    /// What came of commands, the oldest first.
    remembered: Mutex<VecDeque<Came>>,
}

impl Natives {
    /// The commands of `config`, with trees that are copied in `copies`; walls that were tried.
    pub(crate) fn new(
        config: &Config,
        base: Base,
        blobs: Arc<dyn Blobs>,
        copies: PathBuf,
        walls: Option<Walls>,
    ) -> Self {
        let trees = Trees::new(base, Arc::clone(&blobs), copies);
        let (sources, remembered) = (config.commands.clone(), Mutex::default());
        Self { sources, trees, blobs, walls, remembered }
    }

    /// Runs `wanted` on the base with `change_set` in it, each on a tree of its own, until the stop
    /// is given or this is dropped.
    ///
    /// # Errors
    /// The host could not run one, or was told to stop.
    pub(crate) async fn run(
        self: &Arc<Self>,
        wanted: BTreeSet<Invocation>,
        change_set: ChangeSet,
        listener: Listener,
        stop: Stop,
    ) -> Result<BTreeMap<Invocation, Came>, Trouble> {
        let ending = Ending::new()?;
        let (natives, until) = (Arc::clone(self), ending.clone());
        let mut running = tokio::task::spawn_blocking(move || {
            let one = |invocation: Invocation| {
                let came = natives.one(&invocation, &change_set, &listener, &until)?;
                Ok((invocation, came))
            };
            wanted.into_iter().map(one).collect()
        });
        let ends = EndsWhenDropped(ending);
        let ran = tokio::select! {
            ran = &mut running => ran,
            () = stop.given() => {
                drop(ends);
                // Its processes and its tree go first.
                let _ = running.await;
                return Err(stopped());
            }
        };
        ran.unwrap_or_else(|_| Err(Trouble::Error { message: "a command: idumb failed".into() }))
    }

    /// Runs one command on a new tree, or answers with what came of it on the same.
    fn one(
        &self,
        invocation: &Invocation,
        change_set: &ChangeSet,
        listener: &Listener,
        ending: &Ending,
    ) -> Result<Came, Trouble> {
        let name = &invocation.name;
        let (Some(source), Some(walls)) = (self.sources.get(name), &self.walls) else {
            return Err(Trouble::Error { message: format!("there is no command `{name}`") });
        };
        // A file that is there before the command runs is not this run's.
        let files = invocation.outputs.iter().chain(&source.report_file);
        let without: Vec<String> = files.cloned().collect();
        let mut room = walls.layers.as_ref().ok();
        loop {
            let made = self.trees.make(change_set, &without, room, &ending.over);
            let made = made.map_err(|why| host_trouble("the tree of a command", &why))?;
            let before = self.remembered(invocation, source, made.digest());
            let came = match before {
                Some(came) => Ok(Some(came)),
                None => self.came(invocation, source, (&made, change_set), (listener, ending)),
            };
            // The tree goes before anything is said of the command.
            made.remove().map_err(|why| host_trouble("removing the tree of a command", &why))?;
            if let Some(came) = came? {
                self.remember(&came);
                return Ok(came);
            }
            // A copy stays as it is.
            room = None;
        }
    }

    /// Runs it; `None` if somebody wrote to the project meanwhile: what came of it is of no tree.
    fn came(
        &self,
        invocation: &Invocation,
        source: &CommandSource,
        (made, change_set): (&Made, &ChangeSet),
        (listener, ending): (&Listener, &Ending),
    ) -> Result<Option<Came>, Trouble> {
        let (ran, not_started) = self.ran(invocation, source, &made.tree(), (listener, ending))?;
        let steady = self.trees.is_steady(made, change_set);
        if !steady.map_err(|why| host_trouble("looking at the project again", &why))? {
            return Ok(None);
        }
        let written = made.written();
        let counts = came::counted(source, &ran, &written).filter(|_| not_started.is_none());
        let not_kept = |why| host_trouble("what a command left cannot be kept", &why);
        let outputs = came::outputs(invocation, &written, &*self.blobs).map_err(not_kept)?;
        let printed = came::printed(&ran, &*self.blobs).map_err(not_kept)?;
        let (invocation, definition) = (invocation.clone(), source.digest());
        let (tree, reused) = (made.digest(), false);
        Ok(Some(Came {
            invocation,
            definition,
            tree,
            ran,
            not_started,
            counts,
            outputs,
            printed,
            reused,
        }))
    }

    /// What came of it, and why it did not start if it did not: that is for the candidate, or the
    /// definition, to answer for.
    fn ran(
        &self,
        invocation: &Invocation,
        source: &CommandSource,
        tree: &Tree,
        (listener, ending): (&Listener, &Ending),
    ) -> Result<(Ran, Option<String>), Trouble> {
        let name = &invocation.name;
        let unavailable = |why: &str| {
            let message = format!("command `{name}` could not be run: {}", printable(why));
            Trouble::Unavailable { message }
        };
        let command = walls::command(source, invocation).map_err(|why| unavailable(&why))?;
        let Some(walls) = &self.walls else { return Err(unavailable("no walls were tried")) };
        let mut lines: [Lines; 2] = Default::default();
        let mut hear = |stream: Stream, bytes: &[u8]| {
            let lines = &mut lines[usize::from(stream == Stream::Stderr)];
            lines.take(bytes, &mut |line| listener(name, line));
        };
        let ran = idumb_exec::run(&walls.confinement, &command, tree, &ending.ends, &mut hear);
        match ran {
            Ok(ran) if ran.ended == Ended::Cancelled => Err(stopped()),
            Ok(ran) => Ok((ran, None)),
            Err(idumb_exec::Error::NotStarted { step, error }) => {
                let program = command.argv.first().map(|word| word.to_string_lossy());
                let program = printable(&program.unwrap_or_default());
                let nothing = Ran {
                    ended: Ended::Killed,
                    stdout: Captured::default(),
                    stderr: Captured::default(),
                    time: Duration::ZERO,
                    setup: Duration::ZERO,
                    peak_memory: None,
                    level: walls.confinement.level().clone(),
                };
                Ok((nothing, Some(format!("`{program}`: {step}: {error}"))))
            }
            Err(error) => Err(unavailable(&error.to_string())),
        }
    }

    /// What came of the same command, with the same arguments, on the same tree, if it can answer
    /// for it.
    fn remembered(
        &self,
        invocation: &Invocation,
        source: &CommandSource,
        tree: Digest,
    ) -> Option<Came> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |came: &&Came| {
            let is = (&came.invocation, came.definition, came.tree);
            is == (invocation, source.digest(), tree)
        };
        remembered.iter().find(same).map(|came| Came { reused: true, ..came.clone() })
    }

    fn remember(&self, came: &Came) {
        if came.reused || !came.is_sound() {
            return;
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(came.clone());
    }
}

/// How the commands of one call are ended.
#[derive(Clone)]
struct Ending {
    stopper: idumb_exec::Stopper,
    ends: idumb_exec::Stop,
    over: Arc<AtomicBool>,
}

impl Ending {
    fn new() -> Result<Self, Trouble> {
        let (stopper, ends) =
            idumb_exec::Stop::new().map_err(|why| host_trouble("a command", &why))?;
        Ok(Self { stopper, ends, over: Arc::default() })
    }
}

struct EndsWhenDropped(Ending);

impl Drop for EndsWhenDropped {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        self.0.stopper.stop();
    }
}

/// Makes lines of pieces.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// Gives every line that is whole; of a long one, the beginning.
    fn take(&mut self, bytes: &[u8], give: &mut dyn FnMut(&str)) {
        // What draws over its own line, with a carriage return, has lines too.
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
        for piece in bytes.split_inclusive(ends) {
            let room = LINE_BYTES.saturating_sub(self.0.len());
            self.0.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.last().is_some_and(ends) {
                give(String::from_utf8_lossy(&self.0).trim_end());
                self.0.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines_and_long_ones_are_cut() {
        let mut lines = Lines::default();
        let mut given = Vec::new();
        let long = "x".repeat(3 * LINE_BYTES);
        for piece in ["a", "b\nc\n\r", long.as_str(), long.as_str(), "\nend"] {
            lines.take(piece.as_bytes(), &mut |line| given.push(line.to_owned()));
        }
        assert_eq!(given, ["ab", "c", "", &long[..LINE_BYTES]]);
    }
}
