//! The capability file system: a copy-on-write view of a project through grants.
//!
//! Invariant: a guest reaches files only through a view, whose gate decides on resolved paths;
//! the project's tree is written by [`integrate`] alone.
//!
//! A [`Base`] is the project. A [`WorkView`] is what a builder works in: what it writes stays in
//! the attempt's upper, until [`WorkView::seal`] makes a change-set of it; what it would be by now
//! is [`WorkView::changes_so_far`]. A [`ReadView`] is what
//! everybody else looks through, at the base or at a candidate. Starting a view costs the same
//! whatever the size of the tree, and sealing costs by what was touched.
//!
//! What native commands run on is made in [`scratch`]: real files, and none of the project's.
//!
//! What is not granted does not exist for a guest: opening it is `NoEntry`. What may be read and
//! not written is `NotPermitted` to write. Either is recorded as a denial, on the resolved path.

mod base;
mod before;
mod candidate;
mod diff;
mod error;
mod file;
mod gate;
mod halt;
mod handle;
mod integrate;
mod node;
mod ops;
mod quota;
mod record;
mod resolve;
pub mod scratch;
mod seal;
mod tree;
mod upper;
mod view;
mod written;

pub use base::{Base, Kind};
pub use diff::{DiffError, hunks, unified_diff};
pub use error::FsError;
pub use handle::FileHandle;
#[cfg(debug_assertions)]
pub use integrate::on_integration_step;
pub use integrate::{Conflict, IntegrateError, Integrated, check, integrate};
pub use node::NodeId;
pub use ops::Listing;
pub use quota::{Quota, Usage};
pub use seal::{SealError, Sealed};
pub use view::{DirEntry, OpenFlags, Opened, ReadView, Stat, WorkView};

#[cfg(test)]
mod tests;
