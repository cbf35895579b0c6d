//! What the host's process has, and a command must not: variables, descriptors, a search path.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command as Process;

use idumb_exec::Guards;
use rustix::fs::{Mode, OFlags};

use crate::support::{ALL, Ground, command, in_another_process, is_the_other_process, python};

const POISON: [(&str, &str); 6] = [
    ("ANTHROPIC_API_KEY", "a-key"),
    ("GIT_DIR", "/poison"),
    ("GIT_SSH_COMMAND", "/poison"),
    ("RUSTC_WRAPPER", "/poison"),
    ("CARGO_HOME", "/poison"),
    ("BASH_ENV", "/poison"),
];

fn variables(output: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn nothing_of_the_hosts_environment_is_inside() {
    if !is_the_other_process() {
        let mut other =
            in_another_process("environment::nothing_of_the_hosts_environment_is_inside");
        assert!(other.envs(POISON).status().expect("another process").success());
        return;
    }
    let ground = Ground::new();
    let mut env = command(["env"]);
    env.env.insert("MINE".into(), "1".into());
    env.env.insert("LANG".into(), "en".into());
    let without = ground.run(Guards { environment: false, ..ALL }, &env);
    let all = variables(&without.stdout.head);
    assert!(POISON.iter().all(|(name, value)| all.get(*name).is_some_and(|found| found == value)));
    let with = ground.run(ALL, &env);
    let expected = [
        ("HOME", "/home/idumb"),
        ("LANG", "en"),
        ("MINE", "1"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("TMPDIR", "/tmp"),
        ("USER", "idumb"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables(&with.stdout.head), BTreeMap::from(expected));
    // Nor is it to be found in the memory of what started it.
    let search = python(
        "
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        if b'a-key' in open(f'/proc/{pid}/environ', 'rb').read():
            os._exit(0)
    except OSError:
        pass
refused('no process has it')
",
    );
    ground.refuses(&search, Guards { environment: false, ..ALL });
}

fn write_script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a script");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("executable");
}

/// A library that leaves a mark wherever it is loaded, and programs that do where they are run.
#[test]
fn neither_a_preloaded_library_nor_a_search_path_gets_into_what_starts_the_sandbox() {
    const NAME: &str = "environment::neither_a_preloaded_library_nor_a_search_path_gets_into_what_starts_the_sandbox";
    if is_the_other_process() {
        let ground = Ground::new();
        let guards = Guards { environment: std::env::var_os("UNGUARDED").is_none(), ..ALL };
        assert_eq!(ground.run(guards, &command(["true"])).stdout.text(), "");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(
        at("mark.c"),
        "#include <fcntl.h>\n#include <stdlib.h>\n#include <string.h>\n\
         extern char *program_invocation_short_name;\n\
         __attribute__((constructor)) static void mark(void) {\n\
         if (!strcmp(program_invocation_short_name, \"bwrap\")) open(getenv(\"MARK\"), O_CREAT, 0600);\n}\n",
    )
    .expect("a source");
    let mut compile = Process::new("cc");
    compile.args(["-shared", "-fPIC", "-D_GNU_SOURCE", "-include", "errno.h", "-o"]);
    compile.args([at("mark.so"), at("mark.c")]);
    assert!(compile.status().expect("a C compiler").success());
    std::fs::create_dir(at("bin")).expect("a folder");
    for program in ["bwrap", "true"] {
        write_script(&at("bin").join(program), "#!/bin/sh\n: >\"$PATH_MARK\"\n");
    }
    let marks = |unguarded: bool| {
        let mut other = in_another_process(NAME);
        let path = format!("{}:/usr/bin:/bin", at("bin").display());
        other.env("PATH", path).env("LD_PRELOAD", at("mark.so")).env("MARK", at("preloaded"));
        other.env("PATH_MARK", at("searched"));
        if unguarded {
            other.env("UNGUARDED", "1");
        }
        assert!(other.status().expect("another process").success());
        let found = ["preloaded", "searched"].map(|mark| at(mark).exists());
        let _ = std::fs::remove_file(at("preloaded"));
        found
    };
    assert_eq!(marks(true), [true, false]);
    assert_eq!(marks(false), [false, false]);
}

#[test]
fn a_descriptor_that_the_host_leaks_is_not_the_commands() {
    let ground = Ground::new();
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "a secret").expect("written");
    // Open without CLOEXEC, as much software leaves it.
    let leaked = rustix::fs::open(secret.path(), OFlags::RDONLY, Mode::empty()).expect("opened");
    assert!(leaked.as_raw_fd() > 2);
    let attack = python("
found = set()
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        found |= {f'/proc/{pid}/fd/{fd}' for fd in os.listdir(f'/proc/{pid}/fd')}
    except OSError:
        pass
for fd in map(int, os.listdir('/proc/self/fd')):
    try:
        if os.fstat(fd).st_size == 8 and os.pread(fd, 8, 0) == b'a secret':
            os._exit(0)
    except OSError:
        pass
for path in found:
    try:
        if os.path.exists(path) and os.stat(path).st_size == 8 and open(path, 'rb').read() == b'a secret':
            os._exit(0)
    except OSError:
        pass
refused(found)
");
    ground.refuses(&attack, Guards { descriptors: false, ..ALL });
    // The first process has its socket to the host there.
    let input = ground.run(ALL, &command(["readlink", "/proc/self/fd/0"]));
    assert_eq!(input.stdout.text(), "/dev/null\n");
    let fds = ground.run(ALL, &command(["sh", "-c", "echo /proc/$$/fd/*"]));
    let own = fds.stdout.text();
    let own = own.split_whitespace().filter_map(|path| path.rsplit('/').next());
    // The last is the folder that is being listed.
    assert_eq!(own.collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn an_argument_is_never_an_option_of_the_sandbox() {
    let ground = Ground::new();
    let args = ["--bind", "/", "/", "--", "-h", "--seccomp", "9", "$(id)", "a b", "", "*"];
    let mut print = command(["python3", "-c", "import sys; print(sys.argv[1:])"]);
    print.argv.extend(args.map(Into::into));
    let said = ground.run(ALL, &print).stdout.text();
    assert_eq!(said, format!("{args:?}\n").replace('"', "'"));
    // Nor is a program whose name is one: there is none of that name.
    let tree = ground.tree.path();
    let ran = idumb_exec::run(
        &ground.confinement,
        &command(["--help"]),
        &tree.into(),
        &idumb_exec::Stop::never(),
        &mut |_, _| (),
    );
    assert!(matches!(ran, Err(idumb_exec::Error::NotStarted { .. })), "{ran:?}");
    // Nor is a tree.
    let odd = tree.join("--help");
    std::fs::create_dir(&odd).expect("a folder");
    std::fs::write(odd.join("here"), "").expect("a file");
    let list = idumb_exec::run(
        &ground.confinement,
        &command(["ls"]),
        &odd.as_path().into(),
        &idumb_exec::Stop::never(),
        &mut |_, _| (),
    );
    assert_eq!(list.expect("it ran").stdout.text(), "here\n");
}
