//! Write an idumb agent in Rust.
//!
//! An agent is a WebAssembly component with one function. Implement the trait of its role
//! on a type, hand the type to the role's macro, and build for `wasm32-wasip2`. Files are
//! reached with `std::fs`: paths are relative to the project's root, and only what the task
//! grants is there. No WIT file and no further tool is needed.
//!
//! Invariant: the types here are those of the contract `idumb:agent@0.1.0`, the same ones
//! in all four roles.
//!
//! # A whole agent
//!
//! `Cargo.toml`:
//!
//! ```toml
//! [package]
//! name = "changelog"
//! version = "0.1.0"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! idumb-agent = { path = "…/plugins/sdk" }
//! ```
//!
//! `src/lib.rs`:
//!
//! ```no_run
//! use std::fs;
//! use std::io::ErrorKind;
//!
//! use idumb_agent::{Builder, Context, Failure, Outcome, Task, log, progress};
//!
//! /// Adds the task's title to the changelog.
//! struct Changelog;
//!
//! impl Builder for Changelog {
//!     fn build(task: Task, context: Context) -> Result<Outcome, Failure> {
//!         let path = task.option("changelog").unwrap_or("CHANGELOG.md");
//!         for finding in &context.feedback {
//!             log::info(format!("rejected before: {}: {}", finding.criterion, finding.note));
//!         }
//!
//!         progress(0, 2, format!("reading {path}"));
//!         let text = match fs::read_to_string(path) {
//!             Ok(text) => text,
//!             Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
//!             Err(error) => return Err(error.into()),
//!         };
//!         let entry = format!("- {}\n", task.title);
//!         if text.contains(&entry) {
//!             return Ok(Outcome::already_done(format!("{path} has the entry")));
//!         }
//!
//!         progress(1, 2, format!("writing {path}"));
//!         fs::write(path, text + &entry)
//!             .map_err(|error| Failure::denied(format!("{path} cannot be written: {error}")))?;
//!         Ok(Outcome::done(format!("added an entry to {path}")).artifact(path))
//!     }
//! }
//!
//! idumb_agent::builder!(Changelog);
//! ```
//!
//! ```console
//! $ rustup target add wasm32-wasip2
//! $ cargo build --release --target wasm32-wasip2
//! ```
//!
//! The component is `target/wasm32-wasip2/release/changelog.wasm`. In `idumb.toml`:
//!
//! ```toml
//! [agents.changelog]
//! path = "agents/changelog.wasm"
//! role = "builder"
//! ```
//!
//! # What it may ever want
//!
//! Say with [`ceiling!`] what the agent may ever want to read and write, and why. Whoever runs it
//! is shown that before it runs, and it is never given more.
//!
//! # A checking agent
//!
//! A finding rests on what the host observed: take the id from [`evidence::observe`] or
//! [`change_set::changes`], or from a command that was run ([`commands::run`]). The host rejects a `pass` without one. Give exactly one
//! finding for each criterion, and answer [`Verdict::Inconclusive`] to a kind you do not know.
//!
//! ```no_run
//! use idumb_agent::{Context, Failure, Finding, Task, Validator, evidence};
//!
//! #[derive(serde::Deserialize)]
//! struct NotEmpty {
//!     path: String,
//! }
//!
//! struct Sizes;
//!
//! impl Validator for Sizes {
//!     fn validate(task: Task, _: Context) -> Result<Vec<Finding>, Failure> {
//!         let check = |criterion: &idumb_agent::Criterion| {
//!             if criterion.kind != "not-empty" {
//!                 let note = format!("no check of kind `{}` is known", criterion.kind);
//!                 return Ok(Finding::inconclusive(&criterion.id, [], note));
//!             }
//!             let NotEmpty { path } = criterion.arguments()?;
//!             Ok(match evidence::observe(&path) {
//!                 Err(why) => Finding::inconclusive(&criterion.id, [], why),
//!                 Ok(seen) if seen.size > 0 => {
//!                     Finding::pass(&criterion.id, [seen.id], format!("{} bytes", seen.size))
//!                 }
//!                 Ok(seen) => Finding::fail(&criterion.id, [seen.id], format!("{path} is empty")),
//!             })
//!         };
//!         task.accept.iter().map(check).collect()
//!     }
//! }
//!
//! idumb_agent::validator!(Sizes);
//! ```
//!
//! # Unit tests
//!
//! An agent's crate builds for your own machine too, so `cargo test` works: make it
//! `crate-type = ["cdylib", "rlib"]`, and call your trait's function with
//! `Task { …, ..Task::default() }`. There is no host then: [`log`] and [`progress()`] do
//! nothing, and observing answers with an error.

#[doc(hidden)]
pub mod bindings;
mod host;
mod types;

pub use bindings::validator::idumb::agent::types::{
    Artifact, Completion, Context, Criterion, EvidenceRef, Failure, FailureKind, Finding, Link,
    Outcome, Param, Step, Task, Verdict,
};
pub use host::{change_set, commands, decisions, evidence, log, progress};

/// Carries out a task in a copy-on-write view of the project. Exported with [`builder!`].
pub trait Builder {
    /// Does the task. What was written when it returns is the candidate: the host has it
    /// validated by another agent, and only then changes the project.
    ///
    /// # Errors
    /// Why it could not be done. Nothing that was written is kept.
    fn build(task: Task, context: Context) -> Result<Outcome, Failure>;
}

/// Checks a task's criteria on a candidate, which it cannot change. Exported with
/// [`validator!`].
pub trait Validator {
    /// Answers one finding for each criterion of `task.accept`.
    ///
    /// # Errors
    /// Why nothing could be checked at all. What one criterion cannot be checked for is a
    /// finding: [`Verdict::Inconclusive`].
    fn validate(task: Task, context: Context) -> Result<Vec<Finding>, Failure>;
}

/// Checks a finished phase on the real tree, which it cannot change. Exported with
/// [`verifier!`].
pub trait Verifier {
    /// Answers one finding for each criterion of each task. The host has added one of kind
    /// `exists` for each promised artifact.
    ///
    /// # Errors
    /// Why nothing could be checked at all.
    fn verify(tasks: Vec<Task>, context: Context) -> Result<Vec<Finding>, Failure>;
}

/// Checks a finished phase against earlier ones. Exported with [`integration_checker!`].
pub trait IntegrationChecker {
    /// Answers one finding for each criterion that earlier phases established, and one for
    /// each link, under the link's id.
    ///
    /// # Errors
    /// Why nothing could be checked at all.
    fn check_integration(
        established: Vec<Criterion>,
        links: Vec<Link>,
        context: Context,
    ) -> Result<Vec<Finding>, Failure>;
}

impl<T: Builder> bindings::builder::Guest for T {
    fn build(task: Task, context: Context) -> Result<Outcome, Failure> {
        <T as Builder>::build(task, context)
    }
}

impl<T: Validator> bindings::validator::Guest for T {
    fn validate(task: Task, context: Context) -> Result<Vec<Finding>, Failure> {
        <T as Validator>::validate(task, context)
    }
}

impl<T: Verifier> bindings::verifier::Guest for T {
    fn verify(tasks: Vec<Task>, context: Context) -> Result<Vec<Finding>, Failure> {
        <T as Verifier>::verify(tasks, context)
    }
}

impl<T: IntegrationChecker> bindings::integration_checker::Guest for T {
    fn check_integration(
        established: Vec<Criterion>,
        links: Vec<Link>,
        context: Context,
    ) -> Result<Vec<Finding>, Failure> {
        <T as IntegrationChecker>::check_integration(established, links, context)
    }
}

/// Declares the ceiling: what the agent may ever want to read and to write, and why. Once in a
/// crate, anywhere in it; an agent of any role may have one.
///
/// ```
/// idumb_agent::ceiling! {
///     reads ["src/**"] because "to find what is public";
///     writes ["docs/**", "README.md"] because "to write the reference";
/// }
/// # fn main() {}
/// ```
///
/// The host shows it to whoever is about to run the agent, and gives the agent at most that,
/// whatever a task grants. What may be written may be read. Patterns are those of a plan's `reads`
/// and `writes`; none at all (`ceiling! {}`) declares that the agent wants no file. Without this
/// macro the agent declares nothing, and the grants of its tasks alone decide.
///
/// Paths and reasons are literals of the kind `"…"`, on one line, with no escape but `\\` and
/// `\"`: they become TOML, in the section `idumb:agent/ceiling` of the component.
#[macro_export]
macro_rules! ceiling {
    ($($capability:ident [$($path:literal),+ $(,)?] because $why:literal;)*) => {
        const _: () = {
            const TEXT: &str = concat!(
                $(
                    "[[", $crate::__capability!($capability), "]]\n",
                    "paths = [", $(stringify!($path), ", ",)+ "]\n",
                    "why = ", stringify!($why), "\n",
                )*
                // A section must not be empty to be kept.
                "\n",
            );
            #[used]
            #[allow(unsafe_code, reason = "it names a section, and nothing else")]
            #[cfg_attr(target_family = "wasm", unsafe(link_section = "idumb:agent/ceiling"))]
            static SECTION: [u8; TEXT.len()] = $crate::__section(TEXT);
        };
    };
}

/// What may stand before a list of paths in [`ceiling!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __capability {
    (reads) => {
        "reads"
    };
    (writes) => {
        "writes"
    };
}

/// The bytes of a text; `N` must be its length.
#[doc(hidden)]
pub const fn __section<const N: usize>(text: &str) -> [u8; N] {
    let mut section = [0; N];
    section.copy_from_slice(text.as_bytes());
    section
}

/// Makes a component of a type that is a [`Builder`]. Once in a crate.
#[macro_export]
macro_rules! builder {
    ($agent:ident) => {
        $crate::bindings::builder::export_builder!($agent with_types_in $crate::bindings::builder);
    };
}

/// Makes a component of a type that is a [`Validator`]. Once in a crate.
#[macro_export]
macro_rules! validator {
    ($agent:ident) => {
        $crate::bindings::validator::export_validator!(
            $agent with_types_in $crate::bindings::validator
        );
    };
}

/// Makes a component of a type that is a [`Verifier`]. Once in a crate.
#[macro_export]
macro_rules! verifier {
    ($agent:ident) => {
        $crate::bindings::verifier::export_verifier!(
            $agent with_types_in $crate::bindings::verifier
        );
    };
}

/// Makes a component of a type that is an [`IntegrationChecker`]. Once in a crate.
#[macro_export]
macro_rules! integration_checker {
    ($agent:ident) => {
        $crate::bindings::integration_checker::export_integration_checker!(
            $agent with_types_in $crate::bindings::integration_checker
        );
    };
}
