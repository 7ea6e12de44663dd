//! Events about what people did that leaves no other record: pauses, approvals, deletions, the red button. Changes of a
//! spec have their revision.

use serde_json::json;
use store::{EnvironmentRow, NewEvent};
use telemetry::ErrorChain;

use crate::state::ApiState;

/// What somebody did something to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About<'a> {
    Environment(&'a EnvironmentRow),
    Installation,
}

/// Records that somebody did something. What was done stands whether or not this can be written.
pub(crate) async fn happened(state: &ApiState, about: About<'_>, reason: &str, message: String) {
    let (environment, uid, kind, identity) = match about {
        About::Environment(row) => (row.name.as_str(), Some(row.uid), model::env::KIND, row.name.as_str()),
        About::Installation => ("", None, "Operator", "default"),
    };
    tracing::info!(environment, reason, "{message}");
    let event = NewEvent {
        environment: environment.to_owned(),
        environment_uid: uid,
        regarding_kind: kind.to_owned(),
        regarding_identity: identity.to_owned(),
        event_type: "Normal".to_owned(),
        reason: reason.to_owned(),
        message,
        details: json!({}),
        now: state.now(),
    };
    if let Err(error) = state.store.write_events(&[event]).await {
        tracing::warn!(error = %ErrorChain(&error), "an event could not be written");
    }
}
