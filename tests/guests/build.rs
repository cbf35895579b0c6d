//! Builds the misbehaving agents and the command for `wasm32-wasip2`, and leaves them in `OUT_DIR`.

use std::process::ExitCode;

use idumb_build_guests::Guests;

fn main() -> ExitCode {
    Guests {
        folder: "tests/guests",
        names: &["misbehaving-builder", "misbehaving-validator", "commander"],
        libraries: &["plugins/sdk"],
    }
    .build()
}
