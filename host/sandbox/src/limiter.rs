//! Counts the memories, tables and instances of one store against its limits.
//!
//! Invariant: what counts is the sum over the whole component, so that many memories are no way
//! to more memory.

use wasmtime::ResourceLimiter;

use crate::Limits;

/// What one store has, and may have.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: usize,
    most_memory: usize,
    elements: usize,
    most_elements: usize,
    most_instances: usize,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            most_memory: limits.memory,
            elements: 0,
            most_elements: limits.table_elements,
            most_instances: limits.instances,
        }
    }
}

/// Adds the growth to the sum if it stays within the limit.
///
/// Beyond its own `maximum` a memory or table does not grow; then nothing counts.
fn grow(
    sum: &mut usize,
    most: usize,
    (current, desired): (usize, usize),
    maximum: Option<usize>,
) -> bool {
    let grown = sum.checked_add(desired.saturating_sub(current)).filter(|grown| *grown <= most);
    match grown.filter(|_| maximum.is_none_or(|maximum| desired <= maximum)) {
        Some(grown) => {
            *sum = grown;
            true
        }
        None => false,
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.memory, self.most_memory, (current, desired), maximum))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.elements, self.most_elements, (current, desired), maximum))
    }

    fn instances(&self) -> usize {
        self.most_instances
    }

    // An empty one costs about as much as an instance.
    fn tables(&self) -> usize {
        self.most_instances
    }

    fn memories(&self) -> usize {
        self.most_instances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_counts_and_a_refusal_counts_nothing() {
        let limits = Limits { memory: 100, table_elements: 10, ..Limits::default() };
        let mut limiter = Limiter::new(&limits);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 40, Some(39)).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!limiter.memory_growing(60, 61, None).unwrap());
        assert!(!limiter.memory_growing(0, usize::MAX, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(10, 11, None).unwrap());
    }
}
