//! A whole agent: writes a greeting to the file that the task promises.

use std::fs;

use idumb_agent::{Builder, Context, Failure, Outcome, Task, log};

struct Hello;

impl Builder for Hello {
    fn build(task: Task, _context: Context) -> Result<Outcome, Failure> {
        let Some(path) = task.artifacts.first() else {
            return Err(Failure::precondition("give the task an artifact to write"));
        };
        let name = task.option("name").unwrap_or("world");
        log::info(format!("greeting {name} in {path}"));
        fs::write(path, format!("Hello, {name}!\n"))
            .map_err(|error| Failure::denied(format!("{path} cannot be written: {error}")))?;
        Ok(Outcome::done(format!("greeted {name}")).artifact(path))
    }
}

idumb_agent::ceiling! {
    writes ["**/*.txt"] because "to put the greeting where the task wants it";
}

idumb_agent::builder!(Hello);
