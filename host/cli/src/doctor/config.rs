//! `idumb doctor --config`: each setting, and where it came from.
//!
//! Invariant: read by the code that a run reads it by.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use clap::Parser as _;
use idumb_core::{Policy, Role};
use serde::Serialize;
use serde_json::json;

use crate::args::{Cli, Command, ExecutePhase, Format};
use crate::columns;
use crate::compiled;
use crate::consent::Grants;
use crate::fault::Fault;
use crate::home::{self, COMPONENTS, Place, SETTINGS};
use crate::output;
use crate::project::Project;
use crate::report::Paint;
use crate::roster::BUILT_IN;
use crate::settings::{Origin, Settings};
use crate::text::printable;

/// One setting.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// `None`: nothing is set, and nothing is done.
    value: Option<String>,
    from: String,
}

/// Every setting, as text or as an object.
pub(super) fn told(project: Option<&Path>, format: Format) -> Result<String> {
    let project = Project::open(project)?;
    let args = from_environment()?;
    let settings = Settings::of(&args, &project)?;
    let mut rows = Vec::new();
    for said in &settings.said {
        let from = match said.from {
            Origin::Given => format!("IDUMB_{}", said.name.to_uppercase()),
            Origin::Project => "idumb.toml".to_owned(),
            Origin::Own => own_file(&project),
            Origin::Default => DEFAULT.to_owned(),
        };
        rows.push(Row { name: said.name.to_owned(), value: Some(said.value.clone()), from });
    }
    limits(&project, &mut rows);
    governance(&settings, &mut rows);
    agents(&project, &mut rows);
    folders(&project, &mut rows);
    Ok(match format {
        Format::Text => columns::fit(&text(&project, &rows)),
        Format::Json | Format::Jsonl => {
            output::object("config", json!({ "project": project.root, "settings": rows }))
        }
    })
}

const DEFAULT: &str = "default";

/// What `execute-phase` would take from the environment.
fn from_environment() -> Result<ExecutePhase> {
    let cli = Cli::try_parse_from(["idumb", "execute-phase"]).map_err(|error| {
        let text = error.to_string();
        Fault::usage(text.trim_start_matches("error: ").trim_end().to_owned())
    })?;
    match cli.command {
        Command::ExecutePhase(args) => Ok(*args),
        _ => Err(Fault::usage("`execute-phase` is not what it was").into()),
    }
}

fn own_file(project: &Project) -> String {
    let file = project.own.file.as_deref();
    file.map_or_else(|| "your own settings".to_owned(), |file| file.display().to_string())
}

fn limits(project: &Project, rows: &mut Vec<Row>) {
    let own = project.own.settings.as_ref().map(|own| own.limits.said()).unwrap_or_default();
    let usual = compiled::usual_limits().said();
    for (index, (key, value)) in project.config.limits.said().into_iter().enumerate() {
        let (value, from) = match (value, own.get(index).and_then(|(_, value)| value.clone())) {
            (Some(value), _) => (Some(value), "idumb.toml".to_owned()),
            (None, Some(value)) => (Some(value), own_file(project)),
            (None, None) => {
                let usual = usual.get(index).and_then(|(_, value)| value.clone());
                (usual, DEFAULT.to_owned())
            }
        };
        rows.push(Row { name: format!("limits.{key}"), value, from });
    }
}

fn governance(settings: &Settings, rows: &mut Vec<Row>) {
    for rule in &settings.rules {
        let on: Vec<&str> = rule.on.iter().map(|blocker| blocker.as_str()).collect();
        let value = format!("{}: {} more attempts, then {}", on.join(", "), rule.retry, rule.then);
        rows.push(Row { name: "rule".to_owned(), value: Some(value), from: rule.name.clone() });
    }
    for policy in &settings.policies {
        let value = Some(policy_text(policy));
        rows.push(Row { name: "policy".to_owned(), value, from: policy.name.clone() });
    }
}

fn policy_text(policy: &Policy) -> String {
    let mut says = Vec::new();
    let lists = [
        ("never", Some(&policy.never).filter(|never| !never.is_empty())),
        ("reads at most", policy.reads.as_ref()),
        ("writes at most", policy.writes.as_ref()),
    ];
    for (what, globs) in lists {
        let Some(globs) = globs else { continue };
        let globs: Vec<String> = globs.iter().map(|glob| printable(glob.as_str())).collect();
        let globs = if globs.is_empty() { "nothing".to_owned() } else { globs.join(" ") };
        says.push(format!("{what} {globs}"));
    }
    for (role, names) in &policy.roles {
        says.push(format!("{role}: {}", names.join(", ")));
    }
    if policy.same_agent {
        says.push("one component may build and judge".to_owned());
    }
    says.join("; ")
}

fn agents(project: &Project, rows: &mut Vec<Row>) {
    for (name, agent) in &project.config.agents {
        let pin =
            agent.digest.map_or(String::new(), |digest| format!(", pinned {}", digest.short()));
        let value = Some(format!("{}, a {}{pin}", printable(&agent.path), agent.role));
        rows.push(Row { name: format!("agents.{name}"), value, from: "idumb.toml".to_owned() });
    }
    for role in Role::ALL {
        let (value, from) = match project.config.roles.get(&role) {
            Some(name) => (name.clone(), "idumb.toml"),
            None => (BUILT_IN.to_owned(), DEFAULT),
        };
        let name = format!("roles.{role}");
        rows.push(Row { name, value: Some(value), from: from.to_owned() });
    }
}

fn folders(project: &Project, rows: &mut Vec<Row>) {
    let from = |place: &Option<Place>, variable: &str| match place {
        Some(place) if place.named => variable.to_owned(),
        _ => DEFAULT.to_owned(),
    };
    let shown = |path: &Path| path.display().to_string();
    let place = Place::here(SETTINGS);
    let settings = home::settings(&[&project.root]).ok().flatten();
    let mut row = |name: &str, value: Option<String>, from: &str| {
        rows.push(Row { name: name.to_owned(), value, from: from.to_owned() });
    };
    let named = from(&place, SETTINGS.variable);
    row("folder of your own settings", settings.as_deref().map(shown), &named);
    let grants = Grants::of(&[&project.root]).ok().flatten();
    row("what you allowed", grants.map(|grants| shown(grants.file())), &named);
    let place = Place::here(COMPONENTS);
    let named = from(&place, COMPONENTS.variable);
    row("folder of compiled agents", place.map(|place| shown(&place.folder)), &named);
}

fn text(project: &Project, rows: &[Row]) -> String {
    let paint = Paint::for_stream(&std::io::stdout());
    let mut out = format!("Settings of {}\n", project.root.display());
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in rows {
        let value = row.value.as_deref().unwrap_or("none");
        let from = paint.dim(&format!("({})", row.from));
        let _ = writeln!(out, "  {:width$}  {} {from}", row.name, printable(value));
    }
    out
}
