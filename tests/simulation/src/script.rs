//! The wire between one replica and the simulated AWS, that can be stopped in the middle of the nth call: before it is sent,
//! or when it was carried out and its answer is on its way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use simaws::Sim;
use tokio::sync::Notify;

/// Where a call is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It was not sent yet.
    Before,
    /// It was carried out.
    After,
}

/// Which call is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// So many calls pass before.
    pub(crate) after: u32,
    /// Where in that call.
    pub(crate) side: Side,
}

/// The wire. Clones are the same.
#[derive(Clone)]
pub(crate) struct Wire {
    sim: Sim,
    next: Arc<Mutex<Option<Stop>>>,
    stopped: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Wire {
    pub(crate) fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), next: Arc::default(), stopped: Arc::default(), go_on: Arc::default() }
    }

    fn next(&self) -> MutexGuard<'_, Option<Stop>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this call is stopped; none: none.
    pub(crate) fn stop_at(&self, stop: Option<Stop>) {
        *self.next() = stop;
    }

    /// Waits until a call is stopped.
    pub(crate) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Lets the stopped call go on.
    pub(crate) fn go_on(&self) {
        self.go_on.notify_one();
    }

    /// Whether this call is the one; counts.
    fn counts(&self) -> Option<Side> {
        let mut next = self.next();
        let stop = next.as_mut()?;
        if stop.after > 0 {
            stop.after -= 1;
            return None;
        }
        let side = stop.side;
        *next = None;
        Some(side)
    }

    async fn wait(&self) {
        self.stopped.notify_one();
        self.go_on.notified().await;
    }

    /// One call.
    pub(crate) async fn call(self, request: http::Request<Bytes>) -> Option<http::Response<Bytes>> {
        let side = self.counts();
        if side == Some(Side::Before) {
            self.wait().await;
        }
        let answer = self.sim.handle(request).await.ok();
        if side == Some(Side::After) {
            self.wait().await;
        }
        answer
    }
}
