//! A guest that tries everything, and what is checked of every answer it gets.
//!
//! Invariant: whatever a guest is told (content, names, kinds, times, targets, digests) is of
//! places that the oracle lets it know.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use idumb_core::{Digest, Observed};

use super::chance::Chance;
use super::oracle::Oracle;
use super::overlay::{
    FileHandle, FsError, Kind, NodeId, OpenFlags, Opened, ReadView, Stat, WorkView,
};
use super::world::{self, NAMES, World};

/// What came about, over all sequences.
#[derive(Debug, Default)]
pub(super) struct Tally(pub(super) BTreeMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, what: impl Into<String>, count: u64) {
        *self.0.entry(what.into()).or_default() += count;
    }
}

pub(super) struct Guest<'a> {
    pub(super) view: WorkView,
    pub(super) oracle: &'a Oracle,
    pub(super) tally: &'a mut Tally,
    /// What was done so far.
    story: &'a RefCell<String>,
    dirs: Vec<NodeId>,
    files: Vec<FileHandle>,
    /// What it read, to write it elsewhere.
    loot: Vec<Vec<u8>>,
    /// The targets it gave to links.
    targets: BTreeSet<String>,
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

impl<'a> Guest<'a> {
    pub(super) fn new(
        view: WorkView,
        oracle: &'a Oracle,
        tally: &'a mut Tally,
        story: &'a RefCell<String>,
    ) -> Self {
        let dirs = vec![view.root()];
        let targets = BTreeSet::new();
        Self { view, oracle, tally, story, dirs, files: Vec::new(), loot: Vec::new(), targets }
    }

    /// Does one thing.
    pub(super) fn act(&mut self, world: &World, chance: &mut Chance<'_>) {
        let refused = self.refusals();
        let what = chance.below(24);
        let dir = self.dirs[chance.below(self.dirs.len())];
        let path = self.spelling(world, chance, dir);
        let from = self.view.path_of(dir);
        let _ = write!(self.story.borrow_mut(), "\n{what} from {from:?}: {path:?}");
        let answer = match what {
            0..=6 => self.open(world, chance, dir, &path),
            7..=9 => self.use_file(world, chance),
            10..=14 => self.look(world, chance, dir, &path),
            15..=21 => self.change(world, chance, dir, &path),
            _ => self.try_reading_view(chance, dir, &path),
        };
        let name = match &answer {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{error:?}").split('(').next().unwrap_or_default().to_owned(),
        };
        // To link a directory is refused as Linux refuses it; nobody could grant it.
        if matches!(answer, Err(FsError::NotPermitted | FsError::ReadOnly)) {
            let denied = self.refusals() > refused;
            self.tally.add(if denied { "denied and recorded" } else { "refused as Linux does" }, 1);
        }
        self.tally.add(format!("answer {name}"), 1);
    }

    fn refusals(&self) -> u64 {
        let record = self.view.record();
        record.denials_dropped + record.denials.iter().map(|d| u64::from(d.count)).sum::<u64>()
    }

    /// A path in one of its spellings, or what looks like one.
    fn spelling(&self, world: &World, chance: &mut Chance<'_>, dir: NodeId) -> String {
        let known = |chance: &mut Chance<'_>| {
            let at = chance.below(world.paths.len().max(1));
            world.paths.get(at).cloned().unwrap_or_default()
        };
        let mut path = match chance.below(16) {
            0..=8 => known(chance),
            9..=12 => join(&known(chance), chance.pick(NAMES)),
            13 => chance.pick(NAMES).to_owned(),
            14 => format!("g{}", chance.below(4)),
            _ => join(&known(chance), "g0"),
        };
        let above = self.view.path_of(dir).unwrap_or_default();
        if !above.is_empty() {
            path = match path.strip_prefix(&format!("{above}/")) {
                Some(below) => below.to_owned(),
                None if chance.percent(80) => {
                    format!("{}{path}", "../".repeat(above.matches('/').count() + 1))
                }
                None => path,
            };
        }
        let name = chance.pick(NAMES);
        match chance.below(32) {
            0 => format!("{path}/"),
            1 => format!("{path}/."),
            2 => format!("{path}//"),
            3 => format!("./{path}"),
            4 => path.replace('/', "//./"),
            5 => format!("{path}/.."),
            6 => format!("{path}/../{name}"),
            7 => format!("{name}/../{path}"),
            8 => format!("{}/{path}", ["..", "../..", "../../project"][chance.below(3)]),
            9 => format!("{}outside/a.rs", "../".repeat(1 + chance.below(6))),
            10 => format!("/{path}"),
            11 => world.beside("secret").display().to_string(),
            12 => format!("{}/{path}", world.root().display()),
            13 => ["", ".", "..", "/", "a\0b", "./."][chance.below(6)].to_owned(),
            14 => format!("{}{path}", "./".repeat(2047)),
            15 => "n".repeat(254 + chance.below(3)),
            _ => path,
        }
    }

    fn open(
        &mut self,
        world: &World,
        chance: &mut Chance<'_>,
        dir: NodeId,
        path: &str,
    ) -> Result<(), FsError> {
        let bits = chance.byte();
        let bit = |n: u8| bits & (1 << n) != 0;
        let plain = chance.percent(40);
        let flags = OpenFlags {
            read: true,
            write: !plain && bit(0),
            create: !plain && bit(1),
            exclusive: bit(1) && bit(2) && bit(3),
            truncate: !plain && bit(3) && bit(4),
            directory: bit(5) && bit(6),
        };
        let follow = !(bit(6) && bit(7));
        match self.view.open(dir, path, follow, flags)? {
            Opened::Dir(node) => {
                self.list(world, node)?;
                self.dirs.push(node);
            }
            Opened::File(file) => {
                self.check_stat(world, &file.stat()?);
                self.read(world, &file)?;
                if flags.write {
                    self.write(chance, &file)?;
                    self.tally.add("written", 1);
                }
                if chance.percent(30) {
                    self.files.push(file);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, world: &World, file: &FileHandle) -> Result<(), FsError> {
        let mut bytes = vec![0; 4096];
        let n = file.read_at(&mut bytes, 0)?;
        bytes.truncate(n);
        self.check_bytes(world, &bytes);
        if !world::marks_in(&bytes).is_empty() && self.loot.len() < 8 {
            self.loot.push(bytes);
        }
        Ok(())
    }

    fn write(&self, chance: &mut Chance<'_>, file: &FileHandle) -> Result<(), FsError> {
        let loot = self.loot.get(chance.below(8)).map_or(&b"g"[..], Vec::as_slice);
        match chance.below(4) {
            0 => file.append(loot).map(drop),
            1 => file.set_len(chance.below(40) as u64),
            _ => file.write_at(loot, chance.below(40) as u64).map(drop),
        }
    }

    fn use_file(&mut self, world: &World, chance: &mut Chance<'_>) -> Result<(), FsError> {
        if self.files.is_empty() {
            return Ok(());
        }
        let at = chance.below(self.files.len());
        let file = self.files[at].clone();
        match chance.below(6) {
            0 => drop(self.files.swap_remove(at)),
            1 => file.set_times(None, Some(UNIX_EPOCH + Duration::from_secs(5)))?,
            2 => self.check_stat(world, &file.stat()?),
            3 => self.write(chance, &file)?,
            _ => self.read(world, &file)?,
        }
        Ok(())
    }

    /// Everything that only looks.
    fn look(
        &mut self,
        world: &World,
        chance: &mut Chance<'_>,
        dir: NodeId,
        path: &str,
    ) -> Result<(), FsError> {
        match chance.below(7) {
            0..=1 => {
                let link = self.view.stat(dir, path, false)?;
                self.check_stat(world, &link);
                let stat = self.view.stat(dir, path, true)?;
                self.check_stat(world, &stat);
                self.tally.add("links followed", u64::from(link.kind == Kind::Symlink));
            }
            2 => {
                let target = self.view.read_link(dir, path)?;
                let marks = world.links(&target);
                let known = |mark: &u32| world.places(*mark).any(|at| self.oracle.may_read(at));
                let told = marks.iter().any(known) || self.targets.contains(&target);
                assert!(told, "the target {target:?} is not for this guest");
                self.tally.add("targets read", 1);
            }
            3 => self.list(world, dir)?,
            4 => {
                let stat = self.view.stat_node(dir)?;
                self.check_stat(world, &stat);
            }
            _ => {
                let observed = self.view.observe(path)?;
                self.check_observed(world, &observed);
            }
        }
        Ok(())
    }

    fn list(&mut self, world: &World, node: NodeId) -> Result<(), FsError> {
        let Ok(dir) = self.view.path_of(node) else {
            assert!(self.view.read_dir(node).map_or(true, |entries| entries.is_empty()));
            return Ok(());
        };
        for entry in self.view.read_dir(node)? {
            let path = join(&dir, &entry.name);
            assert!(self.oracle.may_know(&path, entry.kind), "listed: {path:?}");
            // By a name that was planted once, whatever the directory is called now.
            let mark = entry.name.strip_prefix('c').and_then(|number| number.parse::<u32>().ok());
            if let Some(mark) = mark.filter(|mark| world.kind(*mark) == Some(entry.kind)) {
                self.check_mark(world, mark, "listed");
            }
            self.tally.add("names listed", 1);
        }
        Ok(())
    }

    /// Everything that changes names, or metadata by name.
    fn change(
        &mut self,
        world: &World,
        chance: &mut Chance<'_>,
        dir: NodeId,
        path: &str,
    ) -> Result<(), FsError> {
        let other_dir = self.dirs[chance.below(self.dirs.len())];
        let other = if chance.percent(60) {
            chance.pick(&["g0", "g1", "g2", "a/g0", "b/g1"]).to_owned()
        } else {
            self.spelling(world, chance, other_dir)
        };
        let time = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7));
        match chance.below(10) {
            0 => self.view.mkdir(dir, path),
            1 => self.view.unlink(dir, path),
            2 => self.view.rmdir(dir, path),
            3..=5 => {
                let is_dir =
                    self.view.stat(dir, path, false).is_ok_and(|stat| stat.kind == Kind::Dir);
                self.view.rename(dir, path, other_dir, &other)?;
                self.tally.add("directories renamed", u64::from(is_dir));
                Ok(())
            }
            6 => self.view.link(dir, path, chance.percent(50), other_dir, &other),
            7 => {
                let target = self.spelling(world, chance, dir);
                self.view.symlink(&target, other_dir, &other)?;
                self.targets.insert(target);
                self.tally.add("links made", 1);
                Ok(())
            }
            8 => match chance.below(2) {
                0 => self.view.set_times(dir, path, chance.percent(50), None, time),
                _ => self.view.set_times_node(dir, time, None),
            },
            _ => self.view.set_executable(dir, path, chance.percent(70)),
        }
    }

    /// Through the view of those who only read.
    fn try_reading_view(
        &mut self,
        chance: &mut Chance<'_>,
        dir: NodeId,
        path: &str,
    ) -> Result<(), FsError> {
        let flags = OpenFlags { write: true, create: chance.percent(50), ..OpenFlags::READ };
        let answer = ReadView::open(&self.view, dir, path, true, flags);
        assert!(matches!(answer, Err(FsError::ReadOnly)), "{answer:?}");
        Err(self.view.refuse_write("mkdir", dir, path))
    }

    fn check_mark(&mut self, world: &World, mark: u32, what: &str) {
        let kind = world.kind(mark).unwrap_or(Kind::Other);
        let places: Vec<&str> = world.places(mark).collect();
        let known = places.iter().any(|at| self.oracle.may_know(at, kind));
        assert!(known, "{what}: {kind:?} of {places:?} is not for this guest");
        self.tally.add("marks seen", 1);
    }

    /// Fails if there is anything in a content that the guest may not read.
    pub(super) fn check_bytes(&mut self, world: &World, bytes: &[u8]) {
        for mark in world::marks_in(bytes) {
            let places: Vec<&str> = world.places(mark).collect();
            let given = places.iter().any(|at| self.oracle.may_read(at));
            assert!(given, "read: what stood at {places:?} is not for this guest");
            self.tally.add("marks read", 1);
        }
    }

    fn check_stat(&mut self, world: &World, stat: &Stat) {
        for time in [stat.accessed, stat.modified].into_iter().flatten() {
            let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            if let Some(mark) = world::mark_of(seconds as i64) {
                self.check_mark(world, mark, "metadata");
                // The time of the root says nothing of what is in it.
                assert_eq!(world.kind(mark), Some(stat.kind));
            }
        }
    }

    fn check_observed(&mut self, world: &World, observed: &Observed) {
        let (path, kind) = match observed {
            Observed::File { path, .. } => (path, Kind::File),
            Observed::Symlink { path } => (path, Kind::Symlink),
            // Said of what is not there, on the way to what may be made.
            Observed::Dir { path } | Observed::Absent { path } => (path, Kind::Dir),
            other => panic!("{other:?}"),
        };
        assert!(self.oracle.may_know(path, kind), "observed: {observed:?}");
        if let Observed::File { digest, .. } = observed
            && let Some(mark) = world.mark_with(*digest)
        {
            self.check_mark(world, mark, "observed");
        }
        self.tally.add("observed", 1);
    }
}

impl World {
    /// The mark of the file whose whole content has this digest.
    fn mark_with(&self, digest: Digest) -> Option<u32> {
        self.marks().find(|mark| Digest::of(format!("<<{mark:06}>>").as_bytes()) == digest)
    }
}
