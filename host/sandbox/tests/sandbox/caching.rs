//! Components that come from the cache.
//!
//! Invariant: they are checked, run and stopped as those that were just compiled.

use std::path::Path;

use idumb_core::Role;
use idumb_sandbox::{Broken, Cache, Options, Sandbox};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{SHORT, World, sandbox, step, task};

/// A sandbox with a cache in `folder`.
fn with_cache(folder: &Path) -> Sandbox {
    let cache = Some(Cache::open(&folder.join("cache")).unwrap());
    Sandbox::with(Options { cache, ..Options::default() }).unwrap()
}

#[test]
fn a_cached_agent_does_what_a_compiled_one_does() {
    let folder = TempDir::new().unwrap();
    let world = World::new(&[]);
    let mut task = task(&[], &["**"], &[]);
    task.steps = vec![step("write", json!({"path": "made.txt", "content": "made"}))];
    let changes = [false, true].map(|cached| {
        let agent = with_cache(folder.path()).prepare(Role::Builder, idumb_builtin::BUILDER);
        let agent = agent.unwrap();
        assert_eq!(agent.is_cached(), cached);
        world.build(&agent, &task).changes(&world)
    });
    assert_eq!(changes[0], changes[1]);
    assert_eq!(changes[0].paths().collect::<Vec<_>>(), ["made.txt"]);
}

#[test]
fn a_cached_agent_is_stopped() {
    let folder = TempDir::new().unwrap();
    let component = idumb_test_guests::MISBEHAVING_BUILDER;
    with_cache(folder.path()).prepare(Role::Builder, component).unwrap();
    let agent = with_cache(folder.path()).prepare(Role::Builder, component).unwrap();
    assert!(agent.is_cached());
    let world = World::new(&[]).stopped_after(SHORT);
    let attempt = world.build(&agent, &task(&[], &[], &[("do", "loop_forever")]));
    assert_eq!(attempt.ended.result.unwrap_err(), Broken::Stopped);
}

/// What is kept is kept for a component, not for a role.
#[test]
fn a_cached_component_is_refused_as_a_compiled_one() {
    let folder = TempDir::new().unwrap();
    let component = idumb_test_guests::MISBEHAVING_VALIDATOR;
    let cached = with_cache(folder.path());
    cached.prepare(Role::Validator, component).unwrap();
    assert!(cached.prepare(Role::Validator, component).unwrap().is_cached());
    for role in [Role::Builder, Role::Verifier, Role::IntegrationChecker] {
        let expected = sandbox().prepare(role, component).err().unwrap();
        assert_eq!(cached.prepare(role, component).err(), Some(expected));
    }
}

/// A component that is refused can be in the cache, since it is compiled before it is checked.
#[test]
fn an_unknown_import_is_refused_each_time() {
    let folder = TempDir::new().unwrap();
    let component =
        wat::parse_str(r#"(component (import "evil:host/anything@1.0.0" (instance)))"#).unwrap();
    let refusals = [(), ()]
        .map(|()| with_cache(folder.path()).prepare(Role::Builder, &component).err().unwrap());
    assert_eq!(refusals[0], refusals[1]);
    assert!(refusals[0].to_string().contains("evil:host"), "{}", refusals[0]);
}

#[test]
fn many_at_once_on_an_empty_cache() {
    let folder = TempDir::new().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let sandbox = with_cache(folder.path());
                for _ in 0..3 {
                    sandbox.prepare(Role::Builder, idumb_builtin::BUILDER).unwrap();
                }
            });
        }
    });
    let agent = with_cache(folder.path()).prepare(Role::Builder, idumb_builtin::BUILDER);
    assert!(agent.unwrap().is_cached());
    assert_eq!(std::fs::read_dir(folder.path().join("cache")).unwrap().count(), 1);
}
