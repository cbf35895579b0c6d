//! Bombs, hogs and floods: bounded, and the host goes on.

use std::time::Duration;

use idumb_exec::{Cap, Command, Ended, Guards, Held};

use crate::support::{ALL, Ground, command, is_root, python};

const UNBOUND: Guards = Guards { rlimits: false, sampling: false, ..ALL };

/// Whether a hog gets what it wants; with the guards it is refused or ended for it.
fn refuses_or_ends(ground: &Ground, attack: &Command, cap: Cap) {
    assert!(ground.succeeds(UNBOUND, attack), "it does nothing even without its guard");
    let ran = ground.run(ALL, attack);
    let refused = matches!(ran.ended, Ended::Exited(77));
    assert!(refused || ran.ended == Ended::Exceeded(cap), "{:?} {}", ran.ended, ran.stderr.text());
}

#[test]
fn processes_are_bounded() {
    let ground = Ground::new();
    // 200 that stay, where 64 are allowed.
    let attack = python(
        "
for _ in range(200):
    try:
        if not os.fork():
            signal.pause()
    except OSError as error:
        refused(error)
time.sleep(2)
",
    );
    refuses_or_ends(&ground, &attack, Cap::Processes);
    let held = ground.confinement.level().processes;
    assert!(held == Held::Cgroup || held == if is_root() { Held::Sampled } else { Held::Rlimit });
    // Threads are no way around.
    let threads = python("
import threading
threading.stack_size(64 << 10)
try:
    for _ in range(200):
        threading.Thread(target=signal.pause if False else time.sleep, args=(3,), daemon=True).start()
except RuntimeError as error:
    refused(error)
time.sleep(2)
os._exit(0)
");
    refuses_or_ends(&ground, &threads, Cap::Processes);
}

#[test]
fn a_fork_bomb_ends() {
    let ground = Ground::new();
    let compile =
        "echo '#include <unistd.h>\nint main(void) { for (;;) fork(); }' | cc -xc -o bomb -";
    let compiled = ground.run(ALL, &command(["sh", "-c", compile]));
    assert!(compiled.succeeded(), "{}", compiled.stderr.text());
    for bomb in ["./bomb", "bomb() { bomb | bomb & }; bomb; sleep 1000"] {
        let mut bomb = command(["sh", "-c", bomb]);
        bomb.limits.time = Duration::from_secs(3);
        let ran = ground.run(ALL, &bomb);
        let bounded = matches!(
            ran.ended,
            Ended::Exceeded(Cap::Processes) | Ended::TimedOut | Ended::Exited(_)
        );
        assert!(bounded, "{:?}", ran.ended);
    }
    // The host is there, and so is the next sandbox.
    assert!(ground.run(ALL, &command(["true"])).succeeded());
}

#[test]
fn memory_is_bounded_however_it_is_taken() {
    let ground = Ground::new();
    // 400 MiB, where 256 are allowed.
    for attack in [
        // By one process for itself.
        "
try:
    hog = bytearray(400 << 20)
except MemoryError:
    refused('no memory')
time.sleep(2)
",
        // Shared, which no limit of a process counts.
        "
import mmap
hog = mmap.mmap(-1, 400 << 20)
for at in range(0, 400 << 20, 4096):
    hog[at] = 1
time.sleep(2)
",
        // By many, each of them modest.
        "
for _ in range(10):
    if not os.fork():
        hog = bytearray(40 << 20)
        signal.pause()
time.sleep(2)
",
        // By nobody, in the end: a segment that stays when it is let go.
        "
libc.shmat.restype = ctypes.c_void_p
libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
segment = libc.shmget(0, 400 << 20, 0o1600)
address = libc.shmat(segment, None, 0)
ctypes.memset(address, 1, 400 << 20)
libc.shmdt(ctypes.c_void_p(address))
time.sleep(2)
",
    ] {
        refuses_or_ends(&ground, &python(attack), Cap::Memory);
    }
    // What is shared among many is counted once: it is no hog.
    let modest = python(
        "
hog = bytearray(100 << 20)
for _ in range(10):
    if not os.fork():
        time.sleep(1)
        os._exit(0)
for _ in range(10):
    os.wait()
",
    );
    let ran = ground.run(ALL, &modest);
    assert!(ran.succeeded(), "{:?} {}", ran.ended, ran.stderr.text());
    assert!(ran.peak_memory.is_some_and(|peak| (100 << 20..200 << 20).contains(&peak)));
}

#[test]
fn the_disk_is_not_filled() {
    let ground = Ground::new();
    // Past 8 MiB in one file.
    let file = python(
        "
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = open('big', 'wb')
for _ in range(20):
    attempt(lambda: file.write(b'x' * (1 << 20)) and file.flush())
",
    );
    ground.refuses(&file, Guards { rlimits: false, ..ALL });
    // Past 1 MiB in memory, in many files.
    for folder in ["/tmp", "/dev/shm", "/home/idumb"] {
        let attack = python(&format!(
            "
for number in range(40):
    attempt(lambda: open(f'{folder}/{{number}}', 'wb').write(b'x' * (100 << 10)))
"
        ));
        ground.refuses(&attack, Guards { scratch_size: false, ..ALL });
    }
}

#[test]
fn a_flood_of_output_is_kept_at_both_ends_only() {
    let ground = Ground::new();
    let mut flood = command(["sh", "-c", "echo first; yes | head -c 10000000; echo last"]);
    flood.limits.output = 1000;
    let mut streamed = 0;
    let ran = idumb_exec::run(
        &ground.confinement,
        &flood,
        &ground.tree.path().into(),
        &idumb_exec::Stop::never(),
        &mut |_, bytes| streamed += bytes.len(),
    )
    .expect("it ran");
    assert!(ran.succeeded());
    assert_eq!(streamed, 10_000_011);
    assert!(ran.stdout.head.starts_with(b"first\n") && ran.stdout.tail.ends_with(b"last\n"));
    assert_eq!((ran.stdout.head.len(), ran.stdout.tail.len()), (500, 500));
    assert_eq!(ran.stdout.left_out, 10_000_011 - 1000);
    // One that never ends, ends.
    let mut endless = command(["sh", "-c", "yes & yes >&2"]);
    endless.limits.time = Duration::from_secs(1);
    assert_eq!(ground.run(ALL, &endless).ended, Ended::TimedOut);
}

#[test]
fn descriptors_and_core_files_are_bounded() {
    let ground = Ground::new();
    let attack = python(
        "
import resource
kept = []
for _ in range(400):
    kept.append(attempt(lambda: os.dup(0)))
",
    );
    ground.refuses(&attack, Guards { rlimits: false, ..ALL });
    let raise_again = python("
import resource
for which in (resource.RLIMIT_CORE, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
    try:
        resource.setrlimit(which, (1 << 40, 1 << 40))
        os._exit(0)
    except (OSError, ValueError):
        pass
refused('none')
");
    assert!(!ground.succeeds(ALL, &raise_again));
}
