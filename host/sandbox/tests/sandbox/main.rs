//! Guests through the real sandbox: the built-in agents, agents that misbehave, and what
//! is no agent at all.
//!
//! Invariant: every call ends with the project's tree as it was, and with the host alive.

mod alone;
mod built_in;
mod caching;
mod checking;
mod commands;
mod components;
mod crowds;
mod exhausting;
mod files;
mod handles;
mod mutated;
mod numbers;
mod parts;
mod people;
mod stopping;
mod truncated;
mod words;
mod world;

use idumb_test_guests::{for_each_builder_behaviour, for_each_validator_behaviour};

/// Every behaviour of the misbehaving agents has a test of its name.
mod complete {
    macro_rules! assert_test_exists {
        ($($name:ident)*) => {
            $(
                #[expect(unused_imports, reason = "that it can be imported is the point")]
                use tests::$name as _;
            )*
        };
    }

    mod builder {
        mod tests {
            pub(super) use crate::commands::*;
            pub(super) use crate::exhausting::*;
            pub(super) use crate::files::*;
            pub(super) use crate::handles::*;
            pub(super) use crate::numbers::*;
            pub(super) use crate::people::*;
            pub(super) use crate::words::*;
        }
        crate::for_each_builder_behaviour!(assert_test_exists);
    }

    mod validator {
        mod tests {
            pub(super) use crate::checking::*;
            pub(super) use crate::commands::*;
        }
        crate::for_each_validator_behaviour!(assert_test_exists);
    }
}
