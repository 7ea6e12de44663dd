//! Watching: lists that go on. A stream of JSON lines, each an event about one object, in the order of commits; none is
//! missed and none comes twice, whichever replica is asked and however often a client reconnects.
//!
//! `feed` reads the object log once for all streams of this process, `stream` is one client's place in it, `frame`
//! puts objects into lines. Nothing here writes.

mod feed;
mod frame;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use model::problem::Reason;

pub(crate) use feed::Feeds;

use crate::access::sight::{AllKnown, Sight};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Asking, Params};
use crate::filter::Filter;
use crate::objects::{Kind, Object};
use crate::state::ApiState;
use crate::tables::Printing;

/// Streams end by themselves after so long when the client does not say: a client comes back, a dead one does not.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a client wants to watch, and from where.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) kind: Kind,
    pub(crate) filter: Filter,
    /// `None`: first what there is, then what changes.
    pub(crate) from: Option<i64>,
    /// Whether the end of what there is is told by a bookmark.
    pub(crate) initial_end: bool,
    pub(crate) bookmarks: bool,
    /// How long the stream goes on.
    pub(crate) limit: Duration,
    pub(crate) printing: Option<Printing>,
    /// What may be told.
    pub(crate) sight: Sight,
}

/// Whether a list is to go on as a watch.
pub(crate) fn asked(params: &Params) -> ApiResult<bool> {
    params.flag("watch")
}

impl Wish {
    /// Whether an object is wanted.
    fn wants(&self, object: &Object, known: &AllKnown) -> bool {
        self.filter.matches(&object.shown) && self.sight.sees(self.kind, object, known)
    }

    /// Whether an object can begin or cease to be wanted.
    fn may_flip(&self) -> bool {
        // An environment's labels may change; what belongs to one goes with it, and then the stream ends.
        self.filter.may_flip() || (!self.sight.is_everything() && self.kind == Kind::Environment)
    }

    pub(crate) fn from(kind: Kind, filter: Filter, asking: &Asking) -> ApiResult<Self> {
        let params = &asking.params;
        let initial = params.has("sendInitialEvents").then(|| params.flag("sendInitialEvents")).transpose()?;
        let given = version(params)?;
        let rule = |field: &str, rule: &str| ApiError::field(field, Reason::FieldValueInvalid, rule);
        match (params.text("resourceVersionMatch"), initial) {
            (None, None) => {}
            (Some("NotOlderThan"), Some(_)) => {}
            (None, Some(_)) => {
                return Err(rule("resourceVersionMatch", "must be NotOlderThan where sendInitialEvents is given"));
            }
            (Some(_), Some(_)) => return Err(rule("resourceVersionMatch", "must be NotOlderThan on a watch")),
            (Some(_), None) => {
                return Err(rule("resourceVersionMatch", "goes with sendInitialEvents on a watch"));
            }
        }
        let from = match (initial, given) {
            (Some(true), _) | (None, None | Some(0)) => None,
            (Some(false), None | Some(0)) => Some(-1),
            (_, Some(version)) => Some(version),
        };
        let limit = params.number::<u64>("timeoutSeconds")?.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Ok(Self {
            kind,
            filter,
            from,
            initial_end: initial == Some(true),
            bookmarks: params.flag("allowWatchBookmarks")?,
            limit: limit.map_or(LONGEST, |limit| limit.min(LONGEST)),
            printing: asking.printing()?,
            sight: asking.sight.clone(),
        })
    }
}

/// The parameter `resourceVersion`.
pub(crate) fn version(params: &Params) -> ApiResult<Option<i64>> {
    let Some(text) = params.text("resourceVersion") else { return Ok(None) };
    let parsed = text.parse::<i64>().ok().filter(|version| *version >= 0);
    let refuse =
        || ApiError::field("resourceVersion", Reason::FieldValueInvalid, "must be one that this server gave out");
    parsed.map(Some).ok_or_else(refuse)
}

/// Begins a stream. What can be refused is refused before it begins.
pub(crate) async fn begin(state: &Arc<ApiState>, mut wish: Wish) -> ApiResult<Response> {
    let newest = state.store.resource_version().await?;
    match wish.from {
        Some(-1) => wish.from = Some(newest),
        // After the database was put back to an older state: what the client holds never was.
        Some(from) if from > newest => {
            let message = format!("resourceVersion {from} is newer than the newest, {newest}: list again");
            return Ok(answer(ended(&ApiError::new(StatusCode::GONE, "Expired", message))));
        }
        Some(from) => match state.store.changes_since(from, &[wish.kind.name()], 1).await.map_err(ApiError::from) {
            Err(gone) if gone.code() == StatusCode::GONE => return Ok(answer(ended(&gone))),
            other => drop(other?),
        },
        None => {}
    }
    if let Some(until) = wish.sight.until {
        let left = Duration::try_from(until.duration_since(state.now())).unwrap_or_default();
        // Whoever may no longer ask is no longer told; a second is the least that a stream is good for.
        wish.limit = wish.limit.min(left.max(Duration::from_secs(1)));
    }
    let place = state.watches.enter(wish.sight.user.as_deref()).ok_or_else(|| {
        let message = "too many watches at once; try again shortly";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry_after(1)
    })?;
    Ok(answer(Body::from_stream(stream::open(state, wish, place))))
}

/// A stream that says why it ends. Clients begin anew when they are told so in the stream, as Kubernetes does; kube-rs
/// tries the same version for ever when the stream does not begin.
fn ended(why: &ApiError) -> Body {
    Body::from(frame::error(why))
}

fn answer(body: Body) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}
