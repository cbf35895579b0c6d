//! Where there is no Linux: everything is refused.
//!
//! Invariant: nothing is run here.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::{Command, Error, Lacking, Level, OutputError, Ran, Setup, Stop, Stream, Tree};

/// Where the tree is inside.
pub const TREE: &str = "/tree";

/// Walls that were seen to stand. There are none on this system.
#[derive(Debug, Clone)]
pub struct Confinement(Infallible);

impl Confinement {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`Lacking::System`].
    pub fn probe(_: &Setup) -> Result<Self, Lacking> {
        Err(Lacking::System)
    }

    /// The walls.
    pub fn level(&self) -> &Level {
        match self.0 {}
    }
}

/// Cannot be called: there is no confinement.
///
/// # Errors
/// None.
pub fn run(
    confinement: &Confinement,
    _: &Command,
    _: &Tree,
    _: &Stop,
    _: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ran, Error> {
    match confinement.0 {}
}

/// Does nothing.
pub fn inner() -> ExitCode {
    ExitCode::FAILURE
}

/// Reads what a command left in its tree. Nothing runs here, so there is nothing to read.
#[derive(Debug)]
pub struct Outputs(Infallible);

impl Outputs {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn read(&self, _: &Path, _: u64) -> Result<Vec<u8>, OutputError> {
        match self.0 {}
    }
}
