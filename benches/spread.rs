//! A large project: what benchmarks of files measure on.
//!
//! Invariant: the same number gives the same files.

use std::fs;
use std::path::Path;

/// What file `number` has in it.
pub(crate) fn content(number: usize) -> String {
    format!("the content of file {number}\n").repeat(40)
}

/// Writes `files` files under `root`, a hundred in a directory.
pub(crate) fn spread(root: &Path, files: usize) {
    for number in 0..files {
        let dir = root.join(format!("d{}/e{}", number / 10_000, number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&dir).expect("a directory");
        }
        fs::write(dir.join(format!("{number}.txt")), content(number)).expect("a file");
    }
}
