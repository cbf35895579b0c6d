//! `idumb init`: a project of one's own, with a first phase that runs as it is.
//!
//! Invariant: nothing that is there is changed; what cannot be made without that is refused before
//! anything is made.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::args::{AgentHost, Init};
use crate::fault::Fault;
use crate::output;

/// A first phase: it says what a plan is by being one.
const PLAN: &str = include_str!("init/plan.toml");
const CONFIG: &str = include_str!("init/idumb.toml");

/// The example project, file by file.
const DEMO: &[(&str, &str)] = &[
    (".gitignore", include_str!("../../../examples/notes-api/.gitignore")),
    ("CHANGELOG.md", include_str!("../../../examples/notes-api/CHANGELOG.md")),
    ("Cargo.lock", include_str!("../../../examples/notes-api/Cargo.lock")),
    ("Cargo.toml", include_str!("../../../examples/notes-api/Cargo.toml")),
    ("NOTES.md", include_str!("../../../examples/notes-api/NOTES.md")),
    ("README.md", include_str!("../../../examples/notes-api/README.md")),
    (
        "deploy/notes-api.service.in",
        include_str!("../../../examples/notes-api/deploy/notes-api.service.in"),
    ),
    ("docs/routes.draft.md", include_str!("../../../examples/notes-api/docs/routes.draft.md")),
    ("idumb.toml", include_str!("../../../examples/notes-api/idumb.toml")),
    ("rustfmt.toml", include_str!("../../../examples/notes-api/rustfmt.toml")),
    ("src/main.rs", include_str!("../../../examples/notes-api/src/main.rs")),
    (
        ".idumb/phases/1-foundation/plan.toml",
        include_str!("../../../examples/notes-api/.idumb/phases/1-foundation/plan.toml"),
    ),
    (
        ".idumb/phases/2-search/plan.toml",
        include_str!("../../../examples/notes-api/.idumb/phases/2-search/plan.toml"),
    ),
];

/// Commands for another tool: the folder of its commands, and how it writes the arguments.
fn commands(host: AgentHost) -> Vec<(String, String)> {
    let (folder, separator) = match host {
        AgentHost::Claude => (".claude/commands/idumb", "/"),
        AgentHost::Opencode => (".opencode/command/idumb", "/"),
    };
    let command = |name: &str, about: &str, line: &str, then: &str| {
        let text = format!(
            "---\ndescription: {about}\n---\n\nRun this in the project's folder, and show what it \
             prints as it is:\n\n```sh\n{line} $ARGUMENTS\n```\n\n{then}\n"
        );
        (format!("{folder}{separator}{name}.md"), text)
    };
    let status = "Exit status: 0 done; 20 paused and waiting for a decision: `idumb status` lists \
                  the open prompts, `idumb answer` answers one; 10 to 14 are the errors E001 to \
                  E005, each with what to do. Never edit files of the plan's tasks by hand while a \
                  run goes on.";
    vec![
        command(
            "execute-phase",
            "Execute the plan of a phase with sandboxed agents",
            "idumb execute-phase --mode=auto",
            status,
        ),
        command("verify-work", "Check a phase's criteria again", "idumb verify-work", ""),
        command(
            "plan-phase",
            "Make the scaffold of a phase's plan from a goal",
            "idumb plan-phase",
            "It takes `--goal TEXT`. What it makes is a scaffold that no model wrote: read the plan \
             it names, and make it fit the goal and the project before it runs. Then `idumb check` \
             says what is wrong with it.",
        ),
        command("check", "Say what is wrong with a phase without running it", "idumb check", ""),
        command("status", "Show where a phase's latest run stands", "idumb status", ""),
    ]
}

/// Makes a project; answers the exit status.
pub(crate) fn init(project: Option<&Path>, args: &Init) -> Result<u8> {
    let root = args.folder.as_deref().or(project).unwrap_or(Path::new("."));
    let mut files: Vec<(String, String)> = Vec::new();
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    if args.demo {
        files.extend(DEMO.iter().map(owned));
    } else if args.host.is_none() || !root.join("idumb.toml").is_file() {
        files.push(("idumb.toml".to_owned(), CONFIG.to_owned()));
        files.push((".idumb/phases/1-first/plan.toml".to_owned(), PLAN.to_owned()));
    }
    files.extend(args.host.map(commands).unwrap_or_default());
    let there: Vec<PathBuf> = files
        .iter()
        .map(|(path, _)| root.join(path))
        .filter(|path| path.symlink_metadata().is_ok())
        .collect();
    if let Some(first) = there.first() {
        let more = there.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let message = format!("{} is there already{more}", first.display());
        return Err(Fault::usage(message)
            .hint("nothing was changed; name another folder: idumb init DIR")
            .into());
    }
    let mut made = Vec::new();
    for (path, text) in &files {
        let path = root.join(path);
        make(&path, text)?;
        made.push(path);
    }
    let phase = "idumb execute-phase 1";
    let at =
        if root == Path::new(".") { String::new() } else { format!("cd {}; ", root.display()) };
    let mut text: String = made.iter().map(|path| format!("made {}\n", path.display())).collect();
    text.push_str(&format!("see what would run: {at}{phase} --dry-run\nand run it: {at}{phase}"));
    Ok(output::done(args.output.format, "made", &text, json!({ "made": made }))?)
}

/// Makes a file and the folders it lies in; one that is there is refused.
pub(crate) fn make(path: &Path, text: &str) -> Result<()> {
    let wrap = || format!("making {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(wrap)?;
    }
    // Not even a link that was planted since the look before is written through.
    let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = made.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Fault::usage(format!("{} is there already", path.display())).into())
        }
        written => written.with_context(wrap),
    }
}
