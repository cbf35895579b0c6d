//! The second wall around files: what the mounts give, Landlock gives again.
//!
//! Invariant: it only takes away, from this thread and from what it starts.

use std::io;
use std::os::fd::AsFd;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, Scope, make_bitflags,
};

use crate::Network;
use crate::linux::wire::Places;

/// The newest that is asked for; of an older kernel, what it has.
const NEWEST: ABI = ABI::V7;

/// Restricts this thread; returns the ABI that is in force, or `None` if the kernel has none.
pub(super) fn restrict(places: &Places, network: Network) -> io::Result<Option<u32>> {
    let all = AccessFs::from_all(NEWEST);
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir | Execute});
    let device = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | IoctlDev
    });
    let restrict = || -> Result<LandlockStatus, landlock::RulesetError> {
        let mut ruleset = Ruleset::default().handle_access(all)?.scope(Scope::from_all(NEWEST))?;
        if network == Network::None {
            ruleset = ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?;
        }
        let mut created = ruleset.create()?;
        let listed = [("/".into(), AccessFs::ReadDir.into()), ("/dev".into(), device)];
        let reads = places.read.iter().map(|path| (path.clone(), read));
        let writes = places.write.iter().map(|path| (path.clone(), all));
        for (path, access) in listed.into_iter().chain(reads).chain(writes) {
            // What is not there needs no right.
            if let Ok(fd) = PathFd::new(&path) {
                let access =
                    if is_dir(&fd) { access } else { access & AccessFs::from_file(NEWEST) };
                created = created.add_rule(PathBeneath::new(fd, access))?;
            }
        }
        Ok(created.restrict_self()?.landlock)
    };
    match restrict().map_err(io::Error::other)? {
        LandlockStatus::Available { effective_abi, .. } => Ok(Some(effective_abi as u32)),
        _ => Ok(None),
    }
}

fn is_dir(fd: &impl AsFd) -> bool {
    let stat = rustix::fs::fstat(fd);
    stat.is_ok_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
    })
}
