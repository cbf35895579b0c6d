//! What is no agent, or none of this role, or none for this host.
//!
//! Invariant: it is refused before anything of it runs, and the refusal says what was
//! expected and what was found.

use idumb_core::{Role, Trouble};
use idumb_sandbox::{Broken, Limits, Refused, Sandbox};

use crate::world::{World, sandbox, task};

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn refused(role: Role, bytes: &[u8]) -> Refused {
    match sandbox().prepare(role, bytes) {
        Ok(_) => panic!("it was taken for a {role}"),
        Err(refused) => refused,
    }
}

#[test]
fn what_is_not_wasm() {
    for bytes in [b"".as_slice(), b"#!/bin/sh\nexit 0\n", b"\0asm", b"\x7fELF\x02\x01\x01\0"] {
        let refused = refused(Role::Builder, bytes);
        assert!(matches!(refused, Refused::Invalid(_)), "{refused}");
        assert!(!refused.to_string().contains('\n'), "{refused}");
    }
}

/// The engine takes WebAssembly's text too, if it is asked to; a digest should name what runs.
#[test]
fn text_is_no_component() {
    let refused = refused(Role::Builder, b"(component)");
    assert!(matches!(refused, Refused::Invalid(_)), "{refused}");
}

#[test]
fn a_core_module() {
    let refused = refused(Role::Builder, &component("(module)"));
    assert!(matches!(refused, Refused::Invalid(_)), "{refused}");
    assert!(refused.to_string().starts_with("not a WebAssembly component"), "{refused}");
}

#[test]
fn a_component_cut_short() {
    let whole = idumb_builtin::BUILDER;
    // Every byte of the head, then steps through the rest.
    let steps = (0..64).chain((64..whole.len()).step_by(whole.len() / 50)).chain([whole.len() - 1]);
    for end in steps {
        let refused = refused(Role::Builder, &whole[..end]);
        assert!(
            matches!(refused, Refused::Invalid(_) | Refused::Export { .. }),
            "{end}: {refused}"
        );
    }
}

#[test]
fn a_component_with_flipped_bytes_is_an_error_or_an_agent_but_never_a_panic() {
    let whole = idumb_test_guests::MISBEHAVING_VALIDATOR;
    // In the head, where the sections are: in the code it would be another valid program.
    for place in (8..400).step_by(7) {
        let mut bytes = whole.to_vec();
        bytes[place] ^= 0x55;
        let _ = sandbox().prepare(Role::Validator, &bytes);
    }
}

#[test]
fn an_empty_component_lacks_the_function_of_its_role() {
    for (role, function) in [
        (Role::Builder, "build"),
        (Role::Validator, "validate"),
        (Role::Verifier, "verify"),
        (Role::IntegrationChecker, "check-integration"),
    ] {
        let refused = refused(role, &component("(component)"));
        let text = refused.to_string();
        assert!(matches!(refused, Refused::Export { .. }), "{text}");
        assert!(
            text.contains(&format!("`{function}`")) && text.contains("exports nothing"),
            "{text}"
        );
        assert!(text.contains(role.as_str()), "{text}");
    }
}

#[test]
fn an_agent_of_another_role() {
    let refused = refused(Role::Builder, idumb_test_guests::MISBEHAVING_VALIDATOR);
    let text = refused.to_string();
    // It either asks for too much, or lacks the function.
    assert!(text.contains("build"), "{text}");
}

#[test]
fn an_unknown_import() {
    for import in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:filesystem/types@0.3.0",
        "evil:host/anything@1.0.0",
        "idumb:agent/secrets@0.1.0",
        "idumb:agent-evil/types@0.1.0",
        "plain-name",
    ] {
        let text = if import.contains(':') {
            format!(r#"(component (import "{import}" (instance)))"#)
        } else {
            format!(r#"(component (import "{import}" (func)))"#)
        };
        let refused = refused(Role::Builder, &component(&text));
        let text = refused.to_string();
        assert!(matches!(refused, Refused::Import { .. }), "{text}");
        assert!(text.contains(import), "{text}");
        assert!(
            text.contains("it gets idumb:agent/{types, report, evidence, decisions, commands}@0.1"),
            "{text}"
        );
    }
}

#[test]
fn a_builder_that_wants_to_see_candidates() {
    let bytes = component(r#"(component (import "idumb:agent/change-set@0.1.0" (instance)))"#);
    let refused = refused(Role::Builder, &bytes);
    assert!(matches!(refused, Refused::Import { .. }), "{refused}");
}

#[test]
fn a_checker_of_the_whole_phase_that_wants_to_run_commands() {
    let import = "idumb:agent/commands@0.1.0";
    let bytes = component(&format!(r#"(component (import "{import}" (instance)))"#));
    for role in [Role::Verifier, Role::IntegrationChecker] {
        let refused = refused(role, &bytes);
        let text = refused.to_string();
        assert!(matches!(refused, Refused::Import { .. }), "{text}");
        assert!(text.contains(&format!("it imports `{import}`, which role {role} does not")));
    }
    for role in [Role::Builder, Role::Validator] {
        // It may import it; what it lacks is its function.
        let refused = refused(role, &bytes);
        assert!(matches!(refused, Refused::Export { .. }), "{refused}");
    }
}

/// As components that were built before there were commands. That they work is what all other
/// tests of them see.
#[test]
fn who_does_not_ask_for_commands_does_not_import_them() {
    let imports = |component: &[u8]| {
        let sections = wasmparser::Parser::new(0).parse_all(component);
        let mut imports = sections.filter_map(|payload| match payload.unwrap() {
            wasmparser::Payload::ComponentImportSection(imports) => Some(imports),
            _ => None,
        });
        imports.any(|section| {
            section.into_iter().any(|import| import.unwrap().name.name.contains("agent/commands@"))
        })
    };
    assert!(imports(idumb_test_guests::MISBEHAVING_BUILDER));
    assert!(imports(idumb_test_guests::MISBEHAVING_VALIDATOR));
    let built_in = [
        idumb_builtin::BUILDER,
        idumb_builtin::VALIDATOR,
        idumb_builtin::VERIFIER,
        idumb_builtin::INTEGRATION_CHECKER,
    ];
    assert!(!built_in.into_iter().any(imports));
}

#[test]
fn another_version_of_the_contract() {
    for version in ["0.2.0", "1.0.0", "0.10.0", "0.1.0-rc.1", "0.0.9"] {
        let import = format!("idumb:agent/types@{version}");
        let bytes = component(&format!(r#"(component (import "{import}" (instance)))"#));
        let refused = refused(Role::Validator, &bytes);
        let text = refused.to_string();
        if version.starts_with("0.1.") {
            continue;
        }
        assert!(matches!(refused, Refused::Version { .. }), "{text}");
        assert!(text.contains(&import) && text.contains("speaks idumb:agent 0.1"), "{text}");
    }
}

/// The right name with another type is noticed at the call, before the function runs.
#[test]
fn an_export_of_another_type() {
    let bytes = component(
        r#"(component
            (core module $m (func (export "f") (result i32) i32.const 7))
            (core instance $i (instantiate $m))
            (func $f (result u32) (canon lift (core func $i "f")))
            (export "build" (func $f)))"#,
    );
    let agent = sandbox().prepare(Role::Builder, &bytes).unwrap();
    let attempt = World::new(&[]).build(&agent, &task(&[], &[], &[]));
    match &attempt.ended.result {
        Err(Broken::Trouble(Trouble::Trap { message })) => {
            assert!(message.contains("type"), "{message}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_component_above_the_limit() {
    let small = Sandbox::new(Limits { component_bytes: 10, ..Limits::default() }).unwrap();
    match small.prepare(Role::Builder, &component("(component (core module (func)))")) {
        Err(Refused::TooLarge { size, limit: 10 }) => assert!(size > 10),
        other => panic!("{:?}", other.err()),
    }
}
