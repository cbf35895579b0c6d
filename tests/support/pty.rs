//! A person at a terminal: a pseudo-terminal with the binary in it, and its screen.
//!
//! Invariant: nothing here waits for time to pass, only for what appears; what does not
//! appear within [`PATIENCE`] is told together with the screen. However the binary ends, it
//! leaves the terminal as a shell wants it.

use std::fmt::Write as _;
use std::io::{PipeWriter, Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::Pty;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, OutputModes, tcgetattr};

/// The longest that something may take to appear: far more than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the key Ctrl-C sends.
pub(crate) const CTRL_C: &str = "\u{3}";
/// What the key Ctrl-D sends.
pub(crate) const CTRL_D: &str = "\u{4}";

/// How many rows the window has: enough that no test scrolls.
const ROWS: u16 = 120;

/// A terminal, and the process in it.
pub(crate) struct Terminal {
    keys: Option<Arc<Pty>>,
    /// Dropped to have the reader let go of the terminal.
    hold: Option<PipeWriter>,
    reader: Option<JoinHandle<()>>,
    printed: Receiver<Vec<u8>>,
    process: Pid,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    screen: vt100::Parser,
    /// Every byte that was printed.
    raw: Vec<u8>,
    /// From where on [`Self::prints`] looks.
    seen: usize,
}

impl Terminal {
    /// Starts `command` in a window of so many columns, with that as its controlling terminal.
    pub(crate) fn start(command: Command, columns: u16) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(ROWS, columns)).unwrap();
        let mut child = pty_process::blocking::Command::from(command).spawn(pts).unwrap();
        let process = Pid::from_child(&child);
        let (tell, ended) = channel();
        std::thread::spawn(move || tell.send(child.wait().unwrap()));
        let keys = Arc::new(pty);
        let (told_to_go, hold) = std::io::pipe().unwrap();
        let (show, printed) = channel();
        let pty = Arc::clone(&keys);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let mut awaited = [&*pty as &dyn std::os::fd::AsFd, &told_to_go]
                    .map(|source| PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN));
                poll(&mut awaited, None).unwrap();
                if !awaited[1].revents().is_empty() {
                    return;
                }
                // At its end a terminal answers with an error.
                match (&*pty).read(&mut bytes) {
                    Ok(count @ 1..) => drop(show.send(bytes[..count].to_vec())),
                    Ok(0) | Err(_) => return,
                }
            }
        });
        let size = |number| NonZeroU16::new(number).unwrap();
        Self {
            keys: Some(keys),
            hold: Some(hold),
            reader: Some(reader),
            printed,
            process,
            ended,
            status: None,
            screen: vt100::Parser::new(size(ROWS), size(columns), 0),
            raw: Vec::new(),
            seen: 0,
        }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        let mut pty = self.keys.as_deref().expect("the terminal is closed");
        pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line, and Enter.
    pub(crate) fn line(&mut self, text: &str) {
        self.press(&format!("{text}\r"));
    }

    /// The rows of the screen, as a person sees them.
    pub(crate) fn screen(&self) -> String {
        let screen = self.screen.screen();
        let mut text = String::new();
        for row in screen.rows(0, screen.size().1.get()) {
            let _ = writeln!(text, "{}", row.trim_end());
        }
        text.trim_end().to_owned()
    }

    /// Waits until the screen shows each of `texts`.
    #[track_caller]
    pub(crate) fn shows(&mut self, texts: &[&str]) {
        self.shows_that(&format!("{texts:?}"), |screen| {
            texts.iter().all(|text| screen.contains(text))
        });
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub(crate) fn shows_that(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(&self.screen()) {
            if let Err(why) = self.read(until) {
                panic!("{why} before the screen showed {what}:\n{}", self.screen());
            }
        }
    }

    /// Waits until `text` is printed, after what this waited for before.
    #[track_caller]
    pub(crate) fn prints(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut places = self.raw[self.seen..].windows(text.len());
            if let Some(at) = places.position(|place| place == text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            if let Err(why) = self.read(until) {
                panic!("{why} before {text:?} was printed:\n{}", self.screen());
            }
        }
    }

    /// Everything that was printed, with all that moves a cursor or sets a colour.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    fn read(&mut self, until: Instant) -> Result<(), &'static str> {
        let left = until.saturating_duration_since(Instant::now());
        let bytes = self.printed.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => "patience ended",
            RecvTimeoutError::Disconnected => "the process ended",
        })?;
        self.screen.process(&bytes);
        self.raw.extend(bytes);
        Ok(())
    }

    /// Waits until the process ends, which must be with `code`, and the terminal in order.
    #[track_caller]
    pub(crate) fn ends(&mut self, code: i32) {
        let until = Instant::now() + PATIENCE;
        let why = loop {
            if let Err(why) = self.read(until) {
                break why;
            }
        };
        assert_eq!(why, "the process ended", "{}", self.screen());
        self.left_with(&[code]);
        let screen = self.screen.screen();
        let shown = self.screen();
        assert!(!screen.hide_cursor(), "the cursor is hidden:\n{shown}");
        assert!(!screen.alternate_screen(), "the alternate screen stays:\n{shown}");
        let plain = vt100::Color::Default;
        assert_eq!((screen.fgcolor(), screen.bgcolor()), (plain, plain), "{shown}");
        assert!(!screen.bold() && !screen.dim() && !screen.inverse(), "{shown}");
        assert_eq!(screen.cursor_position().1, 0, "a shell would not begin a line:\n{shown}");
        let modes = tcgetattr(self.keys.as_deref().expect("the terminal is closed")).unwrap();
        let local = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
        assert!(modes.local_modes.contains(local), "{modes:?}\n{shown}");
        assert!(modes.output_modes.contains(OutputModes::OPOST | OutputModes::ONLCR), "{modes:?}");
    }

    /// Closes the terminal, as when its window is closed or its line is cut.
    pub(crate) fn hang_up(&mut self) {
        self.hold = None;
        self.reader.take().expect("the terminal is closed").join().unwrap();
        let keys = Arc::into_inner(self.keys.take().expect("the terminal is closed"));
        drop(keys.expect("nobody else holds the terminal"));
    }

    /// Waits until the process ends, which must be with one of `codes`.
    #[track_caller]
    pub(crate) fn left_with(&mut self, codes: &[i32]) {
        let status = self.ended.recv_timeout(PATIENCE);
        let Ok(status) = status else { panic!("it goes on:\n{}", self.screen()) };
        self.status = Some(status);
        let expected = status.code().is_some_and(|code| codes.contains(&code));
        assert!(expected, "{status}, not one of {codes:?}:\n{}", self.screen());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only one that is not known to have ended: its number may be another's by then.
        if self.status.is_none() && self.ended.try_recv().is_err() {
            let _ = kill_process(self.process, Signal::KILL);
        }
    }
}
