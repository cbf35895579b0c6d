//! How a sequence ends: sealed, looked at as a candidate, and integrated.
//!
//! Invariant: what a change-set names, and what integrating it changes, may be written; nothing
//! outside the project changes, and before integration nothing at all.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use idumb_core::{Blobs, Change, ChangeSet, Digest, Entry};

use super::guest::Guest;
use super::overlay::{
    Base, IntegrateError, Kind, OpenFlags, Opened, ReadView, SealError, integrate,
};
use super::world::World;

struct Kept(PathBuf);

impl Blobs for Kept {
    fn open(&self, digest: Digest) -> io::Result<fs::File> {
        fs::File::open(self.0.join(digest.to_hex()))
    }

    fn keep(&self, content: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let digest = Digest::of(&bytes);
        fs::write(self.0.join(digest.to_hex()), &bytes)?;
        Ok((digest, bytes.len() as u64))
    }
}

fn only_dirs(change: &Change) -> bool {
    let is_dir = |side: &Option<Entry>| matches!(side, None | Some(Entry::Dir));
    is_dir(&change.before) && is_dir(&change.after)
}

/// Whether a link's target leads above the project from where it stands, whatever is on the way.
fn leads_out(path: &str, target: &str) -> bool {
    let ups = target.split('/').filter(|part| *part == "..").count();
    target.starts_with('/') || ups > path.matches('/').count()
}

/// Seals the view and integrates it; `disturbed`: somebody else has been at the project.
pub(super) fn end(mut guest: Guest<'_>, world: &World, base: &Base, disturbed: bool) {
    let kept = Arc::new(Kept(world.beside("blobs")));
    fs::create_dir(&kept.0).unwrap();
    let sealed = match guest.view.clone().seal(&*kept) {
        Ok(sealed) => sealed,
        Err(error) => {
            world.assert_untouched("sealing");
            // A link was moved in a directory; or somebody else changed what was worked on.
            assert!(disturbed || matches!(error, SealError::Escapes(_)), "{error}");
            guest.tally.add("not sealed", 1);
            return;
        }
    };
    world.assert_untouched("sealing");
    check_change_set(&mut guest, world, &sealed.change_set, &kept);
    look_at_candidate(&mut guest, world, base, &sealed.change_set, &kept);
    world.assert_untouched("looking at the candidate");

    let before = world.content();
    let staging = world.beside("staging");
    let result = integrate(base, &sealed.change_set, &*kept, &staging);
    let after = world.content();
    let mut changed = BTreeSet::new();
    for path in before.keys().chain(after.keys()) {
        if before.get(path) != after.get(path) {
            let inside = path.strip_prefix("project").map(|path| path.to_str().unwrap());
            changed.insert(inside.unwrap_or_else(|_| panic!("changed outside: {path:?}")));
        }
    }
    match result {
        Ok(_) => guest.tally.add("integrated", 1),
        Err(IntegrateError::Conflict(_)) if disturbed => {
            assert!(changed.is_empty(), "changed in spite of a conflict: {changed:?}");
            guest.tally.add("in conflict", 1);
        }
        Err(error) => panic!("not integrated: {error}"),
    }
    for path in changed {
        let change = sealed.change_set.changes.iter().find(|change| change.path == path);
        let change = change.unwrap_or_else(|| panic!("changed, and not in the set: {path:?}"));
        let leave = guest.oracle.may_write(path)
            || (only_dirs(change) && guest.oracle.may_change_dir(path));
        assert!(leave, "changed without leave: {change:?}");
        guest.tally.add("paths changed", 1);
    }
}

fn check_change_set(guest: &mut Guest<'_>, world: &World, change_set: &ChangeSet, kept: &Kept) {
    for change in &change_set.changes {
        let path = change.path.as_str();
        let leave = guest.oracle.may_write(path)
            || (only_dirs(change) && guest.oracle.may_change_dir(path));
        assert!(leave, "in the change-set: {change:?}");
        match &change.after {
            Some(Entry::File { digest, .. }) => {
                let mut bytes = Vec::new();
                kept.open(*digest).unwrap().read_to_end(&mut bytes).unwrap();
                guest.check_bytes(world, &bytes);
            }
            Some(Entry::Symlink { target }) => {
                assert!(!leads_out(path, target), "a link out: {change:?}");
            }
            Some(Entry::Dir) | None => {}
        }
        guest.tally.add("changes sealed", 1);
    }
}

/// Walks all of the candidate through the same grants.
fn look_at_candidate(
    guest: &mut Guest<'_>,
    world: &World,
    base: &Base,
    change_set: &ChangeSet,
    kept: &Arc<Kept>,
) {
    let blobs: Arc<dyn Blobs> = Arc::clone(kept) as Arc<dyn Blobs>;
    let candidate = ReadView::of_candidate(base, change_set, blobs, guest.oracle.grants());
    // Where a directory was taken away meanwhile, the change-set does not fit.
    let Ok(candidate) = candidate else {
        return;
    };
    let mut left = vec![(candidate.root(), String::new())];
    while let Some((node, dir)) = left.pop() {
        for entry in candidate.read_dir(node).into_iter().flatten() {
            let path =
                if dir.is_empty() { entry.name.clone() } else { dir.clone() + "/" + &entry.name };
            assert!(guest.oracle.may_know(&path, entry.kind), "listed in the candidate: {path:?}");
            match candidate.open(node, &entry.name, true, OpenFlags::READ) {
                Ok(Opened::Dir(node)) if entry.kind == Kind::Dir => left.push((node, path)),
                Ok(Opened::File(file)) => {
                    let mut bytes = vec![0; 4096];
                    let n = file.read_at(&mut bytes, 0).unwrap();
                    guest.check_bytes(world, &bytes[..n]);
                    guest.tally.add("files of candidates read", 1);
                }
                _ => {}
            }
        }
    }
}
