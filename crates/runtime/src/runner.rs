//! Takes keys from the queue, runs their passes, and says when each is looked at again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use engine::requeue::{Facts, next_run};
use model::Class;
use telemetry::metrics::ReconcileResult;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::holdings::EnvName;
use crate::pass::{Outcome, run};
use crate::queue::{Priority, Taken};
use crate::shared::Shared;
use crate::tasks::Heartbeat;

/// Of the time for shutting down, so much is kept for giving back the leases.
const FOR_RELEASE: Duration = Duration::from_secs(3);

struct Running {
    name: EnvName,
    since: Instant,
}

/// Runs passes until stopped, and then until those that run have ended.
pub(crate) async fn run_passes(shared: Arc<Shared>, stop: CancellationToken, heartbeat: Heartbeat) {
    let mut runner = Runner {
        shared: Arc::clone(&shared),
        tasks: JoinSet::new(),
        running: HashMap::new(),
        attempts: BTreeMap::new(),
    };
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    shared.metrics.reconcile.set_most(shared.config.workers);
    loop {
        // Every arm is cancel safe: `next` takes a key only when it answers, and a `JoinSet` keeps what has ended.
        tokio::select! {
            () = stop.cancelled() => break,
            taken = shared.queue.next() => match taken {
                Some(taken) => runner.start(taken),
                None => break,
            },
            Some(ended) = runner.tasks.join_next_with_id() => runner.finish(ended),
            _ = tick.tick() => {
                heartbeat.beat();
                runner.measure();
            }
        }
    }
    shared.queue.close();
    let patience = shared.config.shutdown.saturating_sub(FOR_RELEASE);
    let drain = async {
        while let Some(ended) = runner.tasks.join_next_with_id().await {
            runner.finish(ended);
        }
    };
    if tokio::time::timeout(patience, drain).await.is_err() {
        tracing::error!("passes did not end in time; what they left open is resolved by looking");
    }
}

struct Runner {
    shared: Arc<Shared>,
    tasks: JoinSet<Outcome>,
    running: HashMap<Id, Running>,
    /// How often in a row a key's passes failed.
    attempts: BTreeMap<EnvName, u32>,
}

impl Runner {
    fn start(&mut self, taken: Taken<EnvName>) {
        self.shared.metrics.queue.taken(taken.waited);
        let name = taken.key;
        // To find a pass's log lines by; no decision depends on it.
        let id = Uuid::new_v4();
        let span = tracing::info_span!("reconcile", environment = %name, pass.id = %id, priority = ?taken.priority);
        let shared = Arc::clone(&self.shared);
        let pass = {
            let name = Arc::clone(&name);
            async move { run(&shared, &name).await }
        };
        let task = self.tasks.spawn(pass.instrument(span));
        self.running.insert(task.id(), Running { name, since: Instant::now() });
        self.shared.metrics.reconcile.set_active(self.running.len());
    }

    fn finish(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                tracing::error!(%error, "a pass panicked");
                let failed = Outcome {
                    failure: Some(Class::Bug),
                    more: false,
                    progressing: false,
                    until: None,
                    window_edge: None,
                    forget: false,
                };
                (error.id(), failed)
            }
        };
        let Some(Running { name, since }) = self.running.remove(&id) else { return };
        let metrics = &self.shared.metrics;
        metrics.reconcile.set_active(self.running.len());
        metrics.reconcile.passed(outcome.result(), since.elapsed());
        metrics.queue.worked(self.shared.queue.done(&name));
        if outcome.forget {
            self.attempts.remove(&name);
            let requests = self.shared.forget(&name);
            if !requests.is_empty() {
                // The next pass says to those who still wait that it is gone.
                self.shared.keep_requests(&name, requests);
                self.shared.queue.add(name, Priority::User);
            }
            return;
        }
        if outcome.result() == ReconcileResult::Error {
            *self.attempts.entry(Arc::clone(&name)).or_default() += 1;
            metrics.queue.retried();
        } else {
            self.attempts.remove(&name);
        }
        let requeue = next_run(&Facts {
            now: self.shared.clock.now(),
            failure: outcome.failure,
            attempts: self.attempts.get(&name).copied().unwrap_or_default(),
            more: outcome.more,
            progressing: outcome.progressing,
            until: outcome.until,
            window_edge: outcome.window_edge,
            jitter: self.shared.jitter(),
        });
        tracing::debug!(environment = %name, after = ?requeue.after, why = %requeue.why, "the pass has ended");
        metrics.queue.added();
        self.shared.queue.add_after(name, Priority::Background, requeue.after);
    }

    fn measure(&self) {
        let state = self.shared.queue.state();
        self.shared.metrics.queue.set_state(
            state.user,
            state.background,
            state.oldest,
            state.longest,
            state.unfinished,
        );
    }
}
