//! `/`: the environments and their conditions on one plain page, for people who have a browser and nothing else.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use model::condition::{Condition, ConditionStatus, ConditionType};
use serde::Deserialize as _;
use store::{EnvironmentFilter, EnvironmentRow, PageRequest};

use crate::access::scope;
use crate::error::ApiResult;
use crate::freshness::Freshness;
use crate::state::ApiState;
use crate::wire;

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>eventchain-operator</title>\
<meta http-equiv=\"refresh\" content=\"15\"><style>\
body{font:15px/1.4 system-ui,sans-serif;margin:2em}table{border-collapse:collapse}\
td,th{padding:.3em .8em;text-align:left;border-bottom:1px solid #ccc;vertical-align:top}\
.good{color:#06621f}.open{color:#8a5a00}.bad{color:#a11212;font-weight:600}small{color:#555}\
</style></head><body><h1>eventchain-operator</h1>";

const PATH: &str = "/apis/eventchain.io/v1";

/// Nothing on a page of ours runs, whatever a name holds, and nothing is fetched.
pub(crate) const PLAIN_PAGE: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// `GET /`
pub(crate) async fn index(State(state): State<Arc<ApiState>>) -> ApiResult {
    let mut page = state.store.list_environments(&EnvironmentFilter::default(), &PageRequest::default()).await?;
    let scope = scope::current();
    page.items.retain(|row| scope.permits_labels(&row.labels));
    let operator = state.store.get_operator().await?;
    let freshness = Freshness::of_all(&state).await?;
    let now = state.now();
    let mut html = HEAD.to_owned();
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "<p>Mode: <b>{}</b> · {} environment(s) · <a href=\"{PATH}/environments\">environments</a> · \
         <a href=\"{PATH}/managedresources\">managed resources</a> · <a href=\"{PATH}/changes\">changes</a> · \
         <a href=\"/api/v1/events\">events</a> · <a href=\"{PATH}/operators/default\">operator</a> · \
         <a href=\"/docs\">API</a> · <a href=\"/metrics\">metrics</a> · <a href=\"/readyz?verbose\">readiness</a></p>\
         <table><tr><th>Environment</th><th>Conditions</th><th>Observed</th><th></th></tr>",
        operator.mode,
        page.items.len(),
    );
    for row in &page.items {
        let age = freshness.of_environment(&state, row).map(|at| format!("{} ago", wire::age(at, now)));
        environment(&mut html, row, &age.unwrap_or_else(|| "not yet".to_owned()));
    }
    html.push_str("</table></body></html>\n");
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, PLAIN_PAGE)];
    Ok(headers_and(headers, html))
}

fn headers_and(headers: [(http::HeaderName, &'static str); 2], html: String) -> Response {
    (headers, html).into_response()
}

fn environment(html: &mut String, row: &EnvironmentRow, age: &str) {
    let name = escaped(&row.name);
    let _ = write!(html, "<tr><td><a href=\"{PATH}/environments/{name}\">{name}</a>");
    let _ = write!(html, "<br><small>{} · generation {}", escaped(&row.account), row.generation);
    if row.deletion_requested_at.is_some() {
        html.push_str(" · being deleted");
    }
    html.push_str("</small></td><td>");
    let conditions = row.status.get("conditions").and_then(serde_json::Value::as_array);
    for condition in conditions.into_iter().flatten().filter_map(|one| Condition::deserialize(one).ok()) {
        let Some(class) = class(&condition) else { continue };
        let _ = write!(
            html,
            "<div class=\"{class}\">{}={} {} <small>{}</small></div>",
            condition.kind,
            condition.status,
            escaped(&condition.reason),
            escaped(&condition.message)
        );
    }
    let _ = write!(
        html,
        "</td><td>{age}</td><td><a href=\"{PATH}/environments/{name}/plan\">plan</a> \
         <a href=\"{PATH}/managedresources?environment={name}\">resources</a> \
         <a href=\"{PATH}/revisions?environment={name}\">revisions</a> \
         <a href=\"/api/v1/events?environment={name}\">events</a></td></tr>"
    );
}

/// How a condition is shown; one that says that nothing is the matter is not.
fn class(condition: &Condition) -> Option<&'static str> {
    match condition.kind {
        ConditionType::Ready
        | ConditionType::Synced
        | ConditionType::BackupHealthy
        | ConditionType::CredentialsValid => Some(match condition.status {
            ConditionStatus::True => "good",
            ConditionStatus::False => "bad",
            ConditionStatus::Unknown => "open",
        }),
        ConditionType::Drifted | ConditionType::Stalled | ConditionType::Blocked | ConditionType::RolledBack => {
            (condition.status == ConditionStatus::True).then_some("bad")
        }
        ConditionType::Progressing | ConditionType::Paused => {
            (condition.status == ConditionStatus::True).then_some("open")
        }
    }
}

pub(crate) fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"x\">&'"), "&lt;b a=&quot;x&quot;&gt;&amp;&#39;");
    }
}
