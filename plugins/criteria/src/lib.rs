//! How the built-in validator, verifier and integration-checker check a criterion or a link.
//!
//! Invariant: nothing passes but on what the host observed. Every check has the host
//! observe the path first, and bytes that do not have the observed digest decide nothing.

mod check;
mod document;
mod link;
mod ruling;
mod show;
mod source;

pub use check::evaluate;
pub use link::evaluate_link;
pub use source::{Host, MAX_DOCUMENT, MAX_READ, Source};

#[cfg(any(test, feature = "testing"))]
pub mod memory;
