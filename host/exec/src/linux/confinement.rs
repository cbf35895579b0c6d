//! Whether there is a confinement here, and what it is made of.
//!
//! Invariant: a [`Confinement`] exists only where a command was run in it, on the very paths that
//! are going to be used.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::cgroup::Delegated;
use super::guards::Guards;
use super::inner::NOTHING;
use super::{bubble, run};
use crate::{Command, Error, Held, Inner, Lacking, Level, Limits, Ran, Setup, Stop, Weaker};

/// Walls that were seen to stand. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Confinement {
    bubblewrap: PathBuf,
    inner: Inner,
    /// What is given as files of `/etc`.
    etc: Arc<TempDir>,
    delegated: Option<Delegated>,
    weaker: Vec<Weaker>,
    guards: Guards,
    level: Level,
}

/// Where bubblewrap is looked for. Not in `PATH`: a project may have had its hands in it.
const PLACES: [&str; 3] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"];

impl Confinement {
    /// Runs a trivial command on the tree and with the host paths of `setup`.
    ///
    /// # Errors
    /// What lacks, with what to do about it: [`Lacking::advice`].
    pub fn probe(setup: &Setup) -> Result<Self, Lacking> {
        let bubblewrap = match &setup.bubblewrap {
            Some(named) => Some(named.clone()).filter(|path| is_executable(path)),
            None => PLACES.iter().map(PathBuf::from).find(|path| is_executable(path)),
        };
        let inner = setup.inner.clone();
        if !inner.program.is_absolute() || !is_executable(&inner.program) {
            let why = "it has to be the absolute path of an executable file".to_owned();
            return Err(Lacking::Inner { program: inner.program, why });
        }
        let etc = TempDir::with_prefix("idumb-exec-")?;
        bubble::make_etc(etc.path())?;
        let mut confinement = Self {
            bubblewrap: bubblewrap.ok_or(Lacking::Bubblewrap)?,
            inner,
            etc: Arc::new(etc),
            delegated: Delegated::find(setup.cgroup.as_deref()),
            weaker: setup.weaker.clone(),
            guards: Guards::ALL,
            level: Level::none(),
        };
        confinement.level = confinement.try_out(setup)?.level;
        Ok(confinement)
    }

    fn try_out(&self, setup: &Setup) -> Result<Ran, Lacking> {
        let mut argv = vec![OsString::from(bubble::INNER)];
        argv.extend(self.inner.args.iter().cloned());
        argv.push(NOTHING.into());
        let mut command = Command::new(argv);
        command.read_only.clone_from(&setup.read_only);
        command.caches.clone_from(&setup.caches);
        command.limits = Limits { scratch: 1 << 20, ..Limits::default() };
        let sandbox = |said: String| Lacking::Sandbox { said };
        match run::run(self, &command, &setup.tree, &Stop::never(), &mut |_, _| ()) {
            Ok(ran) if ran.succeeded() => Ok(ran),
            Ok(ran) => Err(sandbox(format!(
                "a command that does nothing ended with {:?}: {}",
                ran.ended,
                ran.stderr.text()
            ))),
            Err(Error::Lacking(lacking)) => Err(lacking),
            Err(Error::Io(error)) => Err(error.into()),
            Err(error) => Err(sandbox(error.to_string())),
        }
    }

    /// The walls, as they stood when it was tried.
    pub fn level(&self) -> &Level {
        &self.level
    }

    /// The same with other guards: for tests that see an attack succeed.
    #[cfg(feature = "unguarded")]
    #[doc(hidden)]
    #[must_use]
    pub fn with_guards(&self, guards: Guards) -> Self {
        Self { guards, ..self.clone() }
    }

    pub(crate) fn bubblewrap(&self) -> &Path {
        &self.bubblewrap
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn etc(&self) -> &Path {
        self.etc.path()
    }

    pub(crate) fn delegated(&self) -> Option<&Delegated> {
        self.delegated.as_ref()
    }

    pub(crate) fn weaker(&self) -> &[Weaker] {
        &self.weaker
    }

    pub(crate) fn guards(&self) -> Guards {
        self.guards
    }

    /// What holds the number of processes, and what their memory.
    pub(crate) fn bounds(&self) -> (Held, Held) {
        if self.delegated.is_some() {
            return (Held::Cgroup, Held::Cgroup);
        }
        let exempt = rustix::process::geteuid().is_root();
        let processes = if exempt || !counts_by_namespace() { Held::Sampled } else { Held::Rlimit };
        (processes, Held::Sampled)
    }
}

impl Level {
    /// No wall at all.
    fn none() -> Self {
        Self {
            namespaces: Vec::new(),
            user_namespaces_disabled: false,
            seccomp_filters: 0,
            landlock: None,
            processes: Held::Sampled,
            memory: Held::Sampled,
            weaker: Vec::new(),
        }
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Since Linux 5.14 `RLIMIT_NPROC` counts in the user namespace; before, all of a user's
/// processes on the machine, so that it would bound the wrong thing.
fn counts_by_namespace() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.trim().parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 14)
}

/// What lacks, by what bubblewrap said when it ended without running anything.
pub(crate) fn diagnose(said: &str, inner: &Inner) -> Lacking {
    let said = said.trim().to_owned();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["Unknown option"]) {
        return Lacking::OldBubblewrap { said };
    }
    if has(&["execvp"]) {
        return Lacking::Inner { program: inner.program.clone(), why: said };
    }
    if has(&[
        "No permissions to create",
        "Creating new namespace failed",
        "setting up uid map",
        "max_user_namespaces",
        "loopback: Failed",
    ]) {
        return Lacking::UserNamespaces { setting: forbidding(), said };
    }
    Lacking::Sandbox { said }
}

/// The setting that forbids user namespaces, as what it would have to be.
fn forbidding() -> Option<&'static str> {
    [
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
    ]
    .into_iter()
    .find(|(file, forbids, _)| fs::read_to_string(file).is_ok_and(|value| value.trim() == *forbids))
    .map(|(_, _, setting)| setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bubblewrap_says_becomes_what_lacks() {
        let inner = Inner { program: "/opt/inner".into(), args: Vec::new() };
        let of = |said| diagnose(said, &inner);
        assert!(matches!(
            of("bwrap: Unknown option --disable-userns\n"),
            Lacking::OldBubblewrap { said } if !said.ends_with('\n')
        ));
        for said in [
            "bwrap: No permissions to create a new namespace, likely because the kernel does not \
             allow non-privileged user namespaces.",
            "bwrap: setting up uid map: Permission denied",
            "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted",
        ] {
            let lacking = of(said);
            assert!(matches!(lacking, Lacking::UserNamespaces { .. }), "{said}");
            assert!(lacking.advice().is_some_and(|advice| advice.contains("sysctl")));
        }
        let said = "bwrap: execvp /run/idumb-exec: No such file or directory";
        assert!(matches!(of(said), Lacking::Inner { .. }));
        assert!(matches!(of("bwrap: Can't mount proc"), Lacking::Sandbox { .. }));
        let install = Lacking::Bubblewrap.advice().unwrap_or_default();
        assert!(install.contains("apt-get install bubblewrap"));
    }
}
