//! A file's streams.
//!
//! Invariant: reading and writing happen at once, in the guest's own call; nothing is
//! buffered past a call, so a stop finds nothing half done.

use bytes::{Bytes, BytesMut};
use idumb_overlay::{FileHandle, FsError};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::filewire::code;
use crate::host_error::HostError;

/// The most that one read gives and one write takes.
const CHUNK: usize = 1 << 20;

/// Carried by a stream's error, so that `filesystem-error-code` can tell which it was.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
pub(crate) struct FileTrouble(pub(crate) ErrorCode);

fn failed(error: FsError, host_error: &HostError) -> StreamError {
    let trouble = FileTrouble(code(&error));
    host_error.note(error);
    StreamError::LastOperationFailed(wasmtime::Error::from(trouble))
}

/// Reads a file from an offset on.
pub(crate) struct Input {
    pub(crate) file: FileHandle,
    pub(crate) position: u64,
    pub(crate) host_error: HostError,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {}
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = BytesMut::zeroed(size.min(CHUNK));
        let read = self.file.read_at(&mut buffer, self.position);
        let read = read.map_err(|error| failed(error, &self.host_error))?;
        if read == 0 {
            return Err(StreamError::Closed);
        }
        buffer.truncate(read);
        self.position += read as u64;
        Ok(buffer.freeze())
    }
}

/// Writes a file from an offset on, or at its end.
pub(crate) struct Output {
    pub(crate) file: FileHandle,
    /// `None`: at the end, wherever that is by then.
    pub(crate) position: Option<u64>,
    pub(crate) host_error: HostError,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let written = match self.position {
            Some(position) => self.file.write_at(&bytes, position),
            None => self.file.append(&bytes),
        };
        let written = written.map_err(|error| failed(error, &self.host_error))?;
        if let Some(position) = &mut self.position {
            *position += written as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}
