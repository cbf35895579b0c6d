//! The loop around a run: journal, show, act, listen.
//!
//! Invariant: an event is durable before it is shown, and shown before anything acts on
//! it; a run that cannot be recorded stops.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use idumb_core::{
    Control, Effect, Epoch, Event, Input, Millis, PauseCause, Plan, Prompt, Run, RunOutcome,
    Stamped, StateDocument, TaskId,
};
use idumb_journal::{Journal, NewEvent, NewRun, Outcome, StateDir, write_state};
use idumb_sandbox::Question;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::fault::{DONE, INTERRUPTED, PAUSED};
use crate::prompt::{self, Answer};
use crate::report::{Notice, Reporter, Scene};
use crate::workshop::Workshop;

/// What arrives at the loop.
pub(crate) enum Message {
    /// For the run.
    Input(Input),
    /// An agent asks, and waits.
    Ask { task: TaskId, epoch: Epoch, question: Question, reply: oneshot::Sender<Option<String>> },
    /// The person answered, or did not.
    Answered(u32, Answer),
}

/// Drives one run to its end or to a rest.
pub(crate) struct Driver {
    pub(crate) run: Run,
    pub(crate) journal: Journal,
    pub(crate) state: StateDir,
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) reporters: Vec<Box<dyn Reporter>>,
    pub(crate) messages: mpsc::UnboundedReceiver<Message>,
    /// What agents say while they work.
    notices: mpsc::Receiver<Notice>,
    /// Whether the run is in the journal yet.
    pub(crate) recorded: bool,
    waiting: BTreeMap<u64, oneshot::Sender<Option<String>>>,
    next_token: u64,
    prompts: VecDeque<Prompt>,
    asking: Option<u32>,
    document: Option<StateDocument>,
}

/// Wall-clock time; for display and durations only.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Driver {
    pub(crate) fn new(
        run: Run,
        recorded: bool,
        journal: Journal,
        state: StateDir,
        workshop: Arc<Workshop>,
        (messages, notices): (mpsc::UnboundedReceiver<Message>, mpsc::Receiver<Notice>),
        reporters: Vec<Box<dyn Reporter>>,
    ) -> Self {
        Self {
            run,
            journal,
            state,
            workshop,
            reporters,
            messages,
            notices,
            recorded,
            waiting: BTreeMap::new(),
            next_token: 0,
            prompts: VecDeque::new(),
            asking: None,
            document: None,
        }
    }

    /// Goes on until the run rests; answers the exit status.
    pub(crate) async fn drive(mut self) -> Result<u8> {
        let mut interrupts = 0;
        // One listener for the whole run: a new one would miss what came before it.
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        loop {
            self.record_and_show()?;
            self.act()?;
            if self.run.is_at_rest() {
                break;
            }
            let message = tokio::select! {
                message = self.messages.recv() => message,
                Some(notice) = self.notices.recv() => {
                    self.notice(&notice);
                    continue;
                }
                _ = interrupt.recv() => None,
                _ = terminate.recv() => None,
            };
            if message.is_none() {
                // The workshop holds a sender: only a signal gives nothing.
                interrupts += 1;
                if interrupts > 1 {
                    self.finish()?;
                    return Ok(INTERRUPTED);
                }
                self.interrupted();
                continue;
            }
            let mut next = message;
            while let Some(message) = next {
                self.take(message);
                next = self.messages.try_recv().ok();
            }
        }
        self.finish()?;
        Ok(match &self.run.state().control {
            Control::Finished(RunOutcome::Completed) => DONE,
            Control::Finished(RunOutcome::Failed { code, .. }) => code.exit_status(),
            _ if interrupts > 0 => INTERRUPTED,
            _ => PAUSED,
        })
    }

    fn interrupted(&mut self) {
        let note = "finishing what is under way, then pausing; press Ctrl-C again to stop at once";
        self.notice(&Notice::Host(note.to_owned()));
        let reason = "interrupted with Ctrl-C".to_owned();
        self.run.handle(now(), Input::Pause { cause: PauseCause::User, reason });
    }

    fn finish(&mut self) -> Result<()> {
        self.write_document()?;
        for reporter in &mut self.reporters {
            reporter.finished();
        }
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) {
        for reporter in &mut self.reporters {
            reporter.notice(notice);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Input(input) => self.run.handle(now(), input),
            Message::Ask { task, epoch, question, reply } => {
                self.next_token += 1;
                let token = self.next_token;
                self.waiting.insert(token, reply);
                let options =
                    question.choices.into_iter().map(|choice| (choice.id, choice.text)).collect();
                let question = question.text;
                self.run.handle(now(), Input::Ask { task, epoch, token, question, options });
            }
            Message::Answered(prompt, answer) => self.answered(prompt, answer),
        }
    }

    fn answered(&mut self, prompt: u32, answer: Answer) {
        self.asking = None;
        for reporter in &mut self.reporters {
            reporter.resumed();
        }
        let input = match answer {
            Answer::Chosen(choice) => Input::Answer { prompt, choice },
            Answer::Left => {
                let reason = "a decision was left open".to_owned();
                Input::Pause { cause: PauseCause::User, reason }
            }
            Answer::NoTerminal => {
                let reason = "a decision is needed and there is no terminal to ask at; \
                    resume at one, or with --mode=auto"
                    .to_owned();
                Input::Pause { cause: PauseCause::User, reason }
            }
        };
        self.run.handle(now(), input);
    }

    /// Makes every pending event durable, all in one transaction, then shows each.
    fn record_and_show(&mut self) -> Result<()> {
        let mut events: Vec<Stamped> = Vec::new();
        while let Some(event) = self.run.poll_event() {
            events.push(event);
        }
        let Some(last) = events.last() else { return Ok(()) };
        let at = last.at;
        let rows = rows(&events)?;
        let id = self.run.config().run.clone();
        let outcome = outcome_of(&events, at);
        if !self.recorded {
            let plan = serde_json::to_string(self.run.plan())?;
            let new = NewRun {
                run: &id,
                phase: &self.run.plan().phase,
                plan_digest: self.run.plan().digest,
                plan: &plan,
                started_at: at,
            };
            self.journal.begin_run(&new, &rows)?;
            self.recorded = true;
            if outcome.is_some() {
                self.journal.append_with_outcome(&id, &[], outcome)?;
            }
        } else if reopened(&events) || outcome.is_some() {
            self.journal.append_with_outcome(&id, &rows, outcome)?;
        } else {
            self.journal.append(&id, &rows)?;
        }
        let progress = self.run.progress(at);
        let scene = Scene { plan: self.run.plan(), state: self.run.state(), progress };
        for event in &events {
            for reporter in &mut self.reporters {
                reporter.event(event, &scene);
            }
        }
        Ok(())
    }

    fn act(&mut self) -> Result<()> {
        while let Some(effect) = self.run.poll_effect() {
            match effect {
                Effect::WriteState { document, wanted } => {
                    self.document = Some(document);
                    if wanted {
                        self.write_document()?;
                        self.run.handle(now(), Input::StateWritten);
                        self.record_and_show()?;
                    }
                }
                Effect::Ask { prompt } => self.prompts.push_back(prompt),
                Effect::Reply { token, choice } => {
                    if let Some(reply) = self.waiting.remove(&token) {
                        // The agent may be gone by now: then nobody needs the answer.
                        let _ = reply.send(choice);
                    }
                }
                work => self.workshop.start(work, self.run.state()),
            }
        }
        self.write_document()?;
        self.ask_next();
        Ok(())
    }

    fn write_document(&mut self) -> Result<()> {
        if let Some(document) = self.document.take() {
            let mut text = serde_json::to_vec_pretty(&document)?;
            text.push(b'\n');
            write_state(&self.state, &text)?;
        }
        Ok(())
    }

    /// Asks the next question that is still open, one at a time.
    fn ask_next(&mut self) {
        if self.asking.is_some() {
            return;
        }
        let open = |id: u32| self.run.state().prompts.iter().any(|prompt| prompt.id == id);
        while let Some(prompt) = self.prompts.pop_front() {
            if !open(prompt.id) || self.run.is_at_rest() {
                continue;
            }
            self.asking = Some(prompt.id);
            for reporter in &mut self.reporters {
                reporter.suspended();
            }
            let messages = self.workshop.messages.clone();
            // Not a blocking task of the runtime: one that still waits would keep the process.
            std::thread::spawn(move || {
                let answer = prompt::ask(&prompt);
                let _ = messages.send(Message::Answered(prompt.id, answer));
            });
            return;
        }
    }
}

fn rows(events: &[Stamped]) -> Result<Vec<NewEvent<'_>>> {
    let row = |stamped: &'_ Stamped| -> Result<String> { Ok(serde_json::to_string(stamped)?) };
    let mut rows = Vec::with_capacity(events.len());
    for stamped in events {
        rows.push(NewEvent {
            at: stamped.at,
            kind: stamped.event.kind(),
            task: stamped.event.task(),
            body: row(stamped)?,
        });
    }
    Ok(rows)
}

fn reopened(events: &[Stamped]) -> bool {
    events.iter().any(|stamped| stamped.event == Event::RunResumed)
}

/// How the run ended with these events, if it did.
fn outcome_of(events: &[Stamped], at: Millis) -> Option<Outcome> {
    events.iter().rev().find_map(|stamped| match &stamped.event {
        Event::RunFinished { outcome: RunOutcome::Completed } => {
            Some(Outcome { name: Outcome::COMPLETED.to_owned(), at })
        }
        Event::RunFinished { outcome: RunOutcome::Failed { .. } } => {
            Some(Outcome { name: "failed".to_owned(), at })
        }
        _ => None,
    })
}

/// The events that a run recorded.
pub(crate) fn recorded_events<A>(
    journal: &Journal<A>,
    run: &idumb_core::RunId,
) -> Result<Vec<Stamped>> {
    let stored = journal.events(run)?;
    let parse = |event: &idumb_journal::StoredEvent| {
        serde_json::from_str(&event.body).with_context(|| {
            format!("event {} of {run} is not one that this idumb knows", event.seq)
        })
    };
    stored.iter().map(parse).collect()
}

/// How a recorded run went, for commands that only look.
pub(crate) fn recover(plan: Plan, events: &[Stamped]) -> Result<Run> {
    let config = recorded_config(events)?;
    Ok(Run::recover(plan, config, events))
}

/// The configuration that a run's first event tells.
pub(crate) fn recorded_config(events: &[Stamped]) -> Result<idumb_core::RunConfig> {
    match events.first().map(|stamped| &stamped.event) {
        Some(Event::RunStarted { run, mode, batch_size, timeout_ms, agents, .. }) => {
            Ok(idumb_core::RunConfig {
                run: run.clone(),
                mode: *mode,
                batch_size: *batch_size,
                timeout_ms: *timeout_ms,
                agents: agents.clone(),
            })
        }
        _ => anyhow::bail!("the journal's run does not begin with its start"),
    }
}
