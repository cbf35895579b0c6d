//! Evidence, findings and verdicts, and the rule that binds them.
//!
//! Invariant: no criterion passes without an observation that the host itself recorded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{CriterionId, Denial, Digest, EvidenceId, LimitReached, RunId, TaskId};

/// An addressed observation that the host made for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Names it within its attempt.
    pub id: EvidenceId,
    /// What was observed.
    pub observed: Observed,
}

/// What the host saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Observed {
    /// A regular file stood at the path.
    File {
        /// Where.
        path: String,
        /// Of its content.
        digest: Digest,
        /// In bytes.
        size: u64,
    },
    /// A directory stood at the path.
    Dir {
        /// Where.
        path: String,
    },
    /// A symbolic link that leads nowhere the view reaches stood at the path.
    Symlink {
        /// Where.
        path: String,
    },
    /// Nothing stood at the path.
    Absent {
        /// Where.
        path: String,
    },
    /// The plan was there, and valid.
    Plan {
        /// Of its bytes.
        digest: Digest,
        /// How many tasks it has.
        tasks: u64,
    },
    /// The run that completed an earlier phase.
    Run {
        /// Which phase, as the plan names it.
        phase: String,
        /// Which run; `None`: there is none.
        run: Option<RunId>,
    },
    /// A person answered a prompt.
    Answer {
        /// Which prompt.
        prompt: u32,
        /// What they chose.
        choice: String,
    },
    /// A native command was run.
    Command(Box<CommandSeen>),
    /// The change-set of the candidate was listed.
    Changes {
        /// The change-set's digest.
        digest: Digest,
        /// How many paths it changes.
        count: u64,
    },
}

/// What the host saw of a native command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSeen {
    /// What the project calls it.
    pub name: String,
    /// What was put behind the words of its definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Of its definition.
    pub definition: Digest,
    /// Of the tree that it ran on: the change-set over the base.
    pub tree: Digest,
    /// How it ended, in words.
    pub ended: String,
    /// Its exit status, if it exited.
    pub exit: Option<i32>,
    /// What it reported of its tests; `None`: nothing that could be read.
    pub tests: Option<TestCounts>,
    /// The walls that stood around it.
    pub walls: String,
    /// What it wrote to its standard output, as far as that was kept: a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Digest>,
    /// As `stdout`, of its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Digest>,
    /// Files that it left and that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputFile>,
    /// Whether it was not run for this, but before: the same command, with the same arguments,
    /// on the same tree.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reused: bool,
}

/// A file that a command left behind; its content is a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Where, from the root of its tree.
    pub path: String,
    /// Of its content.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// How many tests a command reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// That passed.
    pub passed: u64,
    /// That failed, or could not be run.
    pub failed: u64,
    /// That were left out.
    pub skipped: u64,
}

/// What one criterion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Checked, and holds.
    Pass,
    /// Checked, and does not hold.
    Fail,
    /// Could not be checked.
    Inconclusive,
}

/// A criterion, its verdict and its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which criterion.
    pub criterion: CriterionId,
    /// What it came to.
    pub verdict: Verdict,
    /// The observations it rests on.
    pub evidence: Vec<EvidenceId>,
    /// The agent's words; a note, never proof.
    pub note: String,
}

/// What a checking agent answered, and what the host observed for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// The agent's findings.
    pub findings: Vec<Finding>,
    /// The host's observations.
    pub evidence: Vec<Evidence>,
    /// Criteria of completed tasks that the candidate touches, checked again on it, and do not
    /// hold; before [`Self::settle`], all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rechecked: Vec<Rechecked>,
    /// How many such criteria hold: in a large plan they are too many to list for each candidate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hold_again: u64,
    /// How many criteria of completed tasks it does not touch: they were not checked again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub untouched: u64,
}

/// A criterion of a completed task, checked again on a candidate that touches what it looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rechecked {
    /// Whose it is.
    pub task: TaskId,
    /// The phase of that task, as `1-foundation`, if it is an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What it came to.
    pub finding: Finding,
}

impl Rechecked {
    /// The task, for people, with its phase if that is another one.
    pub fn whose(&self) -> String {
        match &self.phase {
            Some(phase) => format!("{} of phase {phase}", self.task),
            None => self.task.to_string(),
        }
    }
}

impl Examination {
    /// Counts what was checked again and holds by evidence, instead of listing it.
    pub fn settle(&mut self) {
        let known: BTreeSet<&EvidenceId> =
            self.evidence.iter().map(|evidence| &evidence.id).collect();
        let before = self.rechecked.len();
        self.rechecked.retain(|rechecked| problem_of(&rechecked.finding, &known).is_some());
        self.hold_again += (before - self.rechecked.len()) as u64;
    }

    /// The verdict over `criteria`: pass only if there is at least one criterion, each has
    /// exactly one finding that passes, each finding names evidence that exists, and nothing that
    /// was checked again is other than it was.
    pub fn judge<'a>(&self, criteria: impl IntoIterator<Item = &'a CriterionId>) -> Judgement {
        let known: BTreeSet<&EvidenceId> =
            self.evidence.iter().map(|evidence| &evidence.id).collect();
        let mut findings: BTreeMap<&CriterionId, Vec<&Finding>> = BTreeMap::new();
        for finding in &self.findings {
            findings.entry(&finding.criterion).or_default().push(finding);
        }
        let mut judgement = Judgement { verdict: Verdict::Pass, unmet: Vec::new() };
        let mut checked = 0;
        for criterion in criteria {
            checked += 1;
            let problem = match findings.remove(criterion).as_deref() {
                None => Some((Verdict::Inconclusive, "no finding was given".to_owned())),
                Some([finding]) => problem_of(finding, &known),
                Some(_) => {
                    Some((Verdict::Inconclusive, "more than one finding was given".to_owned()))
                }
            };
            if let Some((verdict, note)) = problem {
                judgement.add(criterion.clone(), verdict, note);
            }
        }
        for criterion in findings.into_keys() {
            let note = "a finding for a criterion that was not asked about".to_owned();
            judgement.add(criterion.clone(), Verdict::Inconclusive, note);
        }
        for rechecked in &self.rechecked {
            if let Some((verdict, note)) = problem_of(&rechecked.finding, &known) {
                let what = match verdict {
                    Verdict::Fail => "regression: it breaks",
                    _ => "could not be checked again, of",
                };
                let note = format!("{what} {}: {note}", rechecked.whose());
                let breaks = Some(rechecked.task.clone());
                let criterion = rechecked.finding.criterion.clone();
                judgement.add_unmet(Unmet { criterion, verdict, note, breaks });
            }
        }
        if checked == 0 && judgement.unmet.is_empty() {
            judgement.verdict = Verdict::Inconclusive;
        }
        judgement
    }
}

fn problem_of(finding: &Finding, known: &BTreeSet<&EvidenceId>) -> Option<(Verdict, String)> {
    let unknown = finding.evidence.iter().find(|id| !known.contains(id));
    match (finding.verdict, unknown) {
        (_, Some(id)) => Some((
            Verdict::Inconclusive,
            format!("verdict rejected: it names evidence `{id}`, which the host did not record"),
        )),
        (Verdict::Pass, None) if finding.evidence.is_empty() => {
            Some((Verdict::Inconclusive, "verdict rejected: it passes without evidence".to_owned()))
        }
        (Verdict::Pass, None) => None,
        (verdict, None) => Some((verdict, finding.note.clone())),
    }
}

/// What the host makes of an examination.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Pass only if nothing is unmet and something was checked.
    pub verdict: Verdict,
    /// Each criterion that did not pass, and why.
    pub unmet: Vec<Unmet>,
}

/// A criterion that did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    /// Which.
    pub criterion: CriterionId,
    /// Fail or inconclusive.
    pub verdict: Verdict,
    /// The validator's note, or the host's reason for rejecting its finding.
    pub note: String,
    /// The completed task whose criterion it is, if it is not one of the candidate's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaks: Option<TaskId>,
}

impl Judgement {
    fn add(&mut self, criterion: CriterionId, verdict: Verdict, note: String) {
        self.add_unmet(Unmet { criterion, verdict, note, breaks: None });
    }

    fn add_unmet(&mut self, unmet: Unmet) {
        if self.verdict != Verdict::Fail {
            self.verdict = unmet.verdict;
        }
        self.unmet.push(unmet);
    }
}

/// What one path's reader saw of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// That nothing stood there.
    Absent,
    /// Its metadata, or that it exists.
    Metadata,
    /// Its content, or a link's target.
    Content,
    /// The names in a directory.
    Listing,
    /// Everything in a directory, however deep: a native command may have read all of it.
    Tree,
}

/// What the host recorded of one attempt at the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// Every path of the base that was looked at, and the most that was seen of it.
    pub reads: Vec<Read>,
    /// Every path that was changed; of an attempt that came to nothing: that it had changed.
    pub writes: Vec<String>,
    /// How many changed paths were left out because there were too many of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub writes_dropped: u64,
    /// Every refused request.
    pub denials: Vec<Denial>,
    /// How many denials were dropped because there were too many different ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denials_dropped: u64,
    /// Every limit that refused something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitReached>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// One path of a read set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Relative to the project's root; the root itself is the empty text.
    pub path: String,
    /// What was seen.
    pub seen: Seen,
}

impl AccessRecord {
    /// What was seen read one by one: without the whole tree that a command may have read.
    #[must_use]
    pub fn without_tree(&self) -> Self {
        let whole = |read: &&Read| read.seen == Seen::Tree && read.path.is_empty();
        let reads = self.reads.iter().filter(|read| !whole(read)).cloned().collect();
        Self { reads, ..Self::default() }
    }

    /// Whether nothing was read, written or refused.
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty()
            && self.writes.is_empty()
            && self.denials.is_empty()
            && self.limits.is_empty()
    }

    /// The first path of the read set that `changed` (paths that another task integrated
    /// since) made stale, and the changed path that did it: the path itself, an entry that
    /// a listing gained or lost, or something below a path that was absent.
    pub fn stale_read<'a, 'c>(&'a self, changed: &BTreeSet<&'c str>) -> Option<(&'a str, &'c str)> {
        self.reads.iter().find_map(|read| {
            let stale = |path: &&&str| match read.seen {
                _ if **path == read.path => true,
                Seen::Listing => parent(path) == read.path,
                Seen::Tree if read.path.is_empty() => true,
                Seen::Tree => {
                    path.strip_prefix(read.path.as_str()).is_some_and(|rest| rest.starts_with('/'))
                }
                Seen::Absent => {
                    path.strip_prefix(read.path.as_str()).is_some_and(|rest| rest.starts_with('/'))
                }
                Seen::Metadata | Seen::Content => false,
            };
            changed.iter().find(stale).map(|path| (read.path.as_str(), *path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CriterionId {
        CriterionId::new(text).unwrap()
    }

    fn finding(criterion: &str, verdict: Verdict, evidence: &[&str]) -> Finding {
        let evidence = evidence.iter().map(|id| EvidenceId::new(*id).unwrap()).collect();
        Finding { criterion: id(criterion), verdict, evidence, note: "said so".into() }
    }

    fn evidence(name: &str) -> Evidence {
        Evidence {
            id: EvidenceId::new(name).unwrap(),
            observed: Observed::Absent { path: "x".into() },
        }
    }

    fn judged(findings: Vec<Finding>, asked: &[&str]) -> Judgement {
        let asked: Vec<CriterionId> = asked.iter().map(|text| id(text)).collect();
        let evidence = vec![evidence("e1")];
        Examination { findings, evidence, ..Examination::default() }.judge(&asked)
    }

    #[test]
    fn what_breaks_a_completed_task_is_a_regression_that_names_it() {
        let examined = |verdict, evidence_of: &[&str]| {
            let finding_of = finding("P1-old.1", verdict, evidence_of);
            let task = TaskId::new("P1-old").unwrap();
            let rechecked = vec![Rechecked { task, phase: None, finding: finding_of }];
            let findings = vec![finding("a", Verdict::Pass, &["e1"])];
            let evidence = vec![evidence("e1")];
            let asked = [id("a")];
            let mut examination =
                Examination { findings, evidence, rechecked, ..Default::default() };
            let judged = examination.judge(&asked);
            examination.settle();
            assert_eq!(examination.judge(&asked), judged, "what is counted changes nothing");
            let held = u64::from(judged.verdict == Verdict::Pass);
            assert_eq!(examination.hold_again, held);
            judged
        };
        assert_eq!(examined(Verdict::Pass, &["e1"]).verdict, Verdict::Pass);
        let broken = examined(Verdict::Fail, &["e1"]);
        assert_eq!(broken.verdict, Verdict::Fail);
        assert_eq!(broken.unmet[0].breaks, Some(TaskId::new("P1-old").unwrap()));
        assert_eq!(broken.unmet[0].note, "regression: it breaks P1-old: said so");
        // What cannot be told is no pass, and no accusation.
        let open = examined(Verdict::Inconclusive, &[]);
        assert_eq!(open.verdict, Verdict::Inconclusive);
        assert!(open.unmet[0].note.starts_with("could not be checked again"), "{open:?}");
        assert_eq!(examined(Verdict::Pass, &[]).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn an_examination_of_an_older_journal_is_read() {
        let old = r#"{"findings":[],"evidence":[]}"#;
        let read: Examination = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }

    #[test]
    fn passes_with_evidence_for_each() {
        let judgement = judged(vec![finding("a", Verdict::Pass, &["e1"])], &["a"]);
        assert_eq!(judgement.verdict, Verdict::Pass);
    }

    #[test]
    fn zero_checks_never_pass() {
        assert_eq!(judged(vec![], &[]).verdict, Verdict::Inconclusive);
        assert_eq!(judged(vec![], &["a"]).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_pass_needs_recorded_evidence() {
        let none = judged(vec![finding("a", Verdict::Pass, &[])], &["a"]);
        assert!(none.unmet[0].note.contains("without evidence"), "{none:?}");
        let invented = judged(vec![finding("a", Verdict::Pass, &["e9"])], &["a"]);
        assert!(invented.unmet[0].note.contains("did not record"), "{invented:?}");
    }

    #[test]
    fn a_finding_too_many_is_not_a_pass() {
        let pass = || finding("a", Verdict::Pass, &["e1"]);
        assert_ne!(judged(vec![pass(), pass()], &["a"]).verdict, Verdict::Pass);
        let other = finding("b", Verdict::Pass, &["e1"]);
        assert_ne!(judged(vec![pass(), other], &["a"]).verdict, Verdict::Pass);
    }

    #[test]
    fn a_record_of_an_older_journal_is_read() {
        let old = r#"{"reads":[],"writes":["a"],"denials":[]}"#;
        let record: AccessRecord = serde_json::from_str(old).unwrap();
        assert_eq!(record, AccessRecord { writes: vec!["a".into()], ..AccessRecord::default() });
        assert_eq!(serde_json::to_string(&record).unwrap(), old, "it is written as it was");
    }

    /// Nobody could ask for a command then, and each was run for its criterion.
    #[test]
    fn a_command_of_an_older_journal_is_read() {
        let digest = Digest::of(b"");
        let old = format!(
            r#"{{"kind":"command","name":"test","definition":"{digest}","tree":"{digest}",{}"#,
            r#""ended":"exited with 0","exit":0,"tests":null,"walls":"all"}"#
        );
        let observed: Observed = serde_json::from_str(&old).unwrap();
        let Observed::Command(seen) = &observed else { panic!("{observed:?}") };
        assert!(seen.arguments.is_empty() && !seen.reused);
        assert_eq!(serde_json::to_string(&observed).unwrap(), old, "it is written as it was");
    }

    #[test]
    fn stale_reads_see_phantoms() {
        let record = AccessRecord {
            reads: vec![
                Read { path: "src".into(), seen: Seen::Listing },
                Read { path: "a.txt".into(), seen: Seen::Content },
                Read { path: "gone".into(), seen: Seen::Absent },
            ],
            ..AccessRecord::default()
        };
        let stale = |path: &str| {
            record.stale_read(&BTreeSet::from([path])).map(|(read, _)| read.to_owned())
        };
        assert_eq!(stale("src/new.rs").as_deref(), Some("src"));
        assert_eq!(stale("a.txt").as_deref(), Some("a.txt"));
        assert_eq!(stale("gone/deep").as_deref(), Some("gone"));
        assert_eq!(stale("src/deep/new.rs"), None);
        assert_eq!(stale("srcs/new.rs"), None);
        assert_eq!(stale("b.txt"), None);
        let tree = |path: &str, changed: &str| {
            let reads = vec![Read { path: path.into(), seen: Seen::Tree }];
            let record = AccessRecord { reads, ..AccessRecord::default() };
            record.stale_read(&BTreeSet::from([changed])).is_some()
        };
        assert!(tree("", "any/thing") && tree("src", "src/deep/a.rs") && tree("src", "src"));
        assert!(!tree("src", "srcs/a.rs"));
    }

    #[test]
    fn a_record_is_empty_only_without_reads_writes_and_denials() {
        let record = AccessRecord::default;
        assert!(record().is_empty());
        let read = Read { path: "a".into(), seen: Seen::Content };
        assert!(!AccessRecord { reads: vec![read], ..record() }.is_empty());
        assert!(!AccessRecord { writes: vec!["a".into()], ..record() }.is_empty());
        let denial = Denial {
            capability: crate::Capability::Read,
            path: "a".into(),
            operation: "open".into(),
            reason: crate::DenialReason::NotGranted,
            count: 1,
        };
        assert!(!AccessRecord { denials: vec![denial], ..record() }.is_empty());
    }

    #[test]
    fn how_many_denials_were_dropped_is_written_if_any_were() {
        let text = |n| {
            let record = AccessRecord { denials_dropped: n, ..AccessRecord::default() };
            serde_json::to_string(&record).unwrap()
        };
        assert!(!text(0).contains("denials_dropped"));
        assert!(text(3).contains(r#""denials_dropped":3"#));
    }
}
