//! What the end-to-end tests share: the binary, and trees of files.
//!
//! Invariant: nothing of the environment of the test reaches the binary but `PATH`, a
//! temporary folder and the folder of compiled agents, so a scenario goes the same way
//! everywhere.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// The folder of these tests.
pub(crate) fn tests() -> PathBuf {
    root().join("tests")
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // The package's folder is host/cli.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the repository's root").to_owned()
}

/// A command that runs the binary in `folder`, with nobody at the terminal.
pub(crate) fn idumb(folder: &Path, temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idumb"));
    command.current_dir(folder).stdin(Stdio::null()).env_clear();
    command.env("TMPDIR", temporary).env("COLUMNS", "100");
    // Shared by all tests: each agent is compiled once. `compiled.rs` tests the rest.
    command.env("IDUMB_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/components"));
    command.env("IDUMB_CONFIG_DIR", settings());
    command.env("IDUMB_TREES_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/trees"));
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A folder of a user's settings, where this user lets the test agents do what plans say, in every
/// project. How consent is asked for, and refused, is tested in `consent.rs`.
pub(crate) fn settings() -> &'static Path {
    static MADE: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("settings");
        fs::create_dir_all(&folder).unwrap();
        let agents = [
            idumb_test_guests::MISBEHAVING_BUILDER,
            idumb_test_guests::MISBEHAVING_VALIDATOR,
            idumb_test_guests::NARROW_BUILDER,
            NOT_AN_AGENT,
        ];
        let grant = |component: &[u8]| {
            let digest = idumb_core::Digest::of(component);
            format!(
                "[[grant]]\nagent = \"any\"\ndigest = \"{digest}\"\nreads = [\"**\"]\n\
                 writes = [\"**\"]\n"
            )
        };
        let text: String = agents.into_iter().map(grant).collect();
        // Other test binaries do the same at the same time.
        let mut file = tempfile::NamedTempFile::new_in(&folder).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        file.persist(folder.join("grants.toml")).unwrap();
        folder
    });
    &MADE
}

/// A file that begins as a component does, and is none.
pub(crate) const NOT_AN_AGENT: &[u8] = b"\0asm\x01\0\0\0";

/// The misbehaving builder, with this behind it as the section that declares a ceiling.
pub(crate) fn declaring(toml: &str) -> Vec<u8> {
    let name = "idumb:agent/ceiling";
    let mut body = vec![u8::try_from(name.len()).unwrap()];
    body.extend(name.bytes().chain(toml.bytes()));
    // The length, in groups of seven bits.
    let (low, high) = (body.len() & 0x7f, body.len() >> 7);
    let length = [u8::try_from(low).unwrap() | 0x80, u8::try_from(high).unwrap()];
    [idumb_test_guests::MISBEHAVING_BUILDER, &[0], &length, &body].concat()
}

/// How a process ended, for people.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\n--- standard output\n{}--- standard error\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What stands at a path: the bytes of a file, or where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    File(Vec<u8>),
    Link(PathBuf),
}

impl Entry {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::File(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Link(target) => format!("a link to {}\n", target.display()),
        }
    }
}

/// Files and links by their paths, with `/`. Folders are not in it, as in git.
pub(crate) type Tree = BTreeMap<String, Entry>;

/// Everything below `folder`; nothing if there is no such folder.
pub(crate) fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    let mut left = vec![String::new()];
    while let Some(dir) = left.pop() {
        let Ok(entries) = fs::read_dir(folder.join(&dir)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_symlink() {
                found.insert(path, Entry::Link(fs::read_link(entry.path()).unwrap()));
            } else {
                found.insert(path, Entry::File(fs::read(entry.path()).unwrap()));
            }
        }
    }
    found
}

/// Writes everything of `tree` into `folder`.
pub(crate) fn plant(tree: &Tree, folder: &Path) {
    for (path, entry) in tree {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match entry {
            Entry::File(bytes) => fs::write(path, bytes).unwrap(),
            Entry::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
        }
    }
}

/// What is different, as a diff; empty if nothing is.
pub(crate) fn difference(expected: &Tree, found: &Tree) -> String {
    let mut out = String::new();
    let mut paths: Vec<&String> = expected.keys().chain(found.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let (old, new) = (expected.get(path), found.get(path));
        if old == new {
            continue;
        }
        let text = |entry: Option<&Entry>| entry.map_or_else(String::new, Entry::text);
        let head = match (old, new) {
            (None, _) => "not expected",
            (_, None) => "missing",
            _ => "different",
        };
        let (old, new) = (text(old), text(new));
        out.push_str(&format!("{path}: {head}\n{}\n", diffy::create_patch(&old, &new)));
    }
    out
}
