//! What a command may not ask of the kernel.

use std::process::{Command as Process, Stdio};

use idumb_exec::Guards;

use crate::support::{ALL, Ground, python};

/// Each call by its numbers on both architectures, with arguments that the kernel would refuse for
/// another reason than the filter does: so that it is seen which of them answers.
const CALLS: &str = "
number = 0 if os.uname().machine == 'x86_64' else 1
# name: numbers, arguments
calls = {
    'ptrace': ((101, 117), (0xffff, 0, 0, 0)),
    'process_vm_readv': ((310, 270), (0x7fffffff, 0, 0, 0, 0, 0)),
    'process_vm_writev': ((311, 271), (0x7fffffff, 0, 0, 0, 0, 0)),
    'io_uring_setup': ((425, 425), (0, 0)),
    'io_uring_enter': ((426, 426), (-1, 0, 0, 0, 0, 0)),
    'io_uring_register': ((427, 427), (-1, 0, 0, 0)),
    'keyctl': ((250, 219), (0, 0, 0, 0, 0)),
    'add_key': ((248, 217), (0, 0, 0, 0, 0)),
    'request_key': ((249, 218), (0, 0, 0, 0)),
    'pidfd_getfd': ((438, 438), (-1, 0, 0)),
    'setns': ((308, 268), (-1, 0)),
    'clone3': ((435, 435), (0, 0)),
    'kcmp': ((312, 272), (0x7fffffff, 0x7fffffff, 0, 0, 0)),
    'perf_event_open': ((298, 241), (0, 0, -1, -1, 0)),
    'process_madvise': ((440, 440), (-1, 0, 0, 0, 0)),
    'memfd_create': ((319, 279), (0, 0)),
}
answers = {name: call(numbers[number], *args) for name, (numbers, args) in calls.items()}
print(answers, flush=True)
filtered = {name for name, (result, error) in answers.items()
            if result == -1 and error in (errno.EPERM, errno.ENOSYS)}
";

#[test]
fn the_filter_answers_where_the_kernel_would() {
    let ground = Ground::new();
    // Without the filter the kernel itself answers, and not in that way.
    let through = format!("{CALLS}\nfiltered and refused(filtered)");
    assert!(ground.succeeds(Guards { seccomp: false, ..ALL }, &python(&through)));
    let all = format!("{CALLS}\nset(calls) - filtered or refused('all of them')");
    assert!(!ground.succeeds(ALL, &python(&all)));
}

#[test]
fn a_process_is_not_traced_and_its_memory_not_read() {
    let ground = Ground::new();
    let traced = python(
        "
child = os.fork()
if not child:
    signal.pause()
SEIZE = 0x4206
libc.ptrace.argtypes = [ctypes.c_long] * 4
result = libc.ptrace(SEIZE, child, 0, 0)
os.kill(child, 9)
result == 0 or refused('not traced')
",
    );
    ground.refuses(&traced, Guards { seccomp: false, ..ALL });
}

/// The process that says how a command ended is one of ours: it cannot be made to say otherwise.
#[test]
fn the_first_process_inside_is_neither_written_nor_ended_nor_robbed() {
    let ground = Ground::new();
    for attack in [
        "attempt(lambda: os.open('/proc/1/mem', os.O_RDWR))",
        "attempt(lambda: os.open('/proc/1/environ', os.O_RDONLY) and open('/proc/1/environ').read())",
        "attempt(lambda: os.readlink('/proc/1/fd/0'))",
        // It ignores what comes from inside, so that this 'succeeds': it is still there after it.
        "
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV):
    try:
        os.kill(1, number)
    except OSError:
        pass
refused('still there')
",
    ] {
        for guards in [ALL, Guards { seccomp: false, ..ALL }, Guards { landlock: false, ..ALL }] {
            assert!(!ground.succeeds(guards, &python(attack)), "{attack} {guards:?}");
        }
    }
}

#[test]
fn no_namespace_is_made() {
    let ground = Ground::new();
    let attacks = [
        ("unshare", "libc.unshare(0x10000000)"),
        // Process with a user namespace, by the old call: SIGCHLD in its flags.
        ("clone", "call(56 if os.uname().machine == 'x86_64' else 220, 0x10000011, 0, 0, 0, 0)[0]"),
    ];
    for (name, asked) in attacks {
        let attack = python(&format!(
            "
before = os.getpid()
result = {asked}
if os.getpid() != before or result == 0:
    os._exit(0)
result > 0 or refused(os.strerror(ctypes.get_errno()))
"
        ));
        let open = Guards { seccomp: false, nested_users: false, ..ALL };
        assert!(ground.succeeds(open, &attack), "{name}");
        // Each wall is enough.
        for guards in [ALL, Guards { seccomp: true, ..open }, Guards { nested_users: true, ..open }]
        {
            assert!(!ground.succeeds(guards, &attack), "{name} {guards:?}");
        }
    }
}

#[test]
fn nothing_is_mounted() {
    let ground = Ground::new();
    let attack = python(
        "
uid = os.getuid()
libc.unshare(0x10000000 | 0x20000)
libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0 or refused(os.strerror(ctypes.get_errno()))
",
    );
    let open = Guards { seccomp: false, nested_users: false, landlock: false, ..ALL };
    assert!(ground.succeeds(open, &attack));
    for guards in [
        ALL,
        Guards { seccomp: true, ..open },
        Guards { nested_users: true, ..open },
        Guards { landlock: true, ..open },
    ] {
        assert!(!ground.succeeds(guards, &attack), "{guards:?}");
    }
}

/// A process of the host, which ends with the test.
struct Victim(std::process::Child);

impl Victim {
    fn new() -> Self {
        let mut sleep = Process::new("sleep");
        sleep.arg("600").stdout(Stdio::null()).stderr(Stdio::null());
        Self(sleep.spawn().expect("a victim"))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_of_the_host_is_neither_seen_nor_ended() {
    let ground = Ground::new();
    let mut victim = Victim::new();
    let attack = python(&format!("attempt(lambda: os.kill({}, 9))", victim.0.id()));
    let seen = python(&format!(
        "os.path.exists('/proc/{}/status') or refused(os.listdir('/proc'))",
        victim.0.id()
    ));
    assert!(!ground.succeeds(ALL, &seen));
    assert!(!ground.succeeds(ALL, &attack));
    // Nor is anything counted: it would be the machine's processes.
    let shared = Guards { pids: false, sampling: false, ..ALL };
    assert!(!ground.succeeds(shared, &attack), "Landlock is enough");
    assert!(victim.0.try_wait().expect("a look").is_none());
    let without = Guards { landlock: false, ..shared };
    assert!(ground.succeeds(without, &seen));
    assert!(ground.succeeds(without, &attack));
    assert!(!victim.0.wait().expect("its end").success());
}

#[test]
fn the_hosts_shared_memory_is_not_there() {
    let ground = Ground::new();
    // A segment of the host, which ends with this test.
    let made = Process::new("ipcmk").args(["-M", "4096"]).output().expect("ipcmk");
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let id = said.rsplit(' ').next().expect("a number").trim().to_owned();
    let attack = python(&format!("libc.shmat({id}, None, 0) != -1 or refused('none')"));
    let guarded = ground.succeeds(ALL, &attack);
    let open = ground.succeeds(Guards { ipc: false, ..ALL }, &attack);
    assert!(Process::new("ipcrm").args(["-m", &id]).status().expect("ipcrm").success());
    assert_eq!((open, guarded), (true, false));
}
