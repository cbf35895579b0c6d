//! x
use idumb_exec::*;
#[test]
fn smoke() {
    let tree = tempfile::tempdir().unwrap();
    let setup = Setup { inner: Inner { program: env!("CARGO_BIN_EXE_idumb-exec-inner").into(), args: vec![] }, bubblewrap: None, cgroup: None, tree: tree.path().into(), read_only: vec![], caches: vec![], weaker: vec![] };
    let c = Confinement::probe(&setup).unwrap();
    println!("{:?}", c.level());
    let cmd = Command::new(["sh", "-c", "id; env; pwd; ls -la / /etc; cat /proc/self/status | grep -E 'Cap|Sec|No'; ls -la /proc/self/fd /proc/1/fd; ulimit -a; touch x; mount; cat /proc/mounts | head -3; echo x > /proc/sys/kernel/core_pattern; ls /root; nice; ps aux; python3 -c 'import socket; socket.socket()'"]);
    let ran = run(&c, &cmd, tree.path(), &Stop::never(), &mut |_, _| ()).unwrap();
    println!("{}\n{}\n{:?} {:?} {:?} {:?} {:?}", ran.stdout.text(), ran.stderr.text(), ran.ended, ran.time, ran.setup, ran.peak_memory, ran.level);
}
