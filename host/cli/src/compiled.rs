//! How agents are compiled, and where compiled ones are kept between processes.
//!
//! Invariant: never inside the project, nor around it: what lies there runs as the host, and
//! the project is what agents change. Without such a place agents are compiled each time.

use std::path::{Path, PathBuf};

use idumb_core::ResourceLimits;
use idumb_overlay::Quota;
use idumb_sandbox::{Cache, CompileLimits, Compiler, CompilerProcess, Limits, Options};

use crate::apart::apart;
use crate::home::{COMPONENTS, Place};

/// The command of this program that compiles one component; not for people.
pub(crate) const COMPILE: &str = "compile-component";

/// How the sandbox is to be for `calls` at once on the files in `roots`.
pub(crate) fn options(limits: &idumb_plan::Limits, calls: u32, roots: &[&Path]) -> Options {
    let usual = CompileLimits::default();
    let process = CompilerProcess {
        program: this_program(),
        args: vec![COMPILE.into()],
        limits: CompileLimits {
            memory: limits.compile_memory.unwrap_or(usual.memory),
            time: limits.compile_time.unwrap_or(usual.time),
        },
    };
    Options {
        limits: Limits::default().with(&limits.agent),
        calls,
        cache: cache(roots),
        compiler: Compiler::Apart(process),
        on_demand: false,
    }
}

/// What agents may use where nobody says anything.
pub(crate) fn usual_limits() -> idumb_plan::Limits {
    let (usual, files, compiling) = (Limits::default(), Quota::default(), CompileLimits::default());
    let count = |number: usize| u64::try_from(number).ok();
    let agent = ResourceLimits {
        memory: count(usual.memory),
        table_elements: count(usual.table_elements),
        instances: count(usual.instances),
        handles: count(usual.handles),
        cpu_ms: usual.cpu.map(crate::clock::millis),
        host_call: count(usual.host_call_bytes),
        random: Some(usual.random_bytes),
        log_lines: count(usual.log_lines),
        log_line: count(usual.log_line_bytes),
        questions: count(usual.questions),
        commands: count(usual.commands),
        open_files: Some(files.open_files),
        files: Some(files.files),
        written: Some(files.bytes),
    };
    idumb_plan::Limits {
        agent,
        host_memory: None,
        compile_memory: Some(compiling.memory),
        compile_time: Some(compiling.time),
    }
}

/// This very program, even if its file was replaced since it began.
fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return PathBuf::from("/proc/self/exe");
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("idumb"))
}

/// The cache for components that work on the files in `roots`, if there is a place for it.
///
/// Why a folder that the user named cannot be used is told; about the usual one there is
/// nothing to be done, so nothing is said.
fn cache(roots: &[&Path]) -> Option<Cache> {
    let place = Place::here(COMPONENTS)?;
    match open(&place.folder, roots) {
        Ok(cache) => Some(cache),
        Err(why) if place.named => {
            crate::tell(&format!(
                "idumb: compiled agents are not kept, see {}: {why}",
                COMPONENTS.variable
            ));
            None
        }
        Err(_) => None,
    }
}

/// Where the cache is or would be; `None`: nowhere.
pub(crate) fn place(roots: &[&Path]) -> Result<Option<PathBuf>, String> {
    let Some(place) = Place::here(COMPONENTS) else { return Ok(None) };
    open(&place.folder, roots).map(|_| Some(place.folder))
}

fn open(folder: &Path, roots: &[&Path]) -> Result<Cache, String> {
    let place = apart(folder, roots)?;
    Cache::open(&place).map_err(|unusable| unusable.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn project() -> (TempDir, PathBuf, PathBuf) {
        let folder = TempDir::new().unwrap();
        let here = folder.path().canonicalize().unwrap();
        let root = here.join("around/project");
        fs::create_dir_all(root.join("src")).unwrap();
        (folder, here, root)
    }

    #[test]
    fn a_folder_apart_is_made_and_used() {
        let (_folder, here, root) = project();
        for apart in ["new/cache", "around/cache", "around/project-cache"] {
            open(&here.join(apart), &[&root]).unwrap();
            assert!(here.join(apart).is_dir());
        }
    }

    #[test]
    fn a_folder_in_the_project_or_around_it_is_not_even_made() {
        let (_folder, here, root) = project();
        symlink(&root, here.join("link")).unwrap();
        fs::create_dir(here.join("beside")).unwrap();
        let folders = [
            root.clone(),
            root.join("cache"),
            root.join("src/deep/cache"),
            root.join("../project/cache"),
            here.join("around"),
            here.join("around/"),
            here.join("link/cache"),
            here.join("link/src/../cache"),
            here.join("beside/../around/project/cache"),
        ];
        for folder in folders {
            let why = open(&folder, &[&root]).unwrap_err();
            assert!(why.contains("not apart from"), "{folder:?}: {why}");
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        // The project may be named by a link, too.
        assert!(open(&root.join("cache"), &[&here.join("link")]).is_err());
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let (_folder, here, root) = project();
        symlink(root.join("cache"), here.join("dangling")).unwrap();
        let apart = here.join("apart");
        open(&apart, &[&root]).unwrap();
        symlink(&apart, here.join("link")).unwrap();
        for folder in ["dangling", "dangling/cache", "link", "link/", "missing/../cache", ".."] {
            assert!(open(&here.join(folder), &[&root]).is_err(), "{folder}");
        }
        assert!(!root.join("cache").exists(), "it was made through a link");
    }
}
