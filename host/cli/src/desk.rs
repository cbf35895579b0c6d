//! The agents' desk: their words go to the reporters, their questions into the run.
//!
//! Invariant: nothing an agent says here is taken for the host's word.

use std::future::Future;
use std::pin::Pin;

use idumb_core::{Epoch, LogLine, TaskId};
use idumb_sandbox::{Desk, Question};
use tokio::sync::{mpsc, oneshot};

use crate::driver::Message;
use crate::report::Notice;

/// The desk of one attempt.
pub(crate) struct TaskDesk {
    pub(crate) task: TaskId,
    pub(crate) epoch: Epoch,
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    pub(crate) notices: mpsc::Sender<Notice>,
}

impl Desk for TaskDesk {
    fn progress(&self, done: u32, total: u32, message: &str) {
        let (task, message) = (self.task.clone(), message.to_owned());
        // Bounded: a guest that talks faster than anybody reads is not listened to.
        let _ = self.notices.try_send(Notice::Progress { task, done, total, message });
    }

    fn log(&self, line: &LogLine) {
        let (task, line) = (self.task.clone(), line.clone());
        // What is dropped here is still in the attempt's log.
        let _ = self.notices.try_send(Notice::Log { task, line });
    }

    fn ask(&self, question: Question) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Ask { task: self.task.clone(), epoch: self.epoch, question, reply };
        let sent = self.messages.send(message).is_ok();
        Box::pin(async move { if sent { answer.await.ok().flatten() } else { None } })
    }
}

/// The desk of an agent that checks a whole phase: its words are in its findings.
pub(crate) struct QuietDesk;

impl Desk for QuietDesk {
    fn progress(&self, _: u32, _: u32, _: &str) {}

    fn log(&self, _: &LogLine) {}

    fn ask(&self, _: Question) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
        Box::pin(std::future::ready(None))
    }
}
