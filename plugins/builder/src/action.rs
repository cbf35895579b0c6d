//! The kinds of steps of `wit/README.md`, one type for each.
//!
//! Invariant: an action that fails says which path, what was expected there and what was
//! found.

use std::fmt;

use idumb_agent::{Failure, Step, Task};
use serde::Deserialize;

use crate::Tally;
use crate::dir::{Dir, Kind, check_path, missing};
use crate::patch::{self, Patched};
use crate::text;

/// A step that was understood.
#[derive(Debug)]
pub(crate) enum Action {
    Write(Write),
    Append(Append),
    Replace(Replace),
    Patch(Patch),
    Copy(FromTo),
    Move(FromTo),
    Delete(OnPath),
    Mkdir(OnPath),
    Template(Template),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    path: String,
    content: String,
    #[serde(default = "yes")]
    overwrite: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Append {
    path: String,
    content: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replace {
    path: String,
    find: String,
    with: String,
    #[serde(default = "once")]
    count: usize,
}

fn once() -> usize {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Patch {
    path: String,
    diff: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromTo {
    from: String,
    to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnPath {
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    path: String,
    template: Option<String>,
    from: Option<String>,
}

impl Action {
    /// Understands a step.
    ///
    /// # Errors
    /// `unsupported` for an unknown kind, `invalid` for malformed arguments.
    pub(crate) fn parse(step: &Step) -> Result<Self, Failure> {
        let action = match step.kind.as_str() {
            "write" => Self::Write(step.arguments()?),
            "append" => Self::Append(step.arguments()?),
            "replace" => Self::Replace(step.arguments()?),
            "patch" => Self::Patch(step.arguments()?),
            "copy" => Self::Copy(step.arguments()?),
            "move" => Self::Move(step.arguments()?),
            "delete" => Self::Delete(step.arguments()?),
            "mkdir" => Self::Mkdir(step.arguments()?),
            "template" => Self::Template(step.arguments()?),
            _ => {
                return Err(Failure::unsupported(
                    "the built-in builder knows no such step; it knows write, append, replace, \
                     patch, copy, move, delete, mkdir and template",
                ));
            }
        };
        action.paths().into_iter().try_for_each(check_path)?;
        action.check()?;
        Ok(action)
    }

    fn paths(&self) -> Vec<&str> {
        match self {
            Self::Write(Write { path, .. })
            | Self::Append(Append { path, .. })
            | Self::Replace(Replace { path, .. })
            | Self::Patch(Patch { path, .. })
            | Self::Delete(OnPath { path })
            | Self::Mkdir(OnPath { path }) => vec![path],
            Self::Copy(FromTo { from, to }) | Self::Move(FromTo { from, to }) => vec![from, to],
            Self::Template(Template { path, from, .. }) => {
                [Some(path), from.as_ref()].into_iter().flatten().map(String::as_str).collect()
            }
        }
    }

    /// What the types of the arguments cannot say.
    fn check(&self) -> Result<(), Failure> {
        let why = match self {
            Self::Replace(step) if step.find.is_empty() => "`find` is empty",
            Self::Replace(step) if step.count == 0 => "`count` is 0, so there is nothing to do",
            Self::Template(step) if step.template.is_some() == step.from.is_some() => {
                "give either `template`, the text, or `from`, a file"
            }
            Self::Move(step) if step.to.starts_with(&format!("{}/", step.from)) => {
                "`to` is inside of `from`"
            }
            _ => return Ok(()),
        };
        Err(Failure::invalid(why))
    }

    /// Does it in `dir`, and adds to `tally` what it did.
    pub(crate) fn carry_out(
        &self,
        dir: &Dir,
        task: &Task,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        match self {
            Self::Write(step) => step.carry_out(dir, tally),
            Self::Append(step) => step.carry_out(dir, tally),
            Self::Replace(step) => step.carry_out(dir, tally),
            Self::Patch(step) => step.carry_out(dir, tally),
            Self::Copy(step) => step.copy(dir, tally),
            Self::Move(step) => step.rename(dir, tally),
            Self::Delete(step) => step.delete(dir, tally),
            Self::Mkdir(step) => step.mkdir(dir, tally),
            Self::Template(step) => step.carry_out(dir, task, tally),
        }
    }
}

/// What is at hand, for people.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(step) => write!(f, "write {}", step.path),
            Self::Append(step) => write!(f, "append to {}", step.path),
            Self::Replace(step) => write!(f, "replace in {}", step.path),
            Self::Patch(step) => write!(f, "patch {}", step.path),
            Self::Copy(step) => write!(f, "copy {} to {}", step.from, step.to),
            Self::Move(step) => write!(f, "move {} to {}", step.from, step.to),
            Self::Delete(step) => write!(f, "delete {}", step.path),
            Self::Mkdir(step) => write!(f, "make the directory {}", step.path),
            Self::Template(step) => write!(f, "fill in {}", step.path),
        }
    }
}

impl Write {
    fn carry_out(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        let path = &self.path;
        let there = dir.kind(path)?;
        if let Some(kind) = there
            && !self.overwrite
        {
            return Err(Failure::precondition(format!(
                "a {} is at {path} already, and `overwrite` is false",
                kind.noun()
            )));
        }
        if dir.read(path)?.is_some_and(|old| old == self.content.as_bytes()) {
            tally.idle();
            return Ok(());
        }
        dir.write(path, self.content.as_bytes())?;
        let verb = if there.is_some() { "rewrote" } else { "wrote" };
        tally.changed(path, format!("{verb} {path}"));
        Ok(())
    }
}

impl Append {
    fn carry_out(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        let mut bytes = dir.read(&self.path)?.ok_or_else(|| missing(&self.path))?;
        if self.content.is_empty() {
            tally.idle();
            return Ok(());
        }
        bytes.extend_from_slice(self.content.as_bytes());
        dir.write(&self.path, &bytes)?;
        tally.changed(&self.path, format!("appended to {}", self.path));
        Ok(())
    }
}

impl Replace {
    fn carry_out(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        let Self { path, find, with, count } = self;
        let old = dir.read_text(path)?;
        let new = text::replace(&old, find, with, *count)
            .map_err(|why| Failure::precondition(format!("in {path}, {why}")))?;
        if new == old {
            tally.idle();
            return Ok(());
        }
        dir.write(path, new.as_bytes())?;
        tally.changed(path, format!("replaced text in {path}"));
        Ok(())
    }
}

impl Patch {
    fn carry_out(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        let path = &self.path;
        let old = dir.read(path)?;
        match patch::apply(path, &self.diff, old.as_deref())? {
            Patched::Content(new) if old.as_ref() == Some(&new) => tally.idle(),
            Patched::Content(new) => {
                dir.write(path, &new)?;
                tally.changed(path, format!("patched {path}"));
            }
            Patched::Gone => {
                dir.delete(path, Kind::File)?;
                tally.deleted(path, format!("deleted {path}"));
            }
        }
        Ok(())
    }
}

impl FromTo {
    /// What stands at `from`, if nothing stands at `to`.
    fn ends(&self, dir: &Dir) -> Result<Kind, Failure> {
        let from = dir.kind(&self.from)?.ok_or_else(|| missing(&self.from))?;
        match dir.kind(&self.to)? {
            None => Ok(from),
            Some(kind) => {
                Err(Failure::precondition(format!("a {} is at {} already", kind.noun(), self.to)))
            }
        }
    }

    fn copy(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        let Self { from, to } = self;
        if self.ends(dir)? == Kind::Dir {
            return Err(Failure::precondition(format!(
                "{from} is a directory; `copy` copies one file"
            )));
        }
        dir.copy(from, to)?;
        tally.changed(to, format!("copied {from} to {to}"));
        Ok(())
    }

    fn rename(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        let Self { from, to } = self;
        self.ends(dir)?;
        dir.rename(from, to)?;
        tally.moved(from, to, format!("moved {from} to {to}"));
        Ok(())
    }
}

impl OnPath {
    fn delete(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        let kind = dir.kind(&self.path)?.ok_or_else(|| missing(&self.path))?;
        dir.delete(&self.path, kind)?;
        tally.deleted(&self.path, format!("deleted {}", self.path));
        Ok(())
    }

    fn mkdir(&self, dir: &Dir, tally: &mut Tally) -> Result<(), Failure> {
        if dir.kind(&self.path)? == Some(Kind::Dir) {
            tally.idle();
            return Ok(());
        }
        dir.make_dir(&self.path)?;
        tally.changed(&self.path, format!("made the directory {}", self.path));
        Ok(())
    }
}

impl Template {
    fn carry_out(&self, dir: &Dir, task: &Task, tally: &mut Tally) -> Result<(), Failure> {
        let path = &self.path;
        let template = match (&self.template, &self.from) {
            (Some(text), _) => text.clone(),
            (None, Some(from)) => dir.read_text(from)?,
            (None, None) => String::new(),
        };
        let text = text::fill(&template, |name| task.option(name))?;
        match dir.read(path)? {
            Some(old) if old == text.as_bytes() => tally.idle(),
            Some(_) => {
                return Err(Failure::precondition(format!(
                    "{path} is there already, with other content than the template makes"
                )));
            }
            None => {
                dir.write(path, text.as_bytes())?;
                tally.changed(path, format!("filled in {path}"));
            }
        }
        Ok(())
    }
}
