//! Native commands that agents ask for.
//!
//! Invariant: an agent gets what came of a command that its task lets it ask for, with arguments
//! that the definition allows, on its own candidate, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use idumb_core::{Blobs, Role, Task, Trouble};
use idumb_sandbox::{CommandRan, CommandRequest, Commands, NotRun, Running, Stop};

use super::{Invocation, Listener, Natives};
use crate::text::printable;

/// The commands of one call.
pub(crate) struct TaskCommands {
    allowed: BTreeSet<String>,
    natives: Arc<Natives>,
    blobs: Arc<dyn Blobs>,
    listener: Listener,
}

impl TaskCommands {
    /// For an agent of `role` that works on `task`.
    pub(crate) fn new(
        role: Role,
        task: &Task,
        natives: &Arc<Natives>,
        blobs: Arc<dyn Blobs>,
        listener: Listener,
    ) -> Self {
        let allowed = task.commands_for(role).into_iter().map(str::to_owned).collect();
        Self { allowed, natives: Arc::clone(natives), blobs, listener }
    }
}

impl Commands for TaskCommands {
    fn allowed(&self) -> BTreeSet<String> {
        self.allowed.clone()
    }

    fn run(&self, request: CommandRequest) -> Running {
        let (natives, blobs) = (Arc::clone(&self.natives), Arc::clone(&self.blobs));
        let listener = Arc::clone(&self.listener);
        Box::pin(async move { ran(natives, blobs, listener, request).await })
    }
}

async fn ran(
    natives: Arc<Natives>,
    blobs: Arc<dyn Blobs>,
    listener: Listener,
    request: CommandRequest,
) -> Result<CommandRan, NotRun> {
    let (name, arguments) = (&request.name, request.arguments.clone());
    if let Some(source) = natives.sources.get(name)
        && let Some(refused) = source.refuses(&arguments)
    {
        let patterns = match source.arguments.is_empty() {
            true => "it takes none".to_owned(),
            false => format!("each has to match one of {}", source.arguments.join(", ")),
        };
        let shown = printable(refused);
        return Err(NotRun::Invalid(format!("`{name}` does not take `{shown}`: {patterns}")));
    }
    let invocation = Invocation { arguments, ..Invocation::of_name(name) };
    let change_set = request.change_set(blobs).await?;
    let wanted = BTreeSet::from([invocation]);
    match natives.run(wanted, change_set, listener, Stop::never()).await {
        Ok(came) => match came.into_values().next() {
            Some(came) => Ok(came.told()),
            None => Err(NotRun::Unavailable("nothing came of it".to_owned())),
        },
        // The run of the machine goes on; it is for the agent to say what it makes of this.
        Err(Trouble::Unavailable { message } | Trouble::Error { message }) => {
            Err(NotRun::Unavailable(message))
        }
        Err(other) => Err(NotRun::Unavailable(other.to_string())),
    }
}
