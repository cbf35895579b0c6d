//! Hostile paths, case by case, and where each is shown. All run with `openat2` and without it.
//!
//! Invariant: a test that this table names exists (a test below reads the table), and each was
//! seen to fail with its guard taken out.
//!
//! | case | shown by |
//! |---|---|
//! | `..` above the root; absolute paths | `nothing_leads_above_the_root`, `nothing_leads_above_the_directory_that_a_path_starts_from`, `the_base_is_asked_for_plain_paths_only` |
//! | links whose target is absolute or leaves the grant, already there | `links_do_not_lead_out_of_the_project_or_the_grant`, `what_an_absolute_link_says_stays_with_the_host` |
//! | the same, planted by the guest | `links_that_lead_out_cannot_be_planted`, `links_that_were_planted_are_decided_where_they_lead`, `a_plain_view_keeps_absolute_links_and_what_the_host_stages` |
//! | a link to `dir/` | `links_do_not_lead_out_of_the_project_or_the_grant`, `trailing_forms_are_decided_as_the_plain_path` |
//! | trailing `/`, `/.`, `//` on every operation | `every_operation_decides_a_spelling_as_the_plain_path`, `no_file_is_made_under_a_name_with_a_slash_behind_it` |
//! | a name swapped for a link, before and while it is used | `a_name_swapped_for_a_link_is_not_followed`, `a_name_swapped_for_a_link_inside_is_not_followed_either`, `a_race_of_swaps_never_shows_the_outside` |
//! | a hard link from a read-only into a writable grant | `hard_links_need_the_right_to_write_at_both_ends`, `a_name_hard_linked_in_the_base_is_a_file_of_its_own` |
//! | rename across grants, or of a directory with a protected child | `renaming_needs_both_grants`, `renaming_a_directory_needs_leave_for_all_that_moves`, `what_nobody_gets_does_not_move`, `what_hides_on_the_way_to_a_grant_is_not_replaced`, `a_directory_does_not_move_into_itself` |
//! | what appears in a directory after it was renamed | `a_directory_that_was_renamed_takes_no_newcomers_along`, `a_newcomer_on_the_way_to_a_grant_is_not_taken_along`, `a_newcomer_that_hides_is_not_looked_at` |
//! | opening read-only with truncate or create | `opening_to_read_with_truncate_or_create_is_writing` |
//! | set-times through a read-only handle | `a_handle_that_reads_sets_no_times` |
//! | case and Unicode aliases of a protected name | `protected_names_stay_hidden_under_every_alias`, `sight_by_table` |
//! | NUL, 256-byte names, over-long paths that would collapse short | `names_and_paths_have_limits`, `every_operation_refuses_what_is_no_path`, `a_name_with_nul_is_none_also_where_the_host_is_not_asked` |
//! | a FIFO, socket or device in the tree | `special_files_are_seen_and_never_opened`, `a_file_swapped_for_a_fifo_does_not_block`, `what_became_a_fifo_is_not_even_opened`, `a_race_with_a_fifo_neither_blocks_nor_opens_it`, `every_refusal_of_a_special_file_is_on_record` |
//! | `/proc` through a link | `links_do_not_lead_out_of_the_project_or_the_grant` |
//! | the project root renamed mid-run | `the_pinned_root_wins_over_its_path` |
//! | glob metacharacters in names | `metacharacters_in_names_are_names` |
//! | delete, re-create as another type, list | `deleted_and_made_anew_as_another_kind` |
//! | a file that the host may not read | `what_the_host_may_not_read_is_an_access_error` |
//! | protected unless granted by name, also when absent | `protected_names_stay_hidden_under_every_alias`, `every_protected_pattern_protects` |
//! | what may be said of a path behind a missing directory | `observations_by_table`, `no_absence_is_observed_behind_what_is_missing` |
//! | beyond the agent's ceiling, whatever is granted | `beyond_the_ceiling_is_not_there_whatever_is_granted`, `a_ceiling_bounds_sight_by_table`, `a_ceiling_bounds_writing_by_table` |
//! | all of it at random | `no_guest_gets_out` |

use super::*;
use crate::Kind;
use idumb_core::PROTECTED;
use std::time::{Duration, SystemTime};

#[test]
fn the_table_names_tests_that_exist() {
    let sources = [
        include_str!("hostile.rs"),
        include_str!("paths.rs"),
        include_str!("races.rs"),
        include_str!("grants.rs"),
        include_str!("guards.rs"),
        include_str!("work.rs"),
        include_str!("escape.rs"),
        include_str!("../gate.rs"),
    ];
    let table = sources[0].lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut named = 0;
    for row in table.skip(1) {
        let (_, tests) = row.split_once(" | ").unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            let function = format!("#[test]\nfn {name}()");
            let within = format!("#[test]\n    fn {name}()");
            let exists = |text: &&str| text.contains(&function) || text.contains(&within);
            assert!(sources.iter().any(exists) || name == "no_guest_gets_out", "{name}");
            named += 1;
        }
    }
    assert!(named > 25, "{named}");
}

/// Every operation that takes a path, by its answer.
fn operations(view: &WorkView, path: &str) -> Vec<(&'static str, String)> {
    let (root, now) = (view.root(), Some(SystemTime::now()));
    fn told<T>(answer: Result<T, FsError>) -> String {
        answer.map_or_else(|error| name_of(&error), |_| "done".to_owned())
    }
    vec![
        ("read", told(view.open(root, path, true, OpenFlags::READ))),
        ("write", told(view.open(root, path, true, WRITE))),
        ("create", told(view.open(root, path, true, CREATE))),
        ("stat", told(view.stat(root, path, true))),
        ("lstat", told(view.stat(root, path, false))),
        ("read_link", told(view.read_link(root, path))),
        ("observe", told(view.observe(path))),
        ("mkdir", told(view.mkdir(root, path))),
        ("unlink", told(view.unlink(root, path))),
        ("rmdir", told(view.rmdir(root, path))),
        ("rename from", told(view.rename(root, path, root, "rw/new"))),
        ("rename to", told(view.rename(root, "rw/d", root, path))),
        ("link from", told(view.link(root, path, true, root, "rw/new"))),
        ("link to", told(view.link(root, "rw/f", true, root, path))),
        ("symlink", told(view.symlink("f", root, path))),
        ("set_times", told(view.set_times(root, path, true, now, now))),
        ("set_executable", told(view.set_executable(root, path, true))),
    ]
}

#[test]
fn every_operation_decides_a_spelling_as_the_plain_path() {
    let files = [("ro/d/x", "x"), ("hidden/d/x", "x"), ("rw/f", "f"), ("rw/d/", ""), ("ro/e/", "")];
    both(&files, |project| {
        // Directories, so that a slash behind them is no mistake.
        for plain in ["ro/d", "ro/e", "ro/none", "hidden/d", "hidden", "hidden/none", "none"] {
            let fresh = || project.work(&["ro/**"], &["rw/**"]);
            let expected = operations(&fresh(), plain);
            let done: Vec<_> =
                expected.iter().filter(|(_, answer)| answer == "done").map(|(of, _)| *of).collect();
            let looks = ["read", "stat", "lstat", "observe"];
            assert!(done.iter().all(|of| looks.contains(of)), "{plain}: {done:?}");
            for spelled in ["./P", "P/", "P//", "P/./", "rw/../P", ".//P", "rw/d/../../P"] {
                let spelled = spelled.replace('P', plain);
                let view = fresh();
                for ((of, answer), (_, expected)) in
                    operations(&view, &spelled).into_iter().zip(&expected)
                {
                    // A slash says that it must be a directory, which Linux checks before leave.
                    let shaped = [
                        "IsDirectory",
                        "NotDirectory",
                        "NoEntry",
                        "NotPermitted",
                        "Invalid",
                        "Busy",
                        "Exist",
                    ];
                    let same = answer == *expected
                        || (spelled.ends_with('/') && shaped.contains(&answer.as_str()));
                    assert!(same, "{of} {spelled}: {answer}, and {plain}: {expected}");
                }
                for (path, reason) in reasons(&view) {
                    assert_eq!(reason, DenialReason::NotGranted, "{spelled}");
                    assert!(path == plain || path.starts_with("hidden"), "{spelled}: {path}");
                }
                assert!(project.seal(view).change_set.changes.is_empty(), "{spelled}");
            }
        }
    });
}

#[test]
fn every_operation_refuses_what_is_no_path() {
    both(&[("rw/f", "f"), ("rw/d/", "")], |project| {
        let view = project.work(&[], &["**"]);
        let long = format!("{}f", "./".repeat(2100));
        let name = "n".repeat(256);
        let cases = [
            ("rw/a\0b".to_owned(), "Invalid"),
            ("rw/f\0".to_owned(), "Invalid"),
            (format!("rw/{name}"), "NameTooLong"),
            (format!("{name}/f"), "NameTooLong"),
            (format!("rw/d/{name}/../f"), "NameTooLong"),
            (long, "NameTooLong"),
            (String::new(), "NoEntry"),
        ];
        for (path, expected) in cases {
            for (of, answer) in operations(&view, &path) {
                assert_eq!(answer, expected, "{of} {:?}", &path[..path.len().min(20)]);
            }
        }
        fails(view.symlink("a\0b", view.root(), "rw/l"), "Invalid");
        assert!(project.seal(view).change_set.changes.is_empty());
    });
}

#[test]
fn links_that_were_planted_are_decided_where_they_lead() {
    let files = [("rw/d/f", "f"), ("hidden/x", "secret"), ("ro/x", "kept"), ("rw/up -> ..", "")];
    both(&files, |project| {
        let view = project.work(&["ro/**"], &["rw/**"]);
        let root = view.root();
        view.symlink("../hidden/x", root, "rw/to-hidden").unwrap();
        view.symlink("../hidden/", root, "rw/hidden").unwrap();
        view.symlink("../ro/x", root, "rw/to-ro").unwrap();
        // Not followed when it is made: only what it leads to later counts.
        view.symlink("up/hidden/x", root, "rw/through").unwrap();
        for path in ["rw/to-hidden", "rw/hidden/x", "rw/through", "rw/up/hidden/x"] {
            fails(read(&view, path), "NoEntry");
            fails(write(&view, path, "overwritten").map_err(as_hidden), "NoEntry");
            fails(view.link(root, path, true, root, "rw/stolen"), "NoEntry");
        }
        assert_eq!(read(&view, "rw/to-ro").unwrap(), "kept");
        fails(write(&view, "rw/to-ro", "overwritten"), "NotPermitted");
        fails(view.set_executable(root, "rw/to-ro", true), "NotPermitted");
        fails(view.link(root, "rw/to-ro", true, root, "rw/stolen"), "NotPermitted");
        let paths = project.seal(view).record.writes;
        assert!(paths.iter().all(|path| path.starts_with("rw/")), "{paths:?}");
    });
}

/// Creating says that it is not permitted where reading says that nothing is there.
fn as_hidden(error: FsError) -> FsError {
    if matches!(error, FsError::NotPermitted) { FsError::NoEntry } else { error }
}

#[test]
fn renaming_needs_both_grants() {
    let files = [
        ("ro/f", "f"),
        ("rw/f", "f"),
        ("hidden/f", "f"),
        ("ro/d/x", ""),
        ("rw/d/x", ""),
        ("ro/l -> f", ""),
        ("rw/l -> f", ""),
    ];
    both(&files, |project| {
        let view = project.work(&["ro/**"], &["rw/**"]);
        let root = view.root();
        let table = [
            ("ro/f", "rw/new", "NotPermitted"),
            ("ro/l", "rw/new", "NotPermitted"),
            ("rw/l", "ro/new", "NotPermitted"),
            ("rw/l", "ro/l", "NotPermitted"),
            ("ro/d", "rw/new", "NotPermitted"),
            ("rw/f", "ro/new", "NotPermitted"),
            ("rw/f", "ro/f", "NotPermitted"),
            ("rw/d", "ro/new", "NotPermitted"),
            ("rw/f", "hidden/f", "NoEntry"),
            ("rw/f", "new", "NotPermitted"),
            ("hidden/f", "rw/new", "NoEntry"),
            ("hidden", "rw/new", "NoEntry"),
        ];
        for (old, new, answer) in table {
            fails(view.rename(root, old, root, new), answer);
        }
        assert!(project.seal(view).change_set.changes.is_empty());
    });
}

#[test]
fn what_nobody_gets_does_not_move() {
    let files = [("d/secret/", ""), ("d/f", ""), ("e/secret/x", "")];
    both(&files, |project| {
        let never = vec!["*/secret".parse().unwrap()];
        let grants = Grants { never, ..grants(&[], &["**"]) };
        let upper = project.dir.path().join("upper");
        let view = WorkView::new(&project.base(), &upper, grants, Quota::default()).unwrap();
        let root = view.root();
        fails(view.rename(root, "e", root, "new"), "NotPermitted");
        // Also where it is an empty directory.
        fails(view.rename(root, "d", root, "new"), "NotPermitted");
        view.mkdir(root, "made").unwrap();
        view.mkdir(root, "made/deep").unwrap();
        view.mkdir(root, "made/deep/secret").unwrap();
        fails(view.rename(root, "made/deep", root, "deep"), "NotPermitted");
        fails(view.mkdir(root, "made/secret"), "NotPermitted");
        fails(view.rmdir(root, "d/secret"), "NoEntry");
        assert!(reasons(&view).iter().all(|(_, reason)| *reason == DenialReason::Never));
    });
}

#[test]
fn a_directory_that_was_renamed_takes_no_newcomers_along() {
    both(&[("d/f", "f"), ("d/sub/f", "f")], |project| {
        let view = project.work(&[], &["d/f", "d/sub/f", "e/**"]);
        let root = view.root();
        view.rename(root, "d", root, "e").unwrap();
        // Somebody else puts something there that was never granted.
        project.add(&[("d/secret", "secret"), ("d/sub/secret", "secret"), ("d/new/x", "secret")]);
        assert_eq!(read(&view, "e/f").unwrap(), "f");
        for path in ["e/secret", "e/sub/secret", "e/new/x", "e/new"] {
            fails(view.stat(root, path, true), "NoEntry");
            fails(read(&view, path), "NoEntry");
        }
        assert_eq!(names(&view, "e"), ["f", "sub"]);
        assert_eq!(names(&view, "e/sub"), ["f"]);
        // Its own names it can make there.
        write(&view, "e/secret", "mine").unwrap();
        assert_eq!(names(&view, "e"), ["f", "secret", "sub"]);
        assert!(view.seal(&*project.store).is_err(), "what was not granted would have to go");
    });
}

#[test]
fn a_handle_that_reads_sets_no_times() {
    both(&[("ro/f", "f"), ("rw/f", "f")], |project| {
        let view = project.work(&["ro/**"], &["rw/**"]);
        let root = view.root();
        let then = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        for path in ["ro/f", "rw/f"] {
            let handle = file(view.open(root, path, true, OpenFlags::READ).unwrap());
            let before = handle.stat().unwrap();
            fails(handle.set_times(then, then), "NotPermitted");
            assert_eq!(handle.stat().unwrap(), before);
        }
        fails(view.set_times(root, "ro/f", true, then, then), "NotPermitted");
        fails(view.set_times(root, "ro", true, then, then), "NotPermitted");
        let Opened::Dir(ro) = view.open(root, "ro", true, OpenFlags::READ).unwrap() else {
            panic!()
        };
        fails(view.set_times_node(ro, then, then), "NotPermitted");
        file(view.open(root, "rw/f", true, WRITE).unwrap()).set_times(then, then).unwrap();
        assert_eq!(view.stat(root, "rw/f", true).unwrap().modified, then);
    });
}

#[test]
fn every_protected_pattern_protects() {
    let samples = [
        ("**/.git/**", "a/.git/config"),
        ("**/.git", "a/.git"),
        ("**/.idumb/**", "a/.idumb/state/journal.db"),
        ("**/.idumb", "a/.idumb"),
        ("idumb.toml", "idumb.toml"),
        (".github/workflows/**", ".github/workflows/ci.yml"),
        (".gitlab-ci.yml", ".gitlab-ci.yml"),
        ("**/.vscode/**", "a/.vscode/tasks.json"),
        ("**/.idea/**", ".idea/x.xml"),
        ("**/.envrc", "a/.envrc"),
        ("**/.env*", "a/.env.local"),
        ("**/.env*/**", ".env.d/token"),
        ("**/.npmrc", ".npmrc"),
        ("**/.ssh/**", ".ssh/id"),
        ("**/cachedir.tag", "a/CACHEDIR.TAG"),
    ];
    assert_eq!(samples.map(|(pattern, _)| pattern), PROTECTED, "a sample for each");
    for (_, path) in samples {
        both(&[("b/f", "f")], |project| {
            for present in [false, true] {
                if present {
                    project.add(&[(path, "secret")]);
                }
                let view = project.work(&["**"], &["**"]);
                let root = view.root();
                fails(read(&view, path), "NoEntry");
                fails(view.stat(root, path, false), "NoEntry");
                fails(view.observe(path), "NotPermitted");
                assert!(write(&view, path, "x").is_err(), "{path}");
                assert!(view.mkdir(root, path).is_err(), "{path}");
                assert!(view.rename(root, "b/f", root, path).is_err(), "{path}");
                assert!(view.symlink("x", root, path).is_err(), "{path}");
                assert!(project.seal(view).change_set.changes.is_empty(), "{path}");
            }
            let view = project.work(&["**", path], &[]);
            assert_eq!(read(&view, path).unwrap(), "secret");
            assert_eq!(view.stat(view.root(), path, false).unwrap().kind, Kind::File);
        });
    }
}
