//! Tasks and judges as little programs: what they do follows from what they have seen so far.
//!
//! Invariant: a program over the same tree sees the same and does the same.

use crate::tests::chance::Chance;
use crate::tests::{CREATE, content, file, name_of, names_in};
use crate::{FsError, OpenFlags, Opened, ReadView, WorkView};

const NAMES: &[&str] = &["a", "b", "c"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Read(Path),
    Stat(Path, bool),
    List(Path),
    ReadLink(Path),
    Observe(Path),
    Write(Path),
    Unlink(Path),
    Mkdir(Path),
    Rmdir(Path),
    Rename(Path, Path),
    Symlink(Path, Path),
    Link(Path, Path),
}

/// A path, or one that is chosen by what was seen.
#[derive(Debug, Clone)]
pub(super) struct Path {
    text: String,
    depends: bool,
}

pub(super) fn path(chance: &mut Chance<'_>) -> String {
    let names: Vec<&str> = (0..1 + chance.below(3)).map(|_| chance.pick(NAMES)).collect();
    names.join("/")
}

impl Path {
    fn new(chance: &mut Chance<'_>) -> Self {
        let text = match chance.below(12) {
            0 => ".".to_owned(),
            1 => format!("{}/..", path(chance)),
            2 => format!("{}/", path(chance)),
            _ => path(chance),
        };
        Self { text, depends: chance.percent(15) }
    }

    fn told(&self, seen: u64) -> String {
        if !self.depends {
            return self.text.clone();
        }
        let name = |at: u32| NAMES[(seen >> at) as usize % NAMES.len()];
        format!("{}/{}", name(8), name(16))
    }
}

impl Step {
    pub(super) fn look(chance: &mut Chance<'_>) -> Self {
        let path = Path::new(chance);
        match chance.below(7) {
            0..=1 => Self::Read(path),
            2..=3 => Self::Stat(path, chance.percent(50)),
            4 => Self::List(path),
            5 => Self::ReadLink(path),
            _ => Self::Observe(path),
        }
    }

    pub(super) fn any(chance: &mut Chance<'_>) -> Self {
        if chance.percent(45) {
            return Self::look(chance);
        }
        let path = Path::new(chance);
        match chance.below(11) {
            0..=2 => Self::Write(path),
            3..=4 => Self::Unlink(path),
            5 => Self::Mkdir(path),
            6 => Self::Rmdir(path),
            7..=8 => Self::Rename(path, Path::new(chance)),
            9 => Self::Symlink(Path { text: self::path(chance), depends: false }, path),
            _ => Self::Link(path, Path::new(chance)),
        }
    }
}

/// A program at some point of its running.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Of everything it was told.
    pub(super) sum: u64,
    pub(super) steps: usize,
}

impl Seen {
    fn note(&mut self, answer: Result<String, FsError>) {
        let text = answer.unwrap_or_else(|error| name_of(&error));
        for byte in text.bytes().chain([0]) {
            self.sum = (self.sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.steps += 1;
    }

    /// Takes a step that only looks.
    pub(super) fn look(&mut self, view: &ReadView, step: &Step) {
        let (root, sum) = (view.root(), self.sum);
        self.note(match step {
            Step::Read(path) => {
                view.open(root, &path.told(sum), true, OpenFlags::READ).map(|opened| match opened {
                    Opened::File(file) => content(&file),
                    Opened::Dir(_) => "dir".to_owned(),
                })
            }
            Step::Stat(path, follow) => view
                .stat(root, &path.told(sum), *follow)
                .map(|stat| format!("{:?} {} {}", stat.kind, stat.size, stat.executable)),
            Step::List(path) => names_in(view, &path.told(sum)),
            Step::ReadLink(path) => view.read_link(root, &path.told(sum)),
            Step::Observe(path) => {
                view.observe(&path.told(sum)).map(|observed| format!("{observed:?}"))
            }
            _ => Ok(String::new()),
        });
    }

    /// Takes any step.
    pub(super) fn act(&mut self, view: &WorkView, step: &Step, task: usize) {
        let (root, sum) = (view.root(), self.sum);
        let done = |()| "done".to_owned();
        let told = |path: &Path| path.told(sum);
        let answer = match step {
            Step::Write(path) => {
                view.open(root, &told(path), true, CREATE).and_then(|opened| match opened {
                    Opened::File(file) => {
                        file.append(format!("{task} {sum:x}").as_bytes()).map(|_| done(()))
                    }
                    Opened::Dir(_) => Err(FsError::IsDirectory),
                })
            }
            Step::Unlink(path) => view.unlink(root, &told(path)).map(done),
            Step::Mkdir(path) => view.mkdir(root, &told(path)).map(done),
            Step::Rmdir(path) => view.rmdir(root, &told(path)).map(done),
            Step::Rename(old, new) => view.rename(root, &told(old), root, &told(new)).map(done),
            Step::Symlink(target, path) => view.symlink(&told(target), root, &told(path)).map(done),
            Step::Link(old, new) => view.link(root, &told(old), true, root, &told(new)).map(done),
            _ => return self.look(view, step),
        };
        self.note(answer);
    }
}

/// What a task leaves behind whatever it did: all that it saw, as a file of its own.
pub(super) fn leave_word(view: &WorkView, task: usize, seen: Seen) {
    let opened = view.open(view.root(), &format!("out/{task}"), true, CREATE).unwrap();
    file(opened).write_at(format!("{:x}", seen.sum).as_bytes(), 0).unwrap();
}
