//! The loop around a run: journal, show, act, listen.
//!
//! Invariant: an event is durable before it is shown, and shown before anything acts on
//! it; a run that cannot be recorded stops.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use idumb_core::{Control, Effect, Epoch, Input, Mode, PauseCause, Prompt, Run, RunConfig, TaskId};
use idumb_journal::{Durability, StateDir};
use idumb_sandbox::Question;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::control::{Reply, Request};
use crate::fail_point::fail_point;
use crate::fault::{INTERRUPTED, PAUSED, exit_of};
use crate::prompt::{self, Asking, Said};
use crate::record::{Recorder, write_document};
use crate::report::{Notice, Reporter, Scene};
use crate::text::{lines, printable};
use crate::workshop::Workshop;

/// What arrives at the loop.
pub(crate) enum Message {
    /// For the run.
    Input(Input),
    /// An agent asks, and waits.
    Ask { task: TaskId, epoch: Epoch, question: Question, reply: oneshot::Sender<Option<String>> },
    /// A line from the terminal, and when it was read; none: its end.
    Line(Option<String>, Instant),
    /// Another process asks, and waits.
    Asked(Request, oneshot::Sender<Reply>),
}

/// What wakes the loop.
enum Woken {
    By(Option<Message>),
    Notice(Notice),
    Interrupt,
    Terminate,
    Timeout,
}

/// Drives one run to its end or to a rest.
pub(crate) struct Driver {
    pub(crate) run: Run,
    recorder: Recorder,
    state: StateDir,
    pub(crate) workshop: Arc<Workshop>,
    reporters: Vec<Box<dyn Reporter>>,
    messages: mpsc::UnboundedReceiver<Message>,
    /// What agents say while they work.
    notices: mpsc::Receiver<Notice>,
    clock: Clock,
    desk: prompt::Desk,
    waiting: BTreeMap<u64, oneshot::Sender<Option<String>>>,
    next_token: u64,
    prompts: VecDeque<Prompt>,
    asking: Option<Asking>,
    /// Sent once what they are about is durable.
    replies: Vec<(oneshot::Sender<Reply>, Reply)>,
    document: Document,
    interrupts: u32,
}

/// When the state document was, and is to be, written.
#[derive(Default)]
struct Document {
    /// Something happened since.
    old: bool,
    /// Not before then: writing it must stay a small part of the work.
    not_before: Option<Instant>,
}

/// How much longer than it takes the state document is left alone.
const REST_OF_DOCUMENT: u32 = 20;

/// How long it is left alone at least: nobody reads faster.
const LEAST_REST_OF_DOCUMENT: Duration = Duration::from_millis(50);

impl Driver {
    pub(crate) fn new(
        run: Run,
        recorder: Recorder,
        state: StateDir,
        workshop: Arc<Workshop>,
        reporters: Vec<Box<dyn Reporter>>,
        (messages, notices): (mpsc::UnboundedReceiver<Message>, mpsc::Receiver<Notice>),
        clock: Clock,
    ) -> Self {
        let desk = prompt::Desk::new(workshop.messages.clone());
        Self {
            run,
            recorder,
            state,
            workshop,
            reporters,
            messages,
            notices,
            clock,
            desk,
            waiting: BTreeMap::new(),
            next_token: 0,
            prompts: VecDeque::new(),
            asking: None,
            replies: Vec::new(),
            document: Document::default(),
            interrupts: 0,
        }
    }

    /// Goes on until the run rests; answers the exit status.
    pub(crate) async fn drive(mut self) -> Result<u8> {
        // One listener for the whole run: a new one would miss what came before it.
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let mut hang_up = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        if self.run.config().mode == Mode::Interactive && !prompt::is_attended() {
            self.input(Input::Unattended);
        }
        loop {
            self.record_and_show()?;
            self.act()?;
            if self.run.is_at_rest() {
                break;
            }
            match self.wait(&mut interrupt, &mut terminate, &mut hang_up).await {
                Woken::By(Some(message)) => {
                    let mut next = Some(message);
                    while let Some(message) = next {
                        self.take(message);
                        next = self.messages.try_recv().ok();
                    }
                }
                // The workshop holds a sender: it does not end before the driver.
                Woken::By(None) | Woken::Timeout => self.input(Input::Tick),
                Woken::Notice(notice) => self.notice(&notice),
                Woken::Interrupt if self.interrupts >= 2 => {
                    self.finish()?;
                    return Ok(INTERRUPTED);
                }
                Woken::Interrupt => self.interrupted(),
                Woken::Terminate => self.stop("told to terminate"),
            }
        }
        self.finish()?;
        Ok(self.status())
    }

    async fn wait(
        &mut self,
        interrupt: &mut Signal,
        terminate: &mut Signal,
        hang_up: &mut Signal,
    ) -> Woken {
        let due = self.run.poll_timeout().map(|up| self.clock.instant(up));
        let document = self.document.not_before.filter(|_| self.document.old);
        let next = due.into_iter().chain(document).min();
        tokio::select! {
            message = self.messages.recv() => Woken::By(message),
            Some(notice) = self.notices.recv() => Woken::Notice(notice),
            _ = interrupt.recv() => Woken::Interrupt,
            _ = terminate.recv() => Woken::Terminate,
            _ = hang_up.recv() => Woken::Terminate,
            () = until(next) => Woken::Timeout,
        }
    }

    fn status(&self) -> u8 {
        match &self.run.state().control {
            Control::Finished(outcome) => exit_of(outcome),
            _ if self.interrupts > 0 => INTERRUPTED,
            _ => PAUSED,
        }
    }

    fn input(&mut self, input: Input) {
        self.run.handle(self.clock.now(), input);
    }

    fn interrupted(&mut self) {
        if self.interrupts > 0 {
            let note = "stopping what is under way; press Ctrl-C again to leave at once";
            self.notice(&Notice::Host(note.to_owned()));
            self.stop("interrupted with Ctrl-C");
            return;
        }
        self.interrupts += 1;
        let grace = idumb_core::duration_text(self.run.config().timeouts.grace_ms);
        let note = format!(
            "pausing: what is under way gets {grace} to end; press Ctrl-C again to stop it now"
        );
        self.notice(&Notice::Host(note));
        let reason = "interrupted with Ctrl-C".to_owned();
        self.input(Input::Pause { cause: PauseCause::User, reason });
    }

    fn stop(&mut self, reason: &str) {
        self.interrupts += 1;
        self.input(Input::Stop { reason: reason.to_owned() });
    }

    fn finish(&mut self) -> Result<()> {
        self.recorder.snapshot(&self.run, true)?;
        self.write_document(true)?;
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
            Message::Input(input) => {
                if matches!(input, Input::Integrated { .. }) {
                    fail_point("integrate.answered");
                }
                self.input(input);
            }
            Message::Ask { task, epoch, question, reply } => {
                self.next_token += 1;
                let token = self.next_token;
                self.waiting.insert(token, reply);
                let options =
                    question.choices.into_iter().map(|choice| (choice.id, choice.text)).collect();
                let question = question.text;
                self.input(Input::Ask { task, epoch, token, question, options });
            }
            Message::Line(line, at) => self.heard(line.as_deref(), at),
            Message::Asked(request, reply) => {
                let answer = self.follow(request);
                self.replies.push((reply, answer));
            }
        }
    }

    /// Does what another process asks for.
    fn follow(&mut self, request: Request) -> Reply {
        let id = self.run.config().run.clone();
        if request.run() != &id {
            return Reply::Refused(format!("it is {id} that runs, not {}", request.run()));
        }
        match request {
            Request::Pause { now: false, .. } => {
                let reason = "asked for with `idumb pause`".to_owned();
                self.input(Input::Pause { cause: PauseCause::User, reason });
                Reply::Done(format!("{id} pauses at the next safe point"))
            }
            Request::Pause { now: true, .. } => {
                self.input(Input::Stop { reason: "asked for with `idumb pause --now`".to_owned() });
                Reply::Done(format!("{id} stops what is under way, and pauses"))
            }
            Request::Cancel { .. } => {
                self.input(Input::Cancel { reason: "asked for with `idumb cancel`".to_owned() });
                Reply::Done(format!("{id} is given up"))
            }
            Request::Answer { prompt, choice, note, .. } => {
                let refused = refused_answer(&self.run, prompt, &choice);
                if let Some(why) = refused {
                    return Reply::Refused(why);
                }
                let text = format!("prompt {prompt} of {id}: {choice}");
                self.input(Input::Answer { prompt, choice, note });
                Reply::Done(text)
            }
        }
    }

    /// What the person at the terminal typed.
    fn heard(&mut self, line: Option<&str>, at: Instant) {
        let meant = self.desk.has_read(at);
        let Some(asking) = &mut self.asking else {
            return;
        };
        let Some(line) = line else {
            let reason = "a decision was left open".to_owned();
            self.withdraw_question();
            self.input(Input::Pause { cause: PauseCause::User, reason });
            return;
        };
        if !meant {
            self.desk.read_again();
            return;
        }
        match asking.hear(line) {
            Said::More(text) => self.desk.go_on(&text),
            Said::Chosen(choice, note) => {
                let prompt = asking.prompt.id;
                self.close_question();
                self.input(Input::Answer { prompt, choice, note });
            }
        }
    }

    fn close_question(&mut self) {
        if self.asking.take().is_some() {
            for reporter in &mut self.reporters {
                reporter.resumed();
            }
        }
    }

    /// Closes a question that nobody answered here.
    fn withdraw_question(&mut self) {
        if self.asking.is_some() {
            self.desk.withdraw();
            self.close_question();
        }
    }

    /// Takes a question back that was answered elsewhere, fell away, or is left for later.
    fn settle_question(&mut self) {
        let Some(asking) = &self.asking else {
            return;
        };
        let open = self.run.state().prompt(asking.prompt.id).is_some();
        if !open {
            self.withdraw_question();
            self.notice(&Notice::Host("the question was answered, or fell away".to_owned()));
        } else if !self.goes() {
            // It stays open, and is asked again when the run is taken up.
            self.withdraw_question();
        }
    }

    fn goes(&self) -> bool {
        self.run.state().control == Control::Active
    }

    /// Makes every pending event durable, all in one transaction, then shows each.
    fn record_and_show(&mut self) -> Result<()> {
        let events = self.recorder.record(&mut self.run)?;
        for (reply, answer) in self.replies.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }
        if events.is_empty() {
            return Ok(());
        }
        self.document.old = true;
        self.settle_question();
        let scene = Scene::new(&self.run, self.clock.now());
        for event in &events {
            for reporter in &mut self.reporters {
                reporter.event(event, &scene);
            }
        }
        self.recorder.snapshot(&self.run, false)
    }

    fn act(&mut self) -> Result<()> {
        while let Some(effect) = self.run.poll_effect() {
            match effect {
                Effect::WriteState { document } => {
                    self.write(&document, Durability::Now)?;
                    self.input(Input::StateWritten);
                    self.record_and_show()?;
                }
                Effect::Ask { prompt } => self.prompts.push_back(prompt),
                Effect::Reply { token, choice } => {
                    if let Some(reply) = self.waiting.remove(&token) {
                        // The agent may be gone by now: then nobody needs the answer.
                        let _ = reply.send(choice);
                    }
                }
                work => {
                    fail_point("effect.start");
                    self.workshop.start(work, self.run.state());
                }
            }
        }
        self.write_document(false)?;
        self.ask_next();
        Ok(())
    }

    /// Writes the state document if it is old, and it is time or has to be.
    fn write_document(&mut self, now: bool) -> Result<()> {
        let wait = self.document.not_before.is_some_and(|time| Instant::now() < time);
        if !self.document.old || (wait && !now && !self.run.is_at_rest()) {
            return Ok(());
        }
        let document = self.run.state_document(self.clock.now());
        // Between two events nobody needs to wait for the disk: the journal has it all.
        let rests = now || self.run.is_at_rest();
        self.write(&document, if rests { Durability::Now } else { Durability::Later })
    }

    fn write(
        &mut self,
        document: &idumb_core::StateDocument,
        durability: Durability,
    ) -> Result<()> {
        let begun = Instant::now();
        write_document(&self.state, document, durability)?;
        let rest = (begun.elapsed() * REST_OF_DOCUMENT).max(LEAST_REST_OF_DOCUMENT);
        self.document.old = false;
        self.document.not_before = Some(Instant::now() + rest);
        Ok(())
    }

    /// Asks the next question that is still open, one at a time.
    fn ask_next(&mut self) {
        while self.asking.is_none()
            && let Some(prompt) = self.prompts.pop_front()
        {
            if self.run.state().prompt(prompt.id).is_none() || !self.goes() {
                continue;
            }
            if self.run.config().mode == Mode::Auto || !prompt::is_attended() {
                self.notice(&Notice::Host(how_to_answer(self.run.config(), &prompt)));
                continue;
            }
            for reporter in &mut self.reporters {
                reporter.suspended();
            }
            self.asking = Some(self.desk.ask(prompt));
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// Why an answer cannot be given, if it cannot.
pub(crate) fn refused_answer(run: &Run, prompt: u32, choice: &str) -> Option<String> {
    let id = &run.config().run;
    let Some(open) = run.state().prompt(prompt) else {
        let numbers: Vec<String> =
            run.state().prompts.iter().map(|prompt| prompt.id.to_string()).collect();
        return Some(match numbers.as_slice() {
            [] => format!("{id} has no open prompt"),
            numbers => {
                format!("prompt {prompt} of {id} is not open; open: {}", numbers.join(", "))
            }
        });
    };
    if open.offers(choice) {
        return None;
    }
    let options: Vec<String> = open.options.iter().map(|(id, _)| printable(id)).collect();
    Some(format!(
        "`{}` is no option of prompt {prompt}; its options are {}",
        printable(choice),
        options.join(", ")
    ))
}

/// The question, and the command that answers it.
pub(crate) fn how_to_answer(config: &RunConfig, prompt: &Prompt) -> String {
    let question: Vec<String> = lines(&prompt.question).collect();
    let options: Vec<String> = prompt.options.iter().map(|(id, _)| printable(id)).collect();
    format!(
        "prompt {}: {}\n  answer it: idumb answer {} {} --choose {}",
        prompt.id,
        question.join("\n  "),
        config.run,
        prompt.id,
        options.join("|")
    )
}

/// A short rest, for those that look again and again at what another process writes.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(150);
