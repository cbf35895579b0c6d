//! What one agent may use.
//!
//! Invariant: every limit has a default, and the defaults suit a builder that compiles
//! nothing and talks to nobody.

/// Bounds for one call into an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of each linear memory and of all together, in bytes.
    pub memory: usize,
    /// Elements of each table.
    pub table_elements: usize,
    /// Core instances that one component may consist of.
    pub instances: usize,
    /// Handles that the guest may hold: open files, streams, pollables.
    pub handles: usize,
    /// Lines of the attempt's log; what comes after is dropped, and said so.
    pub log_lines: usize,
    /// Bytes of one line of the log; the rest is cut off, and said so.
    pub log_line_bytes: usize,
    /// Bytes of one random request.
    pub random_bytes: u64,
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
            log_lines: 2000,
            log_line_bytes: 4096,
            random_bytes: 64 << 10,
            observations: 100_000,
            component_bytes: 64 << 20,
        }
    }
}
