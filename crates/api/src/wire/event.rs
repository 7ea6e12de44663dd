//! `Event` on the wire: core/v1, as kubectl knows it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use store::EventRow;

use super::{API_VERSION, NAMESPACE, labels_of_environment, metadata};

const COMPONENT: &str = "eventchain-operator";

/// An event. What else is known of its latest occurrence is in an annotation, as JSON.
pub(crate) fn event(row: &EventRow) -> Value {
    let time = |at: Timestamp| Some(Time(at));
    let mut meta = metadata(&row.name, row.uid, row.resource_version, row.first_seen);
    meta.namespace = Some(NAMESPACE.to_owned());
    if !row.environment.is_empty() {
        meta.labels = Some(labels_of_environment(&row.environment));
    }
    if row.details.as_object().is_some_and(|details| !details.is_empty()) {
        meta.annotations = Some([("eventchain.io/details".to_owned(), row.details.to_string())].into());
    }
    let about_environment = row.regarding_kind == model::env::KIND;
    let uid = row.environment_uid.filter(|_| about_environment).map(|uid| uid.to_string());
    let event = Event {
        metadata: meta,
        involved_object: ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(row.regarding_kind.clone()),
            name: Some(row.regarding_identity.clone()),
            uid,
            ..ObjectReference::default()
        },
        type_: Some(row.event_type.clone()),
        reason: Some(row.reason.clone()),
        message: Some(row.message.clone()),
        count: Some(i32::try_from(row.count).unwrap_or(i32::MAX)),
        first_timestamp: time(row.first_seen),
        last_timestamp: time(row.last_seen),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        reporting_component: Some(COMPONENT.to_owned()),
        ..Event::default()
    };
    json!(event)
}
