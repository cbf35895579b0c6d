//! Integration: conflicts leave the tree alone, and a run that dies anywhere is completed.
//!
//! Invariant: the moment of a death, or of somebody else's edit, is counted in system calls that
//! change or sync something, never timed.

mod calls;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use idumb_core::{ChangeSet, Digest, Entry};
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use super::slot::Slots;
use super::{Conflict, IntegrateError, check, integrate_by};
use crate::tests::{Project, read, write};
use crate::{Integrated, WorkView};

thread_local! {
    /// How many more system calls the process lives for.
    static LIFE: Cell<u64> = const { Cell::new(u64::MAX) };
    /// What somebody else does in between, and when.
    static MEANWHILE: Cell<Option<(u64, Act)>> = const { Cell::new(None) };
    /// Whether the file system can only rename plainly.
    static PLAIN: Cell<bool> = const { Cell::new(false) };
}

/// The system call before which the process died.
struct Killed(&'static str);

type Act = Box<dyn Fn()>;

pub(super) fn tick(call: &'static str) {
    let left = LIFE.get();
    if left == 0 {
        std::panic::resume_unwind(Box::new(Killed(call)));
    }
    LIFE.set(left - 1);
    if let Some((wait, act)) = MEANWHILE.take() {
        if wait == 0 {
            act();
        } else {
            MEANWHILE.set(Some((wait - 1, act)));
        }
    }
}

/// As a file system that does not know these flags of renaming.
pub(super) fn refuse(_: RenameFlags) -> Result<(), Errno> {
    if PLAIN.get() { Err(Errno::INVAL) } else { Ok(()) }
}

/// Where the staging directory is, and whether names can be exchanged.
#[derive(Debug, Clone, Copy)]
struct Place {
    elsewhere: bool,
    exchange: bool,
    /// Names can only be renamed over whatever is there.
    plain: bool,
}

impl Place {
    /// A real disk is slow to sync: fewer moments are tried there.
    fn step(self) -> usize {
        if self.elsewhere { 37 } else { 1 }
    }
}

const HERE: Place = Place { elsewhere: false, exchange: true, plain: false };

const PLACES: [Place; 5] = [
    HERE,
    Place { exchange: false, ..HERE },
    Place { plain: true, ..HERE },
    Place { elsewhere: true, ..HERE },
    Place { elsewhere: true, exchange: false, ..HERE },
];

/// A staging directory, on another file system if it is to be and there is one.
struct Staging(PathBuf);

impl Staging {
    fn new(project: &Project, place: Place) -> Self {
        if !place.elsewhere {
            return Self(project.dir.path().join("staging"));
        }
        let name = project.dir.path().file_name().unwrap().to_str().unwrap();
        Self(std::env::temp_dir().join(format!("idumb-test{name}")))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const FILES: &[(&str, &str)] = &[
    ("changed", "old"),
    ("deleted", "gone"),
    ("dir/a", "a"),
    ("dir/sub/b", "b"),
    ("file-to-dir", "f"),
    ("dir-to-file/x", "x"),
    ("link -> changed", ""),
    ("untouched", "u"),
];

/// One of everything a change-set can have.
fn everything(view: &WorkView) {
    let root = view.root();
    write(view, "changed", "new").unwrap();
    write(view, "added", "added").unwrap();
    view.unlink(root, "deleted").unwrap();
    view.rename(root, "dir", root, "moved").unwrap();
    view.unlink(root, "file-to-dir").unwrap();
    view.mkdir(root, "file-to-dir").unwrap();
    write(view, "file-to-dir/in", "in").unwrap();
    view.unlink(root, "dir-to-file/x").unwrap();
    view.rmdir(root, "dir-to-file").unwrap();
    write(view, "dir-to-file", "now a file").unwrap();
    view.unlink(root, "link").unwrap();
    view.symlink("moved/a", root, "link").unwrap();
    view.mkdir(root, "empty").unwrap();
    view.symlink("added", root, "new-link").unwrap();
}

fn sealed(project: &Project) -> ChangeSet {
    let view = project.work(&[], &["**"]);
    everything(&view);
    project.seal(view).change_set
}

/// What [`everything`] leaves behind.
fn expected() -> BTreeMap<String, String> {
    let project = Project::in_memory(&[
        ("changed", "new"),
        ("added", "added"),
        ("moved/a", "a"),
        ("moved/sub/b", "b"),
        ("file-to-dir/in", "in"),
        ("dir-to-file", "now a file"),
        ("link -> moved/a", ""),
        ("empty/", ""),
        ("new-link -> added", ""),
        ("untouched", "u"),
    ]);
    project.tree()
}

fn run(
    project: &Project,
    changes: &ChangeSet,
    staging: &Staging,
    place: Place,
) -> Result<Integrated, IntegrateError> {
    let base = project.base();
    PLAIN.set(place.plain);
    let slots = Slots::open(&base, changes, &staging.0, place.exchange)?;
    let result = integrate_by(&base, changes, &*project.store, &slots);
    PLAIN.set(false);
    result
}

fn conflicts(result: Result<Integrated, IntegrateError>) -> Vec<Conflict> {
    match result {
        Err(IntegrateError::Conflict(conflicts)) => conflicts,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

fn is_empty(staging: &Staging) -> bool {
    fs::read_dir(&staging.0).unwrap().next().is_none()
}

#[test]
fn everything_is_integrated_wherever_the_staging_is() {
    for place in PLACES {
        let project = Project::in_memory(FILES);
        let changes = sealed(&project);
        let staging = Staging::new(&project, place);
        assert!(check(&project.base(), &changes).unwrap().is_empty());
        let done = run(&project, &changes, &staging, place).unwrap();
        assert_eq!(done.changed.len(), changes.changes.len());
        assert_eq!(project.tree(), expected(), "{place:?}");
        assert!(is_empty(&staging), "{place:?}");
        let again = run(&project, &changes, &staging, place).unwrap();
        assert_eq!((again.changed.len(), again.already.len()), (0, changes.changes.len()));
    }
}

#[test]
fn killed_before_any_system_call_it_is_completed_by_the_next_run() {
    let (mut died_before, mut is_root) = (BTreeSet::new(), false);
    for place in PLACES {
        let mut deaths = BTreeMap::new();
        for life in (0..).step_by(place.step()) {
            let project = Project::in_memory(FILES);
            is_root |= std::os::unix::fs::chown(project.at("changed"), Some(65534), None).is_ok();
            let changes = sealed(&project);
            let staging = Staging::new(&project, place);
            LIFE.set(life);
            let result =
                catch_unwind(AssertUnwindSafe(|| run(&project, &changes, &staging, place)));
            LIFE.set(u64::MAX);
            match result {
                Ok(done) => {
                    done.unwrap();
                    break;
                }
                Err(payload) => {
                    let Killed(call) = *payload.downcast::<Killed>().unwrap();
                    *deaths.entry(call).or_insert(0) += 1;
                }
            }
            run(&project, &changes, &staging, place)
                .unwrap_or_else(|error| panic!("{place:?}, killed at {life}: {error}"));
            assert_eq!(project.tree(), expected(), "{place:?}, killed at {life}");
            assert!(is_empty(&staging), "{place:?}, killed at {life}");
        }
        if !place.elsewhere {
            died_before.extend(deaths.keys().copied());
        }
        assert!(deaths.values().sum::<u32>() > 5, "{place:?}: {deaths:?}");
    }
    let mut all = calls::all();
    // Nobody else comes to giving a file away.
    all.retain(|call| *call != "set_owner" || is_root);
    assert_eq!(died_before, all, "a death before each system call there is");
}

#[test]
fn killed_twice_it_is_completed_all_the_same() {
    let place = PLACES[0];
    for life in (0..240).step_by(7) {
        for second in (0..240).step_by(29) {
            let project = Project::in_memory(FILES);
            let changes = sealed(&project);
            let staging = Staging::new(&project, place);
            for life in [life, second] {
                LIFE.set(life);
                let _ = catch_unwind(AssertUnwindSafe(|| run(&project, &changes, &staging, place)));
                LIFE.set(u64::MAX);
            }
            run(&project, &changes, &staging, place).unwrap();
            assert_eq!(project.tree(), expected(), "killed at {life} and {second}");
        }
    }
}

#[test]
fn any_edit_of_the_users_is_a_conflict_and_nothing_is_touched() {
    type Edit = fn(&Project);
    let edits: [(&str, Edit); 14] = [
        ("changed", |p| fs::write(p.at("changed"), "mine").unwrap()),
        ("changed", |p| fs::remove_file(p.at("changed")).unwrap()),
        ("changed", |p| {
            fs::set_permissions(p.at("changed"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("changed", |p| {
            fs::remove_file(p.at("changed")).unwrap();
            symlink("untouched", p.at("changed")).unwrap();
        }),
        ("added", |p| fs::write(p.at("added"), "mine").unwrap()),
        ("added", |p| symlink("/etc", p.at("added")).unwrap()),
        ("deleted", |p| fs::write(p.at("deleted"), "mine").unwrap()),
        ("dir/a", |p| fs::write(p.at("dir/a"), "mine").unwrap()),
        ("dir/mine", |p| fs::write(p.at("dir/mine"), "mine").unwrap()),
        ("dir/sub/mine", |p| fs::create_dir(p.at("dir/sub/mine")).unwrap()),
        ("moved", |p| fs::write(p.at("moved"), "mine").unwrap()),
        ("file-to-dir", |p| fs::write(p.at("file-to-dir"), "mine").unwrap()),
        ("dir-to-file/mine", |p| fs::write(p.at("dir-to-file/mine"), "mine").unwrap()),
        ("link", |p| {
            fs::remove_file(p.at("link")).unwrap();
            symlink("untouched", p.at("link")).unwrap();
        }),
    ];
    for (path, edit) in edits {
        let project = Project::in_memory(FILES);
        let changes = sealed(&project);
        edit(&project);
        let before = project.tree();
        let checked = check(&project.base(), &changes).unwrap();
        let found = conflicts(project.integrate(&changes));
        assert_eq!(found, checked);
        assert!(found.iter().any(|conflict| conflict.path == path), "{path}: {found:?}");
        assert_eq!(project.tree(), before, "{path}");
    }
}

#[test]
fn an_edit_at_any_moment_is_never_lost() {
    type Edit = fn(&Project);
    let edits: [(&str, Edit); 6] = [
        // As editors save: a new file under the old name.
        ("changed", |p| {
            fs::write(p.at("save~"), "mine").unwrap();
            fs::rename(p.at("save~"), p.at("changed")).unwrap();
        }),
        ("deleted", |p| {
            fs::write(p.at("save~"), "mine").unwrap();
            fs::rename(p.at("save~"), p.at("deleted")).unwrap();
        }),
        ("added", |p| {
            fs::write(p.at("save~"), "mine").unwrap();
            fs::rename(p.at("save~"), p.at("added")).unwrap();
        }),
        ("dir/mine", |p| drop(fs::write(p.at("dir/mine"), "mine"))),
        ("dir-to-file/mine", |p| drop(fs::write(p.at("dir-to-file/mine"), "mine"))),
        ("link", |p| {
            let _ = fs::remove_file(p.at("link"));
            symlink("mine", p.at("link")).unwrap();
        }),
    ];
    for place in PLACES {
        for (path, edit) in edits {
            for moment in (0..300).step_by(place.step()) {
                let project = std::rc::Rc::new(Project::in_memory(FILES));
                let changes = sealed(&project);
                let staging = Staging::new(&project, place);
                let editor = std::rc::Rc::clone(&project);
                MEANWHILE.set(Some((moment, Box::new(move || edit(&editor)))));
                let result = run(&project, &changes, &staging, place);
                let came = MEANWHILE.take().is_none();
                let mine = project.tree().get(path).is_some_and(|what| what.ends_with("mine"));
                let at = format!("{place:?} {path} at {moment}: {result:?}");
                match result {
                    Ok(_) if !came || mine => {}
                    // Where the directory is gone, the edit could not be made.
                    Ok(_) => assert!(path.contains('/'), "{at}"),
                    Err(IntegrateError::Conflict(_)) => {
                        assert!(mine, "{at}");
                        let mut before = Project::in_memory(FILES).tree();
                        before.insert(path.to_owned(), project.tree()[path].clone());
                        assert_eq!(project.tree(), before, "{at}");
                    }
                    Err(error) => panic!("{at}: {error}"),
                }
            }
        }
    }
}

#[test]
fn an_editor_that_writes_to_the_old_file_is_heard_until_the_end() {
    for place in PLACES {
        let (mut heard, mut rescued) = (0, 0);
        let mut late = false;
        for moment in (0..300).step_by(place.step()) {
            let project = Project::in_memory(FILES);
            let changes = sealed(&project);
            let staging = Staging::new(&project, place);
            let editor = fs::OpenOptions::new().write(true).open(project.at("changed")).unwrap();
            let act = move || std::os::unix::fs::FileExt::write_all_at(&editor, b"me!", 0).unwrap();
            MEANWHILE.set(Some((moment as u64, Box::new(act))));
            let result = run(&project, &changes, &staging, place);
            MEANWHILE.set(None);
            let kept = project.tree()["changed"] == "- me!";
            let held = || {
                let mut slots = fs::read_dir(&staging.0).unwrap().map(|slot| slot.unwrap().path());
                slots.any(|slot| slot.is_file() && fs::read(slot).unwrap() == b"me!")
            };
            if kept {
                // Nothing of the change is left behind.
                let mut before = Project::in_memory(FILES).tree();
                before.insert("changed".into(), "- me!".into());
                assert_eq!(project.tree(), before, "{place:?} at {moment}: {result:?}");
                conflicts(result);
                assert!(!late, "{place:?} at {moment}");
                heard += 1;
            } else if !place.elsewhere && held() {
                // It came as the old file was about to be removed: it is not removed.
                assert_eq!(conflicts(run(&project, &changes, &staging, place)).len(), 1);
                assert_eq!(project.tree()["changed"], "- me!");
                late = true;
                rescued += 1;
            } else {
                // It came when the old file was gone, as it does to any program that replaces one.
                late = true;
            }
        }
        assert!(heard > 40 / place.step(), "{place:?}: {heard}");
        if !place.elsewhere {
            // Only what comes after the last look is left to the next run.
            assert!((1..=heard / 10).contains(&rescued), "{place:?}: {heard}, {rescued}");
        }
    }
}

#[test]
fn a_part_that_was_applied_is_not_applied_again() {
    let project = Project::in_memory(FILES);
    let changes = sealed(&project);
    fs::write(project.at("added"), "added").unwrap();
    fs::remove_file(project.at("deleted")).unwrap();
    fs::create_dir(project.at("moved")).unwrap();
    let done = project.integrate(&changes).unwrap();
    assert_eq!(done.already, ["added", "deleted", "moved"]);
    assert_eq!(project.tree(), expected());
}

#[test]
fn a_parent_swapped_for_a_link_is_a_conflict() {
    let project = Project::in_memory(&[("d/a", "a"), ("elsewhere/", "")]);
    let view = project.work(&[], &["**"]);
    write(&view, "d/new", "new").unwrap();
    view.mkdir(view.root(), "d/made").unwrap();
    let changes = project.seal(view).change_set;
    let outside = project.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::rename(project.at("d"), project.at("d.old")).unwrap();
    symlink(&outside, project.at("d")).unwrap();
    let found = conflicts(project.integrate(&changes));
    assert_eq!((found.len(), found[0].path.as_str()), (1, "d"));
    assert_eq!(found[0].expected, Some(Entry::Dir));
    assert!(fs::read_dir(outside).unwrap().next().is_none());
}

#[test]
fn wrong_bytes_in_the_store_change_nothing() {
    let project = Project::in_memory(FILES);
    let changes = sealed(&project);
    project.store.put(Digest::of(b"added"), b"tampered");
    let result = project.integrate(&changes);
    assert!(matches!(result, Err(IntegrateError::Corrupt { path, .. }) if path == "added"));
    assert_eq!(project.tree(), Project::in_memory(FILES).tree());
}

#[test]
fn a_failure_in_the_middle_is_undone() {
    let before = Project::in_memory(FILES).tree();
    let mut undone = 0;
    for moment in 0..300 {
        let project = std::rc::Rc::new(Project::in_memory(FILES));
        let changes = sealed(&project);
        // Takes away a directory that integration made and is about to use.
        let other = std::rc::Rc::clone(&project);
        let act = move || drop(fs::remove_dir_all(other.at("moved/sub")));
        MEANWHILE.set(Some((moment, Box::new(act))));
        let result = project.integrate(&changes);
        MEANWHILE.set(None);
        if result.is_err() {
            undone += 1;
            assert_eq!(project.tree(), before, "at {moment}: {result:?}");
        }
    }
    assert!(undone > 0);
}

#[test]
fn conflicts_name_the_file_and_both_digests() {
    let project = Project::in_memory(&[("a", "one")]);
    let view = project.work(&[], &["**"]);
    assert_eq!(read(&view, "a").unwrap(), "one");
    write(&view, "a", "two").unwrap();
    let changes = project.seal(view).change_set;
    fs::write(project.at("a"), "three").unwrap();
    let text = project.integrate(&changes).unwrap_err().to_string();
    for part in ["a: ", &Digest::of(b"one").to_string(), &Digest::of(b"three").to_string()] {
        assert!(text.contains(part), "{text}");
    }
}
