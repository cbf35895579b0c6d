//! The files of the project, below one directory.
//!
//! Invariant: every path is relative and stays inside, and every failure names its path.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::PathBuf;

use idumb_agent::{Failure, FailureKind};

/// A directory that steps work in: `.` in the component, any other in a test.
#[derive(Debug)]
pub(crate) struct Dir {
    root: PathBuf,
}

/// What stands at a path; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Link,
}

impl Kind {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "directory",
            Self::Link => "link",
        }
    }
}

/// Takes a path of a step.
///
/// # Errors
/// It is empty, absolute, or has an empty, `.` or `..` component.
pub(crate) fn check_path(path: &str) -> Result<(), Failure> {
    let odd = |name: &str| matches!(name, "" | "." | "..");
    if path.split('/').any(odd) {
        return Err(Failure::invalid(format!(
            "`{path}` is no path of the project: write it from the project's root, such as `src/a.rs`"
        )));
    }
    Ok(())
}

/// What went wrong with `path` while it was to be `done`, such as `read`.
fn trouble(path: &str, done: &str, error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            denied(path, done, &error.kind().to_string())
        }
        // Made where its directory stands, so the view hides the path itself.
        ErrorKind::NotFound if done == "written" => denied(path, done, &error.kind().to_string()),
        ErrorKind::NotADirectory => Failure::precondition(format!(
            "{path} cannot be {done}: a file stands where a directory above it should"
        )),
        _ => Failure::other(format!("{path} cannot be {done}: {error}")),
    }
}

fn denied(path: &str, done: &str, why: &str) -> Failure {
    let key = if done == "read" { "reads" } else { "writes" };
    Failure::denied(format!("{path} cannot be {done} ({why}): the task's `{key}` must grant it"))
}

/// There is nothing at `path`, where something should be.
pub(crate) fn missing(path: &str) -> Failure {
    Failure::precondition(format!("there is no {path}, or the task does not grant it"))
}

impl Dir {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// What stands at `path`; `None`: nothing that can be seen.
    pub(crate) fn kind(&self, path: &str) -> Result<Option<Kind>, Failure> {
        match fs::symlink_metadata(self.at(path)) {
            Ok(seen) if seen.is_dir() => Ok(Some(Kind::Dir)),
            Ok(seen) if seen.is_symlink() => Ok(Some(Kind::Link)),
            Ok(_) => Ok(Some(Kind::File)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(trouble(path, "read", &error)),
        }
    }

    /// The content of the file at `path`; `None`: nothing stands there.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let at = self.at(path);
        // On some systems a directory opens, and reading it says less clearly what it is.
        if fs::metadata(&at).is_ok_and(|seen| seen.is_dir()) {
            return Err(Failure::precondition(format!("{path} is a directory, not a file")));
        }
        match fs::read(at) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(trouble(path, "read", &error)),
        }
    }

    /// The text of the file at `path`, which must be there.
    pub(crate) fn read_text(&self, path: &str) -> Result<String, Failure> {
        let bytes = self.read(path)?.ok_or_else(|| missing(path))?;
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::precondition(format!("{path} is not UTF-8 text: byte {at} is none"))
        })
    }

    /// Puts a file of that content at `path`, and missing directories above it.
    pub(crate) fn write(&self, path: &str, content: &[u8]) -> Result<(), Failure> {
        self.make_parent(path)?;
        fs::write(self.at(path), content).map_err(|error| trouble(path, "written", &error))
    }

    /// Makes a directory, and missing ones above it.
    pub(crate) fn make_dir(&self, path: &str) -> Result<(), Failure> {
        fs::create_dir_all(self.at(path)).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::precondition(format!(
                "{path} cannot be made a directory: a file stands there or above it"
            )),
            ErrorKind::NotFound => denied(path, "made", &error.kind().to_string()),
            _ => trouble(path, "made", &error),
        })
    }

    /// Makes missing directories above `path`, for a file that is to stand there.
    fn make_parent(&self, path: &str) -> Result<(), Failure> {
        let Some((parent, _)) = path.rsplit_once('/') else {
            return Ok(());
        };
        if self.at(parent).is_dir() {
            return Ok(());
        }
        self.make_dir(parent).map_err(|failure| match failure.kind {
            // What must be granted is the file; then its directories may be made.
            FailureKind::Denied => {
                denied(path, "written", &format!("its directory {parent} cannot be made"))
            }
            _ => failure,
        })
    }

    /// Copies the file at `from` to `to`, where nothing stands.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<(), Failure> {
        let mut source =
            fs::File::open(self.at(from)).map_err(|error| trouble(from, "read", &error))?;
        self.make_parent(to)?;
        // Not `fs::copy`: it carries permissions over, which WASI does not know.
        let written = fs::File::create_new(self.at(to))
            .and_then(|mut target| std::io::copy(&mut source, &mut target));
        written.map(|_| ()).map_err(|error| trouble(to, "written", &error))
    }

    /// Moves what stands at `from` to `to`, where nothing stands.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        self.make_parent(to)?;
        fs::rename(self.at(from), self.at(to)).map_err(|error| {
            let Failure { kind, message, .. } = trouble(to, "written", &error);
            // Either end may be what is not granted, and the error does not say which.
            let both = format!(
                "{from} cannot be moved to {to} ({error}): the task's `writes` must grant both"
            );
            if kind == FailureKind::Denied {
                Failure::denied(both)
            } else {
                Failure::new(kind, message)
            }
        })
    }

    /// Deletes what stands at `path`: a directory with its content, a link itself.
    pub(crate) fn delete(&self, path: &str, kind: Kind) -> Result<(), Failure> {
        if kind != Kind::Dir {
            return fs::remove_file(self.at(path))
                .map_err(|error| trouble(path, "deleted", &error));
        }
        for (name, kind) in self.list(path)? {
            self.delete(&format!("{path}/{name}"), kind)?;
        }
        fs::remove_dir(self.at(path)).map_err(|error| match error.kind() {
            // All that could be seen is gone: the rest is hidden.
            ErrorKind::DirectoryNotEmpty => {
                denied(path, "deleted", "it holds what the task does not grant")
            }
            _ => trouble(path, "deleted", &error),
        })
    }

    /// The names in the directory, and what each is. All of them, before any is deleted.
    fn list(&self, path: &str) -> Result<Vec<(String, Kind)>, Failure> {
        let failed = |error: Error| trouble(path, "read", &error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.at(path)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().into_string().map_err(|name| {
                Failure::other(format!("{path} holds a name that is not UTF-8: {}", name.display()))
            })?;
            let seen = entry.file_type().map_err(failed)?;
            let kind = match (seen.is_dir(), seen.is_symlink()) {
                (true, _) => Kind::Dir,
                (_, true) => Kind::Link,
                _ => Kind::File,
            };
            entries.push((name, kind));
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// The root, for tests that look at what steps left behind.
    #[cfg(test)]
    pub(crate) fn root(&self) -> &std::path::Path {
        &self.root
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
