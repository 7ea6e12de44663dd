//! Asking the account's owner, through a request row: what needs fresh reads of AWS is answered by whichever replica
//! holds the account's lease.

use std::time::Duration;

use serde_json::{Value, json};
use store::{NewRequest, RequestKind};
use uuid::Uuid;

use crate::error::{ApiError, ApiResult};
use crate::freshness::unattended;
use crate::state::ApiState;

/// An answer is of use to somebody who asks again with the token for so long after the first one gave up.
const GRACE: Duration = Duration::from_secs(60);

/// 503 when nobody works on the account now.
async fn require_owner(state: &ApiState, account: &str) -> ApiResult<()> {
    let lease = state.store.lease_of(account).await?;
    if lease.is_some_and(|lease| !lease.remaining.is_zero()) {
        return Ok(());
    }
    Err(ApiError::unavailable(unattended(account)))
}

/// Asks; answers the token.
pub(crate) async fn ask(
    state: &ApiState,
    (account, environment): (&str, &str),
    kind: RequestKind,
    body: Value,
    patience: Duration,
) -> ApiResult<Uuid> {
    require_owner(state, account).await?;
    let request = NewRequest {
        kind,
        shard: account.to_owned(),
        environment: environment.to_owned(),
        body,
        ttl: patience + GRACE,
    };
    Ok(state.store.ask(&request).await?)
}

/// A plan of a spec, or of the stored one; read freshly from AWS. Changes nothing.
pub(crate) async fn plan(
    state: &ApiState,
    place: (&str, &str),
    spec: Option<&Value>,
    patience: Duration,
) -> ApiResult<Value> {
    let body = spec.map_or_else(|| json!({}), |spec| json!({ "spec": spec }));
    answer(state, place, RequestKind::Plan, body, patience).await
}

/// What is wrong, and what shows it; read freshly from AWS. Changes nothing.
pub(crate) async fn diagnosis(state: &ApiState, place: (&str, &str), patience: Duration) -> ApiResult<Value> {
    answer(state, place, RequestKind::Diagnosis, json!({}), patience).await
}

async fn answer(
    state: &ApiState,
    place: (&str, &str),
    kind: RequestKind,
    body: Value,
    patience: Duration,
) -> ApiResult<Value> {
    let token = ask(state, place, kind, body, patience).await?;
    let answer = state.store.wait_for_answer(token, patience).await?;
    let Some(answer) = answer else {
        let waited = patience.as_secs();
        return Err(ApiError::unavailable(format!("the account's owner did not answer within {waited}s")));
    };
    match answer.get("error") {
        None | Some(Value::Null) => Ok(answer),
        Some(error) => {
            let message = error.get("message").and_then(Value::as_str).unwrap_or("the owner could not answer");
            Err(ApiError::unavailable(message))
        }
    }
}

/// The hash of a plan, if something in it waits for an approval.
pub(crate) fn plan_hash(plan: &Value) -> Option<&str> {
    plan.get("hash").and_then(Value::as_str)
}
