//! Builds the built-in agents for `wasm32-wasip2`, and leaves them in `OUT_DIR`.

use std::process::ExitCode;

use idumb_build_guests::Guests;

fn main() -> ExitCode {
    Guests {
        folder: "plugins",
        names: &["builder", "validator", "verifier", "integration-checker"],
        libraries: &["plugins/sdk", "plugins/criteria", "host/core"],
    }
    .build()
}
