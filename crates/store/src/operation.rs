//! What the store does, as a closed set of labels, and the hook through which others count and time it. It knows no
//! metrics library.

use std::time::Duration;

/// One label per store method; safe as a metric label because the set is closed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is named after the method it labels")]
pub enum Operation {
    Ping,
    Migrate,
    SchemaStatus,
    CreateEnvironment,
    GetEnvironment,
    ListEnvironments,
    UpdateEnvironment,
    RequestDelete,
    RemoveEnvironment,
    SetPause,
    WriteStatus,
    ReplaceClaims,
    FindClaims,
    UpsertResources,
    DeleteResources,
    ListResources,
    RecordPass,
    ChangesSince,
    PruneLog,
    ListRevisions,
    CreateChange,
    ReadChanges,
    UpdateChange,
    PruneChanges,
    Approve,
    ReadApprovals,
    ConsumeApproval,
    PruneApprovals,
    WriteEvents,
    ListEvents,
    PruneEvents,
    BeginMutation,
    ResolveMutation,
    ReadJournal,
    PruneJournal,
    AcquireLease,
    RenewLease,
    ReleaseLease,
    ListLeases,
    Ask,
    ReadRequests,
    AnswerRequest,
    PruneRequests,
    GetOperator,
    UpdateOperator,
    ChainAudit,
    ReadAudit,
    RecordRefusal,
    PruneAudit,
    EnrolReceivers,
    FollowEvents,
    QueueNotifications,
    ReadNotifications,
    SettleNotification,
    PruneNotifications,
    WriteFreshness,
    ReadFreshness,
    PruneSweeps,
}

/// How a store call ended, as a closed set of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum QueryOutcome {
    /// It did what was asked, or found nothing to do.
    Ok,
    /// A typed refusal: not found, conflict, claimed, stale epoch.
    Refused,
    /// The database could not be reached or could not work.
    Unavailable,
    /// Anything else.
    Failed,
}

/// Told of every store call. Implementations must be quick: they run on the caller's task.
pub trait QueryObserver: Send + Sync {
    /// `elapsed` covers waiting for a connection, retries and the commit.
    fn observe(&self, operation: Operation, outcome: QueryOutcome, elapsed: Duration);
}

/// Observes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl QueryObserver for NoObserver {
    fn observe(&self, _operation: Operation, _outcome: QueryOutcome, _elapsed: Duration) {}
}
