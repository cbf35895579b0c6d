//! A Rust project, tested by `cargo test`: its build script is hostile.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::tests;
use crate::victim::{Victim, Who, link_or_copy, link_or_copy_all, plan};

const FILE: &str = "src/lib.rs";
const GOOD: &str =
    "pub fn slug(title: &str) -> String {\n    title.to_lowercase().replace(' ', \"-\")\n}\n";
const BAD: &str =
    "pub fn slug(title: &str) -> String {\n    title.to_lowercase().replace(' ', \"_\")\n}\n";

/// Where this toolchain is: not rustup's stand-ins, which need more of the machine.
fn toolchain() -> PathBuf {
    let printed = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    PathBuf::from(String::from_utf8(printed.stdout).unwrap().trim())
}

/// What of a toolchain compiles for this machine, where everybody may read it.
fn link_toolchain(from: &Path, to: &Path) {
    let printed = Command::new("rustc").args(["--print", "host-tuple"]).output().unwrap();
    let host = String::from_utf8(printed.stdout).unwrap();
    for folder in ["bin", &format!("lib/rustlib/{}", host.trim())] {
        link_or_copy_all(&from.join(folder), &to.join(folder));
    }
    for entry in std::fs::read_dir(from.join("lib")).unwrap().flatten() {
        if entry.path().is_file() {
            link_or_copy(&entry.path(), &to.join("lib").join(entry.file_name()));
        }
    }
}

/// The build script as a program, where everybody may run it.
fn build_script() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    std::fs::set_permissions(room.path(), Permissions::from_mode(0o755)).unwrap();
    let mut compile = Command::new("rustc");
    compile.args(["--edition=2024", "-o"]).arg(room.path().join("it"));
    compile.arg(tests().join("projects/rust/build.rs"));
    assert!(compile.status().unwrap().success());
    room
}

fn config(toolchain: &Path) -> String {
    format!(
        "[commands.test]\nrun = [\"cargo\", \"test\", \"--offline\"]\nreport = \"cargo\"\n\
         read_only = [{toolchain:?}]\nbins = [{:?}]\n",
        toolchain.join("bin")
    )
}

fn victim(who: Who) -> Victim {
    let victim = Victim::new(who, "rust", "");
    let mut toolchain = toolchain();
    if who == Who::Normal {
        let to = victim.tool("toolchain");
        link_toolchain(&toolchain, &to);
        toolchain = to;
    }
    victim.configure(&config(&toolchain));
    victim
}

#[test]
fn a_rust_project_is_tested_and_its_build_script_reaches_nothing() {
    let script = build_script();
    for who in Who::all() {
        // It speaks to cargo.
        let mut attack = Command::new("sh");
        attack.args(["-c", "exec \"$0\" >&2 2>/dev/null"]).arg(script.path().join("it"));
        Victim::new(who, "rust", "").assert_reached_by(attack);

        let victim = victim(who);
        victim.assert_is_tested(FILE, (BAD, GOOD), 3, "1 test failed: has_hyphens_for_spaces");
    }
}

/// A test that prints a sum past the runner. What cannot be told from the truth is code under test
/// that prints what the runner would and exits with 0.
#[test]
fn a_test_that_prints_a_sum_does_not_make_others_pass() {
    const SUM: &str = "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
                       finished in 0.00s";
    let victim = victim(Who::Tests);
    victim.put("build.rs", "fn main() {}\n");
    for (prints, work, why) in [
        (format!("running 5 tests\\n{SUM}"), BAD, "exited with status 101"),
        (SUM.to_owned(), GOOD, "its tests cannot be counted"),
    ] {
        let code = format!(
            "use std::io::Write as _;\n#[test]\nfn prints() {{\n    \
             writeln!(std::io::stdout(), \"\\n{prints}\").unwrap();\n}}\n#[test]\nfn slugs() {{\n    \
             assert_eq!(slug::slug(\"a b\"), \"a-b\");\n}}\n"
        );
        victim.put("tests/slug.rs", &code);
        let text = victim.executes(&plan(FILE, work, 2), &["--restart"], 14);
        assert!(text.contains(why), "{prints}: {text}");
    }
}
