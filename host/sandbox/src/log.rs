//! The log of an attempt: what an agent says, and what it prints.
//!
//! Invariant: bounded in lines and in bytes of a line, whatever the guest does.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use idumb_core::{LogLevel, LogLine};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::Limits;

/// Collects the lines of one attempt; handles to it share the same log.
#[derive(Debug, Clone)]
pub(crate) struct LogBook(Arc<Mutex<Pages>>);

#[derive(Debug)]
struct Pages {
    lines: Vec<LogLine>,
    dropped: usize,
    partial: [Vec<u8>; 2],
    max_lines: usize,
    max_bytes: usize,
}

/// Which of the guest's output streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

impl Source {
    fn level(self) -> LogLevel {
        match self {
            Self::Stdout => LogLevel::Info,
            Self::Stderr => LogLevel::Warn,
        }
    }
}

impl LogBook {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Mutex::new(Pages {
            lines: Vec::new(),
            dropped: 0,
            partial: [Vec::new(), Vec::new()],
            max_lines: limits.log_lines,
            max_bytes: limits.log_line_bytes,
        })))
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line; returns it as kept, or `None` if it was dropped.
    pub(crate) fn say(&self, level: LogLevel, message: &str) -> Option<LogLine> {
        self.pages().push(level, message)
    }

    fn print(&self, source: Source, bytes: &[u8]) {
        let mut pages = self.pages();
        let max = pages.max_bytes;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ends) = match piece.strip_suffix(b"\n") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            let partial = &mut pages.partial[source as usize];
            // One byte more than is kept, so that it shows that there was more.
            let room = (max + 1).saturating_sub(partial.len());
            partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if ends {
                let line = std::mem::take(partial);
                pages.push(source.level(), &String::from_utf8_lossy(&line));
            }
        }
    }

    /// Everything said so far; unfinished lines count as finished.
    pub(crate) fn take(&self) -> Vec<LogLine> {
        let mut pages = self.pages();
        for source in [Source::Stdout, Source::Stderr] {
            let line = std::mem::take(&mut pages.partial[source as usize]);
            if !line.is_empty() {
                pages.push(source.level(), &String::from_utf8_lossy(&line));
            }
        }
        if pages.dropped > 0 {
            let message = format!("[idumb: {} more lines were dropped]", pages.dropped);
            pages.lines.push(LogLine { level: LogLevel::Warn, message });
            pages.dropped = 0;
        }
        std::mem::take(&mut pages.lines)
    }
}

impl Pages {
    fn push(&mut self, level: LogLevel, message: &str) -> Option<LogLine> {
        if self.lines.len() >= self.max_lines {
            self.dropped += 1;
            return None;
        }
        let line = LogLine { level, message: shorten(message, self.max_bytes) };
        self.lines.push(line.clone());
        Some(line)
    }
}

/// At most `max` bytes of `text`, cut at a character, with a mark where it was cut.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{} [idumb: cut]", &text[..text.floor_char_boundary(max)])
}

/// A guest's standard output or error, ending in the log.
pub(crate) struct Pipe(pub(crate) LogBook, pub(crate) Source);

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Writer(self.0.clone(), self.1))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writer(self.0.clone(), self.1))
    }
}

struct Writer(LogBook, Source);

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.print(self.1, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.print(self.1, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_says_so() {
        let limits = Limits { log_lines: 2, log_line_bytes: 8, ..Limits::default() };
        let log = LogBook::new(&limits);
        log.print(Source::Stdout, &[b'x'; 1 << 20]);
        log.print(Source::Stdout, b"\n");
        assert!(log.say(LogLevel::Info, "second").is_some());
        assert!(log.say(LogLevel::Info, "third").is_none());
        let lines = log.take();
        assert_eq!(lines[0].message, "xxxxxxxx [idumb: cut]");
        assert_eq!(lines[1].message, "second");
        assert_eq!(lines[2].message, "[idumb: 1 more lines were dropped]");
    }

    #[test]
    fn an_unfinished_line_is_kept() {
        let log = LogBook::new(&Limits::default());
        log.print(Source::Stderr, b"panicked at");
        assert_eq!(log.take()[0].message, "panicked at");
    }
}
