//! How stored objects look on the wire. Kubernetes' own types where there are such; no decision is made here.

mod audit_entry;
mod change;
mod environment;
mod event;
mod managed_resource;
mod namespace;
mod operator;
mod revision;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use audit_entry::audit_entry;
pub(crate) use change::change;
pub(crate) use environment::environment;
pub(crate) use event::event;
pub(crate) use managed_resource::{KIND_LABEL, managed_resource};
pub(crate) use namespace::{NAMESPACE, namespace};
pub(crate) use operator::{Working, is_account, operator};
pub(crate) use revision::revision;

/// Group and version of Kubernetes' own kinds.
pub(crate) const CORE: &str = "v1";
/// API group.
pub(crate) const GROUP: &str = "eventchain.io";
/// Group and version of our kinds.
pub(crate) const API_VERSION: &str = model::env::API_VERSION;
/// Label of what belongs to an environment.
pub(crate) const ENVIRONMENT_LABEL: &str = model::TAG_ENVIRONMENT;

/// Metadata that every object has.
fn metadata(name: &str, uid: Uuid, resource_version: i64, created: Timestamp) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(uid.to_string()),
        resource_version: Some(resource_version.to_string()),
        creation_timestamp: Some(Time(created)),
        ..ObjectMeta::default()
    }
}

fn labels_of_environment(environment: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(ENVIRONMENT_LABEL.to_owned(), environment.to_owned())])
}

/// A time as Kubernetes writes it: whole seconds, UTC.
pub(crate) fn time(at: Timestamp) -> Value {
    json!(Time(at))
}

/// Time passed, in whole seconds: `12s`. The unit stands in the text, as in the spec.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    format!("{}s", now.duration_since(since).as_secs().max(0))
}
