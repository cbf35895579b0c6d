//! Tests of the trees that commands run on, and what they share.
//!
//! Invariant: what needs a mount or other rights runs in a process of its own, in namespaces.

mod clearing;
mod layered;
mod trees;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use idumb_core::{Blobs, ChangeSet};

use super::*;
use crate::tests::{Project, tree_of};

thread_local! {
    /// What happens after a file was read, and before it is asked whether it is the same still.
    pub(super) static MEANWHILE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

pub(super) fn meanwhile() {
    MEANWHILE.with_borrow_mut(|what| {
        if let Some(what) = what {
            what();
        }
    });
}

/// Set for a test that runs in namespaces of its own.
const INSIDE: &str = "IDUMB_TEST_INSIDE";

/// Whether this machine lets a user have namespaces; without them, tests in them say nothing.
pub(super) fn namespaces() -> bool {
    let tried = Command::new("unshare").args(["-Urm", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Whether overlays can be mounted with everything in `place`, found out without what is tested.
pub(super) fn overlays(place: &Path) -> bool {
    let room = tempfile::TempDir::new_in(place).unwrap();
    for dir in ["l", "u", "w", "m"] {
        std::fs::create_dir(room.path().join(dir)).unwrap();
    }
    let mount = "mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w overlay m";
    let mut line = Command::new("unshare");
    line.args(["-Urm", "sh", "-c", mount]).current_dir(room.path());
    let mounted = line.output().is_ok_and(|output| output.status.success());
    clear(&room.path().join("w")).unwrap();
    assert!(mounted, "these tests need user namespaces and overlayfs (Linux 5.11, util-linux)");
    mounted
}

/// Runs `test` of this binary once more behind `script`, in namespaces by `options`: `true` where
/// that is so, and `false` to the caller who had it done.
pub(super) fn inside(test: &str, options: &[&str], script: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    assert!(namespaces(), "this test needs user namespaces, and unshare of util-linux");
    let output = Command::new("unshare")
        .args(options)
        .args(["sh", "-ec", &format!("{script}\nexec \"$0\" --exact \"$1\"")])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "there is no test {test}: {said}");
    false
}

impl Project {
    pub(super) fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::<crate::tests::Store>::clone(&self.store)
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    pub(super) fn materialise(
        &self,
        changes: &ChangeSet,
        options: &ScratchOptions,
    ) -> io::Result<Scratch> {
        materialise(&self.base(), changes, &self.blobs(), &self.scratch(), options)
    }

    pub(super) fn layer(
        &self,
        changes: &ChangeSet,
        options: &ScratchOptions,
    ) -> io::Result<Layers> {
        layer(&self.base(), changes, &self.blobs(), &self.scratch(), options)
    }
}

/// What the merged tree of layers is to those who see it.
pub(super) fn shown(layers: &Layers, by: &Path) -> std::collections::BTreeMap<String, String> {
    let copy = "cp -a \"$0/.\" \"$1\"";
    let merged = layers.merged();
    let words = [OsStr::new("sh"), "-ec".as_ref(), copy.as_ref(), merged.as_ref(), by.as_ref()];
    run(&layers.enter(words));
    tree_of(by)
}

/// Runs a command line, which must succeed.
pub(super) fn run(line: &[std::ffi::OsString]) {
    let output = Command::new(&line[0]).args(&line[1..]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.kind(),
    }
}
