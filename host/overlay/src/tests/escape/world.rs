//! The project of one sequence: a random tree full of traps, whose every entry is marked.
//!
//! Invariant: each mark is known with every place where what bears it has stood: a file bears it
//! in its content, everything bears it as its time; what is outside has stood nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{self as rfs, AtFlags, CWD, RenameFlags, Timespec, Timestamps};
use tempfile::TempDir;

use super::chance::Chance;
use super::overlay::Kind;

/// The times that are marks, in seconds: 2001, and as many of them as there are marks.
const MARKED: i64 = 1_000_000_000;
const MARKS: i64 = 1_000_000;

/// The names that are planted and asked for; the first are those of directories, too.
pub(super) const NAMES: &[&str] = &[
    "a",
    "b",
    "[ab]",
    "*",
    ".git",
    ".github",
    "workflows",
    "ab",
    ".GIT",
    ".g\u{200c}it",
    ".env",
    ".vscode",
    ".\u{17f}sh",
    ".idumb",
    "?",
    "a.rs",
    "b.rs",
    ".Env.local",
    "idumb.toml",
    "IDUMB.toml",
    ".idumb-staged-x",
    ".ssh",
];
const OF_DIRS: usize = 15;

pub(super) struct World {
    dir: TempDir,
    next: u32,
    /// How many links were planted.
    targets: usize,
    /// Where what bears a mark has stood in the project, and what it is.
    places: BTreeMap<u32, BTreeSet<String>>,
    kinds: BTreeMap<u32, Kind>,
    /// The marks of links, by their text.
    links: BTreeMap<String, Vec<u32>>,
    /// Everything there is, to the last detail.
    image: BTreeMap<PathBuf, String>,
    /// The paths of the project.
    pub(super) paths: Vec<String>,
}

impl World {
    pub(super) fn plant(chance: &mut Chance<'_>) -> Self {
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let mut world = Self {
            dir,
            next: 1,
            targets: 0,
            places: BTreeMap::new(),
            kinds: BTreeMap::new(),
            links: BTreeMap::new(),
            image: BTreeMap::new(),
            paths: Vec::new(),
        };
        for dir in ["project", "project/a", "outside", "outside/a"] {
            fs::create_dir(world.dir.path().join(dir)).unwrap();
        }
        for file in ["secret", "outside/a.rs", "outside/a/a.rs", "project/a/a.rs", "project/b.rs"] {
            world.write(&world.dir.path().join(file));
        }
        world.scan();
        for _ in 0..8 + chance.below(18) {
            world.plant_one(chance);
        }
        world.scan();
        world
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// A place of the host's beside the project.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// A file with a mark of its own.
    fn write(&mut self, path: &Path) {
        fs::write(path, format!("<<{:06}>>", self.next)).unwrap();
        stamp(path, self.next);
        self.next += 1;
    }

    fn plant_one(&mut self, chance: &mut Chance<'_>) {
        let dir = self.some_dir(chance);
        let kind = chance.below(20);
        let name = match kind {
            0..=5 => NAMES[chance.below(OF_DIRS)].to_owned(),
            // A name that nothing else has, so that it is known again in a listing.
            6..=8 => format!("c{}", self.next),
            _ => chance.pick(NAMES).to_owned(),
        };
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok() || path.components().count() > 10 {
            return;
        }
        match kind {
            0..=5 => fs::create_dir(&path).unwrap(),
            6..=12 => self.write(&path),
            13 => {
                let from = self.some_path(chance);
                if from.is_dir() && !from.is_symlink() {
                    return;
                }
                fs::hard_link(from, &path).unwrap();
            }
            14 => fifo(&path),
            _ => symlink(self.some_target(chance, &path), &path).unwrap(),
        }
        self.paths.push(path.strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned());
    }

    fn some_path(&self, chance: &mut Chance<'_>) -> PathBuf {
        if self.paths.is_empty() || chance.percent(10) {
            return self.dir.path().join("outside/a.rs");
        }
        self.at(&self.paths[chance.below(self.paths.len())])
    }

    fn some_dir(&self, chance: &mut Chance<'_>) -> PathBuf {
        let path = self.some_path(chance);
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_dir && path.starts_with(self.root()) { path } else { self.root() }
    }

    /// Where a link at `at` leads: anywhere. Its text is like no other's.
    fn some_target(&mut self, chance: &mut Chance<'_>, at: &Path) -> String {
        self.targets += 1;
        let pad = "./".repeat(self.targets);
        let depth = at.components().count() - self.root().components().count() - 1;
        let up = "../".repeat(if chance.percent(70) { depth } else { chance.below(5) });
        let outside = self.dir.path().display();
        let path = self.paths[chance.below(self.paths.len())].clone();
        match chance.below(12) {
            0 => format!("/{pad}proc/self/root{outside}/secret"),
            1 => format!("/{pad}{outside}/outside"),
            2 => format!("{pad}{up}outside"),
            3 => format!("{pad}{up}../secret"),
            4 => format!("{pad}{up}project/{path}"),
            5 => format!("{pad}{up}{path}/"),
            6 => format!("{pad}{up}"),
            7 => format!("{pad}{up}{path}/../{}", chance.pick(NAMES)),
            8 => format!("{pad}{}", chance.pick(NAMES)),
            _ => format!("{pad}{up}{path}"),
        }
    }

    /// Changes something behind the back of whoever works in the project. Says what.
    pub(super) fn disturb(&mut self, chance: &mut Chance<'_>) -> String {
        let (one, other) = (self.some_path(chance), self.some_path(chance));
        let aside = self.some_dir(chance).join(format!("c{}", self.next));
        let inside = one.starts_with(self.root());
        let what = chance.below(8);
        match what {
            // What stood there is swapped for a link.
            0..=2 if inside => {
                fs::rename(&one, self.beside(&format!("away{}", self.next))).unwrap();
                symlink(self.some_target(chance, &one), &one).unwrap();
            }
            3 => {
                // Fails if one is in the other.
                let _ = rfs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
            }
            4 if one.is_file() => {
                let _ = fs::remove_file(&one);
                self.write(&one);
            }
            5 if inside => {
                fs::rename(&one, self.beside(&format!("away{}", self.next))).unwrap();
                fifo(&one);
            }
            6 => drop(fs::rename(&one, &aside)),
            _ if one.is_file() && !one.is_symlink() => drop(fs::hard_link(&one, &aside)),
            _ => self.write(&aside),
        }
        self.next += 1;
        self.scan();
        format!("{what}: {one:?} {other:?} {aside:?}")
    }

    /// Looks at everything: gives marks where there are none, and notes what stands where.
    fn scan(&mut self) {
        let root = self.root();
        self.paths.clear();
        for (path, _) in walk(self.dir.path()) {
            // Looked at again: its other name may just have been marked.
            let meta = fs::symlink_metadata(&path).unwrap();
            let mark = match mark_of(meta.mtime()) {
                Some(mark) => mark,
                None => {
                    self.next += 1;
                    stamp(&path, self.next - 1);
                    self.next - 1
                }
            };
            let kind = kind_of(&meta);
            self.kinds.insert(mark, kind);
            let places = self.places.entry(mark).or_default();
            if let Ok(inside) = path.strip_prefix(&root) {
                let inside = inside.to_str().unwrap().to_owned();
                places.insert(inside.clone());
                if !inside.is_empty() {
                    self.paths.push(inside);
                }
            }
            if kind == Kind::Symlink {
                let target = fs::read_link(&path).unwrap().to_str().unwrap().to_owned();
                self.links.entry(target).or_default().push(mark);
            }
        }
        self.image = self.picture();
    }

    fn picture(&self) -> BTreeMap<PathBuf, String> {
        let shown = |(path, meta): (PathBuf, fs::Metadata)| {
            let content = shown(&path, &meta);
            let times = (meta.mtime(), meta.mtime_nsec());
            let text = format!("{content} {} {} {times:?}", meta.ino(), meta.nlink());
            (path, text)
        };
        walk(self.dir.path()).into_iter().map(shown).collect()
    }

    /// Fails if anything, inside or outside, is not as it was.
    pub(super) fn assert_untouched(&self, after: &str) {
        assert_eq!(self.picture(), self.image, "touched by {after}");
    }

    /// What stands in the project, and outside it, without what changes by itself.
    pub(super) fn content(&self) -> BTreeMap<PathBuf, String> {
        let shown = |(path, meta): (PathBuf, fs::Metadata)| {
            let text = shown(&path, &meta);
            (path.strip_prefix(self.dir.path()).unwrap().to_owned(), text)
        };
        walk(self.dir.path()).into_iter().map(shown).collect()
    }

    /// Where what bears the mark has stood in the project.
    pub(super) fn places(&self, mark: u32) -> impl Iterator<Item = &str> {
        self.places.get(&mark).into_iter().flatten().map(String::as_str)
    }

    pub(super) fn kind(&self, mark: u32) -> Option<Kind> {
        self.kinds.get(&mark).copied()
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = u32> {
        1..self.next
    }

    /// The marks of the links with this text.
    pub(super) fn links(&self, text: &str) -> &[u32] {
        self.links.get(text).map_or(&[], Vec::as_slice)
    }
}

/// The mark that a time is, if it is one.
pub(super) fn mark_of(seconds: i64) -> Option<u32> {
    let mark = seconds - MARKED;
    (0..MARKS).contains(&mark).then_some(mark as u32)
}

/// The marks in a content.
pub(super) fn marks_in(bytes: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(bytes);
    let mark = |(at, _): (usize, &str)| {
        let number = text.get(at + 2..at + 8)?;
        (text.get(at + 8..at + 10)? == ">>").then(|| number.parse().ok())?
    };
    text.match_indices("<<").filter_map(mark).collect()
}

fn stamp(path: &Path, mark: u32) {
    let time = Timespec { tv_sec: MARKED + i64::from(mark), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rfs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn fifo(path: &Path) {
    rfs::mknodat(CWD, path, rfs::FileType::Fifo, rfs::Mode::RUSR | rfs::Mode::WUSR, 0).unwrap();
}

fn kind_of(meta: &fs::Metadata) -> Kind {
    let kind = meta.file_type();
    if kind.is_dir() {
        Kind::Dir
    } else if kind.is_symlink() {
        Kind::Symlink
    } else if kind.is_fifo() {
        Kind::Other
    } else {
        Kind::File
    }
}

fn shown(path: &Path, meta: &fs::Metadata) -> String {
    let content = match kind_of(meta) {
        Kind::File => String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
        Kind::Symlink => format!("-> {}", fs::read_link(path).unwrap().display()),
        kind => format!("{kind:?}"),
    };
    format!("{content} {:o}", meta.mode())
}

/// Everything in the project and outside it; the host's own things are left out.
fn walk(top: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let mut found = Vec::new();
    let mut left = ["project", "outside", "secret"].map(|name| top.join(name)).to_vec();
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.push((path, meta));
    }
    found
}
