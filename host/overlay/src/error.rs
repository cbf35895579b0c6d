//! What a file operation of a guest can answer instead of success.
//!
//! Invariant: every variant is one error code of `wasi:filesystem`; a refusal never tells more
//! than the guest may know.

use std::io;

use rustix::io::Errno;

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
    /// More names than a file may have.
    #[error("too many links")]
    TooManyLinks,
    /// Not offered.
    #[error("not supported")]
    Unsupported,
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
            Errno::NOSPC => Self::InsufficientSpace,
            Errno::INVAL => Self::Invalid,
            Errno::ISDIR => Self::IsDirectory,
            Errno::LOOP => Self::Loop,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::NOENT => Self::NoEntry,
            Errno::NOTDIR => Self::NotDirectory,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::OVERFLOW => Self::Overflow,
            Errno::DQUOT => Self::Quota,
            Errno::ROFS => Self::ReadOnly,
            Errno::MLINK => Self::TooManyLinks,
            Errno::NOTSUP => Self::Unsupported,
            other => Self::Io(other.into()),
        }
    }
}

impl From<io::Error> for FsError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => Self::from(errno),
            None => Self::Io(error),
        }
    }
}

impl From<FsError> for io::Error {
    fn from(error: FsError) -> Self {
        match error {
            FsError::Io(error) => error,
            FsError::NoEntry => Self::from(io::ErrorKind::NotFound),
            FsError::Access | FsError::NotPermitted => {
                Self::new(io::ErrorKind::PermissionDenied, error)
            }
            other => Self::other(other),
        }
    }
}
