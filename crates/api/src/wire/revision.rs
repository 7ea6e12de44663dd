//! `Revision` on the wire. A revision never changes, so all of it is spec.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Map, Value, json};
use store::RevisionRow;

use super::{API_VERSION, labels_of_environment};

/// A revision.
pub(crate) fn revision(row: &RevisionRow) -> Value {
    let meta = ObjectMeta {
        name: Some(row.name()),
        resource_version: Some(row.resource_version.to_string()),
        creation_timestamp: Some(Time(row.created_at)),
        labels: Some(labels_of_environment(&row.environment)),
        ..ObjectMeta::default()
    };
    let mut spec = Map::new();
    spec.insert("environment".to_owned(), json!(row.environment));
    spec.insert("environmentUid".to_owned(), json!(row.environment_uid));
    spec.insert("revision".to_owned(), json!(row.revision));
    spec.insert("generation".to_owned(), json!(row.generation));
    spec.insert("author".to_owned(), json!(row.author));
    spec.insert("message".to_owned(), json!(row.message));
    if let Some(change) = &row.change {
        spec.insert("change".to_owned(), json!(change));
    }
    spec.insert("diff".to_owned(), row.diff.clone());
    spec.insert("spec".to_owned(), row.spec.clone());
    json!({ "apiVersion": API_VERSION, "kind": "Revision", "metadata": meta, "spec": spec })
}
