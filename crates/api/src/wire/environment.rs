//! `Environment` on the wire.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use model::env::KIND;
use serde_json::{Map, Value, json};
use store::{EnvironmentRow, Pause};

use super::{API_VERSION, metadata, time};
use crate::freshness::{Freshness, join};
use crate::state::ApiState;

/// An environment with its status, freshness joined.
pub(crate) fn environment(state: &ApiState, row: &EnvironmentRow, freshness: &Freshness, now: Timestamp) -> Value {
    let mut meta = metadata(&row.name, row.uid, row.resource_version, row.created_at);
    meta.generation = Some(row.generation);
    meta.labels = Some(row.labels.clone()).filter(|labels| !labels.is_empty());
    meta.annotations = Some(row.annotations.clone()).filter(|annotations| !annotations.is_empty());
    meta.finalizers = Some(row.finalizers.clone()).filter(|finalizers| !finalizers.is_empty());
    meta.deletion_timestamp = row.deletion_requested_at.map(Time);
    let mut meta = json!(meta);
    // Stored as Kubernetes' type says it, but for a time: that may be a client's, and is whatever it sent.
    let timed = |entry: &Value| entry["time"].as_str().is_some_and(|time| time.parse::<Timestamp>().is_ok());
    if row.managed_fields.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(timed)) {
        meta["managedFields"] = row.managed_fields.clone();
    }
    // Put together by hand: `json!` would serialise the documents anew, and this is done for every read.
    Value::Object(Map::from_iter([
        ("apiVersion".to_owned(), json!(API_VERSION)),
        ("kind".to_owned(), json!(KIND)),
        ("metadata".to_owned(), meta),
        ("spec".to_owned(), row.spec.clone()),
        ("status".to_owned(), environment_status(state, row, freshness, now)),
    ]))
}

/// What the daemon last said, with the revision, the pause, the age of the observations, and a word when nobody
/// works on the account.
fn environment_status(state: &ApiState, row: &EnvironmentRow, freshness: &Freshness, now: Timestamp) -> Value {
    let mut status = match &row.status {
        Value::Object(status) => status.clone(),
        _ => Map::new(),
    };
    status.insert("revision".to_owned(), json!(row.revision));
    if let Some(pause) = active_pause(row, now) {
        let mut shown = Map::new();
        shown.insert("reason".to_owned(), json!(pause.reason));
        shown.insert("by".to_owned(), json!(pause.owner));
        shown.insert("since".to_owned(), time(pause.since));
        if let Some(until) = pause.until {
            shown.insert("until".to_owned(), time(until));
        }
        status.insert("pause".to_owned(), Value::Object(shown));
    }
    if let Some(why) = freshness.unattended(&row.account) {
        status.insert("unattended".to_owned(), json!(why));
    }
    join(&mut status, freshness.of_environment(state, row), now);
    Value::Object(status)
}

/// The pause that holds now.
fn active_pause(row: &EnvironmentRow, now: Timestamp) -> Option<&Pause> {
    row.pause.as_ref().filter(|pause| pause.until.is_none_or(|until| until > now))
}
