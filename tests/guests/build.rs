//! Builds the agents and the command of tests for `wasm32-wasip2`, and leaves them in `OUT_DIR`.

use std::process::ExitCode;

use idumb_build_guests::Guests;

fn main() -> ExitCode {
    Guests {
        folder: "tests/guests",
        names: &["misbehaving-builder", "misbehaving-validator", "commander", "narrow-builder"],
        libraries: &["plugins/sdk"],
    }
    .build()
}
