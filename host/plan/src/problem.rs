//! Problems of a file, and the refusal that carries all of them.
//!
//! Invariant: a [`Refused`] has at least one problem, its problems are in order of
//! position, and nothing in it can steer a terminal.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// A range of bytes of the source.
pub(crate) type Span = Range<usize>;

/// Which kind of file a problem is in; the first half of a problem's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// A plan.
    Plan,
    /// `idumb.toml`.
    Config,
    /// A file of rules and a policy.
    Rules,
    /// A person's own settings.
    Settings,
}

impl Document {
    fn prefix(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Config => "config",
            Self::Rules => "rules",
            Self::Settings => "settings",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal,)*) => {
        /// What is wrong, as a word that stays the same from release to release.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word, such as `unknown-key`; the second half of a problem's code.
            pub fn slug(self) -> &'static str {
                match self {
                    $(Self::$name => $slug,)*
                }
            }
        }
    };
}

codes! {
    /// The file, or its front matter, is not TOML or YAML.
    Syntax = "syntax",
    /// A key that means nothing where it stands.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// One thing is said twice.
    GivenTwice = "given-twice",
    /// A value of another type than the key takes.
    WrongType = "wrong-type",
    /// A text, or a list, with nothing in it.
    EmptyText = "empty-text",
    /// A number that is too small or too large.
    OutOfRange = "out-of-range",
    /// A text that cannot be an identifier.
    BadId = "bad-id",
    /// Two things of the same name.
    DuplicateId = "duplicate-id",
    /// The file is for another phase than its folder.
    OtherPhase = "other-phase",
    /// A dependency on a task that the plan does not have.
    UnknownDependency = "unknown-dependency",
    /// A task, or a phase, that depends on itself.
    SelfDependency = "self-dependency",
    /// The same dependency, more than once.
    DuplicateDependency = "duplicate-dependency",
    /// Tasks that wait for each other.
    Cycle = "cycle",
    /// A plan without a task.
    NoTasks = "no-tasks",
    /// A task without a criterion.
    NoCriteria = "no-criteria",
    /// A path that is absolute, leaves the project, or is not spelled plainly.
    BadPath = "bad-path",
    /// A pattern of paths that is none.
    BadPattern = "bad-pattern",
    /// A pattern where one path must stand.
    PatternForPath = "pattern-for-path",
    /// A path that the task's `reads` and `writes` do not cover.
    OutsideGrants = "outside-grants",
    /// A protected name that only a wildcard covers.
    ProtectedPath = "protected-path",
    /// A step or criterion of no known kind.
    UnknownKind = "unknown-kind",
    /// A step or criterion of two kinds at once.
    SeveralKinds = "several-kinds",
    /// A regular expression that is none.
    BadRegex = "bad-regex",
    /// A least or first value above the largest.
    EmptyRange = "empty-range",
    /// A text that is not a digest.
    BadDigest = "bad-digest",
    /// A file format that is not known.
    UnknownFormat = "unknown-format",
    /// A text that is not a JSON pointer.
    BadPointer = "bad-pointer",
    /// A value that JSON does not have.
    NotJson = "not-json",
    /// A text that is not a duration, or none that can be waited for.
    BadDuration = "bad-duration",
    /// A text that is not an amount of memory.
    BadSize = "bad-size",
    /// A mode that is not known.
    UnknownMode = "unknown-mode",
    /// A role that is not known, or cannot be given away here.
    UnknownRole = "unknown-role",
    /// An agent that the file does not define.
    UnknownAgent = "unknown-agent",
    /// An agent in a role that it does not have.
    OtherRole = "other-role",
    /// The name of a built-in agent, for another one.
    ReservedName = "reserved-name",
    /// A checkpoint that is not known.
    UnknownCheckpoint = "unknown-checkpoint",
    /// A person is to decide, and no checkpoint says when.
    NoCheckpoint = "no-checkpoint",
    /// A kind of blocker that is not known.
    UnknownBlocker = "unknown-blocker",
    /// What a rule does in the end is not known.
    UnknownResort = "unknown-resort",
    /// A delay before further attempts, where there are none.
    NoRetry = "no-retry",
    /// What only a person can give, in a file of the project.
    WidensRights = "widens-rights",
    /// A file that is a plan in none of the dialects, or in another one than the rest.
    UnknownDialect = "unknown-dialect",
    /// A field of a Markdown plan that means nothing where it stands.
    UnknownField = "unknown-field",
    /// A field of a Markdown plan that must be there is not.
    MissingField = "missing-field",
    /// A text that belongs to no field, and would be lost.
    StrayText = "stray-text",
    /// A text that says too little.
    TooShort = "too-short",
    /// An element that means nothing where it stands.
    UnknownElement = "unknown-element",
    /// An element that is not closed, or closed without being open.
    Unclosed = "unclosed",
    /// A type of task or plan that is not known.
    UnknownType = "unknown-type",
    /// A wave that does not follow from the dependencies; a warning.
    OtherWave = "other-wave",
    /// The files of a plan differ from those of its tasks; a warning.
    OtherFiles = "other-files",
    /// A command that is not run; a warning.
    CommandNotRun = "command-not-run",
    /// What the plan does not carry on; a warning.
    NotCarried = "not-carried",
    /// A count that does not fit; a warning.
    OtherCount = "other-count",
    /// An agent that is not there, whose task the built-in builder takes; a warning.
    OtherAgent = "other-agent",
}

/// One thing wrong with a file: what, where, and what to do.
///
/// It carries no source: the [`Refused`] it belongs to does, for all of its problems.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    document: Document,
    severity: Severity,
    message: String,
    help: String,
    span: Span,
    labels: Vec<LabeledSpan>,
}

impl Problem {
    /// A problem at `span`. Give it a label and a help.
    pub(crate) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            document: Document::Plan,
            severity: Severity::Error,
            message: plain(&message.into()),
            help: String::new(),
            span,
            labels: Vec::new(),
        }
    }

    /// What to write at the place itself.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        let label = Some(plain(&label.into()));
        self.labels.push(LabeledSpan::new_primary_with_span(label, self.span.clone()));
        self
    }

    /// A further place that belongs to it.
    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.labels.push(LabeledSpan::new_with_span(Some(plain(&label.into())), span));
        self
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = plain(&help.into());
        self
    }

    /// What is wrong, as a stable word.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Where it is: a range of bytes of the source.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("{}::{}", self.document.prefix(), self.code.slug())))
    }

    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// A file that was not taken, with everything that is wrong with it.
///
/// Show it with [`render`](crate::render); its problems are also miette's `related`.
#[derive(Debug)]
pub struct Refused {
    document: Document,
    source: NamedSource<String>,
    problems: Vec<Problem>,
}

impl Refused {
    /// Everything wrong with the file, in order of position; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file, as the caller named it.
    pub fn file_name(&self) -> &str {
        self.source.name()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let s = if count == 1 { "" } else { "s" };
        write!(f, "{} is refused: {count} problem{s}", self.file_name())
    }
}

impl std::error::Error for Refused {}

impl Diagnostic for Refused {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!("{}::refused", self.document.prefix())))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

/// A file that was taken, with what its author should know all the same.
///
/// Show it with [`render_warned`](crate::render_warned); its warnings are also miette's
/// `related`.
#[derive(Debug)]
pub struct Warned {
    source: NamedSource<String>,
    warnings: Vec<Problem>,
}

impl Warned {
    /// The warnings, in order of position; never empty.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The file, as the caller named it.
    pub fn file_name(&self) -> &str {
        self.source.name()
    }
}

impl fmt::Display for Warned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.warnings.len();
        let s = if count == 1 { "" } else { "s" };
        write!(f, "{} is taken, with {count} warning{s}", self.file_name())
    }
}

impl std::error::Error for Warned {}

impl Diagnostic for Warned {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new("plan::warned"))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Warning)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.warnings.iter().map(|warning| warning as &dyn Diagnostic)))
    }
}

/// A plan that was not taken: every file of it that something is wrong with.
#[derive(Debug)]
pub struct RefusedPlan {
    files: Vec<Refused>,
}

impl RefusedPlan {
    /// Files that were refused; at least one.
    pub(crate) fn new(first: Refused, others: Vec<Refused>) -> Self {
        Self { files: std::iter::once(first).chain(others).collect() }
    }

    /// The files, in the order of the plan; never empty.
    pub fn files(&self) -> &[Refused] {
        &self.files
    }
}

impl fmt::Display for RefusedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.files.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for RefusedPlan {}

/// Proof that a problem was told: only [`Problems::refuse`] makes one, so that a value
/// can only be missing where the author of the file learns why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told(());

/// The problems found so far in one file.
pub(crate) struct Problems {
    document: Document,
    found: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(document: Document) -> Self {
        Self { document, found: Vec::new(), warnings: Vec::new() }
    }

    /// Takes note of a problem.
    pub(crate) fn refuse(&mut self, problem: Problem) -> Told {
        self.found.push(Problem { document: self.document, ..problem });
        Told(())
    }

    /// Takes note of what stands in nobody's way.
    pub(crate) fn warn(&mut self, problem: Problem) {
        let (document, severity) = (self.document, Severity::Warning);
        self.warnings.push(Problem { document, severity, ..problem });
    }

    /// The warnings, if there are any.
    pub(crate) fn warned(&mut self, source: &str, file_name: &str) -> Option<Warned> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if warnings.is_empty() {
            return None;
        }
        in_order(&mut warnings);
        let source = NamedSource::new(plain(file_name), same_length(source));
        Some(Warned { source, warnings })
    }

    /// What was read, if nothing was refused on the way.
    pub(crate) fn finish<T>(
        self,
        read: Result<T, Told>,
        source: &str,
        file_name: &str,
    ) -> Result<T, Refused> {
        match read {
            Ok(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.all(source, file_name)),
        }
    }

    /// Everything that was told, which is something.
    pub(crate) fn refused(self, _: Told, source: &str, file_name: &str) -> Refused {
        self.all(source, file_name)
    }

    fn all(mut self, source: &str, file_name: &str) -> Refused {
        in_order(&mut self.found);
        let source = NamedSource::new(plain(file_name), same_length(source));
        Refused { document: self.document, source, problems: self.found }
    }
}

fn in_order(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
}

/// Whether a terminal obeys `c`, or shows what follows it in another order.
fn steers(c: char) -> bool {
    let bidi = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    bidi || (c.is_control() && c != '\n' && c != '\t')
}

/// `text`, with what would steer a terminal written as an escape.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// `source`, with what would steer a terminal replaced by as many bytes, so that spans
/// still fit. The carriage return of a line's end stays.
fn same_length(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_line = c == '\r' && chars.peek() == Some(&'\n');
        match (steers(c) && !ends_line, c.len_utf8()) {
            (false, _) => out.push(c),
            (true, 1) => out.push('?'),
            (true, 2) => out.push('¿'),
            (true, _) => out.push('\u{fffd}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_kept() {
        let bad = "a\u{1b}[2J\rb\u{202e}c\u{9b}d\r\ne\u{061c}\u{7f}";
        assert_eq!(same_length(bad).len(), bad.len());
        assert_eq!(same_length(bad), "a?[2J?b\u{fffd}c¿d\r\ne¿?");
        assert_eq!(plain("a\u{1b}[2J"), "a\\u{1b}[2J");
    }

    #[test]
    fn codes_are_words_and_differ() {
        let mut slugs: Vec<&str> = Code::ALL.iter().map(|code| code.slug()).collect();
        assert!(slugs.iter().all(|slug| slug.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), Code::ALL.len());
    }
}
