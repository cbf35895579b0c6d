//! `idumb grants`: what a person lets agents do, seen and taken back.
//!
//! Invariant: nothing is given here; what is taken back is told.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;

use crate::args::{Format, GrantsCommand, Revoke};
use crate::columns;
use crate::consent::{Grants, Kept};
use crate::fault::{DONE, Fault};
use crate::output::Objects;
use crate::report::Paint;
use crate::text::printable;

/// How much of a digest names it.
const LEAST: usize = 6;

/// Lists or revokes; answers the exit status.
pub(crate) fn grants(command: &GrantsCommand) -> Result<u8> {
    let place = Grants::of(&[]).map_err(Fault::usage)?;
    match command {
        GrantsCommand::List { output } => {
            let kept = place.as_ref().map(Grants::all).transpose()?.unwrap_or_default();
            if output.format == Format::Text {
                std::io::stdout().lock().write_all(columns::fit(&text(&kept)).as_bytes())?;
                if kept.is_empty() {
                    crate::tell("nothing is kept; a run asks before it lets an agent do anything");
                }
                return Ok(DONE);
            }
            let mut objects = Objects::new(output.format, "grants");
            kept.iter().try_for_each(|kept| objects.print(kept))?;
            objects.end()?;
            Ok(DONE)
        }
        GrantsCommand::Revoke(args) => revoke(place.as_ref(), args),
    }
}

fn revoke(place: Option<&Grants>, args: &Revoke) -> Result<u8> {
    let kept = place.map(Grants::all).transpose()?.unwrap_or_default();
    let meant = |kept: &Kept| args.all || args.agent.iter().any(|text| is_meant(kept, text));
    for text in &args.agent {
        if !kept.iter().any(|kept| is_meant(kept, text)) {
            let names = kept.iter().map(|kept| kept.agent.as_str());
            let message = format!("nothing is kept for `{}`", printable(text));
            let fault = Fault::usage(message);
            return Err(match kept.is_empty() {
                true => fault.hint("nothing is kept at all"),
                false => fault.hint(idumb_plan::meant(text, names, "there is something for")),
            }
            .into());
        }
    }
    if let Some(place) = place.filter(|_| kept.iter().any(meant)) {
        place.change(|all| all.retain(|kept| !meant(kept)))?;
    }
    let revoked: Vec<&Kept> = kept.iter().filter(|kept| meant(kept)).collect();
    if args.output.format == Format::Text {
        revoked.iter().for_each(|kept| crate::tell(&format!("revoked: {}", head(kept))));
        return Ok(DONE);
    }
    let mut objects = Objects::new(args.output.format, "revoked");
    revoked.iter().try_for_each(|kept| objects.print(kept))?;
    objects.end()?;
    Ok(DONE)
}

fn is_meant(kept: &Kept, text: &str) -> bool {
    let hex = text.strip_prefix("blake3:").unwrap_or(text);
    kept.agent == text || hex.len() >= LEAST && kept.digest.to_hex().starts_with(hex)
}

fn head(kept: &Kept) -> String {
    let project = match &kept.project {
        Some(project) => format!("in {}", printable(&project.display().to_string())),
        None => "in every project".to_owned(),
    };
    let run = kept.run.as_ref().map_or(String::new(), |run| format!(", for run {run}"));
    format!("{} ({}) {project}{run}", printable(&kept.agent), kept.digest.short())
}

fn text(all: &[Kept]) -> String {
    let paint = Paint::for_stream(&std::io::stdout());
    let mut out = String::new();
    for kept in all {
        let when = kept.given.map_or(String::new(), |at| format!(", since {}", at.strftime("%F")));
        let _ = writeln!(out, "{}{}", paint.strong(&head(kept)), paint.dim(&when));
        let _ = writeln!(out, "  {}", kept.digest);
        for (capability, globs) in [("write", &kept.writes), ("read", &kept.reads)] {
            for glob in globs {
                let _ = writeln!(out, "  may {capability:5} {}", printable(glob.as_str()));
            }
        }
    }
    out
}
