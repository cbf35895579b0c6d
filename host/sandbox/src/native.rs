//! Native commands that an agent asks for: who answers, what is asked, and what comes of it.
//!
//! Invariant: nothing is made for a request whose name is not allowed or whose arguments are not
//! bounded; making a change-set keeps no thread of the runtime waiting, and ends with its call.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use idumb_core::{Blobs, ChangeSet, Digest, TestCounts};
use idumb_overlay::{FsError, SealError, WorkView};

/// Bytes of the longest name: no command has a longer one.
const NAME_BYTES: usize = 64;

/// The most arguments of one request.
const ARGUMENTS: usize = 100;

/// Bytes of all arguments of one request together.
const ARGUMENT_BYTES: usize = 16 << 10;

/// Bytes that an agent is told of an output's beginning, and as many of its end.
const OUTPUT_BYTES: usize = 32 << 10;

/// Runs the native commands that the agent of one call asks for.
pub trait Commands: Send + Sync + 'static {
    /// The names that it may ask for. For any other, [`Self::run`] is not called.
    fn allowed(&self) -> BTreeSet<String>;

    /// Runs a command on the candidate of `request`, or takes what came of the same one, with the
    /// same arguments, on the same tree.
    ///
    /// The future is dropped as soon as the call's stop is given. Whoever implements this sees to
    /// it that the command ends then, and that what was made for it goes.
    fn run(&self, request: CommandRequest) -> Running;
}

/// A command that is being run: dropping it ends the command.
pub type Running = Pin<Box<dyn Future<Output = Result<CommandRan, NotRun>> + Send>>;

/// For an agent that may ask for no command.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCommands;

impl Commands for NoCommands {
    fn allowed(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn run(&self, request: CommandRequest) -> Running {
        let refused = not_allowed(&request.name, &self.allowed());
        Box::pin(std::future::ready(Err(refused)))
    }
}

/// What an agent asks for.
#[derive(Debug)]
pub struct CommandRequest {
    /// The command's name; an allowed one.
    pub name: String,
    /// What is to stand behind the words of its definition: bounded, and nothing else is known of
    /// it.
    pub arguments: Vec<String>,
    candidate: Asker,
}

/// Whose files the command is to run on.
#[derive(Debug)]
pub(crate) enum Asker {
    /// A validator: on what it checks.
    Validator(ChangeSet),
    /// A builder: on what it has written so far.
    Builder(WorkView),
}

impl CommandRequest {
    /// A request on a candidate that is known, as a validator's is.
    pub fn new(name: String, arguments: Vec<String>, change_set: ChangeSet) -> Self {
        Self { name, arguments, candidate: Asker::Validator(change_set) }
    }

    /// A request of an agent.
    ///
    /// # Errors
    /// [`NotRun::NotAllowed`] and [`NotRun::Invalid`].
    pub(crate) fn of_agent(
        name: String,
        arguments: Vec<String>,
        allowed: &BTreeSet<String>,
        candidate: impl FnOnce() -> Asker,
    ) -> Result<Self, NotRun> {
        if name.len() > NAME_BYTES {
            return Err(NotRun::Invalid(format!(
                "a command's name has at most {NAME_BYTES} bytes"
            )));
        }
        if !allowed.contains(&name) {
            return Err(not_allowed(&name, allowed));
        }
        let bytes = arguments.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
        if arguments.len() > ARGUMENTS || bytes > ARGUMENT_BYTES {
            let most = format!("at most {ARGUMENTS} arguments, of {ARGUMENT_BYTES} bytes together");
            return Err(NotRun::Invalid(format!("a command takes {most}")));
        }
        if arguments.iter().any(|text| text.contains('\0')) {
            return Err(NotRun::Invalid("an argument has a zero byte in it".to_owned()));
        }
        Ok(Self { name, arguments, candidate: candidate() })
    }

    /// The change-set of the candidate: what a validator checks, or what its builder has written
    /// until now. The contents of the latter are in `blobs` then.
    ///
    /// The work is done apart from the runtime's threads, and ends when the future is dropped.
    ///
    /// # Errors
    /// [`NotRun::Unavailable`] if what was written cannot be sealed; [`NotRun::Host`].
    pub async fn change_set(&self, blobs: Arc<dyn Blobs>) -> Result<ChangeSet, NotRun> {
        let view = match &self.candidate {
            Asker::Validator(change_set) => return Ok(change_set.clone()),
            Asker::Builder(view) => view.clone(),
        };
        let ends = EndsWhenDropped(Arc::default());
        let over = Arc::clone(&ends.0);
        let made = tokio::task::spawn_blocking(move || {
            view.changes_so_far(blobs.as_ref(), move || over.load(Ordering::Relaxed))
        });
        match made.await {
            Ok(made) => made.map_err(of_sealing),
            Err(_) => {
                Err(NotRun::Host(io::Error::other("making a change-set failed inside idumb")))
            }
        }
    }
}

struct EndsWhenDropped(Arc<AtomicBool>);

impl Drop for EndsWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn of_sealing(error: SealError) -> NotRun {
    match error {
        SealError::NotKept { source, .. } => NotRun::Host(source),
        SealError::Unreadable { source, .. } if source.is_hosts() => NotRun::Host(source.into()),
        SealError::Unreadable { source: FsError::Stopped, .. } => {
            NotRun::Unavailable("the attempt is over".to_owned())
        }
        other => NotRun::Unavailable(format!("there is no candidate to run it on: {other}")),
    }
}

fn not_allowed(name: &str, allowed: &BTreeSet<String>) -> NotRun {
    let names = match allowed.is_empty() {
        true => "it may ask for none".to_owned(),
        false => {
            let names: Vec<&str> = allowed.iter().map(String::as_str).collect();
            format!("it may ask for {}", names.join(", "))
        }
    };
    NotRun::NotAllowed(format!(
        "this agent may not ask for the command `{name}` on this task; {names}. The plan's author \
         names commands in the task's `commands`"
    ))
}

/// What came of a command, as the host saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRan {
    /// Digest of the command's definition.
    pub definition: Digest,
    /// Digest of the tree that it ran on.
    pub tree: Digest,
    /// Its exit status, if it exited by itself.
    pub exit: Option<i32>,
    /// How it ended, in words.
    pub ended: String,
    /// What it reported of its tests; `None`: nothing that could be read.
    pub tests: Option<TestCounts>,
    /// What it wrote to standard output. An agent is told at most 32 KiB of the beginning, and as
    /// many of the end.
    pub stdout: CommandOutput,
    /// What it wrote to standard error; as `stdout`.
    pub stderr: CommandOutput,
    /// Where all that was kept of the two is, as blobs.
    pub printed: [Option<Digest>; 2],
    /// The walls that stood around it, in words.
    pub walls: String,
    /// Whether this is what came of an earlier run.
    pub reused: bool,
}

/// What was kept of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandOutput {
    /// The first bytes.
    pub head: Vec<u8>,
    /// How many bytes came between `head` and `tail`.
    pub left_out: u64,
    /// The last bytes.
    pub tail: Vec<u8>,
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// This agent may not ask for it.
    #[error("{0}")]
    NotAllowed(String),
    /// Its arguments are not what it takes.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be confined or run here, or there is nothing to run it on.
    #[error("{0}")]
    Unavailable(String),
    /// The host's own trouble: what the agent answers says nothing about the task then.
    #[error("the host could not run it: {0}")]
    Host(#[from] io::Error),
}

impl CommandOutput {
    /// What an agent is told: the beginning, how many bytes are missing, and the end.
    pub(crate) fn told(mut self) -> (String, u64, String) {
        if self.left_out == 0 {
            self.head.append(&mut self.tail);
            if self.head.len() <= 2 * OUTPUT_BYTES {
                return (text(&self.head), 0, String::new());
            }
            self.tail = self.head.split_off(self.head.len() - OUTPUT_BYTES);
        }
        let head = without_a_broken_end(&self.head[..self.head.len().min(OUTPUT_BYTES)]);
        let tail = &self.tail[self.tail.len().saturating_sub(OUTPUT_BYTES)..];
        let tail = without_a_broken_beginning(tail);
        let cut = self.head.len() - head.len() + self.tail.len() - tail.len();
        (text(head), self.left_out.saturating_add(cut as u64), text(tail))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Without the bytes of a letter that was cut off behind them.
fn without_a_broken_end(bytes: &[u8]) -> &[u8] {
    let last = bytes.utf8_chunks().last();
    match last.map(|chunk| chunk.invalid()) {
        Some(invalid) if std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none()) => {
            &bytes[..bytes.len() - invalid.len()]
        }
        _ => bytes,
    }
}

/// Without the bytes of a letter that was cut off before them.
fn without_a_broken_beginning(bytes: &[u8]) -> &[u8] {
    let is_inside = |byte: &&u8| **byte & 0xc0 == 0x80;
    &bytes[bytes.iter().take(3).take_while(is_inside).count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(head: &[u8], left_out: u64, tail: &[u8]) -> (String, u64, String) {
        CommandOutput { head: head.to_vec(), left_out, tail: tail.to_vec() }.told()
    }

    #[test]
    fn a_short_output_is_told_whole() {
        assert_eq!(told(b"one\n", 0, b"two"), ("one\ntwo".into(), 0, String::new()));
        let most = vec![b'x'; 2 * OUTPUT_BYTES];
        assert_eq!(told(&most, 0, b""), (text(&most), 0, String::new()));
        assert_eq!(told(b"a\xff\xc3", 0, b""), ("a\u{fffd}\u{fffd}".into(), 0, String::new()));
    }

    #[test]
    fn of_a_long_output_the_beginning_and_the_end_are_told() {
        let half = OUTPUT_BYTES;
        let long = [vec![b'a'; half], b"bc".to_vec(), vec![b'd'; half]].concat();
        let expected = ("a".repeat(half), 2, "d".repeat(half));
        assert_eq!(told(&long, 0, b""), expected);
        assert_eq!(told(&long[..half + 1], 0, &long[half + 1..]), expected);
        assert_eq!(told(&long[..half + 1], 7, &long[half + 1..]), (expected.0, 9, expected.2));
        assert_eq!(told(b"ab", 5, b"yz"), ("ab".into(), 5, "yz".into()));
    }

    /// A letter that was cut counts as left out; what was never one is replaced.
    #[test]
    fn no_letter_is_told_in_part() {
        for letter in ["é", "€", "🦀"] {
            let (bytes, most) = (letter.as_bytes(), letter.len());
            for cut in 1..most {
                let head = [b"a", &bytes[..cut]].concat();
                let tail = [&bytes[cut..], b"z"].concat();
                assert_eq!(told(&head, 1, &tail), ("a".into(), 1 + most as u64, "z".into()));
            }
        }
        let (head, left_out, tail) = told(b"a\xff", 1, b"\xffz");
        assert_eq!((&*head, left_out, &*tail), ("a\u{fffd}", 1, "\u{fffd}z"));
    }

    #[test]
    fn why_there_is_no_candidate_is_told_apart() {
        let unreadable = |source| SealError::Unreadable { path: "a".to_owned(), source };
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let kept = of_sealing(SealError::NotKept { path: "a".to_owned(), source: full() });
        assert!(matches!(kept, NotRun::Host(_)), "{kept}");
        let broken = of_sealing(unreadable(FsError::Io(full())));
        assert!(matches!(broken, NotRun::Host(_)), "{broken}");
        let others = [
            (of_sealing(SealError::BaseChanged(vec!["a".to_owned()])), "by somebody else"),
            (of_sealing(unreadable(FsError::NoEntry)), "a: no such"),
            (of_sealing(unreadable(FsError::Stopped)), "the attempt is over"),
        ];
        for (error, words) in others {
            assert!(matches!(error, NotRun::Unavailable(_)), "{error:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    /// Reads on only when it is told to, and says what came of that.
    struct Slow {
        begun: std::sync::mpsc::Sender<()>,
        go_on: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
        read_on: std::sync::mpsc::Sender<bool>,
    }

    impl Blobs for Slow {
        fn open(&self, _: Digest) -> io::Result<std::fs::File> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn keep(&self, content: &mut dyn io::Read) -> io::Result<(Digest, u64)> {
            self.begun.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
            let read = content.read(&mut [0]);
            self.read_on.send(read.is_ok()).unwrap();
            read.map(|bytes| (Digest::of(b""), bytes as u64))
        }
    }

    /// A builder's view with a new file in it.
    fn view(folder: &std::path::Path) -> WorkView {
        std::fs::create_dir(folder.join("project")).unwrap();
        let base = idumb_overlay::Base::open(folder.join("project")).unwrap();
        let upper = folder.join("upper");
        let view = WorkView::plain(&base, &upper, idumb_overlay::Quota::default()).unwrap();
        let flags = idumb_overlay::OpenFlags {
            write: true,
            create: true,
            ..idumb_overlay::OpenFlags::READ
        };
        let opened = view.open(view.root(), "new", true, flags).unwrap();
        let idumb_overlay::Opened::File(file) = opened else { panic!("it is a file") };
        file.write_at(b"text", 0).unwrap();
        view
    }

    #[test]
    fn a_change_set_that_nobody_waits_for_is_not_made_on() {
        let folder = tempfile::TempDir::new().unwrap();
        let candidate = Asker::Builder(view(folder.path()));
        let request = CommandRequest { name: "test".to_owned(), arguments: Vec::new(), candidate };
        let (begun, begins) = std::sync::mpsc::channel();
        let (goes_on, go_on) = std::sync::mpsc::channel();
        let (read_on, was_read_on) = std::sync::mpsc::channel();
        let slow = Arc::new(Slow { begun, go_on: go_on.into(), read_on });
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let waiting = runtime.spawn(async move { request.change_set(slow).await });
        begins.recv().unwrap();
        waiting.abort();
        assert!(runtime.block_on(waiting).unwrap_err().is_cancelled());
        goes_on.send(()).unwrap();
        assert!(!was_read_on.recv().unwrap(), "it was read on");
    }

    fn asked(name: &str, arguments: Vec<String>) -> Result<CommandRequest, NotRun> {
        let allowed = BTreeSet::from(["lint".to_owned(), "test".to_owned()]);
        CommandRequest::of_agent(name.to_owned(), arguments, &allowed, || {
            Asker::Validator(ChangeSet::default())
        })
    }

    #[test]
    fn what_is_asked_for_is_bounded_by_a_table() {
        let table = [
            ("test", vec!["x".repeat(ARGUMENT_BYTES)], None),
            ("test", vec![String::new(); ARGUMENTS], None),
            ("test", vec!["x".repeat(ARGUMENT_BYTES), "y".into()], Some("16384 bytes together")),
            ("test", vec![String::new(); ARGUMENTS + 1], Some("at most 100 arguments")),
            ("test", vec!["a\0b".to_owned()], Some("zero byte")),
            ("Test", Vec::new(), Some("it may ask for lint, test")),
            ("", Vec::new(), Some("may not ask for the command ``")),
        ];
        for (name, arguments, expected) in table {
            match (asked(name, arguments), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(words)) if error.to_string().contains(words) => {}
                (other, _) => panic!("{name}, {expected:?}: {other:?}"),
            }
        }
        let long = asked(&"x".repeat(NAME_BYTES + 1), Vec::new());
        assert!(matches!(long, Err(NotRun::Invalid(_))), "{long:?}");
    }
}
