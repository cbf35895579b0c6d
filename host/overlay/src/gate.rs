//! The gate: what the grants of a view say about a resolved path.
//!
//! Invariant: an answer depends on nothing but the grants and the path, so it is the same for
//! every operation, and whether or not anything stands there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use idumb_core::{Capability, Decision, DenialReason, Grants, PathGlob, is_protected};

use crate::base::STAGED;

/// How many answers are remembered; they are forgotten together when there are more.
const MEMO: usize = 1 << 15;

/// What a guest may know of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Nothing, not even whether something stands there.
    Hidden(DenialReason),
    /// That it is a directory, if it is one: something below it is granted.
    OnTheWay,
    /// Everything.
    Readable,
}

/// All that the gate says about one path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leave {
    pub(crate) sight: Sight,
    /// Why it may not be seen and read whole; `None`: it may.
    pub(crate) no_read: Option<DenialReason>,
    /// Why it may not be created, changed, moved or deleted; `None`: it may.
    pub(crate) no_write: Option<DenialReason>,
    /// Why no directory may be made or removed there; `None`: one may, since the path or
    /// something below it may be written.
    pub(crate) no_dir: Option<DenialReason>,
}

#[derive(Debug)]
pub(crate) struct Gate {
    grants: Grants,
    /// Whether everything within the root is granted, as in a plain preopened directory.
    plain: bool,
    memo: Mutex<HashMap<Box<str>, Leave>>,
}

impl Gate {
    pub(crate) fn new(grants: Grants) -> Self {
        Self { grants, plain: false, memo: Mutex::default() }
    }

    /// A gate for a directory that was given away as a whole: no name in it is protected, and a
    /// link may be made whatever it says. Where links lead is for resolving to decide, as ever.
    pub(crate) fn plain() -> Self {
        Self { plain: true, ..Self::new(Grants::default()) }
    }

    /// Whether the directory was given away as a whole.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// What is allowed at `path`: resolved, relative, no dots; the root is the empty text.
    pub(crate) fn leave(&self, path: &str) -> Leave {
        if self.plain && !path.starts_with(STAGED) {
            return Leave { sight: Sight::Readable, no_read: None, no_write: None, no_dir: None };
        }
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leave) = memo.get(path) {
            return *leave;
        }
        let leave = self.judge(path);
        if memo.len() >= MEMO {
            memo.clear();
        }
        memo.insert(path.into(), leave);
        leave
    }

    fn judge(&self, path: &str) -> Leave {
        if path.is_empty() {
            let no = Some(DenialReason::NotGranted);
            // The root is always there; it changes (its times do) where something in it may.
            let no_dir = no.filter(|_| !self.leads_on(Capability::Write, path, false));
            return Leave { sight: Sight::OnTheWay, no_read: no, no_write: no, no_dir };
        }
        if path.starts_with(STAGED) {
            let reason = DenialReason::Protected;
            let no = Some(reason);
            return Leave { sight: Sight::Hidden(reason), no_read: no, no_write: no, no_dir: no };
        }
        let guarded = is_guarded(path);
        let no_write = self.refusal(Capability::Write, path, guarded);
        let no_read = self.refusal(Capability::Read, path, guarded);
        let sight = match no_read {
            None => Sight::Readable,
            Some(DenialReason::Never) => Sight::Hidden(DenialReason::Never),
            Some(_) if self.leads_on(Capability::Read, path, guarded) => Sight::OnTheWay,
            Some(reason) => Sight::Hidden(reason),
        };
        // What a policy gives to nobody leads nowhere.
        let no_dir = no_write.filter(|reason| {
            *reason == DenialReason::Never || !self.leads_on(Capability::Write, path, guarded)
        });
        Leave { sight, no_read, no_write, no_dir }
    }

    fn refusal(&self, capability: Capability, path: &str, guarded: bool) -> Option<DenialReason> {
        match self.grants.allows(capability, path) {
            Decision::Allow if guarded && !self.names(capability, path) => {
                Some(DenialReason::Protected)
            }
            Decision::Allow => None,
            Decision::NotGranted => Some(DenialReason::NotGranted),
            Decision::Protected => Some(DenialReason::Protected),
            Decision::Never => Some(DenialReason::Never),
            Decision::BeyondCeiling => Some(DenialReason::BeyondCeiling),
        }
    }

    /// Whether a grant names exactly this path.
    fn names(&self, capability: Capability, path: &str) -> bool {
        self.grants.of(capability).any(|glob| glob.as_literal() == Some(path))
    }

    /// Whether something below `dir` is granted, and within the agent's ceiling. A wildcard of a
    /// grant leads nowhere below a guarded name; one of a ceiling does, since it only bounds.
    fn leads_on(&self, capability: Capability, dir: &str, guarded: bool) -> bool {
        let leads = |glob: &PathGlob| {
            let named = glob.as_literal().is_some();
            (named || !guarded) && glob.may_match_below(dir)
        };
        let declared = |glob: &PathGlob| self.grants.is_declared_below(capability, glob, dir);
        self.grants.of(capability).any(|glob| leads(glob) && declared(glob))
    }
}

/// Whether `path`, or a directory above it, is protected, under any spelling that a file system
/// which folds names could take for the same.
fn is_guarded(path: &str) -> bool {
    let folded = (!path.is_ascii()).then(|| fold(path));
    let path = folded.as_deref().unwrap_or(path);
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| &path[..end]).any(is_protected)
}

/// Undoes what case-insensitive and normalising file systems ignore: characters without a shape
/// (Default_Ignorable_Code_Point of Unicode), letters whose other case is ASCII, and letters that
/// full case folding takes for several of ASCII.
fn fold(path: &str) -> String {
    let shapeless = |c: char| {
        matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    };
    let letter = |c: char| match c {
        'ſ' => 's',
        'ı' | 'İ' => 'i',
        '\u{212a}' => 'k',
        // Fullwidth forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from((c as u32 - 0xff01 + 0x21) as u8),
        other => other,
    };
    let mut folded = String::with_capacity(path.len());
    for c in path.chars().filter(|c| !shapeless(*c)) {
        match c {
            'ß' | 'ẞ' => folded.push_str("ss"),
            'ﬀ' => folded.push_str("ff"),
            'ﬁ' => folded.push_str("fi"),
            'ﬂ' => folded.push_str("fl"),
            'ﬃ' => folded.push_str("ffi"),
            'ﬄ' => folded.push_str("ffl"),
            'ﬅ' | 'ﬆ' => folded.push_str("st"),
            other => folded.push(letter(other)),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use idumb_core::Bounds;

    use super::*;

    fn gate(reads: &[&str], writes: &[&str]) -> Gate {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Gate::new(Grants { reads: globs(reads), writes: globs(writes), ..Grants::default() })
    }

    #[test]
    fn sight_by_table() {
        use DenialReason::{NotGranted, Protected};
        use Sight::{Hidden, OnTheWay, Readable};
        let some = gate(&["src/api/*.rs", ".git/HEAD"], &[]);
        let all = gate(&["**"], &[]);
        let none = gate(&[], &[]);
        let one = gate(&["**", "idumb.toml/a"], &[]);
        let table = [
            (&some, "", OnTheWay),
            (&some, "src", OnTheWay),
            (&some, "src/api", OnTheWay),
            (&some, "src/api/a.rs", Readable),
            (&some, "src/api/a.txt", Hidden(NotGranted)),
            (&some, "src/api/deep", Hidden(NotGranted)),
            (&some, "docs", Hidden(NotGranted)),
            (&some, ".git", OnTheWay),
            (&some, ".git/HEAD", Readable),
            (&some, ".git/config", Hidden(NotGranted)),
            (&all, "src", Readable),
            (&all, ".git", Hidden(Protected)),
            (&all, ".git/HEAD", Hidden(Protected)),
            (&all, "vendor/.git/HEAD", Hidden(Protected)),
            (&all, ".GIT/HEAD", Hidden(Protected)),
            (&all, ".g\u{200c}it/HEAD", Hidden(Protected)),
            (&all, ".gıt/HEAD", Hidden(Protected)),
            (&all, ".\u{17f}sh/id", Hidden(Protected)),
            (&all, ".ßh/id", Hidden(Protected)),
            (&all, ".\u{1e9e}H/id", Hidden(Protected)),
            (&all, ".github/work\u{fb02}ows/ci.yml", Hidden(Protected)),
            (&all, ".g\u{3164}it/HEAD", Hidden(Protected)),
            (&all, ".en\u{1160}v", Hidden(Protected)),
            (&all, ".env", Hidden(Protected)),
            (&all, ".env.d/secret", Hidden(Protected)),
            (&all, ".idumb-staged-x", Hidden(Protected)),
            (&all, "größe.txt", Readable),
            (&one, "idumb.toml", OnTheWay),
            (&one, "idumb.toml/a", Readable),
            (&one, "idumb.toml/b", Hidden(Protected)),
            (&none, "", OnTheWay),
            (&none, "a", Hidden(NotGranted)),
        ];
        for (gate, path, expected) in table {
            assert_eq!(gate.leave(path).sight, expected, "{path:?}");
            assert_eq!(gate.leave(path).sight, expected, "{path:?} from memory");
        }
    }

    /// A gate for these grants, and this ceiling.
    fn under(
        (most_reads, most_writes): (&[&str], &[&str]),
        (reads, writes): (&[&str], &[&str]),
    ) -> Gate {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let ceiling = Some(Bounds { reads: globs(most_reads), writes: globs(most_writes) });
        let never = globs(&["src/never/**", "docs/gone"]);
        Gate::new(Grants { reads: globs(reads), writes: globs(writes), never, ceiling })
    }

    #[test]
    fn a_ceiling_bounds_sight_by_table() {
        use DenialReason::{BeyondCeiling, Never, NotGranted, Protected};
        use Sight::{Hidden, OnTheWay, Readable};
        let all = under((&["src/api/*.rs", ".env*"], &["docs/**"]), (&["**"], &["**"]));
        let named = under((&["**/*.rs"], &[]), (&["src/a.rs", ".git/HEAD", "x/b.txt"], &[]));
        let apart = under((&["src/a/**"], &[]), (&["src/b/**"], &[]));
        let nothing = under((&[], &[]), (&["**"], &["**"]));
        let table = [
            (&all, "", OnTheWay),
            (&all, "src", OnTheWay),
            (&all, "src/api", OnTheWay),
            (&all, "src/api/a.rs", Readable),
            (&all, "src/api/a.txt", Hidden(BeyondCeiling)),
            (&all, "src/api/deep", Hidden(BeyondCeiling)),
            (&all, "src/other", Hidden(BeyondCeiling)),
            (&all, "src/never", Hidden(Never)),
            (&all, "docs/gone", Hidden(Never)),
            (&all, "docs/gone/a", Hidden(Never)),
            (&all, "tests", Hidden(BeyondCeiling)),
            (&all, "docs", Readable),
            (&all, "docs/a.md", Readable),
            (&all, ".env", Hidden(Protected)),
            (&all, ".git", Hidden(BeyondCeiling)),
            (&named, "src", OnTheWay),
            (&named, "src/a.rs", Readable),
            (&named, "src/b.rs", Hidden(NotGranted)),
            (&named, "x", Hidden(BeyondCeiling)),
            (&named, "x/b.txt", Hidden(BeyondCeiling)),
            (&named, ".git", Hidden(BeyondCeiling)),
            (&apart, "src", Hidden(BeyondCeiling)),
            (&apart, "src/a", Hidden(NotGranted)),
            (&apart, "src/b", Hidden(BeyondCeiling)),
            (&nothing, "", OnTheWay),
            (&nothing, "a", Hidden(BeyondCeiling)),
        ];
        for (gate, path, expected) in table {
            assert_eq!(gate.leave(path).sight, expected, "{path:?}");
        }
    }

    #[test]
    fn a_ceiling_bounds_writing_by_table() {
        let all = under((&["**"], &["docs/gen/*.md", ".github/**"]), (&[], &["**"]));
        let named = under((&[], &["**"]), (&[], &[".github/workflows/ci.yml"]));
        let apart = under((&["**"], &["docs/**"]), (&["docs/**"], &["src/**"]));
        let table = [
            (&all, "", true, false),
            (&all, "docs", true, false),
            (&all, "docs/gen", true, false),
            (&all, "docs/gen/a.md", true, true),
            (&all, "docs/gen/a.rs", false, false),
            (&all, "docs/other", false, false),
            (&all, "src", false, false),
            (&all, ".github/workflows/ci.yml", false, false),
            (&named, ".github", true, false),
            (&named, ".github/workflows/ci.yml", true, true),
            (&apart, "", false, false),
            (&apart, "src", false, false),
            (&apart, "docs", false, false),
        ];
        for (gate, path, dir, write) in table {
            let leave = gate.leave(path);
            assert_eq!((leave.no_dir.is_none(), leave.no_write.is_none()), (dir, write), "{path}");
        }
    }

    #[test]
    fn directories_on_the_way_to_what_may_be_written_may_be_made() {
        let gate = gate(&["**"], &["src/gen/*.rs", ".github/workflows/ci.yml"]);
        let table = [
            ("src", true, false),
            ("src/gen", true, false),
            ("src/gen/a.rs", true, true),
            ("src/other", false, false),
            (".github", true, false),
            (".github/workflows", true, false),
            (".github/workflows/ci.yml", true, true),
            (".github/workflows/other.yml", false, false),
            (".git", false, false),
        ];
        for (path, dir, write) in table {
            let leave = gate.leave(path);
            assert_eq!((leave.no_dir.is_none(), leave.no_write.is_none()), (dir, write), "{path}");
        }
    }
}
