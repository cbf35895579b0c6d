//! `idumb plan import`: a plan of another dialect as a `plan.toml`.
//!
//! Invariant: what is written reads as the plan that was read; what the native form cannot say is
//! refused, and nothing that is there is replaced.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use idumb_core::ErrorCode;
use serde_json::json;

use crate::args::PlanImport;
use crate::fault::{DONE, Fault};
use crate::output;
use crate::project::Project;

/// Writes the native form of a plan; answers the exit status.
pub(crate) fn import(project: Option<&Path>, args: &PlanImport) -> Result<u8> {
    let project = Project::open(project)?;
    let path = Path::new(&args.plan);
    let plan = match path.exists() {
        true => project.plan_as_written(path)?,
        false => project.plan_of(&project.choose(&args.plan)?)?,
    };
    let text = idumb_plan::to_native(&plan).map_err(|not| {
        let reasons = not.reasons().join("; ");
        Fault::coded(ErrorCode::E001, format!("a plan.toml cannot say all of it: {reasons}"))
            .only_hint("mend that in the plan, or run it as it is: it needs no import")
    })?;
    if args.stdout {
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(DONE);
    }
    let folder = project.root.join(".idumb/phases").join(plan.phase.to_string());
    let file = folder.join("plan.toml");
    let wrap = || format!("writing {}", file.display());
    fs::create_dir_all(&folder).with_context(wrap)?;
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&file);
    match made.and_then(|mut made| made.write_all(text.as_bytes())) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = format!("{} is there already", file.display());
            return Err(Fault::usage(message).hint("see what it would be: --stdout").into());
        }
        written => written.with_context(wrap)?,
    }
    let number = plan.phase.number;
    let text = format!(
        "made {}\nboth plans are there now; name the one that is meant by its path, or remove the \
         other; then look at it: idumb check {number}",
        file.display()
    );
    Ok(output::done(args.output.format, "imported", &text, json!({ "made": [file] }))?)
}
