//! `idumb pause`, `cancel` and `answer`: steering a run from another terminal, or while it
//! rests.
//!
//! Invariant: the run that is going on takes the request in itself; only when there is none
//! is the journal written here, under the lock, by the same machine.

use std::path::Path;

use anyhow::Result;
use idumb_core::{Control, Input, Run, RunId};
use idumb_journal::{Durability, Journal, RunRow, StateDir};
use serde_json::json;

use crate::args::{Answer, Cancel, Format, Pause};
use crate::clock::Clock;
use crate::control::{self, Reply, Request};
use crate::driver::refused_answer;
use crate::established::recorded_plan;
use crate::execute::held;
use crate::fault::Fault;
use crate::output;
use crate::project::Project;
use crate::record::{self, Recorded, Recorder};

/// A project's state, and the run that is meant.
struct Meant {
    state: StateDir,
    row: RunRow,
}

fn meant(project: Option<&Path>, run: Option<&RunId>) -> Result<Meant> {
    let project = Project::open(project)?;
    let none = || Fault::usage("nothing was run here yet").hint("begin with: idumb execute-phase");
    let state = StateDir::find(&project.root)?.ok_or_else(none)?;
    let journal = Journal::open_read_only(&state)?.ok_or_else(none)?;
    let row = match run {
        None => journal.latest_run(None)?.ok_or_else(none)?,
        Some(run) => match journal.run(run)? {
            Some(row) => row,
            None => {
                let latest = journal.latest_run(None)?.ok_or_else(none)?;
                return Err(Fault::usage(format!("there is no run `{run}` here"))
                    .hint(format!("the latest is {}", latest.run))
                    .into());
            }
        },
    };
    Ok(Meant { state, row })
}

/// Brings a run to rest.
pub(crate) fn pause(project: Option<&Path>, args: &Pause) -> Result<u8> {
    let Meant { state, row } = meant(project, args.run.as_ref())?;
    let run = row.run.clone();
    match control::ask(&state, &Request::Pause { run: run.clone(), now: args.now })? {
        Some(reply) => told(args.output.format, &run, reply),
        None => {
            let number = row.phase.number;
            Err(Fault::usage(format!(
                "no process runs {run} at the moment: there is nothing to pause"
            ))
            .hint("see where it stands: idumb status")
            .hint(format!("go on with it: idumb execute-phase {number} --resume"))
            .into())
        }
    }
}

/// Gives a run up.
pub(crate) fn cancel(project: Option<&Path>, args: &Cancel, clock: Clock) -> Result<u8> {
    let meant = meant(project, args.run.as_ref())?;
    let run = meant.row.run.clone();
    if let Some(reply) = control::ask(&meant.state, &Request::Cancel { run: run.clone() })? {
        return told(args.output.format, &run, reply);
    }
    meant.input(clock, |run| {
        if run.is_over() {
            return Err(Fault::usage(format!("run {} has ended", run.config().run)));
        }
        Ok(Input::Cancel { reason: "asked for with `idumb cancel`".to_owned() })
    })?;
    said(args.output.format, &run, &format!("{run} is given up; what was integrated stays"))
}

/// Answers a prompt.
pub(crate) fn answer(project: Option<&Path>, args: &Answer, clock: Clock) -> Result<u8> {
    let meant = meant(project, Some(&args.run))?;
    let run = args.run.clone();
    let (prompt, choice, note) = (args.prompt, args.choose.clone(), args.note.clone());
    let request =
        Request::Answer { run: run.clone(), prompt, choice: choice.clone(), note: note.clone() };
    if let Some(reply) = control::ask(&meant.state, &request)? {
        return told(args.output.format, &run, reply);
    }
    let number = meant.row.phase.number;
    meant.input(clock, |run| match refused_answer(run, prompt, &choice) {
        Some(why) => Err(Fault::usage(why).hint("see the open prompts: idumb status")),
        None => Ok(Input::Answer { prompt, choice: choice.clone(), note: note.clone() }),
    })?;
    let text = format!(
        "prompt {prompt} of {run}: {choice}\n  go on with: idumb execute-phase {number} --resume"
    );
    said(args.output.format, &run, &text)
}

impl Meant {
    /// Has the resting run take an input in.
    fn input(&self, clock: Clock, of: impl Fn(&Run) -> Result<Input, Fault>) -> Result<()> {
        let lock = self.state.lock().map_err(held)?;
        let journal = Journal::open(&lock)?;
        let plan = recorded_plan(&journal, &self.row.run)?;
        let Recorded { mut run, events, covered } = record::recover(&journal, &self.row.run, plan)?;
        let number = self.row.phase.number;
        if run.is_unsettled() {
            return Err(Fault::paused(format!(
                "run {} was cut short while it changed files",
                self.row.run
            ))
            .hint(format!("let it finish that first: idumb execute-phase {number} --resume"))
            .into());
        }
        let input = of(&run)?;
        if !matches!(run.state().control, Control::Paused(..) | Control::Finished(_)) {
            // The process that ran it is gone: nothing may start here.
            run.settle(clock.now());
        }
        run.handle(clock.now(), input);
        let mut recorder = Recorder::going_on(journal, events, covered);
        recorder.record(&mut run)?;
        record::write_document(&self.state, &run.state_document(clock.now()), Durability::Now)
    }
}

fn told(format: Format, run: &RunId, reply: Reply) -> Result<u8> {
    match reply {
        Reply::Done(text) => said(format, run, &text),
        Reply::Refused(why) => {
            Err(Fault::usage(why).hint("see where the run stands: idumb status").into())
        }
    }
}

fn said(format: Format, run: &RunId, text: &str) -> Result<u8> {
    Ok(output::done(format, "steered", text, json!({ "run": run, "message": text }))?)
}
