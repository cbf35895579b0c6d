//! What bubblewrap is told.
//!
//! Invariant: nothing of a command's words is among its arguments, but paths that were checked to
//! be absolute; what runs inside is always the first process of ours.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::confinement::Confinement;
use super::wire::Places;
use crate::{Command, Weaker};

/// Where the tree is inside.
pub const TREE: &str = "/tree";
/// The home folder inside.
pub(crate) const HOME: &str = "/home/idumb";
/// Where the first process is inside.
pub(crate) const INNER: &str = "/run/idumb-exec";

/// The system's own folders. Links among them (`/bin`, where all is in `/usr`) are made again.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What of `/etc` is given: what the loader, programs with alternatives, and TLS look at.
const ETC: [&str; 9] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/pki/ca-trust",
    "/etc/pki/tls",
    "/etc/ssl/certs",
];

/// What of `/etc` is made: the name of each file, and what is in it. Nothing of the host's.
const MADE: [(&str, &str); 4] = [
    ("group", "idumb:x:1000:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ("passwd", "idumb:x:1000:1000::/home/idumb:/bin/sh\n"),
];

/// Makes what is made of `/etc` in a folder of the host.
pub(crate) fn make_etc(folder: &Path) -> std::io::Result<()> {
    MADE.iter().try_for_each(|(name, content)| std::fs::write(folder.join(name), content))
}

/// Everything bubblewrap is told for this command.
pub(crate) fn arguments(
    confinement: &Confinement,
    command: &Command,
    tree: &Path,
) -> Vec<OsString> {
    let mut arguments = Arguments(Vec::new());
    arguments.namespaces(confinement);
    arguments.files(confinement, command, tree);
    arguments.add(["--", INNER]);
    arguments.0.extend(confinement.inner().args.iter().cloned());
    arguments.0
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn bind(&mut self, how: &str, from: &Path, to: &Path) {
        self.0.extend([how.into(), from.into(), to.into()]);
    }

    fn namespaces(&mut self, confinement: &Confinement) {
        let guards = confinement.guards();
        self.add(["--unshare-user", "--uid", "1000", "--gid", "1000"]);
        self.add(["--unshare-uts", "--hostname", "idumb", "--unshare-cgroup"]);
        if guards.ipc {
            self.add(["--unshare-ipc"]);
        }
        if guards.pids {
            self.add(["--unshare-pid", "--as-pid-1"]);
        }
        if guards.network {
            // It also brings the namespace's own loopback interface up.
            self.add(["--unshare-net"]);
        }
        let by_kernel = !confinement.weaker().contains(&Weaker::NestedUserNamespacesByFilterOnly);
        if guards.nested_users && by_kernel {
            self.add(["--disable-userns"]);
        }
        self.add(["--cap-drop", "ALL", "--new-session", "--die-with-parent"]);
    }

    fn files(&mut self, confinement: &Confinement, command: &Command, tree: &Path) {
        let guards = confinement.guards();
        self.system(confinement);
        if !guards.mounts {
            self.add(["--bind", "/", "/host"]);
        }
        if guards.pids {
            self.add(["--proc", "/proc"]);
        } else {
            self.add(["--bind", "/proc", "/proc"]);
        }
        if guards.proc_read_only {
            // Bubblewrap would leave /proc/sys writable, for which root needs no capability.
            self.add(["--remount-ro", "/proc"]);
        }
        self.add(["--dev", "/dev"]);
        let size = command.limits.scratch.max(4096).to_string();
        for (folder, mode) in [("/dev/shm", "1777"), ("/tmp", "1777"), (HOME, "0700")] {
            if guards.scratch_size {
                self.add(["--size", &size]);
            }
            self.add(["--perms", mode, "--tmpfs", folder]);
        }
        for path in &command.read_only {
            self.bind("--ro-bind", path, path);
        }
        for path in &command.caches {
            self.bind("--bind", path, path);
        }
        self.bind(if command.writable { "--bind" } else { "--ro-bind" }, tree, Path::new(TREE));
        self.bind("--ro-bind", &confinement.inner().program, Path::new(INNER));
        // Both are memory without a size, and nobody has to write there.
        self.add(["--remount-ro", "/dev", "--remount-ro", "/"]);
        self.add(["--chdir", "/"]);
    }

    fn system(&mut self, confinement: &Confinement) {
        for folder in SYSTEM.map(Path::new) {
            match std::fs::read_link(folder) {
                Ok(target) => self.bind("--symlink", &target, folder),
                Err(_) if folder.is_dir() => self.bind("--ro-bind", folder, folder),
                Err(_) => {}
            }
        }
        for path in ETC.map(Path::new) {
            self.bind("--ro-bind-try", path, path);
        }
        for (name, _) in MADE {
            self.bind("--ro-bind", &confinement.etc().join(name), &Path::new("/etc").join(name));
        }
    }
}

/// The same places, for Landlock.
pub(crate) fn places(command: &Command) -> Places {
    let mut places = Places::default();
    places.read.extend(SYSTEM.iter().chain(&["/etc", "/proc", INNER]).map(OsString::from));
    places.read.extend(command.read_only.iter().map(OsString::from));
    places.write.extend(["/tmp", "/dev/shm", HOME].map(OsString::from));
    places.write.extend(command.caches.iter().map(OsString::from));
    let tree = if command.writable { &mut places.write } else { &mut places.read };
    tree.push(TREE.into());
    places
}

/// The environment of a command: fixed, and what it says itself.
pub(crate) fn environment(command: &Command) -> Vec<(OsString, OsString)> {
    let bins = command.bins.iter().map(PathBuf::as_path);
    let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(Path::new);
    // A folder with a colon in its name cannot be in a PATH: it is left out.
    let bins = bins.filter(|bin| !bin.as_os_str().as_encoded_bytes().contains(&b':')).chain(system);
    let path = std::env::join_paths(bins).unwrap_or_default();
    let mut environment = command.env.clone();
    for (name, value) in [
        ("PATH", path),
        ("HOME", HOME.into()),
        ("TMPDIR", "/tmp".into()),
        ("USER", "idumb".into()),
        ("LANG", "C.UTF-8".into()),
    ] {
        environment.entry(name.into()).or_insert(value);
    }
    environment.into_iter().collect()
}
