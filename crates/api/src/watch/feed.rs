//! One reader of the object log for all streams of this process and kind. It tells what it read to whoever listens; who
//! cannot follow reads the log on his own (`stream`), so nobody holds up anybody and nothing is kept for the slow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::Notification;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::frame::Changed;
use crate::error::ApiResult;
use crate::objects::{Joined, Kind, of_entry};
use crate::state::ApiState;

/// Events that a stream may be behind before it has to read the log itself.
const BACKLOG: usize = 256;
/// Entries of the log read at once.
const BATCH: u32 = 500;
/// The log is looked at this often without a notification too: one may have been lost.
const POLL: Duration = Duration::from_secs(1);
/// Streams at once in one process, unless configured otherwise.
const MOST_WATCHES: usize = 10_000;
/// Of one known user: nobody takes all places.
const MOST_WATCHES_OF_A_USER: usize = 2_500;

/// A place for a stream: among all, and among those of its user.
#[derive(Debug)]
#[expect(dead_code, reason = "held for as long as the stream lasts, and given back by being dropped")]
pub(super) struct Place(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// The feeds of a process, started when the first stream wants one.
#[derive(Debug, Clone)]
pub(crate) struct Feeds {
    by_kind: Arc<Mutex<HashMap<Kind, Feed>>>,
    places: Arc<Semaphore>,
    by_user: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    stop: CancellationToken,
}

/// What a feed tells.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// An object changed.
    Changed(Arc<Changed>),
    /// The feed lost its place: read the log.
    Gap,
}

/// The feed of a kind.
#[derive(Debug, Clone)]
struct Feed {
    events: broadcast::Sender<Told>,
    /// Everything up to here has been told.
    told: watch::Receiver<i64>,
}

/// A stream's end of a feed.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) events: broadcast::Receiver<Told>,
    pub(super) told: watch::Receiver<i64>,
}

impl Feeds {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { by_kind: Arc::default(), by_user: Arc::default(), places: Arc::new(Semaphore::new(MOST_WATCHES)), stop }
    }

    /// A place for one more stream.
    pub(super) fn enter(&self, user: Option<&str>) -> Option<Place> {
        let of_user = match user {
            None => None,
            Some(user) => {
                let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
                by_user.retain(|_, places| places.available_permits() < MOST_WATCHES_OF_A_USER);
                let places = by_user.entry(user.to_owned());
                let places = places.or_insert_with(|| Arc::new(Semaphore::new(MOST_WATCHES_OF_A_USER)));
                Some(Arc::clone(places).try_acquire_owned().ok()?)
            }
        };
        Some(Place(Arc::clone(&self.places).try_acquire_owned().ok()?, of_user))
    }

    /// Ends every stream.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Joins a feed. Everything that is committed and not in the log yet when this returns will be told.
    pub(super) fn subscribe(&self, state: &Arc<ApiState>, kind: Kind) -> Subscription {
        let mut by_kind = self.by_kind.lock().unwrap_or_else(PoisonError::into_inner);
        let feed = by_kind.entry(kind).or_insert_with(|| {
            let (events, _) = broadcast::channel(BACKLOG);
            let (tell, told) = watch::channel(0);
            let reader = Reader { state: Arc::clone(state), kind, events: events.clone(), tell };
            tokio::spawn(reader.run(self.stop.clone()));
            Feed { events, told }
        });
        Subscription { events: feed.events.subscribe(), told: feed.told.clone() }
    }
}

struct Reader {
    state: Arc<ApiState>,
    kind: Kind,
    events: broadcast::Sender<Told>,
    tell: watch::Sender<i64>,
}

impl Reader {
    async fn run(self, stop: CancellationToken) {
        // Before the first look, so that nothing falls in between.
        let mut news = self.state.store.subscribe();
        let mut at = None;
        loop {
            match self.read(at).await {
                Ok(now_at) => at = Some(now_at),
                // Streams stay open and go on when the database is back.
                Err(error) => tracing::debug!(error = error.message(), "the object log cannot be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                // Cancel safe: a notification that is lost is made up for by the poll.
                () = news_of_objects(&mut news) => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Tells what came after `at`; answers up to where all was told.
    async fn read(&self, at: Option<i64>) -> ApiResult<i64> {
        let store = &self.state.store;
        // Read first: entries up to here are seen by the reads that follow.
        let newest = store.resource_version().await?;
        let Some(mut at) = at else {
            // Whoever joined before this first look has read the log up to some earlier place: what was written between
            // would be told by nobody. The gap goes first, so that nobody takes `newest` for dealt with.
            let _ = self.events.send(Told::Gap);
            self.tell.send_replace(newest);
            return Ok(newest);
        };
        if at == newest {
            return Ok(at);
        }
        // Nobody listens: whoever comes next reads the log himself up to what is there.
        if self.events.receiver_count() == 0 {
            self.tell.send_replace(newest);
            return Ok(newest);
        }
        loop {
            let entries = match store.changes_since(at, &[self.kind.name()], BATCH).await {
                Err(store::Error::Gone { .. }) => {
                    let _ = self.events.send(Told::Gap);
                    self.tell.send_replace(newest);
                    return Ok(newest);
                }
                read => read?,
            };
            let full = entries.len() >= BATCH as usize;
            if !entries.is_empty() {
                let joined = Joined::read(&self.state, self.kind).await?;
                for entry in entries {
                    at = entry.resource_version;
                    // No receiver is no failure.
                    let _ = self.events.send(match of_entry(&self.state, self.kind, &joined, &entry) {
                        Ok(object) => Told::Changed(Arc::new(Changed::new(&entry, object))),
                        Err(_) => Told::Gap,
                    });
                }
            }
            if !full {
                let at = at.max(newest);
                self.tell.send_replace(at);
                return Ok(at);
            }
        }
    }
}

/// Waits until the log may have grown.
async fn news_of_objects(news: &mut broadcast::Receiver<Notification>) {
    loop {
        match news.recv().await {
            Ok(Notification::ObjectsChanged { .. } | Notification::Resync) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            // The store is gone with the process.
            Err(RecvError::Closed) => std::future::pending::<()>().await,
        }
    }
}
