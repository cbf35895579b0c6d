//! Files that are none of a guest's business.
//!
//! Invariant: what is not granted is not there, and each refused request is in the record.

use idumb_core::{Capability, DenialReason, Task, Trouble};
use idumb_sandbox::Broken;

use crate::world::{World, task};

/// A project with something to protect, and a secret beside it.
fn world() -> World {
    World::new(&[
        ("open.txt", "for everybody\n"),
        ("src/lib.rs", "pub mod lib;\n"),
        ("secret/notes.txt", "TOP SECRET\n"),
        (".env", "TOKEN=TOP SECRET\n"),
        (".git/config", "[remote] TOP SECRET\n"),
        ("idumb.toml", "# TOP SECRET\n"),
        (".idumb/state/journal.db", "TOP SECRET"),
        (".idumb/phases/1-test/plan.toml", "# TOP SECRET\n"),
        (".github/workflows/ci.yml", "# TOP SECRET\n"),
        ("dir/.env", "TOP SECRET\n"),
        ("dir/plain.txt", "plain\n"),
    ])
}

fn doing(what: &str, reads: &[&str], writes: &[&str], options: &[(&str, &str)]) -> Task {
    let options: Vec<_> = [("do", what)].iter().chain(options).copied().collect();
    task(reads, writes, &options)
}

/// Names that an agent which may read and write `**` does not get to, in many spellings.
const FORBIDDEN: &[&str] = &[
    ".env",
    ".ENV",
    "./.env",
    "src/../.env",
    "src//..//.env",
    ".git/config",
    "idumb.toml",
    ".idumb/state/journal.db",
    ".idumb/phases/1-test/plan.toml",
    ".github/workflows/ci.yml",
    ".github/workflows/new.yml",
    "dir/.env",
];

/// Spellings that lead out of the project.
const OUTSIDE: &[&str] =
    &["../outside.txt", "src/../../outside.txt", "src/../../project/open.txt", "./../outside.txt"];

#[test]
pub(crate) fn read_path() {
    let world = world();
    for path in FORBIDDEN {
        let attempt = world.misbehave(&doing("read_path", &["**"], &["**"], &[("path", path)]));
        assert_eq!(attempt.summary(), "read: NotFound; look: NotFound", "{path}");
        let denials = &attempt.record.denials;
        assert!(!denials.is_empty(), "{path}");
        for denial in denials {
            // Of the name itself, or of a protected folder above it.
            assert_eq!(denial.reason, DenialReason::Protected, "{path}: {denial:?}");
            assert_eq!(denial.capability, Capability::Read, "{path}: {denial:?}");
            assert!(path.ends_with(&denial.path) || path.starts_with(&denial.path), "{denial:?}");
        }
        attempt.assert_harmless(&world);
    }
    let ungranted = doing("read_path", &["src/**"], &[], &[("path", "open.txt")]);
    let attempt = world.misbehave(&ungranted);
    assert_eq!(attempt.summary(), "read: NotFound; look: NotFound");
    let denial = attempt.denial("open.txt");
    assert_eq!(denial.grant_line().as_deref(), Some(r#"reads = ["open.txt"]"#));
    let granted = doing("read_path", &["open.txt", "src/**"], &[], &[("path", "src/../open.txt")]);
    assert_eq!(world.misbehave(&granted).summary(), "read: for everybody\n; look: done");
}

#[test]
pub(crate) fn reading_outside_of_the_project_is_refused() {
    let world = world();
    for path in OUTSIDE {
        let attempt = world.misbehave(&doing("read_path", &["**"], &["**"], &[("path", path)]));
        assert!(!attempt.summary().contains("done"), "{path}: {}", attempt.summary());
        let denials = &attempt.record.denials;
        assert!(denials.iter().any(|denial| denial.reason == DenialReason::Escapes), "{denials:?}");
        attempt.assert_harmless(&world);
    }
}

#[test]
pub(crate) fn an_absolute_path_leads_nowhere() {
    let world = world();
    let real = world.project().join("open.txt");
    for path in ["/etc/passwd", "/proc/self/environ", real.to_str().unwrap()] {
        for what in ["read_path", "write_path"] {
            let attempt = world.misbehave(&doing(what, &["**"], &["**"], &[("path", path)]));
            assert!(!attempt.summary().contains("done"), "{path}: {}", attempt.summary());
            attempt.assert_harmless(&world);
        }
    }
}

#[test]
pub(crate) fn write_path() {
    let world = world();
    for path in FORBIDDEN {
        let attempt = world.misbehave(&doing("write_path", &["**"], &["**"], &[("path", path)]));
        let refused = attempt.summary().split("; ").filter(|part| !part.ends_with(": done"));
        let refused = refused.count();
        // The folder beside it, `….d`, may have an ordinary name.
        assert!(refused >= 3, "{path}: {}", attempt.summary());
        let changes = attempt.changes(&world);
        assert!(changes.paths().all(|changed| changed.ends_with(".d")), "{changes:?}");
    }
    for path in OUTSIDE {
        let attempt = world.misbehave(&doing("write_path", &["**"], &["**"], &[("path", path)]));
        assert!(!attempt.summary().contains("done"), "{path}: {}", attempt.summary());
        attempt.assert_harmless(&world);
    }
    let read_only = doing("write_path", &["open.txt"], &["src/**"], &[("path", "open.txt")]);
    let attempt = world.misbehave(&read_only);
    let denied = "append: PermissionDenied; truncate: PermissionDenied; \
                  write: PermissionDenied; mkdir: PermissionDenied";
    assert_eq!(attempt.summary(), denied);
    let denial = attempt.denial("open.txt");
    assert_eq!(denial.grant_line().as_deref(), Some(r#"writes = ["open.txt"]"#));
    attempt.assert_harmless(&world);
    let granted = doing("write_path", &[], &["src/**"], &[("path", "src/lib.rs")]);
    let changes = world.misbehave(&granted).changes(&world);
    assert_eq!(changes.paths().collect::<Vec<_>>(), ["src/lib.rs", "src/lib.rs.d"]);
}

#[test]
pub(crate) fn list_tree() {
    let world = world();
    let narrow = doing("list_tree", &["dir/plain.txt"], &["src/**"], &[]);
    let attempt = world.misbehave(&narrow);
    assert_eq!(attempt.summary(), "dir dir/plain.txt src src/lib.rs");
    attempt.assert_harmless(&world);
    let wide = doing("list_tree", &["**"], &[], &[]);
    let seen = world.misbehave(&wide).summary().to_owned();
    for hidden in [".env", ".git", "idumb.toml", ".idumb", "ci.yml"] {
        assert!(!seen.split([' ', '/']).any(|name| name == hidden), "{hidden} in {seen}");
    }
    assert!(seen.contains("secret/notes.txt"), "{seen}");
    let nothing = doing("list_tree", &[], &[], &[]);
    assert_eq!(world.misbehave(&nothing).summary(), "");
}

#[test]
pub(crate) fn look_around() {
    let world = world();
    let attempt = world.misbehave(&doing("look_around", &["**"], &["**"], &[]));
    assert_eq!(attempt.summary(), "arguments: 0; variables: 0; stdin: 0 bytes");
    attempt.assert_harmless(&world);
}

#[test]
pub(crate) fn plant_link() {
    let world = world();
    let targets = ["/etc", "/etc/passwd", "..", "../outside.txt", "../../..", ".env", ".git"];
    for target in targets.into_iter().chain(["secret/notes.txt", "src/../.env", "./.git"]) {
        let options = [("path", "out/link"), ("target", target)];
        let attempt = world.misbehave(&doing("plant_link", &["src/**"], &["out/**"], &options));
        let said = attempt.summary();
        assert!(!said.contains("SECRET") && !said.contains("root:"), "{target}: {said}");
        assert!(said.contains("write: ") && !said.contains("write: done"), "{target}: {said}");
        assert!(!said.contains("below: done"), "{target}: {said}");
    }
}

#[test]
pub(crate) fn a_planted_link_reaches_the_project_as_a_link_at_most() {
    let world = world();
    world.put("out/keep", "");
    let options = [("path", "out/link"), ("target", "../secret/notes.txt")];
    let attempt = world.misbehave(&doing("plant_link", &["src/**"], &["out/**"], &options));
    assert!(!attempt.summary().contains("SECRET"), "{}", attempt.summary());
    let changes = attempt.changes(&world);
    assert!(changes.paths().all(|path| path == "out/link"), "{changes:?}");
}

#[test]
pub(crate) fn hard_link() {
    let world = world();
    for from in ["open.txt", "secret/notes.txt", ".env", "../outside.txt"] {
        let options = [("from", from), ("path", "out/name")];
        let attempt = world.misbehave(&doing("hard_link", &["open.txt"], &["out/**"], &options));
        assert!(!attempt.summary().contains("done"), "{from}: {}", attempt.summary());
        attempt.assert_harmless(&world);
    }
}

#[test]
pub(crate) fn rename_path() {
    let world = world();
    let moves = [
        ("dir", "out"),
        ("open.txt", ".env"),
        ("open.txt", ".git/hooks/post-checkout"),
        (".git/config", "out.txt"),
        ("src", "../src"),
        ("../outside.txt", "in.txt"),
    ];
    for (from, path) in moves {
        let options = [("from", from), ("path", path)];
        let attempt = world.misbehave(&doing("rename_path", &["**"], &["**"], &options));
        assert!(!attempt.summary().contains("done"), "{from} → {path}: {}", attempt.summary());
        attempt.assert_harmless(&world);
    }
}

#[test]
pub(crate) fn trap_in_mid_write() {
    let world = world();
    let options = [("path", "src/lib.rs")];
    let attempt = world.misbehave(&doing("trap_in_mid_write", &[], &["src/**"], &options));
    let Err(Broken::Trouble(Trouble::Trap { message })) = &attempt.ended.result else {
        panic!("{:?}", attempt.ended.result);
    };
    assert!(message.contains("aborted"), "{message}");
    let said = attempt.ended.log.iter().any(|line| line.message.contains("is written"));
    assert!(said, "{:?}", attempt.ended.log);
    let still = world.misbehave(&doing("read_path", &["src/**"], &[], &[("path", "src/lib.rs")]));
    assert_eq!(still.summary(), "read: pub mod lib;\n; look: done", "half of it was kept");
}
