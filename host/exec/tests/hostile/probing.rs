//! What lacks is seen before anything runs, whatever is said about it.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use idumb_exec::{
    Confinement, Error, Held, Lacking, Level, Namespace, Setup, Stop, Tree, Wall, Weaker, run,
};

use crate::support::{ALL, Ground, command, inner, is_root, setup};

/// A program in the place of bubblewrap.
fn with_bubblewrap(ground: &Ground, script: &str) -> Result<Confinement, Lacking> {
    let path = ground.tree.path().join("bwrap");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("executable");
    Confinement::probe(&Setup { bubblewrap: Some(path), ..setup(ground.tree.path()) })
}

#[test]
fn the_level_is_what_was_seen_and_goes_into_evidence() {
    let ground = Ground::new();
    let ran = ground.run(ALL, &command(["true"]));
    assert!(ran.succeeded());
    let level = &ran.level;
    assert_eq!(level, ground.confinement.level());
    assert_eq!(level.namespaces, Namespace::ALL.map(|(namespace, _)| namespace));
    assert!(level.user_namespaces_disabled && level.seccomp_filters >= 3);
    if level.memory != Held::Cgroup {
        let processes = if is_root() { Held::Sampled } else { Held::Rlimit };
        assert_eq!((level.processes, level.memory), (processes, Held::Sampled));
    }
    let written = serde_json::to_string(level).expect("it serialises");
    assert_eq!(&serde_json::from_str::<Level>(&written).expect("it is read"), level);
}

#[test]
fn what_is_not_there_is_named() {
    let ground = Ground::new();
    let tree = ground.tree.path();
    let none = Setup { bubblewrap: Some("/nowhere/bwrap".into()), ..setup(tree) };
    let lacking = Confinement::probe(&none).expect_err("there is none");
    assert!(matches!(lacking, Lacking::Bubblewrap));
    assert!(lacking.advice().is_some_and(|advice| advice.contains("apt-get install bubblewrap")));
    for program in ["/nowhere/inner", "relative"] {
        let mut without = setup(tree);
        without.inner.program = program.into();
        let lacking = Confinement::probe(&without);
        assert!(matches!(lacking, Err(Lacking::Inner { .. })), "{lacking:?}");
    }
    // A host path that is not there: bubblewrap says which.
    let mut without = setup(tree);
    without.read_only.push(PathBuf::from("/nowhere/tools"));
    let lacking = Confinement::probe(&without).expect_err("there is none");
    assert!(lacking.to_string().contains("/nowhere/tools"), "{lacking}");
}

#[test]
fn what_bubblewrap_cannot_do_is_named() {
    let ground = Ground::new();
    let old = with_bubblewrap(&ground, "echo 'bwrap: Unknown option --disable-userns' >&2; exit 1");
    assert!(matches!(old, Err(Lacking::OldBubblewrap { .. })), "{old:?}");
    let forbidden = "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1";
    let forbidden = with_bubblewrap(&ground, forbidden).expect_err("forbidden");
    assert!(matches!(forbidden, Lacking::UserNamespaces { .. }), "{forbidden:?}");
    assert!(forbidden.advice().is_some_and(|advice| advice.contains("unprivileged_userns")));
    let other = with_bubblewrap(&ground, "echo 'something else' >&2; exit 1");
    assert!(matches!(other, Err(Lacking::Sandbox { said }) if said == "something else"));
}

/// A bubblewrap that confines nothing, and says nothing: what is inside says it.
#[test]
fn walls_that_do_not_stand_are_seen_whoever_says_so() {
    let ground = Ground::new();
    let real = format!("exec '{}'", inner().program.display());
    let none = with_bubblewrap(&ground, &real).expect_err("no walls");
    let Lacking::Walls(missing) = &none else { panic!("{none}") };
    for wall in
        [Wall::Namespace(Namespace::Net), Wall::Namespace(Namespace::User), Wall::FirstProcess]
    {
        assert!(missing.contains(&wall), "{missing:?}");
    }
    // Its own filter stands.
    assert!(!missing.contains(&Wall::Seccomp), "{missing:?}");
    // One that leaves out the network alone.
    let filter = "for word; do shift; [ \"$word\" = --unshare-net ] || set -- \"$@\" \"$word\"; done; exec bwrap \"$@\"";
    let filter = format!("PATH=/usr/bin:/bin; {filter}");
    let one = with_bubblewrap(&ground, &filter).expect_err("a wall is missing");
    assert!(
        matches!(&one, Lacking::Walls(missing) if missing == &[Wall::Namespace(Namespace::Net)]),
        "{one}"
    );
}

#[test]
fn less_is_had_only_by_asking_for_it_and_is_said() {
    let ground = Ground::new();
    let weaker = vec![Weaker::NestedUserNamespacesByFilterOnly];
    let setup = Setup { weaker: weaker.clone(), ..setup(ground.tree.path()) };
    let confinement = Confinement::probe(&setup).expect("it is less");
    assert!(!confinement.level().user_namespaces_disabled);
    assert_eq!(confinement.level().weaker, weaker);
    let unshare = command(["unshare", "-U", "true"]);
    let ran =
        run(&confinement, &unshare, &ground.tree.path().into(), &Stop::never(), &mut |_, _| ());
    assert!(!ran.expect("it ran").succeeded());
}

#[test]
fn what_cannot_be_started_is_no_result() {
    let ground = Ground::new();
    let tree = ground.tree.path();
    std::fs::write(tree.join("text"), "x").expect("a file");
    for (program, dir) in [("none", ""), ("./text", ""), ("true", "none"), ("true", "text")] {
        let mut command = command([program]);
        command.dir = dir.into();
        let ran = run(&ground.confinement, &command, &tree.into(), &Stop::never(), &mut |_, _| ());
        assert!(matches!(ran, Err(Error::NotStarted { .. })), "{program} {dir} {ran:?}");
    }
    std::fs::create_dir_all(tree.join("a/b")).expect("a folder");
    let mut there = command(["pwd"]);
    there.dir = "a/b".into();
    assert_eq!(ground.run(ALL, &there).stdout.text(), "/tree/a/b\n");
}

#[test]
fn many_arguments_and_a_large_environment_arrive() {
    let ground = Ground::new();
    let mut large = command(["sh", "-c", "echo $#; printf %s \"$LARGE\" | wc -c", "sh"]);
    large.argv.extend((0..10_000).map(|number| format!("argument {number}").into()));
    large.env.insert("LARGE".into(), "x".repeat(100_000).into());
    let ran = ground.run(ALL, &large);
    assert_eq!(ran.stdout.text(), "10000\n100000\n", "{}", ran.stderr.text());
}

#[test]
fn a_tree_can_be_one_that_only_the_sandbox_sees() {
    let room = tempfile::tempdir().expect("a room");
    for folder in ["real", "seen"] {
        std::fs::create_dir(room.path().join(folder)).expect("a folder");
    }
    std::fs::write(room.path().join("real/here"), "").expect("a file");
    let mount = "PATH=/usr/bin:/bin; cd \"$1\" && mount --bind real seen && shift && exec \"$@\"";
    let words = ["/usr/bin/unshare", "--user", "--map-root-user", "--mount", "--", "/bin/sh", "-c"];
    let mut enter: Vec<OsString> = words.into_iter().chain([mount, "sh"]).map(Into::into).collect();
    enter.push(room.path().into());
    let tree = Tree { path: room.path().join("seen"), enter };
    let confinement = Confinement::probe(&Setup { tree: tree.clone(), ..setup(room.path()) });
    let confinement = confinement.unwrap_or_else(|lacking| panic!("{lacking}"));
    let ran = |script: &str, tree: &Tree| {
        let command = command(["sh", "-c", script]);
        run(&confinement, &command, tree, &Stop::never(), &mut |_, _| ()).expect("it ran")
    };
    let ended = ran("test -e here && echo x > there && ! unshare -U true && ! touch /etc/x", &tree);
    assert!(ended.succeeded(), "{ended:?}");
    let usual = Ground::new().confinement.level().clone();
    assert_eq!(Level { landlock: None, ..ended.level }, Level { landlock: None, ..usual });
    assert!(room.path().join("real/there").exists() && !room.path().join("seen/there").exists());
    // What it goes through may fail: that is the sandbox's failure, and is told.
    let nowhere = Tree { enter: vec!["/bin/false".into()], ..tree };
    let failed = run(&confinement, &command(["true"]), &nowhere, &Stop::never(), &mut |_, _| ());
    assert!(matches!(failed, Err(Error::Lacking(Lacking::Sandbox { .. }))), "{failed:?}");
}
