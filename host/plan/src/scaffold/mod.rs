//! A plan from a goal, where nobody has thought about one yet.
//!
//! [`scaffold`] puts the goal, a [`Template`] or an existing plan, and what was found in the
//! project's folder into the text of a `plan.toml`.
//!
//! Invariant: what is given back was read again, and has the goal that was asked for; nothing is
//! claimed of the project but what was found, and the text says how it came about.

mod borrowed;
mod layout;
mod phase;
mod remarks;
mod stages;
mod template;
#[cfg(test)]
mod tests;

use idumb_core::{
    Checkpoint, CheckpointAt, Criterion, CriterionId, Digest, Millis, PathGlob, PhaseId, Plan,
    Task, TaskId,
};
use serde_json::{Map, Value};

use crate::native::{self, Parts, in_parts};
use borrowed::{borrowed, task_id};
use stages::{Place, Stage, Touched, arrange, stages};
use template::{Files, Sort, filled};

pub use layout::{LEVELS, Language, Layout, is_passed_over};
pub use phase::{NoPhase, new_phase};
pub use stages::Detail;
pub use template::Template;

/// The agent that comes with idumb.
const BUILDER: &str = "builder";

/// What a plan is wanted for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The phase.
    pub phase: &'a PhaseId,
    /// What it is to achieve, in its author's words.
    pub goal: &'a str,
    /// What it is made by.
    pub pattern: Pattern<'a>,
    /// What was found in the project's folder.
    pub layout: &'a Layout,
    /// The agent of the project's own that the tasks are for; `None`: the built-in builder.
    pub agent: Option<&'a str>,
    /// `Some`: the plan is to say how long the phase may take, by what was recorded, if anything.
    pub estimate: Option<Option<Recorded>>,
}

/// What a plan is made by.
#[derive(Debug)]
pub enum Pattern<'a> {
    /// A built-in template.
    BuiltIn {
        /// Which.
        template: Template,
        /// How much it goes into.
        detail: Detail,
        /// Whether tasks on different files go on at once.
        parallel: bool,
    },
    /// A plan of another phase, as it is.
    Existing {
        /// The plan, as it is written.
        plan: &'a Plan,
        /// Where it lies, for people.
        path: &'a str,
    },
}

/// What attempts took that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// How many they were; not zero.
    pub attempts: usize,
    /// What half of them did not take longer than, from begin to integration.
    pub median: Millis,
}

impl Recorded {
    /// Of what each attempt took; `None` for none.
    ///
    /// ```
    /// use idumb_plan::Recorded;
    /// let recorded = Recorded::of(vec![900, 100, 200]).unwrap();
    /// assert_eq!((recorded.attempts, recorded.median), (3, 200));
    /// assert_eq!(Recorded::of(Vec::new()), None);
    /// ```
    pub fn of(mut took: Vec<Millis>) -> Option<Self> {
        took.sort_unstable();
        let attempts = took.len();
        Some(Self { attempts, median: *took.get(attempts.checked_sub(1)? / 2)? })
    }
}

/// A plan that was made.
#[derive(Debug)]
pub struct Scaffold {
    /// The text of its `plan.toml`.
    pub text: String,
    /// What the text reads as.
    pub plan: Plan,
    /// How long it may take, in a sentence, if that was asked for.
    pub estimate: Option<String>,
}

impl Scaffold {
    /// Whether it has tasks for the built-in builder without any steps: those cannot run as they
    /// are.
    pub fn is_idle(&self) -> bool {
        is_idle(&self.plan)
    }
}

/// Why no plan was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// There is no goal.
    #[error("the goal is empty")]
    EmptyGoal,
    /// The pattern cannot be followed.
    #[error("the template cannot be followed: {0}")]
    Pattern(String),
    /// What was made is no plan, which is a mistake of idumb's own.
    #[error("what was made of the template is no plan: {0}")]
    NotAPlan(String),
}

/// A plan's tasks with what is to be said about each.
struct Draft {
    plan: Plan,
    /// About the plan.
    about: Vec<String>,
    /// About each task.
    remarks: Vec<Vec<String>>,
}

/// Makes a plan.
///
/// # Errors
/// If the goal is empty, or the pattern is nothing that a `plan.toml` can say.
///
/// ```
/// use idumb_core::PhaseId;
/// use idumb_plan::{Detail, Layout, Pattern, Template, Wanted, scaffold};
///
/// let made = scaffold(&Wanted {
///     phase: &PhaseId::new(1, "search").unwrap(),
///     goal: "Add search to the notes",
///     pattern: Pattern::BuiltIn {
///         template: Template::default(),
///         detail: Detail::Low,
///         parallel: false,
///     },
///     layout: &Layout::of([("src", true)], false),
///     agent: None,
///     estimate: None,
/// });
/// let made = made.unwrap();
/// assert_eq!(made.plan.goal, "Add search to the notes");
/// assert!(made.text.contains("no model wrote it"));
/// ```
pub fn scaffold(wanted: &Wanted<'_>) -> Result<Scaffold, Unmade> {
    if wanted.goal.trim().is_empty() {
        return Err(Unmade::EmptyGoal);
    }
    let draft = match &wanted.pattern {
        Pattern::BuiltIn { template, detail, parallel } => {
            let sort = template.read().map_err(|error| Unmade::Pattern(error.to_string()))?;
            built(wanted, (*template, &sort), *detail, *parallel)?
        }
        Pattern::Existing { plan, path } => {
            let (plan, left_out) = borrowed(plan, wanted.phase, wanted.goal);
            let mut about = vec![remarks::from_plan(path)];
            about.extend(left_out);
            let remarks = plan.tasks.iter().map(|_| Vec::new()).collect();
            Draft { plan, about, remarks }
        }
    };
    let estimate = wanted.estimate.map(|recorded| remarks::estimate(&draft.plan, recorded));
    let text = written(draft, estimate.as_deref())?;
    let not = |why: String| Unmade::NotAPlan(why);
    let plan = native::read(&text, "plan.toml", Some(wanted.phase)).map_err(|refused| {
        let problems: Vec<String> = refused.problems().iter().map(ToString::to_string).collect();
        not(problems.join("; "))
    })?;
    if plan.goal != wanted.goal {
        return Err(not("its goal is another".to_owned()));
    }
    Ok(Scaffold { text, plan, estimate })
}

/// The plan of a built-in template.
fn built(
    wanted: &Wanted<'_>,
    (template, sort): (Template, &Sort),
    detail: Detail,
    parallel: bool,
) -> Result<Draft, Unmade> {
    let (order, asks) = stages(detail);
    let several = files(sort, Stage::Build, wanted.layout).len() > 1;
    let mut drafts: Vec<(Stage, Touched)> = Vec::new();
    for stage in order {
        let touched = |writes: Vec<PathGlob>| Touched {
            writes,
            reads: wanted_reads(sort, *stage, wanted.layout),
        };
        let files = files(sort, *stage, wanted.layout);
        match *stage {
            // Each part of its own, so that they need not wait for each other.
            Stage::Build => {
                drafts.extend(files.into_iter().map(|file| (*stage, touched(vec![file]))))
            }
            Stage::Tests | Stage::Docs => drafts.push((*stage, touched(files))),
        }
    }
    let (kinds, mut touched): (Vec<Stage>, Vec<Touched>) = drafts.into_iter().unzip();
    let places = arrange(&mut touched, parallel, asks);
    let ids: Vec<TaskId> =
        (1..=kinds.len()).filter_map(|number| task_id(wanted.phase, number)).collect();
    let mut tasks = Vec::new();
    let mut remarks = Vec::new();
    for (index, (stage, touched)) in kinds.iter().zip(&touched).enumerate() {
        let words = sort.words(*stage);
        let place = &places[index];
        let mut task = task(wanted, words, &ids[index], touched);
        task.depends_on = place.waits_for.iter().map(|&other| ids[other].clone()).collect();
        if several && *stage == Stage::Build {
            task.title = format!("{} in {}", task.title, folder(&touched.writes));
        }
        if asks && index + 1 == kinds.len() {
            task.checkpoint = Some(Checkpoint { at: CheckpointAt::After, human: true });
        }
        remarks.push(remarks_of(&task, place, &ids));
        tasks.push(task);
    }
    let plan = Plan {
        phase: wanted.phase.clone(),
        goal: wanted.goal.to_owned(),
        depends_on: Vec::new(),
        supersedes: Vec::new(),
        tasks,
        links: Vec::new(),
        digest: Digest::of(b""),
    };
    let mut about = vec![remarks::from_template(template.name(), &sort.about)];
    about.extend(wanted.layout.told());
    about.push(remarks::JUDGED.to_owned());
    if several {
        about.push(remarks::SEVERAL.to_owned());
    }
    Ok(Draft { plan, about, remarks })
}

/// The patterns of the files that the tasks of a stage write.
fn files(sort: &Sort, stage: Stage, layout: &Layout) -> Vec<PathGlob> {
    let texts = match sort.words(stage).files {
        Files::Sources => layout.sources_or_assumed(),
        Files::Tests => layout.tests_or_assumed(),
        Files::Docs => layout.docs_or_assumed(),
        Files::Readme => layout.readme(),
    };
    patterns(&texts)
}

/// What the tasks of a stage read, if they can: what says how the project is built, and what the
/// other stages are about.
fn wanted_reads(sort: &Sort, stage: Stage, layout: &Layout) -> Vec<PathGlob> {
    let mut reads = patterns(&layout.manifests);
    let sources = patterns(&layout.sources_or_assumed());
    let others = [Stage::Build, Stage::Tests].into_iter().filter(|other| *other != stage);
    for glob in sources.into_iter().chain(others.flat_map(|other| files(sort, other, layout))) {
        if !reads.contains(&glob) {
            reads.push(glob);
        }
    }
    reads
}

fn patterns(texts: &[String]) -> Vec<PathGlob> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// A task, but for its place among the others.
fn task(wanted: &Wanted<'_>, words: &template::Words, id: &TaskId, touched: &Touched) -> Task {
    let judged = filled(&words.judged, wanted.goal, id.as_str());
    let mut accept = vec![(Criterion::JUDGED, "text", judged)];
    // What is one file, and was not found, is something that a machine can look for.
    let missing = touched.writes.iter().filter_map(PathGlob::as_literal);
    let missing = missing.filter(|path| !wanted.layout.has_file(path));
    accept.extend(missing.map(|path| ("exists", "path", path.to_owned())));
    let criterion = |(number, (kind, name, value)): (usize, (&str, &str, String))| {
        let id = CriterionId::new(format!("{id}.{number}")).ok()?;
        let args = Map::from_iter([(name.to_owned(), Value::from(value))]);
        let text = native::says::sentence(kind, &args);
        Some(Criterion { id, text, kind: kind.to_owned(), args, looks_at: Vec::new() })
    };
    Task {
        id: id.clone(),
        title: words.title.clone(),
        description: filled(&words.description, wanted.goal, id.as_str()),
        agent: wanted.agent.unwrap_or(BUILDER).to_owned(),
        depends_on: Vec::new(),
        reads: touched.reads.clone(),
        writes: touched.writes.clone(),
        artifacts: Vec::new(),
        commands: Vec::new(),
        timeout: None,
        limits: idumb_core::ResourceLimits::default(),
        retries: 0,
        checkpoint: None,
        steps: Vec::new(),
        options: std::collections::BTreeMap::new(),
        accept: (1..).zip(accept).filter_map(criterion).collect(),
    }
}

/// The folder of a part, or its pattern.
fn folder(writes: &[PathGlob]) -> String {
    let part = writes.first().map_or("", PathGlob::as_str);
    part.strip_suffix("/**").unwrap_or(part).to_owned()
}

fn remarks_of(task: &Task, place: &Place, ids: &[TaskId]) -> Vec<String> {
    let mut told = Vec::new();
    if !place.unseen.is_empty() {
        let ids: Vec<&str> = place.unseen.iter().map(|&other| ids[other].as_str()).collect();
        told.push(remarks::unseen(&ids));
    }
    if task.checkpoint.is_some() {
        told.push(remarks::CHECKPOINT.to_owned());
    }
    told
}

fn is_idle(plan: &Plan) -> bool {
    plan.tasks.iter().any(|task| task.agent == BUILDER && task.steps.is_empty())
}

/// The text of a draft, with what is said about it as comments.
fn written(draft: Draft, estimate: Option<&str>) -> Result<String, Unmade> {
    let Draft { plan, mut about, remarks } = draft;
    if is_idle(&plan) {
        about.push(remarks::idle(plan.phase.number));
    }
    about.extend(estimate.map(|told| format!("Estimate: {told}.")));
    let Parts { head, tasks, links } =
        in_parts(&plan).map_err(|not| Unmade::Pattern(not.reasons().join("; ")))?;
    let mut text = String::new();
    for told in about {
        remarks::comment(&mut text, &told);
    }
    text.push_str(&head);
    for (task, told) in tasks.iter().zip(remarks) {
        text.push('\n');
        for told in told {
            remarks::comment(&mut text, &told);
        }
        text.push_str(task);
    }
    for link in links {
        text.push('\n');
        text.push_str(&link);
    }
    Ok(text)
}
