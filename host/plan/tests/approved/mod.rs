//! Texts for people, compared with snapshots that somebody approved.
//!
//! Invariant: a case without a snapshot and a snapshot without a case both fail.

use std::collections::BTreeSet;
use std::path::Path;

/// Whether `shown` is what the snapshot `name` in `snapshots/<folder>` has.
pub(crate) fn is_approved(folder: &str, name: &str, shown: &str) -> bool {
    let check = || {
        insta::with_settings!({
            snapshot_path => format!("../snapshots/{folder}"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name, shown);
        });
    };
    std::panic::catch_unwind(check).is_ok()
}

/// Asserts that each snapshot in `snapshots/<folder>` is of one of these cases.
pub(crate) fn assert_all_known(folder: &str, known: &BTreeSet<String>) {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(folder);
    for entry in std::fs::read_dir(snapshots).expect("snapshots") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let stem = file.split(".snap").next().unwrap_or_default();
        assert!(known.contains(stem), "snapshots/{folder}/{file} has no case");
    }
}
