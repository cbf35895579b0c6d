//! What a run asks of people, and what it makes of their choices.
//!
//! Invariant: a prompt is closed by exactly one event, and only one of its own options is
//! ever a choice.

use crate::run::{Control, Run, TaskState};
use crate::{
    Effect, Epoch, ErrorCode, Event, Millis, Mode, PauseCause, Prompt, Subject, TaskId, Trouble,
};

impl Run {
    pub(super) fn open_checkpoint(&mut self, now: Millis, tasks: &[TaskId]) -> bool {
        let open = |prompt: &Prompt| prompt.subject == Subject::Checkpoint;
        if self.state.prompts.iter().any(open) {
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
            ("continue".to_owned(), "start the next batch".to_owned()),
            ("pause".to_owned(), "stop here; --resume goes on".to_owned()),
        ];
        self.open_prompt(now, Subject::Checkpoint, question, options);
        true
    }

    fn open_prompt(
        &mut self,
        now: Millis,
        subject: Subject,
        question: String,
        options: Vec<(String, String)>,
    ) {
        let id = self.state.prompts_opened + 1;
        let prompt = Prompt { id, subject, question, options };
        self.emit(now, Event::PromptOpened { prompt: prompt.clone() });
        self.effects.push_back(Effect::Ask { prompt });
    }

    pub(super) fn open_blocker(&mut self, now: Millis, task: &TaskId, trouble: &Trouble) {
        let code = trouble.code();
        let question = format!("Task {task} cannot go on: {code} {}: {trouble}", code.cause());
        let dependents = self.dependents(task);
        let consequence = match dependents.len() {
            0 => "no task depends on it".to_owned(),
            n => {
                let names: Vec<&str> = dependents.iter().map(TaskId::as_str).collect();
                format!("{n} not run then: {}", names.join(", "))
            }
        };
        let options = vec![
            ("retry".to_owned(), "run it again".to_owned()),
            ("fail".to_owned(), format!("give it up; {consequence}")),
            ("pause".to_owned(), "stop here; --resume tries it again".to_owned()),
        ];
        self.open_prompt(now, Subject::Blocker { task: task.clone() }, question, options);
    }

    pub(super) fn chosen(&mut self, now: Millis, id: u32, choice: &str) {
        let open = self.state.prompts.iter().find(|prompt| prompt.id == id);
        let Some(Prompt { subject, options, .. }) = open.cloned() else {
            return;
        };
        if !options.iter().any(|(option, _)| option == choice) {
            return;
        }
        match (&subject, choice) {
            (Subject::Checkpoint | Subject::Blocker { .. }, "pause") => {
                let reason = "chosen at a prompt".to_owned();
                self.request_pause(now, PauseCause::User, reason);
                self.emit(now, Event::PromptWithdrawn { prompt: id });
            }
            _ => {
                let choice = choice.to_owned();
                self.emit(now, Event::PromptAnswered { prompt: id, choice });
            }
        }
        match (subject, choice) {
            (Subject::Blocker { task }, "fail") => {
                let trouble = self.state.task(&task).and_then(|record| record.trouble.clone());
                let code = trouble.as_ref().map_or(ErrorCode::E002, Trouble::code);
                let reason = trouble.map_or_else(String::new, |trouble| trouble.to_string());
                self.give_up(now, &task, code, reason);
            }
            (Subject::Agent { token, .. }, _) => {
                let choice = Some(choice.to_owned());
                self.effects.push_back(Effect::Reply { token, choice });
            }
            _ => {}
        }
    }

    pub(super) fn asked(
        &mut self,
        now: Millis,
        task: TaskId,
        epoch: Epoch,
        token: u64,
        question: String,
        options: Vec<(String, String)>,
    ) {
        let at_work = |state: &TaskState| matches!(state, TaskState::Building | TaskState::Sealed);
        let current = self
            .state
            .task(&task)
            .is_some_and(|record| record.epoch == epoch && at_work(&record.state));
        let active = self.state.control == Control::Active;
        if self.config.mode == Mode::Auto || !current || !active {
            self.emit(now, Event::QuestionDeclined { task, epoch, question });
            self.effects.push_back(Effect::Reply { token, choice: None });
            return;
        }
        self.open_prompt(now, Subject::Agent { task, epoch, token }, question, options);
    }

    /// The attempt ended: nobody waits for its questions any more.
    pub(super) fn withdraw_questions(&mut self, now: Millis, ended: &TaskId) {
        let about = |prompt: &&Prompt| matches!(&prompt.subject, Subject::Agent { task, .. } if task == ended);
        let ids: Vec<u32> =
            self.state.prompts.iter().filter(about).map(|prompt| prompt.id).collect();
        for prompt in ids {
            self.emit(now, Event::PromptWithdrawn { prompt });
        }
    }
    /// The run is to rest: an attempt that waits for a person would keep it from that.
    pub(super) fn decline_questions(&mut self, now: Millis) {
        let asked = |prompt: &Prompt| match prompt.subject {
            Subject::Agent { token, .. } => Some((prompt.id, token)),
            Subject::Checkpoint | Subject::Blocker { .. } => None,
        };
        let open: Vec<(u32, u64)> = self.state.prompts.iter().filter_map(asked).collect();
        for (prompt, token) in open {
            self.emit(now, Event::PromptWithdrawn { prompt });
            let choice = None;
            self.effects.push_back(Effect::Reply { token, choice });
        }
    }
}
