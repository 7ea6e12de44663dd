//! Follows the stored events and queues what receivers want of them. The cursor moves with what it passed.

use std::collections::BTreeSet;

use runtime::Held;
use store::{Enrolment, EventRow, NewDelivery, Notification};
use telemetry::ErrorChain;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::Shared;
use crate::message::{attributes, body};
use crate::select::wanted;

/// Events read at once.
const BATCH: u32 = 200;

/// Follows until the lease is to be given back, or is lost.
pub(crate) async fn follow(shared: &Shared, held: &Held) {
    // Before the first look, so that nothing falls in between.
    let mut news = shared.store.subscribe();
    let mut enrolled = None;
    loop {
        match catch_up(shared, held, &mut enrolled).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(store::Error::StaleEpoch { .. }) => {
                held.stop.cancel();
                return;
            }
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "events could not be followed; they wait");
                // What failed may have been done: where the cursor stands is read again.
                enrolled = None;
            }
        }
        // Every arm is cancel safe: what a lost notification would have told is found by the poll.
        tokio::select! {
            () = held.stop.cancelled() => return,
            () = objects_changed(&mut news) => {}
            () = tokio::time::sleep(shared.config.timing.poll) => {}
        }
    }
}

/// Queues what is new; answers whether there may be more.
async fn catch_up(shared: &Shared, held: &Held, enrolled: &mut Option<Enrolment>) -> Result<bool, store::Error> {
    let store = &shared.store;
    let enrolled = match enrolled {
        Some(enrolled) => enrolled,
        None => enrolled.insert(store.enrol_receivers(&shared.names(), &held.fence).await?),
    };
    let events = store.events_after(enrolled.cursor, BATCH).await?;
    let Some(through) = events.last().map(|event| event.resource_version) else { return Ok(false) };
    let new = deliveries(shared, &events, enrolled).await?;
    let done = store.queue_notifications(through, &new, &held.fence).await?;
    // Nobody else moves it while the lease is held.
    enrolled.cursor = through;
    for (receiver, count) in &done.merged {
        shared.metrics.notifications.merged(receiver, *count);
    }
    for receiver in done.queued.keys() {
        if let Some(wake) = shared.wake.get(receiver) {
            wake.notify_one();
        }
    }
    Ok(events.len() == BATCH as usize && !held.stop.is_cancelled())
}

async fn deliveries(
    shared: &Shared,
    events: &[EventRow],
    enrolled: &Enrolment,
) -> Result<Vec<NewDelivery>, store::Error> {
    let config = &shared.config;
    let names: BTreeSet<&str> = events.iter().map(|event| &*event.environment).collect();
    let labels = shared.store.labels_of(&names.into_iter().collect::<Vec<_>>()).await?;
    let mut new = Vec::new();
    for event in events {
        for receiver in wanted(&config.receivers, event, &labels) {
            // What happened before a receiver was there is no news to it.
            let since = enrolled.receivers.get(&receiver.name).copied().unwrap_or(i64::MAX);
            if event.resource_version <= since {
                continue;
            }
            new.push(NewDelivery {
                receiver: receiver.name.clone(),
                event_uid: event.uid,
                body: body(&config.installation, event, labels.get(&event.environment)),
                attributes: attributes(&config.installation, event),
                repeat_after: receiver.repeat_after,
            });
        }
    }
    Ok(new)
}

/// Waits until there may be events.
async fn objects_changed(news: &mut Receiver<Notification>) {
    loop {
        match news.recv().await {
            Ok(Notification::ObjectsChanged { .. } | Notification::Resync) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
