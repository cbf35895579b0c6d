//! The operations of a view, one file each.
//!
//! Invariant: each resolves through [`crate::view::Call`], asks leave for every name it changes,
//! and only then changes anything.

mod list;
mod make_dir;
mod make_link;
mod observe;
mod open;
mod remove;
mod rename;
mod stat;

pub use list::Listing;
pub(crate) use make_link::leads_inside;
