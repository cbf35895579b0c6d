//! Removing what a hostile command left.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, mkdirat, openat};

use super::*;

#[test]
fn ten_thousand_levels_are_removed_with_few_handles() {
    let test = "scratch::tests::clearing::ten_thousand_levels_are_removed_with_few_handles";
    if !inside(test, &["-U"], "ulimit -n 64") {
        return;
    }
    let project = Project::in_memory(&[]);
    let into = project.scratch();
    fs::create_dir(&into).unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at: OwnedFd = openat(CWD, &into, flags, Mode::empty()).unwrap();
    for level in 0..10_000 {
        mkdirat(&at, "deep", Mode::RWXU).unwrap();
        if level % 100 == 0 {
            symlink(&into, format!("/proc/self/fd/{}/up", std::os::fd::AsRawFd::as_raw_fd(&at)))
                .unwrap();
        }
        at = openat(&at, "deep", flags, Mode::empty()).unwrap();
    }
    drop(at);
    clear(&into).unwrap();
    assert!(!into.try_exists().unwrap());
}

#[test]
fn directories_without_permissions_are_removed() {
    // Without rights over others' files: permissions do not stop root.
    let test = "scratch::tests::clearing::directories_without_permissions_are_removed";
    if !inside(test, &["-U"], "") {
        return;
    }
    let project = Project::in_memory(&[]);
    let into = project.scratch();
    fs::create_dir_all(into.join("a/b/c")).unwrap();
    fs::create_dir_all(into.join("d/e")).unwrap();
    fs::write(into.join("a/b/c/file"), "x").unwrap();
    for path in ["a/b/c", "a/b", "a", "d/e", "d", ""] {
        fs::set_permissions(into.join(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    assert!(fs::read_dir(&into).is_err(), "permissions do not count here");
    clear(&into).unwrap();
    assert!(!into.try_exists().unwrap());
}

#[test]
fn links_are_removed_and_not_what_they_point_at() {
    let project = Project::new(&[("outside/kept", "kept"), ("outside/dir/kept", "kept")]);
    let into = project.scratch();
    fs::create_dir_all(into.join("d/e")).unwrap();
    for (at, target) in [("l", "outside"), ("d/l", "outside/dir"), ("d/e/f", "outside/kept")] {
        symlink(project.at(target), into.join(at)).unwrap();
    }
    symlink("..", into.join("d/up")).unwrap();
    let before = project.tree();
    clear(&into).unwrap();
    assert!(!into.try_exists().unwrap());
    assert_eq!(project.tree(), before);
    // The tree itself, replaced by a link.
    symlink(project.at("outside"), &into).unwrap();
    clear(&into).unwrap();
    assert!(fs::symlink_metadata(&into).is_err());
    assert_eq!(project.tree(), before);
    clear(&into).unwrap();
}

#[test]
fn names_of_its_own_do_not_stop_it() {
    let project = Project::in_memory(&[]);
    let into = project.scratch();
    for number in [0, 1, 3, 5, 900] {
        fs::create_dir_all(into.join(format!(".idumb-going-{number}/.idumb-going-2/x"))).unwrap();
        fs::create_dir_all(into.join(format!("other-{number}/.idumb-going-4/x"))).unwrap();
    }
    fs::write(into.join(".idumb-going-2"), "a file").unwrap();
    fs::create_dir(into.join(".idumb-going-6")).unwrap();
    clear(&into).unwrap();
    assert!(!into.try_exists().unwrap());
}

#[test]
fn what_is_mounted_in_it_stays_and_the_rest_goes() {
    let test = "scratch::tests::clearing::what_is_mounted_in_it_stays_and_the_rest_goes";
    if !inside(test, &["-Urm"], "") {
        return;
    }
    let project = Project::in_memory(&[("kept", "kept"), ("sub/kept", "kept")]);
    let into = project.scratch();
    fs::create_dir_all(into.join("a/b/mount/point")).unwrap();
    fs::create_dir_all(into.join("c/d")).unwrap();
    fs::write(into.join("c/d/file"), "x").unwrap();
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(project.root()).arg(into.join("a/b/mount"));
    assert!(mount.status().unwrap().success());
    let before = project.tree();
    // Of the same file system, so that nothing but the mount itself tells them apart.
    assert_eq!(kind(clear(&into)), io::ErrorKind::ResourceBusy);
    assert_eq!(project.tree(), before);
    assert!(!into.join("c").try_exists().unwrap());
}
