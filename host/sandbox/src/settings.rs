//! The engine's settings, all of them, each with its reason.
//!
//! Invariant: what changes compiled code is in [`code`] and nowhere else, so the process that
//! compiles and the one that runs agree; what is only about running is in [`running`].
//! The figures come from `cargo bench -p idumb --bench agents`, which prints them beside what they
//! are compared with.

use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a running guest is interrupted, to let a stop be noticed and its time be counted.
///
/// A guest that computes is gone within two of these and the time it takes a thread to wake: 1.3 ms
/// after its deadline in the middle, 5.4 ms at the 99th percentile of 1000. With 5 ms it was 4 and
/// more. A compute loop that is interrupted each millisecond takes as long as one that is compiled
/// without interruption, give or take 1 %.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Bytes of each linear memory that stay resident when its call ends, to be reset by copying
/// instead of unmapping: the pages that a small agent touches, so that the next call faults in
/// none of them. It keeps 150 KiB for each place of the pool that the built-in builder had. More
/// would only keep memory that few calls use again.
const KEEP_MEMORY: usize = 1 << 20;

/// The same, of each table: the tables of agents have some thousand elements.
const KEEP_TABLE: usize = 64 << 10;

/// The stack of a call: what wasmtime allots by default, and what agents recurse in.
const STACK: usize = 2 << 20;

/// Memories and tables for each call that may go on at once. Agents in Rust, C or Go have one
/// of each; adapters and composed ones have more, and take the share of several calls.
pub(crate) const MEMORIES_PER_SHARE: u32 = 2;
pub(crate) const TABLES_PER_SHARE: u32 = 4;

/// The most of each that one component may have.
const MEMORIES_PER_COMPONENT: u32 = 20;
const TABLES_PER_COMPONENT: u32 = 64;

/// Bytes of the engine's own records of one component instance and of one core instance. These
/// are checked, not reserved; components of 18 MB stay below a tenth.
const INSTANCE_RECORDS: usize = 16 << 20;

/// What compiled code depends on.
pub(crate) fn code() -> Config {
    let mut config = Config::new();
    // An endless loop must notice a stop; epochs cost less than fuel, so there is no fuel.
    config.epoch_interruption(true);
    config.wasm_component_model(true);
    // Compiling without optimisation was no faster to the first task, so agents run optimised.
    config.cranelift_opt_level(wasmtime::OptLevel::Speed);
    // Nobody is shown a guest's stack, and without these tables there is a sixth less to load.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    // People are told the cause of a trap. A guest's stack, without names, says nothing more.
    config.wasm_backtrace_max_frames(None);
    // A memory of 32 bits is reserved whole, so that no access needs a check.
    config.memory_reservation(4 << 30);
    // A new instance maps the memory that it starts with, and copies a page when it writes.
    config.memory_init_cow(true);
    config
}

/// What running depends on besides: room for `shares` calls at once, made in advance.
///
/// An instance then takes a slot that is there already instead of asking the kernel for
/// memory and giving it back: instance, call and drop take 11 µs for an agent with nothing in it
/// and 21 µs for the built-in builder, where they take 32 and 56 µs on demand (starting `/bin/true`
/// takes 745 µs on the same machine).
fn running(shares: u32, memory: usize, table_elements: usize) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(shares)
        .total_component_instances(shares)
        .total_core_instances(shares.saturating_mul(1000))
        .max_core_instances_per_component(1000)
        .total_memories(shares.saturating_mul(MEMORIES_PER_SHARE))
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_memories_per_module(MEMORIES_PER_COMPONENT)
        .max_memory_size(memory.min(4 << 30))
        .total_tables(shares.saturating_mul(TABLES_PER_SHARE))
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .table_elements(table_elements)
        .max_component_instance_size(INSTANCE_RECORDS)
        .max_core_instance_size(INSTANCE_RECORDS)
        // A slot that another agent used before is taken before one that nobody used: what is
        // resident is bounded by the calls at once, not by the number of different agents.
        .max_unused_warm_slots(shares)
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        // Where the kernel tells which pages were written (Linux 6.7), only those are reset.
        .pagemap_scan(Enabled::Auto);
    let mut config = code();
    config.async_stack_size(STACK);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Starts an engine; answers whether it has its room in advance.
///
/// Where there is no address space for that (a small `ulimit -v`, an old kernel), each call
/// asks for its memory, which is slower and otherwise the same.
pub(crate) fn start(
    shares: u32,
    memory: usize,
    table_elements: usize,
) -> wasmtime::Result<(Engine, bool)> {
    match Engine::new(&running(shares, memory, table_elements)) {
        Ok(engine) => Ok((engine, true)),
        Err(_) => Ok((start_on_demand()?, false)),
    }
}

/// Starts an engine where each call asks the system for its memory.
pub(crate) fn start_on_demand() -> wasmtime::Result<Engine> {
    let mut config = code();
    config.async_stack_size(STACK);
    Engine::new(&config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_with_room_in_advance_runs_the_code_of_one_without() {
        use crate::engine::key;
        let digest = idumb_core::Digest::of(b"agent");
        let (pooled, in_advance) = start(3, 64 << 20, 1000).unwrap();
        assert!(in_advance);
        assert_eq!(key(&pooled, digest), key(&Engine::new(&code()).unwrap(), digest));
    }

    #[test]
    fn without_room_in_advance_there_is_an_engine_all_the_same() {
        // More than the address space has.
        let (_, in_advance) = start(u32::MAX / 2000, usize::MAX, 1000).unwrap();
        assert!(!in_advance);
    }
}
