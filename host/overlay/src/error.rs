//! What a file operation of a guest can answer instead of success.
//!
//! Invariant: every variant is one error code of `wasi:filesystem`; a refusal never tells more
//! than the guest may know.

use std::io;

use rustix::io::Errno;

use crate::halt::is_over;

/// Why a file operation did not succeed, as the guest may know it.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// The host itself may not read it.
    #[error("permission denied")]
    Access,
    /// The handle was not opened for this.
    #[error("bad descriptor")]
    BadDescriptor,
    /// The path names something that cannot be taken away, such as `.`.
    #[error("resource busy")]
    Busy,
    /// The two ends are on different file systems.
    #[error("cross-device link")]
    CrossDevice,
    /// Something stands there already.
    #[error("file exists")]
    Exist,
    /// Beyond what a file can hold.
    #[error("file too large")]
    FileTooLarge,
    /// The disk that holds the attempt's files is full.
    #[error("no space left")]
    InsufficientSpace,
    /// The request makes no sense.
    #[error("invalid argument")]
    Invalid,
    /// The host's own trouble.
    #[error("input/output error: {0}")]
    Io(#[source] io::Error),
    /// A file was needed and a directory stands there.
    #[error("is a directory")]
    IsDirectory,
    /// Too many symbolic links, or one where none is followed.
    #[error("too many levels of symbolic links")]
    Loop,
    /// A name or path is longer than it may be.
    #[error("file name too long")]
    NameTooLong,
    /// Nothing is there, as far as the guest may know.
    #[error("no such file or directory")]
    NoEntry,
    /// A directory was needed.
    #[error("not a directory")]
    NotDirectory,
    /// The directory has entries, possibly ones that the guest cannot see.
    #[error("directory not empty")]
    NotEmpty,
    /// No grant allows it; a denial was recorded.
    #[error("operation not permitted")]
    NotPermitted,
    /// The answer has more parts than the host hands out at once.
    #[error("value too large")]
    Overflow,
    /// A limit of the attempt is reached.
    #[error("quota exceeded")]
    Quota,
    /// The view has no write path.
    #[error("read-only file system")]
    ReadOnly,
    /// The attempt is over, and what it asked for was not finished.
    #[error("stopped")]
    Stopped,
    /// More names than a file may have.
    #[error("too many links")]
    TooManyLinks,
    /// Not offered.
    #[error("not supported")]
    Unsupported,
}

impl FsError {
    /// Whether it is the host's own trouble, which no guest brings about by what it asks for: a
    /// full or broken disk, no memory or descriptors left.
    pub fn is_hosts(&self) -> bool {
        matches!(self, Self::InsufficientSpace | Self::Io(_))
    }
}

impl From<Errno> for FsError {
    fn from(errno: Errno) -> Self {
        match errno {
            // EPERM from the host means the same to a guest: not a matter of grants.
            Errno::ACCESS | Errno::PERM => Self::Access,
            Errno::BADF => Self::BadDescriptor,
            Errno::BUSY => Self::Busy,
            Errno::XDEV => Self::CrossDevice,
            Errno::EXIST => Self::Exist,
            Errno::FBIG => Self::FileTooLarge,
            // What the user may have on the disk is no limit of the attempt's.
            Errno::NOSPC | Errno::DQUOT => Self::InsufficientSpace,
            Errno::INVAL | Errno::ILSEQ => Self::Invalid,
            Errno::ISDIR => Self::IsDirectory,
            Errno::LOOP => Self::Loop,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::NOENT => Self::NoEntry,
            Errno::NOTDIR => Self::NotDirectory,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::OVERFLOW => Self::Overflow,
            Errno::MLINK => Self::TooManyLinks,
            Errno::NOTSUP => Self::Unsupported,
            // Read-only included: the disk became so, views answer that by themselves.
            other => Self::Io(other.into()),
        }
    }
}

impl From<io::Error> for FsError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => Self::from(errno),
            None if is_over(&error) => Self::Stopped,
            None => Self::Io(error),
        }
    }
}

impl From<FsError> for io::Error {
    fn from(error: FsError) -> Self {
        match error {
            FsError::Io(error) => error,
            FsError::NoEntry => Self::from(io::ErrorKind::NotFound),
            FsError::InsufficientSpace => Self::from(Errno::NOSPC),
            FsError::Access | FsError::NotPermitted => {
                Self::new(io::ErrorKind::PermissionDenied, error)
            }
            other => Self::other(other),
        }
    }
}
