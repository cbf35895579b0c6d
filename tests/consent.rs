//! Consent where nobody can be asked: flags, a user's own file, and what is no consent.
//!
//! Invariant: without a consent nothing runs, and what was refused is told with what would allow
//! it. What a person is asked at a terminal is tested in `terminal/consents.rs`.

#[path = "support/project.rs"]
mod project;
mod support;

use std::path::PathBuf;
use std::process::Output;

use idumb_core::Digest;

use project::Project;
use support::told;

const PLAN: &str = r#"
phase = 1
goal = "See who may."

[[tasks]]
id = "P1-T1"
title = "Write"
agent = "evil"
writes = ["out/**"]
options = { do = "write_path", path = "out/new.txt" }
accept = [{ exists = "out/new.txt" }]
"#;

/// A project whose user has allowed nothing yet.
struct Stranger {
    project: Project,
    settings: PathBuf,
}

impl Stranger {
    fn new() -> Self {
        let project = Project::with(PLAN, "");
        project.put("out/keep.txt", "");
        let settings = project.temporary.path().join("settings");
        Self { project, settings }
    }

    fn idumb(&self, args: &[&str]) -> Output {
        let mut command = self.project.command(args);
        command.env("IDUMB_CONFIG_DIR", &self.settings).output().unwrap()
    }

    fn runs(&self, args: &[&str]) -> Output {
        self.idumb(&[&["execute-phase", "1", "--mode=auto", "--restart"], args].concat())
    }

    #[track_caller]
    fn refused(&self, args: &[&str], exit: i32, texts: &[&str]) {
        let output = self.runs(args);
        assert_eq!(output.status.code(), Some(exit), "{}", told(&output));
        let text = told(&output);
        assert!(texts.iter().all(|wanted| text.contains(wanted)), "{texts:?}: {text}");
        assert!(!self.project.folder().join("out/new.txt").exists());
        assert!(self.project.events(&[]).is_empty(), "no run was begun");
    }

    /// Lets the file with these bytes do what the plan says, in the user's own file.
    fn allow(&self, lines: &str) {
        let digest = Digest::of(idumb_test_guests::MISBEHAVING_BUILDER);
        let text = format!("[[grant]]\nagent = \"evil\"\ndigest = \"{digest}\"\n{lines}");
        std::fs::create_dir_all(&self.settings).unwrap();
        std::fs::write(self.settings.join("grants.toml"), text).unwrap();
    }
}

fn digest() -> String {
    Digest::of(idumb_test_guests::MISBEHAVING_BUILDER).to_string()
}

#[test]
fn without_a_consent_nothing_runs_and_what_would_allow_it_is_told() {
    let stranger = Stranger::new();
    let flag = format!("--grant evil={}", digest());
    let says = ["agent `evil`", "asks to write `out/**`", &flag, "--dry-run"];
    stranger.refused(&[], 21, &says);
    stranger.refused(&["--format=jsonl"], 21, &["\"kind\":\"error\"", "asks to write `out/**`"]);
    let shown = stranger.idumb(&["execute-phase", "--dry-run"]);
    assert!(told(&shown).contains("not allowed yet"), "{}", told(&shown));
    let shown = stranger.idumb(&["execute-phase", "--dry-run", "--grant=evil"]);
    assert!(told(&shown).contains("allowed by --grant"), "{}", told(&shown));
    let checked = stranger.idumb(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", told(&checked));
    assert!(told(&checked).contains("note: a run asks you first"), "{}", told(&checked));
}

#[test]
fn a_flag_allows_an_agent_or_one_file_only() {
    let stranger = Stranger::new();
    let other = format!("--grant=evil={}", Digest::of(b"another"));
    stranger.refused(&[&other], 21, &["has the digest", &digest()]);
    stranger.refused(&["--grant=evli"], 2, &["did you mean `evil`?"]);
    stranger.refused(&["--grant=evil=blake3:12"], 2, &["with the whole digest"]);
    let output = stranger.runs(&[&format!("--grant=evil={}", digest())]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let log = told(&stranger.idumb(&["log", "--grants"]));
    assert!(log.contains("by --grant: reads nothing; writes out/**"), "{log}");
    let output = stranger.runs(&["--grant", "evil"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    // A flag is for one start.
    let output = stranger.runs(&[]);
    assert_eq!(output.status.code(), Some(21), "{}", told(&output));
}

#[test]
fn a_users_own_file_allows_what_it_says_where_it_says() {
    let stranger = Stranger::new();
    let project = stranger.project.folder();
    let project = project.canonicalize().unwrap();
    let here = format!("project = {:?}\n", project.to_str().unwrap());
    stranger.allow("project = \"/elsewhere\"\nwrites = [\"out/**\"]\n");
    stranger.refused(&[], 21, &["asks to write `out/**`"]);
    stranger.allow(&format!("{here}writes = [\"out/new.txt\"]\n"));
    stranger.refused(&[], 21, &["asks to write `out/**`"]);
    stranger.allow(&format!("{here}run = \"phase-1-r7\"\nwrites = [\"**\"]\n"));
    stranger.refused(&[], 21, &["asks to write `out/**`"]);
    for lines in [format!("{here}writes = [\"out/**\"]\n"), "writes = [\"**\"]\n".to_owned()] {
        stranger.allow(&lines);
        let output = stranger.runs(&[]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
}

#[test]
fn no_file_of_the_project_consents() {
    let mut stranger = Stranger::new();
    // The user's settings would be in the project itself: what lies there says nothing.
    stranger.settings = stranger.project.folder().join("settings");
    stranger.allow("writes = [\"**\"]\n");
    stranger.refused(&[], 21, &["does not count", "not apart from"]);
    // Nor by a link to it.
    let link = stranger.project.temporary.path().join("link");
    std::os::unix::fs::symlink(&stranger.settings, &link).unwrap();
    stranger.settings = link;
    stranger.refused(&[], 21, &["does not count"]);
    let apart = stranger.project.temporary.path().join("apart");
    std::fs::create_dir(&apart).unwrap();
    let inside = stranger.project.folder().join("settings/grants.toml");
    std::os::unix::fs::symlink(inside, apart.join("grants.toml")).unwrap();
    stranger.settings = apart;
    stranger.refused(&[], 21, &["does not count"]);
}

#[test]
fn what_is_kept_is_listed_and_revoked() {
    let stranger = Stranger::new();
    let none = stranger.idumb(&["grants", "list"]);
    assert!(none.status.success() && told(&none).contains("nothing is kept"), "{}", told(&none));
    stranger.allow("writes = [\"out/**\"]\nreads = [\"src/**\"]\n");
    let listed = told(&stranger.idumb(&["grants", "list"]));
    for text in ["evil", "in every project", "may write out/**", "may read  src/**", &digest()] {
        assert!(listed.contains(text), "{text}: {listed}");
    }
    let listed = stranger.idumb(&["grants", "list", "--format=json"]).stdout;
    let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap();
    let head = (&listed["format"], &listed["version"]);
    assert_eq!(head, (&"idumb-grants".into(), &1.into()));
    assert_eq!(listed["items"][0]["writes"][0], "out/**");
    let slip = stranger.idumb(&["grants", "revoke", "evli"]);
    assert_eq!(slip.status.code(), Some(2), "{}", told(&slip));
    assert!(told(&slip).contains("did you mean `evil`?"), "{}", told(&slip));
    let begins = &digest()["blake3:".len()..][..8].to_owned();
    let revoked = stranger.idumb(&["grants", "revoke", begins]);
    assert!(told(&revoked).contains("revoked: evil"), "{}", told(&revoked));
    stranger.refused(&[], 21, &["asks to write"]);
    stranger.allow("writes = [\"out/**\"]\n");
    assert!(stranger.idumb(&["grants", "revoke", "--all"]).status.success());
    stranger.refused(&[], 21, &["asks to write"]);
}

#[test]
fn verifying_asks_for_the_agents_that_verify_alone() {
    let stranger = Stranger::new();
    assert!(stranger.runs(&["--grant=evil"]).status.success());
    let verified = stranger.idumb(&["verify-work"]);
    assert_eq!(verified.status.code(), Some(0), "{}", told(&verified));
}

#[test]
fn a_copy_is_run_by_the_consent_for_the_project() {
    let stranger = Stranger::new();
    let project = stranger.project.folder().canonicalize().unwrap();
    let here = format!("project = {:?}\nwrites = [\"out/**\"]\n", project.to_str().unwrap());
    stranger.allow(&here);
    for how in ["--rehearse", "--scratch"] {
        let output = stranger.runs(&[how]);
        assert_eq!(output.status.code(), Some(0), "{how}: {}", told(&output));
    }
}
