//! The one screen before a run: what each agent asks for, and why.
//!
//! Invariant: what is protected or new stands first and is never left out; the words of others are
//! made safe, and stand where they cannot be taken for the host's.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use idumb_core::{AgentBinding, Capability, PathGlob, Plan, Role, is_protected};
use idumb_plan::CommandSource;

use super::{Asking, Standing};
use crate::dry_run::reasons;
use crate::report::Paint;
use crate::text::{one_line, printable};

/// How many patterns are listed of one agent, but for those that must be seen.
const MOST: usize = 20;

/// How many tasks are named as the reason.
const MOST_TASKS: usize = 4;

/// What a person may choose, and what each means.
pub(super) fn options(has_run: bool, keeps: bool) -> Vec<(String, String)> {
    let option = |id: &str, says: String| (id.to_owned(), says);
    let mut options = vec![option("once", "now; ask again when the run is taken up again".into())];
    if keeps {
        if has_run {
            let says = "in this run, however often it is taken up again";
            options.push(option("run", says.into()));
        }
        let says = "in this project; ask again only when more is asked for (see `idumb grants`)";
        options.push(option("always", says.into()));
    }
    options.push(option("deny", "run nothing".into()));
    options
}

/// Everything that a person is asked to allow.
pub(super) fn question(asking: &Asking<'_>, open: &[Standing]) -> String {
    let paint = Paint::for_stream(&std::io::stderr());
    let phase = &asking.plan.phase;
    let mut out = format!("\n{} Before phase {phase} runs: may this be done?\n", paint.odd("?"));
    for standing in open {
        agent(&mut out, asking, standing, paint);
    }
    out.push('\n');
    out
}

/// What a command is, word by word, and what it gets of the machine.
fn command(out: &mut String, asking: &Asking<'_>, standing: &Standing, paint: Paint) {
    let Some(source) = &standing.command else { return };
    let (name, digest) = (paint.strong(&standing.agent.name), standing.agent.digest.short());
    let uses = command_uses(asking, &standing.agent.name).join("; ");
    let head = format!("{name}, a native command (idumb.toml, {digest}), {uses}");
    let _ = writeln!(out, "\n  {head}");
    for line in command_lines(source) {
        let _ = writeln!(out, "    {line}");
    }
    let confined = "confined, on a copy of the project that goes afterwards";
    let _ = writeln!(out, "    {}", paint.dim(confined));
    if let Some(before) = &standing.before {
        let when = before.given.map_or(String::new(), |at| format!(" on {}", at.strftime("%F")));
        let was = before.digest.short();
        let _ = writeln!(out, "    you allowed another definition of it, {was}{when}");
    }
}

/// What a command is wanted for.
fn command_uses(asking: &Asking<'_>, name: &str) -> Vec<String> {
    let of = |uses: &dyn Fn(&idumb_core::Task) -> bool| {
        let tasks = asking.plan.tasks.iter().filter(|task| uses(task));
        let ids: Vec<&str> = tasks.map(|task| task.id.as_str()).collect();
        (!ids.is_empty()).then(|| some_of(ids))
    };
    let checks = |task: &idumb_core::Task| {
        task.accept.iter().any(|criterion| criterion.command() == Some(name))
    };
    let asks = |task: &idumb_core::Task| task.commands.iter().any(|asked| asked == name);
    let mut earlier = asking.established.commands.iter();
    let again = earlier.any(|criterion| criterion.command() == Some(name));
    let uses = [
        of(&checks).map(|tasks| format!("is to check {tasks}")),
        of(&asks).map(|tasks| format!("may be asked for by the agents of {tasks}")),
        again.then(|| "is to check again what earlier phases promised".to_owned()),
    ];
    uses.into_iter().flatten().collect()
}

/// What a command is, a line for each thing.
pub(crate) fn command_lines(source: &CommandSource) -> Vec<String> {
    let mut lines = vec![format!("runs {}", words_text(&source.run))];
    if !source.arguments.is_empty() {
        let patterns: Vec<String> =
            source.arguments.iter().map(|pattern| printable(pattern)).collect();
        lines.push(format!("with further arguments like {}", patterns.join("  ")));
    }
    if let Some(dir) = &source.dir {
        lines.push(format!("in {}", printable(dir)));
    }
    for (name, value) in &source.env {
        lines.push(format!("with {}={}", printable(name), printable(value)));
    }
    let network = if source.loopback { "a loopback interface of its own" } else { "none" };
    lines.push(format!("network: {network}"));
    for (what, paths) in [
        ("may read", &source.read_only),
        ("may write, and what it leaves stays:", &source.caches),
        ("finds programs in", &source.bins),
    ] {
        if !paths.is_empty() {
            let paths: Vec<String> = paths.iter().map(|path| printable(path)).collect();
            lines.push(format!("{what} {}", paths.join(" ")));
        }
    }
    lines
}

/// Words so that it can be told where each ends.
fn words_text(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    let text = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("\"{}\"", printable(word)),
    };
    words.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// The first of some names, and how many more there are.
fn some_of(mut names: Vec<&str>) -> String {
    let more = names.len().saturating_sub(MOST_TASKS);
    names.truncate(MOST_TASKS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

fn agent(out: &mut String, asking: &Asking<'_>, standing: &Standing, paint: Paint) {
    if standing.command.is_some() {
        return command(out, asking, standing, paint);
    }
    let agent = &standing.agent;
    let (name, role, digest) = (paint.strong(&agent.name), agent.role, agent.digest.short());
    let source = printable(&agent.source);
    if agent.third_party {
        let _ = writeln!(out, "\n  {name}, a {role} of others ({source}, {digest}), asks");
    } else {
        let _ = writeln!(out, "\n  {name}, which came with idumb, is told to use protected names");
    }
    let mut all: Vec<(Capability, &PathGlob)> = standing.all().collect();
    let known = standing.before.is_some();
    let must_be_seen = |(capability, glob): &(Capability, &PathGlob)| {
        is_named(glob) || (known && standing.is_new(*capability, glob))
    };
    all.sort_by_key(|ask| (!is_named(ask.1), !must_be_seen(ask)));
    let shown = all.iter().filter(|ask| must_be_seen(ask)).count().max(MOST);
    for (capability, glob) in all.iter().take(shown) {
        let why = why(asking, standing, *capability, glob);
        let mark = if known && standing.is_new(*capability, glob) { "+" } else { " " };
        let pattern = printable(glob.as_str());
        let note = if is_named(glob) { paint.bad(" protected") } else { String::new() };
        let line = format!("  {mark} to {capability:5} {pattern:28}{note}  ");
        let _ = writeln!(out, "{line}{}", paint.dim(&why));
    }
    if all.is_empty() {
        let _ = writeln!(out, "    for no file at all, only to take part");
    }
    let commands = commands_asked(asking, agent);
    if !commands.is_empty() {
        let commands = commands.into_iter().collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            out,
            "    and to ask for native commands, whose output may be of any file: {commands}"
        );
    }
    if all.len() > shown {
        let number = asking.plan.phase.number;
        let _ = writeln!(
            out,
            "    and {} more of these; all of them: idumb execute-phase {number} --dry-run -v",
            all.len() - shown
        );
    }
    if let Some(before) = &standing.before {
        let when = before.given.map_or(String::new(), |at| format!(" on {}", at.strftime("%F")));
        let what = match before.digest == agent.digest {
            true => "less of it".to_owned(),
            false => format!("another file, {}", before.digest.short()),
        };
        let _ = writeln!(out, "    you allowed {what}{when}; what is new has a +");
    }
    words(out, standing, paint);
}

/// The native commands that the plan lets an agent ask for.
fn commands_asked<'a>(asking: &Asking<'a>, agent: &AgentBinding) -> BTreeSet<&'a str> {
    let plan: &'a Plan = asking.plan;
    let of = |task: &&'a idumb_core::Task| agent.role != Role::Builder || task.agent == agent.name;
    plan.tasks.iter().filter(of).flat_map(|task| task.commands_for(agent.role)).collect()
}

/// What its author says that it may want, and what for.
fn words(out: &mut String, standing: &Standing, paint: Paint) {
    let agent = &standing.agent;
    let Some(ceiling) = &agent.ceiling else {
        if agent.third_party {
            let _ = writeln!(out, "    its author says nothing about what it wants, and why");
        }
        return;
    };
    for (capability, want) in ceiling.wants().take(MOST) {
        let paths: Vec<String> = want.paths.iter().map(|glob| printable(glob.as_str())).collect();
        let why = one_line(&want.why, 120);
        let line = format!("its author says, to {capability} {}: {why}", paths.join(" "));
        let _ = writeln!(out, "    {}", paint.dim(&line));
    }
}

/// What of the plan it is for.
fn why(
    asking: &Asking<'_>,
    standing: &Standing,
    capability: Capability,
    glob: &PathGlob,
) -> String {
    match standing.agent.role {
        Role::Builder => {}
        Role::Validator => return "to judge what the tasks make".to_owned(),
        Role::Verifier => return "to check the finished phase".to_owned(),
        Role::IntegrationChecker => return "to check it against other phases".to_owned(),
    }
    let wants = |task: &&idumb_core::Task| {
        let globs = match capability {
            Capability::Write => &task.writes,
            Capability::Read => &task.reads,
        };
        task.agent == standing.agent.name && globs.contains(glob)
    };
    let tasks: Vec<&idumb_core::Task> = asking.plan.tasks.iter().filter(wants).collect();
    let names = some_of(tasks.iter().map(|task| task.id.as_str()).collect());
    let mut because: Vec<String> = Vec::new();
    for reason in tasks.iter().take(MOST).flat_map(|task| reasons(task, capability, glob)) {
        if !because.contains(&reason) {
            because.push(reason);
        }
    }
    format!("{names}: {}", because.join(", "))
}

fn is_named(glob: &PathGlob) -> bool {
    glob.as_literal().is_some_and(is_protected)
}

/// What one agent lacks, in a line.
pub(super) fn in_a_line(standing: &Standing) -> String {
    let agent = &standing.agent;
    if let Some(source) = &standing.command {
        let words = one_line(&words_text(&source.run), 100);
        return format!("command `{}` ({}) is to run {words}", agent.name, agent.digest.short());
    }
    let lacking: Vec<String> = standing
        .new
        .iter()
        .take(MOST_TASKS)
        .map(|(capability, glob)| format!("to {capability} `{}`", printable(glob.as_str())))
        .collect();
    let more = standing.new.len().saturating_sub(MOST_TASKS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = if lacking.is_empty() { "to take part".to_owned() } else { lacking.join(", ") };
    let of = if agent.third_party { "agent" } else { "the built-in" };
    format!("{of} `{}` ({}) asks {what}{more}", agent.name, agent.digest.short())
}
