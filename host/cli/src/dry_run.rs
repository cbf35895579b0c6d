//! `--dry-run`: everything that a run would do, without running an agent.
//!
//! Invariant: nothing is written but the file that `--save-plan` names, and no guest code runs.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use idumb_core::{
    AgentBinding, Capability, CheckpointAt, Declared, PathGlob, Plan, Prerequisite, Role, Task,
    is_protected,
};
use idumb_journal::{Journal, StateDir};
use serde_json::{Value, json};

use crate::approve::Approved;
use crate::args::{ExecutePhase, Format};
use crate::columns;
use crate::consent::{Asking, Standing, command_lines};
use crate::established::Established;
use crate::execute::choose_phase;
use crate::fault::DONE;
use crate::native;
use crate::project::Project;
use crate::report::Paint;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::text::{CRITERIA, TASKS, counted, one_line, printable};

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
    let standings = Asking {
        project: &project.root,
        root: &project.root,
        run: None,
        plan: &plan,
        roster: &roster,
        established: &established,
        flags: &args.grants.grant,
        roles: &Role::ALL,
        commands: native::used(&plan, &established, &project.config),
    }
    .standings()?;
    let shown = Shown { plan: &plan, roster: &roster, standings: &standings, settings };
    let out = match args.output.format {
        Format::Text => columns::fit(&shown.text(&established, &prerequisites, args.verbose)),
        Format::Json | Format::Jsonl => shown.json_line(&prerequisites),
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(DONE)
}

/// What a dry run shows.
struct Shown<'a> {
    plan: &'a Plan,
    roster: &'a Roster,
    standings: &'a [Standing],
    settings: &'a Settings,
}

impl Shown<'_> {
    fn text(
        &self,
        established: &Established,
        prerequisites: &[Prerequisite],
        verbose: bool,
    ) -> String {
        let Self { plan, roster, settings, .. } = self;
        let paint = Paint::for_stream(&std::io::stdout());
        let mut out = String::new();
        let head = format!("Phase {}: {}", plan.phase, counted(plan.tasks.len(), TASKS));
        let _ = writeln!(out, "{} — dry run, no agent runs", paint.strong(&head));
        let _ = writeln!(out, "  goal: {}", one_line(&plan.goal, 200));
        let digest = if verbose { plan.digest.to_string() } else { plan.digest.short() };
        let _ = writeln!(out, "  plan: {digest}");
        let (mode, size) = (settings.mode, settings.batch_size);
        let timeout = idumb_core::duration_text(settings.timeouts.attempt_ms);
        let most = format!("at most {size} tasks in a batch, {timeout} per attempt");
        let _ = writeln!(out, "  mode: {mode}, {most}");
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
        self.agent_lines(&mut out, verbose, paint);
        let path: Vec<String> = plan.critical_path().iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "\n{}", paint.strong("Batches"));
        let chain = counted(path.len(), TASKS);
        let _ = writeln!(out, "  longest chain: {chain}: {}", shortened(&path));
        for (index, batch) in plan.batches(size as usize).iter().enumerate() {
            let _ = writeln!(out, "Batch {}", index + 1);
            for task in batch.iter().filter_map(|id| plan.task(id)) {
                task_lines(&mut out, task, roster, verbose, paint);
            }
        }
        let _ = writeln!(out, "\n{}", paint.strong("Afterwards"));
        let (links, earlier) = (plan.links.len(), established.criteria.len());
        let checker = roster.holder(Role::IntegrationChecker);
        let links = counted(links, ("link", "links"));
        let what = format!("{links} and {} of earlier phases", counted(earlier, CRITERIA));
        let _ = writeln!(out, "  {checker} checks {what}");
        let criteria: usize = plan.tasks.iter().map(|task| task.accept.len()).sum();
        let verifier = roster.holder(Role::Verifier);
        let criteria = counted(criteria, CRITERIA);
        let _ = writeln!(out, "  {verifier} checks {criteria} again, on the real tree");
        if !verbose {
            let more = "-v shows what is read, each criterion, and whole digests";
            let _ = writeln!(out, "\n{}", paint.dim(more));
        }
        out
    }

    fn agent_lines(&self, out: &mut String, verbose: bool, paint: Paint) {
        let _ = writeln!(out, "\n{}", paint.strong("Agents"));
        for agent in self.roster.bindings() {
            let (name, role, source) = (&agent.name, agent.role, printable(&agent.source));
            let digest = if verbose { agent.digest.to_string() } else { agent.digest.short() };
            let _ = writeln!(out, "  {name:20} {role:20} {digest} ({source})");
            let mut agents = self.standings.iter().filter(|one| one.command.is_none());
            let standing = agents.find(|one| one.agent.name == agent.name);
            if let Some(standing) = standing {
                let outlook = standing.outlook();
                let outlook = if standing.needs { paint.odd(&outlook) } else { outlook };
                let _ = writeln!(out, "    {outlook}");
            }
            ceiling_lines(out, &agent, paint);
        }
        let commands = self.standings.iter().filter_map(|one| Some((one, one.command.as_ref()?)));
        for (index, (standing, source)) in commands.enumerate() {
            if index == 0 {
                let _ = writeln!(out, "\n{}", paint.strong("Native commands, confined"));
            }
            let digest = standing.agent.digest;
            let digest = if verbose { digest.to_string() } else { digest.short() };
            let _ = writeln!(out, "  {:20} {digest}", standing.agent.name);
            let outlook = standing.outlook();
            let outlook = if standing.needs { paint.odd(&outlook) } else { outlook };
            let _ = writeln!(out, "    {outlook}");
            for line in command_lines(source) {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
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
        if agent.third_party {
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

/// What a task changes, and who decides about it; what else it may do, if `verbose`.
fn task_lines(out: &mut String, task: &Task, roster: &Roster, verbose: bool, paint: Paint) {
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
        // What steers tools or holds secrets is never a detail.
        let shown = |glob: &&PathGlob| {
            verbose
                || capability == Capability::Write
                || glob.as_literal().is_some_and(is_protected)
        };
        for glob in globs.iter().filter(shown) {
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
    if !task.commands.is_empty() {
        // What a command prints may be of any file.
        let line = format!("ask   {}", task.commands.join(" "));
        let _ =
            writeln!(out, "    {line:38} {}", paint.dim("native commands, which see all files"));
    }
    if let Some(checkpoint) = &task.checkpoint {
        let when = match checkpoint.at {
            CheckpointAt::Before => "before it begins",
            CheckpointAt::After => "once it is done",
        };
        let who = if checkpoint.human { "always" } else { "in interactive mode" };
        let _ = writeln!(out, "    {}", paint.odd(&format!("asks a person {when}, {who}")));
    }
    let checked = task.accept.iter().filter(|criterion| verbose || criterion.is_judged());
    for criterion in checked {
        let who = if criterion.is_judged() { "a person judges:" } else { "check" };
        let _ = writeln!(out, "    {who} {}", one_line(&criterion.text, 90));
    }
}

/// Why a task gets a grant: what in the plan needs it.
pub(crate) fn reasons(task: &Task, capability: Capability, glob: &PathGlob) -> Vec<String> {
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

impl Shown<'_> {
    fn json_line(&self, prerequisites: &[Prerequisite]) -> String {
        let Self { plan, roster, settings, .. } = self;
        let tasks: Vec<Value> = plan.tasks.iter().map(|task| task_json(task, roster)).collect();
        let line = json!({
            "kind": "dry_run",
            "version": 1,
            "phase": plan.phase.to_string(),
            "plan": plan.digest,
            "mode": settings.mode,
            "critical_path": plan.critical_path(),
            "batches": plan.batches(settings.batch_size as usize),
            "agents": roster.bindings(),
            "consent": self.standings.iter().map(standing_json).collect::<Vec<_>>(),
            "prerequisites": prerequisites,
            "tasks": tasks,
        });
        format!("{line}\n")
    }
}

/// What an agent needs a person's consent for, and whether somebody gave it.
fn standing_json(standing: &Standing) -> Value {
    let new: Vec<Value> = standing
        .new
        .iter()
        .map(|(capability, glob)| json!({ "capability": capability, "paths": glob.as_str() }))
        .collect();
    json!({
        "agent": standing.agent.name,
        "command": standing.command,
        "digest": standing.agent.digest,
        "asks": standing.asked,
        "needs_consent": standing.needs,
        "new": new,
    })
}

fn task_json(task: &Task, roster: &Roster) -> Value {
    let grant = |capability: Capability, glob: &PathGlob| {
        let reasons = reasons(task, capability, glob);
        json!({ "capability": capability, "paths": glob.as_str(), "reasons": reasons })
    };
    let beyond = |(capability, glob, declared): (Capability, &PathGlob, Declared)| {
        let part = declared == Declared::Part;
        json!({ "capability": capability, "paths": glob.as_str(), "declared_in_part": part })
    };
    let writes = task.writes.iter().map(|glob| grant(Capability::Write, glob));
    let reads = task.reads.iter().map(|glob| grant(Capability::Read, glob));
    json!({
        "id": task.id,
        "title": task.title,
        "agent": task.agent,
        "depends_on": task.depends_on,
        "grants": writes.chain(reads).collect::<Vec<_>>(),
        "commands": task.commands,
        "beyond_ceiling": undeclared(task, roster).into_iter().map(beyond).collect::<Vec<_>>(),
        "checkpoint": task.checkpoint,
        "criteria": task.accept.iter().map(|criterion| &criterion.text).collect::<Vec<_>>(),
    })
}
