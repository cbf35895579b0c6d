//! One GSD plan as tasks, criteria and links.
//!
//! Invariant: the tasks are a chain; every checkpoint is on one of them, and what it says is
//! in a text that a person or an agent is given.

use std::collections::BTreeMap;

use idumb_core::{
    Checkpoint, CheckpointAt, CriterionId, Link, PathGlob, ResourceLimits, Task, TaskId,
};
use serde_json::Value;

use super::file::PlanFile;
use super::must::KeyLink;
use super::task::{self, Step, Work};
use crate::dialect::criteria::Criteria;
use crate::dialect::outline::{BlockKind, dedented, part};
use crate::dialect::words::{self, Word};
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Reading, every};
use crate::suggest::listed;

/// The agent of all tasks: the format has no word for one.
const BUILDER: &str = "builder";

/// What became of a plan.
pub(super) struct Built {
    pub(super) tasks: Vec<Task>,
    pub(super) links: Vec<Link>,
}

impl PlanFile {
    /// The id of the task that stands there in the file, from 1.
    fn task_id(&self, number: usize) -> Option<TaskId> {
        TaskId::new(format!("{:02}-{:02}-T{number}", self.head.phase.number, self.head.number)).ok()
    }

    fn works(&self) -> impl Iterator<Item = (usize, &Work)> {
        self.steps.iter().enumerate().filter_map(|(at, step)| match step {
            Step::Work(work) => Some((at + 1, work)),
            Step::Checkpoint(_) => None,
        })
    }

    /// The id of the last task for an agent.
    pub(super) fn last_task(&self) -> Option<TaskId> {
        self.works().last().and_then(|(number, _)| self.task_id(number))
    }

    /// All files that the plan names.
    pub(super) fn named_files(&self) -> Vec<String> {
        let works = self.works().flat_map(|(_, work)| &work.files);
        let words = works.chain(&self.files).map(|word| word.text.clone());
        words.chain(self.must.artifacts.iter().map(|artifact| artifact.path.clone())).collect()
    }
}

/// A task while it is built.
struct Draft<'a> {
    work: &'a Work,
    id: TaskId,
    description: String,
    options: BTreeMap<String, String>,
    checkpoint: Option<Checkpoint>,
    criteria: Criteria,
}

/// Builds the tasks and links of a plan whose first task waits for `before`; `named` are the
/// files that the phase names.
pub(super) fn build(
    reading: &mut Reading<'_>,
    plan: &PlanFile,
    before: Vec<TaskId>,
    named: &[String],
) -> Result<Built, Told> {
    let mut refused = Ok(());
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    for (number, work) in plan.works() {
        let Some(id) = plan.task_id(number) else { continue };
        let mut options = plan.sections.clone();
        options.insert(
            "plan".to_owned(),
            format!("{:02}-{:02}", plan.head.phase.number, plan.head.number),
        );
        let mut criteria = Criteria::new(id.clone());
        let own = own_criteria(reading, work, &mut criteria);
        refused = refused.and(own);
        let description = work.description.clone();
        drafts.push(Draft { work, id, description, options, checkpoint: None, criteria });
    }
    refused = refused.and(checkpoints(reading, plan, &mut drafts));
    refused = refused.and(must_haves(reading, plan, &mut drafts));
    let links = links(reading, plan, &mut drafts, named);
    other_files(reading, plan);
    let context = reads(reading, &plan.context);
    let mut previous = before;
    let tasks = every(drafts, |draft| {
        let depends_on = std::mem::replace(&mut previous, vec![draft.id.clone()]);
        let own = reads(reading, &draft.work.reads);
        let mut reads = own?;
        for glob in context.as_ref().map_err(|told| *told)? {
            if !reads.contains(glob) {
                reads.push(glob.clone());
            }
        }
        Ok(Task {
            id: draft.id,
            title: draft.work.title.clone(),
            description: draft.description,
            agent: BUILDER.to_owned(),
            depends_on,
            reads,
            writes: draft.work.writes.clone(),
            artifacts: Vec::new(),
            commands: Vec::new(),
            timeout: None,
            limits: ResourceLimits::default(),
            retries: 0,
            checkpoint: draft.checkpoint,
            steps: Vec::new(),
            options: draft.options,
            accept: draft.criteria.all,
        })
    });
    refused?;
    Ok(Built { tasks: tasks?, links: links? })
}

fn reads(reading: &mut Reading<'_>, words: &[Word]) -> Result<Vec<PathGlob>, Told> {
    words::files(reading, words, "a file to read")
}

/// What the task itself says of how it is seen that it is done.
fn own_criteria(
    reading: &mut Reading<'_>,
    work: &Work,
    criteria: &mut Criteria,
) -> Result<(), Told> {
    let source = reading.source();
    let blocks = work.criteria.clone().map(|span| part(source, span)).unwrap_or_default();
    let listed = every(&blocks, |block| match &block.kind {
        BlockKind::List(entries) => {
            every(entries, |entry| criteria.entry(reading, entry)).map(|_: Vec<()>| ())
        }
        BlockKind::Paragraph(pieces) => criteria.line(reading, block.span.clone(), pieces),
        BlockKind::Rule => Ok(()),
        _ => {
            let text = dedented(source, block.span.clone());
            criteria.judged(reading, block.span.clone(), text)
        }
    });
    let commands = every(&work.commands, |(span, command)| {
        let line = reading.line_of(trimmed(source, span));
        let message = "commands are not run yet: a person is asked whether it succeeds";
        let problem = Problem::new(Code::CommandNotRun, line, message).label("not run");
        let help = "a check of a file, such as `PATH contains` and a text in backticks in \
                    `<acceptance_criteria>`, needs nobody";
        reading.warn(problem.help(help));
        let fence = if command.contains('\n') { "\n```\n" } else { "`" };
        criteria.judged(
            reading,
            span.clone(),
            format!("This command succeeds: {fence}{command}{fence}"),
        )
    });
    let judged =
        every(&work.judged, |(span, text)| criteria.judged(reading, span.clone(), text.clone()));
    listed.and(commands).and(judged).map(|_| ())
}

fn trimmed(source: &str, span: &Span) -> Span {
    let text = source.get(span.clone()).unwrap_or_default();
    let start = span.start + text.len() - text.trim_start().len();
    start..start + text.trim().len()
}

/// Puts the checkpoints on the tasks beside them: what has to be decided or done by a person
/// before the next one, what has to be verified after the one before.
fn checkpoints(
    reading: &mut Reading<'_>,
    plan: &PlanFile,
    drafts: &mut [Draft<'_>],
) -> Result<(), Told> {
    let mut refused = Ok(());
    let mut done = 0;
    let mut any = false;
    for step in &plan.steps {
        let Step::Checkpoint(point) = step else {
            done += 1;
            continue;
        };
        any = true;
        let verifies = point.kind == "human-verify";
        let next = if verifies && done > 0 { None } else { drafts.get_mut(done) };
        match next {
            Some(next) => {
                say(next, point);
                next.checkpoint = Some(Checkpoint { at: CheckpointAt::Before, human: true });
            }
            None => {
                let Some(last) = done.checked_sub(1).and_then(|at| drafts.get_mut(at)) else {
                    continue;
                };
                // The text is judged, so that a person sees it, and also where the task has its
                // one checkpoint before it.
                let judged = last.criteria.judged(reading, point.span.clone(), point.text.clone());
                refused = refused.and(judged);
                let after = Checkpoint { at: CheckpointAt::After, human: true };
                last.checkpoint = last.checkpoint.or(Some(after));
            }
        }
    }
    if let Some(setup) = &plan.user_setup {
        if let Some(first) = drafts.first_mut() {
            first.options.insert("user_setup".to_owned(), setup.clone());
            first.checkpoint = Some(Checkpoint { at: CheckpointAt::Before, human: true });
        }
    } else if let Some(last) = drafts.last_mut().filter(|_| !plan.autonomous && !any) {
        last.checkpoint = Some(Checkpoint { at: CheckpointAt::After, human: true });
    }
    refused
}

/// Says a checkpoint's text in the task that comes behind it.
fn say(draft: &mut Draft<'_>, point: &task::Checkpoint) {
    let said = format!("**Before this, a person decides ({}):**\n{}", point.kind, point.text);
    draft.description = format!("{}\n\n{said}", draft.description);
    let text = draft.options.entry("checkpoint".to_owned()).or_default();
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(&point.text);
}

/// Puts what must hold when the plan is done on its tasks: what is checked in a file on the
/// last task that writes the file, everything else on the last one.
fn must_haves(
    reading: &mut Reading<'_>,
    plan: &PlanFile,
    drafts: &mut [Draft<'_>],
) -> Result<(), Told> {
    let mut refused = Ok(());
    for artifact in &plan.must.artifacts {
        let writes =
            |draft: &Draft<'_>| draft.work.files.iter().any(|word| word.text == artifact.path);
        let at = drafts.iter().rposition(writes).or(drafts.len().checked_sub(1));
        let Some(draft) = at.and_then(|at| drafts.get_mut(at)) else { continue };
        for check in &artifact.checks {
            let (span, text) = (artifact.span.clone(), check.text.clone());
            let added = draft.criteria.add(reading, span, check.kind, &check.args, text);
            refused = refused.and(added);
        }
    }
    let Some(last) = drafts.last_mut() else { return refused };
    for (span, text) in plan.must.truths.iter().chain(&plan.checks) {
        refused = refused.and(last.criteria.judged(reading, span.clone(), text.clone()));
    }
    refused
}

/// The connections that can be checked, as links; the others are criteria of the last task.
fn links(
    reading: &mut Reading<'_>,
    plan: &PlanFile,
    drafts: &mut [Draft<'_>],
    named: &[String],
) -> Result<Vec<Link>, Told> {
    let literal = |path: &str| {
        path.parse::<PathGlob>().is_ok_and(|glob| glob.as_literal().is_some())
            && !path.chars().any(char::is_control)
    };
    let is_file = |to: &str| literal(to) && (to.contains('/') || named.iter().any(|n| n == to));
    let links = every(plan.must.links.iter().enumerate(), |(at, link)| {
        match &link.pattern {
            Some(pattern) if literal(&link.from) && is_file(&link.to) => {
                let id = format!(
                    "{:02}-{:02}.link.{}",
                    plan.head.phase.number,
                    plan.head.number,
                    at + 1
                );
                let id = CriterionId::new(id)
                    .map_err(|error| reading.bad_id(link.span.clone(), &error.0))?;
                let (from, to) = (link.from.clone(), link.to.clone());
                return Ok(Some(Link { id, from, pattern: pattern.clone(), to, provides: None }));
            }
            _ => {}
        }
        let Some(last) = drafts.last_mut() else { return Ok(None) };
        let checked = link.pattern.as_ref().filter(|_| literal(&link.from));
        other_link(reading, link, checked.is_some());
        let text = said(link);
        match checked {
            Some(pattern) => {
                let path = Value::from(link.from.as_str());
                let args = [("path", path), ("regex", Value::from(pattern.as_str()))];
                last.criteria.add(reading, link.span.clone(), "matches", &args, text)?;
            }
            None => last.criteria.judged(reading, link.span.clone(), text)?,
        }
        Ok(None)
    })?;
    Ok(links.into_iter().flatten().collect())
}

/// What a connection says.
fn said(link: &KeyLink) -> String {
    let via = link.via.as_ref().map(|via| format!(": {via}")).unwrap_or_default();
    let pattern = link.pattern.as_ref().map(|p| format!(" (`{p}`)")).unwrap_or_default();
    format!("`{}` is connected to `{}`{via}{pattern}", link.from, link.to)
}

fn other_link(reading: &mut Reading<'_>, link: &KeyLink, checked: bool) {
    let (message, help) = if checked {
        let message = format!(
            "`{}` is no file of the phase: only that the pattern is in `{}` is checked",
            link.to, link.from
        );
        (message, "name the file that defines it, from the project's root")
    } else {
        let message = format!("a person is asked whether `{}` is connected", link.from);
        (message, "give it a `pattern` that must match in the file `from`, a plain path")
    };
    let problem = Problem::new(Code::NotCarried, link.span.clone(), message);
    reading.warn(problem.label("not all of it is checked").help(help));
}

/// Warns where the files of the tasks are others than those of the plan.
fn other_files(reading: &mut Reading<'_>, plan: &PlanFile) {
    let Some(span) = &plan.files_span else { return };
    let tasks: Vec<&str> =
        plan.works().flat_map(|(_, work)| &work.files).map(|word| word.text.as_str()).collect();
    let whole: Vec<&str> = plan.files.iter().map(|word| word.text.as_str()).collect();
    let mut missing: Vec<&str> = tasks.iter().copied().filter(|f| !whole.contains(f)).collect();
    let mut unused: Vec<&str> = whole.iter().copied().filter(|f| !tasks.contains(f)).collect();
    missing.dedup();
    unused.dedup();
    if missing.is_empty() && unused.is_empty() {
        return;
    }
    let mut parts = Vec::new();
    if !unused.is_empty() {
        parts.push(format!("no task writes {}", listed(unused)));
    }
    if !missing.is_empty() {
        parts.push(format!("{} missing here", are(&missing)));
    }
    let message = format!("the files of the plan are not those of its tasks: {}", parts.join("; "));
    let problem = Problem::new(Code::OtherFiles, span.clone(), message).label("other files");
    let help = "what a task may write is its own `<files>`, and nothing else";
    reading.warn(problem.help(help));
}

fn are(files: &[&str]) -> String {
    let verb = if files.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", listed(files.iter().copied()))
}
