//! Running one command: from its words to what came of it.
//!
//! Invariant: a command is told to start only after the walls around it were seen to stand.

use std::path::Path;
use std::time::Duration;

use super::attend::Attendance;
use super::bubble;
use super::confinement::Confinement;
use super::guards::Guards;
use super::wire::{Facts, Launch};
use crate::{
    Captured, Command, Ended, Error, Held, Lacking, Level, Namespace, Ran, Stop, Stream, Tree,
    Wall, Weaker,
};

/// Runs a command on a tree, and waits for its end.
///
/// `on_output` is called from this thread with every piece of output as it comes, and where it
/// came from; while it does not return, the command's output waits, and so does its deadline.
/// `stop` ends the run from another thread. When this returns, however it does, no process of the
/// command is left.
///
/// # Errors
/// The command is none, the walls do not stand any more, or the host had trouble. How the command
/// ended is no error: see [`Ran::ended`].
pub fn run(
    confinement: &Confinement,
    command: &Command,
    tree: &Tree,
    stop: &Stop,
    on_output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ran, Error> {
    command.check()?;
    if stop.is_given() {
        return Ok(never_started(confinement));
    }
    // What bubblewrap is told has to mean the same from anywhere.
    let tree = Tree { path: tree.path.canonicalize()?, enter: tree.enter.clone() };
    Attendance::start(confinement, command, &tree, stop, on_output)?.attend()
}

fn never_started(confinement: &Confinement) -> Ran {
    Ran {
        ended: Ended::Cancelled,
        stdout: Captured::default(),
        stderr: Captured::default(),
        time: Duration::ZERO,
        setup: Duration::ZERO,
        peak_memory: None,
        level: confinement.level().clone(),
    }
}

/// What the first process inside is told of a command.
pub(crate) fn launch(confinement: &Confinement, command: &Command) -> Launch {
    let guards = confinement.guards();
    let (processes, memory) = confinement.bounds();
    Launch {
        argv: command.argv.clone(),
        env: bubble::environment(command),
        dir: Path::new(super::TREE).join(&command.dir).into_os_string(),
        network: command.network,
        limits: command.limits,
        sample_processes: guards.sampling && processes == Held::Sampled,
        sample_memory: guards.sampling && memory == Held::Sampled,
        limit_processes: processes == Held::Rlimit,
        landlock: guards.landlock.then(|| bubble::places(command)),
        seccomp: guards.seccomp,
        rlimits: guards.rlimits,
        close_descriptors: guards.descriptors,
        clear_environment: guards.environment,
    }
}

/// Makes a level of what the first process inside saw, if every wall stands.
pub(crate) fn judge(
    confinement: &Confinement,
    facts: &Facts,
    host: &[(Namespace, String)],
) -> Result<Level, Lacking> {
    let apart = apart(facts, host);
    let missing = missing(facts, &apart);
    if !missing.is_empty() && confinement.guards() == Guards::ALL {
        return Err(Lacking::Walls(missing));
    }
    let weaker = confinement.weaker().to_vec();
    let (processes, memory) = confinement.bounds();
    Ok(Level {
        namespaces: apart,
        // Bubblewrap fails if it cannot.
        user_namespaces_disabled: confinement.guards().nested_users
            && !weaker.contains(&Weaker::NestedUserNamespacesByFilterOnly),
        seccomp_filters: facts.seccomp_filters,
        landlock: None,
        processes,
        memory,
        weaker,
    })
}

/// The namespaces that are not the host's.
fn apart(facts: &Facts, host: &[(Namespace, String)]) -> Vec<Namespace> {
    let its_own = |(namespace, name): &&(Namespace, String)| {
        host.iter().any(|(known, other)| known == namespace && other != name)
    };
    facts.namespaces.iter().filter(its_own).map(|(namespace, _)| *namespace).collect()
}

fn missing(facts: &Facts, apart: &[Namespace]) -> Vec<Wall> {
    let shared = Namespace::ALL.iter().map(|(namespace, _)| *namespace);
    let shared = shared.filter(|namespace| !apart.contains(namespace)).map(Wall::Namespace);
    let others = [
        (facts.pid == 1, Wall::FirstProcess),
        (facts.capabilities == 0, Wall::NoCapabilities),
        (facts.no_new_privileges, Wall::NoNewPrivileges),
        (facts.seccomp_filters > 0, Wall::Seccomp),
    ];
    let fallen = others.into_iter().filter(|(stands, _)| !stands).map(|(_, wall)| wall);
    shared.chain(fallen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let own = |(namespace, name): (Namespace, &str)| (namespace, format!("{name}:[2]"));
        Facts {
            pid: 1,
            namespaces: Namespace::ALL.map(own).to_vec(),
            capabilities: 0,
            no_new_privileges: true,
            seccomp_filters: 4,
        }
    }

    #[test]
    fn each_wall_that_does_not_stand_is_named() {
        let hosts = |(namespace, name): (Namespace, &str)| (namespace, format!("{name}:[1]"));
        let host = Namespace::ALL.map(hosts);
        let walls = |change: fn(&mut Facts)| {
            let mut facts = facts();
            change(&mut facts);
            missing(&facts, &apart(&facts, &host))
        };
        assert_eq!(walls(|_| ()), []);
        assert_eq!(walls(|f| f.pid = 2), [Wall::FirstProcess]);
        assert_eq!(walls(|f| f.capabilities = 1 << 40), [Wall::NoCapabilities]);
        assert_eq!(walls(|f| f.no_new_privileges = false), [Wall::NoNewPrivileges]);
        assert_eq!(walls(|f| f.seccomp_filters = 0), [Wall::Seccomp]);
        assert_eq!(
            walls(|f| f.namespaces[3].1 = "net:[1]".into()),
            [Wall::Namespace(Namespace::Net)]
        );
        // What is not known counts as the host's.
        assert_eq!(walls(|f| f.namespaces.truncate(6)), [Wall::Namespace(Namespace::Uts)]);
    }
}
