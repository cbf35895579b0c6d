//! What `wit-bindgen` makes of `wit/`: one module for each world.
//!
//! Invariant: there is one set of Rust types. The world `validator` imports every
//! interface, so its module holds them all; the other worlds are mapped onto it.

/// The world `validator`, and every interface.
pub mod validator {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "validator",
        pub_export_macro: true,
        export_macro_name: "export_validator",
        default_bindings_module: "idumb_agent::bindings::validator",
        additional_derives: [PartialEq, Eq, Hash],
        generate_unused_types: true,
    });
}

/// The world `builder`.
pub mod builder {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "builder",
        pub_export_macro: true,
        export_macro_name: "export_builder",
        default_bindings_module: "idumb_agent::bindings::builder",
        with: {
            "idumb:agent/types@0.1.0": super::validator::idumb::agent::types,
            "idumb:agent/report@0.1.0": super::validator::idumb::agent::report,
            "idumb:agent/evidence@0.1.0": super::validator::idumb::agent::evidence,
            "idumb:agent/decisions@0.1.0": super::validator::idumb::agent::decisions,
            "idumb:agent/commands@0.1.0": super::validator::idumb::agent::commands,
        },
    });
}

/// The world `verifier`.
#[expect(clippy::too_many_arguments, reason = "the lowered function has one for each field")]
pub mod verifier {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "verifier",
        pub_export_macro: true,
        export_macro_name: "export_verifier",
        default_bindings_module: "idumb_agent::bindings::verifier",
        with: {
            "idumb:agent/types@0.1.0": super::validator::idumb::agent::types,
            "idumb:agent/report@0.1.0": super::validator::idumb::agent::report,
            "idumb:agent/evidence@0.1.0": super::validator::idumb::agent::evidence,
            "idumb:agent/decisions@0.1.0": super::validator::idumb::agent::decisions,
            "idumb:agent/change-set@0.1.0": super::validator::idumb::agent::change_set,
        },
    });
}

/// The world `integration-checker`.
pub mod integration_checker {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "integration-checker",
        pub_export_macro: true,
        export_macro_name: "export_integration_checker",
        default_bindings_module: "idumb_agent::bindings::integration_checker",
        with: {
            "idumb:agent/types@0.1.0": super::validator::idumb::agent::types,
            "idumb:agent/report@0.1.0": super::validator::idumb::agent::report,
            "idumb:agent/evidence@0.1.0": super::validator::idumb::agent::evidence,
            "idumb:agent/decisions@0.1.0": super::validator::idumb::agent::decisions,
            "idumb:agent/change-set@0.1.0": super::validator::idumb::agent::change_set,
        },
    });
}
