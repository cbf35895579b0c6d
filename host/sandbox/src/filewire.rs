//! What views say, and what they are asked, in the words of `wasi:filesystem`.
//!
//! Invariant: every error has its own code, and no time overflows.

use std::time::{Duration, SystemTime};

use idumb_overlay::{FsError, Kind, Stat};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types;

pub(crate) fn code(error: &FsError) -> types::ErrorCode {
    use types::ErrorCode as Code;
    match error {
        FsError::Access => Code::Access,
        FsError::BadDescriptor => Code::BadDescriptor,
        FsError::Busy => Code::Busy,
        FsError::CrossDevice => Code::CrossDevice,
        FsError::Exist => Code::Exist,
        FsError::FileTooLarge => Code::FileTooLarge,
        FsError::InsufficientSpace => Code::InsufficientSpace,
        FsError::Invalid => Code::Invalid,
        FsError::Io(_) => Code::Io,
        FsError::IsDirectory => Code::IsDirectory,
        FsError::Loop => Code::Loop,
        FsError::NameTooLong => Code::NameTooLong,
        FsError::NoEntry => Code::NoEntry,
        FsError::NotDirectory => Code::NotDirectory,
        FsError::NotEmpty => Code::NotEmpty,
        FsError::NotPermitted => Code::NotPermitted,
        FsError::Overflow => Code::Overflow,
        FsError::Quota => Code::Quota,
        FsError::ReadOnly => Code::ReadOnly,
        FsError::Stopped => Code::Interrupted,
        FsError::TooManyLinks => Code::TooManyLinks,
        FsError::Unsupported => Code::Unsupported,
    }
}

pub(crate) fn descriptor_type(kind: Kind) -> types::DescriptorType {
    match kind {
        Kind::File => types::DescriptorType::RegularFile,
        Kind::Dir => types::DescriptorType::Directory,
        Kind::Symlink => types::DescriptorType::SymbolicLink,
        Kind::Other => types::DescriptorType::Unknown,
    }
}

pub(crate) fn datetime(time: SystemTime) -> Option<Datetime> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
}

pub(crate) fn descriptor_stat(stat: &Stat) -> types::DescriptorStat {
    types::DescriptorStat {
        type_: descriptor_type(stat.kind),
        link_count: stat.nlink,
        size: stat.size,
        data_access_timestamp: stat.accessed.and_then(datetime),
        data_modification_timestamp: stat.modified.and_then(datetime),
        status_change_timestamp: stat.changed.and_then(datetime),
    }
}

/// A time to set; `None`: leave it.
pub(crate) fn new_time(time: types::NewTimestamp) -> FsResult<Option<SystemTime>> {
    match time {
        types::NewTimestamp::NoChange => Ok(None),
        types::NewTimestamp::Now => Ok(Some(SystemTime::now())),
        types::NewTimestamp::Timestamp(time) => {
            let extra = u64::from(time.nanoseconds / 1_000_000_000);
            let seconds = time.seconds.checked_add(extra);
            let since = seconds.map(|s| Duration::new(s, time.nanoseconds % 1_000_000_000));
            let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
            Ok(Some(time.ok_or(types::ErrorCode::Overflow)?))
        }
    }
}

/// Identity and version of a thing, as two numbers.
pub(crate) fn metadata_hash(mount: usize, stat: &Stat) -> types::MetadataHashValue {
    let modified = stat.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |since| since.as_nanos() as u64);
    // One round of a multiplicative mix keeps size and time apart.
    let upper = (modified ^ stat.size.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Views number what is in them from the bottom, so the mount goes to the top.
    types::MetadataHashValue { lower: stat.id ^ (mount as u64) << 48, upper }
}
