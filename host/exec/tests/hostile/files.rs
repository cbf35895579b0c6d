//! Files that are not the command's, and what it leaves where the host looks.

use std::path::Path;

use idumb_exec::{Guards, OutputError, Outputs};

use crate::support::{ALL, Ground, command, is_root, python};

const OPEN: Guards = Guards { mounts: false, landlock: false, ..ALL };

#[test]
fn nothing_outside_of_the_tree_is_written() {
    let ground = Ground::new();
    let outside = tempfile::tempdir().expect("a folder");
    let attack = python(&format!(
        "
for root in ['', '/host', '/tree/..', '/proc/1/root', '/proc/self/root']:
    try:
        open(root + '{}', 'w').write('x')
        os._exit(0)
    except OSError:
        pass
refused('everywhere')
",
        outside.path().join("x").display()
    ));
    ground.refuses(&attack, OPEN);
    std::fs::remove_file(outside.path().join("x")).expect("it was there");
    // Each of the two walls is enough.
    assert!(!ground.succeeds(Guards { mounts: false, ..ALL }, &attack));
    assert!(!ground.succeeds(Guards { landlock: false, ..ALL }, &attack));
    assert!(!outside.path().join("x").exists());
}

#[test]
fn only_what_has_a_size_is_written_inside() {
    let ground = Ground::new();
    for guards in [ALL, Guards { landlock: false, ..ALL }] {
        for place in ["/", "/dev", "/etc", "/usr", "/run", "/home", "/proc", "/usr/bin"] {
            let attack = python(&format!("attempt(lambda: open('{place}/x', 'w'))"));
            assert!(!ground.succeeds(guards, &attack), "{place}");
        }
    }
    let written =
        command(["sh", "-c", "for in in . /tmp /dev/shm ~ ; do echo x >$in/x || exit 1; done"]);
    assert!(ground.run(ALL, &written).succeeded());
    assert!(ground.tree.path().join("x").exists());
}

#[test]
fn what_the_host_keeps_for_itself_is_not_read() {
    let ground = Ground::new();
    for path in ["/root", "/home", "/var", "/sys", "/etc/shadow", "/etc/hostname", "/run"] {
        let attack = python(&format!(
            "
def find(path):
    try:
        return os.listdir(path) if os.path.isdir(path) else [open(path).read()]
    except OSError:
        return []
for root in ['', '/host', '/proc/1/root']:
    if find(root + '{path}') not in ([], ['idumb'], ['idumb-exec']):
        os._exit(0)
refused('neither')
"
        ));
        assert!(!ground.succeeds(ALL, &attack), "{path}");
        if !read_by_host(Path::new(path)) {
            continue;
        }
        assert!(ground.succeeds(OPEN, &attack), "{path}");
        if Path::new(path).is_file() {
            // Landlock lets nothing be read. Names it shows, of what is there.
            assert!(!ground.succeeds(Guards { mounts: false, ..ALL }, &attack), "{path}");
        }
    }
}

/// Whether there is something to be had for this user at all.
fn read_by_host(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => std::fs::read(path).is_ok(),
    }
}

#[test]
fn the_hosts_settings_are_not_written() {
    let ground = Ground::new();
    // It is opened, and nothing is written: there is one of it on the machine.
    let attack = python(
        "
fd = attempt(lambda: os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY))
",
    );
    let without = Guards { proc_read_only: false, landlock: false, ..ALL };
    if is_root() {
        // Bubblewrap alone leaves it to a root without any capability.
        assert!(ground.succeeds(without, &attack));
        assert!(!ground.succeeds(Guards { proc_read_only: false, ..ALL }, &attack));
        assert!(!ground.succeeds(Guards { landlock: false, ..ALL }, &attack));
    }
    assert!(!ground.succeeds(ALL, &attack));
}

#[test]
fn a_tree_may_be_for_reading_only_and_host_folders_are_what_they_were_given_as() {
    let ground = Ground::new();
    let tools = tempfile::tempdir().expect("a folder");
    let cache = tempfile::tempdir().expect("a folder");
    std::fs::write(tools.path().join("tool"), "#!/bin/sh\necho a tool\n").expect("a tool");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tools.path().join("tool"), mode).expect("executable");
    let script = format!(
        "tool && echo x >{cache}/x && ! echo x >{tools}/x && ! echo x >x && ! touch {cache}/../y/x",
        cache = cache.path().display(),
        tools = tools.path().display()
    );
    let mut command = command(["sh", "-c", &script]);
    command.read_only.push(tools.path().into());
    command.bins.push(tools.path().into());
    command.caches.push(cache.path().into());
    command.writable = false;
    for guards in [ALL, Guards { landlock: false, ..ALL }] {
        let ran = ground.run(guards, &command);
        assert!(ran.succeeded(), "{}", ran.stderr.text());
        assert_eq!(ran.stdout.text(), "a tool\n");
    }
    assert!(cache.path().join("x").exists() && !tools.path().join("x").exists());
}

#[test]
fn outputs_that_were_planted_as_something_else_are_not_read() {
    let ground = Ground::new();
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "a secret").expect("written");
    let plant = format!(
        "ln -s {secret} link && ln -s {folder} folder && mkfifo fifo && ln -s /proc/self/environ magic \
         && truncate -s 1M hole && mkdir dir && echo fine >dir/report",
        secret = secret.path().display(),
        folder = secret.path().parent().expect("a folder").display()
    );
    let ran = ground.run(ALL, &command(["sh", "-c", &plant]));
    assert!(ran.succeeded(), "{}", ran.stderr.text());
    let tree = ground.tree.path();
    // What a plain read does.
    assert_eq!(std::fs::read(tree.join("link")).expect("followed"), b"a secret");
    let outputs = Outputs::open(tree).expect("a tree");
    let read = |path: &str| outputs.read(Path::new(path), 1000);
    let through = format!("folder/{}", secret.path().file_name().expect("a name").display());
    for link in ["link", &through, "magic"] {
        assert!(matches!(read(link), Err(OutputError::Link(_))), "{:?}", read(link));
    }
    assert!(matches!(read("fifo"), Err(OutputError::NotAFile(_))));
    assert!(matches!(read("hole"), Err(OutputError::TooLarge { .. })));
    assert_eq!(read("dir/report").expect("a file"), b"fine\n");
}
