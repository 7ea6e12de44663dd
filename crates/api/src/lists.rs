//! Lists of every kind: pages, the token that continues one, selections that the store cannot make, and the form that is
//! asked for. With `watch` a list goes on as a stream.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use model::problem::Reason;
use serde_json::{Value, json};
use store::{Page, PageRequest};

use crate::access::scope;
use crate::access::sight::Sight;
use crate::error::{ApiError, ApiResult};
use crate::extract::{Asking, Params};
use crate::filter::Filter;
use crate::objects::{self, Kind, Object};
use crate::state::ApiState;
use crate::tables::render;
use crate::watch::{self, Wish};

/// Rows read at once when the store cannot select by everything that is asked for.
const FILTERED_PAGE: u32 = 500;

/// Answers a list of a kind, or the stream that it goes on as.
pub(crate) async fn list(state: &Arc<ApiState>, kind: Kind, filter: Filter, asking: &Asking) -> ApiResult {
    if watch::asked(&asking.params)? {
        return watch::begin(state, Wish::from(kind, filter, asking)?).await;
    }
    let wanted = Wanted::from(&asking.params)?;
    if let Some(version) = wanted.first_version {
        // A watch from there would miss something: then the list is of no use either.
        state.store.changes_since(version, &[kind.name()], 1).await?;
    }
    let mut page = read(state, kind, (&filter, &asking.sight), &wanted.page).await?;
    // Names of events say nothing: a list that is read whole is told in the order in which it happened.
    if kind == Kind::Event && wanted.page.after.is_none() && page.next.is_none() {
        page.items.sort_by_cached_key(Object::happened_at);
    }
    wanted.answer(kind, page, asking, state)
}

/// The objects that are selected, or a page of them.
pub(crate) async fn selected(
    state: &Arc<ApiState>,
    kind: Kind,
    filter: &Filter,
    params: &Params,
) -> ApiResult<Page<Object>> {
    let sight = Sight { scope: scope::current(), ..Sight::default() };
    read(state, kind, (filter, &sight), &Wanted::from(params)?.page).await
}

/// One object in the form that is asked for.
pub(crate) fn one(kind: Kind, object: Value, asking: &Asking, state: &ApiState) -> ApiResult<Response> {
    let Some(printing) = asking.printing()? else { return Ok(Json(object).into_response()) };
    let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    let metadata = json!({ "resourceVersion": version });
    Ok(Json(render(kind.name(), &[object], metadata, &printing, state.now())).into_response())
}

/// Reads on until there are as many as are wanted, or no more.
async fn read(
    state: &Arc<ApiState>,
    kind: Kind,
    (filter, sight): (&Filter, &Sight),
    wanted: &PageRequest,
) -> ApiResult<Page<Object>> {
    if sight.is_everything() && objects::selects(kind, filter) {
        return objects::page(state, kind, filter, wanted).await;
    }
    let limit = wanted.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut request = PageRequest { limit: Some(FILTERED_PAGE), after: wanted.after.clone() };
    let (mut items, mut version) = (Vec::<Object>::new(), None);
    loop {
        let page = objects::page(state, kind, filter, &request).await?;
        // The first page's: what a watch from there shows again is never too little.
        let resource_version = *version.get_or_insert(page.resource_version);
        let known = if sight.is_everything() {
            Arc::default()
        } else {
            state.labels.at_least(state, page.resource_version).await?
        };
        for item in page.items {
            if !filter.matches(&item.shown) || !sight.lists(kind, &item, &known) {
                continue;
            }
            if items.len() == limit {
                let next = items.last().map(|item| item.place.clone());
                return Ok(Page { items, resource_version, next });
            }
            items.push(item);
        }
        match page.next {
            Some(next) => request.after = Some(next),
            None => return Ok(Page { items, resource_version, next: None }),
        }
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    page: PageRequest,
    /// The resourceVersion of the first page, which all later ones repeat: a watch from there misses nothing.
    first_version: Option<i64>,
}

impl Wanted {
    /// From `limit` and `continue`. `resourceVersion` asks for a list that is not older: ours is always the newest.
    pub(crate) fn from(params: &Params) -> ApiResult<Self> {
        let refuse = |field: &str, rule: &str| ApiError::field(field, Reason::FieldValueInvalid, rule);
        let given = watch::version(params)?;
        match params.text("resourceVersionMatch") {
            None | Some("NotOlderThan") => {}
            Some("Exact") => {
                let rule = "must be NotOlderThan: lists of the past are not kept";
                return Err(ApiError::field("resourceVersionMatch", Reason::FieldValueNotSupported, rule));
            }
            Some(_) => return Err(refuse("resourceVersionMatch", "must be NotOlderThan")),
        }
        if params.text("resourceVersionMatch").is_some() && given.is_none() {
            return Err(refuse("resourceVersionMatch", "goes with a resourceVersion"));
        }
        let limit = params.number::<u32>("limit")?.filter(|limit| *limit > 0);
        let (first_version, after) = match params.text("continue") {
            None => (None, None),
            Some(token) => {
                let refuse = || refuse("continue", "is not one that this server gave out");
                let (version, after) = token.split_once('.').ok_or_else(refuse)?;
                (Some(version.parse().map_err(|_| refuse())?), Some(after.to_owned()))
            }
        };
        Ok(Self { page: PageRequest { limit, after }, first_version })
    }

    /// The list as it is answered.
    fn answer(&self, kind: Kind, page: Page<Object>, asking: &Asking, state: &ApiState) -> ApiResult<Response> {
        let version = self.first_version.unwrap_or(page.resource_version);
        let metadata = json!(ListMeta {
            continue_: page.next.map(|next| format!("{version}.{next}")),
            resource_version: Some(version.to_string()),
            ..ListMeta::default()
        });
        let items: Vec<Value> = page.items.into_iter().map(|item| item.shown).collect();
        if let Some(printing) = asking.printing()? {
            return Ok(Json(render(kind.name(), &items, metadata, &printing, state.now())).into_response());
        }
        let list = json!({
            "apiVersion": kind.api_version(),
            "kind": format!("{}List", kind.name()),
            "metadata": metadata,
            "items": items,
        });
        Ok(Json(list).into_response())
    }
}
