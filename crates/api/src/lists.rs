//! Lists: pages, the token that continues one, and filtering what the store cannot select by.

use std::future::Future;

use axum::Json;
use axum::response::{IntoResponse, Response};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use model::problem::Reason;
use serde_json::{Value, json};
use store::{Page, PageRequest};

use crate::error::{ApiError, ApiResult};
use crate::extract::Params;

/// Rows read at once when the store cannot select by everything that is asked for.
const FILTERED_PAGE: u32 = 500;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    page: PageRequest,
    /// The resourceVersion of the first page, which all later ones repeat: a watch from there misses nothing.
    first_version: Option<i64>,
}

impl Wanted {
    /// From `limit` and `continue`.
    pub(crate) fn from(params: &Params) -> ApiResult<Self> {
        for name in ["watch", "sendInitialEvents"] {
            if params.flag(name)? {
                return Err(ApiError::field(name, Reason::FieldValueNotSupported, "watching is not served"));
            }
        }
        let limit = params.number::<u32>("limit")?.filter(|limit| *limit > 0);
        let (first_version, after) = match params.text("continue") {
            None => (None, None),
            Some(token) => {
                let refuse =
                    || ApiError::field("continue", Reason::FieldValueInvalid, "is not one that this server gave out");
                let (version, after) = token.split_once('.').ok_or_else(refuse)?;
                (Some(version.parse().map_err(|_| refuse())?), Some(after.to_owned()))
            }
        };
        Ok(Self { page: PageRequest { limit, after }, first_version })
    }

    /// Whether a page holds the whole list.
    pub(crate) fn is_whole<T>(&self, page: &Page<T>) -> bool {
        self.page.after.is_none() && page.next.is_none()
    }

    /// What the store is asked for, where it can select by everything.
    pub(crate) fn page(&self) -> &PageRequest {
        &self.page
    }

    /// Reads on until enough rows are kept. `name` is the place of a row in the store's order.
    pub(crate) async fn filtered<T, F>(
        &self,
        read: impl Fn(PageRequest) -> F,
        keep: impl Fn(&T) -> bool,
        name: impl Fn(&T) -> String,
    ) -> ApiResult<Page<T>>
    where
        F: Future<Output = store::Result<Page<T>>>,
    {
        let wanted = self.page.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut items = Vec::new();
        let mut after = self.page.after.clone();
        let mut version = None;
        loop {
            let page = read(PageRequest { limit: Some(FILTERED_PAGE), after: after.take() }).await?;
            // The first page's: what a watch from there shows again is never too little.
            let resource_version = *version.get_or_insert(page.resource_version);
            for item in page.items {
                if items.len() == wanted {
                    let next = items.last().map(&name);
                    return Ok(Page { items, resource_version, next });
                }
                if keep(&item) {
                    items.push(item);
                }
            }
            if page.next.is_none() {
                return Ok(Page { items, resource_version, next: None });
            }
            after = page.next;
        }
    }

    /// The list as it is answered. `kind` is that of the items.
    pub(crate) fn answer<T>(
        &self,
        (api_version, kind): (&str, &str),
        page: Page<T>,
        item: impl Fn(T) -> Value,
    ) -> Response {
        let version = self.first_version.unwrap_or(page.resource_version);
        let metadata = ListMeta {
            continue_: page.next.map(|next| format!("{version}.{next}")),
            resource_version: Some(version.to_string()),
            ..ListMeta::default()
        };
        let items: Vec<Value> = page.items.into_iter().map(item).collect();
        Json(json!({
            "apiVersion": api_version,
            "kind": format!("{kind}List"),
            "metadata": metadata,
            "items": items,
        }))
        .into_response()
    }
}
