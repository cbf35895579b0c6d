//! The files of a phase together: which plan waits for which, and the plan that they make.
//!
//! Invariant: a plan's tasks run one after the other, the first of them once the last ones
//! of all plans that it depends on are done. The order of the files given does not matter.

use std::collections::BTreeMap;

use idumb_core::{Digest, PhaseId, Plan};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::build::{Built, build};
use super::file::{self, Head, PlanFile, of_name};
use crate::dialect::outline::Outline;
use crate::dialect::{Known, SourceFile};
use crate::problem::{Code, Problem, RefusedPlan, Told, Warned};
use crate::reading::{Reading, every};
use crate::suggest::{listed, meant};

/// A file, and what was read of it.
struct Loaded<'a> {
    source: SourceFile<'a>,
    reading: Reading<'a>,
    head: Option<Head>,
    read: Result<PlanFile, Told>,
}

impl Loaded<'_> {
    /// The numbers of the phase and the plan, also of a file that was refused.
    fn numbers(&self) -> Option<(u32, u32)> {
        match &self.head {
            Some(head) => Some((head.phase.number, head.number)),
            None => of_name(self.source.path).map(|(phase, plan, _)| (phase, plan)),
        }
    }
}

/// The numbers of a phase and a plan, and what the file's name has behind them.
type Names = (Option<(u32, u32)>, Option<String>);

/// What a plan waits for.
#[derive(Default)]
struct Waits {
    /// Plans of this phase, by their place among the files.
    plans: Vec<usize>,
    /// Other phases, by number.
    phases: Vec<u32>,
}

/// Reads the phase that the files are.
pub(in crate::dialect) fn read(
    files: &[(SourceFile<'_>, Outline)],
    known: &Known<'_>,
) -> Result<(Plan, Vec<Warned>), Option<RefusedPlan>> {
    let mut loaded: Vec<Loaded<'_>> = files
        .iter()
        .map(|(source, outline)| {
            let mut reading = Reading::of_plan(source.text);
            let mut head = None;
            let read = file::read(&mut reading, outline, source.path, known, &mut head);
            Loaded { source: *source, reading, head, read }
        })
        .collect();
    loaded.sort_by(|a, b| a.numbers().cmp(&b.numbers()).then(a.source.path.cmp(b.source.path)));
    let plan = together(&mut loaded);
    let digest = digest(files);
    let mut refused = Vec::new();
    let mut warnings = Vec::new();
    for Loaded { source, reading, read, .. } in loaded {
        match reading.finish(read, source.path) {
            Ok((_, warned)) => warnings.extend(warned),
            Err(file) => refused.push(file),
        }
    }
    let mut refused = refused.into_iter();
    match (refused.next(), plan) {
        (Some(first), _) => Err(Some(RefusedPlan::new(first, refused.collect()))),
        (None, Ok(plan)) => Ok((Plan { digest, ..plan }, warnings)),
        (None, Err(_)) => Err(None),
    }
}

/// The digest of the files: of one, that of its bytes; of several, that of the list of
/// their digests and names, in the order of the names.
fn digest(files: &[(SourceFile<'_>, Outline)]) -> Digest {
    if let [(file, _)] = files {
        return Digest::of(file.text.as_bytes());
    }
    let line = |file: &SourceFile<'_>| {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        (name.to_owned(), Digest::of(file.text.as_bytes()).to_hex())
    };
    let mut lines: Vec<_> = files.iter().map(|(file, _)| line(file)).collect();
    lines.sort();
    let list: String = lines.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    Digest::of(list.as_bytes())
}

/// Everything between the files, and then the plan.
fn together(files: &mut [Loaded<'_>]) -> Result<Plan, Told> {
    let differ = same_phase(files);
    let unique = unique(files);
    let waits = waits(files);
    let acyclic = waits.as_ref().map_err(|told| *told).and_then(|waits| acyclic(files, waits));
    let order = acyclic.and_then(|()| waits.as_ref().map_err(|told| *told));
    if let Ok(waits) = order {
        waves(files, waits);
    }
    let built = all_built(files, order.ok());
    differ?;
    unique?;
    order?;
    let (built, waits) = (built?, waits?);
    let mut plans = Vec::new();
    for file in files.iter() {
        plans.push(file.read.as_ref().map_err(|told| *told)?);
    }
    let phase = plans.first().map(|plan| plan.head.phase.clone());
    let phase = phase.unwrap_or(PhaseId { number: 0, name: String::new() });
    let mut phases: Vec<u32> = waits.iter().flat_map(|waits| waits.phases.clone()).collect();
    phases.sort_unstable();
    phases.dedup();
    let (tasks, links): (Vec<_>, Vec<_>) =
        built.into_iter().map(|built| (built.tasks, built.links)).unzip();
    Ok(Plan {
        goal: goal(&plans, &phase),
        phase,
        depends_on: phases.iter().map(ToString::to_string).collect(),
        supersedes: Vec::new(),
        tasks: tasks.into_iter().flatten().collect(),
        links: links.into_iter().flatten().collect(),
        // Of no file; the caller knows them all.
        digest: Digest::of(b""),
    })
}

/// What all plans together are to achieve.
fn goal(plans: &[&PlanFile], phase: &PhaseId) -> String {
    let said = |plan: &&PlanFile| Some((plan.head.number, plan.objective.clone()?));
    let objectives: Vec<_> = plans.iter().filter_map(said).collect();
    match objectives.as_slice() {
        [] => phase.name.clone(),
        [(_, objective)] => objective.clone(),
        several => {
            let parts = several.iter().map(|(number, text)| format!("Plan {number:02}: {text}"));
            parts.collect::<Vec<_>>().join("\n\n")
        }
    }
}

/// Refuses a file of another phase than the first.
fn same_phase(files: &mut [Loaded<'_>]) -> Result<(), Told> {
    let first =
        files.iter().find_map(|file| Some((file.head.as_ref()?.phase.clone(), file.source.path)));
    let Some((first, path)) = first else { return Ok(()) };
    every(files, |file| match &file.head {
        Some(read) if read.phase != first => {
            let message = format!("the plan is of phase `{}`, and {path} of `{first}`", read.phase);
            let problem = Problem::new(Code::OtherPhase, read.number_span.clone(), message);
            let help = format!(
                "write the same `phase` in all files: `{:02}-{}`",
                first.number, first.name
            );
            Err(file.reading.refuse(problem.label("of another phase").help(help)))
        }
        _ => Ok(()),
    })
    .map(|_: Vec<()>| ())
}

/// Refuses a second plan of one number.
fn unique(files: &mut [Loaded<'_>]) -> Result<(), Told> {
    let mut met: BTreeMap<u32, String> = BTreeMap::new();
    every(files, |file| {
        let Some(read) = &file.head else { return Ok(()) };
        let Some(first) = met.insert(read.number, file.source.path.to_owned()) else {
            return Ok(());
        };
        let message = format!("there is another plan {:02}: {first}", read.number);
        let problem = Problem::new(Code::DuplicateId, read.number_span.clone(), message);
        let help = "give one of them another number";
        Err(file.reading.refuse(problem.label("again here").help(help)))
    })
    .map(|_: Vec<()>| ())
}

/// Resolves what every plan depends on.
fn waits(files: &mut [Loaded<'_>]) -> Result<Vec<Waits>, Told> {
    let all: Vec<Names> = files
        .iter()
        .map(|file| {
            let slug = of_name(file.source.path).and_then(|(.., slug)| slug);
            (file.numbers(), slug)
        })
        .collect();
    every(files.iter_mut().enumerate(), |(at, file)| {
        let Some(read) = &file.head else { return Ok(Waits::default()) };
        let mut waits = Waits::default();
        let mut refused = Ok(());
        for (wanted, span) in &read.depends_on {
            let resolved = resolve(wanted, read, &all);
            let (code, message, label, help) = match resolved {
                Some(Wanted::Phase(phase)) => {
                    waits.phases.push(phase);
                    continue;
                }
                Some(Wanted::Plan(other)) if other == at => {
                    let message = format!("`{wanted}` waits for itself");
                    (Code::SelfDependency, message, "itself", "leave it out".to_owned())
                }
                Some(Wanted::Plan(other)) if waits.plans.contains(&other) => {
                    let message = format!("the plan `{wanted}` is named twice");
                    let help = "leave one of them out".to_owned();
                    (Code::DuplicateDependency, message, "again here", help)
                }
                Some(Wanted::Plan(other)) => {
                    waits.plans.push(other);
                    continue;
                }
                None => {
                    let names = all.iter().enumerate().filter(|(other, _)| *other != at);
                    let names = names.filter_map(|(_, (numbers, _))| *numbers);
                    let mut names: Vec<String> =
                        names.map(|(phase, plan)| format!("{phase:02}-{plan:02}")).collect();
                    names.dedup();
                    let help = match names.is_empty() {
                        true => "the phase has no other plan".to_owned(),
                        false => {
                            meant(wanted, names.iter().map(String::as_str), "the other plans are")
                        }
                    };
                    let message = format!("the phase has no plan `{wanted}`");
                    (Code::UnknownDependency, message, "no such plan", help)
                }
            };
            let problem = Problem::new(code, span.clone(), message).label(label).help(help);
            refused = Err(file.reading.refuse(problem));
        }
        refused.map(|()| waits)
    })
}

/// What a dependency names.
enum Wanted {
    /// A plan, by its place among the files.
    Plan(usize),
    /// A plan of an earlier phase: that phase as a whole.
    Phase(u32),
}

/// What `01`, `35-01` or `03-01-slug` names, for the plan of a file.
fn resolve(wanted: &str, read: &Head, all: &[Names]) -> Option<Wanted> {
    let wanted = wanted.strip_suffix("-PLAN.md").unwrap_or(wanted);
    let mut parts = wanted.splitn(3, '-');
    let first: u32 = parts.next()?.parse().ok()?;
    let (phase, plan, slug) = match parts.next() {
        None => (read.phase.number, first, None),
        Some(plan) => (first, plan.parse().ok()?, parts.next()),
    };
    if phase < read.phase.number {
        return Some(Wanted::Phase(phase));
    }
    let fits = |(numbers, known): &Names| {
        let same = match (slug, known) {
            (Some(slug), Some(known)) => slug == known,
            _ => true,
        };
        *numbers == Some((phase, plan)) && same
    };
    all.iter().position(fits).map(Wanted::Plan)
}

/// Refuses plans that wait for each other.
fn acyclic(files: &mut [Loaded<'_>], waits: &[Waits]) -> Result<(), Told> {
    let mut graph: DiGraph<usize, ()> = DiGraph::new();
    let nodes: Vec<NodeIndex> = (0..files.len()).map(|at| graph.add_node(at)).collect();
    for (from, waits) in waits.iter().enumerate() {
        for to in &waits.plans {
            graph.add_edge(nodes[from], nodes[*to], ());
        }
    }
    every(tarjan_scc(&graph), |round| {
        let mut within: Vec<usize> = round.iter().map(|node| graph[*node]).collect();
        within.sort_unstable();
        let Some(first) = within.first().copied().filter(|_| within.len() > 1) else {
            return Ok(());
        };
        let names: Vec<String> = within.iter().filter_map(|at| name(files.get(*at)?)).collect();
        let file = &mut files[first];
        let depends_on = file.head.as_ref().and_then(|head| head.depends_on.first());
        let span = depends_on.map(|(_, span)| span.clone());
        let names = listed(names.iter().map(String::as_str));
        let message = format!("the plans {names} wait for each other");
        let problem = Problem::new(Code::Cycle, span.unwrap_or(0..0), message);
        let help = "take one of them out of the `depends_on` of another";
        Err(file.reading.refuse(problem.label("waits for one that waits for this").help(help)))
    })
    .map(|_: Vec<()>| ())
}

fn name(file: &Loaded<'_>) -> Option<String> {
    file.numbers().map(|(phase, plan)| format!("{phase:02}-{plan:02}"))
}

/// Warns of waves that do not follow from the dependencies; there is no cycle.
fn waves(files: &mut [Loaded<'_>], waits: &[Waits]) {
    let mut computed: Vec<u64> = vec![1; waits.len()];
    // As many rounds as there are plans reach the last one of any chain.
    for _ in 0..waits.len() {
        for (at, waits) in waits.iter().enumerate() {
            let before = waits.plans.iter().filter_map(|plan| computed.get(*plan)).max();
            computed[at] = before.map_or(1, |wave| wave + 1);
        }
    }
    for (file, computed) in files.iter_mut().zip(computed) {
        let Some(Head { wave: Some((wave, span)), .. }) = &file.head else { continue };
        if *wave == computed {
            continue;
        }
        let message = format!("by its dependencies the plan is of wave {computed}");
        let problem = Problem::new(Code::OtherWave, span.clone(), message).label("another wave");
        let help = "waves are not looked at, only `depends_on`: correct the one that is wrong";
        file.reading.warn(problem.help(help));
    }
}

/// The tasks of all plans, each plan behind those that it waits for.
fn all_built(files: &mut [Loaded<'_>], waits: Option<&Vec<Waits>>) -> Result<Vec<Built>, Told> {
    // What a link may lead to without a `/` in its name.
    let named: Vec<String> = files
        .iter()
        .filter_map(|file| file.read.as_ref().ok())
        .flat_map(PlanFile::named_files)
        .collect();
    let last: Vec<_> =
        files.iter().map(|file| file.read.as_ref().ok().and_then(PlanFile::last_task)).collect();
    every(files.iter_mut().enumerate(), |(at, file)| {
        let read = file.read.as_ref().map_err(|told| *told)?;
        let plans = waits.and_then(|waits| waits.get(at)).map(|waits| waits.plans.as_slice());
        let before = plans.unwrap_or_default().iter().filter_map(|plan| last.get(*plan)?.clone());
        build(&mut file.reading, read, before.collect(), &named)
    })
}
