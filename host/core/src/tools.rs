//! Files that the tools of a project run, or take orders from.
//!
//! Invariant: a list for people's attention, not a guard: what is in it may be granted as any
//! path, and a tool that is not in it still runs what it finds.

use std::sync::LazyLock;

use crate::PathGlob;

/// What of a project a tool runs or obeys without being told to: pattern and tool.
const RUN_BY: &[(&str, &str)] = &[
    ("**/build.rs", "cargo"),
    ("**/.cargo/**", "cargo"),
    ("**/rust-toolchain", "rustup"),
    ("**/rust-toolchain.toml", "rustup"),
    ("**/conftest.py", "pytest"),
    ("**/pytest.ini", "pytest"),
    ("**/setup.py", "pip"),
    ("**/setup.cfg", "pip"),
    ("**/pyproject.toml", "pip"),
    ("**/tox.ini", "tox"),
    ("**/noxfile.py", "nox"),
    ("**/sitecustomize.py", "python"),
    ("**/package.json", "npm"),
    ("**/.yarnrc.yml", "yarn"),
    ("**/.pnpmfile.cjs", "pnpm"),
    ("**/*.config.js", "node"),
    ("**/*.config.cjs", "node"),
    ("**/*.config.mjs", "node"),
    ("**/*.config.ts", "node"),
    ("**/Makefile", "make"),
    ("**/makefile", "make"),
    ("**/GNUmakefile", "make"),
    ("**/CMakeLists.txt", "cmake"),
    ("**/justfile", "just"),
    ("**/Taskfile.yml", "task"),
    ("**/build.gradle", "gradle"),
    ("**/build.gradle.kts", "gradle"),
    ("**/pom.xml", "maven"),
    ("**/Rakefile", "rake"),
    ("**/Gemfile", "bundler"),
    ("**/Dockerfile", "docker"),
    ("**/.pre-commit-config.yaml", "pre-commit"),
    ("**/.husky/**", "git"),
    ("**/.githooks/**", "git"),
    ("**/.gitattributes", "git"),
    ("**/.gitmodules", "git"),
];

/// Which tool runs or obeys the file at `path`, if one is known to.
///
/// ```
/// use idumb_core::run_by;
/// assert_eq!(run_by("build.rs"), Some("cargo"));
/// assert_eq!(run_by("crates/a/.cargo/config.toml"), Some("cargo"));
/// assert_eq!(run_by("src/build.rs.txt"), None);
/// ```
pub fn run_by(path: &str) -> Option<&'static str> {
    static GLOBS: LazyLock<Vec<(PathGlob, &str)>> = LazyLock::new(|| {
        let parsed = RUN_BY.iter().map(|(glob, tool)| Some((glob.parse().ok()?, *tool)));
        parsed.flatten().collect()
    });
    GLOBS.iter().find(|(glob, _)| glob.matches(path)).map(|(_, tool)| *tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_one_and_finds_what_it_names() {
        for (glob, tool) in RUN_BY {
            let parsed: PathGlob = glob.parse().unwrap_or_else(|_| panic!("{glob}"));
            let example = glob.replace("**/", "a/").replace("/**", "/b").replace('*', "c");
            assert!(parsed.matches(&example), "{glob}: {example}");
            assert_eq!(run_by(&example), Some(*tool), "{example}");
        }
    }
}
