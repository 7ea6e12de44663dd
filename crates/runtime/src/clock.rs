//! The clock: the one place that asks the system for the time. What decides takes `now` as a parameter.

use jiff::Timestamp;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everything else is to use")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
