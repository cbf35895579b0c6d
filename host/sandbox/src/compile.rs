//! Where components are compiled: in a process of their own, which can be killed.
//!
//! Invariant: a component that takes for ever, or all the memory there is, or that crashes the
//! compiler, takes nothing with it but that process. Why and how: `docs/decisions/0011`.

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::whole;
use crate::{Refused, settings};

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// This process: for components that are trusted not to harm the compiler, as in tests.
    #[default]
    Here,
    /// Another process of this very program, for each component one.
    Apart(CompilerProcess),
}

/// How to start the process that compiles, and what it may use.
///
/// What it runs has to call [`compile`] and nothing else: its standard input and output are for
/// that. It must be the same build of this library as the one that will run the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerProcess {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What it may use.
    pub limits: CompileLimits,
}

/// What compiling one component may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Bytes of memory.
    pub memory: u64,
    /// How long it may take, by the clock on the wall.
    pub time: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        // An interpreter of 18 MB takes 0.7 GB, and 20 s of one core.
        Self { memory: 4 << 30, time: Duration::from_secs(300) }
    }
}

/// Exit status of the process: what it was given is no component that runs here.
const INVALID: u8 = 3;

/// Bytes of what the process says in the end that are read.
const MOST_WORDS: u64 = 16 << 10;

/// Bytes of compiled code that are read: so many for any component, and so many for each of its
/// bytes. It is 2 to 5 of these.
const MOST_CODE: u64 = 64 << 20;
const MOST_CODE_PER_BYTE: u64 = 32;

impl Compiler {
    pub(crate) fn compile(&self, engine: &Engine, component: &[u8]) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Here => engine.precompile_component(component).map_err(|error| refused(&error)),
            Self::Apart(process) => process.compile(component),
        }
    }
}

fn refused(error: &wasmtime::Error) -> Refused {
    Refused::Invalid(whole(error))
}

impl CompilerProcess {
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Refused> {
        let failed = |error: io::Error| Refused::Compiler(format!("it did not start: {error}"));
        let mut command = Command::new(&self.program);
        // Nothing of this process: no environment, no folder, no descriptor but the three.
        command.args(&self.args).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let answer = self.attend(&mut child, component);
        // If its pipes are closed it ended by itself, and this changes nothing.
        let _ = child.kill();
        let status = child.wait().map_err(failed)?;
        let (code, words) = answer?;
        self.judged(status, code, &words)
    }

    /// Gives the process its component, and takes what it answers until its pipes are closed.
    fn attend(&self, child: &mut Child, component: &[u8]) -> Result<(Vec<u8>, String), Refused> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(Refused::Compiler("it has no pipes".to_owned()));
        };
        let head = self.limits.memory.to_le_bytes();
        let most_code = MOST_CODE + component.len() as u64 * MOST_CODE_PER_BYTE;
        let deadline = Instant::now() + self.limits.time;
        std::thread::scope(|scope| {
            let (code, codes) = mpsc::channel();
            let (words, all_words) = mpsc::channel();
            scope.spawn(move || {
                // It may end before it has read all: then its status says why.
                let _ = stdin.write_all(&head).and_then(|()| stdin.write_all(component));
            });
            scope.spawn(move || code.send(read(stdout, most_code)));
            scope.spawn(move || words.send(read(stderr, MOST_WORDS)));
            let left = || deadline.saturating_duration_since(Instant::now());
            let answer = codes
                .recv_timeout(left())
                .and_then(|code| Ok((code, all_words.recv_timeout(left())?)));
            match answer {
                Ok((code, words)) => Ok((code?, String::from_utf8_lossy(&words?).into_owned())),
                Err(_) => {
                    // Its pipes end with it, and so do the threads.
                    let _ = child.kill();
                    Err(Refused::TooSlow { limit: self.limits.time })
                }
            }
        })
    }

    fn judged(&self, status: ExitStatus, code: Vec<u8>, words: &str) -> Result<Vec<u8>, Refused> {
        let said = words.trim();
        match status.code() {
            Some(0) => Ok(code),
            Some(status) if status == i32::from(INVALID) => Err(Refused::Invalid(said.to_owned())),
            // What the allocator says before it aborts.
            _ if said.contains("memory allocation of") || said.contains("failed to allocate") => {
                Err(Refused::TooMuchMemory { limit: self.limits.memory })
            }
            _ => Err(Refused::Compiler(format!("{status}: {}", said.replace('\n', " ")))),
        }
    }
}

fn read(pipe: impl Read, most: u64) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    let read = pipe.take(most).read_to_end(&mut bytes);
    read.map_err(|error| Refused::Compiler(format!("its answer was not read: {error}")))?;
    Ok(bytes)
}

/// What the process of [`Compiler::Apart`] does: bounds itself, reads a component from standard
/// input, and writes its code to standard output. Answers its exit status.
///
/// # Errors
/// If it cannot be bounded, or the pipes fail: then nothing was compiled.
pub fn compile() -> io::Result<u8> {
    let mut head = [0; 8];
    let mut stdin = io::stdin().lock();
    stdin.read_exact(&mut head)?;
    bound(u64::from_le_bytes(head))?;
    let mut component = Vec::new();
    stdin.read_to_end(&mut component)?;
    let compiled = Engine::new(&settings::code())
        .and_then(|engine| Component::from_binary(&engine, &component)?.serialize());
    match compiled {
        Ok(code) => {
            let mut out = io::stdout().lock();
            out.write_all(&code)?;
            out.flush()?;
            Ok(0)
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "{}", whole(&error));
            Ok(INVALID)
        }
    }
}

/// Takes from this process what compiling does not need.
fn bound(memory: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, Signal, setrlimit};
    let most = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
    // Of what it can write to, not of addresses: allocators reserve more of those than they use.
    setrlimit(Resource::Data, most(memory))?;
    setrlimit(Resource::Core, most(0))?;
    setrlimit(Resource::Fsize, most(0))?;
    // When who asked is gone, nobody needs the answer.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a compiler that does this instead.
    fn compiled_by(script: &str, time: Duration) -> Result<Vec<u8>, Refused> {
        let limits = CompileLimits { memory: 1 << 30, time };
        let args = ["-c", script].map(OsString::from).to_vec();
        let process = CompilerProcess { program: "/bin/sh".into(), args, limits };
        process.compile(&vec![7; 1 << 20])
    }

    fn refused_by(script: &str) -> String {
        compiled_by(script, Duration::from_secs(60)).unwrap_err().to_string()
    }

    #[test]
    fn what_it_writes_before_it_ends_well_is_the_code() {
        let code = compiled_by("cat > /dev/null; printf code", Duration::from_secs(60));
        assert_eq!(code.unwrap(), b"code");
    }

    #[test]
    fn its_end_says_what_came_of_it() {
        let table = [
            ("echo what >&2; exit 3", "not a WebAssembly component that runs here: what"),
            ("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", "more than 1024 MiB"),
            ("printf half; kill -SEGV $$", "the compiler ended without an answer: signal: 11"),
            ("printf half; exit 1", "the compiler ended without an answer: exit status: 1"),
        ];
        for (script, expected) in table {
            let refused = refused_by(script);
            assert!(refused.contains(expected), "{script}: {refused}");
        }
    }

    #[test]
    fn one_that_takes_for_ever_is_gone_when_its_time_is_over() {
        // Also one that says that it is done, and one that never reads.
        for script in ["exec sleep 1000", "cat > /dev/null; exec 1>&-; exec sleep 1000"] {
            let refused = compiled_by(script, Duration::from_millis(100)).unwrap_err();
            assert!(refused.to_string().starts_with("compiling it takes longer than"), "{refused}");
        }
    }

    #[test]
    fn one_that_says_too_much_is_cut_off() {
        let refused = refused_by("yes | head -c 300000000");
        assert!(refused.starts_with("the compiler ended without an answer"), "{refused}");
        let refused = refused_by("yes >&2; exit 1");
        assert!(refused.len() < 20_000, "{} bytes", refused.len());
    }

    #[test]
    fn one_that_cannot_be_started_is_told() {
        let limits = CompileLimits::default();
        let process = CompilerProcess { program: "/nowhere".into(), args: Vec::new(), limits };
        let refused = process.compile(b"").unwrap_err().to_string();
        assert!(refused.contains("it did not start"), "{refused}");
    }
}
