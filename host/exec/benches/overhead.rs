//! What confinement costs a command that does nothing: prints times from one run.
//!
//! `cargo bench -p idumb-exec --bench overhead [-- ROUNDS]`. Plain, in bubblewrap with the same
//! namespaces and one bind, and confined as `idumb-exec` does it, one after the other in each
//! round, so that whatever else the machine does hits all three.

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};
    use std::time::{Duration, Instant};

    use idumb_exec::{Command, Confinement, Inner, Setup, Stop, run};

    const ROUNDS: usize = 200;

    /// What is wanted, at most, in milliseconds.
    const WANTED: f64 = 15.0;

    pub(super) fn main() {
        let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
        let rounds = rounds.unwrap_or(ROUNDS);
        let tree = tempfile::tempdir().expect("a tree");
        let setup = Setup {
            inner: Inner {
                program: env!("CARGO_BIN_EXE_idumb-exec-inner").into(),
                args: Vec::new(),
            },
            bubblewrap: None,
            cgroup: None,
            tree: tree.path().into(),
            read_only: Vec::new(),
            caches: Vec::new(),
            weaker: Vec::new(),
        };
        let confinement = Confinement::probe(&setup).expect("a confinement");
        let command = Command::new(["/bin/true"]);
        let (mut plain, mut bubble, mut confined) = (Vec::new(), Vec::new(), Vec::new());
        let (mut setups, mut runs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            plain.push(timed(|| process("/bin/true", &[])));
            bubble.push(timed(|| process("/usr/bin/bwrap", BUBBLE)));
            confined.push(timed(|| {
                let stop = Stop::never();
                let ran = run(&confinement, &command, &tree.path().into(), &stop, &mut |_, _| ());
                let ran = ran.expect("it ran");
                assert!(ran.succeeded());
                setups.push(ran.setup);
                runs.push(ran.time);
            }));
        }
        let mut out = format!("{:?}\n{rounds} rounds\n", confinement.level());
        let [plain, bubble, confined] = [
            report(&mut out, "/bin/true, plain", plain),
            report(&mut out, "/bin/true, bubblewrap alone", bubble),
            report(&mut out, "/bin/true, idumb-exec", confined),
        ];
        report(&mut out, "  of it: until it may start", setups);
        report(&mut out, "  of it: from there to its end", runs);
        let added = confined - plain;
        let _ = writeln!(out, "added to plain: {added:.2} ms (wanted: at most {WANTED} ms)");
        let _ = writeln!(out, "added to bubblewrap alone: {:.2} ms", confined - bubble);
        let _ = std::io::stdout().lock().write_all(out.as_bytes());
    }

    const BUBBLE: &[&str] =
        &["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"];

    fn process(program: &str, args: &[&str]) {
        let mut process = Process::new(program);
        process.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        assert!(process.status().expect("it is there").success());
    }

    fn timed(what: impl FnOnce()) -> Duration {
        let begun = Instant::now();
        what();
        begun.elapsed()
    }

    /// Prints the median and the tenth slowest; returns the median in milliseconds.
    fn report(out: &mut String, name: &str, mut times: Vec<Duration>) -> f64 {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
        let _ = writeln!(out, "{name:30} median {:7.2} ms   p90 {:7.2} ms", at(50), at(90));
        at(50)
    }
}
