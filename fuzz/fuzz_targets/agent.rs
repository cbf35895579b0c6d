//! Bytes that are to be an agent, by a fuzzer: as they are; as a small agent that they change; and
//! as what a generator makes of them, in that agent. How to run it is in `fuzz/Cargo.toml`.
//!
//! Invariant: none makes the host panic; what is refused is refused in one line. Agents are
//! compiled and not called.

#![no_main]

use std::sync::LazyLock;

use idumb_core::Role;
use idumb_sandbox::{Limits, Sandbox, declared_ceiling};
use parts::{
    CORE_MODULE, sections, small_agent, with_body, with_code, with_component, with_module,
};
use wasm_smith::{Component, Config, Module};

/// The agent, and how parts of it are exchanged, are those of the tests.
#[path = "../../host/sandbox/tests/sandbox/parts.rs"]
#[expect(dead_code, reason = "the other tests' part of it")]
mod parts;

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new(Limits::default()).unwrap());

/// What a module of the small agent imports and exports: that of its second one.
static SHAPE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let agent = small_agent();
    let is_module = |section: &parts::Section| section.id == CORE_MODULE;
    let main = sections(agent).into_iter().filter(is_module).nth(1).expect("it has two");
    agent[main.body].to_vec()
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let component = match first % 5 {
        0 => Some(rest.to_vec()),
        1 => Some(changed(rest)),
        2 => made(rest, Component::new).map(|component| with_component(&component.to_bytes())),
        3 => made(rest, |config, any| Module::new(Config { max_imports: 0, ..config }, any))
            .map(|module| with_module(&module.to_bytes())),
        _ => made(rest, |config, any| {
            Module::new(Config { module_shape: Some(SHAPE.clone()), ..config }, any)
        })
        .map(|module| with_code(&module.to_bytes())),
    };
    let Some(component) = component else { return };
    let roles = [Role::Builder, Role::Validator, Role::Verifier, Role::IntegrationChecker];
    if let Err(refused) = declared_ceiling(&component) {
        assert!(!refused.to_string().contains('\n'), "{refused}");
    }
    if let Err(refused) = SANDBOX.prepare(roles[usize::from(first) / 5 % 4], &component) {
        assert!(!refused.to_string().contains('\n'), "{refused}");
    }
});

/// The small agent with the body of one section exchanged for the bytes.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let Some((&which, body)) = bytes.split_first() else { return small_agent().to_vec() };
    let all = sections(small_agent());
    with_body(small_agent(), &all[usize::from(which) % all.len()], body)
}

/// What the generator makes of the bytes, mostly of what the engine knows.
fn made<T>(
    bytes: &[u8],
    make: impl Fn(Config, &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<T>,
) -> Option<T> {
    let (&every, rest) = bytes.split_first()?;
    let every = every % 8 == 7;
    let config = Config {
        exceptions_enabled: every,
        gc_enabled: every,
        memory64_enabled: every,
        reference_types_enabled: every,
        threads_enabled: every,
        ..Config::default()
    };
    make(config, &mut arbitrary::Unstructured::new(rest)).ok()
}
