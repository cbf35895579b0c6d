//! What attempts were granted, what they made of it, and what they were refused.
//!
//! Invariant: paths and patterns are made safe here; a grant is called unused only by what the host
//! recorded.

use std::collections::BTreeMap;

use idumb_core::{
    AccessRecord, Capability, Denial, Event, Grants, LimitReached, PathGlob, TaskId, TaskState,
    Use, run_by,
};

use crate::report::{Scene, denial_texts};
use crate::text::printable;

/// How many lines a report spends on denials, and as many on unused grants.
const MOST: usize = 5;

/// The limits that refused something, a text each.
pub(crate) fn limit_texts(limits: &[LimitReached]) -> impl Iterator<Item = String> {
    limits.iter().map(|reached| format!("limit: {reached}"))
}

/// Of changed paths those that tools run, or obey, a text each.
pub(crate) fn tool_texts(paths: &[String]) -> impl Iterator<Item = String> {
    let known = paths.iter().filter_map(|path| Some((path, run_by(path)?)));
    known.map(|(path, tool)| format!("changed `{}`, which {tool} runs or obeys", printable(path)))
}

/// Everything that is known of one agent at the files, a line each.
pub(crate) fn access_text(record: &AccessRecord, grants: Option<&Grants>) -> String {
    let mut out = String::new();
    for (capability, glob) in grants.into_iter().flat_map(granted) {
        let made_of = match record.use_of(capability, glob) {
            Use::Used => "used",
            Use::OnlyRead => "only read",
            Use::Unused => "unused",
        };
        out.push_str(&format!("  grant   {capability} {} ({made_of})\n", shown(glob)));
    }
    for glob in grants.into_iter().flat_map(|grants| &grants.never) {
        out.push_str(&format!("  never   {}\n", shown(glob)));
    }
    for read in &record.reads {
        let path = if read.path.is_empty() { "." } else { &read.path };
        out.push_str(&format!("  read    {} ({:?})\n", printable(path), read.seen));
    }
    for path in &record.writes {
        out.push_str(&format!("  wrote   {}\n", printable(path)));
    }
    if record.writes_dropped > 0 {
        out.push_str(&format!("  wrote   {} more paths\n", record.writes_dropped));
    }
    for text in denial_texts(&record.denials, Denial::grant_line).chain(limit_texts(&record.limits))
    {
        out.push_str(&format!("  {text}\n"));
    }
    if record.denials_dropped > 0 {
        let more = record.denials_dropped;
        out.push_str(&format!("  denied: {more} more requests, for other paths\n"));
    }
    out
}

fn granted(grants: &Grants) -> impl Iterator<Item = (Capability, &PathGlob)> {
    let reads = grants.reads.iter().map(|glob| (Capability::Read, glob));
    reads.chain(grants.writes.iter().map(|glob| (Capability::Write, glob)))
}

fn shown(glob: &PathGlob) -> String {
    printable(glob.as_str())
}

/// What the grants of a run's tasks came to, as far as this process saw it.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    grants: BTreeMap<TaskId, Grants>,
    /// Of the latest candidate of each task: what it might write and did not.
    unwritten: BTreeMap<TaskId, Vec<String>>,
}

impl Granted {
    /// Takes an event in.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::LeaseGranted { task, grants, .. } => {
                self.grants.insert(task.clone(), grants.clone());
            }
            // One that changed nothing found everything as it was to be: that says nothing.
            Event::AttemptSealed { task, sealed, .. } if !sealed.record.writes.is_empty() => {
                let writes = self.grants.get(task).into_iter().flat_map(|grants| &grants.writes);
                let is_unwritten =
                    |glob: &&PathGlob| sealed.record.use_of(Capability::Write, glob) != Use::Used;
                let unwritten = writes.filter(is_unwritten).map(shown).collect();
                self.unwritten.insert(task.clone(), unwritten);
            }
            _ => {}
        }
    }

    /// What deserves attention of the tasks that succeeded: what they were refused, what they
    /// changed that tools run, and what they might write and did not. What is to be said of the others stands with their failure.
    pub(crate) fn attention(&self, scene: &Scene<'_>) -> String {
        let (mut denied, mut run, mut unwritten) = (Vec::new(), Vec::new(), Vec::new());
        for (id, record) in scene.state.tasks() {
            if !matches!(record.state, TaskState::Succeeded) {
                continue;
            }
            if let Some(latest) = &record.latest {
                let denials = denial_texts(&latest.record.denials, Denial::grant_line);
                let texts = denials.chain(limit_texts(&latest.record.limits));
                denied.extend(texts.map(|text| format!("  {id}: {text}\n")));
                run.extend(tool_texts(&latest.paths).map(|text| format!("  {id}: {text}\n")));
            }
            if let Some(globs) = self.unwritten.get(id).filter(|globs| !globs.is_empty()) {
                let globs = globs.join("`, `");
                let text = "may write this, and did not";
                unwritten
                    .push(format!("  {id}: {text}: `{globs}`; its `writes` can be narrower\n"));
            }
        }
        [
            first(&denied, "refusals"),
            first(&run, "files that tools run"),
            first(&unwritten, "tasks with unused grants"),
        ]
        .concat()
    }
}

/// The first lines, and how many more there are.
fn first(lines: &[String], what: &str) -> String {
    let mut out = lines[..lines.len().min(MOST)].concat();
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        out.push_str(&format!("  and {more} more {what} (see `idumb log --files`)\n"));
    }
    out
}
