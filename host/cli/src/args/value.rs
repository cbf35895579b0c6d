//! Values of the command line that are more than a word.
//!
//! Invariant: what cannot be taken is refused with how to write it.

use std::path::PathBuf;
use std::time::Duration;

use idumb_core::Digest;

/// A report in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportArg {
    Junit(PathBuf),
    Markdown(PathBuf),
}

pub(super) fn report(text: &str) -> Result<ReportArg, String> {
    match text.split_once('=') {
        Some(("junit", path)) if !path.is_empty() => Ok(ReportArg::Junit(path.into())),
        Some(("md", path)) if !path.is_empty() => Ok(ReportArg::Markdown(path.into())),
        _ => Err("write it like `junit=report.xml` or `md=report.md`".to_owned()),
    }
}

/// An agent that is allowed what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantArg {
    pub(crate) agent: String,
    /// The only component that is meant, if given.
    pub(crate) digest: Option<Digest>,
}

pub(super) fn grant(text: &str) -> Result<GrantArg, String> {
    let how = "write it like `writer` or `writer=blake3:…`, with the whole digest";
    let (agent, digest) = match text.split_once('=') {
        Some((agent, digest)) => (agent, Some(digest.parse().map_err(|_| how.to_owned())?)),
        None => (text, None),
    };
    match agent {
        "" => Err(how.to_owned()),
        agent => Ok(GrantArg { agent: agent.to_owned(), digest }),
    }
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    idumb_plan::bytes(text).ok_or_else(|| {
        format!(
            "`{text}` is no amount of memory: write `256MiB` (or KiB, GiB), or a number of bytes"
        )
    })
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| {
        format!("`{text}` is not a duration: write it like `90s`, `10m` or `1h 30m`")
    })?;
    match Duration::try_from(parsed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a timeout must be longer than nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_names_an_agent_and_perhaps_its_component() {
        let digest = Digest::of(b"it");
        let named = |digest| Ok(GrantArg { agent: "writer".into(), digest });
        assert_eq!(grant("writer"), named(None));
        assert_eq!(grant(&format!("writer={digest}")), named(Some(digest)));
        for text in ["", "=", "writer=", "writer=blake3:12", &format!("={digest}")] {
            assert!(grant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("0s").is_err());
        assert!(duration("ten").is_err());
        assert!(duration("-5m").is_err());
    }
}
