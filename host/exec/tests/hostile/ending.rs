//! A command ends, and everything that it started with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use idumb_exec::{Command, Ended, Guards, Stop, Stream, run};

use crate::support::{
    ALL, Ground, Lifeline, command, in_another_process, is_the_other_process, python,
};

/// A daemon: twice forked, in a session of its own, deaf, and with everything open that there was.
const DAEMON: &str = "
if not os.fork():
    os.setsid()
    if not os.fork():
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_IGN)
        life = os.open('lifeline', os.O_WRONLY)
        open('daemon', 'w').write(str(os.getpid()))
        os.write(life, b'x')
        while True:
            time.sleep(1000)
    os._exit(0)
os.wait()
# It is there once it has said so.
while not os.path.exists('daemon') or not open('daemon').read():
    pass
";

#[test]
fn a_daemon_ends_with_a_command_that_ends_by_itself() {
    let ground = Ground::new();
    let mut life = Lifeline::new(ground.tree.path());
    let ran =
        ground.run(ALL, &python(&format!("{DAEMON}\nprint('done', flush=True)\nos._exit(3)")));
    assert_eq!((ran.ended, ran.stdout.text().as_str()), (Ended::Exited(3), "done\n"));
    life.wait_for_a_word();
    assert!(life.ends());
}

#[test]
fn a_daemon_ends_with_a_command_whose_time_is_over() {
    let ground = Ground::new();
    let mut life = Lifeline::new(ground.tree.path());
    let mut command = python(&format!("{DAEMON}\nwhile True: time.sleep(1000)"));
    command.limits.time = Duration::from_secs(1);
    let ran = ground.run(ALL, &command);
    assert_eq!(ran.ended, Ended::TimedOut);
    life.wait_for_a_word();
    assert!(life.ends());
}

#[test]
fn without_a_pid_namespace_a_daemon_lives_on_and_nobody_waits_for_it() {
    let ground = Ground::new();
    let mut life = Lifeline::new(ground.tree.path());
    // Nor is anything counted: it would be the machine's processes.
    let guards = Guards { pids: false, sampling: false, ..ALL };
    // It has the command's output open, too: that this returns is half of the test.
    let ran = ground.run(guards, &python(&format!("{DAEMON}\nos._exit(3)")));
    assert_eq!(ran.ended, Ended::Exited(3));
    life.wait_for_a_word();
    assert!(life.is_held());
    let daemon = std::fs::read_to_string(ground.tree.path().join("daemon")).expect("its number");
    let daemon = daemon.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a number");
    rustix::process::kill_process(daemon, rustix::process::Signal::KILL).expect("it was there");
    assert!(life.ends());
}

#[test]
fn who_is_told_to_end_can_and_who_does_not_is_killed() {
    let ground = Ground::new();
    let obeys = "
def told(*_):
    open('told', 'w').write('x')
    os._exit(5)
signal.signal(signal.SIGTERM, told)
while True: time.sleep(1000)
";
    let mut command = python(obeys);
    command.limits.time = Duration::from_secs(1);
    command.limits.grace = Duration::from_secs(30);
    let ran = ground.run(ALL, &command);
    assert_eq!(ran.ended, Ended::TimedOut);
    assert!(ground.tree.path().join("told").exists());
    assert!(ran.time < Duration::from_secs(20), "the grace was not needed: {:?}", ran.time);
    let mut deaf = python(
        "
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True: time.sleep(1000)
",
    );
    deaf.limits.time = Duration::from_secs(1);
    deaf.limits.grace = Duration::from_millis(100);
    let ran = ground.run(ALL, &deaf);
    assert_eq!(ran.ended, Ended::TimedOut);
    assert!(ran.time < Duration::from_secs(20), "{:?}", ran.time);
}

/// Runs a command that ties a lifeline and waits; `once_there` decides what then happens.
fn waiting(ground: &Ground) -> (Lifeline, Command) {
    let life = Lifeline::new(ground.tree.path());
    (life, python(&format!("{DAEMON}\nprint('there', flush=True)\nwhile True: time.sleep(1000)")))
}

#[test]
fn another_thread_ends_it() {
    let ground = Ground::new();
    let (life, command) = waiting(&ground);
    let (stopper, stop) = Stop::new().expect("a stop");
    // Given as soon as the command says that it is there; from another thread, as people do.
    let (there, is_there) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        is_there.recv().expect("it comes");
        stopper.stop();
    });
    let tree = ground.tree.path();
    let ran = run(&ground.confinement, &command, &tree.into(), &stop, &mut |stream, bytes| {
        assert_eq!((stream, bytes), (Stream::Stdout, &b"there\n"[..]));
        there.send(()).expect("somebody listens");
    });
    assert_eq!(ran.expect("it ran").ended, Ended::Cancelled);
    assert!(life.ends());
    // What is stopped before it begins, does not begin.
    std::fs::remove_file(tree.join("daemon")).expect("it was there");
    let ran =
        run(&ground.confinement, &command, &tree.into(), &stop, &mut |_, _| ()).expect("it ran");
    assert_eq!(ran.ended, Ended::Cancelled);
    assert!(!tree.join("daemon").exists());
}

#[test]
fn a_panic_of_the_caller_ends_it() {
    let ground = Ground::new();
    let (life, command) = waiting(&ground);
    let panics = AssertUnwindSafe(|| {
        run(
            &ground.confinement,
            &command,
            &ground.tree.path().into(),
            &Stop::never(),
            &mut |_, _| {
                panic!("the caller's");
            },
        )
    });
    assert!(catch_unwind(panics).is_err());
    assert!(life.ends());
}

#[test]
fn the_death_of_the_host_ends_it() {
    if is_the_other_process() {
        let mut ground = Ground::new();
        let tree = std::env::var_os("TREE").expect("a tree");
        let (_, command) = (ground.tree.path(), python(DAEMON_THAT_STAYS));
        ground.tree.disable_cleanup(true);
        let _ = run(&ground.confinement, &command, &tree.into(), &Stop::never(), &mut |_, _| ());
        unreachable!("it was killed");
    }
    let ground = Ground::new();
    let mut life = Lifeline::new(ground.tree.path());
    let mut host = in_another_process("ending::the_death_of_the_host_ends_it");
    let mut host = host.env("TREE", ground.tree.path()).spawn().expect("another process");
    life.wait_for_a_word();
    assert!(life.is_held());
    host.kill().expect("it was there");
    assert!(life.ends());
    let _ = host.wait();
}

const DAEMON_THAT_STAYS: &str = "
life = os.open('lifeline', os.O_WRONLY)
os.write(life, b'x')
while True: time.sleep(1000)
";

#[test]
fn a_status_and_a_signal_are_told_apart() {
    let ground = Ground::new();
    for (script, ended) in [
        ("exit 0", Ended::Exited(0)),
        ("exit 137", Ended::Exited(137)),
        ("kill -9 $$", Ended::Signalled(9)),
        ("kill -11 $$", Ended::Signalled(11)),
    ] {
        assert_eq!(ground.run(ALL, &command(["sh", "-c", script])).ended, ended, "{script}");
    }
}

#[test]
fn output_comes_while_it_runs_with_where_it_came_from() {
    let ground = Ground::new();
    let script = "echo one; read x <fifo; echo two >&2; echo three";
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        ground.tree.path().join("fifo"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .expect("a FIFO");
    let mut heard = Vec::new();
    // It goes on only if what it said before was heard.
    let mut on_output = |stream, bytes: &[u8]| {
        heard.push((stream, String::from_utf8_lossy(bytes).into_owned()));
        if heard.len() == 1 {
            std::fs::write(ground.tree.path().join("fifo"), "x\n").expect("read");
        }
    };
    let command = command(["sh", "-c", script]);
    let tree = ground.tree.path();
    let ran = run(&ground.confinement, &command, &tree.into(), &Stop::never(), &mut on_output);
    let ran = ran.expect("it ran");
    assert!(ran.succeeded());
    assert_eq!(heard[0], (Stream::Stdout, "one\n".to_owned()));
    assert!(heard.contains(&(Stream::Stderr, "two\n".to_owned())));
    assert_eq!((ran.stdout.text(), ran.stderr.text()), ("one\nthree\n".into(), "two\n".into()));
}
