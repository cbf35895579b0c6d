//! For build scripts: builds crates of this workspace for `wasm32-wasip2`, and leaves the
//! components in `OUT_DIR`.
//!
//! Invariant: the bytes follow from the sources, `Cargo.lock` and the toolchain alone: not
//! from where checkout, target directory or Cargo's home lie, nor from how the outer build
//! was asked for. `.ci/same-bytes` holds this to account.

#![expect(clippy::print_stdout, reason = "a build script tells Cargo on standard output")]

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const TARGET: &str = "wasm32-wasip2";

/// The profile in the root manifest that is meant for guests.
const PROFILE: &str = "guest";

/// What a build script wants built.
#[derive(Debug, Clone, Copy)]
pub struct Guests {
    /// The folder that the guests' folders are in, relative to the workspace's root.
    pub folder: &'static str,
    /// The folder of each guest: `x` holds the package `idumb-x`, and becomes `x.wasm`.
    pub names: &'static [&'static str],
    /// The folders of the crates that go into them, relative to the workspace's root.
    pub libraries: &'static [&'static str],
}

impl Guests {
    /// Builds them; to be returned by the `main` of a build script whose crate lies two
    /// folders below the workspace's root.
    pub fn build(self) -> ExitCode {
        let Err(error) = require_target().and_then(|()| self.try_build()) else {
            return ExitCode::SUCCESS;
        };
        println!("cargo::error={error}");
        match error {
            // That line says all; a build script that fails has Cargo show everything it printed.
            Trouble::NoTarget => ExitCode::SUCCESS,
            Trouble::Other(_) => ExitCode::FAILURE,
        }
    }

    fn try_build(self) -> Result<(), Trouble> {
        let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
        let root = here.ancestors().nth(2).ok_or("this crate is not two folders below the root")?;
        let out = PathBuf::from(variable("OUT_DIR")?);
        self.watch(root);
        // `target/<profile>/build/<package>/out`: one folder for all guests and profiles, so that
        // clippy, tests and releases build them once between them.
        let target_dir = out.ancestors().nth(4).unwrap_or(&out).join("guests");
        self.run_cargo(root, &target_dir)?;
        for name in self.names {
            let built = format!("idumb_{}.wasm", name.replace('-', "_"));
            let built = target_dir.join(TARGET).join(PROFILE).join(built);
            let kept = out.join(format!("{name}.wasm"));
            fs::copy(&built, &kept).map_err(|error| format!("{}: {error}", built.display()))?;
        }
        Ok(())
    }

    /// Has Cargo run this again when, and only when, something changes that goes into a guest.
    fn watch(self, root: &Path) {
        let guests = self.names.iter().map(|name| format!("{}/{name}", self.folder));
        let crates = guests.chain(self.libraries.iter().map(|folder| (*folder).to_owned()));
        let parts =
            crates.flat_map(|folder| [format!("{folder}/src"), format!("{folder}/Cargo.toml")]);
        let shared = ["wit", "Cargo.toml", "Cargo.lock"].map(str::to_owned);
        for path in parts.chain(shared) {
            println!("cargo::rerun-if-changed={}", root.join(path).display());
        }
    }

    fn run_cargo(self, root: &Path, target_dir: &Path) -> Result<(), Box<dyn Error>> {
        let mut cargo = Command::new(variable("CARGO")?);
        // A target directory of its own: the outer Cargo holds the lock of the other one.
        cargo.args(["build", "--locked", "--target", TARGET, "--profile", PROFILE, "--target-dir"]);
        cargo.arg(target_dir);
        for name in self.names {
            cargo.args(["--package", &format!("idumb-{name}")]);
        }
        cargo.current_dir(root).stdin(Stdio::null()).stdout(Stdio::null());
        for (name, _) in env::vars_os() {
            if is_of_outer_build(&name.to_string_lossy()) {
                cargo.env_remove(name);
            }
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped(root, target_dir)?);
        // These would come from a user's configuration file too; what is set here wins.
        cargo.env("CARGO_BUILD_BUILD_DIR", target_dir);
        cargo.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
        let status = cargo.status()?;
        if !status.success() {
            return Err(format!("the guests could not be built for {TARGET}: {status}").into());
        }
        Ok(())
    }
}

/// Why there are no guests.
enum Trouble {
    NoTarget,
    Other(Box<dyn Error>),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTarget => {
                write!(f, "the target {TARGET} is not installed: run `rustup target add {TARGET}`")
            }
            Self::Other(error) => write!(f, "{error}"),
        }
    }
}

impl<E: Into<Box<dyn Error>>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("Cargo did not set {name}"))
}

/// Fails with what to do, rather than with the first crate that finds no `core`.
fn require_target() -> Result<(), Trouble> {
    let libraries = rustc(&["--print", "target-libdir", "--target", TARGET])?;
    if Path::new(libraries.trim()).is_dir() { Ok(()) } else { Err(Trouble::NoTarget) }
}

/// What rustc prints.
fn rustc(args: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?).args(args).output()?;
    if !output.status.success() {
        return Err(format!("rustc {} failed: {}", args.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a variable says how the outer build goes, which is no matter of the guests.
fn is_of_outer_build(name: &str) -> bool {
    // How to reach a registry, how to share processors, and which toolchain it is.
    let kept_families = ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "RUSTUP_"];
    let kept = ["CARGO_HOME", "CARGO_MAKEFLAGS", "RUSTC"];
    if kept.contains(&name) || kept_families.iter().any(|family| name.starts_with(family)) {
        return false;
    }
    let families = ["CARGO", "__CARGO", "RUST", "CLIPPY", "DEP_", "WIT_BINDGEN_"];
    let single = ["OUT_DIR", "TARGET", "HOST", "NUM_JOBS", "OPT_LEVEL", "PROFILE", "DEBUG"];
    single.contains(&name) || families.iter().any(|family| name.starts_with(family))
}

/// Flags that replace every path of this machine by a word. The last one that fits wins.
///
/// Cargo leaves `RUSTFLAGS` out of the metadata that names symbols, so the paths in the
/// flags themselves leave no trace.
fn remapped(root: &Path, target_dir: &Path) -> Result<OsString, Box<dyn Error>> {
    let home = env::home_dir().map(|home| home.join(".cargo"));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let sysroot = rustc(&["--print", "sysroot"])?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    let version = rustc(&["--version", "--verbose"])?;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));

    let mut words = vec![(root.to_owned(), "/idumb".to_owned())];
    words.extend(cargo_home.map(|path| (path, "/cargo".to_owned())));
    words.push((target_dir.to_owned(), "/target".to_owned()));
    // With the component rust-src, the standard library's generic code names its real place.
    words.extend(commit.map(|commit| (library, format!("/rustc/{commit}"))));

    let mut flags = OsString::new();
    for (path, word) in words {
        let real = path.canonicalize().ok().filter(|real| *real != path);
        for path in [Some(path), real].into_iter().flatten() {
            if !flags.is_empty() {
                flags.push("\u{1f}");
            }
            flags.push("--remap-path-prefix=");
            flags.push(path);
            flags.push("=");
            flags.push(&word);
        }
    }
    Ok(flags)
}
