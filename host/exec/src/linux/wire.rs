//! What the host and the first process inside say to each other, and how.
//!
//! Invariant: a message is taken whole or not at all, and none is larger than its reader allows.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Cap, Limits, Namespace, Network};

/// Bytes of a message to the inside: arguments and environment.
const MOST_IN: u32 = 16 << 20;
/// Bytes of a message from the inside, which is not trusted once the command runs.
pub(crate) const MOST_OUT: u32 = 64 << 10;

/// From the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToInner {
    /// What is going to be run. It is answered with [`FromInner::Facts`].
    Launch(Box<Launch>),
    /// Run it. It is answered with [`FromInner::Started`] or [`FromInner::NotStarted`].
    Go,
    /// Ask everything inside to end.
    Terminate,
}

/// What is going to be run, and behind which walls of the inside's own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    /// As it is called inside.
    pub(crate) dir: OsString,
    pub(crate) network: Network,
    pub(crate) limits: Limits,
    /// Whether the number of processes has to be sampled.
    pub(crate) sample_processes: bool,
    /// Whether their memory has to be sampled.
    pub(crate) sample_memory: bool,
    /// Whether the kernel counts processes for this namespace alone (`RLIMIT_NPROC`).
    pub(crate) limit_processes: bool,
    /// What may be read and written; `None`: Landlock is not asked for.
    pub(crate) landlock: Option<Places>,
    pub(crate) seccomp: bool,
    pub(crate) rlimits: bool,
    pub(crate) close_descriptors: bool,
    pub(crate) clear_environment: bool,
}

/// Paths, as they are called inside.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Places {
    pub(crate) read: Vec<OsString>,
    pub(crate) write: Vec<OsString>,
}

/// To the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromInner {
    /// What the first process sees of itself.
    Facts(Facts),
    /// The command runs, under this Landlock ABI.
    Started { landlock: Option<u32> },
    /// It could not be started.
    NotStarted { step: String, errno: i32 },
    /// It ended, and everything with it.
    Ended { how: How, peak_memory: Option<u64> },
}

/// What a process sees of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) pid: u32,
    /// The name of each of its namespaces, as the kernel gives it.
    pub(crate) namespaces: Vec<(Namespace, String)>,
    /// All sets of capabilities, or-ed.
    pub(crate) capabilities: u64,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp_filters: u32,
}

/// How a command ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    Exited(i32),
    Signalled(i32),
    Exceeded(Cap),
}

/// Sends a message.
pub(crate) fn send(mut to: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    if length > MOST_IN {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a command of more than 16 MiB"));
    }
    frame[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&frame)
}

/// Waits for a message from the host; `None`: it is gone.
pub(crate) fn receive(mut from: &UnixStream) -> io::Result<Option<ToInner>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_le_bytes(length);
    if length > MOST_IN {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Bytes that came in, until they are a message.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Vec<u8>);

impl Inbox {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next message, if all of it is there.
    pub(crate) fn next<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let Some((length, rest)) = self.0.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length);
        if length > MOST_OUT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(body) = rest.get(..length as usize) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.0.drain(..4 + length as usize);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_whole_however_it_is_cut() {
        let (host, inside) = UnixStream::pair().expect("a pair");
        for status in [0, 7] {
            let how = How::Exited(status);
            send(&inside, &FromInner::Ended { how, peak_memory: None }).expect("sent");
        }
        drop(inside);
        let (mut inbox, mut seen, mut sent) = (Inbox::default(), Vec::new(), Vec::new());
        (&host).read_to_end(&mut sent).expect("all of it");
        for byte in sent {
            inbox.take(&[byte]);
            if let Some(FromInner::Ended { how, .. }) = inbox.next().expect("well-formed") {
                seen.push(how);
            }
        }
        assert_eq!(seen, [How::Exited(0), How::Exited(7)]);
    }

    #[test]
    fn a_message_that_claims_to_be_huge_is_refused_before_it_is_kept() {
        let mut inbox = Inbox::default();
        inbox.take(&(MOST_OUT + 1).to_le_bytes());
        assert!(inbox.next::<FromInner>().is_err());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let mut inbox = Inbox::default();
        inbox.take(&2_u32.to_le_bytes());
        inbox.take(b"no");
        assert!(inbox.next::<FromInner>().is_err());
    }
}
