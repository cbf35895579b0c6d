//! A builder that declares a narrow ceiling, and tries whatever the task's options `read` and
//! `write` name, paths with a blank between them.
//!
//! Invariant: what is refused does not stop it; its summary says what came of each path.

use std::fs;

use idumb_agent::{Builder, Context, Failure, Outcome, Task};

struct Narrow;

idumb_agent::ceiling! {
    reads ["src/**", "names.txt"] because "to find what is public";
    writes ["docs/**"] because "to write the reference";
}

impl Builder for Narrow {
    fn build(task: Task, _context: Context) -> Result<Outcome, Failure> {
        let mut told = Vec::new();
        for path in task.option("read").unwrap_or_default().split_whitespace() {
            told.push(format!("read {path}: {}", came_to(fs::read(path).map(|_| ()))));
        }
        for path in task.option("write").unwrap_or_default().split_whitespace() {
            told.push(format!("write {path}: {}", came_to(fs::write(path, "written\n"))));
        }
        Ok(Outcome::done(told.join(", ")))
    }
}

fn came_to(result: std::io::Result<()>) -> String {
    match result {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

idumb_agent::builder!(Narrow);
