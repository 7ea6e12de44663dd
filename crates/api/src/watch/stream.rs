//! One client's place in the log: what there is, what came since, and then what comes. Its memory is bounded: a client that
//! reads slowly is behind in the log, not in a queue of ours, and one that does not read at all is let go.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::StatusCode;
use serde_json::Value;
use store::{LoggedEvent, PageRequest};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Wish;
use super::feed::{Place, Subscription, Told};
use super::frame::{self, Changed};
use crate::access::sight::{AllKnown, farewell};
use crate::error::{ApiError, ApiResult};
use crate::objects::{self, Joined, Kind, Object};
use crate::state::ApiState;

/// Lines that wait for a client.
const WAITING: usize = 16;
/// A client that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a client that wants bookmarks is told where it is.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// Objects and entries read at once.
const BATCH: u32 = 500;
/// Between two tries while the database is away.
const RETRY: Duration = Duration::from_millis(500);

/// Starts a stream. It ends when the client goes, at the wish's limit, and when the daemon stops.
pub(super) fn open(
    state: &Arc<ApiState>,
    wish: Wish,
    place: Place,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let (lines, receive) = mpsc::channel(WAITING);
    // Before anything is read, so that nothing falls in between.
    let subscription = state.watches.subscribe(state, wish.kind);
    let stop = state.watches.stop();
    let watcher = Watcher {
        state: Arc::clone(state),
        at: wish.from.unwrap_or_default(),
        wish,
        subscription,
        lines,
        sent: HashMap::new(),
        horizon: 0,
        matched: HashMap::new(),
        known: None,
    };
    tokio::spawn(async move {
        watcher.run(stop).await;
        drop(place);
    });
    futures::stream::unfold(receive, |mut receive| async {
        let line = receive.recv().await?;
        Some((Ok(line), receive))
    })
}

/// Why a stream ends.
enum End {
    /// Nobody reads.
    Left,
    /// With a word to the client.
    Told(ApiError),
}

type Going<T = ()> = Result<T, End>;

struct Watcher {
    state: Arc<ApiState>,
    wish: Wish,
    subscription: Subscription,
    lines: mpsc::Sender<Bytes>,
    /// Every event up to here was dealt with.
    at: i64,
    /// What was sent of what there was at first, by name: the version. Pages are read one after the other, so an event up
    /// to `horizon` may tell what a page has told.
    sent: HashMap<String, i64>,
    horizon: i64,
    /// Whether an object matched when it was last seen; kept only for filters that an object can enter and leave.
    matched: HashMap<String, bool>,
    /// By which it is seen what may be told; kept only for those who may not be told everything.
    known: Option<Arc<AllKnown>>,
}

impl Watcher {
    async fn run(mut self, stop: CancellationToken) {
        let deadline = Instant::now() + self.wish.limit;
        let lines = self.lines.clone();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(deadline) => return,
            () = lines.closed() => return,
            ended = self.watch() => ended,
        };
        if let Err(End::Told(error)) = ended {
            // The client may be gone, or slow: it finds out by the end of the stream.
            let _ = timeout(PATIENCE, lines.send(frame::error(&error))).await;
        }
    }

    /// Never ends well: an endless list.
    async fn watch(&mut self) -> Going<Infallible> {
        match self.wish.from {
            None => self.tell_what_there_is().await?,
            Some(from) => self.look_back(from).await?,
        }
        self.catch_up().await?;
        if self.wish.initial_end {
            self.send(frame::bookmark(self.wish.kind, self.at, true, self.wish.printing.as_ref())).await?;
        }
        let mut bookmarks = interval_at(Instant::now() + BOOKMARKS, BOOKMARKS);
        loop {
            tokio::select! {
                // Cancel safe both: an event stays in the channel, a tick comes again.
                told = self.subscription.events.recv() => match told {
                    Ok(Told::Changed(changed)) => self.tell(&changed).await?,
                    Ok(Told::Gap) | Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Err(End::Left),
                },
                _ = bookmarks.tick(), if self.wish.bookmarks || self.known.is_some() => self.mark().await?,
            }
        }
    }

    async fn tell_what_there_is(&mut self) -> Going {
        let kind = self.wish.kind;
        let mut request = PageRequest { limit: Some(BATCH), after: None };
        let mut first = None;
        loop {
            let page = objects::page(&self.state, kind, &self.wish.filter, &request).await.map_err(End::Told)?;
            self.at = *first.get_or_insert(page.resource_version);
            self.horizon = page.resource_version;
            self.look(page.resource_version).await?;
            for item in page.items {
                let object = &item.shown;
                let name = text(object, "/metadata/name");
                let version = text(object, "/metadata/resourceVersion").parse().unwrap_or_default();
                let wanted = self.wants(&item);
                self.sent.insert(name.clone(), version);
                if self.wish.may_flip() {
                    self.matched.insert(name, wanted);
                }
                if wanted {
                    let line = frame::line("ADDED", kind, object, self.wish.printing.as_ref(), self.state.now());
                    self.send(line).await?;
                }
            }
            match page.next {
                Some(next) => request.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Reads the log up to its end.
    async fn catch_up(&mut self) -> Going {
        loop {
            match self.read_log().await {
                Ok(entries) => {
                    let full = entries.len() >= BATCH as usize;
                    for changed in entries {
                        self.tell(&changed).await?;
                    }
                    if !full {
                        return Ok(());
                    }
                }
                Err(error) if error.code() == StatusCode::GONE => return Err(End::Told(error)),
                // The stream stays open and goes on when the database is back.
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    async fn read_log(&self) -> ApiResult<Vec<Changed>> {
        let kind = self.wish.kind;
        let entries = self.state.store.changes_since(self.at, &[kind.name()], BATCH).await?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let joined = Joined::read(&self.state, kind).await?;
        let changed = |entry| Ok(Changed::new(entry, objects::of_entry(&self.state, kind, &joined, entry)?));
        entries.iter().map(changed).collect()
    }

    /// Tells one event, if this client does not know it already.
    async fn tell(&mut self, changed: &Changed) -> Going {
        if changed.version <= self.at {
            return Ok(());
        }
        if changed.version <= self.horizon {
            let known = self.sent.get(&changed.name);
            if known.is_some_and(|version| *version >= changed.version) {
                self.at = changed.version;
                return Ok(());
            }
        } else if !self.sent.is_empty() {
            self.sent = HashMap::new();
        }
        self.look(changed.version).await?;
        if let Some(event) = self.event(changed).await? {
            let (kind, printing, now) = (self.wish.kind, self.wish.printing.as_ref(), self.state.now());
            let line = if self.sees(&changed.object) {
                changed.line(event, kind, printing, now)
            } else {
                frame::line(event, kind, &farewell(&changed.object.shown), printing, now)
            };
            self.send(line).await?;
        }
        // Last: what was not sent whole is read again.
        self.at = changed.version;
        Ok(())
    }

    /// What the event is to this client: an object that no longer matches is deleted to it, one that begins to is added.
    async fn event(&mut self, changed: &Changed) -> Going<Option<&'static str>> {
        let exists = changed.event != LoggedEvent::Deleted;
        let wanted = self.wants(&changed.object);
        if !self.wish.may_flip() {
            return Ok(wanted.then(|| changed.event.into()));
        }
        let before = match self.matched.get(&changed.name) {
            Some(before) => *before,
            None => self.matched_before(changed).await?,
        };
        if exists {
            self.matched.insert(changed.name.clone(), wanted);
        } else {
            self.matched.remove(&changed.name);
        }
        Ok(match (before, exists && wanted) {
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
            (false, false) => None,
        })
    }

    /// Whether the object matched before, by the log. Where the log no longer knows, it is taken to have matched: to be
    /// told of the end of what one does not have is harmless.
    async fn matched_before(&self, changed: &Changed) -> Going<bool> {
        if changed.event == LoggedEvent::Added {
            return Ok(false);
        }
        let kind = self.wish.kind;
        loop {
            let read = async {
                let before = self.state.store.logged_before(kind.name(), &changed.name, changed.version).await?;
                // To whom not everything is told, the end of what he may never have seen is not told either.
                let Some(before) = before else { return Ok(self.sees(&changed.object)) };
                let joined = Joined::read(&self.state, kind).await?;
                let before: Object = objects::of_entry(&self.state, kind, &joined, &before)?;
                Ok::<_, ApiError>(self.wants(&before))
            };
            match read.await {
                Ok(matched) => return Ok(matched),
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// Tells how far the stream is: as far as the feed has told, once all that it told was dealt with.
    async fn mark(&mut self) -> Going {
        let told = *self.subscription.told.borrow();
        loop {
            match self.subscription.events.try_recv() {
                Ok(Told::Changed(changed)) => self.tell(&changed).await?,
                Ok(Told::Gap) | Err(TryRecvError::Lagged(_)) => self.catch_up().await?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => return Err(End::Left),
            }
        }
        self.at = self.at.max(told);
        self.look(self.at).await?;
        if !self.wish.bookmarks {
            return Ok(());
        }
        self.send(frame::bookmark(self.wish.kind, self.at, false, self.wish.printing.as_ref())).await
    }

    fn wants(&self, object: &Object) -> bool {
        self.known
            .as_ref()
            .map_or_else(|| self.wish.wants(object, &AllKnown::new()), |known| self.wish.wants(object, known))
    }

    fn sees(&self, object: &Object) -> bool {
        let none = AllKnown::new();
        self.wish.sight.sees(self.wish.kind, object, self.known.as_deref().unwrap_or(&none))
    }

    /// Brings what is known of labels up to a version. When an environment came into sight or went out of it, what belongs
    /// to it did too: the client lists again, rather than be told of all of it.
    async fn look(&mut self, version: i64) -> Going {
        if self.wish.sight.is_everything() || self.wish.kind == Kind::Environment {
            return Ok(());
        }
        let known = loop {
            match self.state.labels.at_least(&self.state, version).await {
                Ok(known) => break known,
                // As with the log: the stream stays open and goes on when the database is back.
                Err(_) => sleep(RETRY).await,
            }
        };
        let before = self.known.replace(Arc::clone(&known));
        let news = before.filter(|before| !Arc::ptr_eq(before, &known));
        if news.is_some_and(|before| self.wish.sight.changed(&before, &known)) {
            return Err(sight_changed());
        }
        Ok(())
    }

    /// The same for the time before the stream, from which the client's list is.
    async fn look_back(&mut self, from: i64) -> Going {
        self.look(from).await?;
        let Some(known) = &self.known else { return Ok(()) };
        let changed = self.wish.sight.changed_since(&self.state, from, known).await.map_err(End::Told)?;
        if changed { Err(sight_changed()) } else { Ok(()) }
    }

    async fn send(&self, line: Bytes) -> Going {
        match timeout(PATIENCE, self.lines.send(line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Left),
        }
    }
}

fn sight_changed() -> End {
    End::Told(ApiError::new(StatusCode::GONE, "Expired", "what you may see has changed: list again"))
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
