//! Time, injected: real with a speed factor, or moved by hand. The only place that reads the machine's clock.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A clock shared by everything in one simulation.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<Inner>>);

#[derive(Debug)]
enum Inner {
    /// Simulated time is `base + (machine time - since) * speed`.
    Real {
        base: Timestamp,
        since: Timestamp,
        speed: f64,
    },
    Manual(Timestamp),
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn machine_now() -> Timestamp {
    Timestamp::now()
}

impl Clock {
    /// The machine's time.
    pub fn real() -> Self {
        Self::scaled(1.0)
    }

    /// From the machine's time on, `speed` times as fast.
    pub fn scaled(speed: f64) -> Self {
        let now = machine_now();
        Self(Arc::new(Mutex::new(Inner::Real { base: now, since: now, speed })))
    }

    /// Stands still until [`Clock::advance`].
    pub fn manual(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Inner::Manual(start))))
    }

    /// The machine's time, for what clients compare with their own clocks.
    pub(crate) fn machine() -> Timestamp {
        machine_now()
    }

    /// Simulated now.
    pub fn now(&self) -> Timestamp {
        self.lock().now()
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        self.jump(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX));
    }

    /// Moves time, forward or back.
    pub fn jump(&self, by: SignedDuration) {
        let mut inner = self.lock();
        match &mut *inner {
            Inner::Real { base: t, .. } | Inner::Manual(t) => *t = t.saturating_add(by).unwrap_or(*t),
        }
    }

    /// Sets the time of a manual clock, and lets a real one go on from there.
    pub fn set(&self, to: Timestamp) {
        let mut inner = self.lock();
        match &mut *inner {
            Inner::Real { base, since, .. } => (*base, *since) = (to, machine_now()),
            Inner::Manual(t) => *t = to,
        }
    }

    /// Changes a real clock's speed from now on; a manual clock has none.
    pub fn set_speed(&self, to: f64) {
        let mut inner = self.lock();
        let now = inner.now();
        if let Inner::Real { base, since, speed } = &mut *inner {
            (*base, *since, *speed) = (now, machine_now(), to);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        match self {
            Inner::Manual(t) => *t,
            Inner::Real { base, since, speed } => {
                let real = machine_now().duration_since(*since).as_secs_f64();
                let scaled = SignedDuration::try_from_secs_f64(real * speed).unwrap_or(SignedDuration::ZERO);
                base.saturating_add(scaled).unwrap_or(*base)
            }
        }
    }
}
