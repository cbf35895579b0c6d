//! The limits of one attempt at the files, and how often each refused something.
//!
//! Invariant: what is said of a limit names its value, in its unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which limit of an attempt was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Bytes of all files in the upper together.
    Bytes,
    /// Files, directories and links in the upper, and further names of them.
    Files,
    /// Files open at once.
    OpenFiles,
    /// Names in a path.
    Depth,
    /// Entries of all listings that are held, and of one directory that is renamed.
    Listing,
    /// Bytes of one name.
    NameLength,
    /// Bytes of one path, or of a link's target.
    PathLength,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 7] = [
        Self::Bytes,
        Self::Files,
        Self::OpenFiles,
        Self::Depth,
        Self::Listing,
        Self::NameLength,
        Self::PathLength,
    ];
}

/// A limit that refused something, and how often.
///
/// ```
/// use idumb_core::{Limit, LimitReached};
/// let reached = LimitReached { limit: Limit::Bytes, most: 1 << 30, count: 3 };
/// assert_eq!(reached.to_string(), "1 GiB of files written: refused 3 times");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReached {
    /// Which.
    pub limit: Limit,
    /// The most that it allows, in the limit's unit.
    pub most: u64,
    /// How many requests it refused.
    pub count: u64,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.most;
        match self.limit {
            Limit::Bytes => write!(f, "{} of files written", bytes_text(most))?,
            Limit::Files => write!(f, "{most} files, directories and links made")?,
            Limit::OpenFiles => write!(f, "{most} files open at once")?,
            Limit::Depth => write!(f, "{most} names in a path")?,
            Limit::Listing => write!(f, "{most} names in a directory that is listed or renamed")?,
            Limit::NameLength => write!(f, "{most} bytes in a name")?,
            Limit::PathLength => write!(f, "{most} bytes in a path")?,
        }
        match self.count {
            1 => f.write_str(": refused once"),
            2 => f.write_str(": refused twice"),
            count => write!(f, ": refused {count} times"),
        }
    }
}

/// `1 GiB`, where it comes out even; else `1000 bytes`.
fn bytes_text(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let even = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.iter().find(even) {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_what_refused_and_how_often() {
        let said = |limit, most, count| LimitReached { limit, most, count }.to_string();
        assert_eq!(said(Limit::Bytes, 1000, 1), "1000 bytes of files written: refused once");
        assert_eq!(said(Limit::Bytes, 3 << 20, 2), "3 MiB of files written: refused twice");
        assert_eq!(said(Limit::Depth, 64, 9), "64 names in a path: refused 9 times");
    }
}
