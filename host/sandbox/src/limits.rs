//! What one agent may use.
//!
//! Invariant: every limit has a default, and the defaults suit a builder that compiles
//! nothing and talks to nobody.

use std::time::Duration;

use idumb_core::ResourceLimits;

/// Bounds for one call into an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of all linear memories together, in bytes.
    pub memory: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Core instances that one component may consist of; as many memories and tables.
    pub instances: usize,
    /// Handles that the guest may hold: open files, streams, pollables.
    pub handles: usize,
    /// How long it may compute, what it waits not counted; `None`: until it is stopped.
    pub cpu: Option<Duration>,
    /// Bytes that it may hand to the host in one call, or in its answer.
    pub host_call_bytes: usize,
    /// Lines of the attempt's log; what comes after is dropped, and said so.
    pub log_lines: usize,
    /// Bytes of one line of the log; the rest is cut off, and said so.
    pub log_line_bytes: usize,
    /// Bytes of one random request.
    pub random_bytes: u64,
    /// Questions that it may ask; at one more it is stopped.
    pub questions: usize,
    /// Native commands that it may ask for; at one more it is stopped.
    pub commands: usize,
    /// Observations that the host records for one attempt.
    pub observations: usize,
    /// Bytes of a component that are looked at, at most.
    pub component_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 100_000,
            instances: 64,
            handles: 4096,
            cpu: None,
            // Guests write files in pieces of at most 1 MiB; findings and answers are smaller.
            host_call_bytes: 32 << 20,
            log_lines: 2000,
            log_line_bytes: 4096,
            random_bytes: 64 << 10,
            questions: 100,
            commands: 50,
            observations: 100_000,
            component_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// These limits, with what `said` says in their place.
    #[must_use]
    pub fn with(self, said: &ResourceLimits) -> Self {
        let size = |said: Option<u64>, usual| said.map_or(usual, saturated);
        Self {
            memory: size(said.memory, self.memory),
            table_elements: size(said.table_elements, self.table_elements),
            instances: size(said.instances, self.instances),
            handles: size(said.handles, self.handles),
            cpu: said.cpu_ms.map(Duration::from_millis).or(self.cpu),
            host_call_bytes: size(said.host_call, self.host_call_bytes),
            log_lines: size(said.log_lines, self.log_lines),
            log_line_bytes: size(said.log_line, self.log_line_bytes),
            random_bytes: said.random.unwrap_or(self.random_bytes),
            questions: size(said.questions, self.questions),
            commands: size(said.commands, self.commands),
            ..self
        }
    }

    /// These limits, where `by` is less than they are: a task takes, and gives nothing.
    #[must_use]
    pub fn narrowed(self, by: &ResourceLimits) -> Self {
        let asked = self.with(by);
        let cpu = match (self.cpu, asked.cpu) {
            (Some(own), Some(asked)) => Some(own.min(asked)),
            (own, asked) => own.or(asked),
        };
        Self {
            memory: self.memory.min(asked.memory),
            table_elements: self.table_elements.min(asked.table_elements),
            instances: self.instances.min(asked.instances),
            handles: self.handles.min(asked.handles),
            cpu,
            host_call_bytes: self.host_call_bytes.min(asked.host_call_bytes),
            log_lines: self.log_lines.min(asked.log_lines),
            log_line_bytes: self.log_line_bytes.min(asked.log_line_bytes),
            random_bytes: self.random_bytes.min(asked.random_bytes),
            questions: self.questions.min(asked.questions),
            commands: self.commands.min(asked.commands),
            ..self
        }
    }
}

fn saturated(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_sets_and_a_task_only_narrows() {
        let said = |memory, handles| ResourceLimits {
            memory: Some(memory),
            handles: Some(handles),
            cpu_ms: Some(10),
            ..ResourceLimits::default()
        };
        let usual = Limits::default();
        let project = usual.with(&said(1 << 30, 10));
        assert_eq!((project.memory, project.handles), (1 << 30, 10));
        let task = project.narrowed(&said(1 << 40, 5));
        assert_eq!((task.memory, task.handles, task.log_lines), (1 << 30, 5, usual.log_lines));
        assert_eq!(task.cpu, Some(Duration::from_millis(10)));
        assert_eq!(project.narrowed(&ResourceLimits::default()), project);
    }
}
