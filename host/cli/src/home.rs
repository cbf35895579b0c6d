//! The user's own folders: where idumb keeps what is the user's, not a project's.
//!
//! Invariant: such a folder is neither within nor around anything that agents change; what lies in
//! one that is counts as nothing.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::apart::apart;
use crate::fault::Fault;

/// Names the folder of settings and consents; empty, there is none.
pub(crate) const SETTINGS: Kind = Kind {
    variable: "IDUMB_CONFIG_DIR",
    xdg: "XDG_CONFIG_HOME",
    in_home: ".config",
    below: "idumb",
};

/// Names the folder of compiled agents; empty, there is none.
pub(crate) const COMPONENTS: Kind = Kind {
    variable: "IDUMB_CACHE_DIR",
    xdg: "XDG_CACHE_HOME",
    in_home: ".cache",
    below: "idumb/components",
};

/// Names the folder in which the trees of native commands are made; empty, there is none.
pub(crate) const TREES: Kind = Kind {
    variable: "IDUMB_TREES_DIR",
    xdg: "XDG_CACHE_HOME",
    in_home: ".cache",
    below: "idumb/trees",
};

/// What a folder is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) variable: &'static str,
    xdg: &'static str,
    in_home: &'static str,
    below: &'static str,
}

/// Where such a folder is or would be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    /// By the user, for this very purpose.
    pub(crate) named: bool,
}

impl Place {
    /// As this process's environment says.
    pub(crate) fn here(kind: Kind) -> Option<Self> {
        Self::of(kind, |name| std::env::var_os(name))
    }

    fn of(kind: Kind, variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        if let Some(folder) = variable(kind.variable) {
            let named = Self { folder: folder.into(), named: true };
            return (!named.folder.as_os_str().is_empty()).then_some(named);
        }
        // As the XDG base directories are specified: what is not absolute does not count.
        let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let above = folder(kind.xdg).or_else(|| Some(folder("HOME")?.join(kind.in_home)))?;
        Some(Self { folder: above.join(kind.below), named: false })
    }
}

/// The folder of the user's settings and consents, for whoever works on the files in `roots`;
/// `None`: there is none.
///
/// # Errors
/// Why it cannot be trusted, for people.
pub(crate) fn settings(roots: &[&Path]) -> Result<Option<PathBuf>, String> {
    let Some(place) = Place::here(SETTINGS) else { return Ok(None) };
    // People keep such folders elsewhere, and links to them here.
    let folder = place.folder.canonicalize().unwrap_or(place.folder);
    apart(&folder, roots).map(Some)
}

/// Refuses a file that others may write: it could say what is not the user's.
pub(crate) fn only_own(file: &Path, meta: &Metadata) -> Result<(), Fault> {
    let own = rustix::process::geteuid().as_raw();
    if meta.mode() & 0o022 == 0 && (meta.uid() == own || meta.uid() == 0) {
        return Ok(());
    }
    let shown = file.display();
    Err(Fault::usage(format!("{shown} can be written by others, so it says nothing of yours"))
        .hint(format!("look through it, then make it yours: chmod go-w {shown}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(kind: Kind, variables: &[(&str, &str)]) -> Option<(PathBuf, bool)> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        Place::of(kind, variable).map(|place| (place.folder, place.named))
    }

    #[test]
    fn the_first_variable_that_names_a_place_counts() {
        let all = [("IDUMB_CACHE_DIR", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(place(COMPONENTS, &all), Some(("/a".into(), true)));
        assert_eq!(place(COMPONENTS, &all[1..]), Some(("/b/idumb/components".into(), false)));
        assert_eq!(
            place(COMPONENTS, &all[2..]),
            Some(("/c/.cache/idumb/components".into(), false))
        );
        assert_eq!(place(SETTINGS, &all), Some(("/c/.config/idumb".into(), false)));
        assert_eq!(place(SETTINGS, &[("IDUMB_CONFIG_DIR", "d")]), Some(("d".into(), true)));
        assert_eq!(place(COMPONENTS, &[]), None);
    }

    #[test]
    fn an_empty_variable_turns_it_off_and_relative_ones_do_not_count() {
        assert_eq!(place(COMPONENTS, &[("IDUMB_CACHE_DIR", ""), ("HOME", "/c")]), None);
        let relative = [("XDG_CACHE_HOME", "b"), ("HOME", "/c")];
        let usual = Some(("/c/.cache/idumb/components".into(), false));
        assert_eq!(place(COMPONENTS, &relative), usual);
        assert_eq!(place(COMPONENTS, &[("XDG_CACHE_HOME", ""), ("HOME", "c")]), None);
    }
}
