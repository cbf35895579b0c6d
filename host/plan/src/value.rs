//! Values with a meaning beyond their TOML type: names, paths, patterns, durations.
//!
//! Invariant: what these give was checked by the type or library that will use it.

use std::time::Duration;

use idumb_core::{Capability, Decision, Digest, GlobError, Grants, PathGlob};
use jiff::fmt::friendly::SpanParser;

use crate::problem::{Code, Problem, Span, Told};
use crate::reading::{Item, Reading, every};

/// The longest an attempt may take: 30 days. Longer is a slip, and sums of such times
/// must not overflow.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const TIMES: &str = "write a time such as `90s`, `10m` or `1h 30m`; at most `720h`";
const DELAYS: &str = "write a time such as `500ms` or `2s`, or `0s` for none; at most `720h`";

impl Reading<'_> {
    /// Refuses a value with a message, a label and a help.
    pub(crate) fn refuse_value(
        &mut self,
        code: Code,
        item: &Item<'_>,
        message: impl Into<String>,
        label: &str,
        help: impl Into<String>,
    ) -> Told {
        let span = self.first_line(item);
        self.refuse(Problem::new(code, span, message).label(label).help(help))
    }

    /// An identifier of the type `T`.
    pub(crate) fn id<T: TryFrom<String>>(&mut self, item: &Item<'_>) -> Result<T, Told> {
        let text = self.text(item)?;
        T::try_from(text.to_owned()).map_err(|_| self.bad_id(self.first_line(item), text))
    }

    /// Refuses a text as an identifier.
    pub(crate) fn bad_id(&mut self, span: Span, text: &str) -> Told {
        let message = match text {
            "" => "an identifier is empty".to_owned(),
            text => format!("`{text}` is not an identifier"),
        };
        let help =
            "use 1 to 64 letters (a-z), digits, `-`, `_` or `.`, starting with a letter or digit";
        self.refuse(Problem::new(Code::BadId, span, message).label("not an identifier").help(help))
    }

    /// A list of patterns of paths.
    pub(crate) fn patterns(&mut self, item: &Item<'_>) -> Result<Vec<PathGlob>, Told> {
        let items = self.list(item)?;
        every(&items, |item| self.pattern(item))
    }

    /// A pattern of paths.
    pub(crate) fn pattern(&mut self, item: &Item<'_>) -> Result<PathGlob, Told> {
        let text = self.text(item)?;
        text.parse().map_err(|error| self.bad_glob(item, text, error))
    }

    /// Refuses what `PathGlob` refused.
    fn bad_glob(&mut self, item: &Item<'_>, text: &str, error: GlobError) -> Told {
        match error {
            GlobError::Empty => self.refuse_value(
                Code::BadPath,
                item,
                format!("{} is empty", item.name),
                "nothing here",
                "name a path from the project's root; `**` means everything",
            ),
            GlobError::Absolute(_) => self.refuse_value(
                Code::BadPath,
                item,
                format!("`{text}` is absolute, or has a `\\` or `:`"),
                "not a path of the project",
                "name the path from the project's root, with `/` between names: `src/main.rs`",
            ),
            GlobError::Dots(_) => {
                let help = match plainly(text) {
                    Some(path) => format!("write `{path}`"),
                    None => "nothing outside of the project can be named here".to_owned(),
                };
                let message = format!("`{text}` has an empty, `.` or `..` component");
                self.refuse_value(Code::BadPath, item, message, "not spelled plainly", help)
            }
            GlobError::Syntax(_, why) => self.refuse_value(
                Code::BadPattern,
                item,
                format!("`{text}` is not a pattern of paths: {why}"),
                "not a pattern",
                "`*` and `?` match within a name, `[ab]` one letter, `**` any number of whole names",
            ),
        }
    }

    /// One path, which a file may have or come to have.
    pub(crate) fn path<'t>(&mut self, item: &Item<'t>) -> Result<&'t str, Told> {
        let text = self.text(item)?;
        if text.contains(['*', '?']) {
            return Err(self.pattern_for_path(item, text, "name each path on its own"));
        }
        if text.chars().any(char::is_control) {
            let message = format!("{} has a control character", item.name);
            let help = "name the path with visible characters";
            return Err(self.refuse_value(Code::BadPath, item, message, "not a path", help));
        }
        match text.parse::<PathGlob>() {
            // The first thing wrong is told, and dots may come after it.
            Err(GlobError::Syntax(..))
                if text.split('/').any(|name| matches!(name, "" | "." | "..")) =>
            {
                Err(self.bad_glob(item, text, GlobError::Dots(text.to_owned())))
            }
            // Brackets and braces are odd in names, but some frameworks want them there.
            Ok(_) | Err(GlobError::Syntax(..)) => Ok(text),
            Err(error) => Err(self.bad_glob(item, text, error)),
        }
    }

    /// One path that is also a pattern for just that path.
    pub(crate) fn literal(&mut self, item: &Item<'_>) -> Result<PathGlob, Told> {
        let text = self.path(item)?;
        match text.parse::<PathGlob>() {
            Ok(glob) if glob.as_literal().is_some() => Ok(glob),
            _ => {
                let help = "a path with `[`, `]`, `{` or `}` in it cannot be checked: \
                            rename the file, or check one that refers to it";
                Err(self.pattern_for_path(item, text, help))
            }
        }
    }

    fn pattern_for_path(&mut self, item: &Item<'_>, text: &str, help: &str) -> Told {
        let message = format!("{} takes one path, and `{text}` is a pattern", item.name);
        self.refuse_value(Code::PatternForPath, item, message, "a pattern", help)
    }

    /// Refuses a path that `grants` do not give; without grants, asks nothing.
    pub(crate) fn within(
        &mut self,
        item: &Item<'_>,
        path: &str,
        capability: Capability,
        grants: Option<&Grants>,
    ) -> Result<(), Told> {
        let (key, does) = match capability {
            Capability::Read => ("reads", "read"),
            Capability::Write => ("writes", "write"),
        };
        let decision = grants.map_or(Decision::Allow, |grants| grants.allows(capability, path));
        match decision {
            Decision::Allow => Ok(()),
            Decision::Protected => Err(self.refuse_value(
                Code::ProtectedPath,
                item,
                format!("`{path}` is protected: a wildcard does not reach it"),
                &format!("not named in `{key}`"),
                format!("if the task is to {does} it, name it exactly: `{key} = [\"{path}\"]`"),
            )),
            // A task's own grants have no `never`, which is for policies, and no ceiling, which is
            // for agents.
            Decision::NotGranted | Decision::Never | Decision::BeyondCeiling => Err(self
                .refuse_value(
                    Code::OutsideGrants,
                    item,
                    format!("the task may not {does} `{path}`"),
                    &format!("not in its `{key}`"),
                    format!("add it: `{key} = [\"{path}\"]`"),
                )),
        }
    }

    /// How long something may take.
    pub(crate) fn duration(&mut self, item: &Item<'_>) -> Result<Duration, Told> {
        let time = self.time(item, TIMES)?;
        if !time.is_zero() {
            return Ok(time);
        }
        let message = format!("{} is no time at all", item.name);
        Err(self.refuse_value(Code::BadDuration, item, message, "not a duration", TIMES))
    }

    /// How long to wait at first before a further attempt; `0s`: not at all.
    pub(crate) fn delay(&mut self, item: &Item<'_>) -> Result<Duration, Told> {
        let time = self.time(item, DELAYS)?;
        self.whole_milliseconds(item, time)
    }

    /// How long to wait at most before a further attempt.
    pub(crate) fn longest_delay(&mut self, item: &Item<'_>) -> Result<Duration, Told> {
        let time = self.duration(item)?;
        self.whole_milliseconds(item, time)
    }

    /// Delays are counted in milliseconds; a part of one would be lost.
    fn whole_milliseconds(&mut self, item: &Item<'_>, time: Duration) -> Result<Duration, Told> {
        if time.subsec_nanos().is_multiple_of(1_000_000) {
            return Ok(time);
        }
        let message = format!("{} has a part of a millisecond", item.name);
        let help = "delays are whole milliseconds: write `1ms` or more";
        Err(self.refuse_value(Code::BadDuration, item, message, "too fine", help))
    }

    /// A time of any length up to the longest; `help` says what to write.
    fn time(&mut self, item: &Item<'_>, help: &str) -> Result<Duration, Told> {
        let Some(text) = item.as_text() else {
            return Err(self.wrong_type(
                item,
                "a time",
                "a time with its unit, in quotes: `\"10m\"`",
            ));
        };
        let refuse = |reading: &mut Self, message: String| {
            Err(reading.refuse_value(Code::BadDuration, item, message, "not a duration", help))
        };
        match SpanParser::new().parse_unsigned_duration(text) {
            Ok(time) if time > LONGEST => refuse(self, format!("{} is too long", item.name)),
            Ok(time) => Ok(time),
            Err(_) => refuse(self, format!("{} is not a duration", item.name)),
        }
    }

    /// A regular expression, as criteria and links use it.
    pub(crate) fn regex<'t>(&mut self, item: &Item<'t>) -> Result<&'t str, Told> {
        let text = self.sought(item)?;
        let built = regex::bytes::RegexBuilder::new(text).multi_line(true).build();
        built.map(|_| text).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("{} is not a regular expression: {why}", item.name);
            let help = "the syntax is that of Rust's `regex`; `'…'` keeps backslashes as they are";
            self.refuse_value(Code::BadRegex, item, message, "not a regular expression", help)
        })
    }

    /// The digest of a component.
    pub(crate) fn digest(&mut self, item: &Item<'_>) -> Result<Digest, Told> {
        let text = self.text(item)?;
        let digest = text.starts_with("blake3:").then(|| text.parse().ok()).flatten();
        digest.ok_or_else(|| {
            let message = format!("{} is not a digest", item.name);
            let help = "write `blake3:` and 64 hex digits, as `b3sum` prints them";
            self.refuse_value(Code::BadDigest, item, message, "not a digest", help)
        })
    }
}

/// `text` without empty and `.` components, if there is no `..` in it.
fn plainly(text: &str) -> Option<String> {
    let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    let plain = !names.is_empty() && !names.contains(&"..");
    plain.then(|| names.join("/"))
}
