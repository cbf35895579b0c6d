//! `grants.toml`: the consents that a person gave for more than one start of a run.
//!
//! Invariant: it is the user's alone, apart from every project; what others may write is refused,
//! and what cannot be read is never taken for empty.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use idumb_core::{Bounds, Consent, Digest, Given, PathGlob, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::apart::apart;
use crate::fault::Fault;
use crate::home;

/// The file's name, in the folder of the user's settings.
const NAME: &str = "grants.toml";

/// What the file begins with.
const HEAD: &str = "\
# What you let agents do that did not come with idumb, each bound to its component by digest.
# See it with `idumb grants list`, take it back with `idumb grants revoke`.
";

/// The largest such file that is read, in bytes.
const MOST: u64 = 16 << 20;

/// One consent that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// The name that the project uses for the agent.
    pub(crate) agent: String,
    pub(crate) digest: Digest,
    /// Where it holds; absent: in every project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<PathBuf>,
    /// The run that it is for; absent: for every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunId>,
    #[serde(default)]
    pub(crate) reads: Vec<PathGlob>,
    #[serde(default)]
    pub(crate) writes: Vec<PathGlob>,
    /// When it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<Timestamp>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    grant: Vec<Kept>,
}

impl Kept {
    /// Whether it is for the project in `root`.
    pub(crate) fn holds_in(&self, root: &Path) -> bool {
        self.project.as_deref().is_none_or(|project| project == root)
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { reads: self.reads.clone(), writes: self.writes.clone() }
    }

    pub(crate) fn consent(&self) -> Consent {
        let given = if self.run.is_some() { Given::Run } else { Given::Always };
        let (agent, most) = (self.agent.clone(), self.bounds());
        Consent { agent, digest: self.digest, most, given }
    }
}

/// Where consents are kept.
#[derive(Debug)]
pub(crate) struct Grants {
    folder: PathBuf,
    file: PathBuf,
}

impl Grants {
    /// For whoever works on the files in `roots`; `None`: the user has no such place.
    ///
    /// # Errors
    /// Why that place cannot be trusted.
    pub(crate) fn of(roots: &[&Path]) -> Result<Option<Self>, String> {
        let Some(folder) = home::settings(roots)? else { return Ok(None) };
        let file = folder.join(NAME);
        let file = file.canonicalize().unwrap_or(file);
        apart(&file, roots)?;
        Ok(Some(Self { folder, file }))
    }

    /// The file, for people.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// All that are kept.
    pub(crate) fn all(&self) -> Result<Vec<Kept>> {
        let shown = self.file.display();
        let wrap = || format!("reading {shown}");
        let meta = match fs::metadata(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            meta => meta.with_context(wrap)?,
        };
        if !meta.is_file() || meta.len() > MOST {
            return Err(Fault::usage(format!("{shown} is not a file of at most 16 MiB")).into());
        }
        home::only_own(&self.file, &meta)?;
        let text = fs::read_to_string(&self.file).with_context(wrap)?;
        let read: Result<Written, _> = toml::from_str(&text);
        let read = read.map_err(|error| {
            Fault::usage(format!("{shown} cannot be read: {error}"))
                .hint("mend it, or move it away: then you are asked again")
        })?;
        Ok(read.grant)
    }

    /// Has `change` made to what is kept, while no other process changes it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Vec<Kept>)) -> Result<()> {
        let wrap = || format!("writing {}", self.file.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).with_context(wrap)?;
        let lock = File::create(self.folder.join("grants.lock")).with_context(wrap)?;
        lock.lock().with_context(wrap)?;
        let mut grant = self.all()?;
        change(&mut grant);
        let text = toml::to_string(&Written { grant }).with_context(wrap)?;
        let folder = self.file.parent().unwrap_or(&self.folder);
        let mut new = tempfile::NamedTempFile::new_in(folder).with_context(wrap)?;
        new.write_all(HEAD.as_bytes()).with_context(wrap)?;
        new.write_all(text.as_bytes()).with_context(wrap)?;
        new.as_file().sync_all().with_context(wrap)?;
        new.persist(&self.file).map_err(|failed| failed.error).with_context(wrap)?;
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(wrap)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept(agent: &str) -> Kept {
        Kept {
            agent: agent.to_owned(),
            digest: Digest::of(agent.as_bytes()),
            project: Some("/somewhere".into()),
            run: None,
            reads: vec!["src/**".parse().unwrap()],
            writes: Vec::new(),
            given: Some(Timestamp::UNIX_EPOCH),
        }
    }

    fn grants() -> (tempfile::TempDir, Grants) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("idumb");
        let grants = Grants { file: place.join(NAME), folder: place };
        (folder, grants)
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let (_folder, grants) = grants();
        assert_eq!(grants.all().unwrap(), []);
        grants.change(|all| all.push(kept("a"))).unwrap();
        grants.change(|all| all.push(kept("b"))).unwrap();
        assert_eq!(grants.all().unwrap(), [kept("a"), kept("b")]);
        grants.change(|all| all.retain(|kept| kept.agent == "b")).unwrap();
        assert_eq!(grants.all().unwrap(), [kept("b")]);
        let mode = fs::metadata(&grants.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn what_others_may_write_or_nobody_can_read_is_not_taken_for_empty() {
        let (_folder, grants) = grants();
        grants.change(|all| all.push(kept("a"))).unwrap();
        let text = fs::read_to_string(&grants.file).unwrap();
        fs::write(&grants.file, "[[grant]]\nagent = 1\n").unwrap();
        let why = grants.all().unwrap_err().to_string();
        assert!(why.contains("cannot be read") && why.contains("line 2"), "{why}");
        assert!(grants.change(Vec::clear).is_err(), "it would be lost");
        fs::write(&grants.file, text).unwrap();
        fs::set_permissions(&grants.file, fs::Permissions::from_mode(0o666)).unwrap();
        let why = grants.all().unwrap_err().to_string();
        assert!(why.contains("by others"), "{why}");
    }

    #[test]
    fn a_consent_without_a_project_holds_everywhere() {
        let (here, there) = (Path::new("/somewhere"), Path::new("/elsewhere"));
        assert!(kept("a").holds_in(here) && !kept("a").holds_in(there));
        assert!(Kept { project: None, ..kept("a") }.holds_in(there));
    }
}
