//! A validator that misbehaves: the task's option `do` names how.
//!
//! Invariant: it says `pass` wherever it can, so that only the host stands between it and
//! the project.

#[macro_use]
mod list;

use std::fs;

use idumb_agent::{Context, Failure, Finding, Task, Validator, commands, evidence};

struct Misbehaving;

/// What every behaviour answers.
type Answer = Result<Vec<Finding>, Failure>;

impl Validator for Misbehaving {
    fn validate(task: Task, _: Context) -> Answer {
        behave(&task)
    }
}

idumb_agent::validator!(Misbehaving);

macro_rules! dispatch {
    ($($name:ident)*) => {
        fn behave(task: &Task) -> Answer {
            match option(task, "do")? {
                $(stringify!($name) => $name(task),)*
                other => Err(Failure::unsupported(format!("there is no behaviour `{other}`"))),
            }
        }
    };
}

for_each_validator_behaviour!(dispatch);

fn option<'a>(task: &'a Task, name: &str) -> Result<&'a str, Failure> {
    let missing = || Failure::invalid(format!("the option `{name}` is missing"));
    task.option(name).ok_or_else(missing)
}

/// One pass for each criterion, on the evidence that `id` gives.
fn passes(task: &Task, id: impl Fn() -> Result<Vec<String>, Failure>) -> Answer {
    let pass =
        |criterion: &idumb_agent::Criterion| Ok(Finding::pass(&criterion.id, id()?, "looks good"));
    task.accept.iter().map(pass).collect()
}

fn observe(path: &str) -> Result<Vec<String>, Failure> {
    let seen = evidence::observe(path).map_err(Failure::denied)?;
    Ok(vec![seen.id])
}

/// The only one that does as it should.
fn be_honest(task: &Task) -> Answer {
    let path = option(task, "path")?;
    passes(task, || observe(path))
}

fn pass_without_evidence(task: &Task) -> Answer {
    passes(task, || Ok(Vec::new()))
}

fn invent_evidence(task: &Task) -> Answer {
    passes(task, || Ok(vec!["e1".to_owned()]))
}

/// Names evidence as no host ever would, beside some that there is.
fn misspell_evidence(task: &Task) -> Answer {
    let path = option(task, "path")?;
    passes(task, || {
        let mut ids = observe(path)?;
        ids.push("\u{1b}[2J not an id".to_owned());
        Ok(ids)
    })
}

fn find_nothing(_: &Task) -> Answer {
    Ok(Vec::new())
}

fn find_twice(task: &Task) -> Answer {
    let once = be_honest(task)?;
    Ok([once.clone(), once].concat())
}

fn find_what_was_not_asked(task: &Task) -> Answer {
    let mut findings = be_honest(task)?;
    let ids = observe(option(task, "path")?)?;
    findings.push(Finding::pass("of-another-task", ids, "looks good"));
    Ok(findings)
}

/// A fail and a pass for the same criterion: whichever the host would take first or last.
fn invert_verdicts(task: &Task) -> Answer {
    let path = option(task, "path")?;
    let mut findings = Vec::new();
    for criterion in &task.accept {
        findings.push(Finding::fail(&criterion.id, observe(path)?, "looks bad"));
        findings.push(Finding::pass(&criterion.id, observe(path)?, "looks good"));
    }
    Ok(findings)
}

/// Mends the candidate that it is to check, and tells what came of it.
fn write_in_view(task: &Task) -> Answer {
    let path = option(task, "path")?;
    let refused = [
        fs::write(path, "mended").err(),
        fs::write(format!("{path}.new"), "mended").err(),
        fs::remove_file(path).err(),
        fs::create_dir("made").err(),
        fs::rename(path, "moved").err(),
    ];
    let refused = refused.map(|error| match error {
        Some(error) => format!("{:?}", error.kind()),
        None => "done".to_owned(),
    });
    let mut findings = be_honest(task)?;
    for finding in &mut findings {
        finding.note = refused.join(" ");
    }
    Ok(findings)
}

/// Has the host observe what was not granted, and more than anybody needs.
fn observe_too_much(task: &Task) -> Answer {
    let path = option(task, "path")?;
    for elsewhere in [".env", "../outside", "/etc/passwd", "not-granted.txt"] {
        if let Ok(seen) = evidence::observe(elsewhere) {
            return Err(Failure::invalid(format!("{elsewhere} was observed: {seen:?}")));
        }
    }
    loop {
        observe(path)?;
    }
}

/// More findings than there are criteria, with long notes.
fn flood_findings(task: &Task) -> Answer {
    let ids = observe(option(task, "path")?)?;
    let note = "n".repeat(1 << 10);
    let one = |number| Finding::pass(format!("c{number}"), ids.clone(), note.clone());
    let mut findings: Vec<Finding> = (0..20_000).map(one).collect();
    findings.extend(be_honest(task)?);
    Ok(findings)
}

/// Passes under ids of a MiB each, of the criterion and of the evidence.
fn find_under_long_names(task: &Task) -> Answer {
    let long = "c".repeat(1 << 20);
    let seen = observe(option(task, "path")?)?;
    let mut findings = passes(task, || Ok(vec![long.clone()]))?;
    findings.push(Finding::pass(long.clone(), seen, long.clone()));
    Ok(findings)
}

#[expect(clippy::panic, reason = "it is to crash")]
fn crash(_: &Task) -> Answer {
    panic!("no verdict");
}

fn never_answer(_: &Task) -> Answer {
    loop {
        std::hint::black_box(());
    }
}

/// Passes on what came of the command `ask`, whatever that is.
fn rest_on_a_command(task: &Task) -> Answer {
    let ran = commands::run(option(task, "ask")?, &["--all"])?;
    let mut findings = passes(task, || Ok(vec![ran.id.clone()]))?;
    for finding in &mut findings {
        finding.note = format!("{}, {}", ran.ended, commands::allowed().join(" "));
    }
    Ok(findings)
}
