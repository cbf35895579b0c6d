//! What the built-in agents are: components of their world that ask for no more than an
//! agent may have.

use std::collections::BTreeSet;

use idumb_builtin::{ALL, BuiltIn};
use wit_component::DecodedWasm;
use wit_parser::WorldItem;

/// The names of the interfaces that a component imports, such as `wasi:io/streams@0.2.6`,
/// and of all that it exports.
fn names(agent: &BuiltIn) -> (BTreeSet<String>, BTreeSet<String>) {
    let decoded = wit_component::decode(agent.component).expect(agent.name);
    let DecodedWasm::Component(resolve, world) = decoded else {
        panic!("{} is a WIT package, not a component", agent.name);
    };
    let world = &resolve.worlds[world];
    // A type is named for the exported function's sake; it asks nothing of the host.
    let asked = world.imports.iter().filter(|(_, item)| !matches!(item, WorldItem::Type { .. }));
    let imports = asked.map(|(key, _)| resolve.name_world_key(key)).collect();
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    (imports, exports)
}

#[test]
fn there_is_one_for_each_role() {
    let roles: Vec<_> = ALL.iter().map(|agent| agent.role).collect();
    assert_eq!(roles, ["builder", "validator", "verifier", "integration-checker"]);
    assert!(ALL.iter().all(|agent| agent.name == agent.role));
}

#[test]
fn each_exports_the_one_function_of_its_role() {
    for agent in ALL {
        let function = match agent.role {
            "builder" => "build",
            "validator" => "validate",
            "verifier" => "verify",
            _ => "check-integration",
        };
        let (_, exports) = names(agent);
        assert_eq!(exports, BTreeSet::from([function.to_owned()]), "{}", agent.name);
    }
}

#[test]
fn each_imports_wasi_and_the_contract_and_no_network() {
    for agent in ALL {
        let (imports, _) = names(agent);
        for import in &imports {
            let (package, version) = import.rsplit_once('@').expect(import);
            let ours = package.starts_with("idumb:agent/") && version == "0.1.0";
            let wasi = package.starts_with("wasi:") && version.starts_with("0.2.");
            assert!(ours || wasi, "{} imports {import}", agent.name);
            let network = ["wasi:sockets/", "wasi:http/"];
            assert!(
                !network.iter().any(|n| package.starts_with(n)),
                "{} imports {import}",
                agent.name
            );
        }
        let uses = |name: &str| imports.contains(&format!("idumb:agent/{name}@0.1.0"));
        assert!(uses("report"), "{} says nothing of what it does", agent.name);
        assert_eq!(uses("evidence"), agent.role != "builder", "{}", agent.name);
        assert_eq!(uses("change-set"), agent.role != "builder", "{}", agent.name);
    }
}

#[test]
fn each_is_small() {
    for agent in ALL {
        let size = agent.component.len();
        assert!(size < 2 << 20, "{} has {size} bytes", agent.name);
    }
}

#[test]
fn none_names_a_path_of_the_machine_that_built_it() {
    let manifest = env!("CARGO_MANIFEST_DIR");
    let root = manifest.strip_suffix("/plugins/bundle").unwrap_or(manifest);
    for agent in ALL {
        for path in
            [Some(root.to_owned()), std::env::var("HOME").ok().map(|home| format!("{home}/."))]
        {
            let Some(path) = path else { continue };
            let there = agent.component.windows(path.len()).any(|bytes| bytes == path.as_bytes());
            assert!(!there, "{} names {path}", agent.name);
        }
    }
}
