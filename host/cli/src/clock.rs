//! The two clocks of the host.
//!
//! Invariant: what decides never jumps; what is shown is the wall's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use idumb_core::{Millis, Moment};

/// The clock of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment { at: wall(), up: millis(self.began.elapsed()) }
    }

    /// When the process has been up for so long.
    pub(crate) fn instant(&self, up: Millis) -> Instant {
        // A deadline beyond what the clock can say is as good as one in a century.
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        self.began + Duration::from_millis(up).min(century)
    }
}

/// Wall-clock time, for display only.
pub(crate) fn wall() -> Millis {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
