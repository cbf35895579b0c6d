//! What the first process sees of itself: what the host judges its walls by.
//!
//! Invariant: it is read from the kernel, not remembered.

use std::io;

use crate::Namespace;
use crate::linux::wire::Facts;

pub(super) fn look() -> io::Result<Facts> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let lines = status.lines().filter_map(|line| line.split_once(":\t"));
        lines.filter(|(known, _)| *known == name).map(|(_, value)| value.trim()).next()
    };
    let bits = |name: &str| {
        let bits = field(name).and_then(|bits| u64::from_str_radix(bits, 16).ok());
        // What cannot be read counts as all of it.
        bits.unwrap_or(u64::MAX)
    };
    let capabilities = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(bits);
    let filtered = field("Seccomp") == Some("2");
    let filters = field("Seccomp_filters").and_then(|count| count.parse().ok());
    Ok(Facts {
        pid: std::process::id(),
        namespaces: namespaces()?,
        capabilities: capabilities.iter().fold(0, |all, set| all | set),
        no_new_privileges: field("NoNewPrivs") == Some("1"),
        // Kernels before 5.9 do not count them.
        seccomp_filters: if filtered { filters.unwrap_or(1) } else { 0 },
    })
}

/// The namespaces of this process.
pub(crate) fn namespaces() -> io::Result<Vec<(Namespace, String)>> {
    let named = |(namespace, name): (Namespace, &str)| {
        let target = std::fs::read_link(format!("/proc/self/ns/{name}"))?;
        Ok((namespace, target.to_string_lossy().into_owned()))
    };
    Namespace::ALL.into_iter().map(named).collect()
}
