//! `idumb plan-phase`: a plan for a phase, where nobody has thought about one yet.
//!
//! Invariant: nothing that is there is replaced, and nothing is written before all of the plan is
//! there. What is looked at of the project is names alone, and not without end.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use idumb_core::{ErrorCode, Event, Millis, PhaseId, Plan, Role, Stamped, TaskId};
use idumb_journal::{Journal, StateDir};
use idumb_plan::{
    Detail, LEVELS, Layout, NoPhase, PLACES, Pattern, Recorded, Scaffold, Template, Unmade, Wanted,
    is_passed_over, new_phase, scaffold,
};
use serde_json::json;

use crate::args::{Format, PlanPhase};
use crate::fault::{DONE, Fault, USAGE, told};
use crate::init::make;
use crate::output;
use crate::project::Project;
use crate::record;
use crate::text::{TASKS, counted, printable};

/// The most entries of the project's folder that are looked at.
const MOST_ENTRIES: usize = 5_000;
/// The runs, latest first, that an estimate is made by.
const MOST_RUNS: usize = 50;

/// What the seed calls what keeps a plan from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// The goal or the phase cannot be told.
    P001,
    /// The phase has a plan.
    P002,
    /// The template cannot be used.
    P003,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Makes a plan; answers the exit status.
pub(crate) fn plan(project: Option<&Path>, args: &PlanPhase) -> Result<u8> {
    let project = Project::open(project).map_err(no_project)?;
    let goal = args.goal.as_deref().unwrap_or_default();
    if goal.trim().is_empty() {
        let message = format!("{}: nothing says what the phase is to achieve", Code::P001);
        let hint = "say it: idumb plan-phase --goal \"What the phase is to achieve\"";
        return Err(Fault::usage(message).hint(hint).into());
    }
    let phase = phase(&project, args, goal)?;
    let template = Chosen::of(&project, args)?;
    let layout = look_around(&project.root);
    let wanted = Wanted {
        phase: &phase,
        goal,
        pattern: template.pattern(args),
        layout: &layout,
        agent: only_builder(&project),
        estimate: args.estimate.then(|| recorded(&project)),
    };
    let made = scaffold(&wanted).map_err(unmade)?;
    if args.stdout {
        std::io::stdout().lock().write_all(made.text.as_bytes())?;
    } else {
        let place = format!("{}/{phase}/plan.toml", PLACES[0]);
        let file = project.root.join(&place);
        // Since the phase was chosen, somebody may have made it.
        make(&file, &made.text).map_err(|error| coded(Code::P002, error))?;
        if args.output.format != Format::Text {
            let (tasks, estimate) = (made.plan.tasks.len(), &made.estimate);
            let about = json!({ "made": [place], "tasks": tasks, "estimate": estimate });
            return Ok(output::done(args.output.format, "planned", "", about)?);
        }
        crate::tell(&format!("made {place}"));
    }
    tell(&made, &template, args, &layout);
    Ok(DONE)
}

/// What there is to say about a plan that was made.
fn tell(made: &Scaffold, template: &Chosen, args: &PlanPhase, layout: &Layout) {
    let tasks = counted(made.plan.tasks.len(), TASKS);
    let from = match template {
        Chosen::BuiltIn(template) => {
            format!("from the template `{}`, for {}", template.name(), layout.summary())
        }
        Chosen::Existing { path, .. } => format!("as in {}", printable(path)),
    };
    crate::tell(&format!(
        "a scaffold: no model wrote it, and nobody has thought about it yet; {tasks} {from}"
    ));
    if matches!(template, Chosen::Existing { .. }) && (args.parallel || args.detail.is_some()) {
        crate::tell("--detail and --parallel change nothing: a plan is followed as it is");
    }
    if let Some(estimate) = &made.estimate {
        crate::tell(&format!("estimate: {estimate}"));
    }
    let number = made.plan.phase.number;
    let first = match made.is_idle() {
        true => "edit it (its tasks want steps, or an agent of yours)",
        false => "edit it",
    };
    crate::tell(&format!("next: {first}, then look at it: idumb check {number}"));
}

/// Without a project there is no phase; what E001 advises otherwise is this very command.
fn no_project(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Fault>() {
        Ok(fault) if fault.code == Some(ErrorCode::E001) => {
            fault.only_hint("make one: idumb init; or name its folder with -C DIR").into()
        }
        Ok(fault) => fault.into(),
        Err(error) => error,
    }
}

/// A fault by its code of the seed's; other errors stay as they are.
fn coded(code: Code, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Fault>() {
        Ok(fault) => {
            let message = format!("{code}: {fault}");
            Fault { code: None, exit: USAGE, message, hints: fault.hints }.into()
        }
        Err(error) => error,
    }
}

fn unmade(unmade: Unmade) -> Fault {
    let code = match &unmade {
        Unmade::EmptyGoal => Code::P001,
        Unmade::Pattern(_) | Unmade::NotAPlan(_) => Code::P003,
    };
    Fault::usage(format!("{code}: {unmade}"))
}

/// The phase that the plan is for.
fn phase(project: &Project, args: &PlanPhase, goal: &str) -> Result<PhaseId> {
    let plans = project.plans().map_err(|error| coded(Code::P001, error))?;
    let is_written = |plan: &idumb_plan::FoundPlan| {
        plan.files.iter().any(|file| project.root.join(file).symlink_metadata().is_ok())
    };
    new_phase(&plans, is_written, args.phase.as_deref(), goal).map_err(|error| {
        let message = printable(&error.to_string());
        match error {
            NoPhase::Unclear { help, .. } => {
                Fault::usage(format!("{}: {message}", Code::P001)).hint(help)
            }
            NoPhase::Full => Fault::usage(format!("{}: {message}", Code::P001)),
            NoPhase::Taken(plan) => {
                let number = plan.phase.number;
                let hint = format!(
                    "look at it: idumb check {number}; or leave the phase out, for the next number"
                );
                Fault::usage(format!("{}: {message}", Code::P002)).hint(hint)
            }
        }
        .into()
    })
}

/// What the plan is made of.
enum Chosen {
    BuiltIn(Template),
    Existing { plan: Box<Plan>, path: String },
}

impl Chosen {
    fn of(project: &Project, args: &PlanPhase) -> Result<Self> {
        let Some(text) = args.template.as_deref() else {
            return Ok(Self::BuiltIn(Template::default()));
        };
        let help = match Template::named(text) {
            Ok(template) => return Ok(Self::BuiltIn(template)),
            Err(help) => help,
        };
        let path = Path::new(text);
        let is_path = path.components().count() > 1
            || path.extension().is_some_and(|ending| ending == "toml" || ending == "md");
        if !is_path && !path.exists() {
            let message = format!("{}: there is no template `{}`", Code::P003, printable(text));
            let hint = format!("{help}; the path of a plan is a template, too");
            return Err(Fault::usage(message).hint(hint).into());
        }
        let read = project.plan_as_written(path).map_err(|error| unusable(text, &error));
        Ok(Self::Existing { plan: Box::new(read?), path: text.to_owned() })
    }

    fn pattern(&self, args: &PlanPhase) -> Pattern<'_> {
        match self {
            Self::BuiltIn(template) => Pattern::BuiltIn {
                template: *template,
                detail: args.detail.map(Detail::from).unwrap_or_default(),
                parallel: args.parallel,
            },
            Self::Existing { plan, path } => Pattern::Existing { plan, path },
        }
    }
}

/// A plan that cannot be a template, whatever is wrong with it.
fn unusable(path: &str, error: &anyhow::Error) -> Fault {
    let why = told(error);
    let message = format!("{}: {} cannot be the template: {why}", Code::P003, printable(path));
    Fault::usage(message).hint("name a plan that `idumb check` reads, or a built-in template")
}

/// The project's own builder: the one of `[roles]`, or the only one there is.
fn only_builder(project: &Project) -> Option<&str> {
    if let Some(own) = project.config.roles.get(&Role::Builder) {
        return Some(own);
    }
    let agents = project.config.agents.iter();
    let mut builders = agents.filter(|(_, agent)| agent.role == Role::Builder);
    match (builders.next(), builders.next()) {
        (Some((name, _)), None) => Some(name),
        _ => None,
    }
}

/// What is where in the project: a folder that cannot be read has nothing in it.
fn look_around(root: &Path) -> Layout {
    let mut entries: Vec<(String, bool)> = Vec::new();
    let mut folders = VecDeque::from([(String::new(), 0)]);
    let mut room = MOST_ENTRIES;
    // Level by level: what is cut off is what lies deepest.
    while let Some((folder, level)) = folders.pop_front() {
        let there = std::fs::read_dir(root.join(&folder)).into_iter().flatten().flatten();
        let there: Vec<std::fs::DirEntry> = there.take(room).collect();
        // What is passed over was looked at, too.
        room -= there.len();
        let mut names: Vec<(String, bool)> = there
            .into_iter()
            .filter_map(|entry| {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                Some((entry.file_name().into_string().ok()?, is_folder))
            })
            .filter(|(name, _)| !is_passed_over(name))
            .collect();
        names.sort();
        for (name, is_folder) in names {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if is_folder && level < LEVELS {
                folders.push_back((path.clone(), level + 1));
            }
            entries.push((path, is_folder));
        }
    }
    Layout::of(entries.iter().map(|(path, is_folder)| (path.as_str(), *is_folder)), room == 0)
}

/// What is recorded of attempts that succeeded here; a record that cannot be read says nothing, and
/// that is told.
fn recorded(project: &Project) -> Option<Recorded> {
    durations(project).map(Recorded::of).unwrap_or_else(|error| {
        crate::tell(&format!("the record of earlier runs cannot be read: {}", told(&error)));
        None
    })
}

fn durations(project: &Project) -> Result<Vec<Millis>> {
    let Some(state) = StateDir::find(&project.root)? else { return Ok(Vec::new()) };
    let Some(journal) = Journal::open_read_only(&state)? else { return Ok(Vec::new()) };
    let mut took = Vec::new();
    for row in journal.runs()?.iter().rev().take(MOST_RUNS) {
        took.extend(took_of(&record::recorded_events(&journal, &row.run, 0)?));
    }
    Ok(took)
}

/// What each attempt took that succeeded, from its begin until it was integrated.
///
/// An attempt that another process ended than the one that began it is not counted: nobody knows
/// how long it took.
fn took_of(events: &[Stamped]) -> Vec<Millis> {
    let mut begun: BTreeMap<&TaskId, Millis> = BTreeMap::new();
    let mut took = Vec::new();
    for Stamped { up, event, .. } in events {
        match event {
            Event::RunResumed { .. } => begun.clear(),
            Event::AttemptStarted { task, .. } => {
                begun.insert(task, *up);
            }
            Event::TaskSucceeded { task, .. } => {
                took.extend(begun.remove(task).and_then(|begin| up.checked_sub(begin)));
            }
            _ => {}
        }
    }
    took
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(up: Millis, event: Event) -> Stamped {
        Stamped { at: 0, up, event }
    }

    fn begun(task: &str, up: Millis) -> Stamped {
        at(up, Event::AttemptStarted { task: TaskId::new(task).unwrap(), epoch: 1 })
    }

    fn succeeded(task: &str, up: Millis) -> Stamped {
        let task = TaskId::new(task).unwrap();
        at(up, Event::TaskSucceeded { task, attempt: 1, epoch: 1, artifacts: Vec::new() })
    }

    #[test]
    fn attempts_are_timed_within_one_process_and_from_their_own_begin() {
        let config = idumb_core::RunConfig::new(idumb_core::RunId::new("phase-1-r1").unwrap());
        let events = [
            begun("a", 100),
            begun("b", 150),
            succeeded("a", 400),
            // The first attempt came to nothing.
            begun("b", 1_000),
            succeeded("b", 1_050),
            begun("c", 1_100),
            at(7, Event::RunResumed { config }),
            succeeded("c", 5_000),
            begun("d", 5_000),
            succeeded("d", 5_007),
        ];
        assert_eq!(took_of(&events), [300, 50, 7]);
    }

    #[test]
    fn what_somebody_made_meanwhile_is_not_replaced() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("1-a/plan.toml");
        make(&file, "mine").unwrap();
        let error = coded(Code::P002, make(&file, "another").unwrap_err());
        let fault = error.downcast::<Fault>().unwrap();
        assert_eq!((fault.exit, fault.message.starts_with("P002: ")), (USAGE, true));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn a_large_folder_is_looked_at_in_part() {
        let room = tempfile::tempdir().unwrap();
        let root = room.path();
        std::fs::create_dir_all(root.join("packages/src")).unwrap();
        std::fs::create_dir(root.join("many")).unwrap();
        let layout = look_around(root);
        assert_eq!(layout.summary(), "the folders that are here");
        assert!(!layout.is_cut_short());
        // Hidden ones, which count for nothing in the end.
        for number in 0..MOST_ENTRIES {
            std::fs::write(root.join(format!("many/.{number}")), "").unwrap();
        }
        let layout = look_around(root);
        assert_eq!(layout.summary(), "a project in which no sources were found");
        assert!(layout.is_cut_short());
    }
}
