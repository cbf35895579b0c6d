//! The failure block: everything a person needs to act on a task that failed.
//!
//! Invariant: it names the code, the task, what was not met, on which evidence, what was
//! refused by grants and limits, the last words of the agent, and the exact next commands.

use std::fmt::Write as _;

use idumb_core::{
    CommandSeen, Denial, ErrorCode, Observed, Parking, TaskId, TaskRecord, TestCounts, Trouble,
};

use crate::report::progress::title;
use crate::report::{Paint, Scene};
use crate::report::{denial_texts, limit_texts};
use crate::text::{lines, one_line, printable};

/// What is to be said of a task that failed.
pub(crate) fn failure_block(scene: &Scene<'_>, id: &TaskId, paint: Paint) -> String {
    let Some(record) = scene.state.task(id) else { return String::new() };
    let mut out = String::new();
    let code = record.trouble().map_or(ErrorCode::E002, Trouble::code);
    let head = format!("✗ {id}: {} — {code} {}", title(scene.plan, id), code.cause());
    let _ = writeln!(out, "  {}", paint.bad(&head));
    if let Some(trouble) = record.trouble() {
        trouble_lines(&mut out, scene, record, trouble);
    }
    if let Some(Parking::HostDied { times }) = record.parking {
        let _ = writeln!(out, "      idumb died {times} times in a row while it ran");
    }
    let latest = record.latest.as_deref();
    for denial in latest
        .iter()
        .flat_map(|latest| denial_texts(&latest.record.denials, Denial::grant_line))
        .take(5)
    {
        let _ = writeln!(out, "      {denial}");
    }
    for limit in latest.iter().flat_map(|latest| limit_texts(&latest.record.limits)) {
        let _ = writeln!(out, "      {limit}");
    }
    for line in latest.iter().flat_map(|latest| &latest.last_words) {
        let _ = writeln!(out, "      {id} says: {}", one_line(&line.message, 160));
    }
    let phase = scene.plan.phase.number;
    let _ = writeln!(out, "      {}: {}", paint.strong("what to do"), code.resolution());
    let _ = write!(
        out,
        "      next: `idumb log {phase} --task {id}`, then `idumb execute-phase {phase} --resume`"
    );
    out
}

/// How many lines of a note are shown after its first.
const MOST_LINES: usize = 24;

fn trouble_lines(out: &mut String, scene: &Scene<'_>, record: &TaskRecord, trouble: &Trouble) {
    let Trouble::Rejected { unmet } = trouble else {
        let _ = writeln!(out, "      {}", printable(&trouble.to_string()));
        return;
    };
    let definitions = scene.plan.tasks.iter().flat_map(|task| &task.accept);
    let definitions: Vec<_> = definitions.collect();
    for unmet in unmet {
        let definition = definitions.iter().find(|criterion| criterion.id == unmet.criterion);
        let text = match (&unmet.breaks, definition) {
            (Some(task), _) => format!("promised by {task}, which is done"),
            (None, Some(criterion)) => printable(&criterion.text),
            (None, None) => String::new(),
        };
        let _ = writeln!(out, "      {}: {text}", unmet.criterion);
        // What a command printed stands behind bars: it is nobody's word here.
        let mut note = lines(&unmet.note);
        let _ = writeln!(out, "        {}", note.next().unwrap_or_default());
        note.take(MOST_LINES).for_each(|line| {
            let _ = writeln!(out, "        | {line}");
        });
        let latest = record.latest.as_ref();
        let Some(examination) = latest.and_then(|latest| latest.examination.as_ref()) else {
            continue;
        };
        let rechecked = examination.rechecked.iter();
        let again = rechecked.filter(|rechecked| Some(&rechecked.task) == unmet.breaks.as_ref());
        let own = examination.findings.iter().filter(|_| unmet.breaks.is_none());
        let mut all = own.chain(again.clone().map(|rechecked| &rechecked.finding));
        let finding = all.find(|found| found.criterion == unmet.criterion);
        for id in finding.into_iter().flat_map(|finding| &finding.evidence) {
            let observed = examination.evidence.iter().find(|evidence| &evidence.id == id);
            if let Some(evidence) = observed {
                let _ =
                    writeln!(out, "        evidence {id}: {}", observed_text(&evidence.observed));
            }
        }
        let earlier = |rechecked: &idumb_core::Rechecked| {
            rechecked.phase.is_some() && rechecked.finding.criterion == unmet.criterion
        };
        if let Some(task) = unmet.breaks.as_ref().filter(|_| !again.clone().any(earlier)) {
            let _ = writeln!(
                out,
                "        if that is meant, change what {task} promises, and go on with --resume --replan"
            );
        }
        if again.clone().any(earlier) {
            let _ = writeln!(
                out,
                "        if that is meant to end, this phase's plan says so: supersedes = [\"{}\"]",
                unmet.criterion
            );
        }
    }
}

/// An observation in words.
pub(crate) fn observed_text(observed: &Observed) -> String {
    match observed {
        Observed::File { path, digest, size } => {
            format!("file `{}`, {size} bytes, digest {}", printable(path), digest.short())
        }
        Observed::Dir { path } => format!("directory `{}`", printable(path)),
        Observed::Symlink { path } => format!("link `{}`", printable(path)),
        Observed::Absent { path } => format!("nothing at `{}`", printable(path)),
        Observed::Plan { digest, tasks } => format!("plan {} with {tasks} tasks", digest.short()),
        Observed::Run { phase, run: Some(run) } => {
            format!("phase {} was completed by run {run}", printable(phase))
        }
        Observed::Run { phase, run: None } => {
            format!("phase {} was never completed", printable(phase))
        }
        Observed::Answer { prompt, choice } => {
            format!("a person answered prompt {prompt}: {}", printable(choice))
        }
        Observed::Command(seen) => {
            let CommandSeen { name, arguments, ended, tests, walls, tree, reused, .. } = &**seen;
            let tests = tests.map_or(String::new(), |tests| {
                let TestCounts { passed, failed, skipped } = tests;
                format!(", {passed} tests passed, {failed} failed, {skipped} were skipped")
            });
            let words: Vec<String> =
                [name].into_iter().chain(arguments).map(|word| printable(word)).collect();
            let (words, tree) = (words.join(" "), tree.short());
            let again = if *reused { ", in an earlier run" } else { "" };
            format!("command `{words}` {ended}{tests}, on tree {tree}{again}, behind {walls}")
        }
        Observed::Changes { digest, count } => {
            format!("change-set {} with {count} changes", digest.short())
        }
    }
}
