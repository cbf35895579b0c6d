//! `idumb doctor`: what this machine can and cannot do for idumb, each with its fix.
//!
//! Invariant: only looks; what it finds missing makes something slower or absent, and it says what.

mod config;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use idumb_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::args::{Doctor, Format};
use crate::columns;
use crate::compiled;
use crate::fault::{DONE, USAGE};
use crate::native;
use crate::output;
use crate::project::Project;
use crate::report::Paint;

/// What was found about one thing.
struct Found {
    what: &'static str,
    /// As it should be; else what to do.
    verdict: Result<String, (Severity, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// idumb does without it.
    Lacks,
    /// Nothing runs like this.
    Broken,
}

/// Looks at the machine, and at the project if there is one; answers the exit status.
pub(crate) fn doctor(project: Option<&Path>, args: &Doctor) -> Result<u8> {
    if args.config {
        let told = config::told(project, args.output.format)?;
        std::io::stdout().lock().write_all(told.as_bytes())?;
        return Ok(DONE);
    }
    let root = Project::open(project);
    let found = [engine(), cache(root.as_ref().ok()), kernel(), commands(&root), state(&root)];
    let out = match args.output.format {
        Format::Text => columns::fit(&text(&found)),
        Format::Json | Format::Jsonl => {
            let found: Vec<Value> = found.iter().map(Found::as_json).collect();
            let version = env!("CARGO_PKG_VERSION");
            output::object("doctor", json!({ "idumb": version, "found": found }))
        }
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    let broken = found.iter().any(|found| matches!(found.verdict, Err((Severity::Broken, _))));
    Ok(if broken { USAGE } else { DONE })
}

impl Found {
    fn as_json(&self) -> Value {
        let (verdict, text) = match &self.verdict {
            Ok(text) => ("ok", text),
            Err((Severity::Lacks, text)) => ("lacks", text),
            Err((Severity::Broken, text)) => ("broken", text),
        };
        json!({ "what": self.what, "verdict": verdict, "text": text })
    }
}

fn text(found: &[Found]) -> String {
    let paint = Paint::for_stream(&std::io::stdout());
    let mut out = format!("idumb {}\n", env!("CARGO_PKG_VERSION"));
    for Found { what, verdict } in found {
        let _ = match verdict {
            Ok(text) => writeln!(out, "  {} {what}: {text}", paint.good("✓")),
            Err((Severity::Lacks, text)) => writeln!(out, "  {} {what}: {text}", paint.odd("-")),
            Err((Severity::Broken, text)) => writeln!(out, "  {} {what}: {text}", paint.bad("✗")),
        };
    }
    out
}

fn engine() -> Found {
    let verdict = match Sandbox::with(Options::default()) {
        Ok(sandbox) if sandbox.is_pooled() => {
            Ok("runs, with room for calls made in advance".to_owned())
        }
        Ok(_) => Err((
            Severity::Lacks,
            "runs, but there is no address space for room in advance, so calls are slower; raise \
             `ulimit -v`"
                .to_owned(),
        )),
        Err(refused) => Err((Severity::Broken, refused.to_string())),
    };
    Found { what: "WebAssembly", verdict }
}

fn cache(project: Option<&Project>) -> Found {
    let roots: Vec<&Path> = project.iter().map(|project| project.root.as_path()).collect();
    let verdict = match compiled::place(&roots) {
        Ok(Some(folder)) => Ok(folder.display().to_string()),
        Ok(None) => Err((
            Severity::Lacks,
            "none, so agents are compiled each time; set IDUMB_CACHE_DIR, XDG_CACHE_HOME or HOME"
                .to_owned(),
        )),
        Err(why) => {
            let text = format!("{why}; agents are compiled each time; see IDUMB_CACHE_DIR");
            Err((Severity::Lacks, text))
        }
    };
    Found { what: "compiled agents", verdict }
}

/// What the overlay and the sandbox use of new kernels.
fn kernel() -> Found {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let verdict = match version {
        (0..5, _) | (5, 0..6) => Err((
            Severity::Lacks,
            format!(
                "{release}: no openat2, so each path takes more system calls (Linux 5.6 has it)"
            ),
        )),
        (5, _) | (6, 0..7) => Err((
            Severity::Lacks,
            format!("{release}: no PAGEMAP_SCAN, so calls of agents are slower (Linux 6.7 has it)"),
        )),
        _ => Ok(release),
    };
    Found { what: "kernel", verdict }
}

/// Whether native commands can be confined: one that does nothing is run.
fn commands(project: &Result<Project>) -> Found {
    let lacks = |why: String| Err((Severity::Lacks, format!("none can be run: {why}")));
    let verdict = match tempfile::tempdir() {
        Err(error) => lacks(error.to_string()),
        Ok(tree) => {
            // Without a project, on layers over nothing.
            let root = project.as_ref().map_or(tree.path(), |project| project.root.as_path());
            match native::walls(std::iter::empty(), root, tree.path(), &[]) {
                Ok(walls) => {
                    let trees = match &walls.layers {
                        Ok(_) => "laid over the project".to_owned(),
                        Err(why) => format!("copied, which takes longer ({why})"),
                    };
                    let confined = native::words(walls.confinement.level());
                    Ok(format!("confined by {confined}; their trees are {trees}"))
                }
                Err(why) => lacks(why),
            }
        }
    };
    Found { what: "native commands", verdict }
}

/// The project and its state.
fn state(project: &Result<Project>) -> Found {
    let what = "project";
    let project = match project {
        Ok(project) => project,
        Err(error) => {
            let text = format!("{}; make one: idumb init", crate::fault::told(error));
            return Found { what, verdict: Err((Severity::Lacks, text)) };
        }
    };
    let root = project.root.display();
    let broken = |why: String| Err((Severity::Broken, format!("{root}: {why}")));
    let verdict = match idumb_journal::StateDir::find(&project.root) {
        Err(error) => broken(error.to_string()),
        Ok(None) => Ok(format!("{root}, where nothing was run yet")),
        Ok(Some(state)) => match idumb_journal::Journal::open_read_only(&state) {
            Ok(_) => Ok(format!("{root}, with its journal")),
            Err(error) => broken(format!("{error}")),
        },
    };
    Found { what, verdict }
}
