//! The behaviours of the misbehaving builder.
//!
//! Invariant: the guest has a function, and the tests have a test, of each of these names.

/// Calls a macro with the name of each behaviour of the misbehaving builder.
#[macro_export]
macro_rules! for_each_builder_behaviour {
    ($call:ident) => {
        $call! {
            read_path
            write_path
            list_tree
            look_around
            plant_link
            hard_link
            rename_path
            trap_in_mid_write
            huge_file
            many_descriptors
            many_files
            deep_directories
            loop_forever
            loop_in_host_calls
            sleep_forever
            grow_memory
            recurse_forever
            panic_aloud
            exit_early
            flood_log
            flood_progress
            huge_outcome
            aliased_outcome
            disguised_words
            ask
            remember
            learn
            wait_for_other
        }
    };
}
