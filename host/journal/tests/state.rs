//! The state folder and its lock, also against another process.
//!
//! Invariant: processes are kept in step by pipes.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use idumb_core::RunId;
use idumb_journal::{BlobStore, Durability, Error, LockError, StateDir, write_state};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_is_private_ignored_and_made_once() {
    let project = tempfile::tempdir().unwrap();
    assert_eq!(StateDir::find(project.path()).unwrap(), None);
    assert!(!project.path().join(".idumb").exists(), "finding makes nothing");
    let state = StateDir::prepare(project.path()).unwrap();
    assert_eq!(mode(state.path()), 0o700);
    assert!(state.path().ends_with(".idumb/state"));
    assert_eq!(fs::read_to_string(state.path().join(".gitignore")).unwrap(), "*\n");
    for folder in [state.blobs(), state.upper(), state.staging()] {
        assert!(folder.is_dir());
    }
    assert_eq!(StateDir::prepare(project.path()).unwrap(), state);
    assert_eq!(StateDir::find(project.path()).unwrap(), Some(state));
}

#[test]
fn links_on_the_way_are_refused_and_nothing_is_made_behind_them() {
    for link in [".idumb", ".idumb/state", ".idumb/state/blobs", ".idumb/state/upper"] {
        let (project, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        StateDir::prepare(project.path()).unwrap();
        let link = project.path().join(link);
        fs::remove_dir_all(&link).unwrap();
        symlink(elsewhere.path(), &link).unwrap();
        let error = StateDir::prepare(project.path()).unwrap_err();
        assert!(matches!(error, Error::Symlink { .. }), "{error:?}");
        let said = error.to_string();
        let (link, target) = (link.display().to_string(), elsewhere.path().display().to_string());
        assert!(said.contains(&link) && said.contains(&target), "{said}");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_link_is_refused_for_looking_too() {
    let (project, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    StateDir::prepare(elsewhere.path()).unwrap();
    symlink(elsewhere.path().join(".idumb"), project.path().join(".idumb")).unwrap();
    let error = StateDir::find(project.path()).unwrap_err();
    assert!(matches!(error, Error::Symlink { .. }), "{error:?}");
}

#[test]
fn a_project_that_is_itself_behind_a_link_is_fine() {
    let (project, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let link = elsewhere.path().join("project");
    symlink(project.path(), &link).unwrap();
    let state = StateDir::prepare(&link).unwrap();
    idumb_journal::Journal::open(&state.lock().unwrap()).unwrap();
    assert_eq!(state, StateDir::prepare(project.path()).unwrap());
}

#[test]
fn what_is_not_private_may_have_come_with_the_project() {
    let project = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(project.path()).unwrap();
    fs::set_permissions(state.path(), Permissions::from_mode(0o755)).unwrap();
    for error in [
        StateDir::prepare(project.path()).unwrap_err(),
        StateDir::find(project.path()).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotPrivate { mode: 0o755, .. }), "{error:?}");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}

#[test]
fn a_file_in_its_place_is_said() {
    let project = tempfile::tempdir().unwrap();
    fs::create_dir(project.path().join(".idumb")).unwrap();
    fs::write(project.path().join(".idumb/state"), "").unwrap();
    let error = StateDir::prepare(project.path()).unwrap_err();
    assert!(matches!(error, Error::NotAFolder { .. }), "{error:?}");
}

#[test]
fn the_document_is_replaced_whole() {
    let project = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(project.path()).unwrap();
    write_state(&state, r#"{"long":"document"}"#, Durability::Later).unwrap();
    write_state(&state, b"{}", Durability::Now).unwrap();
    assert_eq!(fs::read(state.document()).unwrap(), b"{}");
    assert_eq!(mode(&state.document()), 0o600);

    // Neither what a killed process left nor a planted link gets written through.
    let victim = project.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, state.path().join("state.json.new")).unwrap();
    write_state(&state, "[]", Durability::Later).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(fs::read(state.document()).unwrap(), b"[]");

    fs::remove_file(state.document()).unwrap();
    fs::create_dir(state.document()).unwrap();
    let error = write_state(&state, "{}", Durability::Now).unwrap_err();
    assert!(error.to_string().contains("state.json"), "{error}");
    assert!(!state.path().join("state.json.new").exists(), "nothing is left lying about");
}

#[test]
fn a_planted_link_in_place_of_the_lock_is_refused() {
    let project = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(project.path()).unwrap();
    let victim = project.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, state.lock_file()).unwrap();
    let error = state.lock().unwrap_err();
    assert!(matches!(error, LockError::Error(Error::Symlink { .. })), "{error:?}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}

#[test]
fn the_lock_is_one_and_says_whose_it_is() {
    let project = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(project.path()).unwrap();
    assert_eq!(state.holder().unwrap(), None);
    let lock = state.lock().unwrap();
    lock.tell_run(&RunId::new("phase-1-r3").unwrap()).unwrap();
    let expected = format!("another idumb (pid {}, run phase-1-r3)", std::process::id());
    let LockError::Held { by, path } = state.lock().unwrap_err() else { panic!("not held") };
    assert_eq!((by, path), (expected.clone(), state.lock_file()));
    assert_eq!(state.holder().unwrap(), Some(expected));
    let clone = lock.clone();
    drop(lock);
    assert!(state.holder().unwrap().is_some(), "a clone holds it too");
    drop(clone);
    assert_eq!(state.holder().unwrap(), None, "the file's old words mean nothing");
    state.lock().unwrap();
}

#[test]
fn looking_who_holds_the_lock_never_keeps_anyone_from_taking_it() {
    let project = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(project.path()).unwrap();
    drop(state.lock().unwrap());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                state.holder().unwrap();
            }
        });
        let taken: Vec<_> = (0..2000).map(|_| state.lock().map(drop)).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for taken in taken {
            taken.unwrap();
        }
    });
}

const PROJECT: &str = "IDUMB_TEST_LOCK_PROJECT";

/// Not a test of its own: what the process below runs.
#[test]
fn holder() {
    let Some(project) = std::env::var_os(PROJECT) else {
        return;
    };
    let lock = StateDir::prepare(Path::new(&project)).unwrap().lock().unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "locked").unwrap();
    out.flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(lock);
}

/// A process that has the lock, and what it says: that is to be read to its end.
fn start_holder(project: &Path) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holder", "--nocapture", "--test-threads=1"])
        .env(PROJECT, project)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut said = out.lines().map(Result::unwrap);
    assert!(said.any(|line| line.ends_with("locked")), "it got the lock");
    (child, said)
}

#[test]
fn another_process_is_kept_out_until_the_holder_ends_in_whatever_way() {
    let project = tempfile::tempdir().unwrap();
    let state = StateDir::prepare(project.path()).unwrap();
    for killed in [false, true] {
        let (mut child, said) = start_holder(project.path());
        let LockError::Held { by, .. } = state.lock().unwrap_err() else { panic!("not held") };
        assert_eq!(by, format!("another idumb (pid {})", child.id()));
        if killed {
            child.kill().unwrap();
        }
        drop(child.stdin.take());
        said.for_each(drop);
        assert_eq!(child.wait().unwrap().success(), !killed);
        assert_eq!(state.holder().unwrap(), None);
        drop(state.lock().unwrap());
    }
}

#[test]
fn a_blob_store_refuses_a_planted_link() {
    let (project, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let state = StateDir::prepare(project.path()).unwrap();
    fs::remove_dir(state.blobs()).unwrap();
    symlink(elsewhere.path(), state.blobs()).unwrap();
    assert!(matches!(BlobStore::new(&state).unwrap_err(), Error::Symlink { .. }));
}
