//! A project on disk: its root, its configuration, its phases and their plans.
//!
//! Invariant: only reads; what is wrong is told with file, line and what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use idumb_core::{ErrorCode, PhaseId, Plan};
use idumb_plan::{ChooseError, Config, Look, Refused, RulesFile};

use crate::fault::Fault;

/// The largest plan or configuration that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// A project.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) config: Config,
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
        Ok(Self { root, config })
    }

    fn phases_folder(&self) -> PathBuf {
        self.root.join(".idumb/phases")
    }

    /// Every phase, by number.
    pub(crate) fn phases(&self) -> Result<Vec<PhaseId>> {
        let folder = self.phases_folder();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", folder.display()));
            }
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        let (phases, problems) = idumb_plan::find_phases(names.into_iter());
        if !problems.is_empty() {
            let message = format!("in .idumb/phases: {}", problems.join("; "));
            return Err(Fault::usage(message).into());
        }
        Ok(phases)
    }

    /// The phase that `text` means.
    pub(crate) fn choose(&self, text: &str) -> Result<PhaseId> {
        idumb_plan::choose_phase(&self.phases()?, text).map_err(|error| {
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
            fault.into()
        })
    }

    /// The plan in a file, wherever it lies.
    pub(crate) fn plan_at(path: &Path) -> Result<Plan> {
        let name = path.display().to_string();
        let Some(source) = read_text(path)? else {
            return Err(Fault::coded(ErrorCode::E001, format!("there is no {name}")).into());
        };
        let plan = idumb_plan::read_plan(&source, &name, None);
        Ok(plan.map_err(|refused| not_valid(&refused))?.with_promises())
    }

    /// The phase's plan.
    pub(crate) fn plan(&self, phase: &PhaseId) -> Result<Plan> {
        let name = format!(".idumb/phases/{phase}/plan.toml");
        let Some(source) = read_text(&self.root.join(&name))? else {
            let message = format!("there is no {name} in {}", self.root.display());
            return Err(Fault::coded(ErrorCode::E001, message).into());
        };
        let plan = idumb_plan::read_plan(&source, &name, Some(phase));
        Ok(plan.map_err(|refused| not_valid(&refused))?.with_promises())
    }
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

fn not_valid(refused: &Refused) -> Fault {
    let mut fault = Fault::coded(ErrorCode::E001, "the plan is not valid");
    fault.message.push_str(&told(refused));
    fault.only_hint("mend what is marked above; nothing was run")
}

/// A refusal as this process's terminal can show it.
fn told(refused: &Refused) -> String {
    let colour = crate::report::Paint::for_stream(&std::io::stderr()).is_on();
    let look = Look { colour, unicode: true, width: terminal_width() };
    format!("\n{}", idumb_plan::render_as(refused, look))
}

/// The columns of the terminal, as the shell tells them; 100 where it does not.
fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.unwrap_or(100)
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
