//! Agents for tests, most of which misbehave on purpose: components for `wasm32-wasip2`, as
//! bytes.
//!
//! Invariant: a behaviour that no test is named after fails the build of the tests, which
//! hand [`for_each_builder_behaviour`] and [`for_each_validator_behaviour`] a macro that
//! looks for it.

#[path = "../misbehaving-builder/src/list.rs"]
mod builder;
#[path = "../misbehaving-validator/src/list.rs"]
mod validator;

/// A builder that does what the task's option `do` names.
pub static MISBEHAVING_BUILDER: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/misbehaving-builder.wasm"));

/// A validator that does what the task's option `do` names.
pub static MISBEHAVING_VALIDATOR: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/misbehaving-validator.wasm"));

/// A WASI command that does what its arguments say.
pub static COMMANDER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/commander.wasm"));

/// A builder with a ceiling, which tries what the task's options name, within it or not.
pub static NARROW_BUILDER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/narrow-builder.wasm"));
