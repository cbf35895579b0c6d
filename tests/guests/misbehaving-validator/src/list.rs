//! The behaviours of the misbehaving validator.
//!
//! Invariant: the guest has a function, and the tests have a test, of each of these names.

/// Calls a macro with the name of each behaviour of the misbehaving validator.
#[macro_export]
macro_rules! for_each_validator_behaviour {
    ($call:ident) => {
        $call! {
            be_honest
            pass_without_evidence
            invent_evidence
            misspell_evidence
            find_nothing
            find_twice
            find_what_was_not_asked
            invert_verdicts
            write_in_view
            observe_too_much
            flood_findings
            find_under_long_names
            crash
            never_answer
            rest_on_a_command
        }
    };
}
