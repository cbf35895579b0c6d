//! WASI without the standard library in between, which would not ask for such things.
//!
//! Invariant: what is asked for reaches the host as it is.

use idumb_agent::Failure;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::filesystem_error_code;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::io::streams::StreamError;

/// The folder that the guest finds open.
pub(crate) fn root() -> Result<Descriptor, Failure> {
    let (root, _) = get_directories().pop().ok_or_else(|| Failure::invalid("there is no root"))?;
    Ok(root)
}

pub(crate) fn open(
    path: &str,
    open: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Descriptor, Failure> {
    let opened = root()?.open_at(PathFlags::empty(), path, open, flags);
    opened.map_err(|error| Failure::invalid(format!("{path}: {}", code(&error))))
}

/// How a host names an error.
pub(crate) fn code(error: &ErrorCode) -> String {
    error.name().to_owned()
}

/// How a stream names an error.
pub(crate) fn stream_code(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => {
            filesystem_error_code(error).map_or_else(|| error.to_debug_string(), |it| code(&it))
        }
    }
}

/// How far a stream of the file takes `bytes`, a piece at a time, without ever flushing.
pub(crate) fn write_all(file: &Descriptor, bytes: &[u8]) -> String {
    let stream = match file.write_via_stream(0) {
        Ok(stream) => stream,
        Err(error) => return code(&error),
    };
    let mut written = 0;
    let end = loop {
        let piece = &bytes[written..bytes.len().min(written + (64 << 10))];
        if piece.is_empty() {
            break "all".to_owned();
        }
        match stream.check_write().and_then(|_| stream.write(piece)) {
            Ok(()) => written += piece.len(),
            Err(error) => break stream_code(&error),
        }
    };
    std::mem::forget(stream);
    format!("{written} bytes; {end}")
}
