//! What came of a command, as evidence, and what it is worth to a criterion.
//!
//! Invariant: all of it is the host's observation; a criterion is judged by it and nothing else.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::Path;

use idumb_core::{
    Blobs, CommandSeen, Criterion, Digest, Evidence, EvidenceId, Finding, Observed, OutputFile,
    TestCounts, Verdict,
};
use idumb_exec::report::{Counts, Expectation, Format, NotAReport, Source, Unmet};
use idumb_exec::{Captured, Ended, OutputError, Outputs, Ran, Stream, report};
use idumb_plan::CommandSource;
use idumb_sandbox::{CommandOutput, CommandRan};

use super::{Invocation, walls};

/// How many lines of each of a command's outputs go into a finding, and how many letters.
const MOST_LINES: usize = 12;
const MOST_LETTERS: usize = 2000;

/// Bytes of the largest file that is kept of what a command leaves.
const MOST_BYTES: u64 = 16 << 20;

/// What came of a command.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(super) invocation: Invocation,
    pub(super) definition: Digest,
    pub(super) tree: Digest,
    pub(super) ran: Ran,
    /// Why it did not even start: its program or its folder is not there, or is none.
    pub(super) not_started: Option<String>,
    pub(super) counts: Option<Result<Counts, NotAReport>>,
    /// The files that were asked for; or why one is not there.
    pub(super) outputs: BTreeMap<String, Result<OutputFile, String>>,
    /// What it printed, as blobs.
    pub(super) printed: [Option<Digest>; 2],
    pub(super) reused: bool,
}

impl Came {
    /// As the observation `id`.
    pub(crate) fn evidence(&self, id: EvidenceId) -> Evidence {
        let [stdout, stderr] = self.printed;
        let seen = CommandSeen {
            name: self.invocation.name.clone(),
            arguments: self.invocation.arguments.clone(),
            definition: self.definition,
            tree: self.tree,
            ended: self.ended(),
            exit: self.exit(),
            tests: self.tests(),
            walls: walls::words(&self.ran.level),
            stdout,
            stderr,
            outputs: self.outputs.values().flatten().cloned().collect(),
            reused: self.reused,
        };
        Evidence { id, observed: Observed::Command(Box::new(seen)) }
    }

    /// As an agent is told that asked for it.
    pub(crate) fn told(self) -> CommandRan {
        let output = |captured: Captured| CommandOutput {
            head: captured.head,
            left_out: captured.left_out,
            tail: captured.tail,
        };
        let (exit, tests, ended) = (self.exit(), self.tests(), self.ended());
        CommandRan {
            definition: self.definition,
            tree: self.tree,
            exit,
            ended,
            tests,
            walls: walls::words(&self.ran.level),
            stdout: output(self.ran.stdout),
            stderr: output(self.ran.stderr),
            printed: self.printed,
            reused: self.reused,
        }
    }

    fn ended(&self) -> String {
        match &self.not_started {
            Some(why) => format!("could not be started: {why}"),
            None => how(self.ran.ended),
        }
    }

    fn exit(&self) -> Option<i32> {
        match self.ran.ended {
            Ended::Exited(status) => Some(status),
            _ => None,
        }
    }

    fn tests(&self) -> Option<TestCounts> {
        let counted = self.counts.as_ref().and_then(|counts| counts.as_ref().ok());
        counted.map(|counts| TestCounts {
            passed: counts.passed,
            failed: counts.failed,
            skipped: counts.skipped,
        })
    }

    /// Whether it can answer for another run of the same: what failed may have been chance.
    pub(super) fn is_sound(&self) -> bool {
        let counted = match &self.counts {
            Some(Ok(counts)) => counts.failed == 0,
            Some(Err(_)) => false,
            None => true,
        };
        self.ran.succeeded() && counted && self.outputs.values().all(Result::is_ok)
    }

    /// What `criterion`, which asks for this command, comes to; `id` is what it rests on.
    pub(crate) fn judged(&self, criterion: &Criterion, id: EvidenceId) -> Finding {
        let unmet = self.unmet(criterion).or_else(|| {
            let missing = self.outputs.values().find_map(|output| output.as_ref().err());
            missing.cloned()
        });
        let (verdict, note) = match unmet {
            None => (Verdict::Pass, self.success()),
            Some(why) => (Verdict::Fail, format!("{why}{}", self.last_words())),
        };
        Finding { criterion: criterion.id.clone(), verdict, evidence: vec![id], note }
    }

    fn unmet(&self, criterion: &Criterion) -> Option<String> {
        if self.not_started.is_some() {
            return Some(format!("it {}", self.ended()));
        }
        let number = |name: &str| criterion.args.get(name).and_then(serde_json::Value::as_u64);
        if criterion.kind == Criterion::TESTS_PASS {
            let at_least = number("at_least").and_then(NonZeroU64::new);
            let expectation = Expectation {
                at_least: at_least.unwrap_or(NonZeroU64::MIN),
                skipped_at_most: number("skipped_at_most"),
            };
            let none = || Err(NotAReport::Absent("report".to_owned()));
            let counts = self.counts.clone().unwrap_or_else(none);
            return expectation
                .judge(self.ran.ended, &counts)
                .err()
                .map(|why: Unmet| why.to_string());
        }
        let wanted = number("exit").unwrap_or(0);
        let met =
            matches!(self.ran.ended, Ended::Exited(status) if u64::try_from(status) == Ok(wanted));
        (!met).then(|| format!("it {}", how(self.ran.ended)))
    }

    fn success(&self) -> String {
        let took = format!("{:.1?}", self.ran.time);
        let again = if self.reused { ", in an earlier run on the same tree" } else { "" };
        match &self.counts {
            Some(Ok(counts)) => {
                let Counts { passed, skipped, .. } = counts;
                format!("{passed} tests passed, {skipped} were skipped, in {took}{again}")
            }
            _ => format!("it {} in {took}{again}", how(self.ran.ended)),
        }
    }

    /// The end of what it printed to each of its outputs, as lines of their own.
    fn last_words(&self) -> String {
        [&self.ran.stdout, &self.ran.stderr].map(last_lines).concat()
    }
}

/// The last lines, each behind a line's end: what a command says never continues what the host does.
fn last_lines(captured: &Captured) -> String {
    let text = captured.text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(MOST_LINES)..];
    let mut room = MOST_LETTERS;
    let mut kept = Vec::new();
    for line in last.iter().rev() {
        let letters = line.chars().count();
        let start = letters.saturating_sub(room);
        kept.push(format!("\n{}", line.chars().skip(start).collect::<String>()));
        room = room.saturating_sub(letters);
        if room == 0 {
            break;
        }
    }
    kept.into_iter().rev().collect()
}

fn how(ended: Ended) -> String {
    match ended {
        Ended::Exited(status) => format!("exited with {status}"),
        Ended::Signalled(signal) => format!("was ended by signal {signal}"),
        Ended::TimedOut => "took too long".to_owned(),
        Ended::Cancelled => "was stopped".to_owned(),
        Ended::Exceeded(cap) => format!("went over its cap of {cap:?}").to_lowercase(),
        Ended::Killed => "was killed".to_owned(),
    }
}

/// What the tests of a command did, as it reports it; `written` is where it wrote files.
pub(super) fn counted(
    source: &CommandSource,
    ran: &Ran,
    written: &Path,
) -> Option<Result<Counts, NotAReport>> {
    let format: Format = source.report.as_deref()?.parse().ok()?;
    Some(match (&source.report_file, format.source()) {
        (Some(file), _) => {
            let read = file_of(written, file, report::SIZE_CAP as u64);
            read.map_err(NotAReport::Absent).and_then(|text| report::counts(format, &text))
        }
        (None, Source::Output(Stream::Stderr)) => report::counts_captured(format, &ran.stderr),
        (None, _) => report::counts_captured(format, &ran.stdout),
    })
}

/// The files of an invocation, kept; or why one cannot be.
pub(super) fn outputs(
    invocation: &Invocation,
    written: &Path,
    blobs: &dyn Blobs,
) -> std::io::Result<BTreeMap<String, Result<OutputFile, String>>> {
    let one = |path: &String| {
        let kept = match file_of(written, path, MOST_BYTES) {
            Err(why) => Err(format!("it left no {why}")),
            Ok(bytes) => {
                let (digest, size) = blobs.keep(&mut bytes.as_slice())?;
                Ok(OutputFile { path: path.clone(), digest, size })
            }
        };
        Ok((path.clone(), kept))
    };
    invocation.outputs.iter().map(one).collect()
}

/// What it printed, as blobs; nothing where it printed nothing.
pub(super) fn printed(ran: &Ran, blobs: &dyn Blobs) -> std::io::Result<[Option<Digest>; 2]> {
    let keep = |captured: &Captured| match captured.text() {
        text if text.is_empty() => Ok(None),
        text => blobs.keep(&mut text.as_bytes()).map(|(digest, _)| Some(digest)),
    };
    Ok([keep(&ran.stdout)?, keep(&ran.stderr)?])
}

/// A file that a command wrote; else which is not there, with the reason if there is one to tell.
fn file_of(written: &Path, path: &str, cap: u64) -> Result<Vec<u8>, String> {
    let outputs = Outputs::open(written).map_err(|why| format!("{path} ({why})"))?;
    outputs.read(Path::new(path), cap).map_err(|why| match why {
        OutputError::Missing(_) => path.to_owned(),
        why => format!("{path} that can be read ({why})"),
    })
}
