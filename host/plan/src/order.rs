//! What waits for what: dependencies between the tasks of a file.
//!
//! Invariant: after [`check`] told nothing, every dependency is a task of the plan, and
//! no task waits for itself, however far around.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::names::Names;
use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Reading, every};
use crate::suggest::meant;

/// What is known of a task's place in the order, also where the task itself was refused.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) id: Option<String>,
    /// The ids it waits for, and where they stand.
    pub(crate) depends_on: Vec<(String, Span)>,
}

/// Tasks as nodes; an edge leads to what a task waits for, and knows where that is said.
type Graph<'a> = DiGraph<&'a str, Span>;

/// Refuses dependencies that are unknown, given twice, or never end; `field` is what the
/// file calls them.
pub(crate) fn check(reading: &mut Reading<'_>, drafts: &[Draft], field: &str) -> Result<(), Told> {
    let mut graph = Graph::new();
    let mut nodes = BTreeMap::new();
    for id in drafts.iter().filter_map(|draft| draft.id.as_deref()) {
        // A second task of the same id was refused before.
        nodes.entry(id).or_insert_with(|| graph.add_node(id));
    }
    let known = every(drafts, |draft| edges(reading, draft, &nodes, &mut graph));
    let cycles = every(tarjan_scc(&graph), |tasks| {
        if tasks.len() < 2 { Ok(()) } else { Err(cycle(reading, &graph, &tasks, field)) }
    });
    known?;
    cycles.map(|_| ())
}

/// Adds what one task waits for.
fn edges<'a>(
    reading: &mut Reading<'_>,
    draft: &Draft,
    nodes: &BTreeMap<&'a str, NodeIndex>,
    graph: &mut Graph<'a>,
) -> Result<(), Told> {
    let mut seen = Names::new("task");
    every(&draft.depends_on, |(wanted, span)| {
        let itself = draft.id.as_deref();
        if itself == Some(wanted) {
            let message = format!("`{wanted}` waits for itself");
            let problem = Problem::new(Code::SelfDependency, span.clone(), message);
            return Err(reading.refuse(problem.label("itself").help("leave it out")));
        }
        let Some(node) = nodes.get(wanted.as_str()) else {
            let others = nodes.keys().copied().filter(|id| Some(*id) != itself);
            let help = meant(wanted, others, "the other tasks are");
            let message = format!("the plan has no task `{wanted}`");
            let problem = Problem::new(Code::UnknownDependency, span.clone(), message);
            return Err(reading.refuse(problem.label("no such task").help(help)));
        };
        seen.once(reading, Code::DuplicateDependency, wanted, span)?;
        if let Some(from) = itself.and_then(|id| nodes.get(id)) {
            graph.add_edge(*from, *node, span.clone());
        }
        Ok(())
    })
    .map(|_: Vec<()>| ())
}

/// Refuses a circle within `tasks`, which all wait for each other: a shortest one through
/// the task that stands first in the file.
fn cycle(reading: &mut Reading<'_>, graph: &Graph<'_>, tasks: &[NodeIndex], field: &str) -> Told {
    let within: BTreeSet<NodeIndex> = tasks.iter().copied().collect();
    let steps = within.first().map(|start| shortest(graph, &within, *start)).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    let mut labels: Vec<(Span, String)> = Vec::new();
    for (from, to, span) in &steps {
        if names.is_empty() {
            names.push(graph[*from].to_owned());
        }
        names.push(graph[*to].to_owned());
        labels.push((span.clone(), format!("`{}` waits for `{}`", graph[*from], graph[*to])));
    }
    let path = names.join(" → ");
    let mut labels = labels.into_iter();
    let (span, label) = labels.next().unwrap_or_default();
    let problem = Problem::new(Code::Cycle, span, format!("tasks wait for each other: {path}"));
    let problem =
        labels.fold(problem.label(label), |problem, (span, label)| problem.also(span, label));
    reading.refuse(problem.help(format!("take one of these out of its `{field}`")))
}

/// The edges of a shortest way from `start` back to itself.
fn shortest(
    graph: &Graph<'_>,
    within: &BTreeSet<NodeIndex>,
    start: NodeIndex,
) -> Vec<(NodeIndex, NodeIndex, Span)> {
    use petgraph::visit::EdgeRef;
    let mut came: BTreeMap<NodeIndex, (NodeIndex, Span)> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in graph.edges(node).filter(|edge| within.contains(&edge.target())) {
            let target = edge.target();
            if came.contains_key(&target) {
                continue;
            }
            came.insert(target, (node, edge.weight().clone()));
            if target != start {
                queue.push_back(target);
            }
        }
    }
    let mut way = Vec::new();
    let mut at = start;
    while let Some((from, span)) = came.remove(&at) {
        way.push((from, at, span));
        at = from;
    }
    way.reverse();
    way
}
