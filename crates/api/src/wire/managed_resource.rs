//! `ManagedResource` on the wire: one AWS object.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::ManagedResourceRow;

use super::{API_VERSION, ENVIRONMENT_LABEL, metadata, time};
use crate::freshness::join;

/// Label with the kind of the AWS object.
pub(crate) const KIND_LABEL: &str = "eventchain.io/kind";

/// The labels by which managed resources are selected.
pub(crate) fn managed_resource_labels(row: &ManagedResourceRow) -> BTreeMap<String, String> {
    BTreeMap::from([
        (ENVIRONMENT_LABEL.to_owned(), row.environment.clone()),
        (KIND_LABEL.to_owned(), row.key.kind.clone()),
    ])
}

/// A managed resource with the age of its observation.
pub(crate) fn managed_resource(row: &ManagedResourceRow, now: Timestamp) -> Value {
    let mut meta = metadata(&row.name, row.uid, row.resource_version, row.created_at);
    meta.labels = Some(managed_resource_labels(row));
    let mut status = Map::new();
    status.insert("observed".to_owned(), row.observed.clone());
    status.insert("diff".to_owned(), row.diff.clone());
    status.insert("conditions".to_owned(), row.conditions.clone());
    status.insert("report".to_owned(), row.report.clone());
    status.insert("changedAt".to_owned(), time(row.changed_at));
    join(&mut status, row.observed_at, now);
    json!({
        "apiVersion": API_VERSION,
        "kind": "ManagedResource",
        "metadata": meta,
        "spec": {
            "environment": row.environment,
            "account": row.key.account,
            "region": row.key.region,
            "kind": row.key.kind,
            "identity": row.key.identity,
            "desired": row.desired,
        },
        "status": status,
    })
}
