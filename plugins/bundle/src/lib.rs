//! The built-in agents: components for `wasm32-wasip2`, as bytes.
//!
//! Invariant: the same sources, `Cargo.lock` and toolchain give the same bytes, from any
//! checkout. So a digest names a built-in agent as well as anyone else's.

/// Carries out the declared steps of a task.
pub static BUILDER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/builder.wasm"));

/// Checks a task's criteria on a candidate.
pub static VALIDATOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/validator.wasm"));

/// Checks a finished phase's criteria on the real tree.
pub static VERIFIER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/verifier.wasm"));

/// Checks what earlier phases established, and the links between files.
pub static INTEGRATION_CHECKER: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/integration-checker.wasm"));

/// An agent that comes with idumb.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// What a plan and `idumb.toml` call it.
    pub name: &'static str,
    /// Its role, which is its world in `wit/`.
    pub role: &'static str,
    /// The component.
    pub component: &'static [u8],
}

/// Every built-in agent: one for each role, under the role's name.
pub static ALL: &[BuiltIn] = &[
    BuiltIn { name: "builder", role: "builder", component: BUILDER },
    BuiltIn { name: "validator", role: "validator", component: VALIDATOR },
    BuiltIn { name: "verifier", role: "verifier", component: VERIFIER },
    BuiltIn {
        name: "integration-checker",
        role: "integration-checker",
        component: INTEGRATION_CHECKER,
    },
];
