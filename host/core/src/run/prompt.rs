//! What a run asks of people, and what it makes of their choices.
//!
//! Invariant: a prompt is closed by exactly one event, and only one of its own options is
//! ever a choice. Prompts outlive the process, but for those of an agent, whose attempt
//! does not.

use super::{Control, Run, TaskState};
use crate::{
    AccessRecord, Checkpoint, CheckpointAt, Criterion, CriterionId, Effect, Epoch, Event, Evidence,
    EvidenceId, Finding, Mode, Moment, Observed, PauseCause, Prompt, RunOutcome, Subject, TaskId,
    Trouble, Verdict,
};

type Options = Vec<(String, String)>;

/// How many lines of a task's description a question has, and how many letters.
const MOST_LINES: usize = 20;
const MOST_LETTERS: usize = 2000;

fn option(id: &str, text: impl Into<String>) -> (String, String) {
    (id.to_owned(), text.into())
}

impl Run {
    pub(super) fn open_batch_prompt(&mut self, now: Moment, tasks: &[TaskId]) -> bool {
        if self.state.prompts.iter().any(|prompt| prompt.subject == Subject::Batch) {
            return false;
        }
        let names: Vec<&str> = tasks.iter().map(TaskId::as_str).collect();
        let question = format!(
            "Batch {} is done. Go on with batch {} ({})?",
            self.state.batches,
            self.state.batches + 1,
            names.join(", ")
        );
        let options = vec![
            option("continue", "start the next batch"),
            option("pause", "stop here; --resume goes on"),
        ];
        self.open_prompt(now, Subject::Batch, question, options);
        true
    }

    /// A task's checkpoint: asked, or passed where auto mode may. Whether anything changed.
    pub(super) fn at_checkpoint(
        &mut self,
        now: Moment,
        task: &TaskId,
        checkpoint: Checkpoint,
    ) -> bool {
        let Checkpoint { at, human } = checkpoint;
        if self.config.mode == Mode::Auto && !human {
            self.emit(now, Event::CheckpointPassed { task: task.clone(), at });
            return true;
        }
        let about = |prompt: &Prompt| matches!(&prompt.subject, Subject::Checkpoint { task: other, .. } if other == task);
        if self.state.prompts.iter().any(about) {
            return false;
        }
        let title = self.plan_task(task).map_or("", |definition| &definition.title).to_owned();
        let pause = option("pause", "stop here; --resume asks again");
        let (question, options) = match at {
            CheckpointAt::Before => (
                format!("Task {task} ({title}) is next. Go on with it?"),
                vec![
                    option("continue", "start the task"),
                    option("skip", format!("leave it out; {}", self.consequence(task))),
                    pause,
                ],
            ),
            CheckpointAt::After => (
                format!("Task {task} ({title}) is done. Go on?"),
                vec![option("continue", "go on with what is next"), pause],
            ),
        };
        let question = question + &self.described(task);
        let subject = Subject::Checkpoint { task: task.clone(), at, human };
        self.open_prompt(now, subject, question, options);
        true
    }

    /// What the plan says of a task beside its title, as lines more of a question.
    fn described(&self, task: &TaskId) -> String {
        let Some(task) = self.plan_task(task) else { return String::new() };
        let all = task.description.trim();
        if all.is_empty() || all == task.title {
            return String::new();
        }
        let shown: Vec<&str> = all.lines().take(MOST_LINES).collect();
        let more = all.lines().count() > shown.len();
        let mut text: String = shown.join("\n").chars().take(MOST_LETTERS).collect();
        if more || text.len() < all.len() {
            text.push_str("\n…");
        }
        format!("\n{text}")
    }

    fn open_prompt(&mut self, now: Moment, subject: Subject, question: String, options: Options) {
        let id = self.state.prompts_opened + 1;
        let prompt = Prompt { id, subject, question, options };
        self.emit(now, Event::PromptOpened { prompt: prompt.clone() });
        self.effects.push_back(Effect::Ask { prompt });
    }

    /// What leaving the task out means for others.
    fn consequence(&self, task: &TaskId) -> String {
        let dependents = self.dependents(task);
        match dependents.len() {
            0 => "no task depends on it".to_owned(),
            n => {
                let names: Vec<&str> = dependents.iter().map(TaskId::as_str).collect();
                format!("{n} not run then: {}", names.join(", "))
            }
        }
    }

    pub(super) fn open_blocker(&mut self, now: Moment, task: &TaskId) {
        let Some(record) = self.state.task(task) else {
            return;
        };
        let question = match (record.trouble(), record.parking) {
            (_, Some(crate::Parking::HostDied { times })) => {
                format!("Task {task} cannot go on: idumb died {times} times while it ran")
            }
            (Some(trouble), _) => {
                let code = trouble.code();
                format!("Task {task} cannot go on: {code} {}: {trouble}", code.cause())
            }
            (None, _) => format!("Task {task} cannot go on"),
        };
        let consequence = self.consequence(task);
        let options = vec![
            option("retry", "run it again; a note to the agent can be given with it"),
            option("skip", format!("leave it out; {consequence}")),
            option("fail", format!("give it up; {consequence}")),
            option("pause", "stop here; --resume tries it again"),
        ];
        self.open_prompt(now, Subject::Blocker { task: task.clone() }, question, options);
    }

    /// Draws the consequence of a person's rejection that a death kept from being drawn;
    /// whether there is one.
    pub(super) fn reject(&mut self, now: Moment, task: &TaskId) -> bool {
        let latest = self.state.task(task).and_then(|record| record.latest.as_ref());
        let examination = latest.and_then(|latest| latest.examination.as_ref());
        let (Some(examination), Some(definition)) = (examination, self.plan_task(task)) else {
            return false;
        };
        let mut judged = definition.accept.iter().filter(|criterion| criterion.is_judged());
        let of_person = judged.any(|criterion| {
            examination.findings.iter().any(|finding| finding.criterion == criterion.id)
        });
        if !of_person {
            return false;
        }
        let unmet =
            examination.judge(definition.accept.iter().map(|criterion| &criterion.id)).unmet;
        let trouble = Trouble::Rejected { unmet };
        self.attempt_failed(now, task, trouble, AccessRecord::default(), Vec::new());
        true
    }

    /// Has a person judge what no check can; whether anything changed.
    pub(super) fn ask_judgement(&mut self, now: Moment, task: &TaskId) -> bool {
        if self.config.mode == Mode::Auto && self.judged_by_rule(now, task) {
            return true;
        }
        let (Some(record), Some(definition)) = (self.state.task(task), self.plan_task(task)) else {
            return false;
        };
        let Some(change_set) = record.change_set() else {
            return false;
        };
        let left: Vec<&Criterion> =
            definition.accept.iter().filter(|criterion| criterion.is_judged()).collect();
        let texts: Vec<String> =
            left.iter().map(|criterion| format!("- {}", criterion.text)).collect();
        let criteria = left.iter().map(|criterion| criterion.id.clone()).collect();
        let question = format!(
            "Task {task} is built, and what can be checked holds. Only a person can judge:\n{}",
            texts.join("\n")
        );
        let options = vec![
            option("holds", "all of it holds: go on to integrate the task"),
            option("fails", "it does not: the attempt is rejected; a note says what is missing"),
            option("pause", "stop here; --resume asks again"),
        ];
        let subject = Subject::Judged { task: task.clone(), change_set, criteria };
        self.open_prompt(now, subject, question, options);
        true
    }

    pub(super) fn chosen(&mut self, now: Moment, id: u32, choice: &str, note: Option<String>) {
        let ended = matches!(self.state.control, Control::Finished(_) | Control::Cancelling(_));
        let Some(prompt) = self.state.prompt(id).filter(|prompt| prompt.offers(choice)) else {
            return;
        };
        if ended {
            return;
        }
        let subject = prompt.subject.clone();
        if choice == "pause" && !matches!(subject, Subject::Agent { .. }) {
            // The prompt stays open: nothing was decided but to rest.
            let reason = format!("chosen at prompt {id}");
            self.request_pause(now, PauseCause::User, reason);
            return;
        }
        let chosen = choice.to_owned();
        self.emit(now, Event::PromptAnswered { prompt: id, choice: chosen, note: note.clone() });
        match subject {
            Subject::Blocker { task } => self.decided(now, &task, choice),
            Subject::Checkpoint { task, .. } if choice == "skip" => self.skip(now, &task),
            Subject::Judged { task, criteria, .. } => {
                self.person_judged(now, &task, &criteria, id, choice, note);
            }
            Subject::Agent { task, token, .. } => {
                self.hold_clock(now, &task, false);
                let choice = Some(choice.to_owned());
                self.effects.push_back(Effect::Reply { token, choice });
            }
            Subject::Batch | Subject::Checkpoint { .. } => {}
        }
    }

    /// A person's findings join the validator's, with the answer as their evidence.
    fn person_judged(
        &mut self,
        now: Moment,
        task: &TaskId,
        criteria: &[CriterionId],
        prompt: u32,
        choice: &str,
        note: Option<String>,
    ) {
        let latest = self.state.task(task).and_then(|record| record.latest.as_ref());
        let (Some(latest), Ok(id)) = (latest, EvidenceId::new(format!("prompt-{prompt}"))) else {
            return;
        };
        let mut examination = latest.examination.clone().unwrap_or_default();
        let record = latest.judged.clone();
        let observed = Observed::Answer { prompt, choice: choice.to_owned() };
        examination.evidence.push(Evidence { id: id.clone(), observed });
        let verdict = if choice == "holds" { Verdict::Pass } else { Verdict::Fail };
        let note = note.unwrap_or_else(|| "a person judged so".to_owned());
        examination.findings.extend(criteria.iter().map(|criterion| Finding {
            criterion: criterion.clone(),
            verdict,
            evidence: vec![id.clone()],
            note: note.clone(),
        }));
        let Some(definition) = self.plan_task(task) else {
            return;
        };
        let asked: Vec<CriterionId> =
            definition.accept.iter().map(|criterion| criterion.id.clone()).collect();
        self.judged(now, task, examination, &asked, record);
    }

    pub(super) fn asked(
        &mut self,
        now: Moment,
        task: TaskId,
        epoch: Epoch,
        token: u64,
        question: String,
        options: Options,
    ) {
        let at_work = |state: &TaskState| {
            matches!(state, TaskState::Leased | TaskState::Running | TaskState::Validating)
        };
        let current = self
            .state
            .task(&task)
            .is_some_and(|record| record.epoch == epoch && at_work(&record.state));
        let stopped = self
            .in_flight
            .get(&super::Job::Task(task.clone()))
            .is_none_or(|flight| flight.stopped.is_some());
        let nobody = self.config.mode == Mode::Auto || self.unattended;
        if nobody || !current || stopped || !self.goes() {
            self.emit(now, Event::QuestionDeclined { task, epoch, question });
            self.effects.push_back(Effect::Reply { token, choice: None });
            return;
        }
        self.hold_clock(now, &task, true);
        self.open_prompt(now, Subject::Agent { task, epoch, token }, question, options);
    }

    /// The attempt ended: nobody waits for its questions any more.
    pub(super) fn withdraw_questions(&mut self, now: Moment, ended: &TaskId) {
        let about = |prompt: &&Prompt| matches!(&prompt.subject, Subject::Agent { task, .. } if task == ended);
        let ids: Vec<u32> =
            self.state.prompts.iter().filter(about).map(|prompt| prompt.id).collect();
        for prompt in ids {
            self.emit(now, Event::PromptWithdrawn { prompt });
        }
    }

    /// The run is to rest, or nobody is there: an attempt that waits for a person would keep it
    /// from that.
    pub(super) fn decline_questions(&mut self, now: Moment) {
        let asked = |prompt: &Prompt| match &prompt.subject {
            Subject::Agent { task, token, .. } => Some((prompt.id, *token, task.clone())),
            _ => None,
        };
        let open: Vec<(u32, u64, TaskId)> = self.state.prompts.iter().filter_map(asked).collect();
        for (prompt, token, task) in open {
            self.emit(now, Event::PromptWithdrawn { prompt });
            self.hold_clock(now, &task, false);
            self.effects.push_back(Effect::Reply { token, choice: None });
        }
    }

    /// The run is given up: nothing is to be decided any more.
    pub(super) fn withdraw_prompts(&mut self, now: Moment) {
        let open: Vec<u32> = self.state.prompts.iter().map(|prompt| prompt.id).collect();
        for prompt in open {
            self.emit(now, Event::PromptWithdrawn { prompt });
        }
    }

    /// Whether the run ended so that nothing about it can be decided any more.
    pub fn is_over(&self) -> bool {
        matches!(
            self.state.control,
            Control::Finished(RunOutcome::Completed | RunOutcome::Cancelled { .. })
        )
    }
}
