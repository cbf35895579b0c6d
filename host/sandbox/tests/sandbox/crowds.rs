//! Builders of core modules alone: what no compiler would put into one, and too much of it.
//!
//! Invariant: it is refused before it runs, or ended when it takes more than it gets.

use idumb_core::{Role, Trouble};
use idumb_sandbox::{Broken, Limits};

use crate::alone::alone;
use crate::world::{Attempt, SHORT, World, assert_a_good_agent_works, sandbox, task};

/// What a test puts into the frame of `builder.wat`.
#[derive(Default)]
struct Parts<'a> {
    /// Items of the component.
    beside: &'a str,
    /// Imports of the module that is called, and what it is given for them.
    imports: (&'a str, &'a str),
    /// Items of that module; the function `$try` must be among them.
    inside: &'a str,
    /// What it does when the host asks it for memory.
    on_realloc: &'a str,
}

impl Parts<'_> {
    fn component(&self) -> Vec<u8> {
        let text = include_str!("builder.wat")
            .replace("{beside}", self.beside)
            .replace("{imports}", self.imports.0)
            .replace("{with}", self.imports.1)
            .replace("{inside}", self.inside)
            .replace("{on-realloc}", self.on_realloc);
        wat::parse_str(text).unwrap()
    }

    fn build_in(&self, world: &World) -> Attempt {
        let agent = sandbox().prepare(Role::Builder, &self.component()).unwrap();
        let attempt = world.build(&agent, &task(&[], &[], &[]));
        assert_a_good_agent_works();
        attempt
    }

    fn build(&self) -> Attempt {
        self.build_in(&World::new(&[]))
    }

    /// Of how many bytes its summary is, or why there is none: it may be refused or ended.
    fn ends(&self) -> Result<usize, String> {
        let component = self.component();
        let agent = sandbox().prepare(Role::Builder, &component).map_err(|it| it.to_string())?;
        let attempt = World::new(&[]).build(&agent, &task(&[], &[], &[]));
        assert_a_good_agent_works();
        match attempt.ended.result {
            Ok(outcome) => Ok(outcome.summary.len()),
            Err(Broken::Trouble(Trouble::Trap { message })) => Err(message),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn refusal(&self) -> String {
        self.ends().unwrap_err()
    }
}

/// A `$try` that does nothing.
const IDLE: &str = "(func $try (result i32) (i32.const 0))";

/// A `$try` that repeats what answers -1 when it is refused, and answers how often it was not.
fn until_refused(what: &str) -> String {
    format!(
        "(func $try (result i32) (local $times i32)
            (loop $again
                (if (i32.ne {what} (i32.const -1)) (then
                    (local.set $times (i32.add (local.get $times) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get $times) (i32.const 4000))))))
            (local.get $times))"
    )
}

/// So that a test below does not pass for a mistake in the frame.
#[test]
fn a_builder_of_modules_alone_works() {
    let inside = "(func $try (result i32) (i32.const 7))";
    assert_eq!(Parts { inside, ..Parts::default() }.build().summary().len(), 7);
}

#[test]
fn a_table_grows_to_its_limit() {
    let grow = until_refused("(table.grow 0 (ref.null func) (i32.const 1000))");
    let inside = format!("(table 0 funcref) {grow}");
    let attempt = Parts { inside: &inside, ..Parts::default() }.build();
    let elements = attempt.summary().len() * 1000;
    assert!(elements > 0 && elements <= Limits::default().table_elements, "{elements}");
}

#[test]
fn a_table_that_starts_above_its_limit_is_refused() {
    let inside = format!("(table 100001 funcref) {IDLE}");
    let why = Parts { inside: &inside, ..Parts::default() }.refusal();
    assert!(why.contains("table"), "{why}");
}

#[test]
fn a_memory_that_starts_above_its_limit_is_refused() {
    // 256 MiB and a page.
    let inside = format!("(memory 4097) {IDLE}");
    let why = Parts { inside: &inside, ..Parts::default() }.refusal();
    assert!(why.contains("memory"), "{why}");
}

/// The format has a limit of its own, which is higher.
#[test]
fn many_instances_are_refused() {
    for instances in [100, 900, 5000] {
        let instances = "(core instance (instantiate $m))".repeat(instances);
        let beside = format!("(core module $m) {instances}");
        let why = Parts { beside: &beside, inside: IDLE, ..Parts::default() }.refusal();
        assert!(why.contains("instance"), "{why}");
    }
}

/// The standard allows a hundred of each in one module.
#[test]
fn a_module_with_more_memories_or_tables_than_the_standard_allows_is_no_component() {
    for what in ["(memory 0)", "(table 0 funcref)"] {
        let inside = format!("{} {IDLE}", what.repeat(101));
        let why = Parts { inside: &inside, ..Parts::default() }.refusal();
        assert!(why.starts_with("not a WebAssembly component"), "{why}");
    }
}

/// Handles of its own resources are kept by the host too.
#[test]
fn a_million_resources_of_its_own_are_refused() {
    alone("crowds::a_million_resources_of_its_own_are_refused", || {
        let inside = "(func $try (result i32) (local $times i32)
            (loop $again
                (drop (call $new (i32.const 1)))
                (local.set $times (i32.add (local.get $times) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $times) (i32.const 50000000))))
            (i32.const 0))";
        let parts = Parts {
            beside: "(type $r (resource (rep i32))) (core func $new (canon resource.new $r))",
            imports: (
                r#"(import "own" "new" (func $new (param i32) (result i32)))"#,
                r#"(with "own" (instance (export "new" (func $new))))"#,
            ),
            inside,
            ..Parts::default()
        };
        parts.build().assert_trap("handle limit exceeded");
    });
}

/// The other lists of 4 GiB are in `words.rs`.
#[test]
fn an_outcome_of_4_gib_is_refused() {
    let summary = "(func $try (result i32) (i32.const -1))";
    // A list of sixteen bytes for each element, whose size in all is small again in 32 bits.
    let list = |at: u32, length: i64| {
        format!(
            "(func $try (result i32)
                (i32.store (i32.const {at}) (i32.const 1024))
                (i32.store (i32.const {}) (i32.const {length}))
                (i32.const 0))",
            at + 4
        )
    };
    for inside in [summary.to_owned(), list(32, 0xffff_ffff), list(40, 0x2000_0001)] {
        let attempt = Parts { inside: &inside, ..Parts::default() }.build();
        attempt.assert_trap("out of bounds");
    }
}

/// It is not called yet, and has been started.
#[test]
fn a_start_without_end_is_stopped() {
    let inside = format!("(func $spin (loop $again (br $again))) (start $spin) {IDLE}");
    let parts = Parts { inside: &inside, ..Parts::default() };
    parts.build_in(&World::new(&[]).stopped_after(SHORT)).assert_stopped();
}

/// Where the host calls the guest in the middle of a call, the guest cannot call the host: there
/// is no recursion through it.
#[test]
fn a_guest_that_calls_the_host_when_it_is_asked_for_memory_is_ended() {
    let parts = Parts {
        beside: r#"(import "wasi:clocks/monotonic-clock@0.2.0"
            (instance $clock (export "now" (func (result u64)))))
            (core func $now (canon lower (func $clock "now")))"#,
        imports: (
            r#"(import "host" "now" (func $now (result i64)))"#,
            r#"(with "host" (instance (export "now" (func $now))))"#,
        ),
        inside: IDLE,
        on_realloc: "(drop (call $now))",
    };
    parts.build().assert_trap("cannot leave component instance");
}

/// What it answers when it is asked for memory is where the host would write.
#[test]
fn memory_that_is_not_there_is_not_written() {
    for at in ["-1", "0x7ffffff8", "262144", "262136", "1"] {
        let on_realloc = format!("(return (i32.const {at}))");
        let parts = Parts { inside: IDLE, on_realloc: &on_realloc, ..Parts::default() };
        parts.build().assert_trap("realloc return");
    }
}

/// A module whose memories, or tables, all grow until they are refused, and the call of it.
fn growing(items: &str, grow: impl Fn(u32) -> String, count: u32) -> String {
    let all: String = (1..=count)
        .map(|index| {
            let grow = grow(index);
            format!(
                "(loop $again (if (i32.ne {grow} (i32.const -1)) (then
                    (local.set $times (i32.add (local.get $times) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get $times) (i32.const 4000))))))"
            )
        })
        .collect();
    format!("{items} (func $try (result i32) (local $times i32) {all} (local.get $times))")
}

/// Of each memory and of all together, as the limit says.
#[test]
fn many_memories_are_no_more_than_one() {
    // Nothing is written to them, so that they cost no memory where nothing refuses them.
    let grow = |index| format!("(memory.grow {index} (i32.const 16))");
    let inside = growing(&"(memory 0)".repeat(20), grow, 20);
    match (Parts { inside: &inside, ..Parts::default() }).ends() {
        Ok(mebibytes) => assert!(mebibytes <= Limits::default().memory >> 20, "{mebibytes} MiB"),
        Err(why) => assert!(why.contains("memor"), "{why}"),
    }
}

#[test]
fn many_memories_that_start_with_too_much_together_are_refused() {
    let inside = format!("{} {IDLE}", "(memory 1000)".repeat(20));
    let why = Parts { inside: &inside, ..Parts::default() }.refusal();
    assert!(why.contains("memor"), "{why}");
}

#[test]
fn many_tables_are_no_more_than_a_few() {
    let grow = |index| format!("(table.grow {index} (ref.null func) (i32.const 1000))");
    // The first is not grown: indices are from 1 here.
    let inside = growing(&"(table 0 funcref)".repeat(41), grow, 40);
    match (Parts { inside: &inside, ..Parts::default() }).ends() {
        // What bounds them in all need not be what bounds each.
        Ok(thousands) => {
            assert!(thousands * 1000 <= 10 * Limits::default().table_elements, "{thousands}");
        }
        Err(why) => assert!(why.contains("table"), "{why}"),
    }
}
