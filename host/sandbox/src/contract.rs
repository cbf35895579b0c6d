//! Our WIT contract, host side: the bindings, and what the imports do.
//!
//! Invariant: wire types stop in this file and in `wire.rs`; all roles share one set.

use idumb_core::{ChangeSet, CommandSeen, Digest, Entry, Evidence, EvidenceId, LogLevel, Observed};
use wasmtime::component::bindgen;

use crate::guest::Guest;
use crate::log::shorten;
use crate::native::Asker;
use crate::seat::Files;
use crate::{Choice, CommandRan, CommandRequest, LimitBroken, NotRun, Question, wire};

bindgen!({
    inline: "
        package idumb:host;

        /// Everything that any role may import: bound once, linked by role.
        world imports {
            import idumb:agent/types@0.1.0;
            import idumb:agent/report@0.1.0;
            import idumb:agent/evidence@0.1.0;
            import idumb:agent/change-set@0.1.0;
            import idumb:agent/decisions@0.1.0;
            import idumb:agent/commands@0.1.0;
        }
    ",
    path: "../../wit",
    imports: {
        "idumb:agent/decisions.ask": async | trappable,
        "idumb:agent/commands.run": async | trappable,
        default: trappable,
    },
});

pub(crate) use idumb::agent::{change_set, commands, decisions, evidence, report, types};

/// The longest message of an agent that is kept, in bytes.
const MESSAGE_BYTES: usize = 16 << 10;

/// The most choices of one question.
const CHOICES: usize = 20;

/// Bytes of the longest id of a choice. It cannot be cut as words can: it is what is answered.
const CHOICE_ID_BYTES: usize = 200;

/// Bytes of the longest words of a choice that are kept.
const CHOICE_BYTES: usize = 200;

impl types::Host for Guest {}

impl report::Host for Guest {
    fn log(&mut self, level: report::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            report::Level::Debug => LogLevel::Debug,
            report::Level::Info => LogLevel::Info,
            report::Level::Warn => LogLevel::Warn,
            report::Level::Error => LogLevel::Error,
        };
        if let Some(line) = self.log.say(level, &message) {
            self.desk.log(&line);
        }
        Ok(())
    }

    fn progress(&mut self, done: u32, total: u32, message: String) -> wasmtime::Result<()> {
        self.desk.progress(done, total, &shorten(&message, MESSAGE_BYTES));
        Ok(())
    }
}

impl Guest {
    /// Records an observation under a new name.
    pub(crate) fn record(&mut self, observed: Observed) -> wasmtime::Result<String> {
        if self.evidence.len() >= self.limits.observations {
            let most = self.limits.observations;
            return Err(LimitBroken(format!("it made more than {most} observations")).into());
        }
        let name = format!("e{}", self.evidence.len() + 1);
        let id = EvidenceId::new(name.clone())?;
        self.evidence.push(Evidence { id, observed });
        Ok(name)
    }
}

impl evidence::Host for Guest {
    fn observe(&mut self, path: String) -> wasmtime::Result<Result<evidence::Observation, String>> {
        let observed = match self.project().observe(&path) {
            Ok(observed) => observed,
            Err(error) => {
                let answer = format!("`{path}`: {error}");
                self.seat.host_error.note(error);
                return Ok(Err(answer));
            }
        };
        let (kind, digest, size) = match &observed {
            Observed::File { digest, size, .. } => {
                (evidence::Kind::File, digest.to_string(), *size)
            }
            Observed::Dir { .. } => (evidence::Kind::Dir, String::new(), 0),
            Observed::Symlink { .. } => (evidence::Kind::Symlink, String::new(), 0),
            // A path is never a change-set, a plan, a run, a command or an answer.
            Observed::Absent { .. }
            | Observed::Changes { .. }
            | Observed::Command(_)
            | Observed::Plan { .. }
            | Observed::Run { .. }
            | Observed::Answer { .. } => (evidence::Kind::Absent, String::new(), 0),
        };
        let id = self.record(observed)?;
        Ok(Ok(evidence::Observation { id, kind, digest, size }))
    }
}

fn file_digest(entry: Option<&Entry>) -> String {
    match entry {
        Some(Entry::File { digest, .. }) => digest.to_string(),
        _ => String::new(),
    }
}

impl change_set::Host for Guest {
    fn changes(&mut self) -> wasmtime::Result<change_set::Listing> {
        let candidate = self.candidate.change_set.clone();
        let digest: Digest = candidate.digest();
        let count = candidate.changes.len() as u64;
        let id = self.record(Observed::Changes { digest, count })?;
        Ok(change_set::Listing { id, digest: digest.to_string(), changes: listed(&candidate) })
    }

    fn diff(&mut self, path: String) -> wasmtime::Result<Result<String, String>> {
        Ok(self.candidate.diff(&path))
    }
}

fn listed(candidate: &ChangeSet) -> Vec<change_set::Change> {
    let change = |change: &idumb_core::Change| change_set::Change {
        path: change.path.clone(),
        kind: match (&change.before, &change.after) {
            (None, _) => change_set::ChangeKind::Added,
            (Some(_), None) => change_set::ChangeKind::Deleted,
            (Some(_), Some(_)) => change_set::ChangeKind::Modified,
        },
        before: file_digest(change.before.as_ref()),
        after: file_digest(change.after.as_ref()),
        renamed_from: change.renamed_from.clone(),
    };
    candidate.changes.iter().map(change).collect()
}

impl decisions::Host for Guest {
    async fn ask(
        &mut self,
        question: decisions::Question,
    ) -> wasmtime::Result<Result<String, decisions::Refusal>> {
        if self.questions >= self.limits.questions {
            let most = self.limits.questions;
            return Err(LimitBroken(format!("it asked more than {most} questions")).into());
        }
        self.questions += 1;
        let offered = &question.choices;
        // Counted first: what is refused is not worth sorting.
        if offered.is_empty() || offered.len() > CHOICES {
            return Ok(Err(decisions::Refusal::Invalid));
        }
        let mut ids: Vec<&str> = offered.iter().map(|choice| choice.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let too_long = ids.iter().any(|id| id.len() > CHOICE_ID_BYTES);
        if too_long || ids.len() != offered.len() {
            return Ok(Err(decisions::Refusal::Invalid));
        }
        let choices = question
            .choices
            .into_iter()
            .map(|choice| Choice { id: choice.id, text: shorten(&choice.text, CHOICE_BYTES) })
            .collect();
        let text = shorten(&question.text, MESSAGE_BYTES);
        let answer = self.desk.ask(Question { text, choices }).await;
        Ok(answer.ok_or(decisions::Refusal::Unattended))
    }
}

impl commands::Host for Guest {
    fn allowed(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.commands.allowed().into_iter().collect())
    }

    async fn run(
        &mut self,
        name: String,
        arguments: Vec<String>,
    ) -> wasmtime::Result<Result<commands::Ran, commands::Refusal>> {
        if self.commands_asked >= self.limits.commands {
            let most = self.limits.commands;
            return Err(LimitBroken(format!("it asked for more than {most} commands")).into());
        }
        self.commands_asked += 1;
        let allowed = self.commands.allowed();
        let asker = || self.asker();
        let request = match CommandRequest::of_agent(name, arguments, &allowed, asker) {
            Ok(request) => request,
            Err(refused) => return Ok(Err(self.refusal(refused))),
        };
        let (name, arguments) = (request.name.clone(), request.arguments.clone());
        match self.commands.run(request).await {
            Ok(ran) => {
                self.project().note_all_read();
                let id = self.record(observed(name, arguments, &ran))?;
                Ok(Ok(wire::ran(id, ran)))
            }
            Err(not_run) => Ok(Err(self.refusal(not_run))),
        }
    }
}

impl Guest {
    /// On whose files a command that it asks for is to run.
    fn asker(&self) -> Asker {
        match &self.seat.mounts[0].files {
            Files::Work(view) => Asker::Builder(view.clone()),
            Files::Read(_) => Asker::Validator(self.candidate.change_set.clone()),
        }
    }

    /// What it is told of a command that was not run.
    fn refusal(&self, not_run: NotRun) -> commands::Refusal {
        let message = not_run.to_string();
        let kind = match not_run {
            NotRun::NotAllowed(_) => commands::RefusalKind::NotAllowed,
            NotRun::Invalid(_) => commands::RefusalKind::Invalid,
            NotRun::Unavailable(_) => commands::RefusalKind::Unavailable,
            NotRun::Host(error) => {
                self.seat.host_error.keep(error);
                commands::RefusalKind::Unavailable
            }
        };
        commands::Refusal { kind, message }
    }
}

fn observed(name: String, arguments: Vec<String>, ran: &CommandRan) -> Observed {
    let [stdout, stderr] = ran.printed;
    Observed::Command(Box::new(CommandSeen {
        name,
        arguments,
        definition: ran.definition,
        tree: ran.tree,
        ended: ran.ended.clone(),
        exit: ran.exit,
        tests: ran.tests,
        walls: ran.walls.clone(),
        stdout,
        stderr,
        outputs: Vec::new(),
        reused: ran.reused,
    }))
}
