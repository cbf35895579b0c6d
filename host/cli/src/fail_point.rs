//! Named places at which a test has the process die.
//!
//! Invariant: in a release build there are none.

/// Dies here if `IDUMB_FAIL_POINT` is `name@n` and this is the `n`-th time (from 1) that the
/// place is reached. `IDUMB_FAIL_POINT_LOG` names a file that gets a line for each time.
#[cfg(debug_assertions)]
pub(crate) fn fail_point(name: &str) {
    use std::collections::BTreeMap;
    use std::io::Write as _;
    use std::sync::{LazyLock, Mutex, PoisonError};

    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let text = std::env::var("IDUMB_FAIL_POINT").ok()?;
        let (name, times) = text.split_once('@')?;
        Some((name.to_owned(), times.parse().ok()?))
    });
    static REACHED: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

    let mut reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let times = reached.entry(name.to_owned()).or_default();
    *times += 1;
    if let Some(log) = std::env::var_os("IDUMB_FAIL_POINT_LOG")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(log)
    {
        let _ = writeln!(file, "{name}");
    }
    if WANTED.as_ref().is_some_and(|(wanted, at)| wanted == name && at == times) {
        // No destructor runs, nothing is flushed: as with a kill.
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn fail_point(_: &str) {}
