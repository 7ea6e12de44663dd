//! What machines ask: metrics, liveness, readiness, version.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use store::SchemaStatus;

use crate::extract::Params;
use crate::state::ApiState;
use crate::wire;

const TEXT: &str = "text/plain; charset=utf-8";

/// `GET /metrics`
pub(crate) async fn metrics(State(state): State<Arc<ApiState>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (state.metrics_render)()).into_response()
}

/// `GET /livez`: whether the loops go round. Asks neither Postgres nor AWS.
pub(crate) async fn livez(State(state): State<Arc<ApiState>>) -> Response {
    match (state.liveness)() {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, TEXT)], "ok\n".to_owned()).into_response(),
        Err(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, TEXT)], format!("not alive: {why}\n")).into_response()
        }
    }
}

/// `GET /readyz`: whether the database can be reached and its schema is at least ours. Leases are shown with `?verbose`
/// and never fail it: a standby is ready, and one bad account does not take the API down.
pub(crate) async fn readyz(State(state): State<Arc<ApiState>>, params: Params) -> Response {
    let verbose = params.has("verbose");
    let (ready, mut text) = match state.store.schema_status().await {
        Ok(status) if status.is_usable() => (true, "[+] database ok\n[+] schema ok\n".to_owned()),
        Ok(status) => (false, format!("[+] database ok\n[-] schema: {}\n", said(&status))),
        Err(error) => {
            tracing::debug!(error = %telemetry::ErrorChain(&error), "not ready");
            (false, "[-] database cannot be reached\n".to_owned())
        }
    };
    if verbose && ready {
        // Writing to a String cannot fail.
        match state.store.leases().await {
            Ok(leases) if leases.is_empty() => text.push_str("[ ] no account is worked on yet\n"),
            Ok(leases) => {
                for lease in leases {
                    let held = !lease.remaining.is_zero();
                    let (mark, state) = if held { ('+', "held by") } else { (' ', "free; last held by") };
                    let what = if wire::is_account(&lease) { "account" } else { "task" };
                    let _ = writeln!(text, "[{mark}] {what} {} {state} {}", lease.shard, lease.holder);
                }
            }
            Err(_) => text.push_str("[ ] leases cannot be read\n"),
        }
        text.push_str(&credentials(&state).await);
    }
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verdict = if ready { "readyz check passed\n" } else { "readyz check failed\n" };
    let body = match (ready, verbose) {
        (true, false) => "ok\n".to_owned(),
        _ => text + verdict,
    };
    (code, [(CONTENT_TYPE, TEXT)], body).into_response()
}

fn said(status: &SchemaStatus) -> String {
    match status {
        SchemaStatus::Current | SchemaStatus::AheadCompatible { .. } => "ok".to_owned(),
        SchemaStatus::Behind { missing } => format!("{} migrations are missing: run `migrate`", missing.len()),
        SchemaStatus::TooNew { oldest_reader } => {
            format!("a newer release migrated it, and this one is too old (it needs {oldest_reader})")
        }
        SchemaStatus::Diverged { versions } => format!("migrations {versions:?} are not those of this release"),
    }
}

/// What the environments say of the credentials of their accounts.
async fn credentials(state: &ApiState) -> String {
    let mut text = String::new();
    let all = store::EnvironmentFilter::default();
    let Ok(page) = state.store.list_environments(&all, &store::PageRequest::default()).await else { return text };
    let mut seen = std::collections::BTreeMap::new();
    for row in page.items {
        let conditions = row.status.get("conditions").and_then(serde_json::Value::as_array).cloned();
        let said = conditions.unwrap_or_default().into_iter().find(|one| one["type"] == "CredentialsValid");
        if let Some(said) = said {
            seen.insert(row.account, said);
        }
    }
    for (account, said) in seen {
        let mark = if said["status"] == "True" { '+' } else { ' ' };
        let word = |field: &str| said[field].as_str().unwrap_or_default().to_owned();
        let _ = writeln!(text, "[{mark}] credentials of account {account}: {} ({})", word("status"), word("reason"));
    }
    text
}

/// `GET /version`, in Kubernetes' form: clients parse it.
pub(crate) async fn version(State(state): State<Arc<ApiState>>) -> Response {
    // The Kubernetes minor version whose conventions are followed; k8s-openapi's types are of it.
    Json(json!({
        "major": "1",
        "minor": "35",
        "gitVersion": format!("v1.35.0+eventchain.{}", state.config.version),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    }))
    .into_response()
}
