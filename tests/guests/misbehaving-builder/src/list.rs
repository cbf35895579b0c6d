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
            many_names
            flood_log
            lines_without_end
            flood_progress
            huge_outcome
            aliased_outcome
            many_pollables
            many_streams
            many_folders
            many_listings
            wait_for_ever
            poll_again_and_again
            stream_never_read
            stream_never_flushed
            random_without_end
            times_without_end
            zeroes_without_end
            skip_and_splice
            far_offsets
            list_of_4_gib
            aliased_choices
            huge_words
            long_choice
            many_choices
            many_questions
            long_artifacts
            disguised_words
            ask
            remember
            learn
            wait_for_other
            say_and_look
            ask_for_commands
            many_commands
            huge_arguments
        }
    };
}
