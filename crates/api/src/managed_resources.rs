//! `managedresources`: one for each AWS object.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use store::{LabelRequirement, ManagedResourceRow, ResourceFilter};

use crate::error::ApiResult;
use crate::extract::{Name, Params};
use crate::lists::Wanted;
use crate::state::ApiState;
use crate::{selectors, wire};

/// The kind.
const MANAGED_RESOURCE: &str = "ManagedResource";

/// `GET managedresources`
pub(crate) async fn list(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult {
    let wanted = Wanted::from(&params)?;
    let offered = ["metadata.name", "spec.environment", "spec.account", "spec.region", "spec.kind", "spec.identity"];
    let mut fields = selectors::fields(&params, &offered)?;
    let labels = selectors::labels(&params)?;
    let mut take = |field: &str, label: Option<&str>, parameter: Option<&str>| {
        let given = parameter.and_then(|name| params.text(name)).map(str::to_owned);
        fields.remove(field).or(given).or_else(|| label.and_then(|label| equals(&labels, label)))
    };
    let filter = ResourceFilter {
        environment: take("spec.environment", Some(wire::ENVIRONMENT_LABEL), Some("environment")),
        environment_uid: None,
        account: take("spec.account", None, None),
        kind: take("spec.kind", Some(wire::KIND_LABEL), Some("kind")),
        identity: take("spec.identity", None, None),
        name: take("metadata.name", None, None),
    };
    let region = fields.remove("spec.region");
    let page = if labels.is_empty() && region.is_none() {
        state.store.list_resources(&filter, wanted.page()).await?
    } else {
        let keep = |row: &ManagedResourceRow| {
            region.as_ref().is_none_or(|region| *region == row.key.region)
                && selectors::matches(&labels, &wire::managed_resource_labels(row))
        };
        let (state, filter) = (&state, &filter);
        let read = |page| async move { state.store.list_resources(filter, &page).await };
        wanted.filtered(read, keep, |row| row.name.clone()).await?
    };
    let now = state.now();
    let item = |row| wire::managed_resource(&row, now);
    Ok(wanted.answer((wire::API_VERSION, MANAGED_RESOURCE), page, item))
}

/// The one value that a label must have, if the selector says so: the store can select by it.
fn equals(labels: &[LabelRequirement], label: &str) -> Option<String> {
    labels.iter().find_map(|requirement| match requirement {
        LabelRequirement::In { key, values } if key == label && values.len() == 1 => values.first().cloned(),
        _ => None,
    })
}

/// `GET managedresources/{name}`
pub(crate) async fn get(State(state): State<Arc<ApiState>>, Name(name): Name) -> ApiResult {
    let row = state.store.get_resource(&name).await?;
    Ok(Json(wire::managed_resource(&row, state.now())).into_response())
}
