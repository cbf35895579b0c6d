//! What is only so with layers.

use std::fs;

use super::*;
use crate::tests::write;

fn can_be_had(project: &Project) -> bool {
    overlays(project.dir.path())
}

#[test]
fn a_probe_says_yes_or_why_not_and_leaves_nothing() {
    let project = Project::new(&[]);
    let works = layers_work(project.dir.path());
    assert_eq!(works.is_ok(), can_be_had(&project), "{works:?}");
    let left: Vec<_> = fs::read_dir(project.dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_a_command_does_stays_in_the_room() {
    let project = Project::new(&[("a/old", "old"), ("a/gone", "gone"), ("b", "b"), ("d/x", "x")]);
    if !can_be_had(&project) {
        return;
    }
    let view = project.work(&[], &["**"]);
    view.unlink(view.root(), "a/gone").unwrap();
    write(&view, "a/new", "new").unwrap();
    let changes = project.seal(view).change_set;
    let before = project.tree();
    let layers = project.layer(&changes, &ScratchOptions::default()).unwrap();
    let script = "cd \"$0\"; test -e a/new; test ! -e a/gone; echo changed > a/old; rm b; \
        chmod 600 d/x; touch -d @1 d/x; mkdir d/y; rm -r d; echo z > z; chmod 0 a";
    let merged = layers.merged();
    run(&layers.enter([OsStr::new("sh"), "-ec".as_ref(), script.as_ref(), merged.as_ref()]));
    assert_eq!(project.tree(), before);
    layers.remove().unwrap();
    assert!(!project.scratch().try_exists().unwrap());
}

#[test]
fn a_base_that_is_elsewhere_now_is_not_entered() {
    let project = Project::new(&[("a", "a")]);
    if !can_be_had(&project) {
        return;
    }
    let layers = project.layer(&ChangeSet::default(), &ScratchOptions::default()).unwrap();
    fs::rename(project.root(), project.dir.path().join("moved")).unwrap();
    fs::create_dir(project.root()).unwrap();
    let line = layers.enter(["true"]);
    assert!(!Command::new(&line[0]).args(&line[1..]).status().unwrap().success());
    layers.remove().unwrap();
    assert_eq!(tree_of(&project.dir.path().join("moved")).len(), 1);
}

#[test]
fn a_project_with_any_path_can_be_below() {
    let odd = "a,b:c\\d \"e'$f";
    let dir = tempfile::TempDir::new().unwrap();
    let root = dir.path().join(odd);
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "x").unwrap();
    if !overlays(dir.path()) {
        return;
    }
    let project = Project::new(&[]);
    let (base, room) = (Base::open(&root).unwrap(), dir.path().join(format!("room {odd}")));
    let options = ScratchOptions::default();
    let changes = ChangeSet::default();
    let layers = layer(&base, &changes, &project.blobs(), &room, &options).unwrap();
    fs::create_dir(dir.path().join("by")).unwrap();
    assert_eq!(shown(&layers, &dir.path().join("by")).len(), 1);
    layers.remove().unwrap();
}

#[test]
fn another_file_system_in_the_base_is_refused() {
    let test = "scratch::tests::layered::another_file_system_in_the_base_is_refused";
    if !inside(test, &["-Urm"], "") {
        return;
    }
    let project = Project::new(&[("a", "a"), ("m/", "")]);
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "m"]).arg(project.at("m"));
    assert!(mount.status().unwrap().success());
    let options = ScratchOptions::default();
    let refused = project.layer(&ChangeSet::default(), &options);
    assert_eq!(kind(refused), io::ErrorKind::Unsupported);
    assert!(!project.scratch().try_exists().unwrap());
    project.materialise(&ChangeSet::default(), &options).unwrap().remove().unwrap();
}

#[test]
fn what_belongs_to_others_is_refused() {
    let project = Project::new(&[("a", "a"), ("d/b", "b")]);
    let refused = |base: &Base| {
        let (none, options) = (ChangeSet::default(), ScratchOptions::default());
        layer(base, &none, &project.blobs(), &project.scratch(), &options).map(drop)
    };
    let refused = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(project.at("d/b"), None, Some(12345)).unwrap();
        refused(&project.base())
    } else {
        // Nobody but root gives a file away: here are some of root's.
        refused(&Base::open("/etc/skel").unwrap())
    };
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("belongs to another user or group"), "{error}");
    assert!(!project.scratch().try_exists().unwrap());
}
