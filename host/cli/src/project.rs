//! A project on disk: its root, its configuration, its phases and their plans.
//!
//! Invariant: only reads; what is wrong is told with file, line and what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use idumb_core::{ErrorCode, PhaseId, Plan, Role, Task};
use idumb_plan::{
    ChooseError, Config, FoundPlan, Limits, Look, PLACES, Refused, RulesFile, Settings, SourceFile,
};

use crate::apart::apart;
use crate::columns;
use crate::fault::Fault;
use crate::home;

/// The largest plan or configuration that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// A project.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) config: Config,
    /// The person's own settings, which hold where the project says nothing.
    pub(crate) own: Own,
}

/// A person's own settings, and where they were looked for.
#[derive(Debug)]
pub(crate) struct Own {
    /// The file; `None`: there is no place for one.
    pub(crate) file: Option<PathBuf>,
    /// What it says; `None`: it is not there.
    pub(crate) settings: Option<Settings>,
}

impl Own {
    /// For whoever works on the files in `root`.
    fn of(root: &Path) -> Result<Self> {
        let folder = match home::settings(&[root]) {
            Ok(folder) => folder,
            Err(why) => {
                crate::tell(&format!("idumb: your own settings are not read: {why}"));
                None
            }
        };
        let Some(file) = folder.map(|folder| folder.join("config.toml")) else {
            return Ok(Self { file: None, settings: None });
        };
        // By a link it could be in the project after all.
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        if let Err(why) = apart(&real, &[root]) {
            crate::tell(&format!("idumb: your own settings are not read: {why}"));
            return Ok(Self { file: None, settings: None });
        }
        let name = file.display().to_string();
        let read = |source: String| {
            idumb_plan::read_settings(&source, &name).map_err(|refused| {
                let mut fault = Fault::usage(format!("{name} cannot be followed"));
                fault.message.push_str(&told(&refused));
                fault
            })
        };
        if let Ok(meta) = std::fs::metadata(&file) {
            home::only_own(&file, &meta)?;
        }
        let settings = read_text(&file)?.map(read).transpose()?;
        Ok(Self { file: Some(file), settings })
    }
}

impl Project {
    /// Opens the project in `folder`, or the nearest one at or above the current folder.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let root = match folder {
            Some(folder) => {
                let root = folder.canonicalize().map_err(|error| {
                    Fault::usage(format!("cannot open the project {}: {error}", folder.display()))
                })?;
                if !root.is_dir() {
                    return Err(Fault::usage(format!("{} is no folder", root.display())).into());
                }
                root
            }
            None => nearest()?,
        };
        let config = match read_text(&root.join("idumb.toml"))? {
            Some(source) => idumb_plan::read_config(&source, "idumb.toml").map_err(|refused| {
                let mut fault = Fault::usage("idumb.toml cannot be followed");
                fault.message.push_str(&told(&refused));
                fault
            })?,
            None => Config::default(),
        };
        let own = Own::of(&root)?;
        Ok(Self { root, config, own })
    }

    /// What agents may use, as the project says, or the person's own settings.
    pub(crate) fn limits(&self) -> Limits {
        match &self.own.settings {
            Some(own) => self.config.limits.or(&own.limits),
            None => self.config.limits,
        }
    }

    /// Every plan, in the places of every dialect, by phase.
    pub(crate) fn plans(&self) -> Result<Vec<FoundPlan>> {
        let (plans, problems) = self.found()?;
        // What other tools keep in their own places is not in the way of anybody's phases.
        let own: Vec<String> =
            problems.into_iter().filter(|problem| problem.contains(PLACES[0])).collect();
        if own.is_empty() {
            return Ok(plans);
        }
        Err(Fault::usage(format!("a phase cannot be told: {}", own.join("; "))).into())
    }

    fn found(&self) -> Result<(Vec<FoundPlan>, Vec<String>)> {
        let mut paths = Vec::new();
        for place in PLACES {
            for (name, is_folder) in entries(&self.root.join(place))? {
                let path = format!("{place}/{name}");
                if !is_folder {
                    paths.push(path);
                } else if place == PLACES[0] {
                    // A phase without its plan is told when it is read.
                    paths.push(format!("{path}/plan.toml"));
                } else {
                    let files = entries(&self.root.join(&path))?.into_iter();
                    let files = files.filter(|(_, is_folder)| !is_folder);
                    paths.extend(files.map(|(file, _)| format!("{path}/{file}")));
                }
            }
        }
        Ok(idumb_plan::find_plans(paths.iter().map(String::as_str)))
    }

    /// The plan that `text` means.
    pub(crate) fn choose(&self, text: &str) -> Result<FoundPlan> {
        self.choose_of(&self.plans()?, text)
    }

    /// The same, of the plans that were found.
    pub(crate) fn choose_of(&self, plans: &[FoundPlan], text: &str) -> Result<FoundPlan> {
        idumb_plan::choose_plan(plans, text).cloned().map_err(|error| {
            let advice = miette::Diagnostic::help(&error).map(|help| help.to_string());
            let message = format!("{error} in {}", self.root.display());
            let mut fault = match error {
                ChooseError::Ambiguous { .. } => Fault::usage(message),
                ChooseError::None { .. } | ChooseError::Unknown { .. } => {
                    Fault::coded(ErrorCode::E001, message)
                }
            };
            if let Some(advice) = advice {
                fault = fault.only_hint(advice);
            }
            // What has a name that says too little may be what is meant.
            for problem in self.found().map(|(_, problems)| problems).unwrap_or_default() {
                fault = fault.hint(problem);
            }
            fault.into()
        })
    }

    /// The plan in a file or folder, wherever it lies, with a criterion for each artifact.
    pub(crate) fn plan_at(&self, path: &Path) -> Result<Plan> {
        Ok(self.plan_as_written(path)?.with_promises())
    }

    /// The plan in a file or folder, as it is written.
    pub(crate) fn plan_as_written(&self, path: &Path) -> Result<Plan> {
        let files = if path.is_dir() {
            let names = entries(path)?.into_iter().filter(|(_, is_folder)| !is_folder);
            let plans = names.filter(|(name, _)| name.ends_with("-PLAN.md") || name == "plan.toml");
            plans.map(|(name, _)| path.join(name)).collect()
        } else {
            vec![path.to_owned()]
        };
        let shown = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        let names: Vec<String> = files.iter().map(shown).collect();
        if names.is_empty() {
            let message = format!("there is no plan in {}", path.display());
            return Err(Fault::coded(ErrorCode::E001, message).into());
        }
        self.read(Path::new(""), &names, None)
    }

    /// A phase's plan, with a criterion for each promised artifact.
    pub(crate) fn plan(&self, found: &FoundPlan) -> Result<Plan> {
        Ok(self.plan_of(found)?.with_promises())
    }

    /// A phase's plan, as it is written.
    pub(crate) fn plan_of(&self, found: &FoundPlan) -> Result<Plan> {
        self.read(&self.root, &found.files, Some(&found.phase))
    }

    /// The plan with the project's own builder where a task names none: the built-in one can do
    /// steps, and nothing else.
    fn staffed(&self, mut plan: Plan) -> Plan {
        let (usual, own) = (Role::Builder.as_str(), self.config.roles.get(&Role::Builder));
        if let Some(own) = own {
            let open = |task: &&mut Task| task.agent == usual && task.steps.is_empty();
            plan.tasks.iter_mut().filter(open).for_each(|task| task.agent.clone_from(own));
        }
        plan
    }

    fn read(&self, root: &Path, files: &[String], expected: Option<&PhaseId>) -> Result<Plan> {
        let mut texts = Vec::new();
        for name in files {
            let Some(text) = read_text(&root.join(name))? else {
                let place = if expected.is_some() { self.root.display() } else { root.display() };
                let place = place.to_string();
                let at = if place.is_empty() { String::new() } else { format!(" in {place}") };
                let message = format!("there is no {name}{at}");
                return Err(Fault::coded(ErrorCode::E001, message).into());
            };
            texts.push((name, text));
        }
        let files: Vec<SourceFile<'_>> =
            texts.iter().map(|(path, text)| SourceFile { path, text }).collect();
        let agents: Vec<&str> = self.config.agents.keys().map(String::as_str).collect();
        let read = idumb_plan::read_any(&files, expected, &agents).map_err(|refused| {
            let mut fault = Fault::coded(ErrorCode::E001, "the plan is not valid");
            fault.message.push('\n');
            fault.message.push_str(&idumb_plan::render_plan(&refused, look()));
            fault.only_hint("mend what is marked above; nothing was run")
        })?;
        for warned in &read.warnings {
            crate::tell(&idumb_plan::render_warned(warned, look()));
        }
        Ok(self.staffed(read.plan))
    }
}

/// What is in a folder, by name, and whether it is a folder; nothing if it is not there.
fn entries(folder: &Path) -> Result<Vec<(String, bool)>> {
    let wrap = || format!("reading {}", folder.display());
    let found = match std::fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(wrap),
    };
    let mut entries = Vec::new();
    for entry in found {
        let entry = entry.with_context(wrap)?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        entries.push((entry.file_name().to_string_lossy().into_owned(), is_folder));
    }
    entries.sort();
    Ok(entries)
}

/// The rules and the policy of a file of the user's own.
pub(crate) fn rules(path: &Path) -> Result<RulesFile> {
    let name = path.display().to_string();
    let Some(source) = read_text(path)? else {
        return Err(Fault::usage(format!("there is no rules file {name}")).into());
    };
    idumb_plan::read_rules(&source, &name).map_err(|refused| {
        let mut fault = Fault::usage(format!("the rules of {name} cannot be followed"));
        fault.message.push_str(&told(&refused));
        fault.into()
    })
}

/// A refusal as this process's terminal can show it.
fn told(refused: &Refused) -> String {
    format!("\n{}", idumb_plan::render_as(refused, look()))
}

fn look() -> Look {
    let colour = crate::report::Paint::for_stream(&std::io::stderr()).is_on();
    Look { colour, unicode: true, width: columns::drawn(&std::io::stderr()) }
}

/// The nearest folder at or above the current one with `.idumb` or `idumb.toml`.
fn nearest() -> Result<PathBuf> {
    let here = std::env::current_dir().context("finding the current folder")?;
    let marked =
        |folder: &&Path| folder.join(".idumb").is_dir() || folder.join("idumb.toml").is_file();
    match here.ancestors().find(marked) {
        Some(root) => Ok(root.to_owned()),
        None => Err(Fault::coded(
            ErrorCode::E001,
            format!("no project here: neither {} nor a folder above has `.idumb`", here.display()),
        )
        .hint("or name the project with -C DIR")
        .into()),
    }
}

fn read_text(path: &Path) -> Result<Option<String>> {
    let wrap = || format!("reading {}", path.display());
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_FILE => {
            Err(Fault::usage(format!("{} is larger than 64 MiB", path.display())).into())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(wrap),
        Ok(_) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(Fault::usage(format!("{} is not UTF-8 text", path.display())).into())
            }
            Err(error) => Err(error).with_context(wrap),
        },
    }
}
