//! The socket beside the journal, by which other processes reach the one that runs a phase.
//!
//! Invariant: only who may write to the state directory can connect, and what is asked for
//! becomes an input of the run, like everything else.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use idumb_core::RunId;
use idumb_journal::StateDir;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream as AsyncStream};
use tokio::sync::{mpsc, oneshot};

use crate::driver::Message;

/// The largest request, in bytes.
const LONGEST: u64 = 64 << 10;

/// What another process asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Request {
    /// To come to rest.
    Pause {
        run: RunId,
        /// Without letting what is under way end.
        now: bool,
    },
    /// To be given up.
    Cancel { run: RunId },
    /// A decision.
    Answer { run: RunId, prompt: u32, choice: String, note: Option<String> },
}

impl Request {
    /// The run it is for.
    pub(crate) fn run(&self) -> &RunId {
        match self {
            Self::Pause { run, .. } | Self::Cancel { run } | Self::Answer { run, .. } => run,
        }
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// It is recorded: in these words.
    Done(String),
    /// It was not followed, for this reason.
    Refused(String),
}

/// The open socket; gone from the disk when dropped.
pub(crate) struct Socket {
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays is replaced by the next run.
        let _ = fs::remove_file(&self.path);
    }
}

fn path_in(state: &StateDir) -> PathBuf {
    state.path().join("control.sock")
}

/// A way to the socket that is short enough for the operating system, wherever the project is.
fn short(path: &Path) -> io::Result<(fs::File, PathBuf)> {
    let folder = path.parent().unwrap_or(path);
    let folder = fs::File::open(folder)?;
    let name = path.file_name().unwrap_or_default();
    let through = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    let usable = through.parent().is_some_and(Path::exists);
    Ok((folder, if usable { through } else { path.to_owned() }))
}

/// Listens for requests and hands them to the driver. To be called with the lock held.
pub(crate) fn listen(state: &StateDir, messages: mpsc::UnboundedSender<Message>) -> Result<Socket> {
    let path = path_in(state);
    let wrap = || format!("opening {}", path.display());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(wrap);
        }
        _ => {}
    }
    let (_folder, through) = short(&path).with_context(wrap)?;
    let listener = UnixListener::bind(&through).with_context(wrap)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).with_context(wrap)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let messages = messages.clone();
            tokio::spawn(async move {
                // A caller that goes away has nobody to tell.
                let _ = serve(stream, messages).await;
            });
        }
    });
    Ok(Socket { path })
}

async fn serve(stream: AsyncStream, messages: mpsc::UnboundedSender<Message>) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reading.take(LONGEST)).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => {
            let (reply, answer) = oneshot::channel();
            let sent = messages.send(Message::Asked(request, reply)).is_ok();
            let gone = || Reply::Refused("the run ended meanwhile".to_owned());
            if sent { answer.await.unwrap_or_else(|_| gone()) } else { gone() }
        }
        Err(error) => Reply::Refused(format!("not a request: {error}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    writing.write_all(text.as_bytes()).await
}

/// Asks the process that runs something here; `None` if there is none that listens.
pub(crate) fn ask(state: &StateDir, request: &Request) -> Result<Option<Reply>> {
    let path = path_in(state);
    let (_folder, through) = short(&path)?;
    let mut stream = match UnixStream::connect(&through) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("reaching {}", path.display())),
    };
    let mut text = serde_json::to_string(request)?;
    text.push('\n');
    let mut line = String::new();
    let heard = stream
        .write_all(text.as_bytes())
        .and_then(|()| BufReader::new(stream).read_line(&mut line));
    match heard {
        Ok(1..) => {}
        // A process that ends does not answer who still waits to be heard.
        Ok(0) => return Ok(Some(Reply::Refused("the run ended meanwhile".to_owned()))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ) =>
        {
            return Ok(Some(Reply::Refused("the run ended meanwhile".to_owned())));
        }
        Err(error) => return Err(error).with_context(|| format!("asking {}", path.display())),
    }
    Ok(Some(serde_json::from_str(&line).context("the running idumb answered in other words")?))
}
