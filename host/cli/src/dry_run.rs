//! `--dry-run`: everything that a run would do, without running an agent.
//!
//! Invariant: nothing is written but the file that `--save-plan` names, and no guest code runs.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use idumb_core::{AgentBinding, Capability, Declared, PathGlob, Plan, Prerequisite, Task};
use idumb_journal::{Journal, StateDir};
use serde_json::json;

use crate::approve::Approved;
use crate::args::{ExecutePhase, Format};
use crate::established::Established;
use crate::execute::choose_phase;
use crate::fault::DONE;
use crate::project::Project;
use crate::report::Paint;
use crate::roster::{BUILT_IN, Roster};
use crate::settings::Settings;
use crate::text::{one_line, printable};

/// Shows what a run would do.
pub(crate) fn show(project: &Project, args: &ExecutePhase, settings: &Settings) -> Result<u8> {
    let state = StateDir::find(&project.root)?;
    let journal = state.as_ref().map(Journal::open_read_only).transpose()?.flatten();
    let phase = choose_phase(project, args.phase.as_deref(), journal.as_ref())?;
    let plan = project.plan(&phase)?;
    let roster = Roster::of(&project.root, &project.config, &plan)?;
    let established = match &journal {
        Some(journal) => Established::before(journal, &plan)?,
        None => Established::default(),
    };
    let prerequisites = established.prerequisites(&plan);
    if let Some(path) = &args.save_plan {
        let bound = (settings.rules.as_slice(), settings.policies.as_slice());
        Approved::of(&project.root, &plan, &roster.bindings(), bound)?.save(path)?;
    }
    let out = match args.output.format {
        Format::Text => text(&plan, &roster, &established, &prerequisites, settings),
        Format::Jsonl => json_line(&plan, &roster, &prerequisites, settings),
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(DONE)
}

fn text(
    plan: &Plan,
    roster: &Roster,
    established: &Established,
    prerequisites: &[Prerequisite],
    settings: &Settings,
) -> String {
    let paint = Paint::for_stream(&std::io::stdout());
    let mut out = String::new();
    let head = format!("Phase {}: {} tasks", plan.phase, plan.tasks.len());
    let _ = writeln!(out, "{} — dry run, no agent runs", paint.strong(&head));
    let _ = writeln!(out, "  goal: {}", one_line(&plan.goal, 200));
    let _ = writeln!(out, "  plan: {}", plan.digest);
    let (mode, size) = (settings.mode, settings.batch_size);
    let timeout = idumb_core::duration_text(settings.timeouts.attempt_ms);
    let _ = writeln!(out, "  mode: {mode}, at most {size} tasks in a batch, {timeout} per attempt");
    for prerequisite in prerequisites {
        let phase = printable(&prerequisite.phase);
        let _ = match &prerequisite.completed_by {
            Some(run) => writeln!(out, "  needs phase {phase}: completed by {run}"),
            None => {
                let unmet = paint.bad("not completed: the run would stop with E003");
                writeln!(out, "  needs phase {phase}: {unmet}")
            }
        };
    }
    let _ = writeln!(out, "\n{}", paint.strong("Agents"));
    for agent in roster.bindings() {
        let source = printable(&agent.source);
        let _ = writeln!(out, "  {:20} {:20} {} ({source})", agent.name, agent.role, agent.digest);
        ceiling_lines(&mut out, &agent, paint);
    }
    let path: Vec<String> = plan.critical_path().iter().map(ToString::to_string).collect();
    let _ = writeln!(out, "\n{}", paint.strong("Batches"));
    let _ = writeln!(out, "  longest chain: {} tasks: {}", path.len(), shortened(&path));
    for (index, batch) in plan.batches(settings.batch_size as usize).iter().enumerate() {
        let _ = writeln!(out, "Batch {}", index + 1);
        for task in batch.iter().filter_map(|id| plan.task(id)) {
            task_lines(&mut out, task, roster, paint);
        }
    }
    let _ = writeln!(out, "\n{}", paint.strong("Afterwards"));
    let (links, earlier) = (plan.links.len(), established.criteria.len());
    let checker = roster.holder(idumb_core::Role::IntegrationChecker);
    let _ =
        writeln!(out, "  {checker} checks {links} links and {earlier} criteria of earlier phases");
    let criteria: usize = plan.tasks.iter().map(|task| task.accept.len()).sum();
    let verifier = roster.holder(idumb_core::Role::Verifier);
    let _ = writeln!(out, "  {verifier} checks {criteria} criteria again, on the real tree");
    out
}

/// A chain of tasks, without its middle if it is long.
fn shortened(path: &[String]) -> String {
    const MOST: usize = 12;
    if path.len() <= MOST {
        return path.join(" → ");
    }
    let (first, last) = (&path[..MOST / 2], &path[path.len() - MOST / 2..]);
    format!("{} → … → {}", first.join(" → "), last.join(" → "))
}

/// What an agent that is not ours declares that it may ever want.
fn ceiling_lines(out: &mut String, agent: &AgentBinding, paint: Paint) {
    let Some(ceiling) = &agent.ceiling else {
        if agent.source != BUILT_IN {
            let _ = writeln!(out, "    declares no ceiling: what its tasks grant is what it gets");
        }
        return;
    };
    if ceiling.wants().next().is_none() {
        let _ = writeln!(out, "    declares that it wants no file");
    }
    for (capability, want) in ceiling.wants() {
        let paths: Vec<String> = want.paths.iter().map(|glob| printable(glob.as_str())).collect();
        let why = format!("says: {}", one_line(&want.why, 200));
        let paths = paths.join(" ");
        let _ = writeln!(out, "    wants at most to {capability} {paths}: {}", paint.dim(&why));
    }
}

/// The grants of a task that its agent does not declare, or only in part, with how much it does.
pub(crate) fn undeclared<'a>(
    task: &'a Task,
    roster: &Roster,
) -> Vec<(Capability, &'a PathGlob, Declared)> {
    let Some(bounds) = roster.binding(&task.agent).and_then(AgentBinding::bounds) else {
        return Vec::new();
    };
    let writes = task.writes.iter().map(|glob| (Capability::Write, glob));
    let reads = task.reads.iter().map(|glob| (Capability::Read, glob));
    writes
        .chain(reads)
        .map(|(capability, glob)| (capability, glob, bounds.declares(capability, glob)))
        .filter(|(_, _, declared)| *declared != Declared::Whole)
        .collect()
}

fn task_lines(out: &mut String, task: &Task, roster: &Roster, paint: Paint) {
    let after = if task.depends_on.is_empty() {
        String::new()
    } else {
        let names: Vec<&str> = task.depends_on.iter().map(idumb_core::TaskId::as_str).collect();
        format!(" (after {})", names.join(", "))
    };
    let title = one_line(&task.title, 70);
    let agent = &task.agent;
    let _ = writeln!(out, "  {}: {title} — {agent}{}", task.id, paint.dim(&after));
    for (capability, globs) in [(Capability::Write, &task.writes), (Capability::Read, &task.reads)]
    {
        for glob in globs {
            let why = reasons(task, capability, glob).join(", ");
            let pattern = printable(glob.as_str());
            let _ = writeln!(out, "    {capability:5} {pattern:32} {}", paint.dim(&why));
        }
    }
    for (capability, glob, declared) in undeclared(task, roster) {
        let pattern = printable(glob.as_str());
        let beyond = match declared {
            Declared::Part => "all of it: it will not get the rest",
            _ => "it: it will not get that",
        };
        let line = format!("to {capability} {pattern}: {agent} does not declare {beyond}");
        let _ = writeln!(out, "    {}", paint.bad(&line));
    }
    for criterion in &task.accept {
        let _ = writeln!(out, "    check {}", one_line(&criterion.text, 90));
    }
}

/// Why a task gets a grant: what in the plan needs it.
fn reasons(task: &Task, capability: Capability, glob: &PathGlob) -> Vec<String> {
    let mut reasons = Vec::new();
    for (index, step) in task.steps.iter().enumerate() {
        let read = |key: &str| step.args.get(key).and_then(|value| value.as_str());
        let wanted = match capability {
            Capability::Write => ["path", "to"].map(read),
            Capability::Read => ["from", ""].map(read),
        };
        let moved = (step.kind == "move" && capability == Capability::Write).then(|| read("from"));
        let mut paths = wanted.into_iter().chain(moved).flatten();
        if paths.any(|path| glob.matches(path)) {
            reasons.push(format!("step {} ({})", index + 1, printable(&step.kind)));
        }
    }
    if capability == Capability::Write && task.artifacts.iter().any(|path| glob.matches(path)) {
        reasons.push("promised artifact".to_owned());
    }
    let looked_at = task
        .accept
        .iter()
        .any(|criterion| criterion.looks_at.iter().any(|path| glob.overlaps(path)));
    if looked_at {
        reasons.push("a criterion looks at it".to_owned());
    }
    if reasons.is_empty() {
        reasons.push("declared by the task".to_owned());
    }
    reasons
}

fn json_line(
    plan: &Plan,
    roster: &Roster,
    prerequisites: &[Prerequisite],
    settings: &Settings,
) -> String {
    let grant = |task: &Task, capability: Capability, glob: &PathGlob| {
        json!({
            "capability": capability,
            "paths": glob.as_str(),
            "reasons": reasons(task, capability, glob),
        })
    };
    let beyond = |task: &Task| -> Vec<_> {
        let undeclared = undeclared(task, roster).into_iter();
        let one = |(capability, glob, declared): (Capability, &PathGlob, Declared)| {
            let part = declared == Declared::Part;
            json!({ "capability": capability, "paths": glob.as_str(), "declared_in_part": part })
        };
        undeclared.map(one).collect()
    };
    let tasks: Vec<_> = plan
        .tasks
        .iter()
        .map(|task| {
            let writes = task.writes.iter().map(|glob| grant(task, Capability::Write, glob));
            let reads = task.reads.iter().map(|glob| grant(task, Capability::Read, glob));
            json!({
                "id": task.id,
                "title": task.title,
                "agent": task.agent,
                "depends_on": task.depends_on,
                "grants": writes.chain(reads).collect::<Vec<_>>(),
                "beyond_ceiling": beyond(task),
                "criteria": task.accept.iter().map(|criterion| &criterion.text).collect::<Vec<_>>(),
            })
        })
        .collect();
    let line = json!({
        "kind": "dry_run",
        "version": 1,
        "phase": plan.phase.to_string(),
        "plan": plan.digest,
        "mode": settings.mode,
        "critical_path": plan.critical_path(),
        "batches": plan.batches(settings.batch_size as usize),
        "agents": roster.bindings(),
        "prerequisites": prerequisites,
        "tasks": tasks,
    });
    format!("{line}\n")
}
