//! What must hold of decisions: who is asked what, and when that is over.
//!
//! Invariant: as the checker's.

use idumb_core::{CheckpointAt, Event, Mode, Prompt, Run, Stamped, Subject, TaskId};

use super::clocks::Job;
use super::{At, Checker, Control};
use crate::world::World;

impl Checker {
    /// Whether it is one of these events.
    pub(super) fn people_event(&mut self, stamped: &Stamped) -> bool {
        match &stamped.event {
            Event::PromptOpened { prompt } => self.prompt_opened(prompt, stamped.up),
            Event::PromptAnswered { prompt, choice, .. } => {
                self.prompt_answered(*prompt, choice, stamped.up);
            }
            Event::PromptWithdrawn { prompt } => self.prompt_withdrawn(*prompt, stamped.up),
            Event::CheckpointPassed { task, at } => {
                self.goes();
                assert_eq!(self.config.mode, Mode::Auto, "a person decides");
                let checkpoint = self.task(task).checkpoint.expect("a checkpoint");
                assert_eq!(checkpoint.at, *at);
                assert!(!checkpoint.human, "a person decides, in any mode");
                let expected = [match at {
                    CheckpointAt::Before => At::Idle,
                    CheckpointAt::After => At::Succeeded,
                }];
                self.account(task, &expected, None).passed = true;
            }
            Event::QuestionDeclined { task, epoch, .. } => {
                let account = self.accounts.get(task);
                let works = account.is_some_and(|account| {
                    let at_work = [At::Leased, At::Running, At::Validating];
                    account.epoch == *epoch && at_work.contains(&account.at)
                });
                let stops = self.live.get(&Job::Task(task.clone()));
                let stops = stops.is_none_or(|live| live.stopped.is_some() || live.due(stamped.up));
                let nobody = self.unattended || self.config.mode == Mode::Auto;
                let rests = self.control != Control::Active;
                assert!(!works || stops || nobody || rests, "{task}: nobody was asked");
            }
            _ => return false,
        }
        true
    }

    fn prompt_opened(&mut self, prompt: &Prompt, up: u64) {
        self.goes();
        assert_eq!(prompt.id, self.last_prompt + 1, "a number is used twice, or left out");
        assert!(!prompt.options.is_empty());
        let auto = self.config.mode == Mode::Auto;
        let of_people = match &prompt.subject {
            Subject::Checkpoint { human, .. } => *human,
            Subject::Judged { .. } => true,
            _ => false,
        };
        assert!(!auto || of_people, "auto mode asks no more than it must: {prompt:?}");
        let twice = self.prompts.values().any(|open| match (&open.subject, &prompt.subject) {
            (Subject::Agent { .. }, Subject::Agent { .. }) => false,
            (open, new) => open == new,
        });
        assert!(!twice, "asked twice: {prompt:?}");
        self.last_prompt = prompt.id;
        match &prompt.subject {
            Subject::Batch => {
                assert!(!self.go_ahead, "the next batch may start");
                assert!(!self.accounts.values().any(|account| account.at.is_under_way()));
            }
            Subject::Checkpoint { task, at, human } => {
                let checkpoint = self.task(task).checkpoint.expect("a checkpoint");
                assert_eq!((checkpoint.at, checkpoint.human), (*at, *human));
                assert!(!self.accounts[task].passed, "it was passed");
                match at {
                    CheckpointAt::Before => {
                        self.account(task, &[At::Idle], None).at = At::Asking(prompt.id);
                    }
                    CheckpointAt::After => {
                        self.account(task, &[At::Succeeded], None);
                        let works = self.accounts.values().any(|account| account.at.is_under_way());
                        assert!(!works, "the batch is not over");
                    }
                }
            }
            Subject::Blocker { task } => {
                assert!(matches!(self.at(task), At::Parked(_)), "{task} is not parked");
                self.set(task, At::Asking(prompt.id));
            }
            Subject::Judged { task, change_set, criteria } => {
                let judged = self.task(task).accept.iter().filter(|one| one.is_judged());
                assert!(judged.map(|one| &one.id).eq(criteria), "all of them");
                let account = self.account(task, &[At::Judging], None);
                assert_eq!(account.change_set, Some(*change_set), "the candidate at hand");
                account.at = At::Asking(prompt.id);
            }
            Subject::Agent { task, epoch, .. } => {
                assert!(!self.unattended, "nobody is there");
                let at_work = [At::Leased, At::Running, At::Validating];
                self.account(task, &at_work, Some(*epoch));
                let live = self.live.get_mut(&Job::Task(task.clone())).expect("nobody works");
                assert!(live.stopped.is_none(), "it was told to stop");
                live.hold(up);
                self.seen.insert("an agent that waits for a person");
            }
        }
        self.prompts.insert(prompt.id, prompt.clone());
    }

    fn close(&mut self, id: u32, up: u64) -> Prompt {
        let prompt = self.prompts.remove(&id).expect("an open prompt");
        if let Subject::Agent { task, .. } = &prompt.subject
            && !self.asks(task)
            && let Some(live) = self.live.get_mut(&Job::Task(task.clone()))
        {
            live.go_on(up);
        }
        prompt
    }

    /// Whether the task's agent waits for a person.
    pub(super) fn asks(&self, id: &TaskId) -> bool {
        let about =
            |prompt: &Prompt| matches!(&prompt.subject, Subject::Agent { task, .. } if task == id);
        self.prompts.values().any(about)
    }

    fn prompt_answered(&mut self, id: u32, choice: &str, up: u64) {
        let ended = [Control::Failed, Control::Refused, Control::Completed, Control::Cancelled];
        assert!(!ended.contains(&self.control) && self.control != Control::Cancelling);
        let prompt = self.close(id, up);
        assert!(prompt.offers(choice), "{choice} is no option of {prompt:?}");
        let agents = matches!(prompt.subject, Subject::Agent { .. });
        assert!(agents || choice != "pause", "a pause decides nothing");
        if !self.awake {
            self.seen.insert("an answer while nobody runs it");
        }
        match prompt.subject {
            Subject::Batch => self.go_ahead = true,
            Subject::Checkpoint { task, at, .. } => {
                if choice == "continue" {
                    self.accounts.get_mut(&task).expect("a task").passed = true;
                }
                if at == CheckpointAt::Before {
                    self.account(&task, &[At::Asking(id)], None).at = At::Idle;
                }
                self.may_skip(&task, choice);
            }
            Subject::Blocker { task } => {
                let account = self.account(&task, &[At::Asking(id)], None);
                if choice == "retry" {
                    account.at = At::Idle;
                    account.deaths = 0;
                } else {
                    account.at = At::Parked(account.parking.expect("a reason"));
                }
                self.may_skip(&task, choice);
                if choice == "fail" {
                    self.may_fail = Some(task);
                }
            }
            Subject::Judged { task, .. } => {
                let account = self.account(&task, &[At::Asking(id)], None);
                account.at = At::Judging;
                account.held = choice == "holds";
                self.answered = Some((task, id));
            }
            Subject::Agent { .. } => {}
        }
    }

    fn may_skip(&mut self, task: &TaskId, choice: &str) {
        if choice == "skip" {
            self.may_skip = Some(task.clone());
        }
    }

    fn prompt_withdrawn(&mut self, id: u32, up: u64) {
        let prompt = self.close(id, up);
        let agents = matches!(prompt.subject, Subject::Agent { .. });
        let allowed = agents || self.taking_up || self.control == Control::Cancelling;
        assert!(allowed, "somebody needs the decision: {prompt:?}");
        let given_up = self.control == Control::Cancelling;
        let auto = self.config.mode == Mode::Auto;
        let going = [Control::Active, Control::Pausing, Control::Cancelling];
        let moot = match &prompt.subject {
            Subject::Batch | Subject::Blocker { .. } => auto || !going.contains(&self.before),
            Subject::Checkpoint { human, .. } => auto && !human,
            Subject::Judged { .. } => false,
            Subject::Agent { .. } => true,
        };
        assert!(moot || given_up, "it outlives the process: {prompt:?}");
        match prompt.subject {
            Subject::Checkpoint { task, at: CheckpointAt::Before, .. } => {
                self.account(&task, &[At::Asking(id)], None).at = At::Idle;
            }
            Subject::Blocker { task } => {
                let account = self.account(&task, &[At::Asking(id)], None);
                account.at = At::Parked(account.parking.expect("a reason"));
            }
            Subject::Judged { task, .. } => {
                assert_eq!(self.control, Control::Cancelling, "a person decides");
                self.account(&task, &[At::Asking(id)], None).at = At::Judging;
            }
            _ => {}
        }
    }

    /// The run's prompts are those of the book, and whoever asks is heard.
    pub(super) fn check_prompts(&self, run: &Run, world: &World) {
        let open = run.state().prompts.iter().map(|prompt| prompt.id);
        assert!(open.eq(self.prompts.keys().copied()), "open prompts: {:?}", self.prompts);
        if !self.awake {
            return;
        }
        for prompt in self.prompts.values() {
            if let Subject::Agent { task, epoch, token } = &prompt.subject {
                assert_eq!(self.accounts[task].epoch, *epoch, "{task}: the lease is gone");
                assert!(self.live.contains_key(&Job::Task(task.clone())), "nobody waits");
                assert!(self.control == Control::Active, "a rest waits for a person");
                assert!(!self.unattended, "nobody is there");
                assert!(world.waits(*token) || world.is_waiting_in_vain(), "it does not wait");
            }
            let goes = self.control == Control::Active;
            assert!(!goes || self.asked.contains(&prompt.id), "{prompt:?}");
        }
    }
}
