//! Requests to a shard's owner: what needs fresh reads of AWS (a reconcile, a plan now, a diagnosis) is asked in a row
//! and answered by whichever replica holds the shard. Deadlines are the database's clock.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::audit::Act;
use crate::error::{Error, Result};
use crate::listen::{CHANNEL_ANSWER, CHANNEL_REQUEST, Notification};
use crate::operation::Operation;
use crate::pool::Store;
use crate::rows::{FromStoreRow, document, milliseconds, seconds};

/// How often a waiter looks by itself, in case no listener runs or a notification was lost: a late answer is one second
/// late at most, and a hundred waiters cost a hundred cheap reads a second.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
pub enum RequestKind {
    /// Look and converge now.
    Reconcile,
    /// What would the next pass do?
    Plan,
    /// Why is something not working?
    Diagnosis,
}

/// A request to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRequest {
    /// What.
    pub kind: RequestKind,
    /// Whose owner is asked (an AWS account id).
    pub shard: String,
    /// About which environment.
    pub environment: String,
    /// Parameters.
    pub body: Value,
    /// How long an answer is of use.
    pub ttl: Duration,
}

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingRequest {
    /// The token.
    pub id: Uuid,
    /// What.
    pub kind: RequestKind,
    /// Whose owner is asked.
    pub shard: String,
    /// About which environment.
    pub environment: String,
    /// Parameters.
    pub body: Value,
    /// How much longer an answer is of use.
    pub remaining: Duration,
}

impl FromStoreRow for PendingRequest {
    fn from_row(row: &PgRow) -> Result<Self> {
        let kind: String = row.try_get("kind")?;
        Ok(Self {
            id: row.try_get("id")?,
            kind: kind.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            shard: row.try_get("shard")?,
            environment: row.try_get("environment")?,
            body: document(row, "body")?,
            remaining: milliseconds(row, "remaining_ms")?,
        })
    }
}

impl Store {
    /// Asks, wakes the owner, and answers the token. Nothing here says whether there is an owner: see `lease_of`.
    pub async fn ask(&self, request: &NewRequest) -> Result<Uuid> {
        let kind: &str = request.kind.into();
        // A plan and a diagnosis only look.
        let told = (request.kind == RequestKind::Reconcile).then(|| {
            let environment = request.environment.as_str();
            let act = Act { verb: "reconcile", kind: "Environment", name: environment, environment, ..Act::default() };
            Json(act.entry(self.origin()))
        });
        self.timed(Operation::Ask, async {
            Ok(sqlx::query_scalar(
                "WITH asked AS (
                     INSERT INTO requests (id, kind, shard, environment, body, created_at, deadline)
                     SELECT gen_random_uuid(), $1, $2, $3, $4, t, t + make_interval(secs => $5)
                     FROM clock_timestamp() AS t
                     RETURNING id
                 ), audited AS (
                     INSERT INTO audit_pending (entry)
                     SELECT coalesce((SELECT $8::jsonb || jsonb_build_object('environmentUid', uid,
                                                                             'generation', generation)
                                      FROM environments WHERE name = $3), $8::jsonb)::text
                     WHERE $8::jsonb IS NOT NULL
                 ), notified AS (
                     SELECT pg_notify($6, ($7::jsonb || jsonb_build_object('id', id))::text) FROM asked
                 )
                 SELECT id FROM asked, notified",
            )
            .bind(kind)
            .bind(&request.shard)
            .bind(&request.environment)
            .bind(&request.body)
            .bind(seconds(request.ttl))
            .bind(CHANNEL_REQUEST)
            .bind(json!({ "kind": kind, "shard": request.shard, "environment": request.environment }))
            .bind(told)
            .fetch_one(self.pool())
            .await?)
        })
        .await
    }

    /// The unanswered requests to the owners of these shards whose deadline has not passed, oldest first.
    pub async fn pending_requests(&self, shards: &[String]) -> Result<Vec<PendingRequest>> {
        self.timed(Operation::ReadRequests, async {
            let rows = sqlx::query(
                "SELECT id, kind, shard, environment, body,
                        floor(extract(epoch FROM deadline - clock_timestamp()) * 1000)::bigint AS remaining_ms
                 FROM requests
                 WHERE shard = ANY ($1) AND answered_at IS NULL AND deadline > clock_timestamp()
                 ORDER BY created_at, id",
            )
            .bind(shards)
            .fetch_all(self.pool())
            .await?;
            PendingRequest::from_rows(&rows)
        })
        .await
    }

    /// Answers a request and wakes who waits for it. The first answer stands; answers whether this was it.
    ///
    /// # Errors
    /// `NotFound` for a request that was never asked or has been pruned.
    pub async fn answer_request(&self, id: Uuid, answer: &Value) -> Result<bool> {
        self.timed(Operation::AnswerRequest, async {
            let row = sqlx::query(
                "WITH answered AS (
                     UPDATE requests SET answered_at = clock_timestamp(), answer = $2
                     WHERE id = $1 AND answered_at IS NULL RETURNING id
                 ), notified AS (
                     SELECT pg_notify($3, jsonb_build_object('id', id)::text) FROM answered
                 )
                 SELECT EXISTS (SELECT 1 FROM requests WHERE id = $1) AS found,
                        (SELECT count(*) FROM notified) > 0 AS written",
            )
            .bind(id)
            .bind(answer)
            .bind(CHANNEL_ANSWER)
            .fetch_one(self.pool())
            .await?;
            if !row.try_get::<bool, _>("found")? {
                return Err(Error::not_found("request", id));
            }
            Ok(row.try_get("written")?)
        })
        .await
    }

    /// The answer to a request, if there is one yet.
    ///
    /// # Errors
    /// `NotFound` for a request that was never asked or has been pruned.
    pub async fn request_answer(&self, id: Uuid) -> Result<Option<Value>> {
        self.timed(Operation::ReadRequests, async {
            let row = sqlx::query("SELECT answer FROM requests WHERE id = $1")
                .bind(id)
                .fetch_optional(self.pool())
                .await?
                .ok_or_else(|| Error::not_found("request", id))?;
            Ok(row.try_get::<Option<Value>, _>("answer")?)
        })
        .await
    }

    /// Waits for the answer to a request, woken by `run_listener` and looking by itself every second. `None`: no answer
    /// within `patience`. A database that goes away in the meantime is waited out too.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when it still is at the end.
    pub async fn wait_for_answer(&self, id: Uuid, patience: Duration) -> Result<Option<Value>> {
        let deadline = Instant::now() + patience;
        // Before the first look: an answer that comes in between is not missed.
        let mut notifications = self.subscribe();
        loop {
            let looked = self.request_answer(id).await;
            match &looked {
                Ok(None) => {}
                Err(error) if error.is_unavailable() => {}
                _ => return looked,
            }
            if Instant::now() >= deadline {
                return looked;
            }
            let next_look = deadline.min(Instant::now() + POLL_INTERVAL);
            loop {
                match timeout_at(next_look, notifications.recv()).await {
                    Err(_) | Ok(Ok(Notification::Resync) | Err(RecvError::Lagged(_))) => break,
                    Ok(Ok(Notification::RequestAnswered { id: answered })) if answered == id => break,
                    Ok(Ok(_)) => {}
                    Ok(Err(RecvError::Closed)) => {
                        tokio::time::sleep_until(next_look).await;
                        break;
                    }
                }
            }
        }
    }

    /// Forgets requests whose deadline passed longer than `age` ago.
    pub async fn prune_requests(&self, age: Duration) -> Result<u64> {
        self.timed(Operation::PruneRequests, async {
            let done =
                sqlx::query("DELETE FROM requests WHERE deadline < clock_timestamp() - make_interval(secs => $1)")
                    .bind(seconds(age))
                    .execute(self.pool())
                    .await?;
            Ok(done.rows_affected())
        })
        .await
    }
}
