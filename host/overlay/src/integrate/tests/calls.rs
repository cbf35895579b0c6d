//! That deaths are tried before every system call there is, and deaths together with edits.
//!
//! Invariant: what reads the sources here reads all of integration.

use super::*;

/// The files of integration but the one that makes the calls.
const OTHERS: &[(&str, &str)] = &[
    ("integrate.rs", include_str!("../../integrate.rs")),
    ("check.rs", include_str!("../check.rs")),
    ("slot.rs", include_str!("../slot.rs")),
    ("step.rs", include_str!("../step.rs")),
];
const CALLS: &str = include_str!("../call.rs");

/// The functions that make the system calls.
pub(super) fn all() -> BTreeSet<&'static str> {
    let functions = CALLS.split("\npub(super) fn ").skip(1);
    functions.map(|text| text.split(['(', '<']).next().unwrap()).collect()
}

#[test]
fn nothing_is_changed_but_through_the_calls_that_tests_die_at() {
    let changing = [
        "renameat",
        "linkat(",
        "unlink(",
        "mkdir",
        "mknod",
        "chmod",
        "chown",
        "sync_all",
        "sync_data",
        "fsync",
        "fdatasync",
        "syncfs",
        "set_len",
        "truncate",
        "copy(",
        "write(",
        "write_all",
        "CREATE",
        "TRUNC",
        "RDWR",
        "WRONLY",
        "utimens",
        "set_times",
        "set_permissions",
        "setxattr",
        "std::fs",
    ];
    for (file, text) in OTHERS {
        let text = text.replace("use std::fs::File;", "");
        for word in changing {
            let mut lines = text.lines().filter(|line| line.contains(word));
            let direct = lines.find(|line| {
                let code = line.trim_start();
                !code.starts_with("//") && !line.contains(&format!("call::{word}"))
            });
            assert!(direct.is_none(), "{file}: {direct:?} is not in call.rs");
        }
    }
    for function in CALLS.split("\npub(super) fn ").skip(1) {
        let body = function.split("\n}").next().unwrap();
        assert!(body.contains("before_name(\"") || body.contains("before_content(\""), "{body}");
        let name = function.split(['(', '<']).next().unwrap();
        assert!(body.contains(&format!("(\"{name}\")")), "{body}");
    }
}

/// A death while a conflict is undone, or after somebody edited: nothing of theirs is lost, and
/// no path is anything but its before side, its after side, or what they made of it.
#[test]
fn an_edit_and_a_death_lose_nothing_together() {
    let before = Project::in_memory(FILES).tree();
    let (after, mut died) = (expected(), 0);
    for place in [HERE, Place { exchange: false, ..HERE }, Place { plain: true, ..HERE }] {
        for moment in (0..200).step_by(11) {
            for life in (moment..moment + 60).step_by(5) {
                let project = std::rc::Rc::new(Project::in_memory(FILES));
                let changes = sealed(&project);
                let staging = Staging::new(&project, place);
                let editor = std::rc::Rc::clone(&project);
                let edit = move || {
                    fs::write(editor.at("save~"), "mine").unwrap();
                    fs::rename(editor.at("save~"), editor.at("changed")).unwrap();
                };
                MEANWHILE.set(Some((moment, Box::new(edit))));
                LIFE.set(life);
                let first =
                    catch_unwind(AssertUnwindSafe(|| run(&project, &changes, &staging, place)));
                LIFE.set(u64::MAX);
                let came = MEANWHILE.take().is_none();
                died += u32::from(first.is_err());
                let _ = run(&project, &changes, &staging, place);
                let tree = project.tree();
                let at = format!("{place:?}, edited at {moment}, killed at {life}");
                assert!(!came || tree["changed"] == "- mine", "{at}: {:?}", tree["changed"]);
                for path in before.keys().chain(after.keys()).chain(tree.keys()) {
                    let now = tree.get(path);
                    let known = now == before.get(path) || now == after.get(path);
                    assert!(known || path == "changed", "{at}: {path}: {now:?}");
                }
            }
        }
    }
    assert!(died > 300, "{died}");
}
