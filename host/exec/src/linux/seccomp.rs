//! What a command may not ask of the kernel.
//!
//! Invariant: the filters only take away; what they refuse, a program sees as a kernel that does
//! not have it or does not allow it, never as its death (but for a foreign instruction set).
//!
//! It is a list of what is denied: a build runs whatever compilers and tests ask for, so that a
//! list of what is allowed would be as long as the kernel's. Namespaces, capabilities and Landlock
//! take away the rest.

use std::io;

#[cfg(target_arch = "x86_64")]
use seccompiler::sock_filter;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::Network;

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the seccomp filters are made for x86_64 and aarch64 alone");

/// `open_tree_attr`, Linux 6.15; the same on all architectures. (`include/uapi/asm-generic/unistd.h`)
const OPEN_TREE_ATTR: i64 = 467;

/// Not permitted, whatever the arguments: what looks into or changes other processes, mounts,
/// the kernel, its keys, its clock, and what has much of it in reach for a few lines of code.
const DENIED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_memfd_secret,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// Not there, so that programs take their older way: the flags of `clone3` lie in memory, where no
/// filter sees them, and the operations of io_uring pass by all filters.
const MISSING: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
];

/// Also not there, where nothing but sampling bounds memory: files in memory that no process has
/// mapped are in nobody's account. There is `/dev/shm`, which has a size.
const MISSING_WHERE_SAMPLED: &[i64] = &[libc::SYS_memfd_create];

/// `CLONE_NEWTIME`, which only `unshare` and `clone3` know. (`include/uapi/linux/sched.h`)
const CLONE_NEWTIME: u64 = 0x80;

const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Requests that put text into a terminal as if it had been typed.
const TERMINAL: [u64; 2] = [0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */];

/// Where system calls of the x32 ABI begin. (`arch/x86/include/uapi/asm/unistd.h`)
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

fn condition(index: u8, op: Op, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, Len::Dword, op, value)
}

fn rule<const N: usize>(
    conditions: [(u8, Op, u64); N],
) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.into_iter().map(|(index, op, value)| condition(index, op, value));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

type Rules = Vec<(i64, Vec<SeccompRule>)>;

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    let action = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules.into_iter().collect(), SeccompAction::Allow, action, ARCH)?.try_into()
}

fn denied() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let mut flags = Vec::new();
    for flag in NAMESPACES.map(|flag| u64::from(flag.unsigned_abs())) {
        flags.push(rule([(0, Op::MaskedEq(flag), flag)])?);
    }
    rules.push((libc::SYS_clone, flags.clone()));
    flags.push(rule([(0, Op::MaskedEq(CLONE_NEWTIME), CLONE_NEWTIME)])?);
    rules.push((libc::SYS_unshare, flags));
    let requests = TERMINAL.map(|request| rule([(1, Op::Eq, request)]));
    rules.push((libc::SYS_ioctl, requests.into_iter().collect::<Result<_, _>>()?));
    Ok(rules)
}

/// Which sockets there are not.
fn sockets(network: Network) -> Result<Rules, seccompiler::BackendError> {
    let [unix, inet, inet6, netlink] =
        [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]
            .map(|family| u64::from(family.unsigned_abs()));
    let not_unix = rule([(0, Op::Ne, unix)])?;
    let socket = match network {
        Network::None => vec![not_unix.clone()],
        Network::Loopback => {
            let mut rules = vec![
                rule([
                    (0, Op::Ne, unix),
                    (0, Op::Ne, inet),
                    (0, Op::Ne, inet6),
                    (0, Op::Ne, netlink),
                ])?,
                // Which interfaces there are: protocol 0, NETLINK_ROUTE.
                rule([(0, Op::Eq, netlink), (2, Op::Ne, 0)])?,
            ];
            for family in [inet, inet6] {
                // Nothing but TCP and UDP (0: whichever the type says).
                let other = [(0, Op::Eq, family), (2, Op::Ne, 0), (2, Op::Ne, 6), (2, Op::Ne, 17)];
                rules.push(rule(other)?);
            }
            rules
        }
    };
    Ok(vec![(libc::SYS_socket, socket), (libc::SYS_socketpair, vec![not_unix])])
}

/// Every number of the x32 ABI is missing: it has calls of its own that are in no list here.
#[cfg(target_arch = "x86_64")]
fn no_x32() -> BpfProgram {
    let code = |bits: u32| bits as u16;
    vec![
        // The number of the call is the first word of what a filter is given (`seccomp_data`).
        sock_filter { code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), jt: 0, jf: 0, k: 0 },
        sock_filter {
            code: code(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K),
            jt: 0,
            jf: 1,
            k: X32,
        },
        sock_filter {
            code: code(libc::BPF_RET | libc::BPF_K),
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        },
        sock_filter {
            code: code(libc::BPF_RET | libc::BPF_K),
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ALLOW,
        },
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn no_x32() -> BpfProgram {
    Vec::new()
}

/// The filters for a command with such a network, and with its memory sampled or bounded by the
/// kernel. A call is refused if any refuses it.
fn filters(network: Network, sampled: bool) -> io::Result<Vec<BpfProgram>> {
    let sampled = if sampled { MISSING_WHERE_SAMPLED } else { &[] };
    let missing = MISSING.iter().chain(sampled).map(|call| (*call, Vec::new())).collect();
    let all = || {
        Ok::<_, seccompiler::BackendError>(vec![
            compile(denied()?, libc::EPERM)?,
            compile(missing, libc::ENOSYS)?,
            compile(sockets(network)?, libc::EAFNOSUPPORT)?,
        ])
    };
    let mut filters = all().map_err(io::Error::other)?;
    filters.push(no_x32());
    filters.retain(|filter| !filter.is_empty());
    Ok(filters)
}

/// Puts this thread, and what it starts from now on, under the filters.
pub(crate) fn apply(network: Network, sampled: bool) -> io::Result<()> {
    for filter in filters(network, sampled)? {
        seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    #[cfg(target_arch = "x86_64")]
    const AUDIT_ARCH: u32 = 0xc000_003e;
    #[cfg(target_arch = "aarch64")]
    const AUDIT_ARCH: u32 = 0xc000_00b7;

    /// Runs a program as the kernel would: the few instructions that filters are made of.
    fn verdict(program: &BpfProgram, arch: u32, call: i64, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            0 => call as u32,
            4 => arch,
            _ => {
                let at = (offset as usize - 16) / 4;
                (args[at / 2] >> (32 * (at % 2))) as u32
            }
        };
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let step = &program[at];
            let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            at += 1 + match step.code {
                0x20 => {
                    value = word(step.k);
                    0
                }
                0x54 => {
                    value &= step.k;
                    0
                }
                0x05 => step.k as usize,
                0x15 => jump(value == step.k),
                0x25 => jump(value > step.k),
                0x35 => jump(value >= step.k),
                0x06 => return step.k,
                other => panic!("an instruction of another kind: {other:#x}"),
            };
        }
    }

    /// The error number that a call gives; 0: it is allowed.
    fn errno(network: Network, call: i64, args: &[u64]) -> i32 {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        let verdicts = filters(network, true).expect("they compile");
        let verdicts = verdicts.iter().map(|filter| verdict(filter, AUDIT_ARCH, call, all));
        let refused = verdicts.filter(|verdict| *verdict != ALLOW).collect::<Vec<_>>();
        assert!(refused.len() <= 1, "{call} is refused by more than one");
        refused.first().map_or(0, |verdict| {
            assert_eq!(verdict & !0xffff, libc::SECCOMP_RET_ERRNO);
            (verdict & 0xffff) as i32
        })
    }

    #[test]
    fn what_is_denied_and_what_is_not() {
        let (none, lo) = (Network::None, Network::Loopback);
        let high = 0xffff_ffff_0000_0000;
        for (network, call, args, expected) in [
            (none, libc::SYS_read, &[][..], 0),
            (none, libc::SYS_execve, &[], 0),
            (none, libc::SYS_ptrace, &[], libc::EPERM),
            (none, libc::SYS_mount, &[], libc::EPERM),
            (none, OPEN_TREE_ATTR, &[], libc::EPERM),
            (none, libc::SYS_clone3, &[], libc::ENOSYS),
            (none, libc::SYS_io_uring_setup, &[], libc::ENOSYS),
            // A thread, a process, and each with a namespace among other flags.
            (none, libc::SYS_clone, &[0x3d0f00], 0),
            (none, libc::SYS_clone, &[17], 0),
            (none, libc::SYS_clone, &[0x1000_0011], libc::EPERM),
            (none, libc::SYS_clone, &[0x0002_0011], libc::EPERM),
            (none, libc::SYS_unshare, &[0x400], 0),
            (none, libc::SYS_unshare, &[0x80], libc::EPERM),
            (none, libc::SYS_unshare, &[0x4000_0400], libc::EPERM),
            // The kernel takes the low half of a request: so does the filter.
            (none, libc::SYS_ioctl, &[0, 0x5401], 0),
            (none, libc::SYS_ioctl, &[0, 0x5412], libc::EPERM),
            (none, libc::SYS_ioctl, &[0, 0x5412 | high], libc::EPERM),
            (none, libc::SYS_socket, &[1, 1, 0], 0),
            (none, libc::SYS_socket, &[1 | high, 1, 0], 0),
            (none, libc::SYS_socket, &[2, 1, 0], libc::EAFNOSUPPORT),
            (none, libc::SYS_socket, &[16, 3, 0], libc::EAFNOSUPPORT),
            (none, libc::SYS_socketpair, &[1, 1, 0], 0),
            (none, libc::SYS_socketpair, &[16, 1, 0], libc::EAFNOSUPPORT),
            (lo, libc::SYS_socket, &[1, 1, 0], 0),
            (lo, libc::SYS_socket, &[2, 1, 0], 0),
            (lo, libc::SYS_socket, &[10, 2, 17], 0),
            (lo, libc::SYS_socket, &[2, 1, 6], 0),
            (lo, libc::SYS_socket, &[2, 1, 132], libc::EAFNOSUPPORT),
            (lo, libc::SYS_socket, &[10, 1, 262], libc::EAFNOSUPPORT),
            (lo, libc::SYS_socket, &[16, 3, 0], 0),
            (lo, libc::SYS_socket, &[16, 3, 12], libc::EAFNOSUPPORT),
            (lo, libc::SYS_socket, &[17, 3, 0], libc::EAFNOSUPPORT),
            (lo, libc::SYS_socket, &[38, 5, 0], libc::EAFNOSUPPORT),
            (lo, libc::SYS_socket, &[40, 1, 0], libc::EAFNOSUPPORT),
        ] {
            assert_eq!(errno(network, call, args), expected, "{network:?} {call} {args:x?}");
        }
    }

    #[test]
    fn every_call_of_the_lists_is_refused_whatever_its_arguments() {
        for args in [[0; 6], [u64::MAX; 6]] {
            for call in DENIED {
                assert_eq!(errno(Network::Loopback, *call, &args), libc::EPERM, "{call}");
            }
            for call in MISSING.iter().chain(MISSING_WHERE_SAMPLED) {
                assert_eq!(errno(Network::Loopback, *call, &args), libc::ENOSYS, "{call}");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn another_abi_of_the_same_machine_has_nothing() {
        assert_eq!(errno(Network::None, libc::SYS_read | i64::from(X32), &[]), libc::ENOSYS);
        assert_eq!(errno(Network::None, 520 | i64::from(X32), &[]), libc::ENOSYS);
        let filters = filters(Network::None, true).expect("they compile");
        // i386, by int 0x80.
        assert_eq!(verdict(&filters[0], 0x4000_0003, 5, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
